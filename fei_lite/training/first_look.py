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
from fei_lite.parallel import Context, map_in_context
from fei_lite.reconstruction.competing import compare
from fei_lite.reconstruction.engine import Hooks, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.first_look import FEATURES
from fei_lite.training.mixture import Factors, read_weighted
from fei_lite.training.sampling import ChannelSample, Floats, held_out

#: Settings of the forests: they have to be cheap.
FIRST_LOOK: Mapping[str, Any] = {**FEI_DEFAULT, "n_trees": 80, "learning_rate": 0.2, "early_stopping_rounds": 30,
                                 "min_data_in_leaf": 100}
#: Combinations of a class that a stage's forest is fitted on at most.
ENTRIES = 300_000
#: Fractions of the right best tags that the levels lose, from the slowest to the fastest.
LOSSES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
#: Part of the losses that combinations which are not even made may have.
_UNMADE = 0.5
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
    """Combinations of a stage: particle, channel, logarithm of the daughters' product, weight, forest's answer."""

    particle: Floats
    channel: Floats
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
    workers: int = 1, report: Callable[[int, int], None] | None = None,
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
                                    parameters=FIRST_LOOK, min_entries=min_entries, num_threads=workers)
    return fitted, _levels(fitted, samples, trees, context.value[0])


def _levels(fitted: Mapping[int, FittedChannel], samples: Mapping[int, ChannelSample], trees: Sequence[_Tree],
            channel_set: ChannelSet) -> list[Level]:
    """The bounds that lose :data:`LOSSES` of the right best tags."""
    models = {stage: forest.model() for stage, forest in fitted.items() if forest.trained}
    least = np.array([tree.probability for tree in trees])
    for stage, model in models.items():
        looks = [tree.looks.get(stage, np.empty((0, len(FEATURES)))) for tree in trees]
        of = np.repeat(np.arange(len(trees)), [len(look) for look in looks])
        np.minimum.at(least, of, model.probability(np.concatenate(looks)) if len(of) else np.empty(0))
    order = np.argsort(least)
    below = np.cumsum(np.array([tree.weight for tree in trees])[order])
    looked = {}
    for stage, model in models.items():
        X, _, weight = (np.concatenate(column) for column in zip(*samples[stage].arrays(), strict=True))
        looked[stage] = _Looked(X[:, 0], X[:, 1], X[:, _LOG_PRODUCT], weight, model.probability(X))
    levels = []
    for lost in LOSSES if len(trees) else ():
        first = int(np.searchsorted(below, lost * below[-1], side="right"))
        bound = float(f"{least[order[min(first, len(order) - 1)]] * (1.0 - 1e-6):.6g}")
        levels.append(Level(lost, bound, _least_products(channel_set, looked, bound, lost)))
    return levels


def _least_products(channel_set: ChannelSet, looked: Mapping[int, _Looked], bound: float,
                    lost: float) -> dict[str, float]:
    """By channel, what the product of the daughters' probabilities has to exceed.

    Below it stands a small fraction of what the forests promise of the combinations that they would keep: in
    each channel :data:`_UNMADE` of ``lost``, and besides, over the channels of a stage, as much again.
    """
    found = {}
    for number, config in enumerate(channel_set.particles.values()):
        if config.stage not in looked:
            continue
        of = looked[config.stage]
        kept = of.probability > bound
        promise = np.where(kept, of.probability * of.weight, 0.0)
        channels = [channel for channel in config.channels if channel.leaf is None and channel.features]
        n_in_stage = sum(len(other.channels) for other in channel_set.particles.values()
                         if other.stage == config.stage)
        spare = _UNMADE * lost * promise.sum() / n_in_stage
        for channel in channels:
            rows = np.flatnonzero((of.particle == number) & (of.channel == channel.index))
            rows = rows[np.argsort(of.log_product[rows])]
            total = np.cumsum(promise[rows])
            allowed = _UNMADE * lost * total[-1] + spare if len(rows) else 0.0
            first = int(np.searchsorted(total, allowed, side="right"))  # the first that has to be made
            found[channel.identifier] = (float(np.exp(of.log_product[rows[first]]) * (1.0 - 1e-6))
                                         if first < len(rows) else 1.0)
    return found


def _looked_at(entries: EntryRange, sets: Tagger, *, factors: Factors, seed: int,
               share: int) -> tuple[dict[int, _Rows], list[_Tree]]:
    """The combinations of a range of events by stage, thinned to ``share`` false ones, and the held-out best tags."""
    parts: dict[int, list[_Rows]] = {}
    trees: list[_Tree] = []
    for batch in read_weighted(entries, factors):
        held = held_out(np.arange(batch.n_events) + entries.first_entry)
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
    seen.result = reconstruct(batch, *sets, options=ReconstructionOptions(with_truth=True),
                              hooks=Hooks(looker=seen.look))
    return seen
