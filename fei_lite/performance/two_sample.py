"""Do two weighted samples come from one distribution? Kolmogorov and Smirnov's test.

The distance D is the largest difference of the two weighted cumulative
distributions. For independent entries its asymptotic law, with effective sizes
(sum w)^2 / sum w^2, gives the p-value (F. James, Statistical Methods in
Experimental Physics, 2nd ed., 11.4.2). Candidates of one event share tracks and
clusters and are not independent: then whole *events* are exchanged between
the samples (a permutation test), and the p-value is the fraction of exchanges
that give at least the D that was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import FeiLiteError
from fei_lite.fractions import effective_size
from fei_lite.kernels.exchange import exchanges_as_far

Floats = NDArray[np.float64]

#: Exchanges drawn at a time.
_BLOCK = 64


@dataclass(frozen=True)
class Sample:
    """Values (n,) with weights (n,) and the event (n,; any integers) that each is from."""

    values: Floats
    weight: Floats
    event: NDArray[np.int64]

    @classmethod
    def of(cls, values: ArrayLike, *, weight: ArrayLike | None = None, event: ArrayLike | None = None) -> Sample:
        """A sample; NaN is left out. Weights default to 1, and each value to an event of its own."""
        x = np.asarray(values, dtype=np.float64)
        w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
        e = np.arange(len(x)) if event is None else np.asarray(event, dtype=np.int64)
        if not len(x) == len(w) == len(e):
            raise FeiLiteError(f"sample: got {len(x)} values, {len(w)} weights, {len(e)} events; "
                               "expected as many of each.")
        good = ~np.isnan(x)
        return cls(x[good], w[good], e[good])

    @property
    def effective(self) -> float:
        """Effective number of entries, (sum w)^2 / sum w^2."""
        return effective_size(self.weight)


def ks_distance(a: Sample, b: Sample) -> float:
    """Largest difference of the weighted cumulative distributions; NaN if a sample is empty.

    >>> round(ks_distance(Sample.of([1, 2, 3]), Sample.of([2, 3, 4, 5])), 6)
    0.5
    """
    if not (a.weight.sum() > 0.0 and b.weight.sum() > 0.0):
        return float("nan")
    values = np.concatenate([a.values, b.values])
    steps = np.concatenate([a.weight / a.weight.sum(), -b.weight / b.weight.sum()])
    order = np.argsort(values, kind="stable")
    return float(np.max(np.abs(np.cumsum(steps[order])[_ends(values[order])])))


def _ends(ordered: Floats) -> NDArray[np.bool_]:
    """The last of equal values: distributions are compared after all of them."""
    return np.append(ordered[1:] != ordered[:-1], True)


def ks_independent(a: Sample, b: Sample) -> tuple[float, float]:
    """(D, p-value) of samples with independent entries; asymptotic, NaN if one is empty."""
    from scipy.stats import kstwobign

    distance = ks_distance(a, b)
    n, m = a.effective, b.effective
    return distance, float(kstwobign.sf(np.sqrt(n * m / (n + m)) * distance)) if n * m > 0.0 else float("nan")


def ks_events(a: Sample, b: Sample, *, permutations: int = 999, rng: np.random.Generator) -> tuple[float, float]:
    """(D, p-value) by exchanging whole events between the samples; NaN if one is empty.

    An exchange keeps the number of events of each sample. Events of ``a`` and
    ``b`` are different ones, even if they have the same number. The p-value is
    (1 + exchanges at least as far) / (1 + exchanges).
    """
    distance = ks_distance(a, b)
    if np.isnan(distance):
        return distance, float("nan")
    events_a, index_a = np.unique(a.event, return_inverse=True)
    events_b, index_b = np.unique(b.event, return_inverse=True)
    n, n_a = len(events_a) + len(events_b), len(events_a)
    values = np.concatenate([a.values, b.values])
    order = np.argsort(values, kind="stable")
    event = np.concatenate([index_a, n_a + index_b])[order]
    weight = np.concatenate([a.weight, b.weight])[order]
    ends, limit = _ends(values[order]), distance * (1.0 - 1e-9)
    far = 0
    for done in range(0, permutations, _BLOCK):
        in_a = np.argsort(rng.random((min(_BLOCK, permutations - done), n)), axis=1) < n_a
        far += exchanges_as_far(event, weight, ends, in_a, limit)
    return distance, (1.0 + far) / (1.0 + permutations)
