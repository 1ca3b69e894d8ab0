"""Files of arrays (NumPy's npz), read strictly: names, kinds and shapes as expected, and bounded work."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FeiLiteError, nearest

#: Largest size of all arrays of a file, unpacked (bytes).
MAX_BYTES = 4 * 2**30

#: Lengths of an array's axes: a number, or a name for what must be equal in all arrays of the file.
Shape = tuple[int | str, ...]

#: What NumPy and zipfile raise for damaged files.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, IndexError, TypeError, OverflowError, NotImplementedError,
           RuntimeError, SyntaxError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)


def read_arrays(path: str | Path, expected: Mapping[str, Shape], *, undefined: Collection[str] = (),
                error: type[FeiLiteError] = FeiLiteError) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file: those of ``expected`` and no others; numbers, but for ``undefined`` ones finite.

    Raises ``error`` with the file, the array and what is wrong with it.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise error(f"{path}: not a regular file. Name a file.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_BYTES:
            raise error(f"{path}: unpacks to {size / 2**30:.0f} GiB, expected at most {MAX_BYTES // 2**30} GiB.")
        with np.load(path, allow_pickle=False) as content:
            names = list(content)
            for name in (*expected, *names):
                if name not in expected or names.count(name) != 1:
                    raise error(f"{path}: the array '{name[:60]}' stands {names.count(name)} times in it, expected "
                                f"{int(name in expected)}.{nearest(name, expected) if name not in expected else ''}")
            arrays = {name: content[name] for name in expected}
    except FeiLiteError:
        raise
    except _DAMAGE as damage:
        raise error(f"{path}: no arrays (npz) can be read: {_line(damage)}.") from None
    _check_shapes(path, arrays, expected, error)
    _check_finite(path, {name: array for name, array in arrays.items() if name not in undefined}, error)
    return arrays


def _line(damage: BaseException) -> str:
    text = " ".join(str(damage).split())[:200].rstrip(".")
    return text or type(damage).__name__


def _check_shapes(path: Path, arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, Shape],
                  error: type[FeiLiteError]) -> None:
    lengths: dict[str, int] = {}
    for name, array in arrays.items():
        wanted = tuple(lengths.get(axis, axis) if isinstance(axis, str) else axis for axis in expected[name])
        fits = len(wanted) == array.ndim and all(
            isinstance(axis, str) or axis == n for axis, n in zip(wanted, array.shape, strict=True))
        if not fits or array.dtype.kind not in "iuf":
            raise error(f"{path}: {name}: got {array.dtype} of shape {array.shape}, expected numbers of shape "
                        f"({', '.join(map(str, wanted))}).")
        lengths |= {axis: n for axis, n in zip(expected[name], array.shape, strict=True) if isinstance(axis, str)}


def _check_finite(path: Path, arrays: Mapping[str, NDArray[Any]], error: type[FeiLiteError]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise error(f"{path}: {name}{list(place) if place else ''}: got {array[place]}, expected a finite number.")
