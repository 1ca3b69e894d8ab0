"""The q2 spectrum of B0 -> K*0 tau+ tau- in the standard model.

dGamma/dq2 ~ p q2 beta { C9^2 S (1 + 2 r) + C10^2 [ S (1 - 4 r) + 6 r Ht^2 ] }, S = H+^2 + H0^2 + H-^2,
r = m_tau^2 / q2, beta = sqrt(1 - 4 r), p the momentum of the K*0 in the frame of the B. Form factors are those of
arXiv:1503.05534; the electromagnetic operator (a tenth of the rate here) and charm are left out.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.analyses.k_tau_l.operators import amplitudes
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum
from fei_lite.particles import mass

Floats = NDArray[np.float64]

#: Wilson coefficients of the standard model at m_b, next-to-next-to-leading order (arXiv:0811.1214, tab. 1), rounded.
C_9, C_10 = 4.2, -4.2
Q2_MIN, Q2_MAX = 4.0 * mass("tau+") ** 2, (mass("B0") - mass("K*0")) ** 2
_POINTS = 4001


def squared(q2: Floats, m_k: Floats, *, c_9: float = C_9, c_10: float = C_10) -> Floats:
    """Squared matrix element (n,), averaged over angles, up to a factor."""
    plus, zero, minus, time = amplitudes("K*0", m_k, q2)
    total, ratio = plus**2 + zero**2 + minus**2, mass("tau+") ** 2 / q2
    return np.asarray(q2 * (c_9**2 * total * (1.0 + 2.0 * ratio)
                            + c_10**2 * (total * (1.0 - 4.0 * ratio) + 6.0 * ratio * time**2)))


def phase_space(q2: Floats, m_k: Floats | float) -> Floats:
    """Density of phase space in q2 up to a factor: p beta; 0 outside of the spectrum."""
    inside = (q2 > Q2_MIN) & (np.sqrt(q2) + m_k < mass("B0"))
    beta = np.sqrt(np.where(inside, 1.0 - Q2_MIN / np.where(inside, q2, 1.0), 0.0))
    return np.asarray(breakup_momentum(mass("B0"), m_k, np.sqrt(q2)) * beta)


@cache
def _mean() -> float:
    q2 = np.linspace(Q2_MIN, Q2_MAX, _POINTS + 2)[1:-1]
    m_k = np.full(len(q2), mass("K*0"))
    density = phase_space(q2, m_k)
    return float(np.trapezoid(squared(q2, m_k) * density, q2) / np.trapezoid(density, q2))


def weight(q2: ArrayLike, m_k: ArrayLike) -> Floats:
    """Weight (n,) of phase-space events that makes them follow the standard model; NaN below threshold.

    Its mean over phase space is 1 at the nominal mass of the K*0.
    """
    q2, m_k = np.asarray(q2, dtype=np.float64), np.asarray(m_k, dtype=np.float64)
    return squared(np.where(q2 >= Q2_MIN, q2, np.nan), m_k) / _mean()
