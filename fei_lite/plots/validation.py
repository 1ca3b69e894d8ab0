"""Figures of what :mod:`fei_lite.performance` and :mod:`fei_lite.corrections` found.

Each function draws numbers that were found elsewhere into a file (.png, .pdf, .svg
by suffix), whole or not at all. matplotlib is imported inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fei_lite.corrections.factors import CorrectionFactors
from fei_lite.corrections.yields import Yields
from fei_lite.performance.calibration import Calibration
from fei_lite.performance.efficiency import Comparison
from fei_lite.performance.reconstructible import Reconstructible, of_same_channels
from fei_lite.performance.sculpting import SIGNAL_WINDOW, Sculpting
from fei_lite.performance.working_points import Measured
from fei_lite.plots.canvas import COLOURS, INK, PathLike, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (5.2, 4.0)  # inches of a panel
_SIDES = ("value", "lower", "upper")
_TITLES = {"B+": "$B^{+}$", "B0": "$B^{0}$"}


def draw_comparison(comparison: Comparison, path: PathLike, *,
                    reconstructible: Mapping[str, Mapping[str, Reconstructible]] | None = None,
                    force: bool = True) -> None:
    """Tag-side efficiency against purity, a panel per B type, a curve per set with its 68.3 % band.

    ``reconstructible`` (name of the set, b_type) stand as text in the panel of their b_type.
    """
    figure = new_figure(1, len(comparison.sets), size=_SIZE)
    for axes, (b_type, sets) in zip(figure.axes, comparison.sets.items(), strict=True):
        for colour, (name, found) in zip(COLOURS, sets.items()):
            _draw_curve(axes, found.curve.purity, found.curve.efficiency, colour,
                        f"{name}: at most {_percent(found.maximum)} %")
        notes = [f"reconstructible ({names}): {_percent(fraction.covered)} %, inside the acceptance "
                 f"{_percent(fraction.in_acceptance)} %"
                 for names, fraction in of_same_channels(reconstructible or {}, b_type)]
        axes.text(0.03, 0.03, "\n".join(notes), transform=axes.transAxes, fontsize=7, color=INK)
        axes.set(xlabel="purity", ylabel="tag-side efficiency [%]", xlim=(0, 1), title=_TITLES[b_type])
        axes.set_ylim(bottom=0.0, top=1.25 * axes.get_ylim()[1])
        axes.legend(fontsize=8, loc="upper right", frameon=False)
    save(figure, path, force=force)


def _percent(measured: Measured) -> str:
    return f"{100 * measured.value:.2f}"


def _draw_curve(axes: Axes, x: list[Measured], y: list[Measured], colour: str, label: str) -> None:
    purity = np.array([m.value for m in x])
    value, lower, upper = (100 * np.array([getattr(m, side) for m in y]) for side in _SIDES)
    axes.plot(purity, value, "-", color=colour, linewidth=1.2, label=label)
    axes.fill_between(purity, lower, upper, color=colour, alpha=0.25, linewidth=0)


def draw_sculpting(sculpting: Sculpting, path: PathLike, *, force: bool = True) -> None:
    """Mbc of the background in slices of SignalProbability, each with area 1; a panel per B type and background."""
    b_types = list(sculpting.slices)
    figure = new_figure(len(b_types), 2, size=(5.6, 3.6))
    panels = [(b_type, background) for b_type in b_types for background in sculpting.slices[b_type]]
    width = 1000 * float(sculpting.edges[1] - sculpting.edges[0])
    for axes, (b_type, background) in zip(figure.axes, panels, strict=True):
        for colour, part in zip(COLOURS, sculpting.slices[b_type][background]):
            total = part.histogram.sum()
            if total > 0.0:
                axes.stairs(part.histogram / total, sculpting.edges, color=colour, linewidth=1.1,
                            label=f"{part.low:g} to {part.high:g}: {part.n}" + _test(part.p_value))
        axes.axvspan(*SIGNAL_WINDOW, color=INK, alpha=0.08, linewidth=0)
        axes.set(xlabel=r"$M_{bc}$ [GeV]", ylabel=f"share / {width:.3g} MeV", title=f"{_TITLES[b_type]}: {background}",
                 xlim=(sculpting.edges[0], sculpting.edges[-1]))
        axes.set_ylim(bottom=0.0, top=1.45 * axes.get_ylim()[1])
        if axes.patches[:-1]:
            axes.legend(fontsize=7, title="SignalProbability", title_fontsize=7, loc="upper left", frameon=False,
                        ncols=2)
    save(figure, path, force=force)


def _test(p_value: float) -> str:
    return "" if np.isnan(p_value) else f", p = {p_value:.2g}"


def draw_calibration(groups: Mapping[str, list[Calibration]], path: PathLike, *, force: bool = True) -> None:
    """Reliability of the best Btags: share that is right against SignalProbability, with 68.3 % intervals."""
    figure = new_figure(1, len(groups), size=(4.2, 4.2))
    for axes, (name, found) in zip(figure.axes, groups.items(), strict=True):
        bins = [b for b in found[0].bins if b.predicted > 0.0]
        x = np.array([b.predicted for b in bins])
        value, lower, upper = (np.array([getattr(b.observed, side) for b in bins]) for side in _SIDES)
        low = max(10.0 ** np.floor(np.log10(min([*x, *value[value > 0.0]], default=0.1))), 1e-6)
        axes.plot([low, 1.0], [low, 1.0], color=INK, linewidth=0.7)
        axes.vlines(x, np.maximum(lower, low), upper, color=COLOURS[0], linewidth=1.0)
        axes.plot(x[value > 0.0], value[value > 0.0], "o", color=COLOURS[0], markersize=4)
        notes = [f"P > {c.min_signal_probability:g}: error {c.error.value:.4f}, by chance {c.from_fluctuations:.4f}"
                 for c in found if c.n]
        axes.text(0.03, 0.97, "\n".join(notes), transform=axes.transAxes, va="top", fontsize=7, color=INK)
        axes.set(xscale="log", yscale="log", xlim=(low, 1.2), ylim=(low, 1.2), box_aspect=1,
                 xlabel="SignalProbability", ylabel="share of correct best Btags", title=_TITLES.get(name, name))
    save(figure, path, force=force)


def draw_corrections(found: CorrectionFactors, path: PathLike, *, names: Mapping[str, str] | None = None,
                     force: bool = True) -> None:
    """The factors with their errors, then a panel per mode: Mbc of the data with the fit.

    ``names``: text of a mode by ``"B+ 3"``. Data points have Poisson errors.
    """
    from matplotlib.figure import Figure

    assert found.fits is not None, "factors read from a file have no fits"
    labels = [mode_label(mode.b_type, mode.modes, names or {}) for mode in found.modes]
    rows = -(-len(labels) // 4)
    figure = Figure(figsize=(16.0, 4.0 + 2.9 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, 4, height_ratios=[4.0, *[2.9] * rows])
    _draw_factors(figure.add_subplot(grid[0, :]), found, labels)
    for i, label in enumerate(labels):
        axes = figure.add_subplot(grid[1 + i // 4, i % 4])
        _draw_mode(axes, found.fits[0], i)
        axes.set_title(f"{label}\n{found.factors[i]:.2f} $\\pm$ {found.modes[i].error:.2f}", fontsize=7)
    save(figure, path, force=force)


def _draw_factors(axes: Axes, found: CorrectionFactors, labels: list[str]) -> None:
    """Factors with their statistical errors, and with all in a broader bar."""
    x = np.arange(len(labels))
    statistical = np.sqrt(np.diag(found.parts["data"] + found.parts["simulation"]))
    axes.axhline(1.0, color=INK, linewidth=0.7)
    axes.errorbar(x, found.factors, np.sqrt(np.diag(found.covariance)), fmt="none", color=COLOURS[5], elinewidth=5)
    axes.errorbar(x, found.factors, statistical, fmt="o", color=COLOURS[0], markersize=4)
    axes.set_xticks(x, labels, rotation=20, ha="right", fontsize=7)
    axes.set_ylabel("data / simulation")


def _draw_mode(axes: Axes, fit: Yields, i: int) -> None:
    """Mbc of one row, the fit, and its background."""
    edges, n = fit.problem.edges, fit.problem.counts[i]
    peak, _, _ = fit.problem.model.bins(edges, fit.problem.shapes, shift=fit.position[0], width=fit.position[1])
    axes.stairs(fit.expected[i], edges, color=COLOURS[0], linewidth=1.1)
    axes.stairs(fit.expected[i] - fit.signal[i] * peak[i], edges, color=COLOURS[1], linewidth=1.1)
    axes.errorbar(0.5 * (edges[1:] + edges[:-1]), n, np.sqrt(n), fmt="o", color=INK, markersize=2, elinewidth=0.6)
    axes.set(xlim=(edges[0], edges[-1]), xlabel=r"$M_{bc}$ [GeV]")
    axes.set_ylim(bottom=0.0)
    axes.tick_params(labelsize=6)


def mode_label(b_type: str, modes: tuple[int, ...], names: Mapping[str, str]) -> str:
    """Text of a row of the factors: the decay, or how many modes share it."""
    if len(modes) > 1:
        return f"{b_type}: {len(modes)} other modes"
    return names.get(f"{b_type} {modes[0]}", f"{b_type} mode {modes[0]}")
