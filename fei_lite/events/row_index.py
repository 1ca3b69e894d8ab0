"""Which rows of candidate ntuples are of which event: runs of rows with one (experiment, run, event)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.mapping import Mapping, as_column
from fei_lite.events.tables import Table, find, flat_values, tables_of
from fei_lite.outputs import PathLike

Ints = NDArray[np.int64]
#: Rows whose keys are read at a time.
_ROWS = 1_000_000


@dataclass(frozen=True)
class Runs:
    """The events of one tree in its order: keys (n, 3), first row and end of each."""

    keys: Ints
    first: Ints
    stop: Ints


@dataclass(frozen=True)
class RowIndex:
    """The events of a file, ``keys`` (n, 3) = experiment, run, event; per tree, first row and end (equal: none)."""

    keys: Ints
    rows: dict[str, tuple[Ints, Ints]]


def row_index(path: PathLike, mapping: Mapping) -> RowIndex:
    """The events of a file of one row an object. An event of any tree counts, in the order of the trees.

    Raises :class:`EventFileError` if the rows of an event do not stand together, or some of them are missing.
    """
    stamp = (0, 0)
    with suppress(OSError):
        status = os.stat(path)
        stamp = (status.st_mtime_ns, status.st_size)
    return _row_index(os.fspath(path), stamp, _Named(mapping))


class _Named:
    """A mapping that is told from others by its digest."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping, self.digest = mapping, mapping.digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=2)  # the batches of a file ask one after the other
def _row_index(path: str, _: tuple[int, int], named: _Named) -> RowIndex:
    with tables_of(path, named.mapping.trees) as tables:
        distinct: dict[int, str] = {}
        for name, table in tables.items():  # Parquet: one table under many names
            distinct.setdefault(id(table), name)
        runs = {name: _runs(path, tables[name], name, named.mapping) for name in distinct.values()}
        index = _united(list(runs), list(runs.values()))
        return RowIndex(index.keys, {name: index.rows[distinct[id(table)]] for name, table in tables.items()})


def _runs(path: str, table: Table, name: str, mapping: Mapping) -> Runs:
    names = [find(path, table, as_column(mapping.events[key]).names, f"tree '{name}'")
             for key in ("experiment", "run", "event")]
    counter = mapping.candidate if mapping.candidate in table.names else ""
    expected = mapping.n_candidates if mapping.n_candidates in table.names else ""
    keys, firsts, counts = [], [], []
    last: Ints | None = None
    for start in range(0, table.n_rows, _ROWS):
        stop = min(start + _ROWS, table.n_rows)
        block = np.stack([flat_values(path, table, key, start, stop).astype(np.int64) for key in names], axis=1)
        before = np.concatenate([block[:1] - 1 if last is None else last, block[:-1]])
        new = (block != before).any(axis=1)
        if counter:  # two events of one number that follow each other
            new |= flat_values(path, table, counter, start, stop) == 0
        last = block[-1:]
        rows = np.flatnonzero(new)
        keys.append(block[rows])
        firsts.append(rows + start)
        if expected:
            counts.append(flat_values(path, table, expected, start, stop)[rows])
    first = np.concatenate(firsts) if firsts else np.zeros(0, np.int64)
    key = np.concatenate(keys) if keys else np.zeros((0, 3), np.int64)
    end = np.append(first[1:], table.n_rows).astype(np.int64)
    _check(path, name, key, first, end, np.concatenate(counts) if counts else None)
    return Runs(key, first, end)


def _check(path: str, name: str, key: Ints, first: Ints, end: Ints, expected: NDArray[np.generic] | None) -> None:
    order = np.lexsort(key.T[::-1])
    same = (key[order][1:] == key[order][:-1]).all(axis=1)
    if same.any():
        i = int(np.flatnonzero(same)[0])
        a, b = sorted((int(order[i]), int(order[i + 1])))
        raise EventFileError(f"{path}: tree '{name}': experiment {key[a, 0]}, run {key[a, 1]}, event {key[a, 2]}: "
                             f"found at row {first[a]} and again at row {first[b]}, expected the rows of an event "
                             "together and every event once: files of different jobs merged? Give them one by one.")
    if expected is not None and (wrong := np.flatnonzero((end - first) != expected)).size:
        i = int(wrong[0])
        raise EventFileError(f"{path}: tree '{name}': experiment {key[i, 0]}, run {key[i, 1]}, event {key[i, 2]}: "
                             f"found {end[i] - first[i]} rows, expected {expected[i]}: candidates were left out when "
                             "it was written or copied. Write all of them.")


def _united(names: Sequence[str], runs: Sequence[Runs]) -> RowIndex:
    """Events of all trees: those of the first in its order, others behind the one they follow in their own tree."""
    keys = np.concatenate([one.keys for one in runs])
    _, of_row = np.unique(keys, axis=0, return_inverse=True)
    of_row = of_row.reshape(-1)
    n = int(of_row.max(initial=-1)) + 1
    place = np.full((n, 3), -1, dtype=np.int64)  # event of the first tree, tree, number in it
    known = np.zeros(n, dtype=bool)
    start = 0
    for t, one in enumerate(runs):
        mine = of_row[start:start + len(one.keys)]
        start += len(one.keys)
        new = ~known[mine]
        anchor = place[mine, 0]
        if t == 0:
            anchor = np.arange(len(mine))
        else:
            anchor = np.where(new, -1, anchor)
            anchor = np.maximum.accumulate(anchor) if len(anchor) else anchor
        place[mine[new]] = np.stack([anchor, np.full(len(mine), t), np.arange(len(mine))], axis=1)[new]
        known[mine] = True
    order = np.lexsort(place.T[::-1])
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    united = np.empty((n, 3), dtype=np.int64)
    united[rank[of_row]] = keys
    rows, start = {}, 0
    for name, one in zip(names, runs, strict=True):
        mine = rank[of_row[start:start + len(one.keys)]]
        start += len(one.keys)
        first, stop = np.zeros(n, np.int64), np.zeros(n, np.int64)
        first[mine], stop[mine] = one.first, one.stop
        rows[name] = (first, stop)
    return RowIndex(united, rows)
