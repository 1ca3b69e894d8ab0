"""Upper limits with CLs (Read, J. Phys. G 28, 2693) on the test statistic q-tilde.

q-tilde and its asymptotic distributions are those of Cowan et al.
(arXiv:1007.1727, section 3.6): with q(mu) from the observed data and q_A(mu)
from the Asimov data without signal, whose nuisances are fitted to the observed
data,

    CLs = (1 - Phi(t + sqrt q_A)) / (1 - Phi(t)),
    t = sqrt q - sqrt q_A if q <= q_A, else (q - q_A) / (2 sqrt q_A),

and without signal t is normal: the expected limits are where q_A reaches a
given value. With toys the distributions are drawn instead, and CLs is the ratio
of the two shares of toys at or above the observed q-tilde.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FeiLiteError, FitError
from fei_lite.statistics.minimum import first_of_alike, point_at
from fei_lite.statistics.profile import Profile, crossing

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]

#: The five quantiles of an expected limit, in standard deviations.
QUANTILES = (-2.0, -1.0, 0.0, 1.0, 2.0)

#: Strengths of the scan.
POINTS = 9


@dataclass(frozen=True)
class UpperLimit:
    """An upper limit at confidence ``level``.

    ``expected`` are the five quantiles of the limits without signal, rising:
    2 and 1 standard deviations below the median, the median, 1 and 2 above.
    ``toys`` per hypothesis; 0: asymptotic formulae. NaN: the limit was not
    found, with toys for want of toys: two standard deviations up need 1000;
    ``undefined`` then says why, for "observed" and "expected".
    """

    level: float
    observed: float
    expected: tuple[float, ...]
    toys: int = 0
    undefined: Mapping[str, str] = field(default_factory=dict)


class TestStatistic:
    """q-tilde of some data: fits that serve every tested strength are done once."""

    __test__ = False  # pytest: the name is the field's

    def __init__(self, likelihood: Likelihood, data: Floats, *, fast: bool = False,
                 best: FitPoint | None = None) -> None:
        self.profile = Profile(likelihood, data, fast=fast, best=best)

    @cached_property
    def without(self) -> FitPoint:
        """The fit without signal, of valleys equally deep always the same; raises :class:`FitError` if impossible."""
        self.profile.confirm(0.0)
        point, profile = self.profile.at(0.0), self.profile
        if profile.fast:
            return point
        return first_of_alike(profile.likelihood, profile.data, point, held={profile.likelihood.poi: 0.0})

    @cached_property
    def reference(self) -> float:
        """Least negative log-likelihood of a signal that is not negative."""
        return self.profile.best.nll if self.profile.strength > 0.0 else self.without.nll

    def __call__(self, strength: float) -> float:
        """q-tilde at ``strength``; 0 where the data ask for more."""
        if strength <= max(self.profile.strength, 0.0):
            return 0.0
        return max(0.0, 2.0 * (self.profile.at(strength).nll - self.reference))


def upper_limit(likelihood: Likelihood, data: Floats | None = None, *, level: float = 0.9, toys: int = 0,
                rng: np.random.Generator | None = None) -> UpperLimit:
    """CLs upper limit on the parameter of interest, observed and expected.

    ``toys`` per hypothesis and strength, which then need ``rng``; 0 takes the
    asymptotic formulae. Raises :class:`FitError`, and :class:`FeiLiteError` for a
    level outside 0 to 1, a negative number of toys, or toys without ``rng``.
    """
    check_limit_options(level, toys)
    if toys and rng is None:
        raise FeiLiteError("limits with toys draw random numbers: give rng=numpy.random.default_rng(seed).")
    observed, asimov = test_statistics(likelihood, data)
    limit = _asymptotic(observed, asimov, level)
    if rng is None or toys == 0:
        return limit
    return _toy_limit(likelihood, observed, limit, toys=toys, rng=rng)


def test_statistics(likelihood: Likelihood, data: Floats | None = None) -> tuple[TestStatistic, TestStatistic]:
    """q-tilde of the data (default: observed), and of the Asimov data without signal, nuisances as in the data."""
    observed = TestStatistic(likelihood, likelihood.observed if data is None else data)
    nuisances = observed.without.parameters
    without = likelihood.expected(nuisances)
    return observed, TestStatistic(likelihood, without, best=point_at(likelihood, without, nuisances))


test_statistics.__test__ = False  # type: ignore[attr-defined]  # pytest: the name is the field's


@dataclass(frozen=True)
class Band:
    """Asymptotic CLs at ``strengths`` (n,): ``observed`` (n,), ``expected`` (5, n) in the order of QUANTILES."""

    strengths: Floats
    observed: Floats
    expected: Floats


def cls_band(likelihood: Likelihood, strengths: Floats, *, data: Floats | None = None) -> Band:
    """CLs of the data and its five quantiles without signal; NaN where the likelihood is zero."""
    from scipy.stats import norm

    observed, asimov = test_statistics(likelihood, data)
    found = np.full((6, len(strengths)), np.nan)
    for i, mu in enumerate(strengths):
        try:
            q, q_asimov = observed(float(mu)), asimov(float(mu))
        except FitError:
            continue
        found[0, i] = asymptotic_cls(q, q_asimov)
        found[1:, i] = [float(norm.sf(np.sqrt(q_asimov) - n) / norm.cdf(n)) for n in QUANTILES]
    return Band(np.asarray(strengths, dtype=np.float64), found[0], found[1:])


def check_limit_options(level: float, toys: int) -> None:
    """Raise :class:`FeiLiteError` for a level outside 0 to 1 or a negative number of toys."""
    if not 0.0 < level < 1.0:
        raise FeiLiteError(f"confidence level {level}: expected a number between 0 and 1, such as 0.9.")
    if toys < 0:
        raise FeiLiteError(f"{toys} toys: expected 0 (asymptotic) or more.")


def _asymptotic(observed: TestStatistic, asimov: TestStatistic, level: float) -> UpperLimit:
    from scipy.stats import norm

    alpha, sigma = 1.0 - level, asimov.profile.sigma

    def quantile(n: float) -> float:
        # 1 - Phi(sqrt q_A - n) = alpha Phi(n)
        target = n + float(norm.isf(alpha * norm.cdf(n)))
        return crossing(lambda mu: float(np.sqrt(asimov(mu))) - target, target * sigma, confirm=asimov.profile.confirm)

    def excess(mu: float) -> float:
        return alpha - asymptotic_cls(observed(mu), asimov(mu))

    def confirm(mu: float) -> bool:
        return any([observed.profile.confirm(mu), asimov.profile.confirm(mu)])

    undefined: dict[str, str] = {}

    def found(name: str, search: Callable[[], float]) -> float:
        try:
            limit = search()
            if np.isnan(limit):
                undefined.setdefault(name, f"no strength is excluded at {100.0 * level:g} %")
            return limit
        except FitError as error:  # this limit has no value; the others may have one
            undefined.setdefault(name, str(error))
            return float("nan")

    guess = max(observed.profile.strength, 0.0) + 2.0 * observed.profile.sigma
    limit = found("observed", lambda: crossing(excess, guess, confirm=confirm))
    expected = tuple(found("expected", partial(quantile, n)) for n in QUANTILES)
    return UpperLimit(level, limit, expected, undefined=undefined)


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


def _toy_limit(likelihood: Likelihood, observed: TestStatistic, asymptotic: UpperLimit, *, toys: int,
              rng: np.random.Generator) -> UpperLimit:
    """The limit of ``toys`` per hypothesis; NaN where CLs stays above or below 1 - level in the scan.

    Around the asymptotic limits the strength is scanned, from half the lowest to
    1.5 times the highest. With signal, toys are drawn at each strength, the
    nuisances fitted to the observed data there; without, once for all strengths.
    """
    from scipy.stats import norm

    reach = [x for x in (asymptotic.observed, *asymptotic.expected) if np.isfinite(x)]
    if not reach:
        return replace(asymptotic, toys=toys)
    strengths = np.linspace(0.5 * min(reach), 1.5 * max(reach), POINTS)
    without_rng, with_rng = rng.spawn(2)
    truth = observed.without.parameters
    without = np.array([_statistics(likelihood, likelihood.draw(truth, toy), strengths)
                        for toy in without_rng.spawn(toys)])
    seen = np.array([observed(mu) for mu in strengths])
    cls_observed, cls_expected = np.empty(POINTS), np.empty((POINTS, toys))
    for i, (mu, generator) in enumerate(zip(strengths, with_rng.spawn(POINTS))):
        truth = observed.profile.at(mu).parameters
        present = np.array([_statistics(likelihood, likelihood.draw(truth, toy), [mu])[0]
                            for toy in generator.spawn(toys)])
        cls_observed[i] = _cls(seen[i], present, without[:, i])
        cls_expected[i] = [_cls(q, present, without[:, i]) for q in without[:, i]]
    alpha = 1.0 - asymptotic.level
    # the limit of each toy without signal: their quantiles are the expected limits
    cuts = [_cut(strengths, cls_expected[:, j], alpha) for j in range(toys)]
    # "nearest" never mixes a limit with one that lies outside the scan (infinite)
    expected = np.quantile(cuts, norm.cdf(QUANTILES), method="nearest")
    limit, limits = _inside(_cut(strengths, cls_observed, alpha)), tuple(_inside(float(x)) for x in expected)
    reason = f"{toys} toys are too few, or the limit lies outside {strengths[0]:.4g} to {strengths[-1]:.4g}"
    undefined = {name: reason for name, values in (("observed", limit), ("expected", limits))
                 if np.any(np.isnan(values))}
    return UpperLimit(asymptotic.level, limit, limits, toys, undefined)


def _statistics(likelihood: Likelihood, data: Floats, strengths: Floats | list[float]) -> list[float]:
    statistic = TestStatistic(likelihood, data, fast=True)
    return [statistic(float(mu)) for mu in strengths]


def _cls(q: float, present: Floats, without: Floats) -> float:
    """Share of toys with signal at or above q, over that of toys without; the smallest share is one toy."""
    q -= 1e-9  # q is 0 in many toys, and 0 is at or above 0
    shares = [max(float(np.mean(toys >= q)), 1.0 / len(toys)) for toys in (present, without)]
    return shares[0] / shares[1]


def _cut(strengths: Floats, values: Floats, alpha: float) -> float:
    """Where CLs first falls below alpha, interpolated in its logarithm; infinite (of either sign) outside the scan."""
    below = np.flatnonzero(values < alpha)
    if len(below) == 0:
        return float("inf")
    i = int(below[0])
    if i == 0:
        return float("-inf")
    left, right = np.log(values[i - 1] / alpha), np.log(values[i] / alpha)
    return float(strengths[i - 1] + (strengths[i] - strengths[i - 1]) * left / (left - right))


def _inside(limit: float) -> float:
    return limit if np.isfinite(limit) else float("nan")
