"""A classifier of an analysis: k forests, each for the candidates that it was not trained on.

No candidate is wasted on training, and none is judged by trees that know it.
The score becomes eta = the fraction of selected signal with a lower score: flat in
[0, 1] for signal. A folder holds ``classifier.json`` and a text model per fold.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, Field, model_validator

from fei_lite.classifiers.fitting import fit_channel
from fei_lite.classifiers.quality import weighted_auc
from fei_lite.classifiers.text import pack, text_names, unpack
from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.data_files import read_bytes, read_json, validated
from fei_lite.errors import AnalysisError
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.renamed import with_current_keys

Floats = NDArray[np.float64]

MANIFEST = "classifier.json"
FORMAT = "fei-lite analysis classifier"
#: Fewest entries of a class to train a fold on.
MIN_ENTRIES = 30


def fold_of(event: NDArray[np.integer], sample: NDArray[np.integer], folds: int) -> NDArray[np.int64]:
    """Fold (n,) of each candidate, 0 .. folds - 1, from its event number and sample alone (splitmix64).

    >>> np.bincount(fold_of(np.arange(10_000), np.zeros(10_000, np.int64), 5)).min() > 1900
    np.True_
    """
    x = event.astype(np.uint64) + sample.astype(np.uint64) * np.uint64(0xD1342543DE82EF95) + np.uint64(
        0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((x ^ (x >> np.uint64(31))) % np.uint64(folds), dtype=np.int64)


@dataclass(frozen=True)
class FlatTransform:
    """eta of a score: the fraction of signal (weights included) below it.

    ``scores`` (n,) rise, ``fraction`` (n,) rises from 0 to 1; linear between.
    """

    scores: Floats
    fraction: Floats

    def __call__(self, scores: ArrayLike) -> Floats:
        """eta (n,) in [0, 1].

        >>> flat = flat_transform([0.2, 0.6, 0.8, 0.9], [1.0, 1.0, 1.0, 1.0])
        >>> flat([0.0, 0.4, 0.85, 1.0]).round(3).tolist()
        [0.0, 0.25, 0.75, 1.0]
        """
        return np.asarray(np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.fraction))


def flat_transform(scores: ArrayLike, weight: ArrayLike, *, points: int = 2001) -> FlatTransform:
    """The transform that makes the given signal flat; raises :class:`AnalysisError` without signal.

    An entry stands for the fraction of weight below it plus half of its own. At
    most ``points`` of the entries are kept, evenly in eta.
    """
    scores, weight = np.asarray(scores, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    if len(scores) < 2 or not weight.sum() > 0.0:
        raise AnalysisError(f"eta: {len(scores)} signal candidates pass the selection; the score cannot be made flat. "
                            "Give more signal events.")
    order = np.argsort(scores, kind="stable")
    below = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
    ordered = scores[order]
    if len(ordered) > points:
        chosen = np.unique(np.searchsorted(below, np.linspace(below[0], below[-1], points)).clip(max=len(below) - 1))
        ordered, below = ordered[chosen], below[chosen]
    gap = 1e-9 + 0.5 * np.mean(np.diff(ordered[:3])), 1e-9 + 0.5 * np.mean(np.diff(ordered[-3:]))
    return FlatTransform(np.concatenate([[ordered[0] - gap[0]], ordered, [ordered[-1] + gap[1]]]),
                         np.concatenate([[0.0], below, [1.0]]))


@dataclass(frozen=True)
class FoldClassifier:
    """k forests, the transform to eta, and what was measured of them on candidates they did not see."""

    features: tuple[str, ...]
    texts: tuple[str, ...] = field(repr=False)
    transform: FlatTransform
    summary: Mapping[str, Any]

    @property
    def folds(self) -> int:
        """Number of forests."""
        return len(self.texts)

    def models(self) -> list[TreeModel]:
        """The forests, ready to be evaluated."""
        return [parse_trees(text, source=f"fold {k}") for k, text in enumerate(self.texts)]

    def scores(self, X: Floats, fold: NDArray[np.integer]) -> Floats:
        """Score (n,) of each candidate by the forest that was not trained on its fold, 0 .. 1."""
        out = np.full(len(X), np.nan)
        for k, model in enumerate(self.models()):
            rows = fold == k
            out[rows] = model.probability(X[rows]) if rows.any() else np.nan
        return out


def left_out(features: Sequence[str], reason: str) -> FoldClassifier:
    """A classifier that could not be trained: it has no forest, and all its scores are NaN."""
    ends = np.array([0.0, 1.0])
    return FoldClassifier(tuple(features), (), FlatTransform(ends, ends),
                          {"left_out": reason, "auc": None, "auc_uncertainty": None})


def train_folds(
    X: Floats, y: NDArray[np.bool_], weight: Floats, fold: NDArray[np.integer], *, names: Sequence[str], folds: int,
    seed: int, parameters: Mapping[str, Any], weights_up_to: float | None = None,
) -> tuple[tuple[str, ...], Floats, dict[str, Any]]:
    """Train a forest per fold on the candidates of the other folds.

    In the training both classes count as much. A candidate counts by its weight, up to the
    quantile ``weights_up_to`` of its class's weights: a selection keeps few of those far
    from the signal, with large weights, and the trees would learn to tell a handful of
    them apart. Without it all candidates of a class count alike: then what a learned
    selection prefers, the background most like signal, counts too much. Candidates without
    weight do not count.

    Returns the text models, the score of each candidate by the forest that has not seen it,
    and a summary. Raises :class:`AnalysisError` where a class is too small.
    """
    n = int(y.sum()), int((~y).sum())
    if min(n) < MIN_ENTRIES:
        raise AnalysisError(f"training: {n[0]} signal and {n[1]} background candidates pass the selection, expected "
                            f"{MIN_ENTRIES} or more of each. Give more events, or a trained classifier (--classifier).")
    balanced = np.zeros(len(y))
    for of in (y, ~y):
        used = of & (weight > 0.0)
        if used.any():
            most = None if weights_up_to is None else np.quantile(weight[used], weights_up_to)
            counts = np.ones(np.count_nonzero(used)) if most is None else np.minimum(weight[used], most)
            balanced[used] = counts / counts.sum()
    texts, scores = [], np.full(len(y), np.nan)
    for k in range(folds):
        train = (fold != k) & (balanced > 0.0)
        fitted = fit_channel(X[train], y[train], balanced[train], names=names, seed=seed + k,
                             parameters={**parameters, "early_stopping_rounds": 0}, min_entries=1)
        if not fitted.trained:
            raise AnalysisError(f"training: fold {k}: {fitted.reason}.")
        texts.append(fitted.text)
        rows = fold == k
        if rows.any():
            scores[rows] = fitted.model().probability(X[rows])
    auc, error = weighted_auc(y, scores, weight=weight)
    return tuple(texts), scores, {"n_signal": n[0], "n_background": n[1], "auc": auc, "auc_uncertainty": error}


def save_classifier(classifier: FoldClassifier, folder: str | os.PathLike[str], *, extra: Mapping[str, Any],
                    force: bool = False) -> None:
    """Write a classifier; ``extra`` goes into its manifest (sample, seed, command ...)."""
    folder = make_folder(folder)
    files = []
    for k, text in enumerate(classifier.texts):
        packed = pack(text)
        with atomic_output(folder / f"fold_{k}.txt.gz", force=force) as temporary:
            temporary.write_bytes(packed)
        files.append({"file": f"fold_{k}.txt.gz", "sha256": hashlib.sha256(packed).hexdigest()})
    content = {"format": FORMAT, "format_version": 1, "features": list(classifier.features), "folds": files,
               "summary": dict(classifier.summary), **extra,
               "eta": {"scores": classifier.transform.scores.tolist(),
                       "fraction": classifier.transform.fraction.tolist()}}
    with atomic_output(folder / MANIFEST, force=force) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class _Fold(BaseModel):
    """A forest's file, in the folder of its manifest, and its checksum."""

    file: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Eta(BaseModel):
    """The points of the transform."""

    scores: list[float] = Field(min_length=2)
    fraction: list[float] = Field(min_length=2)


class _Manifest(BaseModel):
    """``classifier.json``; what else it says of its training is free."""

    format: str
    format_version: int
    features: list[str] = Field(min_length=1)
    folds: list[_Fold] = Field(max_length=1000)
    summary: dict[str, Any]
    eta: dict[str, Any]

    @model_validator(mode="after")
    def _has_folds(self) -> _Manifest:
        if not self.folds and "left_out" not in self.summary:
            raise ValueError("folds: got none, expected at least one.")
        return self


def load_classifier(folder: str | os.PathLike[str], features: Sequence[str]) -> FoldClassifier:
    """Read a classifier and check it; ``features`` are what the caller will give, in this order.

    Raises :class:`AnalysisError` for a missing or damaged file, or other features.
    """
    path = Path(folder) / MANIFEST
    read = read_json(path, _Manifest, error=AnalysisError)
    if read.format != FORMAT or read.format_version != 1:
        raise AnalysisError(f"{path}: format: got '{read.format[:60]}' {read.format_version}, expected '{FORMAT}' 1.")
    if tuple(read.features) != tuple(features):
        raise AnalysisError(f"{path}: trained on {', '.join(read.features)[:500]}; the recipe has "
                            f"{', '.join(features)}.")
    eta = validated(with_current_keys("manifest", read.eta, f"{path}: eta"), _Eta, where=f"{path}: eta",
                    error=AnalysisError)
    transform = FlatTransform(np.array(eta.scores), np.array(eta.fraction))
    if len(eta.scores) != len(eta.fraction) or np.any(np.diff([transform.scores, transform.fraction]) < 0.0) or not (
            transform.fraction[0] >= 0.0 and transform.fraction[-1] <= 1.0):
        raise AnalysisError(f"{path}: eta: expected as many scores as fractions, both rising, fractions from 0 to 1.")
    names = text_names(features)
    texts = [_fold_text(Path(folder) / entry.file, entry.sha256, names) for entry in read.folds]
    return FoldClassifier(tuple(features), tuple(texts), transform, read.summary)


def _fold_text(path: Path, sha256: str, names: Sequence[str]) -> str:
    """The text of a forest, checked against the manifest's sum and features."""
    packed = read_bytes(path, error=AnalysisError)
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise AnalysisError(f"{path}: damaged: its SHA-256 is not the manifest's.")
    text = unpack(packed, source=str(path))
    found = parse_trees(text, source=str(path)).feature_names
    if list(found) != list(names):
        raise AnalysisError(f"{path}: features {', '.join(found)[:500]}; the manifest has {', '.join(names)}.")
    return text
