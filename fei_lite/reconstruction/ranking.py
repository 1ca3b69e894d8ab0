"""Best-candidate selection: join tables, rank per event and conjugate, drop duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.events import offsets_of
from fei_lite.kernels import ranking as kernels


def rank_candidates(
    table: CandidateTable, values: NDArray[np.float64], *, highest: bool, best: int,
) -> tuple[CandidateTable, NDArray[np.int16]]:
    """Keep the ``best`` candidates per event and charge conjugate by ``values``.

    Unflavoured candidates (sign 0) compete in both conjugates. Returns the
    kept candidates and their ranks (1 is the best). Ties keep the order of the
    table; NaN ranks last.
    """
    keep = np.zeros(len(table), dtype=np.bool_)
    rank = np.zeros(len(table), dtype=np.int64)
    kernels.rank_rows(table.offsets, table["sign"], np.ascontiguousarray(values, dtype=np.float64),
                      highest, best, keep, rank)
    return table.select(keep), rank[keep].astype(np.int16)


def without_ties(values: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers (n,) in the order of ``values``, and of ``second`` where those are equal; NaN stays NaN.

    The identification of a clear track is 1 (or 0) to the last bit: without this the order of the file would
    decide which of two such tracks ranks first.

    >>> without_ties(np.array([1.0, 0.5, 1.0, np.nan]), np.array([2.0, 9.0, 1.0, 0.0]))
    array([ 2.,  0.,  1., nan])
    """
    placed = np.full(len(values), np.nan)
    placed[np.lexsort((second, values))] = np.arange(len(values))
    return np.where(np.isnan(values), np.nan, placed)


def drop_duplicates(table: CandidateTable, priority: NDArray[np.float64]) -> CandidateTable:
    """Of candidates with the same used objects and sign keep the one of the highest ``priority`` (n,).

    The same tracks may make one particle in two channels (K_S0 from the V0
    list and from two pions); only one of them may go on. Of equals it is the first.
    """
    duplicate = np.zeros(len(table), dtype=np.bool_)
    kernels.mark_duplicates(table.offsets, table["sign"], table["used"],
                            priority, duplicate)
    return table.select(~duplicate)


def concatenate_tables(tables: Sequence[CandidateTable]) -> CandidateTable:
    """One table of the candidates of all (same particle), events in order, tables in order.

    Columns that not all tables have are dropped; ``daughters`` is padded with -1.
    """
    return choose_candidates(tables, (), lambda table: table)


def choose_candidates(
    tables: Sequence[CandidateTable], keys: Sequence[str], choose: Callable[[CandidateTable], CandidateTable],
) -> CandidateTable:
    """Candidates of all tables as in :func:`concatenate_tables`, chosen and ordered by a few columns.

    ``choose`` selects from a table that has the ``keys`` only; columns that it adds are kept.
    The others, much larger, are moved once, for what it keeps.
    """
    event = np.concatenate([t.event_index for t in tables])
    order = np.argsort(event, kind="stable")
    counts = np.bincount(event, minlength=len(tables[0].offsets) - 1)
    offsets = offsets_of(counts)
    slim = {name: _joined(tables, name).take(order, axis=0) for name in keys}
    chosen = choose(CandidateTable(tables[0].particle, offsets, {**slim, "_row": order}))
    rows = chosen.columns.pop("_row")
    places = _places(tables, rows)
    columns = {name: _gathered(tables, name, places, len(rows)) for name in tables[0].columns
               if name not in chosen.columns and all(name in t.columns for t in tables)}
    return CandidateTable(tables[0].particle, chosen.offsets, {**columns, **chosen.columns})


def _joined(tables: Sequence[CandidateTable], name: str) -> NDArray:
    """A column of all tables."""
    parts = [t[name] for t in tables]
    if name == "daughters":
        width = max(p.shape[1] for p in parts)
        parts = [np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=-1) for p in parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


#: For each table the rows wanted of it, and where they go.
_Places = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


def _places(tables: Sequence[CandidateTable], rows: NDArray[np.intp]) -> _Places:
    """Where ``rows`` of the joined tables are in each of them."""
    start = np.cumsum([0, *(len(t) for t in tables)])
    of = np.searchsorted(start, rows, side="right") - 1
    order = np.argsort(of, kind="stable")
    ends = np.searchsorted(of[order], np.arange(len(tables) + 1))
    return [(rows[order[a:b]] - start[i], order[a:b]) for i, (a, b) in enumerate(pairwise(ends))]


def _gathered(tables: Sequence[CandidateTable], name: str, places: _Places, n: int) -> NDArray:
    """The wanted rows (n) of a column of all tables, without joining what is not wanted."""
    parts = [t[name] for t in tables]
    width = max(p.shape[1] for p in parts) if name == "daughters" else 0
    shape = (n, width) if name == "daughters" else (n, *parts[0].shape[1:])
    out = np.full(shape, -1, np.result_type(*parts)) if name == "daughters" else np.empty(shape, np.result_type(*parts))
    for part, (rows, to) in zip(parts, places, strict=True):
        if len(rows):
            (out[:, :part.shape[1]] if name == "daughters" else out)[to] = part.take(rows, axis=0)
    return out
