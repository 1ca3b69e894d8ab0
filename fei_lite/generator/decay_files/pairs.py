"""Which B pairs a decay file starts from: its ``Upsilon(4S)`` block, or that of the table."""

from __future__ import annotations

from dataclasses import dataclass

from fei_lite.errors import SimulationError, UnknownNameError
from fei_lite.generator.decay_files.state import State
from fei_lite.generator.decay_files.statements import DecayLine
from fei_lite.generator.particle_names import NOT_SIMULATED

UPSILON = "Upsilon(4S)"
B_MESONS = (511, 521)



@dataclass(frozen=True)
class NamedPair:
    """A pair of B's by name, how often, and the names that mixing makes of them (none: no mixing)."""

    first: str
    second: str
    fraction: float
    mixed: tuple[str, str] | None = None


def pairs_of(state: State, place: str) -> list[NamedPair]:
    """The pairs of a file. Raises :class:`SimulationError` if no B that it decays is ever made.

    With a block of the Upsilon(4S), its pairs. Without one, the table's pairs of the B's that the
    file decays by their own name, both B's of an event alike.
    """
    block = state.blocks[UPSILON]
    if block.own:
        return [pair for line in block.modes if line.fraction > 0.0 for pair in _pairs_of_line(line, state, place)]
    decayed = [name for name, b in state.blocks.items() if b.own and abs(state.code(name)) in B_MESONS]
    real = {abs(state.code(name)) for name in decayed if name not in state.aliases}
    if real:
        lines = [line for line in block.modes if abs(state.code(line.daughters[0])) in real]
        return [pair for line in lines for pair in _pairs_of_line(line, state, place)]
    if decayed:
        raise SimulationError(f"{place}: line {state.blocks[decayed[0]].line}: {', '.join(decayed)}: never made: no "
                              f"'Decay {UPSILON}' says how (such as '0.5 B+sig B- VSS;').")
    own = {name: b for name, b in state.blocks.items() if b.own}
    for name, b in own.items():
        if (meant := NOT_SIMULATED.get(state.aliases.get(name, name))) is not None:
            raise SimulationError(f"{place}: line {b.line}: Decay {name}: {meant}: not simulated by decay files; "
                                  "a file decays a B+ or B0 (or an alias of one).")
    raise SimulationError(f"{place}: no 'Decay' of a B+ or B0 (or of an alias of one); found "
                          f"{', '.join(own) or 'none'}.")


def _pairs_of_line(line: DecayLine, state: State, place: str) -> list[NamedPair]:
    """The pairs of one mode of the Upsilon(4S)."""
    names, mixes = line.daughters, line.model == "VSS_BMIX"
    where = f"{place}: line {line.line}: {UPSILON} -> {line}"
    try:
        codes = [state.code(name) for name in names]
    except UnknownNameError as error:
        raise SimulationError(f"{where}: {error}") from None
    if len(names) not in (2, 4) or any(abs(code) not in B_MESONS for code in codes):
        raise SimulationError(f"{where}: only pairs of B mesons are simulated.")
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
