"""Particles that meet the detector: those of the generator, and what they become on the way.

Photons convert, pions and kaons decay in flight (``decays.py``), hadrons meet
nuclei (``nuclear.py``): the products are new generated particles (status without the primary bit).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT, SPEED_OF_LIGHT
from fei_lite.detector.response import Response
from fei_lite.events.batch import Jagged, offsets_of
from fei_lite.kernels import helix as helix_kernels

#: Particles that the detector sees, with mass in GeV (PDG) and charge; neutrinos pass.
SPECIES = {11: (0.00051099895, -1), 13: (0.1056583755, -1), 211: (0.13957039, 1), 321: (0.493677, 1),
           2212: (0.93827209, 1), 22: (0.0, 0), 130: (0.497611, 0), 2112: (0.93956542, 0)}
#: Order of charged species in arrays of the response, as in basf2's hypotheses.
CHARGED = (11, 13, 211, 321, 2212)


@dataclass(frozen=True)
class Particles:
    """Final-state particles of a batch, sorted by event; ``index`` counts in their event's generated list.

    ``end`` is the radius (cm) where the particle decays or converts, NaN if it
    reaches the calorimeter. ``p3`` GeV, ``vertex`` cm, laboratory frame.
    """

    event: NDArray[np.int64]
    index: NDArray[np.int64]
    pdg: NDArray[np.int64]
    p3: NDArray[np.float64]
    vertex: NDArray[np.float64]
    time: NDArray[np.float64]
    end: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: NDArray) -> Particles:
        """The particles of a mask or an index array."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows  # counted once, not for every column
        return replace(self, **{f.name: getattr(self, f.name).take(rows, axis=0) for f in fields(self)})

    @cached_property
    def species(self) -> NDArray[np.int64]:
        """PDG code without sign."""
        return np.abs(self.pdg)

    @cached_property
    def mass(self) -> NDArray[np.float64]:
        """Mass in GeV."""
        return _lookup(self.species, 0)

    @cached_property
    def charge(self) -> NDArray[np.int64]:
        """Electric charge."""
        return (_lookup(self.species, 1) * np.sign(self.pdg)).astype(np.int64)

    @cached_property
    def momentum(self) -> NDArray[np.float64]:
        """Absolute momentum in GeV."""
        return np.asarray(np.sqrt(self.p3[:, 0] ** 2 + self.p3[:, 1] ** 2 + self.p3[:, 2] ** 2))

    @cached_property
    def pt(self) -> NDArray[np.float64]:
        """Transverse momentum in GeV."""
        return np.hypot(self.p3[:, 0], self.p3[:, 1])

    @cached_property
    def theta(self) -> NDArray[np.float64]:
        """Polar angle of the momentum in rad."""
        return np.arctan2(self.pt, self.p3[:, 2])

    @cached_property
    def charged_kind(self) -> NDArray[np.int64]:
        """Position in :data:`CHARGED`; -1 for neutral particles."""
        kind = np.full(len(self), -1)
        for number, code in enumerate(CHARGED):
            kind[self.species == code] = number
        return kind


#: Mass and charge by PDG code without sign; 0 where nothing is known.
_TABLE = np.zeros((2, max(SPECIES) + 1))
for _code, _entry in SPECIES.items():
    _TABLE[:, _code] = _entry


def _lookup(species: NDArray[np.int64], column: int) -> NDArray[np.float64]:
    known = np.where(species <= max(SPECIES), species, 0)
    return np.asarray(_TABLE[column, known])


def join(parts: list[Particles]) -> Particles:
    """All particles, sorted by event (stable)."""
    whole = Particles(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Particles)))
    return whole.take(np.argsort(whole.event, kind="stable"))


def final_state(generated: Jagged) -> Particles:
    """Generated particles without daughters that the detector can see."""
    event, first = generated.event_index, generated.offsets
    mother = generated["mother"].astype(np.int64)
    has_daughter = np.zeros(len(generated), dtype=bool)
    below = mother >= 0
    has_daughter[mother[below] + first[event[below]]] = True
    rows = np.flatnonzero(~has_daughter & np.isin(np.abs(generated["pdg"]), list(SPECIES)))
    return Particles(event[rows], rows - first[event[rows]], generated["pdg"][rows].astype(np.int64),
                     generated["p4"][rows, :3], generated["vertex"][rows], generated["time"][rows].astype(np.float64),
                     np.full(len(rows), np.nan))


def in_random_order(event: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of objects (n,) sorted by their ``event``, in random order within it: the order must not tell the truth."""
    order = np.argsort(rng.uniform(size=len(event)))
    event = event[order]
    few = len(event) == 0 or event.max() < 2**16  # the sort of 16 bits is the fast one
    return np.asarray(order[np.argsort(event.astype(np.uint16) if few else event, kind="stable")])


def true_helix(particles: Particles, bz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Helices (n, 5), perigee to the origin, of charged particles; ``bz`` (n,) in T."""
    out = np.empty((len(particles), 5))
    helix_kernels.cartesian_to_helix(np.ascontiguousarray(particles.p3), np.ascontiguousarray(particles.vertex),
                                     particles.charge.astype(np.float64), bz, out)
    return out


@dataclass(frozen=True)
class Secondaries:
    """New generated particles: columns as in the schema, plus their event."""

    event: NDArray[np.int64]
    pdg: NDArray[np.int64]
    mother: NDArray[np.int64]
    p4: NDArray[np.float64]
    vertex: NDArray[np.float64]
    time: NDArray[np.float64]


def extend(generated: Jagged, new: Secondaries) -> tuple[Jagged, NDArray[np.int64]]:
    """``generated`` with secondaries at the end of each event, and the index of each in its event."""
    order = np.argsort(new.event, kind="stable")
    n_events = len(generated.offsets) - 1
    added = np.bincount(new.event, minlength=n_events)
    starts = offsets_of(added)[:-1]
    index = np.empty(len(order), dtype=np.int64)
    index[order] = generated.counts[new.event[order]] + np.arange(len(order)) - starts[new.event[order]]
    place = np.repeat(generated.offsets[1:], added)  # np.insert keeps the order of equal positions
    columns = {"pdg": new.pdg, "mother": new.mother, "status": np.zeros(len(order)), "p4": new.p4,
               "vertex": new.vertex, "time": new.time}
    made = {name: np.insert(generated[name], place, values[order].astype(generated[name].dtype), axis=0)
            for name, values in columns.items()}
    offsets = generated.offsets + offsets_of(added)
    return Jagged(offsets.astype(np.int64), made), index


def isotropic(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit vectors (n, 3) in all directions."""
    cosine, phi = rng.uniform(-1.0, 1.0, n), rng.uniform(-np.pi, np.pi, n)
    sine = np.sqrt(1.0 - cosine**2)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)


def flight(particles: Particles, length: NDArray[np.float64], bz: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Position and momentum after the path ``length`` (n,) in cm along the helix."""
    arc = length * particles.pt / particles.momentum
    omega = particles.charge * CURVATURE_TO_PT * bz / particles.pt
    phi = np.arctan2(particles.p3[:, 1], particles.p3[:, 0])
    half = -0.5 * omega * arc
    chord = arc * np.sinc(half / np.pi)
    position = particles.vertex + np.stack([chord * np.cos(phi + half), chord * np.sin(phi + half),
                                            length * particles.p3[:, 2] / particles.momentum], axis=1)
    end = phi + 2.0 * half
    momentum = np.stack([particles.pt * np.cos(end), particles.pt * np.sin(end), particles.p3[:, 2]], axis=1)
    return position, momentum


def conversions(particles: Particles, response: Response, rng: np.random.Generator) -> tuple[Particles, Secondaries]:
    """Convert photons to e+ e- in the layers of the tracker (7/9 per radiation length, collinear, flat sharing)."""
    layers = slice(0, response.decay.conversion_layers)
    radius, material = response.tracker.radius[layers], response.tracker.material[layers]
    rows = np.flatnonzero((particles.species == 22) & (particles.momentum > 0.01) & (particles.pt > 0.002))
    photons = particles.take(rows)
    sine = photons.pt / photons.momentum
    flown = np.hypot(photons.vertex[:, 0], photons.vertex[:, 1])
    ahead = radius[None, :] > flown[:, None]
    depth = np.cumsum(np.where(ahead, 7.0 / 9.0 * material, 0.0), axis=1) / sine[:, None]
    drawn = rng.exponential(size=len(rows))
    layer = np.sum(depth < drawn[:, None], axis=1)
    hit = layer < len(radius)
    rows, photons, layer = rows[hit], photons.take(hit), layer[hit]
    share = rng.uniform(size=len(rows))
    unit = photons.p3 / photons.momentum[:, None]
    # transverse distance from the vertex to the layer along the flight
    along = np.sum(photons.vertex[:, :2] * photons.p3[:, :2], axis=1) / photons.pt
    gap = radius[layer]**2 - np.sum(photons.vertex[:, :2]**2, axis=1)
    length = (-along + np.sqrt(along**2 + gap)) / (photons.pt / photons.momentum)
    position = photons.vertex + length[:, None] * unit
    inside = np.abs(position[:, 2]) < response.decay.volume_z
    rows, photons, layer, share = rows[inside], photons.take(inside), layer[inside], share[inside]
    position, length = position[inside], length[inside]
    end = particles.end.copy()
    end[rows] = radius[layer]
    p3 = photons.p3[:, None, :] * np.stack([share, 1.0 - share], axis=1)[:, :, None]
    energy = np.sqrt(np.sum(p3**2, axis=2) + SPECIES[11][0] ** 2)
    p4 = np.concatenate([p3, energy[:, :, None]], axis=2).reshape(-1, 4)
    return replace(particles, end=end), Secondaries(
        np.repeat(photons.event, 2), np.tile([11, -11], len(rows)), np.repeat(photons.index, 2), p4,
        np.repeat(position, 2, axis=0), np.repeat(photons.time + length / SPEED_OF_LIGHT, 2))


def with_secondaries(particles: Particles, new: Secondaries, index: NDArray[np.int64]) -> Particles:
    """The particles and those of ``new`` that the detector can see."""
    seen = np.isin(np.abs(new.pdg), list(SPECIES))
    made = Particles(new.event, index, new.pdg, new.p4[:, :3], new.vertex, new.time,
                     np.full(len(new.event), np.nan)).take(seen)
    return join([particles, made])


def merge(*parts: Secondaries) -> Secondaries:
    """All lists, one after the other."""
    return Secondaries(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Secondaries)))
