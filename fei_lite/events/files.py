"""Event files: writing, checking and reading :class:`EventBatch` in ROOT or Parquet.

When writing, the suffix chooses: ``.root`` (or none) or ``.parquet``; any other is refused.
Reading goes by content. Files carry the schema's version and free metadata.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from fei_lite.data_files import json_content, validated
from fei_lite.errors import EventFileError, nearest
from fei_lite.events import schema
from fei_lite.events.batch import EventBatch, Jagged, concatenate
from fei_lite.events.checks import clean
from fei_lite.events.layout import Branch, branches, join, split
from fei_lite.events.opened import Source, opened
from fei_lite.events.parquetio import ParquetSink
from fei_lite.events.remote import is_url, open_remote
from fei_lite.events.rootio import RootSink
from fei_lite.outputs import atomic_output, check_suffix
from fei_lite.provenance import provenance

PathLike = str | os.PathLike[str]

#: Events per basket (ROOT) or row group (Parquet): some 20 MB, the default batch of the readers.
BASKET = 2000
#: What an event file may be called.
SUFFIXES = (".root", ".parquet", "")

_Read = dict[str, tuple[NDArray[np.int64] | None, NDArray[Any]]]


class EventWriter:
    """Writes batches to one event file; whole or not at all.

    Use it as a context manager: the file appears under its name when the block
    ends well, and not at all when it ends with an exception::

        with EventWriter("events.root", metadata={"process": "charged"}) as writer:
            writer.write(batch)

    ``inputs`` are files that are read meanwhile: none of them is overwritten.
    Batches of any size are gathered into baskets of 2000 events. A file either
    has generated particles or not: its first batch decides.
    """

    def __init__(self, path: PathLike, *, force: bool = False, inputs: Sequence[PathLike] = (),
                 metadata: Mapping[str, str | int | float] | None = None) -> None:
        check_suffix(path, SUFFIXES)
        self.path = path
        self.n_events = 0
        self._force, self._inputs = force, tuple(inputs)
        self._metadata = json.dumps({"schema_version": schema.VERSION, "metadata": dict(metadata or {}),
                                     "provenance": provenance()})
        self._session = self._writing()
        self._sink: RootSink | ParquetSink | None = None
        self._lists: tuple[str, ...] = tuple(schema.LISTS)
        self._waiting: list[EventBatch] = []

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with atomic_output(self.path, force=self._force, inputs=self._inputs) as self._temporary:
            try:
                yield
                self._flush(everything=True)
                self._open().close()
            except BaseException:
                if self._sink is not None:
                    with suppress(Exception):  # the first error is the one to report
                        self._sink.close()
                raise

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> bool | None:
        return self._session.__exit__(kind, error, trace)

    def _open(self) -> RootSink | ParquetSink:
        if self._sink is None:
            parquet = self._temporary.suffix == ".parquet"
            self._sink = (ParquetSink if parquet else RootSink)(self._temporary, self._lists, self._metadata)
        return self._sink

    def write(self, batch: EventBatch) -> None:
        """Append the events of a batch."""
        lists = tuple(name for name in schema.LISTS if getattr(batch, name) is not None)
        if self.n_events == 0 and not self._waiting:
            self._lists = lists
        elif lists != self._lists:
            raise EventFileError(f"{self.path}: a batch with the lists {', '.join(lists)} does not fit a file "
                                 f"with {', '.join(self._lists)}: write events with and without truth to two files.")
        self._waiting.append(batch)
        self._flush(everything=False)

    def _flush(self, *, everything: bool) -> None:
        n = sum(batch.n_events for batch in self._waiting)
        if n == 0 or (n < BASKET and not everything):
            return
        batch = self._waiting[0] if len(self._waiting) == 1 else concatenate(self._waiting)
        whole = n if everything else n - n % BASKET
        for start in range(0, whole, BASKET):
            self._write_basket(batch.slice(start, min(start + BASKET, whole)))
        self._waiting = [batch.slice(whole, n)] if whole < n else []

    def _write_basket(self, batch: EventBatch) -> None:
        lists = {}
        for name in self._lists:
            objects: Jagged = getattr(batch, name)
            lists[name] = (objects.offsets.astype(np.int64), split(name, objects.columns))
        self._open().write(split("events", batch.events), lists)
        self.n_events += batch.n_events


class _Said(BaseModel):
    """The metadata of a file."""

    schema_version: int
    metadata: dict[str, str | int | float]


@dataclass(frozen=True)
class EventFile:
    """What an event file says about itself: number of events, schema version, metadata, truth or not."""

    path: str
    n_events: int
    version: int
    metadata: dict[str, str | int | float]
    has_truth: bool


def is_parquet(path: PathLike) -> bool:
    """Whether the file begins like Parquet (False if it cannot be read, or is no regular file)."""
    if is_url(path):
        with open_remote(os.fspath(path)) as file:
            return bool(file.read(4) == b"PAR1")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            return False
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def _version(source: Source) -> tuple[int, dict[str, str | int | float]]:
    expected = f"expected schema version {schema.VERSION}"
    if source.metadata is None:
        raise EventFileError(f"{source.path}: not an event file of fei-lite: found no schema version, {expected}.")
    where = f"{source.path}: metadata unreadable: found {source.metadata[:80]!r}, {expected}"
    stored = validated(json_content(source.metadata, where=where, error=EventFileError), _Said, where=where,
                       error=EventFileError)
    version, metadata = stored.schema_version, stored.metadata
    if version != schema.VERSION:
        raise EventFileError(f"{source.path}: found schema version {version}, {expected}. "
                             "Make the file again with this version of fei-lite, or read it with the one that made it.")
    return version, metadata


def _checked(source: Source) -> tuple[str, ...]:
    """The lists of the file, after each branch was compared with the schema."""
    _version(source)
    names = [b.name for b in branches("generated")]
    lists = tuple(name for name in schema.LISTS if name != "generated" or any(n in source.kinds for n in names))
    for branch in (b for name in ("events", *lists) for b in branches(name)):
        jagged = branch.list != "events"
        expected = f"{'a list of ' if jagged else ''}{branch.dtype.name}{' per event' if jagged else ''}"
        if branch.name not in source.kinds:
            raise EventFileError(f"{source.path}: branch '{branch.name}' is missing: expected {expected}."
                                 f"{nearest(branch.name, source.kinds)}")
        if source.kinds[branch.name] != (jagged, branch.dtype):
            raise EventFileError(f"{source.path}: branch '{branch.name}': found {source.type_names[branch.name]}, "
                                 f"expected {expected}.")
    return lists


def inspect_events(path: PathLike) -> EventFile:
    """Check an event file against the schema and say what is in it, reading no event."""
    with opened(path, parquet=is_parquet(path)) as source:
        version, metadata = _version(source)
        lists = _checked(source)
        return EventFile(str(path), source.n_events, version, metadata, "generated" in lists)


def _jagged(path: PathLike, name: str, arrays: _Read) -> Jagged:
    fields = branches(name)
    offsets = arrays[fields[0].name][0]
    assert offsets is not None
    for b in fields[1:]:
        other = arrays[b.name][0]
        if other is None or not np.array_equal(offsets, other):
            raise EventFileError(f"{path}: branches '{fields[0].name}' and '{b.name}' have different numbers of "
                                 "objects in an event, expected the same. Make the file again.")
    return Jagged(offsets, join(name, {b.name: arrays[b.name][1] for b in fields}))


def _read(source: Source, lists: tuple[str, ...], start: int, stop: int) -> EventBatch:
    wanted: tuple[Branch, ...] = tuple(b for name in ("events", *lists) for b in branches(name))
    arrays = source.read(wanted, start, stop)
    for b in wanted:
        offsets, values = arrays[b.name]
        found = len(values) if offsets is None else len(offsets) - 1
        if found != stop - start:
            raise EventFileError(f"{source.path}: branch '{b.name}': found {found} entries in {start} to {stop}, "
                                 f"expected {stop - start}: damaged. Copy or make the file again.")
    events = join("events", {b.name: arrays[b.name][1] for b in branches("events")})
    parts = {name: _jagged(source.path, name, arrays) for name in lists}
    return clean(EventBatch(events, parts["tracks"], parts["clusters"], parts["klm"], parts["v0s"],
                            parts.get("generated"), source=str(source.path), start=start))


def entry_bounds(path: PathLike, n_events: int, start: int | None, stop: int | None) -> tuple[int, int]:
    """Entry range with None as the file's ends; :class:`EventFileError` if it leaves the file."""
    first, last = 0 if start is None else start, n_events if stop is None else stop
    if not 0 <= first <= last <= n_events:
        raise EventFileError(f"{path}: entries {first} to {last} asked for, the file has 0 to {n_events}.")
    return first, last


def iterate_events(path: PathLike, *, batch_size: int = BASKET, entry_start: int | None = None,
                   entry_stop: int | None = None) -> Iterator[EventBatch]:
    """Batches of an event file, in order; memory depends on ``batch_size`` only.

    Entries count from 0, ``entry_stop`` is excluded. Defects of the file raise
    :class:`EventFileError`; single bad objects are dropped and counted in ``notes``.
    """
    with opened(path, parquet=is_parquet(path)) as source:
        lists = _checked(source)
        first, last = entry_bounds(path, source.n_events, entry_start, entry_stop)
        for start in range(first, last, batch_size):
            yield _read(source, lists, start, min(start + batch_size, last))


def read_events(path: PathLike, *, entry_start: int | None = None, entry_stop: int | None = None) -> EventBatch:
    """Entries ``entry_start`` to ``entry_stop`` (excluded; all by default) of an event file as one batch.

    See :func:`iterate_events` for long files.
    """
    with opened(path, parquet=is_parquet(path)) as source:
        lists = _checked(source)
        return _read(source, lists, *entry_bounds(path, source.n_events, entry_start, entry_stop))
