"""Tag-side efficiency against purity of one set's Btags of one B type, as the cut on SignalProbability is lowered.

**At a given purity** the efficiency is the largest of the scan over thresholds
whose purity is at least that: where (T, C), drawn through all thresholds and
straight in between, last crosses C = purity T (T and C: see
:mod:`fei_lite.performance.working_points`). If all Btags together are purer than
that, it is the maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.fractions import Measured, Sums, fraction
from fei_lite.performance.best_tags import BestTags

Floats = NDArray[np.float64]

#: Points of a curve; below this number of tags a purity means nothing.
CURVE_POINTS, _FEWEST_TAGS = 60, 20


@dataclass(frozen=True)
class Scan:
    """Sums of weights above each distinct probability, from the highest down; arrays (n,)."""

    probability: Floats
    tagged: Floats
    correct: Floats

    def at_purity(self, purity: float) -> tuple[float, float]:
        """(correct weight, threshold) at a purity; see the module's head. NaN if never reached.

        The threshold is 0 where all Btags together are purer.

        >>> scan = Scan(np.array([0.9, 0.5, 0.1]), np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.0]))
        >>> scan.at_purity(0.8)  # 2 correct of 2.5 tags
        (2.0, 0.4)
        """
        above = self.correct - purity * self.tagged  # zero or more: as pure as asked for
        good = np.flatnonzero(above >= 0.0)
        if not len(good):
            return float("nan"), float("nan")
        i = int(good[-1])
        if i == len(above) - 1:
            return float(self.correct[i]), 0.0
        part = above[i] / (above[i] - above[i + 1])
        return (float(self.correct[i] + part * (self.correct[i + 1] - self.correct[i])),
                float(self.probability[i] + part * (self.probability[i + 1] - self.probability[i])))


@dataclass(frozen=True)
class Curve:
    """Tag-side efficiency (of the B type's own events) against purity at some thresholds, with 68.3 % intervals."""

    threshold: list[float]
    tag_side_efficiency: list[Measured]
    purity: list[Measured]


@dataclass(frozen=True)
class OrderedTags:
    """Btags in falling order of probability; ``event`` is the row of each among all tagged events."""

    probability: Floats
    weight: Floats
    correct: NDArray[np.bool_]
    event: NDArray[np.intp]

    @classmethod
    def of(cls, tags: BestTags, entries: NDArray[np.int64]) -> OrderedTags:
        """Order the Btags; ``entries`` are those of all tagged events, rising."""
        tags = tags.select(np.argsort(-tags.probability, kind="stable"))
        return cls(tags.probability, tags.weight, tags.correct, np.searchsorted(entries, tags.entry))

    def scan(self, times: NDArray[np.int64] | None = None) -> Scan:
        """The sums above every threshold, equal probabilities together, with events taken ``times`` each."""
        weight = self.weight if times is None else self.weight * times[self.event]
        p = self.probability
        last = np.append(p[1:] != p[:-1], True) if len(p) else np.zeros(0, bool)
        return Scan(p[last], np.cumsum(weight)[last], np.cumsum(weight * self.correct)[last])

    def correct_weight(self, purities: Sequence[float], times: NDArray[np.int64] | None = None) -> Floats:
        """Correct weight at each purity, and at last in all, with events taken ``times`` each."""
        scan = self.scan(times)
        every = float(scan.correct[-1]) if len(scan.correct) else 0.0
        return np.array([*(scan.at_purity(purity)[0] for purity in purities), every])

    def curve(self, events: Sums, points: int = CURVE_POINTS) -> Curve:
        """Points at about equal steps of the logarithm of the number of tags; efficiencies of ``events``."""
        n = len(self.probability)
        if n < _FEWEST_TAGS or points < 1:
            return Curve([], [], [])
        ends = np.unique(np.geomspace(_FEWEST_TAGS, n, points).astype(int)) - 1
        # a threshold includes all of its equals
        ends = np.unique(np.searchsorted(-self.probability, -self.probability[ends], side="right") - 1)
        tagged, correct = np.cumsum(self.weight)[ends], np.cumsum(self.weight * self.correct)[ends]
        effective = tagged**2 / np.cumsum(self.weight**2)[ends]
        return Curve([float(p) for p in self.probability[ends]], [events.fraction(float(c)) for c in correct],
                     [fraction(float(c), float(t), n_effective=float(e))
                      for c, t, e in zip(correct, tagged, effective, strict=True)])
