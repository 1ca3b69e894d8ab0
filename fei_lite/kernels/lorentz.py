"""Boosts, contractions and angles of single vectors, for other kernels to call.

Four-vectors are (px, py, pz, E); a frame is given by the four-momentum that is
at rest in it. Results are written into ``out``. Undefined is NaN.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel


@kernel
def rest_mass(p4):
    """sqrt(E^2 - p^2); 0 where rounding makes the square negative (photons)."""
    m2 = p4[3] * p4[3] - (p4[0] * p4[0] + p4[1] * p4[1] + p4[2] * p4[2])
    return 0.0 if m2 < 0.0 else np.sqrt(m2)


@kernel
def boost(p4, frame, mass, out):
    """``p4`` seen from the frame in which ``frame``, of invariant ``mass``, is at rest."""
    along = frame[0] * p4[0] + frame[1] * p4[1] + frame[2] * p4[2]
    energy = (frame[3] * p4[3] - along) / mass
    factor = (p4[3] + energy) / (frame[3] + mass)
    for a in range(3):
        out[a] = p4[a] - factor * frame[a]
    out[3] = energy


@kernel
def contract(r, frame, mass, out):
    """Displacement ``r``, of simultaneous points of the laboratory, in the frame of ``frame``.

    The component along the motion shrinks by 1 / gamma, the rest stays.
    """
    along = frame[0] * r[0] + frame[1] * r[1] + frame[2] * r[2]
    factor = along / (frame[3] * (frame[3] + mass))
    for a in range(3):
        out[a] = r[a] - factor * frame[a]


@kernel
def angle(a, b):
    """Angle between two 3-vectors, 0..pi; NaN if one has no direction.

    The arc tangent is exact at 0 and pi, where an arc cosine loses half its digits.
    """
    x = a[1] * b[2] - a[2] * b[1]
    y = a[2] * b[0] - a[0] * b[2]
    z = a[0] * b[1] - a[1] * b[0]
    across = np.sqrt(x * x + y * y + z * z)
    along = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    if across == 0.0 and along == 0.0:
        return np.nan
    return np.arctan2(across, along)
