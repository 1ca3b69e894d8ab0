"""The manifest of a model set: what was trained, on what, with which result.

``manifest.json`` is written by :class:`~fei_lite.classifiers.writer.ModelSetWriter`
and checked here on reading, structure first, so that later code can rely on it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fei_lite.data_files import json_content, read_text
from fei_lite.errors import ModelSetError, nearest
from fei_lite.renamed import with_current_keys

MANIFEST = "manifest.json"
FORMAT = "fei-lite model set"
FORMAT_VERSION = 1

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
