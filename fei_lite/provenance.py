"""What made a file: versions of the programs, and the command, without what does not change the content.

Files whose format has no place for it (workspaces, pictures) are named, with their checksum, in ``provenance.json`` of
their folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fei_lite
from fei_lite.data_files import json_content, read_text
from fei_lite.errors import FeiLiteError
from fei_lite.outputs import atomic_output

#: The file that says what made the others in its folder.
RECORD = "provenance.json"

#: The programs on which the numbers of a file depend.
PACKAGES = ("numpy", "numba", "lightgbm", "uproot", "awkward", "pyarrow", "pythia8mc")
#: Options that leave the content of the output as it is, and how many words they have.
_WITHOUT_EFFECT = {"-o": 2, "--output": 2, "--workers": 2, "--quiet": 1, "--force": 1, "--journal": 1,
                   "--scheduler": 2, "--cluster": 2, "--figures": 2}

_command: ContextVar[str] = ContextVar("fei_lite_command", default="")


@contextmanager
def running(words: Sequence[str]) -> Iterator[None]:
    """While a command runs, files say that it made them."""
    token = _command.set(plain_command(words))
    try:
        yield
    finally:
        _command.reset(token)


def plain_command(words: Sequence[str]) -> str:
    """A command without folders, and without the options that do not change what is written.

    So the same content has the same bytes, wherever it was made.

    >>> plain_command(["reconstruct", "/data/a.root", "--workers", "2", "-o", "b.root", "--max-events=5"])
    'fei-lite reconstruct a.root --max-events=5'
    """
    kept, skip = ["fei-lite"], 0
    for word in words:
        name, equals, _ = word.partition("=")
        if skip:
            skip -= 1
        elif name in _WITHOUT_EFFECT:
            skip = 0 if equals else _WITHOUT_EFFECT[name] - 1
        else:
            kept.append(word if "://" in word else word.rpartition("/")[2] or word)
    return shlex.join(kept)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those of the packages that are installed, fei_lite's from its own code."""
    found = {}
    for name in packages:
        try:
            found[name] = fei_lite.__version__ if name == "fei_lite" else version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def versions() -> dict[str, str]:
    """Version of fei-lite, of Python and of the packages that are installed."""
    return {"fei_lite": fei_lite.__version__, "python": platform.python_version(), **versions_of(PACKAGES)}


def provenance() -> dict[str, object]:
    """What files say of how they were made: ``versions`` and ``command`` (empty from Python)."""
    return {"versions": dict(versions()), "command": _command.get()}


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes; raises :class:`FeiLiteError` for one that cannot be read."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    except OSError as error:
        raise FeiLiteError(f"{path}: cannot be read: {error.strerror}.") from error
    return found.hexdigest()


def write_record(folder: Path, files: Iterable[str], said: Mapping[str, Any], *, force: bool) -> None:
    """Write ``provenance.json`` of a folder: what is ``said``, and the checksums of ``files`` (names in the folder)."""
    content = {**said, "files": {name: checksum(folder / name) for name in sorted(files)}}
    with atomic_output(folder / RECORD, force=force) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def recorded(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What ``provenance.json`` beside a file says, but for the files; None if it is not there, or of other bytes.

    It is additional: a record that is damaged, or of a file that changed since, counts as none.
    """
    path = Path(path)
    record = path.with_name(RECORD)
    if not record.is_file():
        return None
    try:
        said = json_content(read_text(record, error=FeiLiteError), where=str(record), error=FeiLiteError)
    except FeiLiteError:
        return None
    files = said.get("files") if isinstance(said, dict) else None
    if not isinstance(files, dict) or files.get(path.name) != checksum(path):
        return None
    return {key: value for key, value in said.items() if key != "files"}


def provenance_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """:func:`provenance` of what is made from a file: with its name, checksum, and what is recorded of it."""
    made_from = {"file": os.path.basename(path), "sha256": checksum(path)}
    said = recorded(path)
    return {**provenance(), "made_from": made_from if said is None else {**made_from, "provenance": said}}
