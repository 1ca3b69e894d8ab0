"""What the decay of a hadron tells of its helicity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.family import Family, nth
from fei_lite.generator.matrix_elements.helicity import PHOTON, SPINLESS, UNSEEN
from fei_lite.generator.matrix_elements.kinematics import transform, units

Array = NDArray[np.float64]

_PHOTON = 22
_NORMAL = (223, 333)  # vectors whose decay into three pions lies in a plane with its normal along the polarisation


@dataclass(frozen=True)
class Analysers:
    """``kind`` (n,) of :mod:`~fei_lite.generator.matrix_elements.helicity`; ``direction`` (n, 3) in the rest frame."""

    kind: NDArray[np.int64]
    direction: Array


def analysers(family: Family, rows: NDArray[np.intp], to_rest: Array) -> Analysers:
    """The analysers of hadrons ``rows``; ``to_rest`` (n, 4, 4) leads to their rest frames.

    Two spinless products, or one and a photon: the first spinless one. Three of
    an omega or phi: the normal of their plane.
    """
    n = len(rows)
    owner, found = family.made(rows)
    table = nth(owner, found, n, 4)
    present = table >= 0
    codes = np.where(present, family.absolute[table], 0)
    count = present.sum(axis=1)
    spinless = present & (codes > 100) & np.isin(codes % 10, (1,)) | np.isin(codes, (130, 310))
    n_spinless = spinless.sum(axis=1)
    photon = np.any(codes == _PHOTON, axis=1)
    kind = np.full(n, UNSEEN)
    kind[(count == 2) & (n_spinless == 2)] = SPINLESS
    kind[(count == 2) & (n_spinless == 1) & photon] = PHOTON
    planes = (count == 3) & (n_spinless == 3) & np.isin(family.absolute[rows], _NORMAL)
    kind[planes] = SPINLESS
    direction = np.tile([0.0, 0.0, 1.0], (n, 1))
    order = np.argsort(~spinless, axis=1, kind="stable")
    for which in (np.flatnonzero((kind > 0) & ~planes), np.flatnonzero(planes)):
        if not len(which):
            continue
        first, second = (transform(to_rest[which], family.p4[table[which, order[which, k]]])[:, :3] for k in (0, 1))
        direction[which] = units(np.cross(first, second) if planes[which[0]] else first)
    return Analysers(kind, direction)
