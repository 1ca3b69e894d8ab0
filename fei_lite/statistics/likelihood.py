"""The likelihood of a HistFactory workspace, evaluated by pyhf and minimised by Fisher scoring.

Product over bins of Poisson(n | nu(eta, chi)) and over auxiliary data of their
constraint terms (HistFactory, CERN-OPEN-2012-016; pyhf, JOSS 6, 2823), with
pyhf's interpolations (code 4 and 4p). pyhf says what each bin expects; its
derivatives are taken on all parameters at once with pyhf's batches, and give
the Fisher information. Each step solves for it, so that a fit with 50
nuisances needs some ten evaluations instead of thousands: this is what makes
toys cheap. Where the steps do not converge, Minuit takes over.

Data vectors are pyhf's: events per bin, then the auxiliary data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import FitError, UnknownNameError, nearest

Floats = NDArray[np.float64]

#: Estimated distance to the minimum (in units of the negative log-likelihood) at which a fit is done.
TOLERANCE = 1e-9

#: An empty bin counts as this many events: a barrier that keeps expectations
#: positive. It moves the negative log-likelihood by less than 1e-4.
EMPTY = 1e-6

#: Parameters differentiated in one call of pyhf: bounds the memory.
BATCH = 64

_STEP = 1e-6  # of the forward differences; parameters are of order 1


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
    parameter of interest, ``observed`` the data of the workspace. The bounds of
    the parameter of interest are dropped: an estimate may be negative, and the
    expectations keep it in range. :func:`fei_lite.statistics.workspaces.open_likelihood`
    makes one from a file or a specification.
    """

    def __init__(self, model: Any, batched: Any, observed: ArrayLike) -> None:
        config = model.config
        self.model = model
        self._batched = batched
        self.observed = np.asarray(observed, dtype=np.float64)
        self.names: tuple[str, ...] = tuple(config.par_names)
        self.poi = int(config.poi_index)
        self.start = np.asarray(config.suggested_init(), dtype=np.float64)
        self.fixed = np.asarray(config.suggested_fixed(), dtype=bool)
        self.lower, self.upper = np.asarray(config.suggested_bounds(), dtype=np.float64).T.copy()
        self.lower[self.poi], self.upper[self.poi] = -np.inf, np.inf
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
        bins = np.asarray(self.model.expected_actualdata(parameters), dtype=np.float64)
        return np.concatenate([bins, self._constraints @ parameters])

    def derivatives(self, parameters: Floats, expected: Floats) -> Floats:
        """Derivatives (n_data, n_parameters) of the expected data."""
        n = len(parameters)
        bins = np.zeros((n, self.n_bins))
        for first in range(0, n, BATCH):
            last = min(first + BATCH, n)
            shifted = np.tile(parameters, (min(BATCH, n), 1))
            shifted[range(last - first), range(first, last)] += _STEP
            values = np.asarray(self._batched.expected_actualdata(shifted), dtype=np.float64)
            bins[first:last] = (values[: last - first] - expected[: self.n_bins]) / _STEP
        return np.concatenate([bins.T, self._constraints])

    def nll(self, data: Floats, expected: Floats) -> float:
        """Negative log-likelihood above the saturated model's; infinite for a negative expectation."""
        poisson = np.isnan(self._sigma)
        n, nu = np.maximum(data[poisson], EMPTY), expected[poisson]
        dead = (nu == 0.0) & (data[poisson] == 0.0)  # nothing expected, nothing seen
        if np.any(~(nu > 0.0) & ~dead):
            return float("inf")
        n, nu = n[~dead], nu[~dead]
        normal = self._sigma > 0.0  # 0: parameters that a workspace holds, such as gammas of empty bins
        return float(np.sum(nu - n + n * np.log(n / nu))
                     + 0.5 * np.sum(((data[normal] - expected[normal]) / self._sigma[normal]) ** 2))

    def variance(self, expected: Floats) -> Floats:
        """Variance (n_data,) of the data; 0 for auxiliary data of parameters that the workspace holds."""
        return np.where(np.isnan(self._sigma), expected, self._sigma**2)

    def gradient(self, data: Floats, expected: Floats, derivatives: Floats) -> tuple[Floats, Floats]:
        """Gradient (n_parameters,) and Fisher information (n_parameters, n_parameters) of :meth:`nll`."""
        variance = self.variance(expected)
        live = variance > 0.0
        seen = np.where(np.isnan(self._sigma), np.maximum(data, EMPTY), data)[live]
        weighted = derivatives[live] / variance[live, None]
        return weighted.T @ (expected[live] - seen), weighted.T @ derivatives[live]

    def fit(self, data: Floats, *, held: Mapping[int, float] | None = None, start: Floats | None = None) -> FitPoint:
        """Minimise over all parameters but those ``held`` (index -> value).

        Raises :class:`FitError` if a bin has events but no expectation, or if
        neither Fisher scoring nor Minuit converges.
        """
        x = np.array(self.start if start is None else start, dtype=np.float64)
        free = ~self.fixed
        for index, value in (held or {}).items():
            x[index], free[index] = value, False
        expected = self.expected(x)
        if not np.isfinite(self.nll(data, expected)):  # the start of another fit may be impossible here
            x[free] = self.start[free]
            expected = self.expected(x)
            self._check_start(data, expected)
        point, converged = self._score(data, x, free)
        return point if converged else self._minuit(data, point, free)

    def _check_start(self, data: Floats, expected: Floats) -> None:
        if np.isfinite(self.nll(data, expected)):
            return
        bad = [f"{name}[{i}]" for name in self.model.config.channels
               for i, (n, nu) in enumerate(zip(data[self.model.config.channel_slices[name]],
                                               expected[self.model.config.channel_slices[name]]))
               if not (nu > 0.0 or (nu == 0.0 and n == 0.0))]
        raise FitError(f"the likelihood is zero at the nominal parameters: bins {', '.join(bad[:5])} have events or "
                       "negative expectations where some are needed. Merge bins, or give the templates a floor.")

    def _score(self, data: Floats, x: Floats, free: NDArray[np.bool_]) -> tuple[FitPoint, bool]:
        """Fisher scoring with projection on the bounds and halved steps."""
        expected = self.expected(x)
        nll = self.nll(data, expected)
        for _ in range(100):
            derivatives = self.derivatives(x, expected)
            gradient, information = self.gradient(data, expected, derivatives)
            moving = free & ~((x <= self.lower) & (gradient > 0)) & ~((x >= self.upper) & (gradient < 0))
            covariance = _inverse(information, moving)
            step = -covariance @ gradient
            if -0.5 * gradient @ step < TOLERANCE:
                return FitPoint(x, nll, covariance), True
            change = (derivatives @ step)[: self.n_bins]
            nu = expected[: self.n_bins]
            falling = (change < 0) & (nu > 0)
            length = min(1.0, 0.99 * float(np.min(-nu[falling] / change[falling], initial=np.inf)))
            for _ in range(30):
                trial = np.clip(x + length * step, np.where(free, self.lower, x), np.where(free, self.upper, x))
                there = self.expected(trial)
                value = self.nll(data, there)
                if value < nll:
                    break
                length *= 0.5
            else:
                return FitPoint(x, nll, covariance), False
            x, expected, nll = trial, there, value
        return FitPoint(x, nll, covariance), False

    def _minuit(self, data: Floats, point: FitPoint, free: NDArray[np.bool_]) -> FitPoint:
        """The same minimum by MIGRAD, from where Fisher scoring gave up."""
        from iminuit import Minuit

        def function(x: Floats) -> float:
            return min(self.nll(data, self.expected(x)), 1e10)

        minuit = Minuit(function, point.parameters, name=self.names)
        minuit.errordef, minuit.strategy = Minuit.LIKELIHOOD, 1
        minuit.limits = list(zip(self.lower, self.upper))
        for i in range(len(self.names)):
            minuit.fixed[i] = not free[i]
        minuit.migrad(ncall=100_000)
        x = np.array(minuit.values)
        if not minuit.valid:
            raise FitError(f"no minimum was found: Minuit's distance to it is {minuit.fmin.edm:.2g} after "
                           f"{minuit.nfcn} calls, at {self.names[self.poi]} = {x[self.poi]:.4g}. "
                           "Is a parameter without effect, or a bin without expectation?")
        expected = self.expected(x)
        _, information = self.gradient(data, expected, self.derivatives(x, expected))
        return replace(point, parameters=x, nll=float(minuit.fval), covariance=_inverse(information, free))

    def draw(self, parameters: Floats, rng: np.random.Generator) -> Floats:
        """A toy data vector (n_data,): bins and auxiliary data fluctuate; raises :class:`FitError`."""
        expected = self.expected(parameters)
        poisson = np.isnan(self._sigma)
        if not np.all(expected[poisson] >= 0.0):
            raise FitError(f"no toy can be drawn at {self.names[self.poi]} = {parameters[self.poi]:g}: "
                           "a bin expects less than nothing.")
        data = np.empty_like(expected)
        data[poisson] = rng.poisson(expected[poisson])
        data[~poisson] = rng.normal(expected[~poisson], self._sigma[~poisson])
        return data


def _inverse(information: Floats, moving: NDArray[np.bool_]) -> Floats:
    """Inverse on the moving parameters; a flat direction gets a huge variance instead of an exception."""
    covariance = np.zeros_like(information)
    rows = np.flatnonzero(moving)
    block = information[np.ix_(rows, rows)]
    scale = np.sqrt(np.where(np.diag(block) > 0.0, np.diag(block), 1.0))
    ridge = 1e-12 * np.eye(len(rows))
    covariance[np.ix_(rows, rows)] = np.linalg.inv(block / np.outer(scale, scale) + ridge) / np.outer(scale, scale)
    return covariance
