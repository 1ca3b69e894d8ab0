"""Candidates of a selection beside those of plain simulation: fractions of generated events step by step.

Both are sums of weights over generated events; without a bias their ratio is 1. Sums of weights have the errors of
:func:`fei_lite.analyses.histograms.bin_variances`, where candidates that share a generated decay are correlated. Pieces
are independent of each other, so their sums have to scatter as the errors say. Numbers of events before the candidates
are known piece by piece only, and have that scatter as error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.recipes.columns import needed
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.analyses.selection import passes_cut

Floats = NDArray[np.float64]

#: One bin around 0, where all candidates are put.
_ALL = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class Fraction:
    """Sum of weights over generated events, its error, and the number of candidates (or events).

    ``scatter`` is that of the pieces over what their errors say, ``scatter_error`` that of as many Gaussian numbers;
    NaN where there is but one piece, or where the error is the scatter.
    """

    value: float
    error: float
    entries: int
    scatter: float = float("nan")
    scatter_error: float = float("nan")

    @property
    def relative(self) -> float:
        """The error over the value; infinite without candidates."""
        return self.error / self.value if self.value > 0.0 else float("inf")


@dataclass(frozen=True)
class Step:
    """A step of the cut-flow in both samples.

    >>> step = Step("Btag", Fraction(0.010, 0.0003, 1111), Fraction(0.0099, 0.0004, 900))
    >>> round(step.ratio, 2), round(step.error, 3), round(step.seen, 3)
    (0.99, 0.05, 0.101)
    """

    name: str
    plain: Fraction
    selected: Fraction

    @property
    def ratio(self) -> float:
        """Selected over plain; NaN without candidates."""
        return self.selected.value / self.plain.value if self.plain.value > 0.0 else float("nan")

    @property
    def error(self) -> float:
        """Error of the ratio, both samples being independent."""
        return self.ratio * float(np.hypot(self.plain.relative, self.selected.relative))

    @property
    def seen(self) -> float:
        """Relative bias that would be two standard deviations."""
        return 2.0 * float(np.hypot(self.plain.relative, self.selected.relative))


def fraction_of(inputs: Inputs, mask: NDArray[np.bool_]) -> Fraction:
    """The candidates of a mask (n,)."""
    columns, second = inputs.columns, inputs.second()
    weight, source = columns["weight"][mask], columns["source"][mask]
    decay, other = inputs.decay()[mask], None if second is None else second[mask]
    generated = np.array([one.n_generated for one in inputs.sources], dtype=np.float64)
    sums = np.bincount(source, weight, minlength=len(generated)).astype(np.float64)
    variance = float(bin_variances(np.zeros(len(weight)), weight, source, decay, _ALL, second=other)[0])
    scatter = scatter_of(sums, generated)
    known = len(generated) > 1 and variance > 0.0
    return Fraction(float(sums.sum() / generated.sum()), float(np.sqrt(variance) / generated.sum()), len(weight),
                    scatter / np.sqrt(variance) if known else float("nan"),
                    1.0 / np.sqrt(2.0 * (len(generated) - 1)) if known else float("nan"))


def scatter_of(sums: Floats, generated: Floats) -> float:
    """Standard deviation of the total of the sums (n,) of independent pieces of ``generated`` (n,) events, from these.

    NaN of one piece. Of equal pieces it is that of their sums times the root of their number.

    >>> round(scatter_of(np.array([1.0, 3.0, 2.0]), np.array([10.0, 10.0, 10.0])), 4)
    1.7321
    """
    n = len(sums)
    if n < 2:
        return float("nan")
    part = generated / generated.sum()
    squares = (sums - sums.sum() * part) ** 2
    return float(np.sqrt(squares.sum() / (1.0 - np.sum(part**2))))


def compared(plain: Inputs, selected: Inputs, recipe: Recipe) -> Iterator[Step]:
    """The steps before candidates are chosen, then the candidates and the recipe's cuts one after the other."""
    both = plain, selected
    for name in _steps_before(both):
        one, other = (_counted(inputs, name) for inputs in both)
        yield Step(name, one, other)
    masks = [np.ones(len(inputs), dtype=bool) for inputs in both]
    yield Step("candidates", *(fraction_of(inputs, mask) for inputs, mask in zip(both, masks, strict=True)))
    for cut in recipe.cut:
        if recipe.made & {*needed(cut.cut, ()), *needed(cut.where or "1", ())}:
            continue  # the score of a classifier, which is trained later
        for inputs, mask in zip(both, masks, strict=True):
            mask &= passes_cut(cut, inputs.columns)
        yield Step(cut.name, *(fraction_of(inputs, mask) for inputs, mask in zip(both, masks, strict=True)))


def _steps_before(both: Sequence[Inputs]) -> list[str]:
    """Steps that both samples counted, in their order."""
    names = [dict.fromkeys(name for counts in inputs.counts for steps in counts.values() for name in steps)
             for inputs in both]
    return [name for name in names[0] if name in names[1]]


def _counted(inputs: Inputs, name: str) -> Fraction:
    """A step that was counted before there were candidates; its error is the scatter of the pieces."""
    generated = np.array([one.n_generated for one in inputs.sources], dtype=np.float64)
    rows = [[steps[name] for steps in counts.values() if name in steps] for counts in inputs.counts]
    sums = np.array([sum(row[1] for row in found) for found in rows], dtype=np.float64)
    return Fraction(float(sums.sum() / generated.sum()), scatter_of(sums, generated) / float(generated.sum()),
                    int(sum(row[0] for found in rows for row in found)))


def events_for(step: Step, generated: tuple[int, int], bias: float) -> tuple[int, int]:
    """Events (plain, selected) to generate so that a relative bias is two standard deviations: both more in proportion.

    >>> step = Step("Btag", Fraction(0.010, 0.0003, 1111), Fraction(0.0099, 0.0004, 900))
    >>> events_for(step, (100_000, 50_000), 0.05)
    (405198, 202599)
    """
    more = (step.seen / bias) ** 2
    return int(np.ceil(more * generated[0])), int(np.ceil(more * generated[1]))
