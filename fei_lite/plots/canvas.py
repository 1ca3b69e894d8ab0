"""What all figures share: size, colours, and files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fei_lite.outputs import atomic_output, check_suffix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]

#: Okabe and Ito's palette, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK = "#333333"


#: What a figure may be called.
FORMATS = (".png", ".pdf", ".svg")


def new_figure(rows: int, columns: int, *, size: tuple[float, float] = (5.0, 3.8)) -> Figure:
    """A figure of panels, each of ``size`` in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    figure.subplots(rows, columns)
    return figure


def save(figure: Figure, path: PathLike, *, force: bool = True) -> None:
    """Write a figure (.png, .pdf, .svg by the suffix), whole or not at all."""
    check_suffix(path, FORMATS)
    with atomic_output(Path(path), force=force) as temporary:
        figure.savefig(temporary, dpi=150)
