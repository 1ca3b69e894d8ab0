"""Figures as data: what an analysis wants drawn beyond the usual, without drawing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A line through points; ``y`` (n,) at ``x`` (n,)."""

    x: Floats = field(repr=False)
    y: Floats = field(repr=False)
    label: str = ""


@dataclass(frozen=True)
class Steps:
    """A histogram: ``values`` (n,) in bins ``edges`` (n + 1,), drawn as points where it has ``errors`` (n,)."""

    edges: Floats = field(repr=False)
    values: Floats = field(repr=False)
    errors: Floats | None = field(default=None, repr=False)
    label: str = ""


@dataclass(frozen=True)
class Grid:
    """A table as a picture: ``values`` (rows, columns) with the names of columns ``x`` and rows ``y``; NaN stays empty.

    ``label`` says what the numbers are; they are written into the cells of small tables.
    """

    values: Floats = field(repr=False)
    x: Sequence[str]
    y: Sequence[str]
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """Curves and histograms in one pair of axes, or a table."""

    x: str
    y: str
    curves: Sequence[Curve] = ()
    steps: Sequence[Steps] = ()
    grid: Grid | None = None
