"""What the beams make for a decay file: pairs of B's, other modes of the Upsilon(4S), a virtual photon, continuum.

A file says so by its block of the ``Upsilon(4S)`` or of ``vpho``, the virtual photon; without one by what it decays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fei_lite.errors import SimulationError
from fei_lite.generator.decay_files.state import Block, State
from fei_lite.generator.decay_files.statements import DecayLine
from fei_lite.generator.particle_names import NOT_SIMULATED

UPSILON, PHOTON = "Upsilon(4S)", "vpho"
B_MESONS = (511, 521)
#: The continuum process of each fermion.
CONTINUUM = {1: "ddbar", 2: "uubar", 3: "ssbar", 4: "ccbar", 15: "taupair"}
_SIGNAL, _TAU, _CHARM = "signal", 15, 4


@dataclass(frozen=True)
class NamedPair:
    """A pair of B's or taus by name, how often, and the names that mixing makes of them (none: no mixing)."""

    first: str
    second: str
    fraction: float
    mixed: tuple[str, str] | None = None


@dataclass(frozen=True)
class Start:
    """What the beams make: the process (``signal``, or one of the continuum), and in which pairs.

    ``root`` (Upsilon(4S), vpho, or none) has modes that are no such pairs: ``others``.
    """

    process: str
    pairs: tuple[NamedPair, ...] = ()
    root: str = ""
    others: tuple[DecayLine, ...] = ()


def start_of(state: State, place: str, process: str = _SIGNAL) -> Start:
    """The start of a file for a process. Raises :class:`SimulationError` if nothing that it decays is ever made.

    With a block of the Upsilon(4S), its pairs and other modes. Without one, the table's pairs of the B's that
    the file decays by their own name, both B's of an event alike. A block of the virtual photon is a continuum
    process if all its modes are pairs of one quark, or of taus; else its modes, at the energy of the beams.
    A file with neither that decays taus or charm is about pairs of taus or ccbar; any other, about nothing.
    """
    own = _own_start(state, place)
    if process == _SIGNAL:
        if own is None:
            raise SimulationError(_nothing_made(state, place))
        return own
    if own is not None and own.process == process:
        return own
    if own is not None and (own.process == _SIGNAL or _says_so(state)):
        raise SimulationError(f"{place}: the file is about '{own.process}' events, not about {process}: "
                              f"fei-lite simulate {own.process} --dec ... makes them.")
    return Start(process)


def _says_so(state: State) -> bool:
    return any(state.blocks[name].own for name in (UPSILON, PHOTON) if name in state.blocks)


def _own_start(state: State, place: str) -> Start | None:
    """What a file says about its start, or what it decays tells; None if neither."""
    block = state.blocks[UPSILON]
    if block.own:
        return _upsilon(block.modes, state, place)
    if PHOTON in state.blocks and state.blocks[PHOTON].own:
        return _photon(state.blocks[PHOTON], state, place)
    decayed = {name: abs(state.code(name)) for name, b in state.blocks.items() if b.own}
    real = {code for name, code in decayed.items() if name not in state.aliases}
    if real & set(B_MESONS):
        lines = [line for line in block.modes if abs(state.code(line.daughters[0])) in real]
        return _upsilon(lines, state, place)
    if set(decayed.values()) & set(B_MESONS):
        return None
    if _TAU in real:
        return Start(CONTINUUM[_TAU])
    return Start(CONTINUUM[_CHARM]) if any(_is_charmed(code) for code in real) else None


def _is_charmed(code: int) -> bool:
    """Whether a hadron has one charm quark.

    >>> [_is_charmed(code) for code in (413, 10431, 4122, 443, 511, 211)]
    [True, True, True, False, False, False]
    """
    digits = [code // 1000 % 10, code // 100 % 10, code // 10 % 10]
    return code > 100 and digits.count(_CHARM) == 1 and max(digits) == _CHARM


def _nothing_made(state: State, place: str) -> str:
    """The message for a file that decays nothing that is made."""
    own = {name: b for name, b in state.blocks.items() if b.own}
    if decayed := [name for name in own if abs(state.code(name)) in B_MESONS]:
        return (f"{place}: line {own[decayed[0]].line}: {', '.join(decayed)}: never made: no "
                f"'Decay {UPSILON}' says how (such as '0.5 B+sig B- VSS;').")
    for name, block in own.items():
        if (meant := NOT_SIMULATED.get(state.aliases.get(name, name))) is not None:
            return (f"{place}: line {block.line}: Decay {name}: {meant}: not simulated by decay files; a file decays a "
                    f"B+ or B0 (or an alias of one), the {UPSILON}, the virtual photon ({PHOTON}), charm or taus.")
    return (f"{place}: no 'Decay' of a B+ or B0 (or of an alias of one), of the {UPSILON}, of the virtual photon "
            f"({PHOTON}), of charm or taus by their own names; found {', '.join(own) or 'none'}.")


def _upsilon(lines: Sequence[DecayLine], state: State, place: str) -> Start:
    """Pairs of B's, and the other modes of an Upsilon(4S)."""
    pairs: list[NamedPair] = []
    others = []
    for line in lines:
        codes = [abs(state.code(name)) for name in line.daughters]
        if line.fraction <= 0.0:
            continue
        if set(codes) <= set(B_MESONS) and len(codes) in (2, 4):
            pairs += _pairs_of_line(line, state, place)
        else:
            others.append(line)
    return Start(_SIGNAL, tuple(pairs), UPSILON if others else "", tuple(others))


def _photon(block: Block, state: State, place: str) -> Start:
    """What a virtual photon becomes."""
    lines = [line for line in block.modes if line.fraction > 0.0]
    made = {_fermion(line, state) for line in lines}
    if len(made) != 1 or made == {0}:
        return Start(_SIGNAL, root=PHOTON, others=tuple(lines))
    process = CONTINUUM[made.pop()]
    if process != CONTINUUM[_TAU]:
        return Start(process)
    ordered = [line.daughters if state.code(line.daughters[0]) > 0 else line.daughters[::-1] for line in lines]
    return Start(process, tuple(NamedPair(minus, plus, line.fraction)
                                for (minus, plus), line in zip(ordered, lines, strict=True)))


def _fermion(line: DecayLine, state: State) -> int:
    """PDG code of a fermion that a mode has with its antifermion, of those of the continuum; else 0."""
    codes = sorted(state.code(name) for name in line.daughters)
    return codes[1] if len(codes) == 2 and codes[0] == -codes[1] and codes[1] in CONTINUUM else 0


def _pairs_of_line(line: DecayLine, state: State, place: str) -> list[NamedPair]:
    """The pairs of one mode of the Upsilon(4S)."""
    names = line.daughters
    codes = [state.code(name) for name in names]
    mixes = line.model.startswith("VSS_BMIX") or line.model in ("VSSBMixNP", "VSSBMIXCPT")
    where = f"{place}: line {line.line}: {UPSILON} -> {line}"
    if len(names) == 4 and not mixes:
        raise SimulationError(f"{where}: four B's go with the model VSS_BMIX; got {line.model}.")
    for one, other in zip(codes[::2], codes[1::2], strict=True):
        if one != -other and not (one == other and abs(one) == 511 and len(names) == 2 and not mixes):
            raise SimulationError(f"{where}: expected a B and its antiparticle.")
    if len(names) == 2:
        first, second = names
        mixed = None
        if mixes and abs(codes[0]) == 511:
            mixed = (_conjugate(first, second, state), _conjugate(second, first, state))
        return [NamedPair(first, second, line.fraction, mixed)]
    a, anti_a, b, anti_b = names
    if codes[0] != codes[2]:
        b, anti_b = anti_b, b
    half = 0.5 * line.fraction
    return [NamedPair(a, anti_b, half, (anti_a, b)), NamedPair(b, anti_a, half, (anti_b, a))]


def _conjugate(name: str, other: str, state: State) -> str:
    """What mixing makes of a B beside another; that one, if a file's alias has no ChargeConj."""
    try:
        return state.conjugate(name)
    except SimulationError:
        return other
