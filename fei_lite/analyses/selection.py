"""Selections as data: named cuts, each with its origin, and their cut-flow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import AnalysisError, UnknownNameError, nearest

_KEYS = ("name", "variable", "minimum", "maximum", "origin")


@dataclass(frozen=True)
class NamedCut:
    """minimum < variable < maximum (None is open; NaN fails), with its name and where it is from."""

    name: str
    variable: str
    origin: str
    minimum: float | None = None
    maximum: float | None = None

    def passes(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Which candidates pass, (n,). Raises :class:`UnknownNameError`."""
        if self.variable not in columns:
            raise UnknownNameError(f"cut '{self.name}': no column '{self.variable}'.{nearest(self.variable, columns)}")
        value = np.asarray(columns[self.variable], dtype=np.float64)
        inside = ~np.isnan(value)
        if self.minimum is not None:
            inside &= value > self.minimum
        if self.maximum is not None:
            inside &= value < self.maximum
        return inside


def limit_findings(entry: Mapping[str, Any], at: str) -> list[str]:
    """What is wrong with ``minimum`` and ``maximum`` of a cut in a data file; ``at`` is its place there."""
    limits = [entry[key] for key in ("minimum", "maximum") if key in entry]
    if not limits:
        return [f"{at}: cuts nothing. Give a minimum or a maximum."]
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in limits):
        return [f"{at}: minimum and maximum: expected finite numbers, got {limits}."]
    if len(limits) == 2 and limits[0] >= limits[1]:
        return [f"{at}: minimum {limits[0]} is not below maximum {limits[1]}."]
    return []


def read_cuts(entries: Any, where: str) -> tuple[NamedCut, ...]:
    """Cuts of a TOML array of tables; raises :class:`AnalysisError` with every defect and its key path."""
    findings: list[str] = []
    cuts = []
    for i, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        at = f"{where}[{i}]"
        if not isinstance(entry, dict):
            findings.append(f"{at}: expected a table, got {entry!r}.")
            continue
        before = len(findings)
        findings += [f"{at}.{key}: unknown key '{key}'.{nearest(key, _KEYS)}" for key in entry if key not in _KEYS]
        findings += [f"{at}.{key}: missing, or not a text." for key in ("name", "variable", "origin")
                     if not isinstance(entry.get(key), str)]
        findings += limit_findings(entry, at)
        if len(findings) == before:
            cuts.append(NamedCut(**entry))
    names = [cut.name for cut in cuts]
    findings += [f"{where}: two cuts are called '{name}'." for name in sorted({n for n in names if names.count(n) > 1})]
    if findings:
        raise AnalysisError("\n  ".join(findings))
    return tuple(cuts)


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


def cut_flow(cuts: Sequence[NamedCut], columns: Mapping[str, ArrayLike], weight: ArrayLike,
             ) -> tuple[NDArray[np.bool_], list[FlowRow]]:
    """Which candidates pass all cuts, (n,), and the cut-flow, a row per cut in their order.

    >>> cuts = [NamedCut("low", "x", "", maximum=3), NamedCut("high", "x", "", minimum=1)]
    >>> keep, rows = cut_flow(cuts, {"x": [0.5, 2, 5]}, [1.0, 1.0, 2.0])
    >>> keep.tolist(), [(row.passed, row.rejected, row.alone) for row in rows]
    ([False, True, False], [(2, 1, 2), (1, 1, 2)])
    """
    w = np.asarray(weight, dtype=np.float64)
    keep = np.ones(len(w), dtype=bool)
    rows = []
    for cut in cuts:
        inside = cut.passes(columns)
        after, lost = keep & inside, keep & ~inside
        rows.append(FlowRow(cut.name, int(after.sum()), int(lost.sum()), int(inside.sum()),
                            float(w[after].sum()), float(w[lost].sum()), float(w[inside].sum())))
        keep = after
    return keep, rows
