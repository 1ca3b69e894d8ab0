"""Event shapes from their definitions, one event and one sum at a time: the slow twin of the kernels.

Thrust by all sign combinations, Legendre polynomials from numpy, angles in
degrees compared with the edges of the cones.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.polynomial.legendre import Legendre


def legendre(order, z):
    return Legendre.basis(order)(z)


def cosine(a, b):
    return float(np.clip(a @ b / math.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def thrust(p3):
    """Thrust vector of length T: the longest sum of momenta with signs, over the sum of lengths."""
    best = np.zeros(3)
    for signs in itertools.product((-1.0, 1.0), repeat=len(p3) - 1):
        total = np.array((1.0, *signs)) @ p3
        if total @ total > best @ best:
            best = total
    return best / sum(math.sqrt(p @ p) for p in p3)


def fox_wolfram(p3, order):
    return sum(math.sqrt((a @ a) * (b @ b)) * legendre(order, cosine(a, b)) for a in p3 for b in p3)


def sphericity(p3):
    """Falling eigenvalues by the roots of the characteristic polynomial."""
    tensor = sum(np.outer(p, p) for p in p3) / sum(p @ p for p in p3)
    return np.sort(np.roots(np.poly(tensor)).real)[::-1]


def cleo_cones(p3, axis):
    flow = [0.0] * 9
    for p in p3:
        angle = math.degrees(math.acos(cosine(p, axis)))
        angle = min(angle, 180.0 - angle)
        for k in range(9):
            if 10 * k <= angle < 10 * (k + 1) or (k == 8 and angle == 90.0):
                flow[k] += math.sqrt(p @ p)
    return flow


def harmonic(p3, axis, order, sqrt_s):
    return sum(math.sqrt(p @ p) * legendre(order, cosine(p, axis)) for p in p3) / sqrt_s


def ksfw(candidate, rest, sqrt_s):
    """All moments by name; ``candidate`` and ``rest`` are lists of (p4, charge)."""
    total = sum(p for p, _ in candidate + rest)
    missing = np.array([0, 0, 0, sqrt_s]) - total
    energy = sum(p[3] for p, _ in candidate)
    norm = 2 * (sqrt_s - energy)
    groups = {0: [(p[:3], q) for p, q in rest if q], 1: [(p[:3], q) for p, q in rest if not q], 2: [(missing[:3], 0)]}
    out = {}
    for x, group in groups.items():
        for order in range(5):
            if x and order % 2:
                continue
            out[f"hso{x}{order}"] = sum(
                math.sqrt(p @ p) * legendre(order, cosine(b[:3], p)) * (q * c if order % 2 else 1)
                for b, c in candidate for p, q in group) / norm
    others = [item for group in groups.values() for item in group]
    for order in range(5):
        out[f"hoo{order}"] = sum(
            math.sqrt((p @ p) * (k @ k)) * legendre(order, cosine(p, k)) * (q * c if order % 2 else 1)
            for (p, q), (k, c) in itertools.combinations(others, 2)) / norm**2
    out["et"] = sum(math.hypot(p[0], p[1]) for p, _ in candidate + rest)
    p2 = float(missing[:3] @ missing[:3])
    out["mm2"] = missing[3] ** 2 - p2 if missing[3] > 0 else -missing[3] ** 2 - p2
    return out
