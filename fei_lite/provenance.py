"""What made a file: versions of the programs, and the command, without what does not change the content."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import fei_lite

#: The programs on which the numbers of a file depend.
PACKAGES = ("numpy", "numba", "lightgbm", "uproot", "awkward", "pyarrow", "pythia8mc")
#: Options that leave the content of the output as it is, and how many words they have.
_WITHOUT_EFFECT = {"-o": 2, "--output": 2, "--workers": 2, "--quiet": 1, "--force": 1, "--journal": 1,
                   "--scheduler": 2, "--cluster": 2}

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
