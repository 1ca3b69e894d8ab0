"""Angles of P -> X W*(-> lepton neutrino) from helicity amplitudes, with the decay of X and the lepton's spin.

Axes: in the rest frame of P, the W flies along Z, X along -Z; the charged lepton
lies in the X-Z plane, on the side of +X, at the polar angle theta_l in the rest
frame of the W. X decays at the polar angle theta_V to its own flight and the
azimuth chi, as given by :func:`~fei_lite.generator.matrix_elements.semileptonic.analyser_direction`.

The lepton is a particle with left-handed, or (``anti``) an antiparticle with
right-handed couplings; the quark is a b or a c. Decays of antiquarks are mirror
images. Formulae: J. G. Koerner, G. A. Schuler, Z. Phys. C 46, 93 (1990).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: What a decay of X tells of its helicity: nothing, two spinless products (or the normal of three), or one photon.
UNSEEN, SPINLESS, PHOTON = 0, 1, 2
_HELICITIES = (1, 0, -1)


def rate(amplitudes: Array, ratio: Array) -> Array:
    """Angle-integrated rate (n,) at fixed q2, up to a factor; ``ratio`` is m_l^2 / q2."""
    plus, zero, minus, time = amplitudes
    found = (plus**2 + zero**2 + minus**2) * (1.0 + 0.5 * ratio) + 1.5 * ratio * time**2
    return np.asarray((1.0 - ratio) ** 2 * found)


def lepton_polynomial(amplitudes: Array, ratio: Array, anti: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Coefficients of 1, c and c^2 of the density of c = cos(theta_l)."""
    plus, zero, minus, time = amplitudes
    right, left = np.where(anti, minus, plus), np.where(anti, plus, minus)
    transverse, swing = 0.5 * (right**2 + left**2), left**2 - right**2
    constant = transverse * (1.0 + ratio) + zero**2 + ratio * time**2
    linear = swing - 2.0 * ratio * zero * time
    square = transverse * (1.0 - ratio) - zero**2 * (1.0 - ratio)
    return constant, linear, square


def draw_cosines(coefficients: tuple[Array, Array, Array], rng: np.random.Generator) -> Array:
    """One c in [-1, 1] for each density a0 + a1 c + a2 c^2 (n,), by rejection."""
    a0, a1, a2 = coefficients
    top = np.divide(-a1, 2.0 * a2, out=np.ones_like(a1), where=a2 < 0.0).clip(-1.0, 1.0)
    bound = np.maximum(a0 + np.abs(a1) + a2, a0 + a1 * top + a2 * top**2)
    out = np.empty(len(a0))
    waiting = np.arange(len(a0))
    while len(waiting):
        c = rng.uniform(-1.0, 1.0, len(waiting))
        good = rng.uniform(size=len(waiting)) * bound[waiting] < a0[waiting] + a1[waiting] * c + a2[waiting] * c**2
        out[waiting[good]] = c[good]
        waiting = waiting[~good]
    return out


def lepton_amplitudes(amplitudes: Array, ratio: Array, anti: NDArray[np.bool_], cos: Array) -> Array:
    """Amplitudes (2, 3, n) for the lepton's helicity +, - and the helicity +, 0, - of X (and W)."""
    plus, zero, minus, time = amplitudes
    sin, flip = np.sqrt(np.maximum(1.0 - cos**2, 0.0)), np.sqrt(ratio)
    full_minus = np.stack([plus * (1.0 - cos), -zero * sin * np.sqrt(2.0), minus * (1.0 + cos)]) * np.sqrt(0.5)
    full_plus = np.stack([plus * (1.0 + cos), zero * sin * np.sqrt(2.0), minus * (1.0 - cos)]) * np.sqrt(0.5)
    root = np.sqrt(0.5)
    suppressed = flip * np.stack([-plus * sin * root, zero * cos - time, minus * sin * root])
    return np.stack([np.where(anti, full_plus, suppressed), np.where(anti, suppressed, full_minus)])


def decay_functions(spin: NDArray, final: int, cos: Array) -> Array:
    """d^J_{m, final}(theta_V) (3, n) for m = +, 0, - of X; J = ``spin``; final 0 or, for J = 1, +1 and -1."""
    sin = np.sqrt(np.maximum(1.0 - cos**2, 0.0))
    one, root = np.ones_like(cos), np.sqrt(0.5)
    if final:
        first = np.stack([0.5 * (one + final * cos), final * root * sin, 0.5 * (one - final * cos)])
        return np.asarray(first)
    vector = np.stack([-root * sin, cos, root * sin])
    tensor = np.stack([-np.sqrt(1.5) * sin * cos, 1.5 * cos**2 - 0.5, np.sqrt(1.5) * sin * cos])
    scalar = np.stack([0.0 * one, one, 0.0 * one])
    return np.where(spin == 1, vector, np.where(spin == 2, tensor, scalar))


def joint_amplitudes(leptonic: Array, spin: NDArray, analyser: NDArray, cos: Array, chi: Array) -> Array:
    """Amplitudes (2, 3, n): the lepton's helicity, and three final states of X that do not interfere.

    Those are the helicities of X where its decay is unseen; one where the
    products are spinless; those of the photon else.
    """
    phase = np.exp(1j * np.outer(_HELICITIES, chi))
    none = np.zeros(leptonic.shape[::2], dtype=complex)

    def summed(final: int) -> Array:
        return np.asarray(np.sum(leptonic * phase * decay_functions(spin, final, cos), axis=1))

    seen = np.stack([summed(0), none, none], axis=1)
    photon = np.stack([summed(1), none, summed(-1)], axis=1)
    return np.where(analyser == SPINLESS, seen, np.where(analyser == PHOTON, photon, leptonic))


def draw_decay(leptonic: Array, spin: NDArray, analyser: NDArray, rng: np.random.Generator) -> tuple[Array, Array]:
    """cos(theta_V) and chi (n,) of the decays of X, given the lepton's angle.

    By rejection: summed over final states, the squared amplitude is at most the
    incoherent sum, since the sum of d^2 over m is at most 1.
    """
    n = leptonic.shape[2]
    cos, chi = np.asarray(rng.uniform(-1.0, 1.0, n)), np.asarray(rng.uniform(-np.pi, np.pi, n))
    bound = np.sum(np.abs(leptonic) ** 2, axis=(0, 1)) * np.where(analyser == PHOTON, 2.0, 1.0)
    waiting = np.flatnonzero((analyser != UNSEEN) & (spin > 0))
    while len(waiting):
        cos[waiting], chi[waiting] = rng.uniform(-1, 1, len(waiting)), rng.uniform(-np.pi, np.pi, len(waiting))
        found = joint_amplitudes(leptonic[:, :, waiting], spin[waiting], analyser[waiting], cos[waiting], chi[waiting])
        density = np.sum(np.abs(found) ** 2, axis=(0, 1))
        waiting = waiting[rng.uniform(size=len(waiting)) * bound[waiting] >= density]
    return cos, chi


def lepton_spin(joint: Array) -> Array:
    """Polarisation vectors (n, 3) of the lepton: along x, y, z; z is its flight in the W's frame, y the axis Y."""
    plus, minus = joint
    total = np.sum(np.abs(joint) ** 2, axis=(0, 1))
    mixed = np.sum(plus * np.conj(minus), axis=0)
    z = np.sum(np.abs(plus) ** 2 - np.abs(minus) ** 2, axis=0)
    return np.asarray(np.stack([2.0 * mixed.real, -2.0 * mixed.imag, z], axis=1) / total[:, None])
