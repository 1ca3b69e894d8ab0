"""Helicity amplitudes of P -> X W* from form factors, and the form factors of EvtGen's models.

X has spin 0, 1 or 2. Amplitudes are arrays (4, n) in the order +, 0, -, t: the
helicities of the virtual W, and its time-like part, in GeV and up to a common
factor. Form factors have the conventions of Wirbel, Stech, Bauer (f+, f0, V, A0,
A1, A2) and of Isgur, Scora, Grinstein, Wise (h, k, b+, b- of spin 2). The quark is
a b or a c, not an antiquark: for V > 0 the - amplitude is the larger one.

Each model is a function of the decay's parameters that gives a
:class:`Transition`. Parameters and their order are those of EvtGen's models of
the same names, so that decay tables can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.kinematics import breakup_momentum

Array = NDArray[np.float64]

#: Helicity amplitudes (4, n) from the mother's mass, the masses (n,) of X and q2 (n,), in GeV.
Amplitudes = Callable[[float, Array, Array], Array]


@dataclass(frozen=True)
class Transition:
    """A hadronic transition: ``spin`` of X and its helicity amplitudes."""

    spin: int
    amplitudes: Amplitudes


def scalar_amplitudes(mass: float, m: Array, q2: Array, f_plus: Array, f_zero: Array) -> Array:
    """X of spin 0: H_0 = 2 M p f+ / sqrt(q2), H_t = (M^2 - m^2) f0 / sqrt(q2)."""
    root, p = np.sqrt(q2), breakup_momentum(mass, m, np.sqrt(q2))
    none = np.zeros_like(q2)
    return np.stack([none, 2.0 * mass * p / root * f_plus, none, (mass**2 - m**2) / root * f_zero])


def vector_amplitudes(mass: float, m: Array, q2: Array, v: Array, a0: Array, a1: Array, a2: Array) -> Array:
    """X of spin 1 from V, A0, A1, A2 (Koerner, Schuler, Z. Phys. C 46, 93)."""
    root, p, total = np.sqrt(q2), breakup_momentum(mass, m, np.sqrt(q2)), mass + m
    axial, vector = total * a1, 2.0 * mass * p / total * v
    long = ((mass**2 - m**2 - q2) * axial - 4.0 * mass**2 * p**2 / total * a2) / (2.0 * m * root)
    return np.stack([axial - vector, long, axial + vector, 2.0 * mass * p / root * a0])


def isgw_vector_amplitudes(mass: float, m: Array, q2: Array, f: Array, g: Array, plus: Array, minus: Array) -> Array:
    """X of spin 1 from f, g, a+, a- of Isgur, Scora, Grinstein, Wise."""
    total = mass + m
    a1, a2 = f / total, -plus * total
    a0 = (total * a1 - (mass - m) * a2 + q2 * minus) / (2.0 * m)
    return vector_amplitudes(mass, m, q2, g * total, a0, a1, a2)


def tensor_amplitudes(mass: float, m: Array, q2: Array, k: Array, h: Array, plus: Array, minus: Array) -> Array:
    """X of spin 2 from k, h, b+, b-: those of spin 1, times what a second index along the mother gives."""
    p = breakup_momentum(mass, m, np.sqrt(q2))
    factor = mass * p / m * np.array([[np.sqrt(0.5)], [np.sqrt(2 / 3)], [np.sqrt(0.5)], [np.sqrt(2 / 3)]])
    return np.asarray(factor * isgw_vector_amplitudes(mass, m, q2, k, h, plus, minus))


def recoil(mass: float, m: Array, q2: Array) -> Array:
    """w, the product of the four-velocities of mother and X."""
    return np.asarray((mass**2 + m**2 - q2) / (2.0 * mass * m))


def _z(w: Array) -> Array:
    return np.asarray((np.sqrt(w + 1.0) - np.sqrt(2.0)) / (np.sqrt(w + 1.0) + np.sqrt(2.0)))


def cln_scalar(rho2: float, v1: float = 1.0, delta: float = 1.0) -> Transition:
    """B -> D of Caprini, Lellouch, Neubert (hep-ph/9712417); scalar part of arXiv:1005.4306."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        w = recoil(mass, m, q2)
        z = _z(w)
        vector = v1 * (1.0 - 8.0 * rho2 * z + (51.0 * rho2 - 10.0) * z**2 - (252.0 * rho2 - 84.0) * z**3)
        scalar = vector * (1.0 + delta * (-0.019 + 0.041 * (w - 1.0) - 0.015 * (w - 1.0) ** 2))
        common = 2.0 * np.sqrt(mass * m) / (mass + m)
        return scalar_amplitudes(mass, m, q2, vector / common, scalar * common * (w + 1.0) / 2.0)
    return Transition(0, amplitudes)


def cln_vector(rho2: float, h_a1: float = 1.0, r1: float = 1.4, r2: float = 0.85, r0: float = 1.15) -> Transition:
    """B -> D* of Caprini, Lellouch, Neubert (hep-ph/9712417); R0 of arXiv:1203.2654."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        w = recoil(mass, m, q2)
        z, x, star = _z(w), w - 1.0, 2.0 * np.sqrt(mass * m) / (mass + m)
        form = h_a1 * (1.0 - 8.0 * rho2 * z + (53.0 * rho2 - 15.0) * z**2 - (231.0 * rho2 - 91.0) * z**3) / star
        return vector_amplitudes(mass, m, q2, (r1 - 0.12 * x + 0.05 * x**2) * form,
                                 (r0 - 0.11 * x + 0.01 * x**2) * form, (1.0 - q2 / (mass + m) ** 2) * form,
                                 (r2 + 0.11 * x - 0.06 * x**2) * form)
    return Transition(1, amplitudes)


def hqet_vector(rho2: float, r1: float, r2: float, curvature: float = 0.0) -> Transition:
    """B -> D* with a linear Isgur-Wise function and constant ratios (EvtGen's HQET)."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        x, star = recoil(mass, m, q2) - 1.0, 2.0 * np.sqrt(mass * m) / (mass + m)
        form = (1.0 - rho2 * x + curvature * x**2) / star
        return vector_amplitudes(mass, m, q2, r1 * form, form, (1.0 - q2 / (mass + m) ** 2) * form, r2 * form)
    return Transition(1, amplitudes)


def hqet_scalar(rho2: float, curvature: float = 0.0) -> Transition:
    """B -> D with an Isgur-Wise function of second order (EvtGen's HQET); f0 = f+ (1 - q2 / (M + m)^2)."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        x = recoil(mass, m, q2) - 1.0
        form = (1.0 - rho2 * x + curvature * x**2) * (mass + m) / (2.0 * np.sqrt(mass * m))
        return scalar_amplitudes(mass, m, q2, form, form * (1.0 - q2 / (mass + m) ** 2))
    return Transition(0, amplitudes)


def bgl_scalar(*coefficients: float) -> Transition:
    """B -> D of Boyd, Grinstein, Lebed as fitted in arXiv:1510.03657: four coefficients of f+, four of f0."""
    plus, zero = np.polynomial.Polynomial(coefficients[:4]), np.polynomial.Polynomial(coefficients[4:8])

    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        r, z = m / mass, _z(recoil(mass, m, q2))
        outer = (1.0 + r) * (1.0 - z) + 2.0 * np.sqrt(r) * (1.0 + z)
        phi_plus = 1.1213 * (1.0 + z) ** 2 * np.sqrt(1.0 - z) / outer**5
        phi_zero = 0.5299 * (1.0 + z) * (1.0 - z) ** 1.5 / outer**4
        return scalar_amplitudes(mass, m, q2, plus(z) / phi_plus, zero(z) / phi_zero)
    return Transition(0, amplitudes)


#: chi of the unitarity bounds (1/GeV^2), number of light quarks, and poles (GeV): arXiv:1703.08170, arXiv:1703.06124.
_CHI_VECTOR, _CHI_AXIAL, _LIGHT = 5.28e-4, 3.07e-4, 2.6
_AXIAL_POLES, _VECTOR_POLES = (6.730, 6.736, 7.135, 7.142), (6.337, 6.899, 7.012, 7.280)


def _blaschke(z: Array, mass: float, m: Array, poles: Sequence[float]) -> Array:
    high, low = (mass + m) ** 2, np.sqrt(4.0 * mass * m)
    out = np.ones_like(z)
    for pole in poles:
        distance = np.sqrt(np.maximum(high - pole**2, 0.0))  # a state above the threshold is no pole
        at_pole = (distance - low) / (distance + low)
        out = out * np.where(distance > 0.0, (z - at_pole) / (1.0 - z * at_pole), 1.0)
    return out


def bgl_vector(a0: float, a1: float, b0: float, b1: float, c1: float, c2: float) -> Transition:
    """B -> D* of Boyd, Grinstein, Lebed: a of g, b of f, c of F1 (arXiv:1703.08170); no time-like part.

    The coefficient c0 follows from b0. EvtGen's model has no time-like part either: it is for electrons and muons.
    """
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        r, z = m / mass, _z(recoil(mass, m, q2))
        outer = (1.0 + r) * (1.0 - z) + 2.0 * np.sqrt(r) * (1.0 + z)
        c0 = (1.0 - r) * np.sqrt(0.5) / (1.0 + r + 2.0 * np.sqrt(r)) * b0
        phi_g = np.sqrt(256.0 * _LIGHT / (3.0 * np.pi * _CHI_VECTOR)) * r**2 * (1 + z) ** 2 / np.sqrt(1 - z) / outer**4
        common = np.sqrt(8.0 * _LIGHT / (3.0 * np.pi * _CHI_AXIAL)) * r * (1.0 + z) * (1.0 - z) ** 1.5
        phi_f = np.sqrt(2.0) * common / (mass**2 * outer**4)
        phi_f1 = common * (1.0 - z) / (mass**3 * outer**5)
        axial_poles = _blaschke(z, mass, m, _AXIAL_POLES)
        g = (a0 + a1 * z) / (_blaschke(z, mass, m, _VECTOR_POLES) * phi_g)
        f = (b0 + b1 * z) / (axial_poles * phi_f)
        long = (c0 + c1 * z + c2 * z**2) / (axial_poles * phi_f1)
        spread = mass * breakup_momentum(mass, m, np.sqrt(q2)) * g
        return np.stack([f - spread, long / np.sqrt(q2), f + spread, np.zeros_like(q2)])
    return Transition(1, amplitudes)


def _pole(q2: Array, mass2: float, value: float, a: float, b: float, power: float) -> Array:
    x = q2 / mass2
    return np.asarray(value / (1.0 + a * x + b * x**2) ** power)


def pole_scalar(*p: float) -> Transition:
    """Poles (EvtGen's SLPOLE): F(0), a, b, n of F(0) / (1 + a x + b x^2)^n, x = q2 / M^2, of f+ and f0."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        plus, zero = (_pole(q2, mass**2, *p[i:i + 4]) for i in (0, 4))
        return scalar_amplitudes(mass, m, q2, plus, zero)
    return Transition(0, amplitudes)


def pole_vector(*p: float) -> Transition:
    """Poles (EvtGen's SLPOLE) of A1, A2, V, A0, as in :func:`pole_scalar`."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        a1, a2, v, a0 = (_pole(q2, mass**2, *p[i:i + 4]) for i in (0, 4, 8, 12))
        return vector_amplitudes(mass, m, q2, v, a0, a1, a2)
    return Transition(1, amplitudes)


def becirevic_kaidalov(value: float, alpha: float, beta: float, pole: float) -> Transition:
    """Modified poles of Becirevic, Kaidalov (hep-ph/9904490; EvtGen's SLBKPOLE): F(0), alpha, beta, pole in GeV."""
    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        x = q2 / pole**2
        return scalar_amplitudes(mass, m, q2, value / ((1.0 - x) * (1.0 - alpha * x)), value / (1.0 - x / beta))
    return Transition(0, amplitudes)
