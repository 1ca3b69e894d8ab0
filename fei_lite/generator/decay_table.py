"""The Belle II decay table, translated from EvtGen's language into Pythia's.

The table is `DECAY_BELLE2.DEC` as shipped by decaylanguage. Branching
fractions and products are taken over as they are; EvtGen's decay models
become Pythia's matrix elements where Pythia has one (see :func:`matrix_element`)
and phase space elsewhere. What cannot be translated is kept as a finding.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError, UnknownNameError
from fei_lite.generator.decay_files.grammar import statements_of
from fei_lite.generator.decay_files.state import State, carried_out
from fei_lite.generator.decay_files.statements import DecayLine
from fei_lite.generator.particle_names import code_of

#: Models whose kinematics :mod:`fei_lite.generator.matrix_elements` draws after Pythia: phase space serves until then.
DRAWN_ANEW = frozenset({"BCL", "BGL", "HQET", "HQET2", "HQET3", "ISGW2", "LLSW", "SLPOLE", "SLBKPOLE", "VUB"})

_LEPTONS, _NEUTRINOS = (11, 13, 15), (12, 14, 16)
_PHASE_SPACE, _OMEGA, _POLARISED, _DALITZ, _DOUBLE_DALITZ, _WEAK = 0, 1, 2, 11, 13, 22

#: Particles whose own Pythia decays are better than a phase-space translation:
#: Pythia's tau decays carry the resonances and currents of the hadronic modes.
KEEP_PYTHIAS = (15,)


@dataclass(frozen=True)
class Mode:
    """One decay channel: branching fraction, products (PDG codes), Pythia's matrix element, EvtGen model.

    ``parameters`` are those of the model, as words, with ``Define`` and ``ModelAlias`` put in.
    """

    fraction: float
    products: tuple[int, ...]
    matrix_element: int
    model: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something of the table that was not taken over."""

    mother: str
    what: str
    fraction: float

    def __str__(self) -> str:
        return f"{self.mother}: {self.what} (branching fraction {self.fraction:.3g})"


@dataclass(frozen=True)
class DecayTable:
    """Decay modes by the PDG code of the mother (particles only; Pythia conjugates), and findings.

    ``exclusive[code]`` are the products of the mother's modes without partons,
    also of modes that the table gives no fraction: fragmentation may not make
    them. ``renormalised[code]`` is the sum of the fractions that were taken
    over, to which Pythia normalises.
    """

    modes: Mapping[int, tuple[Mode, ...]]
    findings: tuple[Finding, ...]
    exclusive: Mapping[int, frozenset[tuple[int, ...]]]

    @property
    def renormalised(self) -> dict[int, float]:
        """Sum of the branching fractions that were taken over, by mother."""
        return {code: sum(mode.fraction for mode in modes) for code, modes in self.modes.items()}


def is_parton(codes: NDArray) -> NDArray[np.bool_]:
    """Whether PDG codes are quarks, gluons, diquarks, or Pythia's own objects such as clusters.

    >>> is_parton(np.array([2, 21, -2103, 82, 22, 2212, 3122, 113])).tolist()
    [True, True, True, True, False, False, False, False]
    """
    absolute = np.abs(codes)
    diquark = (absolute > 1000) & (absolute < 10000) & (absolute // 10 % 10 == 0)
    return np.asarray((absolute <= 8) | (absolute == 21) | diquark | ((absolute >= 81) & (absolute <= 99)))


def fragments(mode: Mode) -> bool:
    """Whether a mode decays into partons, which then fragment."""
    return not mode.products or bool(is_parton(np.array(mode.products)).any())


def ordered_products(codes: Sequence[int], element: int) -> tuple[int, ...]:
    """Products in the order of Pythia's matrix elements.

    Weak: the charged lepton's neutrino, the lepton, all others. Dalitz: the lepton pair last.

    >>> ordered_products([-411, -11, 12], 22), ordered_products([11, -12, 16], 22)
    ((12, -11, -411), (-12, 11, 16))
    """
    if element == _DALITZ:
        return tuple(sorted(codes, key=lambda code: abs(code) in _LEPTONS))
    if element != _WEAK:
        return tuple(codes)
    leptons = [abs(code) for code in codes if abs(code) in _LEPTONS]
    rank = {**{lepton + 1: 0 for lepton in leptons}, **dict.fromkeys(leptons, 1)}
    return tuple(sorted(codes, key=lambda code: rank.get(abs(code), 2)))


def matrix_element(mother: int, model: str, parameters: Sequence[object], codes: Sequence[int]) -> int:
    """Pythia's meMode for an EvtGen model.

    PYTHIA and JETSET: their number (fragmentation of partons). Semileptonic
    decays (a charged lepton, its neutrino, hadrons) and leptonic ones of the tau: 22, the V-A element.
    omega -> 3 pi: 1. V -> P P and V -> P gamma: 2, which aligns the decay where
    the V came from P -> V P. Dalitz decays: 11 and 13. All others phase space.

    >>> matrix_element(511, "MELIKHOV", [], [-413, -11, 12]), matrix_element(413, "VSS", [], [421, 211])
    (22, 2)
    """
    if model in ("PYTHIA", "JETSET"):
        return int(float(str(parameters[0]))) if parameters else _PHASE_SPACE
    if model == "OMEGA_DALITZ":
        return _OMEGA
    if model in ("VSS", "VSS_BMIX", "VSP_PWAVE") and len(codes) == 2:
        return _POLARISED
    if model == "PI0_DALITZ":
        return _DALITZ
    if model in DRAWN_ANEW or model == "PHSP":
        return _PHASE_SPACE
    absolute = [abs(code) for code in codes]
    if abs(mother) == 15 and len(codes) == 3 and sum(a in _NEUTRINOS for a in absolute) == 2:
        return _WEAK
    charged = sum(a in _LEPTONS for a in absolute)
    if sorted(absolute) in ([11, 11, 11, 11], [11, 11, 13, 13]) and abs(mother) == 111:
        return _DOUBLE_DALITZ
    if charged == 1 and sum(a in _NEUTRINOS for a in absolute) == 1 and len(codes) >= 3 and 22 not in absolute:
        return _WEAK
    return _PHASE_SPACE


def shipped_table_path() -> Path:
    """The Belle II decay table of decaylanguage."""
    from decaylanguage.data import basepath

    return Path(str(basepath / "DECAY_BELLE2.DEC"))


def table_hash() -> str:
    """SHA-256 of the decay table, 16 digits: part of what identifies a sample."""
    return hashlib.sha256(shipped_table_path().read_bytes()).hexdigest()[:16]


@cache
def table_state() -> State:
    """What EvtGen knows after the shipped table: names, aliases and blocks (takes two seconds, once per process)."""
    path = shipped_table_path()
    return carried_out(statements_of(path.read_text(encoding="utf-8"), path.name), path.name)


@cache
def belle2_table() -> DecayTable:
    """Translate the shipped table."""
    return translate(table_state())


def translate(state: State) -> DecayTable:
    """Translate the mothers of a table; conjugates follow from their particles."""
    modes: dict[int, tuple[Mode, ...]] = {}
    exclusive: dict[int, frozenset[tuple[int, ...]]] = {}
    findings: list[Finding] = []
    for mother, block in state.blocks.items():
        if mother in state.aliases or block.keyword == "CDecay":
            continue  # an alias is decayed where it is used, by the table of its own file
        try:
            code = code_of(mother, {})
        except UnknownNameError:
            findings.append(Finding(mother, "unknown mother, all its modes left out", 1.0))
            continue
        if code < 0 or code in KEEP_PYTHIAS:
            continue
        found, lost = mother_modes(block.modes, mother, code, state.aliases)
        findings += lost
        exclusive[code] = frozenset(tuple(sorted(m.products)) for m in found if not fragments(m))
        if found := tuple(mode for mode in found if mode.fraction > 0.0):
            modes[code] = found
    return DecayTable(modes, tuple(findings), exclusive)


def mother_modes(lines: Sequence[DecayLine], mother: str, code: int,
                 aliases: Mapping[str, str]) -> tuple[tuple[Mode, ...], list[Finding]]:
    """The modes of one mother, and what could not be translated (of positive fraction)."""
    modes, findings = [], []
    for line in lines:
        try:
            codes = [code_of(name, aliases) for name in line.daughters]
        except UnknownNameError as error:
            if line.fraction > 0.0:
                findings.append(Finding(mother, f"-> {line}: {error}", line.fraction))
            continue
        element = matrix_element(code, line.model, line.parameters, codes)
        modes.append(Mode(line.fraction, ordered_products(codes, element), element, line.model, line.parameters))
    return tuple(modes), findings


def parton_shape(codes: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Numbers of quarks, diquarks, gluons, Pythia's own objects, and all others.

    >>> parton_shape([-4, 2, 2101, -1]), parton_shape([22, 21, 21])
    ((3, 1, 0, 0, 0), (0, 0, 2, 0, 1))
    """
    absolute = [abs(code) for code in codes]
    quarks, gluons = sum(code <= 8 for code in absolute), sum(code == 21 for code in absolute)
    diquarks = sum(1000 < code < 10_000 and code // 10 % 10 == 0 for code in absolute)
    own = sum(80 < code < 100 for code in absolute)
    return quarks, diquarks, gluons, own, len(codes) - quarks - diquarks - gluons - own


@cache
def fragmentation_elements() -> Mapping[tuple[int, int, int, int, int], tuple[int, ...]]:
    """Pythia's matrix elements that the table has for each :func:`parton_shape`, the most frequent first.

    With others Pythia may never come to an end: 23 with two diquarks, say.
    """
    found: dict[tuple[int, int, int, int, int], Counter[int]] = {}
    for modes in belle2_table().modes.values():
        for mode in modes:
            if mode.products and fragments(mode):
                found.setdefault(parton_shape(mode.products), Counter())[mode.matrix_element] += 1
    return {shape: tuple(element for element, _ in counts.most_common()) for shape, counts in found.items()}


def require_modes(table: DecayTable, code: int) -> tuple[Mode, ...]:
    """The modes of a particle; :class:`SimulationError` if the table has none."""
    if code not in table.modes:
        raise SimulationError(f"the decay table has no modes for PDG code {code}.")
    return table.modes[code]
