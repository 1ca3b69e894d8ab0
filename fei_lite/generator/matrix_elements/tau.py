"""Polarised taus: which way a tau decays about its spin.

A tau decays as if unpolarised, in phase space turned at random, and is turned
again: a decay whose polarimeter vector h (|h| <= 1, in the rest frame of the tau,
fixed by the products) has the rate 1 + s.h for the polarisation s gets its
orientation drawn from that density, which is exact. Of tau-:

- pi nu, K nu: h is the direction of the meson;
- l nu nu: the direction of the antineutrino of l, |M|^2 ~ (p_tau - m s).p_nubar p_l.p_nu;
- pi pi0 nu, K pi nu: of the vector current J = p1 - p2 (J. H. Kuehn, F. Wagner, Nucl. Phys. B 236, 16);
- three pions: of the axial current with rho's of J. H. Kuehn, A. Santamaria, Z. Phys. C 48, 445.

For tau+, h is the opposite (but for what is odd in parity). Other decays have h = 0 here: as if unpolarised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.kinematics import directions, rotation_between, units

Array = NDArray[np.float64]

TAU_MASS = 1.77686  # GeV, PDG
#: Of the rho and rho' in the three-pion current: masses, widths, GeV, and the weight of the rho', as in TAUHADNU
#: of the Belle II decay table.
_RHO, _RHO_PRIME, _BETA = (0.775, 0.149), (1.364, 0.400), -0.108
_PION = 0.1396
_METRIC = np.array([-1.0, -1.0, -1.0, 1.0])


def product(a: Array, b: Array) -> Array:
    """Minkowski products (n,) of four-vectors (n, 4), real or complex."""
    return np.asarray(np.sum(a * b * _METRIC, axis=-1))


def two_meson_polarimeter(first: Array, second: Array, neutrino: Array, charge: Array) -> Array:
    """h (n, 3) of tau -> two mesons and a neutrino, from four-momenta (n, 4) in the rest frame of the tau.

    ``charge`` (n,) is that of the tau, -1 or 1.

    With J = p1 - p2 less its part along p1 + p2: h ~ 2 (J.N) J - J^2 N, over its time component.
    """
    total, j = first + second, first - second
    j = j - total * (product(j, total) / product(total, total))[:, None]
    return _of_current(j.astype(complex), neutrino, charge)


def three_pion_polarimeter(first: Array, second: Array, odd: Array, neutrino: Array, charge: Array) -> Array:
    """h (n, 3) of tau -> pi pi pi nu; ``first`` and ``second`` are the like pions (pi- pi- or pi0 pi0)."""
    return _of_current(_axial_current(first, second, odd), neutrino, charge)


def three_pion_rate(first: Array, second: Array, odd: Array, neutrino: Array, charge: Array) -> Array:
    """Squared matrix element (n,) of an unpolarised tau -> pi pi pi nu, up to a factor, without the a1's propagator."""
    return _even_and_odd(_axial_current(first, second, odd), neutrino, charge)[:, 3]


def _axial_current(first: Array, second: Array, odd: Array) -> Array:
    total = first + second + odd

    def transverse(a: Array) -> Array:
        return np.asarray(a - total * (product(a, total) / product(total, total))[:, None])

    j = np.zeros(first.shape, dtype=complex)
    for like in (first, second):
        j = j + _rho(product(like + odd, like + odd))[:, None] * transverse(like - odd)
    return j


def _rho(s: Array) -> Array:
    """The rho and rho' in the current: Breit-Wigners with P-wave widths, 1 at s = 0."""
    def one(mass: float, width: float) -> Array:
        p = np.sqrt(np.maximum(s / 4.0 - _PION**2, 0.0))
        at_mass = np.sqrt(mass**2 / 4.0 - _PION**2)
        running = width * mass / np.sqrt(s) * (p / at_mass) ** 3
        return np.asarray(mass**2 / (mass**2 - s - 1j * np.sqrt(s) * running))
    return np.asarray((one(*_RHO) + _BETA * one(*_RHO_PRIME)) / (1.0 + _BETA))


def _of_current(j: Array, neutrino: Array, charge: Array) -> Array:
    """h of a tau with a hadronic current: the current's tensor along the neutrino, over its time component."""
    vector = _even_and_odd(j, neutrino, charge)
    return np.asarray(-charge[:, None] * vector[:, :3] / np.where(vector[:, 3] > 0.0, vector[:, 3], np.inf)[:, None])


def _even_and_odd(j: Array, neutrino: Array, charge: Array) -> Array:
    """2 Re[(J*.N) J] - J*.J N, even in parity, and 2 Im eps(J*, J, N), odd; their sum for tau-.

    tau+ is the mirror image of tau-, with the same strong phases.
    """
    conj = np.conj(j)
    n_j, j_j = product(neutrino, j), product(j, conj).real
    even = 2.0 * ((np.conj(n_j)[:, None] * j + n_j[:, None] * conj).real - j_j[:, None] * neutrino)
    odd = 2.0 * _epsilon(conj, j, neutrino.astype(complex)).imag
    return np.asarray(even - charge[:, None] * odd)


def _epsilon(a: Array, b: Array, c: Array) -> Array:
    """eps^{mu nu rho sigma} a_nu b_rho c_sigma with eps^{0123} = 1, as (n, 4) with the time last; a, b, c upper."""
    a, b, c = (v * np.array([-1.0, -1.0, -1.0, 1.0]) for v in (a, b, c))  # lowered
    out = np.empty(a.shape, dtype=complex)
    for mu in range(4):
        rest = [i for i in range(4) if i != mu]
        # order 0123 is (t, x, y, z); columns are x, y, z, t
        columns = [(i - 1) % 4 for i in rest]
        m = np.stack([v[:, columns] for v in (a, b, c)], axis=1)
        out[:, (mu - 1) % 4] = (-1.0) ** mu * np.linalg.det(m)
    return out


def turned(spin: Array, polarimeter: Array, rng: np.random.Generator) -> Array:
    """Rotations (n, 3, 3) of decays with ``polarimeter`` (n, 3) drawn from 1 + s.(R h); ``spin`` is s (n, 3)."""
    a = np.linalg.norm(spin, axis=1) * np.linalg.norm(polarimeter, axis=1)
    cos = polarised_cosines(a, rng)
    n = len(a)
    local = directions(cos, rng.uniform(-np.pi, np.pi, n))
    base = rotation_between(np.tile([0.0, 0.0, 1.0], (n, 1)), units(spin), np.zeros(n))
    new = np.einsum("nij,nj->ni", base, local)
    return rotation_between(units(polarimeter), new, rng.uniform(-np.pi, np.pi, n))


def polarised_cosines(slope: Array, rng: np.random.Generator) -> Array:
    """One c in [-1, 1] for each density (1 + a c) / 2, ``slope`` a (n,) in [-1, 1]; the cumulative is inverted."""
    u = rng.uniform(size=len(slope))
    a = np.clip(slope, -1.0, 1.0)
    root = np.sqrt(np.maximum((1.0 - a) ** 2 + 4.0 * a * u, 0.0))
    return np.asarray(np.clip((2.0 * (2.0 * u - 1.0) + a) / (1.0 + root), -1.0, 1.0))


def pair_correlation(cos: Array, gamma: Array | float) -> Array:
    """Spin correlation R (n, 3, 3) of e+e- -> photon -> tau- tau+ at ``cos``, averaged over the beams.

    The rate of the pair is 1 + sum R_ij s-_i s+_j; axes (transverse in the
    plane, towards larger angles; normal; along the tau-), the same for both rest frames. ``gamma`` is
    the taus' energy over mass. Y.-S. Tsai, Phys. Rev. D 4, 2821.
    """
    sin2, g2 = 1.0 - cos**2, 1.0 / np.square(gamma)
    norm = 1.0 + cos**2 + g2 * sin2
    out = np.zeros((len(cos), 3, 3))
    out[:, 0, 0] = (1.0 + g2) * sin2
    out[:, 1, 1] = -(1.0 - g2) * sin2
    out[:, 2, 2] = 1.0 + cos**2 - g2 * sin2
    out[:, 0, 2] = out[:, 2, 0] = -2.0 * np.sqrt(g2) * cos * np.sqrt(sin2)
    return np.asarray(out / norm[:, None, None])
