"""Figures of an analysis: templates of a region, inputs of a classifier, and those that it describes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.drawings import Grid, Panel
from fei_lite.analyses.histograms import Region
from fei_lite.analyses.recipes.columns import calculate
from fei_lite.plots.canvas import INK, PathLike, new_figure, save
from fei_lite.templates import Template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

#: Okabe-Ito colours, told apart by colour-blind readers: those of the signals, then those of backgrounds.
COLOURS = ["#D55E00", "#0072B2", "#009E73", "#CC79A7"]
_SIGNAL = ["#D55E00", "#CC79A7", "#882255"]
_BACKGROUND = ["#56B4E9", "#0072B2", "#009E73", "#F0E442", "#E69F00", "#999999"]
#: Events of a signal, of all bins, that are named in a figure: what its number shows.
_SEEN = 0.05


def _colours(templates: Sequence[Template]) -> dict[str, str]:
    signals = [t.name for t in templates if t.signal]
    others = [t.name for t in templates if not t.signal]
    return {name: colours[i % len(colours)] for names, colours in ((signals, _SIGNAL), (others, _BACKGROUND))
            for i, name in enumerate(names)}


def plot_region(region: Region, path: PathLike, *, luminosity: float, titles: Mapping[str, str],
                published: Floats | None = None) -> None:
    """Stacked templates with the statistical error of the sum; published totals as points.

    Of several signals those are named of which there is something to be seen.
    """
    figure = new_figure(1, 1)
    axes = figure.axes[0]
    templates, bins, colours = region.templates, np.asarray(region.edges), _colours(region.templates)
    order = [t for t in templates if not t.signal] + [t for t in templates if t.signal]
    bottom = np.zeros(len(bins) - 1)
    for template in order:
        total = float(template.values.sum())
        name = f"{titles.get(template.name) or template.name}: {total:.1f}"
        axes.stairs(bottom + template.values, bins, baseline=bottom, fill=True, edgecolor=INK, linewidth=0.5,
                    facecolor=colours[template.name], label=name if total >= _SEEN or not template.signal else None)
        bottom = bottom + template.values
    error = np.sqrt(np.sum([t.errors**2 for t in templates], axis=0))
    axes.stairs(bottom + error, bins, baseline=np.maximum(bottom - error, 0.0), fill=True, facecolor="none",
                edgecolor=INK, hatch="////", linewidth=0.0, label="statistics of the simulation")
    if published is not None:
        axes.plot(0.5 * (bins[1:] + bins[:-1]), published, "o", color=INK, markersize=4,
                  label=f"published expectation: {published.sum():.1f}")
    axes.set(xlabel=region.title or region.variable, ylabel=f"events in {luminosity:g}/fb", xlim=(bins[0], bins[-1]))
    axes.set_ylim(0.0, 1.35 * max(float(np.max(bottom + error)), float(np.max(published, initial=0.0))
                                  if published is not None else 0.0, 1e-6))
    axes.legend(fontsize=8, ncols=2, loc="upper right", frameon=False)
    save(figure, path)


def plot_inputs(columns: Mapping[str, Floats], signal: NDArray[np.bool_], features: Sequence[str],
                path: PathLike) -> None:
    """Every input of the classifier, signal and background, each of area one."""
    rows = -(-len(features) // 4)
    figure = new_figure(rows, 4, size=(2.8, 2.3))
    for axes, name in zip(figure.axes, features, strict=False):
        values = np.asarray(calculate(name, columns), dtype=np.float64)
        weight = columns["event_weight"]
        good = np.isfinite(values)
        if good.sum() > 1:
            low, high = np.quantile(values[good], [0.005, 0.995])
            bins = np.linspace(low, high if high > low else low + 1.0, 26)
            for label, chosen, colour in (("signal", signal, _SIGNAL[0]), ("background", ~signal, _BACKGROUND[0])):
                part = good & chosen
                if part.any() and weight[part].sum() > 0.0:
                    counts = np.histogram(values[part].clip(bins[0], bins[-1]), bins, weights=weight[part])[0]
                    axes.stairs(counts / weight[part].sum(), bins, color=colour, linewidth=1.4,
                                label=label)
        axes.set_xlabel(name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0.0)
    for axes in figure.axes[len(features):]:
        axes.set_axis_off()
    figure.axes[0].legend(fontsize=7)
    save(figure, path)


#: A table of more columns is drawn large, without numbers.
_FEW = 8


def _draw_grid(axes: Axes, panel: Panel, grid: Grid) -> None:
    """A table as colours, and as numbers where there is room."""
    image = axes.imshow(grid.values, cmap="Blues", vmin=0.0, aspect="auto")
    axes.set(xlabel=panel.x, ylabel=panel.y)
    axes.set_xticks(range(len(grid.x)), grid.x, rotation=0 if len(grid.x) <= _FEW else 90, fontsize=8)
    axes.set_yticks(range(len(grid.y)), grid.y, fontsize=8)
    axes.figure.colorbar(image, ax=axes, label=grid.label)
    largest = float(np.nanmax(grid.values, initial=0.0))
    for (i, j), value in np.ndenumerate(grid.values):
        if len(grid.x) <= _FEW and np.isfinite(value):
            axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=9,
                      color="white" if value > 0.6 * largest else INK)


def plot_panels(panels: Sequence[Panel], path: PathLike) -> None:
    """Curves, histograms and tables that an analysis describes, side by side."""
    largest = max((len(panel.grid.x) for panel in panels if panel.grid is not None), default=0)
    figure = new_figure(1, len(panels), size=(5.0, 3.8) if largest <= _FEW else (11.0, 9.5))
    for axes, panel in zip(list(figure.axes), panels, strict=True):
        if panel.grid is not None:
            _draw_grid(axes, panel, panel.grid)
            continue
        labels = [*(curve.label for curve in panel.curves), *(steps.label for steps in panel.steps)]
        colours = dict(zip(dict.fromkeys(labels), COLOURS * 3, strict=False))
        measured = sum(steps.errors is not None for steps in panel.steps)
        for curve in panel.curves:
            axes.plot(curve.x, curve.y, color=colours[curve.label], label=curve.label)
        for steps in panel.steps:
            if steps.errors is None:
                axes.stairs(steps.values, steps.edges, color=colours[steps.label], linewidth=1.5, label=steps.label)
                continue
            middle, half = 0.5 * (steps.edges[1:] + steps.edges[:-1]), 0.5 * np.diff(steps.edges)
            axes.errorbar(middle, steps.values, xerr=half, yerr=steps.errors, fmt="o", markersize=3, linewidth=1.0,
                          color=colours[steps.label] if measured > 1 else INK, label=steps.label or None)
        x = [*(curve.x for curve in panel.curves), *(steps.edges for steps in panel.steps)]
        axes.set(xlabel=panel.x, ylabel=panel.y, xlim=(min(v.min() for v in x), max(v.max() for v in x)))
        axes.set_ylim(bottom=0.0)
        if any(colours):
            axes.legend(fontsize=8)
    save(figure, path)
