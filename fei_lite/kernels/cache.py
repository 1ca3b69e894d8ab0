"""Numba's cache of compiled kernels, made safe for processes that start at once.

Numba numbers the files of a kernel's signatures: two processes that save two
signatures at the same time may give both the same number, and one then runs
the other's code. Here a file is never written twice: what two processes can
lose is an entry of the index, and the kernel is compiled once more.

Kernels call kernels of other modules, whose code is compiled into theirs, while
Numba only looks at a kernel's own file. Here a change in any module of the
folder makes all of the cache old.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from uuid import uuid4

from numba.core.caching import IndexDataCacheFile

#: Age from which files that the index does not know are removed (s): none is being written for that long.
STALE = 600.0


class UniqueCacheFiles(IndexDataCacheFile):
    """Index and data files of one kernel; see the module's page."""

    def save(self, key, data):
        """Write the code under a name of its own, and then into the index."""
        name = self._data_name(uuid4().int)
        self._save_data(name, data)
        overloads = self._load_index()
        overloads[key] = name
        self._save_index(overloads)
        self._remove_stale(set(overloads.values()))

    def _remove_stale(self, known):
        """Remove what older versions of the kernel left."""
        base = self._index_name.removesuffix(".nbi")
        for path in Path(self._cache_path).glob(f"{base}.*.nbc"):
            try:
                if path.name not in known and time.time() - path.stat().st_mtime > STALE:
                    path.unlink()
            except FileNotFoundError:  # another process was faster
                pass

    @property
    def empty(self):
        """Whether no code of this version of the kernel is there."""
        return not self._load_index()


@cache
def stamp(folder):
    """Name, time of change and size of every module of a folder."""
    return tuple((path.name, path.stat().st_mtime, path.stat().st_size) for path in sorted(Path(folder).glob("*.py")))


def make_safe(dispatcher):
    """Let a kernel use :class:`UniqueCacheFiles`, valid as long as no module beside its own changes."""
    files = dispatcher._cache._cache_file
    dispatcher._cache._cache_file = UniqueCacheFiles(
        files._cache_path, files._index_name.removesuffix(".nbi"),
        (files._source_stamp, stamp(Path(dispatcher.py_func.__code__.co_filename).parent)))
