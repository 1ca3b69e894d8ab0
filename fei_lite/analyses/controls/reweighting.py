"""Reweighting of simulation to data by a classifier (BDTc): continuum to off-resonance data, arXiv:2311.14647.

A classifier learns data against simulation; where p is the probability that it gives to "data", p / (1 - p) is the
ratio of the two densities, and the weight of the simulation. Large ones are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.analyses.classifier import train_folds
from fei_lite.classifiers.fitting import fit_channel
from fei_lite.classifiers.quality import weighted_auc
from fei_lite.classifiers.trees import TreeModel
from fei_lite.errors import AnalysisError

Floats = NDArray[np.float64]

#: Largest weight; arXiv:2311.14647.
CLIP = 10.0


def odds(probability: ArrayLike, *, clip: float = CLIP) -> Floats:
    """p / (1 - p), at most ``clip``.

    >>> odds([0.5, 0.75, 1.0]).tolist()
    [1.0, 3.0, 10.0]
    """
    p = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.minimum(p / (1.0 - p), clip)


@dataclass(frozen=True)
class Reweighting:
    """Weights (n_simulation,) of simulated candidates, mean 1 in the weights given, each by trees that did not see it.

    ``auc_before``, ``auc_after``: how well a classifier tells data from simulation without and with weights (0.5: not
    at all), with their errors. For the second one half of all candidates gives the weights, in the other half a new
    classifier is trained: in the same ones it would find what the first has learned of their fluctuations.
    ``clipped``: the fraction at the largest weight.
    """

    weights: Floats = field(repr=False)
    auc_before: tuple[float, float]
    auc_after: tuple[float, float]
    clipped: float


def reweight(data: Floats, simulation: Floats, *, data_weight: Floats, simulation_weight: Floats,
             names: Sequence[str], seed: int, folds: int = 5, clip: float = CLIP,
             parameters: dict[str, Any] | None = None) -> Reweighting:
    """Learn ``data`` (n, features) against ``simulation`` (m, features) and weight the latter.

    Shapes alone: the weights have mean 1. Raises :class:`AnalysisError` for too few candidates.
    """
    rng = np.random.default_rng(seed)
    X = np.concatenate([data, simulation])
    y = np.arange(len(X)) < len(data)
    weight = np.concatenate([data_weight, simulation_weight])
    fold = rng.integers(folds, size=len(X))
    settings = dict(n_trees=100, max_depth=3, num_leaves=5, learning_rate=0.05, min_data_in_leaf=100, lambda_l2=20.0)
    chosen = {**settings, **(parameters or {})}
    _, score, found = train_folds(X, y, weight, fold, names=names, folds=folds, seed=seed, parameters=chosen)
    raw = odds(score[~y], clip=clip)
    weights = raw * simulation_weight.sum() / (raw * simulation_weight).sum()
    after = _after(X, y, weight, rng, names=names, folds=folds, seed=seed + 100, parameters=chosen, clip=clip)
    return Reweighting(weights, (found["auc"], found["auc_uncertainty"]), after, float(np.mean(raw >= clip)))


def _after(X: Floats, y: NDArray[np.bool_], weight: Floats, rng: np.random.Generator, *, names: Sequence[str],
           folds: int, seed: int, parameters: dict[str, Any], clip: float) -> tuple[float, float]:
    """Area under the ROC curve in one half of the candidates, the other half having given the weights."""
    half = rng.integers(2, size=len(y)) == 1
    first = _fit(X[half], y[half], weight[half], names=names, seed=seed, parameters=parameters)
    X, y, weight = X[~half], y[~half], weight[~half].copy()
    weight[~y] *= odds(first.probability(X[~y]), clip=clip)
    fold, score = rng.integers(folds, size=len(y)), np.full(len(y), np.nan)
    for k in range(folds):
        train = fold != k
        model = _fit(X[train], y[train], weight[train], names=names, seed=seed + 1 + k, parameters=parameters)
        score[~train] = model.probability(X[~train])
    return weighted_auc(y, score, weight=weight)


def _fit(X: Floats, y: NDArray[np.bool_], weight: Floats, *, names: Sequence[str], seed: int,
         parameters: dict[str, Any]) -> TreeModel:
    """A forest, both classes having the same weight."""
    balanced = weight.copy()
    for of in (y, ~y):
        balanced[of] /= weight[of].sum()
    fitted = fit_channel(X, y, balanced, names=names, seed=seed, min_entries=1,
                         parameters={**parameters, "early_stopping_rounds": 0})
    if not fitted.trained:
        raise AnalysisError(f"reweighting: {fitted.reason}.")
    return fitted.model()
