"""Figures of what :mod:`fei_lite.validation` and :mod:`fei_lite.corrections` found.

Each function draws numbers that were found elsewhere into a file (.png, .pdf, .svg
by suffix), whole or not at all. matplotlib is imported inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fei_lite.evaluation import Measured
from fei_lite.outputs import atomic_output
from fei_lite.plots import PathLike
from fei_lite.validation.ceiling import Ceiling, of_same_channels
from fei_lite.validation.efficiency import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's palette, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK = "#333333"
_TITLES = {"B+": "$B^{+}$", "B0": "$B^{0}$"}


def _figure(rows: int, columns: int, *, size: tuple[float, float] = (5.2, 4.0)) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    figure.subplots(rows, columns)
    return figure


def _save(figure: Figure, path: PathLike, force: bool) -> None:
    with atomic_output(Path(path), force=force) as temporary:
        figure.savefig(temporary, dpi=150)


def draw_comparison(comparison: Comparison, path: PathLike, *,
                    ceilings: Mapping[str, Mapping[str, Ceiling]] | None = None, force: bool = True) -> None:
    """Tag-side efficiency against purity, a panel per kind, a curve per set with its 68.3 % band.

    ``ceilings`` (name of the set, kind) stand as text in the panel of their kind.
    """
    figure = _figure(1, len(comparison.sets))
    for axes, (kind, sets) in zip(figure.axes, comparison.sets.items(), strict=True):
        for colour, (name, found) in zip(COLOURS, sets.items()):
            _draw_curve(axes, found.curve.purity, found.curve.efficiency, colour,
                        f"{name}: at most {_percent(found.maximum)} %")
        notes = [f"ceiling ({names}): {_percent(ceiling.covered)} %, inside the acceptance "
                 f"{_percent(ceiling.in_acceptance)} %" for names, ceiling in of_same_channels(ceilings or {}, kind)]
        axes.text(0.03, 0.03, "\n".join(notes), transform=axes.transAxes, fontsize=7, color=_INK)
        axes.set(xlabel="purity", ylabel="tag-side efficiency [%]", xlim=(0, 1), title=_TITLES[kind])
        axes.set_ylim(bottom=0.0, top=1.25 * axes.get_ylim()[1])
        axes.legend(fontsize=8, loc="upper right", frameon=False)
    _save(figure, path, force)


def _percent(measured: Measured) -> str:
    return f"{100 * measured.value:.2f}"


def _draw_curve(axes: Axes, x: list[Measured], y: list[Measured], colour: str, label: str) -> None:
    purity = np.array([m.value for m in x])
    value, lower, upper = (100 * np.array([getattr(m, name) for m in y]) for name in ("value", "lower", "upper"))
    axes.plot(purity, value, "-", color=colour, linewidth=1.2, label=label)
    axes.fill_between(purity, lower, upper, color=colour, alpha=0.25, linewidth=0)
