"""Outputs that are whole or not there at all, never overwritten by accident, and never the input of their own job."""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from fei_lite.errors import OutputError, nearest

PathLike = str | os.PathLike[str]

#: What a failed write means and what to do about it.
_WRITE_FAILURES = {
    errno.ENOSPC: "the disk is full. Free some space or write to another disk",
    errno.EDQUOT: "the disk quota is used up. Free some space or write to another disk",
    errno.EFBIG: "the file would be larger than allowed here. Raise the limit (ulimit -f) or split the job",
    errno.EROFS: "the file system is read-only. Write to another folder",
    errno.EIO: "the disk reports an error. Write to another disk",
}

#: What the folders that are inputs consist of.
_CONTENT = (".json", ".toml", ".gz", ".npz")

#: The names of part files: host, process and its start time, and a random word, so that left ones can be told.
_PART = re.compile(r"\..*\.([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-f]{8}\.part(\.[^.]*)?")


def _check_target(target: Path, given: Path, force: bool, inputs: Sequence[PathLike]) -> None:
    if target.is_dir():
        raise OutputError(f"{given}: is a folder. Give the name of a file.")
    if not target.exists():
        return
    if not target.is_file():  # renaming over /dev/null would replace the device
        raise OutputError(f"{given}: exists and is not a regular file. Choose another name.")
    refuse_inputs(given, inputs)
    check_free(given, force=force)


def check_free(path: PathLike, *, force: bool) -> None:
    """Raise :class:`OutputError` if there is such a file and ``force`` does not allow to overwrite it."""
    if not force and os.path.lexists(path):
        raise OutputError(f"{path}: exists, and is never overwritten without --force (force=True in Python).")


def refuse_inputs(output: PathLike, inputs: Iterable[PathLike | None]) -> None:
    """Raise :class:`OutputError` if ``output`` is one of the files that the job reads, by whatever name or link.

    A folder among ``inputs`` (a model set, a channel set, counts) stands for the files of
    :data:`_CONTENT` in it and in its folders.
    """
    target = Path(os.path.realpath(output))
    if not target.exists():
        return
    for path in inputs:
        if path is None or not os.path.exists(path):
            continue
        folders = target.parents[:2] if target.suffix in _CONTENT and os.path.isdir(path) else ()
        if any(os.path.samefile(path, own) for own in (target, *folders)):
            raise OutputError(f"{output}: is the same file as the input {path}, or a part of it, which it would "
                              "destroy. Choose another name.")


def make_folder(path: PathLike) -> Path:
    """Make a folder for outputs, with those above it, unless it is there; raises :class:`OutputError`."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{folder}: is a file, expected a folder. Choose another name.") from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{str(folder)!r}: no folder can be made there: "
                          f"{getattr(error, 'strerror', None) or error}. Choose another place.") from None
    return folder


def check_suffix(path: PathLike, known: Sequence[str]) -> None:
    """Raise :class:`OutputError` unless the name has one of the ``known`` suffixes ("": none): they say the format."""
    suffix = Path(path).suffix
    if suffix not in known:
        expected = " or ".join(filter(None, known))
        raise OutputError(f"{path}: got the suffix '{suffix}', expected {expected}: it says the format."
                          f"{nearest(suffix, known)}")


def _create(temporary: Path, given: Path) -> None:
    """Create the temporary file now: an unwritable folder shows before hours of work."""
    try:
        temporary.open("xb").close()
    except FileNotFoundError:
        raise OutputError(f"{given}: folder '{given.parent}' does not exist. Make it first.") from None
    except NotADirectoryError:
        raise OutputError(f"{given}: '{given.parent}' is not a folder.") from None
    except PermissionError:
        raise OutputError(f"{given}: folder '{given.parent}' is not writable for you. Choose another one.") from None
    except OSError as error:
        raise _write_failure(given, error) from error


def _write_failure(given: Path, error: OSError) -> OutputError:
    reason = _WRITE_FAILURES.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"{given}: could not be written: {reason}. Nothing was left behind.")


@contextmanager
def atomic_output(path: PathLike, *, force: bool = False, inputs: Sequence[PathLike] = ()) -> Iterator[Path]:
    """Give a temporary path beside ``path``; it becomes ``path`` if all goes well.

    On any exception (a full disk, Ctrl-C) the temporary file is removed and
    an older file of that name is left as it was. The temporary name keeps the
    suffix, which tells writers the format. A symbolic link is followed. Part
    files in the folder that a killed process left are removed.

    ``inputs`` are the files that the job reads: none of them is overwritten,
    whatever ``force`` says and whatever name or link leads to it. Raises
    :class:`OutputError` for that, if ``path`` exists and ``force`` is not set, if
    its folder is missing or unwritable, and if the disk is full; other errors
    of the block pass unchanged.
    """
    given = Path(path)
    try:
        target = Path(os.path.realpath(given))
        _check_target(target, given, force, inputs)
    except (ValueError, OSError) as error:  # a NUL in the name, a name that is too long
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{str(given)!r}: no name for a file: {error}.") from None
    _remove_left_behind(target.parent)
    temporary = target.with_name(f".{target.stem[:80]}.{_here()}-{os.getpid()}-{_started(os.getpid())}-"
                                 f"{secrets.token_hex(4)}.part{target.suffix}")
    _create(temporary, given)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # some file systems tell of a full disk only now
        _check_target(target, given, force, inputs)  # another job may have been faster
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, OutputError) or error.errno not in _WRITE_FAILURES:
            raise
        raise _write_failure(given, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@cache
def _here() -> str:
    """The machine, and on it the space of process numbers (containers have their own): eight hexadecimal digits."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(f'{socket.gethostname()} {space}'.encode()):08x}"


def _started(process: int) -> int:
    """When a process started, in ticks since the machine did; -1 if it is not there, 0 if that cannot be told."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return -1
    except (OSError, OverflowError):
        pass
    return 0


def _remove_left_behind(folder: Path) -> None:
    """Remove part files of processes of this machine that are dead."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PART.fullmatch(entry.name) if entry.name.startswith(".") else None
            if found is None or found[1] != _here():
                continue
            now = _started(int(found[2]))
            if now != 0 and now != int(found[3]):  # dead, or another process has its number now
                with suppress(OSError):
                    os.unlink(entry.path)
