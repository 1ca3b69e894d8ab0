"""Ntuples of any layout as :class:`EventBatch`, through a mapping (:mod:`fei_lite.events.mapping`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch, Jagged
from fei_lite.events.checks import clean
from fei_lite.events.conditions import Conditions
from fei_lite.events.conversion import Surroundings
from fei_lite.events.files import BASKET, PathLike, entry_bounds
from fei_lite.events.layout import branches, join
from fei_lite.events.mapped_lists import MappedList, Range, scaled
from fei_lite.events.mapping import COSTS, LIST_COSTS, Column, Mapping, as_column
from fei_lite.events.row_index import row_index
from fei_lite.events.schema import LISTS
from fei_lite.events.tables import find, tables_of


def _events(part: Range, conditions: Conditions | None) -> dict[str, NDArray[Any]]:
    """The event-level columns."""
    arrays: dict[str, NDArray[Any]] = {}
    n = part.n_events
    none = Surroundings(np.ones(n), np.ones(n))
    for b in branches("events"):
        if part.index is not None and b.name in ("experiment", "run", "event"):
            arrays[b.name] = part.index.keys[part.start:part.stop, ("experiment", "run", "event").index(b.name)]
            continue
        given = part.mapping.events.get(b.name)
        if given is None:
            values = np.full(n, 1.0 if b.name == "weight" else 0.0 if b.name in ("experiment", "run") else np.nan)
        else:
            column = as_column(given)
            theirs = np.full(n, column.value) if column.value is not None else _event_values(part, column, b.name)
            values = scaled(column, theirs, none, b.name)[0]
        arrays[b.name] = values
    for name, bits in (("experiment", 31), ("run", 31), ("event", 62)):
        values = arrays[name]
        if not np.isfinite(values).all() or (np.abs(values.astype(np.float64)) >= 2.0**bits).any():
            raise EventFileError(f"{part.path}: events.{name}: found no whole number of {bits + 1} bits.")
    events = join("events", arrays)
    if conditions is not None:
        events = conditions.applied(events)
    for name, hint in (("bz", "bz (T)"), ("beam_p4", "[beams]"), ("ip", "[interaction_point]"),
                       ("ip_cov", "[interaction_point]")):
        if np.isnan(events[name]).any():
            raise EventFileError(f"{part.path}: neither the file nor its mapping '{part.mapping.name}' says {name}. "
                                 f"Give it by --conditions FILE: {hint}.")
    return events


def _event_values(part: Range, column: Column, key: str) -> NDArray[Any]:
    """A number per event; from a tree of one row an object, that of the first of its rows, whichever tree has one."""
    if part.index is None:
        table = part.tables[part.mapping.tree or part.mapping.trees[0]]
        if not any(name in table.names for name in column.names) and key not in ("experiment", "run", "event"):
            return np.full(part.n_events, 1.0 if key == "weight" else np.nan)
        offsets, values = table.read(find(part.path, table, column.names, f"events.{key}"), part.start, part.stop)
        if offsets is not None and not (np.diff(offsets) == 1).all():
            raise EventFileError(f"{part.path}: events.{key}: found a list, expected one number an event.")
        return values
    values = np.full(part.n_events, np.nan)
    for objects in part.mapping.lists.values():
        table = part.table(objects)
        name = next((name for name in column.names if name in table.names), None)
        if name is None:
            continue
        offsets, found = part.values(objects, name)
        assert offsets is not None
        rows = np.flatnonzero((np.diff(offsets) > 0) & np.isnan(values))
        values[rows] = found[offsets[:-1][rows]]
    return np.where(np.isnan(values), 1.0, values) if key == "weight" else values


def _batch(part: Range, conditions: Conditions | None) -> EventBatch:
    events = _events(part, conditions)
    if "weight" not in part.mapping.events:
        part.notes[f"mapping: events without weight: {COSTS['events']['weight']}"] = part.n_events
    lists: dict[str, Jagged | None] = {}
    for name in LISTS:
        objects = part.mapping.lists.get(name)
        if objects is not None:
            lists[name] = MappedList(part, name, objects, events["bz"]).read()
            continue
        if name in LIST_COSTS:
            part.notes[f"mapping: {LIST_COSTS[name]}"] = part.n_events
        empty = Jagged(np.zeros(part.n_events + 1, np.int64),
                       join(name, {b.name: np.zeros(0, b.dtype) for b in branches(name)}))
        lists[name] = None if name == "generated" else empty
    return clean(EventBatch(events, **lists, source=str(part.path), start=part.start,  # type: ignore[arg-type]
                            notes=part.notes))


def count_mapped(path: PathLike, mapping: Mapping) -> int:
    """Number of events."""
    if mapping.rows == "object":
        return len(row_index(path, mapping).keys)
    with tables_of(path, mapping.trees) as tables:
        counts = {name: table.n_rows for name, table in tables.items()}
    if len(set(counts.values())) > 1:
        raise EventFileError(f"{path}: trees of different length: {counts}, expected one row an event in each.")
    return next(iter(counts.values()))


def iterate_mapped(path: PathLike, mapping: Mapping, *, batch_size: int = BASKET, entry_start: int | None = None,
                   entry_stop: int | None = None, conditions: Conditions | None = None) -> Iterator[EventBatch]:
    """Batches of the events of a file; memory depends on ``batch_size`` (and 40 bytes an event for rows of objects).

    What is missing is counted in ``notes``, with what it costs. Raises :class:`EventFileError` for columns that are
    needed, and for a field or beams that neither the mapping nor ``conditions`` give.
    """
    index = row_index(path, mapping) if mapping.rows == "object" else None
    n_events = count_mapped(path, mapping)
    first, last = entry_bounds(path, n_events, entry_start, entry_stop)
    with tables_of(path, mapping.trees) as tables:
        for start in range(first, last, batch_size):
            yield _batch(Range(path, mapping, tables, index, start, min(start + batch_size, last)), conditions)
