"""Small symmetric matrices: closed-form inverses, chi-square survival function."""

from __future__ import annotations

import math

import numpy as np

from fei_lite.kernels.jit import inlined, kernel

#: A 3x3 matrix whose correlation matrix has a smaller determinant counts as singular.
_SINGULAR = 1e-13


@inlined
def invert_symmetric2(a, b, c):
    """Inverse (a', b', c', ok) of ((a, b), (b, c)); not ok unless positive definite."""
    det = a * c - b * b
    ok = a > 0.0 and det > 1e-15 * a * c  # False for NaN as well
    scale = 1.0 / det if ok else np.nan
    return c * scale, -b * scale, a * scale, ok


@kernel
def invert_symmetric3(m, out):
    """Invert a positive definite 3x3 matrix into ``out``; False if it is singular or NaN."""
    a, b, c, d, e, f = m[0, 0], m[0, 1], m[0, 2], m[1, 1], m[1, 2], m[2, 2]
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * aa + b * bb + c * cc
    if not (a > 0.0 and d > 0.0 and f > 0.0 and det > _SINGULAR * a * d * f):
        return False
    scale = 1.0 / det
    out[0, 0], out[0, 1], out[0, 2] = aa * scale, bb * scale, cc * scale
    out[1, 0], out[1, 1], out[1, 2] = bb * scale, (a * f - c * c) * scale, (b * c - a * e) * scale
    out[2, 0], out[2, 1], out[2, 2] = cc * scale, out[1, 2], (a * d - b * b) * scale
    return True


@kernel
def chi2_survival(chi2, ndf):
    """P(chi-square with ``ndf`` degrees of freedom > ``chi2``), closed form for integer ndf.

    Abramowitz and Stegun 26.4.4 and 26.4.5. NaN for ndf < 1 or a NaN chi2.
    """
    if ndf < 1 or np.isnan(chi2):
        return np.nan
    if chi2 <= 0.0:
        return 1.0
    half = 0.5 * chi2
    if ndf % 2 == 0:
        term = math.exp(-half)
        total = term
        first = 1.0
    else:
        total = math.erfc(math.sqrt(half))
        term = math.exp(-half) / math.sqrt(math.pi * half)
        first = 0.5
    i = first
    while i < 0.5 * ndf - 0.25:
        term *= half / i
        total += term
        i += 1.0
    return total
