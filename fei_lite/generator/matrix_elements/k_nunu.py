"""Form factors of B -> K nu nubar and the kinematics of its q2.

q2 is the mass squared of the two neutrinos, GeV^2, from 0 to (m_B - m_K)^2. The
standard model has dB/dq2 ~ p_K^3 f+^2; scalar and tensor couplings are those of
weak effective theory (:mod:`fei_lite.analyses.k_nunu.spectrum`).
"""

from __future__ import annotations

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
