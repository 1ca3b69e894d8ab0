"""Btag files of different events as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fei_lite.errors import EventFileError
from fei_lite.events.same_events import DistinctFiles
from fei_lite.outputs import PathLike
from fei_lite.provenance import provenance
from fei_lite.tagging.output import TagWriter, read_tags
from fei_lite.tagging.table import BtagFile

#: What Btag files that are merged must agree in.
_ALIKE = ("channel_set_hash", "models_digest", "variables", "mappings", "conditions")
_SUMS = ("n_events", "sum_of_weights", "sum_of_squared_weights")


def merge_tags(paths: Sequence[PathLike], output: PathLike, *, force: bool = False) -> dict[str, Any]:
    """Write the Btags of several files, of the same models and of different events, to one; returns its metadata.

    ``entry`` and ``file`` count on over the files. Memory: that of the largest file. Raises :class:`EventFileError`
    if files were made with other models or conditions, are incomplete, or hold the same events.
    """
    said = [read_tags(path, columns=()).metadata for path in paths]
    _check(paths, said)
    cutflow: dict[tuple[str, str], int] = {}
    with TagWriter(output, force=force, inputs=paths) as writer:
        entries, files = 0, 0
        for path, metadata in zip(paths, said, strict=True):
            tags = read_tags(path)
            if "file" not in tags.columns:
                raise EventFileError(f"{path}: no column 'file': made by an earlier version. Reconstruct again.")
            writer.write({**tags.columns, "entry": tags.columns["entry"] + entries,  # type: ignore[operator]
                          "file": (tags.columns["file"] + files).astype("int32")})  # type: ignore[operator]
            _add(cutflow, tags)
            entries += int(metadata["n_events"])
            files += len(metadata["inputs"])
        merged = _merged(said)
        writer.finish([(stage, name, count) for (stage, name), count in cutflow.items()], merged)
    return merged


def _add(cutflow: dict[tuple[str, str], int], tags: BtagFile) -> None:
    for stage, name, count in tags.cutflow:
        cutflow[stage, name] = cutflow.get((stage, name), 0) + count


def _check(paths: Sequence[PathLike], said: Sequence[Mapping[str, Any]]) -> None:
    distinct = DistinctFiles()
    inputs: dict[str, PathLike] = {}
    digests: dict[str, PathLike] = {}
    for path, metadata in zip(paths, said, strict=True):
        distinct.add_path(path)
        for key in (*_SUMS, "event_types", "inputs"):
            if metadata.get(key) is None:
                raise EventFileError(f"{path}: the Btag file's metadata has no '{key}': it is not complete.")
        for key in _ALIKE:
            if metadata.get(key) != said[0].get(key):
                raise EventFileError(f"{path}: {key}: not that of {paths[0]}: only Btags of the same channels, models "
                                     "and conditions are one sample. Reconstruct with one set.")
        for name in metadata["inputs"]:
            if name in inputs:
                raise EventFileError(f"{path}: holds Btags of {name}, as {inputs[name]} does: its events would count "
                                     "twice. Leave one out.")
        inputs |= dict.fromkeys(metadata["inputs"], path)
        digest = str(metadata.get("events_digest") or "")
        if digest and metadata["n_events"] and digest in digests:
            raise EventFileError(f"{path}: of the same events as {digests[digest]}: they would count twice. Leave one "
                                 "out.")
        digests[digest] = path


def _merged(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The metadata of all files as those of one."""
    types: dict[str, dict[str, float]] = {}
    for metadata in said:
        for name, row in metadata["event_types"].items():
            mine = types.setdefault(name, dict.fromkeys(row, 0))
            for key, value in row.items():
                mine[key] = mine.get(key, 0) + value
    merged = {key: value for key, value in said[0].items() if key != "events_digest"}
    merged |= {key: sum(metadata[key] for metadata in said) for key in _SUMS}
    return merged | {"inputs": [name for metadata in said for name in metadata["inputs"]], "event_types": types,
                     "provenance": provenance(), "merged": [metadata.get("provenance", {}) for metadata in said]}
