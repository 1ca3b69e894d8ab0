"""The reconstruction: from a batch of events to B candidates, stage by stage.

Order of the steps of a channel, as in the FEI: cuts, rank and keep the best,
vertex fit, features, classifier; then, per particle: merge the channels, drop
duplicates, cut on the signal probability, rank and keep the best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet, ParticleConfig
from fei_lite.events import EventBatch
from fei_lite.reconstruction import truth
from fei_lite.reconstruction.combination import combine_channel
from fei_lite.reconstruction.cutflow import CutFlow
from fei_lite.reconstruction.features import feature_matrix
from fei_lite.reconstruction.final_state import leaf_candidates, leaf_kind
from fei_lite.reconstruction.frames import invariant_mass
from fei_lite.reconstruction.pool import Pool
from fei_lite.reconstruction.ranking import choose_candidates, drop_duplicates, rank_candidates
from fei_lite.reconstruction.tag_classifier import tag_features, with_probability
from fei_lite.reconstruction.timing import Stopwatch
from fei_lite.reconstruction.vertexing import fit_masses, fit_vertices
from fei_lite.variables.subject import Subject


class Classifiers(Protocol):
    """What the reconstruction asks of a model set."""

    def has_model(self, identifier: str) -> bool:
        """Whether there is a model for the channel."""

    def predict(self, identifier: str, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signal probability of each row."""


@runtime_checkable
class CuttingClassifiers(Classifiers, Protocol):
    """Classifiers that can give up a row early where a cut on the probability follows."""

    cuts_early: ClassVar[bool]

    def predict(self, identifier: str, features: NDArray[np.float64], *, above: float = 0.0) -> NDArray[np.float64]:
        """As above; a row that surely does not come ``above`` a probability may hold 0."""


class NoClassifiers:
    """For channel sets without classifiers."""

    def has_model(self, identifier: str) -> bool:
        """There is none."""
        return False

    def predict(self, identifier: str, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Never asked for."""
        raise NotImplementedError(identifier)


class TagForest(Protocol):
    """A forest of the tag classifier (:mod:`fei_lite.reconstruction.tag_classifier`)."""

    @property
    def features(self) -> Sequence[str]:
        """Names of its features, in its order."""

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each row of features."""


#: Sees every channel's candidates before they are classified: (channel, table, features).
Observer = Callable[[Channel, CandidateTable, NDArray[np.float64]], None]
#: Rows (ascending) of a channel's candidates to go on with, by their truth and event, before any fit.
Sampler = Callable[[Channel, CandidateTable], NDArray[np.intp]]


@dataclass
class Reconstruction:
    """All candidates of a batch: one table per particle, and the cut-flow."""

    batch: EventBatch
    channel_set: ChannelSet
    tables: dict[str, CandidateTable] = field(default_factory=dict)
    cutflow: CutFlow = field(default_factory=CutFlow)


def reconstruct(
    batch: EventBatch, channel_set: ChannelSet, models: Classifiers, *,
    with_truth: bool | None = None, last_stage: int | None = None, observer: Observer | None = None,
    observe_stage: int | None = None, sampler: Sampler | None = None, prune: bool = True,
    early_exit: bool = True, stopwatch: Stopwatch | None = None, btags: Mapping[str, CandidateTable] | None = None,
) -> Reconstruction:
    """Reconstruct every channel of the set in a batch of events.

    ``with_truth``: match to generated particles at every stage (default: where
    the batch has them). ``last_stage`` ends after that stage of the graph.
    ``observer`` sees the candidates and features of every channel of
    ``observe_stage`` (all stages if None) before the classifier; training uses
    it. There ``sampler`` may choose some of a channel's candidates: the others are
    neither fitted nor seen. Channels without a model make no candidates beyond that point; the
    cut-flow lists them. ``prune`` gives up partial combinations that cannot
    pass the cuts, ``early_exit`` candidates that cannot pass the cut on the
    probability while their trees are added; neither changes the result, which
    is a pure function of the arguments. Where the model set has a last
    classifier, it sees all tag candidates of an event in the end, and its
    probability is their SignalProbability (the channel's: ``channelProbability``;
    given that the event is B Bbar: ``SignalProbabilityGivenBB``, if it knows continuum).

    ``btags`` are tables of an earlier reconstruction of the same batch, for
    channels made from the list ``B+:Btag`` (signal sides): what they share
    with a Btag they cannot use.
    """
    if with_truth is None:
        with_truth = batch.generated is not None
    watch = stopwatch or Stopwatch()
    result = Reconstruction(batch, channel_set)
    result.cutflow.add("events", "all", "read", batch.n_events)
    for note, count in batch.notes.items():
        result.cutflow.add("events", "objects", note, count)
    pool = Pool(batch)
    for stage, names in enumerate(channel_set.stages):
        if last_stage is not None and stage > last_stage:
            break
        observed = observe_stage in (None, stage)
        worker = _Stage(result, models, pool, watch, stage=stage, with_truth=with_truth, prune=prune,
                        early_exit=early_exit, observer=observer if observed else None,
                        sampler=sampler if observed else None, btags=btags)
        finished = [worker.particle(channel_set.particles[name]) for name in names]
        with watch("combine"):
            pool.add(finished)
        for table in finished:
            result.tables[table.particle] = table
    _classify_tags(result, getattr(models, "tag_classifier", None), getattr(models, "given_bb", None), watch)
    return result


def _classify_tags(result: Reconstruction, tag_classifier: TagForest | None, given_bb: TagForest | None,
                   watch: Stopwatch) -> None:
    """Let the tag classifier judge the tag candidates of an event against each other, if there is one."""
    tags = [name for name in result.channel_set.tags if name in result.tables]
    if tag_classifier is None or not tags or len(tags) < len(result.channel_set.tags):
        return
    with watch("classify"):
        tables = [result.tables[name] for name in tags]
        features = tag_features(tables, result.tables, result.channel_set, result.batch, tag_classifier.features)
        for name, table, X in zip(tags, tables, features, strict=True):
            probability_given_bb = None if given_bb is None else given_bb.predict(X)
            result.tables[name] = with_probability(table, tag_classifier.predict(X), probability_given_bb)


@dataclass
class _Stage:
    """One stage of one batch: what the steps below share."""

    result: Reconstruction
    models: Classifiers
    pool: Pool
    watch: Stopwatch
    stage: int
    with_truth: bool
    prune: bool
    early_exit: bool
    observer: Observer | None
    sampler: Sampler | None
    btags: Mapping[str, CandidateTable] | None

    def count(self, name: str, step: str, count: int) -> None:
        self.result.cutflow.add(f"stage {self.stage}", name, step, count)

    def particle(self, config: ParticleConfig) -> CandidateTable:
        """All channels of a particle, merged, cut and ranked."""
        tables = [table for channel in config.channels if (table := self.channel(channel, config)) is not None]
        if not tables:
            tables = [self._empty(config)]
        with self.watch("rank and merge"):
            table = choose_candidates(tables, ("sign", "used", "SignalProbability"),
                                      lambda merged: self._best(merged, config))
            per_event = np.diff(table.offsets)
            self.count(config.name, "events with a candidate", int(np.count_nonzero(per_event)))
            self.count(config.name, "events without", int(np.count_nonzero(per_event == 0)))
            if self.with_truth:
                self.count(config.name, "kept true", int(np.count_nonzero(table["isSignal"])))
        return table

    def _best(self, merged: CandidateTable, config: ParticleConfig) -> CandidateTable:
        """Of all channels' candidates those without duplicates, above the cut, and best, the best first."""
        table = drop_duplicates(merged)
        self.count(config.name, "classified", len(merged))
        self.count(config.name, "duplicates dropped", len(merged) - len(table))
        if config.min_signal_probability is not None:
            table = table.select(table["SignalProbability"] > config.min_signal_probability)
            self.count(config.name, "above the probability cut", len(table))
        table, rank = rank_candidates(table, table["SignalProbability"], highest=True, best=config.best_post)
        table.columns["postCut_rank"] = rank
        # as in basf2 the best stands first: of equal daughters the first is the more probable one
        table = table.select(np.lexsort((-table["SignalProbability"], table.event_index)))
        self.count(config.name, "kept", len(table))
        return table

    def channel(self, channel: Channel, config: ParticleConfig) -> CandidateTable | None:
        """Candidates of one channel with their probability; None if its model is missing."""
        classified = bool(channel.features)
        trained = classified and self.models.has_model(channel.identifier)
        if classified and not trained and self.observer is None:
            self.count(channel.identifier, "events without a model", self.result.batch.n_events)
            return None
        daughters: list[CandidateTable] = []
        if channel.leaf is not None:
            table = self._leaf(channel, config)
        else:
            with self.watch("combine"):
                table, names, passed = combine_channel(channel, config, pool=self.pool, result=self.result,
                                                       prune=self.prune)
                daughters = [self.result.tables[name] for name in names]
            self.count(channel.identifier, "combinations inside the cuts", int(passed.sum()))
        if self.with_truth:
            self._match(table, daughters, channel, config)
        if self.sampler is not None and classified:
            table = table.select(self.sampler(channel, table))
        if channel.leaf is None:
            self._fit(table, daughters, channel)
        if channel.post_fit_cuts:
            subject = Subject(table, result=self.result, daughters=daughters)
            table = table.select(channel.post_fit_cuts.passes(subject))
        self.count(channel.identifier, "best kept", len(table))
        if not classified:
            table.columns.setdefault("SignalProbability", _product(table, daughters))
            return table
        with self.watch("features"):
            features = feature_matrix(channel.features, table, daughters, self.result.batch, result=self.result)
        if self.observer is not None:
            self.observer(channel, table, features)
        if not trained:
            return None
        with self.watch("classify"):
            table.columns["SignalProbability"] = self._predict(channel, config, features)
        return table

    def _predict(self, channel: Channel, config: ParticleConfig, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signal probabilities; where a cut on them follows, 0 may stand for those below it.

        Duplicates are dropped before the cut, but the one kept is the most probable: below the cut if all are.
        """
        cut = config.min_signal_probability
        if self.early_exit and cut is not None and isinstance(self.models, CuttingClassifiers):
            return self.models.predict(channel.identifier, features, above=cut)
        return self.models.predict(channel.identifier, features)

    def _leaf(self, channel: Channel, config: ParticleConfig) -> CandidateTable:
        with self.watch("final state"):
            table = leaf_candidates(channel, config, batch=self.result.batch, btags=self.btags)
            self.count(channel.identifier, "inside the cuts", len(table))
            values = np.asarray(Subject(table, batch=self.result.batch).value(config.rank_by), dtype=np.float64)
            table, rank = rank_candidates(table, values, highest=config.rank_highest, best=config.best_pre)
            table.columns["preCut_rank"] = rank
        return table

    def _match(self, table: CandidateTable, daughters: list[CandidateTable], channel: Channel,
               config: ParticleConfig) -> None:
        """Fill the truth of a channel's candidates; it asks for the objects used, not for any fit."""
        with self.watch("truth"):
            match = (truth.match_leaves(table, self.result.batch, kind=leaf_kind(channel))
                     if channel.leaf is not None else truth.match_composites(table, daughters, self.result.batch))
            table.columns |= truth.truth_columns(match, target=config.target)

    def _fit(self, table: CandidateTable, daughters: list[CandidateTable], channel: Channel) -> None:
        """Fill p4, vertex, cov, chiProb and M of a channel's candidates."""
        with self.watch("vertex"):
            if channel.fit == "mass":
                fit = fit_masses(table, daughters, self.result.batch)
                # M stays the measured mass: after the fit it would be a constant
                measured = sum(t["p4"][table["daughters"][:, j]] for j, t in enumerate(daughters))
            else:
                fit = fit_vertices(table, daughters, self.result.batch, fit=channel.fit == "vertex")
                measured = fit.p4
            table.columns |= {"p4": fit.p4, "vertex": fit.vertex, "cov": fit.cov, "chiProb": fit.chiProb,
                              "M": invariant_mass(np.asarray(measured))}
        if channel.fit:
            self.count(channel.identifier, "fit undefined", int(np.count_nonzero(np.isnan(fit.chiProb))))

    def _empty(self, config: ParticleConfig) -> CandidateTable:
        """A table without candidates, with every column that later stages read."""
        n_events = self.result.batch.n_events
        columns: dict[str, NDArray] = {
            "sign": np.empty(0, np.int8), "preCut_rank": np.empty(0, np.int16),
            "used": self.pool.used[:0], "daughters": np.empty((0, 0), np.int32),
            "decayModeID": np.empty(0, np.int16), "object": np.empty(0, np.int32), "p4": np.empty((0, 4)),
            "vertex": np.empty((0, 3)), "cov": np.empty((0, 7, 7)), "chiProb": np.empty(0), "M": np.empty(0),
            "SignalProbability": np.empty(0),
        }
        table = CandidateTable(config.name, np.zeros(n_events + 1, dtype=np.int64), columns)
        if self.with_truth:
            table.columns |= truth.truth_columns(truth.empty_match(self.result.batch), target=config.target)
        return table


def _product(table: CandidateTable, daughters: list[CandidateTable]) -> NDArray[np.float64]:
    """Signal probability without a classifier (n,): the product of the daughters', 1 for a leaf."""
    product = np.ones(len(table))
    for j, daughter in enumerate(daughters):
        product *= daughter["SignalProbability"][table["daughters"][:, j]]
    return product
