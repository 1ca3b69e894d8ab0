"""Decays into more products than Pythia makes: steps between, which no event has.

Pythia makes up to eight products. Of more, it makes seven and a step, a particle without width that decays into the
others; the step is left out of the events, and :mod:`fei_lite.generator.matrix_elements.many_body` draws all
products anew in phase space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.decay_files.checks import three_charge
from fei_lite.generator.pythia import read

#: Pythia's largest number of products.
PYTHIAS_MOST = 8
#: Codes of the steps: free in PDG's scheme and in Pythia, and no hadrons there.
_FIRST, _LAST = 6_000_001, 6_099_999


def is_step(codes: NDArray) -> NDArray[np.bool_]:
    """Whether codes are those of steps.

    >>> is_step(np.array([6000001, -6000002, 521, 9000521])).tolist()
    [True, True, False, False]
    """
    absolute = np.abs(codes)
    return np.asarray((absolute >= _FIRST) & (absolute <= _LAST))


def within_limit(pythia: Any, mother: int, products: Sequence[int]) -> tuple[int, ...]:
    """Products that Pythia can make of ``mother``: the last ones are replaced by a step if there are too many.

    The step has the part of the free energy that its products have in phase space on average.
    """
    if len(products) <= PYTHIAS_MOST:
        return tuple(products)
    data = pythia.particleData
    masses = [data.m0(abs(code)) for code in products]
    first, rest = products[:PYTHIAS_MOST - 1], products[PYTHIAS_MOST - 1:]
    free = max(data.m0(abs(mother)) - sum(masses), 0.0)
    mass = sum(masses[len(first):]) + free * (len(rest) - 1) / (len(products) - 1)
    step = next(code for code in range(_FIRST, _LAST) if not data.isParticle(code))
    charge = sum(_charge(data, code) for code in rest)
    read(pythia, f"{step}:new = Step{step} void 1 {charge} 0 {mass:.9g} 0 0 0 0")
    read(pythia, f"{step}:isResonance = off")
    inner = within_limit(pythia, step, rest)
    read(pythia, f"{step}:oneChannel = 1 1.0 0 " + " ".join(map(str, inner)))
    read(pythia, f"{step}:mayDecay = on")
    return (*first, step)


def _charge(data: Any, code: int) -> int:
    """3 x charge of a particle, or of a copy, which has no antiparticle."""
    return int(data.chargeType(code)) if data.isParticle(code) else three_charge(code)
