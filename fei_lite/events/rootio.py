"""ROOT files of events through uproot: one TTree ``events`` of flat and jagged branches."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, FeiLiteError, nearest
from fei_lite.events import schema
from fei_lite.events.checksums import CHECKSUMS, Checksums, Values, part
from fei_lite.events.layout import Branch, branches
from fei_lite.events.remote import is_url, readable_url

TREE = "events"
METADATA = "fei_lite_metadata"  # name of the TObjString with the JSON metadata

#: What a branch holds: one number per event (False) or a list of them (True), and their type.
Kind = tuple[bool, np.dtype]


def check_root_bytes(path: str | os.PathLike[str]) -> None:
    """Raise :class:`EventFileError` unless the file exists, is ROOT and is as long as it says."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise EventFileError(f"{path}: not a regular file. Name a file.")
        size = status.st_size
        with open(path, "rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        raise EventFileError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise EventFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if size == 0:
        raise EventFileError(f"{path}: the file is empty (0 bytes); it was probably never finished.")
    if head[:4] != b"root":
        raise EventFileError(f"{path}: not a ROOT file: found {head[:4]!r} at its start, expected b'root'.")
    version = struct.unpack(">i", head[4:8])[0] if len(head) >= 8 else 0
    end_format = ">q" if version >= 1_000_000 else ">i"  # files beyond 2 GB have long pointers
    if len(head) < 20 or struct.unpack(end_format, head[12:12 + struct.calcsize(end_format)])[0] > size:
        raise EventFileError(f"{path}: the ROOT file is truncated: found {size} bytes, its header says more. "
                             "Copy or make it again.")


@contextmanager
def damage_reported(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """Turn whatever uproot raises on damaged bytes into an :class:`EventFileError`."""
    try:
        yield
    except FeiLiteError:
        raise
    except MemoryError:
        raise EventFileError(f"{path}: {doing} asked for more memory than there is: the file is damaged, or the "
                             "batches are too large.") from None
    except Exception as error:  # struct, zlib, lz4, zstd, index and uproot's own errors all occur
        detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise EventFileError(f"{path}: damaged: {doing} failed ({detail}). Copy or make the file again.") from error


def open_root(path: str | os.PathLike[str]) -> Any:
    """uproot's handle of a checked file, read through a plain file, not a memory map.

    Mapped pages would count as memory of the process, however long the file. URLs go by uproot's own ways.
    """
    import uproot

    if is_url(path):
        with damage_reported(path, "opening it"):
            return uproot.open({readable_url(str(path)): None}, array_cache=None)
    check_root_bytes(path)
    with damage_reported(path, "opening it"):
        return uproot.open({str(path): None}, handler=uproot.source.file.MultithreadedFileSource, num_workers=1,
                           array_cache=None)


def contents(file: Any) -> dict[str, str]:
    """Names and classes of the objects in an open file."""
    return {str(name): str(kind) for name, kind in file.classnames(cycle=False).items()}


def in_words(found: dict[str, str]) -> str:
    """What a file holds, for an error message.

    >>> in_words({"Events": "TTree", "h": "TH1D"}), in_words({})
    ("'Events' (TTree), 'h' (TH1D)", 'nothing')
    """
    return ", ".join(f"'{name}' ({kind})" for name, kind in list(found.items())[:8]) or "nothing"


def get_tree(file: Any, path: str | os.PathLike[str], name: str) -> Any:
    """TTree ``name`` of an open file; :class:`EventFileError` names what is there instead."""
    with damage_reported(path, f"reading the TTree '{name}'"):
        found = contents(file)
        if found.get(name) == "TTree":
            return file[name]
    raise EventFileError(f"{path}: expected a TTree '{name}', found {in_words(found)}.{nearest(name, found)}")


def kind_of(branch: Any) -> Kind | None:
    """(jagged, numpy type) of an uproot branch of plain numbers, else None."""
    import uproot

    interpretation = branch.interpretation
    jagged = isinstance(interpretation, uproot.AsJagged)
    content = interpretation.content if jagged else interpretation
    if type(content) is not uproot.AsDtype or content.to_dtype.shape or content.to_dtype.fields:
        return None
    return jagged, content.to_dtype.newbyteorder("=")


def flat(array: Any) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """(offsets, values) of an awkward array of lists of numbers."""
    layout = array.layout.to_ListOffsetArray64(True)
    offsets = np.asarray(layout.offsets.data)
    return offsets, np.asarray(layout.content.to_packed().data)[:offsets[-1]]


class RootSink:
    """Writes batches of branch arrays; each call of :meth:`write` becomes one basket per branch."""

    def __init__(self, path: Path, lists: tuple[str, ...], metadata: str) -> None:
        import uproot

        # LZ4: a fifth larger than ZSTD, four times as fast to write, twice as fast to read
        self._file = uproot.recreate(path, compression=uproot.LZ4(1), initial_directory_bytes=4096)
        self._file[METADATA] = metadata
        self._checksums = Checksums(edges=[0], sums={}, texts={})
        self._checksums.add_text(METADATA, metadata)
        types: dict[str, Any] = {b.name: b.dtype for b in branches("events")}
        types |= {name: self._record(name, np.zeros(1, dtype=np.int64), {}).type.content for name in lists}
        self._tree = self._file.mktree(TREE, types, title=f"fei-lite events, schema {schema.VERSION}")

    @staticmethod
    def _record(name: str, offsets: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]) -> Any:
        import awkward as ak

        fields = branches(name)
        contents = [ak.contents.NumpyArray(arrays.get(b.name, np.empty(0, b.dtype))) for b in fields]
        names = [b.name.removeprefix(f"{name}_") for b in fields]
        record = ak.contents.RecordArray(contents, names, length=int(offsets[-1]))
        return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))

    def write(self, events: dict[str, NDArray[Any]],
              lists: dict[str, tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]) -> None:
        """Append events: event-level branches and, per list, offsets and branches."""
        records = {name: self._record(name, offsets, arrays) for name, (offsets, arrays) in lists.items()}
        self._tree.extend({**events, **records})
        numbers: dict[str, Values] = {name: (None, values) for name, values in events.items()}
        numbers |= {b.name: (offsets, columns[b.name]) for name, (offsets, columns) in lists.items()
                    for b in branches(name)}
        self._checksums.add(len(next(iter(events.values()))), numbers)

    def close(self) -> None:
        """Finish the file."""
        self._file[CHECKSUMS] = self._checksums.text()
        self._file.close()


class RootSource:
    """An open ROOT file of events: kinds of branches and entry ranges of them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._file = open_root(path)
        try:
            self._tree = get_tree(self._file, path, TREE)
            with damage_reported(path, "reading the list of branches"):
                self.n_events = int(self._tree.num_entries)
                self.kinds = {b.name: kind_of(b) for b in self._tree.branches}
                self.type_names = {b.name: str(b.typename) for b in self._tree.branches}
                self.metadata = str(self._file[METADATA]) if METADATA in self._file else None
                self._checksums = Checksums.read(self._file, path, self.n_events)
            if self._checksums is not None:
                self._checksums.check_text(path, METADATA, self.metadata or "")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, wanted: tuple[Branch, ...], start: int, stop: int
             ) -> dict[str, tuple[NDArray[np.int64] | None, NDArray[Any]]]:
        """(offsets, values) of each branch for entries ``start`` to ``stop``; offsets None if not jagged.

        Whole baskets are read, as ROOT does anyway, and compared with their checksums if the file has them.
        """
        sums = self._checksums
        first, last = (start, stop) if sums is None else sums.whole(start, stop)
        with damage_reported(self.path, f"reading entries {start} to {stop}"):
            arrays = self._tree.arrays([b.name for b in wanted], entry_start=first, entry_stop=last,
                                       library="ak", how=dict, array_cache=None)
            found: dict[str, Values] = {b.name: flat(arrays[b.name]) if b.list != "events"
                                        else (None, np.asarray(arrays[b.name].layout.data)) for b in wanted}
            if sums is not None:
                sums.check(self.path, first, last, found)
        if (first, last) == (start, stop):
            return found
        return {name: part(*values, start - first, stop - first) for name, values in found.items()}
