"""What a Btag file says about itself, checked on reading."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, RootModel

from fei_lite.data_files import json_content, validated
from fei_lite.errors import EventFileError
from fei_lite.outputs import PathLike
from fei_lite.tagging.table import CutFlowRows

#: Names of the metadata and of the cut-flow in a file.
METADATA, CUTFLOW = "fei_lite_metadata", "cutflow"

#: A sum of weights or of their squares: far beyond what events can have, it could not be squared.
_Sum = Annotated[float, Field(ge=-1e40, le=1e40)]


class _OfType(BaseModel):
    """Events of one type."""

    n_events: int = Field(ge=0)
    sum_of_weights: _Sum | None = None
    sum_of_squared_weights: _Sum | None = None


class _Said(BaseModel):
    """The metadata of a Btag file as far as they are read; all may be missing, other keys are free."""

    n_events: int | None = Field(default=None, ge=0)
    sum_of_weights: _Sum | None = None
    sum_of_squared_weights: _Sum | None = None
    event_types: dict[str, _OfType] | None = None
    events_digest: str | None = None
    inputs: list[str] | None = None
    channel_set: str | None = None
    models: str | None = None
    b_channels: dict[str, int] | None = None


class _CutFlow(RootModel[list[tuple[str, str, int]]]):
    """Rows of (stage, name, count)."""


def read_metadata(path: PathLike, stored: str | None) -> dict[str, Any]:
    """The metadata of a Btag file; raises :class:`EventFileError` for what is none."""
    if stored is None:
        raise EventFileError(f"{path}: not a Btag file of fei-lite: it holds no metadata.")
    where = f"{path}: {METADATA}"
    content = json_content(stored, where=f"{path}: metadata unreadable: found {stored[:80]!r}", error=EventFileError)
    validated(content, _Said, where=where, error=EventFileError)
    return dict(content)


def read_cutflow(path: PathLike, stored: str) -> CutFlowRows:
    """The cut-flow of a Parquet file."""
    where = f"{path}: {CUTFLOW}"
    rows = validated(json_content(stored, where=where, error=EventFileError), _CutFlow, where=where,
                     error=EventFileError)
    return list(rows.root)
