"""The grammar of names, expressions and cuts: one parser for all of them, and one tree.

Numbers, names, calls (``daughter(0, useCMSFrame(p))``), arithmetic (``+ - * / **``, ``^`` as ``**``), chained
comparisons (``0.2967 < theta < 2.6180``), ``and``, ``or``, ``not`` (also ``&&``, ``||``, ``!``); round and square
brackets group, as in basf2; ``#`` starts a comment that ends with its line. Nothing is evaluated here, and nothing is
known of what names mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NoReturn

from fei_lite.errors import ExpressionError
from fei_lite.variables.tree import Arithmetic, Both, Call, Comparison, Either, Minus, Name, Node, Not, Number

#: Longest text and deepest nesting that are read.
MAX_LENGTH, MAX_DEPTH = 10_000, 50

_BLANK = re.compile(r"(?:\s|\#[^\n]*)*")
_TOKEN = re.compile(r"""(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>\*\*|<=|>=|==|!=|&&|\|\||[-+*/^<>!()\[\],])
)""", re.VERBOSE)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_WORDS = {"&&": "and", "||": "or", "!": "not", "^": "**"}
_CLOSING = {"(": ")", "[": "]"}


@lru_cache(maxsize=8192)
def parse(text: str, where: str = "") -> Node:
    """The tree of an expression or a cut.

    ``where`` (``"D0.toml: cuts"``) stands first in the message of :class:`ExpressionError`, which names the
    column (from 1) and points at it.

    >>> parse("0.4 < M < 0.6")
    Comparison(operands=(Number(value=0.4), Name(name='M'), Number(value=0.6)), operators=('<', '<'))
    """
    return _Parser(text, where).whole()


def fail(text: str, column: int, message: str, where: str = "") -> str:
    """A message with its place in ``text``: the column (from 1) and a line that points at it.

    >>> print(fail("M > m", 4, "unknown."))
    column 5: unknown.
        M > m
            ^
    """
    before = f"{where}: " if where else ""
    start = max(0, column - 80)  # of a long text, what stands around the place
    shown = text[start:column + 40].replace("\n", " ").replace("\t", " ")
    return f"{before}column {column + 1}: {message}\n    {shown}\n    {' ' * (column - start)}^"


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.depth = text, where, 0
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"{where}: " * bool(where) + f"an expression of {len(text)} characters; at most "
                                  f"{MAX_LENGTH} are read.")
        self.tokens = list(self._tokens())
        self.at = 0

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        """(type, text, column) of each token, then the end."""
        place = self._after_blanks(0)
        while place < len(self.text):
            match = _TOKEN.match(self.text, place)
            if match is None or match.lastgroup is None:
                self.wrong(place, f"unexpected character '{self.text[place]}'.")
            token = match[match.lastgroup]
            token = _WORDS.get(token, token)
            kind = "mark" if token in ("and", "or", "not") else match.lastgroup
            yield kind, token, match.start(match.lastgroup)
            place = self._after_blanks(match.end())
        yield "end", "", len(self.text.rstrip())

    def _after_blanks(self, place: int) -> int:
        blank = _BLANK.match(self.text, place)
        return place if blank is None else blank.end()

    def wrong(self, column: int, message: str) -> NoReturn:
        raise ExpressionError(fail(self.text, column, message, self.where))

    @property
    def token(self) -> str:
        """The next token if it is an operator, a bracket or a word like ``and``."""
        kind, token, _ = self.tokens[self.at]
        return token if kind == "mark" else ""

    @property
    def column(self) -> int:
        return self.tokens[self.at][2]

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def whole(self) -> Node:
        if self.tokens[0][0] == "end":
            self.wrong(0, "empty: expected a name or an expression.")
        node = self.either()
        if self.tokens[self.at][0] != "end":
            self.wrong(self.column, f"unexpected '{self.tokens[self.at][1]}' after a complete expression.")
        return node

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.wrong(self.column, f"nested more than {MAX_DEPTH} deep.")

    def either(self) -> Node:
        column, parts = self.column, [self.both()]
        while self.token == "or":
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Either(_flat(parts, Either), column=column)

    def both(self) -> Node:
        column, parts = self.column, [self.opposite()]
        while self.token == "and":
            self.take()
            parts.append(self.opposite())
        return parts[0] if len(parts) == 1 else Both(_flat(parts, Both), column=column)

    def opposite(self) -> Node:
        if self.token != "not":
            return self.comparison()
        column = self.column
        self.take()
        self.deeper()
        inner = self.opposite()
        self.depth -= 1
        return Not(inner, column=column)

    def comparison(self) -> Node:
        column, operands, operators = self.column, [self.sum()], []
        while self.token in _COMPARISONS:
            operators.append(self.take())
            operands.append(self.sum())
        return Comparison(tuple(operands), tuple(operators), column=column) if operators else operands[0]

    def sum(self) -> Node:
        column, first, rest = self.column, self.product(), []
        while self.token in ("+", "-"):
            rest.append((self.take(), self.product()))
        return Arithmetic(first, tuple(rest), column=column) if rest else first

    def product(self) -> Node:
        column, first, rest = self.column, self.signed(), []
        while self.token in ("*", "/"):
            rest.append((self.take(), self.signed()))
        return Arithmetic(first, tuple(rest), column=column) if rest else first

    def signed(self) -> Node:
        column = self.column
        if self.token not in ("+", "-"):
            return self.power()
        sign = self.take()
        self.deeper()
        inner = self.signed()
        self.depth -= 1
        if sign == "+":
            return inner
        return Number(-inner.value, column=column) if isinstance(inner, Number) else Minus(inner, column=column)

    def power(self) -> Node:
        column, base = self.column, self.atom()
        if self.token != "**":
            return base
        self.take()
        self.deeper()
        exponent = self.signed()
        self.depth -= 1
        return Arithmetic(base, (("**", exponent),), column=column)

    def atom(self) -> Node:
        kind, token, column = self.tokens[self.at]
        if kind == "number":
            self.take()
            if not math.isfinite(float(token)):
                self.wrong(column, f"the number {token} is too large.")
            return Number(float(token), column=column)
        if kind == "name":
            self.take()
            if self.token != "(":
                return Name(token, column=column)
            return Call(token, self.arguments(token), column=column)
        if token not in _CLOSING:
            self.wrong(column, "expected a name, a number or a bracket, got "
                       + (f"'{token}'." if token else "the end."))
        self.take()
        self.deeper()
        inner = self.either()
        self.close(token, column)
        self.depth -= 1
        return inner

    def arguments(self, name: str) -> tuple[Node, ...]:
        column = self.column
        self.take()
        self.deeper()
        found: list[Node] = []
        while self.token != ")":
            found.append(self.either())
            if self.token != ",":
                break
            self.take()
        self.close("(", column, f"{name}(")
        self.depth -= 1
        return tuple(found)

    def close(self, opening: str, column: int, what: str = "") -> None:
        if self.token != _CLOSING[opening]:
            found = self.tokens[self.at][1]
            if found:
                self.wrong(self.column, f"expected '{_CLOSING[opening]}' of '{what or opening}', got '{found}'.")
            self.wrong(column, f"'{what or opening}' is not closed.")
        self.take()


def _flat(parts: list[Node], kind: type[Both] | type[Either]) -> tuple[Node, ...]:
    """``a and (b and c)`` is ``a and b and c``."""
    return tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))
