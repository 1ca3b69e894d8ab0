"""Toys: pulls of injected signal, and the goodness of a fit.

A toy redraws the bins (Poisson) and the auxiliary data of every nuisance, from
known parameters. Toys are independent of each other: the first n of a longer
series are the series of n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.fits import fit_strength
from fei_lite.statistics.minimum import fast_minimum, minimum
from fei_lite.statistics.profile import Profile

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Floats = NDArray[np.float64]

#: Injected strengths at which an analysis is asked whether its signal comes back.
INJECTED = (1.0, 5.0, 20.0)


@dataclass(frozen=True)
class Pulls:
    """Fits of toys with ``injected`` signal; every array (n_toys,).

    ``best_fit``, ``error_up``, ``error_down`` as in
    :class:`~fei_lite.statistics.fits.StrengthFit`; ``root``: the root of twice the difference in the logarithm of the
    profile likelihood between best fit and injected value, with the sign of the difference (empty: not asked for).
    NaN: the fit had no answer.
    """

    injected: float
    best_fit: Floats
    error_up: Floats
    error_down: Floats
    root: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def pulls(self) -> Floats:
        """(fit - injected) / error, with the error on the side of the injected value (n_toys,)."""
        difference = self.best_fit - self.injected
        return difference / np.where(difference > 0.0, self.error_down, self.error_up)

    @property
    def undefined(self) -> int:
        """Toys without a pull, which mean and width leave out."""
        return int(np.sum(np.isnan(self.pulls)))

    @property
    def mean(self) -> float:
        """Mean of the pulls."""
        return float(np.nanmean(self.pulls))

    @property
    def width(self) -> float:
        """Standard deviation of the pulls."""
        return float(np.nanstd(self.pulls, ddof=1))

    @property
    def coverage(self) -> float:
        """Share of toys whose interval holds the injected value; 0.683 is asked for."""
        pulls = self.pulls
        return float(np.mean(np.abs(pulls[~np.isnan(pulls)]) < 1.0))


def pull_toys(likelihood: Likelihood, injected: float, *, n: int, rng: np.random.Generator,
              parameters: Floats | None = None) -> Pulls:
    """Fit ``n`` toys with ``injected`` signal; nuisances of the truth are ``parameters`` or nominal."""
    truth = likelihood.at(injected, parameters=parameters)
    fits = np.full((4, n), np.nan)
    for i, toy in enumerate(rng.spawn(n)):
        data = likelihood.draw(truth, toy)
        try:
            fit = fit_strength(likelihood, data, fast=True)
            fits[:3, i] = fit.best_fit, fit.error_up, fit.error_down
            away = Profile(likelihood, data, fast=True, best=fit.point)(injected)
            fits[3, i] = np.copysign(np.sqrt(away), fit.best_fit - injected)
        except FitError:  # counted by Pulls.undefined
            continue
    return Pulls(injected, *fits)


@dataclass(frozen=True)
class StrengthToys:
    """Fits of all strengths to toys with signal injected into one: every array (n_strengths, n_toys); NaN: no answer.

    ``names`` are the strengths, ``injected`` (n_strengths,) their true values.
    """

    names: tuple[str, ...]
    injected: Floats
    best_fit: Floats
    error_up: Floats
    error_down: Floats

    def pulls(self, name: str) -> Pulls:
        """The pulls of one strength about its true value."""
        i = self.names.index(name)
        return Pulls(float(self.injected[i]), self.best_fit[i], self.error_up[i], self.error_down[i])

    def leakage(self, name: str, into: str) -> tuple[float, float]:
        """Mean shift of the estimate of ``into`` per unit of ``name`` injected beyond 1, and its error."""
        i, j = self.names.index(name), self.names.index(into)
        moved = self.best_fit[j] - self.injected[j]
        n = np.count_nonzero(np.isfinite(moved))
        extra = float(self.injected[i] - 1.0)
        return float(np.nanmean(moved) / extra), float(np.nanstd(moved, ddof=1) / np.sqrt(n) / extra)


def strength_toys(likelihoods: Mapping[str, Likelihood], injected: Mapping[str, float], *, n: int,
                  rng: np.random.Generator) -> StrengthToys:
    """Fit every strength of a workspace in ``n`` toys; ``likelihoods`` have one strength of interest each.

    Strengths that ``injected`` does not name are 1 in the truth, the others being free in each fit.
    """
    names = tuple(likelihoods)
    values = np.array([injected.get(name, 1.0) for name in names])
    first = likelihoods[names[0]]
    truth = np.array(first.start, dtype=np.float64)
    for name, value in zip(names, values, strict=True):
        truth[first.index(name)] = value
    fits = np.full((3, len(names), n), np.nan)
    for i, toy in enumerate(rng.spawn(n)):
        data = first.draw(truth, toy)
        for k, name in enumerate(names):
            try:
                fit = fit_strength(likelihoods[name], data, fast=True)
            except FitError:
                continue
            fits[:, k, i] = fit.best_fit, fit.error_up, fit.error_down
    return StrengthToys(names, values, *fits)


def goodness_of_fit(likelihood: Likelihood, data: Floats | None = None, *, n: int,
                    rng: np.random.Generator) -> tuple[float, float]:
    """Twice the negative log-likelihood above the saturated model's, and its p-value from ``n`` toys.

    Toys are drawn at the best fit. (Baker and Cousins, Nucl. Instrum. Meth. 221, 437.)
    """
    best = minimum(likelihood, likelihood.observed if data is None else data)
    toys = [fast_minimum(likelihood, likelihood.draw(best.parameters, toy)).nll for toy in rng.spawn(n)]
    # the data count as one toy more: no p-value is 0
    return 2.0 * best.nll, (1.0 + float(np.sum(np.array(toys) >= best.nll))) / (n + 1.0)
