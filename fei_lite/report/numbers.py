"""Everything that a report says, as plain data: collected once, then drawn, printed and embedded in the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.channels import count_chains
from fei_lite.performance.reconstructible import Coverage, Covered
from fei_lite.plain import as_plain
from fei_lite.report.channels import LIMIT, MIN_TRUE, channel_numbers, particle_numbers, tag_classifier_numbers
from fei_lite.report.observed import Observed
from fei_lite.report.tags import TagResults, tag_numbers
from fei_lite.report.training import Training, folder_size

FORMAT = "fei-lite report"
FORMAT_VERSION = 2


def report_numbers(
    training: Training, *, observed: Observed | None, coverage: Coverage | None, tags: TagResults | None = None,
    baseline: Training | None = None, files: Sequence[Mapping[str, Any]] = (), made_with: str = "", date: str = "",
) -> dict[str, Any]:
    """The numbers of a report: no arrays, no NaN, ready for JSON.

    ``observed`` are the counts and samples of independent events (None without
    any), ``coverage`` those of generated decays, ``tags`` the results of their best
    Btags, ``files`` the description of the event files.
    """
    chains = count_chains(training.channels)
    rows = {c.identifier: channel_numbers(training, c, observed) for c in training.channels.channels()}
    numbers: dict[str, Any] = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "made_with": made_with, "date": date,
        "set": set_numbers(training), "stages": training.stages(), "channels": rows,
        "baseline": None,
        "particles": [particle_numbers(training, config, chains[name], observed)
                      for name, config in training.channels.particles.items()],
        "coverage": None if coverage is None else coverage_numbers(coverage, chains),
        "tag_classifier": tag_classifier_numbers(training), "overtraining": overtraining(rows),
        "events": None, "tags": None if tags is None else tag_numbers(tags), "cutflow": None}
    if baseline is not None:
        theirs = numbers["baseline"] = set_numbers(baseline)
        if theirs["name"] == numbers["set"]["name"]:
            theirs["label"] = f"{theirs['name']} (baseline)"
    if observed is not None:
        numbers["events"] = event_numbers(observed, files)
        numbers["cutflow"] = [{"stage": s, "name": n, "step": step, "count": count}
                              for s, n, step, count in observed.cutflow]
    return numbers


def set_numbers(training: Training) -> dict[str, Any]:
    """What a manifest says about its set as a whole."""
    manifest = training.models.manifest
    return {
        "name": manifest["name"], "label": manifest["name"], "folder": Path(training.models.source).name,
        "date": manifest["date"], "seed": manifest["seed"], "command": manifest.get("command"),
        "versions": dict(manifest["versions"]),
        "channel_set": dict(manifest["channel_set"]), "parameters": dict(manifest["parameters"]),
        "sample": dict(manifest["sample"]), "bytes": folder_size(training.models),
        "n_channels": training.channels.n_channels, "n_trained": len(manifest["channels"]),
        "n_untrained": len(manifest["untrained"]), "n_missing": len(training.missing),
        "complete": training.complete, "last_stage": training.last_stage,
        "tags": list(training.channels.tags)}


def event_numbers(observed: Observed, files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The independent events."""
    totals = observed.totals
    return {"files": [dict(file) for file in files], "n_events": totals.n_events,
            "sum_of_weights": totals.sum_of_weights,
            "weighted": totals.sum_of_weights != totals.n_events or totals.sum_of_squared_weights != totals.n_events,
            "event_types": {name: dict(row) for name, row in totals.event_types.items()}}


def coverage_numbers(coverage: Coverage, chains: Mapping[str, int]) -> dict[str, Any]:
    """Covered branching fraction of every particle; fraction of the events with a covered B."""
    def fractions(counts: Covered) -> dict[str, Any]:
        covered, complete = counts.fractions
        return {"n": counts.all.n, "covered": as_plain(covered), "complete": as_plain(complete)}

    return {"source": coverage.source,
            "particles": [{"name": name, "chains": chains[name], **fractions(counts)}
                          for name, counts in coverage.particles.items()],
            "events": {name: fractions(counts) for name, counts in coverage.events.items()}}


def overtraining(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How many channels were judged, and which differ; the pulls have mean 0 and width 1 if all is well.

    ``by_chance``: as many are then expected beyond the limit.
    """
    result: dict[str, Any] = {"limit": LIMIT, "min_true": MIN_TRUE,
                              "flagged": sorted(name for name, row in rows.items() if row["flag"])}
    for key in ("pull_held_out", "pull"):
        pulls = [row[key] for row in rows.values() if row[key] is not None]
        result[key] = {
            "n": len(pulls), "mean": float(np.mean(pulls)) if pulls else None,
            "together": float(np.sum(pulls) / np.sqrt(len(pulls))) if pulls else None,
            "width": float(np.std(pulls, ddof=1)) if len(pulls) > 1 else None,
            "lowest": min(pulls) if pulls else None, "beyond": sum(abs(p) > LIMIT for p in pulls),
            "by_chance": len(pulls) * math.erfc(LIMIT / math.sqrt(2.0))}
    return result
