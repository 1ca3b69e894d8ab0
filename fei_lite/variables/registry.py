"""The registry: every quantity by its name, with unit, meaning, what NaN stands for, source and provider.

A variable is registered once, in one place, and can then stand in a channel file, a ranking, a training, a cut, a
mask, a recipe or an ntuple::

    @register("pOverE", unit="", meaning="momentum over energy", nan="E is 0", source="ours", of="candidate")
    def _(subject):
        return subject.value("p") / subject.value("E")

Commands and worker processes know it if its module can be imported and ``FEI_LITE_VARIABLES`` names it
(``module`` or ``module:package.module``).

A provider gets the :class:`~fei_lite.variables.subject.Subject` (n candidates) and its arguments and returns (n,).
The package's own variables stand in the modules of :data:`PROVIDERS`, which are loaded when the first name is asked
for: nothing that only asks for names imports what computes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from typing import Any

from fei_lite.errors import UnknownNameError, nearest

#: Modules that register the variables of the package.
PROVIDERS = tuple(f"fei_lite.variables.{name}" for name in (
    "kinematics", "detector", "candidate", "meta", "functions", "recoil", "rest_of_event", "shape", "charm", "event",
    "truth"))

#: Environment variable with modules of one's own that register variables, for commands and worker processes.
MODULES = "FEI_LITE_VARIABLES"

#: What a variable is of, in the order of lists.
SUBJECTS = ("candidate", "daughters", "frame", "function", "recoil", "rest of event", "event shape", "event", "truth")

#: What an argument may be: a whole number from 0, a number, a word, an expression, a condition.
ARGUMENTS = ("index", "number", "word", "expression", "condition")

#: A provider: (subject, arguments ...) -> values (n,).
Provider = Callable[..., Any]


@dataclass(frozen=True)
class Parameter:
    """An argument of a variable: its name, what it may be, whether it may be left out or comes once or more."""

    name: str
    type: str
    optional: bool = False
    repeated: bool = False

    @property
    def text(self) -> str:
        """As it stands in a signature: ``i``, ``mask=``, ``x, ...``."""
        return f"{self.name}, ..." if self.repeated else f"{self.name}=" if self.optional else self.name


@dataclass(frozen=True)
class Variable:
    """A quantity: ``provider(subject, *arguments)`` gives its values.

    ``unit`` ("" is none; ``"of x"``: that of its argument x), ``meaning`` and ``nan`` (when it is undefined) are for
    people. ``known`` says when a candidate has it, one of :data:`KNOWN`. ``code`` is what the compiled kernel of
    features does for it (:mod:`fei_lite.kernels.feature_codes`).
    """

    name: str
    unit: str
    meaning: str
    nan: str
    source: str
    of: str
    provider: Provider
    parameters: tuple[Parameter, ...] = ()
    known: str = "always"
    code: int = 0

    @property
    def signature(self) -> str:
        """The name with its arguments: ``daughter(i, x)``."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(parameter.text for parameter in self.parameters)})"

    @property
    def needs_arguments(self) -> bool:
        """Whether it cannot stand without brackets."""
        return any(not parameter.optional for parameter in self.parameters)


_registered: dict[str, Variable] = {}
_changes = [0]

#: When a quantity of a candidate is known: before anything else is done, after its vertex fit, rank, classifier.
KNOWN = ("always", "after the fit", "after the ranking", "after the classifier")


def register(name: str, *, unit: str, meaning: str, nan: str, source: str, of: str = "candidate",
             parameters: Sequence[str] = (), known: str = "always", code: int = 0,
             aliases: Sequence[str] = ()) -> Callable[[Provider], Provider]:
    """Decorator: ``function(subject, *arguments) -> (n,)`` provides the variable ``name``.

    ``parameters`` are ``"name:type"`` with a type of :data:`ARGUMENTS`; ``"mask:word?"`` may be left out,
    ``"i:index*"`` comes once or more. ``known`` is one of :data:`KNOWN`; ``aliases`` are other names of the same.
    Raises :class:`UnknownNameError` for a name that is taken.
    """
    made = tuple(_parameter(text) for text in parameters)
    if of not in SUBJECTS or known not in KNOWN:
        raise UnknownNameError(f"variable '{name}': of '{of}', known '{known}'; expected one of {', '.join(SUBJECTS)} "
                               f"and one of {', '.join(KNOWN)}.")

    def add(provider: Provider) -> Provider:
        if not provider.__module__.startswith("fei_lite.variables."):
            load()  # the package's names are taken
        for spelled in (name, *aliases):
            if not spelled.isidentifier():
                raise UnknownNameError(f"variable '{spelled}': a name has letters, digits and underscores only.")
            if spelled in _registered:
                raise UnknownNameError(f"variable '{spelled}' is registered already: {_registered[spelled].meaning}.")
            text = meaning if spelled == name else f"the same as {name}"
            _registered[spelled] = Variable(spelled, unit, text, nan, source, of, provider, made, known, code)
            _changes[0] += 1
        return provider

    return add


def unregister(name: str) -> None:
    """Forget a variable (a user's own, in tests and interactive work)."""
    _registered.pop(name, None)
    _changes[0] += 1


def _parameter(text: str) -> Parameter:
    name, _, kind = text.partition(":")
    found = Parameter(name, kind.rstrip("?*"), optional=kind.endswith("?"), repeated=kind.endswith("*"))
    if found.type not in ARGUMENTS:
        raise UnknownNameError(f"argument '{text}': unknown type '{found.type}'.{nearest(found.type, ARGUMENTS)}")
    return found


@cache
def load() -> None:
    """Register the variables of the package, and of the modules that ``FEI_LITE_VARIABLES`` names, once."""
    for module in PROVIDERS:
        import_module(module)
    for module in filter(None, os.environ.get(MODULES, "").split(":")):
        try:
            import_module(module)
        except ImportError as error:
            raise UnknownNameError(f"{MODULES}: the module '{module}' cannot be imported: {error}.") from None


def registered(name: str) -> Variable | None:
    """The variable or meta-variable of exactly this name; None if there is none."""
    load()
    return _registered.get(name)


def names() -> tuple[str, ...]:
    """All names, in the order of their registration."""
    load()
    return tuple(_registered)


def version() -> int:
    """Counts the changes of the registry: what was found out about names holds for one version."""
    load()
    return _changes[0]


def listed(pattern: str = "*") -> tuple[Variable, ...]:
    """Variables whose name fits a shell pattern, by what they are of and then by name.

    >>> [variable.name for variable in listed("daughterP*")]
    ['daughterProductOf']
    """
    load()
    found = [variable for name, variable in _registered.items() if fnmatchcase(name, pattern)]
    return tuple(sorted(found, key=lambda v: (SUBJECTS.index(v.of), v.name.lower(), v.name)))
