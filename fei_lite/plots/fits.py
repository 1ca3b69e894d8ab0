"""Figures of a fit, drawn from the JSON object of :func:`fei_lite.statistics.overview.overview`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.plots.canvas import COLOURS, INK, new_figure, save
from fei_lite.plots.unrolled import STACK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

#: Parameters of a ranking, of a figure of pulls and of a correlation matrix: those that matter most, if there are more.
RANKED, PULLED, CORRELATED = 20, 60, 25

#: 68 % and 95 % of two parameters: -2 ln(1 - p).
CONTOURS = tuple(float(-2.0 * np.log1p(-p)) for p in (0.68, 0.95))


def _array(values: Any) -> Floats:
    """Null is NaN."""
    return np.array(values, dtype=np.float64)


def figures(found: dict[str, Any]) -> dict[str, Callable[[], Figure]]:
    """File name -> what draws it; the names are known before anything is drawn."""
    def name(*words: str) -> str:
        return re.sub(r"[^\w.+-]", "_", "_".join(words)) + ".png"

    drawn: dict[str, Callable[[], Figure]] = {}
    if any(p["pull"] is not None for p in found["parameters"]):
        drawn["pulls.png"] = partial(draw_pulls, found)
    drawn["correlations.png"] = partial(draw_correlations, found)
    drawn["yields.png"] = partial(draw_yields, found)
    for strength in found["strengths"]:
        if ranked(found, strength):
            drawn[name("impacts", strength)] = partial(draw_impacts, found, strength)
        if strength in found["scans"]:
            drawn[name("scan", strength)] = partial(draw_scan, found, strength)
        if strength in found["cls"]:
            drawn[name("cls", strength)] = partial(draw_cls, found, strength)
    for contour in found["contours"]:
        drawn[name("contours", *contour["names"])] = partial(draw_contours, found, contour)
    for channel in found["templates"]:
        drawn[name("templates", channel)] = partial(draw_templates, found, channel)
    return drawn


def ranked(found: dict[str, Any], strength: str) -> list[dict[str, Any]]:
    """Parameters by the larger of their two shifts after the fit; those without a finite one are left out."""
    size = {p["name"]: np.nanmax(np.abs(_array([*p["impact"][strength]["post"], 0.0]))) for p in found["parameters"]}
    known = [p for p in found["parameters"] if any(x is not None for x in p["impact"][strength]["post"])]
    return sorted(known, key=lambda p: -size[p["name"]])


def _pulls(axes: Axes, shown: list[dict[str, Any]]) -> None:
    y = np.arange(len(shown))
    axes.axvspan(-2, 2, color="#F0E442", alpha=0.5, linewidth=0)
    axes.axvspan(-1, 1, color="#009E73", alpha=0.4, linewidth=0)
    pull, constraint = _array([p["pull"] for p in shown]), _array([p["constraint"] for p in shown])
    axes.errorbar(pull, y, xerr=np.nan_to_num(constraint), fmt="o", color="black", markersize=4)
    for place, p in zip(y, shown, strict=True):
        if p["pull"] is None:
            error = "" if p["error"] is None else f" ± {p['error']:.3g}"
            axes.text(0.0, float(place), f"free: {p['value']:.3g}{error}", ha="center", va="center", fontsize=7)
    reach = np.nanmax(np.abs(pull) + np.nan_to_num(constraint), initial=2.0)
    axes.set(xlim=(-1.15 * reach, 1.15 * reach), ylim=(len(shown) - 0.4, -0.6),
             xlabel="(fit $-$ nominal) / error before the fit")
    axes.set_yticks(y, [p["name"] + (" (at a bound)" if p["at_bound"] else "") for p in shown], fontsize=8)


def _cut(axes: Axes, all_of_them: int, shown: int) -> None:
    if shown < all_of_them:
        axes.set_title(f"{shown} of {all_of_them} parameters", fontsize=9, loc="right")


def draw_pulls(found: dict[str, Any]) -> Figure:
    """Pulls and constraints of the parameters with a constraint term, the largest pulls if there are many."""
    known = [p for p in found["parameters"] if p["pull"] is not None]
    largest = sorted(known, key=lambda p: -abs(p["pull"]))[:PULLED]
    shown = [p for p in known if p in largest]
    figure = new_figure(1, 1, size=(6.0, 1.4 + 0.24 * len(shown)))
    _pulls(figure.axes[0], shown)
    _cut(figure.axes[0], len(known), len(shown))
    return figure


def draw_impacts(found: dict[str, Any], strength: str) -> Figure:
    """Ranking: pulls on the left, shifts of the strength on the right, after (filled) and before the fit (open)."""
    everything = ranked(found, strength)
    shown = everything[:RANKED]
    figure = new_figure(1, 2, size=(4.6, 1.8 + 0.3 * len(shown)))
    left, right = figure.axes
    _pulls(left, shown)
    y = np.arange(len(shown))
    for side, (colour, label) in enumerate(((COLOURS[0], r"$-1\sigma$"), (COLOURS[1], r"$+1\sigma$"))):
        after, before = (_array([p["impact"][strength][when][side] for p in shown]) for when in ("post", "pre"))
        place = y + 0.2 * (2 * side - 1)  # beside each other: both may go one way
        right.barh(place, np.nan_to_num(before), 0.4, facecolor="none", edgecolor=colour,
                   label=f"{label} before the fit")
        right.barh(place, np.nan_to_num(after), 0.3, color=colour, label=f"{label} after the fit")
    right.axvline(0.0, color=INK, linewidth=0.8)
    right.set_yticks(y, [""] * len(shown))
    right.set(ylim=left.get_ylim(), xlabel=f"shift of {strength}")
    _cut(right, len(everything), len(shown))
    figure.legend(*right.get_legend_handles_labels(), fontsize=7, ncols=2, loc="outside upper center", frameon=False)
    return figure


def draw_correlations(found: dict[str, Any]) -> Figure:
    """Correlation matrix, the strengths first; of many parameters those with the largest correlations."""
    names, matrix = found["correlations"]["names"], _array(found["correlations"]["matrix"])
    first = [names.index(name) for name in found["strengths"] if name in names]
    others = [i for i in range(len(names)) if i not in first]
    strongest = sorted(others, key=lambda i: -np.max(np.abs(np.delete(matrix[i], i)), initial=0.0))
    kept = set(strongest[:CORRELATED - len(first)])
    order = first + [i for i in others if i in kept]
    side = 2.6 + 0.32 * len(order)
    figure = new_figure(1, 1, size=(side + 0.8, side))
    axes, shown = figure.axes[0], matrix[np.ix_(order, order)]
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    axes.set_xticks(range(len(order)), [names[i] for i in order], rotation=90, fontsize=8)
    axes.set_yticks(range(len(order)), [names[i] for i in order], fontsize=8)
    for (i, j), value in np.ndenumerate(shown):
        if abs(value) >= 0.005:
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=5.5,
                      color="white" if abs(value) > 0.6 else INK)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.8)
    _cut(axes, len(names), len(order))
    return figure


def draw_scan(found: dict[str, Any], strength: str) -> Figure:
    """Twice the profiled negative log-likelihood, and the parabola of the symmetric error."""
    figure, scan, fit = new_figure(1, 1), found["scans"][strength], found["strengths"][strength]
    axes, x = figure.axes[0], _array(scan["values"])
    axes.plot(x, _array(scan["twice_nll"]), "o-", color=COLOURS[0], markersize=3, label="profile likelihood")
    axes.plot(x, ((x - fit["value"]) / fit["error"]) ** 2, "--", color=INK, linewidth=1.0, label="parabola")
    for rise in (1.0, 4.0):
        axes.axhline(rise, color=INK, linewidth=0.6, linestyle=":")
    axes.set(xlabel=strength, ylabel=r"$-2\,\Delta\ln L$", ylim=(0.0, 10.0), xlim=(x[0], x[-1]))
    axes.legend(fontsize=8, frameon=False, loc="upper center")
    return figure


def draw_contours(found: dict[str, Any], contour: dict[str, Any]) -> Figure:
    """68 % and 95 % of two strengths."""
    figure, (one, two) = new_figure(1, 1), contour["names"]
    axes, z = figure.axes[0], np.ma.masked_invalid(_array(contour["twice_nll"]).T)
    drawn = axes.contour(_array(contour["x"]), _array(contour["y"]), z, levels=CONTOURS, colors=COLOURS[:2])
    axes.clabel(drawn, fmt=dict(zip(CONTOURS, ("68 %", "95 %"), strict=True)), fontsize=8)
    axes.plot(found["strengths"][one]["value"], found["strengths"][two]["value"], "+", color=INK, markersize=10)
    axes.set(xlabel=one, ylabel=two)
    return figure


def draw_cls(found: dict[str, Any], strength: str) -> Figure:
    """Observed CLs and the expected band against the strength."""
    figure, band = new_figure(1, 1), found["cls"][strength]
    axes, x, expected = figure.axes[0], _array(band["strengths"]), _array(band["expected"])
    axes.fill_between(x, expected[0], expected[4], color="#F0E442", linewidth=0, label="expected, 95 %")
    axes.fill_between(x, expected[1], expected[3], color="#56B4E9", linewidth=0, label="expected, 68 %")
    axes.plot(x, expected[2], "--", color=INK, label="expected, median")
    axes.plot(x, _array(band["observed"]), "o-", color="black", markersize=3, label="observed")
    axes.axhline(1.0 - found["level"], color=COLOURS[1], linewidth=1.0)
    axes.text(x[-1], 1.0 - found["level"], f"{100.0 * found['level']:g} % CL ", ha="right", va="bottom", fontsize=8)
    axes.set(xlabel=strength, ylabel="CLs", xlim=(0.0, x[-1]), ylim=(0.0, 1.05))
    axes.legend(fontsize=8, frameon=False)
    return figure


def draw_templates(found: dict[str, Any], channel: str) -> Figure:
    """Stacked samples before and after the fit with the error of the sum, and data."""
    import mplhep

    shown = found["templates"][channel]
    data = _array(shown["data"])
    figure, bins = new_figure(1, 2), np.arange(len(data) + 1)
    top = 0.0
    for axes, stage in zip(list(figure.axes), ("before", "after"), strict=True):
        part = shown[stage]
        samples = {n: _array(v) for n, v in part["samples"].items() if np.any(_array(v) != 0.0)}
        total, error = _array(part["total"]), _array(part["error"])
        if samples:
            colours = {n: STACK[i % len(STACK)] for i, n in enumerate(part["samples"])}
            mplhep.histplot(list(samples.values()), bins, stack=True, histtype="fill", ax=axes, label=list(samples),
                            color=[colours[n] for n in samples], edgecolor=INK, linewidth=0.4)
        axes.stairs(total + error, bins, baseline=total - error, fill=True, facecolor="none", edgecolor=INK,
                    hatch="////", linewidth=0.0, label="error of the sum")
        mplhep.histplot(data, bins, yerr=np.sqrt(data), histtype="errorbar", ax=axes, color="black", markersize=5,
                        label="data")
        axes.set_title(f"{channel}, {stage} the fit", loc="left", fontsize=10)
        axes.set(xlabel="bin", ylabel="events", xlim=(bins[0], bins[-1]))
        axes.set_xticks(bins[:-1] + 0.5, [str(i + 1) for i in range(len(data))], fontsize=8)
        top = max(top, float(np.max(total + error)), float(np.max(data + np.sqrt(data))))
    for axes in figure.axes:
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.4 * top)
        axes.legend(fontsize=7, ncols=3, loc="upper right", frameon=False)
    return figure


def draw_yields(found: dict[str, Any]) -> Figure:
    """Events of every sample and channel before and after the fit, as points and numbers."""
    rows = [r for r in found["yields"] if r["before"][0] or r["after"][0]]
    figure = new_figure(1, 1, size=(8.5, 1.5 + 0.3 * len(rows)))
    axes, y = figure.axes[0], np.arange(len(rows))
    for stage, shift, marker, colour in (("before", -0.14, "s", INK), ("after", 0.14, "o", COLOURS[1])):
        events, errors = np.array([r[stage] for r in rows]).T
        axes.errorbar(events, y + shift, xerr=errors, fmt=marker, color=colour, markersize=4,
                      label=f"{stage} the fit")
    for place, row in zip(y, rows, strict=True):
        text = " → ".join("{:.4g} ± {:.3g}".format(*row[stage]) for stage in ("before", "after"))
        axes.text(1.02, float(place), text, va="center", fontsize=8, transform=axes.get_yaxis_transform())
    axes.axvline(0.0, color=INK, linewidth=0.6)
    axes.set_yticks(y, [f"{r['channel']}: {r['sample']}" for r in rows], fontsize=8)
    axes.set(xlabel="events", ylim=(len(rows) - 0.4, -0.6))
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, ncols=2, loc="outside upper center", frameon=False)
    return figure


def save_figures(found: dict[str, Any], folder: Path, *, force: bool = False) -> None:
    """Draw all of them into a folder that exists, each whole or not at all."""
    for name, draw in figures(found).items():
        save(draw(), folder / name, force=force)
