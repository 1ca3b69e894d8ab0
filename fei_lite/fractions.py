"""Fractions of (weighted) events with their 68.3 % intervals, and the effective size of weighted samples.

Intervals are those of Clopper and Pearson (Biometrika 26 (1934) 404). Sums of
weights are replaced by effective counts: k = f n of n = (sum w)^2 / sum w^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What every interval holds: one standard deviation of a Gaussian.
CONFIDENCE = 0.682689492


@dataclass(frozen=True)
class Measured:
    """A value with its interval (68.3 %); all NaN where it is undefined."""

    value: float
    lower: float
    upper: float


UNDEFINED = Measured(float("nan"), float("nan"), float("nan"))


def effective_size(weights: ArrayLike) -> float:
    """Number of unweighted entries that fluctuate as much: (sum w)^2 / sum w^2; 0 for none.

    >>> effective_size([2.0, 2.0, 2.0]), effective_size([3.0, 1.0]), effective_size([])
    (3.0, 1.6, 0.0)
    """
    return Sums.of(weights).n_effective


def fraction(passed: float, total: float, *, n_effective: float | None = None) -> Measured:
    """``passed / total`` with a Clopper-Pearson interval; undefined if ``total`` is 0.

    ``n_effective`` replaces ``total`` as the size of the sample where both are
    sums of weights.

    >>> round(fraction(0, 10).upper, 4)  # 1 - 0.15866 ** (1 / 10)
    0.1681
    """
    from scipy.stats import beta

    if not total > 0:
        return UNDEFINED
    value = min(max(passed / total, 0.0), 1.0)
    n = total if n_effective is None else n_effective
    k = value * n
    tail = 0.5 * (1.0 - CONFIDENCE)
    lower = 0.0 if k <= 0 else float(beta.ppf(tail, k, n - k + 1))
    upper = 1.0 if k >= n else float(beta.ppf(1.0 - tail, k + 1, n - k))
    return Measured(value, lower, upper)


@dataclass(frozen=True)
class Sums:
    """Entries: their number, the sum of their weights, and of the squares of these.

    >>> Sums.of([1.0, 3.0]) + Sums.of([2.0])
    Sums(n=3, weight=6.0, squares=14.0)
    """

    n: int = 0
    weight: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, weights: ArrayLike) -> Sums:
        """The sums of weights (n,)."""
        w = np.asarray(weights, dtype=np.float64)
        return cls(len(w), float(w.sum()), float(np.sum(w**2)))

    @classmethod
    def per_event(cls, counts: NDArray[np.integer], weight: NDArray[np.float64]) -> Sums:
        """The sums of ``counts`` (n_events,) entries in each event, which all have the weight of their event."""
        return cls(int(counts.sum()), float(counts @ weight), float(counts @ weight**2))

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.n + other.n, self.weight + other.weight, self.squares + other.squares)

    @property
    def n_effective(self) -> float:
        """See :func:`effective_size`."""
        return self.weight**2 / self.squares if self.squares > 0.0 else 0.0

    def fraction(self, passed: float) -> Measured:
        """The fraction of the weight that ``passed`` is; undefined without any entry."""
        return fraction(passed, self.weight, n_effective=self.n_effective)
