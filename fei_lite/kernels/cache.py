"""Numba's cache of compiled kernels, made safe for processes that start at once.

Numba numbers the files of a kernel's signatures: two processes that save two
signatures at the same time may give both the same number, and one then runs
the other's code. Here a file is never written twice: what two processes can
lose is an entry of the index, and the kernel is compiled once more.

Kernels call kernels of other modules, whose code is compiled into theirs, while
Numba only looks at a kernel's own file. Here a change in any module of the
folder makes all of the cache old.

A damaged file (a full disk, a crash) would end every later run, or be run as
code: each carries a checksum, and what does not fit is compiled and written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import stat
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from uuid import uuid4

import numba
from numba.core.caching import IndexDataCacheFile, dumps

#: Age from which files that the index does not know are removed (s): none is being written for that long.
STALE = 600.0
#: Version of the files: part of the stamp, so that those of another one are old.
_FORMAT = 2
#: Bytes of the checksum at the start of a file of code.
_DIGEST = 16


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

    def load(self, key):
        """The code of a signature, or None: not there, or damaged."""
        try:
            return super().load(key)
        except Exception:  # unpickling damaged bytes raises anything
            return None

    def _load_index(self):
        """The index, empty if it is damaged: the next code that is saved writes it anew."""
        try:
            overloads = super()._load_index()
        except Exception:  # the same
            return {}
        return overloads if isinstance(overloads, dict) else {}

    def _load_data(self, name):
        with open(self._data_path(name), "rb") as file:
            digest, data = file.read(_DIGEST), file.read()
        if hashlib.blake2b(data, digest_size=_DIGEST).digest() != digest:
            raise ValueError(f"{name}: damaged")
        return pickle.loads(data)

    def _save_data(self, name, data):
        dumped = dumps(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.blake2b(dumped, digest_size=_DIGEST).digest() + dumped)

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
        (_FORMAT, files._source_stamp, stamp(Path(dispatcher.py_func.__code__.co_filename).parent)))
    save = dispatcher._cache.save_overload

    def save_if_possible(sig, data):
        with contextlib.suppress(OSError):  # a full disk, a folder that became read-only: the code stays in memory
            save(sig, data)

    dispatcher._cache.save_overload = save_if_possible


def _probe():
    """Something to ask Numba about."""


def find_place():
    """Whether compiled code can be kept; where Numba finds no place (read-only, no home), one is made.

    It is a folder of the user's own below the temporary one, and workers of this process inherit it by
    ``NUMBA_CACHE_DIR``. A folder that another user could write to is not taken: it holds code. Without any
    place nothing is kept. Either is said once, as a warning.
    """
    try:
        numba.njit(cache=True)(_probe)
        return True
    except RuntimeError:  # no locator available
        pass
    folder = _own_temporary()
    if folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = folder
        try:
            numba.njit(cache=True)(_probe)
            _warn(f"compiled code is kept in {folder}")
            return True
        except RuntimeError:
            pass
    os.environ["FEI_LITE_JIT_CACHE"] = "0"
    _warn("compiled code is not kept: every run takes about half a minute longer")
    return False


def _warn(what):
    warnings.warn(f"neither the installation nor the home folder can be written to: {what}. Set NUMBA_CACHE_DIR to a "
                  "folder of yours that stays.", RuntimeWarning, stacklevel=4)


def _own_temporary():
    """A folder that only this user can write to, the same for all runs; None if there cannot be one."""
    try:
        folder = Path(tempfile.gettempdir()) / f"fei_lite_kernels_{os.getuid() if hasattr(os, 'getuid') else ''}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    own = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    return str(folder) if stat.S_ISDIR(status.st_mode) and own else None
