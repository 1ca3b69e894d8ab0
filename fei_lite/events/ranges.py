"""Event files cut into ranges of entries: the pieces of work of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fei_lite.errors import FeiLiteError
from fei_lite.events.batch import EventBatch
from fei_lite.events.reading import count_events, open_events

#: Events of a batch: large enough to fill the kernels, small enough for memory.
BATCH_SIZE = 2000


@dataclass(frozen=True)
class EntryRange:
    """Entries ``start`` to ``stop`` (excluded) of a file; ``first_entry`` counts over all files."""

    path: Path
    start: int
    stop: int
    first_entry: int


def entry_ranges(paths: Sequence[Path], *, batch_size: int = BATCH_SIZE,
                 max_events: int | None = None) -> list[EntryRange]:
    """Cut event files into ranges of at most ``batch_size`` entries; the first ``max_events`` of all."""
    for name, value in (("batch size", batch_size), ("number of events", max_events)):
        if value is not None and value < 1:
            raise FeiLiteError(f"{name}: got {value}, expected 1 or more.")
    ranges: list[EntryRange] = []
    total = 0
    for path in paths:
        n = count_events(path)
        if max_events is not None:
            n = min(n, max_events - total)
        for start in range(0, n, batch_size):
            stop = min(start + batch_size, n)
            ranges.append(EntryRange(Path(path), start, stop, total + start))
        total += n
    return ranges


def read_range(entries: EntryRange) -> Iterator[EventBatch]:
    """The events of a range."""
    return iter(open_events([entries.path], batch_size=entries.stop - entries.start,
                            entry_range=(entries.start, entries.stop)))
