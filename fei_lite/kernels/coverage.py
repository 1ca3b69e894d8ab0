"""Which generated particles decay through the channels of a set.

A list of daughters is a multiset of species. Each species has a random 64-bit
number and a multiset is the sum of its species' numbers, modulo 2**64: equal
multisets have equal sums, different ones almost surely different sums.

Every particle has *alternatives*, what it may stand for in its mother's list
of daughters: itself, or its own daughters. An alternative is a row of the
table ``work``, three arrays (rows, CAPACITY): the sum, how many particles it
stands for, and how many particles of the set it looks through.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel

#: Alternatives kept per particle; those beyond are counted. Generic B decays need far fewer.
CAPACITY = 64

OUTSIDE, IGNORED = -1, -2  # species of a row that is not of the set / that does not count (FSR photons)


@kernel
def _insert(work, row, n, new_sum, new_size, new_passed):
    """Add an alternative to ``row``, which has ``n``, unless it is there; returns n and 1 if it found no room."""
    sums, size, passed = work
    for i in range(n):
        if sums[row, i] == new_sum:
            passed[row, i] = min(passed[row, i], new_passed)
            return n, 0
    if n == CAPACITY:
        return n, 1
    sums[row, n], size[row, n], passed[row, n] = new_sum, new_size, new_passed
    return n + 1, 0


@kernel
def _daughters_first(mother, n, first, following, queue):
    """Link the daughters of each particle of an event; fill ``queue`` with daughters before mothers.

    Returns the length of the queue: particles in a loop of mothers are not in it.
    """
    pending = np.zeros(n, np.int64)
    first[:n] = -1
    for i in range(n):
        m = mother[i]
        if 0 <= m < n:
            following[i] = first[m]
            first[m] = i
            pending[m] += 1
    waiting = 0
    for i in range(n):
        if pending[i] == 0:
            queue[waiting] = i
            waiting += 1
    done = 0
    while done < waiting:
        m = mother[queue[done]]
        done += 1
        if 0 <= m < n:
            pending[m] -= 1
            if pending[m] == 0:
                queue[waiting] = m
                waiting += 1
    return waiting


@kernel
def _sum_daughters(work, n_alternatives, species, first, following, max_daughters):
    """All sums of one alternative per daughter, at most ``max_daughters`` particles.

    Two rows after those of the particles take turns. Returns the row with the
    result, its length (0 also where no daughter counts) and the number of sums
    that found no room.
    """
    sums, size, passed = work
    row, other = len(sums) - 2, len(sums) - 1
    sums[row, 0], size[row, 0], passed[row, 0] = np.uint64(0), 0, 0
    n_sums, n_daughters, lost = 1, 0, 0
    d = first
    while d >= 0 and n_sums > 0:
        if species[d] != IGNORED:
            n_daughters += 1
            n_new = 0
            for a in range(n_sums):
                for b in range(n_alternatives[d]):
                    if size[row, a] + size[d, b] <= max_daughters:
                        n_new, full = _insert(work, other, n_new, sums[row, a] + sums[d, b],
                                              size[row, a] + size[d, b], passed[row, a] + passed[d, b])
                        lost += full
            row, other, n_sums = other, row, n_new
        d = following[d]
    return row, n_sums if n_daughters > 0 else 0, lost


@kernel
def _best_mode(work, row, n_sums, signatures, modes):
    """The mode that matches a sum and looks through the fewest particles, then the first; -1 if none."""
    sums, _, passed = work
    best, fewest = -1, 32767
    for a in range(n_sums):
        for c in range(len(signatures)):
            if signatures[c] == sums[row, a] and (
                    passed[row, a] < fewest or (passed[row, a] == fewest and modes[c] < best)):
                best, fewest = modes[c], passed[row, a]
    return best


@kernel
def decay_modes(offsets, mother, species, usable, is_leaf, number, start, signature, mode,
                max_daughters, look_through, modes):
    """Fill ``modes`` (rows, int16): channel by which each row decays through the set, else -1.

    ``species`` (rows): index into ``is_leaf`` and ``number``, or OUTSIDE, or
    IGNORED. ``usable`` (rows): False for what cannot stand for itself: a leaf that
    the detector misses, a particle without a candidate (its daughters may still stand for it). The
    channels of species s are ``start[s]`` to ``start[s + 1]``, each with the
    sum of its daughters' numbers and its mode. Particles of the set that decay
    through it stand for themselves; with ``look_through`` also for their
    daughters, as all others do. Returns the number of alternatives without room.
    """
    largest = 0
    for e in range(len(offsets) - 1):
        largest = max(largest, offsets[e + 1] - offsets[e])
    work = (np.empty((largest + 2, CAPACITY), np.uint64), np.empty((largest + 2, CAPACITY), np.int64),
            np.empty((largest + 2, CAPACITY), np.int64))
    first, following = np.empty(largest, np.int64), np.empty(largest, np.int64)
    queue, n_alternatives = np.empty(largest, np.int64), np.empty(largest, np.int64)
    lost = 0
    modes[:] = -1
    for e in range(len(offsets) - 1):
        low, high = offsets[e], offsets[e + 1]
        kinds = species[low:high]
        n_alternatives[:] = 0
        for i in queue[:_daughters_first(mother[low:high], high - low, first, following, queue)]:
            kind = kinds[i]
            if kind == IGNORED:
                continue
            if kind >= 0 and is_leaf[kind]:
                row, n_sums = 0, 0
                modes[low + i] = 0 if usable[low + i] else -1
            else:
                row, n_sums, full = _sum_daughters(work, n_alternatives, kinds, first[i], following, max_daughters)
                lost += full
                if kind >= 0 and usable[low + i]:
                    modes[low + i] = _best_mode(work, row, n_sums, signature[start[kind]:start[kind + 1]],
                                                mode[start[kind]:start[kind + 1]])
            if modes[low + i] >= 0:
                n_alternatives[i], _ = _insert(work, i, 0, number[kind], 1, 0)
            if kind == OUTSIDE or look_through:
                for a in range(n_sums):
                    n_alternatives[i], full = _insert(work, i, n_alternatives[i], work[0][row, a], work[1][row, a],
                                                      work[2][row, a] + (kind != OUTSIDE))
                    lost += full
    return lost
