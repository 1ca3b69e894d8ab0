"""Ntuples: one row per candidate, flat columns, and what the file says about itself (Parquet)."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fei_lite.data_files import Strict, json_content, validated
from fei_lite.errors import AnalysisError
from fei_lite.events import parquetio
from fei_lite.events.files import is_parquet
from fei_lite.outputs import atomic_output

METADATA = b"fei_lite_ntuple"
#: What JSON of more than so many bytes begins with: it is compressed (zlib, base64). Sources of a production are alike.
_COMPRESSED, _LONG = b"zlib:", 8192

Columns = dict[str, NDArray[Any]]


class _Source(Strict):
    """See :class:`fei_lite.analyses.candidates.samples.Source`."""

    file: str
    process: str
    seed: int
    n_generated: int
    n_events: int
    options: dict[str, Any]


class _Part(Strict):
    """An event file that the candidates are of, and its cut-flow."""

    source: _Source
    counts: dict[str, Any]


class _Said(BaseModel):
    """What is read of the metadata; all may be missing, other keys are free."""

    analysis: str | None = None
    version: int | None = None
    models: dict[str, Any] | None = None
    sources: list[_Part] | None = Field(default=None, min_length=1)


def write_ntuple(path: str | os.PathLike[str], columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any], *,
                 force: bool = False) -> None:
    """Write columns (n,) of equal length and metadata (JSON); whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    real = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    with (atomic_output(path, force=force) as temporary,
          pq.ParquetWriter(temporary, table.schema, compression="zstd", compression_level=9,
                           use_byte_stream_split=real,  # bytes of one rank side by side: a quarter smaller
                           use_dictionary=[name for name in table.column_names if name not in real],
                           store_schema=False) as writer):  # Arrow's own would hold the metadata once more
        writer.write_table(table)
        writer.add_key_value_metadata({METADATA: _packed(json.dumps(dict(metadata)).encode())})


def read_ntuple(path: str | os.PathLike[str]) -> tuple[Columns, dict[str, Any]]:
    """Columns and metadata. Raises :class:`AnalysisError` for another kind of file."""
    import pyarrow.parquet as pq

    if not is_ntuple(path):
        raise AnalysisError(f"{path}: not an ntuple of an analysis.")
    with parquetio.damage_reported(path, "reading the candidates"):
        parquetio.check_unique(path, pq.read_schema(path).names)
        table = pq.read_table(path)
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
    where = f"{path}: {METADATA.decode()}"
    metadata = json_content(said_in(table.schema, where=where), where=where, error=AnalysisError, finite=False)
    said = validated(metadata, _Said, where=where, error=AnalysisError)
    if said.analysis is not None:  # candidates, which an analysis goes on with
        for key in ("models", "sources"):
            if key not in metadata:
                raise AnalysisError(f"{where}: no '{key}': the file is not complete. Make it again.")
        for name in ("source", "weight"):
            if name not in columns or columns[name].dtype.kind not in "iuf":
                raise AnalysisError(f"{path}: no column of numbers '{name}'. Make the file again.")
    return columns, dict(metadata)


def _packed(content: bytes) -> bytes:
    return _COMPRESSED + base64.b64encode(zlib.compress(content, 9)) if len(content) > _LONG else content


def said_in(schema: Any, *, where: str) -> bytes:
    """What an ntuple says about itself (JSON), of its Arrow schema. KeyError for a file of another kind, and
    :class:`AnalysisError`, which begins with ``where``, for what is damaged."""
    content = bytes((schema.metadata or {})[METADATA])
    if not content.startswith(_COMPRESSED):
        return content
    try:
        return zlib.decompress(base64.b64decode(content[len(_COMPRESSED):], validate=True))
    except (ValueError, zlib.error) as error:
        raise AnalysisError(f"{where}: damaged ({error}). Copy or make the file again.") from None


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
