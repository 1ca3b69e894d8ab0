"""Two weighted samples of one quantity side by side: histograms of area one, and their chi2."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Entries per bin of the smaller sample, on average: an error that is estimated from fewer is none.
_ENTRIES = 10


@dataclass(frozen=True)
class Comparison:
    """Fractions per bin (n,) of both samples with their statistical errors, ``chi2`` of the difference and its bins.

    Entries without a value (NaN) have the last bin, an underflow of their own, if there are any.
    """

    edges: Floats = field(repr=False)
    first: Floats = field(repr=False)
    first_error: Floats = field(repr=False)
    second: Floats = field(repr=False)
    second_error: Floats = field(repr=False)
    chi2: float
    ndf: int

    @property
    def p_value(self) -> float:
        """Probability of a larger chi2; NaN where there are too few entries to compare."""
        from scipy.stats import chi2

        return float(chi2.sf(self.chi2, self.ndf)) if self.ndf > 0 else float("nan")


def chi2_text(chi2: float, ndf: int, p_value: float) -> str:
    """A comparison in a table.

    >>> chi2_text(3.0, 4, 0.5578), chi2_text(0.0, 0, float("nan"))
    ('chi2    3.0 / 4  p = 0.558', 'too few to compare')
    """
    return f"chi2 {chi2:6.1f} / {ndf:d}  p = {p_value:.3f}" if ndf > 0 else "too few to compare"


def compare(first: ArrayLike, second: ArrayLike, first_weight: ArrayLike, second_weight: ArrayLike, *,
            bins: int = 8) -> Comparison:
    """Compare two samples in bins of about equal content of both; shapes alone. With few entries there are fewer bins.

    >>> x = np.arange(1000.0)
    >>> found = compare(x, x, np.ones(1000), np.ones(1000))
    >>> found.chi2, found.ndf
    (0.0, 7)
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    known = np.concatenate([x[np.isfinite(x)], y[np.isfinite(y)]])
    bins = max(min(bins, min(len(x), len(y)) // _ENTRIES), 1)
    edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, bins + 1))) if len(known) else np.array([0.0, 1.0])
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] + 1.0])
    (a, da), (b, db) = (_fractions(v, np.asarray(w, dtype=np.float64), edges) for v, w in (
        (x, first_weight), (y, second_weight)))
    variance = da**2 + db**2
    used = variance > 0.0
    chi2 = float(np.sum((a - b)[used] ** 2 / variance[used]))
    n = len(edges) - 1
    return Comparison(edges, a[:n], da[:n], b[:n], db[:n], chi2, max(int(used.sum()) - 1, 0))


def _fractions(values: Floats, weight: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Fractions per bin and of undefined values, with the errors of weighted counts.

    The total is that of the sample: with Poisson errors the terms of the chi2 add up to one degree of freedom less.
    """
    n = len(edges) - 1
    place = np.where(np.isfinite(values), np.searchsorted(edges[1:-1], values, side="right"), n)
    sums, squares = (np.bincount(place, w, minlength=n + 1) for w in (weight, weight**2))
    total = max(float(weight.sum()), 1e-300)
    return sums / total, np.sqrt(squares) / total
