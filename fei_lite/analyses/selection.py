"""Selections as data: named cuts, each with its origin, and their cut-flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.analyses.columns import passes
from fei_lite.analyses.recipe import CutLine


@dataclass(frozen=True)
class FlowRow:
    """One step of a cut-flow: events and sums of weights.

    ``passed`` by this cut and all before it, ``rejected`` by this one first,
    ``alone`` by this cut without the others. Of a step, rejected and passed add
    up to what the step before has passed.
    """

    name: str
    passed: int
    rejected: int
    alone: int
    passed_weight: float
    rejected_weight: float
    alone_weight: float

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
    keep = np.ones(len(w), dtype=bool)
    rows = []
    for cut in cuts:
        inside = passes(cut.cut, columns, f"cut '{cut.name}'")
        after, lost = keep & inside, keep & ~inside
        rows.append(FlowRow(cut.name, int(after.sum()), int(lost.sum()), int(inside.sum()),
                            float(w[after].sum()), float(w[lost].sum()), float(w[inside].sum())))
        keep = after
    return keep, rows
