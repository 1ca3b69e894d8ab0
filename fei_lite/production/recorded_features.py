"""What the detector recorded, in a few numbers that cost no reconstruction: features of the second selection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.events import EventBatch, Jagged
from fei_lite.events.batch import offsets_of
from fei_lite.generator.beams import boost
from fei_lite.kernels import closure as kernels
from fei_lite.kernels.closure import SIDES

Array = NDArray[np.float64]

#: Tracks from near the interaction point (cm), and clusters that count (GeV): about those of the hadronic FEI skim.
_NEAR_D0, _NEAR_Z0, _LEAST_ENERGY, SOFT_ENERGY = 2.0, 4.0, 0.1, 0.05
#: Columns of the likelihoods of a track, and the probability that identifies it.
_ELECTRON, _MUON, _PION, _KAON, _PROTON = range(5)
_IDENTIFIED = 0.6
_MASSES = np.array([0.000511, 0.105658, 0.13957, 0.49368, 0.93827])

#: Of the ways to part an event into a tag and a signal side of one to four tracks, with a kaon among these or without:
#: the least energy left over (GeV), and the logarithm of one more than the ways that close.
CLOSURES = tuple(f"r{what}{kaon}{size}" for kaon in ("", "Kaon") for size in range(1, SIDES + 1)
                 for what in ("Left", "Ways"))
#: A tag closes within this of the B's energy, and with this momentum at most (GeV): about Mbc > 5.27, |deltaE| < 0.2.
_DELTA_E, _MOMENTUM = 0.2, 0.46

#: Features of a recorded event, energies in the centre-of-mass frame (GeV).
RECORDED = ("rTracks", "rNearTracks", "rCharge", "rNearCharge", "rKaons", "rLeptons", "rProtons", "rPhotons",
            "rSoftPhotons", "rPhotonEnergy", "rSoftEnergy", "rKS", "rLambda", "rKLM", "rEnergy", "rMissingMomentum",
            "rMissingMass2", "rHardestTrack", "rImbalance", *CLOSURES)
#: Those that a look before the tag learns from: few, since candidates are; with more of ``FALLING`` less is promised.
FALLING = ("rImbalance", *(name for name in CLOSURES if "Left" in name))
TELLING = (*FALLING, *(name for name in CLOSURES if "Ways" in name), "rTracks", "rNearTracks", "rKaons", "rLeptons",
           "rPhotons", "rPhotonEnergy", "rKS", "rKLM", "rEnergy", "rMissingMomentum", "rMissingMass2")


@dataclass(frozen=True)
class Seen:
    """What features are made of: which tracks (n_tracks,) and clusters (n_clusters,) are what.

    ``momentum`` (n_tracks, 3) is at the perigee, in the laboratory (GeV); ``mass`` (n_tracks,) that of what a track is
    taken for. ``near`` are tracks from the interaction point, ``kaon``, ``lepton`` and ``proton`` identified ones.
    ``photon`` are clusters taken for one, ``hard`` those above 0.1 GeV.
    """

    momentum: Array
    mass: Array
    near: NDArray[np.bool_]
    kaon: NDArray[np.bool_]
    lepton: NDArray[np.bool_]
    proton: NDArray[np.bool_]
    photon: NDArray[np.bool_]
    hard: NDArray[np.bool_]


def seen_of(batch: EventBatch) -> Seen:
    """What there is in a batch."""
    tracks, clusters = batch.tracks, batch.clusters
    helix = tracks["helix"]
    logl = tracks["pid_logl"][:, :5].astype(np.float64)
    likely = np.exp(logl - logl.max(axis=1, keepdims=True, initial=-np.inf))
    likely /= likely.sum(axis=1, keepdims=True)
    photon = (clusters["is_photon"] != 0) & (clusters["is_track"] == 0)
    return Seen(_momenta(helix, batch.events["bz"].astype(np.float64)[tracks.event_index]),
                _MASSES[np.argmax(likely, axis=1)] if len(likely) else np.zeros(0),
                (np.abs(helix[:, 0]) < _NEAR_D0) & (np.abs(helix[:, 3]) < _NEAR_Z0), _is(likely, _KAON),
                _is(likely, _ELECTRON) | _is(likely, _MUON), _is(likely, _PROTON), photon,
                photon & (clusters["E"] > _LEAST_ENERGY))


def recorded_features(batch: EventBatch, seen: Seen | None = None) -> Array:
    """Features (n_events, len(RECORDED)) of a batch."""
    n, tracks, clusters = batch.n_events, batch.tracks, batch.clusters
    seen = seen or seen_of(batch)
    out = np.zeros((n, len(RECORDED)))
    at = {name: i for i, name in enumerate(RECORDED)}

    def fill(name: str, event: NDArray[np.int64], values: NDArray | None = None) -> None:
        out[:, at[name]] = np.bincount(event, values, minlength=n)

    event, near = tracks.event_index, seen.near
    charge = tracks["charge"].astype(np.float64)
    for name, rows in (("rTracks", slice(None)), ("rNearTracks", near), ("rKaons", near & seen.kaon),
                       ("rLeptons", near & seen.lepton), ("rProtons", near & seen.proton)):
        fill(name, event[rows])
    fill("rCharge", event, charge)
    fill("rNearCharge", event[near], charge[near])
    out[:, at["rImbalance"]] = np.abs(out[:, at["rNearCharge"]])
    energy, where = clusters["E"].astype(np.float64), clusters.event_index
    hard, soft = seen.hard, seen.photon & (energy > SOFT_ENERGY)
    fill("rPhotons", where[hard])
    fill("rSoftPhotons", where[soft])
    fill("rPhotonEnergy", where[hard], energy[hard])
    fill("rSoftEnergy", where[soft], energy[soft])
    fill("rKS", batch.v0s.event_index[batch.v0s["pdg"] == 310])
    fill("rLambda", batch.v0s.event_index[np.abs(batch.v0s["pdg"]) == 3122])
    fill("rKLM", batch.klm.event_index)
    total = _total(seen.momentum[near], seen.mass[near], event[near], clusters, hard, n)
    out[:, [at["rEnergy"], at["rMissingMomentum"], at["rMissingMass2"]]] = _missing(total, batch.events["beam_p4"])
    out[:, at[CLOSURES[0]]:] = _closures(batch, near, seen.momentum, seen.mass, charge, seen.kaon, hard)
    np.maximum.at(out[:, at["rHardestTrack"]], event[near], np.linalg.norm(seen.momentum[near], axis=1))
    return out


def _closures(batch: EventBatch, near: NDArray[np.bool_], momentum: Array, mass: Array, charge: Array,
              kaon: NDArray[np.bool_], hard: NDArray[np.bool_]) -> Array:
    """Features (n_events, len(CLOSURES)) of the ways to part tracks (``near``) and photons (``hard``)."""
    beam = batch.events["beam_p4"]
    where = batch.tracks.event_index[near]
    tracks = np.column_stack([momentum[near], np.sqrt(np.sum(momentum[near] ** 2, axis=1) + mass[near] ** 2)])
    photons, event = photons_of(batch.clusters, hard)
    order = np.lexsort((-photons[:, 3], event))
    photons, event = photons[order], event[order]
    turned = beam * np.array([-1.0, -1.0, -1.0, 1.0])
    half = 0.5 * np.sqrt(beam[0, 3] ** 2 - np.sum(beam[0, :3] ** 2))
    out = np.empty((batch.n_events, 2, SIDES, 2))
    kernels.closures(offsets_of(np.bincount(where, minlength=batch.n_events)), boost(tracks, turned[where]),
                     charge[near], kaon[near].astype(np.int64),
                     offsets_of(np.bincount(event, minlength=batch.n_events)), boost(photons, turned[event]), half,
                     _DELTA_E, _MOMENTUM, out)
    return out.reshape(batch.n_events, len(CLOSURES))


def photons_of(clusters: Jagged, hard: NDArray[np.bool_]) -> tuple[Array, NDArray[np.int64]]:
    """Four-momenta (n, 4) in the laboratory of photons from the origin, and their events."""
    theta, phi, energy, where = (np.asarray(values, dtype=np.float64)[hard] for values in (
        clusters["theta"], clusters["phi"], clusters["E"], clusters.event_index))
    p4 = energy[:, None] * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta),
                                     np.ones(len(theta))], axis=1)
    return p4, where.astype(np.int64)


def _is(likely: Array, species: int) -> NDArray[np.bool_]:
    return np.asarray(likely[:, species] > _IDENTIFIED)


def _momenta(helix: Array, bz: Array) -> Array:
    """Momenta (n, 3), GeV, of helices at their perigees."""
    pt = np.abs(bz) * SPEED_OF_LIGHT * 1e-4 / np.maximum(np.abs(helix[:, 2]), 1e-9)
    return np.stack([pt * np.cos(helix[:, 1]), pt * np.sin(helix[:, 1]), pt * helix[:, 4]], axis=1)


def _total(momentum: Array, mass: Array, event: NDArray[np.int64], clusters: Jagged, hard: NDArray[np.bool_],
           n: int) -> Array:
    """Four-momentum (n, 4) in the laboratory of tracks and photons."""
    photons, where = photons_of(clusters, hard)
    own = np.column_stack([momentum, np.sqrt(np.sum(momentum**2, axis=1) + mass**2)])
    return np.stack([np.bincount(event, own[:, k], minlength=n)
                     + np.bincount(where, photons[:, k], minlength=n) for k in range(4)], axis=1)


def _missing(total: Array, beam: Array) -> Array:
    """Energy seen, missing momentum (both centre-of-mass frame) and missing mass squared, (n, 3)."""
    root = np.sqrt(beam[:, 3] ** 2 - np.sum(beam[:, :3] ** 2, axis=1))
    energy = (beam[:, 3] * total[:, 3] - np.sum(beam[:, :3] * total[:, :3], axis=1)) / root
    missing = beam - total
    mass2 = missing[:, 3] ** 2 - np.sum(missing[:, :3] ** 2, axis=1)
    return np.stack([energy, np.sqrt(np.maximum((root - energy) ** 2 - mass2, 0.0)), mass2], axis=1)
