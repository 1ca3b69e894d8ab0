"""What runs on a worker of a cluster: a piece of work, after a look whether it would be the same work as elsewhere."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from fei_lite.errors import FeiLiteError, WorkerError
from fei_lite.parallel.context import Context
from fei_lite.provenance import versions_of

#: Packages whose versions change what is calculated, or whether.
_PACKAGES = ("numpy", "numba")

#: Of mallopt(3): what to set, and bytes. Up to this size freed memory is kept for the next batch, as glibc does by
#: itself in a process that no one told otherwise.
_KEPT_MEMORY = ((-3, 32 << 20), (-1, 64 << 20))  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

#: One piece at a time in a process, whatever number of threads its worker has.
_one_at_a_time = Lock()
#: The context of the latest run that this process worked for, by the name of the run.
_of_run: dict[str, Context[Any]] = {}


@cache
def identity() -> dict[str, str]:
    """What must agree between the processes of a run: Python, fei-lite (version and a hash of its code), packages."""
    import xxhash

    import fei_lite

    folder = Path(fei_lite.__file__).parent
    code = xxhash.xxh3_64()
    for path in sorted(folder.rglob("*.py")):
        code.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return {"Python": ".".join(platform.python_version_tuple()[:2]), "fei-lite": fei_lite.__version__,
            "code of fei-lite": code.hexdigest(), **versions_of(_PACKAGES)}


@dataclass(frozen=True)
class Terms:
    """What a run expects of its workers: its name, the folder that relative paths count from, :func:`identity`."""

    run: str
    folder: str
    identity: dict[str, str]


def check_identity(expected: dict[str, str], got: dict[str, str], where: str) -> None:
    """Raise :class:`WorkerError` if a worker differs from the process that wants its work."""
    for name, value in expected.items():
        if got.get(name) != value:
            raise WorkerError(f"{where}: {name} is {got.get(name, 'missing')} there and {value} here: results would "
                              "depend on the worker. Start workers in the same environment.")


def files_of(task: Any) -> list[Path]:
    """The files that a task names.

    >>> from fei_lite.events.ranges import EntryRange
    >>> files_of(EntryRange(Path("a.root"), 0, 10, 0))
    [PosixPath('a.root')]
    """
    if not is_dataclass(task):
        return []
    return [value for one in fields(task) if isinstance(value := getattr(task, one.name), Path)]


@cache
def keep_freed_memory() -> bool:
    """Let this process use memory again that it freed; False where the C library has no such choice.

    Dask tells its workers to give every freed piece back (``MALLOC_TRIM_THRESHOLD_``), and each array of a batch then
    costs its page faults anew (docs/scaling.md). 64 MiB at most are held.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return all([mallopt(what, size) == 1 for what, size in _KEPT_MEMORY])


@contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    before = os.getcwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise WorkerError(f"worker on {socket.gethostname()}: folder {folder}, where the command was given, cannot be "
                          f"seen there ({error.strerror}). Run it in a folder that all workers see.") from None
    try:
        yield
    finally:
        os.chdir(before)


def do_piece(terms: Terms, function: Callable[[Any, Any], Any], context: Context[Any], task: Any,
             files: list[Path]) -> Any:
    """``function(task, context.value)``, where ``files`` of the task were found by who sent it.

    Raises :class:`WorkerError` for another version, and for files that are not there.
    """
    where = f"worker on {socket.gethostname()}"
    check_identity(terms.identity, identity(), where)
    keep_freed_memory()
    with _one_at_a_time, _in_folder(terms.folder):
        for path in files:
            if not path.exists():
                raise WorkerError(f"{path}: is there for this process and not for the {where}. Put inputs where all "
                                  "workers see them under the same name.")
        if terms.run not in _of_run:
            _of_run.clear()
            _of_run[terms.run] = context
        try:
            value = _of_run[terms.run].value
        except FeiLiteError as error:  # it could be made where the command was given
            raise WorkerError(f"{where}: {error} The models, channels and other files of the options must be on a "
                              "disk that all workers see.") from None
        return function(task, value)
