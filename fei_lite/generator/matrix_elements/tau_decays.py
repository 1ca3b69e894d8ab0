"""Taus of generated events: what their decays tell of their spin, and how they are turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.family import Family, nth
from fei_lite.generator.matrix_elements.kinematics import transform, units
from fei_lite.generator.matrix_elements.tau import three_pion_polarimeter, two_meson_polarimeter

Array = NDArray[np.float64]

_TAU_NEUTRINO = 16
_MESONS = (211, 321, 411, 431)
_TWO = {(111, 211), (111, 321), (211, 311), (130, 211), (211, 310), (310, 321), (311, 321), (130, 321), (211, 221)}
_VECTORS = (213, 323)


def polarimeters(family: Family, rows: NDArray[np.intp], back: Array) -> Array:
    """Polarimeter vectors (n, 3) of the taus ``rows``, in their rest frames, to which ``back`` (n, 4, 4) leads.

    A decay that is not known gets a zero vector.
    """
    out = np.zeros((len(rows), 3))
    owner, found = family.made(rows)
    table = nth(owner, found, len(rows), 6)
    counts = np.sum(table >= 0, axis=1)
    codes = np.where(table >= 0, family.absolute[table], 0)
    charge = -np.sign(family.code[rows]).astype(np.float64)

    def at_rest(which: NDArray[np.intp], particles: NDArray[np.intp]) -> Array:
        return transform(back[which], family.p4[particles])

    for pattern in {tuple(sorted(c[:n])) for c, n in zip(codes.tolist(), counts.tolist(), strict=True)}:
        which = np.flatnonzero((counts == len(pattern)) & np.all(
            np.sort(codes, axis=1)[:, 6 - len(pattern):] == np.array(sorted(pattern)), axis=1))
        if not 2 <= len(pattern) <= 4 or _TAU_NEUTRINO not in pattern:
            continue
        out[which] = _pattern(family, which, table[which], codes[which], charge[which], at_rest)
    return out


def _pattern(family, which, table, codes, charge, at_rest):  # type: ignore[no-untyped-def]
    """Polarimeters of decays with the same products; zero for those not known."""
    def one(code: int, number: int = 0) -> NDArray[np.intp]:
        column = np.argsort(codes != code, axis=1, kind="stable")[:, number]
        return np.asarray(table[np.arange(len(table)), column])

    present = sorted(codes[0][codes[0] > 0].tolist())
    hadrons = [c for c in present if c not in (11, 12, 13, 14, _TAU_NEUTRINO)]
    neutrino = at_rest(which, one(_TAU_NEUTRINO))
    for lepton in (11, 13):
        if present == sorted((lepton, lepton + 1, _TAU_NEUTRINO)):
            return -charge[:, None] * units(at_rest(which, one(lepton + 1))[:, :3])
    if len(hadrons) != len(present) - 1:
        return np.zeros((len(which), 3))
    if len(hadrons) == 1 and hadrons[0] in _MESONS:
        return -charge[:, None] * units(at_rest(which, one(hadrons[0]))[:, :3])
    if len(hadrons) == 1 and hadrons[0] in _VECTORS:
        owner, found = family.made(one(hadrons[0]))
        pair = nth(owner, found, len(which), 2)
        good = np.all(pair >= 0, axis=1)
        out = np.zeros((len(which), 3))
        out[good] = two_meson_polarimeter(at_rest(which[good], pair[good, 0]), at_rest(which[good], pair[good, 1]),
                                          neutrino[good], charge[good])
        return out
    if len(hadrons) == 2 and tuple(hadrons) in _TWO:
        return two_meson_polarimeter(at_rest(which, one(hadrons[0])), at_rest(which, one(hadrons[1])), neutrino,
                                     charge)
    if hadrons == [111, 111, 211]:
        rows = (one(111), one(111, 1), one(211))
    elif hadrons == [211, 211, 211]:
        pions = np.stack([one(211, k) for k in range(3)], axis=1)
        same = np.sign(family.code[pions]) == charge[:, None]
        order = np.argsort(~same, axis=1, kind="stable")
        rows = tuple(np.take_along_axis(pions, order, axis=1).T)
    else:
        return np.zeros((len(which), 3))
    return three_pion_polarimeter(*(at_rest(which, r) for r in rows), neutrino, charge)
