"""Competing candidates of an event: ranks, the best other, and sums of odds inside groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

#: Log-odds where no other candidate competes, and of probabilities that rounding has made 0 or 1.
LIMIT = 30.0


def log_odds(probability: Floats) -> Floats:
    """Log-odds of probabilities, inside +-:data:`LIMIT`.

    >>> log_odds(np.array([0.0, 0.5])).tolist()
    [-30.0, 0.0]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(probability) - np.log1p(-probability), -LIMIT, LIMIT))


@dataclass(frozen=True)
class Competing:
    """What the members of a group are to each other, one entry per member.

    ``rank``: 1 is the best; ``size``: members of the group; ``best``: score of the best
    other member; ``row``: where it stands (a lone member's own); ``odds``: logarithm of the
    sum of the other members' odds. ``best`` and ``odds`` of lone members are -:data:`LIMIT`.
    """

    rank: Rows
    size: Rows
    best: Floats
    row: Rows
    odds: Floats


def compare(group: Rows, score: Floats) -> Competing:
    """The members with log-odds ``score`` (n,) of each ``group`` (n,; numbers from 0) against each other."""
    n = len(group)
    order = np.lexsort((-score, group))
    sorted_group = group[order]
    first = np.searchsorted(sorted_group, sorted_group, side="left")
    last = np.searchsorted(sorted_group, sorted_group, side="right")
    position = np.arange(n)
    lone = last - first < 2
    competing = np.where(lone, position, np.where(position == first, first + 1, first))
    rank, size, row, best = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    rank[order], size[order], row[order] = position - first + 1, last - first, order[competing]
    best[order] = np.where(lone, -LIMIT, score[order][competing])
    odds = np.exp(score)
    length = int(group.max()) + 1 if n else 0
    total = np.bincount(group, weights=odds, minlength=length)[group]
    behind = np.bincount(group, weights=np.where(rank > 1, odds, 0.0), minlength=length)[group]
    others = np.where(rank == 1, behind, total - odds)  # no difference of large numbers
    with np.errstate(divide="ignore"):
        summed = np.where(size > 1, np.clip(np.log(others), -LIMIT, LIMIT), -LIMIT)
    return Competing(rank, size, best, row, summed)


def groups_of(keys: Sequence[NDArray[np.integer]]) -> Rows:
    """Numbers (n,) from 0 of the rows with equal keys, each (n,); in the order of the last key, then the one before.

    >>> groups_of([np.array([5, 5, 3]), np.array([1, 1, 0])]).tolist()
    [1, 1, 0]
    """
    order = np.lexsort(tuple(keys))
    new = np.zeros(len(order), dtype=bool)
    for key in keys:
        new[1:] |= np.diff(key[order].astype(np.uint64)) != 0
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new)
    return number
