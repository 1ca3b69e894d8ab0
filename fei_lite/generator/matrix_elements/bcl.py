"""Form factors of Bourrely, Caprini, Lellouch for B -> pi and B -> rho, omega (EvtGen's BCL)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.form_factors import Transition, scalar_amplitudes, vector_amplitudes

Array = NDArray[np.float64]

#: Masses of B resonances with the quantum numbers of the currents (GeV): 0-, 1-, 1+ of arXiv:1503.05534, tab. 3.
POLE_PSEUDOSCALAR, POLE_VECTOR, POLE_AXIAL = 5.279, 5.325, 5.724


def conformal(q2: Array | float, high: Array | float, middle: Array | float) -> Array:
    """z(q2) that maps the plane cut above ``high`` = t+ on a disc, with z(``middle``) = 0."""
    a, b = np.sqrt(np.subtract(high, q2)), np.sqrt(np.subtract(high, middle))
    return np.asarray((a - b) / (a + b))


def bcl_scalar(*b: float) -> Transition:
    """B -> pi (arXiv:0807.2722): four coefficients of f+, four of f0.

    t0 is the best one, (M + m) (sqrt(M) - sqrt(m))^2.
    """
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        z = conformal(q2, (mass + m) ** 2, (mass + m) * (np.sqrt(mass) - np.sqrt(m)) ** 2)
        n = 4
        plus = sum((b[k] * (z**k - (-1.0) ** (k - n) * k / n * z**n) for k in range(n)), np.zeros_like(z))
        zero = sum((b[n + k] * z**k for k in range(n)), np.zeros_like(z))
        return scalar_amplitudes(mass, m, q2, plus / (1.0 - q2 / POLE_VECTOR**2), zero)
    return Transition(0, amplitudes)


def simplified_series(q2: Array, mass: float, m: Array | float, coefficients: tuple[float | Array, ...],
                      pole: float) -> Array:
    """sum a_k (z(q2) - z(0))^k / (1 - q2 / pole^2), as in arXiv:1503.05534, eqs. 15 to 17."""
    high, low = (mass + m) ** 2, (mass - m) ** 2
    middle = high * (1.0 - np.sqrt(1.0 - low / high))
    x = conformal(q2, high, middle) - conformal(0.0, high, middle)
    series = sum((a * x**k for k, a in enumerate(coefficients)), np.zeros_like(q2))
    return np.asarray(series / (1.0 - q2 / pole**2))


def longitudinal(mass: float, m: Array, q2: Array, a12: Array) -> Array:
    """H_0 of a vector, 8 M m A12 / sqrt(q2) (arXiv:1503.05534): without the difference that A2 stands in."""
    return np.asarray(8.0 * mass * m * a12 / np.sqrt(q2))


def bcl_vector(*b: float) -> Transition:
    """B -> rho, omega (arXiv:2104.05739): A0 1, 2; A1 0, 1, 2; A12 0, 1, 2; V 0, 1, 2.

    The leading coefficient of A0 follows from that of A12. Masses of X are those of the decay.
    """
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        first = 8.0 * mass * m / (mass**2 - m**2) * b[5]
        a0 = simplified_series(q2, mass, m, (first, b[0], b[1]), POLE_PSEUDOSCALAR)
        a1 = simplified_series(q2, mass, m, b[2:5], POLE_AXIAL)
        a12 = simplified_series(q2, mass, m, b[5:8], POLE_AXIAL)
        v = simplified_series(q2, mass, m, b[8:11], POLE_VECTOR)
        out = vector_amplitudes(mass, m, q2, v, a0, a1, np.zeros_like(q2))
        out[1] = longitudinal(mass, m, q2, a12)
        return out
    return Transition(1, amplitudes)

