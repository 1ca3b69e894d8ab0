"""Phase space of many bodies: decays into more products than Pythia makes, drawn anew.

Masses of the products are kept. In the rest frame of what they are together (the mother without radiated
photons) their momenta are drawn as by Raubold and Lynch (F. James, CERN 68-15): sorted random numbers are the masses
of the subsystems, accepted in proportion to the product of the momenta of each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.decay_table import Mode
from fei_lite.generator.matrix_elements.family import Family
from fei_lite.generator.matrix_elements.kinematics import (
    boost_matrices,
    breakup_momentum,
    inverse,
    mass_of,
    transform,
)
from fei_lite.generator.matrix_elements.moves import Moves
from fei_lite.generator.records import conjugated, hashed, mode_hash

Array = NDArray[np.float64]

_MASSLESS = 1e-6  # GeV; what weighs less does not decay
_PILOT, _MARGIN = 4000, 1.1  # draws that tell the largest weight, and how much larger it is taken to be


def hashes_of(modes: Mapping[int, Sequence[Mode]], most: int) -> NDArray[np.uint64]:
    """Hashes (see :func:`~fei_lite.generator.records.mode_hash`) of the modes with more than ``most`` products."""
    found = []
    for code, each in modes.items():
        for mode in each:
            if len(mode.products) > most:
                products = np.array(mode.products)
                for sign, these in ((1, products), (-1, conjugated(products))):
                    found.append(mode_hash(np.array([sign * code]), hashed(these).sum(keepdims=True)))
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.uint64)


def redraw_many_bodies(family: Family, hashes: NDArray[np.uint64], moves: Moves, rng: np.random.Generator) -> None:
    """Draw anew the decays of a block whose mother and products have one of the ``hashes``."""
    if not len(hashes):
        return
    mothers = np.unique(family.mother[family.mother >= 0])
    owner, rows = family.made(mothers)
    counts = np.bincount(owner, minlength=len(mothers))
    sums = np.zeros(len(mothers), dtype=np.uint64)
    np.add.at(sums, owner, hashed(family.raw[rows]))
    wanted = np.isin(mode_hash(family.raw[mothers], sums), hashes)
    for n in np.unique(counts[wanted]).tolist():
        chosen = np.flatnonzero(wanted & (counts == n))
        mine = np.isin(owner, chosen)
        order = np.argsort(owner[mine], kind="stable")
        table = rows[mine][order].reshape(-1, n)
        old = family.p4[table]
        total = old.sum(axis=1)
        to_frame = boost_matrices(total)
        new = phase_space(mass_of(total), mass_of(old.reshape(-1, 4)).reshape(-1, n), rng)
        for i in range(n):
            p4 = transform(to_frame, new[:, i])
            massive = mass_of(old[:, i]) > _MASSLESS
            moves.add(table[~massive, i], p4[~massive])
            p4, before = p4[massive], old[massive, i]
            moves.add(table[massive, i], p4, boost_matrices(p4) @ inverse(boost_matrices(before)))


def phase_space(total: Array, masses: Array, rng: np.random.Generator) -> Array:
    """Four-momenta (n, k, 4) in the rest frame, in GeV, of decays of masses ``total`` (n,) into ``masses`` (n, k).

    >>> p = phase_space(np.array([5.0]), np.full((1, 9), 0.14), np.random.default_rng(1))
    >>> np.allclose(p.sum(axis=1), [[0, 0, 0, 5.0]])
    True
    """
    n, k = masses.shape
    below = np.cumsum(masses, axis=1)
    steps = np.empty((n, k))
    if not n:
        return np.empty((0, k, 4))
    pilot = np.resize(np.arange(n), _PILOT)
    limit = _MARGIN * float(np.max(_weight(_subsystems(total[pilot], below[pilot], rng), masses[pilot])))
    waiting = np.arange(n)
    while len(waiting):
        tried = _subsystems(total[waiting], below[waiting], rng)
        accepted = rng.uniform(size=len(waiting)) * limit < _weight(tried, masses[waiting])
        steps[waiting[accepted]] = tried[accepted]
        waiting = waiting[~accepted]
    return _momenta(steps, masses, rng)


def _subsystems(total: Array, below: Array, rng: np.random.Generator) -> Array:
    """Masses (n, k) of the first, the first two ... and of all particles, from sorted random numbers."""
    n, k = below.shape
    chance = np.sort(rng.uniform(size=(n, k - 2)), axis=1)
    free = total - below[:, -1]
    between = below[:, 1:-1] + chance * free[:, None]
    return np.concatenate([below[:, :1], between, total[:, None]], axis=1)


def _weight(steps: Array, masses: Array) -> Array:
    """Density in phase space (n,): the product of the momenta of all steps, over powers of the free energy."""
    momenta = breakup_momentum(steps[:, 1:], steps[:, :-1], masses[:, 1:])
    free = steps[:, -1] - masses.sum(axis=1)
    return np.asarray(np.prod(momenta / np.maximum(free, 1e-12)[:, None], axis=1))


def _momenta(steps: Array, masses: Array, rng: np.random.Generator) -> Array:
    """Four-momenta (n, k, 4) for masses of the subsystems: each decays isotropically."""
    n, k = masses.shape
    out = np.zeros((n, k, 4))
    for i in range(1, k):
        p = breakup_momentum(steps[:, i], steps[:, i - 1], masses[:, i])
        cos, phi = rng.uniform(-1.0, 1.0, n), rng.uniform(-np.pi, np.pi, n)
        sin = np.sqrt(1.0 - cos**2)
        away = np.stack([sin * np.cos(phi), sin * np.sin(phi), cos], axis=1) * p[:, None]
        system = np.concatenate([-away, np.sqrt(p**2 + steps[:, i - 1] ** 2)[:, None]], axis=1)
        if i == 1:
            out[:, 0] = system
        else:
            boosts = boost_matrices(system)
            for j in range(i):
                out[:, j] = transform(boosts, out[:, j])
        out[:, i] = np.concatenate([away, np.sqrt(p**2 + masses[:, i] ** 2)[:, None]], axis=1)
    return out
