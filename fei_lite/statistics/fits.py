"""Fit of the signal strength: asymmetric errors from the profile likelihood, significance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.minimum import LOWER, fast_minimum, minimum

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StrengthFit:
    """The fitted parameter of interest.

    ``best_fit``, and how far up and down twice the profiled negative
    log-likelihood rises by one: ``error_up`` and ``error_down``, both positive,
    NaN where it never does (a downward fluctuation to no event at all).
    ``statistical_share`` is the part of the error (not of its square) that the
    fluctuation of the bins alone would cause; ``point`` the minimum with all
    parameters.
    """

    best_fit: float
    error_up: float
    error_down: float
    statistical_share: float
    point: FitPoint

    @property
    def statistical(self) -> tuple[float, float]:
        """Statistical errors (up, down): the share of the asymmetric errors."""
        return self.statistical_share * self.error_up, self.statistical_share * self.error_down

    @property
    def systematic(self) -> tuple[float, float]:
        """What is left in quadrature (up, down): auxiliary data, with the statistics of the templates."""
        share = float(np.sqrt(1.0 - self.statistical_share**2))
        return share * self.error_up, share * self.error_down


class Profile:
    """The profile likelihood of some data: twice the negative log-likelihood above its minimum.

    Every point is the least over all valleys of the likelihood, whatever was
    asked before. ``fast``: for toys, see :func:`~fei_lite.statistics.minimum.fast_minimum`.
    ``best``: the minimum, where it is known.
    """

    def __init__(self, likelihood: Likelihood, data: Floats | None = None, *, fast: bool = False,
                 best: FitPoint | None = None) -> None:
        self.likelihood = likelihood
        self.data = likelihood.observed if data is None else data
        self._minimum = fast_minimum if fast else minimum
        self._points: dict[float, FitPoint] = {}
        self.best = self._minimum(likelihood, self.data) if best is None else best
        if not fast and best is None and likelihood.branching:
            self._search()

    def _search(self) -> None:
        """Look for a lower minimum from some standard deviations to either side."""
        for distance in (-2.0, -1.0, 1.0, 2.0):
            try:
                point = self.at(self.strength + distance * self.sigma)
            except FitError:  # beyond the strength at which a bin expects nothing
                continue
            other = self._minimum(self.likelihood, self.data, starts=[point.parameters])
            if other.nll < self.best.nll - LOWER:
                self.best = other

    @property
    def strength(self) -> float:
        """Best fit of the parameter of interest."""
        return float(self.best.parameters[self.likelihood.poi])

    @property
    def sigma(self) -> float:
        """Symmetric error of the parameter of interest, from the Fisher information; raises :class:`FitError`."""
        poi, alone = self.likelihood.poi, self.likelihood.scale()
        variance = float(self.best.covariance[poi, poi])
        if np.isinf(alone) or variance > 1e8 * alone**2 * max(1.0, self.strength / alone) ** 2:
            raise FitError(f"nothing depends on '{self.likelihood.names[poi]}', or another free parameter does the "
                           "same: its error is unbounded. Are the signal templates empty?")
        return float(np.sqrt(variance)) if variance > 1e-8 * alone**2 else alone

    def at(self, strength: float) -> FitPoint:
        """The fit with the parameter of interest held; raises :class:`FitError` where the likelihood is zero."""
        if strength not in self._points:
            near = min(self._points, key=lambda other: abs(other - strength), default=None)
            starts = [self.best.parameters] if near is None else [self._points[near].parameters, self.best.parameters]
            self._points[strength] = self._minimum(self.likelihood, self.data,
                                                   held={self.likelihood.poi: strength}, starts=starts)
        return self._points[strength]

    def __call__(self, strength: float) -> float:
        """Twice the negative log-likelihood at ``strength`` above the minimum, never below 0."""
        return max(0.0, 2.0 * (self.at(strength).nll - self.best.nll))


def fit_strength(likelihood: Likelihood, data: Floats | None = None, *, fast: bool = False) -> StrengthFit:
    """Fit the parameter of interest to ``data`` (default: the observed data); raises :class:`FitError`.

    ``fast``: for toys, without Minuit where Fisher scoring converges.
    """
    profile = Profile(likelihood, data, fast=fast)
    up, down = (_distance(profile, direction) for direction in (1.0, -1.0))
    share = min(1.0, error_budget(likelihood, profile.best)["statistical"] / profile.sigma)
    return StrengthFit(profile.strength, up, down, share, profile.best)


def error_budget(likelihood: Likelihood, point: FitPoint) -> dict[str, float]:
    """What each source adds to the (symmetric) error of the parameter of interest; squares add up to all of it.

    ``"statistical"`` is the fluctuation of the bins; the other keys are the
    constrained parameters, those with one entry per bin taken together. The
    estimate moves by C J^T W (fluctuation of the data), with J the derivatives,
    W the inverse variances of the data, auxiliary data included, and C the
    covariance. Nuisances stay free, as in toys that redraw one source alone;
    holding them would count what the bins themselves constrain as systematic.
    """
    expected = likelihood.expected(point.parameters)
    variance = likelihood.variance(expected)
    moved = likelihood.derivatives(point.parameters) @ point.covariance[likelihood.poi]
    squares = np.divide(moved**2, variance, out=np.zeros_like(moved), where=variance > 0.0)
    budget = {"statistical": float(np.sqrt(np.sum(squares[: likelihood.n_bins])))}
    first = likelihood.n_bins
    for name in likelihood.model.config.auxdata_order:
        last = first + likelihood.model.config.param_set(name).n_parameters
        budget[name] = float(np.sqrt(np.sum(squares[first:last])))
        first = last
    return budget


def _distance(profile: Profile, direction: float) -> float:
    """How far from the best fit the profile reaches 1; NaN if it does not."""
    best, sigma = profile.strength, profile.sigma

    def excess(distance: float) -> float:
        if distance == 0.0:  # the best fit itself
            return -1.0
        # the root is nearly linear in the distance: few steps to the crossing
        try:
            return float(np.sqrt(profile(best + direction * distance))) - 1.0
        except FitError:  # beyond the strength at which a bin expects nothing
            return float("nan")

    return crossing(excess, sigma)


def crossing(function: Callable[[float], float], guess: float) -> float:
    """The positive zero of a function that rises from below 0, to 1e-5; NaN if it ends (in NaN) or never comes.

    >>> round(crossing(lambda x: x * x - 2.0, 1.0), 4)
    1.4142
    """
    from scipy.optimize import brentq

    low, high, step = 0.0, guess, 0.25 * guess
    for _ in range(60):
        value = function(high)
        if value >= 0.0:
            break
        if np.isnan(value):  # too far: go half-way back to where it still exists
            if high - low < 1e-6 * guess:
                return float("nan")
            high = 0.5 * (low + high)
        else:
            low, high, step = high, high + step, 2.0 * step
    else:
        return float("nan")
    return float(brentq(function, low, high, xtol=1e-5 * guess, rtol=1e-6))


def significance(likelihood: Likelihood, data: Floats | None = None) -> float:
    """Standard deviations above zero signal, the root of q0; 0 for a deficit.

    Cowan et al., arXiv:1007.1727, eq. 12 and 53.
    """
    profile = Profile(likelihood, data)
    return float(np.sqrt(profile(0.0))) if profile.strength > 0.0 else 0.0


def expected_data(likelihood: Likelihood, strength: float = 1.0, *, fitted: bool = False) -> Floats:
    """Asimov data (n_data,) at a strength: nuisances nominal, or fitted to the observed data.

    Fitting them gives the expected error of a measurement not made yet.
    """
    parameters = likelihood.at(strength)
    if fitted:
        parameters = minimum(likelihood, likelihood.observed, held={likelihood.poi: strength}).parameters
    return likelihood.expected(parameters)
