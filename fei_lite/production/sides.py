"""What one B promises by itself: a tag, or the signal side of an analysis.

An event is selected if one B gives the tag and the rest, from the other B, looks like a signal side. Both are frequent
enough to be learned from some thousand B's each, where selected events are one in 10^5. The promise of a pair is a
power of the sum of the products over the analyses, in both orders. Of n first and n second B's, pairs are drawn as
often as powers of what they promise say: each order of each analysis is a product of a number of the first B and one
of the second, and both are drawn by themselves. The higher power is best for tags of one B's objects, which are most
of what is selected; the lower one is for those that take something from both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.production.forests import LEAST, expected, fit_forest, importances
from fei_lite.production.generated_features import SIDE, pair_features

Array = NDArray[np.float64]

#: Part of the mean promise of a side that every side has at least: tags of both B's objects, what the forest misses.
_FLOOR = 0.1
#: Pairs that are drawn per generated event, to be looked at.
_PROPOSED = 40.0
#: A pair gets a candidate as this power of what its sides promise: most of it from tags of both B's objects (measured).
_POWER = 0.5
#: Powers of the product of what both sides promise as which pairs are drawn, and the part of them (ours: of candidates
#: in the bins of the HTA the effective number per pair is four times as large at 0.5 as at 0.25).
_DRAWN = ((0.25, 0.3), (0.5, 0.7))
#: Trees of a forest of sides.
_TREES = 80
#: Pairs of sides that averages over pairs are taken of.
_PAIRS = 200_000


@dataclass(frozen=True)
class Trials:
    """Single B's that were tried: features (n, len(SIDE)), the chance with which each was (n,), and what came of it.

    ``tag`` and ``signal`` (n, n_analyses) say how much it looked like a tag with nothing left, and like a signal side:
    0 to 1, NaN where that was not tried.
    """

    X: Array
    chance: Array
    tag: Array
    signal: Array


@dataclass(frozen=True)
class SidePromises:
    """Of each side (n,) and analysis: the promise of a tag and that of a signal side, (n, n_analyses), above 0."""

    tag: Array
    signal: Array

    def of(self, rows: NDArray[np.integer]) -> SidePromises:
        """Some of the sides."""
        return SidePromises(self.tag[rows], self.signal[rows])


@dataclass(frozen=True)
class SideModels:
    """Forests (LightGBM's texts; "" where there was too little to learn from) of tag and signal side of each analysis.

    ``mean_tag`` and ``mean_signal`` are the mean promises, ``importance`` makes the analyses count alike, ``scale`` is
    that of the pairs that are drawn (as each of the powers), ``mean_promise`` and ``mean_root`` are those of all pairs
    (and of the root), ``spread`` is the relative variance, per generated event, of sums over all pairs. ``analyses``
    are their names, and ``classified`` says whether their classifiers were known.
    """

    tag: tuple[str, ...] = field(repr=False)
    signal: tuple[str, ...] = field(repr=False)
    mean_tag: tuple[float, ...]
    mean_signal: tuple[float, ...]
    importance: tuple[float, ...]
    scale: tuple[float, ...] = (1.0,) * len(_DRAWN)
    mean_promise: float = 1.0
    mean_root: float = 1.0
    spread: float = 0.0
    analyses: tuple[str, ...] = ()
    classified: bool = False

    @cached_property
    def models(self) -> tuple[tuple[TreeModel | None, ...], tuple[TreeModel | None, ...]]:
        """The forests, ready to be evaluated."""
        tag, signal = (tuple(parse_trees(text, source="sides") if text else None for text in texts)
                       for texts in (self.tag, self.signal))
        return tag, signal

    def promises(self, X: Array) -> SidePromises:
        """The promises of sides with features ``X`` (n, len(SIDE))."""
        return SidePromises(*(np.stack([_FLOOR * mean + (np.full(len(X), mean) if model is None
                                                         else expected(model, X))
                                        for model, mean in zip(models, means, strict=True)], axis=1)
                              for models, means in zip(self.models, (self.mean_tag, self.mean_signal), strict=True)))

    def promise(self, first: SidePromises, second: SidePromises) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Of pairs (n,): the promise, its logarithms (n, 3) as features, and whether the second is rather the tag."""
        weight = np.array(self.importance)
        straight, turned = (first.tag * second.signal) @ weight, (first.signal * second.tag) @ weight
        swap = turned > straight
        tag = np.where(swap[:, None], second.tag, first.tag).max(axis=1)
        other = np.where(swap[:, None], first.signal * weight, second.signal * weight).max(axis=1)
        both = (straight + turned) ** _POWER
        return both, np.log(np.stack([both, tag, other], axis=1)), swap

    def terms(self, first: SidePromises, second: SidePromises) -> list[tuple[Array, Array]]:
        """Numbers of first and second sides whose products, summed, are how often pairs are drawn."""
        found = []
        for (power, _), scale in zip(_DRAWN, self.scale, strict=True):
            for k, importance in enumerate(self.importance):
                factor = scale * importance**power
                found.append((factor * first.tag[:, k]**power, second.signal[:, k]**power))
                found.append((factor * first.signal[:, k]**power, second.tag[:, k]**power))
        return found

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def side_models(said: dict[str, Any]) -> SideModels:
    """What :meth:`SideModels.to_json` wrote."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return SideModels(**fields)


@dataclass(frozen=True)
class Drawn:
    """Pairs that were drawn: rows of the first and of the second sides, and how often each is drawn per event (n,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    wanted: Array


def draw_pairs(first: SidePromises, second: SidePromises, code: NDArray[np.integer], models: SideModels,
               rng: np.random.Generator) -> Drawn:
    """Pairs of the first B of one event with the second B, of the same ``code`` (n,), of another one or its own.

    Each event stands for itself: the n pairs with its partners together count as one event. A pair that is drawn
    ``wanted / n`` times on average has the weight ``1 / wanted``, whatever else is drawn.
    """
    terms, rows, partners = models.terms(first, second), [], []
    for value in np.unique(code):
        here = np.flatnonzero(code == value)
        for a, b in terms:
            cumulative = np.cumsum(a[here]), np.cumsum(b[here])
            m = rng.poisson(cumulative[0][-1] * cumulative[1][-1] / len(here))
            chosen = [here[np.searchsorted(c, rng.uniform(size=m) * c[-1], side="right").clip(max=len(here) - 1)]
                      for c in cumulative]
            rows.append(chosen[0])
            partners.append(chosen[1])
    row, partner = (np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64) for parts in (rows, partners))
    wanted = np.sum([a[row] * b[partner] for a, b in terms], axis=0)
    return Drawn(row, partner, wanted)


def features_of_pairs(first: Array, second: Array, promises: tuple[SidePromises, SidePromises], models: SideModels, *,
                      sqrt_s: float) -> tuple[Array, NDArray[np.bool_]]:
    """Features (n, len(PAIR)) of pairs from those of their sides and their promises; where the second is the tag."""
    _, logarithms, swap = models.promise(*promises)
    return pair_features(first, second, logarithms, swap=swap, sqrt_s=sqrt_s), swap


def learn_sides(trials: Trials, *, seed: int, analyses: Sequence[str] = (), classified: bool = False) -> SideModels:
    """Forests of sides from trials. What was tried more often for its features needs no weights: they are features."""
    k = trials.tag.shape[1]
    texts: list[list[str]] = [[], []]
    means = np.zeros((2, k))
    weight = 1.0 / trials.chance
    for i, labels in enumerate((trials.tag, trials.signal)):
        for a in range(k):
            known = np.isfinite(labels[:, a])
            y = labels[known, a]
            means[i, a] = np.average(y, weights=weight[known]) if np.any(y > 0.0) else 0.1 / max(weight[known].sum(), 1)
            texts[i].append(fit_forest(trials.X[known], y, SIDE, seed=100 * i + 10 * a + seed, trees=_TREES)
                            if np.count_nonzero(y > 0.0) >= LEAST else "")
    draft = SideModels(tuple(texts[0]), tuple(texts[1]), tuple(means[0].tolist()), tuple(means[1].tolist()),
                       tuple(importances(means[0] * means[1]).tolist()), analyses=tuple(analyses),
                       classified=classified)
    return _scaled(draft, trials.X, weight, np.random.default_rng(seed))


def _scaled(draft: SideModels, X: Array, weight: Array, rng: np.random.Generator) -> SideModels:
    """The models with what they promise on average, of sides that with ``weight`` stand for all that are generated."""
    promises, importance = draft.promises(X), np.array(draft.importance)
    products = [float(np.average(a, weights=weight) * np.average(b, weights=weight))
                for a, b in draft.terms(promises, promises)]
    means = np.sum(np.reshape(products, (len(_DRAWN), -1)), axis=1)
    scale = [_PROPOSED * part / float(mean) for (_, part), mean in zip(_DRAWN, means, strict=True)]
    tag, signal = (np.average(x, weights=weight, axis=0) for x in (promises.tag, promises.signal))
    of_side = (promises.tag * signal + promises.signal * tag) @ importance
    average = float(np.average(of_side, weights=weight))
    one, other = (rng.choice(len(X), _PAIRS, p=weight / weight.sum()) for _ in range(2))
    both = draft.promise(promises.of(one), promises.of(other))[0]
    return replace(draft, scale=tuple(scale), mean_promise=average,
                   mean_root=float(np.sqrt(both).mean()),
                   spread=2.0 * float(np.average(of_side**2, weights=weight)) / average**2)
