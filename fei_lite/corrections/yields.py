"""Yields of many decay modes from one fit of their Mbc: extended binned likelihood, Poisson in each bin.

Mode i expects ``signal_i S_i + background_i A_i`` events in a bin, S_i a signal
shape known from simulation, A_i an ARGUS shape with a slope of its own. Data may
have their peak elsewhere, and wider: one ``shift`` of the mean and one factor
``width`` on sigma, common to all modes. A slope is held near ``slope`` by a wide
Gaussian term, for modes with hardly any background.

The minimum is found by scipy's trust-region method with exact gradients and the
expected (Fisher) information as curvature; covariances are from the latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fei_lite.corrections.shapes import SignalModel, argus_bins
from fei_lite.errors import FitError

Floats = NDArray[np.float64]

#: Widths of the Gaussian terms on the ARGUS slope (assumed: wider than slopes differ), and on the logarithm of
#: the background, around a rough guess: it matters only where there is no background, which has no logarithm.
SLOPE_WIDTH, LOG_WIDTH = 30.0, 5.0
#: Expected events of a bin below which the likelihood is continued.
FLOOR = 0.01
_SHIFT_SCALE, _WIDTH_SCALE = 1e-4, 0.05  # GeV and a factor: steps of order one for the minimiser


@dataclass(frozen=True)
class Problem:
    """What is fitted: counts (n_modes, n_bins), edges (GeV), and what is known of the shapes.

    ``shapes`` (n_modes, 4): parameters of the signal ``model``; ``slope``: where
    the ARGUS slopes are expected; ``floating``: whether shift and width are free.
    """

    counts: Floats
    edges: Floats
    model: SignalModel
    shapes: Floats
    endpoint: float
    slope: float = -20.0
    floating: bool = True

    @property
    def n_modes(self) -> int:
        """Number of modes."""
        return len(self.counts)

    def expected(self, x: Floats) -> tuple[Floats, Floats]:
        """Expectation (n_modes, n_bins), and its derivatives (n_parameters, n_modes, n_bins).

        Parameters: signal, logarithm of the background and slope of each mode; then
        shift and width if they float.
        """
        m = self.n_modes
        signal, background, slope = x[:m], np.exp(x[m:2 * m]), x[2 * m:3 * m]
        shift, width = (x[3 * m], x[3 * m + 1]) if self.floating else (0.0, 1.0)
        peak, by_shift, by_width = self.model.bins(self.edges, self.shapes, shift=float(shift), width=float(width))
        argus, by_slope = argus_bins(self.edges, slope, endpoint=self.endpoint)
        tail = background[:, None] * argus
        nu = signal[:, None] * peak + tail
        own = np.arange(m)
        derivatives = np.zeros((len(x), m, len(self.edges) - 1))
        derivatives[own, own], derivatives[m + own, own] = peak, tail
        derivatives[2 * m + own, own] = background[:, None] * by_slope
        if self.floating:
            derivatives[3 * m], derivatives[3 * m + 1] = signal[:, None] * by_shift, signal[:, None] * by_width
        return nu, derivatives

    @cached_property
    def scale(self) -> Floats:
        """Size of a step of each parameter: its standard deviation, roughly."""
        root = np.sqrt(self.counts.sum(axis=1) + 1.0)
        scales = [root, 1.0 / root + 0.01, np.full(self.n_modes, 10.0)]
        return np.concatenate([*scales, [_SHIFT_SCALE, _WIDTH_SCALE]] if self.floating else scales)

    @cached_property
    def prior(self) -> tuple[Floats, Floats]:
        """Centre and 1 / variance of the Gaussian term of each parameter; 0 for none."""
        weight = np.zeros(len(self.scale))
        weight[self.n_modes:2 * self.n_modes] = LOG_WIDTH**-2
        weight[2 * self.n_modes:3 * self.n_modes] = SLOPE_WIDTH**-2
        return self.start, weight

    @cached_property
    def start(self) -> Floats:
        """Background from the lower half of the range, signal from what is left."""
        argus, _ = argus_bins(self.edges, np.full(self.n_modes, self.slope), endpoint=self.endpoint)
        low = slice(0, self.counts.shape[1] // 2)
        background = np.maximum(self.counts[:, low].sum(axis=1) / argus[:, low].sum(axis=1), 0.5)
        signal = np.maximum(self.counts.sum(axis=1) - background, 1.0)
        x = [signal, np.log(background), np.full(self.n_modes, self.slope)]
        return np.concatenate([*x, [0.0, 1.0]] if self.floating else x)


@dataclass(frozen=True)
class Yields:
    """Result of a fit: parameters as in :meth:`Problem.expected`, their covariance, and what was fitted.

    ``variance_of_bins`` (n_modes, n_bins): Poisson variance, or sums of squared weights.
    """

    problem: Problem
    parameters: Floats
    expected: Floats
    derivatives: Floats
    information: Floats
    variance_of_bins: Floats

    @property
    def signal(self) -> Floats:
        """Signal yields (n_modes,)."""
        return self.parameters[:self.problem.n_modes]

    @property
    def background(self) -> Floats:
        """Background yields (n_modes,), in the range of the fit."""
        m = self.problem.n_modes
        background: Floats = np.exp(self.parameters[m:2 * m])
        return background

    @property
    def position(self) -> tuple[float, float]:
        """Shift (GeV) and width (factor) of the peak against simulation; 0 and 1 if they were held."""
        if not self.problem.floating:
            return 0.0, 1.0
        return float(self.parameters[-2]), float(self.parameters[-1])

    @cached_property
    def _inverse(self) -> Floats:
        scale = self.problem.scale
        scaled = self.information * np.outer(scale, scale)
        inverse: Floats = np.linalg.inv(scaled + 1e-12 * np.eye(len(scale))) * np.outer(scale, scale)
        return inverse

    @cached_property
    def covariance(self) -> Floats:
        """Covariance of all parameters from the fluctuations of the bins (and the terms on slopes)."""
        scores = self.derivatives / self.expected
        middle = np.einsum("imb,mb,jmb->ij", scores, self.variance_of_bins, scores, optimize=True)
        middle += np.diag(self.problem.prior[1])
        covariance: Floats = self._inverse @ middle @ self._inverse
        return covariance

    def response(self, change: Floats) -> Floats:
        """Change of the fitted signal (n_modes,) if shapes change the expectation by ``change`` (n_modes, n_bins).

        To first order: the parameters move so that the gradient stays zero.
        """
        force = np.einsum("imb,mb->i", self.derivatives, change / self.expected)
        moved: Floats = -(self._inverse @ force)[:self.problem.n_modes]
        return moved


def fit_yields(problem: Problem, *, variance_of_bins: Floats | None = None) -> Yields:
    """Fit all modes at once. ``variance_of_bins``: sums of squared weights (default: Poisson).

    Raises :class:`FitError` if no minimum is found.
    """
    from scipy.optimize import minimize

    scale, (centre, weight), counts = problem.scale, problem.prior, problem.counts

    def value(u: Floats) -> float:
        cost, _, _ = _poisson(problem.expected(u * scale)[0], counts)
        return float(np.sum(cost) + 0.5 * np.sum(weight * (u * scale - centre) ** 2))

    def gradient(u: Floats) -> Floats:
        nu, derivatives = problem.expected(u * scale)
        slope: Floats = np.einsum("imb,mb->i", derivatives, _poisson(nu, counts)[1]) + weight * (u * scale - centre)
        return scale * slope

    def curvature(u: Floats) -> Floats:
        matrix: Floats = np.outer(scale, scale) * _information(problem, u * scale)
        return matrix

    with np.errstate(over="ignore", invalid="ignore"):
        found = minimize(value, problem.start / scale, jac=gradient, hess=curvature, method="trust-exact",
                         options={"gtol": 1e-3, "maxiter": 300, "initial_trust_radius": 3.0})
    x = found.x * scale
    steepness = np.abs(gradient(found.x)).max()
    if not np.isfinite(found.fun) or steepness > 0.05:
        raise FitError(f"no minimum was found for {problem.n_modes} modes with {counts.sum():.0f} events: the gradient "
                       f"is {steepness:.2g} standard deviations after {found.nit} steps. Pool more modes.")
    nu, derivatives = problem.expected(x)
    nu = np.maximum(nu, FLOOR)
    return Yields(problem, x, nu, derivatives, _information(problem, x), nu if variance_of_bins is None
                  else np.maximum(variance_of_bins, 0.0))


def _poisson(nu: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Negative log-likelihood of each bin against the saturated model, its derivative, its expected curvature.

    Below :data:`FLOOR` events it goes on as a parabola: a yield below zero then has a finite
    likelihood, and a minimum inside.
    """
    safe = np.maximum(nu, FLOOR)
    below, steep = nu - safe, n / FLOOR**2 + 1.0 / FLOOR
    entropy = np.where(n > 0.0, n * np.log(np.where(n > 0.0, n, 1.0) / safe), 0.0)
    return (safe - n + entropy + (1.0 - n / safe) * below + 0.5 * steep * below**2, 1.0 - n / safe + steep * below,
            np.where(below < 0.0, steep, 1.0 / safe))


def _information(problem: Problem, x: Floats) -> Floats:
    """Fisher's information of all parameters, with the Gaussian terms."""
    nu, derivatives = problem.expected(x)
    flat = (derivatives * np.sqrt(_poisson(nu, problem.counts)[2])).reshape(len(x), -1)
    information: Floats = flat @ flat.T + np.diag(problem.prior[1])
    return information
