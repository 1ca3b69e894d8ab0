"""Second arcs: the way back of a particle that curls in the drift chamber, found as a track of its own.

The particle leaves the vertex, crosses the layers, turns round at its farthest
point from the beam and comes back. A fit of the way back alone takes it for a
particle that leaves the beam: the direction is reversed, and so is the charge.
The layers on the way out bend the particle less and less (energy loss) and
scatter it, so that the return misses the vertex by some millimetres. All of
that is followed from layer to layer; the measurement is added elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.detector.particles import Particles, true_helix
from fei_lite.detector.response import Response
from fei_lite.kernels import helix as helix_kernels

Array = NDArray[np.float64]


def reversed_arc(helix: Array) -> Array:
    """Helices (n, 5) of the next return to the perigee, flown backwards: as (d0, phi0, omega, z0, tanLambda), cm.

    The circle is the same and so is the point in the transverse plane; a full turn later in z.

    >>> reversed_arc(np.array([[0.1, 0.5, 0.02, 1.0, 0.3]])).round(3).tolist()
    [[-0.1, -2.642, -0.02, 95.248, -0.3]]
    """
    d0, phi0, omega, z0, slope = helix.T
    return np.stack([-d0, phi0 % (2.0 * np.pi) - np.pi, -omega, z0 + 2.0 * np.pi * slope / np.abs(omega), -slope],
                    axis=1)


def turns_inside(helix: Array, response: Response) -> NDArray[np.bool_]:
    """Whether helices (n, 5) turn round in the drift chamber: before the calorimeter, and inside its length.

    Those that turn in the inner third of the radius cross too few layers to be found a second time.
    """
    half = np.pi / np.abs(helix[:, 2])
    far = np.abs(helix[:, 0] + 2.0 / helix[:, 2])
    z = helix[:, 3] + half * helix[:, 4]
    t = response.tracker
    inside: NDArray[np.bool_] = ((far < response.calorimeter.radius) & (far > t.radius[-1] / 3.0)
                                 & (z < t.z_forward) & (z > t.z_backward))
    return inside


def mean_loss(momentum: Array, mass: Array) -> Array:
    """Mean energy loss relative to that of a minimum-ionising particle: Bethe's 1 / beta^2 (ln(2 m bg^2 / I) - beta^2).

    >>> mean_loss(np.array([0.49, 0.1]), np.full(2, 0.13957)).round(2).tolist()
    [1.0, 2.04]
    """
    bg2 = (momentum / mass) ** 2
    beta2 = bg2 / (1.0 + bg2)
    relative = (np.log(_TWICE_MASS_OVER_I * bg2) - beta2) / beta2
    return np.asarray(np.maximum(relative / _AT_MINIMUM, 1.0))


#: 2 m_e c^2 / I of silicon (173 eV; PDG) and the bracket above at beta gamma = 3.5.
_TWICE_MASS_OVER_I = 2.0 * 0.00051099895 / 173e-9
_AT_MINIMUM = float((np.log(_TWICE_MASS_OVER_I * 3.5**2) - 3.5**2 / (1 + 3.5**2)) * (1 + 3.5**2) / 3.5**2)


def far_helix(particles: Particles, bz: Array, response: Response, rng: np.random.Generator) -> tuple[Array, Array]:
    """Helices (n, 5) of charged particles as they are at their farthest point, and the momentum (n,) there.

    ``bz`` (n,) in T. Layer by layer the particle is moved along its helix, loses energy in the layer and in
    the gas since the one before, and is scattered.
    """
    t = response.tracker
    helix, mass, charge = true_helix(particles, bz), particles.mass, particles.charge
    flown = _arc(helix, np.hypot(particles.vertex[:, 0], particles.vertex[:, 1]))
    momentum = particles.momentum.copy()
    for radius, material in zip(t.radius, t.material, strict=True):
        arc = _arc(helix, np.full(len(helix), radius))
        crosses = np.isfinite(arc) & (arc > flown)
        if not crosses.any():
            continue
        here = helix[crosses]
        stretch = np.sqrt(1.0 + here[:, 4] ** 2)
        cosine = np.sqrt(np.maximum(1.0 - (0.5 * radius * here[:, 2]) ** 2, 0.0025))
        thickness = material * stretch / cosine
        loss = response.tracker.loss * thickness + response.tracker.loss_gas * stretch * (arc - flown)[crosses]
        p, m = momentum[crosses], mass[crosses]
        energy = np.maximum(np.hypot(p, m) - loss * mean_loss(p, m), m + 1e-4)
        p = np.sqrt(energy**2 - m**2)
        angle = t.scattering * np.hypot(p, m) / p**2 * np.sqrt(thickness) * (1.0 + 0.038 * np.log(thickness))
        helix[crosses] = _kicked(here, arc[crosses], p, charge[crosses], bz[crosses],
                                 angle * rng.normal(size=(2, len(p))))
        momentum[crosses] = p
        flown = np.where(crosses, _arc(helix, np.full(len(helix), radius)), flown)
    return helix, momentum


def _arc(helix: Array, radius: Array) -> Array:
    """Transverse arc lengths (n,) in cm from the perigee to the distance ``radius`` (n,) from the axis; NaN: never."""
    omega, d0 = helix[:, 2], helix[:, 0]
    bend2 = (radius**2 - d0**2) * omega**2 / (4.0 * np.maximum(1.0 + omega * d0, 1e-6))
    with np.errstate(invalid="ignore"):
        return np.asarray(2.0 * np.arcsin(np.sqrt(np.maximum(bend2, 0.0))) / np.abs(omega))


def _kicked(helix: Array, arc: Array, momentum: Array, charge: NDArray[np.int64], bz: Array, kick: Array) -> Array:
    """The helix (n, 5) after a change of momentum and two angles (2, n) at the arc length ``arc``."""
    point, out = np.empty((len(helix), 3)), np.empty_like(helix)
    helix_kernels.position_at(np.ascontiguousarray(helix), arc, point)
    slope_angle = np.arctan(helix[:, 4]) + kick[0]
    cosine = np.maximum(np.cos(slope_angle), 1e-3)
    phi = helix[:, 1] - helix[:, 2] * arc + kick[1] / cosine
    pt = momentum * cosine
    p3 = np.stack([pt * np.cos(phi), pt * np.sin(phi), momentum * np.sin(slope_angle)], axis=1)
    helix_kernels.cartesian_to_helix(p3, point, charge.astype(np.float64), bz, out)
    return out


def find_second_arcs(particles: Particles, rows: NDArray[np.int64], bz: Array, *, response: Response,
                     rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_], Array, Array]:
    """Which of the particles ``rows`` have a second arc as a track: positions in ``rows``, and of each
    whether it is the only track of its particle, its helix (5,) and momentum. ``bz`` (n_events,) in T.
    """
    t = response.tracking
    taken = particles.take(rows)
    diameter = 2.0 * taken.pt / (CURVATURE_TO_PT * bz[taken.event])
    drawn = rng.uniform(size=len(rows)) < t.second_arc_probability
    half_turn = 0.5 * np.pi * diameter * np.abs(taken.p3[:, 2]) / taken.pt  # in z
    flat = half_turn < response.tracker.z_forward + 20.0
    curls = drawn & flat & (diameter < response.calorimeter.radius + 10.0) & np.isnan(taken.end)
    candidates = np.flatnonzero(curls)
    some = taken.take(candidates)
    helix, momentum = far_helix(some, bz[some.event], response, rng)
    good = turns_inside(helix, response)
    alone = rng.uniform(size=len(candidates)) < t.second_arc_alone_fraction
    return candidates[good], alone[good], reversed_arc(helix[good]), momentum[good]
