"""The event files of a job: names, patterns, lists of names and URLs, with the mapping and conditions they are read by.

Nothing is opened here: a list of ten thousand names is ten thousand texts. URLs (``root://``, ``https://``,
``s3://``, ...) are read by uproot and fsspec; the packages of a protocol (``fsspec-xrootd``, ``aiohttp``, ...)
are its own.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fei_lite.data_files import read_text
from fei_lite.errors import EventFileError
from fei_lite.events.conditions import Conditions, load_conditions
from fei_lite.events.mapping import Mapping, load_mapping
from fei_lite.events.remote import is_url, remote_files
from fei_lite.outputs import PathLike

#: Longest name of a file.
_LONGEST = 4096
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class EventInput(os.PathLike[str]):
    """An event file by its ``address`` (a local name or a URL), and how it is read.

    ``mappings`` are tried for files of no known format; ``conditions`` replace those that the file lacks;
    ``simulated`` is what was simulated into a file that does not say it
    (:class:`~fei_lite.analyses.candidates.simulated.SimulatedSample`). It stands wherever the path of an event file
    may stand.
    """

    address: str
    mappings: tuple[Mapping, ...] = ()
    conditions: Conditions | None = None
    simulated: Any = None

    def __fspath__(self) -> str:
        return self.address

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.address).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.address).stem

    @property
    def suffix(self) -> str:
        """The suffix of the name."""
        return PurePosixPath(self.address).suffix


def as_input(path: PathLike) -> PathLike:
    """A path that keeps what it is read by; a URL stays as it is written."""
    if isinstance(path, EventInput):
        return path
    return EventInput(str(path)) if is_url(path) else Path(path)


def event_inputs(names: Iterable[PathLike], *, files_from: Sequence[PathLike] = (),
                 mapping: PathLike | Mapping | Sequence[PathLike | Mapping] = (),
                 conditions: PathLike | Conditions | None = None) -> list[Any]:
    """The event files that are meant by names, patterns (``data/*.root``), lists (``@list.txt``) and URLs, in order.

    A list holds a name, pattern or URL a line (``#`` begins a comment); ``files_from`` are more lists, without the
    ``@``. ``mapping`` (files, or names of shipped ones) and ``conditions`` are how all of them are read.
    Raises :class:`EventFileError` for a pattern that fits no file and for a list that cannot be read or is empty.
    """
    several = mapping if isinstance(mapping, Sequence) and not isinstance(mapping, str) else (mapping,)
    mappings = tuple(one if isinstance(one, Mapping) else load_mapping(one) for one in several)
    known = conditions if conditions is None or isinstance(conditions, Conditions) else load_conditions(conditions)
    found = [address for name in names for address in _meant(os.fspath(name), name, "")]
    found += [address for path in files_from for address in _listed(os.fspath(path))]
    if not mappings and known is None:
        return [as_input(address) for address in found]
    return [address if isinstance(address, EventInput) else EventInput(os.fspath(address), mappings, known)
            for address in found]


def read_by(inputs: Sequence[PathLike]) -> dict[str, Any]:
    """The mappings and conditions that event files were read by, if any."""
    mappings: dict[str, str] = {}
    conditions: dict[str, Any] = {}
    for path in inputs:
        if isinstance(path, EventInput):
            mappings |= {mapping.name: mapping.digest for mapping in path.mappings}
            if path.conditions is not None and not conditions:
                conditions = {"digest": path.conditions.digest, "content": json.loads(path.conditions.text)}
    return ({"mappings": mappings} if mappings else {}) | ({"conditions": conditions} if conditions else {})


def _meant(name: str, given: PathLike, place: str) -> list[PathLike]:
    """The files of one name."""
    if isinstance(given, EventInput):
        return [given]
    if len(name) > _LONGEST:
        raise EventFileError(f"{place}{name[:60]}...: {len(name)} characters, expected the name of a file, of at most "
                             f"{_LONGEST}.")
    if name.startswith("@") and not place and not os.path.lexists(name):
        return _listed(name[1:])
    if not _PATTERN.search(name) or (not is_url(name) and os.path.lexists(name)):
        return [name]
    found = remote_files(name, place) if is_url(name) else sorted(glob.glob(name, recursive=True))
    if not found:
        raise EventFileError(f"{place}{name}: no file fits the pattern. Look at the folder, or quote less.")
    return list(found)


def _listed(path: str) -> list[PathLike]:
    """The files that a list names."""
    found: list[PathLike] = []
    for number, line in enumerate(read_text(path, error=EventFileError).split("\n"), start=1):
        name = line.partition("#")[0].strip() if line.lstrip().startswith("#") or " #" in line else line.strip()
        if "\0" in name:
            raise EventFileError(f"{path}: line {number}: got a NUL byte, expected the name of a file.")
        if name.startswith("@"):
            raise EventFileError(f"{path}: line {number}: got {name[:80]!r}, expected the name of an event file: lists "
                                 "do not name lists.")
        if name:
            place = f"{path}: line {number}: "
            meant = _meant(name, name, place)
            for one in meant:  # files of other places are looked for when their turn comes
                if not is_url(one) and not os.path.isfile(one):
                    raise EventFileError(f"{place}{str(one)[:200]}: no such file, or no regular one.")
            found += meant
    if not found:
        raise EventFileError(f"{path}: names no file, expected one a line.")
    return found
