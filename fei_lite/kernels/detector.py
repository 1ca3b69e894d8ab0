"""Kernels of the detector simulation: track errors layer by layer, smearing, distances."""

from __future__ import annotations

import math

import numpy as np

from fei_lite.kernels.jit import kernel

_DEAD, _PIXEL, _STRIP, _DRIFT = 0, 1, 2, 3


@kernel
def _measure(p, k, variance, column):
    """Update the covariance ``p`` (5, 5) by a measurement of coordinate ``k``; ``column`` (5,) is scratch space."""
    weight = 1.0 / (p[k, k] + variance)
    for i in range(5):
        column[i] = p[i, k]
    for i in range(5):
        scaled = column[i] * weight
        for j in range(i + 1):
            p[i, j] -= scaled * column[j]
            p[j, i] = p[i, j]


@kernel
def _move_inward(p, step):
    """Transport the covariance of (delta, u, omega, z, tanLambda) by the arc length ``step`` inward."""
    half = 0.5 * step * step
    for i in range(5):
        p[0, i] += -step * p[1, i] + half * p[2, i]
        p[1, i] -= step * p[2, i]
        p[3, i] -= step * p[4, i]
    for i in range(5):
        p[i, 0] += -step * p[i, 1] + half * p[i, 2]
        p[i, 1] -= step * p[i, 2]
        p[i, 3] -= step * p[i, 4]


@kernel
def _scatter(p, variance, omega, tan_lambda):
    """Add multiple scattering of plane angle variance ``variance``: in the bending plane and in lambda.

    A kick in lambda at constant momentum also changes omega.
    """
    slope = 1.0 + tan_lambda * tan_lambda
    curl = omega * tan_lambda
    p[1, 1] += variance * slope
    p[4, 4] += variance * slope * slope
    p[2, 2] += variance * curl * curl
    p[2, 4] += variance * curl * slope
    p[4, 2] += variance * curl * slope


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
    p, column = np.empty((5, 5)), np.empty(5)
    order = np.array([0, 1, 2, 3, 4])
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
            arcs[k] = 2.0 * math.asin(bend) / abs(omega)
            z = z0 + arcs[k] * tan_lambda
            if r < first[i]:
                continue
            inside = max(limits[1] * r, limits[3]) <= z <= min(limits[0] * r, limits[2])
            if top >= 0 and not inside:  # left by an end; one that starts outside may still enter
                break
            if inside:
                crossed[k], top = True, k
        p[:] = 0.0
        p[0, 0], p[1, 1], p[2, 2], p[3, 3], p[4, 4] = 10.0, 1.0, 4.0 * omega * omega, 100.0, 1.0 + tan_lambda**4
        position = arcs[top] if top >= 0 else 0.0
        for k in range(top, -1, -1):
            if not crossed[k]:
                break
            _move_inward(p, position - arcs[k])
            position = arcs[k]
            hits, kind = n_hits[i, k], int(layers[k, 2])
            if hits > 0:
                worse = layers[k, 3] / hits
                _measure(p, 0, layers[k, 4] ** 2 * worse, column)
                _measure(p, 3, layers[k, 5] ** 2 * worse, column)
                counts[i, kind - 1] += hits
                innermost[i] = layers[k, 0]
            cosine = math.sqrt(1.0 - (0.5 * layers[k, 0] * omega) ** 2)
            thickness = layers[k, 1] * math.sqrt(1.0 + tan_lambda * tan_lambda) / max(cosine, 0.05)
            angle = limits[4] / p_beta[i] * (1.0 + 0.038 * math.log(thickness))
            _scatter(p, thickness * angle * angle, omega, tan_lambda)
        _move_inward(p, position)
        for k in range(5):  # slope -> azimuth
            p[1, k] = -p[1, k]
        for k in range(5):
            p[k, 1] = -p[k, 1]
        place = 0
        for a in order:
            for b in range(a, 5):
                cov[i, place] = p[a, b]
                place += 1


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
