"""Fit of the signal strength: asymmetric errors from the profile likelihood, significance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.statistics.minimum import minimum, point_at
from fei_lite.statistics.profile import Profile

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StrengthFit:
    """The fitted parameter of interest.

    ``best_fit``, and how far up and down twice the profiled negative
    log-likelihood first rises by one: ``error_up`` and ``error_down``, both
    positive, NaN where it never does (a downward fluctuation to no event at
    all); ``undefined`` then says why, by name. ``statistical_fraction`` (up,
    down) is the part of the error (not of its square) that the fluctuation of
    the bins alone would cause; ``point`` the minimum with all parameters.
    """

    best_fit: float
    error_up: float
    error_down: float
    statistical_fraction: tuple[float, float]
    point: FitPoint
    undefined: Mapping[str, str] = field(default_factory=dict)

    @property
    def statistical(self) -> tuple[float, float]:
        """Statistical errors (up, down): that part of the asymmetric errors."""
        up, down = self.statistical_fraction
        return up * self.error_up, down * self.error_down

    @property
    def systematic(self) -> tuple[float, float]:
        """What is left in quadrature (up, down): auxiliary data, with the statistics of the templates."""
        up, down = (float(np.sqrt(1.0 - part**2)) for part in self.statistical_fraction)
        return up * self.error_up, down * self.error_down


def fit_strength(likelihood: Likelihood, data: Floats | None = None, *, fast: bool = False) -> StrengthFit:
    """Fit the parameter of interest to ``data`` (default: the observed data); raises :class:`FitError`.

    ``fast``: for toys, without Minuit where Fisher scoring converges.
    """
    profile = Profile(likelihood, data, fast=fast)
    errors, parts, undefined = [], [], {}
    middle = _statistical_fraction(likelihood, profile.best.parameters)
    for name, direction in (("error_up", 1.0), ("error_down", -1.0)):
        errors.append(profile.distance(direction))
        if np.isnan(errors[-1]):
            undefined[name] = _no_error(profile, direction)
            parts.append(middle)
        else:
            there = profile.at(profile.strength + direction * errors[-1]).parameters
            parts.append(middle if fast else _statistical_fraction(likelihood, there))
    return StrengthFit(profile.strength, errors[0], errors[1], (parts[0], parts[1]), profile.best, undefined)


def _no_error(profile: Profile, direction: float) -> str:
    name, side = profile.likelihood.names[profile.likelihood.poi], "above" if direction > 0.0 else "below"
    return (f"the likelihood never falls far enough {side} the best fit {name} = {profile.strength:.4g}: until a bin "
            "would expect less than nothing, twice its logarithm changes by less than one")


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


def _statistical_fraction(likelihood: Likelihood, parameters: Floats) -> float:
    """Statistical part of the error in the linear model around some parameters.

    Taken where the profile has risen by one: a nuisance both of whose variations
    go one way has no effect at its nominal value, but carries the error there.
    """
    expected = likelihood.expected(parameters)
    # the data cancel: only the information is used
    covariance = point_at(likelihood, expected, parameters).covariance[likelihood.poi]
    moved = (likelihood.derivatives(parameters) @ covariance)[: likelihood.n_bins]
    variance = expected[: likelihood.n_bins]
    square = float(np.sum(np.divide(moved**2, variance, out=np.zeros_like(moved), where=variance > 0.0)))
    total = float(covariance[likelihood.poi])
    if not total > 0.0:
        return float("nan")
    return float(np.sqrt(square / total)) if square < (1.0 - 1e-9) * total else 1.0


def significance(likelihood: Likelihood, data: Floats | None = None) -> float:
    """Standard deviations above zero signal, the root of q0; 0 for a deficit.

    Cowan et al., arXiv:1007.1727, eq. 12 and 53. Raises :class:`FitError` where
    the data are impossible without signal.
    """
    profile = Profile(likelihood, data)
    if profile.strength <= 0.0:
        return 0.0
    profile.confirm(0.0)
    return float(np.sqrt(profile(0.0)))


def expected_data(likelihood: Likelihood, strength: float = 1.0, *, fitted: bool = False) -> Floats:
    """Asimov data (n_data,) at a strength: nuisances nominal, or fitted to the observed data.

    Fitting them gives the expected error of a measurement not made yet.
    """
    parameters = likelihood.at(strength)
    if fitted:
        parameters = minimum(likelihood, likelihood.observed, held={likelihood.poi: strength}).parameters
    return likelihood.expected(parameters)
