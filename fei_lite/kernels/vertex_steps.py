"""The steps of a vertex fit by least squares with Lagrange multipliers, many candidates side by side.

Each daughter is a measured (px, py, pz, E, x, y, z) with a covariance of any
rank. That its trajectory passes through the vertex v are two equations (P.
Avery, "Applied fitting theory VI", CLEO CBX 98-37, in a form that holds for
any turning angle and for charge 0), with d = v - x and a = -c q Bz:

    0 = px dy - py dx - a/2 (dx^2 + dy^2)
    0 = dz - pz t,   t = angle(p, p') / a,   p' = (px - a dy, py + a dx)

p' is the momentum at the vertex. Linearised, A alpha + B v = 0 per daughter;
as only d counts, B is minus the position part of A.

``LANES`` candidates are fitted side by side: each step is a loop over the lanes,
which the compiler turns into vector instructions. Whatever belongs to a
daughter of a group lies in one line of memory, value k of lane i at ``at(k, i)``.
What a lane holds never depends on its neighbours.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel
from fei_lite.kernels.lorentz import polar_angle

LANES = 32
#: Values per daughter: p4, position, packed covariance, a, and whether its position is measured.
POSITION, COV, CURVATURE, USED, VALUES = 4, 7, 35, 36, 37

_SINGULAR = 1e-13  # a 3x3 matrix whose correlation matrix has a smaller determinant


@kernel
def at(k, i):
    """Where value ``k`` of lane ``i`` lies."""
    return k * LANES + i


@kernel
def tri(r, s):
    """Where element (r, s), s <= r, of a packed symmetric matrix lies."""
    return r * (r + 1) // 2 + s


@kernel
def load(p4, vertex, cov, sign, rows, bz, factor, lanes, out_p4, out_cov):
    """One daughter of each of n candidates, its row in its table, into ``lanes`` (n_groups, VALUES * LANES).

    ``factor`` times ``sign`` times ``bz`` (n,) is a. Adds up the momenta ``out_p4``
    (n, 4) and their covariances ``out_cov`` (n, 7, 7). A daughter whose position
    is not measured becomes something harmless that is not used.
    """
    for i in range(rows.shape[0]):
        row, to, lane = rows[i], lanes[i // LANES], i % LANES
        for c in range(4):
            out_p4[i, c] += p4[row, c]
            for d in range(4):
                out_cov[i, c, d] += cov[row, c, d]
        if np.isnan(cov[row, 4, 4]):
            for k in range(VALUES):
                to[at(k, lane)] = 0.0
            to[at(0, lane)] = 1.0
            continue
        for c in range(4):
            to[at(c, lane)] = p4[row, c]
        for c in range(3):
            to[at(POSITION + c, lane)] = vertex[row, c]
        for r in range(7):
            for s in range(r + 1):
                to[at(COV + tri(r, s), lane)] = cov[row, r, s]
        to[at(CURVATURE, lane)] = factor * sign[row] * bz[i]
        to[at(USED, lane)] = 1.0


@kernel
def linearise(given, alpha, v, jac, rest):
    """Derivatives and residuals of both constraints about ``alpha`` (7) and ``v`` (3).

    ``jac``: those of the first by px, py, x, y, then those of the second by px, py,
    pz, x, y (that by z is -1). ``rest``: the constraints extrapolated to the
    measured values; NaN if undefined.
    """
    for i in range(LANES):
        px, py, pz = alpha[at(0, i)], alpha[at(1, i)], alpha[at(2, i)]
        dx, dy, dz = v[at(0, i)] - alpha[at(4, i)], v[at(1, i)] - alpha[at(5, i)], v[at(2, i)] - alpha[at(6, i)]
        a = given[at(CURVATURE, i)]
        pt2 = px * px + py * py
        qx, qy = px - a * dy, py + a * dx
        qt2 = qx * qx + qy * qy
        s, m, d2 = px * dx + py * dy, px * dy - py * dx, dx * dx + dy * dy
        far = pt2 - a * m
        u = a * s
        ratio = u / far
        turned = polar_angle(abs(u), far)
        t_near = s / far * (1.0 - ratio * ratio * (1.0 / 3.0 - 0.2 * ratio * ratio))
        t_far = (turned if u > 0.0 else -turned) / a
        t = t_near if abs(u) < 1e-3 * far else t_far
        scale = pz / (pt2 * qt2)
        turn = 2.0 * m - a * d2
        ay, ax = dy, -dx
        bx, by = scale * (dx * pt2 + turn * py), scale * (dy * pt2 - turn * px)
        ex, ey = pz * qx / qt2, pz * qy / qt2
        jac[at(0, i)], jac[at(1, i)], jac[at(2, i)], jac[at(3, i)] = ay, ax, qy, -qx
        jac[at(4, i)], jac[at(5, i)], jac[at(6, i)], jac[at(7, i)], jac[at(8, i)] = bx, by, -t, ex, ey
        gx, gy, gz = given[at(0, i)] - px, given[at(1, i)] - py, given[at(2, i)] - pz
        hx, hy = given[at(POSITION, i)] - alpha[at(4, i)], given[at(POSITION + 1, i)] - alpha[at(5, i)]
        hz = given[at(POSITION + 2, i)] - alpha[at(6, i)]
        first = m - 0.5 * a * d2 + ay * gx + ax * gy + qy * hx - qx * hy
        second = dz - pz * t + bx * gx + by * gy - t * gz + ex * hx + ey * hy - hz
        rest[at(0, i)] = first if pt2 > 0.0 and qt2 > 0.0 else np.nan
        rest[at(1, i)] = second


@kernel
def _column(c0, c1, c2, c4, c5, c6, jac, i):
    """One line of V A^T: a value's covariances with px, py, pz, x, y, z times both derivatives."""
    return (c0 * jac[at(0, i)] + c1 * jac[at(1, i)] + c4 * jac[at(2, i)] + c5 * jac[at(3, i)],
            c0 * jac[at(4, i)] + c1 * jac[at(5, i)] + c2 * jac[at(6, i)] + c4 * jac[at(7, i)]
            + c5 * jac[at(8, i)] - c6)


@kernel
def weigh(given, jac, half, weight):
    """half = V A^T, both columns of 7, and weight = (A V A^T)^-1 as w00, w01, w11; NaN if singular, 0 if unused."""
    for i in range(LANES):
        c00 = given[at(COV + 0, i)]
        c10, c11 = given[at(COV + 1, i)], given[at(COV + 2, i)]
        c20, c21, c22 = given[at(COV + 3, i)], given[at(COV + 4, i)], given[at(COV + 5, i)]
        c30, c31, c32 = given[at(COV + 6, i)], given[at(COV + 7, i)], given[at(COV + 8, i)]
        c40, c41, c42, c43, c44 = (given[at(COV + 10, i)], given[at(COV + 11, i)], given[at(COV + 12, i)],
                                   given[at(COV + 13, i)], given[at(COV + 14, i)])
        c50, c51, c52, c53, c54, c55 = (given[at(COV + 15, i)], given[at(COV + 16, i)], given[at(COV + 17, i)],
                                        given[at(COV + 18, i)], given[at(COV + 19, i)], given[at(COV + 20, i)])
        c60, c61, c62, c63, c64, c65, c66 = (given[at(COV + 21, i)], given[at(COV + 22, i)], given[at(COV + 23, i)],
                                             given[at(COV + 24, i)], given[at(COV + 25, i)], given[at(COV + 26, i)],
                                             given[at(COV + 27, i)])
        x0, y0 = _column(c00, c10, c20, c40, c50, c60, jac, i)
        x1, y1 = _column(c10, c11, c21, c41, c51, c61, jac, i)
        x2, y2 = _column(c20, c21, c22, c42, c52, c62, jac, i)
        x3, y3 = _column(c30, c31, c32, c43, c53, c63, jac, i)
        x4, y4 = _column(c40, c41, c42, c44, c54, c64, jac, i)
        x5, y5 = _column(c50, c51, c52, c54, c55, c65, jac, i)
        x6, y6 = _column(c60, c61, c62, c64, c65, c66, jac, i)
        half[at(0, i)], half[at(1, i)], half[at(2, i)], half[at(3, i)] = x0, x1, x2, x3
        half[at(4, i)], half[at(5, i)], half[at(6, i)] = x4, x5, x6
        half[at(7, i)], half[at(8, i)], half[at(9, i)], half[at(10, i)] = y0, y1, y2, y3
        half[at(11, i)], half[at(12, i)], half[at(13, i)] = y4, y5, y6
        w00 = jac[at(0, i)] * x0 + jac[at(1, i)] * x1 + jac[at(2, i)] * x4 + jac[at(3, i)] * x5
        w01 = jac[at(0, i)] * y0 + jac[at(1, i)] * y1 + jac[at(2, i)] * y4 + jac[at(3, i)] * y5
        w11 = (jac[at(4, i)] * y0 + jac[at(5, i)] * y1 + jac[at(6, i)] * y2 + jac[at(7, i)] * y4
               + jac[at(8, i)] * y5 - y6)
        det = w00 * w11 - w01 * w01
        scale = 1.0 / det if w00 > 0.0 and det > 1e-15 * w00 * w11 else np.nan
        used = given[at(USED, i)] > 0.0
        weight[at(0, i)] = scale * w11 if used else 0.0
        weight[at(1, i)] = -scale * w01 if used else 0.0
        weight[at(2, i)] = scale * w00 if used else 0.0


@kernel
def add_normal(jac, weight, rest, normal):
    """Add a daughter's B^T W B (6, packed) and B^T W rest (3) to ``normal`` (9)."""
    for i in range(LANES):
        w00, w01, w11 = weight[at(0, i)], weight[at(1, i)], weight[at(2, i)]
        r0, r1 = rest[at(0, i)], rest[at(1, i)]
        p0, q0, p1, q1 = -jac[at(2, i)], -jac[at(7, i)], -jac[at(3, i)], -jac[at(8, i)]  # B by x, y; by z: 0, 1
        u0, t0 = w00 * p0 + w01 * q0, w01 * p0 + w11 * q0
        u1, t1 = w00 * p1 + w01 * q1, w01 * p1 + w11 * q1
        normal[at(0, i)] += u0 * p0 + t0 * q0
        normal[at(1, i)] += u0 * p1 + t0 * q1
        normal[at(2, i)] += u1 * p1 + t1 * q1
        normal[at(3, i)] += t0
        normal[at(4, i)] += t1
        normal[at(5, i)] += w11
        normal[at(6, i)] += u0 * r0 + t0 * r1
        normal[at(7, i)] += u1 * r0 + t1 * r1
        normal[at(8, i)] += w01 * r0 + w11 * r1


@kernel
def solve(normal, inverse, step, v):
    """The vertex's ``step``, and its covariance ``inverse`` (6, packed); NaN if it is not determined."""
    for i in range(LANES):
        a, b, d = normal[at(0, i)], normal[at(1, i)], normal[at(2, i)]
        c, e, f = normal[at(3, i)], normal[at(4, i)], normal[at(5, i)]
        aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
        det = a * aa + b * bb + c * cc
        scale = 1.0 / det if a > 0.0 and d > 0.0 and f > 0.0 and det > _SINGULAR * a * d * f else np.nan
        i00, i10, i20 = aa * scale, bb * scale, cc * scale
        i11, i21, i22 = (a * f - c * c) * scale, (b * c - a * e) * scale, (a * d - b * b) * scale
        gx, gy, gz = normal[at(6, i)], normal[at(7, i)], normal[at(8, i)]
        inverse[at(0, i)], inverse[at(1, i)], inverse[at(2, i)] = i00, i10, i11
        inverse[at(3, i)], inverse[at(4, i)], inverse[at(5, i)] = i20, i21, i22
        sx = -(i00 * gx + i10 * gy + i20 * gz)
        sy = -(i10 * gx + i11 * gy + i21 * gz)
        sz = -(i20 * gx + i21 * gy + i22 * gz)
        step[at(0, i)], step[at(1, i)], step[at(2, i)] = sx, sy, sz
        v[at(0, i)] += sx
        v[at(1, i)] += sy
        v[at(2, i)] += sz


@kernel
def update(given, jac, half, weight, rest, step, alpha, chi2):
    """Move a daughter along with the vertex; add its share of ``chi2``."""
    for i in range(LANES):
        sx, sy = step[at(0, i)], step[at(1, i)]
        r0 = rest[at(0, i)] - jac[at(2, i)] * sx - jac[at(3, i)] * sy
        r1 = rest[at(1, i)] - jac[at(7, i)] * sx - jac[at(8, i)] * sy + step[at(2, i)]
        l0 = weight[at(0, i)] * r0 + weight[at(1, i)] * r1
        l1 = weight[at(1, i)] * r0 + weight[at(2, i)] * r1
        chi2[i] += r0 * l0 + r1 * l1
        alpha[at(0, i)] = given[at(0, i)] - half[at(0, i)] * l0 - half[at(7, i)] * l1
        alpha[at(1, i)] = given[at(1, i)] - half[at(1, i)] * l0 - half[at(8, i)] * l1
        alpha[at(2, i)] = given[at(2, i)] - half[at(2, i)] * l0 - half[at(9, i)] * l1
        alpha[at(3, i)] = given[at(3, i)] - half[at(3, i)] * l0 - half[at(10, i)] * l1
        alpha[at(4, i)] = given[at(4, i)] - half[at(4, i)] * l0 - half[at(11, i)] * l1
        alpha[at(5, i)] = given[at(5, i)] - half[at(5, i)] * l0 - half[at(12, i)] * l1
        alpha[at(6, i)] = given[at(6, i)] - half[at(6, i)] * l0 - half[at(13, i)] * l1


@kernel
def add_momentum(given, alpha, v, half, weight, jac, p4, gain, out):
    """Add a daughter to the mother: its change of momentum, dp/dv and covariance.

    With K = M V A^T W per daughter (M takes the momentum at the vertex) and
    H = sum(K B) - dp/dv (``gain``, 4 x 3): cov(p) = sum(M V M^T - K W^-1 K^T) + H C
    H^T, cov(p, v) = -H C, cov(v) = C. ``out`` (10, packed) takes the sum in cov(p).
    """
    for i in range(LANES):
        used = given[at(USED, i)]
        a = given[at(CURVATURE, i)]
        p4[at(0, i)] += used * (alpha[at(0, i)] - a * (v[at(1, i)] - alpha[at(5, i)]) - given[at(0, i)])
        p4[at(1, i)] += used * (alpha[at(1, i)] + a * (v[at(0, i)] - alpha[at(4, i)]) - given[at(1, i)])
        p4[at(2, i)] += used * (alpha[at(2, i)] - given[at(2, i)])
        p4[at(3, i)] += used * (alpha[at(3, i)] - given[at(3, i)])
        w00, w01, w11 = weight[at(0, i)], weight[at(1, i)], weight[at(2, i)]
        x0, y0 = half[at(0, i)] + a * half[at(5, i)], half[at(7, i)] + a * half[at(12, i)]
        x1, y1 = half[at(1, i)] - a * half[at(4, i)], half[at(8, i)] - a * half[at(11, i)]
        x2, y2, x3, y3 = half[at(2, i)], half[at(9, i)], half[at(3, i)], half[at(10, i)]
        k0, l0 = x0 * w00 + y0 * w01, x0 * w01 + y0 * w11
        k1, l1 = x1 * w00 + y1 * w01, x1 * w01 + y1 * w11
        k2, l2 = x2 * w00 + y2 * w01, x2 * w01 + y2 * w11
        k3, l3 = x3 * w00 + y3 * w01, x3 * w01 + y3 * w11
        p0, q0, p1, q1 = -jac[at(2, i)], -jac[at(7, i)], -jac[at(3, i)], -jac[at(8, i)]
        gain[at(0, i)] += k0 * p0 + l0 * q0
        gain[at(1, i)] += k0 * p1 + l0 * q1 + a
        gain[at(2, i)] += l0
        gain[at(3, i)] += k1 * p0 + l1 * q0 - a
        gain[at(4, i)] += k1 * p1 + l1 * q1
        gain[at(5, i)] += l1
        gain[at(6, i)] += k2 * p0 + l2 * q0
        gain[at(7, i)] += k2 * p1 + l2 * q1
        gain[at(8, i)] += l2
        gain[at(9, i)] += k3 * p0 + l3 * q0
        gain[at(10, i)] += k3 * p1 + l3 * q1
        gain[at(11, i)] += l3
        c50, c51, c52, c53 = (given[at(COV + 15, i)], given[at(COV + 16, i)], given[at(COV + 17, i)],
                              given[at(COV + 18, i)])
        c40, c41, c42, c43 = (given[at(COV + 10, i)], given[at(COV + 11, i)], given[at(COV + 12, i)],
                              given[at(COV + 13, i)])
        c44, c54, c55 = given[at(COV + 14, i)], given[at(COV + 19, i)], given[at(COV + 20, i)]
        out[at(0, i)] += a * (2.0 * c50 + a * c55) - (k0 * x0 + l0 * y0)
        out[at(1, i)] += a * (c51 - c40 - a * c54) - (k1 * x0 + l1 * y0)
        out[at(2, i)] += a * (-2.0 * c41 + a * c44) - (k1 * x1 + l1 * y1)
        out[at(3, i)] += a * c52 - (k2 * x0 + l2 * y0)
        out[at(4, i)] -= a * c42 + (k2 * x1 + l2 * y1)
        out[at(5, i)] -= k2 * x2 + l2 * y2
        out[at(6, i)] += a * c53 - (k3 * x0 + l3 * y0)
        out[at(7, i)] -= a * c43 + (k3 * x1 + l3 * y1)
        out[at(8, i)] -= k3 * x2 + l3 * y2
        out[at(9, i)] -= k3 * x3 + l3 * y3
