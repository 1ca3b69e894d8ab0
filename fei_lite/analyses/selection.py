"""Selections as data: named cuts, each with its origin, and their cut-flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.analyses.recipes.columns import passes
from fei_lite.analyses.recipes.recipe import CutLine


@dataclass(frozen=True)
class FlowRow:
    """One step of a cut-flow: events and sums of weights.

    ``passed`` by this cut and all before it, ``rejected`` by this one first,
    ``alone`` by this cut without the others, ``rejected_last`` by this one alone of those that
    all others pass (N - 1). Of a step, rejected and passed add up to what the step before has passed.
    """

    name: str
    passed: int
    rejected: int
    alone: int
    passed_weight: float
    rejected_weight: float
    alone_weight: float
    rejected_last: int = 0
    rejected_last_weight: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def step(name: str, before: FlowRow | None, passed: int, weight: float) -> FlowRow:
    """A step whose single events are not at hand any more: what it has passed, and what it therefore rejected."""
    return FlowRow(name, passed, (before.passed if before else passed) - passed, passed, weight,
                   (before.passed_weight if before else weight) - weight, weight)


def cut_flow(cuts: Sequence[CutLine], columns: Mapping[str, ArrayLike], weight: ArrayLike,
             ) -> tuple[NDArray[np.bool_], list[FlowRow]]:
    """Which candidates pass all cuts, (n,), and the cut-flow, a row per cut in their order.

    >>> cuts = [CutLine(name="low", cut="x < 3", origin="-"), CutLine(name="high", cut="x > 1", origin="-")]
    >>> keep, rows = cut_flow(cuts, {"x": [0.5, 2, 5]}, [1.0, 1.0, 2.0])
    >>> keep.tolist(), [(row.passed, row.rejected, row.alone) for row in rows]
    ([False, True, False], [(2, 1, 2), (1, 1, 2)])
    """
    w = np.asarray(weight, dtype=np.float64)
    insides = [passes_cut(cut, columns) for cut in cuts]
    failed = np.sum([~inside for inside in insides], axis=0) if insides else np.zeros(len(w), dtype=np.int64)
    keep = np.ones(len(w), dtype=bool)
    rows = []
    for cut, inside in zip(cuts, insides, strict=True):
        after, lost, last = keep & inside, keep & ~inside, (failed == 1) & ~inside
        rows.append(FlowRow(cut.name, int(after.sum()), int(lost.sum()), int(inside.sum()),
                            float(w[after].sum()), float(w[lost].sum()), float(w[inside].sum()),
                            int(last.sum()), float(w[last].sum())))
        keep = after
    return keep, rows


def passes_cut(cut: CutLine, columns: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
    """Candidates (n,) that pass a cut, or that it does not look at."""
    inside = passes(cut.cut, columns, f"cut '{cut.name}'")
    if cut.where is not None:
        inside |= ~passes(cut.where, columns, f"cut '{cut.name}'")
    return inside
