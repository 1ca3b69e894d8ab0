"""Boosts between the laboratory and the centre-of-mass frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_cms(p4_lab: NDArray[np.float64], beam_p4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boost four-momenta (n, 4) from the laboratory into the rest frame of ``beam_p4``.

    ``beam_p4`` is (n, 4) or (4,), GeV; the axes stay those of the laboratory. NaN where it is not time-like.
    The beam's own four-momentum becomes (0, 0, 0, sqrt(s)):

    >>> beam = np.array([[0.457, 0.0, 2.999, 11.005]])
    >>> bool(np.abs(to_cms(beam, beam)[0, :3]).max() < 1e-14)
    True
    """
    beam_p4 = np.atleast_2d(beam_p4)
    with np.errstate(invalid="ignore"):
        invariant = np.sqrt(beam_p4[:, 3] ** 2 - np.sum(beam_p4[:, :3] ** 2, axis=1))
    momentum = beam_p4[:, :3]
    along = np.sum(momentum * p4_lab[:, :3], axis=1)
    energy = (beam_p4[:, 3] * p4_lab[:, 3] - along) / invariant
    factor = (p4_lab[:, 3] + energy) / (beam_p4[:, 3] + invariant)
    boosted = np.empty_like(p4_lab)
    boosted[:, :3] = p4_lab[:, :3] - factor[:, None] * momentum
    boosted[:, 3] = energy
    return boosted


def sqrt_s(beam_p4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invariant mass of the beams, GeV, shape (n,); NaN where no beams have such momenta.

    >>> round(float(sqrt_s(np.array([[0.457, 0.0, 2.999, 11.005]]))[0]), 3)
    10.579
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(beam_p4[:, 3] ** 2 - np.sum(beam_p4[:, :3] ** 2, axis=1)))


def invariant_mass(p4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invariant mass, GeV, shape (n,); 0 where rounding makes the square negative."""
    m2 = p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1)
    return np.asarray(np.sqrt(np.maximum(m2, 0.0)))


def beam_constrained(p4_lab: NDArray[np.float64],
                     beam_p4: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mbc and deltaE (GeV) of four-momenta (n, 4) in the laboratory.

    Mbc = sqrt(s/4 - p*^2), NaN where p* exceeds the beam energy;
    deltaE = E* - sqrt(s)/2; both in the centre-of-mass frame of ``beam_p4``.
    """
    p4_cms = to_cms(p4_lab, beam_p4)
    half = 0.5 * sqrt_s(beam_p4)
    m2 = half**2 - np.sum(p4_cms[:, :3] ** 2, axis=1)
    return np.sqrt(np.where(m2 >= 0, m2, np.nan)), p4_cms[:, 3] - half
