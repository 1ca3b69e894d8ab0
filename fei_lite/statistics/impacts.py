"""What each parameter of a fit does: pulls, constraints, correlations, impacts on the strengths, likelihood scans.

The impact of a parameter is the shift of a strength when the parameter is held at its best fit plus or minus one
standard deviation and all others are fitted again; after the fit (its error there) or before (the error of its
constraint term alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.likelihood import FitPoint
from fei_lite.statistics.minimum import fast_minimum, inverse

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Floats = NDArray[np.float64]

#: Step of numerical derivatives, in standard deviations.
_STEP = 1e-3

#: A variance this many times the square of the error with all others known: nothing measures the parameter.
_UNBOUNDED = 1e8


def hesse(likelihood: Likelihood, data: Floats, point: FitPoint) -> FitPoint:
    """The minimum with the covariance of Minuit's HESSE: the inverse matrix of second derivatives there.

    Parameters that are held or sit at a bound have none. Where the matrix has no inverse with positive variances (the
    edge of what is allowed), the covariance of the Fisher information stays.
    """
    x = point.parameters
    moving = ~likelihood.fixed & (x > likelihood.lower) & (x < likelihood.upper)
    covariance = inverse(_second_derivatives(likelihood, data, point), moving)
    good = bool(np.all(np.isfinite(covariance)) and np.all(np.diag(covariance)[moving] > 0.0))
    return FitPoint(x, point.nll, covariance if good else point.covariance)


def _second_derivatives(likelihood: Likelihood, data: Floats, point: FitPoint) -> Floats:
    """Central differences of the exact gradient."""
    x, n = point.parameters, len(likelihood.names)
    information = likelihood.gradient(data, likelihood.expected(x), likelihood.derivatives(x))[1]
    steps = _STEP / np.sqrt(np.maximum(np.diag(information), 1e-12))
    second = np.empty((n, n))
    for i in range(n):
        sides = []
        for sign in (1.0, -1.0):
            there = x.copy()
            there[i] += sign * min(steps[i], 0.1)
            sides.append(likelihood.gradient(data, likelihood.expected(there), likelihood.derivatives(there))[0])
        second[i] = (sides[0] - sides[1]) / (2.0 * min(steps[i], 0.1))
    return 0.5 * (second + second.T)


@dataclass(frozen=True)
class Effect:
    """One parameter of a fit.

    ``value`` and ``error`` after the fit, ``prior`` its error before (infinite for a free one); ``pull`` is
    (value - nominal) / prior and ``constraint`` error / prior, NaN without constraint term. ``post`` and ``pre`` are
    the shifts (down, up) of each strength (n_strengths, 2), NaN where there is no such error. ``at_bound``: it sits
    at a bound, its error is that of the curvature there, and it was moved no further than the bounds.
    """

    name: str
    value: float
    error: float
    prior: float
    pull: float
    constraint: float
    at_bound: bool
    post: Floats = field(repr=False)
    pre: Floats = field(repr=False)


def effects(likelihood: Likelihood, data: Floats, point: FitPoint, *, strengths: Sequence[int]) -> list[Effect]:
    """Pull, constraint and impacts of every parameter that is neither held nor one of the ``strengths`` (indices).

    ``point`` is the minimum with the covariance that defines the errors (:func:`hesse`).
    """
    x, prior = point.parameters, np.sqrt(likelihood.prior_variance())
    errors, bound = errors_of(likelihood, data, point)
    found = []
    for i, name in enumerate(likelihood.names):
        if likelihood.fixed[i] or i in strengths:
            continue
        constrained = bool(np.isfinite(prior[i]))
        shifts = [np.array([_shifts(likelihood, data, point, held=(i, x[i] + sign * size), strengths=strengths)
                            for sign in (-1.0, 1.0)]).T for size in (errors[i], prior[i])]
        found.append(Effect(
            name, float(x[i]), float(errors[i]), float(prior[i]),
            float((x[i] - likelihood.start[i]) / prior[i]) if constrained else float("nan"),
            float(errors[i] / prior[i]) if constrained else float("nan"), bool(bound[i]), shifts[0], shifts[1]))
    return found


def errors_of(likelihood: Likelihood, data: Floats, point: FitPoint) -> tuple[Floats, NDArray[np.bool_]]:
    """Errors (n_parameters,) after the fit, and which parameters sit at a bound; NaN: nothing measures it."""
    x = point.parameters
    bound = ~likelihood.fixed & ((x <= likelihood.lower) | (x >= likelihood.upper))
    variance = np.diag(point.covariance).copy()
    if np.any(bound):
        second = _second_derivatives(likelihood, data, point)
        variance[bound] = np.diag(inverse(second, ~likelihood.fixed))[bound]
    for i in np.flatnonzero(~likelihood.fixed & likelihood.unconstrained):
        alone = likelihood.scale(int(i))
        if np.isinf(alone) or variance[i] > _UNBOUNDED * max(alone, abs(x[i])) ** 2:
            variance[i] = np.nan
    return np.sqrt(np.where(variance >= 0.0, variance, np.nan)), bound


def _shifts(likelihood: Likelihood, data: Floats, point: FitPoint, *, held: tuple[int, float],
            strengths: Sequence[int]) -> Floats:
    """Shifts (n_strengths,) of the strengths when a parameter is held, within its bounds, and the others fitted."""
    index, value = held
    if not np.isfinite(value):
        return np.full(len(strengths), np.nan)
    value = float(np.clip(value, likelihood.lower[index], likelihood.upper[index]))
    if value == point.parameters[index]:
        return np.zeros(len(strengths))
    start = point.parameters.copy()
    start[index] = value
    try:
        there = fast_minimum(likelihood, data, held={index: value}, starts=[start])
    except FitError:  # the likelihood is zero there
        return np.full(len(strengths), np.nan)
    return np.asarray((there.parameters - point.parameters)[list(strengths)])


def correlations(likelihood: Likelihood, point: FitPoint) -> tuple[list[str], Floats]:
    """Names and correlation matrix of the parameters that moved."""
    variance = np.diag(point.covariance)
    used = np.flatnonzero(variance > 0.0)
    errors = np.sqrt(variance[used])
    return [likelihood.names[i] for i in used], point.covariance[np.ix_(used, used)] / np.outer(errors, errors)


def scan(likelihood: Likelihood, data: Floats, point: FitPoint, *, axes: Sequence[tuple[int, Floats]]) -> Floats:
    """Twice the profiled negative log-likelihood above its minimum on the grid of one or more parameters.

    ``axes`` are (index, values); the result has one dimension for each. NaN where the likelihood is zero.
    """
    found = np.full([len(values) for _, values in axes], np.nan)
    start = point.parameters
    for place in np.ndindex(*found.shape):
        held = {index: float(values[i]) for (index, values), i in zip(axes, place, strict=True)}
        try:
            there = fast_minimum(likelihood, data, held=held, starts=[start, point.parameters])
        except FitError:
            continue
        start = there.parameters
        found[place] = max(0.0, 2.0 * (there.nll - point.nll))
    return found


@dataclass(frozen=True)
class Yield:
    """Events of a sample ("total": all) in a channel, with the error that the parameters give them."""

    channel: str
    sample: str
    events: float
    error: float


def yields(likelihood: Likelihood, parameters: Floats, covariance: Floats) -> list[Yield]:
    """Events of every sample and their sum in every channel; errors by linear propagation of a covariance."""
    model, slices = likelihood.model, likelihood.model.config.channel_slices

    def sums(x: Floats) -> Floats:
        each = np.asarray(model.main_model.expected_data(x, return_by_sample=True))
        return np.array([each[:, slices[name]].sum(axis=1) for name in model.config.channels])

    moved = np.flatnonzero(np.diag(covariance) > 0.0)
    slopes = np.zeros((*sums(parameters).shape, len(parameters)))
    for i in moved:
        step = _STEP * min(float(np.sqrt(covariance[i, i])), 1.0)
        up, down = parameters.copy(), parameters.copy()
        up[i], down[i] = up[i] + step, down[i] - step
        slopes[..., i] = (sums(up) - sums(down)) / (2.0 * step)
    events, found = sums(parameters), []
    for c, channel in enumerate(model.config.channels):
        rows = [(sample, events[c, s], slopes[c, s]) for s, sample in enumerate(model.config.samples)]
        for name, value, slope in (*rows, ("total", events[c].sum(), slopes[c].sum(axis=0))):
            found.append(Yield(channel, name, float(value), float(np.sqrt(max(slope @ covariance @ slope, 0.0)))))
    return found
