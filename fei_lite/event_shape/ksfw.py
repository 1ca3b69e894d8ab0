"""Modified Fox-Wolfram moments of Belle: a B candidate against the rest of the event.

Kakuno's super-Fox-Wolfram moments with the improvements that Belle and basf2
call KSFW (Belle, PRL 91 (2003) 261801, hep-ex/0308040; "The Physics of the B
Factories", arXiv:1406.6311, section 9.4.2). In the centre-of-mass frame, with i
the particles of the candidate (its daughters or its final-state particles, as
the caller chooses), j and k those of the rest, q charges, P_l Legendre's:

==============  =====================================================================
``hso0l``       sum_ij |p_j| P_l(cos_ij) over charged j; odd l: times q_i q_j
``hso1l``       the same over neutral j (even l; odd l vanish)
``hso2l``       the same with the missing momentum for j (even l)
``hool``        sum over pairs k < j of |p_j| |p_k| P_l(cos_jk); odd l: times q_j q_k;
                the missing momentum counts as a neutral particle of the rest
``et``          sum of transverse momenta (to the z axis) of candidate and rest
``mm2``         missing mass squared, E^2 - p^2; -E^2 - p^2 if the missing E < 0
==============  =====================================================================

hso is divided by N = 2 (sqrt(s) - E*_B), hoo by N^2, so that they do not
depend on deltaE. The missing four-momentum is (0, sqrt(s)) minus candidate and
rest. (basf2 also leaves out photons of the rest below 0.05 GeV and anything
above 3.2 GeV: here that is for the mask of the rest.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.event_shape.momenta import Momenta, same_rows
from fei_lite.kernels import event_shape as kernels

Array = NDArray[np.float64]

#: The moments that are not zero by construction, in basf2's order and spelling.
NAMES = ("mm2", "et", "hso00", "hso01", "hso02", "hso03", "hso04", "hso10", "hso12", "hso14",
         "hso20", "hso22", "hso24", "hoo0", "hoo1", "hoo2", "hoo3", "hoo4")


@dataclass(frozen=True)
class KSFW:
    """KSFW moments of n candidates (see the table of the module).

    ``hso`` (n, 3, 5): charged, neutral, missing; l = 0..4, dimensionless.
    ``hoo`` (n, 5), dimensionless. ``et`` (n,) GeV, ``mm2`` (n,) GeV^2. NaN: a
    candidate without particles; ``hso`` and ``hoo`` also of one with an energy
    of sqrt(s) or more.
    """

    hso: Array
    hoo: Array
    et: Array
    mm2: Array

    def columns(self) -> dict[str, Array]:
        """The moments by basf2's names (arguments of its KSFWVariables), each (n,)."""
        out = {"mm2": self.mm2, "et": self.et}
        for name in NAMES[2:]:
            order = int(name[-1])
            out[name] = self.hso[:, int(name[3]), order] if name.startswith("hso") else self.hoo[:, order]
        return out


def ksfw_moments(candidate: Momenta, rest: Momenta, *, sqrt_s: ArrayLike, energy: ArrayLike | None = None) -> KSFW:
    """KSFW moments of candidates with respect to their rest of the event, row by row.

    ``candidate`` and ``rest``: centre-of-mass frame; ``sqrt_s`` in GeV (scalar
    or (n,)); ``energy`` E*_B of the candidate in GeV, by default the sum of its
    particles. Raises :class:`MomentaError` if the rows differ.

    >>> p4 = np.array([[0, 0, 3.0, 3.0]])
    >>> one = Momenta(np.array([0, 1]), p4, np.ones(1, np.int8))
    >>> ksfw_moments(one, one, sqrt_s=10.0).columns()["hso01"].round(6).item()  # 3 / (2 * 7)
    0.214286
    """
    same_rows(candidate, rest)
    visible = candidate.sum()
    sqrt_s = np.broadcast_to(np.asarray(sqrt_s, dtype=np.float64), (len(candidate),))
    missing = -visible - rest.sum()
    missing[:, 3] += sqrt_s
    hso, hoo = np.empty((len(candidate), 3, 5)), np.empty((len(candidate), 5))
    kernels.ksfw(candidate.offsets, candidate.p3, candidate.charge, rest.offsets, rest.p3, rest.charge,
                 np.ascontiguousarray(missing[:, :3]), hso, hoo)
    norm = 2.0 * (sqrt_s - (visible[:, 3] if energy is None else np.asarray(energy)))
    defined = np.diff(candidate.offsets) > 0
    norm = np.where((norm > 0) & defined, norm, np.nan)
    p2 = np.sum(missing[:, :3] ** 2, axis=1)
    mm2 = missing[:, 3] * np.abs(missing[:, 3]) - p2
    et = _transverse(candidate) + _transverse(rest)
    return KSFW(hso / norm[:, None, None], hoo / norm[:, None] ** 2, np.where(defined, et, np.nan),
                np.where(defined, mm2, np.nan))


def _transverse(momenta: Momenta) -> Array:
    """Sum of transverse momenta of each row, (n,)."""
    pt = np.hypot(momenta.p4[:, 0], momenta.p4[:, 1])
    return np.asarray(np.bincount(momenta.row_index, pt, minlength=len(momenta)), dtype=np.float64)
