"""What each input is for a classifier of an analysis: the loss of separation without it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.analysis import Result
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.classifier import fold_of
from fei_lite.analyses.recipes.columns import calculate, passes
from fei_lite.classifiers.quality import weighted_auc

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Loss of area under the ROC curve where one input is shuffled among all candidates, largest first.

    ``alone`` is the area that each input has by itself (0.5: none; its sign does not count). ``auc`` is that of all.
    """

    features: tuple[str, ...]
    loss: Floats = field(repr=False)
    alone: Floats = field(repr=False)
    auc: float

    def text(self) -> str:
        """A line per input."""
        lines = [f"area under the ROC curve {self.auc:.4f}", f"{'input':24s} {'loss without it':>15s} {'alone':>7s}"]
        lines += [f"{name:24s} {loss:15.4f} {alone:7.3f}"
                  for name, loss, alone in zip(self.features, self.loss, self.alone, strict=True)]
        return "\n".join(lines) + "\n"


def ranking(result: Result, inputs: Inputs, *, which: int = 0, rng: np.random.Generator) -> Ranking:
    """Rank the inputs of a classifier of the recipe on the selected candidates, none judged by trees that know it.

    Signal has the weights of the analysis, background as well.
    """
    line, used, columns = result.recipe.classifier[which], result.classifiers[which], result.columns
    judged = np.ones(len(result.sample), dtype=bool) if line.where is None else passes(line.where, columns)
    part = {name: values[judged] for name, values in columns.items()}
    X = np.column_stack([np.asarray(calculate(name, part), dtype=np.float64) for name in line.features])
    y = np.isin(result.sample[judged], [s.name for s in result.recipe.signals])
    weight = part["event_weight"]
    seeds = np.array([source.seed for source in inputs.sources])[part["source"]]
    fold = fold_of(part["decay"], seeds, used.folds)
    full = weighted_auc(y, used.scores(X, fold), weight=weight)[0]
    loss, alone = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for j in range(X.shape[1]):
        kept = X[:, j].copy()
        X[:, j] = rng.permutation(kept)
        loss[j] = full - weighted_auc(y, used.scores(X, fold), weight=weight)[0]
        X[:, j] = kept
        known = np.isfinite(kept)
        one = weighted_auc(y[known], kept[known], weight=weight[known])[0] if known.any() else 0.5
        alone[j] = max(one, 1.0 - one)
    order = np.argsort(-loss, kind="stable")
    return Ranking(tuple(line.features[j] for j in order), loss[order], alone[order], full)
