"""Semileptonic decays P -> X l nu: q2 and all angles from the helicity amplitudes of a form-factor model.

The density of q2 is tabulated for masses of X in steps, each over the whole
range that the masses leave; between two of them one is drawn, so that the
density is their linear interpolation. Angles follow by rejection, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.form_factors import Transition
from fei_lite.generator.matrix_elements.helicity import (
    draw_cosines,
    draw_decay,
    joint_amplitudes,
    lepton_amplitudes,
    lepton_polynomial,
    lepton_spin,
    rate,
)
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum

Array = NDArray[np.float64]

#: GeV, between tabulated masses of X: a narrow one, a broad one.
NARROW_STEP, BROAD_STEP = 0.001, 0.010
_CELLS = 1024     # of a table of q2
_CLEAR = 1e-4     # GeV that a tabulated mass stays below the threshold


def differential_rate(transition: Transition, mass: float, lepton: float, m: Array, q2: Array) -> Array:
    """dGamma/dq2 (n,) for a mother of ``mass``, X of masses ``m`` (n,), a lepton's mass; up to a factor.

    p q2 (1 - m_l^2/q2)^2 [ (H+^2 + H0^2 + H-^2) (1 + m_l^2 / (2 q2)) + 3 m_l^2 Ht^2 / (2 q2) ]; 0 outside of
    the spectrum.
    """
    p = breakup_momentum(mass, m, np.sqrt(q2))
    inside = (q2 > lepton**2) & (np.sqrt(q2) + m < mass)
    safe, m = np.where(inside, q2, 0.5 * (lepton**2 + (mass - m) ** 2)), np.broadcast_to(m, q2.shape)
    found = p * safe * rate(transition.amplitudes(mass, m, safe), lepton**2 / safe)
    return np.where(inside, found, 0.0)


@dataclass
class Spectrum:
    """The q2 spectra of one transition, mother and lepton (masses in GeV).

    Tables for masses of X that are ``step`` GeV apart are made when they are needed.
    """

    transition: Transition
    mass: float
    lepton: float
    step: float = NARROW_STEP
    _tables: dict[int, Array] = field(default_factory=dict)

    def _tables_of(self, steps: list[int]) -> Array:
        """Cumulative densities (k, cells + 1) at the edges of the cells of sin^2(pi x / 2) in [0, 1].

        What is not known yet is made in one go.
        """
        missing = [step for step in steps if step not in self._tables]
        if missing:
            m = np.minimum(np.array(missing) * self.step, self.mass - self.lepton - _CLEAR)[:, None]
            x = (np.arange(_CELLS) + 0.5) / _CELLS
            low, high = self.lepton**2, (self.mass - m) ** 2
            q2 = low + (high - low) * np.sin(0.5 * np.pi * x) ** 2
            density = differential_rate(self.transition, self.mass, self.lepton, np.repeat(m, _CELLS), q2.ravel())
            total = np.cumsum(density.reshape(q2.shape) * np.sin(np.pi * x), axis=1)
            made = np.concatenate([np.zeros((len(missing), 1)), total / total[:, -1:]], axis=1)
            self._tables.update(zip(missing, made, strict=True))
        return np.stack([self._tables[step] for step in steps])

    def draw(self, m: Array, lepton: Array, rng: np.random.Generator) -> Array:
        """q2 (n,) for masses ``m`` (n,) of X.

        ``lepton`` (n,) are the masses that the lepton has with the photons it
        radiated: q2 stays above their squares, its place in the allowed range is
        that of a bare lepton.
        """
        place = m / self.step
        step = np.floor(place).astype(np.int64) + (rng.uniform(size=len(m)) < place % 1.0)
        steps, row = np.unique(step, return_inverse=True)
        tables = self._tables_of(steps.tolist())
        u = rng.uniform(size=len(m))
        flat = (tables + np.arange(len(steps))[:, None]).ravel()
        cell = np.searchsorted(flat, row + u, side="right") - 1 - row * (_CELLS + 1)
        cell = cell.clip(0, _CELLS - 1)
        below, above = tables[row, cell], tables[row, cell + 1]
        x = (cell + np.divide(u - below, above - below, out=np.full(len(m), 0.5), where=above > below)) / _CELLS
        low, high = lepton**2, (self.mass - m) ** 2
        return np.asarray(low + (high - low) * np.sin(0.5 * np.pi * x.clip(1e-9, 1.0 - 1e-9)) ** 2)


@dataclass(frozen=True)
class Drawn:
    """Semileptonic decays in the axes of :mod:`~fei_lite.generator.matrix_elements.helicity`, arrays (n,).

    ``spin`` (n, 3) is the polarisation of the lepton (see ``lepton_spin``).
    """

    q2: Array
    cos_lepton: Array
    cos_decay: Array
    chi: Array
    spin: Array


def draw_angles(amplitudes: Array, q2: Array, lepton: Array, anti: NDArray[np.bool_], spin: NDArray,
                analyser: NDArray, rng: np.random.Generator) -> Drawn:
    """Angles of decays with helicity ``amplitudes`` (4, n) at ``q2`` (n,); ``lepton`` (n,) are masses.

    ``anti``: the lepton is an antiparticle; ``spin`` and ``analyser`` (n,) of X
    (see :mod:`~fei_lite.generator.matrix_elements.helicity`).
    """
    ratio = lepton**2 / q2
    cos = draw_cosines(lepton_polynomial(amplitudes, ratio, anti), rng)
    leptonic = lepton_amplitudes(amplitudes, ratio, anti, cos)
    cos_decay, chi = draw_decay(leptonic, spin, analyser, rng)
    return Drawn(q2, cos, cos_decay, chi, lepton_spin(joint_amplitudes(leptonic, spin, analyser, cos_decay, chi)))


def analyser_direction(cos: Array, chi: Array) -> Array:
    """Directions (n, 3), in the axes X, Y, Z, of the first product of X (or the normal of three) in X's rest frame.

    X flies along -Z: cos(theta_V) = 1 there; at chi = 0, both lepton and product
    are on opposite sides of Z.
    """
    sin = np.sqrt(np.maximum(1.0 - cos**2, 0.0))
    return np.stack([-sin * np.cos(chi), sin * np.sin(chi), -cos], axis=1)
