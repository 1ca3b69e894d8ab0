"""Ntuples: one row per candidate, flat columns, and what the file says about itself (Parquet)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import AnalysisError
from fei_lite.events import parquetio
from fei_lite.events.files import is_parquet
from fei_lite.outputs import atomic_output

METADATA = b"fei_lite_ntuple"

Columns = dict[str, NDArray[Any]]


def write_ntuple(path: str | os.PathLike[str], columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any], *,
                 force: bool = False) -> None:
    """Write columns (n,) of equal length and metadata (JSON); whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    table = table.replace_schema_metadata({METADATA: json.dumps(dict(metadata)).encode()})
    with atomic_output(path, force=force) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_ntuple(path: str | os.PathLike[str]) -> tuple[Columns, dict[str, Any]]:
    """Columns and metadata. Raises :class:`AnalysisError` for another kind of file."""
    import pyarrow.parquet as pq

    if not is_ntuple(path):
        raise AnalysisError(f"{path}: not an ntuple of an analysis.")
    with parquetio.damage_reported(path, "reading the candidates"):
        table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[METADATA])
    return {name: table.column(name).to_numpy() for name in table.column_names}, dict(metadata)


def is_ntuple(path: str | os.PathLike[str]) -> bool:
    """Whether the file is an ntuple, from its content."""
    import pyarrow.parquet as pq

    if not is_parquet(path):
        return False
    with parquetio.damage_reported(path, "reading what it says about itself"):
        return METADATA in (pq.read_schema(path).metadata or {})


def joined(parts: list[Columns]) -> Columns:
    """The candidates of all parts; columns that only some have are dropped."""
    names = [name for name in parts[0] if all(name in part for part in parts)] if parts else []
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
