"""The manifest of a model set: what was trained, on what, with which result.

``manifest.json`` is written by :class:`~fei_lite.classifiers.writer.ModelSetWriter`
and checked here on reading, structure first, so that later code can rely on it.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator, model_validator

from fei_lite.data_files import json_content, read_text, validated
from fei_lite.errors import ModelSetError, nearest
from fei_lite.renamed import with_current_keys

MANIFEST = "manifest.json"
FORMAT = "fei-lite model set"
FORMAT_VERSION = 1

#: Where a model file may lie: in a folder of the set, no deeper and nowhere else.
_FILE = re.compile(r"(?!\.\.?/)[^/\\\0]+/(?!\.\.?$)[^/\\\0]+")

#: Keys of the manifest, of a trained and of an untrained channel, with their types.
TOP: dict[str, type | tuple[type, ...]] = {
    "format": str, "format_version": int, "name": str, "date": str, "channel_set": dict, "versions": dict,
    "seed": int, "parameters": dict, "sample": dict, "channels": dict, "untrained": dict}
TRAINED: dict[str, type | tuple[type, ...]] = {
    "stage": int, "file": str, "sha256": str, "features": list, "n_trees": int, "seed": int,
    "training": dict, "validation": (dict, type(None))}
#: The tag classifier, which sees all tag candidates of an event, and its forest for B Bbar events; a set may
#: have neither.
TAG_CLASSIFIER = {key: kind for key, kind in TRAINED.items() if key != "stage"}
UNTRAINED: dict[str, type | tuple[type, ...]] = {"stage": int, "reason": str, "features": list, "training": dict}


class _Quality(BaseModel):
    """A sample's size and its AUC."""

    n_signal: int = Field(ge=0)
    n_background: int = Field(ge=0)
    weight_signal: float | None = None
    weight_background: float | None = None
    auc: float | None = None
    auc_uncertainty: float | None = None
    log_loss: float | None = None
    calibration_error: float | None = None


class _File(BaseModel):
    """An event file of a sample."""

    name: str | None = None
    entries: int | None = None
    sha256: str | None = None
    origin: dict[str, str | int | float] = Field(default_factory=dict)

    @field_validator("origin")
    @classmethod
    def _numbers(cls, origin: dict[str, str | int | float]) -> dict[str, str | int | float]:
        for name in ("luminosity_fb", "cross_section_nb", "n_generated", "keep_uncovered"):
            if isinstance(value := origin.get(name, 0.0), str) or not math.isfinite(value):
                raise ValueError(f"{name}: got {value!r}, expected a number")
        return origin


class _Sample(BaseModel):
    """The events of a training."""

    files: list[_File] = Field(default_factory=list)
    tag_classifier: list[_File] = Field(default_factory=list)
    max_events: int | None = None


class _Origin(BaseModel):
    """Of a renewed tag classifier."""

    sample: _Sample = Field(default_factory=_Sample)


class _Entry(BaseModel):
    """What the entry of a channel holds below its keys."""

    features: list[str]
    training: _Quality
    validation: _Quality | None = None
    gain: list[float] = Field(default_factory=list)
    n_trees: int = Field(default=0, ge=0)
    calibration: dict[str, Any] | None = None
    origin: _Origin | None = None


class _Level(BaseModel):
    """A bound of the first look."""

    lost: float = Field(ge=0.0, le=1.0)
    least: float = Field(ge=0.0, lt=1.0)
    min_product: dict[str, float]


class _FirstLook(BaseModel):
    """Forests by stage, and bounds."""

    forests: dict[str, dict[str, Any]]
    levels: list[_Level] = Field(min_length=1)
    speed: int = Field(default=0, ge=0)
    origin: _Origin | None = None

    @field_validator("forests")
    @classmethod
    def _stages(cls, forests: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for stage in forests:
            if not re.fullmatch("[0-9]{1,3}", stage):
                raise ValueError(f"got {stage!r}, expected the number of a stage")
        return forests

    @model_validator(mode="after")
    def _speed_is_a_level(self) -> _FirstLook:
        if self.speed > len(self.levels):
            raise ValueError(f"speed: got {self.speed}, expected 0 to {len(self.levels)}, the number of levels")
        return self


class _Rest(BaseModel):
    """Keys of the manifest that need not be there."""

    parameters: dict[str, Any]
    search: dict[str, dict[str, Any]] = Field(default_factory=dict)
    no_tag_classifier: str | None = None
    no_tag_classifier_given_bb: str | None = None
    command: str | None = None
    first_look: _FirstLook | None = None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check ``folder/manifest.json``. Raises :class:`ModelSetError`."""
    path = folder / MANIFEST
    if not path.exists():
        raise ModelSetError(f"{path}: no such file; a model set is a folder with a {MANIFEST}.")
    content = json_content(read_text(path, error=ModelSetError), where=str(path), error=ModelSetError)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelSetError(f"{path}: format: expected '{FORMAT}'; this is another kind of file.")
    if content.get("format_version") != FORMAT_VERSION:
        raise ModelSetError(f"{path}: format_version: got {content.get('format_version')}, this fei-lite "
                            f"reads {FORMAT_VERSION}. Train the set again, or use the fei-lite that wrote it.")
    content = with_current_keys("manifest", content, str(path))
    _check_keys(content, TOP, str(path))
    content["sample"] = with_current_keys("manifest", content["sample"], f"{path}: sample")
    for key, expected in (("channels", TRAINED), ("untrained", UNTRAINED)):
        for identifier, entry in content[key].items():
            _check_keys(entry, expected, f"{path}: {key}['{identifier}']")
    for key in ("tag_classifier", "given_bb"):
        if key in content:
            _check_keys(content[key], TAG_CLASSIFIER, f"{path}: {key}")
    validated(content, _Rest, where=str(path), error=ModelSetError)
    looks = {f"first_look.forests['{stage}']": entry
             for stage, entry in (content.get("first_look") or {}).get("forests", {}).items()}
    for place, entry in looks.items():
        _check_keys(entry, TAG_CLASSIFIER, f"{path}: {place}")
    entries = {f"channels['{identifier}']": entry for identifier, entry in content["channels"].items()}
    entries |= {key: content[key] for key in ("tag_classifier", "given_bb") if key in content}
    entries |= looks
    for place, entry in entries.items():
        if not _FILE.fullmatch(entry["file"]):
            raise ModelSetError(f"{path}: {place}.file: got {entry['file'][:80]!r}, expected 'folder/name', a file in "
                                "a folder of the model set.")
    entries |= {f"untrained['{identifier}']": entry for identifier, entry in content["untrained"].items()}
    for place, entry in entries.items():
        validated(entry, _Entry, where=f"{path}: {place}", error=ModelSetError)
    validated(content["sample"], _Sample, where=f"{path}: sample", error=ModelSetError)
    both = content["channels"].keys() & content["untrained"].keys()
    if both:
        raise ModelSetError(f"{path}: both trained and untrained: {', '.join(sorted(both))}.")
    for key in ("name", "hash"):
        if not isinstance(content["channel_set"].get(key), str):
            raise ModelSetError(f"{path}: channel_set: no text '{key}'.")
    return content


def _check_keys(entry: Any, expected: dict[str, type | tuple[type, ...]], where: str) -> None:
    if not isinstance(entry, dict):
        raise ModelSetError(f"{where}: got {type(entry).__name__}, expected an object.")
    for key, kind in expected.items():
        if key not in entry:
            raise ModelSetError(f"{where}: no '{key}'.{nearest(key, entry)}")
        if not isinstance(entry[key], kind):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise ModelSetError(f"{where}: {key}: got {type(entry[key]).__name__}, expected {names}.")


def dump_manifest(content: dict[str, Any]) -> str:
    """The manifest as text, keys sorted: equal content gives equal bytes."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
