"""Vertex and mass fits by least squares with Lagrange multipliers.

Each daughter is a measured (px, py, pz, E, x, y, z) with a covariance of any
rank. That its trajectory passes through the vertex v are two equations (P.
Avery, "Applied fitting theory VI", CLEO CBX 98-37, in a form that holds for
any turning angle and for charge 0), with d = v - x and a = -c q Bz:

    0 = px dy - py dx - a/2 (dx^2 + dy^2)
    0 = dz - pz t,   t = angle(p, p') / a,   p' = (px - a dy, py + a dx)

p' is the momentum at the vertex. Linearised, A alpha + B v = 0 per daughter.
"""

from __future__ import annotations

import math

import numpy as np

from fei_lite.kernels.jit import kernel
from fei_lite.kernels.linalg import chi2_survival, invert_symmetric2, invert_symmetric3

#: Kind of a daughter: composite (its energy is measured) or track (its mass is known).
COMPOSITE, TRACK = 0, 1

_TOLERANCE = 1e-3  # of chi2, relative above 1
_FAR = 1e4         # cm; a vertex beyond is a fit that ran away

# Choice between two crossings that agree in z: cost in cm for a mother that flies backward, and per
# cm of flight. Tuned on toys: wrong for 1 in 10 000 true K_S0 and 5 in 10 000 Lambda at 1-20 cm.
_BACKWARD, _PER_FLIGHT = 1.0, 0.01


@kernel
def _linearise(alpha, v, a, jac_a, jac_b, h):
    """Constraints ``h`` (2,) and derivatives by daughter (2, 7) and vertex (2, 3); False if undefined."""
    px, py, pz = alpha[0], alpha[1], alpha[2]
    dx, dy, dz = v[0] - alpha[4], v[1] - alpha[5], v[2] - alpha[6]
    pt2 = px * px + py * py
    qx, qy = px - a * dy, py + a * dx
    qt2 = qx * qx + qy * qy
    if not (pt2 > 0.0 and qt2 > 0.0):
        return False
    s, m, d2 = px * dx + py * dy, px * dy - py * dx, dx * dx + dy * dy
    far = pt2 - a * m
    u = a * s
    if abs(u) < 1e-3 * far:
        ratio = u / far
        t = s / far * (1.0 - ratio * ratio * (1.0 / 3.0 - 0.2 * ratio * ratio))
    else:
        t = math.atan2(u, far) / a
    scale = pz / (pt2 * qt2)
    turn = 2.0 * m - a * d2
    bx, by = pz * qx / qt2, pz * qy / qt2
    h[0] = m - 0.5 * a * d2
    h[1] = dz - pz * t
    jac_a[0, 0], jac_a[0, 1] = dy, -dx
    jac_a[0, 4], jac_a[0, 5] = qy, -qx
    jac_a[1, 0] = scale * (dx * pt2 + turn * py)
    jac_a[1, 1] = scale * (dy * pt2 - turn * px)
    jac_a[1, 2] = -t
    jac_a[1, 4], jac_a[1, 5], jac_a[1, 6] = bx, by, -1.0
    jac_b[0, 0], jac_b[0, 1] = -qy, qx
    jac_b[1, 0], jac_b[1, 1], jac_b[1, 2] = -bx, -by, 1.0
    return True


@kernel
def _weigh(cov, jac_a, half, weight):
    """half = V A^T (7, 2) and weight = (A V A^T)^-1 as (w00, w01, w11); False if singular."""
    w00, w01, w11 = 0.0, 0.0, 0.0
    for r in range(7):
        c = cov[r]
        half[r, 0] = c[0] * jac_a[0, 0] + c[1] * jac_a[0, 1] + c[4] * jac_a[0, 4] + c[5] * jac_a[0, 5]
        half[r, 1] = (c[0] * jac_a[1, 0] + c[1] * jac_a[1, 1] + c[2] * jac_a[1, 2]
                      + c[4] * jac_a[1, 4] + c[5] * jac_a[1, 5] - c[6])
        w00 += jac_a[0, r] * half[r, 0]
        w01 += jac_a[0, r] * half[r, 1]
        w11 += jac_a[1, r] * half[r, 1]
    weight[0], weight[1], weight[2], ok = invert_symmetric2(w00, w01, w11)
    return ok


@kernel
def _iterate(measured, cov, a, used, n_used, v, alpha, jac_a, jac_b, half, weight, rest, normal, inverse):
    """One linearised fit about ``alpha`` and ``v``, both updated; chi2, or NaN if undefined."""
    gx, gy, gz = 0.0, 0.0, 0.0
    normal[:] = 0.0
    for i in range(n_used):
        j = used[i]
        aj, bj, r = jac_a[j], jac_b[j], rest[j]
        if not (_linearise(alpha[j], v, a[j], aj, bj, r) and _weigh(cov[j], aj, half[j], weight[j])):
            return np.nan
        for c in range(7):
            delta = measured[j, c] - alpha[j, c]
            r[0] += aj[0, c] * delta
            r[1] += aj[1, c] * delta
        w00, w01, w11 = weight[j, 0], weight[j, 1], weight[j, 2]
        for c in range(3):
            u0 = w00 * bj[0, c] + w01 * bj[1, c]
            u1 = w01 * bj[0, c] + w11 * bj[1, c]
            for d in range(c, 3):
                normal[c, d] += u0 * bj[0, d] + u1 * bj[1, d]
            g = u0 * r[0] + u1 * r[1]
            if c == 0:
                gx += g
            elif c == 1:
                gy += g
            else:
                gz += g
    if not invert_symmetric3(normal, inverse):
        return np.nan
    sx = -(inverse[0, 0] * gx + inverse[0, 1] * gy + inverse[0, 2] * gz)
    sy = -(inverse[1, 0] * gx + inverse[1, 1] * gy + inverse[1, 2] * gz)
    sz = -(inverse[2, 0] * gx + inverse[2, 1] * gy + inverse[2, 2] * gz)
    v[0] += sx
    v[1] += sy
    v[2] += sz
    chi2 = 0.0
    for i in range(n_used):
        j = used[i]
        r0 = rest[j, 0] + jac_b[j, 0, 0] * sx + jac_b[j, 0, 1] * sy
        r1 = rest[j, 1] + jac_b[j, 1, 0] * sx + jac_b[j, 1, 1] * sy + sz
        l0 = weight[j, 0] * r0 + weight[j, 1] * r1
        l1 = weight[j, 1] * r0 + weight[j, 2] * r1
        chi2 += r0 * l0 + r1 * l1
        for c in range(7):
            alpha[j, c] = measured[j, c] - half[j, c, 0] * l0 - half[j, c, 1] * l1
    return chi2


@kernel
def _mother(measured, cov, a, kind, used, n_used, v, alpha, jac_b, half, weight, inverse, gain, p4, out):
    """Sum of the fitted daughters at the vertex: ``p4``, and its covariance with ``v`` in ``out``.

    With K = M V A^T W per daughter (M takes the momentum at the vertex), and
    H = sum(K B) - dp/dv: cov(p) = sum(M V M^T - K W^-1 K^T) + H C H^T,
    cov(p, v) = -H C, cov(v) = C.
    """
    gain[:] = 0.0
    for i in range(n_used):
        j = used[i]
        aj, c, f = a[j], cov[j], alpha[j]
        p4[0] += f[0] - aj * (v[1] - f[5]) - measured[j, 0]
        p4[1] += f[1] + aj * (v[0] - f[4]) - measured[j, 1]
        p4[2] += f[2] - measured[j, 2]
        energy = f[3]
        if kind[j] == TRACK:
            m = measured[j]
            energy = math.sqrt(m[3] * m[3] - m[0] * m[0] - m[1] * m[1] - m[2] * m[2]
                               + f[0] * f[0] + f[1] * f[1] + f[2] * f[2])
        p4[3] += energy - measured[j, 3]
        gain[0, 1] += aj  # -dp/dv
        gain[1, 0] -= aj
        for r in range(4):
            u0, u1 = half[j, r, 0], half[j, r, 1]
            if r == 0:
                u0, u1 = u0 + aj * half[j, 5, 0], u1 + aj * half[j, 5, 1]
            elif r == 1:
                u0, u1 = u0 - aj * half[j, 4, 0], u1 - aj * half[j, 4, 1]
            k0 = u0 * weight[j, 0] + u1 * weight[j, 1]
            k1 = u0 * weight[j, 1] + u1 * weight[j, 2]
            gain[r, 0] += k0 * jac_b[j, 0, 0] + k1 * jac_b[j, 1, 0]
            gain[r, 1] += k0 * jac_b[j, 0, 1] + k1 * jac_b[j, 1, 1]
            gain[r, 2] += k1
            for s in range(r + 1):
                u0, u1 = half[j, s, 0], half[j, s, 1]
                if s == 0:
                    u0, u1 = u0 + aj * half[j, 5, 0], u1 + aj * half[j, 5, 1]
                elif s == 1:
                    u0, u1 = u0 - aj * half[j, 4, 0], u1 - aj * half[j, 4, 1]
                out[r, s] -= k0 * u0 + k1 * u1
        # sum(M V M^T) beyond the sum of the momentum blocks, which ``out`` already holds
        out[0, 0] += aj * (2.0 * c[0, 5] + aj * c[5, 5])
        out[1, 0] += aj * (c[1, 5] - c[0, 4] - aj * c[4, 5])
        out[1, 1] += aj * (-2.0 * c[1, 4] + aj * c[4, 4])
        out[2, 0] += aj * c[2, 5]
        out[2, 1] -= aj * c[2, 4]
        out[3, 0] += aj * c[3, 5]
        out[3, 1] -= aj * c[3, 4]
    for r in range(4):
        for s in range(3):
            hc = gain[r, 0] * inverse[0, s] + gain[r, 1] * inverse[1, s] + gain[r, 2] * inverse[2, s]
            out[4 + s, r] = -hc
            for q in range(r + 1):
                out[r, q] += hc * gain[q, s]
    for r in range(3):
        for s in range(r + 1):
            out[4 + r, 4 + s] = inverse[r, s]
    for r in range(7):
        for s in range(r):
            out[s, r] = out[r, s]


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
def _crossing(first, a1, second, a2, v):
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


@kernel
def fit_candidates(p4, position, cov, curvature, kind, start, cross, prompt, max_iterations,
                   out_p4, out_vertex, out_cov, out_chi2, out_ndf, out_prob):
    """Fit each of n candidates of k daughters; see ``fit_vertices`` for the meaning.

    ``p4`` (n, k, 4), ``position`` (n, k, 3), ``cov`` (n, k, 7, 7), ``curvature``
    (n, k) = -c q Bz, ``kind`` (k,), ``start`` (n, 3). ``cross`` starts pairs of
    tracks at their crossing. ``prompt`` gives an unfitted mother the position
    covariance of its only daughter with a position. ``max_iterations`` 0: no fit.
    """
    n, k = p4.shape[0], p4.shape[1]
    measured, alpha = np.empty((k, 7)), np.empty((k, 7))
    jac_a, jac_b = np.zeros((k, 2, 7)), np.zeros((k, 2, 3))
    half, weight, rest = np.empty((k, 7, 2)), np.empty((k, 3)), np.empty((k, 2))
    normal, inverse, gain = np.empty((3, 3)), np.empty((3, 3)), np.empty((4, 3))
    used, v = np.empty(k, np.int64), np.empty(3)
    for i in range(n):
        n_used = 0
        out_p4[i] = 0.0
        out_cov[i] = np.nan
        out_cov[i, :4, :4] = 0.0
        for j in range(k):
            for c in range(4):
                measured[j, c] = p4[i, j, c]
                out_p4[i, c] += p4[i, j, c]
                for d in range(4):
                    out_cov[i, c, d] += cov[i, j, c, d]
            for c in range(3):
                measured[j, 4 + c] = position[i, j, c]
            if not np.isnan(cov[i, j, 4, 4]):
                used[n_used] = j
                n_used += 1
        v[:] = start[i]
        chi2 = np.nan
        converged = False
        if n_used >= 2 and max_iterations > 0 and np.isfinite(out_p4[i, 3]):
            if cross and n_used == 2:
                j, m = used[0], used[1]
                if curvature[i, j] != 0.0 and curvature[i, m] != 0.0:
                    _crossing(measured[j], curvature[i, j], measured[m], curvature[i, m], v)
            out_vertex[i] = v
            alpha[:] = measured
            for _ in range(max_iterations):
                before = chi2
                chi2 = _iterate(measured, cov[i], curvature[i], used, n_used, v, alpha,
                                jac_a, jac_b, half, weight, rest, normal, inverse)
                if not (chi2 < np.inf and abs(v[0]) + abs(v[1]) + abs(v[2]) < _FAR):
                    break
                if abs(chi2 - before) < _TOLERANCE * max(1.0, chi2):
                    converged = True
                    break
            if cross and not converged:  # the momenta where the tracks meet are better than at their perigees
                for q in range(n_used):
                    j = used[q]
                    out_p4[i, 0] -= curvature[i, j] * (out_vertex[i, 1] - position[i, j, 1])
                    out_p4[i, 1] += curvature[i, j] * (out_vertex[i, 0] - position[i, j, 0])
        elif n_used == 1:
            out_vertex[i] = position[i, used[0]]
            if prompt:
                out_cov[i, 4:, :] = cov[i, used[0], 4:, :]
                out_cov[i, :4, 4:] = cov[i, used[0], :4, 4:]
        else:
            out_vertex[i] = v
        if converged:
            out_vertex[i] = v
            _mother(measured, cov[i], curvature[i], kind, used, n_used, v, alpha, jac_b, half, weight,
                    inverse, gain, out_p4[i], out_cov[i])
        out_chi2[i] = chi2 if converged else np.nan
        out_ndf[i] = 2 * n_used - 3 if converged else 0
        out_prob[i] = chi2_survival(out_chi2[i], out_ndf[i])


@kernel
def fit_mass(p4, cov, mass, max_iterations, out_p4, out_cov, out_chi2, out_prob):
    """Pull the four-momenta (n, 4) with covariance (n, 4, 4) to the invariant mass ``mass``."""
    half = np.zeros(4)
    for i in range(p4.shape[0]):
        out_p4[i] = p4[i]
        chi2, variance, done = np.nan, np.nan, False
        for step in range(max_iterations + 1):
            s = out_p4[i]
            h = s[3] * s[3] - s[0] * s[0] - s[1] * s[1] - s[2] * s[2] - mass * mass
            done = step > 0 and abs(h) < 1e-10 * s[3] * s[3]
            if done or not np.isfinite(h) or step == max_iterations:
                break
            variance = 0.0
            r = h
            for c in range(4):
                half[c] = 2.0 * (cov[i, c, 3] * s[3] - cov[i, c, 0] * s[0] - cov[i, c, 1] * s[1]
                                 - cov[i, c, 2] * s[2])
            for c in range(4):
                d = 2.0 * (s[3] if c == 3 else -s[c])
                variance += d * half[c]
                r += d * (p4[i, c] - s[c])
            if not variance > 0.0:
                break
            for c in range(4):
                out_p4[i, c] = p4[i, c] - half[c] * r / variance
            chi2 = r * r / variance
        fitted = chi2 < np.inf and done
        out_chi2[i] = chi2 if fitted else np.nan
        out_prob[i] = chi2_survival(out_chi2[i], 1)
        for c in range(4):
            if not fitted:
                out_p4[i, c] = p4[i, c]
            for d in range(4):
                out_cov[i, c, d] = cov[i, c, d] - (half[c] * half[d] / variance if fitted else 0.0)
