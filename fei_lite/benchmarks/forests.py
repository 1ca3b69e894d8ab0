"""The tree evaluator against LightGBM, side by side on one thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fei_lite.benchmarks.timing import best_seconds
from fei_lite.classifiers.trees import parse_trees
from fei_lite.errors import FeiLiteError

N_TREES, DEPTH, N_FEATURES = 400, 3, 20


@dataclass(frozen=True)
class ClassifierSpeed:
    """Time per row (us) of fei-lite and of ``Booster.predict(raw_score=True)``, and their ratio."""

    us_per_row: float
    lightgbm_us_per_row: float
    ratio: float


def classifier_speed(*, seed: int, n: int = 50_000) -> ClassifierSpeed:
    """Evaluate 400 trees of depth 3 on ``n`` rows of 20 features, a tenth of them NaN.

    The model is trained here, on fixed random numbers. Raises FeiLiteError if
    a raw score differs from LightGBM's in its last bit.
    """
    import lightgbm

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_FEATURES))
    X[rng.random(X.shape) < 0.1] = np.nan
    weights = rng.normal(size=N_FEATURES)
    y = rng.random(n) < 1.0 / (1.0 + np.exp(-np.nan_to_num(X) @ weights))
    options = {"objective": "binary", "max_depth": DEPTH, "num_leaves": 2**DEPTH, "verbosity": -1, "num_threads": 1,
               "seed": seed, "deterministic": True, "force_row_wise": True}
    booster = lightgbm.train(options, lightgbm.Dataset(X[:10_000], y[:10_000], params=options), N_TREES)
    model = parse_trees(booster.model_to_string(), source="the benchmark's model")

    def theirs() -> object:
        return booster.predict(X, raw_score=True, num_threads=1)

    different = int(np.count_nonzero(model.raw_score(X) != theirs()))
    if different:
        raise FeiLiteError(f"benchmark: {different} of {n} raw scores differ from LightGBM {lightgbm.__version__}'s.")
    ours, lightgbms = best_seconds(lambda: model.raw_score(X)), best_seconds(theirs, repeat=3)
    return ClassifierSpeed(1e6 * ours / n, 1e6 * lightgbms / n, lightgbms / ours)
