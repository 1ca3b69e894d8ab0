"""Expressions on candidates, and on plain columns: from the tree to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import ExpressionError, FeiLiteError, UnknownNameError, nearest
from fei_lite.variables.grammar import parse
from fei_lite.variables.names import check
from fei_lite.variables.registry import registered
from fei_lite.variables.tree import (
    Arithmetic,
    Both,
    Call,
    Comparison,
    Either,
    Minus,
    Name,
    Node,
    Not,
    Number,
    canonical,
)

Array: TypeAlias = NDArray[Any]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal}


class Evaluated(Protocol):
    """What expressions are evaluated on: candidates or columns."""

    def __len__(self) -> int:
        """Number of rows."""

    def ready(self, text: str) -> Array | None:
        """The values of an expression (in its one spelling) if they stand ready, else None."""

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returns; made once for each key."""

    def provide(self, name: str, arguments: tuple[Any, ...]) -> Array:
        """The values of a registered variable."""

    def known_columns(self) -> frozenset[str]:
        """Names beyond the registered ones."""


class Columns:
    """Ready columns (n,) by name, as a subject of expressions: selections on ntuples.

    A part of an expression that is the name of a column is that column (``KSFWVariables(hso02)``); the rest may be
    numbers, arithmetic, comparisons and functions. Raises :class:`UnknownNameError` for any other variable, and
    :class:`FeiLiteError` if the columns differ in length.

    >>> evaluate(["abs(x) + 1"], {"x": [-1.5, 2]})["abs(x) + 1"].tolist()
    [2.5, 3.0]
    """

    def __init__(self, columns: Mapping[str, ArrayLike]) -> None:
        self._columns = {spelling(name): np.asarray(values) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise FeiLiteError(f"columns of different length: {lengths}.")
        self._n = next(iter(lengths.values()), 0)
        self._made: dict[str, Any] = {}

    def __len__(self) -> int:
        return self._n

    def ready(self, text: str) -> Array | None:
        """The column of this name."""
        return self._columns.get(text)

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returns; made once for each key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def known_columns(self) -> frozenset[str]:
        """Names of the columns."""
        return frozenset(self._columns)

    def value(self, expression: str | Node) -> Array:
        """Values of an expression, (n,)."""
        return value(expression, self)

    def provide(self, name: str, arguments: tuple[Any, ...]) -> Array:
        """Functions of numbers; whatever needs candidates is not there."""
        found = registered(name)
        if found is None or found.of != "function":
            raise UnknownNameError(f"no column '{name}'.{nearest(name, self._columns)}")
        return np.asarray(found.provider(self, *arguments))


@lru_cache(maxsize=8192)
def spelling(name: str) -> str:
    """The one spelling of a name or expression; a text that is none (a column of a foreign file) as it is.

    >>> spelling("daughter( 0, p )"), spelling("a column")
    ('daughter(0,p)', 'a column')
    """
    try:
        return canonical(parse(name))
    except ExpressionError:
        return name


def evaluate(names: Sequence[str], subject: Evaluated | Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Columns (n,) by name, in the order of ``names``: variables or expressions, of candidates or of columns.

    Numbers are float64, flags and counts whole numbers, conditions booleans. NaN is undefined. Raises
    :class:`UnknownNameError` for names that do not exist, with the column of the text and the nearest name.
    """
    target = Columns(subject) if isinstance(subject, Mapping) else subject
    return {name: np.array(value(name, target)) for name in names}


def value(expression: str | Node, subject: Evaluated) -> Array:
    """Values of an expression, (n,); those of its parts are kept by the subject."""
    if isinstance(expression, str):
        expression = check(expression, "", subject.known_columns())
    found = np.asarray(_value(expression, subject))
    if found.ndim == 0:
        found = np.full(len(subject), found[()])
    return found


def _value(node: Node, subject: Evaluated) -> Any:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name | Call):
        text = canonical(node)
        found = subject.ready(text)
        return subject.once(f"value {text}", lambda: _called(node, subject)) if found is None else found
    found = subject.ready(canonical(node)) if subject.known_columns() else None
    if found is not None:
        return found
    if isinstance(node, Minus):
        return -np.asarray(_value(node.inner, subject), dtype=np.float64)
    if isinstance(node, Arithmetic):
        return _arithmetic(node, subject)
    return condition(node, subject)


def _called(node: Name | Call, subject: Evaluated) -> Array:
    found = registered(node.name)
    arguments: list[Any] = []
    for i, argument in enumerate(node.arguments if isinstance(node, Call) else ()):
        assert found is not None or subject.known_columns()
        kind = found.parameters[min(i, len(found.parameters) - 1)].type if found is not None else ""
        if isinstance(argument, Number) and kind in ("index", "number"):
            arguments.append(int(argument.value) if kind == "index" else argument.value)
        else:
            arguments.append(argument.name if isinstance(argument, Name) and kind == "word" else argument)
    return subject.provide(node.name, tuple(arguments))


def _arithmetic(node: Arithmetic, subject: Evaluated) -> Array:
    """From left to right; a division by zero and a power that is no number are NaN."""
    total = np.asarray(_value(node.first, subject), dtype=np.float64)
    with np.errstate(all="ignore"):
        for operator, part in node.rest:
            other = np.asarray(_value(part, subject), dtype=np.float64)
            if operator == "+":
                total = total + other
            elif operator == "-":
                total = total - other
            elif operator == "*":
                total = total * other
            elif operator == "/":
                total = np.where(other == 0.0, np.nan, total / other)
            else:
                power = np.power(total, other)
                total = np.where(np.isinf(power) & np.isfinite(total) & np.isfinite(other), np.nan, power)
    return total


def condition(node: Node, subject: Evaluated) -> NDArray[np.bool_]:
    """Where a condition holds, (n,) bool; NaN fails every comparison, ``!=`` as well."""
    n = len(subject)
    if isinstance(node, Comparison):
        return np.broadcast_to(_comparison(node, subject), (n,))
    if isinstance(node, Not):
        return ~condition(node.inner, subject)
    if not isinstance(node, Both | Either):
        raise ExpressionError(f"'{canonical(node)}': expected a condition, like {canonical(node)} == 1.")
    join = np.logical_and if isinstance(node, Both) else np.logical_or
    result = condition(node.parts[0], subject)
    for part in node.parts[1:]:
        result = join(result, condition(part, subject))
    return result


def _comparison(node: Comparison, subject: Evaluated) -> NDArray[np.bool_]:
    values = [np.asarray(_value(operand, subject)) for operand in node.operands]
    result = np.ones((), dtype=bool)
    with np.errstate(invalid="ignore"):
        for left, operator, right in zip(values, node.operators, values[1:], strict=False):
            if operator == "!=":
                holds = (left != right) & ~_undefined(left) & ~_undefined(right)
            else:
                holds = _COMPARE[operator](left, right)
            result = result & holds
    return result


def _undefined(values: Array) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
