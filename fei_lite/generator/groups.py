"""Decay groups of the B mesons: which of them a B decays by is drawn here, the rest by Pythia.

Every mode of a B in the decay table belongs to one group. In Pythia a group is a
particle of its own, a *copy* of the B that has the group's modes in their generic
proportion; generated events get the B's code back. So the group of every B is
known, and may be drawn with other probabilities than generic ones: see
:mod:`fei_lite.generator.enrichment`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError
from fei_lite.generator.decay_table import Mode
from fei_lite.generator.pythia import copy_particle, set_modes

#: Codes of the copies: above 9 000 000 Pythia takes particles for hadrons again, and the last digits
#: stay the quarks of the B.
_FIRST_COPY, _COPY_STEP, MOST_GROUPS = 9_000_000, 10_000, 89


@dataclass(frozen=True)
class Groups:
    """The groups of one B (PDG code ``code``): one entry per group in each array.

    ``copies`` are their codes in Pythia. ``generic`` are their probabilities
    for a generic B, ``enriched`` those for an enriched one, both as drawn, that
    is before the veto of :mod:`fei_lite.generator.fragmentation`, which leaves
    the share ``accepted`` of a group's decays. In an event both B's are generic
    with probability ``generic_share``, otherwise one of them, either with equal
    probability, is enriched.
    """

    code: int
    copies: NDArray[np.int64]
    generic: NDArray[np.float64]
    enriched: NDArray[np.float64]
    accepted: NDArray[np.float64]
    generic_share: float = 1.0

    def draw(self, chance: NDArray[np.float64], enriched: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Copies for uniform random numbers ``chance``, from the enriched groups where ``enriched``; same shape."""
        last = len(self.copies) - 1
        found = np.where(enriched, np.searchsorted(np.cumsum(self.enriched), chance, side="right"),
                         np.searchsorted(np.cumsum(self.generic), chance, side="right"))
        return self.copies[np.minimum(found, last)]

    def weights(self, copies: NDArray) -> NDArray[np.float64]:
        """Weights (n,) that make events generic, from the copies (n, 2; of either sign) of their B's.

        Generic over actual probability of the pair of groups, whichever B was
        the enriched one, both among events that are not vetoed: 1 on average.
        """
        order = np.argsort(self.copies)
        found = order[np.searchsorted(self.copies[order], np.abs(copies)).clip(max=len(order) - 1)]
        if not np.array_equal(self.copies[found], np.abs(copies)):
            raise SimulationError(f"an event has a B that belongs to no group of {self.code}.")
        more = np.divide(self.enriched, self.generic, out=np.zeros(len(self.generic)), where=self.generic > 0.0)
        share = self.generic_share
        norm = share + (1.0 - share) * (self.enriched @ self.accepted) / (self.generic @ self.accepted)
        result: NDArray[np.float64] = norm / (share + (1.0 - share) * more[found].mean(axis=1))
        return result


def group_copy(code: int, number: int) -> int:
    """Pythia's code for group ``number`` of a B.

    >>> group_copy(521, 3)
    9030521
    """
    if not 0 <= number < MOST_GROUPS:
        raise SimulationError(f"decay groups of {code}: got number {number}, expected below {MOST_GROUPS}.")
    return _FIRST_COPY + _COPY_STEP * number + code


def install_copy(pythia: Any, copy: int, code: int, modes: Iterable[Mode]) -> None:
    """Define the copy of a B that has the given modes; :class:`SimulationError` if one cannot be."""
    copy_particle(pythia, copy, code)
    for finding in set_modes(pythia, copy, modes):
        raise SimulationError(f"decay group of {code}: {finding}.")


def codes_of(groups: Mapping[int, Groups]) -> dict[int, int]:
    """The B's code of every copy."""
    return {int(copy): code for code, found in groups.items() for copy in found.copies}
