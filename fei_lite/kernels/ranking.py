"""Ranking of an event's candidates, and duplicates among them."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel


@kernel
def _before(value, other, highest):
    """Whether a value ranks before another that came first: it must be better; NaN is worst."""
    if np.isnan(value):
        return False
    return np.isnan(other) or (value > other if highest else value < other)


@kernel
def rank_rows(offsets, sign, value, highest, best_n, keep, rank):
    """Rank rows per event and conjugate by ``value``; mark the best ``best_n``.

    A row of sign 0 competes with both conjugates and carries its better rank.
    NaN ranks last. Equal values keep their order. Fills ``keep``, and ``rank`` of the rows kept (0 of others).
    """
    list_rows = np.empty(best_n, np.int64)
    for e in range(offsets.shape[0] - 1):
        first, last = offsets[e], offsets[e + 1]
        for i in range(first, last):
            rank[i] = 0
            keep[i] = False
        for s in (1, -1):
            n = 0
            for i in range(first, last):
                if sign[i] == -s:
                    continue
                if n == best_n:
                    if n == 0 or not _before(value[i], value[list_rows[n - 1]], highest):
                        continue
                else:
                    n += 1
                at = n - 1
                while at > 0 and _before(value[i], value[list_rows[at - 1]], highest):
                    list_rows[at] = list_rows[at - 1]
                    at -= 1
                list_rows[at] = i
            for at in range(n):
                row = list_rows[at]
                keep[row] = True
                if rank[row] == 0 or at + 1 < rank[row]:
                    rank[row] = at + 1


@kernel
def mark_duplicates(offsets, sign, used, value, duplicate):
    """Mark all but the best of the rows of an event that share sign and sources.

    The best has the highest ``value``; equal values keep the first row. The rows of an event are found again by
    a hash of sign and sources (open addressing, at most half full).
    """
    n_words = used.shape[1]
    most = 0
    for e in range(offsets.shape[0] - 1):
        most = max(most, offsets[e + 1] - offsets[e])
    size = 4
    while size < 2 * most:
        size *= 2
    places = np.empty(size, np.int64)
    for e in range(offsets.shape[0] - 1):
        slots = 4
        while slots < 2 * (offsets[e + 1] - offsets[e]):
            slots *= 2
        mask = np.uint64(slots - 1)
        places[:slots] = -1
        for i in range(offsets[e], offsets[e + 1]):
            duplicate[i] = False
            number = np.uint64(sign[i] + 2)
            for w in range(n_words):
                number = (number ^ used[i, w]) * np.uint64(0x9E3779B97F4A7C15)
                number ^= number >> np.uint64(32)
            at = np.int64(number & mask)
            while places[at] >= 0:
                j = places[at]
                same = sign[i] == sign[j]
                for w in range(n_words):
                    if used[i, w] != used[j, w]:
                        same = False
                        break
                if same:
                    break
                at = (at + 1) & (slots - 1)
            if places[at] < 0:
                places[at] = i
            elif value[i] > value[places[at]]:
                duplicate[places[at]] = True
                places[at] = i
            else:
                duplicate[i] = True
