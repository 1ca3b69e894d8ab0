"""Forests of learned selections: expected likeness, from 0 to 1, of what was tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.trees import TreeModel

Array = NDArray[np.float64]

#: A forest's settings (ours): small, since it sees every combination, and slow enough for some hundred candidates.
#: ``max_delta_step``: where next to nothing was expected Newton's step is as long as the ratio of what is there to
#: that, and the way back from certainty is endless; so a tree changes the log-odds by 0.8 at most.
_FOREST = {"objective": "cross_entropy", "num_leaves": 16, "learning_rate": 0.08, "min_data_in_leaf": 40,
           "lambda_l2": 1.0, "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "max_bin": 127,
           "min_sum_hessian_in_leaf": 0.0, "max_delta_step": 10.0, "verbosity": -1, "num_threads": 1,
           "deterministic": True, "force_row_wise": True}
_CAUTIOUS = {"num_leaves": 6, "learning_rate": 0.05, "min_data_in_leaf": 100, "feature_fraction": 0.3, "lambda_l2": 5.0}
#: Sum of the likeness below which the forests' ``lambda_l2`` falls with it: what is rare would not be learned at all.
_SUM = 20.0
#: What is like a signal at all without which there is no forest.
LEAST = 25
#: LightGBM gives up a forest when rounding makes its best split an empty one (its issue 3679: "Check failed:
#: (best_split_info.left_count) > (0)"). Other subsets of events and features do not meet the same split.
_TRIES, _NEXT_SEED = 4, 1_000_003
#: Of the importances of two analyses, at most.
_RATIO = 30.0


def fit_forest(X: Array, y: Array, names: Sequence[str], *, seed: int, trees: int, base: Array | None = None,
               signs: Sequence[int] | None = None, weight: Array | None = None) -> str:
    """LightGBM's text of a forest that predicts the mean of ``y`` (n,), 0 to 1, from features (n, n_features).

    With a ``base`` (n,), what is expected already, it learns what changes that; with ``signs`` it is a cautious one
    for few candidates, which rises (1) or falls (-1) with a feature. ``weight`` (n,): how many events each stands for.
    """
    import lightgbm

    options = _FOREST if signs is None else _FOREST | _CAUTIOUS | {"monotone_constraints": list(signs)}
    options["lambda_l2"] = float(options["lambda_l2"] * min(y.sum() / _SUM, 1.0))
    for attempt in range(_TRIES):
        data = lightgbm.Dataset(X, y, weight=weight, feature_name=list(names),
                                init_score=None if base is None else log_odds(base))
        try:
            found = lightgbm.train({**options, "seed": seed + attempt * _NEXT_SEED}, data, num_boost_round=trees)
            break
        except lightgbm.basic.LightGBMError as error:
            if "best_split_info" not in str(error) or attempt + 1 == _TRIES:
                raise
    return str(found.model_to_string())


def log_odds(p: Array) -> Array:
    """Logarithms of the odds of probabilities (n,), which are taken to be 1e-9 to 1/2."""
    inside = np.clip(p, 1e-9, 0.5)
    return np.asarray(np.log(inside / (1.0 - inside)))


def importances(yields: Array) -> Array:
    """Factors (n,) at most 1 that make analyses with these yields count alike, the rarest most, within a ratio of 30.

    >>> importances(np.array([1.0, 0.1, 0.001, 0.0])).round(4).tolist()
    [0.0333, 0.3333, 1.0, 0.0]
    """
    known = yields > 0.0
    if not np.any(known):
        return np.ones(len(yields))
    factor = np.where(known, yields.max() / np.where(known, yields, 1.0), 0.0).clip(max=_RATIO)
    return np.asarray(factor / factor.max())


def expected(model: TreeModel, X: Array, base: Array | None = None) -> Array:
    """What a forest of :func:`fit_forest` expects of each row (n,)."""
    score = model.raw_score(X)
    return np.asarray(1.0 / (1.0 + np.exp(-(score if base is None else score + log_odds(base)))))
