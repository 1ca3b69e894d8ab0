"""Names in expressions: whether they exist, with the arguments they take; what an expression asks of a candidate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from fei_lite.errors import ExpressionError, FeiLiteError, UnknownNameError, nearest
from fei_lite.variables.grammar import fail, parse
from fei_lite.variables.registry import KNOWN, Parameter, Variable, names, registered, version
from fei_lite.variables.tree import (
    CONDITIONS,
    Arithmetic,
    Call,
    Comparison,
    Minus,
    Name,
    Node,
    Number,
    canonical,
    children,
)


def find(text: str, where: str = "") -> Variable:
    """What a name or an expression stands for.

    Of an expression the outermost part, with its unit. Raises :class:`UnknownNameError` for a name that does not
    exist, with the column and the nearest name, and :class:`ExpressionError` for what cannot be read.

    >>> find("daughter(0, useCMSFrame(p))").unit
    'GeV'
    """
    node = check(text, where)
    if isinstance(node, Name | Call):
        found = registered(node.name)
        assert found is not None
        return found if isinstance(node, Name) else replace(found, name=canonical(node), unit=unit_of(node),
                                                            parameters=())
    meaning = "a condition: 1 or 0" if isinstance(node, CONDITIONS) else "an expression"
    return Variable(canonical(node), unit_of(node), meaning, "a part is undefined", "", "function",
                    lambda subject: subject.value(canonical(node)))


def unit_of(node: Node) -> str:
    """Unit of an expression; "" where there is none, or where it would have to be worked out."""
    if isinstance(node, Name):
        found = registered(node.name)
        return found.unit if found and not found.unit.startswith("of ") else ""
    if isinstance(node, Minus):
        return unit_of(node.inner)
    if isinstance(node, Arithmetic) and all(op in ("+", "-") for op, _ in node.rest):
        return unit_of(node.first)
    if not isinstance(node, Call) or (found := registered(node.name)) is None:
        return ""
    if not found.unit.startswith("of "):
        return found.unit
    wanted = found.unit.removeprefix("of ")
    names = [parameter.name for parameter in found.parameters]
    return unit_of(node.arguments[names.index(wanted)])


def check(text: str, where: str = "", columns: frozenset[str] = frozenset()) -> Node:
    """The tree of an expression all of whose names exist and have the arguments they take.

    ``columns`` are further names: those of ready columns. Raises as :func:`find`.
    """
    return _checked(text, where, columns, version())


@lru_cache(maxsize=8192)
def _checked(text: str, where: str, columns: frozenset[str], _: int) -> Node:
    node = parse(text, where)
    _check(node, _Place(text, where, columns))
    return node


def known(text: str) -> bool:
    """Whether a text is a variable or an expression of variables.

    >>> known("abs(dM)"), known("dm")
    (True, False)
    """
    try:
        check(text)
    except (UnknownNameError, ExpressionError):
        return False
    return True


@dataclass(frozen=True)
class _Place:
    text: str
    where: str
    columns: frozenset[str]

    def error(self, kind: type[FeiLiteError], node: Node, message: str) -> FeiLiteError:
        return kind(fail(self.text, node.column, message, self.where))


def _check(node: Node, place: _Place) -> None:
    if canonical(node) in place.columns:
        return
    if isinstance(node, Name):
        _check_name(node, place)
    elif isinstance(node, Call):
        _check_call(node, place)
    else:
        wants_condition = isinstance(node, CONDITIONS) and not isinstance(node, Comparison)
        for part in children(node):
            if isinstance(part, CONDITIONS) != wants_condition:
                expected = f"a comparison, like {canonical(part)} == 1" if wants_condition else "a number"
                raise place.error(ExpressionError, part, f"expected {expected}, got '{canonical(part)}'.")
            _check(part, place)


def _known(columns: frozenset[str]) -> list[str]:
    return [*names(), *columns]


def _check_name(node: Name, place: _Place) -> None:
    found = registered(node.name)
    if found is None:
        raise place.error(UnknownNameError, node,
                          f"unknown variable '{node.name}'.{nearest(node.name, _known(place.columns))}")
    if found.needs_arguments:
        raise place.error(ExpressionError, node, f"'{node.name}' takes arguments: {found.signature}.")


def _check_call(node: Call, place: _Place) -> None:
    found = registered(node.name)
    if found is None:
        raise place.error(UnknownNameError, node,
                          f"unknown function '{node.name}'.{nearest(node.name, _known(place.columns))}")
    least = sum(not p.optional for p in found.parameters)
    most = len(found.parameters) if not any(p.repeated for p in found.parameters) else len(node.arguments)
    if not least <= len(node.arguments) <= most:
        raise place.error(ExpressionError, node, f"{found.signature} got {len(node.arguments)} argument(s).")
    for i, argument in enumerate(node.arguments):
        parameter = found.parameters[min(i, len(found.parameters) - 1)]
        _check_argument(argument, parameter, found, place)
    numbers = _numbers(node, found)
    if found.of == "daughters" and len(set(numbers)) < len(numbers):
        raise place.error(ExpressionError, node, f"{found.signature}: the daughters must differ.")


def _numbers(node: Call, variable: Variable) -> list[int]:
    """The arguments of a call that are numbers of daughters or the like."""
    kinds = [variable.parameters[min(i, len(variable.parameters) - 1)].type for i in range(len(node.arguments))]
    return [int(argument.value) for argument, kind in zip(node.arguments, kinds, strict=True)
            if kind == "index" and isinstance(argument, Number)]


def needed_daughters(node: Node) -> int:
    """How many daughters a candidate must have for an expression.

    >>> needed_daughters(check("daughterAngle(0, 2) + daughter(0, daughter(5, p))"))
    3
    """
    found = registered(node.name) if isinstance(node, Call) else None
    own = 0
    if isinstance(node, Call) and found is not None and found.of in ("daughters", "frame"):
        own = max((1 + i for i in _numbers(node, found)), default=int(found.of == "daughters"))
        if found.of == "daughters":
            return own
    return max([own, *(needed_daughters(inner) for inner in children(node))])


def known_of(text: str | Node) -> str:
    """When a candidate has all that an expression asks of it, one of :data:`KNOWN`; its daughters are finished before.

    >>> known_of("E + chiProb"), known_of("daughter(0, chiProb)")
    ('after the fit', 'always')
    """
    node = check(text) if isinstance(text, str) else text
    return KNOWN[max(_known_of(node))]


def _known_of(node: Node) -> Iterator[int]:
    yield 0
    found = registered(node.name) if isinstance(node, Name | Call) else None
    if found is not None:
        if found.name == "extraInfo" and isinstance(node, Call) and isinstance(node.arguments[0], Name) and (
                column := registered(node.arguments[0].name)) is not None:
            found = column
        yield KNOWN.index(found.known)
        if found.of == "daughters":
            return
    for i, inner in enumerate(children(node)):
        if found is None or found.parameters[min(i, len(found.parameters) - 1)].type in ("expression", "condition"):
            yield from _known_of(inner)


def _check_argument(node: Node, parameter: Parameter, variable: Variable, place: _Place) -> None:
    kind = parameter.type
    expected = {"index": "a whole number from 0", "number": "a number", "word": "a name",
                "expression": "a variable or an expression", "condition": "a comparison"}[kind]
    good = {"index": isinstance(node, Number) and node.value.is_integer() and 0 <= node.value < 1000,
            "number": isinstance(node, Number), "word": isinstance(node, Name),
            "expression": not isinstance(node, CONDITIONS), "condition": isinstance(node, CONDITIONS)}[kind]
    if not good:
        raise place.error(ExpressionError, node,
                          f"{variable.signature}: expected {expected} for {parameter.name}, got '{canonical(node)}'.")
    if kind in ("expression", "condition"):
        _check(node, place)
