"""Which candidates are tracks, where candidates are seen from the interaction point, and the two tracks of a V0."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.constants import PID_HYPOTHESES
from fei_lite.events import EventBatch, offsets_of
from fei_lite.particles import mass, pdg_code, v0_daughters
from fei_lite.reconstruction.kinematics import perigee, track_kinematics


@cache
def _track_codes() -> frozenset[int]:
    return frozenset(abs(pdg_code(name)) for name in PID_HYPOTHESES)


def is_track(particle: str) -> bool:
    """Whether a particle is a track.

    >>> is_track("pi+:mine"), is_track("gamma")
    (True, False)
    """
    return abs(pdg_code(particle)) in _track_codes()


def places(table: CandidateTable, batch: EventBatch) -> NDArray[np.float64]:
    """Vertices relative to the interaction point; of tracks their perigee to it, (n, 3)."""
    ip = batch.events["ip"].take(table.event_index, axis=0)
    if is_track(table.particle):
        helix = table["helix"] if "helix" in table.columns else batch.tracks["helix"].take(table["object"], axis=0)
        moved = perigee(helix, ip)
        return np.stack([moved[:, 0] * np.sin(moved[:, 1]), -moved[:, 0] * np.cos(moved[:, 1]), moved[:, 3]], axis=1)
    return np.asarray(table["vertex"] - ip)


def v0_track(particle: str, rows: NDArray[Any], sign: NDArray[Any], event: NDArray[np.int64], batch: EventBatch, *,
             which: int) -> CandidateTable:
    """The first or second track of V0s (``rows`` of the batch's list) as a table, row for row.

    Those of an anti-Lambda0 (``sign`` -1) are anti-p- and pi+, in this order. They have neither rank nor classifier.
    """
    n, v0s = len(rows), batch.v0s
    name = v0_daughters(particle)[which]
    positive = (sign >= 0) == (which == 0)

    def of(column: str) -> NDArray[Any]:
        first, second = v0s[f"positive_{column}"][rows], v0s[f"negative_{column}"][rows]
        return np.asarray(np.where(positive.reshape(-1, *[1] * (first.ndim - 1)), first, second))

    helix = of("helix")
    p4, vertex, cov = track_kinematics(helix, of("cov"), batch.events["bz"][event], mass(name))
    nan = np.full(n, np.nan)
    counts = np.bincount(event, minlength=batch.n_events)
    return CandidateTable(name, offsets_of(counts), {
        "sign": np.where(positive, 1, -1).astype(np.int8), "p4": p4, "vertex": vertex, "cov": cov, "helix": helix,
        "object": (of("index") + batch.tracks.offsets[event]).astype(np.int32), "M": np.full(n, mass(name)),
        "chiProb": nan, "SignalProbability": nan, "preCut_rank": nan, "decayModeID": nan,
        "daughters": np.empty((n, 0), np.int32)})
