"""Truth matching: who descends from whom, and what a candidate has missed.

Particles of all events lie in one array; ``mother`` holds rows of that array.
Sets of particles are bit sets, one bit per *numbered* particle of an event
(see :func:`number_particles`), a row of 64-bit words per set.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel

MISS_FSR, MISSING_RESONANCE, DECAY_IN_FLIGHT, MISS_NEUTRINO = 1, 2, 4, 8
MISS_GAMMA, MISS_MASSIVE, MISS_KLONG, MIS_ID = 16, 32, 64, 128
ADDED_WRONG, INTERNAL_ERROR, MISS_PHOTOS = 256, 512, 1024

#: Kinds of generated particles and the bits set where one of them is missing.
RESONANCE, FSR_PHOTON, PHOTOS_PHOTON, GAMMA, NEUTRINO, MASSIVE, KLONG = range(7)
FLAGS = (MISSING_RESONANCE, MISS_FSR, MISS_PHOTOS, MISS_GAMMA, MISS_NEUTRINO, MISS_MASSIVE, MISS_MASSIVE | MISS_KLONG)

#: The errors that a candidate inherits from its daughters.
INHERITED = MIS_ID | ADDED_WRONG | DECAY_IN_FLIGHT | INTERNAL_ERROR

NOT_YET = -2  # ancestor of a candidate without daughters so far


@kernel
def link_mothers(local, offsets, parton):
    """Rows of the mothers (partons are skipped; -1 none) and generations above each particle.

    ``local`` counts within the event. A particle below a loop of mothers is
    given none.
    """
    n = offsets[-1]
    mother = np.full(n, -1, np.int32)
    depth = np.zeros(n, np.int32)
    for event in range(len(offsets) - 1):
        first, size = offsets[event], offsets[event + 1] - offsets[event]
        for row in range(first, first + size):
            above, steps = local[row], 0
            while above >= 0 and steps <= size:
                if not parton[first + above]:
                    if depth[row] == 0:
                        mother[row] = first + above
                    depth[row] += 1
                above = local[first + above]
                steps += 1
            if steps > size:
                mother[row], depth[row] = -1, 0
    return mother, depth


@kernel
def number_particles(mother, kind, wanted, offsets):
    """Bit of each particle in its event's sets (-1: none) and the bits of the largest event.

    Numbered are the particles ``wanted`` and those whose mother is a resonance:
    all that can be missed or can be matched twice. Most of what the detector
    simulation made is neither.
    """
    bit = np.full(len(mother), -1, np.int32)
    largest = 0
    for event in range(len(offsets) - 1):
        used = 0
        for row in range(offsets[event], offsets[event + 1]):
            if wanted[row] or (mother[row] >= 0 and kind[mother[row]] == RESONANCE):
                bit[row] = used
                used += 1
        largest = max(largest, used)
    return bit, largest


@kernel
def fill_sets(mother, kind, bit, offsets, descend, kinds):
    """Fill ``descend`` (n, words), what each particle should be built from, and ``kinds`` (events, 7, words).

    A final-state particle ends the descent: nothing below it can be missed.
    """
    one = np.uint64(1)
    for event in range(len(offsets) - 1):
        for row in range(offsets[event], offsets[event + 1]):
            if bit[row] < 0:
                continue
            word, mask = bit[row] // 64, one << np.uint64(bit[row] % 64)
            kinds[event, kind[row], word] |= mask
            above = mother[row]
            while above >= 0 and kind[above] == RESONANCE:
                descend[above, word] |= mask
                above = mother[above]


@kernel
def match_particles(rows, expected, tree, errors, used):
    """Errors and matched particles of final-state candidates matched to ``rows`` (-1: none).

    A secondary particle of the wrong species stands for the first primary
    above it, which decayed in flight; it is matched too, with those between.
    """
    mother, _, code, primary, bit = tree
    one = np.uint64(1)
    for i in range(len(rows)):
        row = rows[i]
        if row < 0:
            errors[i] = INTERNAL_ERROR
            continue
        if bit[row] >= 0:
            used[i, bit[row] // 64] |= one << np.uint64(bit[row] % 64)
        if code[row] == expected[i]:
            errors[i] = 0
        elif primary[row]:
            errors[i] = MIS_ID
        else:
            errors[i] = DECAY_IN_FLIGHT
            above = mother[row]
            while above >= 0:
                if bit[above] >= 0:
                    used[i, bit[above] // 64] |= one << np.uint64(bit[above] % 64)
                if primary[above]:
                    break
                above = mother[above]
            if above < 0:
                errors[i] |= INTERNAL_ERROR
            elif code[above] != expected[i]:
                errors[i] |= MIS_ID


@kernel
def add_daughter(rows, daughter, event, tree, kinds, state):
    """Take one daughter of each candidate into the ``state``: common ancestor, errors, matched particles.

    ``daughter`` and ``state`` are (mc, mcErrors, mc_used); ``rows`` are the
    daughter's rows. A final-state particle that two daughters have matched is
    a clone: one of them is wrong.
    """
    mother, depth = tree[0], tree[1]
    its_mc, its_errors, its_used = daughter
    ancestor, errors, used = state
    for i in range(len(rows)):
        row = rows[i]
        errors[i] |= its_errors[row] & INHERITED
        for word in range(used.shape[1]):
            if used[i, word] & its_used[row, word] & ~kinds[event[i], RESONANCE, word]:
                errors[i] |= ADDED_WRONG
            used[i, word] |= its_used[row, word]
        a, b = ancestor[i], its_mc[row]
        if a == NOT_YET:
            ancestor[i] = b
            continue
        while a != b and a >= 0 and b >= 0:
            if depth[a] < depth[b]:
                b = mother[b]
            else:
                a = mother[a]
        ancestor[i] = a if a == b else -1


@kernel
def finish_candidates(expected, either, event, tree, descend, kinds, flags, state):
    """Compare the common ancestor with the candidate's species and look for what it has missed.

    ``expected`` are PDG codes, ``either`` accepts the conjugate as well.
    """
    code, bit = tree[2], tree[4]
    ancestor, errors, used = state
    for i in range(len(expected)):
        a = ancestor[i]
        if a < 0:
            ancestor[i], errors[i] = -1, INTERNAL_ERROR
            used[i] = 0
            continue
        if code[a] != expected[i] and not (either[i] and code[a] == -expected[i]):
            errors[i] |= ADDED_WRONG
        for word in range(used.shape[1]):
            missed = descend[a, word] & ~used[i, word]
            if missed:
                for kind in range(len(flags)):
                    if missed & kinds[event[i], kind, word]:
                        errors[i] |= flags[kind]
        if bit[a] >= 0:
            used[i, bit[a] // 64] |= np.uint64(1) << np.uint64(bit[a] % 64)
