"""The Btag file: all B candidates, the cut-flow and what was run, in ROOT or Parquet.

ROOT files hold the TTree ``btag`` (one row per candidate; a list column such
as ``track_index`` is a jagged branch, the decay chain a string), the TTree
``cutflow`` (stage, name, count) and the metadata as JSON. Parquet files
(suffix ``.parquet``) hold the same columns; cut-flow and metadata are JSON in
the file's key-value metadata. Files are whole or not there at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, OutputError, UnknownNameError, nearest
from fei_lite.events import parquetio
from fei_lite.events.checksums import Checksums
from fei_lite.events.files import SUFFIXES, PathLike, is_parquet
from fei_lite.events.rootio import damage_reported, flat, get_tree, open_root
from fei_lite.outputs import atomic_output, check_suffix
from fei_lite.renamed import renamed, with_current_keys
from fei_lite.tagging.file_tables import ParquetTable, RootTable, join_columns, kind_of, length_of, numbers_of
from fei_lite.tagging.metadata import CUTFLOW, METADATA, read_cutflow, read_metadata
from fei_lite.tagging.table import BtagFile, Column

TREE = "btag"
#: Candidates per basket or row group: small writes are gathered.
ROWS = 20_000


class TagWriter:
    """Writes a Btag file: columns per batch, then the cut-flow and the metadata.

    Use it as a context manager. The file appears under its name only if the
    block ends well after :meth:`finish`; an exception or a forgotten
    :meth:`finish` leaves nothing behind; none of ``inputs`` is overwritten::

        with TagWriter("btag.root") as writer:
            writer.write(columns)
            writer.finish(rows, {"n_events": 1000})

    ``tree`` is the name of the TTree; ntuples of other candidates have their own.
    """

    def __init__(self, path: PathLike, *, force: bool = False, inputs: Sequence[PathLike] = (),
                 tree: str = TREE) -> None:
        check_suffix(path, SUFFIXES)
        self.path = path
        self._tree_name = tree
        self._force, self._inputs = force, tuple(inputs)
        self._table: RootTable | ParquetTable
        self._kinds: dict[str, str] | None = None
        self._waiting: list[Mapping[str, Column]] = []
        self._finished = False
        self._session = self._writing()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with atomic_output(self.path, force=self._force, inputs=self._inputs) as temporary:
            self._table = (ParquetTable if temporary.suffix == ".parquet" else RootTable)(temporary, self._tree_name)
            try:
                yield
                if not self._finished:
                    raise RuntimeError(f"{self.path}: finish() was not called: the file would have no cut-flow.")
            except BaseException:
                with suppress(Exception):  # the first error is the one to report
                    self._table.close()
                raise

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> bool | None:
        return self._session.__exit__(kind, error, trace)

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append candidates: numbers, texts (n,) or lists (offsets, values), the same columns each time.

        Raises ValueError if a column is missing, new, of another type or of
        another length than the rest.
        """
        kinds = {name: kind_of(column) for name, column in columns.items()}
        if self._kinds is None:
            self._kinds = kinds
        if kinds != self._kinds:
            odd = sorted(set(kinds.items()) ^ set(self._kinds.items()))
            raise ValueError(f"{self.path}: the columns differ from those of the first batch: {odd}. "
                             "Run files with and without truth separately.")
        lengths = {name: length_of(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{self.path}: columns of different length: {lengths}.")
        self._waiting.append(dict(columns))
        if sum(length_of(next(iter(c.values()))) for c in self._waiting) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            names = self._waiting[0]
            self._table.write({name: join_columns([c[name] for c in self._waiting]) for name in names})
            self._waiting = []

    def finish(self, cutflow: Iterable[tuple[str, str, int]], metadata: Mapping[str, Any]) -> None:
        """Write the cut-flow rows (stage, name, count) and the metadata; nothing may follow.

        Raises :class:`OutputError` if no batch was written: the columns would be unknown.
        """
        if self._kinds is None:
            raise OutputError(f"{self.path}: not written: there was no event in the input.")
        self._flush()
        rows = [(str(stage), str(name), int(count)) for stage, name, count in cutflow]
        self._table.finish(rows, json.dumps(dict(metadata)))
        self._finished = True


def read_tags(path: str | os.PathLike[str], *, columns: Iterable[str] | None = None) -> BtagFile:
    """The columns, cut-flow and metadata of a Btag file, its format told by content.

    ``columns`` limits the columns to read (the decay chains of a long file are
    large). Texts come as object arrays of str, lists as (offsets, values).
    Raises :class:`EventFileError` for a damaged or foreign file and
    :class:`UnknownNameError` for a column that is not there.
    """
    wanted = None if columns is None else list(columns)
    found = _read_parquet(path, wanted) if is_parquet(path) else _read_root(path, wanted)
    return replace(found, columns=with_current_keys("columns", found.columns, str(path)))


def _chosen(path: PathLike, wanted: list[str] | None, present: list[str]) -> list[str]:
    """The columns to read, by their names in the file; an old file may have old names."""
    stored = {renamed("columns").get(name, name): name for name in present}
    for name in wanted or []:
        if name not in stored:
            raise UnknownNameError(f"{path}: no Btag column '{name}'.{nearest(name, stored)}")
    return present if wanted is None else [stored[name] for name in wanted]


def _texts(values: list[str]) -> NDArray[np.object_]:
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts


def _read_root(path: PathLike, wanted: list[str] | None) -> BtagFile:
    import uproot

    with open_root(path) as file, damage_reported(path, "reading what is in it"):
        tree, flow = get_tree(file, path, TREE), get_tree(file, path, CUTFLOW)
        stored = str(file[METADATA]) if METADATA in file else None
        sums = Checksums.read(file, path, int(tree.num_entries))
        if sums is not None:
            sums.check_text(path, METADATA, stored or "")
        metadata = read_metadata(path, stored)
        counters = {b.count_branch.name for b in tree.branches if b.count_branch is not None}
        names = _chosen(path, wanted, [b.name for b in tree.branches if b.name not in counters])
        columns: dict[str, Column] = {}
        with damage_reported(path, "reading the candidates"):
            for name in names:
                branch = tree[name]
                array = branch.array(library="ak", array_cache=None)
                if sums is not None:
                    sums.check(path, 0, int(tree.num_entries), {name: numbers_of(array)})
                if isinstance(branch.interpretation, uproot.AsStrings):
                    columns[name] = _texts(array.to_list())
                elif isinstance(branch.interpretation, uproot.AsJagged):
                    columns[name] = flat(array)
                else:
                    columns[name] = np.asarray(array)
            stage, step, count = (flow[n].array(library="ak").to_list() for n in ("stage", "name", "count"))
            n_btags = int(tree.num_entries)
            rows = list(zip(stage, step, count, strict=True))
            if sums is not None:
                sums.check_text(path, CUTFLOW, json.dumps(rows))
    return BtagFile(columns, rows, metadata, str(path), n_btags)


def _read_parquet(path: PathLike, wanted: list[str] | None) -> BtagFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parquetio.damage_reported(path, "reading the candidates"), \
            pq.ParquetFile(path, page_checksum_verification=True) as file:
        stored = {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items()}
        metadata = read_metadata(path, stored.get(METADATA))
        parquetio.check_unique(path, file.schema_arrow.names)
        names = _chosen(path, wanted, file.schema_arrow.names)
        n_btags = int(file.metadata.num_rows)
        table = file.read(columns=names).combine_chunks()
    columns: dict[str, Column] = {}
    with parquetio.damage_reported(path, "reading the candidates"):
        for name in names:
            chunks = table.column(name).chunks
            array = chunks[0] if chunks else pa.array([], table.column(name).type)
            if array.null_count:
                raise EventFileError(f"{path}: column '{name}' holds nulls, expected values.")
            if pa.types.is_string(array.type):
                columns[name] = _texts(array.to_pylist())
            elif pa.types.is_list(array.type):
                columns[name] = array.offsets.to_numpy().astype(np.int64), array.flatten().to_numpy()
            else:
                columns[name] = array.to_numpy(zero_copy_only=False)
    rows = read_cutflow(path, stored.get(CUTFLOW, "[]"))
    return BtagFile(columns, rows, metadata, str(path), n_btags)
