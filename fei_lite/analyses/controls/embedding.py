"""Control events: what a particle's candidates use is taken out of the event, as if it had not been seen.

B -> Xs J/psi without the leptons of the J/psi looks like B -> Xs nu nubar (arXiv:2511.10980), B+ -> K+ J/psi like
B+ -> K+ nu nubar (arXiv:2311.14647) once its kaon has the momentum of a signal kaon
(:mod:`fei_lite.analyses.controls.replacement`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.pairs import best_rows
from fei_lite.channels import ChannelSet
from fei_lite.detector.clusters import track_distance
from fei_lite.detector.response import Response, default_response
from fei_lite.errors import FeiLiteError, nearest
from fei_lite.events import EventBatch, Jagged, offsets_of
from fei_lite.reconstruction.engine import NoClassifiers, ReconstructionOptions, reconstruct
from fei_lite.used_objects import OBJECT_LISTS, everything, first_bit, words_to_unpacked


@dataclass(frozen=True)
class Found:
    """The best candidate of a particle in n events: ``event`` rises, ``used`` (n, n_words) is what it is made of.

    ``sign`` (n,) is +1 as named, -1 conjugate, 0 both; ``p4`` (n, 4) GeV and ``vertex`` (n, 3) cm in the laboratory.
    """

    event: NDArray[np.int64]
    used: NDArray[np.uint64] = field(repr=False)
    sign: NDArray[np.int8] = field(repr=False)
    p4: NDArray[np.float64] = field(repr=False)
    vertex: NDArray[np.float64] = field(repr=False)


def find_particle(batch: EventBatch, channel_set: ChannelSet, particle: str, *, by: str = "abs(dM)",
                  highest: bool = False) -> Found:
    """Of events with a ``particle`` the candidate with the lowest (``highest``) value of the variable ``by``.

    The set needs no classifiers. Raises :class:`FeiLiteError` for a set that does not make the particle.
    """
    name = channel_set.resolve(particle)
    if name is None:
        raise FeiLiteError(f"channel set '{channel_set.name}' makes no '{particle}'."
                           f"{nearest(particle, channel_set.particles)}")
    result = reconstruct(batch, channel_set, NoClassifiers(), options=ReconstructionOptions(with_truth=False))
    rows = best_rows(result, name, by, highest=highest)
    table = result.tables[name]
    return Found(table.event_index[rows], *(table[column][rows] for column in ("used", "sign", "p4", "vertex")))


def without_particle(batch: EventBatch, channel_set: ChannelSet, particle: str, *, by: str = "abs(dM)",
                     highest: bool = False) -> EventBatch:
    """The events that have a candidate of ``particle``, without the objects of the best one (:func:`find_particle`)."""
    return without_found(batch, find_particle(batch, channel_set, particle, by=by, highest=highest))


def without_found(batch: EventBatch, found: Found) -> EventBatch:
    """The events of some candidates, without what these are made of."""
    used = np.zeros_like(everything(batch))
    used[found.event] = found.used
    return without_objects(batch, used).select(found.event)


def without_objects(batch: EventBatch, used: NDArray[np.uint64]) -> EventBatch:
    """The batch without the tracks, clusters and K_L clusters of the bit sets ``used`` (n_events, n_words).

    V0s of a track that goes leave with it. A track takes the clusters of its own along where truth knows them
    (matched to the same particle); else they stay, as clusters of a track. Distances of clusters to the nearest track
    stay what they were (:func:`with_track_distances`). Generated particles stay: nothing is matched to them any more.
    """
    going = {kind: _chosen(batch, used, kind) for kind in OBJECT_LISTS}
    going["clusters"] |= _clusters_of_tracks(batch, going["tracks"])
    lists = {kind: _without(getattr(batch, kind), gone) for kind, gone in going.items()}
    return EventBatch(batch.events, lists["tracks"], lists["clusters"], lists["klm"],
                      _v0s(batch, going["tracks"]), batch.generated, source=batch.source, start=batch.start)


def with_track_distances(batch: EventBatch, response: Response | None = None) -> EventBatch:
    """The batch with the distances of clusters to the nearest of the tracks that it has now, as simulation has them.

    Photons near a track that went are photons again for a mask that asks for a distance.
    """
    distance = track_distance(batch.clusters, batch.tracks["helix"], batch.tracks.event_index,
                              response or default_response())
    columns = {**batch.clusters.columns, "min_track_distance": distance}
    return replace(batch, clusters=Jagged(batch.clusters.offsets, columns))


def _chosen(batch: EventBatch, used: NDArray[np.uint64], kind: str) -> NDArray[np.bool_]:
    """Which objects of a list are in the sets of their events."""
    objects = getattr(batch, kind)
    event = objects.event_index
    bit = first_bit(batch, kind)[event] + np.arange(len(objects)) - objects.offsets[event]
    return np.asarray(words_to_unpacked(used)[event, bit])


def _clusters_of_tracks(batch: EventBatch, going: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Clusters that are matched to a track and made by the particle of a track that goes."""
    clusters, tracks = batch.clusters, batch.tracks
    here = going & (tracks["mc_index"] >= 0)
    step = int(max(tracks["mc_index"].max(initial=0), clusters["mc_index"].max(initial=0))) + 1
    keys = tracks.event_index[here] * step + tracks["mc_index"][here]
    own = clusters.event_index * step + clusters["mc_index"]
    return np.asarray((clusters["is_track"] == 1) & (clusters["mc_index"] >= 0) & np.isin(own, keys))


def _without(objects: Jagged, going: NDArray[np.bool_]) -> Jagged:
    counts = np.bincount(objects.event_index[~going], minlength=len(objects.counts))
    return Jagged(offsets_of(counts), {name: values[~going] for name, values in objects.columns.items()})


def _v0s(batch: EventBatch, going: NDArray[np.bool_]) -> Jagged:
    """V0s of tracks that stay, which are numbered anew."""
    v0s, first = batch.v0s, batch.tracks.offsets[:-1][batch.v0s.event_index]
    before = np.concatenate([[0], np.cumsum(going)])  # tracks that go, before each row
    gone = np.zeros(len(v0s), dtype=bool)
    columns = dict(v0s.columns)
    for side in ("positive_index", "negative_index"):
        row = first + v0s[side]
        gone |= going[row]
        columns[side] = (v0s[side] - (before[row] - before[first])).astype(v0s[side].dtype)
    return _without(Jagged(v0s.offsets, columns), gone)
