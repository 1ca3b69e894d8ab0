"""The q2 spectrum of B+ -> K+ nu nubar: form factors, the standard model, weak effective theory.

q2 is the mass squared of the two neutrinos, GeV^2, from 0 to (m_B - m_K)^2. In
weak effective theory with massless left-handed neutrinos (arXiv:2402.08417,
arXiv:2111.04327)::

    dB/dq2 ~ sqrt(lam) q2 [ lam / (24 q2) f+^2 |C_V|^2
                            + (m_B^2 - m_K^2)^2 / (8 (m_b - m_s)^2) f0^2 |C_S|^2
                            + 2 lam / (3 (m_B + m_K)^2) fT^2 |C_T|^2 ],

lam = lambda(m_B^2, m_K^2, q2) = 4 m_B^2 p_K^2. The standard model has the vector
term only: dB/dq2 ~ p_K^3 f+^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.generator.matrix_elements.k_nunu import (
    F_PLUS,
    M_B,
    M_K,
    Q2_MAX,
    f_plus,
    f_tensor,
    f_zero,
    kaon_momentum,
)

__all__ = ["F_PLUS", "M_B", "M_K", "Q2_MAX", "STANDARD_MODEL", "Couplings", "f_plus", "f_tensor", "f_zero", "fractions",
           "kaon_momentum", "phase_space", "spectrum", "weight"]

Array = NDArray[np.float64]

#: m_b - m_s in the scalar term, GeV: MS-bar masses at m_b (4.18 and 0.08, PDG).
M_B_QUARK_MINUS_S = 4.10

#: Points of the integral over q2 (trapezoids; the integrand is smooth).
_POINTS = 20_001


@dataclass(frozen=True)
class Couplings:
    """Coefficients of weak effective theory, each over the standard model's vector coefficient.

    ``vector`` is C_VL + C_VR, ``scalar`` C_SL + C_SR, ``tensor`` C_TL, real, in units
    of C_VL of the standard model (about 6.6): the standard model is 1, 0, 0.
    ``f_plus`` are the coefficients of f+.
    """

    vector: float = 1.0
    scalar: float = 0.0
    tensor: float = 0.0
    f_plus: tuple[float, float, float] = F_PLUS


STANDARD_MODEL = Couplings()


def spectrum(q2: ArrayLike, couplings: Couplings = STANDARD_MODEL) -> Array:
    """dB/dq2 over the branching fraction of the standard model, 1/GeV^2; 0 outside of the spectrum.

    >>> q2 = np.linspace(0, Q2_MAX, 2001)
    >>> float(np.trapezoid(spectrum(q2), q2).round(4))
    1.0
    >>> float(np.trapezoid(spectrum(q2, Couplings(vector=2.0)), q2).round(4))
    4.0
    """
    return _rate(np.asarray(q2, dtype=np.float64), couplings) / _standard_model_total()


def _rate(q2: Array, couplings: Couplings) -> Array:
    root = 2.0 * M_B * kaon_momentum(q2)  # sqrt(lam)
    inside = np.where(root > 0.0, q2, 0.0)
    vector = root**2 / 24.0 * f_plus(inside, couplings.f_plus) ** 2
    scalar = inside * (M_B**2 - M_K**2) ** 2 / (8.0 * M_B_QUARK_MINUS_S**2) * f_zero(inside) ** 2
    tensor = inside * 2.0 * root**2 / (3.0 * (M_B + M_K) ** 2) * f_tensor(inside) ** 2
    return np.asarray(root * (couplings.vector**2 * vector + couplings.scalar**2 * scalar
                              + couplings.tensor**2 * tensor))


@cache
def _standard_model_total() -> float:
    q2 = np.linspace(0.0, Q2_MAX, _POINTS)
    return float(np.trapezoid(_rate(q2, STANDARD_MODEL), q2))


@cache
def _phase_space_total() -> float:
    q2 = np.linspace(0.0, Q2_MAX, _POINTS)
    return float(np.trapezoid(kaon_momentum(q2), q2))


def phase_space(q2: ArrayLike) -> Array:
    """Normalised spectrum of phase space with massless neutrinos, ~ p_K, 1/GeV^2."""
    return kaon_momentum(q2) / _phase_space_total()


def weight(q2: ArrayLike, couplings: Couplings = STANDARD_MODEL) -> Array:
    """Weight (n,) of events generated in phase space so that they follow ``couplings``.

    Its mean over phase space is the branching fraction over the standard
    model's. NaN for NaN and outside of the spectrum: there is no such decay.
    """
    q2 = np.asarray(q2, dtype=np.float64)
    generated = phase_space(q2)
    return np.asarray(np.divide(spectrum(q2, couplings), generated, out=np.full(q2.shape, np.nan),
                                where=generated > 0.0))


def fractions(edges: ArrayLike, couplings: Couplings = STANDARD_MODEL) -> Array:
    """Branching fraction in bins of q2 (n,) over the standard model's total; ``edges`` (n + 1,) in GeV^2."""
    edges = np.asarray(edges, dtype=np.float64)
    totals = []
    for low, high in pairwise(edges):
        points = np.linspace(low, high, 1001)
        totals.append(np.trapezoid(spectrum(points, couplings), points))
    return np.array(totals)
