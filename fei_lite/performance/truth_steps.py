"""Which generated particles still have a true candidate after each step of the reconstruction.

The reconstruction runs once, watched by its hooks. What the cuts before the ranking do to a composite is asked
apart: all combinations of true daughters alone are few, and those inside the cuts are what the ranking had to keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet, ParticleConfig
from fei_lite.events import EventBatch
from fei_lite.particles import pdg_code
from fei_lite.reconstruction import truth
from fei_lite.reconstruction.classifiers import Classifiers
from fei_lite.reconstruction.combination import combine_channel
from fei_lite.reconstruction.engine import Hooks, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.final_state import leaf_candidates, leaf_kind
from fei_lite.reconstruction.pool import Pool

Mask = NDArray[np.bool_]

#: Steps of each stage, in their order, and what each asks for.
STEPS = {
    "cuts": "inside the cuts of its channel, its daughters kept",
    "best before": "not dropped by a first look, and among the best that are kept before the fit",
    "after the fit": "inside the cuts after the vertex fit",
    "model": "its channel has a classifier",
    "probability": "above the cut on SignalProbability",
    "best after": "among the best that are kept, duplicates dropped",
}
#: More true combinations than this of a channel in one event there are not.
_MOST = 200


@dataclass
class _Seen:
    """Rows of generated particles with a true candidate, by step of the reconstruction."""

    n: int
    rows: dict[str, Mask] = field(default_factory=dict)

    def add(self, step: str, table: CandidateTable, chosen: Mask | None = None) -> None:
        """Mark the generated particles of a table's true candidates (of those ``chosen``)."""
        true = table["isSignal"] == 1
        mask = self.rows.setdefault(step, np.zeros(self.n, dtype=bool))
        mask[table["mc"][true if chosen is None else true & chosen]] = True


def detected(batch: EventBatch) -> Mask:
    """Generated particles (rows) with a track or cluster of their own; a converted photon has those of its pair."""
    generated = batch.generated
    assert generated is not None
    found = np.zeros(len(generated), dtype=bool)
    for objects in (batch.tracks, batch.clusters):
        rows = _matched(objects["mc_index"], objects.event_index, batch)
        wanted = np.abs(generated["pdg"][rows]) != 22 if objects is batch.tracks else generated["pdg"][rows] == 22
        found[rows[wanted]] = True
    mother = _mothers(batch)
    electron = found & (np.abs(generated["pdg"]) == 11) & (mother >= 0)
    pairs = np.bincount(mother[electron], minlength=len(generated))
    return np.asarray(found | ((generated["pdg"] == 22) & (pairs >= 2)))


def _matched(mc_index: NDArray[np.integer], event: NDArray[np.integer], batch: EventBatch) -> NDArray[np.int64]:
    """Rows of the generated particles that objects are matched to."""
    assert batch.generated is not None
    is_matched = mc_index >= 0
    return np.asarray(mc_index[is_matched] + batch.generated.offsets[event[is_matched]], dtype=np.int64)


def _mothers(batch: EventBatch) -> NDArray[np.int64]:
    """Row of the mother of each generated particle, -1 without."""
    generated = batch.generated
    assert generated is not None
    mother = generated["mother"].astype(np.int64)
    return np.where(mother >= 0, mother + generated.offsets[generated.event_index], -1)


def ancestors(batch: EventBatch, codes: list[int]) -> NDArray[np.int64]:
    """Row of the nearest ancestor (or self) among PDG ``codes`` (without sign) of each generated particle, else -1."""
    assert batch.generated is not None
    mother = _mothers(batch)
    own = np.isin(np.abs(batch.generated["pdg"]), codes)
    found = np.where(own, np.arange(len(own)), -1)
    above = np.where(own, -1, mother)  # the next to look at
    while (above >= 0).any():
        rows = np.flatnonzero(above >= 0)
        found[rows] = found[above[rows]]
        above[rows] = np.where(found[rows] >= 0, -1, mother[above[rows]])
    return found


def _in_v0s(batch: EventBatch) -> Mask:
    """Generated particles whose track is one of a V0's: the V0 list may make their mother."""
    assert batch.generated is not None
    found = np.zeros(len(batch.generated), dtype=bool)
    event = batch.v0s.event_index
    for side in ("positive_index", "negative_index"):
        tracks = batch.v0s[side] + batch.tracks.offsets[event]
        found[_matched(batch.tracks["mc_index"][tracks], event, batch)] = True
    return found


def true_particles(batch: EventBatch, channel_set: ChannelSet,
                   models: Classifiers) -> tuple[Reconstruction, Iterator[tuple[str, str, Mask]]]:
    """The reconstruction of a batch, and (stage, step, usable): what can still be part of a true tag after the step.

    ``usable`` (rows of ``batch.generated``): particles of earlier stages with a true candidate in the lists, those of
    this stage with one after the step, and all of later ones. The first step is ``detector``; then those of
    :data:`STEPS` in every stage of the graph.
    """
    assert batch.generated is not None
    before, at_model, passed = (_Seen(len(batch.generated)) for _ in range(3))
    fitted = _Seen(len(batch.generated))

    def sample(channel: Channel, table: CandidateTable) -> NDArray[np.intp]:
        before.add(channel.particle, table)
        return np.arange(len(table))

    def observe(channel: Channel, table: CandidateTable, features: NDArray[np.float64]) -> None:
        fitted.add(channel.particle, table)
        if not models.has_model(channel.identifier):
            return
        at_model.add(channel.particle, table)
        cut = channel_set.particles[channel.particle].min_signal_probability
        above = np.ones(len(table), dtype=bool)
        true = np.flatnonzero(table["isSignal"] == 1)
        if cut is not None and len(true):
            above[true] = models.predict(channel.identifier, features[true]) > cut
        passed.add(channel.particle, table, above)

    result = reconstruct(batch, channel_set, models, options=ReconstructionOptions(with_truth=True),
                         hooks=Hooks(observer=observe, sampler=sample))
    return result, _walk(result, {"best before": before, "after the fit": fitted, "model": at_model,
                                          "probability": passed})


def _walk(result: Reconstruction, seen: dict[str, _Seen]) -> Iterator[tuple[str, str, Mask]]:
    """The steps in their order; what is lost once stays lost."""
    batch, channel_set = result.batch, result.channel_set
    assert batch.generated is not None
    code = np.abs(batch.generated["pdg"])
    charged = np.isin(code, (11, 13, 211, 321, 2212))
    usable = ~(charged | (code == 22)) | detected(batch)
    yield "detector", "tracks and clusters", usable
    from_v0 = charged & _in_v0s(batch)
    for stage, names in enumerate(channel_set.stages):
        configs = [channel_set.particles[name] for name in names]
        of_stage = np.isin(code, [abs(pdg_code(name)) for name in names])
        inside = _inside_cuts(result, configs)
        for step in STEPS:
            kept = ~of_stage | (from_v0 if stage == 0 else False)
            for config in configs:
                if step == "best after" or not any(channel.features for channel in config.channels):
                    rows = _kept(result.tables[config.name], len(code))
                elif step == "cuts":
                    rows = inside[config.name]
                else:
                    rows = seen[step].rows.get(config.name, np.zeros(len(code), dtype=bool))
                kept = kept | rows
            usable = usable & kept
            yield f"stage {stage}", step, usable


def _kept(table: CandidateTable, n: int) -> Mask:
    """Generated particles (n rows) with a true candidate in a table."""
    seen = _Seen(n)
    seen.add("", table)
    return seen.rows[""]


def _inside_cuts(result: Reconstruction, configs: list[ParticleConfig]) -> dict[str, Mask]:
    """Generated particles with a true candidate inside the cuts before the ranking, by particle of the stage."""
    batch, channel_set = result.batch, result.channel_set
    assert batch.generated is not None
    true = {name: table.select(table["isSignal"] == 1) for name, table in result.tables.items()}
    pool = Pool(batch)
    stage = configs[0].stage
    pool.add([true[name] for names in channel_set.stages[:stage] for name in names])
    alone = Reconstruction(batch, channel_set, tables=true)
    found = {}
    for config in configs:
        seen = _Seen(len(batch.generated), {config.name: np.zeros(len(batch.generated), dtype=bool)})
        for channel in config.channels:
            if channel.leaf is not None:
                table = leaf_candidates(channel, config, batch=batch)
                match = truth.match_leaves(table, batch, kind=leaf_kind(channel))
            else:
                table, names, _ = combine_channel(channel, replace(config, best_pre=_MOST), pool=pool, result=alone)
                match = truth.match_composites(table, [true[name] for name in names], batch)
            table.columns |= truth.truth_columns(match, target=config.target)
            seen.add(config.name, table)
        found[config.name] = seen.rows[config.name]
    return found

