"""The reconstruction: from a batch of events to B candidates, stage by stage.

Order of the steps of a channel, as in the FEI: cuts, rank and keep the best,
vertex fit, features, classifier; then, per particle: merge the channels, drop
duplicates, cut on the signal probability, rank and keep the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet, ParticleConfig
from fei_lite.events import EventBatch
from fei_lite.reconstruction import truth
from fei_lite.reconstruction.classifiers import Classifiers, NoClassifiers
from fei_lite.reconstruction.combination import combine_channel
from fei_lite.reconstruction.cutflow import CutFlow
from fei_lite.reconstruction.features import feature_matrix
from fei_lite.reconstruction.final_state import leaf_candidates, leaf_kind
from fei_lite.reconstruction.first_look import FirstLook, first_features, first_look_of
from fei_lite.reconstruction.frames import invariant_mass
from fei_lite.reconstruction.options import DEFAULT_OPTIONS, NO_HOOKS, Hooks, ReconstructionOptions
from fei_lite.reconstruction.pool import Pool
from fei_lite.reconstruction.ranking import choose_candidates, drop_duplicates, rank_candidates, without_ties
from fei_lite.reconstruction.tag_classifier import tag_features, with_probability
from fei_lite.reconstruction.timing import Stopwatch
from fei_lite.reconstruction.vertexing import fit_masses, fit_vertices
from fei_lite.variables.subject import Subject

__all__ = ["Classifiers", "Hooks", "NoClassifiers", "Reconstruction", "ReconstructionOptions", "reconstruct"]


@dataclass
class Reconstruction:
    """All candidates of a batch: one table per particle, and the cut-flow.

    ``tags`` is the reconstruction that made the Btags of a signal side, if it was given.
    """

    batch: EventBatch
    channel_set: ChannelSet
    tables: dict[str, CandidateTable] = field(default_factory=dict)
    cutflow: CutFlow = field(default_factory=CutFlow)
    tags: Reconstruction | None = None

    def __repr__(self) -> str:
        where = f" of {self.batch.source}" if self.batch.source else ""
        tables = ", ".join(f"{len(table)} {name}" for name, table in self.tables.items())
        return (f"Reconstruction({self.batch.n_events} events{where}, channel set '{self.channel_set.name}': "
                f"{tables or 'no candidates'})")


def reconstruct(
    batch: EventBatch, channel_set: ChannelSet, models: Classifiers, *,
    options: ReconstructionOptions = DEFAULT_OPTIONS, hooks: Hooks = NO_HOOKS,
    btags: Reconstruction | Mapping[str, CandidateTable] | None = None,
) -> Reconstruction:
    """Reconstruct every channel of the set in a batch of events.

    The result is a pure function of the arguments. Channels without a model make no candidates beyond
    that point; the cut-flow lists them. Where the model set has a tag
    classifier, it sees all tag candidates of an event in the end, and its
    probability is their SignalProbability (the channel's: ``channelProbability``;
    given that the event is B Bbar: ``SignalProbabilityGivenBB``, if it knows continuum).

    ``btags`` is an earlier reconstruction of the same batch, or its tables, for
    channels made from the list ``B+:Btag`` (signal sides): what they share
    with a Btag they cannot use. With the reconstruction, variables reach the Btag's daughters.

    That models and channels fit is not looked at here: a training has a part of
    them only. Users call :func:`fei_lite.reconstruct`.
    """
    with_truth = batch.generated is not None if options.with_truth is None else options.with_truth
    look = options.first_look or first_look_of(models, options.speed)
    watch = hooks.stopwatch or Stopwatch()
    tags = btags if isinstance(btags, Reconstruction) else None
    result = Reconstruction(batch, channel_set, tags=tags)
    result.cutflow.add("events", "all", "read", batch.n_events)
    for note, count in batch.notes.items():
        result.cutflow.add("events", "objects", note, count)
    pool = Pool(batch)
    for stage, names in enumerate(channel_set.stages):
        if options.last_stage is not None and stage > options.last_stage:
            break
        worker = _Stage(result, models, pool, watch, stage=stage, with_truth=with_truth, options=options, look=look,
                        hooks=hooks.at(stage), btags=btags.tables if isinstance(btags, Reconstruction) else btags)
        finished = [worker.particle(channel_set.particles[name]) for name in names]
        with watch("combine"):
            pool.add(finished)
        for table in finished:
            result.tables[table.particle] = table
    _classify_tags(result, models, watch)
    return result


def _classify_tags(result: Reconstruction, models: Classifiers, watch: Stopwatch) -> None:
    """Let the tag classifier judge the tag candidates of an event against each other, if there is one."""
    tags = [name for name in result.channel_set.tags if name in result.tables]
    tag_classifier, given_bb = models.tag_classifier, models.given_bb
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
    options: ReconstructionOptions
    look: FirstLook | None
    hooks: Hooks
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
        table = merged if config.same_objects else drop_duplicates(merged, merged["SignalProbability"])
        self.count(config.name, "classified", len(merged))
        self.count(config.name, "duplicates dropped", len(merged) - len(table))
        cut = self._min_probability(config)
        if cut is not None:
            table = table.select(table["SignalProbability"] > cut)
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
        if classified and not trained and self.hooks.observer is None:
            self.count(channel.identifier, "events without a model", self.result.batch.n_events)
            return None
        daughters: list[CandidateTable] = []
        look = self.look
        if channel.leaf is not None:
            table = self._leaf(channel, config)
        else:
            with self.watch("combine"):
                table, names, passed = combine_channel(channel, config, pool=self.pool, result=self.result,
                                                       prune=self.options.prune,
                                                       min_product=-1.0 if look is None else look.bound(channel))
                daughters = [self.result.tables[name] for name in names]
            self.count(channel.identifier, "combinations inside the cuts", int(passed.sum()))
            if look is not None or self.hooks.looker is not None:
                table = self._look(table, names, channel)
        if self.with_truth:
            self._match(table, daughters, channel, config)
        if self.hooks.sampler is not None and classified:
            table = table.select(self.hooks.sampler(channel, table))
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
        if self.hooks.observer is not None:
            self.hooks.observer(channel, table, features)
        if not trained:
            return None
        with self.watch("classify"):
            table.columns["SignalProbability"] = self._predict(channel, config, features)
        return table

    def _look(self, table: CandidateTable, names: tuple[str, ...], channel: Channel) -> CandidateTable:
        """The combinations that are left after a first look."""
        with self.watch("first look"):
            X = first_features(table, names, channel, self.result.channel_set, self.pool)
            if self.hooks.looker is not None:
                table.columns["look_row"] = np.arange(len(table))
                self.hooks.looker(channel, table, X)
            if self.look is None:
                return table
            table = table.select(self.look.passes(self.stage, X))
        self.count(channel.identifier, "left by the first look", len(table))
        return table

    def _min_probability(self, config: ParticleConfig) -> float | None:
        """The cut on SignalProbability after the classifiers, of tags at least the first look's; None without."""
        look, cut = self.look, config.min_signal_probability
        if look is None or config.name not in self.result.channel_set.tags:
            return cut
        return look.least if cut is None else max(cut, look.least)

    def _predict(self, channel: Channel, config: ParticleConfig, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signal probabilities; where a cut on them follows, 0 may stand for those below it.

        Duplicates are dropped before the cut, but the one kept is the most probable: below the cut if all are.
        """
        cut = self._min_probability(config) if self.options.early_exit else None
        return self.models.predict(channel.identifier, features, above=0.0 if cut is None else cut)

    def _leaf(self, channel: Channel, config: ParticleConfig) -> CandidateTable:
        with self.watch("final state"):
            table = leaf_candidates(channel, config, batch=self.result.batch, btags=self.btags)
            self.count(channel.identifier, "inside the cuts", len(table))
            values = np.asarray(Subject(table, batch=self.result.batch).value(config.rank_by), dtype=np.float64)
            values = without_ties(values, np.sum(table["p4"][:, :3] ** 2, axis=1))
            table, rank = rank_candidates(table, values, highest=config.rank_highest, best=config.best_pre)
            table.columns["preCut_rank"] = rank
            if self.hooks.looker is not None:
                table.columns["look_row"] = np.full(len(table), -1)
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
        if self.hooks.looker is not None:
            columns["look_row"] = np.empty(0, np.int64)
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
