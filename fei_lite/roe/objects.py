"""The objects that can be in a rest of the event: once per batch and mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.constants import PID_HYPOTHESES
from fei_lite.events import EventBatch, offsets_of
from fei_lite.particles import is_self_conjugate, mass, v0_daughters
from fei_lite.reconstruction.final_state import photon_candidates, track_candidates, v0_candidates
from fei_lite.reconstruction.frames import invariant_mass
from fei_lite.reconstruction.ranking import concatenate_tables, drop_duplicates
from fei_lite.reconstruction.vertexing import fit_vertices
from fei_lite.roe.masks import Mask, find_mask
from fei_lite.variables.cuts import Cut
from fei_lite.variables.subject import Subject

#: Hypotheses that a track of the rest may have; the deuteron is left out.
_HYPOTHESES = PID_HYPOTHESES[:5]
_PION = _HYPOTHESES.index("pi+")

#: Composites that are counted in the rest.
COMPOSITES = ("K_S0", "pi0", "Lambda0")

#: Distance from the nominal mass, before the fit, beyond which a pair of tracks is not fitted, GeV (assumed;
#: flights that shift it further are those of V0s).
_FIT_WINDOW = 0.03


@dataclass(frozen=True)
class MaskedObjects:
    """Tracks, photons and composites of a batch that pass a mask, used or not.

    ``tracks`` have the mass of their most likely hypothesis; all four-momenta
    are in the laboratory, GeV. ``composites`` has a table of each particle that
    the mask has cuts for.
    """

    batch: EventBatch
    mask: Mask
    tracks: CandidateTable
    photons: CandidateTable
    composites: dict[str, CandidateTable]


def masked_objects(batch: EventBatch, mask: str | Mask = "all") -> MaskedObjects:
    """The objects of every event that pass ``mask`` (a name or a mask)."""
    mask = find_mask(mask)
    tracks, photons = likely_tracks(batch), photon_candidates("gamma", batch)
    tracks = tracks.select(inside(tracks, mask.cuts.get("tracks"), batch))
    photons = photons.select(inside(photons, mask.cuts.get("photons"), batch))
    composites = {}
    for name in COMPOSITES:
        if name in mask.cuts:
            table = photon_pairs(photons) if name == "pi0" else displaced_pairs(name, batch)
            composites[name] = table.select(inside(table, mask.cuts[name], batch))
    return MaskedObjects(batch, mask, tracks, photons, composites)


def inside(table: CandidateTable, cut: Cut | None, batch: EventBatch) -> NDArray[np.bool_]:
    """Which candidates pass the cut of a mask, (n,); NaN fails."""
    return np.ones(len(table), dtype=bool) if cut is None else cut.passes(Subject(table, batch=batch))


def likely_tracks(batch: EventBatch) -> CandidateTable:
    """Every track with the mass of its most likely hypothesis of e, mu, pi, K, p.

    The likelihoods have equal weights; the pion wins ties and stands in where
    there is none. basf2 builds its rest of the event alike (mostlikely lists).
    """
    table = track_candidates("pi+", batch)
    logl = np.nan_to_num(batch.tracks["pid_logl"][:, : len(_HYPOTHESES)].astype(np.float64), nan=-np.inf)
    best = np.argmax(logl, axis=1)
    best = np.where(logl[:, _PION] >= logl.max(axis=1, initial=-np.inf), _PION, best)
    masses = np.array([mass(name) for name in _HYPOTHESES])[best]
    table.columns["M"] = masses
    table.columns["p4"][:, 3] = np.sqrt(np.sum(table["p4"][:, :3] ** 2, axis=1) + masses**2)
    return table


def photon_pairs(photons: CandidateTable) -> CandidateTable:
    """All pairs of photons of an event as unfitted pi0 candidates."""
    first, second = _pairs(photons.offsets)
    p4 = photons["p4"][first] + photons["p4"][second]
    counts = np.diff(photons.offsets)
    offsets = offsets_of(counts * (counts - 1) // 2)
    return CandidateTable("pi0", offsets, {
        "sign": np.ones(len(p4), np.int8), "p4": p4, "M": invariant_mass(p4),
        "used": photons["used"][first] | photons["used"][second],
        "object": np.full(len(p4), -1, np.int32),
        "daughters": np.stack([first, second], axis=1).astype(np.int32),
    })


def displaced_pairs(name: str, batch: EventBatch) -> CandidateTable:
    """K_S0 or Lambda0: the V0s of the event, and vertex-fitted pairs of tracks that are no V0.

    The V0 list misses decays inside the beam pipe. No pair of tracks stands
    twice for one conjugate. Alike: the merged lists of basf2.
    """
    signs = (1,) if is_self_conjugate(name) else (1, -1)
    tables = [v0_candidates(name, batch), *(_track_pairs(name, batch, sign) for sign in signs)]
    merged = concatenate_tables(tables)
    return drop_duplicates(merged, np.where(merged["object"] >= 0, 1.0, 0.0))  # V0s win


def _track_pairs(name: str, batch: EventBatch, sign: int) -> CandidateTable:
    """Vertex-fitted pairs of opposite tracks near the mass of ``name`` (sign -1: of its conjugate)."""
    daughters = [track_candidates(daughter, batch) for daughter in v0_daughters(name)]
    charge = daughters[0]["sign"]
    first, second = _pairs(batch.tracks.offsets)
    opposite = charge[first] * charge[second] < 0
    first, second = first[opposite], second[opposite]
    first, second = np.where(charge[first] == sign, [first, second], [second, first])
    rough = invariant_mass(daughters[0]["p4"][first] + daughters[1]["p4"][second])
    near = np.abs(rough - mass(name)) < _FIT_WINDOW
    first, second = first[near], second[near]
    counts = np.bincount(batch.tracks.event_index[first], minlength=batch.n_events)
    n = len(first)
    table = CandidateTable(name, offsets_of(counts), {
        "sign": np.full(n, sign, np.int8), "used": daughters[0]["used"][first] | daughters[1]["used"][second],
        "object": np.full(n, -1, np.int32), "daughters": np.stack([first, second], axis=1).astype(np.int32),
    })
    fit = fit_vertices(table, daughters, batch)
    table.columns |= {"p4": fit.p4, "vertex": fit.vertex, "cov": fit.cov, "chiProb": fit.chiProb,
                      "M": invariant_mass(fit.p4), "daughters": np.empty((n, 0), np.int32)}
    return table


def _pairs(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of all pairs within each event, the earlier first."""
    counts = np.diff(offsets)
    later = np.repeat(offsets[1:], counts) - np.arange(int(offsets[-1])) - 1  # partners after each row
    first = np.repeat(np.arange(int(offsets[-1])), later)
    return first, np.asarray(first + 1 + _position(later), dtype=np.int64)


def _position(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... within each of the runs of the given lengths, concatenated."""
    ends = np.cumsum(counts)
    return np.asarray(np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts))


def rows_of_events(table: CandidateTable, event: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of ``table`` in the events ``event`` (n,), for each in turn: (position in ``event``, row of table)."""
    counts = np.diff(table.offsets)[event]
    which = np.repeat(np.arange(len(event)), counts)
    return which, np.asarray(table.offsets[event][which] + _position(counts), dtype=np.int64)
