"""Which candidates enter an analysis: all cuts passed, and inside a region as far as that is known before training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.columns import calculate, needed, passes
from fei_lite.analyses.ntuple import Columns
from fei_lite.analyses.recipe import Recipe
from fei_lite.analyses.selection import passes_cut

#: Objects of one sort that are counted, at most.
_MOST = 9


def selected(recipe: Recipe, columns: Columns) -> NDArray[np.bool_]:
    """Candidates (n,) that pass the cuts and can enter a region; what needs a classifier's score is not asked."""
    return np.asarray(_failed(recipe, columns) == 0)


def distance(recipe: Recipe, columns: Columns) -> NDArray[np.int64]:
    """How far each candidate (n,) is from where signal is: the number of cuts that it fails.

    Where a cut asks for none of something (``nROE_Tracks == 0``) each one that is there counts. To be outside all
    regions counts one. Whole steps of what signal has little of (``[production] little``) count one each.
    """
    found = _failed(recipe, columns)
    for name, step in recipe.production.little.items():
        values = np.nan_to_num(np.asarray(columns[name], dtype=np.float64), nan=0.0)
        found += np.clip(values / step, 0.0, _MOST).astype(np.int64)
    return found


def _failed(recipe: Recipe, columns: Columns) -> NDArray[np.int64]:
    """Cuts (n,) that candidates fail, and objects too many."""
    n = len(columns["weight"])
    found, inside = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    for cut in recipe.cut:
        if not _made(recipe, cut.cut) and not (cut.where and _made(recipe, cut.where)):
            found += np.where(passes_cut(cut, columns), 0, _how_many(cut.cut, columns))
    for line in recipe.region:
        here = np.ones(n, dtype=bool)
        if line.where is not None and not _made(recipe, line.where):
            here &= passes(line.where, columns)
        if not _made(recipe, line.variable):
            x = np.asarray(calculate(line.variable, columns), dtype=np.float64)
            here &= (x >= line.edges[0]) & (x <= line.edges[-1])
        inside |= here
    return np.asarray(found + ~inside, dtype=np.int64)


def _how_many(cut: str, columns: Columns) -> NDArray[np.int64]:
    """Of what a cut wants none of, how many (n,) there are; else 1."""
    variable, none, rest = cut.partition("== 0")
    if not none or rest.strip() or variable.strip() not in columns:
        return np.ones(len(columns["weight"]), dtype=np.int64)
    values = np.nan_to_num(np.asarray(columns[variable.strip()], dtype=np.float64), nan=1.0)
    return np.clip(np.abs(values), 1, _MOST).astype(np.int64)


def _made(recipe: Recipe, text: str) -> bool:
    """Whether an expression needs a classifier's score."""
    return bool(recipe.made & set(needed(text, ())))
