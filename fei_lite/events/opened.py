"""Event files opened for reading: the one that was read last stays open for the next range of its entries.

To open a ROOT file of events takes a tenth of a second, as long as the reading of hundreds of events: a run that goes
through a file in many ranges does so once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from fei_lite.events.parquetio import ParquetSource
from fei_lite.events.remote import is_url
from fei_lite.events.rootio import RootSource

Source = RootSource | ParquetSource
#: A file as it is now, in this process.
_Identity = tuple[object, ...]

_lock = Lock()
#: The source that was read last, and of what it is.
_last: list[tuple[_Identity, Source]] = []


def _identity(path: str | os.PathLike[str], parquet: bool) -> _Identity:
    status = os.stat(path)
    return (os.getpid(), parquet, type(path), os.fspath(path), status.st_dev, status.st_ino, status.st_size,
            status.st_mtime_ns, status.st_ctime_ns)


def _exchange(source: tuple[_Identity, Source] | None) -> tuple[_Identity, Source] | None:
    """Put a source where the last one is kept; returns that one."""
    with _lock:
        before = _last.pop() if _last else None
        if source is not None:
            _last.append(source)
        return before


def _closed(kept: tuple[_Identity, Source] | None) -> None:
    if kept is not None and kept[0][0] == os.getpid():  # what was open before a fork is its parent's
        kept[1].__exit__(None, None, None)


@contextmanager
def opened(path: str | os.PathLike[str], *, parquet: bool) -> Iterator[Source]:
    """The source of an event file, ROOT or Parquet.

    A file that changed since, or was read by another process, is opened anew; files of other places always are, and so
    is one after an error. Raises :class:`EventFileError`.
    """
    kind = ParquetSource if parquet else RootSource
    if is_url(path) or not os.path.exists(path):
        with kind(path) as source:
            yield source
        return
    now = _identity(path, parquet)
    kept = _exchange(None)
    if kept is not None and kept[0] == now:
        source = kept[1]
    else:
        _closed(kept)
        source = kind(path)
    try:
        yield source
    except BaseException:
        source.__exit__(None, None, None)
        raise
    _closed(_exchange((now, source)))
