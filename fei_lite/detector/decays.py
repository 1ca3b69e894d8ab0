"""Decays in flight of charged pions and kaons inside the tracker, flat in phase space.

The pi0 of a kaon's decay decays at once: its photons are daughters of the kaon.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT, SPEED_OF_LIGHT
from fei_lite.detector.particles import SPECIES, Particles, Secondaries, flight, isotropic, merge
from fei_lite.detector.response import Response
from fei_lite.generator.beams import boost

Array = NDArray[np.float64]

#: Decays of K+; the response has their branching fractions in this order.
KAON_MODES = ((-13, 14), (211, 111), (211, 211, -211), (-11, 12, 111), (-13, 14, 111), (211, 111, 111))
_PION_MODE = (-13, 14)
_PI0, _PI0_MASS = 111, 0.1349768


def decays_in_flight(particles: Particles, bz: Array, response: Response,
                     rng: np.random.Generator) -> tuple[Particles, Secondaries]:
    """Let pions and kaons decay inside the tracker and within their first half turn; ``bz`` (n,) in T."""
    r = response.decay
    ctau = np.select([particles.species == 211, particles.species == 321], [r.ctau_pi, r.ctau_K], np.inf)
    length = rng.exponential(size=len(particles)) * ctau * particles.momentum / np.maximum(particles.mass, 1e-9)
    rows = np.flatnonzero(length < 4.0 * r.volume_z)
    mothers = particles.take(rows)
    position, momentum = flight(mothers, length[rows], bz[rows])
    radius = np.hypot(position[:, 0], position[:, 1])
    turned = length[rows] / mothers.momentum * CURVATURE_TO_PT * bz[rows]
    inside = (radius < r.volume_r) & (np.abs(position[:, 2]) < r.volume_z) & (turned < np.pi)
    rows, mothers, position, momentum, radius = (x[inside] for x in (rows, mothers.event, position, momentum, radius))
    mothers = particles.take(rows)
    end = particles.end.copy()
    end[rows] = radius
    edges = np.cumsum(r.branching_K)
    mode = np.minimum(np.searchsorted(edges, rng.uniform(size=len(rows)) * edges[-1]), len(KAON_MODES) - 1)
    mode[mothers.species == 211] = -1
    time = mothers.time + length[rows] * np.hypot(mothers.momentum, mothers.mass) / (mothers.momentum * SPEED_OF_LIGHT)
    made = []
    for number, codes in enumerate((_PION_MODE, *KAON_MODES), start=-1):
        chosen = np.flatnonzero(mode == number)
        made.append(_products(mothers.take(chosen), codes, position[chosen], momentum[chosen], time[chosen], rng))
    return replace(particles, end=end), merge(*made)


def _products(mothers: Particles, codes: tuple[int, ...], position: Array, momentum: Array, time: Array,
              rng: np.random.Generator) -> Secondaries:
    """The products ``codes`` (of a positive mother) of each mother, one after the other; photons for pi0."""
    mass = tuple(_PI0_MASS if code == _PI0 else SPECIES[abs(code)][0] if abs(code) in SPECIES else 0.0
                 for code in codes)
    at_rest = two_body if len(codes) == 2 else three_body
    frame = np.concatenate([momentum, np.hypot(mothers.momentum, mothers.mass)[:, None]], axis=1)
    names: list[NDArray[np.int64]] = []
    vectors: list[Array] = []
    sign = np.sign(mothers.pdg)
    for code, p4 in zip(codes, at_rest(mothers.mass, mass, rng), strict=True):
        moving = boost(p4, frame)
        if code != _PI0:
            names.append(code * sign)
            vectors.append(moving)
            continue
        for photon in two_body(np.full(len(mothers), _PI0_MASS), (0.0, 0.0), rng):
            names.append(np.full(len(mothers), 22))
            vectors.append(boost(photon, moving))
    k = len(names)
    return Secondaries(np.repeat(mothers.event, k), np.stack(names, axis=1).ravel().astype(np.int64),
                       np.repeat(mothers.index, k), np.stack(vectors, axis=1).reshape(-1, 4),
                       np.repeat(position, k, axis=0), np.repeat(time, k))


def momentum_at_rest(mass: Array, first: Array | float, second: Array | float) -> Array:
    """Momentum (GeV) of either product in the rest frame of a mass; 0 below threshold.

    >>> float(momentum_at_rest(np.array(0.13957039), 0.1056583755, 0.0).round(5))  # pi+ -> mu+ nu (PDG)
    0.02979
    """
    square = (mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)) / (2.0 * mass))


def two_body(mass: Array, products: tuple[Array | float, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    """Four-vectors (n, 4) of two products in the rest frame of ``mass`` (n,), isotropic."""
    star = momentum_at_rest(mass, *products)
    p3 = isotropic(len(mass), rng) * star[:, None]
    first, second = (np.hypot(star, m)[:, None] for m in products)
    return np.concatenate([p3, first], axis=1), np.concatenate([-p3, second], axis=1)


def three_body(mass: Array, products: tuple[float, ...], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Four-vectors (n, 4) of three products in the rest frame of ``mass`` (n,), flat in phase space.

    The mass of the first two is drawn flat and kept in proportion to both momenta.
    """
    first, second, third = products
    pair = np.empty(len(mass))
    todo = np.arange(len(mass))
    low, high = first + second, mass - third
    bound = momentum_at_rest(mass, low, third) * momentum_at_rest(high, first, second)
    while len(todo):
        pair[todo] = rng.uniform(low, high[todo])
        weight = momentum_at_rest(mass[todo], pair[todo], third) * momentum_at_rest(pair[todo], first, second)
        todo = todo[rng.uniform(size=len(todo)) * bound[todo] > weight]
    together, last = two_body(mass, (pair, third), rng)
    one, two = two_body(pair, (first, second), rng)
    return boost(one, together), boost(two, together), last
