"""What the results of an analysis were made from: versions, command, recipe, and the candidates with their sources."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.folders import PHYSICS, RECIPE, SYSTEMATICS, Analysis
from fei_lite.provenance import checksum, provenance


def made_from(analysis: Analysis, files: Sequence[Path], *, recipe: Path | None = None,
              systematics: Path | None = None) -> dict[str, Any]:
    """What results say of how they were made; ``files`` are candidates, in their order.

    ``recipe`` and ``systematics`` stand in place of the folder's. Names are without folders: the same content has the
    same bytes wherever it was made.
    """
    own = {RECIPE: recipe, SYSTEMATICS: systematics, PHYSICS: None}
    paths = {name: given or analysis.folder / name for name, given in own.items()}
    inputs, models = [], None
    for file in files:
        _, said = read_ntuple(file)
        models = said.get("models")
        inputs.append({"file": Path(file).name, "sha256": checksum(file),
                       "sources": _together([part["source"] for part in said["sources"]])})
    return {**provenance(), "analysis": {
        "name": analysis.name, **({"variant": analysis.variant} if analysis.variant else {}),
        "identity": analysis.identity,
        "files": {name: {"file": path.name, "sha256": checksum(path)} for name, path in paths.items()
                  if path.is_file()}}, "models": models, "inputs": inputs}


def _together(sources: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sources that differ in their seeds alone (the pieces of a production) as one, with its ``seeds`` and the sums.

    Each by itself stands in the candidates' file, which is named with its checksum.
    """
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        key = json.dumps([source["process"], source["options"]], sort_keys=True)
        if (one := found.get(key)) is None:
            found[key] = dict(source)
            continue
        if "seed" in one:
            one["seeds"] = [one.pop("seed")]
            del one["file"]
        one["seeds"].append(source["seed"])
        one["n_generated"] += source["n_generated"]
        one["n_events"] += source["n_events"]
    return list(found.values())
