"""Slow, plain twins: helices by circle geometry, and a vertex fit by scipy's least squares.

The fit knows nothing of constraints or Lagrange multipliers: its parameters
are the vertex and each daughter's momentum there, its residuals the whitened
differences of predicted and measured helix (track) or of predicted and
measured (px, py, pz, E, x, y, z) (composite).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

C = 0.00299792458
UPPER = np.triu_indices(5)


def helix_of(p3, x3, q, bz):
    """Perigee helices of charged particles at ``x3``, from centre and radius of their circle."""
    pt = np.hypot(p3[..., 0], p3[..., 1])
    radius = pt / (C * bz)
    # the centre lies to the right of the direction for positive charge (clockwise)
    cx = x3[..., 0] + q * radius * p3[..., 1] / pt
    cy = x3[..., 1] - q * radius * p3[..., 0] / pt
    d0 = q * (np.hypot(cx, cy) - radius)
    phi0 = np.arctan2(q * cx, -q * cy)  # at the perigee the centre is at q (R + q d0) (sin, -cos)
    phi = np.arctan2(p3[..., 1], p3[..., 0])
    turned = (phi - phi0 + np.pi) % (2 * np.pi) - np.pi
    z0 = x3[..., 2] + q * radius * turned * p3[..., 2] / pt
    return np.stack([d0, phi0, q / radius, z0, p3[..., 2] / pt], axis=-1)


def follow(p3, x3, q, bz, s):
    """Momentum and position after the transverse path ``s``, turning step by closed form."""
    pt = np.hypot(p3[0], p3[1])
    phi = np.arctan2(p3[1], p3[0])
    if q == 0:
        step = s * np.array([np.cos(phi), np.sin(phi), p3[2] / pt])
        return p3, x3 + step
    radius = pt / (C * bz)
    after = phi - q * s / radius
    step = np.array([-q * radius * (np.sin(after) - np.sin(phi)), q * radius * (np.cos(after) - np.cos(phi)),
                     s * p3[2] / pt])
    return np.array([pt * np.cos(after), pt * np.sin(after), p3[2]]), x3 + step


def fit(tracks, composites, bz, start):
    """Vertex fit of one candidate.

    ``tracks``: (helix, 5x5 covariance, mass); ``composites``: ((px, py, pz, E,
    x, y, z), 7x7 covariance, charge). Returns vertex, p4, 7x7 covariance, chi2.
    """
    whiten_t = [np.linalg.inv(np.linalg.cholesky(c)) for _, c, _ in tracks]
    whiten_c = [np.linalg.inv(np.linalg.cholesky(c)) for _, c, _ in composites]
    guess = [np.asarray(start, float)]
    for h, _, _ in tracks:
        pt = C * bz / abs(h[2])
        guess.append(np.array([pt * np.cos(h[1]), pt * np.sin(h[1]), pt * h[4]]))
    for m, _, _ in composites:
        direction = m[:2] / np.hypot(m[0], m[1])
        guess.append(np.concatenate([m[:4], [(m[4:6] - np.asarray(start)[:2]) @ direction]]))

    def residuals(theta):
        v, at, out = theta[:3], 3, []
        for (h, _, _), w in zip(tracks, whiten_t, strict=True):
            delta = helix_of(theta[at:at + 3], v, np.sign(h[2]), bz) - h
            delta[1] = (delta[1] + np.pi) % (2 * np.pi) - np.pi
            out.append(w @ delta)
            at += 3
        for (m, _, q), w in zip(composites, whiten_c, strict=True):
            p3, x3 = follow(theta[at:at + 3], v, q, bz, theta[at + 4])
            out.append(w @ (np.concatenate([p3, [theta[at + 3]], x3]) - m))
            at += 5
        return np.concatenate(out)

    def mother(theta):
        at, total = 3, np.zeros(4)
        for _, _, mass in tracks:
            p3 = theta[at:at + 3]
            total += [*p3, np.sqrt(p3 @ p3 + mass**2)]
            at += 3
        for _ in composites:
            total += theta[at:at + 4]
            at += 5
        return np.concatenate([total, theta[:3]])

    theta = np.concatenate(guess)
    result = least_squares(residuals, theta, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14, method="lm")
    step = 1e-6 * np.maximum(1.0, np.abs(result.x))
    jacobian = np.stack([(mother(result.x + e) - mother(result.x - e)) / (2 * d)
                         for e, d in zip(np.diag(step), step, strict=True)], axis=1)
    cov = jacobian @ np.linalg.inv(result.jac.T @ result.jac) @ jacobian.T
    out = mother(result.x)
    return out[4:], out[:4], cov, float(2 * result.cost)
