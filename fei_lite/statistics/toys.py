"""Toys: pulls of injected signal, and the goodness of a fit.

A toy redraws the bins (Poisson) and the auxiliary data of every nuisance, from
known parameters. Toys are independent of each other: the first n of a longer
series are the series of n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        try:
            fits[:, i] = _fitted(likelihood, likelihood.draw(truth, toy), injected)
        except FitError:  # counted by Pulls.undefined
            continue
    return Pulls(injected, *fits)


@dataclass(frozen=True)
class StrengthToys:
    """Fits of all strengths to the same toys: every array (n_strengths, n_toys); NaN: no answer.

    ``names`` are the strengths, ``injected`` (n_strengths,) their true values; ``root`` as in :class:`Pulls`.
    """

    names: tuple[str, ...]
    injected: Floats
    best_fit: Floats
    error_up: Floats
    error_down: Floats
    root: Floats

    def pulls(self, name: str) -> Pulls:
        """The pulls of one strength about its true value."""
        i = self.names.index(name)
        return Pulls(float(self.injected[i]), self.best_fit[i], self.error_up[i], self.error_down[i], self.root[i])

    def moved(self, name: str, before: StrengthToys) -> tuple[float, float]:
        """Mean change of the estimate of ``name`` against the same toys ``before``, and the error of that mean.

        The changes of estimates that have their own errors in common: what is injected besides, and no bias of the fit.
        """
        i = self.names.index(name)
        changes = self.best_fit[i] - before.best_fit[i]
        changes = changes[np.isfinite(changes)]
        return float(np.mean(changes)), float(np.std(changes, ddof=1) / np.sqrt(len(changes)))


def strength_toys(likelihoods: Mapping[str, Likelihood], cases: Sequence[Mapping[str, float]], *, n: int,
                  rng: np.random.Generator) -> list[StrengthToys]:
    """Fit every strength of a workspace in ``n`` toys of each case; ``likelihoods`` have one strength of interest each.

    Strengths that a case does not name are 1 in the truth, the others being free in each fit. All cases have the same
    toys of the lowest strengths among them, and more signal on top of these.
    """
    names, first = tuple(likelihoods), next(iter(likelihoods.values()))
    values = np.array([[case.get(name, 1.0) for name in names] for case in cases])
    at = [first.index(name) for name in names]
    least = np.array(first.start, dtype=np.float64)
    least[at] = values.min(axis=0)
    expected = [first.bins.events(_with(least, at, value)) for value in values]
    more = [np.clip(bins - first.bins.events(least), 0.0, None) for bins in expected]
    fits = np.full((len(cases), 4, len(names), n), np.nan)
    for i, toy in enumerate(rng.spawn(n)):
        common, *besides = toy.spawn(1 + len(cases))
        data = first.draw(least, common)
        for case, value in enumerate(values):
            with_more = data.copy()
            with_more[:first.n_bins] += besides[case].poisson(more[case])
            for k, name in enumerate(names):
                try:
                    fits[case, :, k, i] = _fitted(likelihoods[name], with_more, float(value[k]))
                except FitError:
                    continue
    return [StrengthToys(names, value, *of_case) for value, of_case in zip(values, fits, strict=True)]


def _with(parameters: Floats, at: Sequence[int], values: Floats) -> Floats:
    """Parameters with other values at some places."""
    out = parameters.copy()
    out[list(at)] = values
    return out


def _fitted(likelihood: Likelihood, data: Floats, injected: float) -> tuple[float, float, float, float]:
    """Best fit, errors up and down, and the signed root of a toy."""
    fit = fit_strength(likelihood, data, fast=True)
    away = Profile(likelihood, data, fast=True, best=fit.point)(injected)
    return fit.best_fit, fit.error_up, fit.error_down, float(np.copysign(np.sqrt(away), fit.best_fit - injected))


def goodness_of_fit(likelihood: Likelihood, data: Floats | None = None, *, n: int,
                    rng: np.random.Generator) -> tuple[float, float]:
    """Twice the negative log-likelihood above the saturated model's, and its p-value from ``n`` toys.

    Toys are drawn at the best fit. (Baker and Cousins, Nucl. Instrum. Meth. 221, 437.)
    """
    best = minimum(likelihood, likelihood.observed if data is None else data)
    toys = [fast_minimum(likelihood, likelihood.draw(best.parameters, toy)).nll for toy in rng.spawn(n)]
    # the data count as one toy more: no p-value is 0
    return 2.0 * best.nll, (1.0 + float(np.sum(np.array(toys) >= best.nll))) / (n + 1.0)
