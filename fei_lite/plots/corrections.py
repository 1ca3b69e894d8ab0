"""The figure of correction factors: the factors, and the fits of Mbc that they are from.

matplotlib is imported inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fei_lite.corrections.factors import CorrectionFactors
from fei_lite.corrections.text import mode_label
from fei_lite.corrections.yields import Yields
from fei_lite.plots.canvas import COLOURS, INK, PathLike, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
