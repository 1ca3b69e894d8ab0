"""Hadronic systems whose mass a model draws before Pythia decays the event: Xs of B -> Xs nu nu, Xu of B -> Xu l nu.

In Pythia such a system has no width, and its mass is set anew for each event. Xs,
which other decays make, is a copy there; two Xu in an event have the same mass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fei_lite.generator.decay_files.signal import Copy, SignalDecay
from fei_lite.generator.decay_table import Mode, belle2_table, require_modes
from fei_lite.generator.matrix_elements.dineutrino import XS_NUNU
from fei_lite.generator.matrix_elements.system import System

#: Codes of the copies, with what they stand for; the last digits, the quarks, stay.
SYSTEMS = {130_343: 30_343, 130_353: 30_353, 140_343: -30_343, 140_353: -30_353}

_BLOCK = 2000  # masses drawn at a time, so that the sequence does not depend on the batches


def with_systems(signal: SignalDecay) -> SignalDecay:
    """A signal decay in which the systems of its inclusive models are copies with masses of their own."""
    codes = {code: copy for copy, code in SYSTEMS.items()}
    used: set[int] = set()

    def changed(mode: Mode) -> Mode:
        if mode.model != XS_NUNU:
            return mode
        used.update(codes[c] for c in mode.products if c in codes)
        return replace(mode, products=tuple(codes.get(c, c) for c in mode.products))

    copies = {copy: replace(entry, modes=tuple(map(changed, entry.modes))) for copy, entry in signal.copies.items()}
    for copy in sorted(used):
        code = SYSTEMS[copy]
        modes = tuple(mode if code > 0 else replace(mode, products=tuple(-c for c in mode.products))
                      for mode in require_modes(belle2_table(), abs(code)))  # of quarks only
        copies[copy] = Copy(str(code), code, modes, (0,) * len(modes))
    return replace(signal, copies=copies) if used else signal


def system_masses(pythia: Any, systems: Sequence[System], rng: np.random.Generator) -> Callable[[], None] | None:
    """What sets the masses of the systems before each event of ``pythia``; None if there are none."""
    if not systems:
        return None
    data = pythia.particleData
    models = {}
    for system in systems:
        copies = [copy for copy, code in SYSTEMS.items() if abs(code) == system.hadron]
        models.update({code: system for code in copies or [system.hadron] if data.isParticle(code)})
    mother = data.m0(521)
    for code in models:
        data.mWidth(code, 0.0)
    waiting: dict[int, list[float]] = {code: [] for code in models}

    def before() -> None:
        for code, model in models.items():
            if not waiting[code]:
                waiting[code] = model.reserve(_BLOCK, mother, rng).tolist()
            data.m0(code, waiting[code].pop())

    return before
