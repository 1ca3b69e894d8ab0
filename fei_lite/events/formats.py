"""Formats of event files: each says which files it reads, and reads them.

To read another kind of file, write a class with the methods of
:class:`EventFormat` and hand an object of it to :func:`register_format`; from
then on ``fei_lite.open`` and every command read such files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from fei_lite.errors import EventFileError
from fei_lite.events import files, mdst
from fei_lite.events.batch import EventBatch
from fei_lite.events.files import PathLike
from fei_lite.events.mdst_tree import TREE as MDST_TREE
from fei_lite.events.rootio import TREE, contents, damage_reported, in_words, open_root


@dataclass(frozen=True)
class FileLook:
    """What a first look at a file tells: whether it begins like Parquet, else the keys of a ROOT file.

    ``root`` maps names of keys to their class names (``"events": "TTree"``), empty for Parquet.
    """

    path: PathLike
    parquet: bool
    root: Mapping[str, str]


class EventFormat(Protocol):
    """A kind of event file. ``name`` is a short word, ``expects`` what such a file holds, for messages."""

    name: str
    expects: str

    def is_compatible(self, look: FileLook) -> bool:
        """Whether files like this are of this format."""

    def count(self, path: PathLike) -> int:
        """Number of events."""

    def origin(self, path: PathLike) -> dict[str, str | int | float]:
        """What the file says about how it was made (process, seed ...); empty if nothing."""

    def iterate(self, path: PathLike, *, batch_size: int, entry_start: int | None = None,
                entry_stop: int | None = None) -> Iterator[EventBatch]:
        """Batches of the entries ``entry_start`` to ``entry_stop`` (excluded)."""


class FeiLiteFormat:
    """Event files of fei-lite, ROOT or Parquet."""

    name = "events"
    expects = f"a TTree '{TREE}' (fei-lite)"

    def is_compatible(self, look: FileLook) -> bool:
        """Parquet, or a tree of our name."""
        return look.parquet or look.root.get(TREE) == "TTree"

    def count(self, path: PathLike) -> int:
        """Number of events."""
        return files.inspect_events(path).n_events

    def origin(self, path: PathLike) -> dict[str, str | int | float]:
        """The metadata of the file."""
        return files.inspect_events(path).metadata

    def iterate(self, path: PathLike, *, batch_size: int, entry_start: int | None = None,
                entry_stop: int | None = None) -> Iterator[EventBatch]:
        """See :func:`fei_lite.events.files.iterate_events`."""
        return files.iterate_events(path, batch_size=batch_size, entry_start=entry_start, entry_stop=entry_stop)


class MdstFormat:
    """Belle II mDST files."""

    name = "mdst"
    expects = f"'{MDST_TREE}' (Belle II mDST)"

    def is_compatible(self, look: FileLook) -> bool:
        """A tree of basf2's name."""
        return look.root.get(MDST_TREE) == "TTree"

    def count(self, path: PathLike) -> int:
        """Number of events."""
        return mdst.count_events(path)

    def origin(self, path: PathLike) -> dict[str, str | int | float]:
        """Nothing: an mDST file does not say what was simulated."""
        return {}

    def iterate(self, path: PathLike, *, batch_size: int, entry_start: int | None = None,
                entry_stop: int | None = None) -> Iterator[EventBatch]:
        """See :func:`fei_lite.events.mdst.iterate_mdst`."""
        return mdst.iterate_mdst(path, batch_size=batch_size, entry_start=entry_start, entry_stop=entry_stop)


_FORMATS: list[EventFormat] = [FeiLiteFormat(), MdstFormat()]


def register_format(new: EventFormat) -> None:
    """Add a format; it is asked before those that are there already, so that it may take their files over."""
    if any(known.name == new.name for known in _FORMATS):
        raise ValueError(f"a format '{new.name}' is there already. Choose another name.")
    _FORMATS.insert(0, new)


def format_of(path: PathLike) -> EventFormat:
    """The format of a file, from its content.

    Raises :class:`EventFileError` if the file is missing, damaged or of no known format.
    """
    if files.is_parquet(path):
        look = FileLook(path, True, {})
    else:
        with open_root(path) as file, damage_reported(path, "listing its content"):
            look = FileLook(path, False, contents(file))
    for known in _FORMATS:
        if known.is_compatible(look):
            return known
    raise EventFileError(f"{path}: expected {' or '.join(known.expects for known in _FORMATS)}, "
                         f"found {in_words(dict(look.root))}.")
