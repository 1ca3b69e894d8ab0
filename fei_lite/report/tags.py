"""The best Btags of the independent events, of a set and a baseline: what :mod:`fei_lite.performance` says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fei_lite.performance.best_tags import B_TYPES, BestTags
from fei_lite.performance.calibration import Calibration, calibrate
from fei_lite.performance.comparison import Comparison, compare_sets
from fei_lite.performance.sculpting import Sculpting, mbc_sculpting
from fei_lite.performance.working_points import Evaluation, evaluate_tags
from fei_lite.plain import as_plain
from fei_lite.report.observed import Observed


@dataclass(frozen=True)
class TagResults:
    """Best Btags and their numbers, by ``"baseline"`` and ``"set"``, as far as they are there."""

    tags: dict[str, BestTags]
    comparison: Comparison
    evaluation: dict[str, Evaluation]
    calibration: dict[str, dict[str, list[Calibration]]]
    sculpting: dict[str, Sculpting]


def measure_tags(observed: Observed, *, seed: int) -> TagResults | None:
    """Measure the best Btags of the independent events; None if the sets make none. ``seed`` of the bootstrap."""
    present = [which for which in ("baseline", "set") if which in observed.tags]
    tags: dict[str, BestTags] = {which: observed.best_tags(which) for which in present}
    if not tags:
        return None
    rng = np.random.default_rng(seed)
    return TagResults(
        tags, compare_sets(tags, rng=rng), {which: evaluate_tags(found) for which, found in tags.items()},
        {which: calibrate(found, rng=rng) for which, found in tags.items()},
        {which: mbc_sculpting(found) for which, found in tags.items()})


def tag_numbers(results: TagResults) -> dict[str, Any]:
    """The numbers as plain data: by set and B type; with a baseline, also the ratios to it, under ``gain``.

    In the blocks ``no_cut`` and ``at_purity``, and as ``of_own_events`` of a working point, tag-side efficiencies are
    those of the B type's own events; ``no_cut`` is None and ``at_purity`` empty where there are none.
    """
    numbers: dict[str, Any] = {which: {b_type: _of_b_type(results, which, b_type) for b_type in B_TYPES}
                               for which in results.tags}
    if {"set", "baseline"} <= results.tags.keys():
        numbers["gain"] = {}
        for b_type, sets in results.comparison.sets.items():
            found = sets["set"]
            numbers["gain"][b_type] = {str(at.purity): as_plain(at.ratio) for at in found.at_purity} | {
                "no_cut": as_plain(found.maximum_ratio)}
    return numbers


def _of_b_type(results: TagResults, which: str, b_type: str) -> dict[str, Any]:
    found = results.comparison.sets.get(b_type, {}).get(which)
    return {
        "working_points": as_plain(results.evaluation[which].working_points[b_type]),
        "no_cut": None if found is None else {
            "n_tagged": found.n_tagged, "n_correct": found.n_correct,
            "tag_side_efficiency": as_plain(found.maximum), "purity": as_plain(found.purity)},
        "at_purity": {} if found is None else {
            str(at.purity): as_plain({"min_signal_probability": at.threshold,
                                      "tag_side_efficiency": at.tag_side_efficiency}) for at in found.at_purity},
        "calibration": as_plain(results.calibration[which].get(b_type, [])),
        "sculpting": as_plain({name: [{key: value for key, value in vars(part).items() if key != "histogram"}
                                      for part in slices]
                               for name, slices in results.sculpting[which].slices[b_type].items()})}
