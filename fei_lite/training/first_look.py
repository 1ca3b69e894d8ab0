"""The training of the first look: small forests that say which combinations can be part of a right tag.

All events are reconstructed once with a finished model set. A combination is right if it is in the tree of a
right tag candidate, which tells more than that it is true: a D0 that nothing was made of needs no vertex fit. Then
follows, on events that fitted nothing, how much each bound would lose: a right best tag is lost if any combination of
its tree, or its channel's classifier at last, says less than the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet
from fei_lite.classifiers.fitting import FEI_DEFAULT, FittedChannel, fit_channel
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.classifiers.tagger import Tagger, load_tagger
from fei_lite.events import EventBatch
from fei_lite.events.ranges import EntryRange
from fei_lite.parallel import Context, Workers, map_in_context, threads_of
from fei_lite.reconstruction.competing import compare
from fei_lite.reconstruction.engine import Hooks, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.first_look import FEATURES
from fei_lite.training.mixture import Factors, read_weighted
from fei_lite.training.sampling import ChannelSample, Floats

#: Settings of the forests: they have to be cheap.
FIRST_LOOK: Mapping[str, Any] = {**FEI_DEFAULT, "n_trees": 80, "learning_rate": 0.2, "early_stopping_rounds": 30,
                                 "min_data_in_leaf": 100}
#: Combinations of a class that a stage's forest is fitted on at most.
ENTRIES = 300_000
#: Fractions of the right best tags that the levels lose, from the slowest to the fastest.
LOSSES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
#: Part of the losses that combinations which are not even made may have.
_UNMADE = 0.5
#: Logarithms of combinations that a unit of promise may cost, and points of a channel's curve.
_PRICES = (-5.0, 40.0)
_POINTS = 500
#: Every other event fits no forest: the levels are measured on as many right tags as the forests learn from.
_EVERY = 2
_LOG_PRODUCT = FEATURES.index("logProduct")


class _Rows(NamedTuple):
    """Combinations of a stage: features, whether in the tree of a right tag candidate, weight, held out."""

    X: Floats
    right: NDArray[np.bool_]
    weight: Floats
    held: NDArray[np.bool_]


class _Tree(NamedTuple):
    """The tree of a right best tag: features of its combinations by stage, its channel's probability, the weight."""

    looks: dict[int, Floats]
    probability: float
    weight: float


class _Looked(NamedTuple):
    """Combinations of a channel: logarithm of the daughters' product (rising), weight, forest's answer."""

    log_product: Floats
    weight: Floats
    probability: Floats


@dataclass(frozen=True)
class Level:
    """A bound: ``lost`` of the right best tags, as far as the held-out events tell; see FirstLook for the others."""

    lost: float
    least: float
    min_product: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """As plain data, for the manifest."""
        return {"lost": self.lost, "least": self.least,
                "min_product": {name: float(f"{bound:.4g}") for name, bound in sorted(self.min_product.items())}}


def fit_first_look(
    ranges: Sequence[EntryRange], models: str, *, channel_set: str, seed: int, factors: Factors, min_entries: int,
    workers: Workers = 1, report: Callable[[int, int], None] | None = None,
) -> tuple[dict[int, FittedChannel], list[Level]]:
    """Forests by stage, and the levels, of a finished model set. ``report(done, total)`` counts events."""
    context = Context(partial(load_tagger, models, channel_set))
    samples: dict[int, ChannelSample] = {}
    trees: list[_Tree] = []
    done, total = 0, sum(r.stop - r.start for r in ranges)
    work = partial(_looked_at, factors=factors, seed=seed, share=max(500, 4 * ENTRIES // max(1, len(ranges))))
    for entries, (parts, of_best) in zip(ranges, map_in_context(work, ranges, context, workers=workers), strict=True):
        for stage, rows in parts.items():
            samples.setdefault(stage, ChannelSample(len(FEATURES), cap=ENTRIES, seed=seed + stage)).add(*rows)
        trees += of_best
        done += entries.stop - entries.start
        if report is not None:
            report(done, total)
    fitted = {}
    for stage, sample in sorted(samples.items()):
        training, validation = sample.arrays()
        fitted[stage] = fit_channel(*training, names=FEATURES, seed=seed, validation=validation,
                                    parameters=FIRST_LOOK, min_entries=min_entries, num_threads=threads_of(workers))
    return fitted, _Levels(fitted, samples, trees, context.value[0]).all()


class _Levels:
    """Bounds by what they lose of the right best tags of events that fitted nothing."""

    def __init__(self, fitted: Mapping[int, FittedChannel], samples: Mapping[int, ChannelSample],
                 trees: Sequence[_Tree], channel_set: ChannelSet) -> None:
        self.set, self.numbers = channel_set, list(channel_set.particles)
        self.weight = np.array([tree.weight for tree in trees])
        self.least = np.array([tree.probability for tree in trees])
        self.looked: dict[int, dict[tuple[int, int], _Looked]] = {}
        self.inside: dict[int, tuple[NDArray[np.intp], Floats]] = {}  # looks of the trees: whose, features
        for stage, forest in fitted.items():
            if not forest.trained:
                continue
            model = forest.model()
            X, _, weight = (np.concatenate(column) for column in zip(*samples[stage].arrays(), strict=True))
            self.looked[stage] = _by_channel(X, weight, model.probability(X))
            looks = [tree.looks.get(stage, np.empty((0, len(FEATURES)))) for tree in trees]
            whose = np.repeat(np.arange(len(trees)), [len(look) for look in looks])
            self.inside[stage] = whose, np.concatenate([np.empty((0, len(FEATURES))), *looks])
            np.minimum.at(self.least, whose, model.probability(self.inside[stage][1]))

    def all(self) -> list[Level]:
        """One level for each of :data:`LOSSES`."""
        order = np.argsort(self.least)
        below = np.cumsum(self.weight[order])
        levels: list[Level] = []
        low = 0  # a faster level has no smaller bound
        for lost in LOSSES if len(order) and self.looked else ():
            high = max(low, int(np.searchsorted(below, lost * below[-1], side="right")))
            while low < high:  # the largest bound that loses no more than this, with what is not made
                middle = (low + high + 1) // 2
                low, high = ((middle, high) if self.lost(*self.bounds(self._bound(order, middle), lost)) <= lost
                             else (low, middle - 1))
            levels.append(Level(lost, *self.bounds(self._bound(order, low), lost)))
        return levels

    def _bound(self, order: NDArray[np.intp], i: int) -> float:
        return float(f"{self.least[order[min(i, len(order) - 1)]] * (1.0 - 1e-6):.6g}")

    def lost(self, bound: float, min_product: Mapping[str, float]) -> float:
        """The fraction of the right best tags that are lost."""
        dead = self.least <= bound
        for stage, (whose, X) in self.inside.items():
            least = {(self.numbers.index(channel.particle), channel.index): min_product.get(channel.identifier, -1.0)
                     for name in self.set.stages[stage] for channel in self.set.particles[name].channels}
            needed = np.array([least[int(row[0]), int(row[1])] for row in X])
            dead[whose[np.exp(X[:, _LOG_PRODUCT]) <= needed]] = True
        return float(self.weight[dead].sum() / self.weight.sum())

    def bounds(self, bound: float, lost: float) -> tuple[float, dict[str, float]]:
        """The bound, and by channel what the product of the daughters' probabilities has to exceed.

        What is not made may have :data:`_UNMADE` of ``lost``, divided evenly by the stages, of what the forests
        promise of the combinations that they would keep. In a stage it is taken where it saves most: of every channel
        combinations are left out up to the same promise for each that is saved.
        """
        found: dict[str, float] = {}
        for stage, channels in self.looked.items():
            named = {(self.numbers.index(channel.particle), channel.index): channel.identifier
                     for name in self.set.stages[stage] for channel in self.set.particles[name].channels
                     if channel.leaf is None and channel.features}
            curves = {named[key]: _Curve.of(looked, bound) for key, looked in channels.items() if key in named}
            budget = _UNMADE * lost / len(self.looked) * sum(curve.promise[-1] for curve in curves.values())
            low, high = _PRICES
            while high - low > 0.01:  # the lowest price of promise that stays in the budget
                price = 0.5 * (low + high)
                spent = sum(curve.promise[curve.cut(price)] for curve in curves.values())
                low, high = (price, high) if spent > budget else (low, price)
            found |= {name: curve.product(curve.cut(high)) for name, curve in curves.items()}
        return bound, found


class _Curve(NamedTuple):
    """Of a channel, with its combinations left out in the rising order of the daughters' product, up to some: how many
    are saved, and which promise is lost with them. From none to all of them."""

    saved: Floats
    promise: Floats
    log_product: Floats

    @classmethod
    def of(cls, looked: _Looked, bound: float) -> _Curve:
        """At so many points as count."""
        promise = np.where(looked.probability > bound, looked.probability * looked.weight, 0.0)
        points = np.unique(np.linspace(0, len(promise), _POINTS + 1).astype(np.intp))
        saved, lost = (np.concatenate([[0.0], np.cumsum(values)])[points] for values in (looked.weight, promise))
        return cls(saved, lost, np.append(looked.log_product, np.inf)[points])

    def cut(self, price: float) -> int:
        """The point where most is gained, if a unit of promise costs exp(``price``) combinations."""
        return int(np.argmax(self.saved - np.exp(price) * self.promise))

    def product(self, point: int) -> float:
        """What the daughters' product has to exceed there."""
        first = float(self.log_product[point])
        return float(np.exp(first) * (1.0 - 1e-6)) if np.isfinite(first) else 1.0


def _by_channel(X: Floats, weight: Floats, probability: Floats) -> dict[tuple[int, int], _Looked]:
    """Combinations of a stage by (number of the particle, channel), in the order of the daughters' product."""
    order = np.lexsort((X[:, _LOG_PRODUCT], X[:, 1], X[:, 0]))
    key = X[order, :2].astype(np.int64)
    first = np.flatnonzero(np.concatenate([[True], np.any(np.diff(key, axis=0) != 0, axis=1)]))
    return {(int(key[rows[0], 0]), int(key[rows[0], 1])):
            _Looked(X[order[rows], _LOG_PRODUCT], weight[order[rows]], probability[order[rows]])
            for rows in np.split(np.arange(len(order)), first[1:]) if len(rows)}


def _looked_at(entries: EntryRange, sets: Tagger, *, factors: Factors, seed: int,
               share: int) -> tuple[dict[int, _Rows], list[_Tree]]:
    """The combinations of a range of events by stage, thinned to ``share`` false ones, and the held-out best tags."""
    parts: dict[int, list[_Rows]] = {}
    trees: list[_Tree] = []
    for batch in read_weighted(entries, factors):
        held = (np.arange(batch.n_events) + entries.first_entry) % _EVERY == 0
        rng = np.random.default_rng([seed, entries.first_entry])
        seen = _looks(batch, sets)
        for stage, event, X, right in seen.combinations():
            rows = np.flatnonzero(right | (rng.uniform(size=len(X)) < share / max(share, seen.size[stage])))
            weight = batch.events["weight"][event[rows]].astype(np.float64)
            weight[~right[rows]] *= max(share, seen.size[stage]) / share
            good = weight > 0.0
            with np.errstate(over="ignore", under="ignore"):
                parts.setdefault(stage, []).append(_Rows(X[rows][good].astype(np.float32), right[rows][good],
                                                         weight[good], held[event[rows]][good]))
        trees += [tree for event, tree in seen.best_trees() if held[event] and tree.weight > 0.0]
    return {stage: _Rows(*(np.concatenate(column) for column in zip(*rows, strict=True)))
            for stage, rows in parts.items()}, trees


class _Seen:
    """What the first look saw in a batch, and which of it is in the tree of a right tag candidate."""

    def __init__(self, batch: EventBatch, channel_set: ChannelSet) -> None:
        self.batch, self.set = batch, channel_set
        self.looks: dict[str, tuple[Channel, NDArray[np.int64], Floats]] = {}
        self.size: dict[int, int] = {}
        self.result: Reconstruction | None = None

    def look(self, channel: Channel, table: CandidateTable, X: Floats) -> None:
        """Remember the combinations of a channel."""
        self.looks[channel.identifier] = channel, table.event_index, X
        stage = self.set.particles[channel.particle].stage
        self.size[stage] = self.size.get(stage, 0) + len(X)

    def _marked(self, start: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """For all candidates of the result a number handed down from mothers to daughters (-1 without)."""
        assert self.result is not None
        mark = {name: start.get(name, np.full(len(table), -1)) for name, table in self.result.tables.items()}
        for name in (name for stage in reversed(self.set.stages) for name in stage):
            table = self.result.tables[name]
            for channel in self.set.particles[name].channels:
                here = np.flatnonzero((table["decayModeID"] == channel.index) & (mark[name] >= 0))
                for j, daughter in enumerate(channel.daughters if channel.leaf is None and len(here) else ()):
                    np.maximum.at(mark[str(self.set.resolve(daughter))], table["daughters"][here, j], mark[name][here])
        return mark

    def combinations(self) -> list[tuple[int, NDArray[np.int64], Floats, NDArray[np.bool_]]]:
        """Of every channel: stage, event, features, and whether in the tree of a right tag candidate."""
        assert self.result is not None
        tables = self.result.tables
        mark = self._marked({name: np.where(tables[name]["isSignal"] == 1, 0, -1) for name in self.set.tags})
        found = []
        for channel, event, X in self.looks.values():
            table = tables[channel.particle]
            right = np.zeros(len(X), dtype=bool)
            here = (table["decayModeID"] == channel.index) & (mark[channel.particle] >= 0)
            right[table["look_row"][here]] = True
            found.append((self.set.particles[channel.particle].stage, event, X, right))
        return found

    def best_trees(self) -> list[tuple[int, _Tree]]:
        """Event and tree of every right best tag."""
        assert self.result is not None
        tables = self.result.tables
        event, probability, right, rows, which = (np.concatenate(column) for column in zip(*(
            (table.event_index, table["SignalProbability"], table["isSignal"] == 1, np.arange(len(table)),
             np.full(len(table), i)) for i, table in enumerate(tables[name] for name in self.set.tags)), strict=True))
        right = np.flatnonzero(right & (compare(event, probability).rank == 1))
        start = {name: np.full(len(tables[name]), -1) for name in self.set.tags}
        for i in right:
            start[self.set.tags[which[i]]][rows[i]] = i
        mark = self._marked(start)
        looks: dict[int, dict[int, list[Floats]]] = {int(i): {} for i in right}
        for channel, _, X in self.looks.values():
            table, of = tables[channel.particle], mark[channel.particle]
            stage = self.set.particles[channel.particle].stage
            for row in np.flatnonzero((table["decayModeID"] == channel.index) & (of >= 0)):
                looks[int(of[row])].setdefault(stage, []).append(X[table["look_row"][row]])
        weight, own = self.batch.events["weight"], [tables[name][self._probability(name)] for name in self.set.tags]
        return [(int(event[i]), _Tree({stage: np.stack(X) for stage, X in looks[int(i)].items()},
                                      float(own[which[i]][rows[i]]), float(weight[event[i]]))) for i in right]

    def _probability(self, name: str) -> str:
        assert self.result is not None
        return "channelProbability" if "channelProbability" in self.result.tables[name].columns else "SignalProbability"


def _looks(batch: EventBatch, sets: tuple[ChannelSet, ModelSet]) -> _Seen:
    seen = _Seen(batch, sets[0])
    seen.result = reconstruct(batch, *sets, options=ReconstructionOptions(with_truth=True, speed=0),
                              hooks=Hooks(looker=seen.look))
    return seen
