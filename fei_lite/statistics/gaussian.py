"""Cross-check without a minimiser: every uncertainty Gaussian, the model linear.

Around a point of the likelihood, data minus expectation is a linear function of
the parameters with covariance V: the Poisson variance of what is expected, and
the constraints' widths. The best linear estimate is one matrix product; it is
repeated from the new point until it rests. Nothing of the profile likelihood is
used but the expectations and their derivatives, so that the two agree where
bins are well filled, and part where they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianFit:
    """Estimate and standard deviation of the parameter of interest in the Gaussian model."""

    best_fit: float
    error: float

    @property
    def significance(self) -> float:
        """Standard deviations above zero; 0 for a deficit."""
        return max(self.best_fit, 0.0) / self.error

    def upper_limit(self, level: float = 0.9) -> float:
        """CLs limit of a Gaussian measurement, in closed form.

        >>> round(GaussianFit(0.0, 1.0).upper_limit(0.95), 3)  # the median without signal
        1.96
        """
        from scipy.stats import norm

        # 1 - Phi(x) = (1 - level) Phi(best / error), with x = (limit - best) / error
        tail = (1.0 - level) * norm.cdf(self.best_fit / self.error)
        return self.best_fit + self.error * float(norm.isf(tail))


def gaussian_fit(likelihood: Likelihood, data: Floats | None = None, *, iterations: int = 20) -> GaussianFit:
    """Linear estimate of the parameter of interest (default: from the observed data).

    Nuisances stay nominal in the expectation, and enter through the covariance
    of the bins: V = diag(expected) + J V_nuisance J^T. Only the parameter of
    interest and unconstrained normalisations are estimated. Raises
    :class:`FitError` if nothing depends on them.
    """
    data = likelihood.observed if data is None else data
    bins = slice(0, likelihood.n_bins)
    estimated = np.flatnonzero(likelihood.unconstrained & ~likelihood.fixed)
    nuisances = np.flatnonzero(~likelihood.unconstrained & ~likelihood.fixed)
    x = likelihood.start.copy()
    prior = likelihood.prior_variance()[nuisances]
    for _ in range(iterations):
        expected = likelihood.expected(x)
        jacobian = likelihood.derivatives(x)[bins]
        # a bin without expectation has at least the variance of a tenth of an event
        shape = jacobian[:, nuisances]
        covariance = np.diag(np.maximum(expected[bins], 0.1)) + (shape * prior) @ shape.T
        weighted = np.linalg.solve(covariance, jacobian[:, estimated])
        information = jacobian[:, estimated].T @ weighted
        if np.linalg.matrix_rank(information) < len(estimated):
            raise FitError(f"nothing depends on '{likelihood.names[likelihood.poi]}', or two free normalisations do "
                           "the same: the Gaussian model has no answer.")
        variance = np.linalg.inv(information)
        step = variance @ (weighted.T @ (data[bins] - expected[bins]))
        x[estimated] += step
        if np.all(np.abs(step) < 1e-6 * np.sqrt(np.diag(variance))):
            break
    where = int(np.flatnonzero(estimated == likelihood.poi)[0])
    return GaussianFit(float(x[likelihood.poi]), float(np.sqrt(variance[where, where])))
