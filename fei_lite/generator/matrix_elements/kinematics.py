"""Lorentz transformations as matrices, and decay trees that are carried along with their mothers.

Four-vectors are (px, py, pz, E), last axis; GeV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.kernels import decay_trees as kernel

Array = NDArray[np.float64]


def mass_of(p4: Array) -> Array:
    """Invariant masses (...,) of four-momenta (..., 4); 0 where rounding makes the square negative.

    >>> float(mass_of(np.array([0.0, 0.0, 3.0, 5.0])))
    4.0
    """
    return np.asarray(np.sqrt(np.maximum(p4[..., 3] ** 2 - np.sum(p4[..., :3] ** 2, axis=-1), 0.0)))


def breakup_momentum(mass: Array | float, first: Array | float, second: Array | float) -> Array:
    """Momentum of two products in the rest frame of their mother, GeV; 0 below the threshold.

    >>> float(breakup_momentum(5.0, 3.0, 1.0).round(4)), float(breakup_momentum(1.0, 1.0, 1.0))
    (1.3748, 0.0)
    """
    m2, plus, minus = np.square(mass), np.square(np.add(first, second)), np.square(np.subtract(first, second))
    return np.asarray(np.sqrt(np.maximum((m2 - plus) * (m2 - minus), 0.0)) / (2.0 * np.asarray(mass)))


def boost_matrices(p4: Array) -> Array:
    """Boosts (n, 4, 4) from the rest frames of massive ``p4`` (n, 4) into the frame where they are given.

    >>> boost_matrices(np.array([[0.0, 0.0, 3.0, 5.0]]))[0] @ np.array([0.0, 0.0, 0.0, 1.0])
    array([0.  , 0.  , 0.75, 1.25])
    """
    n, mass = len(p4), mass_of(p4)
    out = np.zeros((n, 4, 4))
    u = p4[:, :3] / mass[:, None]
    gamma = p4[:, 3] / mass
    out[:, :3, :3] = np.eye(3) + u[:, :, None] * u[:, None, :] / (gamma + 1.0)[:, None, None]
    out[:, :3, 3] = out[:, 3, :3] = u
    out[:, 3, 3] = gamma
    return out


def inverse(matrices: Array) -> Array:
    """Inverses of Lorentz transformations (n, 4, 4): metric x transposed x metric."""
    metric = np.array([-1.0, -1.0, -1.0, 1.0])
    return np.asarray(np.swapaxes(matrices, 1, 2) * metric[:, None] * metric[None, :])


def rotated(rotations: Array) -> Array:
    """Rotations (n, 3, 3) as Lorentz transformations (n, 4, 4)."""
    out = np.zeros((len(rotations), 4, 4))
    out[:, :3, :3] = rotations
    out[:, 3, 3] = 1.0
    return out


def transform(matrices: Array, vectors: Array) -> Array:
    """Matrices (n, k, k) applied to vectors (n, k)."""
    return np.asarray(np.einsum("nij,nj->ni", matrices, vectors))


def units(vectors: Array) -> Array:
    """Unit vectors (n, 3); a vector of length zero becomes the z axis."""
    length = np.linalg.norm(vectors, axis=1)
    out = vectors / np.where(length > 0.0, length, 1.0)[:, None]
    out[length <= 0.0] = (0.0, 0.0, 1.0)
    return np.asarray(out)


def axes_along(z: Array, turn: Array) -> Array:
    """Right-handed axes (n, 3, 3), as columns x, y, z, with the third along unit vectors ``z`` (n, 3).

    ``turn`` (n,) is the azimuth of the first axis, whose zero is arbitrary:
    with uniform angles, the two axes are isotropic about the third.

    >>> a = axes_along(np.array([[0.0, 0.6, 0.8]]), np.array([0.3]))[0]
    >>> a[:, 2].round(6).tolist(), float(np.linalg.det(a).round(6))
    ([0.0, 0.6, 0.8], 1.0)
    """
    helper = np.where(np.abs(z[:, 2:]) < 0.7, np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    x = units(np.cross(helper, z))
    y = np.cross(z, x)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=2)


def directions(cos: Array, azimuth: Array) -> Array:
    """Unit vectors (n, 3) of polar angles and azimuths."""
    sin = np.sqrt(np.maximum(1.0 - cos**2, 0.0))
    return np.stack([sin * np.cos(azimuth), sin * np.sin(azimuth), cos], axis=1)


def rotation_between(before: Array, after: Array, turn: Array) -> Array:
    """Rotations (n, 3, 3) that take unit vectors ``before`` to ``after``, and turn by ``turn`` about them."""
    start = axes_along(before, np.zeros(len(before)))
    return np.asarray(axes_along(after, turn) @ np.swapaxes(start, 1, 2))


def random_rotations(n: int, rng: np.random.Generator) -> Array:
    """Rotations (n, 3, 3), uniform."""
    z = directions(rng.uniform(-1.0, 1.0, n), rng.uniform(-np.pi, np.pi, n))
    return axes_along(z, rng.uniform(-np.pi, np.pi, n))


def carried(mother: NDArray, p4: Array, x4: Array, moved: NDArray, new: Array, change: Array) -> tuple[Array, Array]:
    """Four-momenta and places of all particles after decays were drawn anew.

    ``mother`` (n,) are rows (-1 for none; mothers stand before daughters). The
    particles ``moved`` (k,) get the four-momenta ``new`` (k, 4), what descends
    from them the Lorentz transformations ``change`` (k, 4, 4), both in the frame
    in which ``p4`` and ``x4`` are given and as if nothing above had changed.
    Places are moved about the point where the mother decays, so that proper times stay.
    """
    which = np.full(len(mother), -1, dtype=np.int64)
    which[moved] = np.arange(len(moved))
    out_p4, out_x4 = p4.copy(), x4.copy()
    kernel.carry(mother.astype(np.int64), which, new, change, p4, x4, out_p4, out_x4)
    return out_p4, out_x4
