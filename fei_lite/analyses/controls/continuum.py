"""Continuum of one simulation weighted to that of another by a classifier (BDTc), as the published analysis does it.

There the target is off-resonance data (arXiv:2311.14647); here continuum of other settings of the generator stands in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.classifier import FoldClassifier
from fei_lite.analyses.controls.comparison import Comparison, compare
from fei_lite.analyses.controls.judged import judged
from fei_lite.analyses.controls.reweighting import Reweighting, reweight
from fei_lite.analyses.controls.shapes import Yield
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.recipes.columns import calculate
from fei_lite.analyses.recipes.controls import Continuum
from fei_lite.errors import AnalysisError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ContinuumResult:
    """How far the classifier tells the two apart, and each of its inputs before and after the weights.

    ``yields`` are those of data and simulation, after the cuts (but those that the control leaves out).
    """

    yields: tuple[Yield, Yield]
    weights: Reweighting
    before: dict[str, Comparison] = field(repr=False)
    after: dict[str, Comparison] = field(repr=False)

    def lines(self) -> list[str]:
        """All of it as text."""
        data, simulation = self.yields
        found = self.weights
        out = [f"in place of data: {data}; simulation: {simulation}; normalisation "
               f"{data.expected / simulation.expected:.3f}",
               f"area under the ROC curve {found.auc_before[0]:.3f} +- {found.auc_before[1]:.3f} before, "
               f"{found.auc_after[0]:.3f} +- {found.auc_after[1]:.3f} after; {100 * found.clipped:.1f} % of the "
               "weights are clipped", f"{'input':28s} {'chi2 before':>12s} {'after':>8s}  bins"]
        return out + [f"{name:28s} {one.chi2:12.1f} {self.after[name].chi2:8.1f} {one.ndf:5d}"
                      for name, one in self.before.items()]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"yields": [vars(y) for y in self.yields], "auc_before": self.weights.auc_before,
                "auc_after": self.weights.auc_after, "clipped": self.weights.clipped,
                "chi2": {name: {"before": one.chi2, "after": self.after[name].chi2, "bins": one.ndf}
                         for name, one in self.before.items()}}

    def panels(self, most: int = 4) -> list[Panel]:
        """The inputs that differ most before the weights."""
        names = sorted(self.before, key=lambda name: np.nan_to_num(self.before[name].p_value, nan=1.0))[:most]
        return [Panel(name, "fraction", steps=[
            Steps(one.edges, one.first, one.first_error, "in place of data"),
            Steps(one.edges, one.second, label="simulation"),
            Steps(one.edges, self.after[name].second, label="reweighted")])
            for name in names for one in [self.before[name]]]


def continuum_control(line: Continuum, analysis: Analysis, *, data: Inputs, simulation: Inputs) -> ContinuumResult:
    """Weight the simulated continuum to the data, in the inputs of the analysis's first classifier.

    Candidates of other processes do not count. Raises :class:`AnalysisError` for an analysis without classifier, or too
    few candidates.
    """
    if not analysis.recipe.classifier:
        raise AnalysisError(f"analysis '{analysis.name}': controls.continuum: no classifier, whose inputs to weight.")
    features = analysis.recipe.classifier[0].features
    cuts = tuple(cut for cut in analysis.recipe.cut if cut.name not in line.without)
    loose = replace(analysis, recipe=analysis.recipe.model_copy(update={"cut": cuts, "classifier": (), "region": ()}))
    none: tuple[FoldClassifier, ...] = ()
    parts = []
    for inputs in (data, simulation):
        found = judged(inputs, loose, none)
        rows = np.isin(found.process, line.processes)
        X = np.column_stack([np.asarray(calculate(name, found.columns), dtype=np.float64)[rows] for name in features])
        parts.append((X, found.weight[rows]))
    (X, w), (Y, v) = parts
    if not len(X) or not len(Y):
        raise AnalysisError(f"analysis '{analysis.name}': controls.continuum: {len(X)} candidates in place of data, "
                            f"{len(Y)} simulated of {', '.join(line.processes)}: give some of both.")
    weights = reweight(X, Y, data_weight=w, simulation_weight=v, names=features, seed=line.seed)
    before, after = ({name: compare(X[:, k], Y[:, k], w, u) for k, name in enumerate(features)}
                     for u in (v, v * weights.weights))
    return ContinuumResult((Yield.of(w), Yield.of(v)), weights, before, after)
