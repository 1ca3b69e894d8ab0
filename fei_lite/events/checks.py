"""Single bad objects of an event are dropped and counted, never passed on.

Both readers end here. A track without a usable helix would turn every fit and
every sum it enters into NaN; an index that points outside its list would let
compiled code read foreign memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch, Jagged, offsets_of

#: Positions of the diagonal in a packed upper triangle of order 5.
_DIAGONAL = (0, 5, 9, 12, 14)


def packed_to_matrix(packed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric (n, 5, 5) matrices from packed upper triangles (n, 15)."""
    i, j = np.triu_indices(5)
    matrix = np.empty((len(packed), 5, 5))
    matrix[:, i, j] = packed
    matrix[:, j, i] = packed
    return matrix


def is_covariance(packed: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether packed 5x5 matrices (n, 15) can be covariances: no direction of negative variance.

    The correlation matrix is eliminated by rows (LDL^T); each pivot must stay
    above -1e-6, which leaves room for matrices stored in single precision.
    NaN is not a covariance.
    """
    diagonal = packed[:, _DIAGONAL]
    good: NDArray[np.bool_] = np.all(diagonal > 0, axis=1) & np.all(np.isfinite(packed), axis=1)
    sigma = np.sqrt(np.where(good[:, None], diagonal, 1.0))
    rest = packed_to_matrix(np.where(good[:, None], packed, 0.0)) / (sigma[:, :, None] * sigma[:, None, :])
    for k in range(5):
        pivot = rest[:, k, k]
        good &= ~(pivot < -1e-6)
        row = rest[:, k, k + 1:]
        scale = np.where(pivot > 1e-12, 1.0 / np.where(pivot > 1e-12, pivot, 1.0), 0.0)
        rest[:, k + 1:, k + 1:] -= scale[:, None, None] * row[:, :, None] * row[:, None, :]
    return good


def select(objects: Jagged, keep: NDArray[np.bool_]) -> tuple[Jagged, NDArray[np.int64]]:
    """The objects of ``keep``, and each old row's new index in its event (-1: dropped)."""
    kept_before = offsets_of(keep)
    offsets = kept_before[objects.offsets]
    new_index = np.where(keep, kept_before[:-1] - offsets[objects.event_index], -1)
    return Jagged(offsets, {name: column[keep] for name, column in objects.columns.items()}), new_index


def _finite(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    finite: NDArray[np.bool_] = np.logical_and.reduce(
        [np.isfinite(c).all(axis=tuple(range(1, c.ndim))) for c in columns])
    return finite


class _Sieve:
    """Collects reasons to drop objects; an object counts for its first reason only."""

    def __init__(self, name: str, size: int, notes: dict[str, int]) -> None:
        self.name, self.keep, self.notes = name, np.ones(size, dtype=bool), notes

    def require(self, good: NDArray[np.bool_], reason: str) -> None:
        lost = int(np.count_nonzero(self.keep & ~good))
        if lost:
            key = f"{self.name} dropped: {reason}"
            self.notes[key] = self.notes.get(key, 0) + lost
        self.keep &= good


def _good_tracks(tracks: Jagged, notes: dict[str, int]) -> NDArray[np.bool_]:
    sieve = _Sieve("tracks", len(tracks), notes)
    omega = tracks["helix"][:, 2]
    sieve.require(_finite(tracks["helix"]), "helix not finite")
    sieve.require(omega != 0, "omega is 0")
    sieve.require(np.abs(tracks["charge"]) == 1, "charge is not +1 or -1")
    sieve.require(omega * tracks["charge"] > 0, "omega contradicts the charge")
    sieve.require(_finite(tracks["helix_cov"]), "covariance not finite")
    sieve.require(is_covariance(tracks["helix_cov"]), "impossible covariance")
    return sieve.keep


def _good_clusters(clusters: Jagged, notes: dict[str, int]) -> NDArray[np.bool_]:
    sieve = _Sieve("clusters", len(clusters), notes)
    sieve.require(_finite(clusters["E"]), "energy not finite")
    sieve.require(clusters["E"] > 0, "energy not positive")
    sieve.require(_finite(*(clusters[c] for c in ("theta", "phi", "r"))), "position not finite")
    errors = [clusters[c] for c in ("E_error", "theta_error", "phi_error")]
    other = clusters["is_photon"] == 0  # Belle II determines the errors of photons only
    sieve.require(_finite(*errors) | other, "errors not finite")
    sieve.require(~np.logical_or.reduce([e < 0 for e in errors]), "negative errors")
    return sieve.keep


def _clean_v0s(v0s: Jagged, n_tracks: NDArray[np.int64], new_track: NDArray[np.int64],
               notes: dict[str, int]) -> Jagged:
    sieve = _Sieve("v0s", len(v0s), notes)
    event = v0s.event_index
    first = offsets_of(n_tracks)[event]
    renamed: dict[str, NDArray[Any]] = {}
    for side in ("positive", "negative"):
        index = v0s[f"{side}_index"].astype(np.int64)
        inside = (index >= 0) & (index < n_tracks[event])
        sieve.require(inside, "track index outside the event's tracks")
        renamed[f"{side}_index"] = np.full(len(v0s), -1, dtype=np.int32)
        renamed[f"{side}_index"][inside] = new_track[(first + index)[inside]]
        sieve.require(renamed[f"{side}_index"] >= 0, "a track of it was dropped")
    for side, sign in (("positive", 1), ("negative", -1)):
        helix, cov = v0s[f"{side}_helix"], v0s[f"{side}_cov"]
        sieve.require(_finite(helix, cov), "helix or covariance not finite")
        sieve.require(helix[:, 2] * sign > 0, "omega contradicts the charge")
        sieve.require(is_covariance(cov), "impossible covariance")
    return select(Jagged(v0s.offsets, {**v0s.columns, **renamed}), sieve.keep)[0]


def _inside(objects: Jagged, column: str, limit: NDArray[np.int64], what: str, notes: dict[str, int]) -> Jagged:
    """Index column with every value outside -1 .. limit - 1 set to -1 and counted."""
    index = objects[column]
    bad = (index < -1) | (index >= limit[objects.event_index])
    if not bad.any():
        return objects
    if limit.any():  # without any truth in the batch there is nothing odd to count
        notes[what] = notes.get(what, 0) + int(np.count_nonzero(bad))
    return Jagged(objects.offsets, {**objects.columns, column: np.where(bad, -1, index).astype(index.dtype)})


def _without_cycles(generated: Jagged, notes: dict[str, int]) -> Jagged:
    """Mothers of particles that descend from themselves set to -1, so that walks up the tree end."""
    mother = generated["mother"].astype(np.int64)
    own = np.arange(len(generated)) - generated.offsets[generated.event_index]
    if not (mother >= own).any():
        return generated  # each mother stands before its daughters
    first = generated.offsets[generated.event_index]
    ancestor = np.where(mother >= 0, first + mother, -1)
    for _ in range(int(generated.counts.max(initial=1)).bit_length() + 1):
        ancestor = np.where(ancestor >= 0, ancestor[ancestor], -1)  # twice as far up each time
    bad = ancestor >= 0
    if not bad.any():
        return generated
    notes["generated: mother chain is a cycle"] = int(np.count_nonzero(bad))
    return Jagged(generated.offsets, {**generated.columns, "mother": np.where(bad, -1, mother).astype(np.int32)})


#: A larger event weight (in absolute value) is an error: beside it the others would be lost in every sum.
LARGEST_WEIGHT = 1e12


def _check_events(events: dict[str, NDArray[Any]], source: str, start: int) -> None:
    for name in ("weight", "beam_p4", "ip", "ip_cov", "bz"):
        bad = ~_finite(events[name])
        if bad.any():
            entry = int(np.flatnonzero(bad)[0])
            raise EventFileError(f"{source}: column '{name}': entry {start + entry}: "
                                 f"found {events[name][entry]}, expected finite numbers.")
    large = np.abs(events["weight"]) > LARGEST_WEIGHT
    if large.any():
        entry = int(np.flatnonzero(large)[0])
        raise EventFileError(f"{source}: column 'weight': entry {start + entry}: found {events['weight'][entry]:g}, "
                             f"expected at most {LARGEST_WEIGHT:g}: no sum of weights would know the other events.")
    if len(events["bz"]) and not (events["bz"] != 0).all():
        entry = int(np.flatnonzero(events["bz"] == 0)[0])
        raise EventFileError(f"{source}: column 'bz': entry {start + entry}: found 0 T: "
                             "no momentum follows from a helix without a field.")


def clean(batch: EventBatch) -> EventBatch:
    """The batch without bad objects; ``notes`` counts what was dropped, with the reason.

    V0 indices are renumbered to the tracks that stay. Matching and mother
    indices that point outside their event become -1 (and are counted).
    Raises :class:`EventFileError` if an event-level number is not finite.
    """
    _check_events(batch.events, batch.source, batch.start)
    notes = dict(batch.notes)
    tracks, new_track = select(batch.tracks, _good_tracks(batch.tracks, notes))
    clusters, _ = select(batch.clusters, _good_clusters(batch.clusters, notes))
    position = _Sieve("klm", len(batch.klm), notes)
    position.require(_finite(*(batch.klm[c] for c in "xyz")), "position not finite")
    klm, _ = select(batch.klm, position.keep)
    v0s = _clean_v0s(batch.v0s, batch.tracks.counts, new_track, notes)
    generated = batch.generated
    n_generated = np.zeros(batch.n_events, dtype=np.int64)
    if generated is not None:
        n_generated = generated.counts
        generated = _inside(generated, "mother", n_generated, "generated: mother outside the event", notes)
        generated = _without_cycles(generated, notes)
    matched = [
        _inside(objects, "mc_index", n_generated, f"{name}: match outside the generated particles", notes)
        for name, objects in (("tracks", tracks), ("clusters", clusters), ("klm", klm))
    ]
    return EventBatch(batch.events, matched[0], matched[1], matched[2], v0s, generated,
                      source=batch.source, start=batch.start, notes=notes)
