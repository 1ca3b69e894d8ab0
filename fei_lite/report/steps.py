"""Candidates and truth after each step of the reconstruction: what every cut costs and what it gains.

The steps of a particle, in their order:

===========  ================================================================================
combined     every combination of the daughters' candidates (of a leaf: every track, cluster, V0)
pre-cut      those inside the user cuts
ranked       the best of each channel, event and charge conjugate, by the pre-cut ranking
classified   those of channels that have a classifier
merged       one of candidates with the same tracks and clusters: the most probable
post-cut     above the cut on SignalProbability
kept         the most probable of the particle, per event and charge conjugate
===========  ================================================================================

The reconstruction never holds the candidates before the ranking. Their number
is counted by the kernel of the combination; the true ones among them are
found by combining the soundly matched daughters alone, without cuts: few, and
all that can be true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet, ParticleConfig
from fei_lite.events import EventBatch
from fei_lite.events.schema import STATUS
from fei_lite.fractions import Sums
from fei_lite.kernels import truth as bits
from fei_lite.reconstruction import truth
from fei_lite.reconstruction.combination import combine_channel
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.final_state import leaf_candidates, leaf_kind
from fei_lite.reconstruction.pool import Pool
from fei_lite.reconstruction.ranking import concatenate_tables, drop_duplicates, rank_candidates
from fei_lite.variables.cuts import NO_CUT

STEPS = ("combined", "pre-cut", "ranked", "classified", "merged", "post-cut", "kept")
#: Those that a channel has; the others are of the particle.
CHANNEL_STEPS = ("combined", "pre-cut", "ranked", "kept")

_EVERY = 5000  # candidates per event, channel and conjugate: more true ones there never are


_NOTHING = Sums()


@dataclass(frozen=True)
class Step:
    """Candidates after a step, the true ones among them, and the generated particles with a true candidate."""

    candidates: Sums = _NOTHING
    true: Sums = _NOTHING
    found: Sums = _NOTHING

    def __add__(self, other: Step) -> Step:
        return Step(self.candidates + other.candidates, self.true + other.true, self.found + other.found)


@dataclass
class Counts:
    """The steps of a channel or particle, and the generated decays that it is for (None: not defined)."""

    generated: Sums | None = None
    steps: dict[str, Step] = field(default_factory=dict)

    def merge(self, other: Counts) -> None:
        """Add the counts of another part."""
        if other.generated is not None:
            self.generated = (self.generated or _NOTHING) + other.generated
        for name, step in other.steps.items():
            self.steps[name] = self.steps.get(name, Step()) + step


@dataclass(frozen=True)
class _Seen:
    """Candidates of one channel or particle at one step: numbers per event, and generated rows found."""

    candidates: NDArray[np.int64]
    true: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass
class StepCounter:
    """Counts the steps of one batch from its reconstruction and the tables that an observer kept.

    ``seen`` are the channels' candidates as the observer got them (the engine
    adds their SignalProbability afterwards); the reconstruction must have run
    with ``early_exit=False``. ``modes``: see ``covered_particles``.
    """

    result: Reconstruction
    seen: Mapping[str, CandidateTable]
    modes: NDArray[np.int16]
    channels: dict[str, Counts] = field(default_factory=dict)
    particles: dict[str, Counts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._batch: EventBatch = self.result.batch
        self._weight = self._batch.events["weight"].astype(np.float64)
        self._pool = _pool(self._batch, self.result.tables)
        self._sound = {name: sound(table) for name, table in self.result.tables.items()}
        self._sound_pool = _pool(self._batch, self._sound)

    def count(self) -> None:
        """Fill ``channels`` and ``particles``."""
        for name in self.result.tables:
            config = self.result.channel_set.particles[name]
            goal = generated_rows(config, self._batch, self.modes)
            steps: dict[str, list[_Seen]] = {}
            for channel in config.channels:
                own = channel_rows(channel, goal, self.modes, shared=_has_common_code(self.result.channel_set, config))
                counts = self.channels[channel.identifier] = Counts(None if own is None else self._sums(own))
                for step, seen in self._before(channel, config).items():
                    steps.setdefault(step, []).append(seen)
                    counts.steps[step] = self._step(seen, goal if own is None else own)
            total = {step: _joined(parts) for step, parts in steps.items()}
            kept = self._after(config)
            total |= {step: self._of_table(table) for step, table in kept.items()}
            self.particles[name] = Counts(self._sums(goal), {s: self._step(seen, goal) for s, seen in total.items()})
            for channel in config.channels:
                of_channel = kept["kept"].select(kept["kept"]["decayModeID"] == channel.index)
                own = channel_rows(channel, goal, self.modes, shared=False)
                self.channels[channel.identifier].steps["kept"] = self._step(
                    self._of_table(of_channel), goal if own is None else own)

    def _before(self, channel: Channel, config: ParticleConfig) -> dict[str, _Seen]:
        """The steps of a channel up to its classifier."""
        bare = replace(channel, cuts=NO_CUT)
        steps = {}
        for step, cut in (("combined", bare), ("pre-cut", channel)):
            if channel.leaf is not None:
                table = leaf_candidates(cut, config, batch=self._batch)
                match = truth.match_leaves(table, self._batch, kind=leaf_kind(channel))
                table.columns |= truth.truth_columns(match, target=config.target)
                steps[step] = self._of_table(table)
                continue
            # one candidate is kept, all are counted
            number = combine_channel(cut, replace(config, best_pre=1), pool=self._pool, result=self.result,
                                     prune=cut is channel)[2]
            table, names, _ = combine_channel(cut, replace(config, best_pre=_EVERY), pool=self._sound_pool,
                                              result=self.result, prune=cut is channel)
            match = truth.match_composites(table, [self._sound[n] for n in names], self._batch)
            table.columns |= truth.truth_columns(match, target=config.target)
            true = self._of_table(table)
            steps[step] = _Seen(number, true.true, true.rows)
        steps["ranked"] = self._of_table(self.seen[channel.identifier])
        return steps

    def _after(self, config: ParticleConfig) -> dict[str, CandidateTable]:
        """The tables of a particle from the classifiers on: the engine's steps, one by one."""
        tables = [self.seen[c.identifier] for c in config.channels
                  if "SignalProbability" in self.seen[c.identifier].columns]
        if not tables:
            return dict.fromkeys(STEPS[3:], self.result.tables[config.name])
        classified = concatenate_tables(tables)
        merged = classified if config.same_objects else drop_duplicates(classified, classified["SignalProbability"])
        cut = merged
        if config.min_signal_probability is not None:
            cut = merged.select(merged["SignalProbability"] > config.min_signal_probability)
        kept, _ = rank_candidates(cut, cut["SignalProbability"], highest=True, best=config.best_post)
        return dict(zip(STEPS[3:], (classified, merged, cut, kept), strict=True))

    def _of_table(self, table: CandidateTable) -> _Seen:
        true, event = table["isSignal"] == 1, table.event_index
        return _Seen(np.diff(table.offsets), np.bincount(event[true], minlength=self._batch.n_events),
                     np.unique(table["mc"][true]).astype(np.int64))

    def _sums(self, rows: NDArray[np.int64]) -> Sums:
        assert self._batch.generated is not None
        per_event = np.bincount(self._batch.generated.event_index[rows], minlength=self._batch.n_events)
        return Sums.per_event(per_event, self._weight)

    def _step(self, seen: _Seen, goal: NDArray[np.int64]) -> Step:
        return Step(Sums.per_event(seen.candidates, self._weight), Sums.per_event(seen.true, self._weight),
                    self._sums(np.intersect1d(seen.rows, goal)))


def _joined(parts: list[_Seen]) -> _Seen:
    """A particle's channels together; a generated particle counts once."""
    return _Seen(np.sum([p.candidates for p in parts], axis=0), np.sum([p.true for p in parts], axis=0),
                 np.unique(np.concatenate([p.rows for p in parts])))


def _pool(batch: EventBatch, tables: Mapping[str, CandidateTable]) -> Pool:
    pool = Pool(batch)
    pool.add(list(tables.values()))
    return pool


def sound(table: CandidateTable) -> CandidateTable:
    """The candidates that can be daughters of a true one: matched, without an error that a mother inherits."""
    return table.select((table["mc"] >= 0) & (table["mcErrors"] & bits.INHERITED == 0))


def _has_common_code(channel_set: ChannelSet, config: ParticleConfig) -> bool:
    """Whether another particle of the set has the same PDG code (D0 and D0:KL): decay modes are then ambiguous."""
    return sum(other.pdg == config.pdg for other in channel_set.particles.values()) > 1


def generated_rows(config: ParticleConfig, batch: EventBatch, modes: NDArray[np.int16]) -> NDArray[np.int64]:
    """Generated particles that a particle of the set is for: rows of ``batch.generated``.

    Final-state particles: the primary ones. Others: those that decay through a
    channel of the set, with all that follows (``covered_particles``).
    """
    assert batch.generated is not None
    of_species = np.abs(batch.generated["pdg"]) == abs(config.pdg)
    if any(channel.leaf == "FSP" for channel in config.channels):
        return np.flatnonzero(of_species & (batch.generated["status"] & STATUS["primary"] != 0))
    return np.flatnonzero(of_species & (modes >= 0))


def channel_rows(channel: Channel, goal: NDArray[np.int64], modes: NDArray[np.int16], *,
                 shared: bool) -> NDArray[np.int64] | None:
    """Those of a particle's generated rows that decay by one channel; None where that is not defined.

    Candidates from the V0 list have the decays of another channel; so have
    particles that share their PDG code.
    """
    if channel.leaf == "FSP":
        return goal
    if channel.leaf == "V0" or shared:
        return None
    rows: NDArray[np.int64] = goal[modes[goal] == channel.index]
    return rows
