"""Position and width of the Mbc peak of correct Btags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.particles import mass
from fei_lite.performance.bootstrap import central

_NAN = float("nan")


@dataclass(frozen=True)
class MbcPeak:
    """The peak of ``n`` Btags, GeV; NaN if there are fewer than 10.

    ``width``: half the central 68.3 % interval; ``core_mean`` and ``core_sigma``: of
    a Gaussian fitted to the core, about the B mass.
    """

    n: int
    median: float = _NAN
    width: float = _NAN
    core_mean: float = _NAN
    core_sigma: float = _NAN


def mbc_peak(mbc: NDArray[np.float64], *, half_window: float = 0.012) -> MbcPeak:
    """Find the peak of correct tags; the Gaussian is fitted (maximum likelihood, truncated) within ``half_window``."""
    mbc = mbc[np.isfinite(mbc)]
    if len(mbc) < 10:
        return MbcPeak(len(mbc))
    low, middle, high = central(mbc)
    mean, sigma = _truncated_gaussian(mbc[np.abs(mbc - mass("B+")) < half_window], mass("B+"), half_window)
    return MbcPeak(len(mbc), middle, 0.5 * (high - low), mean, sigma)


def _truncated_gaussian(x: NDArray[np.float64], centre: float, half_window: float) -> tuple[float, float]:
    from scipy.optimize import minimize
    from scipy.stats import norm

    if len(x) < 10:
        return float("nan"), float("nan")
    z = (x - centre) / half_window  # of order one: the steps of the minimiser are absolute

    def loss(parameters: NDArray[np.float64]) -> float:
        mean, sigma = parameters[0], np.exp(parameters[1])
        inside = norm.cdf(1.0, mean, sigma) - norm.cdf(-1.0, mean, sigma)
        return float(-np.mean(norm.logpdf(z, mean, sigma)) + np.log(max(inside, 1e-300)))

    start = np.array([z.mean(), np.log(z.std() + 1e-6)])
    simplex = start + np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.3]])
    fit = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex})
    return centre + half_window * float(fit.x[0]), half_window * float(np.exp(fit.x[1]))
