"""Cut strings: ``"kaonID > 0.9 and 0.2967 < theta < 2.6180"``, parsed and checked, never executed as code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import ExpressionError
from fei_lite.variables.evaluation import Columns, Evaluated, condition
from fei_lite.variables.grammar import fail
from fei_lite.variables.names import check, known_of
from fei_lite.variables.registry import KNOWN
from fei_lite.variables.tree import CONDITIONS, Both, Call, Comparison, Name, Node, Number, canonical, children

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


@dataclass(frozen=True)
class Interval:
    """``low < variable < high``, both limits outside, +-inf where open.

    A limit that belongs to it (``>=``) is given as the next number below (above), so that it means the same.
    """

    variable: str
    low: float = -math.inf
    high: float = math.inf

    def __and__(self, other: Interval) -> Interval:
        """What is inside both."""
        return Interval(self.variable, max(self.low, other.low), min(self.high, other.high))


@dataclass(frozen=True)
class Cut:
    """A condition on candidates or columns; an empty text passes everything, NaN fails every comparison.

    Two cuts are equal if they are spelled alike up to blanks and brackets. ``text`` is as written.
    """

    text: str = field(compare=False)
    node: Node | None = None

    def passes(self, subject: Evaluated | Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Which candidates, or rows of the columns, pass, (n,)."""
        target = Columns(subject) if isinstance(subject, Mapping) else subject
        if self.node is None:
            return np.ones(len(target), dtype=bool)
        return np.array(condition(self.node, target))

    def __bool__(self) -> bool:
        """Whether it cuts anything."""
        return self.node is not None

    def __str__(self) -> str:
        return "" if self.node is None else canonical(self.node)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """What it looks at: the outermost variables, each once, in their order.

        >>> parse_cut("abs(dM) < 0.1 and daughter(0, p) + E > 2").variables
        ('abs(dM)', 'daughter(0,p)', 'E')
        """
        return tuple(dict.fromkeys(canonical(node) for node in _variables(self.node)))

    @cached_property
    def conjuncts(self) -> tuple[Cut, ...]:
        """The conditions that must all hold, each as a cut.

        >>> [str(part) for part in parse_cut("0.4 < M < 0.6 and [dr < 2 or E > 1]").conjuncts]
        ['0.4 < M < 0.6', 'dr < 2 or E > 1']
        """
        parts = self.node.parts if isinstance(self.node, Both) else () if self.node is None else (self.node,)
        return tuple(Cut(canonical(part), part) for part in parts)

    @cached_property
    def interval(self) -> Interval | None:
        """The interval that a single comparison with numbers means; None for anything else.

        >>> parse_cut("0.4 < M < 0.6").interval
        Interval(variable='M', low=0.4, high=0.6)
        """
        return _interval(self.node) if isinstance(self.node, Comparison) else None

    @property
    def known(self) -> str:
        """When a candidate has all that it looks at: one of :data:`~fei_lite.variables.registry.KNOWN`."""
        return KNOWN[0] if self.node is None else known_of(self.node)


#: The cut that passes everything.
NO_CUT = Cut("")


def parse_cut(text: str, where: str = "", *, columns: Iterable[str] | None = None) -> Cut:
    """The cut that a text means.

    ``where`` names file and key path in messages; ``columns`` are names beyond the registered variables. Raises
    :class:`UnknownNameError` and :class:`ExpressionError` with the column of the text, and the nearest name.

    >>> parse_cut("x > 1 and x < 3", columns=["x"]).passes({"x": [0.5, 2.0, float("nan")]}).tolist()
    [False, True, False]
    """
    if not text.strip():
        return Cut(text)
    node = check(text, where, frozenset(columns or ()))
    if not isinstance(node, CONDITIONS):
        raise ExpressionError(fail(text, node.column, f"expected a comparison, like {canonical(node)} > 0.", where))
    return Cut(text, node)


def joined(cuts: Iterable[Cut]) -> Cut:
    """All cuts together."""
    parts = [part for cut in cuts for part in cut.conjuncts]
    if len(parts) < 2:
        return parts[0] if parts else Cut("")
    node = Both(tuple(part.node for part in parts if part.node is not None))
    return Cut(canonical(node), node)


def from_interval(interval: Interval) -> str:
    """The text of an interval.

    >>> from_interval(Interval("abs(dz)", high=4.0))
    'abs(dz) < 4.0'
    """
    below = "" if math.isinf(interval.low) else f"{interval.low!r} < "
    above = "" if math.isinf(interval.high) else f" < {interval.high!r}"
    return f"{interval.variable} > {interval.low!r}" if below and not above else f"{below}{interval.variable}{above}"


def _interval(node: Comparison) -> Interval | None:
    """Of a comparison of one expression with one or two numbers."""
    sides = [i for i, operand in enumerate(node.operands) if not isinstance(operand, Number)]
    if len(sides) != 1 or len(node.operands) > 3 or "!=" in node.operators:
        return None
    at = sides[0]
    if len(node.operands) == 3 and at != 1:
        return None
    found = Interval(canonical(node.operands[at]))
    for i, operator in enumerate(node.operators):
        other = node.operands[i + 1 if i == at else i]
        assert isinstance(other, Number)
        found &= _half(found.variable, operator if i == at else _MIRRORED[operator], other.value)
    return found


def _half(variable: str, operator: str, limit: float) -> Interval:
    """``variable operator limit`` as an interval without its limits."""
    if operator == "==":
        return Interval(variable, math.nextafter(limit, -math.inf), math.nextafter(limit, math.inf))
    if operator.startswith("<"):
        return Interval(variable, high=limit if operator == "<" else math.nextafter(limit, math.inf))
    return Interval(variable, low=limit if operator == ">" else math.nextafter(limit, -math.inf))


def _variables(node: Node | None) -> Iterable[Node]:
    if isinstance(node, Name | Call):
        yield node
    elif node is not None:
        for inner in children(node):
            yield from _variables(inner)
