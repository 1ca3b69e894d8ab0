"""Event files cut into ranges of entries: the pieces of work of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import overload

from fei_lite.errors import FeiLiteError
from fei_lite.events.batch import EventBatch
from fei_lite.events.files import PathLike, is_parquet
from fei_lite.events.inputs import EventInput, as_input
from fei_lite.events.reading import describe, open_events
from fei_lite.events.remote import is_url
from fei_lite.events.rootio import check_root_bytes
from fei_lite.events.same_events import DistinctFiles, digest_of

#: Events of a batch: large enough to fill the kernels, small enough for memory.
BATCH_SIZE = 2000
#: Up to so many files are opened and counted before the first event; of more, each when its turn comes.
COUNTED_FIRST = 64


@dataclass(frozen=True)
class EntryRange:
    """Entries ``start`` to ``stop`` (excluded) of the file number ``file``; ``first_entry`` counts over all files."""

    path: PathLike
    start: int
    stop: int
    first_entry: int
    file: int = 0


class EntryRanges(Sequence[EntryRange]):
    """Ranges of entries of event files, in order; a file is opened and counted when the first of its ranges is needed.

    ``len()``, and an index from the end, count all files. See :func:`entry_ranges`.
    """

    def __init__(self, paths: Sequence[PathLike], *, batch_size: int, max_events: int | None, distinct: bool) -> None:
        self._paths = [as_input(path) for path in paths]
        self._batch_size, self._max_events = batch_size, max_events
        self._ranges: list[EntryRange] = []
        self._counted, self._n_events = 0, 0
        self._distinct = DistinctFiles() if distinct else None
        self._bytes = [_first_look(path, self._distinct) for path in self._paths]

    def _count_next(self) -> bool:
        """Count another file; False if there is none, or enough events are there."""
        if self._counted == len(self._paths) or self._n_events == self._max_events:
            return False
        path = self._paths[self._counted]
        n, origin = describe(path)
        if self._distinct is not None:
            self._distinct.add(path, origin, n_events=n, ends=digest_of_ends)
        if self._max_events is not None:
            n = min(n, self._max_events - self._n_events)
        self._ranges += [EntryRange(path, start, min(start + self._batch_size, n), self._n_events + start,
                                    self._counted)
                         for start in range(0, n, self._batch_size)]
        self._counted += 1
        self._n_events += n
        return True

    def count(self, value: object = None) -> int:
        """Open and count all files; returns the number of their events (of ranges equal to ``value``, if given)."""
        while self._count_next():
            pass
        return self._n_events if value is None else self._ranges.count(value)  # type: ignore[arg-type]

    @property
    def expected_events(self) -> int:
        """Events of all files; while some are not counted, in proportion to the bytes of those that are."""
        n, total = self._n_events, sum(self._bytes)
        read = sum(self._bytes[:self._counted])
        if self._counted < len(self._paths) and self._counted:  # files of other places do not say their size
            n = round(n * (total / read if read and all(self._bytes) else len(self._paths) / self._counted))
        return n if self._max_events is None else min(n, self._max_events)

    def __iter__(self) -> Iterator[EntryRange]:
        i = 0
        while i < len(self._ranges) or self._count_next():
            if i < len(self._ranges):
                yield self._ranges[i]
                i += 1

    def __len__(self) -> int:
        self.count()
        return len(self._ranges)

    @overload
    def __getitem__(self, index: int) -> EntryRange: ...

    @overload
    def __getitem__(self, index: slice) -> list[EntryRange]: ...

    def __getitem__(self, index: int | slice) -> EntryRange | list[EntryRange]:
        self.count()
        return self._ranges[index]


def digest_of_ends(path: PathLike, n_events: int) -> int:
    """A number of the first and last events of a file: files of the same events, in any format, have the same."""
    some = min(n_events, 4)
    return sum(digest_of(batch) for start in {0, n_events - some}
               for batch in open_events(path, entry_range=(start, start + some)))


def _first_look(path: PathLike, distinct: DistinctFiles | None) -> int:
    """The size of a file that is there, begins like an event file, and was not given before; 0 of a remote one."""
    if is_url(path):
        if distinct is not None:
            distinct.add_path(path)
        return 0
    if not is_parquet(path):
        check_root_bytes(path)
    if distinct is not None:
        distinct.add_path(path)
    return os.stat(path).st_size


def entry_ranges(paths: Sequence[PathLike], *, batch_size: int = BATCH_SIZE,
                 max_events: int | None = None, distinct: bool = True) -> EntryRanges:
    """Cut event files into ranges of at most ``batch_size`` entries; the first ``max_events`` of all.

    Every file is looked at now: that it is there and begins like an event file. Up to
    :data:`COUNTED_FIRST` files are opened and counted as well, which takes some 30 ms each; of more
    files each is opened when its turn comes. Raises :class:`EventFileError`, also for the same events twice
    (unless ``distinct`` is False: a benchmark may take them again).
    """
    for name, value in (("batch size", batch_size), ("number of events", max_events)):
        if value is not None and value < 1:
            raise FeiLiteError(f"{name}: got {value}, expected 1 or more.")
    ranges = EntryRanges(paths, batch_size=batch_size, max_events=max_events, distinct=distinct)
    if len(paths) <= COUNTED_FIRST:
        ranges.count()
    return ranges


def evenly(ranges: Sequence[EntryRange], max_events: int | None) -> list[EntryRange]:
    """``max_events`` of the events, of every file the same fraction: its first ones; all with None or too few.

    So samples keep their proportions, which ``entry_ranges(max_events=...)``, the first events of all, does not.

    >>> parts = [EntryRange("a", 0, 20, 0, 0), EntryRange("a", 20, 30, 20, 0), EntryRange("b", 0, 10, 30, 1)]
    >>> [(r.path, r.start, r.stop, r.first_entry) for r in evenly(parts, 30)]
    [('a', 0, 20, 0), ('a', 20, 22, 20), ('b', 0, 8, 30)]
    """
    sizes: dict[int, int] = {}
    for one in ranges:
        sizes[one.file] = max(sizes.get(one.file, 0), one.stop)
    total = sum(sizes.values())
    if max_events is None or max_events >= total:
        return list(ranges)
    kept, before = {}, 0
    for number, size in sizes.items():  # rounded so that all together are as many as asked for
        kept[number] = (before + size) * max_events // total - before * max_events // total
        before += size
    return [replace(one, stop=min(one.stop, kept[one.file])) for one in ranges if one.start < kept[one.file]]


#: Bytes of either end of a file that tell it from others: the header with its UUID, the directory or the footer.
_ENDS = 1 << 15


def name_of(entries: EntryRange) -> str:
    """A text that says what a range reads, for the journal of a run: another file of the same name has another one.
    So has another mapping, or other conditions.

    Of a file its size and its ends count, so that long lists of large files are quickly gone through. A ROOT file's
    header has a UUID of its own, a Parquet file's footer the places and statistics of all its content.
    """
    if is_url(entries.path):
        print_ = str(entries.path)  # what is at another place is taken at its name
    else:
        status = os.stat(entries.path)
        print_ = _print_of(str(entries.path), status.st_mtime_ns, status.st_size)
    by = ""
    if isinstance(entries.path, EventInput):
        known = entries.path.conditions
        by = " ".join([*(mapping.digest for mapping in entries.path.mappings), "" if known is None else known.digest])
    return f"{print_} {by} {entries.file} {entries.start} {entries.stop} {entries.first_entry}"


@lru_cache(maxsize=64)
def _print_of(path: str, _changed: int, size: int) -> str:
    import xxhash

    with open(path, "rb") as file:
        start = file.read(_ENDS)
        file.seek(max(0, size - _ENDS))
        return f"{size} {xxhash.xxh3_128_hexdigest(start + file.read())}"


def read_range(entries: EntryRange) -> Iterator[EventBatch]:
    """The events of a range."""
    return iter(open_events([entries.path], batch_size=entries.stop - entries.start,
                            entry_range=(entries.start, entries.stop)))
