"""Efficiencies of several samples beside each other: by step, or in bins, with their ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.plain import as_plain

Floats = NDArray[np.float64]

#: Names of the three samples in tables and files.
DATA, SIMULATION, SIGNAL = "embedded data", "embedded simulation", "signal"
#: The ratios that are looked at, by their name in files.
PAIRS = {"data_over_simulation": (DATA, SIMULATION), "simulation_over_signal": (SIMULATION, SIGNAL)}


@dataclass(frozen=True)
class Efficiency:
    """A fraction of weights with its binomial error, and the candidates that passed. NaN where nothing can pass."""

    value: float
    error: float
    passed: int

    def over(self, other: Efficiency) -> tuple[float, float]:
        """Ratio of two efficiencies of different events, and its error.

        >>> one, other = Efficiency(0.5, 0.03, 100), Efficiency(0.25, 0.02, 50)
        >>> [round(x, 4) for x in one.over(other)]
        [2.0, 0.2]
        """
        if not (self.value > 0.0 and other.value > 0.0):
            return float("nan"), float("nan")
        value = self.value / other.value
        return value, value * float(np.hypot(self.error / self.value, other.error / other.value))


def of_weights(passed: NDArray[np.bool_], weight: Floats) -> Efficiency:
    """The weighted fraction of some candidates that passed.

    Its error is that of the ratio of two sums of weights of which one is a part of the other; where none or all
    passed, that of half an entry.

    >>> of_weights(np.array([True] * 25 + [False] * 75), np.ones(100)).error.__round__(4)
    0.0433
    """
    total, squares = float(weight.sum()), float((weight**2).sum())
    if not total > 0.0:
        return Efficiency(float("nan"), float("nan"), 0)
    p = float(weight[passed].sum()) / total
    variance = (float((weight[passed] ** 2).sum()) * (1.0 - 2.0 * p) + p**2 * squares) / total**2
    least = 0.5 * squares / total**2
    return Efficiency(p, float(max(variance, least**2) ** 0.5), int(passed.sum()))


@dataclass(frozen=True)
class Table:
    """Efficiencies by step, or by bin, of each sample (:data:`DATA` may be missing)."""

    name: str
    rows: tuple[str, ...]
    of: Mapping[str, tuple[Efficiency, ...]]
    edges: tuple[float, ...] = ()

    def ratios(self, first: str, second: str) -> list[tuple[float, float]]:
        """Ratio and error of two samples in every row; NaN without one of them."""
        if first not in self.of or second not in self.of:
            return [(float("nan"), float("nan"))] * len(self.rows)
        return [a.over(b) for a, b in zip(self.of[first], self.of[second], strict=True)]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Of :data:`PAIRS` those whose samples are there."""
        return [(a, b) for a, b in PAIRS.values() if a in self.of and b in self.of]

    def lines(self) -> list[str]:
        """The table as text."""
        names = [name for name in (DATA, SIMULATION, SIGNAL) if name in self.of]
        pairs = self.pairs
        width = max(len(row) for row in (*self.rows, self.name))
        out = [" ".join([f"{self.name:{width}s}", *(f"{name + ', %':>25s}" for name in names),
                         *(f"{short(a) + ' / ' + short(b):>21s}" for a, b in pairs)])]
        for i, row in enumerate(self.rows):
            cells = [f"{100 * e.value:9.4g} +- {100 * e.error:5.2g} ({e.passed:4d})" if np.isfinite(e.value) else "-"
                     for e in (self.of[name][i] for name in names)]
            ratios = [f"{value:10.3f} +- {error:5.3f}" if np.isfinite(value) else "-"
                      for value, error in (self.ratios(a, b)[i] for a, b in pairs)]
            out.append(" ".join([f"{row:{width}s}", *(f"{cell:>25s}" for cell in cells),
                                 *(f"{cell:>21s}" for cell in ratios)]))
        return out

    def to_json(self) -> dict[str, Any]:
        """Rows, efficiencies of each sample, and ratios."""
        found: dict[str, Any] = as_plain({
            "rows": self.rows, "edges": self.edges, "efficiencies": self.of,
            "ratios": {key: self.ratios(*names) for key, names in PAIRS.items()}})
        return found


def of_total(passed: float, squares: float, total: float, n: int) -> Efficiency:
    """What passed of a total weight; ``squares`` is the sum of its squared weights."""
    if not total > 0.0:
        return Efficiency(float("nan"), float("nan"), n)
    p = passed / total
    return Efficiency(p, float((squares * max(1.0 - p, 0.0)) ** 0.5 / total), n)


def short(name: str) -> str:
    """A sample's name in the head of a table."""
    return name.removeprefix("embedded ")
