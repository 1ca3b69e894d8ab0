"""Mothers and daughters in a block of generated events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fei_lite.events import Jagged
from fei_lite.generator.pythia import relabel

Array = NDArray[np.float64]


class Family:
    """A block of records: ``mother`` (n,) rows or -1, ``code`` PDG codes with copies named as what they stand for.

    ``raw`` are the codes of Pythia's record, where only groups of B decays
    (``copies``) are so named, not the private particles (``meant``) of a signal
    decay; ``radiated`` marks photons that charged particles radiated.
    """

    def __init__(self, records: Jagged, copies: Mapping[int, int], meant: Mapping[int, int]) -> None:
        self.raw = relabel(records["pdg"], copies) if copies else records["pdg"]
        self.code = relabel(self.raw, meant) if meant else self.raw
        self.absolute = np.abs(self.code)
        self.radiated = records["radiated"]
        self.p4, self.x4 = records["p4"], records["x4"]
        first = records.offsets[:-1][records.event_index]
        self.mother = np.where(records["mother"] >= 0, records["mother"] + first, -1)
        self.event = records.event_index

    def daughters(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Positions in ``rows`` and rows of all daughters, in the order of the record."""
        slot = np.full(len(self.mother) + 1, -1)  # the last entry is for particles without a mother
        slot[rows] = np.arange(len(rows))
        owner = slot[self.mother]
        found = np.flatnonzero(owner >= 0)
        return owner[found], found

    def made(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """:meth:`daughters` without radiated photons."""
        owner, found = self.daughters(rows)
        kept = ~self.radiated[found]
        return owner[kept], found[kept]


def nth(owner: NDArray[np.intp], rows: NDArray[np.intp], n: int, most: int) -> NDArray[np.intp]:
    """Daughters as a table (n, ``most``) of rows, -1 where there are fewer; further ones are left out."""
    out = np.full((n, most), -1, dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    owner, rows = owner[order], rows[order]
    counts = np.bincount(owner, minlength=n)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < most
    out[owner[kept], place[kept]] = rows[kept]
    return out
