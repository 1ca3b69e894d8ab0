"""Expressions of a recipe: over pairs when candidates are made, over their columns afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import ExpressionError, UnknownNameError
from fei_lite.variables.cuts import parse_cut
from fei_lite.variables.evaluation import Columns, spelling, value
from fei_lite.variables.grammar import parse
from fei_lite.variables.names import check
from fei_lite.variables.registry import registered
from fei_lite.variables.tree import CONDITIONS, Call, Name, Node, canonical, children


def calculate(text: str, columns: Mapping[str, ArrayLike], where: str = "") -> NDArray[Any]:
    """An expression over ready columns, (n,).

    >>> calculate("x + abs(y)", {"x": [1.0, 2.0], "y": [0, -2]}).tolist()
    [1.0, 4.0]
    """
    return value(check(text, where, _names(columns)), Columns(columns))


def passes(text: str, columns: Mapping[str, ArrayLike], where: str = "") -> NDArray[np.bool_]:
    """Which rows pass a cut over ready columns, (n,); NaN never does.

    >>> passes("0 < x < 3 and not y > 1", {"x": [1.0, 2.0, np.nan], "y": [0, 2, 0]}).tolist()
    [True, False, False]
    """
    return parse_cut(text, where, columns=_names(columns)).passes(Columns(columns))


def _names(columns: Collection[str]) -> frozenset[str]:
    return frozenset(spelling(name) for name in columns)


def is_condition(text: str) -> bool:
    """Whether a text is a cut and no number. Raises :class:`ExpressionError` for what cannot be read."""
    return isinstance(parse(text), CONDITIONS)


def needed(text: str, columns: Collection[str]) -> list[str]:
    """The variables of candidates that an expression needs beyond the columns there are, each in its one spelling.

    Functions of numbers (``abs``) need none of themselves.
    """
    return list(dict.fromkeys(_needed(parse(text), _names(columns))))


def _needed(node: Node, columns: frozenset[str]) -> list[str]:
    if isinstance(node, Name | Call):
        found = registered(node.name)
        if canonical(node) in columns:
            return []
        if isinstance(node, Name) or found is None or found.of != "function":
            return [canonical(node)]
    return [name for inner in children(node) for name in _needed(inner, columns)]


def defect(text: str, known: Collection[str]) -> str:
    """What is wrong with an expression of pairs, ``known`` being names beyond the registered ones; "" if nothing."""
    try:
        check(text, "", _names(known))
    except (ExpressionError, UnknownNameError) as error:
        return str(error)
    return ""
