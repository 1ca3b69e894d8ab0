"""Shapes of candidates in two samples: a sideband in data and simulation, or beside the signal region."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.controls.comparison import Comparison, chi2_text, compare
from fei_lite.analyses.controls.judged import Judged
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.recipes.columns import calculate
from fei_lite.analyses.recipes.controls import Sideband
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.plain import as_plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Yield:
    """Candidates of a sample and their sum of weights with its statistical error."""

    entries: int
    expected: float
    error: float

    @staticmethod
    def of(weight: Floats) -> Yield:
        """The yield of some weights (n,)."""
        return Yield(len(weight), float(weight.sum()), float(np.sqrt((weight**2).sum())))

    def __str__(self) -> str:
        return f"{self.expected:.4g} +- {self.error:.2g} ({self.entries} candidates)"


@dataclass(frozen=True)
class Shapes:
    """Two samples beside each other: yields (all, and by sample of the recipe), and the comparison of each quantity."""

    title: str
    names: tuple[str, str]
    yields: tuple[Yield, Yield]
    parts: dict[str, tuple[Yield, Yield]]
    of: dict[str, Comparison] = field(repr=False)

    @property
    def empty(self) -> tuple[str, ...]:
        """Those of the two that have no candidates."""
        return tuple(name for name, one in zip(self.names, self.yields, strict=True) if not one.entries)

    @property
    def normalisation(self) -> tuple[float, float]:
        """Yield of the first over that of the second, and its error; NaN without any."""
        a, b = self.yields
        if not (a.expected > 0.0 and b.expected > 0.0):
            return float("nan"), float("nan")
        value = a.expected / b.expected
        return value, value * float(np.hypot(a.error / a.expected, b.error / b.expected))

    def lines(self) -> list[str]:
        """The comparison as text."""
        value, error = self.normalisation
        out = [self.title, f"  {self.names[0]}: {self.yields[0]}; {self.names[1]}: {self.yields[1]}; "
                           f"ratio {value:.3f} +- {error:.3f}"]
        out += [f"  {name:20s} {a}; {b}" for name, (a, b) in self.parts.items()]
        return out + [f"  {name:28s} {chi2_text(found.chi2, found.ndf, found.p_value)}"
                      for name, found in self.of.items()]

    def to_json(self) -> dict[str, Any]:
        """Yields and chi2; null where undefined."""
        found: dict[str, Any] = as_plain({
            "samples": self.names, "yields": self.yields, "parts": self.parts, "normalisation": self.normalisation,
            "chi2": {name: {"chi2": f.chi2, "ndf": f.ndf, "p_value": f.p_value} for name, f in self.of.items()}})
        return found

    def panels(self) -> list[Panel]:
        """Each quantity: the first sample as points, the second as a histogram, both of area one."""
        return [Panel(name, "fraction", steps=[
            Steps(f.edges, f.first, f.first_error, self.names[0]), Steps(f.edges, f.second, label=self.names[1])])
            for name, f in self.of.items()]


def shown(line: Sideband, recipe: Recipe) -> tuple[str, ...]:
    """Quantities of a sideband that are compared: its own, or inputs of the classifier and variables of the fit."""
    if line.shown:
        return line.shown
    first = recipe.classifier[0].features if recipe.classifier else ()
    return tuple(dict.fromkeys([*first, *(region.variable for region in recipe.region)]))


def compare_shapes(title: str, first: tuple[str, Judged], second: tuple[str, Judged], quantities: Sequence[str],
                   recipe: Recipe, *, background_only: bool = True, bins: int = 6,
                   processes: Collection[str] | None = None) -> Shapes:
    """Two samples of selected candidates beside each other.

    ``background_only`` leaves the samples with a strength out: data stand-ins have none, or another one. ``processes``:
    only samples of these, where a stand-in for data is not all of it.
    """
    left_out = [line.name for line in recipe.sample
                if (background_only and line in recipe.signals)
                or (processes is not None and not {*processes} & {*line.processes})]
    rows = [~np.isin(part.sample, left_out) for _, part in (first, second)]
    pairs = list(zip((first[1], second[1]), rows, strict=True))
    weights = [part.weight[keep] for part, keep in pairs]
    found = {name: compare(*(np.asarray(calculate(name, part.columns), dtype=np.float64)[keep] for part, keep in pairs),
                           *weights, bins=bins) for name in quantities}
    parts = {}
    for line in recipe.sample:
        both = [Yield.of(part.weight[keep & (part.sample == line.name)]) for part, keep in pairs]
        if any(one.entries for one in both):
            parts[line.name] = (both[0], both[1])
    return Shapes(title, (first[0], second[0]), (Yield.of(weights[0]), Yield.of(weights[1])), parts, found)
