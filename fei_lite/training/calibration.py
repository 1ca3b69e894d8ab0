"""The probability of an event's best candidate, set right after the choice.

A probability that holds for all candidates is too high for the one that was chosen
because it was the highest, and a forest believes the events that it was fitted on a
little too much. Both are undone by a straight line in the log-odds, fitted to the
best candidates of events that fitted nothing (Platt, Adv. Large Margin Classifiers
(1999) 61). The line rises, so that no choice and no order changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

Floats = NDArray[np.float64]

#: With fewer correct best candidates than this nothing is fitted: the slope would be known to no better than a tenth.
MIN_CORRECT = 200


@dataclass(frozen=True)
class Calibration:
    """Log-odds of a best candidate: ``offset`` + ``slope`` times the forest's.

    ``covariance`` (2, 2) of both, with weighted events (sandwich estimator); ``n_events`` with a
    candidate were fitted, the best one was right in ``n_correct``.
    """

    offset: float
    slope: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    n_events: int
    n_correct: int

    def to_json(self) -> Mapping[str, Any]:
        """As plain data, for the manifest."""
        return {"offset": self.offset, "slope": self.slope, "covariance": [list(row) for row in self.covariance],
                "n_events": self.n_events, "n_correct": self.n_correct}


def fit_calibration(log_odds: Floats, correct: NDArray[np.bool_], weight: Floats) -> Calibration | None:
    """Fit best candidates (n,), one per event: maximum likelihood of offset and slope.

    ``weight`` (n,) are the events' weights. None if fewer than :data:`MIN_CORRECT` are correct, if
    none is wrong, or if their order says nothing (no rising line).
    """
    n_correct = int(np.count_nonzero(correct))
    if n_correct < MIN_CORRECT or n_correct == len(correct):
        return None
    features = np.column_stack([np.ones_like(log_odds), log_odds])
    share, sign = weight / weight.sum(), np.where(correct, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        score = features @ parameters
        return -float(share @ log_expit(sign * score)), features.T @ (share * (expit(score) - correct))

    def curvature(parameters: Floats) -> Floats:
        p = expit(features @ parameters)
        return np.asarray(features.T @ (features * (share * p * (1.0 - p))[:, None]))

    found = minimize(loss, np.array([0.0, 1.0]), jac=True, hess=curvature, method="trust-exact",
                     options={"gtol": 1e-9})
    offset, slope = (float(value) for value in found.x)
    if not (np.isfinite([offset, slope]).all() and slope > 0.0):
        return None
    each = features * (share * (expit(features @ found.x) - correct))[:, None]
    inverse = np.linalg.inv(curvature(found.x))
    (a, b), (c, d) = (inverse @ (each.T @ each) @ inverse).tolist()
    return Calibration(offset, slope, ((a, b), (c, d)), len(correct), n_correct)
