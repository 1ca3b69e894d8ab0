"""Hadrons that meet a nucleus in the tracker: scattered hadrons, protons knocked out, annihilations.

The nucleus takes what is missing, so that the products do not add up to the
hadron. Neutrons and photons that come out are not followed, nor are neutrons
and K_L that go in.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT, SPEED_OF_LIGHT
from fei_lite.detector.particles import SPECIES, Particles, Secondaries, flight, isotropic
from fei_lite.detector.response import Response

Array = NDArray[np.float64]


def interaction_depths(particles: Particles, bz: Array, response: Response) -> tuple[Array, Array]:
    """Interaction lengths crossed up to and with each inner layer (n, L), and the path (n, L) in cm to it.

    Layers inside the vertex or beyond the farthest point count nothing. Exact for particles from the axis;
    ``bz`` (n,) in T.
    """
    layers = slice(0, response.decay.conversion_layers)
    radius, material = response.tracker.radius[layers][None, :], response.tracker.material[layers]
    pt = np.maximum(particles.pt, 1e-3)
    stretch = (particles.momentum / pt)[:, None]
    start = np.hypot(particles.vertex[:, 0], particles.vertex[:, 1])[:, None]
    bend = 0.5 * CURVATURE_TO_PT * (bz / pt)[:, None]
    cosine = np.sqrt(np.maximum(1.0 - (radius * bend) ** 2, 0.0025))
    crossed = (radius > start) & (radius * bend < 1.0)
    thickness = np.where(crossed, material * response.nuclear.per_radiation_length * stretch / cosine, 0.0)
    arc = (np.arcsin(np.minimum(radius * bend, 1.0)) - np.arcsin(np.minimum(start * bend, 1.0))) / bend
    return np.cumsum(thickness, axis=1), arc * stretch


def nuclear_interactions(particles: Particles, bz: Array, response: Response,
                         rng: np.random.Generator) -> tuple[Particles, Secondaries]:
    """Let charged hadrons interact in the inner layers of the tracker; ``bz`` (n,) in T."""
    n = response.nuclear
    rows = np.flatnonzero(np.isin(particles.species, (211, 321, 2212)) & np.isnan(particles.end))
    hadrons = particles.take(rows)
    depth, path = interaction_depths(hadrons, bz[rows], response)
    layer = np.sum(depth < rng.exponential(size=len(rows))[:, None], axis=1)
    hit = layer < depth.shape[1]
    rows, hadrons, layer = rows[hit], hadrons.take(hit), layer[hit]
    length = path[hit][np.arange(len(rows)), layer]
    position, _ = flight(hadrons, length, bz[rows])
    inside = np.abs(position[:, 2]) < response.decay.volume_z
    rows, hadrons, position, length = rows[inside], hadrons.take(inside), position[inside], length[inside]
    end = particles.end.copy()
    end[rows] = np.hypot(position[:, 0], position[:, 1])
    annihilates = hadrons.pdg == -2212
    scattered = np.flatnonzero(~annihilates & (rng.uniform(size=len(rows)) < n.scattered_fraction))
    knocked = np.repeat(np.arange(len(rows)), rng.poisson(np.where(annihilates, 0.0, n.protons)))
    pions = np.repeat(np.arange(len(rows)), rng.poisson(np.where(annihilates, n.annihilation_pions, 0.0)))
    origin = np.concatenate([scattered, knocked, pions])
    code = np.concatenate([hadrons.pdg[scattered], np.full(len(knocked), 2212),
                           rng.choice(np.array([-211, 211]), len(pions))]).astype(np.int64)
    size = np.concatenate([hadrons.momentum[scattered] * rng.uniform(0.3, 1.0, len(scattered)),
                           n.proton_momentum[0] + rng.exponential(n.proton_momentum[1], len(knocked)),
                           rng.exponential(n.annihilation_momentum, len(pions))])
    size = np.minimum(size, np.maximum(hadrons.momentum[origin], n.annihilation_momentum + n.proton_momentum[0]))
    return replace(particles, end=end), _products(hadrons, origin, code, size, position, length, rng)


def _products(hadrons: Particles, origin: NDArray[np.int64], code: NDArray[np.int64], size: Array, position: Array,
              length: Array, rng: np.random.Generator) -> Secondaries:
    """Isotropic products of the momenta ``size`` (n,) in GeV; ``origin`` (n,) is their row in ``hadrons``."""
    mass = np.select([np.abs(code) == k for k in (211, 321)], [SPECIES[k][0] for k in (211, 321)], SPECIES[2212][0])
    p4 = np.concatenate([isotropic(len(origin), rng) * size[:, None], np.hypot(size, mass)[:, None]], axis=1)
    energy = np.hypot(hadrons.momentum, hadrons.mass)
    time = hadrons.time + length * energy / (hadrons.momentum * SPEED_OF_LIGHT)
    return Secondaries(hadrons.event[origin], code, hadrons.index[origin], p4, position[origin], time[origin])
