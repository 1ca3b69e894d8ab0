"""The classifiers of an analysis on its candidates: trained here, or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.classifier import FoldClassifier, flat_transform, fold_of, left_out, train_folds
from fei_lite.analyses.recipes.columns import calculate, passes
from fei_lite.analyses.recipes.recipe import ClassifierLine, Recipe
from fei_lite.analyses.shortage import check_entries
from fei_lite.errors import AnalysisError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Some candidates: columns (with ``event_weight`` and ``decay``), sample and process of each, (n,)."""

    columns: Columns = field(repr=False)
    sample: NDArray[np.str_] = field(repr=False)
    process: NDArray[np.str_] = field(repr=False)

    def where(self, rows: NDArray[np.bool_]) -> Candidates:
        """Some of them."""
        return Candidates({name: values[rows] for name, values in self.columns.items()}, self.sample[rows],
                          self.process[rows])

    def passing(self, condition: str | None, where: str) -> Candidates:
        """Those for which a condition holds."""
        return self if condition is None else self.where(passes(condition, self.columns, where))


def classified(line: ClassifierLine, chosen: Candidates, recipe: Recipe, sources: Sequence[Source],
               generated: Mapping[str, int], *, given: FoldClassifier | None, every: Candidates) -> FoldClassifier:
    """Fill score (and flattened score) of one classifier into the columns of the ``chosen`` candidates.

    It is trained here unless ``given``, on them or (``before_cuts``) on ``every`` candidate.
    """
    if given is None:
        try:
            given = _trained(line, chosen, recipe, sources, generated, every=every)
        except AnalysisError as error:
            if not line.optional:
                raise
            given = left_out(line.features, str(error))
    chosen.columns.update(scores_of(line, given, chosen.columns, sources))
    return given


def scores_of(line: ClassifierLine, used: FoldClassifier, columns: Columns, sources: Sequence[Source]) -> Columns:
    """Score and flattened score of candidates (n,) that a classifier judges, NaN for all others; by column.

    ``columns`` need the ``decay`` of each candidate and its ``source``.
    """
    judged = np.ones(len(columns["weight"]), dtype=bool)
    if line.where is not None:
        judged = passes(line.where, columns, f"classifier '{line.name}'")
    score = _scores(used, line, {name: values[judged] for name, values in columns.items()}, sources)
    found = {line.name: _spread(score, judged)}
    if line.flat is not None:
        found[line.flat] = _spread(used.transform(score), judged)
    return found


def _trained(line: ClassifierLine, chosen: Candidates, recipe: Recipe, sources: Sequence[Source],
             generated: Mapping[str, int], *, every: Candidates) -> FoldClassifier:
    """A trained classifier, flat in the chosen signal that it is to judge."""
    where, signals = f"classifier '{line.name}'", [s.name for s in recipe.signals]
    used = (every if line.before_cuts else chosen).passing(line.train or line.where, where)
    signal, weight = np.isin(used.sample, signals), used.columns["event_weight"]
    check_entries(where, signal, used.process, generated)
    texts, score, summary = train_folds(_features(line, used.columns), signal, weight,
                                        _folds(used.columns, sources, line.folds), names=line.features,
                                        folds=line.folds, seed=line.seed, parameters=line.parameters,
                                        weights_up_to=line.weights_up_to)
    if line.train is None and not line.before_cuts:
        return FoldClassifier(line.features, texts, flat_transform(score[signal], weight[signal]), summary)
    judged = chosen.passing(line.where, where)
    judged = judged.where(np.isin(judged.sample, signals))
    raw = FoldClassifier(line.features, texts, left_out(line.features, "").transform, summary)
    transform = flat_transform(_scores(raw, line, judged.columns, sources), judged.columns["event_weight"])
    return FoldClassifier(line.features, texts, transform, summary)


def _scores(used: FoldClassifier, line: ClassifierLine, columns: Columns, sources: Sequence[Source]) -> Floats:
    """Score (n,) of each candidate by the forest that has not seen its fold."""
    return used.scores(_features(line, columns), _folds(columns, sources, used.folds))


def _features(line: ClassifierLine, columns: Columns) -> Floats:
    return np.column_stack([np.asarray(calculate(name, columns, f"classifier '{line.name}'"), dtype=np.float64)
                            for name in line.features])


def _folds(columns: Columns, sources: Sequence[Source], folds: int) -> NDArray[np.int64]:
    """Fold (n,) of each candidate; 0 where there are none."""
    seeds = np.array([source.seed for source in sources])[columns["source"]]
    return fold_of(columns["decay"], seeds, max(folds, 1))


def _spread(values: Floats, judged: NDArray[np.bool_]) -> Floats:
    """Values of the judged candidates, NaN for all others."""
    out = np.full(len(judged), np.nan)
    out[judged] = values
    return out
