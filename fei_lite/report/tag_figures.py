"""Figures of the best Btags, as data URIs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.performance.working_points import B_TYPES, WORKING_POINTS, fraction
from fei_lite.plots import tags as plots
from fei_lite.report.figures import INK, OURS, SERIES, THEIRS, as_svg, new_figure, png_of
from fei_lite.report.observed import Observed
from fei_lite.report.tags import SLICES, TagsOfBType, all_events, tags_of_b_type

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EVENTS = {"B+": "$B^{+}B^{-}$", "B0": r"$B^{0}\overline{B}^{0}$"}
_TITLES = {"B+": "$B^{+}$", "B0": "$B^{0}$"}
_MARKERS = "o^s"  # of the working points
_POINTS = 40  # points of a curve that get an interval
_MIN_TAGS = 10  # a curve begins here: fewer tags know no purity


def draw_tags(numbers: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    """The figures of the best Btags of a set, and of a baseline if there is one."""
    events = all_events(observed)
    tags = {which: observed.best_tags(which) for which in observed.tags}
    b_types = {which: {b_type: tags_of_b_type(columns, b_type, events) for b_type in B_TYPES}
               for which, columns in tags.items()}
    names = {which: numbers[which]["label"] for which in tags}
    figures: dict[str, Any] = {"curve": as_svg(draw_curves(b_types, names)), "mbc": {}, "delta_e": {}}
    if "set" not in tags:
        return figures
    figures["promised"] = as_svg(draw_promised(numbers["tags"]))
    figures["sculpting"] = as_svg(draw_sculpting(tags["set"]))
    with tempfile.TemporaryDirectory() as folder:
        for point in WORKING_POINTS:
            for name, draw in (("mbc", plots.plot_mbc), ("delta_e", plots.plot_delta_e)):
                path = Path(folder) / "figure.png"
                draw(tags["set"], path, min_signal_probability=point)
                figures[name][point] = png_of(path)
    return figures


def draw_curves(b_types: Mapping[str, Mapping[str, TagsOfBType]], names: Mapping[str, str]) -> Figure:
    """Tag-side efficiency against purity, a panel per B type, with bands of 68 % and the working points."""
    figure = new_figure(len(B_TYPES), size=(5.2, 4.0))
    for axes, b_type in zip(figure.axes, B_TYPES, strict=True):
        for which, colour in (("baseline", THEIRS), ("set", OURS)):
            if which in b_types:
                _draw_curve(axes, b_types[which][b_type], colour, names[which])
        axes.set(title=_TITLES[b_type], xlabel="purity of the best Btags [%]",
                 ylabel=f"correct tags in {_EVENTS[b_type]} events [%]", xlim=(0, 100))
        axes.set_ylim(bottom=0.0)
        axes.grid(alpha=0.25, linewidth=0.5)
        if axes.get_legend_handles_labels()[0]:
            for point, marker in zip(WORKING_POINTS, _MARKERS, strict=True):
                axes.plot([], [], marker, color=INK, markersize=5, label=f"P > {point:g}")
            axes.legend(fontsize=8, frameon=False, loc="lower left")
        else:
            axes.text(0.5, 0.5, f"fewer than {_MIN_TAGS} tags", transform=axes.transAxes, ha="center", color=INK)
    return figure


def _draw_curve(axes: Axes, tag: TagsOfBType, colour: str, label: str) -> None:
    threshold, purity, efficiency = tag.curve
    tagged = np.searchsorted(-tag.probability, -threshold, side="right")
    good = np.flatnonzero(tagged >= _MIN_TAGS)
    if not len(good) or not tag.total > 0.0:
        return
    axes.plot(100 * purity[good], 100 * efficiency[good], color=colour, linewidth=1.4, label=label)
    at = np.unique(np.geomspace(good[0] + 1, good[-1] + 1, _POINTS).astype(int) - 1)
    bands = [fraction(e * tag.total, tag.total, n_effective=tag.n_total) for e in efficiency[at]]
    axes.fill_between(100 * purity[at], [100 * b.lower for b in bands], [100 * b.upper for b in bands], color=colour,
                      alpha=0.15, linewidth=0)
    for point, marker in zip(WORKING_POINTS, _MARKERS, strict=True):
        found = tag.above(point)
        if found["n_tagged"] < _MIN_TAGS:
            continue
        p, e = found["purity"], found["tag_side_efficiency"]
        axes.errorbar(
            100 * p["value"], 100 * e["value"], xerr=[[100 * (p["value"] - p["lower"])],
                                                      [100 * (p["upper"] - p["value"])]],
            yerr=[[100 * (e["value"] - e["lower"])], [100 * (e["upper"] - e["value"])]], fmt=marker, color=colour,
            markersize=5, linewidth=0.8)


def draw_promised(tags: Mapping[str, Any]) -> Figure:
    """Mean SignalProbability of the best Btags against the fraction that is right, a panel per B type."""
    figure = new_figure(len(B_TYPES), size=(4.2, 3.9))
    for axes, b_type in zip(figure.axes, B_TYPES, strict=True):
        axes.plot([1e-5, 1], [1e-5, 1], color=INK, linewidth=0.7)
        for which, colour in (("baseline", THEIRS), ("set", OURS)):
            rows = tags.get(which, {}).get(b_type, {}).get("calibration", {}).get("bins", [])
            rows = [row for row in rows if row["right"]["value"] is not None and row["promised"] > 0.0]
            x, y, low, high = (np.array([f(row) for row in rows]) for f in (
                lambda r: r["promised"], lambda r: r["right"]["value"], lambda r: r["right"]["lower"],
                lambda r: r["right"]["upper"]))
            if len(x):
                axes.errorbar(x, np.maximum(y, 1e-5), yerr=[y - low, high - y], fmt="o", color=colour, markersize=4,
                              linewidth=0.9, label={"set": "set", "baseline": "baseline"}[which])
        axes.set(xscale="log", yscale="log", xlim=(1e-4, 1.5), ylim=(1e-5, 1.5), title=_TITLES[b_type], box_aspect=1,
                 xlabel="promised: mean SignalProbability", ylabel="right: fraction of correct tags")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def draw_sculpting(tags: Mapping[str, NDArray[Any]]) -> Figure:
    """Mbc of false tags in slices of SignalProbability, each normalised to 1."""
    import mplhep

    edges = np.linspace(5.20, 5.29, 19)
    figure = new_figure(len(B_TYPES), size=(5.2, 3.6))
    for axes, (b_type, (code, _)) in zip(figure.axes, B_TYPES.items(), strict=True):
        false = (np.abs(tags["pdg"]) == code) & (tags["isSignal"] != 1)
        for low, high, colour in zip(SLICES[:-1], SLICES[1:], SERIES, strict=True):
            rows = false & (tags["SignalProbability"] > low) & (tags["SignalProbability"] <= high)
            counts, _ = np.histogram(tags["Mbc"][rows], edges, weights=tags["weight"][rows])
            squares, _ = np.histogram(tags["Mbc"][rows], edges, weights=tags["weight"][rows] ** 2)
            if counts.sum() > 0.0:
                mplhep.histplot(counts / counts.sum(), edges, ax=axes, yerr=np.sqrt(squares) / counts.sum(),
                                color=colour, linewidth=1.1, label=f"{low:g} < P < {high:g} ({rows.sum()})")
        axes.set(title=f"{_TITLES[b_type]}, false best Btags", xlabel=r"$M_{bc}$ [GeV]", ylabel="share per 5 MeV",
                 xlim=(5.20, 5.29))
        axes.set_ylim(bottom=0.0)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure
