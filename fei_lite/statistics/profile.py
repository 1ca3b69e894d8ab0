"""The profile likelihood along the parameter of interest, and where it crosses a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.statistics.minimum import LOWER, fast_minimum, minimum

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]

#: How often Minuit may find a lower point than the scan, at the end of a scan.
ATTEMPTS = 10

#: By how much a confirmed point must be lower for its scan to be done again.
_MOVED = 1e-4


class Profile:
    """The profile likelihood of some data: twice the negative log-likelihood above its minimum.

    Every point is the least over all valleys of the likelihood. A scan takes
    the points of :meth:`at`; what is reported, Minuit has :meth:`confirm`-ed.
    ``fast``: for toys, which are not. ``best``: the minimum, where it is known.
    """

    def __init__(self, likelihood: Likelihood, data: Floats | None = None, *, fast: bool = False,
                 best: FitPoint | None = None) -> None:
        self.likelihood = likelihood
        self.data = likelihood.observed if data is None else data
        self.fast = fast
        self._points: dict[float, FitPoint] = {}
        self._confirmed: set[float] = set()
        search = fast_minimum if fast else minimum
        self.best = search(likelihood, self.data) if best is None else best
        if not fast and best is None and likelihood.branching:
            self._search()

    def _search(self) -> None:
        """Look for a lower minimum from some standard deviations to either side."""
        for distance in (-2.0, -1.0, 1.0, 2.0):
            try:
                point = self.at(self.strength + distance * self.sigma)
            except FitError:  # beyond the strength at which a bin expects nothing
                continue
            other = minimum(self.likelihood, self.data, starts=[point.parameters])
            if other.nll < self.best.nll - LOWER:
                self.best = other

    @property
    def strength(self) -> float:
        """Best fit of the parameter of interest."""
        return float(self.best.parameters[self.likelihood.poi])

    @property
    def sigma(self) -> float:
        """Symmetric error of the parameter of interest, from the Fisher information; raises :class:`FitError`."""
        poi, alone = self.likelihood.poi, self.likelihood.scale()
        variance = float(self.best.covariance[poi, poi])
        if np.isinf(alone) or variance > 1e8 * max(alone, abs(self.strength)) ** 2:
            raise FitError(f"nothing depends on '{self.likelihood.names[poi]}', or another free parameter does the "
                           "same: its error is unbounded. Are the signal templates empty?")
        # where bins expect nothing the information has no bound, but the likelihood rises as slowly as elsewhere
        return float(np.sqrt(variance)) if variance > 1e-2 * alone**2 else alone

    def at(self, strength: float) -> FitPoint:
        """The fit with the parameter of interest held; raises :class:`FitError` where the likelihood is zero."""
        if strength not in self._points:
            self._points[strength] = fast_minimum(self.likelihood, self.data, held={self.likelihood.poi: strength},
                                                  starts=self._starts(strength))
        return self._points[strength]

    def confirm(self, strength: float) -> bool:
        """Let Minuit look for a lower point than :meth:`at`, which returns it from then on; whether there is one."""
        scanned = self.at(strength)
        if self.fast or strength in self._confirmed:
            return False
        self._confirmed.add(strength)
        self._points[strength] = minimum(self.likelihood, self.data, held={self.likelihood.poi: strength},
                                         starts=[scanned.parameters])
        return self._points[strength].nll < scanned.nll - _MOVED

    def _starts(self, strength: float) -> list[Floats]:
        """Nuisances of the nearest points to either side, and of the minimum."""
        below = max((x for x in self._points if x < strength), default=None)
        above = min((x for x in self._points if x > strength), default=None)
        return [*(self._points[x].parameters for x in (below, above) if x is not None), self.best.parameters]

    def __call__(self, strength: float) -> float:
        """Twice the negative log-likelihood at ``strength`` above the minimum, never below 0."""
        return max(0.0, 2.0 * (self.at(strength).nll - self.best.nll))

    def distance(self, direction: float) -> float:
        """How far from the best fit the profile first reaches 1, up (1.0) or down (-1.0); NaN if it does not."""
        best, sigma = self.strength, self.sigma

        def excess(distance: float) -> float:
            if distance == 0.0:  # the best fit itself
                return -1.0
            # the root is nearly linear in the distance: few steps to the crossing
            try:
                return float(np.sqrt(self(best + direction * distance))) - 1.0
            except FitError:  # beyond the strength at which a bin expects nothing
                return float("nan")

        return crossing(excess, sigma, confirm=lambda distance: self.confirm(best + direction * distance))


def crossing(function: Callable[[float], float], guess: float, *,
             confirm: Callable[[float], bool] = lambda _: False) -> float:
    """The first positive zero of a function that is below 0 at 0, to 1e-5; NaN if it ends (in NaN) or never comes.

    ``confirm`` looks at the zero more closely, and says whether the function
    now is lower there: then the search goes on from there. ``function`` is not
    asked at 0. Raises :class:`FitError` if that has no end.

    >>> round(crossing(lambda x: x * x - 2.0, 1.0), 4)
    1.4142
    """
    found = 0.0
    for _ in range(ATTEMPTS):
        found = _next_zero(function, found, guess)
        if np.isnan(found) or not confirm(found) or not function(found) < 0.0:
            return found
    raise FitError("the likelihood has too many valleys to be followed: the fit found ever lower ones.")


def _next_zero(function: Callable[[float], float], start: float, guess: float) -> float:
    from scipy.optimize import brentq

    low, high, step = start, start + (guess if start == 0.0 else 0.1 * guess), 0.25 * guess
    for _ in range(60):
        value = function(high)
        if value >= 0.0:
            break
        if np.isnan(value):  # too far: go half-way back to where it still exists
            if high - low < 1e-6 * guess:
                return float("nan")
            high = 0.5 * (low + high)
        else:
            low, high, step = high, high + step, 2.0 * step
    else:
        return float("nan")
    # at its start the function is below 0, without being asked
    try:
        return float(brentq(lambda x: -1.0 if x == 0.0 else function(x), low, high, xtol=1e-5 * guess, rtol=1e-6))
    except ValueError:  # between the two it does not exist: it never is zero
        return float("nan")
