"""Shapes of unbinned fits on an interval: a peak with tails on both sides, smooth backgrounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import FitError, nearest

Floats = NDArray[np.float64]

#: Power of both tails of the peak: with few events in the tails their position and their power are not both known.
TAIL_POWER = 3.0
#: Fewest entries that a peak is fitted to.
MIN_ENTRIES = 30
#: Points of the grid that random numbers are drawn with.
_GRID = 4001
#: Steepest exponential: this many decay lengths in the interval.
_STEEPEST = 30.0


@dataclass(frozen=True)
class Peak:
    """Two-sided Crystal Ball (power :data:`TAIL_POWER`) and a flat part ``flat`` of it all, on ``low`` to ``high``.

    ``loc`` and ``scale`` (GeV) of the core, ``left`` and ``right``: where the tails begin, in units of ``scale``.
    ``errors`` of the five by name, ``entries`` that it was fitted to.
    """

    low: float
    high: float
    loc: float
    scale: float
    left: float
    right: float
    flat: float
    errors: Mapping[str, float] = field(default_factory=dict)
    entries: int = 0

    def density(self, x: ArrayLike) -> Floats:
        """Density (n,), 1/GeV, normalised on the interval.

        >>> x = np.linspace(1.0, 2.5, 3001)
        >>> peak = Peak(1.0, 2.5, 1.777, 0.02, 1.5, 1.2, 0.1)
        >>> float(np.trapezoid(peak.density(x), x).round(4)), float(x[np.argmax(peak.density(x))].round(3))
        (1.0, 1.777)
        """
        from numba_stats import crystalball_ex

        shape = (self.left, TAIL_POWER, self.scale, self.right, TAIL_POWER, self.scale, self.loc)
        ends = crystalball_ex.cdf(np.array([self.low, self.high]), *shape)
        core = crystalball_ex.pdf(np.asarray(x, dtype=np.float64), *shape) / (ends[1] - ends[0])
        return np.asarray((1.0 - self.flat) * core + self.flat / (self.high - self.low))

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Random values (n,)."""
        return _drawn(self.density, self.low, self.high, n, rng)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {"range": [self.low, self.high], "loc": self.loc, "scale": self.scale, "left": self.left,
                "right": self.right, "flat": self.flat, "errors": dict(self.errors), "entries": self.entries}


def fit_peak(x: ArrayLike, weight: ArrayLike, low: float, high: float, *, loc: float) -> Peak:
    """The peak that entries (n,) with weights have, starting at ``loc``; raises :class:`FitError` with too few of them.

    Errors are those of the weights' effective number of entries.
    """
    from iminuit import Minuit

    x, w = np.asarray(x, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    inside = (x >= low) & (x < high)
    x, w = x[inside], w[inside]
    if len(x) < MIN_ENTRIES or not w.sum() > 0.0:
        raise FitError(f"peak: {len(x)} signal candidates in {low:g} to {high:g}, expected {MIN_ENTRIES} or more. "
                       "Give more signal events.")
    w = w * w.sum() / np.sum(w**2)

    def cost(loc: float, scale: float, left: float, right: float, flat: float) -> float:
        density = Peak(low, high, loc, scale, left, right, flat).density(x)
        return float(-2.0 * np.sum(w * np.log(np.maximum(density, 1e-300))))

    start = float(np.clip(np.quantile(np.abs(x - loc), 0.5), 0.005, 0.2))
    minuit = Minuit(cost, loc=loc, scale=start, left=1.2, right=1.2, flat=0.1)
    minuit.limits["loc"], minuit.limits["scale"] = (low, high), (0.002, 0.5)
    minuit.limits["left"] = minuit.limits["right"] = (0.2, 8.0)
    minuit.limits["flat"] = (0.0, 0.9)
    minuit.migrad(ncall=20_000)
    if not np.isfinite(minuit.fval):
        raise FitError("peak: no minimum was found.")
    values, errors = minuit.values.to_dict(), minuit.errors.to_dict()
    return Peak(low, high, float(values["loc"]), float(values["scale"]), float(values["left"]), float(values["right"]),
                float(values["flat"]), {name: float(error) for name, error in errors.items()}, len(x))


@dataclass(frozen=True)
class Background:
    """A smooth background on ``low`` to ``high``: its ``family`` is one of :data:`FAMILIES`.

    exponential   parameters: yield, and decay lengths in the interval (negative: rising)
    bernstein1    two yields, of the falling and the rising straight line
    bernstein2    three yields, of the Bernstein polynomials of degree 2
    """

    family: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise FitError(f"no background '{self.family}'; there are {', '.join(FAMILIES)}."
                           f"{nearest(self.family, FAMILIES)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return FAMILIES[self.family]

    @property
    def limits(self) -> tuple[tuple[float, float | None], ...]:
        """Limits of the parameters: yields are not negative."""
        return tuple((-_STEEPEST, _STEEPEST) if name == "slope" else (0.0, None) for name in self.names)

    def start(self, total: float) -> list[float]:
        """Parameters of a flat background of ``total`` events."""
        n = len(self.names)
        return [total, 0.1] if self.family == "exponential" else [total / n] * n

    def total(self, parameters: ArrayLike) -> float:
        """Events in the interval."""
        values = np.asarray(parameters, dtype=np.float64)
        return float(values[0] if self.family == "exponential" else values.sum())

    def density(self, x: ArrayLike, parameters: ArrayLike) -> Floats:
        """Events per GeV (n,); their integral is :meth:`total`.

        >>> x = np.linspace(0.0, 2.0, 2001)[:-1] + 0.0005
        >>> [round(float(Background(f, 0.0, 2.0).density(x, p).sum() * 0.001), 3) for f, p in (
        ...     ("exponential", [6.0, 3.0]), ("exponential", [6.0, -3.0]), ("bernstein2", [1.0, 2.0, 3.0]))]
        [6.0, 6.0, 6.0]
        """
        from numba_stats import bernstein, truncexpon

        x, values = np.asarray(x, dtype=np.float64), np.asarray(parameters, dtype=np.float64)
        width = self.high - self.low
        if self.family == "exponential":
            slope = float(values[1])
            u = self.low + self.high - x if slope < 0.0 else x
            scale = width / max(abs(slope), 1e-6)
            return np.asarray(values[0] * truncexpon.pdf(u, self.low, self.high, self.low, scale))
        return np.asarray(bernstein.density(x, values * len(values) / width, self.low, self.high))

    def draw(self, n: int, parameters: ArrayLike, rng: np.random.Generator) -> Floats:
        """Random values (n,)."""
        return _drawn(lambda x: self.density(x, parameters), self.low, self.high, n, rng)


#: Families of backgrounds and the names of their parameters.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "exponential": ("yield", "slope"), "bernstein1": ("b0", "b1"), "bernstein2": ("b0", "b1", "b2")}


def _drawn(density: Any, low: float, high: float, n: int, rng: np.random.Generator) -> Floats:
    """Random values (n,) of a density, by its integral on a grid."""
    edges = np.linspace(low, high, _GRID)
    middle = 0.5 * (edges[1:] + edges[:-1])
    sums = np.concatenate([[0.0], np.cumsum(density(middle))])
    return np.asarray(np.interp(rng.uniform(0.0, sums[-1], n), sums, edges))
