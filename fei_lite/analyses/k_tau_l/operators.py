"""Operators of B -> K(*) tau l as weights on the Dalitz plane of phase space.

At a place (q2, cos) of the plane, q2 = m^2(tau l), cos the angle of the tau to the flight of the pair in the pair's
frame, phase space has the density p_K(q2) p_l(q2), the same for all operators: the weight is the squared matrix
element over its mean. The light lepton is massless, so that each operator's left- and right-handed part have the same
sum of squares up to the sign of what is odd in cos.

vector   s gamma_mu b  l gamma^mu tau  (left-handed leptons): helicity amplitudes of a virtual W with the tau in the
         place of its lepton and the light lepton in that of its neutrino
scalar   s b  l tau (K), s gamma5 b  l tau (K*): (q2 - m_tau^2) times f0^2, or lam A0^2: flat in cos

Form factors: K arXiv:1409.4557 (the spectrum of K nu nubar), K* arXiv:1503.05534.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import AnalysisError, nearest
from fei_lite.generator.matrix_elements.bcl import longitudinal, simplified_series
from fei_lite.generator.matrix_elements.dineutrino import KST_A1, KST_A12, KST_V
from fei_lite.generator.matrix_elements.form_factors import scalar_amplitudes, vector_amplitudes
from fei_lite.generator.matrix_elements.helicity import lepton_polynomial
from fei_lite.generator.matrix_elements.k_nunu import f_plus, f_zero
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum
from fei_lite.particles import mass

Floats = NDArray[np.float64]

#: A0 of B -> K*, arXiv:1503.05534 tab. 15 (as the others of dineutrino.py): coefficients and pole in GeV.
KST_A0 = ((0.37, -1.37, 0.13), 5.366)
OPERATORS = ("phase space", "vector", "scalar")
M_TAU = mass("tau+")
#: Points of the mean over phase space in q2 and in cos.
_POINTS = (400, 201)


def amplitudes(kaon: str, m_k: Floats, q2: Floats) -> Floats:
    """Helicity amplitudes (4, n) of B -> K(*) with a vector current, in the order +, 0, -, t; GeV."""
    m_b = mass("B+" if kaon == "K+" else "B0")
    if kaon != "K*0":
        return scalar_amplitudes(m_b, m_k, q2, f_plus(q2), f_zero(q2))
    v, a0, a1, a12 = (simplified_series(q2, m_b, m_k, *part) for part in (KST_V, KST_A0, KST_A1, KST_A12))
    out = vector_amplitudes(m_b, m_k, q2, v, a0, a1, np.zeros_like(q2))
    out[1] = longitudinal(m_b, m_k, q2, a12)
    return out


def squared(operator: str, kaon: str, m_k: Floats, q2: Floats, cos: Floats, anti: NDArray[np.bool_]) -> Floats:
    """Squared matrix element (n,) up to a factor; ``anti`` where a b quark gives tau+ l- (a B0: tau- l+).

    Raises :class:`AnalysisError` for an unknown operator.
    """
    if operator == "phase space":
        return np.ones_like(q2)
    m_b = mass("B+" if kaon == "K+" else "B0")
    if operator == "vector":
        ratio = M_TAU**2 / q2
        c0, c1, c2 = lepton_polynomial(amplitudes(kaon, m_k, q2), ratio, anti)
        return np.asarray(q2 * (1.0 - ratio) * (c0 + c1 * cos + c2 * cos**2))
    if operator == "scalar":
        if kaon != "K*0":
            return np.asarray((q2 - M_TAU**2) * f_zero(q2) ** 2)
        momentum = breakup_momentum(m_b, m_k, np.sqrt(q2))
        return np.asarray((q2 - M_TAU**2) * momentum**2 * simplified_series(q2, m_b, m_k, *KST_A0) ** 2)
    raise AnalysisError(f"no operator '{operator}'; there are {', '.join(OPERATORS)}.{nearest(operator, OPERATORS)}")


def phase_space(kaon: str, m_k: Floats | float, q2: Floats) -> Floats:
    """Density of phase space in (q2, cos) up to a factor: p_K p_tau, momenta in the frames of B and tau l."""
    m_b = mass("B+" if kaon == "K+" else "B0")
    root = np.sqrt(q2)
    return np.asarray(breakup_momentum(m_b, m_k, root) * (q2 - M_TAU**2) / (2.0 * q2))


@cache
def _mean(operator: str, kaon: str) -> float:
    """Mean of the squared matrix element over phase space, at the nominal mass of K."""
    m_k, m_b = mass("K0" if kaon == "K_S0" else kaon), mass("B+" if kaon == "K+" else "B0")
    q2 = np.linspace(M_TAU**2, (m_b - m_k) ** 2, _POINTS[0] + 2)[1:-1]
    cos = np.linspace(-1.0, 1.0, _POINTS[1])
    density = phase_space(kaon, m_k, q2)
    anti = np.zeros(len(cos), dtype=bool)  # what it turns is odd in cos
    values = [squared(operator, kaon, np.full(len(cos), m_k), np.full(len(cos), x), cos, anti) for x in q2]
    inner = np.trapezoid(np.array(values), cos, axis=1) / 2.0
    return float(np.trapezoid(inner * density, q2) / np.trapezoid(density, q2))


def weight(operator: str, kaon: str, m_k: ArrayLike, q2: ArrayLike, cos: ArrayLike, *, anti: ArrayLike) -> Floats:
    """Weight (n,) of phase-space events that makes them follow an operator; its mean over phase space is 1.

    NaN below the threshold q2 = m_tau^2.

    >>> weight("phase space", "K+", [0.494], [9.0], [0.3], anti=[False]).tolist()
    [1.0]
    """
    m_k, q2, cos = (np.asarray(x, dtype=np.float64) for x in (m_k, q2, cos))
    inside = np.where(q2 > M_TAU**2, q2, np.nan)
    return squared(operator, kaon, m_k, inside, cos, np.asarray(anti, dtype=bool)) / _mean(operator, kaon)
