"""Signal events: B's that decay by a user's EvtGen-style file, on top of the Belle II table.

The file is in EvtGen's language, as for basf2, and is read after the table, whose head declares names
such as ``B+sig``. The ``Upsilon(4S)`` block says which B's are made; a B that it calls by an alias decays
by the alias's block, the others by the table::

    Alias      MyK*+   K*+
    Alias      MyK*-   K*-
    ChargeConj MyK*+   MyK*-
    Decay Upsilon(4S)
      0.5  B+sig B-  VSS;
      0.5  B-sig B+  VSS;
    Enddecay
    Decay B+sig
      1.0  MyK*+ nu_tau anti-nu_tau  PHSP;
    Enddecay
    CDecay B-sig
    Decay MyK*+
      1.0  K+ pi0  VSS;
    Enddecay
    CDecay MyK*-
    End

Without that block both B's of an event decay as the file says of B+, B-, B0 or anti-B0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fei_lite.data_files import read_bytes
from fei_lite.errors import SimulationError, UnknownNameError, nearest
from fei_lite.generator.decay_files.checks import faults_of
from fei_lite.generator.decay_files.grammar import statements_of
from fei_lite.generator.decay_files.models import APPROXIMATED, REFUSED, TreatedLine, ranges, treatment
from fei_lite.generator.decay_files.pairs import B_MESONS, UPSILON, NamedPair, pairs_of
from fei_lite.generator.decay_files.signal import MOST_COPIES, Copy, SignalDecay, copy_code
from fei_lite.generator.decay_files.state import Property, State, carried_out
from fei_lite.generator.decay_files.statements import DecayLine, Notice
from fei_lite.generator.decay_table import (
    Mode,
    fragmentation_elements,
    is_parton,
    matrix_element,
    ordered_products,
    parton_shape,
    table_state,
)
from fei_lite.generator.pair_sources import Pair
from fei_lite.generator.particle_names import OWN_DEFINITIONS


def shipped_decays() -> dict[str, Path]:
    """Decay files that come with fei-lite, by name.

    >>> sorted(shipped_decays())
    ['k_nunu', 'k_nunu_sm', 'k_tau_l', 'ks_tau_l', 'kst_nunu', 'kst_tau_l', 'kst_tau_tau', 'xs_nunu', 'xs_nunu_neutral']
    """
    return {path.stem: path for path in Path(__file__).parent.glob("*.dec")}


def read_signal_decay(path: Path, *, strict: bool = False) -> SignalDecay:
    """Read a decay file: a user's, or a shipped one by its name; ``strict`` refuses approximated models.

    Raises :class:`SimulationError` with file and line.
    """
    path = shipped_decays().get(str(path), Path(path))
    if not path.exists():
        raise SimulationError(f"{path}: no such decay file, and none of that name is shipped "
                              f"({', '.join(sorted(shipped_decays()))}).{nearest(str(path), shipped_decays())}")
    text = read_bytes(path, error=SimulationError).decode("utf-8", errors="replace")
    return signal_decay(text, str(path), strict=strict)


def signal_decay(text: str, place: str, *, strict: bool = False) -> SignalDecay:
    """A decay file from its text; ``place`` is its name in errors."""
    state = carried_out(statements_of(text, place), place, start=table_state())
    reading = _Reading(state, place)
    faults, notices = reading.checked()
    _raise(place, faults)
    pairs = pairs_of(state, place)
    reading.follow([name for pair in pairs for name in (pair.first, pair.second, *(pair.mixed or ()))])
    lines = reading.treated()
    _raise(place, [Notice(t.line, f"{t.mother} -> {t.products}: the model {t.model} is refused: {t.reason}")
                   for t in lines if t.treatment == REFUSED])
    if strict and (bad := [t for t in lines if t.treatment == APPROXIMATED]):
        raise SimulationError(f"{place}: strict: only approximated: {ranges(t.line for t in bad)}; line {bad[0].line}: "
                              f"{bad[0].model}: {bad[0].reason}.")
    return SignalDecay(place, text, tuple(reading.pair(pair) for pair in pairs), reading.copies(),
                       reading.redefined(), reading.properties(), tuple(state.settings), state.photos != "noPhotos",
                       tuple(lines), tuple([*state.notices, *notices, *reading.unused()]))


def _raise(place: str, faults: list[Notice]) -> None:
    """:class:`SimulationError` with the first of the faults, and where the others are."""
    if faults:
        others = [fault.line for fault in faults[1:] if fault.line != faults[0].line]
        more = f" (more faults: {ranges(others)})" if others else ""
        raise SimulationError(f"{place}: {faults[0]}.{more}")


@dataclass
class _Reading:
    """A state on its way to codes: which names need copies, and their codes."""

    state: State
    place: str
    codes: dict[str, int] = field(default_factory=dict)

    def checked(self) -> tuple[list[Notice], list[Notice]]:
        """Faults and notices of all blocks of the file; unknown names are faults, too."""
        faults, notices = [], []
        for name, block in self.state.blocks.items():
            if not block.own or name == UPSILON:
                continue
            unknown = list(self._unknown(block.modes))
            faults += unknown
            if not unknown:
                found, told = faults_of(name, block, self.state)
                faults += found
                notices += told
        return sorted(faults, key=lambda fault: fault.line), notices

    def _unknown(self, modes: tuple[DecayLine, ...]) -> list[Notice]:
        out = []
        for line in modes:
            for daughter in line.daughters:
                try:
                    self.state.require(daughter)
                except UnknownNameError as error:
                    out.append(Notice(line.line, str(error).rstrip(".")))
        return out

    def is_private(self, name: str) -> bool:
        """Whether a name needs a copy: it decays, or weighs, differently from the particle it stands for."""
        state, base = self.state, self.state.aliases.get(name, name)
        code = state.code(name)
        if base in OWN_DEFINITIONS:
            return True
        block = state.blocks.get(name)
        if name not in state.aliases:
            return block is not None and block.own and abs(code) in B_MESONS
        if state.properties.get(name) != state.properties.get(base):
            return True
        return block is not None and block.modes != self._generic(base)

    def _generic(self, base: str) -> tuple[DecayLine, ...] | None:
        """Modes of a particle in the table."""
        block = table_state().blocks.get(base)
        return None if block is None else block.modes

    def follow(self, roots: list[str]) -> None:
        """Give codes to all private names that the roots, or particles decayed anew, lead to."""
        state = self.state
        waiting = [*roots, *(name for name, b in state.blocks.items() if b.own and self._anew(name))]
        seen = set()
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            block = state.blocks.get(name)
            if self.is_private(name):
                if len(self.codes) == MOST_COPIES:
                    raise SimulationError(f"{self.place}: more than {MOST_COPIES} particles with decays of their own.")
                self.codes[name] = copy_code(len(self.codes), state.code(name))
            elif not (block is not None and block.own and self._anew(name)):
                continue
            if block is not None:
                waiting += [daughter for line in block.modes for daughter in line.daughters]

    def _anew(self, name: str) -> bool:
        """Whether a block of the file changes a particle itself, wherever it comes from."""
        code = abs(self.state.code(name)) if name != UPSILON else B_MESONS[0]
        return name not in self.state.aliases and code not in B_MESONS and name not in OWN_DEFINITIONS

    def code(self, name: str) -> int:
        """Pythia's code of a name."""
        return self.codes[name] if name in self.codes else self.state.code(name)

    def pair(self, pair: NamedPair) -> Pair:
        """A pair with codes."""
        mixed = None if pair.mixed is None else (self.code(pair.mixed[0]), self.code(pair.mixed[1]))
        return Pair(self.code(pair.first), self.code(pair.second), pair.fraction, mixed)

    def copies(self) -> dict[int, Copy]:
        """The copies by their code, mothers before daughters."""
        return {copy: self._copy(name) for name, copy in self.codes.items()}

    def redefined(self) -> dict[int, Copy]:
        """Particles that the file decays anew, by their code."""
        return {self.state.code(name): self._copy(name) for name, block in self.state.blocks.items()
                if block.own and self._anew(name)}

    def _copy(self, name: str) -> Copy:
        block = self.state.blocks.get(name)
        lines = [line for line in block.modes if line.fraction > 0.0] if block is not None else []
        code = self.state.code(name)
        base = self.state.aliases.get(name, name)
        stable = not lines and (block is not None or base in OWN_DEFINITIONS)
        return Copy(name, code, tuple(self._mode(code, line) for line in lines),
                    tuple(line.line if line.own else 0 for line in lines),
                    stable, self.state.properties.get(name), base)

    def _mode(self, mother: int, line: DecayLine) -> Mode:
        """A decay line with codes, in the order of Pythia's matrix element."""
        codes = [self.state.code(name) for name in line.daughters]
        element = matrix_element(mother, line.model, line.parameters, codes)
        if (known := fragmentation_elements().get(parton_shape(codes))) and element not in known:
            element = known[0]
        waiting = list(line.daughters)
        products = []
        for code in ordered_products(codes, element):
            name = next(name for name in waiting if self.state.code(name) == code)
            waiting.remove(name)
            products.append(self.code(name))
        return Mode(line.fraction, tuple(products), element, line.model, line.parameters)

    def properties(self) -> dict[int, Property]:
        """Masses and widths of particles that are no copies, by their positive code."""
        return {abs(self.state.code(name)): value for name, value in self.state.properties.items()
                if name not in self.state.aliases and name not in self.codes}

    def treated(self) -> list[TreatedLine]:
        """What becomes of every line that the file itself has."""
        out: dict[int, TreatedLine] = {}
        for name, block in self.state.blocks.items():
            if not block.own:
                continue
            for line in block.modes:
                if block.keyword == "Decay":
                    kind, reason = self._treatment(name, line)
                    out[line.line] = TreatedLine(line.line, name, str(line), line.model, kind, reason)
        return [out[number] for number in sorted(out)]

    def _treatment(self, name: str, line: DecayLine) -> tuple[str, str]:
        """Class and reason of a line; of partons they depend on what Pythia can fragment."""
        codes = [self.state.code(daughter) for daughter in line.daughters]
        if not is_parton(np.array(codes)).any():
            return treatment(line.model, self._circumstances(name))
        known = fragmentation_elements().get(parton_shape(codes))
        if known is None:
            return REFUSED, "the decay table has no such partons, and Pythia might never come to an end"
        if matrix_element(self.state.code(name), line.model, line.parameters, codes) in known:
            return treatment(line.model, [])
        return APPROXIMATED, f"fragmented as by PYTHIA {known[0]}, which the table has for such partons"

    def _circumstances(self, name: str) -> list[str]:
        """In which circumstances a name decays (see `evtgen_models.toml`)."""
        if name == UPSILON:
            return ["upsilon", "aligned"]
        out = ["spinless"] if _is_spinless(self.state.code(name)) else []
        parents = [(mother, line) for mother, block in self.state.blocks.items() if block.own
                   for line in block.modes if name in line.daughters]
        if parents and all(len(line.daughters) == 2 and _is_spinless(self.state.code(mother)) and all(
                _is_spinless(code) or code == 22 for code in map(self.state.code, line.daughters)
                if code != self.state.code(name)) for mother, line in parents):
            out.append("aligned")
        return out

    def unused(self) -> list[Notice]:
        """Blocks of the file that no event reaches, and aliases that decay as the table says."""
        out, state = [], self.state
        for name, block in state.blocks.items():
            if block.own and name != UPSILON and not {name, state.conjugates.get(name)} & set(self.codes) and (
                    not self._anew(name) and block.modes != self._generic(state.aliases.get(name, name))):
                out.append(Notice(block.line, f"{block.keyword} {name}: {name} is never made, its block has no effect"))
        if not state.blocks[UPSILON].own:
            made = sorted(entry for entry in self.codes if abs(state.code(entry)) in B_MESONS)
            out.append(Notice(0, f"no 'Decay {UPSILON}': every {' and '.join(made)} decays as the file says"))
        reached = {d for name in self.codes if name in state.blocks for line in state.blocks[name].modes
                   for d in line.daughters}
        for name in sorted(reached & set(state.aliases) - set(state.blocks)):
            if state.aliases[name] not in OWN_DEFINITIONS:
                out.append(Notice(0, f"{name} has no block: it decays as {state.aliases[name]} of the table"))
        return out


def _is_spinless(code: int) -> bool:
    """Whether a particle has no spin: by the last digit of its code, 2 J + 1."""
    return (abs(code) % 10 == 1 and abs(code) > 100) or abs(code) in (310, 130)
