"""Posterior-predictive templates: what the bins expect over a posterior, and how well data agree with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood
    from fei_lite.statistics.posterior import Posterior

Floats = NDArray[np.float64]

#: Samples that are looked at, and the quantiles of 95 and 68 % about the median.
SAMPLES, QUANTILES = 2000, (0.025, 0.16, 0.5, 0.84, 0.975)


def predictive(likelihood: Likelihood, posterior: Posterior, data: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """Expected events per bin over the posterior (quantiles), of the sum and of the signal, and a p-value.

    The p-value is the fraction of samples whose toy (Poisson in every bin) is farther from its expectation than the
    data are, by twice the negative log-likelihood above the saturated model's.
    """
    rows = np.linspace(0, len(posterior.parameters) - 1, min(SAMPLES, len(posterior.parameters))).astype(int)
    points = posterior.parameters[rows]
    n = likelihood.n_bins
    sums = np.array([likelihood.bins.events(point) for point in points])
    background = points.copy()
    background[:, [likelihood.index(name) for name in posterior.strengths]] = 0.0
    signal = sums - np.array([likelihood.bins.events(point) for point in background])
    toys = rng.poisson(sums).astype(np.float64)
    worse = np.mean(_distance(toys, sums) >= _distance(data[:n], sums))
    quantiles = [np.quantile(values, QUANTILES, axis=0) for values in (sums, signal)]
    slices = likelihood.model.config.channel_slices
    return {"quantiles": list(QUANTILES), "p_value": float(worse), "channels": {
        name: {"data": data[slices[name]].tolist(), "events": quantiles[0][:, slices[name]].tolist(),
               "signal": quantiles[1][:, slices[name]].tolist()} for name in likelihood.model.config.channels}}


def _distance(data: Floats, expected: Floats) -> Floats:
    """Twice the negative log-likelihood above the saturated model's, (n,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(data > 0, data * np.log(data / expected), 0.0)
    return np.asarray(2.0 * np.sum(expected - data + logarithm, axis=-1))
