"""Hadronic systems whose mass a model draws before Pythia decays the event: Xs of B -> Xs nu nu.

In Pythia such a system is a particle of its own, a copy without a width, whose
mass is set anew for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fei_lite.generator.decay_file import SignalDecay
from fei_lite.generator.decay_table import Mode, belle2_table, require_modes
from fei_lite.generator.matrix_elements.dineutrino import XS_NUNU, FermiMotion

#: Codes of the copies, with what they stand for; the last digits, the quarks, stay.
SYSTEMS = {130_343: 30_343, 130_353: 30_353}

_BLOCK = 2000  # masses drawn at a time, so that the sequence does not depend on the batches


def with_systems(signal: SignalDecay) -> SignalDecay:
    """A signal decay in which the systems of its inclusive models are copies with masses of their own."""
    copies = {code: copy for copy, code in SYSTEMS.items()}
    used: set[int] = set()

    def changed(mode: Mode) -> Mode:
        if mode.model != XS_NUNU:
            return mode
        used.update(copies[abs(c)] for c in mode.products if abs(c) in copies)
        return replace(mode, products=tuple(copies.get(abs(c), abs(c)) * (1 if c > 0 else -1) for c in mode.products))

    modes = {code: tuple(changed(mode) for mode in found) for code, found in signal.modes.items()}
    if not used:
        return signal
    return replace(signal, private={**signal.private, **{copy: SYSTEMS[copy] for copy in used}},
                   modes={**modes, **{copy: require_modes(belle2_table(), SYSTEMS[copy]) for copy in used}})


def system_masses(pythia: Any, motions: Sequence[FermiMotion], rng: np.random.Generator) -> Callable[[], None] | None:
    """What sets the masses of the systems before each event of ``pythia``; None if there are no ``motions``."""
    if not motions:
        return None
    data = pythia.particleData
    waiting: dict[int, list[float]] = {}
    motion = {next(copy for copy, code in SYSTEMS.items() if code == m.hadron): m for m in motions}
    mother = data.m0(521)
    for copy in motion:
        data.mWidth(copy, 0.0)

    def before() -> None:
        for copy, model in motion.items():
            if not waiting.get(copy):
                waiting[copy] = model.reserve(_BLOCK, mother, rng).tolist()
            data.m0(copy, waiting[copy].pop())

    return before
