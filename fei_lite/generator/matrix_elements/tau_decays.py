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


class _Taus:
    """Decays of taus with the same products: ``codes`` and rows ``table`` (n, 6), 0 and -1 where there are fewer."""

    def __init__(self, family: Family, table: NDArray[np.intp], codes: NDArray, charge: Array, back: Array) -> None:
        self.family, self.table, self.codes, self.charge, self.back = family, table, codes, charge, back

    def rows(self, code: int, number: int = 0) -> NDArray[np.intp]:
        """Rows (n,) of the product ``number`` of a code."""
        column = np.argsort(self.codes != code, axis=1, kind="stable")[:, number]
        return np.asarray(self.table[np.arange(len(self.table)), column])

    def at_rest(self, rows: NDArray[np.intp]) -> Array:
        """Four-momenta (n, 4) in the rest frames of the taus."""
        return transform(self.back, self.family.p4[rows])

    def along(self, code: int) -> Array:
        """h along the flight of a product: of tau-, for tau+ against it."""
        return -self.charge[:, None] * units(self.at_rest(self.rows(code))[:, :3])

    def of_vector(self, code: int, neutrino: Array) -> Array:
        """h of tau -> V nu with V -> two mesons; zero for other decays of the V."""
        owner, found = self.family.made(self.rows(code))
        pair = nth(owner, found, len(self.table), 2)
        two = two_meson_polarimeter(self.at_rest(pair[:, 0]), self.at_rest(pair[:, 1]), neutrino, self.charge)
        return np.where(np.all(pair >= 0, axis=1)[:, None], two, 0.0)

    def like_and_odd(self) -> list[NDArray[np.intp]]:
        """Rows of three charged pions, those of the tau's charge first."""
        pions = np.stack([self.rows(211, k) for k in range(3)], axis=1)
        same = np.sign(self.family.code[pions]) == self.charge[:, None]
        return list(np.take_along_axis(pions, np.argsort(~same, axis=1, kind="stable"), axis=1).T)

    def polarimeters(self) -> Array:
        """h (n, 3); zero for decays that are not known."""
        present = sorted(self.codes[0][self.codes[0] > 0].tolist())
        hadrons = [code for code in present if code not in (11, 12, 13, 14, _TAU_NEUTRINO)]
        neutrino = self.at_rest(self.rows(_TAU_NEUTRINO))
        for lepton in (11, 13):
            if present == sorted((lepton, lepton + 1, _TAU_NEUTRINO)):
                return self.along(lepton + 1)
        if len(hadrons) == len(present) - 1:
            if len(hadrons) == 1 and hadrons[0] in _MESONS:
                return self.along(hadrons[0])
            if len(hadrons) == 1 and hadrons[0] in _VECTORS:
                return self.of_vector(hadrons[0], neutrino)
            if tuple(hadrons) in _TWO:
                first, second = (self.at_rest(self.rows(code)) for code in hadrons)
                return two_meson_polarimeter(first, second, neutrino, self.charge)
            if hadrons in ([111, 111, 211], [211, 211, 211]):
                rows = self.like_and_odd() if hadrons[0] == 211 else [self.rows(111), self.rows(111, 1), self.rows(211)]
                first, second, odd = (self.at_rest(r) for r in rows)
                return three_pion_polarimeter(first, second, odd, neutrino, self.charge)
        return np.zeros((len(self.table), 3))


def polarimeters(family: Family, rows: NDArray[np.intp], back: Array) -> Array:
    """Polarimeter vectors (n, 3) of the taus ``rows``, in their rest frames, to which ``back`` (n, 4, 4) leads.

    A decay that is not known gets a zero vector.
    """
    out = np.zeros((len(rows), 3))
    owner, found = family.made(rows)
    table = nth(owner, found, len(rows), 6)
    codes = np.where(table >= 0, family.absolute[table], 0)
    ordered = np.sort(codes, axis=1)
    charge = -np.sign(family.code[rows]).astype(np.float64)
    for pattern in np.unique(ordered, axis=0):
        which = np.flatnonzero(np.all(ordered == pattern, axis=1))
        if _TAU_NEUTRINO in pattern and np.count_nonzero(pattern) <= 4:
            out[which] = _Taus(family, table[which], codes[which], charge[which], back[which]).polarimeters()
    return out
