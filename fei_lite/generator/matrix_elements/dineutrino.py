"""B -> K nu nu, K* nu nu and Xs nu nu: form factors, spectra, and the Fermi motion of the b quark.

Neutrinos are massless; one flavour stands for all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.generator.matrix_elements.bcl import longitudinal, simplified_series
from fei_lite.generator.matrix_elements.form_factors import Transition, scalar_amplitudes, vector_amplitudes
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum
from fei_lite.generator.matrix_elements.k_nunu import f_plus

Array = NDArray[np.float64]

#: B -> K* form factors, arXiv:1503.05534 tab. 15 (light-cone sum rules and lattice): a0, a1, a2 and pole in GeV.
KST_V = ((0.38, -1.17, 2.42), 5.415)
KST_A1 = ((0.30, 0.39, 1.19), 5.829)
KST_A12 = ((0.27, 0.53, 0.48), 5.829)

_KAONS, _KSTARS = (311, 321, 310, 130), (313, 323)

#: Belle II's names of the models.
K_NUNU, KST_NUNU, XS_NUNU = "KNUNU", "KSTARNUNU_REV", "BTOXSNUNU_FERMI"


def _kaon(mass: float, m: Array, q2: Array) -> Array:
    form = f_plus(q2)
    return scalar_amplitudes(mass, m, q2, form, np.zeros_like(q2) * form)


def _kstar(mass: float, m: Array, q2: Array) -> Array:
    v, a1, a12 = (simplified_series(q2, mass, m, *part) for part in (KST_V, KST_A1, KST_A12))
    out = vector_amplitudes(mass, m, q2, v, np.zeros_like(q2), a1, np.zeros_like(q2))
    out[1] = longitudinal(mass, m, q2, a12)
    return out


def dineutrino_transition(model: str, mother: int, daughter: int) -> Transition | None:
    """The transition of a neutrino-pair model; None for other models and particles."""
    mother, daughter = abs(mother), abs(daughter)
    if mother not in (511, 521):
        return None
    if model == K_NUNU and daughter in _KAONS:
        return Transition(0, _kaon)
    if model == KST_NUNU and daughter in _KSTARS:
        return Transition(1, _kstar)
    return None


def quark_rate(s: ArrayLike, ratio: float) -> Array:
    """dGamma/ds of b -> s nu nu up to a factor (arXiv:0902.0160): s = q2 / m_b^2, ``ratio`` = m_s / m_b.

    sqrt(lam) [3 s (1 + r^2 - s) + lam], lam = 1 + r^4 + s^2 - 2 (r^2 + s + r^2 s); 0 outside of the spectrum.

    >>> float(quark_rate(0.0, 0.0)), float(quark_rate(1.0, 0.0))
    (1.0, 0.0)
    """
    s = np.asarray(s, dtype=np.float64)
    r2 = ratio**2
    lam = np.maximum(1.0 + r2**2 + s**2 - 2.0 * (r2 + s + r2 * s), 0.0)
    return np.where((s >= 0.0) & (s <= (1.0 - ratio) ** 2), np.sqrt(lam) * (3.0 * s * (1.0 + r2 - s) + lam), 0.0)


@dataclass
class FermiMotion:
    """B -> Xs nu nu of a b quark that moves in the B (Ali et al., hep-ph/9609449; arXiv:2511.10980).

    Momentum p of the b with density p^2 exp(-p^2 / p_f^2), its mass from
    m_b^2 = m_B^2 + m_q^2 - 2 m_B sqrt(p^2 + m_q^2), q2 = s m_b^2 with s of
    :func:`quark_rate` at the ratio m_s / m_b of ``rate_masses``. b -> s (nu nu) is
    isotropic; Xs is the s and the spectator, of at least ``least`` GeV. Masses
    ``strange``, ``spectator`` of the kinematics, all in GeV.

    The pairs (M(Xs), q2) that were drawn are kept: the event that got a mass is
    found by it.
    """

    hadron: int
    strange: float = 0.2
    spectator: float = 0.0
    p_f: float = 0.461
    least: float = 1.1
    rate_masses: tuple[float, float] = (4.8, 0.2)
    _masses: list[Array] = field(default_factory=list)
    _q2: list[Array] = field(default_factory=list)

    @classmethod
    def of(cls, model: str, parameters: Sequence[float], hadron: int) -> FermiMotion | None:
        """The model of a decay file: m_s, m_q, p_f, least M(Xs), and m_b, m_s of the rate; None for other models."""
        if model != XS_NUNU or abs(hadron) not in (30343, 30353) or len(parameters) not in (0, 3, 4, 6):
            return None
        values = [0.2, 0.0, 0.461, 1.1, 4.8, 0.2]
        values[:len(parameters)] = parameters
        return cls(abs(hadron), *values[:4], (values[4], values[5]))

    def draw(self, n: int, mass: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """M(Xs) and q2 (n,), for a B of ``mass`` GeV."""
        found: list[Array] = []
        missing = n
        while missing > 0:
            block = self._tried(2 * missing + 100, mass, rng)
            found.append(block)
            missing -= block.shape[1]
        masses, q2 = np.concatenate(found, axis=1)[:, :n]
        return masses, q2

    def _tried(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """(M(Xs), q2) of those of ``n`` tries that are possible, shape (2, k)."""
        p = self.p_f * np.sqrt(rng.gamma(1.5, size=n))
        energy = np.sqrt(p**2 + self.spectator**2)
        m_b2 = mass**2 + self.spectator**2 - 2.0 * mass * energy
        ratio = self.rate_masses[1] / self.rate_masses[0]
        s = rng.uniform(0.0, (1.0 - ratio) ** 2, n)
        # the rate has its maximum below 1.3: 3 s (1 - s) + (1 - s)^2 = (1 - s)(1 + 2 s) <= 9/8 at m_s = 0
        good = rng.uniform(0.0, 1.3, n) < quark_rate(s, ratio)
        good &= (m_b2 > 0.0) & (np.sqrt(s * np.maximum(m_b2, 0.0)) + self.strange < np.sqrt(np.maximum(m_b2, 0.0)))
        p, energy, m_b, q2 = p[good], energy[good], np.sqrt(m_b2[good]), s[good] * m_b2[good]
        k = breakup_momentum(m_b, self.strange, np.sqrt(q2))
        cos = rng.uniform(-1.0, 1.0, len(k))
        e_s = np.sqrt(k**2 + self.strange**2)
        # boost of the s along the b's flight; the spectator flies against it
        gamma, boost = np.sqrt(p**2 + m_b**2) / m_b, p / m_b
        total_energy = gamma * e_s + boost * k * cos + energy
        along, across2 = gamma * k * cos + boost * e_s - p, k**2 * (1.0 - cos**2)
        m2 = total_energy**2 - along**2 - across2
        kept = m2 >= self.least**2
        kept &= np.sqrt(np.maximum(m2, 0.0)) + np.sqrt(q2) < mass
        return np.stack([np.sqrt(m2[kept]), q2[kept]])

    def reserve(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """Masses (n,) for the next events; :meth:`q2_of` knows them afterwards."""
        masses, q2 = self.draw(n, mass, rng)
        self._masses.append(masses)
        self._q2.append(q2)
        return masses

    def q2_of(self, masses: Array) -> Array:
        """q2 (n,) that belongs to masses that were reserved."""
        known, q2 = np.concatenate(self._masses), np.concatenate(self._q2)
        order = np.argsort(known)
        place = np.searchsorted(known[order], masses).clip(1, len(known) - 1)
        left = np.abs(known[order][place - 1] - masses) < np.abs(known[order][place] - masses)
        return np.asarray(q2[order[place - left]])
