"""Which candidates enter an analysis: all cuts passed, and inside a region as far as that is known.

Columns may have the scores of classifiers. What needs one that they lack is not asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.recipes.columns import calculate, needed, passes
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.analyses.selection import passes_cut

#: Objects of one sort that are counted, at most.
_MOST = 9
#: Likeness to a signal that is left for each cut that fails, and each step of what signal has little of (assumed).
_FAILED, _STEP = 0.1, 0.75
#: Likeness that is left, at least, of a candidate that a classifier takes for background (assumed).
_UNLIKE = 0.05
#: A step of the energy that a tag leaves of its own B, GeV (assumed).
_ENERGY = 0.5


def selected(recipe: Recipe, columns: Columns) -> NDArray[np.bool_]:
    """Candidates (n,) that pass the cuts and can enter a region."""
    return np.asarray(failed(recipe, columns) == 0)


def likeness(recipe: Recipe, columns: Columns) -> NDArray[np.float64]:
    """How much each candidate (n,) is like a signal, for what learns where selected ones come from: 0 to 1.

    A factor for each cut that it fails; where a cut asks for none of something (``nROE_Tracks == 0``) for each one that
    is there; and to be outside all regions. A factor near 1 for each whole step of what signal has little of
    (``[production] little``). Where it was classified, the fraction of signal with a lower score.
    """
    found = _FAILED ** failed(recipe, columns)
    for name, step in recipe.production.little.items():
        values = np.nan_to_num(np.asarray(columns[name], dtype=np.float64), nan=0.0)
        found = found * _STEP ** np.clip(np.floor(values / step), 0.0, _MOST)
    for line in recipe.classifier:
        if line.flat is not None and line.flat in columns:
            eta = np.nan_to_num(np.asarray(columns[line.flat], dtype=np.float64), nan=1.0)
            found = found * np.maximum(eta, _UNLIKE)
    return np.asarray(found)


def likeness_of_rest(tracks: NDArray[np.integer], energy: NDArray[np.floating]) -> NDArray[np.float64]:
    """The same (n,) of what a tag leaves of its own B: tracks, and the energy of photons in GeV."""
    return np.asarray(_FAILED ** np.clip(tracks, 0, _MOST) * _STEP ** np.clip(np.floor(energy / _ENERGY), 0.0, _MOST))


def failed(recipe: Recipe, columns: Columns) -> NDArray[np.int64]:
    """Cuts (n,) that candidates fail, each object of what a cut wants none of, and to be outside all regions."""
    n = len(columns["weight"])
    found, inside = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    for cut in recipe.cut:
        if not _unknown(recipe, columns, cut.cut) and not (cut.where and _unknown(recipe, columns, cut.where)):
            found += np.where(passes_cut(cut, columns), 0, _how_many(cut.cut, columns))
    for line in recipe.region:
        here = np.ones(n, dtype=bool)
        if line.where is not None and not _unknown(recipe, columns, line.where):
            here &= passes(line.where, columns)
        if not _unknown(recipe, columns, line.variable):
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


def _unknown(recipe: Recipe, columns: Columns, text: str) -> bool:
    """Whether an expression needs a classifier's score that the columns lack."""
    return bool((recipe.made - columns.keys()) & set(needed(text, ())))
