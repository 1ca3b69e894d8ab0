"""Upper limits with CLs (Read, J. Phys. G 28, 2693) on the test statistic q-tilde.

q-tilde and its asymptotic distributions are those of Cowan et al.
(arXiv:1007.1727, section 3.6): with q(mu) from the observed data and q_A(mu)
from the Asimov data without signal, whose nuisances are fitted to the observed
data,

    CLs = (1 - Phi(t + sqrt q_A)) / (1 - Phi(t)),
    t = sqrt q - sqrt q_A if q <= q_A, else (q - q_A) / (2 sqrt q_A),

and without signal t is normal: the expected limits are where q_A reaches a
given value. With toys the distributions are drawn instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.fits import Profile, crossing

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Floats = NDArray[np.float64]

#: The five quantiles of an expected limit, in standard deviations.
QUANTILES = (-2.0, -1.0, 0.0, 1.0, 2.0)


@dataclass(frozen=True)
class UpperLimit:
    """An upper limit at confidence ``level``.

    ``expected`` are the five quantiles of the limits without signal, rising:
    2 and 1 standard deviations below the median, the median, 1 and 2 above.
    ``toys`` per hypothesis; 0: asymptotic formulae.
    """

    level: float
    observed: float
    expected: tuple[float, ...]
    toys: int = 0


class TestStatistic:
    """q-tilde of some data: fits that serve every tested strength are done once."""

    __test__ = False  # pytest: the name is the field's

    def __init__(self, likelihood: Likelihood, data: Floats) -> None:
        self.profile = Profile(likelihood, data)
        self.without = self.profile.at(0.0)
        #: the least strength that a signal can have is 0: the reference of negative fits
        self.reference = self.profile.best.nll if self.profile.strength > 0.0 else self.without.nll

    def __call__(self, strength: float) -> float:
        """q-tilde at ``strength``; 0 where the data ask for more."""
        if strength <= max(self.profile.strength, 0.0):
            return 0.0
        return max(0.0, 2.0 * (self.profile.at(strength).nll - self.reference))


def upper_limit(likelihood: Likelihood, data: Floats | None = None, *, level: float = 0.9, toys: int = 0,
                rng: np.random.Generator | None = None) -> UpperLimit:
    """CLs upper limit on the parameter of interest, observed and expected.

    ``toys`` per hypothesis and strength, which then need ``rng``; 0 takes the
    asymptotic formulae. Raises :class:`FitError`, also for a level outside 0 to 1.
    """
    if not 0.0 < level < 1.0:
        raise FitError(f"confidence level {level}: expected a number between 0 and 1, such as 0.9.")
    observed = TestStatistic(likelihood, likelihood.observed if data is None else data)
    asimov = TestStatistic(likelihood, likelihood.expected(observed.without.parameters))
    limit = _asymptotic(observed, asimov, level)
    if toys == 0:
        return limit
    if rng is None:
        raise FitError("limits with toys draw random numbers: give rng=numpy.random.default_rng(seed).")
    from fei_lite.statistics.toy_limits import toy_limit

    return toy_limit(likelihood, observed, limit, toys=toys, rng=rng)


def _asymptotic(observed: TestStatistic, asimov: TestStatistic, level: float) -> UpperLimit:
    from scipy.stats import norm

    alpha, sigma = 1.0 - level, asimov.profile.sigma
    expected = []
    for n in QUANTILES:
        # 1 - Phi(sqrt q_A - n) = alpha Phi(n)
        target = n + float(norm.isf(alpha * norm.cdf(n)))
        expected.append(crossing(lambda mu, t=target: float(np.sqrt(asimov(mu))) - t, target * sigma))  # type: ignore[misc]
    best = max(observed.profile.strength, 0.0)

    def excess(distance: float) -> float:
        mu = best + distance
        return alpha - asymptotic_cls(observed(mu), asimov(mu))

    return UpperLimit(level, best + crossing(excess, observed.profile.sigma), tuple(expected))


def asymptotic_cls(q: float, q_asimov: float) -> float:
    """CLs from q-tilde of the data and of the Asimov data.

    >>> round(asymptotic_cls(1.0, 1.0), 4)  # the median without signal: (1 - Phi(1)) / (1/2)
    0.3173
    """
    from scipy.stats import norm

    root, root_asimov = np.sqrt(q), np.sqrt(q_asimov)
    if root_asimov == 0.0:
        return 1.0
    t = root - root_asimov if root <= root_asimov else 0.5 * (q - q_asimov) / root_asimov
    # far in the tail both are 0: the ratio is taken of the logarithms
    return float(np.exp(norm.logsf(t + root_asimov) - norm.logsf(t)))


def band(values: Sequence[float]) -> tuple[float, ...]:
    """The five quantiles of some numbers, at the normal distribution's -2 to 2 standard deviations.

    >>> band([1.0, 2.0, 3.0])[2]
    2.0
    """
    from scipy.stats import norm

    return tuple(float(x) for x in np.quantile(values, norm.cdf(QUANTILES)))
