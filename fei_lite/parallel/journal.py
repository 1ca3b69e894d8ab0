"""The journal of a run: the result of every finished piece of work, so that a killed run costs what was under way.

One file beside the output. Its first line says which run it is of (versions, options, hashes of models); a record
per result follows, with the number of its task, a hash of what the task reads, and a checksum: a record that was cut
short by a kill is not one. Records stand in the order in which the results came.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fei_lite.errors import OutputError, WorkerError
from fei_lite.parallel.packing import packed, unpacked

_FORMAT = "fei-lite journal 1"
#: Number of the task, hash of the task, sizes of the content packed and as it is, checksum of all that.
_RECORD = struct.Struct("<Q16sQQ16s")
#: The largest size of a result that is believed (bytes).
_LARGEST = 1 << 38


def _hash(data: bytes) -> bytes:
    import xxhash

    return xxhash.xxh3_128_digest(data)


@dataclass(frozen=True)
class Record:
    """A result as a journal holds it, made where it was calculated: packed and compressed; ``size`` before that."""

    data: bytes
    size: int

    @classmethod
    def of(cls, value: Any, classes: tuple[type, ...]) -> Record:
        """The record of a result (:func:`fei_lite.parallel.packing.packed`)."""
        import pyarrow as pa

        content = packed(value, classes)
        return cls(pa.compress(content, codec="zstd", asbytes=True), len(content))

    def value(self, classes: tuple[type, ...]) -> Any:
        """The result again."""
        import pyarrow as pa

        return unpacked(pa.decompress(self.data, self.size, codec="zstd", asbytes=True), classes)


@dataclass(frozen=True)
class Journal:
    """The journal of a run at ``path``.

    ``key`` is what results depend on besides their tasks: a journal with another one is begun anew, and ``notice``
    is told. ``name_of(task)`` is a text that changes with what the task reads. ``classes`` are those of the results
    (:func:`fei_lite.parallel.packing.packed`).
    """

    path: Path
    key: Mapping[str, Any]
    name_of: Callable[[Any], str]
    classes: tuple[type, ...] = ()
    notice: Callable[[str], None] | None = None

    @classmethod
    def beside(cls, output: str | os.PathLike[str]) -> Path:
        """Where the journal of an output is: ``btag.root.journal`` of ``btag.root``."""
        return Path(f"{os.fspath(output)}.journal")

    @contextmanager
    def opened(self) -> Iterator[OpenJournal]:
        """The journal open for this run alone; raises :class:`WorkerError` if another run has it."""
        try:
            with open(self.path, "a+b") as file:
                self._lock(file)
                yield OpenJournal(file, self)
        except OSError as error:
            if isinstance(error, OutputError) or (error.filename not in (None, str(self.path), self.path)):
                raise
            raise OutputError(f"{self.path}: the journal could not be written: {error.strerror or error}. What it "
                              "holds is kept.") from None

    def _lock(self, file: BinaryIO) -> None:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkerError(f"{self.path}: another run writes this journal now. Wait for it, or name another "
                              "output.") from None
        except (ImportError, OSError):  # a file system without locks
            return

    def remove(self) -> None:
        """Remove the journal once the output is complete."""
        with suppress(FileNotFoundError):
            self.path.unlink()


class OpenJournal:
    """A journal that is open: which results it has; they stay on disk until they are read."""

    def __init__(self, file: BinaryIO, journal: Journal) -> None:
        self._file, self._journal = file, journal
        self._places: dict[int, tuple[bytes, int, int, int]] = {}
        head = (json.dumps({"format": _FORMAT, **journal.key}, sort_keys=True) + "\n").encode()
        file.seek(0)
        if file.readline(1 << 20) == head:
            self._index()
        else:
            old = file.seek(0, os.SEEK_END) > 0
            file.truncate(0)
            file.write(head)
            file.flush()
            if old and journal.notice is not None:
                journal.notice(f"{journal.path}: of a run with other options, models or versions; begun anew.")
        if self._places and journal.notice is not None:
            journal.notice(f"{journal.path}: {len(self._places)} finished pieces of work are there already.")

    def _index(self) -> None:
        """Find the records; what follows the last whole one is cut off."""
        file, end = self._file, self._file.tell()
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            number, task, size, whole, checksum = _RECORD.unpack(head)
            data = file.read(size) if size < _LARGEST else b""
            if len(data) < size or _hash(head[:-16] + data) != checksum:
                break
            self._places[number] = task, file.tell() - size, size, whole
            end = file.tell()
        file.truncate(end)

    def has(self, number: int, task: Any) -> bool:
        """Whether the result of this task is there, from the same input."""
        return number in self._places and self._places[number][0] == self._task(task)

    def _task(self, task: Any) -> bytes:
        return _hash(self._journal.name_of(task).encode())

    def read(self, number: int) -> Any:
        """A result."""
        _, start, size, whole = self._places[number]
        self._file.seek(start)
        return self.value(Record(self._file.read(size), whole))

    def value(self, record: Record) -> Any:
        """The result of a record."""
        return record.value(self._journal.classes)

    def write(self, number: int, task: Any, record: Record) -> None:
        """Add a result; it is there once this returns, whatever happens to this process."""
        name = self._task(task)
        head = _RECORD.pack(number, name, len(record.data), record.size, bytes(16))[:-16]
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(head + _hash(head + record.data) + record.data)
        self._file.flush()
        self._places[number] = name, start + _RECORD.size, len(record.data), record.size
