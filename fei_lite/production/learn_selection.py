"""How selections are learned: from what became of the events that earlier ones chose.

Forests of both looks learn from all candidates there are, and how much of what they promise goes to detector and tag
is decided by candidates that they have not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError
from fei_lite.production.forests import LEAST, fit_forest, importances
from fei_lite.production.generated_features import PAIR, PROMISES, SIDE
from fei_lite.production.learned import (
    FEATURES,
    FLOOR,
    LEAST_CHANCE,
    TOLD,
    LearnedSelection,
    Stage,
    closing,
    simple_promise,
    telling,
)
from fei_lite.production.recorded_features import FALLING
from fei_lite.production.recorded_sides import LACKING
from fei_lite.production.sides import SideModels

Array = NDArray[np.float64]

_SIGNS = dict.fromkeys((*FALLING, *LACKING), -1) | dict.fromkeys(PROMISES, 1)
_TREES = 100, 300  # of the forest of the first and of the second look
_POWERS = np.arange(0.5, 2.6, 0.1).round(1).tolist()  # of a promise that are tried
_SELECTED, _SOFT = 0.1, (3.0, 0.1)  # likeness above which a candidate is selected; see sharpened
_ENOUGH = 10       # selected candidates that decide alone how much goes to detector and tag
_SEEN = 100_000    # recorded events that are looked at, at most
_BLOCKS = 20       # of events in a row, every second of which tells how good the forests of the others are
_NEARLY = 0.1      # above the least product of time and variance, at the scale that is taken


@dataclass(frozen=True)
class Experience:
    """What became of events that were tagged, (n, ...): features of both looks, how often wanted, candidates.

    ``wanted`` (n,) is how often the first look wanted the event, ``chance`` that of the second. ``like``
    (n, n_analyses) is how much the best candidate of each analysis is like a signal: 0 (there is none) to 1.
    ``seen`` are some events as they were recorded (both looks' features, and ``wanted`` as the last column).
    """

    X: Array
    wanted: Array
    chance: Array
    like: Array
    seen: Array


@dataclass(frozen=True)
class Costs:
    """Seconds of the processor: per event generated, per one recorded, per one tagged."""

    offer: float
    record: float
    tag: float


def thinned(experience: Experience, part: float, rng: np.random.Generator) -> tuple[Experience, Array]:
    """Experience with this part of the events without a candidate, and how many events each row stands for (n,)."""
    like = np.any(experience.like > 0.0, axis=1)
    rows = np.flatnonzero(like | (rng.uniform(size=len(like)) < part))
    found = replace(experience, X=experience.X[rows], wanted=experience.wanted[rows], chance=experience.chance[rows],
                    like=experience.like[rows])
    return found, np.where(like[rows], 1.0, 1.0 / part)


def with_promises(experience: Experience, sides: SideModels) -> Experience:
    """Experience with pairs, with the promises of other models of sides in place of what was known at the time."""
    n, k = len(SIDE), PAIR.index(PROMISES[0])

    def anew(X: Array) -> Array:
        found = X.copy()
        one, other = (sides.promises(X[:, first:first + n].astype(np.float64)) for first in (0, n))
        found[:, k:k + len(PROMISES)] = sides.promise(one, other)[1]
        return found

    return replace(experience, X=anew(experience.X), seen=anew(experience.seen))


def learn(experience: Experience, *, before: LearnedSelection, costs: Costs, counts: Array | None = None,
          ) -> LearnedSelection:
    """The next selection, from all that was tagged so far.

    What the earlier ones preferred needs no weights in the training: they chose by the features alone; ``counts`` (n,)
    are those of :func:`thinned`. How much of it goes to detector and tag is decided by candidates that the forests do
    not know: with those of the training, what they promise too little would hardly seem to be there. Raises
    :class:`SimulationError` with too few candidates.
    """
    like = likeness_of_events(experience)
    if np.count_nonzero(like) < LEAST:
        raise SimulationError(f"a learned selection needs {LEAST} events with a candidate, got "
                              f"{np.count_nonzero(like)}.")
    counts = np.ones(len(like)) if counts is None else counts
    rng = np.random.default_rng(before.number)
    seen = experience.seen[rng.permutation(len(experience.seen))[:_SEEN]].astype(np.float64)
    weight, seen = 1.0 / seen[:, -1], seen[:, :-1]
    X = experience.X.astype(np.float64)
    looks = _looks(X, like, counts, seen, weight, before)
    h1, h2 = _promises(looks, seen, before.of)
    hard = np.any(experience.like > _SELECTED, axis=1)
    found = np.flatnonzero(hard)
    known = np.empty((2, len(X)))
    blocks = np.arange(len(X)) * _BLOCKS // len(X) % 2  # copies of an event stand side by side
    for block in (0, 1):
        rows, others = np.flatnonzero((blocks == block) & hard), blocks != block
        if np.count_nonzero(like[others]) < LEAST:
            looks_of_others = looks
        else:
            looks_of_others = _looks(X[others], like[others], counts[others], seen, weight, before)
        known[:, rows] = _promises(looks_of_others, X[rows], before.of)
    size = like[found] / (experience.wanted[found] * experience.chance[found])
    spread = 0.0 if before.sides is None else before.sides.spread
    scales = best_scales(h1, h2, weight, most=before.first.most, costs=costs, spread=spread,
                         least_chance=looks[1].least,
                         found=(known[0, found], known[1, found], size) if len(found) >= _ENOUGH else None)
    said = {"tagged": round(float(counts.sum())), "candidates": (experience.like > 0.0).sum(axis=0).tolist(),
            "likeness": experience.like.sum(axis=0).tolist(), "costs_s": [costs.offer, costs.record, costs.tag]}
    return LearnedSelection(before.of, before.number + 1, replace(looks[0], scale=scales[0]),
                            replace(looks[1], scale=scales[1]), before.sides, said)


def _looks(X: Array, like: Array, counts: Array, seen: Array, weight: Array, before: LearnedSelection,
           ) -> tuple[Stage, Stage]:
    """Both looks (scales are still to be chosen) from tagged events and recorded ones, features (n, n_both)."""
    number, names = before.number + 1, FEATURES[before.of]
    n, most = len(names), before.first.most
    told = TOLD[before.of]
    later = _fitted(telling(before.of, X), like, simple_promise(before.of, X[:, :n]) * closing(X[:, n:]), told,
                    seed=number, most=most, trees=_TREES[1], signs=[_SIGNS.get(name, 0) for name in told],
                    weight=counts)
    simple = simple_promise(before.of, seen[:, :n])
    promised = later.promise(telling(before.of, seen), simple * closing(seen[:, n:]))
    first = _fitted(seen[:, :n], promised, simple, names, seed=number, most=most, trees=_TREES[0])
    expected_first = first.promise(seen[:, :n], simple)
    return (replace(first, floor=FLOOR[0] * float(np.average(expected_first, weights=weight))),
            replace(later, least=LEAST_CHANCE, floor=FLOOR[1] * float(np.average(promised, weights=weight))))


def _promises(looks: tuple[Stage, Stage], X: Array, of: str) -> tuple[Array, Array]:
    """What both looks promise of recorded events, floors included: (n,) each."""
    n = len(FEATURES[of])
    simple = simple_promise(of, X[:, :n])
    return (looks[0].promise(X[:, :n], simple) + looks[0].floor,
            looks[1].promise(telling(of, X), simple * closing(X[:, n:])) + looks[1].floor)


def likeness_of_events(experience: Experience) -> Array:
    """Likeness (n,) of events, 0 to 1: that of all analyses together, each of which counts alike."""
    weight, like = 1.0 / (experience.wanted * experience.chance), sharpened(experience.like)
    return np.asarray(np.minimum(like @ importances(weight @ like), 1.0))


def sharpened(like: Array) -> Array:
    """Likeness (n, n_analyses) of which what fails a cut tells less the more is known of what passes all.

    Before anything passes, candidates that nearly do are all there is to learn from; later they would teach what fails.
    In sum they count as much as three that pass, and a tenth of those that do, at most.
    """
    selected = like > _SELECTED
    hard, soft = (np.where(rows, like, 0.0).sum(axis=0) for rows in (selected, ~selected))
    factor = np.minimum((_SOFT[0] + _SOFT[1] * hard) / np.maximum(soft, 1e-9), 1.0)
    return np.where(selected, like, like * factor)


def best_scales(first: Array, second: Array, weight: Array, *, most: float, costs: Costs, spread: float = 0.0,
                least_chance: float = 0.0, found: tuple[Array, Array, Array] | None = None) -> tuple[float, float]:
    """Scales of both looks at which time times variance is nearly least.

    ``first`` and ``second`` are the promises (n,) of recorded events in both looks, which with ``weight`` stand for
    all that is generated. ``found``: promises in both looks of candidates (m,) and how much each stands for; without
    them candidates are expected as they are promised. ``least_chance`` is that of the second look. The product falls
    to a flat valley where most of the time goes to the tag; what is taken is the edge of it where a generated event
    costs least, since many decays and events are better than copies of few. Copies of one event have its own chance in
    common, which does not shrink with their number; combinations of B decays have those of the decays (``spread``:
    their relative variance per generated event).
    """
    weight = weight / weight.sum()
    mean, roots = float(weight @ second), (np.sqrt(first), np.sqrt(second))
    of = (first, second, weight * second) if found is None else found
    roots_of, part = (np.sqrt(of[0]), np.sqrt(of[1])), mean * of[2] / of[2].sum()
    grid = [np.geomspace(1e-3, 1e2, 61) / (weight @ root) for root in roots]
    tried = []
    for s1 in grid[0]:
        wanted, wanted_of = np.minimum(s1 * roots[0], most), np.minimum(s1 * roots_of[0], most)
        family = spread * mean**2 or float(weight @ (first**2 * np.clip(1.0 - 1.0 / wanted, 0.0, None)))
        fixed = costs.offer + costs.record * float(weight @ wanted)
        for s2 in grid[1]:
            time = fixed + costs.tag * float(weight @ np.clip(s2 * roots[1], least_chance * wanted, wanted))
            variance = float(part @ (1.0 / np.clip(s2 * roots_of[1], least_chance * wanted_of, wanted_of))) + family
            tried.append((time * variance, time, float(s1), float(s2)))
    least = min(row[0] for row in tried)
    _, _, s1, s2 = min((row for row in tried if row[0] <= (1.0 + _NEARLY) * least), key=lambda row: row[1])
    return s1, s2


def _fitted(X: Array, like: Array, before: Array, names: Sequence[str], *, seed: int, most: float, trees: int,
            signs: Sequence[int] | None = None, weight: Array | None = None) -> Stage:
    """A look that learned how the likeness (n,) differs from what was expected ``before``."""
    weight = np.ones(len(like)) if weight is None else weight
    power, base = best_power(like, before, weight)
    return Stage(1.0, 0.0, most, base, power, forest=fit_forest(X, like, names, seed=seed, trees=trees, signs=signs,
                                                                base=base * before**power, weight=weight))


def best_power(like: Array, before: Array, weight: Array) -> tuple[float, float]:
    """The power of what was expected ``before`` (n,) that is most likely to have made the likeness, and its factor.

    ``weight`` (n,): how many events each stands for.
    """
    tried = []
    for power in _POWERS:
        root = before**power
        factor = float((weight @ like) / (weight @ root))
        p = np.clip(factor * root, 1e-12, 0.5)
        tried.append((float(weight @ (like * np.log(p) + (1.0 - like) * np.log1p(-p))), power, factor))
    return max(tried)[1:]
