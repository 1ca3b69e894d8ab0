"""Parquet files of events through pyarrow: the same branches as in ROOT, as columns of (lists of) numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, FeiLiteError
from fei_lite.events.batch import offsets_of
from fei_lite.events.layout import Branch, branches
from fei_lite.events.remote import is_url, open_remote

METADATA = b"fei_lite_metadata"
Kind = tuple[bool, np.dtype]


@contextmanager
def damage_reported(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """Turn pyarrow's errors on damaged bytes into an :class:`EventFileError`."""
    import pyarrow as pa

    try:
        yield
    except FeiLiteError:
        raise
    except FileNotFoundError:
        raise EventFileError(f"{path}: no such file.") from None
    except MemoryError:
        raise EventFileError(f"{path}: {doing} asked for more memory than there is: the file is damaged, or the "
                             "batches are too large.") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        detail = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise EventFileError(f"{path}: damaged, truncated or not Parquet: {doing} failed ({detail}). "
                             "Copy or make the file again.") from error


def open_parquet(path: str | os.PathLike[str]) -> Any:
    """pyarrow's handle of a file or URL, pages checked on reading."""
    import pyarrow.parquet as pq

    with damage_reported(path, "opening it"):
        # a path that is handed over is closed with the handle; an open file must be told so
        source = open_remote(os.fspath(path)) if is_url(path) else os.fspath(path)
        return pq.ParquetFile(source, page_checksum_verification=True)


class ParquetSink:
    """Writes batches of branch arrays; each call of :meth:`write` becomes one row group."""

    def __init__(self, path: Path, lists: tuple[str, ...], metadata: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [pa.field(b.name, pa.from_numpy_dtype(b.dtype)) for b in branches("events")]
        fields += [pa.field(b.name, pa.list_(pa.from_numpy_dtype(b.dtype)))
                   for name in lists for b in branches(name)]
        self._schema = pa.schema(fields, metadata={METADATA: metadata.encode()})
        self._writer = pq.ParquetWriter(path, self._schema, compression="lz4", use_dictionary=False,
                                       write_page_checksum=True)

    def write(self, events: dict[str, NDArray[Any]],
              lists: dict[str, tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]) -> None:
        """Append events: event-level branches and, per list, offsets and branches."""
        import pyarrow as pa

        arrays: dict[str, Any] = {name: pa.array(values) for name, values in events.items()}
        for offsets, columns in lists.values():
            starts = pa.array(offsets.astype(np.int32))
            arrays |= {name: pa.ListArray.from_arrays(starts, pa.array(values)) for name, values in columns.items()}
        table = pa.table([arrays[name] for name in self._schema.names], schema=self._schema)
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def check_unique(path: str | os.PathLike[str], names: Sequence[str]) -> None:
    """Raise :class:`EventFileError` for a column that a file has twice: either could be meant."""
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise EventFileError(f"{path}: the column{'s' if len(twice) > 1 else ''} {', '.join(twice[:5])} stand"
                             f"{'' if len(twice) > 1 else 's'} twice in it. Make the file again.")


def _kind(arrow_type: Any) -> Kind | None:
    import pyarrow as pa

    jagged = pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type)
    number = arrow_type.value_type if jagged else arrow_type
    if not (pa.types.is_integer(number) or pa.types.is_floating(number)):
        return None
    return jagged, np.dtype(number.to_pandas_dtype())


class ParquetSource:
    """An open Parquet file of events: kinds of columns and entry ranges of them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._file = open_parquet(path)
        with damage_reported(path, "opening it"):
            arrow = self._file.schema_arrow
            check_unique(path, arrow.names)
            self.n_events = self._file.metadata.num_rows
            self.kinds = {field.name: _kind(field.type) for field in arrow}
            self.type_names = {field.name: str(field.type) for field in arrow}
            stored = (arrow.metadata or {}).get(METADATA)
            self.metadata = None if stored is None else stored.decode()
            rows = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._edges = offsets_of(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close(force=True)

    def read(self, wanted: tuple[Branch, ...], start: int, stop: int
             ) -> dict[str, tuple[NDArray[np.int64] | None, NDArray[Any]]]:
        """(offsets, values) of each column for entries ``start`` to ``stop``; offsets None if not jagged."""
        groups = np.flatnonzero((self._edges[:-1] < stop) & (self._edges[1:] > start))
        with damage_reported(self.path, f"reading entries {start} to {stop}"):
            table = self._file.read_row_groups(groups.tolist(), columns=[b.name for b in wanted], use_threads=False)
        first = int(self._edges[groups[0]]) if len(groups) else 0
        table = table.slice(start - first, stop - start)
        return {b.name: self._flat(table.column(b.name), b) for b in wanted}

    def _flat(self, column: Any, branch: Branch) -> tuple[NDArray[np.int64] | None, NDArray[Any]]:
        array = column.combine_chunks()
        chunks = array.chunks if hasattr(array, "chunks") else [array]  # pyarrow gives either
        array = chunks[0] if chunks else column.type.wrap_array([])
        if array.null_count or (branch.list != "events" and array.flatten().null_count):
            raise EventFileError(f"{self.path}: column '{branch.name}' holds nulls, expected numbers.")
        if branch.list == "events":
            return None, array.to_numpy(zero_copy_only=False)
        offsets = np.asarray(array.offsets).astype(np.int64)
        return offsets - offsets[0], array.flatten().to_numpy(zero_copy_only=False)
