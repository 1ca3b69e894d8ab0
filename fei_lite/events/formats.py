"""Formats of event files: each says which files it reads, and reads them.

To read another kind of file, write a class with the methods of
:class:`EventFormat` and hand an object of it to :func:`register_format`; from
then on ``fei_lite.open`` and every command read such files.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Table
from dataclasses import dataclass
from typing import Protocol

from fei_lite.errors import EventFileError
from fei_lite.events import files, mdst
from fei_lite.events.batch import EventBatch
from fei_lite.events.conditions import Conditions, with_conditions
from fei_lite.events.files import PathLike
from fei_lite.events.inputs import EventInput
from fei_lite.events.mapped import count_mapped, iterate_mapped
from fei_lite.events.mapping import Mapping, shipped_mappings
from fei_lite.events.mdst_tree import TREE as MDST_TREE
from fei_lite.events.parquetio import METADATA as PARQUET_METADATA
from fei_lite.events.parquetio import open_parquet
from fei_lite.events.rootio import METADATA, TREE, contents, damage_reported, in_words, open_root


@dataclass(frozen=True)
class FileLook:
    """What a first look at a file tells: whether it begins like Parquet, else the keys of a ROOT file.

    ``root`` maps names of keys to their class names (``"events": "TTree"``), empty for Parquet; ``columns`` are those
    of a Parquet file. ``ours``: it has metadata of fei-lite.
    """

    path: PathLike
    parquet: bool
    root: Table[str, str]
    columns: tuple[str, ...] = ()
    ours: bool = True


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
        conditions = conditions_of(path)
        for batch in mdst.iterate_mdst(path, batch_size=batch_size, entry_start=entry_start, entry_stop=entry_stop):
            yield with_conditions(batch, conditions)


def conditions_of(path: PathLike) -> Conditions | None:
    """The conditions that a file is read with."""
    return path.conditions if isinstance(path, EventInput) else None


class MappedFormat:
    """Ntuples of any layout, through a mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping, self.name = mapping, mapping.name
        self.expects = f"{' and '.join(map(repr, mapping.trees))} (mapping {mapping.place or mapping.name})"

    def _failed(self, error: EventFileError) -> EventFileError:
        """An error with the mapping by which the file was read."""
        return EventFileError(f"{error} (Read through the mapping {self.mapping.place or self.mapping.name}.)")

    def is_compatible(self, look: FileLook) -> bool:
        """Files of others with the trees of the mapping; for Parquet, its first column says."""
        if look.parquet:
            named = [c for c in self.mapping.events.values() if isinstance(c, str)]
            return not look.ours and all(name in look.columns for name in named[:1])
        return all(look.root.get(tree) == "TTree" for tree in self.mapping.trees) and not look.ours

    def count(self, path: PathLike) -> int:
        """Number of events."""
        try:
            return count_mapped(path, self.mapping)
        except EventFileError as error:
            raise self._failed(error) from error

    def origin(self, path: PathLike) -> dict[str, str | int | float]:
        """Nothing: such files do not say."""
        return {}

    def iterate(self, path: PathLike, *, batch_size: int, entry_start: int | None = None,
                entry_stop: int | None = None) -> Iterator[EventBatch]:
        """See :func:`fei_lite.events.mapped.iterate_mapped`."""
        try:
            yield from iterate_mapped(path, self.mapping, batch_size=batch_size, entry_start=entry_start,
                                      entry_stop=entry_stop, conditions=conditions_of(path))
        except EventFileError as error:
            raise self._failed(error) from error


_FORMATS: list[EventFormat] = [FeiLiteFormat(), MdstFormat()]


def register_format(new: EventFormat) -> None:
    """Add a format; it is asked before those that are there already, so that it may take their files over."""
    if any(known.name == new.name for known in _FORMATS):
        raise ValueError(f"a format '{new.name}' is there already. Choose another name.")
    _FORMATS.insert(0, new)


def look_at(path: PathLike) -> FileLook:
    """What a first look tells; raises :class:`EventFileError` if the file is missing or damaged."""
    if files.is_parquet(path):
        with open_parquet(path) as file:
            arrow = file.schema_arrow
            return FileLook(path, True, {}, tuple(arrow.names), PARQUET_METADATA in (arrow.metadata or {}))
    with open_root(path) as file, damage_reported(path, "listing its content"):
        found = contents(file)
        return FileLook(path, False, found, (), METADATA in found)


def format_of(path: PathLike) -> EventFormat:
    """The format of a file, from its content: of those that are known, then of the mappings that it is read by.

    Raises :class:`EventFileError` if the file is missing, damaged or of no known format.
    """
    look = look_at(path)
    mapped: list[EventFormat] = []
    if isinstance(path, EventInput):
        mapped = [MappedFormat(mapping) for mapping in path.mappings]
    for one in mapped:  # a mapping takes what is not ours, and what it names
        if one.is_compatible(look) and not _is_mdst(path, look):
            return one
    for known in _FORMATS:
        if known.is_compatible(look):
            return known
    hint = "" if mapped else (f" Other layouts are read through a mapping: --mapping FILE, or a shipped one: "
                              f"{', '.join(shipped_mappings())}.")
    raise EventFileError(f"{path}: expected {' or '.join(known.expects for known in [*mapped, *_FORMATS])}, "
                         f"found {in_words(dict(look.root)) if not look.parquet else 'columns of others'}.{hint}")


def _is_mdst(path: PathLike, look: FileLook) -> bool:
    """Whether the tree of basf2's name is that of an mDST file."""
    if look.root.get(MDST_TREE) != "TTree":
        return False
    with open_root(path) as file, damage_reported(path, "listing its branches"):
        return "EventMetaData" in file[MDST_TREE]
