"""A checksum per branch and basket of the ROOT files that fei-lite writes.

ROOT stores a basket that does not shrink as it is, without a checksum: a flipped bit would change a track
without a word. A hash (XXH3, 64 bits) of the numbers of every branch and basket, their bytes little-endian,
stands in the file in a JSON text of its own, and is compared whenever a basket is read. Files of earlier
versions have none and are read as before. Parquet has checksums of its own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Self

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.data_files import Strict, json_content, validated
from fei_lite.errors import EventFileError
from fei_lite.outputs import PathLike

#: Name of the text in a file.
CHECKSUMS = "fei_lite_checksums"

#: Numbers of a branch, with offsets (entries + 1) if they are lists.
Values = tuple[NDArray[np.int64] | None, NDArray[Any]]


class Checksums(Strict):
    """``edges``: entries at which baskets begin, and the end; ``sums``: per branch, one hash per basket (hexadecimal).

    ``texts``: that of every text in the file, by name.
    """

    edges: list[int] = Field(default_factory=lambda: [0])
    sums: dict[str, list[str]] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)

    def add(self, n_entries: int, branches: Mapping[str, Values]) -> None:
        """The next basket of every branch."""
        self.edges.append(self.edges[-1] + n_entries)
        for name, values in branches.items():
            self.sums.setdefault(name, []).append(_sum(*values))

    def add_text(self, name: str, text: str) -> None:
        """A text of the file."""
        self.texts[name] = xxhash.xxh3_64_hexdigest(text.encode())

    @classmethod
    def read(cls, file: Any, path: PathLike, n_entries: int) -> Self | None:
        """The checksums of an open ROOT file with a tree of so many entries; None if it has none."""
        if CHECKSUMS not in file:
            return None
        where = f"{path}: {CHECKSUMS}"
        found = validated(json_content(str(file[CHECKSUMS]), where=where, error=EventFileError), cls, where=where,
                          error=EventFileError)
        edges = found.edges
        if (not edges or edges[0] != 0 or any(a >= b for a, b in pairwise(edges)) or edges[-1] != n_entries
                or any(len(sums) != len(edges) - 1 for sums in found.sums.values())):
            raise EventFileError(f"{where}: damaged: the checksums are not those of {n_entries} entries. Copy or make "
                                 "the file again.")
        return found

    def whole(self, start: int, stop: int) -> tuple[int, int]:
        """The baskets that hold entries ``start`` to ``stop``: their first entry, and the end of the last one."""
        if stop <= start:
            return start, start
        return (self.edges[bisect_right(self.edges, start) - 1],
                self.edges[min(bisect_left(self.edges, stop), len(self.edges) - 1)])

    def check(self, path: PathLike, start: int, stop: int, branches: Mapping[str, Values]) -> None:
        """Raise :class:`EventFileError` for numbers of whole baskets ``start`` to ``stop`` that are not as written."""
        first, last = bisect_left(self.edges, start), bisect_left(self.edges, stop)
        if first == last:
            return
        for name, (offsets, values) in branches.items():
            if name not in self.sums:
                raise EventFileError(f"{path}: branch '{name}': no checksum of it in {CHECKSUMS}: damaged. Copy or "
                                     "make the file again.")
            for i in range(first, last):
                a, b = self.edges[i] - start, self.edges[i + 1] - start
                if _sum(*part(offsets, values, a, b)) != self.sums[name][i]:
                    raise EventFileError(f"{path}: branch '{name}': entries {self.edges[i]} to {self.edges[i + 1]}: "
                                         "damaged: not the numbers that were written (XXH3). Copy or make the file "
                                         "again.")

    def check_text(self, path: PathLike, name: str, text: str) -> None:
        """Raise :class:`EventFileError` for a text that is not as written."""
        if name in self.texts and self.texts[name] != xxhash.xxh3_64_hexdigest(text.encode()):
            raise EventFileError(f"{path}: {name}: damaged: not the text that was written (XXH3). Copy or make the "
                                 "file again.")

    def text(self) -> str:
        """As JSON."""
        return self.model_dump_json()


def part(offsets: NDArray[np.int64] | None, values: NDArray[Any], start: int, stop: int) -> Values:
    """Entries ``start`` to ``stop`` of a branch, offsets from 0."""
    if offsets is None:
        return None, values[start:stop]
    own = offsets[start:stop + 1]
    return own - own[:1], values[own[0]:own[-1]] if len(own) else values[:0]


def _sum(offsets: NDArray[np.int64] | None, values: NDArray[Any]) -> str:
    """The hash of the numbers; that of how many of them each entry has is its seed."""
    seed = 0 if offsets is None else xxhash.xxh3_64_intdigest(_bytes(np.diff(offsets)))
    return xxhash.xxh3_64_hexdigest(_bytes(values), seed)


def _bytes(values: NDArray[Any]) -> memoryview:
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.data.cast("B") if little.size else memoryview(b"")
