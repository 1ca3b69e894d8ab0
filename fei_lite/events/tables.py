"""Tables of other people's files, ROOT or Parquet: any branch of numbers, by name and range of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, nearest
from fei_lite.events import parquetio
from fei_lite.events.batch import offsets_of
from fei_lite.events.checksums import Values
from fei_lite.events.rootio import damage_reported, get_tree, open_root
from fei_lite.outputs import PathLike

_DIMENSIONS = re.compile(r"\[\d*\]")


class Table(Protocol):
    """A table of an open file."""

    n_rows: int
    names: tuple[str, ...]

    def read(self, name: str, start: int, stop: int) -> Values:
        """(offsets, values) of rows ``start`` to ``stop``; offsets None where a row has one value."""


def _decoded(path: PathLike, name: str, array: Any) -> Values:
    import awkward as ak

    layout = array.layout
    try:
        if layout.purelist_depth == 1 or not (layout.is_list and not layout.is_regular):
            return None, np.asarray(ak.to_numpy(array, allow_missing=False))
        lists = layout.to_ListOffsetArray64(True)
        offsets = np.asarray(lists.offsets.data)
        return offsets, np.asarray(ak.to_numpy(ak.Array(lists.content[:offsets[-1]]), allow_missing=False))
    except (ValueError, TypeError):
        raise EventFileError(f"{path}: '{name}': found {array.type.content}, expected a number, or a list of numbers, "
                             "without gaps.") from None


class RootTable:
    """A TTree. Branches go by their last name (``Tracks.chi2``), without fixed dimensions."""

    def __init__(self, path: PathLike, tree: Any) -> None:
        self._path, self.n_rows = path, int(tree.num_entries)
        with damage_reported(path, "listing its branches"):
            self._branches = {_DIMENSIONS.sub("", b.name): b for b in tree.itervalues(recursive=True)}
        self.names = tuple(self._branches)

    def read(self, name: str, start: int, stop: int) -> Values:
        """See :class:`Table`."""
        with damage_reported(self._path, f"reading '{name}', rows {start} to {stop}"):
            array = self._branches[name].array(entry_start=start, entry_stop=stop, library="ak", array_cache=None)
        return _decoded(self._path, name, array)


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: PathLike, file: Any) -> None:
        self._path, self._file = path, file
        parquetio.check_unique(path, file.schema_arrow.names)
        self.n_rows, self.names = int(file.metadata.num_rows), tuple(file.schema_arrow.names)
        self._edges = offsets_of([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])

    def read(self, name: str, start: int, stop: int) -> Values:
        """See :class:`Table`."""
        import awkward as ak

        groups = np.flatnonzero((self._edges[:-1] < stop) & (self._edges[1:] > start))
        with parquetio.damage_reported(self._path, f"reading '{name}', rows {start} to {stop}"):
            column = self._file.read_row_groups(groups.tolist(), columns=[name], use_threads=False).column(name)
            first = int(self._edges[groups[0]]) if len(groups) else 0
            column = column.slice(start - first, stop - start)
            if column.null_count == 0 and hasattr(column, "combine_chunks"):
                array = ak.drop_none(ak.from_arrow(column)) if len(column) else ak.Array(np.zeros(0))
                return _decoded(self._path, name, array)
        raise EventFileError(f"{self._path}: column '{name}' holds nulls, expected numbers.")


@contextmanager
def tables_of(path: PathLike, trees: Sequence[str]) -> Iterator[dict[str, Table]]:
    """The trees of a file, open; a Parquet file is its one table under every name."""
    from fei_lite.events.files import is_parquet

    if is_parquet(path):
        with parquetio.open_parquet(path) as file:
            table = ParquetTable(path, file)
            yield {name: table for name in trees}
        return
    with open_root(path) as file:
        yield {name: RootTable(path, get_tree(file, path, name)) for name in trees}


def find(path: PathLike, table: Table, names: Sequence[str], where: str) -> str:
    """The first of ``names`` that the table has; raises :class:`EventFileError`."""
    for name in names:
        if name in table.names:
            return name
    raise EventFileError(f"{path}: {where}: no branch {' or '.join(map(repr, names))}."
                         f"{nearest(names[0], table.names)}")


def flat_values(path: PathLike, table: Table, name: str, start: int, stop: int) -> NDArray[Any]:
    """One number a row; raises :class:`EventFileError` for lists."""
    offsets, values = table.read(name, start, stop)
    if offsets is not None or values.ndim != 1:
        raise EventFileError(f"{path}: '{name}': found a list a row, expected one number a row.")
    return values
