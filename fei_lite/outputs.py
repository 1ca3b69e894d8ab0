"""Outputs that are whole or not there at all, and never overwritten by accident."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fei_lite.errors import OutputError

#: What a failed write means and what to do about it.
_WRITE_FAILURES = {
    errno.ENOSPC: "the disk is full. Free some space or write to another disk",
    errno.EDQUOT: "the disk quota is used up. Free some space or write to another disk",
    errno.EFBIG: "the file would be larger than allowed here. Raise the limit (ulimit -f) or split the job",
    errno.EROFS: "the file system is read-only. Write to another folder",
    errno.EIO: "the disk reports an error. Write to another disk",
}


def _check_target(target: Path, given: Path, force: bool) -> None:
    if target.is_dir():
        raise OutputError(f"{given}: is a folder. Give the name of a file.")
    if not target.exists():
        return
    if not target.is_file():  # renaming over /dev/null would replace the device
        raise OutputError(f"{given}: exists and is not a regular file. Choose another name.")
    if not force:
        raise OutputError(f"{given}: exists, and is never overwritten without --force (force=True in Python).")


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
def atomic_output(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path``; it becomes ``path`` if all goes well.

    On any exception (a full disk, Ctrl-C) the temporary file is removed and
    an older file of that name is left as it was. The temporary name keeps the
    suffix, which tells writers the format. A symbolic link is followed.

    Raises :class:`OutputError` if ``path`` exists and ``force`` is not set, if
    its folder is missing or unwritable, and if the disk is full; other errors
    of the block pass unchanged.
    """
    given = Path(path)
    target = Path(os.path.realpath(given))
    _check_target(target, given, force)
    temporary = target.with_name(f".{target.stem[:80]}.{os.getpid()}-{secrets.token_hex(4)}.part{target.suffix}")
    _create(temporary, given)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # some file systems tell of a full disk only now
        _check_target(target, given, force)  # another job may have been faster
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, OutputError) or error.errno not in _WRITE_FAILURES:
            raise
        raise _write_failure(given, error) from error
    finally:
        temporary.unlink(missing_ok=True)
