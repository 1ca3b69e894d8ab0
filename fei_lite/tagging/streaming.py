"""Columns of a Btag file in pieces: memory depends on the piece, not on the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, UnknownNameError, nearest
from fei_lite.events import parquetio
from fei_lite.events.checksums import Checksums, part
from fei_lite.events.files import PathLike, is_parquet
from fei_lite.events.rootio import damage_reported, get_tree, open_root
from fei_lite.tagging.file_tables import numbers_of
from fei_lite.tagging.output import TREE
from fei_lite.tagging.table import Column

#: Candidates of a piece: some 50 MB for ten columns.
ROWS = 500_000


def iterate_tags(path: PathLike, columns: Sequence[str], *, optional: Sequence[str] = (),
                 rows: int = ROWS) -> Iterator[dict[str, NDArray[Any]]]:
    """Pieces of at most ``rows`` candidates of a Btag file, with numeric ``columns`` (n,) by name.

    Columns of ``optional`` come where the file has them (truth is not in every
    file). Order is that of the file; an event may be cut by the end of a piece. A
    file without candidates gives one empty piece.
    Raises :class:`EventFileError` for a damaged or foreign file and
    :class:`UnknownNameError` for a column that is not there or is a list.
    """
    for piece in iterate_columns(path, columns, optional=optional, rows=rows):
        numbers = {name: values for name, values in piece.items() if not isinstance(values, tuple)}
        if len(numbers) < len(piece):
            raise UnknownNameError(f"{path}: {', '.join(set(piece) - set(numbers))}: a list per candidate; expected "
                                   "columns of numbers.")
        for name, values in numbers.items():
            if values.dtype.kind not in "iufb":
                raise EventFileError(f"{path}: column '{name}': found {values.dtype.name}, expected numbers.")
        yield numbers


def iterate_columns(path: PathLike, columns: Sequence[str], *, optional: Sequence[str] = (),
                    rows: int = ROWS) -> Iterator[dict[str, Column]]:
    """The same with lists per candidate (``track_index``), as (offsets, values)."""
    return (_pieces_parquet if is_parquet(path) else _pieces_root)(path, columns, optional, rows)


def _wanted(path: PathLike, columns: Sequence[str], optional: Sequence[str], present: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in present:
            raise UnknownNameError(f"{path}: no Btag column '{name}'.{nearest(name, present)}")
    return [*columns, *(name for name in optional if name in present)]


def _pieces_root(path: PathLike, columns: Sequence[str], optional: Sequence[str],
                 rows: int) -> Iterator[dict[str, Column]]:
    with open_root(path) as file:
        tree = get_tree(file, path, TREE)
        names = _wanted(path, columns, optional, [branch.name for branch in tree.branches])
        n_entries = int(tree.num_entries)
        sums = Checksums.read(file, path, n_entries)
        for start in range(0, max(n_entries, 1), rows):  # without candidates: one empty piece
            stop = min(start + rows, n_entries)
            first, last = (start, stop) if sums is None else sums.whole(start, stop)
            with damage_reported(path, "reading the candidates"):
                arrays = tree.arrays(names, entry_start=first, entry_stop=last, library="ak", how=dict,
                                     array_cache=None)
                found = {name: numbers_of(arrays[name]) for name in names}
                if sums is not None:
                    sums.check(path, first, last, found)
            pieces = {name: part(*values, start - first, stop - first) for name, values in found.items()}
            yield {name: values if offsets is None else (offsets, values) for name, (offsets, values) in pieces.items()}


def _pieces_parquet(path: PathLike, columns: Sequence[str], optional: Sequence[str],
                    rows: int) -> Iterator[dict[str, Column]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def column(array: Any) -> Column:
        if not pa.types.is_list(array.type):
            return np.asarray(array.to_numpy(zero_copy_only=False))
        offsets = array.offsets.to_numpy().astype(np.int64)
        return offsets - offsets[0], array.flatten().to_numpy()

    with parquetio.damage_reported(path, "reading the candidates"), \
            pq.ParquetFile(path, page_checksum_verification=True) as file:
        parquetio.check_unique(path, file.schema_arrow.names)
        names = _wanted(path, columns, optional, file.schema_arrow.names)
        pieces = file.iter_batches(batch_size=rows, columns=names) if file.metadata.num_rows else [
            pa.RecordBatch.from_arrays([pa.array([], file.schema_arrow.field(name).type) for name in names], names)]
        for piece in pieces:
            yield {name: column(piece.column(name)) for name in names}
