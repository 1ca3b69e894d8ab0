"""The objects of bit sets, and the rest of the event: everything that neither tag nor signal side uses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.errors import MomentaError
from fei_lite.event_shape.momenta import Momenta
from fei_lite.events import EventBatch, offsets_of
from fei_lite.reconstruction.frames import to_cms
from fei_lite.roe.objects import MaskedObjects, masked_objects, rows_of_events
from fei_lite.used_objects import everything, object_indices

Words = NDArray[np.uint64]
Jagged = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class ObjectsOfSets:
    """The tracks, photons and composites of n bit sets (rows).

    ``event`` (n,) is the row's event in the batch. ``bits`` (n, n_words) is
    the bit set, of objects masked or not. ``tracks``, ``photons``
    and the entries of ``composites`` are jagged: offsets (n + 1,) and rows of
    the tables of ``objects``, which the mask has passed and which are wholly inside the set.
    """

    objects: MaskedObjects
    event: NDArray[np.int64]
    bits: Words
    tracks: Jagged
    photons: Jagged
    composites: dict[str, Jagged]

    def __len__(self) -> int:
        return len(self.event)

    @property
    def beam_p4(self) -> NDArray[np.float64]:
        """Four-momentum of e+e- of each row, (n, 4), laboratory, GeV."""
        return np.asarray(self.objects.batch.events["beam_p4"][self.event])

    def count(self, name: str) -> NDArray[np.int64]:
        """Number of ``tracks``, ``photons``, ``K_S0``, ``pi0``, ``Lambda0`` in each row, (n,).

        Candidates that share an object count each. Raises KeyError for a
        composite that the mask does not define.
        """
        jagged = getattr(self, name) if name in ("tracks", "photons") else self.composites[name]
        return np.asarray(np.diff(jagged[0]))

    def n_klm(self) -> NDArray[np.int64]:
        """Number of K_L clusters of each row, (n,); no mask applies."""
        return np.asarray(np.diff(object_indices(self.objects.batch, self.bits, self.event, "klm")[0]))

    def momenta_lab(self) -> Momenta:
        """Tracks, then photons, of the mask in each row; laboratory, GeV."""
        return _momenta(self.objects, self.tracks, self.photons)

    def momenta_cms(self) -> Momenta:
        """Tracks, then photons, of the mask in each row; centre-of-mass frame, GeV."""
        return _to_cms(self.momenta_lab(), self.beam_p4)

    def p4_lab(self) -> NDArray[np.float64]:
        """Total four-momentum of tracks and photons, (n, 4), laboratory, GeV; 0 if there are none."""
        return self.momenta_lab().sum()

    def extra_energy(self) -> NDArray[np.float64]:
        """E_extra (n,): summed laboratory energy of the photons, GeV; 0 if there are none."""
        offsets, rows = self.photons
        row = np.repeat(np.arange(len(self)), np.diff(offsets))
        return np.asarray(np.bincount(row, self.objects.photons["p4"][rows, 3], minlength=len(self)))

    def charge(self) -> NDArray[np.int64]:
        """Sum of the tracks' charges, (n,)."""
        offsets, rows = self.tracks
        row = np.repeat(np.arange(len(self)), np.diff(offsets))
        total = np.bincount(row, self.objects.tracks["sign"][rows], minlength=len(self))
        return np.asarray(np.rint(total), dtype=np.int64)


class RestOfEvent(ObjectsOfSets):
    """What is left of the event for each of n candidates: ``bits`` is what no side uses."""


def objects_in(objects: MaskedObjects, event: NDArray[np.integer], bits: Words) -> ObjectsOfSets:
    """The objects of n bit sets (n, n_words), such as what Btags use, or ``everything(batch)[event]``.

    ``event`` (n,) is the event of each in the batch (several sets of one event are fine).
    Composites count if all of their objects are in the set. Raises
    :class:`MomentaError` for a set of another width, or with objects that its event does not have.
    """
    rows = event.astype(np.int64)
    _check_sets(objects.batch, rows, bits)
    return ObjectsOfSets(objects, rows, bits, *_inside(objects, rows, bits))


def used_objects_of(tag: Words, signal: Words | None = None) -> Words:
    """Bit set of what tag and signal side use (n, n_words).

    Raises :class:`MomentaError` if the two share an object or differ in shape:
    then they do not belong to one event.
    """
    if signal is None:
        return tag
    if tag.shape != signal.shape:
        raise MomentaError(f"tag and signal side: bit sets of shapes {tag.shape} and {signal.shape}, expected equal.")
    shared = np.flatnonzero((tag & signal).any(axis=1))
    if len(shared):
        raise MomentaError(f"tag and signal side share objects in {len(shared)} of {len(tag)} rows, "
                           f"first in row {shared[0]}. Combine them with the overlap check of the engine.")
    return tag | signal


def rest_of_event(objects: MaskedObjects, event: NDArray[np.integer], *, tag: Words,
                  signal: Words | None = None) -> RestOfEvent:
    """The rest of the event of n candidates.

    ``event`` (n,) is the event of each in the batch (several candidates of one
    event are fine); ``tag`` and ``signal`` (n, n_words) are the bit sets of
    what the sides use. Composites count if none of their objects is used.
    Raises :class:`MomentaError` where the sides overlap, or use what their
    event does not have.
    """
    rows = event.astype(np.int64)
    used = used_objects_of(tag, signal)
    _check_sets(objects.batch, rows, used)
    bits = everything(objects.batch)[rows] & ~used
    return RestOfEvent(objects, rows, bits, *_inside(objects, rows, bits))


def _check_sets(batch: EventBatch, event: NDArray[np.int64], bits: Words) -> None:
    """Raise :class:`MomentaError` unless every set is one of its event's objects."""
    available = everything(batch)[event]
    if bits.shape != available.shape:
        raise MomentaError(f"used objects: bit sets of shape {bits.shape}, expected {available.shape}.")
    foreign = np.flatnonzero((bits & ~available).any(axis=1))
    if len(foreign):
        raise MomentaError(f"{len(foreign)} of {len(bits)} rows use objects that their event does not have, "
                           f"first row {foreign[0]}. Check 'event'.")


def _inside(objects: MaskedObjects, event: NDArray[np.int64],
            bits: Words) -> tuple[Jagged, Jagged, dict[str, Jagged]]:
    """Tracks, photons and composites of each row's event that are wholly inside its set."""
    def of(table: CandidateTable) -> Jagged:
        which, row = rows_of_events(table, event)
        inside = ~(table["used"][row] & ~bits[which]).any(axis=1)
        return offsets_of(np.bincount(which[inside], minlength=len(event))), row[inside]

    return of(objects.tracks), of(objects.photons), {name: of(table) for name, table in objects.composites.items()}


def side_momenta_cms(batch: EventBatch, event: NDArray[np.integer], used: Words) -> Momenta:
    """Tracks and photons of a bit set (n, n_words), such as a Btag's; centre-of-mass frame, GeV.

    Tracks have the momentum of their perigee and the mass of their most likely
    hypothesis, whatever the candidate took them for: enough for event shapes.
    """
    return objects_in(masked_objects(batch, "all"), event, used).momenta_cms()


def _momenta(objects: MaskedObjects, tracks: Jagged, photons: Jagged) -> Momenta:
    n = len(tracks[0]) - 1
    row = np.concatenate([np.repeat(np.arange(n), np.diff(offsets)) for offsets, _ in (tracks, photons)])
    p4 = np.concatenate([objects.tracks["p4"][tracks[1]], objects.photons["p4"][photons[1]]])
    charge = np.concatenate([objects.tracks["sign"][tracks[1]], np.zeros(len(photons[1]), np.int8)])
    order = np.argsort(row, kind="stable")
    return Momenta(tracks[0] + photons[0], p4[order], charge[order].astype(np.int8))


def _to_cms(momenta: Momenta, beam_p4: NDArray[np.float64]) -> Momenta:
    if not len(momenta.p4):
        return momenta
    return replace(momenta, p4=to_cms(momenta.p4, beam_p4[momenta.row_index]))
