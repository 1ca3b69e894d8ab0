"""Event-shape sums over jagged momenta, one row of the output per event.

``offsets`` (n_events + 1,) delimit the particles of each event, ``p3`` (n, 3)
are their momenta. Particles at rest have no direction and count nowhere. An
event without momentum is NaN, unless a sum over nothing is a natural 0.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel

#: Sine below which two directions are the same, or a direction lies in a plane.
_TIE = 1e-12


@kernel
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def _cross(a, b, out):
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@kernel
def _keep_longer(x, y, z, best):
    """Store the vector (x, y, z) in ``best`` if it is longer."""
    if x * x + y * y + z * z > _dot(best, best):
        best[0], best[1], best[2] = x, y, z


@kernel
def _sum_by_side(p, p2, normal, second, third, best):
    """Flip momenta to one side of a plane and sum; those in the plane by ``second``, then by ``third``."""
    x, y, z = 0.0, 0.0, 0.0
    normal2, second2 = _dot(normal, normal), _dot(second, second)
    for k in range(len(p)):
        side = _dot(p[k], normal)
        if side * side <= _TIE * _TIE * normal2 * p2[k]:
            side = _dot(p[k], second)
            if side * side <= _TIE * _TIE * second2 * p2[k]:
                side = _dot(p[k], third)
        sign = -1.0 if side < 0.0 else 1.0
        x += sign * p[k, 0]
        y += sign * p[k, 1]
        z += sign * p[k, 2]
    _keep_longer(x, y, z, best)


@kernel
def _sums_of_pair(p, p2, i, j, work, best):
    """The signed sums of the planes that touch particles ``i`` and ``j``.

    The plane decides the signs of the others; ``i`` and ``j`` may have either.
    Where others lie in the plane as well (three-body decays at rest), it is
    tilted about the line of i, or of j, to either side, and turned in itself.
    """
    normal, second, third = work[0], work[1], work[2]
    _cross(p[i], p[j], normal)
    normal2 = _dot(normal, normal)
    if normal2 <= _TIE * _TIE * p2[i] * p2[j]:
        return
    x, y, z = 0.0, 0.0, 0.0
    tie = False
    for k in range(len(p)):
        if k == i or k == j:
            continue
        side = _dot(p[k], normal)
        if side * side <= _TIE * _TIE * normal2 * p2[k]:
            tie = True
            break
        sign = -1.0 if side < 0.0 else 1.0
        x += sign * p[k, 0]
        y += sign * p[k, 1]
        z += sign * p[k, 2]
    if not tie:
        for a in (-1.0, 1.0):
            for b in (-1.0, 1.0):
                _keep_longer(x + a * p[i, 0] + b * p[j, 0], y + a * p[i, 1] + b * p[j, 1],
                             z + a * p[i, 2] + b * p[j, 2], best)
        return
    for line in (i, j):
        for tilt in (-1.0, 1.0):
            _cross(normal, p[line], second)
            for a in range(3):
                second[a] *= tilt
            for turn in (-1.0, 1.0):
                for a in range(3):
                    third[a] = turn * p[line, a]
                _sum_by_side(p, p2, normal, second, third, best)


@kernel
def thrust(offsets, p3, axis, value):
    """Thrust axis (n, 3), z >= 0, and value (n,): exact, in O(particles^3).

    The thrust vector is the longest sum of momenta with signs, and its signs
    are the sides of a plane; every such division of the particles is met by a
    plane that touches two of them (one, if all are in a line).
    """
    work, best = np.empty((3, 3)), np.empty(3)
    for e in range(len(offsets) - 1):
        p = p3[offsets[e]:offsets[e + 1]]
        p2 = np.empty(len(p))
        total = 0.0
        best[:] = 0.0
        for i in range(len(p)):
            p2[i] = _dot(p[i], p[i])
            total += np.sqrt(p2[i])
        for i in range(len(p)):
            if p2[i] > 0.0:
                _sum_by_side(p, p2, p[i], p[i], p[i], best)
        for i in range(len(p)):
            for j in range(i + 1, len(p)):
                _sums_of_pair(p, p2, i, j, work, best)
        length = np.sqrt(_dot(best, best))
        # an infinite or undefined momentum leaves no axis; total is then not finite
        value[e] = length / total if length > 0.0 and np.isfinite(total) else np.nan
        for a in range(3):
            axis[e, a] = (best[a] if best[2] >= 0.0 else -best[a]) / length if np.isfinite(value[e]) else np.nan


@kernel
def _add_legendre(weight, z, out):
    """Add ``weight`` P_l(z) to ``out[l]`` for all l, by Bonnet's recurrence."""
    previous, current = 1.0, z
    out[0] += weight
    for order in range(1, len(out)):
        out[order] += weight * current
        previous, current = current, ((2 * order + 1) * z * current - order * previous) / (order + 1)


@kernel
def _cosine(a, b, lengths):
    """Cosine of the angle between two vectors, whose product of lengths is given; -1..1 or NaN."""
    cosine = _dot(a, b) / lengths
    if cosine > 1.0:
        return 1.0
    return -1.0 if cosine < -1.0 else cosine


@kernel
def fox_wolfram(offsets, p3, out):
    """H_l = sum_ij |p_i| |p_j| P_l(cos_ij) over ordered pairs, i = j included: out (n, l_max + 1)."""
    for e in range(len(offsets) - 1):
        p = p3[offsets[e]:offsets[e + 1]]
        out[e] = 0.0
        length = np.empty(len(p))
        for i in range(len(p)):
            length[i] = np.sqrt(_dot(p[i], p[i]))
            for order in range(out.shape[1]):
                out[e, order] += length[i] * length[i]
            for j in range(i):
                lengths = length[i] * length[j]
                if lengths != 0.0:
                    _add_legendre(2.0 * lengths, _cosine(p[i], p[j], lengths), out[e])


@kernel
def about_axis(offsets, p3, axis, cones, harmonic):
    """Momentum flow in cones about an axis, and moments: cones (n, n_cones), harmonic (n, l_max + 1).

    Cone c has the particles with c <= angle / width < c + 1, the angle to the
    axis or its opposite; harmonic moments are sum |p| P_l(cos).
    """
    n_cones = cones.shape[1]
    for e in range(len(offsets) - 1):
        cones[e], harmonic[e] = 0.0, 0.0
        if np.isnan(axis[e, 0]):
            cones[e], harmonic[e] = np.nan, np.nan
            continue
        for i in range(offsets[e], offsets[e + 1]):
            length = np.sqrt(_dot(p3[i], p3[i]))
            if length == 0.0:
                continue
            cosine = _cosine(p3[i], axis[e], length)
            if np.isnan(cosine):
                cones[e], harmonic[e] = np.nan, np.nan
                break
            cone = int(np.arccos(abs(cosine)) / (0.5 * np.pi) * n_cones)
            cones[e, min(cone, n_cones - 1)] += length
            _add_legendre(length, cosine, harmonic[e])


@kernel
def momentum_tensors(offsets, p3, out):
    """S_ab = sum p_a p_b / sum p^2 (n, 3, 3); NaN without momentum."""
    for e in range(len(offsets) - 1):
        out[e] = 0.0
        for i in range(offsets[e], offsets[e + 1]):
            for a in range(3):
                for b in range(3):
                    out[e, a, b] += p3[i, a] * p3[i, b]
        norm = out[e, 0, 0] + out[e, 1, 1] + out[e, 2, 2]
        for a in range(3):
            for b in range(3):
                out[e, a, b] = out[e, a, b] / norm if norm > 0.0 else np.nan


@kernel
def _add_signed(weight, z, charges, out):
    """Add ``weight`` P_l(z) to ``out[l]``: even l as it is, odd l times the charges' product."""
    z2 = z * z
    out[0] += weight
    out[1] += charges * weight * z
    out[2] += weight * (1.5 * z2 - 0.5)
    out[3] += charges * weight * z * (2.5 * z2 - 1.5)
    out[4] += weight * (4.375 * z2 * z2 - 3.75 * z2 + 0.375)


@kernel
def ksfw(signal_offsets, signal_p3, signal_charge, rest_offsets, rest_p3, rest_charge, missing_p3, hso, hoo):
    """Unnormalised KSFW moments: hso (n, 3, 5) by charged / neutral / missing and order, hoo (n, 5).

    The missing momentum counts as one more neutral particle of the rest.
    """
    for e in range(len(signal_offsets) - 1):
        hso[e], hoo[e] = 0.0, 0.0
        missing = np.sqrt(_dot(missing_p3[e], missing_p3[e]))
        for i in range(signal_offsets[e], signal_offsets[e + 1]):
            p = np.sqrt(_dot(signal_p3[i], signal_p3[i]))
            for j in range(rest_offsets[e], rest_offsets[e + 1]):
                q = np.sqrt(_dot(rest_p3[j], rest_p3[j]))
                if p * q != 0.0:
                    kind = 0 if rest_charge[j] != 0 else 1
                    _add_signed(q, _cosine(signal_p3[i], rest_p3[j], p * q),
                                float(signal_charge[i] * rest_charge[j]), hso[e, kind])
            if p * missing != 0.0:
                _add_signed(missing, _cosine(signal_p3[i], missing_p3[e], p * missing), 0.0, hso[e, 2])
        for i in range(rest_offsets[e], rest_offsets[e + 1]):
            p = np.sqrt(_dot(rest_p3[i], rest_p3[i]))
            for j in range(rest_offsets[e], i):
                lengths = p * np.sqrt(_dot(rest_p3[j], rest_p3[j]))
                if lengths != 0.0:
                    _add_signed(lengths, _cosine(rest_p3[i], rest_p3[j], lengths),
                                float(rest_charge[i] * rest_charge[j]), hoo[e])
            if p * missing != 0.0:
                _add_signed(p * missing, _cosine(rest_p3[i], missing_p3[e], p * missing), 0.0, hoo[e])
