"""Which generated particles decay through the channels of a set.

A list of daughters is a multiset of species. Each species has a random 64-bit
number and a multiset is the sum of its species' numbers, modulo 2**64: equal
multisets have equal sums, different ones almost surely different sums.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import inlined, kernel

#: Alternatives kept per particle. Fifty are rare; those beyond are counted.
CAPACITY = 64

OUTSIDE, IGNORED = -1, -2  # species of a row that is not of the set / that does not count (FSR photons)


@inlined
def _insert(signature, size, passed, row, n, new_signature, new_size, new_passed):
    """Add an alternative to a row if it is new; returns (alternatives, 1 if there was no room)."""
    for i in range(n):
        if signature[row, i] == new_signature:
            passed[row, i] = min(passed[row, i], new_passed)
            return n, 0
    if n == signature.shape[1]:
        return n, 1
    signature[row, n] = new_signature
    size[row, n] = new_size
    passed[row, n] = new_passed
    return n + 1, 0


@kernel
def decay_modes(offsets, mother, species, usable, is_leaf, number,
                channel_start, channel_signature, channel_mode, max_daughters, look_through, modes):
    """Fill ``modes`` (rows, int16): channel by which each row decays through the set, else -1.

    ``species`` (rows): index into ``is_leaf`` and ``number``, or OUTSIDE, or
    IGNORED. ``usable`` (rows): False for a leaf that the detector misses. The
    channels of species s are ``channel_start[s]`` to ``channel_start[s + 1]``,
    each with the sum of its daughters' numbers and its mode.

    Every row has alternatives, what it may stand for in its mother's list of
    daughters: itself, if it is of the set and decays through it, or its own
    daughters (for rows of the set only if ``look_through``). ``passed`` counts
    the particles of the set that an alternative looks through; the channel
    with the fewest wins, then the first. Returns the number of alternatives
    that found no room.
    """
    largest = 0
    for e in range(len(offsets) - 1):
        largest = max(largest, offsets[e + 1] - offsets[e])
    # one row more than particles, twice: the two sides of the product under construction
    signature = np.empty((largest + 2, CAPACITY), np.uint64)
    size = np.empty((largest + 2, CAPACITY), np.int16)
    passed = np.empty((largest + 2, CAPACITY), np.int16)
    n_alternatives = np.empty(largest + 2, np.int64)
    first = np.empty(largest, np.int64)
    following = np.empty(largest, np.int64)
    pending = np.empty(largest, np.int64)
    queue = np.empty(largest, np.int64)
    lost = 0
    for e in range(len(offsets) - 1):
        start = offsets[e]
        n = offsets[e + 1] - start
        for i in range(n):
            first[i], pending[i], n_alternatives[i], modes[start + i] = -1, 0, 0, -1
        for i in range(n):
            m = mother[start + i]
            if 0 <= m < n:
                following[i] = first[m]
                first[m] = i
                pending[m] += 1
        # daughters before mothers, whatever the order in the list
        waiting = 0
        for i in range(n):
            if pending[i] == 0:
                queue[waiting] = i
                waiting += 1
        done = 0
        while done < waiting:
            i = queue[done]
            done += 1
            m = mother[start + i]
            if 0 <= m < n:
                pending[m] -= 1
                if pending[m] == 0:
                    queue[waiting] = m
                    waiting += 1
            kind = species[start + i]
            if kind == IGNORED:
                continue
            if kind >= 0 and is_leaf[kind]:
                if usable[start + i]:
                    modes[start + i] = 0
                    signature[i, 0], size[i, 0], passed[i, 0], n_alternatives[i] = number[kind], 1, 0, 1
                continue
            # all sums of one alternative per daughter
            side, n_sums, n_daughters = largest, 1, 0
            signature[side, 0], size[side, 0], passed[side, 0] = np.uint64(0), 0, 0
            d = first[i]
            while d >= 0 and n_sums > 0:
                if species[start + d] != IGNORED:
                    n_daughters += 1
                    other = 2 * largest + 1 - side
                    n_new = 0
                    for a in range(n_sums):
                        for b in range(n_alternatives[d]):
                            if size[side, a] + size[d, b] <= max_daughters:
                                n_new, full = _insert(
                                    signature, size, passed, other, n_new, signature[side, a] + signature[d, b],
                                    size[side, a] + size[d, b], passed[side, a] + passed[d, b])
                                lost += full
                    side, n_sums = other, n_new
                d = following[d]
            if n_daughters == 0:
                continue
            best = np.int64(32767)
            if kind >= 0:
                for a in range(n_sums):
                    for c in range(channel_start[kind], channel_start[kind + 1]):
                        if channel_signature[c] == signature[side, a]:
                            # lexicographic order of (passed, mode)
                            if (passed[side, a] < best
                                    or (passed[side, a] == best and channel_mode[c] < modes[start + i])):
                                best = passed[side, a]
                                modes[start + i] = channel_mode[c]
                if modes[start + i] >= 0:
                    signature[i, 0], size[i, 0], passed[i, 0], n_alternatives[i] = number[kind], 1, 0, 1
            if kind == OUTSIDE or look_through:
                for a in range(n_sums):
                    n_alternatives[i], full = _insert(
                        signature, size, passed, i, n_alternatives[i], signature[side, a],
                        size[side, a], passed[side, a] + (1 if kind >= 0 else 0))
                    lost += full
    return lost
