"""Results as bytes, and back: numbers, texts, arrays, lists, mappings, and objects of named classes. No code in it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

#: Length of the description, before it.
_LENGTH = struct.Struct("<Q")


def packed(value: Any, classes: Iterable[type] = ()) -> bytes:
    """A value as bytes: its description (JSON), then the content of its arrays.

    Of ``classes`` (dataclasses, named tuples, objects of plain attributes) the attributes are kept. Raises TypeError
    for anything else.

    >>> unpacked(packed({"n": [1, 2.5], ("a", 1): None}))
    {'n': [1, 2.5], ('a', 1): None}
    """
    arrays: list[np.ndarray] = []
    names = {one: one.__qualname__ for one in classes}
    text = json.dumps(_described(value, arrays, names), separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(text)), text, *(np.ascontiguousarray(array).tobytes() for array in arrays)])


def unpacked(data: bytes, classes: Iterable[type] = ()) -> Any:
    """The value again; its arrays can be written to."""
    size, = _LENGTH.unpack_from(data)
    start = _LENGTH.size + size
    reader = _Reader(data, start, {one.__qualname__: one for one in classes})
    return reader.value(json.loads(data[_LENGTH.size:start]))


def _described(value: Any, arrays: list[np.ndarray], names: Mapping[type, str]) -> Any:
    """A value as JSON, its arrays aside."""
    def inner(values: Iterable[Any]) -> list[Any]:
        return [_described(one, arrays, names) for one in values]

    if type(value) in names:
        if isinstance(value, tuple):
            return {"o": names[type(value)], "t": inner(value)}
        return {"o": names[type(value)], "a": {key: _described(one, arrays, names) for key, one in
                                               vars(value).items()}}
    if value is None or type(value) in (bool, int, float, str):
        return value  # JSON has NaN and infinity as Python writes it, and every digit of a float
    if isinstance(value, np.ndarray):
        return _array(value, arrays)
    if type(value) is list:
        return inner(value)
    if type(value) is tuple:
        return {"t": inner(value)}
    if type(value) is dict:
        return {"d": [inner(pair) for pair in value.items()]}
    if isinstance(value, np.generic):
        return {"n": _array(np.asarray(value), arrays)}
    raise TypeError(f"a value of type {type(value).__qualname__} cannot be kept in a journal.")


def _array(value: np.ndarray, arrays: list[np.ndarray]) -> dict[str, Any]:
    if value.dtype.kind == "O":
        if not all(type(text) is str for text in value.flat):
            raise TypeError("an array of objects other than texts cannot be kept in a journal.")
        return {"s": list(value.shape), "x": list(value.flat)}
    arrays.append(value)
    return {"s": list(value.shape), "y": value.dtype.str}


class _Reader:
    def __init__(self, data: bytes, start: int, classes: Mapping[str, type]) -> None:
        self._data, self._place, self._classes = data, start, classes

    def value(self, said: Any) -> Any:
        if isinstance(said, list):
            return [self.value(one) for one in said]
        if not isinstance(said, dict):
            return said
        if "o" in said:
            return self._object(self._classes[said["o"]], said)
        if "s" in said:
            return self._array(said)
        if "n" in said:
            return self._array(said["n"])[()]
        if "t" in said:
            return tuple(self.value(said["t"]))
        return {self.value(key): self.value(one) for key, one in said["d"]}

    def _object(self, kind: type, said: Mapping[str, Any]) -> Any:
        if "t" in said:
            return kind(*self.value(said["t"]))
        found: Any = object.__new__(kind)
        found.__dict__.update({key: self.value(one) for key, one in said["a"].items()})
        return found

    def _array(self, said: Mapping[str, Any]) -> np.ndarray:
        shape: Sequence[int] = said["s"]
        if "x" in said:
            texts = np.empty(len(said["x"]), dtype=object)
            texts[:] = said["x"]
            return texts.reshape(shape)
        dtype = np.dtype(said["y"])
        n = int(np.prod(shape, dtype=np.int64))
        found = np.frombuffer(self._data, dtype, count=n, offset=self._place) if n else np.zeros(0, dtype)
        self._place += n * dtype.itemsize
        return found.reshape(shape).copy()
