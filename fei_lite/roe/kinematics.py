"""Missing momentum, recoil of the tag, q2.

Four-vectors (n, 4) are (px, py, pz, E) in GeV, in the laboratory unless the
name says ``cms``; ``beam_p4`` is that of e+e-, (n, 4) or (4,). NaN in, NaN out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.particles import mass
from fei_lite.reconstruction.frames import sqrt_s, to_cms

Array = NDArray[np.float64]


def mass_squared(p4: Array) -> Array:
    """E^2 - p^2 of four-vectors (..., 4), GeV^2, may be negative.

    >>> mass_squared(np.array([3.0, 0.0, 4.0, 4.0])).item()
    -9.0
    """
    return np.asarray(p4[..., 3] ** 2 - np.sum(p4[..., :3] ** 2, axis=-1))


@dataclass(frozen=True)
class Missing:
    """What no particle was seen of: ``p4_lab`` and ``p4_cms`` (n, 4), GeV."""

    p4_lab: Array
    p4_cms: Array

    @property
    def mass2(self) -> Array:
        """Missing mass squared (n,), GeV^2, the same in both frames; near 0 for one neutrino."""
        return mass_squared(self.p4_cms)

    @property
    def energy_plus_momentum(self) -> Array:
        """E*_miss + c p*_miss (n,), GeV, centre-of-mass frame."""
        return np.asarray(self.p4_cms[:, 3] + np.linalg.norm(self.p4_cms[:, :3], axis=1))

    @property
    def theta_lab(self) -> Array:
        """Polar angle of the missing momentum in the laboratory (n,), rad; NaN where it is zero."""
        pt = np.hypot(self.p4_lab[:, 0], self.p4_lab[:, 1])
        at_rest = (pt == 0) & (self.p4_lab[:, 2] == 0)
        return np.where(at_rest, np.nan, np.arctan2(pt, self.p4_lab[:, 2]))


def missing(visible_p4: Array, beam_p4: Array) -> Missing:
    """Beams minus everything seen (tag, signal side and rest), (n, 4).

    >>> seen = np.array([[0.0, 0.0, 3.0, 6.0]])
    >>> found = missing(seen, np.array([0.0, 0.0, 0.0, 10.0]))
    >>> found.p4_cms[0].tolist(), found.mass2.item()
    ([0.0, 0.0, -3.0, 4.0], 7.0)
    """
    beam_p4 = np.broadcast_to(beam_p4, visible_p4.shape)
    lab = beam_p4 - visible_p4
    return Missing(lab, to_cms(lab, beam_p4))


def recoil(p4: Array, beam_p4: Array) -> Array:
    """Four-momentum (n, 4) in the laboratory of what recoils against ``p4``: beams minus p4."""
    return np.asarray(beam_p4 - p4)


def signal_b_cms(tag_p4: Array, beam_p4: Array, *, mass_b: float | None = None) -> Array:
    """Four-momentum of the signal B in the centre-of-mass frame from the tag's recoil, (n, 4).

    Its direction is opposite to the tag's, its energy sqrt(s)/2, its momentum
    sqrt(s/4 - m_B^2): better known than what was measured of the tag.
    ``mass_b`` in GeV, by default the B+'s; NaN below threshold, and for a tag
    at rest, which gives no direction.

    >>> beam = np.array([0.0, 0.0, 0.0, 10.58])
    >>> signal_b_cms(np.array([[0.0, 0.0, 0.4, 5.3]]), beam, mass_b=5.28).round(4).tolist()
    [[-0.0, -0.0, -0.3251, 5.29]]
    """
    tag = to_cms(tag_p4, np.broadcast_to(beam_p4, tag_p4.shape))[:, :3]
    half = np.broadcast_to(0.5 * sqrt_s(np.atleast_2d(beam_p4)), (len(tag),))
    p2 = half**2 - (mass("B+") if mass_b is None else mass_b) ** 2
    length = np.linalg.norm(tag, axis=1)
    defined = (p2 >= 0) & (length > 0)
    scale = np.sqrt(np.where(defined, p2, np.nan)) / np.where(length > 0, length, np.nan)
    return np.column_stack([-tag * scale[:, None], np.where(defined, half, np.nan)])


def momentum_transfer(signal_b: Array, visible: Array) -> Array:
    """q2 = (p_B - p_visible)^2 (n,), GeV^2, of four-vectors (n, 4) in one frame.

    With ``signal_b`` from :func:`signal_b_cms` or :func:`recoil`, and the kaon of
    B -> K nu nubar, the mass squared of the two neutrinos. May be negative.
    """
    return mass_squared(signal_b - visible)


def momentum_transfer_at_rest(visible_cms: Array, roots: ArrayLike) -> Array:
    """q2 as if the signal B were at rest in the centre-of-mass frame (n,), GeV^2.

    s/4 + M^2 - sqrt(s) E*, M and E* of ``visible_cms`` (n, 4): the q2_rec of the
    inclusive tag, arXiv:2311.14647, which needs no tag. ``roots`` is sqrt(s).

    >>> momentum_transfer_at_rest(np.array([[0.0, 0.0, 3.0, 5.0]]), 10.0).item()
    -9.0
    """
    roots = np.asarray(roots, dtype=np.float64)
    return np.asarray(roots**2 / 4 + mass_squared(visible_cms) - roots * visible_cms[:, 3])


def recoil_mass_squared(tag_cms: Array, seen_cms: Array, roots: ArrayLike, mass_b: float) -> Array:
    """Mass squared (n,), GeV^2, of what the signal B decays to besides ``seen``; may be negative.

    m_B^2 + M^2 - 2 (E_beam E + |p_tag| |p| cos theta), everything in the centre-of-mass frame, with M, E, p of
    ``seen_cms`` (n, 4), E_beam = ``roots`` / 2 and theta between p_tag and p: M_tau^2 of B -> K tau l, seen = K l
    (arXiv:2505.08418). The signal B has the energy E_beam, the tag's momentum reversed and, whatever these two give,
    the mass ``mass_b``: with Mbc = m_B of the tag it is the square of the four-momentum (p_B - p).

    >>> tag, seen = np.array([[0.0, 0.0, 0.3, 5.29]]), np.array([[0.0, 0.0, -0.3, 3.0]])
    >>> recoil_mass_squared(tag, seen, 10.58, 5.28).round(4).item()    # 27.8784 + 8.91 - 2 (15.87 - 0.09)
    5.2284
    """
    scalar = np.sum(tag_cms[..., :3] * seen_cms[..., :3], axis=-1)
    beam = 0.5 * np.asarray(roots, dtype=np.float64)
    return np.asarray(mass_b**2 + mass_squared(seen_cms) - 2.0 * (beam * seen_cms[..., 3] + scalar))
