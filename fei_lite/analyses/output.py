"""What an analysis writes into its folder of results, but for workspace and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses import tables
from fei_lite.analyses.analysis import Result, summary
from fei_lite.analyses.candidates.ntuple import Columns, write_ntuple
from fei_lite.analyses.classifier import MANIFEST, FoldClassifier, load_classifier, save_classifier
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.recipes.columns import calculate
from fei_lite.analyses.systematics import NormalisationLine
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.provenance import provenance, write_record

#: Templates of a published workspace: region -> sample -> expected events per bin.
Published = Mapping[str, Mapping[str, Any]]


def write_results(result: Result, folder: Path, *, trained: bool, published: Published | None = None,
                  said: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None,
                  force: bool = False) -> str:
    """Write cut-flow, histograms, ntuple, classifiers and the analysis's own files; returns the tables as text.

    ``more`` are further JSON files by name (the workspace). ``said`` is how all were made (default:
    :func:`~fei_lite.provenance.provenance`): it stands in them where there is a place, and with their checksums in
    ``provenance.json``.
    With ``fit = "unbinned"`` also ``values.parquet``: the fit variable of every selected candidate in each region.
    """
    make_folder(folder)
    content, physics = summary(result) | {"provenance": dict(said or provenance())}, result.analysis.physics
    flows = {s.name: s.flow for s in result.samples}
    parts = [tables.cut_flow_table(flows), *_classifier_lines(result),
             *(f"{line}\n" for line in (() if physics.lines is None else physics.lines(result))),
             tables.samples_table(result.samples), "\n"]
    parts += [tables.yields_table(region, published=(published or {}).get(region.name)) for region in result.regions]
    text = "".join(parts)
    files: dict[str, Any] = {
        "cutflow.json": {name: [row.to_json() for row in rows] for name, rows in flows.items()},
        "histograms.json": {**content, "fit": result.recipe.fit,
                            "regions": {region.name: region.to_json() for region in result.regions}},
        **({} if physics.files is None else physics.files(result)), **(more or {})}
    for name, values in files.items():
        write_text(folder / name, json.dumps(values, indent=1) + "\n", force=force)
    write_text(folder / "cutflow.txt", text, force=force)
    write_ntuple(folder / "ntuple.parquet", result.columns | {"sample": result.sample.astype(object)}, content,
                 force=force)
    if result.recipe.fit == "unbinned":
        write_ntuple(folder / "values.parquet", fit_values(result), content | {"fit": fit_regions(result)}, force=force)
    names = [*files, "cutflow.txt", "ntuple.parquet"]
    names += ["values.parquet"] if result.recipe.fit == "unbinned" else []
    write_record(folder, names, content["provenance"], force=force)
    if trained:
        for line, used in zip(result.recipe.classifier, result.classifiers, strict=True):
            save_classifier(used, folder / "classifier" / line.name, force=force, extra={
                "samples": content["samples"], "provenance": content["provenance"], "seed": line.seed,
                "parameters": dict(line.parameters)})
    return text


def write_text(path: Path, text: str, *, force: bool) -> None:
    """Write a text, whole or not at all."""
    with atomic_output(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf-8")


def fit_values(result: Result) -> Columns:
    """The values that an unbinned fit takes: ``region``, ``sample``, ``value``, ``weight``, one row per candidate.

    Only those inside of the region's range (the first and the last of its edges).
    """
    found: dict[str, list[Any]] = {"region": [], "sample": [], "value": [], "weight": []}
    for line in result.recipe.region:
        x = np.asarray(calculate(line.variable, result.columns, f"region '{line.name}'"), dtype=np.float64)
        inside = result.in_region(line.name)
        found["region"].append(np.full(int(inside.sum()), line.name, dtype=object))
        found["sample"].append(result.sample[inside].astype(object))
        found["value"].append(x[inside])
        found["weight"].append(result.columns["event_weight"][inside])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def fit_regions(result: Result) -> dict[str, Any]:
    """What an unbinned fit needs to know of each region: range, signal, relative error of the signal's efficiency.

    ``background_floor``: what a region without any background candidate expects, the recipe's ``bin_floor`` entries of
    the process whose events weigh least; null without background events.
    """
    out = {}
    weights = [result.expectation.expected(p) / result.generated[p] for line in result.recipe.sample
               if line.strength is None for p in line.processes if p in result.generated]
    for line in result.recipe.region:
        signal = result.recipe.signal_of(line)
        sizes = [s.size for s in result.analysis.systematics
                 if isinstance(s, NormalisationLine) and signal in s.samples]
        out[line.name] = {"range": [line.edges[0], line.edges[-1]], "signal": signal, "title": line.title,
                          "variable": line.variable, "efficiency_error": float(np.sqrt(np.sum(np.square(sizes))))}
    return {"background_floor": result.recipe.bin_floor * min(weights) if weights else None,
            "luminosity_fb": result.expectation.luminosity, "signals": [s.name for s in result.recipe.signals],
            "regions": out}


def read_classifiers(folder: Path, analysis: Analysis) -> list[FoldClassifier]:
    """Trained classifiers of an analysis: FOLDER/NAME for each, or FOLDER itself if there is one only."""
    lines = analysis.recipe.classifier
    alone = len(lines) == 1 and (folder / MANIFEST).is_file()
    return [load_classifier(folder if alone else folder / line.name, line.features) for line in lines]


def _classifier_lines(result: Result) -> Sequence[str]:
    lines = [f"efficiency of {name}: {100 * s.efficiency:.3f} %\n" for name, s in
             ((line.name, result.of(line.name)) for line in result.recipe.signals
              if line.name in {s.name for s in result.samples})]
    for line, used in zip(result.recipe.classifier, result.classifiers, strict=True):
        if "left_out" in used.summary:
            lines.append(f"{line.name} is left out: {used.summary['left_out']}\n")
            continue
        lines.append(f"area under the ROC curve of {line.name}: {used.summary['auc']:.3f} +- "
                     f"{used.summary['auc_uncertainty']:.3f}\n")
    return lines
