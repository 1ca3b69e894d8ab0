"""Columns from names and expressions: of pairs, of ready columns, and the cuts on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.analyses import pair_variables
from fei_lite.analyses.pairs import Columns, Members, Pairs
from fei_lite.errors import ExpressionError, UnknownNameError, nearest
from fei_lite.kernels.feature_codes import known
from fei_lite.variables import grammar, tree
from fei_lite.variables.tree import Arithmetic, Both, Call, Comparison, Either, Minus, Name, Node, Not, Number

Values = NDArray[Any]
#: A variable of pairs that an analysis brings along.
Provider = Callable[[Pairs], Values]
#: What a name or a call stands for: its values, or None if it is not known here.
Lookup = Callable[[Node], Values | None]

_COMPARE: Mapping[str, Any] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal}
_OPERATE: Mapping[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}


def evaluate(expressions: Mapping[str, str], pairs: Pairs, own: Mapping[str, Provider] | None = None) -> Columns:
    """Column name -> values (n,) of each pair; ``own`` are variables that the analysis itself defines.

    Raises :class:`ExpressionError` or :class:`UnknownNameError` with the column's name.
    """
    found: Columns = {}
    for name, text in expressions.items():
        node = grammar.parse(text, name)
        try:
            found[name] = _value(node, lambda part: _of_pairs(part, pairs, own or {}))
        except UnknownNameError as error:
            raise UnknownNameError(f"{name}: {error}") from None
    return found


def calculate(text: str, columns: Mapping[str, ArrayLike], where: str = "") -> Values:
    """An expression or cut over ready columns (n,); a cut gives booleans, and NaN never passes.

    >>> calculate("0 < x < 3 and not y > 1", {"x": [1.0, 2.0, np.nan], "y": [0, 2, 0]}).tolist()
    [True, False, False]
    """
    def look(part: Node) -> Values | None:
        name = tree.canonical(part)
        return np.asarray(columns[name]) if name in columns else None

    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            return _value(grammar.parse(text, where), look)
    except UnknownNameError:
        missing = unknown_names(text, columns)[0]
        at = f"{where}: " if where else ""
        raise UnknownNameError(f"{at}no column '{missing}'.{nearest(missing, columns)}") from None


def passes(text: str, columns: Mapping[str, ArrayLike], where: str = "") -> NDArray[np.bool_]:
    """Which rows pass a cut, (n,). Raises :class:`ExpressionError` if the text is no condition."""
    if not isinstance(grammar.parse(text, where), tree.CONDITIONS):
        raise ExpressionError(f"{where}: '{text}' is no condition. Compare it with something.")
    return np.asarray(calculate(text, columns, where), dtype=bool)


def unknown_names(text: str, columns: Mapping[str, Any] | set[str] | frozenset[str]) -> list[str]:
    """The variables that an expression needs beyond the columns there are, each in its one spelling."""
    return list(dict.fromkeys(_unknown(grammar.parse(text), columns)))


def _unknown(node: Node, columns: Any) -> list[str]:
    if isinstance(node, Name | Call) and tree.canonical(node) in columns:
        return []
    if isinstance(node, Name) or (isinstance(node, Call) and node.name != "abs"):
        return [tree.canonical(node)]
    return [name for inner in _inner(node) for name in _unknown(inner, columns)]


def _inner(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Arithmetic):
        return (node.first, *(part for _, part in node.rest))
    if isinstance(node, Comparison):
        return node.operands
    if isinstance(node, Both | Either):
        return node.parts
    return (node.inner,) if isinstance(node, Minus | Not) else ()


def check_expression(text: str, own: Mapping[str, Any]) -> str:
    """What is wrong with a variable of pairs; nothing if it can be computed."""
    try:
        for name in unknown_names(text, own):
            node = grammar.parse(name)
            if not pair_variables.is_known(node) and not _of_candidate(node):
                shown = node.name if isinstance(node, Name | Call) else name
                return f"unknown variable '{name}'.{nearest(shown, [*pair_variables.NAMES, *own])}"
    except ExpressionError as error:
        return str(error)
    return ""


def _of_candidate(node: Node) -> bool:
    """Whether it is a variable of the pair's particles: known features, inside of daughter(i, ...)."""
    while isinstance(node, Call) and node.name == "daughter" and len(node.arguments) == 2:
        node = node.arguments[1]
    name = tree.canonical(node)
    return known(name) or name in pair_variables.OF_CANDIDATES


def _value(node: Node, look: Lookup) -> Values:
    found = look(node) if isinstance(node, Name | Call) else None
    if found is not None:
        return found
    if isinstance(node, Number):
        return np.asarray(node.value)
    if isinstance(node, Minus):
        return np.asarray(-_value(node.inner, look))
    if isinstance(node, Arithmetic):
        value = _value(node.first, look)
        for operator, part in node.rest:
            value = _OPERATE[operator](value, _value(part, look))
        return np.asarray(value)
    if isinstance(node, Call) and node.name == "abs" and len(node.arguments) == 1:
        return np.asarray(np.abs(_value(node.arguments[0], look)))
    if isinstance(node, Comparison | Both | Either | Not):
        return _condition(node, look)
    raise UnknownNameError(f"unknown variable '{tree.canonical(node)}'."
                           f"{nearest(tree.canonical(node), pair_variables.NAMES)}")


def _condition(node: Node, look: Lookup) -> Values:
    if isinstance(node, Comparison):
        values = [_value(part, look) for part in node.operands]
        keep = [_COMPARE[op](a, b) & ~(np.isnan(a) | np.isnan(b))
                for op, a, b in zip(node.operators, values, values[1:], strict=False)]
        return np.asarray(np.logical_and.reduce(keep))
    if isinstance(node, Not):
        return np.asarray(~_condition(node.inner, look))
    if isinstance(node, Both | Either):
        parts = [_condition(part, look) for part in node.parts]
        return np.asarray((np.logical_and if isinstance(node, Both) else np.logical_or).reduce(parts))
    raise ExpressionError(f"'{tree.canonical(node)}' is no condition. Compare it with something.")


def _of_pairs(node: Node, pairs: Pairs, own: Mapping[str, Provider]) -> Values | None:
    """A variable of pairs: the analysis's own, the rest of the event's, the event's, or that of a particle."""
    name = tree.canonical(node)
    if name in own:
        return own[name](pairs)
    found = pair_variables.of_pairs(node, pairs)
    if found is not None:
        return found
    return _of_members(node, pairs.members()) if _of_candidate(node) else None


def _of_members(node: Node, members: Members) -> Values:
    while isinstance(node, Call) and node.name == "daughter" and len(node.arguments) == 2:
        number, node = node.arguments
        if not isinstance(number, Number) or number.value < 0 or not number.value.is_integer():
            raise UnknownNameError(f"daughter: expected its number, got '{tree.canonical(number)}'.")
        members = members.daughter(int(number.value))
    return members.column(tree.canonical(node))
