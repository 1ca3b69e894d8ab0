"""The statements of a decay file carried out in their order, as EvtGen does.

EvtGen reads the table's own file first and the user's file on top of it: what is
declared in the first, such as ``Alias B+sig B+``, stands in the second. A ``Decay`` replaces
what its name had before; ``CDecay`` and ``CopyDecay`` take what the other name has *there*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from fei_lite.errors import SimulationError, UnknownNameError, nearest
from fei_lite.generator.decay_files.added import Added
from fei_lite.generator.decay_files.models import known_models
from fei_lite.generator.decay_files.statements import DecayLine, Notice, Statement
from fei_lite.generator.particle_names import NOT_SIMULATED, OWN_DEFINITIONS, code_of, conjugate_name

#: Statements about line shapes and form factors of amplitudes that have no meaning here.
_WITHOUT_EFFECT = ("SetLineshapePW", "BlattWeisskopf", "IncludeBirthFactor", "IncludeDecayFactor", "LSFLAT",
                   "LSNONRELBW", "LSMANYDELTAFUNC", "JetSetPar", "yesIncoherentB0Mixing", "noIncoherentB0Mixing",
                   "yesIncoherentBsMixing", "noIncoherentBsMixing", "noB0Mixing", "noBsMixing")


@dataclass(frozen=True)
class Block:
    """The modes of a name. ``own`` is true if the user's file gave them, ``line`` where."""

    modes: tuple[DecayLine, ...]
    line: int
    own: bool
    keyword: str = "Decay"


@dataclass(frozen=True)
class Property:
    """What a file says of a particle: mass, width, least and largest mass in GeV, where it does."""

    line: int
    mass: float | None = None
    width: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass
class State:
    """What EvtGen knows after the statements: see :func:`carried_out`."""

    aliases: dict[str, str] = field(default_factory=dict)
    conjugates: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    defines: dict[str, str] = field(default_factory=dict)
    model_aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    properties: dict[str, Property] = field(default_factory=dict)
    settings: list[tuple[int, str]] = field(default_factory=list)
    photos: str = "yesPhotos"
    notices: list[Notice] = field(default_factory=list)
    own: bool = False  # whether what comes is a user's file and not the table
    added: dict[str, Added] = field(default_factory=dict)

    def copy(self) -> State:
        """A state that can change without this one, for a user's file."""
        return State(dict(self.aliases), dict(self.conjugates), dict(self.blocks), dict(self.defines),
                     dict(self.model_aliases), dict(self.properties), list(self.settings), self.photos, [], own=True)

    def require(self, name: str) -> None:
        """:class:`UnknownNameError` for a name that a user's file may not have; the table may have others."""
        try:
            if self.own:
                self.code(name)
        except UnknownNameError:
            if (meant := NOT_SIMULATED.get(name)) is None:
                raise
            raise SimulationError(f"{meant}: not simulated by decay files.") from None

    def tell(self, line: int, text: str) -> None:
        """A notice for the author of a user's file."""
        if self.own:
            self.notices.append(Notice(line, text))

    def code(self, name: str) -> int:
        """PDG code of a name or alias; :class:`UnknownNameError`."""
        base = self.aliases.get(name, name)
        return self.added[base].code if base in self.added else code_of(name, self.aliases)

    def definition(self, name: str) -> tuple[int, int, float, float, float] | None:
        """What defines a particle that is always a copy of its own (:data:`OWN_DEFINITIONS`); None for others."""
        base = self.aliases.get(name, name)
        return self.added[base].definition if base in self.added else OWN_DEFINITIONS.get(base)

    def add(self, particle: Added) -> None:
        """A particle of the file's own, unless one of that name is known."""
        if particle.name not in self.aliases and not _is_particle(particle.name):
            self.added[particle.name] = particle
            self.tell(particle.line, f"{particle.name}: added: {particle.mass:g} GeV, width {particle.width:g} GeV, "
                                     f"charge {particle.charge / 3:g}, 2 J = {particle.spin - 1}")

    def conjugate(self, name: str) -> str:
        """Charge conjugate of a name. :class:`SimulationError` for an alias that has none, as in EvtGen."""
        if name in self.conjugates:
            return self.conjugates[name]
        if name in self.aliases:
            base = self.aliases[name]
            if self.conjugate_of(base) == base:
                return name
            raise SimulationError(f"the alias {name} of {base} has no ChargeConj.")
        return self.conjugate_of(name) if self.own or _is_particle(name) else name

    def conjugate_of(self, base: str) -> str:
        """Charge conjugate of a name that is no alias."""
        if base not in self.added:
            return conjugate_name(base)
        return next((name for name, other in self.added.items() if other.code == -self.added[base].code), base)


class _LineError(SimulationError):
    """An error in one line of a block."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def carried_out(statements: Iterable[Statement], place: str, *, start: State | None = None,
                added: Iterable[Added] = ()) -> State:
    """The state after the statements of the table, or, from its state ``start``, of a user's file.

    ``added`` are particles of the file's own.
    Raises :class:`SimulationError` with file and line.
    """
    state = State() if start is None else start.copy()
    for particle in added:
        state.add(particle)
    later: list[Statement] = []
    for statement in statements:
        try:
            _carry_out(state, statement, later=later)
        except _LineError as error:
            raise SimulationError(f"{place}: line {error.line}: {statement.keyword} {' '.join(statement.words)}: "
                                  f"{error}") from None
        except (SimulationError, UnknownNameError) as error:
            raise SimulationError(f"{place}: line {statement.line}: {statement.keyword} "
                                  f"{' '.join(statement.words)}: {error}") from None
    for statement in later:  # CDecay and CopyDecay before the block that they mean
        _copied(state, statement, later=None, place=place)
    return state


def _carry_out(state: State, statement: Statement, *, later: list[Statement]) -> None:
    """One statement."""
    action = _ACTIONS.get(statement.keyword)
    if action is not None:
        action(state, statement)
    elif statement.keyword == "Decay":
        _decay(state, statement)
    elif statement.keyword in ("CDecay", "CopyDecay"):
        _copied(state, statement, later=later, place="")
    elif statement.keyword in _WITHOUT_EFFECT:
        state.tell(statement.line, f"{statement.keyword} {' '.join(statement.words)}: no effect here")
    elif statement.keyword.startswith("Pythia"):
        module, parameter, value = statement.words
        state.settings.append((statement.line, f"{module}:{parameter} = {value}"))
    else:
        raise SimulationError("this statement is not known.")


def _alias(state: State, statement: Statement) -> None:
    name, target = statement.words
    base = state.aliases.get(target, target)
    state.require(base)
    if name in state.aliases:  # EvtGen ignores it
        if state.aliases[name] != base:
            state.tell(statement.line, f"Alias {name} {target}: ignored, {name} is an alias of {state.aliases[name]}")
        return
    if state.own and (name in state.blocks or _is_particle(name)):
        state.tell(statement.line, f"Alias {name} {target}: ignored, {name} is a particle of its own")
        return
    state.aliases[name] = base
    if target in state.properties:
        state.properties[name] = state.properties[target]


def _is_particle(name: str) -> bool:
    try:
        code_of(name, {})
    except UnknownNameError:
        return False
    return True


def _charge_conj(state: State, statement: Statement) -> None:
    first, second = statement.words
    state.require(first)
    state.require(second)
    if state.own and state.conjugate_of(state.aliases.get(first, first)) != state.aliases.get(second, second):
        raise SimulationError(f"{first} and {second} are not conjugates of each other.")
    state.conjugates[first], state.conjugates[second] = second, first


def _define(state: State, statement: Statement) -> None:
    state.defines[statement.words[0]] = statement.words[1]


def _model_alias(state: State, statement: Statement) -> None:
    name, *model = statement.words
    state.model_aliases[name] = tuple(model)


def _particle(state: State, statement: Statement) -> None:
    name, mass, *width = statement.words
    values = [float(mass), *map(float, width)]
    if min(values) < 0.0:
        raise SimulationError("mass and width are not negative.")
    _set(state, name, statement.line, mass=values[0], width=values[1] if width else None)


def _mass_limit(state: State, statement: Statement) -> None:
    name, limit = statement.words
    _set(state, name, statement.line, **{"low" if statement.keyword == "ChangeMassMin" else "high": float(limit)})


def _set(state: State, name: str, line: int, **values: float | None) -> None:
    """Note properties of a name (of its conjugate as well: here they are one particle)."""
    state.require(name)
    names = [name]
    if name not in state.aliases and state.conjugate_of(name) != name:
        names.append(state.conjugate_of(name))
    for each in names:
        known = state.properties.get(each, Property(line))
        state.properties[each] = replace(known, line=line, **{k: v for k, v in values.items() if v is not None})


def _photos(state: State, statement: Statement) -> None:
    state.photos = statement.keyword
    if statement.keyword == "normalPhotos":
        state.tell(statement.line, "normalPhotos: all decays radiate, not only lines with PHOTOS")


def _remove(state: State, statement: Statement) -> None:
    """Modes of a name taken away; what they decay into counts, not their order."""
    name = statement.words[0]
    if name not in state.blocks:
        raise SimulationError(f"{name} has no modes.")
    gone = [sorted(mode.daughters) for mode in statement.modes]
    block = state.blocks[name]
    left = tuple(mode for mode in block.modes if sorted(mode.daughters) not in gone)
    state.blocks[name] = replace(block, modes=left, line=statement.line, own=state.own)


def _decay(state: State, statement: Statement) -> None:
    """A block; one that the same file gave before is replaced, with a notice."""
    name = statement.words[0]
    state.require(name)
    before = state.blocks.get(name)
    if before is not None and before.own:
        state.tell(statement.line, f"Decay {name} again: the block of line {before.line} is dropped")
    modes = tuple(_with_model(state, mode) for mode in statement.modes)
    state.blocks[name] = Block(modes, statement.line, state.own)


def _with_model(state: State, mode: DecayLine) -> DecayLine:
    """A mode with its model alias and defined parameters put in."""
    words = state.model_aliases.get(mode.model, (mode.model,))
    if words[0] not in known_models():
        guess = words[0] if not words[0][:1].isdigit() or not mode.daughters else mode.daughters[-1]
        raise _LineError(mode.line, f"no decay model of EvtGen in '{mode.fraction:g} {mode} {mode.model}'."
                                    f"{nearest(guess, known_models())}")
    parameters = (*words[1:], *mode.parameters)
    return replace(mode, model=words[0], parameters=tuple(_value(state, word) for word in parameters),
                   own=state.own)


def _value(state: State, word: str) -> str:
    """A parameter with ``Define`` put in; -name and +name are allowed."""
    sign, name = (word[0], word[1:]) if word[:1] in ("-", "+") else ("", word)
    if name not in state.defines:
        return word
    value = state.defines[name]
    return value if sign != "-" else (value[1:] if value.startswith("-") else f"-{value.lstrip('+')}")


def _copied(state: State, statement: Statement, *, later: list[Statement] | None, place: str) -> None:
    """``CDecay X`` (conjugate of what X's conjugate has) and ``CopyDecay X Y``; ``later`` if Y has nothing yet."""
    name = statement.words[0]
    state.require(name)
    other = state.conjugate(name) if statement.keyword == "CDecay" else statement.words[1]
    state.require(other)
    block = state.blocks.get(other)
    if other == name:
        state.tell(statement.line, f"{statement.keyword} {name}: it is its own conjugate")
        return
    if block is None:
        if later is not None:
            later.append(statement)
        elif state.own:
            raise SimulationError(f"{place}: line {statement.line}: {statement.keyword} {name}: {other} has no Decay.")
        return
    if later is None:
        state.tell(statement.line, f"{statement.keyword} {name} comes before Decay {other}; taken as if after it")
    modes = block.modes
    if statement.keyword == "CDecay":
        modes = tuple(replace(mode, daughters=tuple(state.conjugate(d) for d in mode.daughters)) for mode in modes)
    state.blocks[name] = Block(modes, statement.line, state.own, statement.keyword)


_ACTIONS: Mapping[str, Callable[[State, Statement], None]] = {
    "Alias": _alias, "ChargeConj": _charge_conj, "Define": _define, "ModelAlias": _model_alias, "Particle": _particle,
    "ChangeMassMin": _mass_limit, "ChangeMassMax": _mass_limit, "RemoveDecay": _remove, "yesPhotos": _photos,
    "noPhotos": _photos, "normalPhotos": _photos,
}
