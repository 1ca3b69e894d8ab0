"""How a tag candidate lies in space, and how the tracks and clusters that it uses do.

A B nearly at rest decays the same in all directions, and the Upsilon(4S) sends it
along the beams rarely; what quarks of the continuum pretend to be a B keeps the
shape of their jets. Only the candidate's own objects count, never the rest of the event.

============  ==============================================================================
absCosTheta   abs(cos) of the candidate's polar angle
cosTBz        abs(cos) of the angle between the thrust axis of its objects and the z axis
thrustBm      their thrust, 1/2..1
R2Tag         the ratio H2/H0 of their Fox-Wolfram moments
============  ==============================================================================

All in the frame of e+e-, whose axis is taken as z (it is 6 mrad from it). Tracks have the
momentum of their perigee and the pion's mass, which only the boost feels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.event_shape import Momenta, cos_between, fox_wolfram, fox_wolfram_ratios, thrust
from fei_lite.events import EventBatch, offsets_of
from fei_lite.reconstruction.final_state import photon_momenta, track_candidates
from fei_lite.reconstruction.frames import to_cms
from fei_lite.used_objects import object_indices

Floats = NDArray[np.float64]

SHAPE = ("absCosTheta", "cosTBz", "thrustBm", "R2Tag")


def tag_shape(tags: CandidateTable, batch: EventBatch) -> dict[str, Floats]:
    """:data:`SHAPE` of tag candidates, each (n,); only ``p4`` and ``used`` of the table are used."""
    event = tags.event_index
    own = to_cms(tags["p4"], batch.events["beam_p4"][event])
    momenta = objects_cms(tags["used"], event, batch)
    axis, value = thrust(momenta)
    return {"absCosTheta": np.abs(own[:, 2]) / np.linalg.norm(own[:, :3], axis=1),
            "cosTBz": cos_between(axis, (0.0, 0.0, 1.0)), "thrustBm": value,
            "R2Tag": fox_wolfram_ratios(fox_wolfram(momenta, l_max=2))[:, 2]}


def objects_cms(used: NDArray[np.uint64], event: NDArray[np.integer], batch: EventBatch) -> Momenta:
    """The tracks and photons of bit sets (n, words) in the frame of e+e-, one row per set."""
    of_track, of_cluster = batch.derived("reconstruction.tag_shape", _momenta)
    rows, p4 = [], []
    for kind, objects, values in (("tracks", batch.tracks, of_track), ("clusters", batch.clusters, of_cluster)):
        offsets, index = object_indices(batch, used, event, kind)
        row = np.repeat(np.arange(len(used)), np.diff(offsets))
        rows.append(row)
        p4.append(to_cms(values[objects.offsets[event[row]] + index], batch.events["beam_p4"][event[row]]))
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    return Momenta(offsets_of(np.bincount(row, minlength=len(used))), np.concatenate(p4)[order],
                   np.zeros(len(row), dtype=np.int8))


def _momenta(batch: EventBatch) -> tuple[Floats, Floats]:
    """Four-momenta of all tracks and clusters of a batch."""
    return track_candidates("pi+", batch)["p4"], photon_momenta(batch)
