"""The beams of SuperKEKB: four-momenta, their spread, the luminous region.

Sources: the Belle II Physics Book, arXiv:1808.10567 (energies, crossing angle), and the
Belle II simulation's nominal beam parameters (spreads, luminous region), as
quoted in the comments. Laboratory frame: z along the solenoid, both beams at
half the crossing angle to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ELECTRON_MASS = 0.00051099895  # GeV, PDG


@dataclass(frozen=True)
class Beams:
    """Beam parameters; the defaults are SuperKEKB's at the Upsilon(4S).

    Energies and spreads in GeV, angle to the z axis in rad, sizes (standard
    deviations of the luminous region) in cm, field in T.
    """

    electron_energy: float = 7.004      # so that sqrt(s) is the Upsilon(4S)'s mass
    positron_energy: float = 4.002
    half_crossing: float = 0.0415       # 83 mrad between the beams
    electron_spread: float = 0.00513    # Belle II simulation's preset
    positron_spread: float = 0.002375
    size: tuple[float, float, float] = (1.0e-3, 1.0e-4, 0.03)  # 10 um, 1 um (assumed; truly 0.2), 0.3 mm
    bz: float = 1.5                     # solenoid field of the detector response

    def four_momenta(self, electron: NDArray | float, positron: NDArray | float) -> NDArray[np.float64]:
        """Sum of the beams' four-momenta (..., 4) for given energies."""
        e, p = np.asarray(electron, dtype=float), np.asarray(positron, dtype=float)
        pe, pp = np.sqrt(e**2 - ELECTRON_MASS**2), np.sqrt(p**2 - ELECTRON_MASS**2)
        sin, cos = np.sin(self.half_crossing), np.cos(self.half_crossing)
        return np.stack([(pe + pp) * sin, np.zeros_like(pe), (pe - pp) * cos, e + p], axis=-1)

    @property
    def nominal(self) -> NDArray[np.float64]:
        """Nominal four-momentum of e+e- in the laboratory, GeV.

        >>> p = Beams().nominal
        >>> p.round(3).tolist(), round(float(np.sqrt(p[3]**2 - p[:3] @ p[:3])), 4)
        ([0.457, 0.0, 2.999, 11.006], 10.5796)
        """
        return self.four_momenta(self.electron_energy, self.positron_energy)

    @property
    def axis_cms(self) -> NDArray[np.float64]:
        """Unit vector of the electron in the centre-of-mass frame (axes of the laboratory)."""
        p = np.sqrt(self.electron_energy**2 - ELECTRON_MASS**2)
        electron = np.array([p * np.sin(self.half_crossing), 0.0, p * np.cos(self.half_crossing),
                             self.electron_energy])
        moved = boost(electron[None, :], -self.nominal[None, :] * np.array([1, 1, 1, -1]))[0, :3]
        return np.asarray(moved / np.linalg.norm(moved))

    def smeared(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Four-momenta of ``n`` collisions with the beams' energy spreads, (n, 4)."""
        return self.four_momenta(rng.normal(self.electron_energy, self.electron_spread, n),
                                 rng.normal(self.positron_energy, self.positron_spread, n))

    def vertices(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Collision points (n, 3) in cm, around the origin."""
        return np.asarray(rng.normal(size=(n, 3)) * np.array(self.size))


def boost(p4: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boost (n, 4) vectors from the rest frame of ``frame`` (n, 4) into the frame where it is given.

    >>> boost(np.array([[0., 0., 0., 1.]]), np.array([[0., 0., 3., 5.]])).tolist()
    [[0.0, 0.0, 0.75, 1.25]]
    """
    mass = np.sqrt(frame[:, 3] ** 2 - np.sum(frame[:, :3] ** 2, axis=1))
    along = np.sum(p4[:, :3] * frame[:, :3], axis=1)
    energy = (frame[:, 3] * p4[:, 3] + along) / mass
    factor = (p4[:, 3] + energy) / (frame[:, 3] + mass)
    return np.concatenate([p4[:, :3] + factor[:, None] * frame[:, :3], energy[:, None]], axis=1)


def rotation_to(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix that takes the z axis to ``axis`` (a unit vector in the x-z plane)."""
    sin, cos = axis[0], axis[2]
    return np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
