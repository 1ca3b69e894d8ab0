"""HTA candidates: one Upsilon(4S) -> Btag Bsig per event, with all that selection and classifier read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.generated import generated_q2
from fei_lite.analyses.k_nunu.spectrum import weight as spectrum_weight
from fei_lite.analyses.ntuple import Columns
from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.errors import AnalysisError
from fei_lite.event_shape import cos_between, join, ksfw_moments, thrust
from fei_lite.events import EventBatch
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.frames import beam_constrained, invariant_mass, sqrt_s, to_cms
from fei_lite.roe import (
    MaskedObjects,
    RestOfEvent,
    Side,
    masked_objects,
    objects_in,
    rest_of_event,
    rest_variables,
    side_of,
)
from fei_lite.used_objects import everything

#: KSFW moments of BDT_h.
_MOMENTS = ("hso22", "hso02", "hoo0")
_KLONG = 130
_WITHOUT_TRUTH = ReconstructionOptions(with_truth=False)


@dataclass(frozen=True)
class Sides:
    """Tag, signal kaon and the pair of tag and signal side of n events, candidates of ``result``."""

    result: Reconstruction
    tag: Side
    kaon: Side
    pair: Side

    def __len__(self) -> int:
        return len(self.pair)

    @property
    def event(self) -> NDArray[np.int64]:
        """Rows of the events in the batch (n,), rising."""
        return self.pair.event


@cache
def signal_set() -> ChannelSet:
    """The channel set of the signal side."""
    return load_channel_set("k_nunu")


@cache
def _kaon_set() -> ChannelSet:
    """The signal side's kaon alone."""
    return replace(signal_set(), stages=(("K+:sig",),))


def with_kaon(batch: EventBatch) -> NDArray[np.int64]:
    """Events (rows of the batch) that have a signal kaon: only they need a Btag, which takes most of the time."""
    kaons = reconstruct(batch, _kaon_set(), NoClassifiers(), options=_WITHOUT_TRUTH).tables["K+:sig"]
    return np.flatnonzero(np.diff(kaons.offsets))


def best_pairs(batch: EventBatch, tags: Reconstruction) -> Sides:
    """The Upsilon(4S) of the most probable Btag of every event that has one."""
    result = reconstruct(batch, signal_set(), NoClassifiers(), btags=tags.tables,
                         options=ReconstructionOptions(with_truth=_has_truth(tags)))
    pairs = result.tables["Upsilon(4S)"]
    found = np.diff(pairs.offsets) > 0
    first = pairs.offsets[:-1][found]  # the most probable stands first
    tag, side = pairs["daughters"][first].T
    kaon = result.tables["B+:sig"]["daughters"][side, 0]
    return Sides(result, side_of(result.tables["B+:tag"], tag), side_of(result.tables["K+:sig"], kaon),
                 side_of(pairs, first))


def _has_truth(tags: Reconstruction) -> bool:
    return all("mc" in table.columns for table in tags.tables.values())


@dataclass
class Counts:
    """Events before any candidate is chosen: step -> [events, sum of weights]; sums over batches add up."""

    steps: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, weight: NDArray[np.float64]) -> None:
        """Count events of the given weights."""
        row = self.steps.setdefault(name, [0, 0.0])
        row[0] += len(weight)
        row[1] += float(weight.sum())

    def merge(self, other: dict[str, list[float]]) -> None:
        """Add the counts of another part."""
        for name, (n, weight) in other.items():
            row = self.steps.setdefault(name, [0, 0.0])
            row[0] += n
            row[1] += weight


def hta_candidates(batch: EventBatch, tag: Callable[[EventBatch], Reconstruction], *,
                   signal: bool = False) -> tuple[Columns, Counts]:
    """Candidates of a batch as columns (one entry per event that has one), and the counts before.

    ``tag`` reconstructs the Btags of a batch; it is asked for events with a
    signal kaon only. With ``signal`` the weight of phase-space signal events includes the standard
    model's spectrum (column ``weight``; ``q2_generated`` beside it). GeV, rad.
    Raises :class:`AnalysisError` for a signal file without the decay.
    """
    weight = batch.events["weight"].astype(np.float64)
    q2 = generated_q2(batch) if signal else np.full(batch.n_events, np.nan)
    if signal:
        weight = weight * spectrum_weight(q2)
        if np.isnan(weight).any():
            raise AnalysisError(f"{batch.source or 'batch'}: {np.count_nonzero(np.isnan(weight))} of {batch.n_events} "
                                "events of process 'signal' hold no B+ -> K+ nu nubar. Simulate with --dec k_nunu.")
    counts = Counts()
    counts.add("events read", weight)
    chosen = with_kaon(batch)
    batch, weight, q2 = batch.select(chosen), weight[chosen], q2[chosen]
    counts.add("signal kaon", weight)
    sides = best_pairs(batch, tag(batch))
    tables = sides.result.tables
    for name, key in (("Btag", "B+:tag"), ("Btag and kaon of opposite charge", "Upsilon(4S)")):
        counts.add(name, weight[np.diff(tables[key].offsets) > 0])
    columns: Columns = {name: batch.events[name][sides.event] for name in ("experiment", "run", "event")}
    columns |= {"weight": weight[sides.event], "q2_generated": q2[sides.event]}
    columns |= _side_columns(batch, sides) | _rest_columns(batch, sides)
    if batch.generated is not None:
        columns |= _truth_columns(batch, sides)
    return columns, counts


def _side_columns(batch: EventBatch, sides: Sides) -> Columns:
    """Tag and kaon themselves, and the skim's variables of the whole event."""
    beam = batch.events["beam_p4"][sides.event]
    kaon_cms = to_cms(sides.kaon.p4, beam)
    mbc, delta_e = beam_constrained(sides.tag.p4, beam)
    return {
        "tagSignalProbability": sides.tag["SignalProbability"], "tagChiProb": sides.tag["chiProb"],
        "tagMbc": mbc, "tagDeltaE": delta_e,
        "kaonCharge": -sides.tag["sign"].astype(np.int8),
        "kaonChiProb": sides.kaon["chiProb"], "kaonMomentumCMS": np.linalg.norm(kaon_cms[:, :3], axis=1),
    } | _skim_columns(batch, sides.event)


def _skim_columns(batch: EventBatch, event: NDArray[np.int64]) -> Columns:
    """Cleaned tracks and clusters of the whole event, visible energy, calorimeter energy (mask "skim")."""
    objects = masked_objects(batch, "skim")
    whole = objects_in(objects, event, everything(batch)[event])
    clusters = batch.clusters
    of_track = clusters["is_track"] == 1
    energy = np.bincount(clusters.event_index, clusters["E"] * of_track, minlength=batch.n_events)
    # basf2 counts clusters of tracks as well, with the cuts of the mask
    cleaned = of_track & (clusters["E"] > 0.1) & (clusters["theta"] > 0.2967) & (clusters["theta"] < 2.6180)
    of_tracks = np.bincount(clusters.event_index[cleaned], minlength=batch.n_events)
    return {"nCleanedTracks": whole.count("tracks"), "nCleanedClusters": whole.count("photons") + of_tracks[event],
            "visibleEnergyOfEventCMS": whole.momenta_cms().sum()[:, 3],
            "E_ECL": whole.extra_energy() + energy[event]}


def _rest_columns(batch: EventBatch, sides: Sides) -> Columns:
    """Rest of the event, missing momentum and event shape."""
    tag, kaon = sides.tag.used, sides.kaon.used
    rest = rest_of_event(masked_objects(batch, "hta"), sides.event, tag=tag, signal=kaon)
    objects = masked_objects(batch, "all")
    columns = rest_variables(rest, sides.tag.p4, sides.kaon.p4)
    keep = ("roeEextra", "nROE_Tracks", "nROE_Photons", "nROE_KLMClusters", "nROE_K_S0", "nROE_pi0", "nROE_Lambda0",
            "missing_E_plus_p_cms", "missing_theta_lab", "mRecoil")
    chosen: Columns = {name: columns[name] for name in keep}
    chosen |= {"missing_mass2": columns["missingMass2OfTagSignalAndRest"],
               "q2": columns["missingMass2FromTagDirection"], "q2_recoil": columns["missingMass2OfTagAndSignal"]}
    chosen["nROE_AllTracks"] = rest_of_event(objects, sides.event, tag=tag, signal=kaon).count("tracks")
    return chosen | _shape_columns(sides, rest, objects, columns["missing_p4_cms"])


def _shape_columns(sides: Sides, rest: RestOfEvent, objects: MaskedObjects,
                   missing_cms: NDArray[np.float64]) -> Columns:
    """The kaon against everything else: the Btag's tracks and clusters and the rest that the mask keeps."""
    beam = rest.beam_p4
    kaon, tag = (objects_in(objects, sides.event, side.used).momenta_cms() for side in (sides.kaon, sides.tag))
    others = join(tag, rest.momenta_cms())
    kaon_cms = to_cms(sides.kaon.p4, beam)
    axis, _ = thrust(others)
    direction = kaon_cms[:, :3] / np.linalg.norm(kaon_cms[:, :3], axis=1, keepdims=True)
    moments = ksfw_moments(kaon, others, sqrt_s=sqrt_s(beam), energy=kaon_cms[:, 3]).columns()
    turn = np.arctan2(kaon_cms[:, 1], kaon_cms[:, 0]) - np.arctan2(missing_cms[:, 1], missing_cms[:, 0])
    return {"cosKaonThrust": cos_between(axis, direction), "recoilMass": invariant_mass(others.sum()),
            "kaonMissingDeltaPhi": np.abs((turn + np.pi) % (2.0 * np.pi) - np.pi),
            **{f"KSFWVariables({name})": moments[name] for name in _MOMENTS}}


def _truth_columns(batch: EventBatch, sides: Sides) -> Columns:
    """What the candidate is, and the K_L0 of its event: seen in the rest as a photon, or lost."""
    generated = batch.generated
    assert generated is not None
    columns: Columns = {}
    if "mc" in sides.result.tables["B+:tag"].columns:
        mc = sides.kaon["mc"]
        columns = {"isSignal": sides.pair["isSignal"], "tagIsSignal": sides.tag["isSignal"],
                   "tagMcErrors": sides.tag["mcErrors"], "mcErrors": sides.pair["mcErrors"],
                   "kaonMcPDG": np.where(mc >= 0, np.append(generated["pdg"], 0)[mc], 0).astype(np.int32)}
    seen, lost = _klongs(batch)
    return columns | {"nKL_seen": seen[sides.event], "nKL_lost": lost[sides.event]}


def _klongs(batch: EventBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Generated K_L0 of each event with and without a cluster in the calorimeter."""
    generated = batch.generated
    assert generated is not None
    clusters: Any = batch.clusters
    row = clusters["mc_index"] + generated.offsets[:-1][clusters.event_index]
    has_cluster = np.zeros(len(generated), dtype=bool)
    has_cluster[row[clusters["mc_index"] >= 0]] = True
    klong = generated["pdg"] == _KLONG
    return tuple(np.bincount(generated.event_index[klong & chosen], minlength=batch.n_events)  # type: ignore[return-value]
                 for chosen in (has_cluster, ~has_cluster))
