"""The tree of an expression: its nodes, its one spelling, and a walk through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """A part of an expression; ``column`` (from 0) is where it stands in the text."""

    column: int = field(compare=False, repr=False, kw_only=True, default=0)


@dataclass(frozen=True)
class Number(Node):
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name(Node):
    """A variable, or a word that a function takes (a mask)."""

    name: str


@dataclass(frozen=True)
class Call(Node):
    """A function or meta-variable with its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Minus(Node):
    """The negative of an expression."""

    inner: Node


@dataclass(frozen=True)
class Arithmetic(Node):
    """``first`` and then operator and operand, from left to right (``**`` from right to left: one pair each)."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Comparison(Node):
    """``operands[0] operators[0] operands[1] ...``: all neighbours must compare; NaN never does."""

    operands: tuple[Node, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Not(Node):
    """The opposite of a condition."""

    inner: Node


@dataclass(frozen=True)
class Both(Node):
    """All conditions hold (``and``)."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Either(Node):
    """One of the conditions holds (``or``)."""

    parts: tuple[Node, ...]


CONDITIONS = (Comparison, Not, Both, Either)


def canonical(node: Node) -> str:
    """An expression in one spelling: brackets only where they are needed, blanks around comparisons.

    >>> from fei_lite.variables.grammar import parse
    >>> canonical(parse("[ daughter(0, kaonID) > .90 && !(M<2.0 || E > -1)]"))
    'daughter(0,kaonID) > 0.9 and not (M < 2 or E > -1)'
    """
    if isinstance(node, Number):
        return _digits(node.value)
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Call):
        return f"{node.name}({','.join(canonical(argument) for argument in node.arguments)})"
    if isinstance(node, Minus):
        return f"-{_inside(node.inner, (Arithmetic, Minus))}"
    if isinstance(node, Arithmetic):
        negative = any(op == "**" for op, _ in node.rest) and isinstance(node.first, Number) and node.first.value < 0
        first = f"({canonical(node.first)})" if negative else _inside(node.first, (Arithmetic, Minus))
        return first + "".join(op + _inside(part, (Arithmetic, Minus)) for op, part in node.rest)
    if isinstance(node, Comparison):
        texts = [_inside(part, ()) for part in node.operands]
        return texts[0] + "".join(f" {op} {part}" for op, part in zip(node.operators, texts[1:], strict=True))
    if isinstance(node, Not):
        return f"not {_inside(node.inner, (Comparison,))}"
    if isinstance(node, Both):
        return " and ".join(_inside(part, (Either,)) if isinstance(part, Either) else canonical(part)
                            for part in node.parts)
    assert isinstance(node, Either)
    return " or ".join(canonical(part) for part in node.parts)


def _inside(node: Node, bracketed: tuple[type[Node], ...]) -> str:
    needed = isinstance(node, (*bracketed, *CONDITIONS))
    return f"({canonical(node)})" if needed else canonical(node)


def _digits(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes inside it, outer before inner, from left to right."""
    yield node
    for inner in children(node):
        yield from walk(inner)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right inside a node."""
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Minus | Not):
        return (node.inner,)
    if isinstance(node, Arithmetic):
        return (node.first, *(part for _, part in node.rest))
    if isinstance(node, Comparison):
        return node.operands
    return node.parts if isinstance(node, Both | Either) else ()
