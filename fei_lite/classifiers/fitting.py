"""Fit the classifier of one channel with LightGBM.

The sample's weights carry the prior: the output is the probability that a
candidate of generic events is signal, comparable between channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.quality import Quality, measure_quality, weighted_auc
from fei_lite.classifiers.text import concise_text, text_names
from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.errors import ModelSetError

Floats = NDArray[np.float64]

#: The FEI's FastBDT settings (arXiv:1807.08680; basf2 ``fei``): 400 trees of
#: depth 3, shrinkage 0.1, half of the sample per tree. The rest is ours, chosen
#: on toys of known probability. ``max_delta_step``: where signal is rare, a leaf of
#: signal would step by 1 / prior in log-odds (Newton's step at p near 0); without the
#: bound a prior of 1e-4 doubles the log-loss. ``min_information_in_leaf``: smallest share
#: of the sample's sum of weight * p (1 - p) in a leaf; without it LightGBM stops with
#: "Check failed: left_count > 0" on unequal weights (its issue 4739). 255 bins: one byte
#: each; 1023 (the FEI has 1024) were slower and no better.
FEI_DEFAULT: Mapping[str, Any] = MappingProxyType({
    "n_trees": 400, "max_depth": 3, "num_leaves": 8, "learning_rate": 0.1,
    "bagging_fraction": 0.5, "bagging_freq": 1, "max_bin": 255, "min_data_in_leaf": 50,
    "min_information_in_leaf": 1e-5, "max_delta_step": 1.0, "early_stopping_rounds": 50,
})
#: Settings that are ours, not LightGBM's. ``max_overtraining`` (default: no limit): where the AUC on the training
#: sample exceeds that on held-out events by more standard deviations, trees are dropped, but none that held-out
#: events would miss.
_OURS = ("n_trees", "early_stopping_rounds", "min_information_in_leaf", "max_overtraining")
#: Fractions of the trees that are tried to keep within ``max_overtraining``.
_FEWER = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

#: Below this many entries of a class there is no training (the FEI's limit).
MIN_ENTRIES = 500


@dataclass(frozen=True)
class FittedChannel:
    """The classifier of one channel, or the reason why there is none.

    ``text`` is LightGBM's text model ("" if untrained), ``names`` the ordered
    features, ``gain`` LightGBM's gain of each in the training. ``training`` and
    ``validation`` are measured with the model before any calibration; of the validation sample
    only the half that did not choose the number of trees. ``calibration`` says how the raw score of
    ``text`` was changed after that (plain data; empty: not at all).
    """

    names: tuple[str, ...]
    training: Quality
    validation: Quality | None
    seed: int
    parameters: Mapping[str, Any]
    text: str = field(default="", repr=False)
    n_trees: int = 0
    gain: tuple[float, ...] = ()
    reason: str = ""
    calibration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trained(self) -> bool:
        """Whether there is a model."""
        return bool(self.text)

    def model(self) -> TreeModel:
        """The forest, ready to be evaluated."""
        if not self.trained:
            raise ModelSetError(f"no model: {self.reason}")
        return parse_trees(self.text, source="fitted model")


@dataclass(frozen=True)
class Sample:
    """Features (n, n_features), truth (n,) and weights (n,)."""

    X: Floats
    y: NDArray[np.bool_]
    weight: Floats

    def half(self, which: int) -> Sample:
        """Every other entry of each class: 0 the even ones, 1 the odd ones."""
        rank = np.empty(len(self.y), dtype=np.int64)
        for of_class in (self.y, ~self.y):
            rank[of_class] = np.arange(np.count_nonzero(of_class))
        rows = rank % 2 == which
        return Sample(self.X[rows], self.y[rows], self.weight[rows])

    def quality(self, model: TreeModel | None = None) -> Quality:
        """Size of the sample, and the model's quality on it."""
        p = None if model is None else model.probability(self.X)
        return measure_quality(self.y, p, weight=self.weight)


def fit_channel(
    X: Floats, y: NDArray[Any], weight: Floats, *, names: Sequence[str], seed: int,
    parameters: Mapping[str, Any] = FEI_DEFAULT,
    validation: tuple[Floats, NDArray[Any], Floats] | None = None,
    min_entries: int = MIN_ENTRIES, num_threads: int = 1,
) -> FittedChannel:
    """Fit a channel's classifier on (n, n_features) float64 features; NaN is undefined.

    ``parameters`` change :data:`FEI_DEFAULT`; other names are LightGBM's. With a
    ``validation`` sample half of it (every other entry of each class) ends the
    training where its log-loss is smallest, at ``n_trees`` at the latest (the FEI
    always takes 400), and the other half measures the result. A class with fewer than ``min_entries`` entries is not
    trained; the result says why. Weights are scaled to mean 1, ratios kept.

    Raises :class:`ModelSetError` for a malformed sample or impossible parameters.
    """
    sample = _sample(X, y, weight, names)
    held = None if validation is None else _sample(*validation, names)
    settings = {**FEI_DEFAULT, **parameters}
    result = FittedChannel(tuple(names), sample.quality(), held.quality() if held else None, seed, settings)
    reason = _why_not(result.training, min_entries)
    if reason:
        return _with(result, reason=reason)
    stop, measure = (held.half(0), held.half(1)) if held else (None, None)
    if stop is not None and not 0 < np.count_nonzero(stop.y) < len(stop.y):
        stop = None  # a single class would end the training at a constant
    text, n_trees, gain = _train_or_raise(sample, stop, names, settings, seed=seed, num_threads=num_threads)
    model = parse_trees(text, source="fitted model")
    return _with(result, text=text, n_trees=n_trees, gain=gain, training=sample.quality(model),
                 validation=measure.quality(model) if measure else None)


def _with(result: FittedChannel, **changes: Any) -> FittedChannel:
    return FittedChannel(**{**result.__dict__, **changes})


def _sample(X: Floats, y: NDArray[Any], weight: Floats, names: Sequence[str]) -> Sample:
    X = np.ascontiguousarray(X, dtype=np.float64)
    y, weight = np.asarray(y) > 0.5, np.asarray(weight, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] != len(names):
        raise ModelSetError(f"X: got shape {X.shape}, expected (n, {len(names)}): {', '.join(names)}.")
    if len(y) != len(X) or len(weight) != len(X):
        raise ModelSetError(f"X, y and weight have {len(X)}, {len(y)} and {len(weight)} entries; "
                            "expected equal numbers.")
    if not np.all((weight > 0.0) & np.isfinite(weight)):
        raise ModelSetError(f"weight: {np.count_nonzero(~((weight > 0.0) & np.isfinite(weight)))} entries are "
                            "not positive finite numbers; leave such candidates out.")
    return Sample(X, y, weight)


def _why_not(size: Quality, min_entries: int) -> str:
    """The reason not to train, or ""."""
    few = [f"{n} {name} entries" for n, name in ((size.n_signal, "signal"), (size.n_background, "background"))
           if n < min_entries]
    return f"only {' and '.join(few)}, fewer than {min_entries}" if few else ""


def _restrained(booster: Any, n_trees: int, sample: Sample, held: Sample, limit: float) -> int:
    """The most trees, of some tried, with an AUC on the sample at most ``limit`` deviations above that on ``held``.

    No fewer than held-out candidates do with: their log-loss may exceed that of all trees by one standard
    error of the difference (in pairs, candidate by candidate). An AUC that is a little low by chance must not
    cost a classifier.
    """
    best = _losses(booster, n_trees, held)
    fewest = n_trees
    for share in _FEWER:
        fewer = max(1, round(share * n_trees))
        lost = held.weight * (_losses(booster, fewer, held) - best)
        if lost.sum() > np.sqrt(np.sum(lost**2)):
            break
        fewest = fewer
        (own, s_own), (other, s_other) = (
            weighted_auc(part.y, booster.predict(part.X, num_iteration=fewer), weight=part.weight)
            for part in (sample, held))
        if not own - other > limit * np.hypot(s_own, s_other):  # also if undefined
            break
    return fewest


def _losses(booster: Any, n_trees: int, sample: Sample) -> Floats:
    """The log-loss of every candidate (n,), with the first ``n_trees`` trees."""
    score = booster.predict(sample.X, num_iteration=n_trees, raw_score=True)
    return np.asarray(np.logaddexp(0.0, np.where(sample.y, -score, score)))


def _train_or_raise(sample: Sample, stop: Sample | None, names: Sequence[str], settings: Mapping[str, Any], *,
                    seed: int, num_threads: int) -> tuple[str, int, tuple[float, ...]]:
    """:func:`_train`, a second time with larger leaves if LightGBM gives up."""
    from lightgbm.basic import LightGBMError

    larger = {**settings, "min_information_in_leaf": 100.0 * settings["min_information_in_leaf"] or 1e-4}
    try:
        return _train(sample, stop, names, settings, seed=seed, num_threads=num_threads)
    except LightGBMError:
        try:
            return _train(sample, stop, names, larger, seed=seed, num_threads=num_threads)
        except LightGBMError as error:
            raise ModelSetError(f"LightGBM cannot train with {dict(settings)}: {error}.") from None


def _train(sample: Sample, stop: Sample | None, names: Sequence[str], settings: Mapping[str, Any], *,
           seed: int, num_threads: int) -> tuple[str, int, tuple[float, ...]]:
    """The concise text model, its number of trees, and the gain of each feature."""
    import lightgbm

    scale = 1.0 / sample.weight.mean()
    prior = np.average(sample.y, weights=sample.weight)
    information = len(sample.y) * prior * (1.0 - prior)  # sum of the hessians before the first tree
    options = {key: value for key, value in settings.items() if key not in _OURS}
    options |= {"objective": "binary", "metric": "binary_logloss", "deterministic": True, "force_col_wise": True,
                "seed": seed, "num_threads": num_threads, "verbosity": -1,
                "min_sum_hessian_in_leaf": settings["min_information_in_leaf"] * information}

    def dataset(part: Sample, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        return lightgbm.Dataset(part.X, part.y, weight=part.weight * scale, reference=reference,
                                feature_name=text_names(names), categorical_feature=[], params=options)

    train = dataset(sample)
    rounds = int(settings["early_stopping_rounds"])
    watched = stop is not None and rounds > 0
    booster = lightgbm.train(
        options, train, num_boost_round=int(settings["n_trees"]),
        valid_sets=[dataset(stop, train)] if watched and stop is not None else None,
        callbacks=[lightgbm.early_stopping(rounds, verbose=False)] if watched else None)
    n_trees = booster.best_iteration if watched else booster.num_trees()
    if stop is not None and settings.get("max_overtraining") is not None:
        n_trees = _restrained(booster, n_trees, sample, stop, float(settings["max_overtraining"]))
    text = booster.model_to_string(num_iteration=n_trees)
    ignored = [key for key in options if f"\n[{key}: " not in text]  # LightGBM lists all that it knows
    if ignored:
        raise ModelSetError(f"parameters: unknown to LightGBM: {', '.join(ignored)}. Write its own names, not "
                            "their aliases.")
    gain = booster.feature_importance("gain", iteration=n_trees)
    return concise_text(text), n_trees, tuple(float(f"{value:.5g}") for value in gain)
