"""The q2 spectrum of B+ -> K+ nu nubar: form factors, the standard model, weak effective theory.

q2 is the mass squared of the two neutrinos, GeV^2, from 0 to (m_B - m_K)^2. In
weak effective theory with massless left-handed neutrinos (arXiv:2402.08417,
arXiv:2111.04327)

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

Array = NDArray[np.float64]

#: Masses in GeV (PDG), as those of the generator.
M_B, M_K = 5.27934, 0.493677

#: End of the spectrum, GeV^2.
Q2_MAX = (M_B - M_K) ** 2

#: f+ of arXiv:1409.4557 (its eq. for B -> K, a fit to lattice and light-cone sum rules): a0, a1, a2, pole in GeV.
F_PLUS = (0.432, -0.664, -1.20)
POLE_PLUS = M_B + 0.046

#: f0 and fT in the parametrisation of arXiv:1503.05534, sum of a_k (z - z(0))^k over a pole; values of a
#: joint fit to the lattice averages of FLAG (2021) and HPQCD (arXiv:2207.12468), as in the public code of the
#: reinterpretation, arXiv:2402.08417. The poles are the 0+ and 1- masses of arXiv:1503.05534, GeV.
F_ZERO, POLE_ZERO = (0.3377, 0.3720, 0.0739), 5.711
F_TENSOR, POLE_TENSOR = (0.3279, -0.9490, -0.2315), 5.415

#: m_b - m_s in the scalar term, GeV: MS-bar masses at m_b (4.18 and 0.08, PDG).
M_B_QUARK_MINUS_S = 4.10

#: Points of the integral over q2 (trapezoids; the integrand is smooth).
_POINTS = 20_001


def kaon_momentum(q2: ArrayLike) -> Array:
    """Momentum of the kaon in the rest frame of the B, GeV; 0 outside of the spectrum.

    >>> float(kaon_momentum(0.0).round(4)), float(kaon_momentum(Q2_MAX).round(6))
    (2.6166, 0.0)
    """
    q2 = np.asarray(q2, dtype=np.float64)
    lam = (M_B**2 - M_K**2 - q2) ** 2 - 4.0 * M_K**2 * q2
    return np.where((q2 >= 0.0) & (q2 < Q2_MAX), np.sqrt(np.maximum(lam, 0.0)) / (2.0 * M_B), 0.0)


def _z(q2: Array) -> Array:
    """The conformal variable, with t0 = t+ (1 - sqrt(1 - t-/t+))."""
    high, low = (M_B + M_K) ** 2, (M_B - M_K) ** 2
    middle = high * (1.0 - np.sqrt(1.0 - low / high))
    # outside of the spectrum nothing is asked for; the root must only not fail
    a, b = np.sqrt(np.maximum(high - q2, 0.0)), np.sqrt(high - middle)
    return np.asarray((a - b) / (a + b))


def f_plus(q2: ArrayLike, coefficients: tuple[float, float, float] = F_PLUS) -> Array:
    """Vector form factor f+(q2) of arXiv:1409.4557, dimensionless; ``coefficients`` are a0, a1, a2.

    >>> float(f_plus(0.0).round(2))
    0.31
    """
    q2 = np.asarray(q2, dtype=np.float64)
    z = _z(q2)
    a0, a1, a2 = coefficients
    series = a0 + a1 * z + a2 * z**2 + (-a1 + 2.0 * a2) * z**3 / 3.0
    return np.asarray(series / (1.0 - q2 / POLE_PLUS**2))


def _over_pole(q2: ArrayLike, coefficients: tuple[float, ...], pole: float) -> Array:
    q2 = np.asarray(q2, dtype=np.float64)
    z = _z(q2) - _z(np.zeros(1))[0]
    series = sum(a * z**k for k, a in enumerate(coefficients))
    return np.asarray(series / (1.0 - q2 / pole**2))


def f_zero(q2: ArrayLike) -> Array:
    """Scalar form factor f0(q2), dimensionless; at q2 = 0 it is f+'s within the errors of both."""
    return _over_pole(q2, F_ZERO, POLE_ZERO)


def f_tensor(q2: ArrayLike) -> Array:
    """Tensor form factor fT(q2), dimensionless."""
    return _over_pole(q2, F_TENSOR, POLE_TENSOR)


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
