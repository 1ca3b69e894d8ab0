"""Batches of events: lists of columns with event offsets.

A batch holds some thousand events. ``Jagged`` is one list of objects for all
of them: object ``i`` of event ``e`` is row ``offsets[e] + i`` of each column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import UnknownNameError, nearest
from fei_lite.events import schema

Derived = TypeVar("Derived")


def offsets_of(counts: ArrayLike) -> NDArray[np.int64]:
    """First row of each of n runs of the given lengths, and the end of the last: (n + 1,).

    >>> offsets_of([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    counts = np.asarray(counts)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, dtype=np.int64, out=offsets[1:])
    return offsets


@dataclass(frozen=True)
class Jagged:
    """A list of objects per event: ``offsets`` (n_events + 1, int64) and flat columns."""

    offsets: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __repr__(self) -> str:
        return f"Jagged({len(self)} objects in {len(self.offsets) - 1} events: {', '.join(self.columns)})"

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        """Number of objects in all events."""
        return int(self.offsets[-1])

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self.columns[name]
        except KeyError:
            raise UnknownNameError(f"no column '{name}'.{nearest(name, self.columns)}") from None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Objects per event, shape (n_events,)."""
        return np.diff(self.offsets)

    @property
    def event_index(self) -> NDArray[np.int64]:
        """Event (row in the batch) of each object."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    def slice(self, start: int, stop: int) -> Jagged:
        """The objects of events ``start`` to ``stop`` (excluded)."""
        a, b = int(self.offsets[start]), int(self.offsets[stop])
        return Jagged(self.offsets[start : stop + 1] - a, {k: v[a:b] for k, v in self.columns.items()})

    def select(self, events: NDArray[np.integer]) -> Jagged:
        """The objects of chosen events (rows of the batch, rising)."""
        offsets = offsets_of(self.counts[events])
        wanted = np.zeros(len(self.offsets) - 1, dtype=bool)
        wanted[events] = True
        rows = wanted[self.event_index]
        return Jagged(offsets, {k: v[rows] for k, v in self.columns.items()})


@dataclass(frozen=True)
class EventBatch:
    """Some thousand events as columns (see :mod:`fei_lite.events.schema`).

    ``events`` maps event-level column names to arrays of shape (n_events, ...);
    ``generated`` is None where there is no truth. ``source`` and ``start`` say
    which file and which first entry the batch comes from.
    """

    events: dict[str, NDArray[Any]]
    tracks: Jagged
    clusters: Jagged
    klm: Jagged
    v0s: Jagged
    generated: Jagged | None = None
    source: str = ""
    start: int = 0
    notes: dict[str, int] = field(default_factory=dict)  # counted oddities, e.g. dropped NaN helices
    _derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        where = f", entries {self.start} to {self.start + self.n_events - 1} of {self.source}" if self.source else ""
        lists = [f"{len(objects)} {name}" for name in schema.LISTS if (objects := getattr(self, name)) is not None]
        return f"EventBatch({self.n_events} events{where}: {', '.join(lists)})"

    def derived(self, name: str, make: Callable[[EventBatch], Derived]) -> Derived:
        """What ``make`` computes from the batch: done once, and gone with the batch.

        ``name`` starts with the module that asks. Slices and selections start without.
        """
        if name not in self._derived:
            self._derived[name] = make(self)
        value: Derived = self._derived[name]
        return value

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.events["event"])

    def slice(self, start: int, stop: int) -> EventBatch:
        """Events ``start`` to ``stop`` (excluded) as a batch of their own; notes are not split."""
        return EventBatch(
            {k: v[start:stop] for k, v in self.events.items()},
            self.tracks.slice(start, stop), self.clusters.slice(start, stop),
            self.klm.slice(start, stop), self.v0s.slice(start, stop),
            None if self.generated is None else self.generated.slice(start, stop),
            source=self.source, start=self.start + start,
        )

    def select(self, events: NDArray[np.integer]) -> EventBatch:
        """Chosen events (rows of the batch, rising) as a batch of their own; notes are not split."""
        return EventBatch(
            {k: v[events] for k, v in self.events.items()}, self.tracks.select(events), self.clusters.select(events),
            self.klm.select(events), self.v0s.select(events),
            None if self.generated is None else self.generated.select(events), source=self.source, start=self.start)


def concatenate(batches: list[EventBatch]) -> EventBatch:
    """One batch of the events of all; truth is kept only if each batch has it."""
    def join(name: str) -> Jagged | None:
        lists = [getattr(b, name) for b in batches]
        if any(item is None for item in lists):
            return None
        counts = np.concatenate([item.counts for item in lists])
        offsets = offsets_of(counts)
        return Jagged(offsets, {k: np.concatenate([item.columns[k] for item in lists]) for k in lists[0].columns})

    notes: dict[str, int] = {}
    for batch in batches:
        for key, value in batch.notes.items():
            notes[key] = notes.get(key, 0) + value
    return EventBatch(
        events={k: np.concatenate([b.events[k] for b in batches]) for k in batches[0].events},
        **{name: join(name) for name in schema.LISTS},  # type: ignore[arg-type]
        source=batches[0].source, start=batches[0].start, notes=notes,
    )
