"""Replicas of a sample by drawing its events again, with replacement (Efron, Ann. Statist. 7 (1979) 1)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fei_lite.fractions import CONFIDENCE, UNDEFINED, Measured

Floats = NDArray[np.float64]


def event_replicas(n_events: int, n_used: int, *, replicas: int,
                   rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """How often each of the ``n_used`` events that matter is drawn, (n_used,), for one replica after the other.

    Of ``n_events`` draws only those that hit an event with an entry change anything; the others are not made.
    """
    for _ in range(replicas):
        hits = rng.binomial(n_events, n_used / n_events) if n_used < n_events else n_events
        yield (np.bincount(rng.integers(n_used, size=hits), minlength=n_used) if n_used
               else np.zeros(0, dtype=np.int64))


def central(replicas: Floats) -> tuple[float, float, float]:
    """Lower end, median and upper end of the central 68.3 % of the replicas."""
    low, middle, high = np.quantile(replicas, [0.5 - CONFIDENCE / 2, 0.5, 0.5 + CONFIDENCE / 2])
    return float(low), float(middle), float(high)


def with_interval(value: float, replicas: Floats) -> Measured:
    """A value with the central 68.3 % of its replicas; no interval if one in ten has no value."""
    if np.isnan(value):
        return UNDEFINED
    good = replicas[np.isfinite(replicas)]
    if len(good) < 0.9 * len(replicas) or not len(good):
        return Measured(value, float("nan"), float("nan"))
    lower, _, upper = central(good)
    return Measured(value, lower, upper)


def ratio(mine: float, theirs: float, *, replicas: tuple[Floats, Floats]) -> Measured:
    """``mine / theirs`` with the interval of the ratios of their replicas, the same events in both."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return with_interval(mine / theirs if theirs > 0.0 else float("nan"), replicas[0] / replicas[1])
