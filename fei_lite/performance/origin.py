"""How much of a false Btag is from elsewhere: the energy of its tracks and clusters that another particle made.

A false Btag that took one slow pion from the other B has nearly the right
momentum, and peaks in Mbc whatever the classifier does; with a little more from elsewhere the peak is broad.
To see whether the classifier makes a peak where there is none, such Btags are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch, Jagged, open_events
from fei_lite.events.batch import offsets_of
from fei_lite.events.files import PathLike
from fei_lite.performance.best_tags import BestTags, Choice, first_rows
from fei_lite.tagging.streaming import ROWS, iterate_columns

Floats = NDArray[np.float64]
Lists = tuple[NDArray[np.int64], NDArray[np.int64]]

_B = (511, 521)
#: GeV: with less from elsewhere a Btag is nearly right (assumed; 0.15 GeV more or less move Mbc by some 9 MeV).
NEARLY_RIGHT = 0.3
#: GeV: with less than this a Btag is half right, and what it took moves Mbc by some 30 MeV; from this on, and in events
#: without a B, where all is from elsewhere, it is combinatorial (assumed).
HALF_RIGHT = 1.0


def b_of_origin(generated: Jagged) -> NDArray[np.int64]:
    """Row of the B that each generated particle descends from (or is), -1 if none; of a mixed B0 the first one."""
    mother = generated["mother"].astype(np.int64)
    above = np.where(mother >= 0, mother + generated.offsets[generated.event_index], -1)
    is_b = np.isin(np.abs(generated["pdg"]), _B)
    found = np.where(is_b, np.arange(len(above)), -1)
    at = above
    while np.any(at >= 0):
        found = np.where((at >= 0) & is_b[at], at, found)
        at = np.where(at >= 0, above[at], -1)
    return found


def read_best_objects(path: PathLike, *, choose: Choice = "event", rows: int = ROWS) -> dict[str, Lists]:
    """``track_index`` and ``cluster_index`` of the Btags of :func:`~fei_lite.performance.best_tags.read_best_tags`."""
    names = ("track_index", "cluster_index")
    parts: dict[str, list[tuple[NDArray, NDArray]]] = {name: [] for name in names}
    last = np.empty(0, dtype=np.int64)
    for piece in iterate_columns(path, ["entry", "pdg", "best", *names], rows=rows):
        flat = {name: values for name, values in piece.items() if not isinstance(values, tuple)}
        chosen, last = first_rows(flat, choose, last)
        for name in names:
            column = piece[name]
            assert isinstance(column, tuple)
            parts[name].append(_taken(column, chosen))
    return {name: (offsets_of(np.concatenate([np.zeros(0, np.int64), *(n for n, _ in found)])),
                   np.concatenate([np.zeros(0, np.int64), *(values for _, values in found)]))
            for name, found in parts.items()}


def _taken(column: tuple[NDArray, NDArray], rows: NDArray[np.intp]) -> tuple[NDArray, NDArray]:
    """Lengths and values of the lists of ``rows``."""
    offsets, values = column
    counts = np.diff(offsets)[rows]
    inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return counts, values[np.repeat(offsets[rows], counts) + inside].astype(np.int64)


def foreign_energy(tags: BestTags, objects: dict[str, Lists], events: Sequence[PathLike], *, batch_size: int = 2000,
                   progress: Callable[[int], None] | None = None) -> Floats:
    """Energy (GeV; momentum of tracks) of each Btag's objects that are not from the B most of it is from; (n,).

    ``tags`` and ``objects`` of the same Btag file, ``events`` its inputs in their order.
    Objects that no generated particle made are foreign. Raises :class:`EventFileError` for events without
    truth, or fewer than the file is of.
    """
    result = np.full(len(tags), np.nan)
    first = 0
    for batch in open_events(list(events), batch_size=batch_size):
        if batch.generated is None:
            raise EventFileError(f"{batch.source}: no list 'generated': where objects are from is known from truth.")
        rows = np.arange(*np.searchsorted(tags.entry, [first, first + batch.n_events]))
        result[rows] = _foreign(batch, batch.generated, tags.entry[rows] - first, {
            name: _taken(column, rows) for name, column in objects.items()})
        first += batch.n_events
        if progress is not None:
            progress(first)
    if first != tags.events.n:
        raise EventFileError(f"{first} events, the Btags are of {tags.events.n}: give the Btag file's own inputs.")
    return result


def nearly_right_tags(tags: BestTags, path: PathLike, events: Sequence[PathLike], *, choose: Choice = "event",
                      progress: Callable[[int], None] | None = None) -> NDArray[np.bool_]:
    """Which Btags of the file ``path`` have less than :data:`NEARLY_RIGHT` from elsewhere; (n,).

    ``events``: the Btag file's inputs, in their order.
    """
    return kinds_of_tags(tags, path, events, choose=choose, progress=progress)["nearly right"]


def kinds_of_tags(tags: BestTags, path: PathLike, events: Sequence[PathLike], *, choose: Choice = "event",
                  progress: Callable[[int], None] | None = None) -> dict[str, NDArray[np.bool_]]:
    """:func:`by_foreign_energy` of the Btags of the file ``path``; ``events`` as in :func:`nearly_right_tags`."""
    return by_foreign_energy(foreign_energy(tags, read_best_objects(path, choose=choose), events, progress=progress))


def by_foreign_energy(energy: Floats) -> dict[str, NDArray[np.bool_]]:
    """Which Btags are ``combinatorial``, ``half right``, ``nearly right``, each (n,), by GeV from elsewhere (n,).

    >>> {kind: chosen.tolist() for kind, chosen in by_foreign_energy(np.array([0.2, 0.3, 1.0])).items()}
    {'combinatorial': [False, False, True], 'half right': [False, True, False], 'nearly right': [True, False, False]}
    """
    nearly, combinatorial = energy < NEARLY_RIGHT, energy >= HALF_RIGHT
    return {"combinatorial": combinatorial, "half right": ~(nearly | combinatorial), "nearly right": nearly}


def _foreign(batch: EventBatch, generated: Jagged, event: NDArray[np.int64],
             objects: dict[str, tuple[NDArray, NDArray]]) -> Floats:
    """:func:`foreign_energy` of candidates in ``event`` of a batch."""
    origin = np.append(b_of_origin(generated), -1)
    candidate, energy, b_rows = [], [], []
    helix, bz = batch.tracks["helix"], batch.events["bz"][batch.tracks.event_index]
    momentum = CURVATURE_TO_PT * np.abs(bz / helix[:, 2]) * np.hypot(1.0, helix[:, 4])
    for name, found, size in (("track_index", batch.tracks, momentum), ("cluster_index", batch.clusters,
                                                                       batch.clusters["E"].astype(np.float64))):
        counts, index = objects[name]
        owner = np.repeat(np.arange(len(event)), counts)
        row = found.offsets[event[owner]] + index
        made_by = found["mc_index"][row].astype(np.int64)
        candidate.append(owner)
        energy.append(size[row])
        b_rows.append(origin[np.where(made_by >= 0, generated.offsets[event[owner]] + made_by, -1)])
    owner, e, b = (np.concatenate(parts) for parts in (candidate, energy, b_rows))
    total = np.bincount(owner, weights=e, minlength=len(event))
    # energy per candidate and B: of each candidate, the B with most
    keys, inverse = np.unique(np.stack([owner[b >= 0], b[b >= 0]]), axis=1, return_inverse=True)
    per_b = np.bincount(inverse.ravel(), weights=e[b >= 0], minlength=keys.shape[1])
    most = np.zeros(len(event))
    np.maximum.at(most, keys[0], per_b)
    return total - most
