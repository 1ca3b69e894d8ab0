"""Figures: Btags in Mbc and deltaE, mass peaks, reliability of classifiers.

Each function draws into a file (.png, .pdf, .svg by suffix), whole or not at
all, and returns the numbers that it drew. matplotlib is imported inside, and
its global state (pyplot, styles, backend) is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.classifiers.quality import Reliability
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.particles import mass
from fei_lite.plots.canvas import INK, PathLike, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels of the Btag figures: title -> absolute PDG code.
B_PANELS = {"$B^{+}$": 521, "$B^{0}$": 511}

# Blue and orange of the Okabe-Ito palette, told apart by colour-blind readers and in grey.
_SIGNAL, _BACKGROUND = "#0072B2", "#F0C987"


@dataclass(frozen=True)
class Stack:
    """One histogram with its truth: sums of weights per bin, entries outside not counted.

    ``edges`` (n + 1,) in the unit of the axis; ``signal`` and ``background``
    (n,). Without truth all entries are in ``background``. ``variance`` (n,) is
    the sum of the squared weights of both.
    """

    edges: NDArray[np.float64]
    signal: NDArray[np.float64]
    background: NDArray[np.float64]
    variance: NDArray[np.float64]


def plot_mbc(
    tags: Mapping[str, Any], path: PathLike, *, min_signal_probability: float = 0.01,
    max_abs_delta_e: float = math.inf, edges: ArrayLike | None = None, force: bool = True,
) -> dict[str, Stack]:
    """Mbc of Btags, one panel for B+ and one for B0, true tags on top of false ones.

    ``tags`` are columns of a Btag file: Mbc, deltaE, SignalProbability, pdg
    and, if there, isSignal, weight and best (then only best tags count). Cuts:
    SignalProbability above ``min_signal_probability``, abs(deltaE) in GeV below
    ``max_abs_delta_e``. ``edges`` in GeV (default: 5.20 to 5.29 in 1.5 MeV).
    Returns what was drawn, by panel. Raises :class:`UnknownNameError` for a
    missing column.
    """
    edges = np.linspace(5.20, 5.29, 61) if edges is None else np.asarray(edges, dtype=np.float64)
    chosen = _chosen(tags, min_signal_probability)
    chosen &= np.abs(_column(tags, "deltaE")) < max_abs_delta_e
    note = _cut_text(min_signal_probability)
    if max_abs_delta_e < math.inf:
        note += f"\n$|\\Delta E| <$ {max_abs_delta_e:g} GeV"
    return _draw_tags(tags, path, "Mbc", r"$M_{bc}$ [GeV]", chosen=chosen, edges=edges, note=note, force=force)


def plot_delta_e(
    tags: Mapping[str, Any], path: PathLike, *, min_signal_probability: float = 0.01, min_mbc: float = 5.27,
    edges: ArrayLike | None = None, force: bool = True,
) -> dict[str, Stack]:
    """deltaE of Btags with Mbc above ``min_mbc`` (GeV), as :func:`plot_mbc`.

    ``edges`` in GeV (default: -0.2 to 0.2 in 8 MeV).
    """
    edges = np.linspace(-0.2, 0.2, 51) if edges is None else np.asarray(edges, dtype=np.float64)
    chosen = _chosen(tags, min_signal_probability) & (_column(tags, "Mbc") > min_mbc)
    note = f"{_cut_text(min_signal_probability)}\n$M_{{bc}} >$ {min_mbc:g} GeV"
    return _draw_tags(tags, path, "deltaE", r"$\Delta E$ [GeV]", chosen=chosen, edges=edges, note=note, force=force)


def plot_mass(
    values: ArrayLike, path: PathLike, *, particle: str, truth: ArrayLike | None = None,
    weight: ArrayLike | None = None, edges: ArrayLike | None = None, title: str | None = None, force: bool = True,
) -> Stack:
    """Mass of candidates of ``particle`` in GeV, true ones on top, with the nominal mass as a line.

    ``truth`` (n,) is true for signal, ``weight`` (n,) defaults to 1; ``edges``
    to 60 bins within 5 % of the nominal mass (20 % below 0.3 GeV).
    """
    nominal = mass(particle)
    half = nominal * (0.2 if nominal < 0.3 else 0.05)
    bins = np.linspace(nominal - half, nominal + half, 61) if edges is None else np.asarray(edges, dtype=np.float64)
    x = np.asarray(values, dtype=np.float64)
    signal = None if truth is None else np.asarray(truth) > 0.5
    stack = _stack(x, signal, _weights(weight, len(x)), bins)
    figure = new_figure(1, 1)
    axes = figure.axes[0]
    _draw_stack(axes, stack, x, signal)
    axes.axvline(nominal, color=INK, linewidth=0.8, linestyle=":")
    axes.set_title(particle if title is None else title)
    _label(axes, "M [GeV]", bins)
    axes.legend(fontsize=8, loc="upper right")
    save(figure, path, force=force)
    return stack


def plot_reliability(
    panels: Mapping[str, Reliability], path: PathLike, *, columns: int = 5, rows: int = 6, title: str = "",
    force: bool = True,
) -> list[Path]:
    """Predicted probability against the fraction of signal, a panel per classifier.

    ``panels`` maps names to :func:`fei_lite.classifiers.quality.reliability` of
    entries that were not trained on. The band is one standard deviation about
    the diagonal, expected if the predictions are right; both axes are
    logarithmic, as most candidates have a small probability. Bins without any
    signal are open circles on the lower edge. ``columns`` x ``rows`` panels
    make a page; further pages are called ``name-2.png`` and so on. Returns the
    files.
    """
    names, path = list(panels), Path(path)
    files = []
    for page in range(max(1, math.ceil(len(names) / (columns * rows)))):
        part = names[page * columns * rows : (page + 1) * columns * rows]
        across = max(1, min(columns, len(part)))
        figure = _grid(max(1, math.ceil(len(part) / across)), across, title=bool(title))
        for axes, name in zip(figure.axes, part, strict=False):
            _draw_reliability(axes, panels[name], name)
        for axes in figure.axes[len(part) :]:
            axes.set_axis_off()
        figure.supxlabel("predicted signal probability", fontsize=9, y=0.08 / figure.get_figheight(), va="bottom")
        figure.supylabel("fraction of signal", fontsize=9, x=0.08 / figure.get_figwidth(), ha="left")
        if title:
            figure.suptitle(title, y=1.0 - 0.15 / figure.get_figheight(), va="top")
        file = path if page == 0 else path.with_name(f"{path.stem}-{page + 1}{path.suffix}")
        save(figure, file, force=force)
        files.append(file)
    return files


def _column(tags: Mapping[str, Any], name: str) -> NDArray[Any]:
    if name not in tags:
        raise UnknownNameError(f"Btags: no column '{name}'.{nearest(name, tags)}")
    return np.asarray(tags[name])


def _weights(weight: ArrayLike | None, n: int) -> NDArray[np.float64]:
    return np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)


def _chosen(tags: Mapping[str, Any], min_signal_probability: float) -> NDArray[np.bool_]:
    chosen = np.asarray(_column(tags, "SignalProbability") > min_signal_probability)
    return chosen & (_column(tags, "best") == 1) if "best" in tags else chosen


def _cut_text(min_signal_probability: float) -> str:
    return f"best Btag of the event\nSignalProbability > {min_signal_probability:g}"


def _stack(x: NDArray[np.float64], signal: NDArray[np.bool_] | None, weight: NDArray[np.float64],
           edges: NDArray[np.float64]) -> Stack:
    """Histogram of ``x``, with truth if there is any; NaN is nowhere."""
    true = np.zeros(len(x), dtype=bool) if signal is None else signal
    signals, backgrounds = (np.histogram(x[part], edges, weights=weight[part])[0] for part in (true, ~true))
    return Stack(edges, signals, backgrounds, np.histogram(x, edges, weights=weight**2)[0])


def _grid(rows: int, columns: int, *, title: bool) -> Figure:
    """Square panels with fixed margins: for a hundred of them the layout engine would take longer than the drawing."""
    from matplotlib.figure import Figure

    panel, gap, edge, head = 1.85, 0.45, 0.6, 0.6 if title else 0.25  # inches
    width, height = edge + columns * (panel + gap), edge + rows * (panel + gap) - gap + head
    figure = Figure(figsize=(width, height))
    figure.subplots(rows, columns)
    figure.subplots_adjust(left=edge / width, right=1.0 - gap / width, bottom=edge / height, top=1.0 - head / height,
                           wspace=gap / panel, hspace=gap / panel)
    return figure


def _draw_tags(
    tags: Mapping[str, Any], path: PathLike, variable: str, label: str, *, chosen: NDArray[np.bool_],
    edges: NDArray[np.float64], note: str, force: bool,
) -> dict[str, Stack]:
    """Two panels of one variable."""
    values, code = _column(tags, variable).astype(np.float64), np.abs(_column(tags, "pdg"))
    weight = _weights(tags.get("weight"), len(values))
    signal = _column(tags, "isSignal") == 1 if "isSignal" in tags else None
    figure = new_figure(1, len(B_PANELS))
    drawn = {}
    for axes, (title, pdg) in zip(figure.axes, B_PANELS.items(), strict=True):
        part = chosen & (code == pdg)
        true = None if signal is None else signal[part]
        stack = _stack(values[part], true, weight[part], edges)
        _draw_stack(axes, stack, values[part], true)
        axes.set_title(title)
        axes.text(0.03, 0.96, note, transform=axes.transAxes, va="top", fontsize=8, color=INK)
        _label(axes, label, edges)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(0.01, 0.68), frameon=False)
        axes.set_ylim(top=1.15 * max(axes.get_ylim()[1], 1.0))
        drawn["B+" if pdg == 521 else "B0"] = stack
    save(figure, path, force=force)
    return drawn


def _draw_stack(axes: Axes, stack: Stack, values: NDArray[np.float64], signal: NDArray[np.bool_] | None) -> None:
    """Background with signal on top; without truth, points with their statistical errors."""
    import mplhep

    if signal is None:
        n = stack.background
        mplhep.histplot(n, stack.edges, ax=axes, histtype="errorbar", yerr=np.sqrt(stack.variance), color=INK,
                        markersize=4, label=f"all: {n.sum():.0f}")
        return
    inside = values[signal & (values >= stack.edges[0]) & (values <= stack.edges[-1])]
    text = f"true: {stack.signal.sum():.0f}"
    if len(inside) > 10:
        low, middle, high = np.quantile(inside, [0.16, 0.5, 0.84])
        text += f"\nmedian {middle:.4f} GeV\n68 % in $\\pm$ {500 * (high - low):.1f} MeV"
    mplhep.histplot([stack.background, stack.signal], stack.edges, ax=axes, stack=True, histtype="fill", edgecolor=INK,
                    linewidth=0.4, color=[_BACKGROUND, _SIGNAL], label=[f"false: {stack.background.sum():.0f}", text])


def _label(axes: Axes, label: str, edges: NDArray[np.float64]) -> None:
    axes.set_xlabel(label)
    axes.set_ylabel(f"candidates / {1000 * (edges[1] - edges[0]):.3g} MeV")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0.0)


def _draw_reliability(axes: Axes, bins: Reliability, name: str) -> None:
    """One classifier: points, the diagonal, and the band in which points should lie."""
    positive = np.concatenate([bins.predicted[bins.predicted > 0.0], bins.observed[bins.observed > 0.0]])
    lowest = min(0.5 * float(positive.min()), 0.1) if len(positive) else 0.01
    low = max(10 ** (math.floor(4 * math.log10(lowest)) / 4), 1e-7)
    at, seen = np.maximum(bins.predicted, low), bins.observed > 0.0
    axes.plot([low, 1], [low, 1], color=INK, linewidth=0.7)
    axes.fill_between(at, np.maximum(bins.predicted - bins.uncertainty, low),
                      np.minimum(bins.predicted + bins.uncertainty, 1.5), color=_BACKGROUND, alpha=0.6, linewidth=0)
    axes.plot(at[seen], np.maximum(bins.observed[seen], low), "o", color=_SIGNAL, markersize=3)
    if not seen.all():  # unclipped, and without a point, it would upset the layout of the page
        axes.plot(at[~seen], np.full(np.count_nonzero(~seen), low), "o", markerfacecolor="none",
                  color=_SIGNAL, markersize=3, clip_on=False)
    if not len(at):
        axes.text(0.5, 0.1, "no entries", transform=axes.transAxes, ha="center", fontsize=7)
    axes.set(xscale="log", yscale="log", xlim=(low, 1.5), ylim=(low, 1.5), box_aspect=1)
    axes.xaxis.set_minor_formatter("")  # a panel of one decade would label every tick
    axes.yaxis.set_minor_formatter("")
    axes.set_title(name, fontsize=7)
    axes.tick_params(labelsize=6)
