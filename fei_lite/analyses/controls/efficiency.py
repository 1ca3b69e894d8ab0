"""Efficiency of the signal from embedded events: data over simulation, and simulation over signal.

Three samples are compared step by step, and in bins of columns: embedded data (or what stands in for them), embedded
simulation, and simulated signal. The first ratio is the correction of the signal's efficiency, the second says
whether an embedded event is like one of signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.columns import passes
from fei_lite.analyses.comparison import compare
from fei_lite.analyses.controls.judged import Judged, judged
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.inputs import Inputs
from fei_lite.analyses.recipe_controls import Embedding
from fei_lite.analyses.samples import process_of

Floats = NDArray[np.float64]

#: Names of the three samples in tables and files.
DATA, SIMULATION, SIGNAL = "embedded data", "embedded simulation", "signal"
#: The last step.
FIT = "in the bins of the fit"
#: How far from 1 the ratio of data and simulation may be without a reason.
TOLERANCE = 0.05


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

    def to_json(self) -> dict[str, Any]:
        """The fields; null where undefined."""
        return {"value": _number(self.value), "error": _number(self.error), "passed": self.passed}


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

    def lines(self) -> list[str]:
        """The table as text."""
        names = [name for name in (DATA, SIMULATION, SIGNAL) if name in self.of]
        pairs = [(a, b) for a, b in ((DATA, SIMULATION), (SIMULATION, SIGNAL)) if a in names and b in names]
        width = max(len(row) for row in (*self.rows, self.name))
        out = [f"{self.name:{width}s} " + " ".join(f"{name + ', %':>25s}" for name in names)
               + " ".join(f"{_short(a) + ' / ' + _short(b):>18s}" for a, b in pairs)]
        for i, row in enumerate(self.rows):
            cells = [f"{100 * e.value:9.4g} +- {100 * e.error:5.2g} ({e.passed:4d})" for e in
                     (self.of[name][i] for name in names)]
            ratios = [self.ratios(a, b)[i] for a, b in pairs]
            out.append(f"{row:{width}s} " + " ".join(f"{cell:>25s}" for cell in cells)
                       + " ".join(f"{value:10.3f} +- {error:5.3f}" for value, error in ratios))
        return out

    def to_json(self) -> dict[str, Any]:
        """Rows, efficiencies of each sample, and ratios."""
        pairs = {"data_over_simulation": (DATA, SIMULATION), "simulation_over_signal": (SIMULATION, SIGNAL)}
        return {"rows": list(self.rows), "edges": list(self.edges),
                "efficiencies": {name: [e.to_json() for e in found] for name, found in self.of.items()},
                "ratios": {key: [[_number(x) for x in pair] for pair in self.ratios(*names)]
                           for key, names in pairs.items()}}


@dataclass(frozen=True)
class Closeness:
    """How alike one input of the classifier is in embedded simulation and signal: chi2, bins, probability."""

    name: str
    chi2: float
    ndf: int
    p_value: float


@dataclass(frozen=True)
class EmbeddingResult:
    """What an embedding control gives: the steps, what the classifiers keep of the selected candidates, efficiencies in
    bins of columns, and inputs of the classifiers in the order of their difference."""

    name: str
    steps: Table
    selected: Table
    bins: tuple[Table, ...]
    inputs: tuple[Closeness, ...]

    @property
    def verdict(self) -> list[str]:
        """Whether data over simulation is 1 within 5 %; if not, the step at which it leaves."""
        found = self.steps.ratios(DATA, SIMULATION)
        value, error = found[-1]
        if not np.isfinite(value):
            return ["no ratio of data and simulation: one of both is missing, or nothing of it is selected"]
        away = abs(value - 1.0)
        if away <= TOLERANCE and error <= TOLERANCE:
            return [f"data / simulation {value:.3f} +- {error:.3f}: within {100 * TOLERANCE:.0f} % of 1"]
        if away <= 2.0 * error:
            return [f"data / simulation {value:.3f} +- {error:.3f}: compatible with 1 ({away / error:.1f} standard "
                    f"deviations), but not known to {100 * TOLERANCE:.0f} %: more events are needed"]
        before, changes = 1.0, []
        for row, (here, _) in zip(self.steps.rows, found, strict=True):
            changes.append((abs(here / before - 1.0) if np.isfinite(here) else 0.0, row, here / before))
            before = here if np.isfinite(here) else before
        _, row, change = max(changes)
        return [f"data / simulation {value:.3f} +- {error:.3f}: {away / error:.1f} standard deviations from 1; the "
                f"largest change, by a factor of {change:.3f}, is at '{row}'"]

    def lines(self) -> list[str]:
        """All of it as text."""
        out = [*self.steps.lines(), *self.selected.lines(), *self.verdict]
        for table in self.bins:
            out += ["", f"selected and in the fit, of candidates in bins of {table.name}", *table.lines()]
        out += ["", "inputs of the classifier, embedded simulation against signal (shapes, after the cuts)",
                *(f"{c.name:28s} chi2 {c.chi2:6.1f} / {c.ndf:d}  p = {c.p_value:.3f}" for c in self.inputs)]
        return out

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"steps": self.steps.to_json(), "selected": self.selected.to_json(), "bins": {t.name: t.to_json() for t in self.bins},
                "verdict": self.verdict,
                "inputs": {c.name: {"chi2": c.chi2, "ndf": c.ndf, "p_value": c.p_value} for c in self.inputs}}

    def panels(self) -> list[Panel]:
        """Efficiencies in bins, and the ratio of data and simulation (of simulation and signal without data)."""
        out = []
        for table in self.bins:
            edges = np.array(table.edges)
            out.append(Panel(table.name, "efficiency [%]", steps=[
                Steps(edges, *(100 * np.array(column) for column in zip(*((e.value, e.error) for e in found))), label=name)
                for name, found in table.of.items()]))
            out.append(Panel(table.name, "ratio", steps=[
                Steps(edges, *(np.array(column) for column in zip(*table.ratios(a, b))), label=f"{_short(a)} / {_short(b)}")
                for a, b in ((DATA, SIMULATION), (SIMULATION, SIGNAL)) if a in table.of and b in table.of]))
        return out


def embedding_efficiency(name: str, line: Embedding, analysis: Analysis, classifiers: Sequence[Any], *,
                         simulation: Inputs, signal: Inputs, data: Inputs | None = None) -> EmbeddingResult:
    """Compare embedded events with each other and with signal; ``classifiers`` are trained ones of the analysis.

    Steps are fractions of all embedded (generated) events; where only a part of the signal counts (``signal`` of the
    control), of the candidates. Candidates of other processes among the ``signal`` do not count.
    """
    given = {SIMULATION: simulation, SIGNAL: signal} | ({} if data is None else {DATA: data})
    ready = {key: judged(inputs, analysis, classifiers, scaled=False) for key, inputs in given.items()}
    wanted = {key: _wanted(inputs, analysis, line, key) for key, inputs in given.items()}
    steps = {key: _steps(ready[key], given[key], wanted[key], analysis, line) for key in given}
    table = Table("step", tuple(n for n, _ in steps[SIMULATION]),
                  {key: tuple(e for _, e in found) for key, found in steps.items()})
    kept = {key: (of_weights(ready[key].inside[rows], ready[key].weight[rows]),) for key in given
            for rows in [wanted[key][ready[key].kept]]}
    bins = tuple(Table(column, tuple(f"{a:g} to {b:g}" for a, b in zip(edges, edges[1:], strict=False)),
                       {key: tuple(_in_bins(ready[key], wanted[key], analysis, column, edges)) for key in given}, edges)
                 for column, edges in line.bins.items())
    closeness = _closeness(ready, wanted, analysis)
    return EmbeddingResult(name, table, Table("of the selected", (FIT,), kept), bins, closeness)


def _wanted(inputs: Inputs, analysis: Analysis, line: Embedding, key: str) -> NDArray[np.bool_]:
    """Which candidates (n,) of a sample count."""
    keep = np.ones(len(inputs), dtype=bool)
    if key == SIGNAL:
        decays = (line.replace_by,) if line.replace_by else tuple(analysis.recipe.signal_decays)
        keep &= np.isin(inputs.process(analysis.recipe.signal_decays), decays)
        if line.signal is not None:
            keep &= passes(line.signal, inputs.columns, "controls.embedding: signal")
    return keep


def _steps(ready: Judged, inputs: Inputs, wanted: NDArray[np.bool_], analysis: Analysis,
           line: Embedding) -> list[tuple[str, Efficiency]]:
    """Name and efficiency of each step: those before the candidates from their counts, then the cuts, then the fit."""
    weight, rows = ready.before["event_weight"], []
    of = weight[wanted]
    total, spread = float(of.sum()), (float((of**2).sum()) / max(float(of.sum()), 1e-300)) if len(of) else 1.0
    if line.signal is None:
        counted = _counts(inputs, analysis, line)
        total = counted["events read"][1]
        for name, (n, passed) in list(counted.items())[1:]:
            rows.append((name, _of_total(passed, spread * passed, total, int(n))))
    for name, mask in ready.passed.items():
        here = weight[mask & wanted]
        rows.append((name, _of_total(float(here.sum()), float((here**2).sum()), total, len(here))))
    here = ready.weight[wanted[ready.kept] & ready.inside]
    rows.append((FIT, _of_total(float(here.sum()), float((here**2).sum()), total, len(here))))
    return rows


def _counts(inputs: Inputs, analysis: Analysis, line: Embedding) -> dict[str, list[float]]:
    """Events and weights before the candidates, of all sources that count."""
    decays, total = analysis.recipe.signal_decays, {}
    names = (line.replace_by or line.process,) if line.replace_by or "control" in inputs.sources[0].options \
        else tuple(decays)
    for source, counts in zip(inputs.sources, inputs.counts, strict=True):
        if process_of(source, decays) not in names:
            continue
        for steps in counts.values():
            for step, (n, weight) in steps.items():
                row = total.setdefault(step, [0.0, 0.0])
                row[0] += n
                row[1] += weight
    return total


def _of_total(passed: float, squares: float, total: float, n: int) -> Efficiency:
    """What passed of a total weight; ``squares`` is the sum of its squared weights."""
    if not total > 0.0:
        return Efficiency(float("nan"), float("nan"), n)
    p = passed / total
    return Efficiency(p, float((squares * max(1.0 - p, 0.0)) ** 0.5 / total), n)


def _in_bins(ready: Judged, wanted: NDArray[np.bool_], analysis: Analysis, column: str,
             edges: Sequence[float]) -> list[Efficiency]:
    """Fraction of the candidates in each bin that are selected and in the bins of the fit."""
    final = np.zeros(len(wanted), dtype=bool)
    final[np.flatnonzero(ready.kept)[ready.inside]] = True
    x, weight = np.asarray(ready.before[column], dtype=np.float64), ready.before["event_weight"]
    out = []
    for low, high in zip(edges, edges[1:], strict=False):
        here = wanted & (x >= low) & (x < high)
        out.append(of_weights(final[here], weight[here]))
    return out


def _closeness(ready: Mapping[str, Judged], wanted: Mapping[str, NDArray[np.bool_]],
               analysis: Analysis) -> tuple[Closeness, ...]:
    """Inputs of all classifiers in embedded simulation and signal, most different first."""
    rows = {key: wanted[key][ready[key].kept] for key in (SIMULATION, SIGNAL)}
    out = []
    if not all(found.any() for found in rows.values()):
        return ()
    for name in dict.fromkeys(name for line in analysis.recipe.classifier for name in line.features):
        values = [ready[key].columns[name][rows[key]] for key in rows]
        found = compare(*values, *(ready[key].weight[rows[key]] for key in rows), bins=5)
        out.append(Closeness(name, found.chi2, found.ndf, found.p_value))
    return tuple(sorted(out, key=lambda c: c.p_value))


def _short(name: str) -> str:
    return name.removeprefix("embedded ")


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
