"""Which candidates enter an analysis: all cuts passed, and inside a region as far as that is known before training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.columns import calculate, needed, passes
from fei_lite.analyses.ntuple import Columns
from fei_lite.analyses.recipe import Recipe
from fei_lite.analyses.selection import passes_cut


def selected(recipe: Recipe, columns: Columns) -> NDArray[np.bool_]:
    """Candidates (n,) that pass the cuts and can enter a region; what needs a classifier's score is not asked."""
    return np.asarray(n_failed(recipe, columns) == 0)


def n_failed(recipe: Recipe, columns: Columns) -> NDArray[np.int64]:
    """How many cuts each candidate (n,) fails; to be outside all regions counts as one of them."""
    n = len(columns["weight"])
    failed, inside = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    for cut in recipe.cut:
        if not _made(recipe, cut.cut) and not (cut.where and _made(recipe, cut.where)):
            failed += ~passes_cut(cut, columns)
    for line in recipe.region:
        here = np.ones(n, dtype=bool)
        if line.where is not None and not _made(recipe, line.where):
            here &= passes(line.where, columns)
        if not _made(recipe, line.variable):
            x = np.asarray(calculate(line.variable, columns), dtype=np.float64)
            here &= (x >= line.edges[0]) & (x <= line.edges[-1])
        inside |= here
    return np.asarray(failed + ~inside)


def _made(recipe: Recipe, text: str) -> bool:
    """Whether an expression needs a classifier's score."""
    return bool(recipe.made & set(needed(text, ())))
