"""The likelihood of a HistFactory workspace.

Product over bins of Poisson(n | nu(eta, chi)) and over auxiliary data of their
constraint terms (HistFactory, CERN-OPEN-2012-016; pyhf, JOSS 6, 2823), with
pyhf's interpolations (code 4 and 4p). It is evaluated with exact derivatives;
:mod:`fei_lite.statistics.minimum` looks for its least value.

Data vectors are pyhf's: events per bin, then the auxiliary data.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import FitError, UnknownNameError, nearest
from fei_lite.kernels.histfactory import (
    CONVERGED,
    information_at,
    many_negative_log_likelihoods,
    negative_log_likelihood,
    score,
)
from fei_lite.statistics.expectations import Expectations

Floats = NDArray[np.float64]

#: An empty bin counts as this many events: a barrier that keeps expectations
#: positive. It moves the negative log-likelihood by less than 1e-4.
EMPTY = 1e-6

#: Estimated distance to the minimum (in units of the negative log-likelihood) at which a fit is done.
TOLERANCE = 1e-9

#: Values of a nuisance at which its effect is looked at, in standard deviations.
_GRID = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)

#: A turn of a bin's expectation that counts, in units of the bin's Poisson error.
_TURN = 0.02


@dataclass(frozen=True)
class FitPoint:
    """A minimum of the likelihood.

    ``parameters`` (n_parameters,); ``nll`` the negative log-likelihood above the
    saturated model's; ``covariance`` (n_parameters, n_parameters) from the
    Fisher information, 0 for parameters that were held or sit at a bound.
    """

    parameters: Floats
    nll: float
    covariance: Floats


class Likelihood:
    """What the bins of a workspace expect, and how well data agree with it.

    ``names`` are the parameters in pyhf's order, ``poi`` the index of the
    parameter of interest, ``observed`` the data of the workspace. Signal
    ``strengths`` (names) have no bounds: an estimate may be negative, and the
    expectations keep it in range. :func:`fei_lite.statistics.workspaces.open_likelihood`
    makes one from a file or a specification.
    """

    def __init__(self, model: Any, observed: ArrayLike, *, strengths: Collection[str] = ()) -> None:
        config = model.config
        self.model = model
        self.bins = Expectations(model)
        self.observed = np.asarray(observed, dtype=np.float64)
        self.names: tuple[str, ...] = tuple(config.par_names)
        self.poi = int(config.poi_index)
        self.start = np.asarray(config.suggested_init(), dtype=np.float64)
        self.fixed = np.asarray(config.suggested_fixed(), dtype=bool)
        self.lower, self.upper = np.asarray(config.suggested_bounds(), dtype=np.float64).T.copy()
        for index in {self.poi, *(self.index(name) for name in strengths)}:
            self.lower[index], self.upper[index] = -np.inf, np.inf
        self.n_bins = int(config.nmaindata)
        self._read_constraints()

    def _read_constraints(self) -> None:
        """The auxiliary data are linear in the parameters: a matrix, and a width (NaN: Poisson)."""
        config = self.model.config
        rows, widths = [], []
        for name in config.auxdata_order:
            parameters = config.param_set(name)
            normal = parameters.pdf_type == "normal"
            indices = range(*config.par_slice(name).indices(len(self.names)))
            factors = np.ones(len(indices)) if normal else np.asarray(parameters.factors)
            sigmas = getattr(parameters, "sigmas", None) if normal else [np.nan] * len(indices)
            widths += list(np.ones(len(indices)) if sigmas is None else sigmas)
            for index, factor in zip(indices, factors):
                row = np.zeros(len(self.names))
                row[index] = factor
                rows.append(row)
        self._constraints = np.array(rows).reshape(len(rows), len(self.names))
        self._sigma = np.concatenate([np.full(self.n_bins, np.nan), widths])
        self._poisson = np.isnan(self._sigma)

    @property
    def unconstrained(self) -> NDArray[np.bool_]:
        """Parameters (n_parameters,) without a constraint term: the signal strength and free normalisations."""
        return np.asarray(~np.any(self._constraints != 0.0, axis=0))

    def prior_variance(self) -> Floats:
        """Variance (n_parameters,) that the constraint terms alone give; infinite without one, 0 if held."""
        sigma = self._sigma[self.n_bins:]
        nominal = self._constraints @ self.start
        variance = np.where(np.isnan(sigma), nominal, sigma**2)
        used = variance > 0.0
        information = np.sum(self._constraints[used] ** 2 / variance[used, None], axis=0)
        with np.errstate(divide="ignore"):
            return np.where(self.fixed, 0.0, 1.0 / information)

    def index(self, name: str) -> int:
        """Position of a parameter; raises :class:`UnknownNameError`."""
        if name not in self.names:
            raise UnknownNameError(f"parameter '{name}' is not in the workspace.{nearest(name, self.names)}")
        return self.names.index(name)

    def at(self, strength: float, *, parameters: ArrayLike | None = None) -> Floats:
        """Parameters with the parameter of interest set; the others are ``parameters`` or nominal."""
        values = np.array(self.start if parameters is None else parameters, dtype=np.float64)
        values[self.poi] = strength
        return values

    def expected(self, parameters: Floats) -> Floats:
        """Expected data (n_data,): events per bin, then auxiliary data."""
        return np.concatenate([self.bins.events(parameters), self._constraints @ parameters])

    def derivatives(self, parameters: Floats) -> Floats:
        """Derivatives (n_data, n_parameters) of the expected data."""
        return np.concatenate([self.bins.derivatives(parameters), self._constraints])

    def nll(self, data: Floats, expected: Floats, *, soft: float = 0.0) -> float:
        """Negative log-likelihood above the saturated model's; infinite for a negative expectation.

        With ``soft`` a bin's term goes on as a parabola below that part of its
        events (of one event, if it has none): finite everywhere, for the way to
        a start that is allowed.
        """
        return float(negative_log_likelihood(data, expected, self._sigma, EMPTY, soft))

    def nll_of_many(self, data: Floats, points: Floats) -> Floats:
        """:meth:`nll` (n,) at many ``points`` (n, n_parameters), for samplers."""
        found = np.empty(len(points))
        many_negative_log_likelihoods(np.ascontiguousarray(points), data, self.bins.arrays, self._constraints,
                                      self._sigma, EMPTY, found)
        return found

    def variance(self, expected: Floats) -> Floats:
        """Variance (n_data,) of the data; 0 for auxiliary data of parameters that the workspace holds."""
        return np.where(self._poisson, expected, self._sigma**2)

    def gradient(self, data: Floats, expected: Floats, derivatives: Floats, *,
                 soft: float = 0.0) -> tuple[Floats, Floats]:
        """Gradient (n_parameters,) and Fisher information (n_parameters, n_parameters) of :meth:`nll`."""
        n = len(self.names)
        gradient, information = np.empty(n), np.empty((n, n))
        information_at(data, expected, derivatives, self._sigma, EMPTY, soft, gradient, information)
        return gradient, information

    def score(self, data: Floats, start: Floats, free: NDArray[np.bool_], *,
              soft: float = 0.0) -> tuple[FitPoint, bool]:
        """Fisher scoring of the free parameters from ``start``; whether it converged."""
        x, covariance = start.copy(), np.empty((len(start), len(start)))
        low, high = np.where(free, self.lower, x), np.where(free, self.upper, x)
        nll, reason = score(x, low, high, free, data, self.bins.arrays, self._constraints, self._sigma, EMPTY, soft,
                            TOLERANCE, covariance)
        return FitPoint(x, float(nll), covariance), bool(reason == CONVERGED)

    @cached_property
    def branching(self) -> tuple[int, ...]:
        """Constrained parameters whose effect on some bin turns round, so that the likelihood may have two minima."""
        found = []
        linear = ~self.unconstrained & ~self.fixed & (self.lower < 0.0)
        for index in np.flatnonzero(linear):
            for strength in self._strengths():
                points = np.tile(self.at(strength), (len(_GRID), 1))
                points[:, index] = self.start[index] + np.array(_GRID)
                steps = np.diff([self.bins.events(point) for point in points], axis=0)
                error = np.sqrt(np.maximum(self.bins.events(self.at(strength)), 1.0))
                rise, fall = (np.sum(np.maximum(sign * steps, 0.0), axis=0) / error for sign in (1.0, -1.0))
                if np.any(np.minimum(rise, fall) > _TURN):
                    found.append(int(index))
                    break
        return tuple(found)

    def _strengths(self) -> tuple[float, ...]:
        """Strengths at which the effects of nuisances are looked at: none, the start, some standard deviations.

        The last one is so large that what turns round in the signal alone is not hidden by the background.
        """
        size = self.scale()
        sizes = (2.0 * size, 5.0 * size, 25.0 * size) if np.isfinite(size) else ()
        return (0.0, float(self.start[self.poi]), *sizes)

    def scale(self, index: int | None = None) -> float:
        """Statistical error of a parameter (default: of interest) if all others were known; infinite without effect."""
        start = self.at(0.0) if index in (None, self.poi) else self.start
        effect = self.bins.derivatives(start)[:, self.poi if index is None else index]
        events = np.maximum(self.bins.events(start), np.maximum(self.observed[: self.n_bins], 1.0))
        information = float(np.sum(effect**2 / events))
        return 1.0 / np.sqrt(information) if information > 0.0 else float("inf")

    def impossible(self, data: Floats, expected: Floats) -> list[str]:
        """Bins ``channel[i]`` whose expectation makes the likelihood zero."""
        slices = self.model.config.channel_slices
        return [f"{name}[{i}]" for name in self.model.config.channels
                for i, (n, nu) in enumerate(zip(data[slices[name]], expected[slices[name]]))
                if not (nu > 0.0 or (nu == 0.0 and n == 0.0))]

    def draw(self, parameters: Floats, rng: np.random.Generator) -> Floats:
        """A toy data vector (n_data,): bins and auxiliary data fluctuate; raises :class:`FitError`."""
        expected = self.expected(parameters)
        poisson = self._poisson
        if not np.all((expected[poisson] >= 0.0) & (expected[poisson] < 1e18)):
            raise FitError(f"no toy can be drawn at {self.names[self.poi]} = {parameters[self.poi]:g}: "
                           "a bin expects less than nothing, or more than can be counted.")
        data = np.empty_like(expected)
        data[poisson] = rng.poisson(expected[poisson])
        data[~poisson] = rng.normal(expected[~poisson], self._sigma[~poisson])
        return data
