"""Momenta, positions and covariances of final-state particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.kernels import helix as kernels

Kinematics = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _rows(values: ArrayLike, n: int, width: int | None = None) -> NDArray[np.float64]:
    """``values`` as a contiguous float array of ``n`` rows (scalars and single rows repeated)."""
    shape = (n,) if width is None else (n, width)
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=np.float64), shape))


def track_kinematics(
    helix: NDArray[np.float64], helix_cov: NDArray[np.float64], bz: ArrayLike, mass: float,
) -> Kinematics:
    """Momentum and position of tracks at their perigee to the origin.

    ``helix`` (n, 5) and ``helix_cov`` (n, 15, packed upper triangle) as in the
    event schema, ``bz`` > 0 in T (scalar or (n,)), ``mass`` in GeV. Returns p4
    (n, 4) in GeV, vertex (n, 3) in cm and the covariance (n, 7, 7) of (px, py,
    pz, E, x, y, z), of rank 5; laboratory frame. A NaN, infinite or straight
    (omega = 0) helix gives NaN.

    >>> p4, x, _ = track_kinematics(np.array([[0.1, 0., 0.0045, 2., 1.]]), np.zeros((1, 15)), 1.5, 0.13957)
    >>> p4.round(4).tolist(), x.round(4).tolist()
    ([[0.9993, 0.0, 0.9993, 1.4201]], [[0.0, -0.1, 2.0]])
    """
    n = len(helix)
    p4, vertex, cov = np.empty((n, 4)), np.empty((n, 3)), np.empty((n, 7, 7))
    kernels.helix_to_cartesian(_rows(helix, n, 5), _rows(helix_cov, n, 15), _rows(bz, n), float(mass),
                               p4, vertex, cov)
    return p4, vertex, cov


def photon_kinematics(
    energy: NDArray[np.float64], theta: NDArray[np.float64], phi: NDArray[np.float64],
    r: NDArray[np.float64], errors: NDArray[np.float64], ip: ArrayLike,
) -> Kinematics:
    """Photons from the interaction point to their cluster.

    ``theta``, ``phi``, ``r`` (n,) are the cluster's position seen from the
    origin (rad, rad, cm), ``errors`` (n, 3) the standard deviations of energy,
    theta and phi, ``ip`` (3,) or (n, 3) the interaction point in cm. Returns
    p4, vertex (the interaction point) and the covariance of (px, py, pz, E, x,
    y, z): its position part is NaN, as a cluster does not measure where the
    photon comes from.

    >>> p4, _, _ = photon_kinematics(*np.array([[1.], [np.pi / 2], [0.], [125.]]), np.zeros((1, 3)), np.zeros(3))
    >>> p4.round(9).tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """
    n = len(energy)
    origin = _rows(ip, n, 3)
    sin_theta, cos_theta, sin_phi, cos_phi = np.sin(theta), np.cos(theta), np.sin(phi), np.cos(phi)
    radial = np.stack([sin_theta * cos_phi, sin_theta * sin_phi, cos_theta], axis=1)
    polar = np.stack([cos_theta * cos_phi, cos_theta * sin_phi, -sin_theta], axis=1)
    azimuthal = np.stack([-sin_theta * sin_phi, sin_theta * cos_phi, np.zeros(n)], axis=1)
    flight = radial * r[:, None] - origin
    length = np.linalg.norm(flight, axis=1)
    unit = flight / length[:, None]
    p4 = np.concatenate([energy[:, None] * unit, energy[:, None]], axis=1)
    jacobian = np.zeros((n, 4, 3))
    jacobian[:, :3, 0] = unit
    jacobian[:, 3, 0] = 1.0
    for column, direction in ((1, polar), (2, azimuthal)):
        sideways = direction - unit * np.sum(direction * unit, axis=1)[:, None]
        jacobian[:, :3, column] = (energy * r / length)[:, None] * sideways
    cov = np.full((n, 7, 7), np.nan)
    scaled = jacobian * errors[:, None, :]
    cov[:, :4, :4] = scaled @ scaled.transpose(0, 2, 1)
    return p4, origin.copy(), cov


def impact_parameters(helix: NDArray[np.float64], ip: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """basf2's ``dr`` and ``dz`` of tracks (n, 5) with respect to ``ip`` (3,) or (n, 3), in cm.

    Distance from the interaction point to the perigee in the transverse plane
    (never negative) and along z, at the point of closest approach to the
    interaction point in the transverse plane. NaN for undefined helices.

    >>> impact_parameters(np.array([[0.1, 0., 0.01, 2., 1.]]), (0., -0.1, 0.5))
    (array([0.]), array([1.5]))
    """
    moved = perigee(helix, ip)
    return np.abs(moved[:, 0]), moved[:, 3]


def perigee(helix: NDArray[np.float64], point: ArrayLike) -> NDArray[np.float64]:
    """The same helices (n, 5) with the perigee and the coordinates relative to ``point``, cm."""
    n = len(helix)
    out = np.empty((n, 5))
    kernels.transport_perigee(_rows(helix, n, 5), _rows(point, n, 3), out)
    return out


def helix_from_cartesian(
    p3: NDArray[np.float64], position: NDArray[np.float64], *, charge: ArrayLike, bz: ArrayLike,
) -> NDArray[np.float64]:
    """Helices (n, 5), perigee to the origin, of particles at ``position`` with momentum ``p3``.

    The inverse of :func:`track_kinematics` where the position is the perigee;
    elsewhere the particle is followed to its perigee. Shapes (n, 3), GeV and cm.

    >>> helix_from_cartesian(np.array([[1., 0., 1.]]), np.array([[0., -0.1, 2.]]), charge=1, bz=1.5).round(6).tolist()
    [[0.1, 0.0, 0.004497, 2.0, 1.0]]
    """
    n = len(p3)
    out = np.empty((n, 5))
    kernels.cartesian_to_helix(_rows(p3, n, 3), _rows(position, n, 3), _rows(charge, n), _rows(bz, n), out)
    return out


def helix_position(helix: NDArray[np.float64], arc: ArrayLike) -> NDArray[np.float64]:
    """Points (n, 3) in cm on the helices at the transverse arc length ``arc`` from the perigee.

    >>> helix_position(np.array([[0., 0., 0.01, 0., 1.]]), 50 * np.pi).round(6).tolist()
    [[100.0, -100.0, 157.079633]]
    """
    n = len(helix)
    out = np.empty((n, 3))
    kernels.position_at(_rows(helix, n, 5), _rows(arc, n), out)
    return out
