"""B -> K nu nu, K* nu nu and Xs nu nu: form factors, spectra, and the Fermi motion of the b quark.

Neutrinos are massless; one flavour stands for all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.generator.matrix_elements.bcl import longitudinal, simplified_series
from fei_lite.generator.matrix_elements.form_factors import Transition, scalar_amplitudes, vector_amplitudes
from fei_lite.generator.matrix_elements.k_nunu import f_plus
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum
from fei_lite.generator.matrix_elements.system import System

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
class FermiMotion(System):
    """B -> Xs nu nu of a b quark that moves in the B (Ali et al., hep-ph/9609449; arXiv:2511.10980).

    Momentum p of the b with density p^2 exp(-p^2 / p_f^2), its mass from
    m_b^2 = m_B^2 + m_q^2 - 2 m_B sqrt(p^2 + m_q^2), q2 = s m_b^2 with s of
    :func:`quark_rate` at the ratio m_s / m_b of ``rate_masses``. b -> s (nu nu) is
    isotropic; Xs is the s and the spectator, of at least ``least`` GeV. Masses
    ``strange``, ``spectator`` of the kinematics, all in GeV.
    """

    strange: float = 0.2
    spectator: float = 0.0
    p_f: float = 0.461
    least: float = 1.1
    rate_masses: tuple[float, float] = (4.8, 0.2)

    @classmethod
    def of(cls, model: str, parameters: Sequence[float], hadron: int) -> FermiMotion | None:
        """The model of a decay file: m_s, m_q, p_f, least M(Xs), and m_b, m_s of the rate; None for other models."""
        if model != XS_NUNU or abs(hadron) not in (30343, 30353) or len(parameters) not in (0, 3, 4, 6):
            return None
        values = [0.2, 0.0, 0.461, 1.1, 4.8, 0.2]
        values[:len(parameters)] = parameters
        return cls(abs(hadron), strange=values[0], spectator=values[1], p_f=values[2], least=values[3],
                   rate_masses=(values[4], values[5]))

    def tried(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """M(Xs), q2 and 2 s of those of ``n`` tries that are possible, shape (3, k)."""
        p = self.p_f * np.sqrt(rng.gamma(1.5, size=n))
        m_b2 = mass**2 + self.spectator**2 - 2.0 * mass * np.sqrt(p**2 + self.spectator**2)
        ratio = self.rate_masses[1] / self.rate_masses[0]
        s = rng.uniform(0.0, (1.0 - ratio) ** 2, n)
        # without m_s the rate is (1 - s)^2 (1 + 2 s) <= 1, with it less
        good = rng.uniform(size=n) < quark_rate(s, ratio)
        m_b = np.sqrt(np.maximum(m_b2, 0.0))
        good &= (m_b2 > 0.0) & (np.sqrt(s) * m_b + self.strange < m_b)
        p, m_b, s = p[good], m_b[good], s[good]
        q2 = s * m_b**2
        k = breakup_momentum(m_b, self.strange, np.sqrt(q2))
        cos = rng.uniform(-1.0, 1.0, len(k))
        e_s = np.sqrt(k**2 + self.strange**2)
        # the s is boosted along the flight of the b; the spectator flies against it
        gamma, boost = np.sqrt(p**2 + m_b**2) / m_b, p / m_b
        energy = gamma * e_s + boost * k * cos + np.sqrt(p**2 + self.spectator**2)
        along = gamma * k * cos + boost * e_s - p
        m = np.sqrt(np.maximum(energy**2 - along**2 - k**2 * (1.0 - cos**2), 0.0))
        kept = (m >= self.least) & (m + np.sqrt(q2) < mass)
        return np.stack([m, q2, 2.0 * s])[:, kept]
