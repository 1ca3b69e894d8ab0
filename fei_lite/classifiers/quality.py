"""How good a classifier is: separation (AUC), and whether its output is a probability.

Weights are event weights (rates), not repetitions: uncertainties use sums of
their squares. Arrays are one entry per candidate: ``y`` truth (0 or 1),
``p`` signal probability, ``weight`` dimensionless.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import FeiLiteError
from fei_lite.fractions import effective_size

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """Size of a sample and what a classifier makes of it. NaN where a class is empty.

    ``n_*`` are entries, ``weight_*`` sums of weights; ``log_loss`` is in nats per
    unit weight; ``calibration_error`` as :func:`expected_calibration_error`.
    """

    n_signal: int
    n_background: int
    weight_signal: float
    weight_background: float
    auc: float = float("nan")
    auc_uncertainty: float = float("nan")
    log_loss: float = float("nan")
    calibration_error: float = float("nan")

    def to_json(self) -> dict[str, float | int | None]:
        """The fields by name; undefined is None, because JSON has no NaN."""
        return {key: None if np.isnan(value) else value for key, value in asdict(self).items()}


def measure_quality(y: ArrayLike, p: ArrayLike | None = None, *, weight: ArrayLike | None = None) -> Quality:
    """Summarise a sample, and the classifier's output ``p`` on it if given."""
    signal = np.asarray(y) > 0.5
    w = _weights(weight, len(signal))
    sizes = (int(signal.sum()), int((~signal).sum()), float(w[signal].sum()), float(w[~signal].sum()))
    if p is None or not w.sum() > 0.0:
        return Quality(*sizes)
    auc, uncertainty = weighted_auc(signal, p, weight=w)
    return Quality(*sizes, auc, uncertainty, log_loss(signal, p, weight=w),
                   expected_calibration_error(signal, p, weight=w))


def weighted_auc(y: ArrayLike, p: ArrayLike, *, weight: ArrayLike | None = None,
                 group: ArrayLike | None = None) -> tuple[float, float]:
    """Area under the ROC curve and its standard deviation.

    The area is the probability that a signal entry has a larger ``p`` than a
    background entry, ties counting half. The uncertainty is that of DeLong,
    DeLong, Clarke-Pearson, Biometrics 44 (1988) 837, with weights. Both are NaN
    if a class is empty; the uncertainty is NaN if it has only one entry.

    ``group`` (integers from 0, one per entry) numbers the events: candidates of
    one event resemble each other, and their contributions are then summed before
    they are squared (Obuchowski, Biometrics 53 (1997) 567).

    >>> auc, uncertainty = weighted_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> auc
    0.75
    """
    signal = np.asarray(y) > 0.5
    p = np.asarray(p, dtype=np.float64)
    w = _weights(weight, len(p))
    ps, ws, pb, wb = p[signal], w[signal], p[~signal], w[~signal]
    if not (ws.sum() > 0.0 and wb.sum() > 0.0):
        return float("nan"), float("nan")
    below = _fraction_below(ps, pb, wb)  # of the background, for each signal entry
    above = 1.0 - _fraction_below(pb, ps, ws)
    auc = float(np.average(below, weights=ws))
    if len(ps) < 2 or len(pb) < 2:
        return auc, float("nan")
    number = np.arange(len(p)) if group is None else np.asarray(group)
    part = np.empty(len(p))  # of each entry in auc - its expectation
    for of_class, beyond, w_class in ((signal, below, ws), (~signal, above, wb)):
        sums = np.bincount(number[of_class], weights=w_class)
        n_effective = effective_size(sums)
        bessel = n_effective / (n_effective - 1.0) if n_effective > 1.0 else 1.0
        part[of_class] = np.sqrt(bessel) * w_class * (beyond - auc) / w_class.sum()
    return auc, float(np.sqrt(np.sum(np.bincount(number, weights=part)**2)))


def log_loss(y: ArrayLike, p: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Mean of -ln(probability given to the truth), nats; p is kept 1e-15 away from 0 and 1.

    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    signal = np.asarray(y) > 0.5
    p = np.clip(np.asarray(p, dtype=np.float64), 1e-15, 1.0 - 1e-15)
    loss = -np.log(np.where(signal, p, 1.0 - p))
    return float(np.average(loss, weights=_weights(weight, len(p))))


@dataclass(frozen=True)
class Reliability:
    """Predicted probability against the fraction of signal, per bin of the prediction.

    ``predicted`` and ``observed`` are weighted means of ``p`` and ``y``;
    ``uncertainty`` is the standard deviation of ``observed`` expected if
    ``predicted`` is right; ``weight`` the bin's sum of weights.
    """

    predicted: Floats
    observed: Floats
    uncertainty: Floats
    weight: Floats

    @property
    def calibration_error(self) -> float:
        """Mean of |observed - predicted| over the bins, by weight; NaN without any."""
        return self._mean(np.abs(self.observed - self.predicted))

    @property
    def error_from_fluctuations(self) -> float:
        """What the calibration error would be on average if every prediction were right; NaN without any bin."""
        return self._mean(np.sqrt(2.0 / np.pi) * self.uncertainty)

    def _mean(self, values: Floats) -> float:
        return float(np.average(values, weights=self.weight)) if len(self.weight) else float("nan")


def reliability(y: ArrayLike, p: ArrayLike, *, weight: ArrayLike | None = None,
                n_bins: int = 20) -> Reliability:
    """Reliability in ``n_bins`` bins of about equal expected information.

    A bin holds an equal part of the sum of ``weight * sqrt(p (1 - p))``, so that
    a rare signal at large ``p`` is not lost in one bin among the background.
    Equal predictions stay together; empty bins are left out.
    """
    p = np.asarray(p, dtype=np.float64)
    w = _weights(weight, len(p))
    signal = (np.asarray(y) > 0.5).astype(np.float64)
    order = np.argsort(p, kind="stable")
    p, w, signal = p[order], w[order], signal[order]
    information = np.cumsum(w * np.sqrt(p * (1.0 - p)))
    if not len(p) or not w.sum() > 0.0:
        empty = np.empty(0)
        return Reliability(empty, empty, empty, empty)
    position = information / information[-1] if information[-1] > 0.0 else np.zeros(len(p))
    first_of_equal = np.searchsorted(p, p, side="left")
    bins = np.minimum((position[first_of_equal] * n_bins).astype(np.int64), n_bins - 1)
    bins = np.unique(bins, return_inverse=True)[1]

    def sums(values: Floats) -> Floats:
        return np.bincount(bins, weights=values).astype(np.float64)

    total = sums(w)
    filled = total > 0.0
    variance = sums(w**2 * p * (1.0 - p))[filled]
    total = total[filled]
    return Reliability(sums(w * p)[filled] / total, sums(w * signal)[filled] / total,
                       np.sqrt(variance) / total, total)


def expected_calibration_error(y: ArrayLike, p: ArrayLike, *, weight: ArrayLike | None = None,
                               n_bins: int = 20) -> float:
    """Mean of |observed - predicted| over the bins of :func:`reliability`, by weight.

    NaN for an empty sample. Statistical fluctuations contribute: compare with
    :attr:`Reliability.error_from_fluctuations`.
    """
    return reliability(y, p, weight=weight, n_bins=n_bins).calibration_error


def _weights(weight: ArrayLike | None, n: int) -> Floats:
    if weight is None:
        return np.ones(n)
    w = np.asarray(weight, dtype=np.float64)
    if w.shape != (n,):
        raise FeiLiteError(f"weight: got shape {w.shape}, expected ({n},), one weight per candidate.")
    return w


def _fraction_below(at: Floats, values: Floats, weight: Floats) -> Floats:
    """Fraction of the weight of ``values`` below each ``at``; equal values count half."""
    order = np.argsort(values, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weight[order])])
    low = sums[np.searchsorted(values[order], at, side="left")]
    high = sums[np.searchsorted(values[order], at, side="right")]
    found: Floats = (low + high) / (2.0 * sums[-1])
    return found
