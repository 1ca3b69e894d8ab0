"""Pythia's event record as columns: hadrons and leptons only, fragmentation vetoed as in EvtGen.

Frame of the collision, z along the electron; four-momenta in GeV, places in mm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError
from fei_lite.events import Jagged
from fei_lite.events.batch import offsets_of
from fei_lite.generator.decay_files.steps import is_step
from fei_lite.generator.decay_table import belle2_table, is_parton
from fei_lite.generator.pythia import COPIES, Generator, relabel

#: Rows of Pythia's record before the particle that all others come from.
HEADER = 5
#: Pythia's status codes of a radiated photon with its radiator, and of those that took the recoil.
RADIATED, RECOILED = 51, 52
_PATIENCE, _LEAST_ACCEPTED = 20_000, 0.002  # events asked for, and the fraction of them, before it is given up
_BLOCK = 1000  # events asked of Pythia at a time for few, twice as many for more; batches of any size are the same


def blocks(generator: Generator, n: int) -> Iterator[Jagged]:
    """Blocks of accepted events until ``n`` are there; counts them in ``generator``."""
    done = 0
    while done < n:
        asked = _BLOCK if n - done <= _BLOCK else 2 * _BLOCK
        records = generator.pythia.nextBatch(asked)
        if len(records) == 0:
            raise SimulationError("Pythia made no event in a whole block.")
        block = columns_of(records.prt)
        accepted = ~vetoed(block, generator.vetoed) & ~undecayed(block, generator.must_decay)
        generator.n_asked += asked
        generator.n_vetoed += int(np.sum(~accepted))
        generator.n_accepted += int(np.sum(accepted))
        if generator.n_asked >= _PATIENCE and generator.n_accepted < _LEAST_ACCEPTED * generator.n_asked:
            raise SimulationError(f"of {generator.n_asked} events only {generator.n_accepted} could be made: decays of "
                                  "the file leave hardly any room for the masses of their products.")
        block = chosen(block, accepted)
        block = block.slice(0, min(n - done, len(block.counts)))
        done += len(block.counts)
        yield block


def columns_of(records: Any) -> Jagged:
    """Records (awkward) as columns ``pdg, mother, status, radiated, p4, x4``; ``mother`` counts within the event.

    ``radiated`` marks photons that charged particles radiated.
    """
    import awkward as ak

    counts = ak.to_numpy(ak.num(records.id))
    flat = ak.flatten(records)
    index = ak.to_numpy(ak.flatten(ak.local_index(records.id)))
    event = np.repeat(np.arange(len(counts)), counts)

    def column(values: Any) -> NDArray:
        return np.asarray(ak.to_numpy(values))

    kept = index >= HEADER
    event, index = event[kept], index[kept]
    codes, status = column(flat.id)[kept], column(flat.status)[kept]
    mother = column(flat.mother1)[kept] - HEADER
    beams = (index == HEADER) | ((codes == 22) & (mother < 0))  # photons that the beams radiated have no mother
    mother = np.where(beams, -1, np.maximum(mother, 0))
    rows, mother, radiated = without_intermediates(codes, status, mother, event, counts - HEADER)
    places = np.flatnonzero(kept)[rows]
    columns = {"pdg": codes[rows], "mother": mother, "status": status[rows], "radiated": radiated,
               "p4": vectors_of(flat.p.layout, places), "x4": vectors_of(flat.vProd.layout, places)}
    offsets = offsets_of(np.bincount(event[rows], minlength=len(counts)))
    return Jagged(offsets, columns)


def vectors_of(layout: Any, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Four-vectors (n, 4) of ``rows`` of an awkward array; those that Pythia left out are zero.

    The array's buffers are read as they are: a column that awkward makes without what is missing is a copy each.
    """
    out = np.zeros((len(rows), 4))
    there = np.arange(len(rows))
    if layout.is_option:
        layout = layout.to_IndexedOptionArray64()
        rows = np.asarray(layout.index.data)[rows]
        there = np.flatnonzero(rows >= 0)
        rows, layout = rows[there], layout.content
    for i, part in enumerate(("px", "py", "pz", "e")):
        out[there, i] = np.asarray(layout[part].data)[rows]
    return out


def without_intermediates(
    codes: NDArray, status: NDArray, mother: NDArray, event: NDArray, counts: NDArray,
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.bool_]]:
    """Rows that are particles, their mothers counted among those rows, and which are radiated photons.

    Left out are partons, steps of decays into more products than Pythia makes, and particles as they were
    before they radiated or recoiled: Pythia lists them again afterwards. What comes from them gets the
    nearest ancestor that is kept: a hadron of fragmentation, or a photon, hangs
    on the meson that decayed. So did EvtGen, and four-momentum is conserved at
    each vertex.
    """
    first = offsets_of(counts)[:-1]
    above = np.where(mother >= 0, mother + first[event], -1)
    left_out = is_parton(codes) | is_step(codes)
    again = np.flatnonzero(np.isin(np.abs(status), (RADIATED, RECOILED)) & (above >= 0) & (codes == codes[above]))
    left_out[above[again]] = True
    radiated = (codes == 22) & (np.abs(status) == RADIATED) & (above >= 0) & (codes[above] != 22)
    while np.any(later := ~radiated[again] & radiated[above[again]]):  # a photon that took recoil is listed again
        radiated[again[later]] = True
    while True:
        through = (above >= 0) & left_out[above]
        if not through.any():
            break
        above[through] = above[above[through]]
    kept = np.flatnonzero(~left_out)
    position = np.cumsum(~left_out) - 1
    per_event = np.bincount(event[kept], minlength=len(counts))
    new_first = offsets_of(per_event)[:-1]
    ancestor = above[kept]
    relative = np.where(ancestor >= 0, position[ancestor] - new_first[event[kept]], -1)
    return kept, relative.astype(np.int32), radiated[kept]


def vetoed(block: Jagged, copies: Mapping[int, int]) -> NDArray[np.bool_]:
    """Events (n,) where the partons of a B made an exclusive mode of the decay table.

    ``copies`` are the codes of B's that decay into partons, with what they stand for.
    See :mod:`fei_lite.generator.fragmentation`. The two B's are independent of
    each other, so leaving the event out leaves both with the table's fractions.
    """
    mesons, hashes = decays_of(block, copies)
    out = np.zeros(len(block.counts), dtype=bool)
    out[block.event_index[mesons[np.isin(hashes, exclusive_modes())]]] = True
    return out


def undecayed(block: Jagged, codes: frozenset[int]) -> NDArray[np.bool_]:
    """Events (n,) with a particle of ``codes`` that is left over."""
    out = np.zeros(len(block.counts), dtype=bool)
    out[block.event_index[np.isin(block["pdg"], sorted(codes)) & (block["status"] > 0)]] = True
    return out


def decays_of(block: Jagged, copies: Mapping[int, int]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Rows of B's that are copies, and :func:`mode_hash` of their decays (without radiated photons)."""
    first = block.offsets[:-1][block.event_index]
    above = np.where(block["mother"] >= 0, block["mother"] + first, 0)
    from_copy = np.isin(np.abs(block["pdg"][above]), list(copies))
    products = np.flatnonzero(from_copy & ~block["radiated"] & (block["mother"] >= 0))
    mesons, group = np.unique(above[products], return_inverse=True)
    sums = np.zeros(len(mesons), dtype=np.uint64)
    np.add.at(sums, group, hashed(block["pdg"][products]))
    return mesons, mode_hash(relabel(block["pdg"][mesons], copies), sums)


def retimed(block: Jagged, rows: NDArray[np.intp], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """``x4`` (n, 4; mm) with the particles of ``rows`` decaying after the proper ``times`` (mm/c).

    Everything that descends from them moves along.
    """
    first = block.offsets[:-1][block.event_index]
    mother = np.where(block["mother"] >= 0, block["mother"] + first, -1)
    p4 = block["p4"][rows]
    mass = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
    # any daughter (the last one) tells where the particle decayed before
    daughter = np.full(len(mother), -1)
    has_mother = np.flatnonzero(mother >= 0)
    daughter[mother[has_mother]] = has_mother
    target = block["x4"][rows] + p4 / mass[:, None] * times[:, None]
    shift = np.zeros_like(block["x4"])
    decayed = daughter[rows] >= 0
    moved = np.full(len(mother), -1)
    moved[rows[decayed]] = rows[decayed]
    ancestor = mother.copy()
    while np.any(climbing := (ancestor >= 0) & (moved[np.maximum(ancestor, 0)] < 0)):
        ancestor[climbing] = mother[ancestor[climbing]]
    below = ancestor >= 0
    shift[rows[decayed]] = target[decayed] - block["x4"][daughter[rows[decayed]]]
    return np.asarray(block["x4"] + np.where(below[:, None], shift[np.maximum(ancestor, 0)], 0.0))


def hashed(codes: NDArray) -> NDArray[np.uint64]:
    """A 64-bit number for each PDG code; their sum identifies a set of products (splitmix64)."""
    x = codes.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def mode_hash(mothers: NDArray, sums: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit number for mothers with products of given sums."""
    return np.asarray(sums + hashed(mothers) * np.uint64(3))


@cache
def exclusive_modes() -> NDArray[np.uint64]:
    """Hashes of the B modes without partons, and of their conjugates; modes of zero fraction too."""
    out = []
    for code in COPIES.values():
        for products in belle2_table().exclusive[code]:
            particles = np.array(products)
            out += [mode_hash(np.array([code]), hashed(particles).sum(keepdims=True)),
                    mode_hash(np.array([-code]), hashed(conjugated(particles)).sum(keepdims=True))]
    return np.unique(np.concatenate(out))


def conjugated(codes: NDArray) -> NDArray:
    """PDG codes of the charge conjugates.

    >>> conjugated(np.array([421, 211, 111, 310])).tolist()
    [-421, -211, 111, 310]
    """
    known, where = np.unique(codes, return_inverse=True)
    return np.array([-c if has_antiparticle(int(c)) else c for c in known], dtype=codes.dtype)[where]


@cache
def has_antiparticle(code: int) -> bool:
    """False for self-conjugate particles (and for codes that have no conjugate)."""
    from particle import InvalidParticle, Particle, ParticleNotFound

    try:
        return not Particle.from_pdgid(code).is_self_conjugate
    except (InvalidParticle, ParticleNotFound):
        return abs(code) != 30113


def chosen(block: Jagged, mask: NDArray[np.bool_]) -> Jagged:
    """The events of a mask."""
    if mask.all():
        return block
    objects = np.flatnonzero(np.repeat(mask, block.counts))
    offsets = offsets_of(block.counts[mask])
    return Jagged(offsets, {name: values.take(objects, axis=0) for name, values in block.columns.items()})
