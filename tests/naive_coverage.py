"""The plain twin of the coverage kernel: recursion over trees, multisets as sorted tuples."""

from __future__ import annotations

from itertools import product

from fei_lite.particles import conjugate, is_self_conjugate, pdg_code

FSR = 128 | 256


def channels_of(channel_set):
    """PDG code -> (is final state, [(multiset of daughters, mode)]), both charge conjugates."""
    table = {}
    for name, config in channel_set.particles.items():
        leaf = any(c.leaf == "FSP" for c in config.channels)
        for turned in (False, True):
            decays = []
            for c in config.channels:
                if c.leaf is None:
                    names = [conjugate(d) if turned else d for d in c.daughters]
                    decays.append((tuple(sorted(map(pdg_code, names))), c.index))
            code = pdg_code(name)
            table[code if is_self_conjugate(name) or not turned else -code] = (leaf, decays)
    return table


def modes_of_event(channel_set, pdg, mother, status, usable, *, look_through=True):
    """Mode of each particle of one event; see ``covered_particles``."""
    table = channels_of(channel_set)
    longest = max(len(c.daughters) for c in channel_set.channels())
    children = {i: [] for i in range(len(pdg))}
    for i, m in enumerate(mother):
        if m >= 0 and not status[i] & FSR:
            children[m].append(i)
    modes = [-1] * len(pdg)

    def alternatives(i):
        """{multiset: fewest particles of the set looked through} that particle i stands for."""
        known = pdg[i] in table
        leaf, decays = table.get(pdg[i], (False, []))
        if leaf:
            modes[i] = 0 if usable[i] else -1
            return {(pdg[i],): 0} if usable[i] else {}
        below = {}
        parts = [alternatives(c) for c in children[i]]
        for choice in product(*(p.items() for p in parts)):
            whole = tuple(sorted(code for multiset, _ in choice for code in multiset))
            if choice and len(whole) <= longest:
                below[whole] = min(below.get(whole, 99), sum(n for _, n in choice))
        found = [(below[multiset], mode) for multiset, mode in decays if multiset in below]
        found = found if usable[i] else []
        modes[i] = min(found)[1] if found else -1
        result = {(pdg[i],): 0} if found else {}
        if look_through or not known:
            for multiset, n in below.items():
                result.setdefault(multiset, n + known)
        return result

    for i in range(len(pdg)):  # also what is below a final-state particle (secondaries)
        if not status[i] & FSR:
            alternatives(i)
    return modes
