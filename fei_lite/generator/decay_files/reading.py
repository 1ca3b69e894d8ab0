"""A state on its way to Pythia's codes: which names need copies, what becomes of each line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from fei_lite.errors import SimulationError, UnknownNameError
from fei_lite.generator.decay_files.checks import faults_of
from fei_lite.generator.decay_files.models import APPROXIMATED, FOLLOWED, REFUSED, TreatedLine, treatment
from fei_lite.generator.decay_files.signal import MOST_COPIES, Copy, copy_code
from fei_lite.generator.decay_files.starts import B_MESONS, PHOTON, UPSILON, Start
from fei_lite.generator.decay_files.state import Property, State
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
from fei_lite.generator.matrix_elements.dalitz import plot_of
from fei_lite.generator.pair_sources import Pair


@dataclass
class Reading:
    """A state on its way to codes: which names need copies, and their codes."""

    state: State
    place: str
    start: Start = field(default_factory=lambda: Start("signal"))
    codes: dict[str, int] = field(default_factory=dict)
    known_circumstances: dict[str, list[str]] = field(default_factory=dict)

    def checked(self) -> tuple[list[Notice], list[Notice]]:
        """Faults and notices of all blocks of the file; unknown names are faults, too."""
        faults, notices = [], []
        for name, block in self.state.blocks.items():
            if not block.own:
                continue
            unknown = list(self._unknown(block.modes))
            faults += unknown
            if not unknown and name != UPSILON:
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
                except (UnknownNameError, SimulationError) as error:
                    out.append(Notice(line.line, str(error).rstrip(".")))
        return out

    def is_private(self, name: str) -> bool:
        """Whether a name needs a copy: it decays, or weighs, differently from the particle it stands for."""
        state, base = self.state, self.state.aliases.get(name, name)
        code = state.code(name)
        if state.definition(name) is not None or name == self.start.root:
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

    def begin(self, start: Start) -> list[Notice]:
        """Give codes to all private names that a start, or particles decayed anew, lead to; faults of its own modes."""
        self.start = start
        roots = [name for pair in start.pairs for name in (pair.first, pair.second, *(pair.mixed or ()))]
        self._follow([*roots, *([start.root] if start.root else [])])
        if start.root != UPSILON:
            return []
        block = self.state.blocks[UPSILON]
        return faults_of(UPSILON, replace(block, modes=start.others), self.state)[0]

    def _follow(self, roots: list[str]) -> None:
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
            waiting += [daughter for line in self._lines(name) for daughter in line.daughters]

    def _lines(self, name: str) -> tuple[DecayLine, ...]:
        """The modes of a name, of an Upsilon(4S) those that are no pairs of B's."""
        if name == self.start.root:
            return self.start.others
        block = self.state.blocks.get(name)
        return () if block is None else block.modes

    def _anew(self, name: str) -> bool:
        """Whether a block of the file changes a particle itself, wherever it comes from."""
        code = abs(self.state.code(name)) if name != UPSILON else B_MESONS[0]
        return name not in self.state.aliases and code not in B_MESONS and (
            self.state.definition(name) is None)

    def code(self, name: str) -> int:
        """Pythia's code of a name."""
        return self.codes[name] if name in self.codes else self.state.code(name)

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the start with codes, and its root on its own, if it has other modes."""
        out = []
        for pair in self.start.pairs:
            mixed = None if pair.mixed is None else (self.code(pair.mixed[0]), self.code(pair.mixed[1]))
            out.append(Pair(self.code(pair.first), self.code(pair.second), pair.fraction, mixed))
        if self.start.root:
            out.append(Pair(self.code(self.start.root), 0, sum(line.fraction for line in self.start.others)))
        return tuple(out)

    def copies(self) -> dict[int, Copy]:
        """The copies by their code, mothers before daughters."""
        return {copy: self._copy(name) for name, copy in self.codes.items()}

    def redefined(self) -> dict[int, Copy]:
        """Particles that the file decays anew, by their code."""
        return {self.state.code(name): self._copy(name) for name, block in self.state.blocks.items()
                if block.own and self._anew(name)}

    def _copy(self, name: str) -> Copy:
        block = self.state.blocks.get(name)
        lines = [line for line in self._lines(name) if line.fraction > 0.0]
        code = self.state.code(name)
        definition = self.state.definition(name)
        stable = not lines and (block is not None or definition is not None)
        return Copy(name, code, tuple(self._mode(code, line) for line in lines),
                    tuple(line.line if line.own else 0 for line in lines),
                    stable, None if name == self.start.root else self.state.properties.get(name), definition)

    def _mode(self, mother: int, line: DecayLine) -> Mode:
        """A decay line with codes, in the order of Pythia's matrix element."""
        codes = [self.state.code(name) for name in line.daughters]
        element = matrix_element(mother, line.model, line.parameters, codes)
        if not is_parton(np.array(codes)).any() and abs(mother) == self._root_code():
            element = 0  # what is aligned with an Upsilon(4S) or virtual photon has no mother in Pythia
        if (known := fragmentation_elements().get(parton_shape(codes))) and element not in known:
            element = known[0]
        waiting = list(line.daughters)
        products = []
        for code in ordered_products(codes, element):
            name = next(name for name in waiting if self.state.code(name) == code)
            waiting.remove(name)
            products.append(self.code(name))
        return Mode(line.fraction, tuple(products), element, line.model, line.parameters)

    def _root_code(self) -> int:
        return self.state.code(self.start.root) if self.start.root else 0

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
        if name == PHOTON and self.start.process != "signal":
            return FOLLOWED, f"the process {self.start.process}"
        if not is_parton(np.array(codes)).any():
            plot = ["plot"] if plot_of(self.state.code(name), tuple(codes)) is not None else []
            return treatment(line.model, [*self._circumstances(name, line), *plot])
        known = fragmentation_elements().get(parton_shape(codes))
        if known is None:
            return REFUSED, "the decay table has no such partons, and Pythia might never come to an end"
        if matrix_element(self.state.code(name), line.model, line.parameters, codes) in known:
            return treatment(line.model, [])
        return APPROXIMATED, f"fragmented as by PYTHIA {known[0]}, which the table has for such partons"

    def _circumstances(self, name: str, line: DecayLine) -> list[str]:
        """In which circumstances a line of a name is decayed (see `evtgen_models.toml`)."""
        if name == UPSILON:
            return [] if line in self.start.others else ["upsilon", "aligned"]
        if name not in self.known_circumstances:
            self.known_circumstances[name] = self._usual_circumstances(name)
        return self.known_circumstances[name]

    def _usual_circumstances(self, name: str) -> list[str]:
        """Those of all lines of a name."""
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
            root = PHOTON if self.start.process != "signal" else self.start.root
            known = name in (UPSILON, root, *self.codes) or state.conjugates.get(name) in self.codes
            if block.own and not known and not self._anew(name) and (
                    block.modes != self._generic(state.aliases.get(name, name))):
                out.append(Notice(block.line, f"{block.keyword} {name}: {name} is never made, its block has no effect"))
        if not state.blocks[UPSILON].own and self.start.pairs and self.start.process == "signal":
            made = sorted(entry for entry in self.codes if abs(state.code(entry)) in B_MESONS)
            out.append(Notice(0, f"no 'Decay {UPSILON}': every {' and '.join(made)} decays as the file says"))
        reached = {d for name in self.codes if name in state.blocks for line in state.blocks[name].modes
                   for d in line.daughters}
        for name in sorted(reached & set(state.aliases) - set(state.blocks)):
            if state.definition(name) is None:
                out.append(Notice(0, f"{name} has no block: it decays as {state.aliases[name]} of the table"))
        return out


def _is_spinless(code: int) -> bool:
    """Whether a particle has no spin: by the last digit of its code, 2 J + 1."""
    return (abs(code) % 10 == 1 and abs(code) > 100) or abs(code) in (310, 130)
