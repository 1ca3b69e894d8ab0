"""Where particles meet the calorimeter: a cylinder with two flat ends around the tracker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.detector.response import Response
from fei_lite.kernels import helix as helix_kernels

Array = NDArray[np.float64]

FORWARD, BARREL, BACKWARD, GAP_FORWARD, GAP_BACKWARD = 1, 2, 3, 11, 13


def straight_impact(vertex: Array, p3: Array, *, radius: float, z_forward: float, z_backward: float) -> Array:
    """Points (n, 3) where straight lines leave the cylinder; cm.

    >>> straight_impact(np.zeros((1, 3)), np.array([[1., 0., 1.]]), radius=125., z_forward=196., z_backward=-102.)
    array([[125.,   0., 125.]])
    """
    pt2 = np.maximum(p3[:, 0] ** 2 + p3[:, 1] ** 2, 1e-18)
    along = vertex[:, 0] * p3[:, 0] + vertex[:, 1] * p3[:, 1]
    inside = radius**2 - vertex[:, 0] ** 2 - vertex[:, 1] ** 2
    to_barrel = (-along + np.sqrt(np.maximum(along**2 + pt2 * inside, 0.0))) / pt2
    pz = np.where(np.abs(p3[:, 2]) > 1e-12, p3[:, 2], 1e-12)
    to_end = (np.where(pz > 0, z_forward, z_backward) - vertex[:, 2]) / pz
    return vertex + np.minimum(to_barrel, to_end)[:, None] * p3


def helix_impact(helix: Array, response: Response) -> Array:
    """Points (n, 3) where helices first meet the calorimeter within half a turn; NaN where they do not."""
    c = response.calorimeter
    omega, tan_lambda = helix[:, 2], helix[:, 4]
    size = np.abs(omega)
    # distance from the axis is d0 at the perigee: rho(s)^2 = d0^2 + 4 (1 + omega d0) sin^2(omega s / 2) / omega^2
    bend2 = (c.radius**2 - helix[:, 0] ** 2) * omega**2 / (4.0 * np.maximum(1.0 + omega * helix[:, 0], 1e-6))
    reaches = (bend2 >= 0.0) & (bend2 <= 1.0)
    to_barrel = np.where(reaches, 2.0 * np.arcsin(np.sqrt(np.clip(bend2, 0.0, 1.0))) / size, np.inf)
    slope = np.where(np.abs(tan_lambda) > 1e-12, tan_lambda, 1e-12)
    to_end = (np.where(slope > 0, c.z_forward, c.z_backward) - helix[:, 3]) / slope
    arc = np.minimum(to_barrel, np.where(to_end > 0, to_end, np.inf))
    met = arc < np.pi / size
    points = np.empty((len(helix), 3))
    helix_kernels.position_at(np.ascontiguousarray(helix), np.where(met, arc, 0.0), points)
    points[~met] = np.nan
    return points


def spherical(points: Array) -> tuple[Array, Array, Array]:
    """Polar angle, azimuth and distance of points (n, 3) seen from the origin."""
    rho = np.hypot(points[:, 0], points[:, 1])
    return np.arctan2(rho, points[:, 2]), np.arctan2(points[:, 1], points[:, 0]), np.hypot(rho, points[:, 2])


def cartesian(theta: Array, phi: Array, r: Array) -> Array:
    """The inverse of :func:`spherical`."""
    return np.stack([r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)], axis=1)


def region(theta: Array, response: Response) -> NDArray[np.int8]:
    """basf2's clusterReg: 1 forward, 2 barrel, 3 backward, 11 and 13 the gaps between; 0 outside."""
    codes = np.array([0, FORWARD, GAP_FORWARD, BARREL, GAP_BACKWARD, BACKWARD, 0], dtype=np.int8)
    return np.asarray(codes[np.searchsorted(np.radians(response.calorimeter.edges_deg), theta)])


def surface_distance(theta: Array, response: Response) -> Array:
    """Distance from the origin of a cluster at polar angle ``theta``: the surface plus the shower's depth."""
    c = response.calorimeter
    sine, cosine = np.maximum(np.sin(theta), 1e-9), np.cos(theta)
    to_end = np.where(cosine > 0, c.z_forward, c.z_backward) / np.where(np.abs(cosine) > 1e-9, cosine, 1e-9)
    return np.minimum(c.radius / sine, to_end) + c.depth
