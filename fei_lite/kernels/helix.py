"""Helices in a solenoid: perigee parameters, momentum, position, transport.

A helix is (d0, phi0, omega, z0, tanLambda) with basf2's signs: at the perigee
x = d0 sin(phi0), y = -d0 cos(phi0), the direction is phi0, and after the
transverse arc length s it is phi0 - omega s. A positive particle in Bz > 0
turns clockwise seen from +z, so omega has the sign of the charge.
"""

from __future__ import annotations

import math

import numpy as np

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.kernels.jit import kernel

#: Row and column of each element of a packed 5x5 covariance (upper triangle by rows).
_ROW = (0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4)
_COLUMN = (0, 1, 2, 3, 4, 1, 2, 3, 4, 2, 3, 4, 3, 4, 4)

# Choice between two crossings that agree in z: cost in cm for a mother that flies backward, and per
# cm of flight. Tuned on toys: wrong for 1 in 10 000 true K_S0 and 5 in 10 000 Lambda at 1-20 cm.
_BACKWARD, _PER_FLIGHT = 1.0, 0.01


@kernel
def _jacobian(d0, omega, sin_phi, cos_phi, pt, tan_lambda, energy, jacobian):
    """d(px, py, pz, E, x, y, z) / d(helix) at the perigee, (7, 5)."""
    jacobian[:] = 0.0
    px, py, pz = pt * cos_phi, pt * sin_phi, pt * tan_lambda
    jacobian[0, 1], jacobian[0, 2] = -py, -px / omega
    jacobian[1, 1], jacobian[1, 2] = px, -py / omega
    jacobian[2, 2], jacobian[2, 4] = -pz / omega, pt
    jacobian[3, 2] = -(pt * pt + pz * pz) / (omega * energy)
    jacobian[3, 4] = pz * pt / energy
    jacobian[4, 0], jacobian[4, 1] = sin_phi, d0 * cos_phi
    jacobian[5, 0], jacobian[5, 1] = -cos_phi, d0 * sin_phi
    jacobian[6, 3] = 1.0


@kernel
def helix_to_cartesian(helix, packed, bz, mass, p4, position, cov):
    """Perigee momentum and position of each helix with their 7x7 covariance.

    ``helix`` (n, 5), ``packed`` (n, 15), ``bz`` (n,); fills ``p4`` (n, 4),
    ``position`` (n, 3) and ``cov`` (n, 7, 7). NaN, infinite or straight
    (omega = 0) helices give NaN.
    """
    jacobian = np.empty((7, 5))
    full = np.empty((5, 5))
    half = np.empty((7, 5))
    for i in range(helix.shape[0]):
        d0, phi0, omega, z0, tan_lambda = helix[i, 0], helix[i, 1], helix[i, 2], helix[i, 3], helix[i, 4]
        total = d0 + phi0 + omega + z0 + tan_lambda
        if not (math.isfinite(total) and omega != 0.0):
            p4[i], position[i], cov[i] = np.nan, np.nan, np.nan
            continue
        pt = CURVATURE_TO_PT * bz[i] / abs(omega)
        sin_phi, cos_phi = math.sin(phi0), math.cos(phi0)
        pz = pt * tan_lambda
        energy = math.sqrt(pt * pt + pz * pz + mass * mass)
        p4[i, 0], p4[i, 1], p4[i, 2], p4[i, 3] = pt * cos_phi, pt * sin_phi, pz, energy
        position[i, 0], position[i, 1], position[i, 2] = d0 * sin_phi, -d0 * cos_phi, z0
        _jacobian(d0, omega, sin_phi, cos_phi, pt, tan_lambda, energy, jacobian)
        for j in range(15):
            full[_ROW[j], _COLUMN[j]] = full[_COLUMN[j], _ROW[j]] = packed[i, j]
        for a in range(7):
            for b in range(5):
                half[a, b] = 0.0
                for c in range(5):
                    half[a, b] += jacobian[a, c] * full[c, b]
        for a in range(7):
            for b in range(a + 1):
                value = 0.0
                for c in range(5):
                    value += half[a, c] * jacobian[b, c]
                cov[i, a, b] = cov[i, b, a] = value


@kernel
def transport_perigee(helix, point, out):
    """Helices ``out`` (n, 5) with their perigee to ``point`` (n, 3), in coordinates about it."""
    for i in range(helix.shape[0]):
        d0, phi0, omega = helix[i, 0], helix[i, 1], helix[i, 2]
        sin_phi, cos_phi = math.sin(phi0), math.cos(phi0)
        dx, dy = d0 * sin_phi - point[i, 0], -d0 * cos_phi - point[i, 1]
        # vector from the point to the centre of the circle, times omega
        across = dx * sin_phi - dy * cos_phi
        along = dx * cos_phi + dy * sin_phi
        a = 2.0 * across + omega * (dx * dx + dy * dy)
        radius = math.sqrt(1.0 + omega * a) if 1.0 + omega * a >= 0.0 else np.nan
        # new phi0 - phi0: the angle by which the direction turns up to the new perigee
        turn = math.atan2(omega * along, 1.0 + omega * across)
        arc = -turn / omega if abs(turn) > 1e-9 else -along / (1.0 + omega * across)
        out[i, 0] = a / (1.0 + radius)
        out[i, 1] = (phi0 + turn + math.pi) % (2.0 * math.pi) - math.pi
        out[i, 2] = omega
        out[i, 3] = helix[i, 3] + arc * helix[i, 4] - point[i, 2]
        out[i, 4] = helix[i, 4]


@kernel
def cartesian_to_helix(p3, position, charge, bz, out):
    """Helices ``out`` (n, 5), perigee to the origin, through ``position`` with momentum ``p3``."""
    at_point = np.empty((1, 5))
    shift = np.empty((1, 3))
    for i in range(p3.shape[0]):
        pt = math.sqrt(p3[i, 0] ** 2 + p3[i, 1] ** 2)
        at_point[0, 0], at_point[0, 3] = 0.0, 0.0
        at_point[0, 1] = math.atan2(p3[i, 1], p3[i, 0])
        at_point[0, 2] = charge[i] * CURVATURE_TO_PT * bz[i] / pt
        at_point[0, 4] = p3[i, 2] / pt
        for j in range(3):
            shift[0, j] = -position[i, j]  # the origin seen from the position
        transport_perigee(at_point, shift, out[i : i + 1])


@kernel
def position_at(helix, arc, out):
    """Points ``out`` (n, 3) at the transverse arc length ``arc`` (n,) from the perigee."""
    for i in range(helix.shape[0]):
        half = -0.5 * arc[i] * helix[i, 2]
        chord = arc[i] * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
        phi = helix[i, 1] + half
        out[i, 0] = helix[i, 0] * math.sin(helix[i, 1]) + chord * math.cos(phi)
        out[i, 1] = -helix[i, 0] * math.cos(helix[i, 1]) + chord * math.sin(phi)
        out[i, 2] = helix[i, 3] + arc[i] * helix[i, 4]


@kernel
def _circle(alpha, a, centre):
    """Centre of the transverse circle into ``centre``; its radius."""
    centre[0] = alpha[4] - alpha[1] / a
    centre[1] = alpha[5] + alpha[0] / a
    return math.sqrt(alpha[0] * alpha[0] + alpha[1] * alpha[1]) / abs(a)


@kernel
def _height(alpha, a, v):
    """z of the trajectory beside the point ``v``."""
    dx, dy = v[0] - alpha[4], v[1] - alpha[5]
    s = alpha[0] * dx + alpha[1] * dy
    far = alpha[0] ** 2 + alpha[1] ** 2 - a * (alpha[0] * dy - alpha[1] * dx)
    return alpha[6] + alpha[2] * math.atan2(a * s, far) / a


@kernel
def crossing(first, a1, second, a2, v):
    """Move ``v`` to where two charged tracks that come from near ``v`` cross in the transverse plane.

    Of the two crossings the one where they are closer in z, as long as the
    momenta point away from ``v``; where the circles miss each other, the middle
    of the gap. Keeps ``v`` for concentric circles.
    """
    c1, c2, trial = np.empty(2), np.empty(2), np.empty(3)
    r1, r2 = _circle(first, a1, c1), _circle(second, a2, c2)
    dx, dy = c2[0] - c1[0], c2[1] - c1[1]
    distance = math.sqrt(dx * dx + dy * dy)
    if not distance > 0.0:
        return
    nx, ny = dx / distance, dy / distance
    along = 0.5 * (distance + (r1 - r2) * (r1 + r2) / distance)
    across2 = r1 * r1 - along * along
    across = math.sqrt(across2) if across2 > 0.0 else 0.0
    if across2 <= 0.0 and distance > r1 + r2:
        along = 0.5 * (r1 + distance - r2)
    elif across2 <= 0.0:  # one inside the other
        along = 0.5 * (r1 + distance + r2) if r1 > r2 else 0.5 * (distance - r2 - r1)
    best = np.inf
    x0, y0 = v[0], v[1]
    px, py = first[0] + second[0], first[1] + second[1]
    for side in (1.0, -1.0):
        trial[0] = c1[0] + along * nx - side * across * ny
        trial[1] = c1[1] + along * ny + side * across * nx
        z1, z2 = _height(first, a1, trial), _height(second, a2, trial)
        flight_x, flight_y = trial[0] - x0, trial[1] - y0
        score = abs(z1 - z2) + _PER_FLIGHT * math.sqrt(flight_x * flight_x + flight_y * flight_y)
        if px * flight_x + py * flight_y < 0.0:
            score += _BACKWARD
        if score < best:
            best = score
            v[0], v[1], v[2] = trial[0], trial[1], 0.5 * (z1 + z2)
