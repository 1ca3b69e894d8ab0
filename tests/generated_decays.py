"""Decays looked up in generated events by plain loops over columns, and their angles."""

from __future__ import annotations

import numpy as np

from fei_lite.generator.beams import boost


def rest(p4, frame):
    """``p4`` in the rest frame of ``frame``."""
    return boost(p4, frame * np.array([-1.0, -1.0, -1.0, 1.0]))


def cosine(a, b):
    """Cosines between three-vectors."""
    return np.sum(a[:, :3] * b[:, :3], axis=1) / np.linalg.norm(a[:, :3], axis=1) / np.linalg.norm(b[:, :3], axis=1)


def mass2(p4):
    return p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1)


class Events:
    """Generated particles with absolute mothers and lists of daughters."""

    def __init__(self, batch):
        g = batch.generated
        first = g.offsets[:-1][g.event_index]
        self.mother = np.where(g["mother"] >= 0, g["mother"] + first, -1)
        self.pdg, self.p4, self.g = g["pdg"], g["p4"], g
        self.daughters = {}
        for row, mother in enumerate(self.mother.tolist()):
            self.daughters.setdefault(mother, []).append(row)

    def decays(self, mothers, products):
        """Rows (n, 1 + k): mothers of these absolute codes whose products, photons apart, are ``products`` (absolute),
        in that order; and the sum of the photons of each."""
        wanted, found, photons = sorted(products), [], []
        for row in np.flatnonzero(np.isin(np.abs(self.pdg), mothers)).tolist():
            rows = self.daughters.get(row, [])
            kept = [r for r in rows if self.pdg[r] != 22]
            if sorted(abs(int(self.pdg[r])) for r in kept) != wanted:
                continue
            order = []
            for code in products:
                order.append(next(r for r in kept if abs(self.pdg[r]) == code and r not in order))
            found.append([row, *order])
            photons.append(self.p4[[r for r in rows if self.pdg[r] == 22]].sum(axis=0))
        return np.array(found), np.array(photons)
