"""Figures of a reinterpretation, drawn from its JSON object."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.plots.canvas import COLOURS, INK, new_figure, save
from fei_lite.statistics.credible import density_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_LABELS = {"|C_VL+C_VR|": r"$|C_{VL}+C_{VR}|$", "|C_SL+C_SR|": r"$|C_{SL}+C_{SR}|$", "|C_TL|": r"$|C_{TL}|$"}
#: Bins of a pair of coefficients, and the width, in bins, with which their density is smoothed.
_BINS, _SMOOTH = 30, 1.2


def figures(found: dict[str, Any]) -> dict[str, Callable[[], Figure]]:
    """File name -> what draws it."""
    if found["model"] == "two_body":
        return {"limits.png": partial(draw_limits, found), "excess.png": partial(draw_excess, found)}
    return {"corner.png": partial(draw_corner, found), "branching_fraction.png": partial(draw_branching, found),
            "predictive.png": partial(draw_predictive, found)}


def save_figures(found: dict[str, Any], folder: Path, *, force: bool) -> None:
    """Draw all figures into a folder."""
    for name, draw in figures(found).items():
        save(draw(), folder / name, force=force)


def draw_corner(found: dict[str, Any]) -> Figure:
    """Marginal posteriors of the coefficients, alone and in pairs, with the mode and the standard model."""
    samples, names = np.array(found["samples"]["values"]), found["prior"]["flat_in"]
    n, high = len(names), float(found["prior"]["to"])
    mode = [found["mode"][name] for name in names]
    figure = new_figure(n, n, size=(2.5, 2.4))
    for (i, j), axes in zip(np.ndindex(n, n), figure.axes, strict=True):
        if j > i:
            axes.set_visible(False)
        elif i == j:
            _alone(axes, samples[:, i], high, found["intervals"][names[i]])
        else:
            _pair(axes, samples[:, j], samples[:, i], high)
            axes.plot(mode[j], mode[i], "+", color=COLOURS[1], markersize=9, markeredgewidth=2, label="mode",
                      clip_on=False, zorder=5)
            truth = found["injected"] or found["standard_model"]["coefficients"]
            axes.plot(truth[j], truth[i], "*", color=INK, markersize=8,
                      label="injected" if found["injected"] else "standard model", clip_on=False, zorder=5)
        axes.set(xlim=(0.0, high))
        if i == n - 1:
            axes.set_xlabel(_LABELS.get(names[j], names[j]))
        if j == 0 and i > 0:
            axes.set_ylabel(_LABELS.get(names[i], names[i]))
    figure.legend(*figure.axes[n].get_legend_handles_labels(), loc="upper right", frameon=False)
    return figure


def _alone(axes: Axes, values: Floats, high: float, found: dict[str, Any]) -> None:
    x = np.linspace(0.0, high, 241)
    density = density_on(values, x, low=0.0, high=high)
    axes.plot(x, density, color=COLOURS[0])
    for name, alpha in (("highest_density_95", 0.25), ("highest_density_68", 0.35)):
        low, top = found[name]["edges"]
        axes.fill_between(x, density, where=(x >= low) & (x <= top), color=COLOURS[0], alpha=alpha, linewidth=0)
    axes.set_yticks([])
    axes.set_ylim(bottom=0.0)
    low, top = found["highest_density_95"]["edges"]
    axes.set_title(f"95 %: {low:.1f} to {top:.1f}", fontsize=8)


def _pair(axes: Axes, x: Floats, y: Floats, high: float) -> None:
    from scipy.ndimage import gaussian_filter

    edges = np.linspace(0.0, high, _BINS + 1)
    counts = gaussian_filter(np.histogram2d(x, y, (edges, edges))[0], _SMOOTH, mode="reflect")
    ordered = np.sort(counts.ravel())[::-1]
    inside = np.cumsum(ordered) / counts.sum()
    levels = sorted({float(ordered[np.searchsorted(inside, level)]) for level in (0.95, 0.68)})
    middle = 0.5 * (edges[1:] + edges[:-1])
    axes.pcolormesh(edges, edges, counts.T, cmap="Blues", rasterized=True)
    axes.contour(middle, middle, counts.T, levels=levels, colors=INK, linewidths=0.8)
    axes.set_ylim(0.0, high)


def draw_branching(found: dict[str, Any]) -> Figure:
    """Posterior of the branching fraction, which the flat priors of the coefficients imply."""
    values = 1e5 * np.array(found["samples"]["values"])[:, -1]
    figure = new_figure(1, 1)
    axes, high = figure.axes[0], float(np.quantile(values, 0.999))
    x = np.linspace(0.0, high, 300)
    axes.plot(x, density_on(values, x, low=0.0, high=float(values.max())), color=COLOURS[0])
    for name, alpha in (("highest_density_95", 0.15), ("highest_density_68", 0.25)):
        low, top = (1e5 * edge for edge in found["branching_fraction"][name]["edges"])
        axes.axvspan(low, min(top, high), color=COLOURS[0], alpha=alpha, linewidth=0,
                     label=f"{name[-2:]} %: {low:.2f} to {top:.2f}")
    axes.axvline(1e5 * found["branching_fraction_at_strength_1"], color=INK, linestyle="--", label="standard model")
    axes.set(xlabel=r"$B(B^+ \to K^+ \nu\bar\nu)$ in $10^{-5}$", ylabel="posterior density", xlim=(0.0, high))
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=8)
    return figure


def draw_predictive(found: dict[str, Any]) -> Figure:
    """Expected events over the posterior and the data, per channel."""
    channels = found["predictive"]["channels"]
    figure = new_figure(1, len(channels))
    for axes, (name, channel) in zip(figure.axes, channels.items(), strict=True):
        edges = np.arange(len(channel["data"]) + 1, dtype=np.float64) - 0.5
        for values, colour, what in ((channel["events"], COLOURS[0], "all"), (channel["signal"], COLOURS[1], "signal")):
            _bands(axes, edges, np.array(values, dtype=np.float64), colour, what)
        data = np.array(channel["data"])
        axes.errorbar(np.arange(len(data)), data, yerr=np.sqrt(data), fmt="ko", markersize=4, label="data")
        axes.set(xlabel=f"bin of {name}", ylabel="events", xlim=(edges[0], edges[-1]))
        axes.set_ylim(bottom=0.0)
        axes.legend(frameon=False, fontsize=8)
        axes.set_title(f"p = {found['predictive']['p_value']:.2f}", fontsize=9, loc="right")
    return figure


def _bands(axes: Axes, edges: Floats, quantiles: Floats, colour: str, what: str) -> None:
    for low, high, alpha in ((0, 4, 0.2), (1, 3, 0.35)):
        axes.fill_between(edges, np.append(quantiles[low], quantiles[low][-1]),
                          np.append(quantiles[high], quantiles[high][-1]), step="post", color=colour, alpha=alpha,
                          linewidth=0)
    axes.stairs(quantiles[2], edges, color=colour, label=f"{what}: median, 68 %, 95 %")


def _defined(found: dict[str, Any], key: str) -> tuple[Floats, Floats]:
    rows = found["masses"]
    return np.array([r["mass_GeV"] for r in rows]), np.array([r[key] for r in rows], dtype=np.float64)


def draw_limits(found: dict[str, Any]) -> Figure:
    """Observed and expected limits against the mass."""
    figure = new_figure(1, 1, size=(5.6, 4.0))
    axes = figure.axes[0]
    mass, observed = _defined(found, "limit")
    expected = _defined(found, "expected")[1]
    for low, high, colour, label in ((0, 4, "#F0E442", "95 %"), (1, 3, "#009E73", "68 %")):
        axes.fill_between(mass, expected[:, low], expected[:, high], color=colour, alpha=0.7, linewidth=0, label=label)
    axes.plot(mass, expected[:, 2], color=INK, linestyle="--", label="expected without X")
    axes.plot(mass, observed, "o-", color="black", markersize=3, label=found["data"])
    known = np.concatenate([observed, expected.ravel()])
    known = known[np.isfinite(known)]
    axes.set(yscale="log", xlim=(0.0, float(mass.max())), xlabel=r"$m_X$ in GeV",
             ylabel=rf"$B(B^+\to K^+X)$, {100 * found['level']:g} % CL")
    if len(known):
        axes.set_ylim(0.6 * known.min(), min(1.8 * known.max(), 300.0 * known.min()))
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def draw_excess(found: dict[str, Any]) -> Figure:
    """Best fit of the branching fraction with its errors, and the local significance, against the mass."""
    figure = new_figure(2, 1, size=(5.6, 2.6))
    upper, lower = figure.axes
    mass, best = _defined(found, "best_fit")
    errors = _defined(found, "errors")[1]
    known = np.isfinite(best) & np.isfinite(errors).all(axis=1)
    upper.errorbar(mass[known], 1e5 * best[known], yerr=1e5 * errors[known][:, ::-1].T, fmt="o", color=COLOURS[0],
                   markersize=3)
    upper.axhline(0.0, color=INK, linewidth=0.8)
    upper.set(ylabel=r"$B$ in $10^{-5}$", xlim=(0.0, float(mass.max())))
    if np.any(known):
        # the errors grow without bound towards the end of the spectrum
        reach = np.quantile(np.abs(1e5 * best[known]) + 1e5 * errors[known].max(axis=1), 0.6)
        upper.set_ylim(-2.0 * reach, 2.0 * reach)
    lower.step(mass, _defined(found, "significance")[1], where="mid", color=COLOURS[0])
    lower.set(xlabel=r"$m_X$ in GeV", ylabel="local significance", xlim=(0.0, float(mass.max())))
    lower.set_ylim(bottom=0.0)
    return figure
