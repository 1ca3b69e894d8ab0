"""Combinations of generated B decays: more events than were generated.

Both B mesons of an Upsilon(4S) decay by themselves. So the decay of one B may
be replaced by that of another B of the same species and flavour: n generated
events are ``n reuse`` combinations of two decays. Each decay occurs in ``reuse``
of them: their number is what luminosity counts, and whoever sums weights
remembers that combinations of one decay are not independent.

What two B's do have in common stays: the momenta, for the event's own second B
gives place to the decay alone, and the decay times of B0 pairs, which depend on
whether the flavours are equal, and are drawn anew (:func:`with_mixing_times`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.errors import SimulationError
from fei_lite.events.batch import Jagged, offsets_of
from fei_lite.generator.beams import boost
from fei_lite.generator.generate import GeneratedBatch
from fei_lite.generator.pair_sources import mixing_times
from fei_lite.kernels.descent import inherit

Array = NDArray[np.float64]

_NEUTRAL = 511


@dataclass(frozen=True)
class Sides:
    """The two B mesons of each event: ``meson`` (n, 2) rows in ``generated``, ``code`` (n, 2) PDG codes.

    ``side`` (particles,) is 0 or 1 for the mesons and their descendants, else -1; ``event`` their event.
    """

    meson: NDArray[np.int64]
    code: NDArray[np.int64]
    side: NDArray[np.int64]
    event: NDArray[np.int64]

    def partners(self, reuse: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """``reuse`` times, for each event, the event whose second B decay it takes: of the same code, none twice.

        The events of a code stand in a circle of random order; the k-th time each takes the one k places on.
        """
        order = {int(code): rng.permutation(np.flatnonzero(self.code[:, 1] == code))
                 for code in np.unique(self.code[:, 1])}
        smallest = min((len(rows) for rows in order.values()), default=0)
        if smallest < reuse:
            raise SimulationError(f"reuse: {reuse} combinations of each B decay asked for, a block of events has only "
                                  f"{smallest} decays of one kind. Simulate more events, or reuse them less often.")
        for k in range(reuse):
            partner = np.empty(len(self.code), dtype=np.int64)
            for rows in order.values():
                partner[rows] = np.roll(rows, -k)
            yield partner


def sides_of(batch: GeneratedBatch) -> Sides:
    """Who comes from which B; raises :class:`SimulationError` for events without two."""
    generated = batch.generated
    event = generated.event_index
    first = generated.offsets[:-1][event]
    mother = np.where(generated["mother"] >= 0, generated["mother"] + first, -1)
    root = generated.offsets[:-1]
    from_root = np.flatnonzero((mother == first) & np.isin(np.abs(generated["pdg"]), (511, 521)))
    if not np.array_equal(event[from_root], np.repeat(np.arange(len(root)), 2)):
        raise SimulationError("reuse: events without two B mesons. It is for charged and mixed events only.")
    side = np.full(len(event), -1, dtype=np.int64)
    side[from_root] = np.tile([0, 1], len(root))
    inherit(generated.offsets, generated["mother"], side)
    meson = from_root.reshape(-1, 2)
    return Sides(meson, generated["pdg"][meson].astype(np.int64), side, event)


def recombined(batch: GeneratedBatch, sides: Sides, rows: NDArray[np.int64],
               partner: NDArray[np.int64]) -> GeneratedBatch:
    """Events ``rows`` (m,) of a batch whose second B decays as that of the events ``partner`` (m,).

    The decay is taken into the rest frame of its B and from there into that of
    the event's own second B, places and times likewise: a B has no spin, so
    every direction is as good as another.
    """
    generated = batch.generated
    own = _jagged(generated, np.where(sides.side != 1, sides.event, -1), rows)
    foreign = _jagged(generated, np.where((sides.side == 1), sides.event, -1), partner)
    count_own, count_foreign = (np.diff(part[0]) for part in (own, foreign))
    mesons = sides.meson[partner, 1], sides.meson[rows, 1]
    which = np.repeat(np.arange(len(rows)), count_foreign)
    p4 = _moved(generated["p4"][foreign[1]], generated["p4"][mesons[0]][which], generated["p4"][mesons[1]][which])
    place = _place(generated)
    x4 = _moved(place[foreign[1]] - place[mesons[0]][which], generated["p4"][mesons[0]][which],
                generated["p4"][mesons[1]][which]) + place[mesons[1]][which]
    order = np.argsort(np.concatenate([np.repeat(np.arange(len(rows)), count_own), which]), kind="stable")
    old = np.concatenate([own[1], foreign[1]])
    columns = {name: values[old].copy() for name, values in generated.columns.items()}
    n_own = len(own[1])
    columns["p4"][n_own:] = p4
    columns["vertex"][n_own:] = x4[:, :3]
    columns["time"][n_own:] = x4[:, 3] / SPEED_OF_LIGHT
    columns["mother"] = _mothers(generated, sides, own, foreign, rows)
    offsets = offsets_of(count_own + count_foreign)
    return GeneratedBatch({name: values[rows] for name, values in batch.events.items()},
                          Jagged(offsets, {name: values[order] for name, values in columns.items()}),
                          batch.process, len(rows))


def with_mixing_times(batch: GeneratedBatch, rng: np.random.Generator) -> GeneratedBatch:
    """Events of two B's with decay times drawn anew where both are B0: those that belong to their flavours.

    In a combination the first B has the time of one event, the second that of another one: without the oscillation in
    the difference of both (:func:`fei_lite.generator.pair_sources.mixing_times`). All that descends from a B moves
    along; momenta stay. Events of charged B's are left as they are.
    """
    sides, generated = sides_of(batch), batch.generated
    pairs = np.flatnonzero(np.all(np.abs(sides.code) == _NEUTRAL, axis=1))
    if not len(pairs):
        return batch
    times = mixing_times(sides.code[pairs, 0] == sides.code[pairs, 1], rng) * (SPEED_OF_LIGHT / 1000.0)  # ps -> cm
    meson = sides.meson[pairs]
    p4 = generated["p4"][meson]
    mass = np.sqrt(p4[..., 3] ** 2 - np.sum(p4[..., :3] ** 2, axis=-1))
    place = _place(generated)
    daughter = _a_daughter(generated, sides)[meson]
    shift = place[meson] + p4 / mass[..., None] * times[..., None] - place[daughter]
    shift[daughter < 0] = 0.0
    number = np.full(len(sides.code), -1)
    number[pairs] = np.arange(len(pairs))
    below = np.flatnonzero((sides.side >= 0) & (number[sides.event] >= 0))
    below = np.setdiff1d(below, meson, assume_unique=True)
    place[below] += shift[number[sides.event[below]], sides.side[below]]
    columns = generated.columns | {"vertex": place[:, :3], "time": (place[:, 3] / SPEED_OF_LIGHT).astype(
        generated["time"].dtype)}
    return replace(batch, generated=Jagged(generated.offsets, columns))


def _a_daughter(generated: Jagged, sides: Sides) -> NDArray[np.int64]:
    """The last daughter of every particle (rows, or -1): where it stands its mother has decayed."""
    mother = np.where(generated["mother"] >= 0, generated["mother"] + generated.offsets[:-1][sides.event], -1)
    found = np.full(len(mother), -1, dtype=np.int64)
    rows = np.flatnonzero(mother >= 0)
    found[mother[rows]] = rows
    return found


def one_side(batch: GeneratedBatch, sides: Sides, rows: NDArray[np.integer], which: int) -> GeneratedBatch:
    """Events ``rows`` of a batch without all that does not come from one of the B's (0 or 1), but for the Upsilon(4S).

    What is left of the particles keeps its momenta and places.
    """
    generated = batch.generated
    first = generated.offsets[:-1][sides.event]
    kept = (sides.side == which) | (np.arange(len(first)) == first)
    offsets, old = _jagged(generated, np.where(kept, sides.event, -1), np.asarray(rows, dtype=np.int64))
    inside = np.cumsum(kept) - 1
    place = inside - inside[first]  # among those that are kept of its event; the Upsilon(4S) is the first
    columns = {name: values[old].copy() for name, values in generated.columns.items()}
    mother = columns["mother"].astype(np.int64)
    columns["mother"] = np.where(mother >= 0, place[np.maximum(mother, 0) + first[old]], -1).astype(np.int32)
    return GeneratedBatch({name: values[rows] for name, values in batch.events.items()}, Jagged(offsets, columns),
                          batch.process, len(rows))


def _jagged(generated: Jagged, event: NDArray[np.int64],
            wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Particles with ``event`` >= 0 of the events ``wanted``: offsets (m + 1,) and rows of ``generated``."""
    members = np.flatnonzero(event >= 0)
    first = offsets_of(np.bincount(event[members], minlength=len(generated.counts)))
    counts = np.diff(first)[wanted]
    offsets = offsets_of(counts)
    inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    return offsets, members[np.repeat(first[wanted], counts) + inside]


def _moved(vectors: Array, before: Array, after: Array) -> Array:
    """Four-vectors (n, 4) from the rest frame of ``before`` into that of ``after`` (n, 4), all in the laboratory."""
    return boost(boost(vectors, before * np.array([-1.0, -1.0, -1.0, 1.0])), after)


def _place(generated: Jagged) -> Array:
    """Production vertices and times as four-vectors (n, 4), cm."""
    return np.column_stack([generated["vertex"], generated["time"].astype(np.float64) * SPEED_OF_LIGHT])


def _mothers(generated: Jagged, sides: Sides, own: tuple[NDArray[np.int64], NDArray[np.int64]],
             foreign: tuple[NDArray[np.int64], NDArray[np.int64]], rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """Mothers counted in the new events: own particles first, in their order, then those of the other decay."""
    first = generated.offsets[:-1][sides.event]
    absolute = np.where(generated["mother"] >= 0, generated["mother"] + first, -1)
    position = np.full(len(absolute), -1, dtype=np.int64)  # place among the particles of its part of its event
    of_second = sides.side == 1
    for part in (of_second, ~of_second):
        members = np.flatnonzero(part)
        start = offsets_of(np.bincount(sides.event[members], minlength=len(generated.counts)))
        position[members] = np.arange(len(members)) - start[sides.event[members]]
    count_own = np.diff(own[0])
    mine = absolute[own[1]]
    mothers_own = np.where(mine >= 0, position[mine], -1)
    theirs = absolute[foreign[1]]
    shift = np.repeat(count_own, np.diff(foreign[0]))
    in_part = of_second[theirs] & (theirs >= 0)
    mothers_foreign = np.where(in_part, position[theirs] + shift, 0)  # the B itself comes from the Upsilon(4S), row 0
    return np.concatenate([mothers_own, mothers_foreign]).astype(np.int32)
