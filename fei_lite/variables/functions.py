"""Functions of numbers: on candidates and on plain columns alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.variables.evaluation import Evaluated, condition, value
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.tree import Node

Floats = NDArray[np.float64]
_META = "basf2, MetaVariables"


def _numbers(x: Node, subject: Evaluated) -> Floats:
    return np.asarray(value(x, subject), dtype=np.float64)


def _function(function: Any) -> Provider:
    def provide(subject: Evaluated, x: Node) -> Floats:
        with np.errstate(all="ignore"):
            found = function(_numbers(x, subject))
        return np.where(np.isinf(found), np.nan, found)

    return provide


for _name, _of, _unit, _meaning, _nan in (
        ("sin", np.sin, "", "sine of x in rad", "x is"), ("cos", np.cos, "", "cosine of x in rad", "x is"),
        ("tan", np.tan, "", "tangent of x in rad", "x is"),
        ("asin", np.arcsin, "rad", "arc sine of x", "abs(x) > 1"),
        ("acos", np.arccos, "rad", "arc cosine of x", "abs(x) > 1"),
        ("atan", np.arctan, "rad", "arc tangent of x", "x is"),
        ("exp", np.exp, "", "e to the power x", "x is, or it is too large"),
        ("log", np.log, "", "natural logarithm of x", "x is not positive"),
        ("log10", np.log10, "", "decimal logarithm of x", "x is not positive"),
        ("sqrt", np.sqrt, "", "square root of x", "x is negative")):
    register(_name, unit=_unit, meaning=_meaning, nan=_nan, source="ours" if _name == "sqrt" else _META, of="function",
             parameters=("x:expression",))(_function(_of))


@register("abs", unit="of x", meaning="absolute value of x", nan="x is", source=_META, of="function",
          parameters=("x:expression",))
def _absolute(subject: Evaluated, x: Node) -> NDArray[Any]:
    return np.abs(value(x, subject))


@register("formula", unit="of x", meaning="an expression with + - * / ** and brackets (which may stand without it)",
          nan="a part is, or a division by zero", source=_META, of="function", parameters=("x:expression",))
def _formula(subject: Evaluated, x: Node) -> NDArray[Any]:
    return value(x, subject)


@register("min", unit="of x", meaning="the smallest of x, ...", nan="one of them is", source=_META, of="function",
          parameters=("x:expression*",))
def _smallest(subject: Evaluated, *x: Node) -> Floats:
    return np.asarray(np.minimum.reduce([_numbers(part, subject) for part in x]))


@register("max", unit="of x", meaning="the largest of x, ...", nan="one of them is", source=_META, of="function",
          parameters=("x:expression*",))
def _largest(subject: Evaluated, *x: Node) -> Floats:
    return np.asarray(np.maximum.reduce([_numbers(part, subject) for part in x]))


@register("absDeltaPhi", unit="rad", meaning="difference of two azimuths, 0..pi", nan="one of them is", source="ours",
          of="function", parameters=("x:expression", "y:expression"))
def _azimuth(subject: Evaluated, x: Node, y: Node) -> Floats:
    turn = _numbers(x, subject) - _numbers(y, subject)
    return np.abs((turn + np.pi) % (2.0 * np.pi) - np.pi)


@register("conditional", unit="of x", meaning="x where the cut holds, else y", nan="what is taken is", source=_META,
          of="function", parameters=("cut:condition", "x:expression", "y:expression"),
          aliases=("conditionalVariableSelector",))
def _conditional(subject: Evaluated, cut: Node, x: Node, y: Node) -> NDArray[Any]:
    return np.where(condition(cut, subject), value(x, subject), value(y, subject))


@register("passesCut", unit="", meaning="1 where the cut holds, else 0", nan="never", source=_META, of="function",
          parameters=("cut:condition",))
def _passes(subject: Evaluated, cut: Node) -> NDArray[np.int64]:
    return condition(cut, subject).astype(np.int64)


@register("isNAN", unit="", meaning="1 where x is undefined, else 0", nan="never", source=_META, of="function",
          parameters=("x:expression",))
def _undefined(subject: Evaluated, x: Node) -> NDArray[np.int64]:
    return np.isnan(_numbers(x, subject)).astype(np.int64)


@register("ifNANgiveX", unit="of x", meaning="x, where it is undefined the number given", nan="never", source=_META,
          of="function", parameters=("x:expression", "otherwise:number"))
def _otherwise(subject: Evaluated, x: Node, otherwise: float) -> Floats:
    found = _numbers(x, subject)
    return np.where(np.isnan(found), otherwise, found)
