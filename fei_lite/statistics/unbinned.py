"""Extended unbinned fits of a peak on a smooth background, in one or several data sets at once.

Of data set d the density is mu s_d e^(sigma t) f_s(x) + b_d(x): s_d events of signal at strength 1, ``sigma`` the
relative error of the efficiency with its nuisance t (common to all, a unit Gaussian), f_s the peak and b_d the
background, whose parameters are free and each set's own. Values may have weights: the Asimov data are the expected
density on a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.shapes import Background, Peak

if TYPE_CHECKING:
    from iminuit import Minuit

Floats = NDArray[np.float64]

#: Points of the grid of Asimov data.
_GRID = 600
#: Where the density falls below this part of its mean, its logarithm goes on as a parabola.
_LEAST = 1e-3
#: How steep the wall is where the peak would make the density negative: per error of the strength, in its root.
_WALL = 20.0


@dataclass(frozen=True)
class DataSet:
    """What is expected of one data set: ``signal`` events at strength 1, and the background with its parameters."""

    name: str
    signal: float
    background: Background
    parameters: tuple[float, ...]

    @property
    def total(self) -> float:
        """Background events expected."""
        return self.background.total(self.parameters)


@dataclass(frozen=True)
class Values:
    """The values of one data set (n,), with weights."""

    x: Floats = field(repr=False)
    weight: Floats = field(repr=False)


Data = tuple[Values, ...]


@dataclass(frozen=True)
class Point:
    """A fit: strength, nuisance and the backgrounds' parameters, and twice the negative log-likelihood there."""

    strength: float
    nuisance: float
    backgrounds: tuple[tuple[float, ...], ...]
    cost: float


@dataclass(frozen=True)
class PeakModel:
    """The model: a peak, data sets, the relative error ``sigma`` of the efficiency."""

    peak: Peak
    sets: tuple[DataSet, ...]
    sigma: float = 0.0

    def asimov(self, strength: float = 0.0, point: Point | None = None) -> Data:
        """Expected data at a strength, with the backgrounds of a point (default: those expected)."""
        out = []
        for i, part in enumerate(self.sets):
            edges = np.linspace(self.peak.low, self.peak.high, _GRID + 1)
            x = 0.5 * (edges[1:] + edges[:-1])
            parameters = part.parameters if point is None else point.backgrounds[i]
            density = strength * part.signal * self.peak.density(x) + part.background.density(x, parameters)
            out.append(Values(x, density * np.diff(edges)))
        return tuple(out)

    def draw(self, strength: float, rng: np.random.Generator, point: Point | None = None) -> tuple[Data, float]:
        """Random data at a strength, and a random auxiliary measurement of the efficiency's nuisance."""
        out = []
        for i, part in enumerate(self.sets):
            parameters = part.parameters if point is None else point.backgrounds[i]
            n_b = rng.poisson(part.background.total(parameters))
            n_s = rng.poisson(max(strength, 0.0) * part.signal)
            x = np.concatenate([part.background.draw(n_b, parameters, rng), self.peak.draw(n_s, rng)])
            out.append(Values(x, np.ones(len(x))))
        return tuple(out), float(rng.normal()) if self.sigma > 0.0 else 0.0


class PeakFit:
    """The fit of one set of data; ``auxiliary`` is the measured nuisance of the efficiency."""

    def __init__(self, model: PeakModel, data: Data, *, auxiliary: float = 0.0) -> None:
        if len(data) != len(model.sets):
            raise FitError(f"{len(data)} sets of values for {len(model.sets)} data sets.")
        self.model, self.data, self.auxiliary = model, data, auxiliary
        self._signal = [model.peak.density(v.x) for v in data]
        self._top = float(model.peak.density(np.array([model.peak.loc]))[0])
        width = model.peak.high - model.peak.low
        self._least = [_LEAST * max(float(v.weight.sum()), 1.0) / width for v in data]
        self._names = ["mu", "t", *(f"{part.name}_{name}" for part in model.sets for name in part.background.names)]

    def cost(self, parameters: Floats) -> float:
        """Twice the negative log-likelihood, up to a constant."""
        mu, t = parameters[:2]
        found, at = (t - self.auxiliary) ** 2, 2
        for part, values, signal, least in zip(self.model.sets, self.data, self._signal, self._least, strict=True):
            own = parameters[at:at + len(part.background.names)]
            at += len(own)
            size = mu * part.signal * np.exp(self.model.sigma * t)
            density = part.background.density(np.append(values.x, self.model.peak.loc), own)
            density += size * np.append(signal, self._top)
            found += 2.0 * (size + part.background.total(own))
            found -= 2.0 * float(np.sum(values.weight * _log(density[:-1], least)))
            if density[-1] < 0.0:  # less than nothing below the peak, where there may be no value to say so
                found += (_WALL * density[-1] / (self._top * part.signal * self.size)) ** 2
        return float(found)

    def _minuit(self, start: Point) -> Minuit:
        from iminuit import Minuit

        values = [start.strength, start.nuisance, *(x for own in start.backgrounds for x in own)]
        minuit = Minuit(self.cost, np.array(values), name=self._names)
        minuit.limits["t"] = (self.auxiliary - 6.0, self.auxiliary + 6.0)
        for part in self.model.sets:
            for name, limits in zip(part.background.names, part.background.limits, strict=True):
                minuit.limits[f"{part.name}_{name}"] = limits
        minuit.fixed["t"] = self.model.sigma == 0.0
        minuit.errordef, minuit.strategy, minuit.tol = 1.0, 1, 0.01
        minuit.errors["mu"] = 0.3 * self.size
        return minuit

    @cached_property
    def size(self) -> float:
        """About the error of the strength: from the background below the core of the peak."""
        peak, signal, below = self.model.peak, 0.0, 1.0
        for part in self.model.sets:
            signal += part.signal
            below += float(part.background.density(np.array([peak.loc]), part.parameters)[0]) * 4.0 * peak.scale
        return float(np.sqrt(below)) / max(signal, 1e-12)

    def _point(self, minuit: Minuit) -> Point:
        values, backgrounds, at = np.array(minuit.values), [], 2
        for part in self.model.sets:
            backgrounds.append(tuple(float(x) for x in values[at:at + len(part.background.names)]))
            at += len(part.background.names)
        return Point(float(values[0]), float(values[1]), tuple(backgrounds), float(minuit.fval))

    @cached_property
    def best(self) -> Point:
        """The minimum; raises :class:`FitError` where there is none."""
        return self._minimised(Point(0.0, self.auxiliary, tuple(part.parameters for part in self.model.sets), 0.0))

    def _minimised(self, start: Point, strength: float | None = None) -> Point:
        minuit = self._minuit(start)
        if strength is not None:
            minuit.values["mu"], minuit.fixed["mu"] = strength, True
        minuit.migrad(ncall=20_000)
        if not np.isfinite(minuit.fval):
            raise FitError("no minimum of the unbinned likelihood was found.")
        return self._point(minuit)

    def at(self, strength: float) -> Point:
        """The least cost with the strength fixed."""
        return self._minimised(self.best, strength)

    def rise(self, strength: float) -> float:
        """How far twice the profiled negative log-likelihood is above its minimum."""
        return max(self.at(strength).cost - self.best.cost, 0.0)

    def error(self, direction: float) -> float:
        """Distance from the minimum up (1) or down (-1) to where the profile has risen by one; NaN if it never does."""
        from scipy.optimize import brentq

        step, last = 0.7 * self.size, 0.0
        for _ in range(12):
            if self.rise(self.best.strength + direction * step) > 1.0:
                return float(brentq(lambda d: self.rise(self.best.strength + direction * d) - 1.0, last, step,
                                    xtol=5e-3 * step))
            last, step = step, 1.6 * step
        return float("nan")


def _log(density: Floats, least: float) -> Floats:
    """Logarithm, below ``least`` the parabola that continues it: a density may be negative on the way."""
    u = density / least - 1.0
    return np.where(u > 0.0, np.log(np.maximum(density, least)), np.log(least) + u - 0.5 * u**2)


def background_of(x: Floats, weight: Floats, family: str, low: float, high: float) -> tuple[float, ...]:
    """Parameters of a background fitted to simulated candidates with weights; its yield is their sum.

    Fewer than three candidates make it flat. Raises :class:`FitError` without any.
    """
    from iminuit import Minuit

    background, total = Background(family, low, high), float(np.sum(weight))
    if not total > 0.0:
        raise FitError("background: no candidate in the range. Give more background events.")
    start = background.start(total)
    if len(x) < 3:
        return tuple(start)
    scaled = weight * total / float(np.sum(weight**2))  # as many as the weights are good for

    def cost(parameters: Floats) -> float:
        density = background.density(x, parameters) / max(background.total(parameters), 1e-12)
        return float(-2.0 * np.sum(scaled * np.log(np.maximum(density, 1e-12)))) + (
            background.total(parameters) / total - 1.0) ** 2

    minuit = Minuit(cost, np.array(start), name=background.names)
    for name, limits in zip(background.names, background.limits, strict=True):
        minuit.limits[name] = limits
    minuit.migrad()
    found = np.array(minuit.values)
    if family != "exponential":
        return tuple(float(v) for v in found * total / found.sum())
    return total, float(found[1])


def sets_of(names: Sequence[str], scales: Sequence[float], *, signal: float, background: Background,
            parameters: Sequence[float]) -> tuple[DataSet, ...]:
    """Data sets that differ in their size alone: a stand-in for one that is not simulated."""
    def scaled(scale: float) -> tuple[float, ...]:
        return tuple(x if name == "slope" else x * scale
                     for name, x in zip(background.names, parameters, strict=True))

    return tuple(DataSet(name, signal * scale, background, scaled(scale))
                 for name, scale in zip(names, scales, strict=True))
