"""Form factors of B -> D** of Leibovich, Ligeti, Stewart, Wise (hep-ph/9705467), approximation B1 (Belle II's LLSW).

Chromomagnetic corrections are zero. Quark masses and the energies of the light
degrees of freedom (ground state, j = 3/2, j = 1/2) in GeV are those of the paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.form_factors import (
    Transition,
    isgw_vector_amplitudes,
    recoil,
    scalar_amplitudes,
    tensor_amplitudes,
)

Array = NDArray[np.float64]

M_B, M_C, LIGHT, LIGHT_THREE_HALVES, LIGHT_ONE_HALF = 4.2, 1.4, 0.40, 0.80, 0.76
_EB, _EC = 1.0 / (2.0 * M_B), 1.0 / (2.0 * M_C)


def _vector(mass: float, m: Array, q2: Array, a: Array, v1: Array, v2: Array, v3: Array) -> Array:
    """Amplitudes of an axial vector from f_A, f_V1, f_V2, f_V3 of the paper's eq. 6."""
    root = np.sqrt(mass * m)
    plus, minus = (v3 + m / mass * v2) / (2.0 * root), -(v3 - m / mass * v2) / (2.0 * root)
    return isgw_vector_amplitudes(mass, m, q2, root * v1, a / (2.0 * root), plus, minus)


def narrow_axial(value: float, slope: float, tau1: float, tau2: float) -> Transition:
    """D1 (j = 3/2): tau(1), tau'(1) / tau(1), and the ratios of tau_1 and tau_2 to tau."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        w = recoil(mass, m, q2)
        tau = value * (1.0 + slope * (w - 1.0))
        b = LIGHT_THREE_HALVES + LIGHT - (2.0 * w + 1.0) * tau1 - tau2
        energy = 4.0 * (w * LIGHT_THREE_HALVES - LIGHT)
        a = -(w + 1.0) - _EB * (w - 1.0) * b - _EC * (energy - 3.0 * (w - 1.0) * (tau1 - tau2))
        v1 = (1.0 - w**2) * (1.0 + _EB * b) - _EC * ((w + 1.0) * energy - 3.0 * (w**2 - 1.0) * (tau1 - tau2))
        v2 = -3.0 - 3.0 * _EB * b - _EC * ((4.0 * w - 1.0) * tau1 + 5.0 * tau2)
        v3 = w - 2.0 + _EB * (2.0 + w) * b + _EC * (energy + (2.0 + w) * tau1 + (2.0 + 3.0 * w) * tau2)
        a, v1, v2, v3 = (tau * x / np.sqrt(6.0) for x in (a, v1, v2, v3))
        return _vector(mass, m, q2, a, v1, v2, v3)
    return Transition(1, amplitudes)


def tensor(value: float, slope: float, tau1: float, tau2: float) -> Transition:
    """D2* (j = 3/2), parameters as of :func:`narrow_axial`."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        w = recoil(mass, m, q2)
        tau = value * (1.0 + slope * (w - 1.0))
        b = LIGHT_THREE_HALVES + LIGHT - (2.0 * w + 1.0) * tau1 - tau2
        a1 = tau * (-(1.0 + w) - (w - 1.0) * (_EB * b + _EC * (tau1 - tau2)))
        a2 = tau * -2.0 * _EC * tau1
        a3 = tau * (1.0 + _EB * b - _EC * (tau1 + tau2))
        v = tau * -(1.0 + _EB * b + _EC * (tau1 - tau2))
        root = np.sqrt(mass * m)
        plus, minus = (root / (2.0 * mass**2 * m) * (sign * a3 + m / mass * a2) for sign in (1.0, -1.0))
        return tensor_amplitudes(mass, m, q2, root / mass * a1, -root / (2.0 * mass**2 * m) * v, plus, minus)
    return Transition(2, amplitudes)


def _broad(w: Array, zeta1: float) -> Array:
    """The 1/m_b correction common to D0* and D1', over zeta."""
    return np.asarray((LIGHT_ONE_HALF * (2.0 * w + 1.0) - LIGHT * (w + 2.0)) / (w + 1.0) - 2.0 * (w - 1.0) * zeta1)


def scalar(value: float, slope: float, zeta1: float) -> Transition:
    """D0* (j = 1/2): zeta(1), zeta'(1) / zeta(1), ratio of zeta_1 to zeta."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        w = recoil(mass, m, q2)
        zeta = value * (1.0 + slope * (w - 1.0))
        energy = 3.0 * (w * LIGHT_ONE_HALF - LIGHT) / (w + 1.0)
        plus, minus = zeta * (_EC * (2.0 * (w - 1.0) * zeta1 - energy) - _EB * _broad(w, zeta1)), zeta
        total, less, root = mass + m, mass - m, 2.0 * np.sqrt(mass * m)
        f_plus = (total * plus - less * minus) / root
        f_zero = (less * (total**2 - q2) * plus - total * (less**2 - q2) * minus) / (less * root * total)
        return scalar_amplitudes(mass, m, q2, f_plus, f_zero)
    return Transition(0, amplitudes)


def broad_axial(value: float, slope: float, zeta1: float) -> Transition:
    """D1' (j = 1/2), parameters as of :func:`scalar`."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        w = recoil(mass, m, q2)
        zeta = value * (1.0 + slope * (w - 1.0))
        energy, b = w * LIGHT_ONE_HALF - LIGHT, _broad(w, zeta1)
        a = zeta * (1.0 - _EB * b + _EC * energy / (w + 1.0))
        v1 = zeta * (w - 1.0 + _EC * energy - _EB * (w + 1.0) * b)
        v2 = zeta * 2.0 * _EC * zeta1
        v3 = zeta * (-1.0 + _EB * b - _EC * (energy / (w + 1.0) + 2.0 * zeta1))
        return _vector(mass, m, q2, a, v1, v2, v3)
    return Transition(1, amplitudes)
