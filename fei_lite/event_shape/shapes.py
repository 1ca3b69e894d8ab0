"""Thrust, Fox-Wolfram moments, sphericity, CLEO cones and harmonic moments.

All take :class:`Momenta` in the centre-of-mass frame and return one row per
event. Reviewed in "The Physics of the B Factories", arXiv:1406.6311, section 9.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import MomentaError
from fei_lite.event_shape.momenta import Momenta
from fei_lite.kernels import event_shape as kernels

Array = NDArray[np.float64]

#: Cones of 10 degrees that cover 0 to 90 degrees.
N_CONES = 9


def thrust(momenta: Momenta) -> tuple[Array, Array]:
    """Thrust axis (n, 3), unit vectors with z >= 0, and thrust T (n,), 1/2..1.

    ``T = max over unit vectors n of sum |p.n| / sum |p|`` (Brandt et al., Phys.
    Lett. 12 (1964) 57; Farhi, PRL 39 (1977) 1587). The maximum is exact, found
    in O(particles^3) (basf2's iteration may stop at a local one). NaN for an event
    without momentum. Two back-to-back particles have T = 1; three of equal
    momentum at 120 degrees 2/3:

    >>> turn = np.arange(3) * 2 * np.pi / 3
    >>> p4 = np.stack([np.cos(turn), 0 * turn, np.sin(turn), np.ones(3)], axis=1)
    >>> thrust(Momenta(np.array([0, 3]), p4, np.zeros(3, np.int8)))[1].round(6).item()
    0.666667
    """
    axis, value = np.empty((len(momenta), 3)), np.empty(len(momenta))
    kernels.thrust(momenta.offsets, momenta.p3, axis, value)
    return axis, value


def cos_between(first: Array, second: ArrayLike) -> Array:
    """abs(cos) of the angle between axes (n, 3) and (n, 3) or (3,), both unit vectors: 0..1.

    With the thrust axes of a B candidate and of the rest of the event this is
    cosTBTO, with the beam axis cosTBz (basf2 takes the direction of the
    electrons in the centre-of-mass frame, which is 6 mrad from the z axis).

    >>> cos_between(np.array([[0.0, 0.6, -0.8]]), (0, 0, 1)).item()
    0.8
    """
    return np.asarray(np.minimum(np.abs(np.sum(first * np.asarray(second), axis=-1)), 1.0))


def fox_wolfram(momenta: Momenta, *, l_max: int = 4) -> Array:
    """Fox-Wolfram moments H_l (n, l_max + 1) in GeV^2, l = 0..l_max; 0 for an empty event.

    H_l = sum over ordered pairs i, j (i = j included) of ``|p_i| |p_j|``
    P_l(cos_ij), without the 1/s of Fox and Wolfram, PRL 41 (1978) 1581, as in
    basf2. R_l = H_l / H_0: :func:`fox_wolfram_ratios`.
    """
    if l_max < 0:
        raise MomentaError(f"Fox-Wolfram moments: l_max is {l_max}, expected 0 or more.")
    out = np.empty((len(momenta), l_max + 1))
    kernels.fox_wolfram(momenta.offsets, momenta.p3, out)
    return out


def fox_wolfram_ratios(moments: Array) -> Array:
    """R_l = H_l / H_0 (n, l_max + 1) of moments from :func:`fox_wolfram`; NaN where H_0 is 0.

    Two back-to-back particles have R_l = 1 for even l; of equal momenta, 0 for odd l:

    >>> p4 = np.array([[0, 0, 1.0, 1], [0, 0, -1.0, 1]])
    >>> fox_wolfram_ratios(fox_wolfram(Momenta(np.array([0, 2]), p4, np.zeros(2, np.int8)))).tolist()
    [[1.0, 0.0, 1.0, 0.0, 1.0]]
    """
    zeroth = moments[:, :1]
    return np.asarray(np.divide(moments, zeroth, out=np.full_like(moments, np.nan), where=zeroth > 0))


@dataclass(frozen=True)
class Sphericity:
    """Eigenvalues (n, 3), falling, sum 1, and eigenvectors (n, 3, 3) of the momentum tensor.

    ``axes[:, k]`` is the unit vector of the k-th eigenvalue, z >= 0;
    ``axes[:, 0]`` is the sphericity axis. NaN for an event without momentum.
    """

    eigenvalues: Array
    axes: Array

    @property
    def sphericity(self) -> Array:
        """S = 3/2 (second + third eigenvalue), 0 (a line) .. 1 (isotropic), (n,)."""
        return np.asarray(1.5 * (self.eigenvalues[:, 1] + self.eigenvalues[:, 2]))

    @property
    def aplanarity(self) -> Array:
        """A = 3/2 third eigenvalue, 0 (a plane) .. 1/2, (n,)."""
        return np.asarray(1.5 * self.eigenvalues[:, 2])


def sphericity(momenta: Momenta) -> Sphericity:
    """Eigensystem of S_ab = sum p_a p_b / sum p^2 (Bjorken and Brodsky, PRD 1 (1970) 1416).

    A cross of six equal momenta is isotropic to this tensor:

    >>> p4 = np.concatenate([np.eye(4)[:3], -np.eye(4)[:3]])
    >>> sphericity(Momenta(np.array([0, 6]), p4, np.zeros(6, np.int8))).sphericity.round(6).item()
    1.0
    """
    tensors = np.empty((len(momenta), 3, 3))
    kernels.momentum_tensors(momenta.offsets, momenta.p3, tensors)
    good = np.isfinite(tensors).all(axis=(1, 2))
    eigenvalues, axes = np.full((len(momenta), 3), np.nan), np.full((len(momenta), 3, 3), np.nan)
    values, vectors = np.linalg.eigh(tensors[good])  # rising, vectors in columns
    vectors = vectors[:, :, ::-1].transpose(0, 2, 1)
    eigenvalues[good] = np.maximum(values[:, ::-1], 0.0)
    axes[good] = np.where(vectors[:, :, 2:] < 0, -vectors, vectors)
    return Sphericity(eigenvalues, axes)


def cleo_cones(momenta: Momenta, axis: Array) -> Array:
    """Momentum flow in nine cones of 10 degrees about ``axis`` (n, 3): (n, 9), GeV.

    Cone k (from 0) is the sum of ``|p|`` of the particles with an angle of 10 k to
    10 (k + 1) degrees to the axis or to its opposite (CLEO, hep-ex/9508004;
    basf2's CleoConeCS counts from 1). NaN where the axis is.
    """
    return _about(momenta, axis, n_cones=N_CONES, l_max=0)[0]


def harmonic_moments(momenta: Momenta, axis: Array, *, sqrt_s: ArrayLike, l_max: int = 8) -> Array:
    """``B_l = sum |p| P_l(cos(p, axis)) / sqrt(s)``, (n, l_max + 1), about ``axis`` (n, 3).

    ``sqrt_s`` in GeV, scalar or (n,). Odd moments change sign with the axis:
    those of this package have z >= 0. NaN where the axis is. Source: basf2,
    harmonicMoment.
    """
    return np.asarray(_about(momenta, axis, n_cones=1, l_max=l_max)[1] / np.reshape(sqrt_s, (-1, 1)))


def _about(momenta: Momenta, axis: Array, *, n_cones: int, l_max: int) -> tuple[Array, Array]:
    if axis.shape != (len(momenta), 3):
        raise MomentaError(f"axis: shape {axis.shape}, expected ({len(momenta)}, 3), one unit vector per event.")
    cones, moments = np.empty((len(momenta), n_cones)), np.empty((len(momenta), l_max + 1))
    kernels.about_axis(momenta.offsets, momenta.p3, np.ascontiguousarray(axis, dtype=np.float64), cones, moments)
    return cones, moments
