"""The Belle II decay table, translated from EvtGen's language into Pythia's.

The table is `DECAY_BELLE2.DEC` as shipped by decaylanguage. Branching
fractions and products are taken over as they are; EvtGen's decay models
become Pythia's matrix elements where Pythia has one (see :func:`matrix_element`)
and phase space elsewhere. What cannot be translated is kept as a finding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError, UnknownNameError
from fei_lite.particles import pdg_code

#: Quarks and diquarks of the fragmentation modes (PDG numbering scheme).
PARTONS: Mapping[str, int] = {
    "d": 1, "u": 2, "s": 3, "c": 4, "b": 5, "g": 21, "dd_1": 1103, "ud_0": 2101, "ud_1": 2103, "uu_1": 2203,
    "sd_0": 3101, "sd_1": 3103, "su_0": 3201, "su_1": 3203, "ss_1": 3303, "cd_0": 4101, "cd_1": 4103,
    "cu_0": 4201, "cu_1": 4203, "cs_0": 4301, "cs_1": 4303,
}

#: Names that the `particle` package does not know, with the codes of EvtGen's particle table.
EXTRA_NAMES: Mapping[str, int] = {
    "D'_1+": 20413, "D'_1-": -20413, "D(2S)+": 100411, "D(2S)-": -100411, "D(2S)0": 100421, "anti-D(2S)0": -100421,
    "D*(2S)+": 100413, "D*(2S)-": -100413, "D*(2S)0": 100423, "anti-D*(2S)0": -100423,
    "Xsd": 30343, "anti-Xsd": -30343, "Xsu": 30353, "anti-Xsu": -30353, "Xss": 30363, "anti-Xss": -30363,
    "Xu0": 30113, "Xu+": 30213, "Xu-": -30213, "rndmflav": 82, "anti-rndmflav": -82,
}

#: Models whose kinematics :mod:`fei_lite.generator.matrix_elements` draws after Pythia: phase space serves until then.
DRAWN_ANEW = frozenset({"BCL", "BGL", "HQET", "HQET2", "HQET3", "ISGW2", "LLSW", "SLPOLE", "SLBKPOLE", "VUB"})

_LEPTONS, _NEUTRINOS = (11, 13, 15), (12, 14, 16)
_PHASE_SPACE, _OMEGA, _POLARISED, _DALITZ, _DOUBLE_DALITZ, _WEAK = 0, 1, 2, 11, 13, 22

#: Particles whose own Pythia decays are better than a phase-space translation:
#: Pythia's tau decays carry the resonances and currents of the hadronic modes.
KEEP_PYTHIAS = (15,)


@dataclass(frozen=True)
class Mode:
    """One decay channel: branching fraction, products (PDG codes), matrix element, EvtGen model and its parameters."""

    fraction: float
    products: tuple[int, ...]
    matrix_element: int
    model: str
    parameters: tuple[float, ...] = ()


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


def code_of(name: str, aliases: Mapping[str, str]) -> int:
    """PDG code of a name of the table: alias, parton or particle.

    Raises :class:`UnknownNameError`.

    >>> code_of("anti-cd_0", {}), code_of("MyPi", {"MyPi": "pi+"})
    (-4101, 211)
    """
    name = aliases.get(name, name)
    for known in (PARTONS, EXTRA_NAMES):
        if name in known:
            return known[name]
    if name.startswith("anti-") and name[5:] in PARTONS:
        return -PARTONS[name[5:]]
    return pdg_code(name)


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

    Weak: neutrino, lepton, hadrons. Dalitz: the lepton pair last.
    """
    if element == _DALITZ:
        return tuple(sorted(codes, key=lambda code: abs(code) in _LEPTONS))
    if element != _WEAK:
        return tuple(codes)
    rank = {**dict.fromkeys(_NEUTRINOS, 0), **dict.fromkeys(_LEPTONS, 1)}
    partners = {abs(code) + 1 for code in codes if abs(code) in _LEPTONS}  # of two neutrinos, the lepton's is first
    return tuple(sorted(codes, key=lambda code: (rank.get(abs(code), 2), abs(code) not in partners)))


def matrix_element(mother: int, model: str, parameters: Sequence[object], codes: Sequence[int]) -> int:
    """Pythia's meMode for an EvtGen model.

    PYTHIA and JETSET: their number (fragmentation of partons). Semileptonic
    decays (a charged lepton, its neutrino, hadrons): 22, the V-A element.
    omega -> 3 pi: 1. V -> P P and V -> P gamma: 2, which aligns the decay where
    the V came from P -> V P. Dalitz decays: 11 and 13. All others phase space.

    >>> matrix_element(511, "GOITY_ROBERTS", [], [-411, 111, -11, 12]), matrix_element(413, "VSS", [], [421, 211])
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
    if model == "TAULNUNU" and len(codes) == 3:
        return _WEAK  # the V-A element with the lepton's neutrino first
    if model in DRAWN_ANEW or model == "PHSP":
        return _PHASE_SPACE
    absolute = [abs(code) for code in codes]
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
def belle2_table() -> DecayTable:
    """Translate the shipped table (takes about two seconds, once per process)."""
    return translate(shipped_table_path())


def translate(path: Path) -> DecayTable:
    """Translate the mothers of a table; conjugates follow from their particles."""
    from decaylanguage import DecFileParser

    parser = DecFileParser(str(path))
    parser.parse(include_ccdecays=False)
    aliases = parser.dict_aliases()
    modes: dict[int, tuple[Mode, ...]] = {}
    exclusive: dict[int, frozenset[tuple[int, ...]]] = {}
    findings: list[Finding] = []
    for mother in parser.list_decay_mother_names():
        if mother in aliases:
            continue  # an alias is decayed where it is used, by the table of its own file
        try:
            code = code_of(mother, {})
        except UnknownNameError:
            findings.append(Finding(mother, "unknown mother, all its modes left out", 1.0))
            continue
        if code < 0 or code in KEEP_PYTHIAS:
            continue
        found, lost = mother_modes(parser, mother, code, aliases)
        findings += lost
        exclusive[code] = frozenset(tuple(sorted(m.products)) for m in found if not fragments(m))
        if found := tuple(mode for mode in found if mode.fraction > 0.0):
            modes[code] = found
    return DecayTable(modes, tuple(findings), exclusive)


def mother_modes(parser, mother: str, code: int,  # type: ignore[no-untyped-def]
                 aliases: Mapping[str, str]) -> tuple[tuple[Mode, ...], list[Finding]]:
    """The modes of one mother in a parsed file, and what could not be translated (of positive fraction)."""
    from decaylanguage.dec.dec import (
        get_branching_fraction,
        get_final_state_particle_names,
        get_model_name,
        get_model_parameters,
    )

    modes, findings = [], []
    for line in parser._find_decay_modes(mother):
        fraction = float(get_branching_fraction(line))
        names = get_final_state_particle_names(line)
        model = str(get_model_name(line))
        try:
            codes = [code_of(name, aliases) for name in names]
        except UnknownNameError as error:
            if fraction <= 0.0:
                continue
            findings.append(Finding(mother, f"-> {' '.join(names)}: {error}", fraction))
            continue
        given = list(get_model_parameters(line) or [])
        element = matrix_element(code, model, given, codes)
        parameters = tuple(float(p) for p in given if isinstance(p, int | float))
        modes.append(Mode(fraction, ordered_products(codes, element), element, model, parameters))
    return tuple(modes), findings


def require_modes(table: DecayTable, code: int) -> tuple[Mode, ...]:
    """The modes of a particle; :class:`SimulationError` if the table has none."""
    if code not in table.modes:
        raise SimulationError(f"the decay table has no modes for PDG code {code}.")
    return table.modes[code]
