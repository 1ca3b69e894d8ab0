"""Final-state particles: the leaves of the decay graph, from tracks, clusters and V0s."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ParticleConfig
from fei_lite.constants import PID_HYPOTHESES
from fei_lite.errors import UnknownNameError
from fei_lite.events import EventBatch, offsets_of
from fei_lite.particles import is_self_conjugate, mass, pdg_code, v0_daughters
from fei_lite.reconstruction.frames import invariant_mass
from fei_lite.reconstruction.kinematics import photon_kinematics, track_kinematics
from fei_lite.reconstruction.ranking import concatenate_tables
from fei_lite.reconstruction.vertexing import fit_vertices
from fei_lite.used_objects import object_bits
from fei_lite.variables.subject import Subject

_CHARGED = {abs(pdg_code(name)) for name in PID_HYPOTHESES[:5]}


def leaf_kind(channel: Channel) -> str:
    """The list that a leaf channel is made from: ``"track"``, ``"cluster"``, ``"v0"`` or ``"btag"``."""
    if channel.leaf in ("V0", "Btag"):
        return channel.leaf.lower()
    code = abs(pdg_code(channel.particle))
    if code == 22:
        return "cluster"
    if code in _CHARGED:
        return "track"
    raise UnknownNameError(f"channel {channel.identifier}: no list of the event holds '{channel.particle}'.")


def leaf_candidates(channel: Channel, config: ParticleConfig, *, batch: EventBatch,
                    btags: Mapping[str, CandidateTable] | None = None) -> CandidateTable:
    """All candidates of a leaf channel that pass its cuts, not yet ranked; ``btags`` are those of the batch."""
    kind = leaf_kind(channel)
    if kind == "btag":
        table = given_candidates(channel, btags or {})
    else:
        make = {"track": track_candidates, "cluster": photon_candidates, "v0": v0_candidates}[kind]
        table = make(config.name, batch)
    table.columns["decayModeID"] = np.full(len(table), channel.index, dtype=np.int16)
    return table.select(channel.cuts.passes(Subject(table, batch=batch)))


def track_candidates(name: str, batch: EventBatch) -> CandidateTable:
    """Every track as a candidate of a charged final-state particle.

    Momentum and position are those of the perigee to the origin; chiProb is
    the p-value of the track fit; sign is +1 for the charge of ``name``.
    """
    tracks = batch.tracks
    bz = batch.events["bz"][tracks.event_index]
    p4, vertex, cov = track_kinematics(tracks["helix"], tracks["helix_cov"], bz, mass(name))
    n = len(tracks)
    return CandidateTable(name, tracks.offsets, {
        "sign": tracks["charge"].astype(np.int8), "p4": p4, "vertex": vertex, "cov": cov,
        "used": object_bits(batch, "tracks", np.arange(n)),
        "object": np.arange(n, dtype=np.int32), "M": np.full(n, mass(name)),
        "chiProb": tracks["p_value"].astype(np.float64), "daughters": np.empty((n, 0), dtype=np.int32),
    })


def photon_candidates(name: str, batch: EventBatch) -> CandidateTable:
    """Neutral clusters with the photon hypothesis, pointing back to the interaction point."""
    clusters = batch.clusters
    rows, p4, vertex, cov = batch.derived("reconstruction.photons", _photons)
    keep = np.zeros(len(clusters), dtype=bool)
    keep[rows] = True
    n = len(rows)
    return CandidateTable(name, offsets_of(keep)[clusters.offsets], {
        "sign": np.ones(n, dtype=np.int8), "p4": p4, "vertex": vertex, "cov": cov,
        "used": object_bits(batch, "clusters", rows), "object": rows.astype(np.int32),
        "M": np.zeros(n), "chiProb": np.full(n, np.nan), "daughters": np.empty((n, 0), dtype=np.int32),
    })


def photon_momenta(batch: EventBatch) -> NDArray[np.float64]:
    """Four-momenta (n clusters, 4) of the clusters, as :func:`photon_candidates` has them; NaN of no photons."""
    rows, p4, _, _ = batch.derived("reconstruction.photons", _photons)
    out = np.full((len(batch.clusters), 4), np.nan)
    out[rows] = p4
    return out


def _photons(batch: EventBatch) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64],
                                         NDArray[np.float64]]:
    """Rows of the clusters that are photons, their four-momenta, vertices and covariances."""
    clusters = batch.clusters
    rows = np.flatnonzero((clusters["is_track"] == 0) & (clusters["is_photon"] == 1))
    event = clusters.event_index[rows]
    errors = np.stack([clusters[c][rows] for c in ("E_error", "theta_error", "phi_error")], axis=1)
    return rows, *photon_kinematics(
        clusters["E"][rows].astype(np.float64), clusters["theta"][rows].astype(np.float64),
        clusters["phi"][rows].astype(np.float64), clusters["r"][rows].astype(np.float64),
        errors.astype(np.float64), batch.events["ip"][event])


def given_candidates(channel: Channel, btags: Mapping[str, CandidateTable]) -> CandidateTable:
    """Btags of another reconstruction of the batch as candidates; ``object`` is the row in the table given.

    Raises :class:`UnknownNameError` if the list was not given.
    """
    name = channel.daughters[0].partition(":")[0]
    if name not in btags:
        raise UnknownNameError(f"channel {channel.identifier}: it needs the Btags '{name}' of the batch: "
                               f"reconstruct(..., btags=tables), got {', '.join(btags) or 'none'}.")
    table = btags[name]
    n = len(table)
    left_out = ("preCut_rank", "postCut_rank", "decayModeID", "isSignal")
    columns = {key: values for key, values in table.columns.items() if key not in left_out}
    columns |= {"object": np.arange(n, dtype=np.int32), "daughters": np.empty((n, 0), dtype=np.int32)}
    return CandidateTable(channel.particle, table.offsets, columns)


def _v0_tracks(batch: EventBatch, rows: NDArray[np.int64], name: str, side: str) -> CandidateTable:
    """The positive or negative tracks of V0s as a daughter table, row for row."""
    v0s = batch.v0s
    event = v0s.event_index[rows]
    p4, vertex, cov = track_kinematics(v0s[f"{side}_helix"][rows], v0s[f"{side}_cov"][rows],
                                       batch.events["bz"][event], mass(name))
    n = len(rows)
    index = v0s[f"{side}_index"][rows] + batch.tracks.offsets[event]
    counts = np.bincount(event, minlength=batch.n_events)
    return CandidateTable(name, offsets_of(counts), {
        "sign": np.full(n, 1 if side == "positive" else -1, dtype=np.int8), "p4": p4, "vertex": vertex,
        "cov": cov, "used": object_bits(batch, "tracks", index), "object": index.astype(np.int32),
        "M": np.full(n, mass(name)), "chiProb": np.full(n, np.nan),
    })


def v0_candidates(name: str, batch: EventBatch) -> CandidateTable:
    """V0s of the hypothesis ``name`` (K_S0, Lambda0, gamma), vertex-fitted.

    Column ``v0_p4`` (n, 2, 4) and ``v0_vertex`` (n, 2, 3) hold the two tracks,
    the positive one first; of an anti-Lambda0, conjugate, the negative one.
    """
    code = pdg_code(name)
    signs = (1,) if is_self_conjugate(code) else (1, -1)
    parts = []
    for sign in signs:
        rows = np.flatnonzero(batch.v0s["pdg"] == sign * code)
        sides = ("positive", "negative")[::sign]
        pair = [_v0_tracks(batch, rows, daughter, side)
                for daughter, side in zip(v0_daughters(name), sides, strict=True)]
        n = len(rows)
        table = CandidateTable(name, pair[0].offsets, {
            "sign": np.full(n, sign, dtype=np.int8),
            "daughters": np.tile(np.arange(n, dtype=np.int32)[:, None], (1, 2)),
            "used": pair[0]["used"] | pair[1]["used"], "object": rows.astype(np.int32),
        })
        fit = fit_vertices(table, pair, batch)
        table.columns |= {
            "p4": fit.p4, "vertex": fit.vertex, "cov": fit.cov, "chiProb": fit.chiProb,
            "M": invariant_mass(fit.p4), "daughters": np.empty((n, 0), dtype=np.int32),
            "v0_p4": np.stack([t["p4"] for t in pair], axis=1),
            "v0_vertex": np.stack([t["vertex"] for t in pair], axis=1),
        }
        parts.append(table)
    return parts[0] if len(parts) == 1 else concatenate_tables(parts)
