"""Limits and toys of unbinned fits: CLs with the asymptotic formulae, pulls, coverage."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.limits import QUANTILES, asymptotic_cls
from fei_lite.statistics.unbinned import Data, PeakFit, PeakModel

Floats = NDArray[np.float64]


def _statistic(fit: PeakFit, strength: float) -> float:
    """q-tilde: 0 where the data ask for more, against a signal that is not negative."""
    best = fit.best.strength
    if strength <= max(best, 0.0):
        return 0.0
    reference = fit.best.cost if best > 0.0 else fit.at(0.0).cost
    return max(fit.at(strength).cost - reference, 0.0)


def expected_limits(model: PeakModel, *, level: float = 0.9) -> tuple[float, ...]:
    """The five quantiles of the CLs limit without signal (see :data:`~fei_lite.statistics.limits.QUANTILES`).

    Of the Asimov data; raises :class:`FitError` where no strength is excluded.
    """
    from scipy.stats import norm

    fit, alpha = PeakFit(model, model.asimov()), 1.0 - level

    def quantile(n: float) -> float:
        target = (n + float(norm.isf(alpha * norm.cdf(n)))) ** 2
        return _crossing(lambda mu: _statistic(fit, mu) - target, fit.size)

    return tuple(quantile(n) for n in QUANTILES)


def upper_limit(model: PeakModel, data: Data, *, level: float = 0.9, auxiliary: float = 0.0) -> float:
    """The CLs upper limit of some data."""
    fit = PeakFit(model, data, auxiliary=auxiliary)
    asimov = PeakFit(model, model.asimov(point=fit.at(0.0)), auxiliary=fit.at(0.0).nuisance)
    return _crossing(lambda mu: (1.0 - level) - asymptotic_cls(_statistic(fit, mu), _statistic(asimov, mu)),
                     max(fit.best.strength, 0.0) + fit.size)


def _crossing(function: object, guess: float) -> float:
    """Where a rising function of the strength crosses 0, above 0."""
    from scipy.optimize import brentq

    assert callable(function)
    low, high = 0.0, max(guess, 1e-9)
    for _ in range(40):
        if function(high) > 0.0:
            return float(brentq(function, low, high, xtol=1e-3 * high))
        low, high = high, 1.7 * high
    raise FitError(f"no strength up to {high:.3g} is excluded.")


@dataclass(frozen=True)
class RootPulls:
    """Fits of toys with ``injected`` signal: ``best_fit`` and ``pulls`` (n_toys,); NaN where the fit had no answer.

    The pull is the signed root of how far twice the profiled negative log-likelihood is above its minimum at the
    injected strength: (fit - injected) / error where the likelihood is a parabola.
    """

    injected: float
    best_fit: Floats = field(repr=False)
    pulls: Floats = field(repr=False)

    @property
    def undefined(self) -> int:
        """Toys without an answer, which mean and width leave out."""
        return int(np.sum(np.isnan(self.pulls)))

    @property
    def mean(self) -> tuple[float, float]:
        """Mean of the pulls and its error."""
        n = len(self.pulls) - self.undefined
        return float(np.nanmean(self.pulls)), self.width[0] / float(np.sqrt(n))

    @property
    def width(self) -> tuple[float, float]:
        """Standard deviation of the pulls and its error."""
        n = len(self.pulls) - self.undefined
        width = float(np.nanstd(self.pulls, ddof=1))
        return width, width / float(np.sqrt(2.0 * (n - 1)))


def pulls(model: PeakModel, strength: float, *, toys: int, rng: np.random.Generator, truth: PeakModel | None = None,
          ) -> RootPulls:
    """Fits of toys with an injected strength; those of ``truth`` (default: the model), fitted with the model."""
    source, found = truth or model, np.full((2, toys), np.nan)
    for i, generator in enumerate(rng.spawn(toys)):
        data, auxiliary = source.draw(strength, generator)
        fit = PeakFit(model, data, auxiliary=auxiliary)
        try:
            best = fit.best.strength
            found[:, i] = best, np.sign(best - strength) * np.sqrt(fit.rise(strength))
        except FitError:
            continue
    return RootPulls(strength, found[0], found[1])


@dataclass(frozen=True)
class Coverage:
    """Limits of toys with ``injected`` signal: how many are above it."""

    injected: float
    level: float
    limits: Floats = field(repr=False)

    @property
    def value(self) -> float:
        """Fraction of toys whose limit is above the injected strength."""
        return float(np.mean(self.limits[np.isfinite(self.limits)] >= self.injected))

    @property
    def error(self) -> float:
        """Binomial error of the fraction."""
        n = int(np.isfinite(self.limits).sum())
        return float(np.sqrt(max(self.value * (1.0 - self.value), 1.0 / n) / n))


def coverage(model: PeakModel, strength: float, *, toys: int, rng: np.random.Generator, level: float = 0.9) -> Coverage:
    """How often the limit is above an injected strength."""
    found = np.full(toys, np.nan)
    for i, generator in enumerate(rng.spawn(toys)):
        data, auxiliary = model.draw(strength, generator)
        try:
            found[i] = upper_limit(model, data, level=level, auxiliary=auxiliary)
        except FitError:
            continue
    return Coverage(strength, level, found)
