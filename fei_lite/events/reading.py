"""One way in for every kind of event file, told apart by content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property

from fei_lite.events import files
from fei_lite.events.batch import EventBatch
from fei_lite.events.conditions import Conditions
from fei_lite.events.files import PathLike
from fei_lite.events.formats import EventFormat, FeiLiteFormat, MappedFormat, format_of
from fei_lite.events.inputs import event_inputs
from fei_lite.events.mapping import Mapping


def count_events(path: PathLike) -> int:
    """Number of events in a file of any format."""
    return format_of(path).count(path)


def origin_of(path: PathLike) -> dict[str, str | int | float]:
    """What an event file says about how it was made (process, seed ...); empty for mDST files."""
    return format_of(path).origin(path)


def has_truth(path: PathLike) -> bool:
    """Whether a file of any format says what was generated; raises :class:`EventFileError` for what is none."""
    known = format_of(path)
    if isinstance(known, FeiLiteFormat):
        return files.inspect_events(path).has_truth
    if isinstance(known, MappedFormat):
        return known.mapping.generated is not None
    first = next(iter(known.iterate(path, batch_size=1, entry_start=0, entry_stop=min(known.count(path), 1))), None)
    return first is not None and first.generated is not None


def describe(path: PathLike) -> tuple[int, dict[str, str | int | float]]:
    """:func:`count_events` and :func:`origin_of` of a file of any format, opening it as seldom as can be."""
    known = format_of(path)
    if isinstance(known, FeiLiteFormat):
        found = files.inspect_events(path)
        return found.n_events, found.metadata
    return known.count(path), known.origin(path)


class EventFiles:
    """Event files of any format, read batch by batch: iterate over it, as often as you like.

    ``len()`` is the number of batches, ``n_events`` that of events; both open each file once.
    A batch never spans two files; its ``source`` and ``start`` say where it is from.
    """

    def __init__(self, paths: Sequence[PathLike], *, batch_size: int = files.BASKET,
                 entry_range: tuple[int, int] | None = None) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: found {batch_size}, expected at least 1.")
        if entry_range is not None and len(paths) != 1:
            raise ValueError(f"entry_range: needs exactly one file, found {len(paths)}.")
        self.paths = tuple(paths)
        self.batch_size = batch_size
        self.entry_range = entry_range

    @cached_property
    def formats(self) -> tuple[EventFormat, ...]:
        """The format of each file."""
        return tuple(format_of(path) for path in self.paths)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Events of each file (of the entry range, if one was asked for)."""
        if self.entry_range is not None:
            return (self.entry_range[1] - self.entry_range[0],)
        return tuple(kind.count(path) for kind, path in zip(self.formats, self.paths, strict=True))

    @property
    def n_events(self) -> int:
        """Events of all files."""
        return sum(self.counts)

    def __len__(self) -> int:
        return sum(-(-n // self.batch_size) for n in self.counts)

    def __iter__(self) -> Iterator[EventBatch]:
        start, stop = (None, None) if self.entry_range is None else self.entry_range
        for i, path in enumerate(self.paths):
            known = self.formats[i] if "formats" in self.__dict__ else format_of(path)
            yield from known.iterate(path, batch_size=self.batch_size, entry_start=start, entry_stop=stop)

    def __repr__(self) -> str:
        names = ", ".join(os.path.basename(os.fspath(path)) for path in self.paths[:3])
        more = f" and {len(self.paths) - 3} more" if len(self.paths) > 3 else ""
        said = f"{self.n_events} events in {len(self)} batches" if "counts" in self.__dict__ else \
            f"batches of at most {self.batch_size} events"
        return f"<EventFiles {names}{more}: {said}>"


def open_events(paths: PathLike | Sequence[PathLike], *, batch_size: int = files.BASKET,
                entry_range: tuple[int, int] | None = None,
                mapping: PathLike | Mapping | Sequence[PathLike | Mapping] = (),
                conditions: PathLike | Conditions | None = None) -> EventFiles:
    """Batches of at most ``batch_size`` events from one file or from several, in the order given.

    Event files of fei-lite (ROOT, Parquet), Belle II mDST files, and what ``mapping`` (TOML files, or names of shipped
    ones) describes may be mixed; a name may be a pattern, ``@list.txt`` or a URL
    (:mod:`fei_lite.events.inputs`). ``conditions`` is a TOML file with field, beams and luminous region for files
    that lack them.
    ``entry_range`` = (first, last + 1) selects entries of a single file. Nothing is opened before
    the first batch, or its length, is asked for. Raises :class:`TypeError` for what is no path,
    :class:`ValueError` for a batch size below 1 or an entry range of several files.

    >>> import fei_lite
    >>> fei_lite.open(["charged.root", "mixed.root"])
    <EventFiles charged.root, mixed.root: batches of at most 2000 events>
    >>> for batch in fei_lite.open("events.root"):      # doctest: +SKIP
    ...     print(batch.n_events)
    """
    if isinstance(paths, str | os.PathLike):
        given: list[PathLike] = [paths]
    elif isinstance(paths, Sequence) and not isinstance(paths, bytes):
        given = list(paths)
    else:
        raise TypeError(f"fei_lite.open takes the path of an event file, or a list of paths; got {paths!r}.")
    for path in given:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"fei_lite.open takes paths of event files; got {path!r} among them.")
    return EventFiles(event_inputs(given, mapping=mapping, conditions=conditions), batch_size=batch_size,
                      entry_range=entry_range)
