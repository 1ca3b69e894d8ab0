"""Does the SignalProbability of the best Btag say how often it is right? One entry per event.

The expected calibration error is that of
:func:`fei_lite.classifiers.quality.expected_calibration_error`: the mean, by
weight, of abs(observed - predicted) over bins of about equal information. Most
best Btags are hopeless and say so, which makes the error of all of them small;
therefore it is also given above thresholds. Fluctuations alone make it positive:
``from_fluctuations`` is what a perfect probability would give on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.quality import expected_calibration_error, reliability
from fei_lite.fractions import UNDEFINED, Measured, Sums
from fei_lite.performance.best_tags import BestTags
from fei_lite.performance.bootstrap import central, event_replicas

Floats = NDArray[np.float64]

#: Lower cuts on SignalProbability at which calibration is given.
THRESHOLDS = (0.0, 0.001, 0.01, 0.1)


@dataclass(frozen=True)
class Bin:
    """One point of a reliability diagram: mean prediction, fraction that is right, number of Btags."""

    predicted: float
    observed: Measured
    n: int


@dataclass(frozen=True)
class Calibration:
    """Calibration of best Btags above a threshold.

    ``promised``: mean SignalProbability; ``right``: fraction of correct Btags;
    ``error``: expected calibration error, with the spread (68.3 %) of bootstrap
    replicas of the events around their median; ``from_fluctuations``: its mean if
    every probability were right, which it cannot well be below.
    """

    min_signal_probability: float
    n: int
    promised: float
    right: Measured
    error: Measured
    from_fluctuations: float
    bins: list[Bin]


def calibrate(tags: BestTags, *, thresholds: Sequence[float] = THRESHOLDS, n_bins: int = 20, replicas: int = 200,
              rng: np.random.Generator) -> dict[str, list[Calibration]]:
    """Calibration of the best Btags: ``"all"``, and each B type that is there; a list over ``thresholds``."""
    groups = {"all": tags} | {b_type: tags.of_b_type(b_type) for b_type in tags.events_of_b_type}
    return {name: [event_calibration(group.correct[above], group.probability[above], weight=group.weight[above],
                                     event=group.entry[above], min_signal_probability=threshold, n_bins=n_bins,
                                     replicas=replicas, rng=rng)
                   for threshold in thresholds for above in [group.probability > threshold]]
            for name, group in groups.items()}


def event_calibration(
    correct: NDArray[np.bool_], probability: Floats, *, weight: Floats | None = None,
    event: NDArray[np.int64] | None = None, min_signal_probability: float = 0.0, n_bins: int = 20,
    replicas: int = 200, rng: np.random.Generator,
) -> Calibration:
    """Calibration of Btags: truth (n,), probability (n,), weight (n,; default 1), event (n,; default: one each)."""
    w = np.ones(len(probability)) if weight is None else weight
    if not w.sum() > 0.0:
        return Calibration(min_signal_probability, 0, float("nan"), UNDEFINED, UNDEFINED, float("nan"), [])
    bins = reliability(correct, probability, weight=w, n_bins=n_bins)
    value, of_event = bins.calibration_error, np.arange(len(w))
    if event is not None:
        of_event = np.unique(event, return_inverse=True)[1]
    n = int(of_event.max()) + 1
    toys = np.empty(replicas)
    for i, times in enumerate(event_replicas(n, n, replicas=replicas, rng=rng)):
        rows = np.repeat(np.arange(len(w)), times[of_event])
        toys[i] = expected_calibration_error(correct[rows], probability[rows], weight=w[rows], n_bins=n_bins)
    # replicas fluctuate twice: their median lies too high, their spread is right
    low, middle, high = central(toys)
    error = Measured(value, max(value - (middle - low), 0.0), value + (high - middle))
    return Calibration(
        min_signal_probability, len(w), float(np.average(probability, weights=w)),
        Sums.of(w).fraction(float(w[correct].sum())), error, bins.error_from_fluctuations,
        _points(probability, w, bins.predicted, bins.observed, bins.weight))


def _points(probability: Floats, weight: Floats, predicted: Floats, observed: Floats, of_bin: Floats) -> list[Bin]:
    """The bins with intervals; bins hold neighbouring probabilities, so that sums of weights tell them apart."""
    order = np.argsort(probability, kind="stable")
    ends = np.searchsorted(np.cumsum(weight[order]), np.cumsum(of_bin) * (1.0 - 1e-9), side="left") + 1
    starts = np.concatenate([[0], ends[:-1]])
    points = []
    for start, end, p, seen, total in zip(starts, ends, predicted, observed, of_bin, strict=True):
        inside = Sums(int(end - start), float(total), Sums.of(weight[order[start:end]]).squares)
        points.append(Bin(float(p), inside.fraction(float(seen * total)), inside.n))
    return points
