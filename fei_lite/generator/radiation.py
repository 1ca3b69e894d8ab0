"""Photons from the beams in e+e- -> f fbar: how many, how hard, where to.

The fraction v = 1 - s'/s that they take has the density rho(v) sigma(s (1 - v)),
with the exclusively exponentiated radiator of second order that KKMC's
semi-analytical program has (S. Jadach, B. F. L. Ward, Z. Was, Phys. Rev. D63 (2001)
113009, hep-ph/9912214; S. Jadach, Z. Was, M. Skrzypek, Z line shape at LEP,
CERN 89-08): ::

    rho(v) = F(g) exp(g/4 + a/pi (pi^2/3 - 1/2)) g v^(g-1)
             [1 + g/2 + g^2/8 + v (v/2 - 1) - g v/2 - g (1 + 3 (1-v)^2) ln(1-v) / 8]
    g = 2 a/pi (ln(s/m_e^2) - 1),   F(g) = exp(-C g) / Gamma(1 + g)

Photons softer than v = :data:`SOFTEST` are left out, as in KKMC. Given v there is one
more than a Poisson number of mean g ln(v / SOFTEST); the others' energies are uniform
in the logarithm up to the hardest one's, and all are scaled until s' is right (YFS).
Each has the angular density of the electron-positron dipole. The photons' interference
with the final state is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma as gamma_function

from fei_lite.events.batch import offsets_of
from fei_lite.generator.beams import ELECTRON_MASS
from fei_lite.generator.born import ALPHA, born, find_fermion

Array = NDArray[np.float64]

#: Smallest fraction v of s that photons take (KKMC's vvmin): 53 keV for one photon at the Upsilon(4S).
SOFTEST = 1e-5
_POINTS = 40_000  # of the table of v: narrow against the width of the phi


def photon_strength(s: float) -> float:
    """g = 2 alpha / pi (ln(s / m_e^2) - 1).

    >>> round(photon_strength(10.58**2), 4)
    0.0877
    """
    return float(2.0 * ALPHA / np.pi * (np.log(s / ELECTRON_MASS**2) - 1.0))


def radiator(v: Array, s: float) -> Array:
    """Density in v of what the beams radiate away; integrates to about 1 over (0, 1)."""
    v, g = np.asarray(v, dtype=float), photon_strength(s)
    norm = np.exp(-np.euler_gamma * g) / gamma_function(1.0 + g) * np.exp(
        g / 4 + ALPHA / np.pi * (np.pi**2 / 3 - 0.5))
    shape = (1.0 + g / 2 + g**2 / 8 + v * (v / 2 - 1.0)
             - g * (v / 2 + (1.0 + 3.0 * (1.0 - v) ** 2) / 8 * np.log1p(-v)))
    return np.asarray(norm * g * v ** (g - 1.0) * shape)


@dataclass(frozen=True, eq=False)
class Radiation:
    """What the beams radiate before a fermion pair (PDG code) at sqrt(s): a table of v, its cumulative, totals.

    ``cross_section`` (nb) includes all radiation; ``unradiated`` is the probability that v is below ``SOFTEST``.
    """

    code: int
    s: float
    v: Array
    cumulative: Array
    unradiated: float
    cross_section: float

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """v (n,) of ``n`` events; 0 where no photon is hard enough to be one."""
        chance = rng.uniform(size=n)
        hard = (chance - self.unradiated) / (1.0 - self.unradiated)
        return np.where(hard > 0.0, np.interp(hard, self.cumulative, self.v), 0.0)

    def probability(self, low: float, high: float) -> float:
        """Probability of ``low`` < v < ``high``, both at least ``SOFTEST``."""
        below = np.interp([low, high], self.v, self.cumulative)
        return float((below[1] - below[0]) * (1.0 - self.unradiated))

    @property
    def mean_photons(self) -> float:
        """Photons per event: P(v > SOFTEST) plus the mean of g ln(v / SOFTEST)."""
        weights, middle = np.diff(self.cumulative), np.sqrt(self.v[1:] * self.v[:-1])
        return float((1.0 - self.unradiated)
                     * (1.0 + photon_strength(self.s) * np.sum(weights * np.log(middle / SOFTEST))))


def prepare(code: int, sqrt_s: float) -> Radiation:
    """The radiation before e+e- -> f fbar (u, d, s, c, tau) at ``sqrt_s`` GeV."""
    s = sqrt_s**2
    highest = 1.0 - find_fermion(code).threshold ** 2 / s
    v = np.concatenate([np.geomspace(SOFTEST, 0.5, _POINTS // 4, endpoint=False),
                        1.0 - np.geomspace(0.5, 1.0 - highest, 3 * _POINTS // 4)])
    density = radiator(v, s) * born(code, s * (1.0 - v))
    cells = 0.5 * (density[1:] + density[:-1]) * np.diff(v)
    hard = float(np.sum(cells))
    g = photon_strength(s)
    soft = float(radiator(np.array([SOFTEST]), s)[0]) * SOFTEST / g * float(born(code, np.array([s]))[0])
    cumulative = np.concatenate([[0.0], np.cumsum(cells) / hard])
    return Radiation(code, s, v, cumulative, soft / (soft + hard), soft + hard)


def dipole_cosines(n: int, s: float, rng: np.random.Generator) -> Array:
    """cos(theta) (n,) of photons to the electron: density (1 - c^2) / (1 - b^2 c^2)^2, b the beams' velocity.

    This is the eikonal factor of two opposite charges. 1 / (1 - b^2 c^2) is drawn by inversion, the rest accepted.
    """
    mass2 = 4.0 * ELECTRON_MASS**2 / s  # 1 - b^2
    b = np.sqrt(1.0 - mass2)
    edge = np.arctanh(b)
    out = np.empty(n)
    waiting = np.arange(n)
    while len(waiting):
        y = rng.uniform(-edge, edge, len(waiting))
        c = np.tanh(y) / b
        # (1 - c^2) and (1 - b^2 c^2) = sech^2(y), both without cancellation near the beams
        sech2 = 1.0 / np.cosh(y) ** 2
        rest = (sech2 - mass2) / (b**2 * sech2)
        accepted = rng.uniform(size=len(waiting)) < rest
        out[waiting[accepted]] = np.clip(c[accepted], -1.0, 1.0)
        waiting = waiting[~accepted]
    return out


def photons(v: Array, sqrt_s: Array, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array]:
    """Photons of events that radiate ``v`` at ``sqrt_s`` (both (n,)): the event of each, its four-momentum (m, 4).

    Frame of the collision, z along the electron. (P - sum k)^2 is s (1 - v).
    """
    s = float(np.mean(sqrt_s)) ** 2
    radiated = v >= SOFTEST
    more = rng.poisson(photon_strength(s) * np.log(np.where(radiated, v, SOFTEST) / SOFTEST))
    counts = np.where(radiated, 1 + more, 0)
    event = np.repeat(np.arange(len(v)), counts)
    first = offsets_of(counts)[:-1][radiated]
    x = (SOFTEST / v[event]) ** rng.uniform(size=len(event))
    x[first] = 1.0
    cos = dipole_cosines(len(event), s, rng)
    sin, phi = np.sqrt(1.0 - cos**2), rng.uniform(-np.pi, np.pi, len(event))
    k = x[:, None] * np.stack([sin * np.cos(phi), sin * np.sin(phi), cos, np.ones(len(event))], axis=1)
    total = np.stack([np.bincount(event, k[:, i], len(v)) for i in range(4)], axis=1)
    # l^2 K^2 - 2 sqrt(s) l K_0 + s v = 0, the smaller root, without cancellation
    mass2 = np.clip(total[:, 3] ** 2 - np.sum(total[:, :3] ** 2, axis=1), 0.0, None)
    half = sqrt_s * total[:, 3]
    root = np.sqrt(np.clip(half**2 - mass2 * sqrt_s**2 * v, 0.0, None))
    scale = np.where(radiated, sqrt_s**2 * v / np.where(radiated, half + root, 1.0), 0.0)
    return event, k * scale[event, None]
