"""Generated events with decays drawn anew: semileptonic decays, neutrino pairs, polarised taus.

Everything is drawn in the frames of the event as Pythia made it; then one pass
through the record moves the products and all that descends from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.events import Jagged
from fei_lite.generator.matrix_elements.analysers import Analysers, analysers
from fei_lite.generator.matrix_elements.book import CHARGED, NEUTRINOS, TAU, Book, Entry
from fei_lite.generator.matrix_elements.dalitz import redraw_dalitz
from fei_lite.generator.matrix_elements.family import Family
from fei_lite.generator.matrix_elements.kinematics import (
    axes_along,
    boost_matrices,
    breakup_momentum,
    directions,
    inverse,
    mass_of,
    random_rotations,
    rotated,
    rotation_between,
    transform,
    units,
)
from fei_lite.generator.matrix_elements.many_body import redraw_many_bodies
from fei_lite.generator.matrix_elements.moves import Moves
from fei_lite.generator.matrix_elements.semileptonic import (
    BROAD_STEP,
    NARROW_STEP,
    Drawn,
    Spectrum,
    analyser_direction,
    draw_angles,
)
from fei_lite.generator.matrix_elements.tau import TAU_MASS, pair_correlation, turned
from fei_lite.generator.matrix_elements.tau_decays import polarimeters
from fei_lite.generator.matrix_elements.tau_hadrons import redraw_three_pions, turn_vectors
from fei_lite.generator.records import hashed, mode_hash

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_LEPTON_MASS = {11: 0.00051099895, 13: 0.1056583745, 15: TAU_MASS, 12: 0.0, 14: 0.0, 16: 0.0}  # GeV, PDG


@dataclass(frozen=True)
class Decays:
    """Decays of a block that have an entry, arrays (n,): rows of mother, lepton, other lepton, hadron (or -1).

    ``entry`` counts in ``entries``. ``dressed`` (n, 4) is the lepton with the photons that the decay radiated;
    ``photons`` are their rows, ``radiator`` the decay each belongs to.
    """

    entry: Rows
    entries: tuple[Entry, ...]
    mother: Rows
    lepton: Rows
    neutrino: Rows
    hadron: Rows
    dressed: Array
    photons: Rows
    radiator: Rows

    def chosen(self, mask: NDArray[np.bool_]) -> Decays:
        """The decays of a mask."""
        new = np.cumsum(mask) - 1
        kept = mask[self.radiator]
        return Decays(self.entry[mask], self.entries, self.mother[mask], self.lepton[mask], self.neutrino[mask],
                      self.hadron[mask], self.dressed[mask], self.photons[kept], new[self.radiator[kept]])


def redrawn(records: Jagged, book: Book, rng: np.random.Generator, copies: Mapping[int, int]) -> Jagged:
    """A block of records with the decays of ``book`` drawn anew; ``copies`` are the codes of groups of B decays."""
    family = Family(records, {copy: code for copy, code in copies.items() if copy not in book.meant}, book.meant)
    moves = Moves()
    redraw_many_bodies(family, book.many, moves, rng)
    if len(book.meant):
        turn_vectors(family, moves, rng)
        redraw_three_pions(family, moves, rng)
        moves.apply(family)
    redraw_dalitz(family, book.shapes, moves, rng)
    decays = find_decays(family, book, rng)
    if len(decays.mother):
        _three_body(family, decays.chosen(decays.hadron >= 0), moves, rng)
        _leptonic(family, decays.chosen(decays.hadron < 0), moves, rng)
    moves.apply(family)
    return _moved(records, family)


def redrawn_pairs(records: Jagged, rng: np.random.Generator, meant: Mapping[int, int]) -> Jagged:
    """A block of e+e- -> tau- tau+ with the decays of both taus turned as their spins are correlated.

    The tau- decays at random, the tau+ as that leaves it. The beams are along z;
    what they radiate changes the frame and the mass of the pair. ``meant`` has the codes of private particles.
    """
    family = Family(records, {}, meant)
    moves = Moves()
    minus, plus = (_first_of(family, code) for code in (TAU, -TAU))
    total = family.p4[minus] + family.p4[plus]
    onward = boost_matrices(total)
    to_rest = inverse(onward)
    n = len(minus)
    flight = units(transform(to_rest, family.p4[minus])[:, :3])
    ends = (transform(to_rest, np.tile([0.0, 0.0, sign, 1.0], (n, 1)))[:, :3] for sign in (1.0, -1.0))
    electron, positron = (units(end) for end in ends)
    beam = units(electron - positron)
    cos = np.sum(flight * beam, axis=1)
    # axes of the correlation: towards larger angles, normal, along the tau-
    normal = units(np.cross(beam, flight))
    axes = np.stack([np.cross(normal, flight), normal, flight], axis=2)
    correlation = pair_correlation(cos, mass_of(total) / (2.0 * TAU_MASS))
    h = [polarimeters(family, rows, inverse(boost_matrices(transform(to_rest, family.p4[rows]))) @ to_rest)
         for rows in (minus, plus)]
    first = random_rotations(n, rng)
    local = transform(np.swapaxes(axes, 1, 2), transform(first, h[0]))
    spin = transform(axes, np.einsum("nij,ni->nj", correlation, local))
    for rows, rotation in ((minus, first), (plus, turned(spin, h[1], rng))):
        own = boost_matrices(transform(to_rest, family.p4[rows]))
        moves.add(rows, family.p4[rows], onward @ own @ rotated(rotation) @ inverse(own) @ to_rest)
    moves.apply(family)
    return _moved(records, family)


def _first_of(family: Family, code: int) -> Rows:
    """Row of the first particle of a code in each event."""
    rows = np.flatnonzero(family.code == code)
    return rows[np.unique(family.event[rows], return_index=True)[1]]


def _moved(records: Jagged, family: Family) -> Jagged:
    return Jagged(records.offsets, {**records.columns, "p4": family.p4, "x4": family.x4})


def find_decays(family: Family, book: Book, rng: np.random.Generator) -> Decays:
    """The decays of a block that the book has; which of several entries, is drawn."""
    is_neutrino = np.isin(family.absolute, NEUTRINOS) & (family.mother >= 0)
    above = family.mother[is_neutrino]
    mothers = np.unique(above[np.isin(np.abs(family.raw[above]), book.mothers)])
    owner, rows = family.daughters(mothers)
    made = ~family.radiated[rows]
    sums = np.zeros(len(mothers), dtype=np.uint64)
    np.add.at(sums, owner[made], hashed(family.raw[rows[made]]))
    hashes = mode_hash(family.raw[mothers], sums)
    place = np.searchsorted(book.keys, hashes).clip(max=max(len(book.keys) - 1, 0))
    entries: list[Entry] = []
    number: dict[int, int] = {}
    entry = np.full(len(mothers), -1)
    known = np.flatnonzero(book.keys[place] == hashes) if len(book.keys) else np.zeros(0, dtype=np.int64)
    for i, chance in zip(known.tolist(), rng.uniform(size=len(known)).tolist(), strict=True):
        key = int(place[i])
        choice = book.entries[key]
        found = choice[0] if len(choice) == 1 else choice[int(np.searchsorted(book.chances[key], chance, side="right"))]
        if found is not None:
            if id(found) not in number:
                number[id(found)] = len(entries)
                entries.append(found)
            entry[i] = number[id(found)]
    return _with_roles(family, mothers, owner, rows, entry, tuple(entries)).chosen(entry >= 0)


def _with_roles(family: Family, mothers: Rows, owner: Rows, rows: Rows, entry: Rows,
                entries: tuple[Entry, ...]) -> Decays:
    """Who is who among the products. Of two neutrinos, a b quark makes the neutrino as lepton, an anti-b the other."""
    n = len(mothers)
    lepton, neutrino, hadron = (np.full(n, -1) for _ in range(3))
    absolute, code = family.absolute[rows], family.code[rows]
    charged, dark = np.isin(absolute, CHARGED), np.isin(absolute, NEUTRINOS)
    photon = family.radiated[rows]
    pair = np.bincount(owner[charged], minlength=n) == 0
    # a B with a b quark (negative code) makes a neutrino in place of l-, and the antineutrino
    as_lepton = dark & pair[owner] & (np.sign(code) == -np.sign(family.code[mothers[owner]]))
    for out, mask in ((lepton, charged | as_lepton), (neutrino, dark & ~as_lepton),
                      (hadron, ~charged & ~dark & ~photon)):
        out[owner[mask]] = rows[mask]
    dressed = family.p4[lepton].copy()
    np.add.at(dressed, owner[photon], family.p4[rows[photon]])
    return Decays(entry, entries, mothers, lepton, neutrino, hadron, dressed, rows[photon], owner[photon])


def _draw(family: Family, decays: Decays, m: Array, found: Analysers, rng: np.random.Generator) -> Drawn:
    """q2, angles and spins of all decays; entries one after the other for q2, all at once for the angles."""
    n = len(m)
    q2, amplitudes, lepton = np.empty(n), np.zeros((4, n)), np.empty(n)
    spin, anti = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    dressed = mass_of(decays.dressed)
    bare = np.bincount(decays.radiator, minlength=n) == 0
    for i in np.unique(decays.entry).tolist():
        rows, entry = np.flatnonzero(decays.entry == i), decays.entries[i]
        light = _LEPTON_MASS[entry.lepton]
        lepton[rows], anti[rows] = light, entry.charm
        heavy = np.where(bare[rows], light, np.maximum(dressed[rows], light))
        mass = float(mass_of(family.p4[decays.mother[rows[:1]]])[0].round(5))
        if entry.transition is None:
            assert entry.system is not None
            drawn, amplitudes[:, rows] = entry.system.belonging(m[rows])
            q2[rows] = np.maximum(drawn, heavy**2 * (1.0 + 1e-9))  # those models know massless leptons only
            continue
        if mass not in entry.spectra:
            entry.spectra[mass] = Spectrum(entry.transition, mass, light, BROAD_STEP if entry.broad else NARROW_STEP)
        q2[rows] = entry.spectra[mass].draw(m[rows], heavy, rng)
        amplitudes[:, rows] = entry.transition.amplitudes(mass, m[rows], q2[rows])
        spin[rows] = entry.transition.spin
    return draw_angles(amplitudes, q2, lepton, anti, spin, found.kind, rng)


def _three_body(family: Family, decays: Decays, moves: Moves, rng: np.random.Generator) -> None:
    """P -> X lepton neutrino."""
    n = len(decays.mother)
    if not n:
        return
    to_lab = boost_matrices(family.p4[decays.mother])
    to_rest = inverse(to_lab)
    old_hadron = transform(to_rest, family.p4[decays.hadron])
    m = mass_of(old_hadron)
    m_mother = mass_of(family.p4[decays.mother])
    found = analysers(family, decays.hadron, inverse(boost_matrices(old_hadron)) @ to_rest)
    drawn = _draw(family, decays, m, found, rng)
    flight = units(old_hadron[:, :3])
    # mirror images for antiquarks: the mother's code is positive for B with an anti-b, negative for D with an anti-c
    charm = np.array([entry.charm for entry in decays.entries])[decays.entry]
    mirror = (family.code[decays.mother] > 0) ^ charm
    axes = axes_along(-flight, rng.uniform(-np.pi, np.pi, n))
    p = breakup_momentum(m_mother, m, np.sqrt(drawn.q2))
    hadron = np.concatenate([flight * p[:, None], np.sqrt(p**2 + m**2)[:, None]], axis=1)
    seen = analyser_direction(drawn.cos_decay, drawn.chi) * np.where(mirror[:, None], [1.0, -1.0, 1.0], 1.0)
    new = transform(axes, seen)
    turn = np.where((found.kind > 0)[:, None, None],
                    rotation_between(found.direction, new, rng.uniform(-np.pi, np.pi, n)), np.eye(3))
    moves.add(decays.hadron, transform(to_lab, hadron),
              to_lab @ boost_matrices(hadron) @ rotated(turn) @ inverse(boost_matrices(old_hadron)) @ to_rest)
    _leptons(family, decays, drawn, axes, mirror, to_lab @ _pair_frame(flight, p, drawn.q2), to_rest, moves, rng)


def _pair_frame(flight: Array, p: Array, q2: Array) -> Array:
    """Boosts from the rest frames of the lepton pairs, which fly against the hadron."""
    return boost_matrices(np.concatenate([-flight * p[:, None], np.sqrt(p**2 + q2)[:, None]], axis=1))


def _leptons(family: Family, decays: Decays, drawn: Drawn, axes: Array, mirror: NDArray[np.bool_], frame: Array,
             to_rest: Array, moves: Moves, rng: np.random.Generator) -> None:
    """The lepton (with what it radiated) and the neutrino; ``frame`` leads from the pair's rest frame to the event."""
    root = np.sqrt(drawn.q2)
    lepton = np.array([_LEPTON_MASS[entry.lepton] for entry in decays.entries])[decays.entry]
    alone = np.bincount(decays.radiator, minlength=len(root)) == 0
    tau = family.absolute[decays.lepton] == TAU
    plain = alone & ~tau
    mass = np.where(plain, lepton, mass_of(decays.dressed))
    k = breakup_momentum(root, mass, 0.0)
    direction = transform(axes, directions(drawn.cos_lepton, np.zeros(len(root))))
    new = np.concatenate([direction * k[:, None], np.sqrt(k**2 + mass**2)[:, None]], axis=1)
    opposite = np.concatenate([-direction, np.ones((len(k), 1))], axis=1) * k[:, None]
    moves.add(decays.neutrino, transform(frame, opposite))
    moves.add(decays.lepton[plain], transform(frame[plain], new[plain]))
    whole = np.flatnonzero(~plain)
    if not len(whole):
        return
    # the lepton and its photons move as a whole, from the rest frame of their sum to that of the new sum
    old = transform(to_rest[whole], decays.dressed[whole])
    turn = rotated(rotation_between(units(old[:, :3]), direction[whole], np.zeros(len(whole))))
    back = turn @ inverse(boost_matrices(old)) @ to_rest[whole]
    onward = frame[whole] @ boost_matrices(new[whole])
    place = np.full(len(root), -1)
    place[whole] = np.arange(len(whole))
    moves.add(decays.photons, transform((onward @ back)[place[decays.radiator]], family.p4[decays.photons]))
    rows, light = decays.lepton[whole], ~tau[whole]
    moves.add(rows[light], transform((onward @ back)[light], family.p4[rows[light]]))
    spin = _spin_vectors(drawn.spin, axes, direction, mirror)[whole]
    _turn_taus(family, rows[~light], spin[~light], onward[~light], back[~light], moves, rng)


def _spin_vectors(spin: Array, axes: Array, direction: Array, mirror: NDArray[np.bool_]) -> Array:
    """Polarisation vectors in the axes of the mother's frame.

    They are axial: mirrored in the plane of the decay, they keep the normal component and lose the others' sign.
    """
    y = axes[:, :, 1]
    sign = np.where(mirror, -1.0, 1.0)[:, None]
    return np.asarray(sign * (spin[:, :1] * np.cross(y, direction) + spin[:, 2:] * direction) + spin[:, 1:2] * y)


def _turn_taus(family: Family, rows: Rows, spin: Array, onward: Array, back: Array, moves: Moves,
               rng: np.random.Generator) -> None:
    """Taus that go from the event to the frame of ``back``, and on by ``onward``; ``spin`` in the axes there.

    Their decays are turned in between, as the spin demands.
    """
    if not len(rows):
        return
    at_rest = boost_matrices(transform(back, family.p4[rows]))
    onward, back = onward @ at_rest, inverse(at_rest) @ back
    change = onward @ rotated(turned(spin, polarimeters(family, rows, back), rng)) @ back
    moves.add(rows, transform(change, family.p4[rows]), change)


def _leptonic(family: Family, decays: Decays, moves: Moves, rng: np.random.Generator) -> None:
    """P -> tau nu: a tau+ flies left-handed, a tau- right-handed, as the neutrino's helicity demands."""
    if not len(decays.mother):
        return
    onward = boost_matrices(family.p4[decays.mother])
    flight = units(transform(inverse(onward), family.p4[decays.lepton])[:, :3])
    spin = flight * np.sign(family.code[decays.lepton])[:, None]
    _turn_taus(family, decays.lepton, spin, onward, inverse(onward), moves, rng)
