"""Boosts, contractions and angles, for other kernels to call.

Vectors stand side by side, a component to a line: ``p4[c, i]`` is component c of
lane i, so that a loop over the lanes becomes vector instructions. Four-vectors
are (px, py, pz, E); a frame is given by the four-momentum that is at rest in it.
Results are written into ``out``, which must not be an argument. Undefined is NaN.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import inlined, kernel


@kernel
def boost_lanes(p4, frame, mass, n, out):
    """The first ``n`` of ``p4`` seen from the frame in which ``frame``, of invariant ``mass``, is at rest."""
    for i in range(n):
        along = frame[0, i] * p4[0, i] + frame[1, i] * p4[1, i] + frame[2, i] * p4[2, i]
        energy = (frame[3, i] * p4[3, i] - along) / mass[i]
        factor = (p4[3, i] + energy) / (frame[3, i] + mass[i])
        out[0, i] = p4[0, i] - factor * frame[0, i]
        out[1, i] = p4[1, i] - factor * frame[1, i]
        out[2, i] = p4[2, i] - factor * frame[2, i]
        out[3, i] = energy


@kernel
def contract_lanes(r, frame, mass, n, out):
    """Displacements ``r``, of simultaneous points of the laboratory, in the frame of ``frame``.

    The component along the motion shrinks by 1 / gamma, the rest stays.
    """
    for i in range(n):
        along = frame[0, i] * r[0, i] + frame[1, i] * r[1, i] + frame[2, i] * r[2, i]
        factor = along / (frame[3, i] * (frame[3, i] + mass[i]))
        out[0, i] = r[0, i] - factor * frame[0, i]
        out[1, i] = r[1, i] - factor * frame[1, i]
        out[2, i] = r[2, i] - factor * frame[2, i]


@inlined
def polar_angle(across, along):
    """atan2(across, along) for across >= 0, without a branch; NaN if both are 0.

    The rational function is that of the Cephes library (S. L. Moshier) for
    abs(x) <= 0.66, reached by two reflections; correct to 4e-16 rad.
    """
    far = abs(along)
    small, large = (far, across) if across > far else (across, far)
    ratio = small / large
    upper = 1.0 if ratio > 0.66 else 0.0  # atan(z) = pi / 4 + atan((z - 1) / (z + 1))
    x = (ratio - upper) / (1.0 + upper * ratio)
    y = x * x
    above = (((-8.750608600031904122785e-1 * y - 1.615753718733365076637e1) * y - 7.500855792314704667340e1) * y
             - 1.228866684490136173410e2) * y - 6.485021904942025371773e1
    below = ((((y + 2.485846490142306297962e1) * y + 1.650270098316988542046e2) * y + 4.328810604912902668951e2) * y
             + 4.853903996359136964868e2) * y + 1.945506571482613964425e2
    first = upper * (0.25 * np.pi) + (x * y * above / below + x)
    second = 0.5 * np.pi - first if across > far else first
    return np.pi - second if along < 0.0 else second
