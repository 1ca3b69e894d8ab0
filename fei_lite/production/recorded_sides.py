"""What the detector recorded of each of both B's, as the simulation knows: features of the second look at pairs.

A selection may use the truth. What it chooses by decides how often an event is taken, and the weight makes up for
that; the tag that is made of the event afterwards knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.events import EventBatch, Jagged
from fei_lite.events.schema import STATUS
from fei_lite.generator.beams import boost
from fei_lite.kernels.descent import inherit
from fei_lite.particles import mass
from fei_lite.production.recorded_features import SOFT_ENERGY, Seen, photons_of

Array = NDArray[np.float64]

_CHARGED, _PHOTON, _PION, _K_S, _B_MESONS = (11, 13, 211, 321, 2212), 22, 211, 310, (511, 521)
_FINAL = STATUS["stable"] | STATUS["primary"]

#: Of each B: tracks (all, and near the interaction point, with their charge and what they are taken for), photons and
#: their energy, energy of what is taken for a photon and is none, K_S0, KLM clusters; what it lacks (deltaE) and its
#: momentum if all its tracks and true photons are the tag; charged particles without a track, and the energy of photons
#: without a cluster; the hardest kaon's momentum (laboratory). DeltaE and momentum are in the centre-of-mass frame, all
#: in GeV.
_OF_ONE = ("Tracks", "NearTracks", "NearCharge", "Kaons", "Leptons", "Protons", "Photons", "PhotonEnergy",
           "FalseEnergy", "KS", "KLM", "DeltaE", "Momentum", "LostTracks", "LostEnergy", "HardestKaon")
#: Of neither: what the beams add.
_OF_NONE = ("rNoneTracks", "rNonePhotons", "rNoneEnergy")
#: Features of both B's, the one that is rather the tag first.
OF_SIDES = (*(f"r{side}{name}" for side in ("Tag", "Other") for name in _OF_ONE), *_OF_NONE)
#: Of these, with more of which less is promised.
LACKING = ("rTagLostTracks", "rTagLostEnergy", "rNoneEnergy")


@dataclass(frozen=True)
class _Owners:
    """From which B (0, 1, or -1) each object is: of generated particles, tracks, clusters and KLM clusters (n,)."""

    generated: NDArray[np.int64]
    tracks: NDArray[np.int64]
    clusters: NDArray[np.int64]
    klm: NDArray[np.int64]


def features_of_sides(batch: EventBatch, seen: Seen, tag: NDArray[np.integer]) -> Array:
    """Features (n_events, len(OF_SIDES)) of simulated pairs; ``tag`` (n_events,): which B (0, 1) is rather the tag."""
    owners, n = _owners(batch), batch.n_events
    out = np.zeros((n, len(OF_SIDES)))
    for k in (0, 1):
        of_one = _of_one(batch, seen, owners, k)
        first = np.where(tag == k, 0, len(_OF_ONE))
        for i, name in enumerate(_OF_ONE):
            out[np.arange(n), first + i] = of_one[name]
    event, where = batch.tracks.event_index, batch.clusters.event_index
    nobody = seen.hard & (owners.clusters < 0)
    out[:, -3] = np.bincount(event[seen.near & (owners.tracks < 0)], minlength=n)
    out[:, -2] = np.bincount(where[nobody], minlength=n)
    out[:, -1] = np.bincount(where[nobody], batch.clusters["E"][nobody], minlength=n)
    return out


def _owners(batch: EventBatch) -> _Owners:
    generated = batch.generated
    assert generated is not None
    mesons = (generated["mother"] == 0) & np.isin(np.abs(generated["pdg"]), _B_MESONS)
    root = np.full(len(mesons), -1, dtype=np.int64)
    root[mesons] = np.arange(np.count_nonzero(mesons)) % 2
    inherit(generated.offsets, generated["mother"], root)

    def of(objects: Jagged) -> NDArray[np.int64]:
        row = matched_rows(objects, generated)
        return np.where(row >= 0, root[row], -1)

    return _Owners(root, of(batch.tracks), of(batch.clusters), of(batch.klm))


def _of_one(batch: EventBatch, seen: Seen, owners: _Owners, k: int) -> dict[str, Array]:
    """The numbers (n_events,) of one of both B's, by the names of ``_OF_ONE``."""
    generated, tracks, clusters, v0s = batch.generated, batch.tracks, batch.clusters, batch.v0s
    assert generated is not None
    n, event, where = batch.n_events, tracks.event_index, clusters.event_index
    code, energy = np.abs(generated["pdg"]), clusters["E"].astype(np.float64)

    def count(of: NDArray[np.int64], rows: NDArray[np.bool_], values: Array | None = None) -> Array:
        return np.bincount(of[rows], None if values is None else values[rows], minlength=n).astype(np.float64)

    of_tracks, photons = owners.tracks == k, (owners.clusters == k) & seen.photon
    near, true = seen.near & of_tracks, photons & (code[matched_rows(clusters, generated)] == _PHOTON)
    positive = v0s["positive_index"] + tracks.offsets[:-1][v0s.event_index]
    kaons, hardest = near & seen.kaon, np.zeros(n)
    np.maximum.at(hardest, event[kaons], np.linalg.norm(seen.momentum[kaons], axis=1))
    lacking = (owners.generated == k) & (generated["status"] & _FINAL == _FINAL)
    lacking[matched_rows(tracks, generated)[of_tracks]] = False
    lacking[matched_rows(clusters, generated)[true]] = False
    charged = lacking & np.isin(code, _CHARGED)
    lost = lacking & (code == _PHOTON) & (generated["p4"][:, 3] > SOFT_ENERGY)
    total, beam = _total(batch, seen, of_tracks, true & (energy > SOFT_ENERGY)), batch.events["beam_p4"]
    half = 0.5 * np.sqrt(beam[:, 3] ** 2 - np.sum(beam[:, :3] ** 2, axis=1))
    return {"Tracks": count(event, of_tracks), "NearTracks": count(event, near),
            "NearCharge": count(event, near, tracks["charge"].astype(np.float64)), "Kaons": count(event, kaons),
            "Leptons": count(event, near & seen.lepton), "Protons": count(event, near & seen.proton),
            "Photons": count(where, photons & seen.hard), "PhotonEnergy": count(where, photons & seen.hard, energy),
            "FalseEnergy": count(where, photons & seen.hard & ~true, energy),
            "KS": count(v0s.event_index, (v0s["pdg"] == _K_S) & of_tracks[positive]),
            "KLM": count(batch.klm.event_index, owners.klm == k), "DeltaE": total[:, 3] - half,
            "Momentum": np.linalg.norm(total[:, :3], axis=1), "LostTracks": count(generated.event_index, charged),
            "LostEnergy": count(generated.event_index, lost, generated["p4"][:, 3]), "HardestKaon": hardest}


def matched_rows(objects: Jagged, generated: Jagged) -> NDArray[np.int64]:
    """Rows (n,) of the generated particles of objects, -1 where there is none."""
    index = objects["mc_index"].astype(np.int64)
    return np.where(index >= 0, index + generated.offsets[:-1][objects.event_index], -1)


def _total(batch: EventBatch, seen: Seen, of_tracks: NDArray[np.bool_], of_clusters: NDArray[np.bool_]) -> Array:
    """Four-momenta (n_events, 4), centre-of-mass frame, of tracks (as what they are) and photons of events."""
    generated, n = batch.generated, batch.n_events
    assert generated is not None
    code = np.abs(generated["pdg"][matched_rows(batch.tracks, generated)[of_tracks]])
    masses = np.select([code == known for known in _CHARGED], [mass(known) for known in _CHARGED], mass(_PION))
    momentum = seen.momentum[of_tracks]
    tracks = np.column_stack([momentum, np.sqrt(np.sum(momentum**2, axis=1) + masses**2)])
    photons, where = photons_of(batch.clusters, of_clusters)
    event = batch.tracks.event_index[of_tracks]
    sums = np.stack([np.bincount(event, tracks[:, i], minlength=n) + np.bincount(where, photons[:, i], minlength=n)
                     for i in range(4)], axis=1)
    return boost(sums, batch.events["beam_p4"] * np.array([-1.0, -1.0, -1.0, 1.0]))
