"""Figures of the best Btags, as data URIs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fei_lite.performance.working_points import WORKING_POINTS
from fei_lite.plots import tags as plots
from fei_lite.plots.performance import calibration_figure, comparison_figure, sculpting_figure
from fei_lite.report.figures import OURS, THEIRS, as_svg, png_of
from fei_lite.report.tags import TagResults

_COLOURS = {"set": OURS, "baseline": THEIRS}


def draw_tags(results: TagResults, labels: Mapping[str, str]) -> dict[str, Any]:
    """The figures of the best Btags of a set, and of a baseline if there is one; ``labels`` are their names."""
    colours = [_COLOURS[which] for which in results.tags]
    sets = {b_type: {labels[which]: found for which, found in sets.items()}
            for b_type, sets in results.comparison.sets.items()}
    points = {labels[which]: found.working_points for which, found in results.evaluation.items()}
    figures: dict[str, Any] = {
        "curve": as_svg(comparison_figure(replace(results.comparison, sets=sets), working_points=points,
                                          colours=colours)),
        "mbc": {}, "delta_e": {}}
    if "set" not in results.tags:
        return figures
    figures["calibration"] = as_svg(calibration_figure(
        {labels[which]: found for which, found in results.calibration.items()}, colours=colours))
    figures["sculpting"] = as_svg(sculpting_figure(results.sculpting["set"]))
    columns = results.tags["set"].columns()
    with tempfile.TemporaryDirectory() as folder:
        for point in WORKING_POINTS:
            for name, draw in (("mbc", plots.plot_mbc), ("delta_e", plots.plot_delta_e)):
                path = Path(folder) / "figure.png"
                draw(columns, path, min_signal_probability=point)
                figures[name][point] = png_of(path)
    return figures
