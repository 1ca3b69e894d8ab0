"""Hadronic systems whose mass is drawn with q2, before Pythia decays the event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError

Array = NDArray[np.float64]

_PATIENCE = 20  # rounds without any draw that fits
_KEPT = 8  # blocks of draws that are remembered: Pythia's events follow at once


@dataclass
class System(ABC):
    """A hadronic system X (absolute PDG code ``hadron``) of B -> X lepton neutrino.

    What was drawn is kept for a while: the event that got a mass is found by it.
    """

    hadron: int
    _drawn: list[Array] = field(default_factory=list, init=False, repr=False)

    @abstractmethod
    def tried(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """M(X), q2, and transverse over longitudinal rate, (3, k), of those of ``n`` tries that are kept; GeV."""

    def fresh(self) -> System:
        """The same model, with nothing drawn."""
        return replace(self)

    def draw(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """M(X), q2, and transverse over longitudinal rate (3, n), for a B of ``mass`` GeV."""
        found: list[Array] = []
        missing, rounds = n, 0
        while missing > 0:
            found.append(self.tried(4 * missing + 100, mass, rng))
            missing -= found[-1].shape[1]
            rounds += 1
            if rounds > _PATIENCE and missing == n:
                raise SimulationError(f"no mass of the hadrons {self.hadron} fits a mother of {mass:g} GeV.")
        return np.concatenate(found, axis=1)[:, :n]

    def reserve(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """Masses (n,) for the next events."""
        drawn = self.draw(n, mass, rng)
        self._drawn = [*self._drawn[1 - _KEPT:], drawn]
        return np.asarray(drawn[0])

    def belonging(self, masses: Array) -> tuple[Array, Array]:
        """q2 (n,) and helicity amplitudes (4, n) that belong to masses that were reserved.

        The quark is left-handed: amplitudes 0 and - only.
        """
        known, q2, transverse = np.concatenate(self._drawn, axis=1)
        order = np.argsort(known)
        place = np.searchsorted(known[order], masses).clip(1, len(known) - 1)
        left = np.abs(known[order][place - 1] - masses) < np.abs(known[order][place] - masses)
        rows = order[place - left]
        none = np.zeros(len(rows))
        return q2[rows], np.stack([none, none + 1.0, np.sqrt(transverse[rows]), none])
