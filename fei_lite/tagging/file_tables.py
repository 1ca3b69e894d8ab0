"""Columns of a Btag file as tables of ROOT and Parquet files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.events import offsets_of
from fei_lite.events.checksums import CHECKSUMS, Checksums, Values
from fei_lite.events.rootio import flat
from fei_lite.tagging.metadata import CUTFLOW, METADATA
from fei_lite.tagging.table import Column, CutFlowRows


def is_text(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "UOT"


def kind_of(column: Column) -> str:
    """Type of a column in words: ``float64``, ``text``, ``list of int32``."""
    if isinstance(column, tuple):
        return f"list of {column[1].dtype.newbyteorder('=')}"
    return "text" if is_text(column) else str(column.dtype.newbyteorder("="))


def length_of(column: Column) -> int:
    return len(column[0]) - 1 if isinstance(column, tuple) else len(column)


def join_columns(parts: list[Column]) -> Column:
    if not isinstance(parts[0], tuple):
        return np.concatenate(parts)
    counts = np.concatenate([np.diff(p[0]) for p in parts])
    offsets = offsets_of(counts)
    return offsets, np.concatenate([p[1] for p in parts])


def numbers_of(array: Any) -> Values:
    """(offsets, numbers) of a column as ROOT stores it, for its checksum; texts are lists of bytes."""
    layout = getattr(array, "layout", None)
    return (None, np.asarray(array)) if layout is None or (layout.purelist_depth == 1 and not layout.is_list) else flat(
        array)


#: What basf2 writes for characters that a ROOT branch cannot have.
_ROOT_NAMES = {" ": "__sp", ",": "__cm", ":": "__cl", "=": "__eq", "<": "__st", ">": "__gt", ".": "__pt", "+": "__pl",
               "-": "__mi", "(": "__bo", ")": "__bc", "[": "__so", "]": "__sc", "^": "__ha", "!": "__em", "*": "__mu",
               "/": "__sl", "|": "__pi", "&": "__am"}


def root_name(name: str) -> str:
    """Name of a branch for a variable, as basf2's makeROOTCompatible gives it.

    >>> root_name("daughter(0,kaonID)")
    'daughter__bo0__cmkaonID__bc'
    """
    return "".join(_ROOT_NAMES.get(character, character) for character in name)


class RootTable:
    def __init__(self, path: Path, tree: str) -> None:
        import uproot

        self._name = tree
        self._file = uproot.recreate(path, compression=uproot.LZ4(1))
        self._tree: Any = None
        self._checksums = Checksums(edges=[0], sums={}, texts={})

    @staticmethod
    def _awkward(column: Column) -> Any:
        import awkward as ak

        if isinstance(column, tuple):
            content = ak.contents.NumpyArray(np.ascontiguousarray(column[1]))
            return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(np.asarray(column[0], np.int64)), content))
        if not is_text(column):
            return np.ascontiguousarray(column)
        encoded = [str(text).encode() for text in column]
        offsets = offsets_of([len(text) for text in encoded])
        content = ak.contents.NumpyArray(np.frombuffer(b"".join(encoded), np.uint8), parameters={"__array__": "char"})
        return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), content,
                                                    parameters={"__array__": "string"}))

    def write(self, columns: Mapping[str, Column]) -> None:
        arrays = {root_name(name): self._awkward(column) for name, column in columns.items()}
        if self._tree is None:
            types = {n: a.dtype if isinstance(a, np.ndarray) else a.type.content for n, a in arrays.items()}
            self._tree = self._file.mktree(self._name, types, title="candidates, sorted by event and rank")
        self._tree.extend(arrays)
        first = next(iter(columns.values()))
        if length_of(first):
            self._checksums.add(length_of(first), {name: numbers_of(array) for name, array in arrays.items()})

    def finish(self, cutflow: CutFlowRows, metadata: str) -> None:
        stage, name, count = zip(*cutflow, strict=True) if cutflow else ((), (), ())
        columns = {"stage": self._awkward(np.array(stage, dtype=object)),
                   "name": self._awkward(np.array(name, dtype=object)), "count": np.array(count, dtype=np.int64)}
        types = {n: a.dtype if isinstance(a, np.ndarray) else a.type.content for n, a in columns.items()}
        self._file.mktree(CUTFLOW, types, title="candidates and events after each step").extend(columns)
        self._file[METADATA] = metadata
        self._checksums.add_text(METADATA, metadata)
        self._checksums.add_text(CUTFLOW, json.dumps(cutflow))
        self._file[CHECKSUMS] = self._checksums.text()
        self._file.close()

    def close(self) -> None:
        self._file.close()


class ParquetTable:
    def __init__(self, path: Path, _: str) -> None:
        self._path = path
        self._writer: Any = None

    @staticmethod
    def _arrow(column: Column) -> Any:
        import pyarrow as pa

        if isinstance(column, tuple):
            return pa.ListArray.from_arrays(pa.array(np.asarray(column[0], np.int32)), pa.array(column[1]))
        return pa.array([str(text) for text in column], pa.string()) if is_text(column) else pa.array(column)

    def write(self, columns: Mapping[str, Column]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({name: self._arrow(column) for name, column in columns.items()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd", write_page_checksum=True)
        self._writer.write_table(table)

    def finish(self, cutflow: CutFlowRows, metadata: str) -> None:
        assert self._writer is not None
        self._writer.add_key_value_metadata({METADATA: metadata, CUTFLOW: json.dumps(cutflow)})
        self._writer.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
