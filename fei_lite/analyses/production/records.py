"""What a production and its pieces say of themselves, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fei_lite.data_files import json_content, read_text, validated
from fei_lite.errors import AnalysisError

#: Fraction of a process's events, at most, that the first selections make which do not count.
_EARLY = 0.1

_Seconds = Annotated[float, Field(ge=0.0)]


class _Loose(BaseModel):
    """What has to be there; more may be."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Selection(_Loose):
    name: str = Field(pattern=r"^[a-z]+_[0-9]{1,6}$")
    digest: str


class _Record(_Loose):
    """The record of a piece."""

    process: str = Field(pattern=r"^\w+$")
    seed: int = Field(ge=0)
    n_generated: int = Field(gt=0)
    luminosity_fb: Annotated[float, Field(gt=0.0)] | None
    selection: _Selection | None
    guide: bool = False
    seconds: dict[str, _Seconds]
    analyses: dict[str, dict[str, Any]]


class _Manifest(_Loose):
    """What all pieces have in common."""

    fei_lite_version: str
    settings: str
    settings_digest: str


class _Trials(_Loose):
    """The record of trials of single B's."""

    seconds: dict[str, _Seconds]


class _Costs(_Loose):
    """Processor seconds per event."""

    seconds: dict[str, Annotated[float, Field(gt=0.0)]]


def _read(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    content = json_content(read_text(path, error=AnalysisError), where=str(path), error=AnalysisError)
    validated(content, model, where=str(path), error=AnalysisError)
    return dict(content)


def read_record(path: Path) -> dict[str, Any]:
    """What a piece says of itself; raises :class:`AnalysisError` for a file that no piece wrote."""
    return _read(path, _Record)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What all pieces of a production have in common; raises :class:`AnalysisError`."""
    return _read(folder / "manifest.json", _Manifest)


def read_trials(folder: Path) -> list[dict[str, Any]]:
    """What the trials of single B's say of themselves; raises :class:`AnalysisError`."""
    return [_read(path, _Trials) for path in sorted((folder / "trials").glob("[!.]*.json"))]


def read_costs(path: Path) -> dict[str, float]:
    """Processor seconds per event by process; none where there is no file. Raises :class:`AnalysisError`."""
    if not path.exists():
        return {}
    content = json_content(read_text(path, error=AnalysisError), where=str(path), error=AnalysisError)
    return dict(validated({"seconds": content}, _Costs, where=str(path), error=AnalysisError).seconds)


def records_of(folder: Path) -> list[dict[str, Any]]:
    """What the pieces of a folder say of themselves; not what is just being written (hidden until it is whole)."""
    return [read_record(path) for path in sorted((folder / "pieces").glob("[!.]*.json"))]


def counted(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of pieces that count: no guides (:mod:`fei_lite.analyses.production.goals`), and of each process the
    :func:`late` ones."""
    return late([record for record in records if not record.get("guide")])


def of_analyses(records: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Records of the pieces that were made for all of some analyses, without what they say of others.

    >>> of_analyses([{"analyses": {"a": 1, "b": 2}}, {"analyses": {"b": 3}}], ["a"])
    [{'analyses': {'a': 1}}]
    """
    return [record | {"analyses": {name: record["analyses"][name] for name in names}} for record in records
            if {*names} <= record["analyses"].keys()]


def late(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without those of the first selections of their process, as many of these as made a tenth of its events.

    Before much was learned weights are large: few such pieces would make most of the error of all (those of the first
    two or three selections; later ones are worth nearly as much as the last). They are left out whatever was found in
    them. What was made before anything was learned is, as soon as there is something later.
    """
    made: dict[str, dict[int, int]] = {}
    for record in records:
        if (number := selection_number(record)) > 0:
            of = made.setdefault(record["process"], {})
            of[number] = of.get(number, 0) + record["n_generated"]
    first = {process: _first_late(of) for process, of in made.items()}
    return [record for record in records
            if record["selection"] is None or selection_number(record) >= first.get(record["process"], 0)]


def _first_late(made: dict[int, int]) -> int:
    """The number of the first selection that counts, from the events that were made with each."""
    early, every = 0, sum(made.values())
    for number in sorted(made):
        early += made[number]
        if early > _EARLY * every:
            return number
    raise AssertionError("no events were made")


def selection_number(record: dict[str, Any]) -> int:
    """The number of a record's selection; 0 without one."""
    return 0 if record["selection"] is None else int(record["selection"]["name"].split("_")[1])
