"""Learned selections: forests say how much a generated event promises, before the detector and again after it.

An event (or a combination of two B decays) of promise h is wanted ``scale sqrt(h + floor)`` times: for a given time
the sum of squared weights is then as small as the promise allows. Its weight is the inverse of that number, whatever
the promise: a bad forest costs time, it biases nothing. Nothing is never wanted, because of the floor.

What passes is too rare to be learned from it alone. So a forest learns what changes a promise that is there before:
that of each B by itself (:mod:`fei_lite.production.sides`), and whether what was recorded can be parted into a tag and
a few tracks. It learns from how much like a signal a candidate is, not only from what passes.

The detector is cheap, the tag is not. So more goes to the detector than to the tag, and a second look at what was
recorded (:mod:`fei_lite.production.recorded_features`) chooses among it. The first look learns from what the second
one promises, of every event that was recorded, so that it need not wait for candidates.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.data_files import json_content, read_text
from fei_lite.errors import SimulationError
from fei_lite.events import EventBatch
from fei_lite.outputs import atomic_output
from fei_lite.production.forests import expected
from fei_lite.production.generated_features import EVENT, PAIR, PROMISES, SHAPE
from fei_lite.production.recorded_features import CLOSURES, RECORDED, TELLING, recorded_features, seen_of
from fei_lite.production.recorded_sides import OF_SIDES, features_of_sides
from fei_lite.production.sides import SideModels, side_models

Array = NDArray[np.float64]

#: What is selected: combinations of two B decays, or events of continuum, and the features: generated, and recorded.
FEATURES = {"pairs": PAIR, "events": EVENT}
RECORDS = {"pairs": (*RECORDED, *OF_SIDES), "events": RECORDED}
#: What the second look learns from, and whether the promise rises or falls with it.
TOLD = {"pairs": (*PROMISES, "tag_nCoveredB", "tag_nCompleteB", "tag_nKL", "tag_nNeutrinos", "other_nKL",
                  "other_nNeutrinos", *TELLING, *OF_SIDES),
        "events": (*SHAPE, "charge", "nCoveredD", "nKL", "nNeutrinos", "lostEnergy", *TELLING)}
#: Of the mean promise, what every event has at least in the first and in the second look.
FLOOR = 0.1, 0.06
#: Chance that what was recorded goes to the tag, at least. What the first look wants often is promising, and the second
#: one may be wrong: without this one right tag of sixty that it took for a wrong one had half the weight of all.
LEAST_CHANCE = 0.05
_START = {"pairs": 4.0, "events": 0.3}   # events that are wanted per generated one before anything was learned
_LEFT = 0.7        # GeV: the scale of the energy left over that a candidate has, before anything was learned (assumed)
_HARDLY, _CHARGED = 0.02, 0.2   # promise of what is recorded with much more, and where charges do not add up; likewise


@dataclass(frozen=True)
class Stage:
    """One look: ``forest`` (LightGBM's text; "": none) learned what changes ``base`` times a ``power`` of the promise
    before it. In the second look ``least`` is the chance that everything has.
    """

    scale: float
    floor: float
    most: float
    base: float = 1.0
    power: float = 1.0
    least: float = 0.0
    forest: str = field(default="", repr=False)

    @cached_property
    def model(self) -> TreeModel | None:
        """The forest, ready to be evaluated."""
        return parse_trees(self.forest, source="learned selection") if self.forest else None

    def promise(self, X: Array, before: Array) -> Array:
        """Expected likeness to a signal of each event (n,), from features and the promise before (n,)."""
        known = self.base * before**self.power
        return known if self.model is None else expected(self.model, X, known)

    def wanted(self, promised: Array) -> Array:
        """How often events (n,) are wanted: above 0, and at most ``most``."""
        return np.minimum(self.scale * np.sqrt(promised + self.floor), self.most)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        said = {"scale": self.scale, "floor": self.floor, "most": self.most, "base": self.base, "forest": self.forest}
        return said | {name: value for name, value, usual in (("power", self.power, 1.0), ("least", self.least, 0.0))
                       if value != usual}


@dataclass(frozen=True)
class LearnedSelection:
    """A selection of ``pairs`` or ``events``; number 0 knows no event yet that was tagged.

    ``first`` chooses what goes to the detector, ``second`` (None: all) what goes from there to the tag; ``sides`` (of
    pairs) is what both B's promise by themselves.
    ``learned_from`` says what it was trained on.
    """

    of: str
    number: int
    first: Stage
    second: Stage | None = None
    sides: SideModels | None = None
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
                   None if self.sides is None else self.sides.to_json(), FEATURES[self.of],
                   RECORDS[self.of]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def wanted(self, X: Array) -> Array:
        """How often each event is wanted in the detector, (n,); its weight is the inverse."""
        return self.first.wanted(self.first.promise(X, simple_promise(self.of, X)))

    def chance(self, X: Array, recorded: Array, wanted: Array) -> Array:
        """Probability (n,), above 0, that what was recorded goes to the tag.

        ``X`` and ``recorded`` are its features; ``wanted`` (n,) is how often it was in the first place.
        """
        if self.second is None:
            return np.ones(len(X))
        promised = self.second.promise(telling(self.of, np.concatenate([X, recorded], axis=1)),
                                       simple_promise(self.of, X) * closing(recorded))
        return np.clip(self.second.wanted(promised) / wanted, self.second.least, 1.0)

    def save(self, folder: Path) -> Path:
        """Write it to FOLDER/NAME.json."""
        path = folder / f"{self.name}.json"
        content = {"of": self.of, "number": self.number, "first": self.first.to_json(),
                   "second": None if self.second is None else self.second.to_json(), "digest": self.digest,
                   "sides": None if self.sides is None else self.sides.to_json(),
                   "learned_from": self.learned_from, "features": [*FEATURES[self.of], *RECORDS[self.of]]}
        with atomic_output(path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
        return path


def load_selection(path: Path) -> LearnedSelection:
    """A selection as it was saved. Raises :class:`SimulationError` if this version would decide otherwise."""
    said = json_content(read_text(path, error=SimulationError), where=str(path), error=SimulationError)
    try:
        second = None if said["second"] is None else Stage(**said["second"])
        sides = None if said["sides"] is None else side_models(said["sides"])
        found = LearnedSelection(said["of"], said["number"], Stage(**said["first"]), second, sides,
                                 dict(said["learned_from"]))
        same = found.digest == said["digest"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SimulationError(f"{path}: no learned selection ({type(error).__name__}: {str(error)[:80]}). Start a new "
                              "folder.") from None
    if not same:
        raise SimulationError(f"{path}: a learned selection of another version (features or content differ). Start a "
                              "new folder.")
    return found


def first_selection(of: str, most: int, sides: SideModels | None = None) -> LearnedSelection:
    """The selection before any event was tagged."""
    first = Stage(_START[of], 0.01, float(most)) if sides is None else Stage(
        _START[of] / sides.mean_root, FLOOR[0] * sides.mean_promise, float(most))
    return LearnedSelection(of, 0, first, replace(first, floor=_HARDLY * first.floor), sides)


def features_of_recorded(of: str, batch: EventBatch, tag: NDArray[np.integer]) -> Array:
    """Features (n_events, len(RECORDS[of])) of what was recorded; ``tag`` (n_events,): which B is rather the tag."""
    seen = seen_of(batch)
    found = recorded_features(batch, seen)
    return found if of == "events" else np.concatenate([found, features_of_sides(batch, seen, tag)], axis=1)


def closing(recorded: Array) -> Array:
    """Factors (n,), 0 to 1, of what was recorded: small where much energy is left over by all ways to part an event."""
    left = recorded[:, [RECORDED.index(name) for name in CLOSURES if "Left" in name]].min(axis=1)
    found = np.minimum(_HARDLY + np.exp(-left / _LEFT), 1.0)
    return np.asarray(np.where(recorded[:, RECORDED.index("rImbalance")] > 0.0, _CHARGED * found, found))


def simple_promise(of: str, X: Array) -> Array:
    """Promises (n,) before any event was tagged: of pairs the sides'; of events whether something is missing."""
    column = {name: X[:, i] for i, name in enumerate(FEATURES[of])}
    if of == "pairs":
        return np.asarray(np.exp(column["promise"]))
    found = np.where(column["missingEnergy"] > 1.5, 4.0, 0.4) * np.where(np.abs(column["charge"]) < 1.5, 1.0, 0.3)
    return np.asarray(found * np.where(column["nCoveredD"] > 0.0, 2.0, 1.0))


def telling(of: str, X: Array) -> Array:
    """Of the features of both looks those that the second one learns from."""
    every = (*FEATURES[of], *RECORDS[of])
    return np.ascontiguousarray(X[:, [every.index(name) for name in TOLD[of]]])
