"""Control events: what a particle's candidates use is taken out of the event, as if it had not been seen.

B -> Xs J/psi without the leptons of the J/psi looks like B -> Xs nu nubar (arXiv:2511.10980), B+ -> K+ J/psi like
B+ -> K+ nu nubar (arXiv:2311.14647).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.pairs import best_rows
from fei_lite.channels import ChannelSet
from fei_lite.errors import FeiLiteError
from fei_lite.events import EventBatch, Jagged, offsets_of
from fei_lite.reconstruction.engine import NoClassifiers, ReconstructionOptions, reconstruct
from fei_lite.used_objects import OBJECT_LISTS, everything, first_bit, words_to_unpacked


def without_particle(batch: EventBatch, channel_set: ChannelSet, particle: str, *, by: str = "abs(dM)",
                     highest: bool = False) -> EventBatch:
    """The events that have a candidate of ``particle``, without the objects of the best one.

    The set needs no classifiers. The best is that with the lowest (``highest``) value of the variable ``by``. Raises
    :class:`FeiLiteError` for a set that does not make the particle.
    """
    name = channel_set.resolve(particle)
    if name is None:
        raise FeiLiteError(f"channel set '{channel_set.name}' makes no '{particle}'.")
    result = reconstruct(batch, channel_set, NoClassifiers(), options=ReconstructionOptions(with_truth=False))
    rows = best_rows(result, name, by, highest=highest)
    table = result.tables[name]
    event = table.event_index[rows]
    used = np.zeros_like(everything(batch))
    used[event] = table["used"][rows]
    return without_objects(batch, used).select(event)


def without_objects(batch: EventBatch, used: NDArray[np.uint64]) -> EventBatch:
    """The batch without the tracks, clusters and K_L clusters of the bit sets ``used`` (n_events, n_words).

    V0s of a track that goes leave with it. A track takes the clusters of its own along where truth knows them
    (matched to the same particle); else they stay, as clusters of a track. Distances of clusters to the nearest track
    stay what they were. Generated particles stay: nothing is matched to them any more.
    """
    going = {kind: _chosen(batch, used, kind) for kind in OBJECT_LISTS}
    going["clusters"] |= _clusters_of_tracks(batch, going["tracks"])
    lists = {kind: _without(getattr(batch, kind), gone) for kind, gone in going.items()}
    return EventBatch(batch.events, lists["tracks"], lists["clusters"], lists["klm"],
                      _v0s(batch, going["tracks"]), batch.generated, source=batch.source, start=batch.start)


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
