"""Kernels of the detector simulation: track errors layer by layer, smearing, distances."""

from __future__ import annotations

import math

import numpy as np

from fei_lite.kernels.jit import kernel

_DEAD, _PIXEL, _STRIP, _DRIFT = 0, 1, 2, 3


@kernel
def _measured(p, c, variance):
    """Covariance ``p`` after a measurement: ``c`` is the coordinate's column of ``p``, ``variance`` the sum of both.

    Covariances are five rows of five numbers, as tuples: they stay in registers, which arrays do not.
    """
    weight = 1.0 / variance
    s0, s1, s2, s3, s4 = c[0] * weight, c[1] * weight, c[2] * weight, c[3] * weight, c[4] * weight
    a = p[0][0] - s0 * c[0]
    b, f = p[1][0] - s1 * c[0], p[1][1] - s1 * c[1]
    d, g, k = p[2][0] - s2 * c[0], p[2][1] - s2 * c[1], p[2][2] - s2 * c[2]
    e, h, m, o = p[3][0] - s3 * c[0], p[3][1] - s3 * c[1], p[3][2] - s3 * c[2], p[3][3] - s3 * c[3]
    i, j, n, q = p[4][0] - s4 * c[0], p[4][1] - s4 * c[1], p[4][2] - s4 * c[2], p[4][3] - s4 * c[3]
    r = p[4][4] - s4 * c[4]
    return (a, b, d, e, i), (b, f, g, h, j), (d, g, k, m, n), (e, h, m, o, q), (i, j, n, q, r)


@kernel
def _shifted(row, step, half):
    """A row of the covariance, transported in its columns."""
    return (row[0] + (-step * row[1] + half * row[2]), row[1] - step * row[2], row[2], row[3] - step * row[4], row[4])


@kernel
def _less(row, step, other):
    """``row`` - ``step`` ``other``."""
    return (row[0] - step * other[0], row[1] - step * other[1], row[2] - step * other[2], row[3] - step * other[3],
            row[4] - step * other[4])


@kernel
def _moved_inward(p, step):
    """Covariance of (delta, u, omega, z, tanLambda), transported by the arc length ``step`` inward."""
    half = 0.5 * step * step
    d, u, w = p[0], p[1], p[2]
    first = (d[0] + (-step * u[0] + half * w[0]), d[1] + (-step * u[1] + half * w[1]),
             d[2] + (-step * u[2] + half * w[2]), d[3] + (-step * u[3] + half * w[3]),
             d[4] + (-step * u[4] + half * w[4]))
    return (_shifted(first, step, half), _shifted(_less(u, step, w), step, half), _shifted(w, step, half),
            _shifted(_less(p[3], step, p[4]), step, half), _shifted(p[4], step, half))


@kernel
def _scattered(p, variance, omega, tan_lambda):
    """With multiple scattering of plane angle variance ``variance``: in the bending plane and in lambda.

    A kick in lambda at constant momentum also changes omega.
    """
    slope = 1.0 + tan_lambda * tan_lambda
    curl = omega * tan_lambda
    u, w, t = p[1], p[2], p[4]
    return (p[0], (u[0], u[1] + variance * slope, u[2], u[3], u[4]),
            (w[0], w[1], w[2] + variance * curl * curl, w[3], w[4] + variance * curl * slope), p[3],
            (t[0], t[1], t[2] + variance * curl * slope, t[3], t[4] + variance * slope * slope))


@kernel
def _pack(p, out):
    """The upper triangle of a covariance by rows into ``out`` (15,), with the azimuth for the slope."""
    d, u, w = p[0], p[1], p[2]
    out[0], out[1], out[2], out[3], out[4] = d[0], -d[1], d[2], d[3], d[4]
    out[5], out[6], out[7], out[8] = u[1], -u[2], -u[3], -u[4]
    out[9], out[10], out[11] = w[2], w[3], w[4]
    out[12], out[13], out[14] = p[3][3], p[3][4], p[4][4]


@kernel
def track_errors(helix, p_beta, first, last, n_hits, layers, limits, cov, counts, innermost):
    """Covariance of each helix from a Kalman filter over the layers, from outside to the perigee.

    ``helix`` (n, 5); ``p_beta`` (n,) momentum times velocity in GeV; only layers
    between the radii ``first`` and ``last`` (n,) count. ``n_hits`` (n, L) hits if
    the layer is crossed. ``layers`` (L, 6): radius, material, kind, mean hits,
    sigma r-phi, sigma z. ``limits``: tan lambda forward and backward, z forward
    and backward, scattering constant. Fills ``cov`` (n, 15), ``counts`` (n, 3:
    pixel, strip, drift-chamber hits) and ``innermost`` (n,), the radius of the first
    layer with a hit (infinite without one).

    The state is the displacement to the right of the track, its slope (the
    opposite of the azimuth), omega, z and tan lambda.
    """
    n_layers = layers.shape[0]
    arcs = np.empty(n_layers)
    crossed = np.empty(n_layers, dtype=np.bool_)
    for i in range(helix.shape[0]):
        omega, z0, tan_lambda = helix[i, 2], helix[i, 3], helix[i, 4]
        counts[i] = 0
        innermost[i] = np.inf
        top = -1
        for k in range(n_layers):
            r = layers[k, 0]
            bend = 0.5 * r * abs(omega)
            crossed[k] = False
            if bend >= 1.0 or r > last[i]:
                break
            if r < first[i]:
                continue
            arcs[k] = 2.0 * math.asin(bend) / abs(omega)
            z = z0 + arcs[k] * tan_lambda
            inside = max(limits[1] * r, limits[3]) <= z <= min(limits[0] * r, limits[2])
            if top >= 0 and not inside:  # left by an end; one that starts outside may still enter
                break
            if inside:
                crossed[k], top = True, k
        p = ((10.0, 0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 4.0 * omega * omega, 0.0, 0.0),
             (0.0, 0.0, 0.0, 100.0, 0.0), (0.0, 0.0, 0.0, 0.0, 1.0 + tan_lambda**4))
        position = arcs[top] if top >= 0 else 0.0
        for k in range(top, -1, -1):
            if not crossed[k]:
                break
            p = _moved_inward(p, position - arcs[k])
            position = arcs[k]
            hits, kind = n_hits[i, k], int(layers[k, 2])
            if hits > 0:
                worse = layers[k, 3] / hits
                across, along = layers[k, 4] ** 2 * worse, layers[k, 5] ** 2 * worse
                p = _measured(p, (p[0][0], p[1][0], p[2][0], p[3][0], p[4][0]), p[0][0] + across)
                p = _measured(p, (p[0][3], p[1][3], p[2][3], p[3][3], p[4][3]), p[3][3] + along)
                counts[i, kind - 1] += hits
                innermost[i] = layers[k, 0]
            cosine = math.sqrt(1.0 - (0.5 * layers[k, 0] * omega) ** 2)
            thickness = layers[k, 1] * math.sqrt(1.0 + tan_lambda * tan_lambda) / max(cosine, 0.05)
            angle = limits[4] / p_beta[i] * (1.0 + 0.038 * math.log(thickness))
            p = _scattered(p, thickness * angle * angle, omega, tan_lambda)
        p = _moved_inward(p, position)
        _pack(p, cov[i])


@kernel
def smear(values, packed, normal, out):
    """``out`` = ``values`` (n, 5) plus a draw from the packed covariance (n, 15), with ``normal`` (n, 5)."""
    root = np.zeros((5, 5))
    for i in range(values.shape[0]):
        place = 0
        for a in range(5):
            for b in range(a, 5):
                root[b, a] = packed[i, place]
                place += 1
        for a in range(5):  # Cholesky decomposition in place
            for b in range(a + 1):
                total = root[a, b]
                for c in range(b):
                    total -= root[a, c] * root[b, c]
                if a == b:
                    root[a, a] = math.sqrt(max(total, 0.0))
                else:
                    root[a, b] = total / root[b, b] if root[b, b] > 0.0 else 0.0
        for a in range(5):
            out[i, a] = values[i, a]
            for b in range(a + 1):
                out[i, a] += root[a, b] * normal[i, b]


@kernel
def nearest_distance(points, offsets, targets, target_offsets, out):
    """Distance of each point (n, 3) to the nearest target (m, 3) of its event; NaN without one."""
    for event in range(offsets.shape[0] - 1):
        for i in range(offsets[event], offsets[event + 1]):
            best = np.inf
            for j in range(target_offsets[event], target_offsets[event + 1]):
                square = 0.0
                for k in range(3):
                    square += (points[i, k] - targets[j, k]) ** 2
                if square < best:
                    best = square
            out[i] = math.sqrt(best) if best < np.inf else np.nan
