"""Candidates with the scores of classifiers that were trained before: what all controls compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.analysis import sample_of
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.samples import Expectation, generated_of
from fei_lite.analyses.classification import Candidates, classified
from fei_lite.analyses.classifier import FoldClassifier
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.histograms import inside_region
from fei_lite.analyses.recipes.columns import passes
from fei_lite.analyses.selection import cut_flow

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Selected candidates: columns with the scores and ``event_weight``, sample, process, (n,) each.

    ``inside``: those in the bins of some region. ``before`` are the columns (with ``event_weight``) of all candidates,
    ``passed`` (name of a cut -> mask (n_before,)) those that it and the cuts before it leave.
    """

    columns: Columns = field(repr=False)
    sample: NDArray[np.str_] = field(repr=False)
    process: NDArray[np.str_] = field(repr=False)
    inside: NDArray[np.bool_] = field(repr=False)
    before: Columns = field(repr=False)
    passed: dict[str, NDArray[np.bool_]] = field(repr=False)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which of the candidates before (n_before,) are selected."""
        return list(self.passed.values())[-1] if self.passed else np.ones(len(self.before["weight"]), dtype=bool)

    @property
    def weight(self) -> Floats:
        """Weights (n,) of the selected candidates."""
        return np.asarray(self.columns["event_weight"])

    def where(self, condition: str | None) -> Judged:
        """Those of the selected ones for which a condition on columns holds; what came before stays."""
        return self if condition is None else self._rows(passes(condition, self.columns, "controls"))

    def inside_only(self) -> Judged:
        """Those of the selected ones in the bins of some region."""
        return self._rows(self.inside)

    def _rows(self, rows: NDArray[np.bool_]) -> Judged:
        return Judged({name: values[rows] for name, values in self.columns.items()}, self.sample[rows],
                      self.process[rows], self.inside[rows], self.before, self.passed)


def judged(inputs: Inputs, analysis: Analysis, classifiers: Sequence[FoldClassifier], *,
           scaled: bool = True) -> Judged:
    """Select candidates and give them their scores.

    ``scaled``: weights are those of events expected at the recipe's luminosity, otherwise those of the file.
    """
    recipe, decays = analysis.recipe, analysis.recipe.signal_decays
    process, generated = inputs.process(decays), generated_of(inputs.sources, decays)
    weight = np.asarray(inputs.columns["weight"], dtype=np.float64)
    if scaled:
        norm = Expectation(recipe.normalisation.luminosity_fb, recipe.normalisation.luminosity_fb,
                           recipe.normalisation.n_upsilon4s, decays)
        scale = {name: norm.expected(name) / n for name, n in generated.items()}
        weight = weight * np.array([scale[name] for name in process.tolist()])
    sample = sample_of(recipe, process, inputs.columns)
    before = inputs.columns | {"event_weight": weight, "decay": inputs.decay()}
    if (second := inputs.second()) is not None:
        before["second"] = second
    every = Candidates(before, sample, process)
    passed, keep = {}, np.ones(len(weight), dtype=bool)
    for cut in recipe.cut:
        keep = keep & cut_flow([cut], before, weight)[0]
        passed[cut.name] = keep
    chosen = every.where(keep)
    for line, given in zip(recipe.classifier, classifiers, strict=True):
        classified(line, chosen, recipe, inputs.sources, generated, given=given, every=every)
    inside = np.zeros(len(chosen.sample), dtype=bool)
    for region in recipe.region:
        inside |= inside_region(region, chosen.columns)
    return Judged(chosen.columns, chosen.sample, chosen.process, inside, before, passed)
