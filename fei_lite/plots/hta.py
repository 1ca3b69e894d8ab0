"""Figures of B+ -> K+ nu nubar with the hadronic tag: templates, inputs, efficiency, spectra in q2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.density import Density
from fei_lite.analyses.k_nunu.spectrum import Q2_MAX, Couplings, fractions, phase_space, spectrum
from fei_lite.plots.canvas import INK, PathLike, new_figure, save
from fei_lite.templates import Template

Floats = NDArray[np.float64]

#: Okabe-Ito colours of the samples, told apart by colour-blind readers.
COLOURS = {"signal": "#D55E00", "bbbar": "#56B4E9", "ccbar": "#009E73", "qqbar": "#F0E442"}
TITLES = {"signal": r"$B^+\to K^+\nu\bar\nu$", "bbbar": r"$B\bar B$", "ccbar": r"$c\bar c$", "qqbar": "$u,d,s$"}


def plot_templates(templates: Sequence[Template], edges: Sequence[float], path: PathLike, *, luminosity: float,
                   published: Floats | None = None) -> None:
    """Stacked templates with the statistical error of the sum; published totals as points."""
    figure = new_figure(1, 1)
    axes = figure.axes[0]
    bins = np.asarray(edges)
    order = [t for t in templates if not t.signal] + [t for t in templates if t.signal]
    bottom = np.zeros(len(bins) - 1)
    for template in order:
        axes.stairs(bottom + template.values, bins, baseline=bottom, fill=True, edgecolor=INK, linewidth=0.5,
                    facecolor=COLOURS.get(template.name), label=f"{TITLES.get(template.name, template.name)}: "
                    f"{template.values.sum():.1f}")
        bottom = bottom + template.values
    error = np.sqrt(np.sum([t.errors**2 for t in templates], axis=0))
    axes.stairs(bottom + error, bins, baseline=np.maximum(bottom - error, 0.0), fill=True, facecolor="none",
                edgecolor=INK, hatch="////", linewidth=0.0, label="statistics of the simulation")
    if published is not None:
        axes.plot(0.5 * (bins[1:] + bins[:-1]), published, "o", color=INK, markersize=4,
                  label=f"published expectation: {published.sum():.1f}")
    axes.set(xlabel=r"$\eta(\mathrm{BDT}_h)$", ylabel=f"events in {luminosity:g}/fb", xlim=(bins[0], bins[-1]))
    axes.set_ylim(0.0, 1.35 * max(float(np.max(bottom + error)), float(np.max(published, initial=0.0))
                                  if published is not None else 0.0, 1e-6))
    axes.legend(fontsize=8, ncols=2, loc="upper right", frameon=False)
    save(figure, path)


def plot_inputs(columns: Mapping[str, Floats], sample: NDArray[np.str_], features: Sequence[str],
                path: PathLike) -> None:
    """Every input of the classifier, signal and background, each of area one."""
    rows = -(-len(features) // 4)
    figure = new_figure(rows, 4, size=(2.8, 2.3))
    for axes, name in zip(figure.axes, features, strict=False):
        values, weight = columns[name].astype(np.float64), columns["event_weight"]
        good = np.isfinite(values)
        if good.sum() > 1:
            low, high = np.quantile(values[good], [0.005, 0.995])
            bins = np.linspace(low, high if high > low else low + 1.0, 26)
            for b_type, chosen in (("signal", sample == "signal"), ("bbbar", sample != "signal")):
                part = good & chosen
                if part.any() and weight[part].sum() > 0.0:
                    counts = np.histogram(values[part].clip(bins[0], bins[-1]), bins, weights=weight[part])[0]
                    axes.stairs(counts / weight[part].sum(), bins, color=COLOURS[b_type], linewidth=1.4,
                                label="signal" if b_type == "signal" else "background")
        axes.set_xlabel(name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0.0)
    for axes in figure.axes[len(features):]:
        axes.set_axis_off()
    figure.axes[0].legend(fontsize=7)
    save(figure, path)


def plot_efficiency(values: Floats, errors: Floats, edges: Sequence[float], path: PathLike) -> None:
    """Signal efficiency (n,) of the selection and its error in bins of the generated q2 (GeV^2)."""
    figure = new_figure(1, 1)
    axes, bins = figure.axes[0], np.asarray(edges)
    middle, half = 0.5 * (bins[1:] + bins[:-1]), 0.5 * np.diff(bins)
    axes.errorbar(middle, 100 * values, xerr=half, yerr=100 * errors, fmt="o", color=INK, markersize=3, linewidth=1.0)
    axes.set(xlabel=r"generated $q^2$ [GeV$^2$]", ylabel="signal efficiency [%]", xlim=(bins[0], bins[-1]))
    axes.set_ylim(bottom=0.0)
    save(figure, path)


def plot_spectra(path: PathLike, density: Density) -> None:
    """Spectra of the effective theory (area one), and the events of each at the standard model's branching fraction."""
    figure = new_figure(1, 2)
    left, right = figure.axes
    q2 = np.linspace(0.0, Q2_MAX, 400)
    left.plot(q2, phase_space(q2), color=INK, linestyle=":", label="phase space")
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
    save(figure, path)
