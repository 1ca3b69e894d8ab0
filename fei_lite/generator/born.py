"""Cross-sections of e+e- -> f fbar without radiation from the beams, at any mass sqrt(s) below 10.6 GeV.

One photon in the s channel with the vacuum's polarisation (the Z, less than 0.1 %
of it here, left out). Quarks are point-like with three colours, the threshold
factor beta (3 - beta^2) / 2 and the first-order QCD factor, as KKMC has them; below
:data:`RESONANCES_BELOW` up and down quarks are the resonances rho and omega,
which have 0.9 of the quarks' cross-section on average (duality). Strangeness begins above
the phi and charm with a pair of D mesons: radiative phi, J/psi and psi(2S) (0.03,
0.04 and 0.01 nb) are no part of it, as in Belle II's simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError

Array = NDArray[np.float64]

#: Fine-structure constant (PDG), (hbar c)^2 in nb GeV^2 (PDG), alpha_s as KKMC takes it (no running).
ALPHA, NB_GEV2, ALPHA_S = 1.0 / 137.035999, 389_379.37, 0.118

_LEPTON_MASSES = (0.00051099895, 0.1056583755, 1.77686)  # GeV, PDG
PION_MASS, _D0 = 0.13957039, 1.86484  # GeV, PDG

#: Hadronic part of the vacuum polarisation: (up to s in GeV^2, a, b, c) of a + b ln(1 + c s).
#: R. Kleiss et al., CERN 89-08, vol. 3, p. 129 (parametrisation of H. Burkhardt).
_HADRONIC = ((0.09, 0.0, 0.00835, 1.0), (9.0, 0.0, 0.00238, 3.927), (1e4, 0.00165, 0.00299, 1.0))

#: Up and down quarks: below this mass (GeV, chosen above the phi) resonances stand for them, above it their strings
#: fragment.
RESONANCES_BELOW = 1.1


@dataclass(frozen=True)
class Fermion:
    """A final fermion: charge, colours, mass (GeV; KKMC's of the quarks), lowest mass of the pair's hadrons (GeV)."""

    charge: float
    colours: int
    mass: float
    threshold: float


#: By PDG code. Masses of the quarks: KKMC's defaults (S. Jadach et al., Comput. Phys. Commun. 130 (2000) 260).
FERMIONS = {
    1: Fermion(-1 / 3, 3, 0.1, 2 * PION_MASS), 2: Fermion(2 / 3, 3, 0.1, 2 * PION_MASS),
    3: Fermion(-1 / 3, 3, 0.2, RESONANCES_BELOW), 4: Fermion(2 / 3, 3, 1.3, 2 * _D0),
    15: Fermion(-1.0, 1, _LEPTON_MASSES[2], 2 * _LEPTON_MASSES[2]),
}


@dataclass(frozen=True)
class Resonance:
    """A narrow vector meson: PDG code, mass, width and width to e+e- in GeV (PDG)."""

    code: int
    mass: float
    width: float
    width_ee: float

    def ratio(self, s: Array) -> Array:
        """Its cross-section over that of e+e- -> mu+mu-: 9 s G_ee G / (alpha^2 ((s - M^2)^2 + M^2 G^2))."""
        return np.asarray(9.0 * s * self.width_ee * self.width / ALPHA**2
                          / ((s - self.mass**2) ** 2 + (self.mass * self.width) ** 2))


OMEGA = Resonance(223, 0.78266, 0.00868, 0.60e-6)


def vacuum_polarisation(s: Array) -> Array:
    """Delta alpha(s), real part; alpha(s) = alpha / (1 - Delta alpha).

    >>> round(float(vacuum_polarisation(np.array([91.19**2]))[0]), 3)  # 0.059 is measured
    0.06
    """
    s = np.asarray(s, dtype=float)
    leptons = sum(np.where(s > 4 * m * m, ALPHA / (3 * np.pi) * (np.log(np.maximum(s, 4 * m * m) / (m * m)) - 5 / 3),
                           0.0) for m in _LEPTON_MASSES)
    hadrons = np.zeros_like(s)
    low = 0.0
    for high, a, b, c in _HADRONIC:
        hadrons = np.where((s >= low) & (s < high), a + b * np.log1p(c * s), hadrons)
        low = high
    return np.asarray(leptons + hadrons)


def muon_pairs(s: Array) -> Array:
    """Cross-section (nb) of massless muon pairs, 4 pi alpha(s)^2 / (3 s).

    >>> round(float(muon_pairs(np.array([10.58**2]))[0] / 86.85 * 10.58**2), 2)  # 86.8 nb / s, alpha(s) 3.7 % larger
    1.08
    """
    s = np.asarray(s, dtype=float)
    return np.asarray(4 * np.pi / 3 * (ALPHA / (1 - vacuum_polarisation(s))) ** 2 * NB_GEV2 / s)


def threshold_factor(s: Array, mass: float) -> Array:
    """beta (3 - beta^2) / 2 of a fermion pair; 0 below its threshold."""
    beta = np.sqrt(np.clip(1.0 - 4 * mass**2 / np.asarray(s, dtype=float), 0.0, None))
    return np.asarray(0.5 * beta * (3.0 - beta**2))


def pion_form_factor(s: Array) -> Array:
    """abs(F_pi)^2 from rho(770) and rho(1450): J. H. Kuehn, A. Santamaria, Z. Phys. C48 (1990) 445, model 1.

    >>> round(float(pion_form_factor(np.array([0.0]))[0]), 12)  # the charge
    1.0
    """
    def breit_wigner(mass: float, width: float) -> NDArray[np.complex128]:
        momentum = np.sqrt(np.clip(s - 4 * PION_MASS**2, 0.0, None) / (mass**2 - 4 * PION_MASS**2))
        running = width * mass / np.sqrt(np.maximum(s, 1e-12)) * momentum**3  # times sqrt(s) below
        return np.asarray(mass**2 / (mass**2 - s - 1j * np.sqrt(s) * running))

    s = np.asarray(s, dtype=float)
    beta = -0.145
    f = (breit_wigner(0.773, 0.144) + beta * breit_wigner(1.370, 0.510)) / (1 + beta)
    return np.asarray(np.abs(f) ** 2)


def pion_pairs(s: Array) -> Array:
    """e+e- -> pi+pi- over muon pairs: beta^3 abs(F_pi)^2 / 4."""
    s = np.asarray(s, dtype=float)
    beta = np.sqrt(np.clip(1.0 - 4 * PION_MASS**2 / s, 0.0, None))
    return np.asarray(beta**3 / 4 * pion_form_factor(s))


def light_parts(code: int, s: Array) -> dict[int, Array]:
    """What stands for an up or down quark below :data:`RESONANCES_BELOW`: PDG code -> ratio to muon pairs.

    113 is e+e- -> pi+pi- through the rho. Up and down quarks take 4/5 and 1/5 of rho and omega, as in KKMC.
    """
    part = FERMIONS[code].charge ** 2 / (FERMIONS[1].charge ** 2 + FERMIONS[2].charge ** 2)
    return {113: part * pion_pairs(s), OMEGA.code: part * OMEGA.ratio(s) * (np.asarray(s) > 9 * PION_MASS**2)}


def ratio(code: int, s: Array) -> Array:
    """Cross-section of a fermion pair over that of muon pairs, at s (GeV^2)."""
    fermion, s = find_fermion(code), np.asarray(s, dtype=float)
    qcd = 1.0 + ALPHA_S / np.pi if fermion.colours == 3 else 1.0
    point = fermion.colours * fermion.charge**2 * qcd * threshold_factor(s, fermion.mass)
    if code in (1, 2):
        point = np.where(s > RESONANCES_BELOW**2, point, sum(light_parts(code, s).values()))
    return np.asarray(np.where(s > fermion.threshold**2, point, 0.0))


def born(code: int, s: Array) -> Array:
    """Cross-section (nb) of e+e- -> f fbar without radiation, at s (GeV^2).

    >>> born(2, np.array([10.58**2])).round(2).tolist()
    [1.16]
    """
    return np.asarray(ratio(code, s) * muon_pairs(s))


def find_fermion(code: int) -> Fermion:
    """The fermion of a PDG code; :class:`SimulationError` for another than u, d, s, c, tau."""
    if code not in FERMIONS:
        raise SimulationError(f"e+e- -> f fbar: got the PDG code {code}, expected one of "
                              f"{', '.join(map(str, FERMIONS))}.")
    return FERMIONS[code]
