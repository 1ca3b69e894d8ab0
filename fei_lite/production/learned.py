"""Learned selections: a forest says how much a generated event promises, before the detector.

An event (or a combination of two B decays) of promise h is wanted ``scale sqrt(h + floor)`` times: for a given time
the sum of squared weights is then as small as the promise allows. Its weight is the inverse of that number, whatever
the promise: a bad forest costs time, it biases nothing. Nothing is never wanted, because of the floor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.errors import SimulationError
from fei_lite.outputs import atomic_output
from fei_lite.production.generated_features import EVENT, PAIR

Array = NDArray[np.float64]

#: What is selected: combinations of two B decays, or events of continuum, and the features of each.
FEATURES = {"pairs": PAIR, "events": EVENT}
#: A forest's settings (ours): small, since it sees every combination, and slow enough for some hundred candidates.
_FOREST = {"objective": "binary", "num_leaves": 16, "learning_rate": 0.08, "min_data_in_leaf": 40, "lambda_l2": 5.0,
           "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "max_bin": 127, "verbosity": -1,
           "num_threads": 1, "deterministic": True, "force_row_wise": True}
_TREES, _LEAST = 100, 25   # trees of a forest; positives without which there is none
_RATIO = 30.0              # of the importances of two analyses, at most
_FLOOR = 0.1               # of the mean promise that every event has at least, with 100 positives; less with more
_NEARLY = 0.2              # above the least product of time and variance, at the scale that is taken
_START = {"pairs": 0.02, "events": 0.08}  # scale before anything was learned: some per cent are kept


@dataclass(frozen=True)
class LearnedSelection:
    """A selection of ``pairs`` or ``events``; number 0 has learned nothing yet and follows simple rules.

    ``forests`` are LightGBM's texts: log-odds for a candidate, and for one to pass the cuts. ``most`` is how often an
    event is taken at most. ``learned_from`` says what it was trained on.
    """

    of: str
    number: int
    scale: float
    floor: float
    most: int
    forests: tuple[str, ...] = field(default=(), repr=False)
    learned_from: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def models(self) -> tuple[TreeModel, ...]:
        """The forests, ready to be evaluated."""
        return tuple(parse_trees(text, source=f"selection of {self.of} {self.number}") for text in self.forests)

    @property
    def name(self) -> str:
        """Kind and number."""
        return f"{self.of}_{self.number}"

    @cached_property
    def digest(self) -> str:
        """Hash of what decides: 16 hexadecimal digits."""
        content = [self.of, self.number, self.scale, self.floor, self.most, self.forests, FEATURES[self.of]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def wanted(self, X: Array) -> Array:
        """How often each event is wanted, (n,), above 0 and at most ``most``; its weight is the inverse."""
        return np.minimum(self.scale * np.sqrt(promise(self, X) + self.floor), float(self.most))

    def save(self, folder: Path) -> Path:
        """Write it to FOLDER/NAME.json."""
        path = folder / f"{self.name}.json"
        content = {"of": self.of, "number": self.number, "scale": self.scale, "floor": self.floor, "most": self.most,
                   "forests": self.forests, "learned_from": self.learned_from, "features": FEATURES[self.of],
                   "digest": self.digest}
        with atomic_output(path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
        return path


def load_selection(path: Path) -> LearnedSelection:
    """A selection as it was saved. Raises :class:`SimulationError` if this version would decide otherwise."""
    said = json.loads(path.read_text(encoding="utf-8"))
    found = LearnedSelection(said["of"], said["number"], said["scale"], said["floor"], said["most"],
                             tuple(said["forests"]), said["learned_from"])
    if found.digest != said["digest"]:
        raise SimulationError(f"{path}: a learned selection of another version (features or content differ). Start a "
                              "new folder.")
    return found


def first_selection(of: str, most: int) -> LearnedSelection:
    """The selection before anything was learned."""
    return LearnedSelection(of, 0, _START[of], 0.1, most)


def promise(selection: LearnedSelection, X: Array) -> Array:
    """Expected importance of each event (n,): a probability where all that are selected count alike."""
    if not selection.forests:
        return _simple(selection.of, X)
    found = np.ones(len(X))
    for model in selection.models:
        found *= model.probability(X)
    return found


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
    """What became of events that were reconstructed, (n, ...): features, weights, candidates and selected ones.

    ``candidate`` and ``selected`` are (n, n_analyses). ``offered`` (m, n_features) are events as they were generated.
    """

    X: Array
    weight: Array
    candidate: NDArray[np.bool_]
    selected: NDArray[np.bool_]
    offered: Array

    @staticmethod
    def joined(parts: Sequence[Experience]) -> Experience:
        """All of several."""
        return Experience(*(np.concatenate([getattr(part, name) for part in parts])
                            for name in Experience.__dataclass_fields__))


def learn(experience: Experience, *, before: LearnedSelection, offering: float, taking: float) -> LearnedSelection:
    """The next selection, from all that was reconstructed so far.

    ``offering`` and ``taking`` are seconds per event offered and per event taken: the scale is the one that makes the
    product of time and expected variance least, if the forests are right.
    """
    X, number = experience.X, before.number + 1
    names = FEATURES[before.of]
    some = _importance(experience.weight, experience.candidate)
    forests = [_forest(X, some > 0.0, np.where(some > 0.0, some, 1.0), names, seed=number)]
    inside = some > 0.0
    passed = _importance(experience.weight, experience.selected)[inside]
    if np.count_nonzero(passed > 0.0) >= _LEAST and np.count_nonzero(passed == 0.0) >= _LEAST:
        forests.append(_forest(X[inside], passed > 0.0, np.where(passed > 0.0, passed, some[inside]), names,
                               seed=100 + number))
    n = int(np.count_nonzero(passed > 0.0)) if len(forests) > 1 else int(np.count_nonzero(inside))
    draft = LearnedSelection(before.of, number, 1.0, 0.0, before.most, tuple(forests))
    expected = promise(draft, experience.offered)
    floor = float(expected.mean()) * _FLOOR / np.sqrt(max(n, 1) / 100.0)
    scale = best_scale(expected + floor, most=before.most, offering=offering, taking=taking)
    said = {"events": len(X), "candidates": int(np.count_nonzero(inside)), "selected": experience.selected.sum(
        axis=0).tolist(), "offering_s": offering, "taking_s": taking}
    return LearnedSelection(before.of, number, scale, floor, before.most, tuple(forests), said)


def best_scale(promised: Array, *, most: int, offering: float, taking: float) -> float:
    """The least scale at which time times variance is nearly least, over events (n,) as they are generated.

    The more is taken of what was generated, the less time generating costs per event, and the less is gained by it:
    the product falls to a flat valley, of which the beginning is wanted. Several copies of one event have its own
    chance in common, which does not shrink with their number.
    """
    root = np.sqrt(promised)
    scales = np.geomspace(1e-4, 1e2, 121) / root.mean()
    found = []
    for scale in scales:
        wanted = np.minimum(scale * root, float(most))
        variance = np.mean(promised / wanted + promised**2 * np.clip(1.0 - 1.0 / wanted, 0.0, None))
        found.append(float(variance * (offering + taking * wanted.mean())))
    return float(scales[np.argmax(np.array(found) <= (1.0 + _NEARLY) * min(found))])


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
