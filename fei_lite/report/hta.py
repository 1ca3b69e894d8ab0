"""What an analysis shows: tables and figures of its results.

Figures are drawn into files (.png, .pdf, .svg), whole or not at all; matplotlib
is imported inside.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.density import Density
from fei_lite.analyses.selection import FlowRow
from fei_lite.analyses.spectrum import Q2_MAX, Couplings, fractions, phase_space, spectrum
from fei_lite.outputs import atomic_output
from fei_lite.plots import _figure
from fei_lite.templates import Template

Floats = NDArray[np.float64]
PathLike = str | os.PathLike[str]

#: Okabe-Ito colours of the samples, told apart by colour-blind readers.
COLOURS = {"signal": "#D55E00", "bbbar": "#56B4E9", "ccbar": "#009E73", "qqbar": "#F0E442"}
TITLES = {"signal": r"$B^+\to K^+\nu\bar\nu$", "bbbar": r"$B\bar B$", "ccbar": r"$c\bar c$", "qqbar": "$u,d,s$"}
_INK = "#333333"


def cut_flow_table(flows: Mapping[str, Sequence[FlowRow]]) -> str:
    """Cut-flows as text: per step, of each sample, entries, expected events and the share that the step keeps."""
    lines = []
    for name, rows in flows.items():
        lines.append(f"{name:36s} {'entries':>12s} {'expected':>14s} {'of all':>10s} {'of step':>8s}")
        before = first = rows[0].passed_weight
        for row in rows:
            share = row.passed_weight / first if first else float("nan")
            of_step = row.passed_weight / before if before else float("nan")
            lines.append(f"  {row.name:34s} {row.passed:12d} {row.passed_weight:14.4g} {share:10.3g} {of_step:8.3f}")
            before = row.passed_weight
        lines.append("")
    return "\n".join(lines)


def yields_table(templates: Sequence[Template], edges: Sequence[float], *,
                 published: Mapping[str, Floats] | None = None) -> str:
    """Expected events per bin of each sample, with statistical errors; those of a published workspace below."""
    header = "".join(f"{f'{a:g}-{b:g}':>15s}" for a, b in pairwise(edges))
    lines = [f"{'eta':14s}{header}{'all':>15s}"]
    for template in templates:
        cells = [f"{value:8.2f} +-{error:5.2f}" for value, error in zip(template.values, template.errors, strict=True)]
        cells.append(f"{template.values.sum():8.2f} +-{np.sqrt((template.errors**2).sum()):5.2f}")
        lines.append(f"{template.name:14s}" + "".join(f"{cell:>15s}" for cell in cells))
    for name, values in (published or {}).items():
        cells = [f"{value:15.2f}" for value in (*values, values.sum())]
        lines.append(f"{'published ' + name:14.14s}" + "".join(cells))
    return "\n".join(lines) + "\n"


def plot_templates(templates: Sequence[Template], edges: Sequence[float], path: PathLike, *, luminosity: float,
                   published: Floats | None = None) -> None:
    """Stacked templates with the statistical error of the sum; published totals as points."""
    figure = _figure(1, 1)
    axes = figure.axes[0]
    bins = np.asarray(edges)
    order = [t for t in templates if not t.signal] + [t for t in templates if t.signal]
    bottom = np.zeros(len(bins) - 1)
    for template in order:
        axes.stairs(bottom + template.values, bins, baseline=bottom, fill=True, edgecolor=_INK, linewidth=0.5,
                    facecolor=COLOURS.get(template.name), label=f"{TITLES.get(template.name, template.name)}: "
                    f"{template.values.sum():.1f}")
        bottom = bottom + template.values
    error = np.sqrt(np.sum([t.errors**2 for t in templates], axis=0))
    axes.stairs(bottom + error, bins, baseline=np.maximum(bottom - error, 0.0), fill=True, facecolor="none",
                edgecolor=_INK, hatch="////", linewidth=0.0, label="statistics of the simulation")
    if published is not None:
        axes.plot(0.5 * (bins[1:] + bins[:-1]), published, "o", color=_INK, markersize=4,
                  label=f"published expectation: {published.sum():.1f}")
    axes.set(xlabel=r"$\eta(\mathrm{BDT}_h)$", ylabel=f"events in {luminosity:g}/fb", xlim=(bins[0], bins[-1]))
    axes.set_ylim(0.0, 1.35 * max(float(np.max(bottom + error)), float(np.max(published, initial=0.0))
                                  if published is not None else 0.0, 1e-6))
    axes.legend(fontsize=8, ncols=2, loc="upper right", frameon=False)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=150)


def plot_inputs(columns: Mapping[str, Floats], sample: NDArray[np.str_], features: Sequence[str],
                path: PathLike) -> None:
    """Every input of the classifier, signal and background, each of area one."""
    rows = -(-len(features) // 4)
    figure = _figure(rows, 4, size=(2.8, 2.3))
    for axes, name in zip(figure.axes, features, strict=False):
        values, weight = columns[name].astype(np.float64), columns["event_weight"]
        good = np.isfinite(values)
        if good.sum() > 1:
            low, high = np.quantile(values[good], [0.005, 0.995])
            bins = np.linspace(low, high if high > low else low + 1.0, 26)
            for kind, chosen in (("signal", sample == "signal"), ("bbbar", sample != "signal")):
                part = good & chosen
                if part.any() and weight[part].sum() > 0.0:
                    counts = np.histogram(values[part].clip(bins[0], bins[-1]), bins, weights=weight[part])[0]
                    axes.stairs(counts / weight[part].sum(), bins, color=COLOURS[kind], linewidth=1.4,
                                label="signal" if kind == "signal" else "background")
        axes.set_xlabel(name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0.0)
    for axes in figure.axes[len(features):]:
        axes.set_axis_off()
    figure.axes[0].legend(fontsize=7)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=130)


def plot_efficiency(q2: Floats, weight: Floats, edges: Floats, n_signal: float, path: PathLike) -> None:
    """Signal efficiency of the selection against the generated q2 (weights: standard model, ``n_signal`` in all)."""
    figure = _figure(1, 1)
    axes = figure.axes[0]
    expected = n_signal * fractions(edges)
    found, squares = (np.histogram(q2, edges, weights=w)[0] for w in (weight, weight**2))
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    axes.errorbar(middle, 100 * found / expected, xerr=half, yerr=100 * np.sqrt(squares) / expected, fmt="o",
                  color=_INK, markersize=3, linewidth=1.0)
    axes.set(xlabel=r"generated $q^2$ [GeV$^2$]", ylabel="signal efficiency [%]", xlim=(edges[0], edges[-1]))
    axes.set_ylim(bottom=0.0)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=150)


def plot_spectra(path: PathLike, density: Density) -> None:
    """Spectra of the effective theory (area one), and the events of each at the standard model's branching fraction."""
    figure = _figure(1, 2)
    left, right = figure.axes
    q2 = np.linspace(0.0, Q2_MAX, 400)
    left.plot(q2, phase_space(q2), color=_INK, linestyle=":", label="phase space")
    theories = {"vector (SM)": (Couplings(), "#D55E00"), "scalar": (Couplings(0, 1, 0), "#0072B2"),
                "tensor": (Couplings(0, 0, 1), "#009E73")}
    for name, (couplings, colour) in theories.items():
        total = float(fractions([0.0, Q2_MAX], couplings)[0])
        left.plot(q2, spectrum(q2, couplings) / total, color=colour, label=name)
        right.stairs(density.reweighted(couplings)[0] / total, density.x_edges, color=colour, linewidth=1.5, label=name)
    left.set(xlabel=r"$q^2$ [GeV$^2$]", ylabel=r"$1/\Gamma\ d\Gamma/dq^2$ [GeV$^{-2}$]", xlim=(0, Q2_MAX))
    right.set(xlabel=r"$\eta(\mathrm{BDT}_h)$", ylabel="expected signal events",
              xlim=(density.x_edges[0], density.x_edges[-1]))
    for axes in (left, right):
        axes.set_ylim(bottom=0.0)
        axes.legend(fontsize=8)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=150)


def plots_folder(folder: Path) -> Path:
    """The folder of figures, made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder
