"""Learned selections: forests say how much a generated event promises, before the detector and again after it.

An event (or a combination of two B decays) of promise h is wanted ``scale sqrt(h + floor)`` times: for a given time
the sum of squared weights is then as small as the promise allows. Its weight is the inverse of that number, whatever
the promise: a bad forest costs time, it biases nothing. Nothing is never wanted, because of the floor.

The detector is cheap, the tag is not. So more goes to the detector than to the tag, and a second look at what was
recorded (:mod:`fei_lite.production.recorded_features`) chooses among it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.errors import SimulationError
from fei_lite.outputs import atomic_output
from fei_lite.production.generated_features import EVENT, PAIR
from fei_lite.production.recorded_features import RECORDED

Array = NDArray[np.float64]

#: What is selected: combinations of two B decays, or events of continuum, and the features of each.
FEATURES = {"pairs": PAIR, "events": EVENT}
#: In place of a distance where there is no candidate.
NO_CANDIDATE = 255
#: A forest's settings (ours): small, since it sees every combination, and slow enough for some hundred candidates.
_FOREST = {"objective": "binary", "num_leaves": 16, "learning_rate": 0.08, "min_data_in_leaf": 40, "lambda_l2": 5.0,
           "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "max_bin": 127, "verbosity": -1,
           "num_threads": 1, "deterministic": True, "force_row_wise": True}
_TREES, _LEAST = 100, 25   # trees of a forest; positives without which there is none
_STEP = 0.6                # of the events of a step that the next one has, at most
_RATIO = 30.0              # of the importances of two analyses, at most
_FLOOR = 0.1               # of the mean promise that every event has at least, with 100 positives; less with more
_NEARLY = 0.2              # above the least product of time and variance, at the scale that is taken
_START = {"pairs": 0.02, "events": 0.08}  # scale before anything was learned: some per cent are kept


@dataclass(frozen=True)
class Stage:
    """One look: ``forests`` are LightGBM's texts, of the chance of a candidate, and of one to be selected."""

    scale: float
    floor: float
    most: float
    forests: tuple[str, ...] = field(default=(), repr=False)

    @cached_property
    def models(self) -> tuple[TreeModel, ...]:
        """The forests, ready to be evaluated."""
        return tuple(parse_trees(text, source="learned selection") for text in self.forests)

    def promise(self, X: Array) -> Array:
        """Expected importance of each event (n,): a probability where all that are selected count alike."""
        found = np.ones(len(X))
        for model in self.models:
            found *= model.probability(X)
        return found

    def wanted(self, promised: Array) -> Array:
        """How often events (n,) are wanted: above 0, and at most ``most``."""
        return np.minimum(self.scale * np.sqrt(promised + self.floor), self.most)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {"scale": self.scale, "floor": self.floor, "most": self.most, "forests": list(self.forests)}


@dataclass(frozen=True)
class LearnedSelection:
    """A selection of ``pairs`` or ``events``; number 0 has learned nothing yet and follows simple rules.

    ``first`` chooses what goes to the detector, ``second`` (None: all) what goes from there to the tag.
    ``learned_from`` says what it was trained on.
    """

    of: str
    number: int
    first: Stage
    second: Stage | None = None
    learned_from: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Kind and number."""
        return f"{self.of}_{self.number}"

    @property
    def most(self) -> int:
        """Copies of an event at most."""
        return int(self.first.most)

    @cached_property
    def digest(self) -> str:
        """Hash of what decides: 16 hexadecimal digits."""
        content = [self.of, self.number, self.first.to_json(), None if self.second is None else self.second.to_json(),
                   FEATURES[self.of], RECORDED]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def wanted(self, X: Array) -> Array:
        """How often each event is wanted in the detector, (n,); its weight is the inverse."""
        return self.first.wanted(self.first.promise(X) if self.first.forests else _simple(self.of, X))

    def chance(self, X: Array, recorded: Array, wanted: Array) -> Array:
        """Probability (n,), above 0, that what was recorded goes to the tag.

        ``X`` and ``recorded`` are its features; ``wanted`` (n,) is how often it was in the first place.
        """
        if self.second is None:
            return np.ones(len(X))
        promised = self.second.promise(np.concatenate([X, recorded], axis=1))
        return np.minimum(self.second.wanted(promised) / wanted, 1.0)

    def save(self, folder: Path) -> Path:
        """Write it to FOLDER/NAME.json."""
        path = folder / f"{self.name}.json"
        content = {"of": self.of, "number": self.number, "first": self.first.to_json(),
                   "second": None if self.second is None else self.second.to_json(), "digest": self.digest,
                   "learned_from": self.learned_from, "features": [*FEATURES[self.of], *RECORDED]}
        with atomic_output(path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
        return path


def load_selection(path: Path) -> LearnedSelection:
    """A selection as it was saved. Raises :class:`SimulationError` if this version would decide otherwise."""
    said = json.loads(path.read_text(encoding="utf-8"))
    first, second = (None if part is None else Stage(part["scale"], part["floor"], part["most"], tuple(part["forests"]))
                     for part in (said["first"], said["second"]))
    assert first is not None
    found = LearnedSelection(said["of"], said["number"], first, second, said["learned_from"])
    if found.digest != said["digest"]:
        raise SimulationError(f"{path}: a learned selection of another version (features or content differ). Start a "
                              "new folder.")
    return found


def first_selection(of: str, most: int) -> LearnedSelection:
    """The selection before anything was learned."""
    return LearnedSelection(of, 0, Stage(_START[of], 0.1, float(most)))


def _simple(of: str, X: Array) -> Array:
    """Rules of thumb: something is missing, charge is nearly balanced, a B or D decays as the tag wants it."""
    column = {name: X[:, i] for i, name in enumerate(FEATURES[of])}
    found = np.where(column["missingEnergy"] > 1.5, 4.0, 0.4) * np.where(np.abs(column["charge"]) < 1.5, 1.0, 0.3)
    if of == "events":
        return np.asarray(found * np.where(column["nCoveredD"] > 0.0, 2.0, 1.0))
    return np.asarray(found * np.where(column["tag_nCoveredB"] > 0.0, 12.0, np.where(column["tag_nCompleteB"] > 0.0,
                                                                                     3.0, 1.0)))


@dataclass(frozen=True)
class Experience:
    """What became of events that were tagged, (n, ...): features of both looks, weights, candidates.

    ``wanted`` (n,) is how often the first look wanted the event, ``chance`` that of the second. ``distance``
    (n, n_analyses) is how far the best candidate of each analysis is from being selected (0: it is), or NO_CANDIDATE.
    ``offered`` (m, n_features) are some events as they were generated, ``seen`` some as they were recorded (both
    looks' features, and ``wanted`` as the last column).
    """

    X: Array
    wanted: Array
    chance: Array
    distance: NDArray[np.uint8]
    offered: Array
    seen: Array

    @staticmethod
    def joined(parts: Sequence[Experience]) -> Experience:
        """All of several."""
        return Experience(*(np.concatenate([getattr(part, name) for part in parts])
                            for name in Experience.__dataclass_fields__))


@dataclass(frozen=True)
class Costs:
    """Seconds of the processor per event: to be offered (generated), to be recorded, to be tagged."""

    offer: float
    record: float
    tag: float


def learn(experience: Experience, *, before: LearnedSelection, costs: Costs) -> LearnedSelection:
    """The next selection, from all that was tagged so far."""
    number, n = before.number + 1, len(FEATURES[before.of])
    weight = 1.0 / (experience.wanted * experience.chance)
    steps = ladder(experience.distance, weight)
    first, second = (_forests(X, steps, names, unseen=unseen, seed=number) for X, names, unseen in (
        (experience.X[:, :n], FEATURES[before.of], 1.0 / experience.chance),
        (experience.X, (*FEATURES[before.of], *RECORDED), np.ones(len(weight)))))
    positives = int(np.count_nonzero(steps[-1] > 0.0))
    least = _FLOOR / np.sqrt(max(positives, 1) / 100.0)
    seen = experience.seen.astype(np.float64)
    stages = []
    for texts, X, most in ((first, seen[:, :n], before.first.most), (second, seen[:, :-1], before.first.most)):
        draft = Stage(1.0, 0.0, most, texts)
        promised = draft.promise(X)
        stages.append((replace(draft, floor=least * float(np.average(promised, weights=1.0 / seen[:, -1]))), promised))
    (one, h1), (two, h2) = stages
    scales = best_scales(h1 + one.floor, h2 + two.floor, 1.0 / seen[:, -1], most=one.most, costs=costs)
    said = {"tagged": len(weight), "candidates": (experience.distance < NO_CANDIDATE).sum(axis=0).tolist(),
            "selected": (experience.distance == 0).sum(axis=0).tolist(),
            "costs_s": [costs.offer, costs.record, costs.tag]}
    return LearnedSelection(before.of, number, replace(one, scale=scales[0]), replace(two, scale=scales[1]), said)


def best_scales(first: Array, second: Array, weight: Array, *, most: float, costs: Costs) -> tuple[float, float]:
    """Scales of both looks at which time times variance is nearly least.

    ``first`` and ``second`` are the promises (n,) of recorded events in both looks, which with ``weight`` stand for
    all that is generated. The product falls to a flat valley where most of the time goes to the tag; what is taken is
    the edge of it where a generated event costs least, since many decays and events are better than copies of few.
    Copies of one event have its own chance in common, which does not shrink with their number.
    """
    weight = weight / weight.sum()
    roots = np.sqrt(first), np.sqrt(second)
    grid = [np.geomspace(1e-4, 1e1, 61) / (weight @ root) for root in roots]
    found = []
    for s1 in grid[0]:
        wanted = np.minimum(s1 * roots[0], most)
        family = float(weight @ (first**2 * np.clip(1.0 - 1.0 / wanted, 0.0, None)))
        fixed = costs.offer + costs.record * float(weight @ wanted)
        for s2 in grid[1]:
            tagged = np.minimum(s2 * roots[1], wanted)
            time = fixed + costs.tag * float(weight @ tagged)
            found.append((time * (float(weight @ (second / tagged)) + family), time, float(s1), float(s2)))
    least = min(row[0] for row in found)
    _, _, s1, s2 = min((row for row in found if row[0] <= (1.0 + _NEARLY) * least), key=lambda row: row[1])
    return s1, s2


def ladder(distance: NDArray[np.uint8], weight: Array) -> list[Array]:
    """Importances (n,) of events, above 0 for those with a candidate, then for ever nearer ones, selected ones last.

    ``distance`` is (n, n_analyses). Selected events are rare among those with a candidate, more so than anything can
    be learned from; but each step holds a fair part of the one before it. Steps with too few events are left out.
    """
    nearest = distance.min(axis=1)
    steps, limit = [_importance(weight, distance < NO_CANDIDATE)], NO_CANDIDATE
    n = int(np.count_nonzero(nearest < limit))
    for level in sorted({int(d) for d in np.unique(nearest) if d < NO_CANDIDATE}, reverse=True):
        inside = int(np.count_nonzero(nearest <= level))
        if inside < _LEAST or n - inside < _LEAST:
            continue
        if inside <= _STEP * n or level == 0:
            steps.append(_importance(weight, distance <= level))
            n = inside
    return steps


def _forests(X: Array, steps: Sequence[Array], names: Sequence[str], *, unseen: Array, seed: int) -> tuple[str, ...]:
    """Forests of the chance of a candidate, and of each step of the ladder given the one before.

    ``unseen`` (n,) makes up for what a later look left out.
    """
    before = np.ones(len(X))
    forests = []
    for k, step in enumerate(steps):
        inside, reached = before > 0.0, step > 0.0
        weight = unseen * np.where(reached, step, before)
        forests.append(_forest(X[inside], reached[inside], weight[inside], names, seed=100 * k + seed))
        before = step
    return tuple(forests)


def _importance(weight: Array, passed: NDArray[np.bool_]) -> Array:
    """Importance (n,) of events that ``passed`` (n, n_analyses): each analysis counts alike, mean 1 where not 0."""
    yields = (weight[:, None] * passed).sum(axis=0)
    if not np.any(yields > 0.0):
        return np.zeros(len(weight))
    factor = np.clip(yields[yields > 0.0].max() / np.maximum(yields, 1e-300), None, _RATIO)
    found = passed @ factor
    return np.asarray(found / found[found > 0.0].mean())


def _forest(X: Array, y: NDArray[np.bool_], weight: Array, names: Sequence[str], *, seed: int) -> str:
    """LightGBM's text of a forest that tells ``y`` from the rest; raises :class:`SimulationError` with too few."""
    import lightgbm

    if np.count_nonzero(y) < _LEAST:
        raise SimulationError(f"a learned selection needs {_LEAST} events with a candidate, got {np.count_nonzero(y)}.")
    data = lightgbm.Dataset(X, y.astype(np.float64), weight=weight, feature_name=list(names), free_raw_data=True)
    booster = lightgbm.train({**_FOREST, "seed": seed}, data, num_boost_round=_TREES)
    return str(booster.model_to_string())
