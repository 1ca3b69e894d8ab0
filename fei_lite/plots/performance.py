"""Figures of what :mod:`fei_lite.performance` found.

``draw_...`` draws numbers that were found elsewhere into a file (.png, .pdf, .svg
by suffix), whole or not at all; ``..._figure`` makes the figure. matplotlib is
imported inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fei_lite.fractions import Measured
from fei_lite.performance.best_tags import B_TYPES
from fei_lite.performance.calibration import Calibration
from fei_lite.performance.comparison import Comparison
from fei_lite.performance.reconstructible import Reconstructible, of_same_channels
from fei_lite.performance.sculpting import SIGNAL_WINDOW, Sculpting
from fei_lite.performance.working_points import WorkingPoint
from fei_lite.plots.canvas import COLOURS, INK, PathLike, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (5.2, 4.0)  # inches of a panel
_MARKERS, _FEWEST_TAGS = "o^sDv", 10  # of the working points
_SIDES = ("value", "lower", "upper")
_TITLES = {"B+": "$B^{+}$", "B0": "$B^{0}$"}


def draw_comparison(comparison: Comparison, path: PathLike, *,
                    reconstructible: Mapping[str, Mapping[str, Reconstructible]] | None = None,
                    force: bool = True) -> None:
    """Draw :func:`comparison_figure` into a file."""
    save(comparison_figure(comparison, reconstructible=reconstructible), path, force=force)


def comparison_figure(
    comparison: Comparison, *, reconstructible: Mapping[str, Mapping[str, Reconstructible]] | None = None,
    working_points: Mapping[str, Mapping[str, Sequence[WorkingPoint]]] | None = None,
    colours: Sequence[str] = COLOURS,
) -> Figure:
    """Tag-side efficiency against purity, a panel per B type, a curve per set with its 68.3 % band.

    ``reconstructible`` (name of the set, B type) stand as text in the panel of their B type;
    ``working_points`` (the same) as points on the curves.
    """
    figure = new_figure(1, max(len(comparison.sets), 1), size=_SIZE)
    for axes, (b_type, sets) in zip(figure.axes, comparison.sets.items(), strict=False):
        for colour, (name, found) in zip(colours, sets.items(), strict=False):
            _draw_curve(axes, found.curve.purity, found.curve.tag_side_efficiency, colour,
                        f"{name}: at most {_percent(found.maximum)} %")
            _draw_points(axes, (working_points or {}).get(name, {}).get(b_type, ()), colour)
        for marker, cut in zip(_MARKERS, sorted({p.min_signal_probability for of_set in (working_points or {}).values()
                                                 for p in of_set[b_type]}), strict=False):
            axes.plot([], [], marker, color=INK, markersize=5, label=f"P > {cut:g}")
        notes = [f"reconstructible ({names}): {_percent(fraction.covered)} %, inside the acceptance "
                 f"{_percent(fraction.in_acceptance)} %"
                 for names, fraction in of_same_channels(reconstructible or {}, b_type)]
        axes.text(0.03, 0.03, "\n".join(notes), transform=axes.transAxes, fontsize=7, color=INK)
        axes.set(xlabel="purity", ylabel=f"tag-side efficiency in {B_TYPES[b_type][1]} events [%]", xlim=(0, 1),
                 title=_TITLES[b_type])
        axes.set_ylim(bottom=0.0, top=1.25 * axes.get_ylim()[1])
        axes.legend(fontsize=8, loc="upper right", frameon=False)
    return figure


def _draw_points(axes: Axes, points: Sequence[WorkingPoint], colour: str) -> None:
    """Working points with their intervals, those with a few tags at least."""
    for marker, point in zip(_MARKERS, points, strict=False):
        if point.n_tagged >= _FEWEST_TAGS and point.purity is not None and point.of_own_events is not None:
            x, y = point.purity, point.of_own_events
            axes.errorbar(x.value, 100 * y.value, xerr=[[x.value - x.lower], [x.upper - x.value]],
                          yerr=[[100 * (y.value - y.lower)], [100 * (y.upper - y.value)]], fmt=marker, color=colour,
                          markersize=5, linewidth=0.8)


def _percent(measured: Measured) -> str:
    return f"{100 * measured.value:.2f}"


def _draw_curve(axes: Axes, x: list[Measured], y: list[Measured], colour: str, label: str) -> None:
    purity = np.array([m.value for m in x])
    value, lower, upper = (100 * np.array([getattr(m, side) for m in y]) for side in _SIDES)
    axes.plot(purity, value, "-", color=colour, linewidth=1.2, label=label)
    axes.fill_between(purity, lower, upper, color=colour, alpha=0.25, linewidth=0)


def draw_sculpting(sculpting: Sculpting, path: PathLike, *, force: bool = True) -> None:
    """Draw :func:`sculpting_figure` into a file."""
    save(sculpting_figure(sculpting), path, force=force)


def sculpting_figure(sculpting: Sculpting) -> Figure:
    """Mbc of the background in slices of SignalProbability, each with area 1; a panel per B type and background."""
    b_types = list(sculpting.slices)
    figure = new_figure(len(b_types), max(map(len, sculpting.slices.values())), size=(5.6, 3.6))
    panels = [(b_type, background) for b_type in b_types for background in sculpting.slices[b_type]]
    width = 1000 * float(sculpting.edges[1] - sculpting.edges[0])
    for axes, (b_type, background) in zip(figure.axes, panels, strict=True):
        for colour, part in zip(COLOURS, sculpting.slices[b_type][background]):
            total = part.histogram.sum()
            if total > 0.0:
                axes.stairs(part.histogram / total, sculpting.edges, color=colour, linewidth=1.1,
                            label=f"{part.low:g} to {part.high:g}: {part.n}" + _test(part.p_value))
        axes.axvspan(*SIGNAL_WINDOW, color=INK, alpha=0.08, linewidth=0)
        axes.set(xlabel=r"$M_{bc}$ [GeV]", ylabel=f"fraction / {width:.3g} MeV",
                 title=f"{_TITLES[b_type]}: {background}", xlim=(sculpting.edges[0], sculpting.edges[-1]))
        axes.set_ylim(bottom=0.0, top=1.45 * axes.get_ylim()[1])
        if axes.patches[:-1]:
            axes.legend(fontsize=7, title="SignalProbability", title_fontsize=7, loc="upper left", frameon=False,
                        ncols=2)
    return figure


def _test(p_value: float) -> str:
    return "" if np.isnan(p_value) else f", p = {p_value:.2g}"


def draw_calibration(groups: Mapping[str, Sequence[Calibration]], path: PathLike, *, force: bool = True) -> None:
    """Draw :func:`calibration_figure` of one set into a file."""
    save(calibration_figure({"": groups}), path, force=force)


def calibration_figure(sets: Mapping[str, Mapping[str, Sequence[Calibration]]], *,
                       colours: Sequence[str] = COLOURS) -> Figure:
    """Reliability of the best Btags: fraction that is right against SignalProbability, with 68.3 % intervals.

    ``sets``: by name of the set and group of Btags (all, B+, B0), over thresholds, of which the first is drawn; the
    calibration errors of a single set stand as text.
    """
    panels = list(dict.fromkeys(name for groups in sets.values() for name in groups))
    figure = new_figure(1, max(len(panels), 1), size=(4.2, 4.2))
    for axes, panel in zip(figure.axes, panels, strict=False):
        low = min((_lowest(groups[panel][0]) for groups in sets.values()), default=0.1)
        for colour, (name, groups) in zip(colours, sets.items(), strict=False):
            _draw_reliability(axes, groups[panel][0], low, colour=colour, label=name)
        axes.plot([low, 1.0], [low, 1.0], color=INK, linewidth=0.7)
        notes = [f"P > {c.min_signal_probability:g}: error {c.error.value:.4f}, by chance {c.from_fluctuations:.4f}"
                 for c in next(iter(sets.values()))[panel] if c.n and len(sets) == 1]
        axes.text(0.03, 0.97, "\n".join(notes), transform=axes.transAxes, va="top", fontsize=7, color=INK)
        axes.set(xscale="log", yscale="log", xlim=(low, 1.2), ylim=(low, 1.2), box_aspect=1,
                 xlabel="SignalProbability", ylabel="fraction of correct best Btags", title=_TITLES.get(panel, panel))
        if len(sets) > 1:
            axes.legend(fontsize=8, loc="upper left", frameon=False)
    return figure


def _lowest(found: Calibration) -> float:
    """Where the axes begin: the power of ten below all points, at least a millionth."""
    seen = [p for b in found.bins for p in (b.predicted, b.observed.value) if p > 0.0]
    return max(float(10.0 ** np.floor(np.log10(min(seen, default=0.1)))), 1e-6)


def _draw_reliability(axes: Axes, found: Calibration, low: float, *, colour: str, label: str) -> None:
    """Points with their intervals."""
    bins = [b for b in found.bins if b.predicted > 0.0]
    x = np.array([b.predicted for b in bins])
    value, lower, upper = (np.array([getattr(b.observed, side) for b in bins]) for side in _SIDES)
    axes.vlines(x, np.maximum(lower, low), upper, color=colour, linewidth=1.0)
    axes.plot(x[value > 0.0], value[value > 0.0], "o", color=colour, markersize=4, label=label)
