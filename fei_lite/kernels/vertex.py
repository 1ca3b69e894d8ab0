"""Vertex fits by least squares with Lagrange multipliers.

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

from fei_lite.kernels.helix import crossing
from fei_lite.kernels.jit import kernel
from fei_lite.kernels.linalg import chi2_survival, invert_symmetric2, invert_symmetric3

_TOLERANCE = 1e-3  # of chi2, relative above 1
_FAR = 1e4         # cm; a vertex beyond is a fit that ran away

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
def _mother(measured, cov, a, used, n_used, v, alpha, jac_b, half, weight, inverse, gain, p4, out):
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
        p4[3] += f[3] - measured[j, 3]
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
def _sum(p4, position, cov, measured, used, out_p4, out_cov):
    """Copy the daughters of a candidate to ``measured``, add up momenta and covariances.

    Lists in ``used`` the daughters whose position is measured; returns their number.
    """
    n_used = 0
    out_p4[:] = 0.0
    out_cov[:] = np.nan
    out_cov[:4, :4] = 0.0
    for j in range(p4.shape[0]):
        for c in range(4):
            measured[j, c] = p4[j, c]
            out_p4[c] += p4[j, c]
            for d in range(4):
                out_cov[c, d] += cov[j, c, d]
        for c in range(3):
            measured[j, 4 + c] = position[j, c]
        if not np.isnan(cov[j, 4, 4]):
            used[n_used] = j
            n_used += 1
    return n_used


@kernel
def _unfitted(position, cov, curvature, used, n_used, cross, hands_on, v, out_p4, out_cov):
    """Best guess without a fit: ``v`` is where the fit started."""
    if n_used == 1:
        v[:] = position[used[0]]
        if hands_on[used[0]]:
            out_cov[4:, :] = cov[used[0], 4:, :]
            out_cov[:4, 4:] = cov[used[0], :4, 4:]
    elif cross and n_used == 2:  # momenta where the tracks meet are better than those at their perigees
        for i in range(2):
            j = used[i]
            out_p4[0] -= curvature[j] * (v[1] - position[j, 1])
            out_p4[1] += curvature[j] * (v[0] - position[j, 0])


@kernel
def fit_candidates(p4, position, cov, curvature, start, cross, hands_on, max_iterations,
                   out_p4, out_vertex, out_cov, out_chi2, out_ndf, out_prob):
    """Fit each of n candidates of k daughters; see ``fit_vertices`` for the meaning.

    ``p4`` (n, k, 4), ``position`` (n, k, 3), ``cov`` (n, k, 7, 7), ``curvature``
    (n, k) = -c q Bz, ``start`` (n, 3). ``cross`` starts pairs of
    tracks at their crossing. ``hands_on`` (k,): this daughter gives its position
    covariance to an unfitted mother if no other has one. ``max_iterations`` 0: no fit.
    """
    n, k = p4.shape[0], p4.shape[1]
    measured, alpha = np.empty((k, 7)), np.empty((k, 7))
    jac_a, jac_b = np.zeros((k, 2, 7)), np.zeros((k, 2, 3))
    half, weight, rest = np.empty((k, 7, 2)), np.empty((k, 3)), np.empty((k, 2))
    normal, inverse, gain = np.empty((3, 3)), np.empty((3, 3)), np.empty((4, 3))
    used, v = np.empty(k, np.int64), np.empty(3)
    for i in range(n):
        a = curvature[i]
        n_used = _sum(p4[i], position[i], cov[i], measured, used, out_p4[i], out_cov[i])
        v[:] = start[i]
        if cross and n_used == 2 and a[used[0]] != 0.0 and a[used[1]] != 0.0:
            crossing(measured[used[0]], a[used[0]], measured[used[1]], a[used[1]], v)
        out_vertex[i] = v
        chi2, converged = np.nan, False
        if n_used >= 2 and np.isfinite(out_p4[i, 3]):
            alpha[:] = measured
            for _ in range(max_iterations):
                before = chi2
                chi2 = _iterate(measured, cov[i], a, used, n_used, v, alpha,
                                jac_a, jac_b, half, weight, rest, normal, inverse)
                if not (chi2 < np.inf and abs(v[0]) + abs(v[1]) + abs(v[2]) < _FAR):
                    break
                if abs(chi2 - before) < _TOLERANCE * max(1.0, chi2):
                    converged = True
                    break
        if converged:
            out_vertex[i] = v
            _mother(measured, cov[i], a, used, n_used, v, alpha, jac_b, half, weight,
                    inverse, gain, out_p4[i], out_cov[i])
        else:
            _unfitted(position[i], cov[i], a, used, n_used, cross, hands_on, out_vertex[i], out_p4[i], out_cov[i])
        out_chi2[i] = chi2 if converged else np.nan
        out_ndf[i] = 2 * n_used - 3 if converged else 0
        out_prob[i] = chi2_survival(out_chi2[i], out_ndf[i])
