"""Particles of many events as one jagged list of four-momenta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import MomentaError


@dataclass(frozen=True)
class Momenta:
    """Four-momenta of the particles of each event (or of each candidate: one row is one list).

    ``offsets`` (n_rows + 1,) int64; ``p4`` (n, 4) float64 in GeV, (px, py, pz,
    E), in the centre-of-mass frame wherever event shapes are computed;
    ``charge`` (n,) in units of e. Particles of row ``r`` are
    ``offsets[r]:offsets[r + 1]``. Raises :class:`MomentaError` where the
    lengths contradict each other.
    """

    offsets: NDArray[np.int64]
    p4: NDArray[np.float64]
    charge: NDArray[np.int8]

    def __post_init__(self) -> None:
        n = len(self.p4)
        if self.p4.shape != (n, 4) or self.charge.shape != (n,):
            raise MomentaError(f"momenta: p4 {self.p4.shape} and charge {self.charge.shape}, expected (n, 4) and (n,).")
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != n or np.any(np.diff(self.offsets) < 0):
            raise MomentaError(f"momenta: offsets must rise from 0 to the number of particles, {n}.")

    def __len__(self) -> int:
        """Number of rows (events)."""
        return len(self.offsets) - 1

    @property
    def p3(self) -> NDArray[np.float64]:
        """Momenta (n, 3), contiguous."""
        return np.ascontiguousarray(self.p4[:, :3], dtype=np.float64)

    @property
    def row_index(self) -> NDArray[np.int64]:
        """Row of each particle, (n,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def sum(self) -> NDArray[np.float64]:
        """Total four-momentum of each row (n_rows, 4); zero for an empty one.

        >>> Momenta(np.array([0, 2, 2]), np.array([[1., 0, 0, 1], [0, 2, 0, 2]]), np.zeros(2, np.int8)).sum().tolist()
        [[1.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
        """
        row = self.row_index
        parts = [np.bincount(row, self.p4[:, a], minlength=len(self)) for a in range(4)]
        return np.stack(parts, axis=1).astype(np.float64)  # of no particle at all, numpy counts in integers


def join(first: Momenta, second: Momenta) -> Momenta:
    """The particles of both, row by row (those of ``first`` stand first).

    Raises :class:`MomentaError` if the numbers of rows differ.
    """
    same_rows(first, second)
    order = np.argsort(np.concatenate([first.row_index, second.row_index]), kind="stable")
    return Momenta(first.offsets + second.offsets, np.concatenate([first.p4, second.p4])[order],
                   np.concatenate([first.charge, second.charge])[order])


def same_rows(first: Momenta, second: Momenta) -> None:
    """Raise :class:`MomentaError` unless both have the same number of rows."""
    if len(first) != len(second):
        raise MomentaError(f"momenta: {len(first)} rows in the first list, {len(second)} in the second. "
                           "Give one row per event or candidate in both.")
