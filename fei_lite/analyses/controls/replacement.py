"""Signal embedding: what was taken out of an event is replaced by a simulated signal decay of the same B.

The B of the control decay is found in the event, and all of its objects are removed. A generated signal decay is seen
from the rest frame of its own B, set off with the momentum of the B that was found, at its vertex, and given to the
detector; what that records joins the event. B+ -> K+ J/psi(-> mu+ mu-) so becomes B+ -> K+ nu nubar with the rest of
the event as it was recorded: the method of arXiv:2311.14647 for the efficiency of the signal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.controls.embedding import Found, with_track_distances, without_found
from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.detector.response import Response, default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch, Jagged, offsets_of
from fei_lite.events.schema import STATUS
from fei_lite.generator.decay_files.signal import SignalDecay
from fei_lite.generator.generate import GeneratedBatch, generate
from fei_lite.generator.processes import find_process
from fei_lite.generator.settings import DEFAULT_SETTINGS, load_settings
from fei_lite.reconstruction.frames import invariant_mass, to_cms

Floats = NDArray[np.float64]
_B_MESONS = (511, 521)
#: Lists that a detector fills; their tracks and particles are numbered within the event.
_LISTS = ("tracks", "clusters", "klm", "v0s")


@dataclass(frozen=True)
class Decays:
    """Generated signal decays, an "event" each: the B first (no mother), then all that it decays to.

    Columns are those of ``generated`` in the event schema; ``code`` (n,) is the PDG code of each B.
    """

    generated: Jagged = field(repr=False)
    code: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.code)


def generate_decays(decay: SignalDecay, n: int, *, seed: int, settings: str = DEFAULT_SETTINGS) -> Decays:
    """The signal decays of ``n`` generated events of a decay file. Raises :class:`AnalysisError` if there are none."""
    parts = [decays_in(batch.generated, signal_mesons(batch.generated, decay))
             for batch in generate("signal", n, seed=seed, dec_file=decay, settings=load_settings(settings))]
    if not sum(map(len, parts)):
        raise AnalysisError(f"{decay.place}: no B of {n} generated events decays as the file says of B's with modes of "
                            "their own. Name a decay file with a signal B.")
    lists = [part.generated for part in parts]
    offsets = offsets_of(np.concatenate([item.counts for item in lists]))
    columns = {name: np.concatenate([item[name] for item in lists]) for name in lists[0].columns}
    return Decays(Jagged(offsets, columns), np.concatenate([part.code for part in parts]))


def signal_mesons(generated: Jagged, decay: SignalDecay) -> NDArray[np.int64]:
    """Row of the signal B of each event that has one: its daughters are those of a mode that the file gives a B.

    Photons that were radiated do not count. Of two such B's in an event the first is taken.
    """
    modes = {(entry.code, frozenset(Counter(mode.products).items())) for entry in decay.copies.values()
             if abs(entry.code) in _B_MESONS for mode in entry.modes}
    rows, daughters = _daughters(generated, np.isin(np.abs(generated["pdg"]), _B_MESONS))
    found = [row for row, products in zip(rows.tolist(), daughters, strict=True)
             if (int(generated["pdg"][row]), frozenset(Counter(products).items())) in modes]
    event = generated.event_index[np.array(found, dtype=np.int64)]
    return np.array(found, dtype=np.int64)[np.unique(event, return_index=True)[1]]


def _daughters(generated: Jagged, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[list[int]]]:
    """Rows of some particles, and the codes of what each decays to, radiated photons left out."""
    rows, mother = np.flatnonzero(chosen), _mother_rows(generated)
    radiated = (generated["status"] & STATUS["photos_photon"]) != 0
    wanted = np.flatnonzero((mother >= 0) & ~radiated & np.append(chosen, False)[mother])
    place = np.searchsorted(rows, mother[wanted])
    products: list[list[int]] = [[] for _ in rows]
    for i, code in zip(place.tolist(), generated["pdg"][wanted].tolist(), strict=True):
        products[i].append(code)
    return rows, products


def _mother_rows(generated: Jagged) -> NDArray[np.int64]:
    """Row (of the whole batch) of each particle's mother; -1 without."""
    first = generated.offsets[:-1][generated.event_index]
    return np.where(generated["mother"] >= 0, generated["mother"] + first, -1).astype(np.int64)


def decays_in(generated: Jagged, mesons: NDArray[np.int64]) -> Decays:
    """The decays of some particles (rows, at most one an event): each with all of its descendants."""
    mother, inside = _mother_rows(generated), np.zeros(len(generated) + 1, dtype=bool)
    inside[mesons] = True
    while True:  # a generation each time
        more = inside[:-1] | ((mother >= 0) & inside[mother])
        if np.array_equal(more, inside[:-1]):
            break
        inside[:-1] = more
    rows = np.flatnonzero(inside)
    counts = np.bincount(generated.event_index[rows], minlength=len(generated.counts))
    taken = generated.event_index[mesons]
    offsets = offsets_of(counts[taken])
    columns = {name: values[rows] for name, values in generated.columns.items()}
    new = np.full(len(generated) + 1, -1, dtype=np.int64)
    new[rows] = np.arange(len(rows)) - np.repeat(offsets[:-1], counts[taken])
    columns["mother"] = np.where(np.isin(rows, mesons), -1, new[mother[rows]]).astype(generated["mother"].dtype)
    if len(rows) and not np.array_equal(rows[offsets[:-1]], mesons):
        raise AnalysisError("generated particles: a decay product stands before its mother.")
    return Decays(Jagged(offsets, columns), generated["pdg"][mesons].astype(np.int64))


def moved(decays: Decays, chosen: NDArray[np.integer], p3: Floats, vertex: Floats) -> Jagged:
    """The ``chosen`` decays (n,), each with the momentum ``p3`` (n, 3) of its B, which decays at ``vertex`` (n, 3).

    GeV and cm in the laboratory; the mass of the B stays, and so does all that is seen in its rest frame.
    """
    source = decays.generated
    counts = source.counts[chosen]
    offsets = offsets_of(counts)
    which = np.repeat(np.arange(len(chosen)), counts)
    rows = source.offsets[:-1][chosen][which] + np.arange(offsets[-1]) - offsets[:-1][which]
    columns = {name: values[rows] for name, values in source.columns.items()}
    meson = columns["p4"][offsets[:-1]]
    mass = invariant_mass(meson)
    forward = np.concatenate([p3, np.sqrt(mass**2 + np.sum(p3**2, axis=1))[:, None]], axis=1)
    backward = forward * np.array([-1.0, -1.0, -1.0, 1.0])

    def transformed(four: Floats) -> Floats:
        return to_cms(to_cms(four, meson[which]), backward[which])

    born = np.concatenate([columns["vertex"], SPEED_OF_LIGHT * columns["time"][:, None]], axis=1).astype(np.float64)
    decayed = born[offsets[:-1] + np.minimum(1, counts - 1)]  # where the first product was made
    place = transformed(born - decayed[which])
    columns["p4"] = transformed(columns["p4"])
    columns["vertex"] = place[:, :3] + vertex[which]
    columns["time"] = ((place[:, 3] + decayed[which, 3]) / SPEED_OF_LIGHT).astype(columns["time"].dtype)
    return Jagged(offsets, columns)


def embedded(batch: EventBatch, found: Found, decays: Decays, *, rng: np.random.Generator,
             response: Response | None = None) -> EventBatch:
    """The events of the candidates that were ``found``, with a signal decay in place of each.

    A B+ is replaced by a decay of a B+, a B- by one of a B-; each decay may be used several times. What the decay
    leaves in the detector is simulated without the beams' background, which the event has already. Raises
    :class:`AnalysisError` where there is no decay of the right charge.
    """
    response = response or default_response()
    left = without_found(batch, found)
    chosen = _drawn(found.sign, decays, rng)
    events = GeneratedBatch(left.events, moved(decays, chosen, found.p4[:, :3], found.vertex), find_process("signal"),
                            left.n_events)
    added = simulate_detector(events, response, rng=rng, background=False)
    return with_track_distances(with_added(left, added), response)


def _drawn(sign: NDArray[np.int8], decays: Decays, rng: np.random.Generator) -> NDArray[np.int64]:
    """A decay for each candidate (n,) of its charge; of any where the candidate has none."""
    chosen = np.zeros(len(sign), dtype=np.int64)
    for one in np.unique(sign).tolist():
        here, fit = sign == one, np.flatnonzero((np.sign(decays.code) == one) | (one == 0))
        if not len(fit):
            raise AnalysisError(f"no signal decay among {len(decays)} for a B of sign {one:+d}: generate more.")
        chosen[here] = rng.choice(fit, int(here.sum()))
    return chosen


def with_added(batch: EventBatch, added: EventBatch) -> EventBatch:
    """The events of a batch with the objects of others besides: event i gets all that ``added`` has in its event i.

    V0s, matched particles and mothers of what is added are numbered as the new lists are. A batch without truth stays
    without.
    """
    lists = {name: getattr(added, name) for name in _LISTS}
    before = None if batch.generated is None else batch.generated.counts
    for name in ("tracks", "clusters", "klm"):
        lists[name] = _renumbered(lists[name], "mc_index", before)
    for side in ("positive_index", "negative_index"):
        lists["v0s"] = _renumbered(lists["v0s"], side, batch.tracks.counts)
    joined = {name: _joined(getattr(batch, name), objects) for name, objects in lists.items()}
    generated = None
    if batch.generated is not None and added.generated is not None:
        generated = _joined(batch.generated, _renumbered(added.generated, "mother", before))
    return replace(batch, tracks=joined["tracks"], clusters=joined["clusters"], klm=joined["klm"], v0s=joined["v0s"],
                   generated=generated)


def _renumbered(objects: Jagged, name: str, before: NDArray[np.int64] | None) -> Jagged:
    """A list whose indices count from ``before`` (n_events,); none is left where that is not known."""
    index = objects[name]
    after = np.full_like(index, -1) if before is None else np.where(
        index >= 0, index + before[objects.event_index], -1).astype(index.dtype)
    return Jagged(objects.offsets, {**objects.columns, name: after})


def _joined(first: Jagged, second: Jagged) -> Jagged:
    """The objects of both lists, in each event those of the first before those of the second."""
    order = np.argsort(np.concatenate([first.event_index, second.event_index]), kind="stable")
    columns = {name: np.concatenate([values, second[name].astype(values.dtype)])[order]
               for name, values in first.columns.items()}
    return Jagged(offsets_of(first.counts + second.counts), columns)
