"""Shapes in Mbc: ARGUS for the background, a peak with a tail for the signal.

A shape is given by its integral up to the edges of bins, normalised to 1 over the
range of the edges: what a binned fit needs, exact for bins of any width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError, nearest

Floats = NDArray[np.float64]


def argus_bins(edges: Floats, slope: Floats, *, endpoint: float) -> tuple[Floats, Floats]:
    """Fractions of an ARGUS background in bins, and their derivative by the slope; both (n, n_bins).

    The density is x sqrt(t) exp(slope t), t = 1 - (x / endpoint)^2, zero above the
    endpoint (H. Albrecht et al., Phys. Lett. B 241 (1990) 278); ``slope`` (n,) of
    either sign, dimensionless. With u = t the integral is that of sqrt(u) exp(slope u),
    2/3 t^1.5 1F1(1.5, 2.5, slope t) by Kummer's function.

    >>> argus_bins(np.array([5.2, 5.25, 5.29]), np.array([0.0]), endpoint=5.29)[0].round(4)
    array([[0.7016, 0.2984]])
    """
    from scipy.special import hyp1f1

    t = np.clip(1.0 - (edges / endpoint) ** 2, 0.0, None)
    z = np.multiply.outer(slope, t)
    integral = -(t**1.5) * hyp1f1(1.5, 2.5, z) / 1.5  # falls with x: t is largest at the lowest edge
    derivative = -(t**2.5) * hyp1f1(2.5, 3.5, z) / 2.5
    return _normalised(integral, derivative)


def _normalised(integral: Floats, derivative: Floats) -> tuple[Floats, Floats]:
    """Fractions per bin and their derivative, from the integral up to each edge (last axis)."""
    bins, slopes = np.diff(integral), np.diff(derivative)
    total = (integral[..., -1] - integral[..., 0])[..., None]
    part = bins / total
    return part, (slopes - part * (derivative[..., -1] - derivative[..., 0])[..., None]) / total


def _crystal_ball(z: Floats, p: Floats) -> tuple[Floats, Floats]:
    from scipy.stats import crystalball

    return crystalball.cdf(z, p[..., 2], p[..., 3]), crystalball.pdf(z, p[..., 2], p[..., 3])


def _core_and_tail(z: Floats, p: Floats) -> tuple[Floats, Floats]:
    from scipy.special import ndtr

    tail, wide = p[..., 2], p[..., 3]
    norm = 1.0 / np.sqrt(2.0 * np.pi)
    return ((1.0 - tail) * ndtr(z) + tail * ndtr(z / wide),
            norm * ((1.0 - tail) * np.exp(-0.5 * z**2) + tail / wide * np.exp(-0.5 * (z / wide) ** 2)))


@dataclass(frozen=True)
class SignalModel:
    """A peak: cumulative and density in z = (x - mean) / sigma, of four parameters each with start and limits.

    The first two parameters are mean and sigma (GeV).
    """

    name: str
    parameters: tuple[str, ...]
    start: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]
    function: Callable[[Floats, Floats], tuple[Floats, Floats]]

    def bins(self, edges: Floats, parameters: Floats, *, shift: float = 0.0,
             width: float = 1.0) -> tuple[Floats, Floats, Floats]:
        """Fractions in bins (n, n_bins) of peaks with ``parameters`` (n, 4), and derivatives by shift and width.

        The mean moves by ``shift`` (GeV), sigma is multiplied with ``width``.
        """
        p = parameters[..., None, :]
        sigma = p[..., 1] * width
        z = (edges - p[..., 0] - shift) / sigma
        integral, density = self.function(z, p)
        part, by_shift = _normalised(integral, -density / sigma)
        return part, by_shift, _normalised(integral, -density * z / width)[1]


_POSITION = ((5.275, 5.284), (0.0015, 0.006))

#: Signal models by name: Gaussian with a power-law tail below, and Gaussian with a wide Gaussian.
MODELS = {
    "crystal_ball": SignalModel(  # J. Gaiser, SLAC-R-255 (1982), appendix F
        "crystal_ball", ("mean", "sigma", "beta", "m"), (5.2795, 0.0027, 1.8, 5.0),
        (*_POSITION, (0.3, 5.0), (1.1, 50.0)), _crystal_ball),
    "core_and_tail": SignalModel(
        "core_and_tail", ("mean", "sigma", "tail", "wide"), (5.2795, 0.0027, 0.2, 3.0),
        (*_POSITION, (0.0, 0.6), (1.5, 12.0)), _core_and_tail),
}


def find_model(name: str) -> SignalModel:
    """The signal model called ``name``; :class:`FitError` if there is none."""
    if name not in MODELS:
        raise FitError(f"no signal model '{name}'. Known: {', '.join(MODELS)}.{nearest(name, MODELS)}")
    return MODELS[name]


@dataclass(frozen=True)
class FittedShape:
    """A signal shape fitted to simulation: parameters (4,) and their covariance (4, 4)."""

    model: SignalModel
    parameters: Floats
    covariance: Floats


def fit_shape(model: SignalModel, counts: Floats, variances: Floats, edges: Floats) -> FittedShape:
    """Fit a signal shape to a histogram of simulated signal; binned likelihood, weights by their effective number.

    Raises :class:`FitError` if there is no minimum. A parameter at its limit is
    held there, and has no variance.
    """
    from iminuit import Minuit
    from iminuit.cost import BinnedNLL

    def cumulative(x: Floats, *p: float) -> Floats:
        values = np.array(p)
        return model.function((x - values[0]) / values[1], values[None, :])[0]

    cost = BinnedNLL(np.stack([counts, variances], axis=1), edges, cumulative, name=list(model.parameters))
    minuit = Minuit(cost, *model.start)
    minuit.limits = list(model.limits)
    minuit.strategy = 1
    minuit.migrad(ncall=20_000)
    for name, (low, high) in zip(model.parameters, model.limits, strict=True):
        if min(minuit.values[name] - low, high - minuit.values[name]) < 1e-3 * (high - low):
            minuit.fixed[name] = True
    minuit.migrad(ncall=20_000)
    minuit.hesse()
    if not np.isfinite(minuit.fval) or minuit.covariance is None:
        raise FitError(f"the signal shape '{model.name}' has no minimum in {counts.sum():.0f} simulated events "
                       f"(distance {minuit.fmin.edm:.2g}). Pool more modes.")
    return FittedShape(model, np.array(minuit.values), np.array(minuit.covariance))
