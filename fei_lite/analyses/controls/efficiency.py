"""Efficiency of the signal from embedded events: data over simulation, and simulation over signal.

Three samples are compared step by step, and in bins of columns: embedded data (or what stands in for them), embedded
simulation, and simulated signal. The first ratio is the correction of the signal's efficiency, the second says
whether an embedded event is like one of signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.samples import process_of
from fei_lite.analyses.controls.comparison import chi2_text, compare
from fei_lite.analyses.controls.judged import Judged, judged
from fei_lite.analyses.controls.ratios import (
    DATA,
    SIGNAL,
    SIMULATION,
    Efficiency,
    Table,
    of_total,
    of_weights,
    short,
)
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.recipes.columns import passes
from fei_lite.analyses.recipes.controls import Embedding
from fei_lite.plain import as_plain

Floats = NDArray[np.float64]

#: The last step.
FIT = "in the bins of the fit"
#: How far from 1 the ratio of data and simulation may be without a reason.
TOLERANCE = 0.05
#: Probability of a chi2 below which an input is said to differ.
DIFFERENT = 0.01


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
        """For each ratio whether it is 1 within 5 %; if not, the step at which it leaves, and inputs that differ."""
        out = []
        for first, second in self.steps.pairs:
            found, name = self.steps.ratios(first, second), f"{short(first)} / {short(second)}"
            value, error = found[-1]
            away, said = abs(value - 1.0), f"{name} {value:.3f} +- {error:.3f}"
            if not np.isfinite(value):
                out.append(f"{name}: undefined, nothing of one of them is selected")
            elif away <= TOLERANCE and error <= TOLERANCE:
                out.append(f"{said}: within {100 * TOLERANCE:.0f} % of 1")
            elif away <= 2.0 * error:
                out.append(f"{said}: compatible with 1 ({away / error:.1f} standard deviations), but not known to "
                           f"{100 * TOLERANCE:.0f} %: more events are needed")
            else:
                out.append(f"{said}: {away / error:.1f} standard deviations from 1; {_largest(self.steps.rows, found)}"
                           f"{self._different() if second == SIGNAL else ''}")
        return out

    def _different(self) -> str:
        """The inputs that are not the same in embedded simulation and signal."""
        names = [c.name for c in self.inputs if c.p_value < DIFFERENT]
        return f"; inputs that differ: {', '.join(names)}" if names else "; all inputs of the classifiers are alike"

    def lines(self) -> list[str]:
        """All of it as text."""
        out = [*self.steps.lines(), *self.selected.lines(), *self.verdict]
        for table in self.bins:
            out += ["", f"selected and in the fit, of candidates in bins of {table.name}", *table.lines()]
        out += ["", "inputs of the classifier, embedded simulation against signal (shapes, after the cuts)",
                *(f"{c.name:28s} {chi2_text(c.chi2, c.ndf, c.p_value)}" for c in self.inputs)]
        return out

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"steps": self.steps.to_json(), "selected": self.selected.to_json(),
                "bins": {t.name: t.to_json() for t in self.bins}, "verdict": self.verdict,
                "inputs": as_plain({c.name: {"chi2": c.chi2, "ndf": c.ndf, "p_value": c.p_value} for c in self.inputs})}

    def panels(self) -> list[Panel]:
        """Efficiencies in bins, and the ratio of data and simulation (of simulation and signal without data)."""
        out = []
        for table in self.bins:
            out.append(Panel(table.name, "efficiency [%]", steps=[
                _steps_of(table.edges, [(100 * e.value, 100 * e.error) for e in found], name)
                for name, found in table.of.items()]))
            ratios = {f"{short(a)} / {short(b)}": table.ratios(a, b) for a, b in table.pairs}
            known = {name: pairs for name, pairs in ratios.items() if np.isfinite(pairs).any()}
            if known:
                out.append(Panel(table.name, "ratio", steps=[
                    _steps_of(table.edges, pairs, name) for name, pairs in known.items()]))
        return out


def _steps_of(edges: Sequence[float], pairs: Sequence[tuple[float, float]], label: str) -> Steps:
    """Values with their errors in bins."""
    values, errors = np.array(pairs, dtype=np.float64).T
    return Steps(np.array(edges), values, errors, label)


def _largest(rows: Sequence[str], ratios: Sequence[tuple[float, float]]) -> str:
    """The step at which a ratio changes most."""
    values = np.array([value for value, _ in ratios])
    change = values / np.concatenate([[1.0], values[:-1]])
    k = int(np.nanargmax(np.abs(np.log(change))))
    return f"the largest change, by a factor of {change[k]:.3f}, is at '{rows[k]}'"


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
    bins = tuple(Table(column, tuple(f"{a:g} to {b:g}" for a, b in pairwise(edges)),
                       {key: tuple(_in_bins(ready[key], wanted[key], column, edges)) for key in given}, edges)
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
            rows.append((name, of_total(passed, spread * passed, total, int(n))))
    for name, mask in ready.passed.items():
        here = weight[mask & wanted]
        rows.append((name, of_total(float(here.sum()), float((here**2).sum()), total, len(here))))
    here = ready.weight[wanted[ready.kept] & ready.inside]
    rows.append((FIT, of_total(float(here.sum()), float((here**2).sum()), total, len(here))))
    return rows


def _counts(inputs: Inputs, analysis: Analysis, line: Embedding) -> dict[str, list[float]]:
    """Events and weights before the candidates, of all sources that count."""
    decays = analysis.recipe.signal_decays
    total: dict[str, list[float]] = {}
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


def _in_bins(ready: Judged, wanted: NDArray[np.bool_], column: str, edges: Sequence[float]) -> list[Efficiency]:
    """Fraction of the candidates in each bin that are selected and in the bins of the fit."""
    final = np.zeros(len(wanted), dtype=bool)
    final[np.flatnonzero(ready.kept)[ready.inside]] = True
    x, weight = np.asarray(ready.before[column], dtype=np.float64), ready.before["event_weight"]
    out = []
    for low, high in pairwise(edges):
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
    return tuple(sorted(out, key=lambda c: (c.ndf == 0, c.p_value)))
