"""Hadronic decays of aliased taus, which Pythia makes in phase space: tau -> rho nu, K* nu and three pions nu.

Pythia's own tau has matrix elements of its own for its modes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.family import Family, nth
from fei_lite.generator.matrix_elements.helicity import draw_cosines
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
from fei_lite.generator.matrix_elements.moves import Moves
from fei_lite.generator.matrix_elements.tau import TAU_MASS, three_pion_rate

Array = NDArray[np.float64]

_TAU, _VECTORS = 15, (213, 323)
_PION, _PION0, _RHO_PI = 0.13957, 0.13498, 0.775 + 0.13957  # GeV
#: The a1 of TAUHADNU in the Belle II decay table: mass, width, GeV.
A1 = (1.23, 0.4)


def turn_vectors(family: Family, moves: Moves, rng: np.random.Generator) -> None:
    """tau -> V nu, V -> two mesons: the angle of the mesons to the V's flight, by the vector current.

    Of an unpolarised tau the V has helicity 0 with m_tau^2 / (m_tau^2 + 2 m_V^2): density
    1 + (m_tau^2 / m_V^2 - 1) cos^2.
    """
    rows = np.flatnonzero(np.isin(family.absolute, _VECTORS) & (family.mother >= 0))
    rows = rows[family.absolute[family.mother[rows]] == _TAU]
    if not len(rows):
        return
    n = len(rows)
    owner, found = family.made(rows)
    pair = nth(owner, found, n, 3)
    good = (pair[:, 1] >= 0) & (pair[:, 2] < 0)
    rows, pair = rows[good], pair[good]
    to_tau = inverse(boost_matrices(family.p4[family.mother[rows]]))
    vector = transform(to_tau, family.p4[rows])
    back = inverse(boost_matrices(vector)) @ to_tau
    ratio = (TAU_MASS / mass_of(vector)) ** 2
    cos = draw_cosines((np.ones_like(ratio), np.zeros_like(ratio), ratio - 1.0), rng)
    n = len(rows)
    new = transform(axes_along(units(vector[:, :3]), rng.uniform(-np.pi, np.pi, n)), directions(cos, np.zeros(n)))
    turn = rotation_between(units(transform(back, family.p4[pair[:, 0]])[:, :3]), new, np.zeros(n))
    moves.add(rows, family.p4[rows], inverse(back) @ rotated(turn) @ back)


def redraw_three_pions(family: Family, moves: Moves, rng: np.random.Generator) -> None:
    """Three pions and the neutrino of aliased taus (TAUHADNU) by the current of Kuehn and Santamaria, with an a1."""
    rows = np.flatnonzero((family.absolute == _TAU) & (np.abs(family.raw) != _TAU))
    if not len(rows):
        return
    owner, found = family.made(rows)
    table = nth(owner, found, len(rows), 5)
    codes = np.where(table >= 0, family.absolute[table], 0)
    for pattern in ((0, 16, 111, 111, 211), (0, 16, 211, 211, 211)):
        which = np.flatnonzero(np.all(np.sort(codes, axis=1) == np.array(pattern), axis=1))
        if not len(which):
            continue
        charge = -np.sign(family.code[rows[which]])
        # neutrino first, then the two like pions, the odd one last
        kind = codes[which] + 1000 * (codes[which] == 0)
        sign = np.sign(family.code[table[which]]) * charge[:, None]
        odd = (kind == 211) if pattern[2] == 111 else (kind == 211) & (sign < 0)
        order = np.argsort(np.where(kind == 16, 0, np.where(kind > 900, 9, np.where(odd, 2, 1))), axis=1, kind="stable")
        products = np.take_along_axis(table[which], order, axis=1)[:, :4]
        new = draw_three_pions(len(which), charge, rng, neutral=pattern[2] == 111)
        onward = boost_matrices(family.p4[rows[which]])
        to_rest = inverse(onward)
        for k in range(4):
            old = transform(to_rest, family.p4[products[:, k]])
            p4 = transform(onward, new[k])
            change = None
            if k:
                change = onward @ boost_matrices(new[k]) @ inverse(boost_matrices(old)) @ to_rest
            moves.add(products[:, k], p4, change)


def _masses(neutral: bool) -> tuple[float, float]:
    """Masses of the like pions and of the odd one."""
    return (_PION0, _PION) if neutral else (_PION, _PION)


def _proposed(n: int, rng: np.random.Generator, *, neutral: bool) -> tuple[Array, Array]:
    """Neutrino, like pions, odd pion (4, n, 4) in the rest frame of the tau, and phase-space weights."""
    like, odd = _masses(neutral)
    mass = rng.uniform(2.0 * like + odd, TAU_MASS, n)
    pair = (like + odd) + rng.uniform(size=n) * (mass - 2.0 * like - odd)
    p, p1, p2 = (breakup_momentum(TAU_MASS, mass, 0.0), breakup_momentum(mass, like, pair),
                 breakup_momentum(pair, like, odd))

    def flight(size: Array, m: Array | float) -> Array:
        d = directions(rng.uniform(-1.0, 1.0, n), rng.uniform(-np.pi, np.pi, n))
        return np.concatenate([d * size[:, None], np.sqrt(size**2 + np.square(m))[:, None]], axis=1)

    system = flight(p, mass)
    first = flight(p1, like)
    rest = np.concatenate([-first[:, :3], np.sqrt(p1**2 + pair**2)[:, None]], axis=1)
    second = flight(p2, like)
    third = np.concatenate([-second[:, :3], np.sqrt(p2**2 + odd**2)[:, None]], axis=1)
    inside = boost_matrices(rest)
    outside = boost_matrices(system)
    pions = [transform(outside, v) for v in (first, transform(inside, second), transform(inside, third))]
    neutrino = np.concatenate([-system[:, :3], p[:, None]], axis=1)
    return np.stack([neutrino, *pions]), p * p1 * p2 * (mass - 2.0 * like - odd)


def _weights(p4: Array, charge: Array) -> Array:
    """Squared matrix element of proposals, with the a1."""
    s = mass_of(p4[1] + p4[2] + p4[3]) ** 2
    width = A1[0] * A1[1] * _running(s) / _running(np.array([A1[0] ** 2]))
    return three_pion_rate(p4[1], p4[2], p4[3], p4[0], charge) / ((A1[0] ** 2 - s) ** 2 + width**2)


def _running(s: Array) -> Array:
    """Phase space of a1 -> rho pi as a function of the mass squared (Kuehn, Santamaria, eq. 3.16), up to a factor."""
    x = s - 9.0 * _PION**2
    above = s * (1.623 + 10.38 / s - 9.32 / s**2 + 0.65 / s**3)
    return np.where(s > _RHO_PI**2, above, 4.1 * x**3 * (1.0 - 3.3 * x + 5.8 * x**2))


@cache
def _largest(neutral: bool) -> float:
    """A bound of the weights: the largest of 200 000 proposals, and a fifth more."""
    rng = np.random.default_rng(1)
    p4, weight = _proposed(200_000, rng, neutral=neutral)
    return float(1.2 * np.max(weight * _weights(p4, np.full(200_000, -1.0))))


def draw_three_pions(n: int, charge: Array, rng: np.random.Generator, *, neutral: bool) -> Array:
    """Neutrino, two like pions and the odd one (4, n, 4) of unpolarised taus, in their rest frames; random axes."""
    out = np.empty((4, n, 4))
    waiting = np.arange(n)
    bound = _largest(neutral)
    while len(waiting):
        trials = 30 * len(waiting) + 100
        p4, weight = _proposed(trials, rng, neutral=neutral)
        good = np.flatnonzero(rng.uniform(size=trials) * bound < weight * _weights(p4, np.full(trials, -1.0)))
        taken = good[:len(waiting)]
        mirror = np.where(charge[waiting[:len(taken)], None] > 0, [-1.0, -1.0, -1.0, 1.0], 1.0)
        out[:, waiting[:len(taken)]] = p4[:, taken] * mirror
        waiting = waiting[len(taken):]
    turn = rotated(random_rotations(n, rng))
    return np.stack([transform(turn, part) for part in out])
