"""Meta-variables: a variable of the daughters, or in another frame; they nest without limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.kernels import feature_codes as codes
from fei_lite.reconstruction.frames import invariant_mass
from fei_lite.variables.evaluation import condition
from fei_lite.variables.kinematics import momentum, seen
from fei_lite.variables.registry import register
from fei_lite.variables.subject import Floats, Subject
from fei_lite.variables.tree import Node

_META = "basf2, MetaVariables"
_NO_DAUGHTER = "there is no such daughter, or x is undefined"
_Of = Callable[[Subject, Sequence[Subject]], NDArray[Any]]


def _if_there(least: int, function: _Of) -> _Of:
    """``function`` where there are at least so many daughters, else NaN."""
    return lambda part, daughters: function(part, daughters) if len(daughters) >= least else part.undefined()


@register("daughter", unit="of x", meaning="x of the i-th daughter, from 0 (of the tracks of a V0, too)",
          nan=_NO_DAUGHTER, source=_META, of="daughters", parameters=("i:index", "x:expression"))
def _daughter(subject: Subject, i: int, x: Node) -> Floats:
    return subject.each(_if_there(i + 1, lambda part, daughters: daughters[i].value(x)))


@register("daughterProductOf", unit="", meaning="product of x of all daughters", nan="x of one is, or there are none",
          source=_META, of="daughters", parameters=("x:expression",))
def _product(subject: Subject, x: Node) -> Floats:
    return subject.each(_if_there(1, lambda part, daughters: np.prod([d.value(x) for d in daughters], axis=0)))


@register("daughterSumOf", unit="of x", meaning="sum of x of all daughters", nan="x of one is, or there are none",
          source=_META, of="daughters", parameters=("x:expression",))
def _sum(subject: Subject, x: Node) -> Floats:
    return subject.each(_if_there(1, lambda part, daughters: np.sum([d.value(x) for d in daughters], axis=0)))


@register("daughterLowest", unit="of x", meaning="lowest x of the daughters, undefined ones left out",
          nan="x of all is, or there are none", source=_META, of="daughters", parameters=("x:expression",))
def _lowest(subject: Subject, x: Node) -> Floats:
    return subject.each(_if_there(1, lambda part, daughters: np.fmin.reduce(
        [np.asarray(d.value(x), np.float64) for d in daughters])))


@register("daughterHighest", unit="of x", meaning="highest x of the daughters, undefined ones left out",
          nan="x of all is, or there are none", source=_META, of="daughters", parameters=("x:expression",))
def _highest(subject: Subject, x: Node) -> Floats:
    return subject.each(_if_there(1, lambda part, daughters: np.fmax.reduce(
        [np.asarray(d.value(x), np.float64) for d in daughters])))


@register("daughterDiffOf", unit="of x", meaning="x of daughter j minus x of daughter i", nan=_NO_DAUGHTER,
          source=_META, of="daughters", parameters=("i:index", "j:index", "x:expression"))
def _difference(subject: Subject, i: int, j: int, x: Node) -> Floats:
    return subject.each(_if_there(max(i, j) + 1, lambda part, daughters: np.asarray(
        daughters[j].value(x), np.float64) - daughters[i].value(x)))


@register("countDaughters", unit="", meaning="number of daughters that pass a cut", nan="never", source=_META,
          of="daughters", parameters=("cut:condition",))
def _count(subject: Subject, cut: Node) -> NDArray[np.int64]:
    counted = subject.each(lambda part, daughters: np.sum([condition(cut, d) for d in daughters], axis=0)
                           if daughters else np.zeros(len(part)))
    return counted.astype(np.int64)


@register("daughterInvariantMass", unit="GeV", meaning="mass of the summed daughters i, ...", nan=_NO_DAUGHTER,
          source=_META, of="daughters", parameters=("i:index*",), code=codes.INVARIANT_MASS)
def _mass(subject: Subject, *which: int) -> Floats:
    def summed(part: Subject, daughters: Sequence[Subject]) -> NDArray[Any]:
        return invariant_mass(np.sum([daughters[i].p4 for i in sorted(which)], axis=0))

    return subject.each(_if_there(max(which) + 1, summed))


@register("daughterAngle", unit="rad", meaning="angle between the momenta of daughters i and j, 0..pi, in the frame",
          nan="there is no such daughter, or one has no momentum", source=f"{_META}; a cosine in older releases",
          of="daughters", parameters=("i:index", "j:index"), code=codes.DAUGHTER_ANGLE)
def _angle(subject: Subject, i: int, j: int) -> Floats:
    return subject.each(_if_there(max(i, j) + 1, lambda part, daughters: _between(
        momentum(daughters[i]), momentum(daughters[j]))))


@register("decayAngle", unit="rad", nan="there is no such daughter, or the candidate has no rest frame", of="daughters",
          meaning="angle, in the candidate's rest frame, of daughter i and the reverted momentum of e+e-",
          source="basf2, ParameterVariables; a cosine in older releases", parameters=("i:index",),
          code=codes.DECAY_ANGLE)
def _decay_angle(subject: Subject, i: int) -> Floats:
    def angle(part: Subject, daughters: Sequence[Subject]) -> NDArray[Any]:
        frame = part.rest_frame()
        return np.pi - _between(seen(part.beam_p4, frame), seen(daughters[i].p4, frame))

    return subject.each(_if_there(i + 1, angle))


def _between(first: Floats, second: Floats) -> Floats:
    from fei_lite.kernels.features import angle_lanes

    out = np.empty(first.shape[1])
    angle_lanes(first, second, len(out), out)
    return out


@register("useCMSFrame", unit="of x", meaning="x in the frame of e+e-", nan="x is", source=_META, of="frame",
          parameters=("x:expression",))
def _in_cms(subject: Subject, x: Node) -> NDArray[Any]:
    return subject.seen_from(subject.cms_frame()).value(x)


@register("useRestFrame", unit="of x", meaning="x in the rest frame of the candidate: momenta of its daughters, and "
          "places relative to its vertex, shortened along its flight by gamma", nan="x is, or there is no rest frame",
          source=f"{_META}; there places are shifted by the interaction point once more", of="frame",
          parameters=("x:expression",))
def _in_rest(subject: Subject, x: Node) -> NDArray[Any]:
    return subject.seen_from(subject.rest_frame()).value(x)


@register("useLabFrame", unit="of x", meaning="x in the laboratory, also inside of another frame", nan="x is",
          source=_META, of="frame", parameters=("x:expression",))
def _in_lab(subject: Subject, x: Node) -> NDArray[Any]:
    return subject.seen_from(None).value(x)


@register("useDaughterRestFrame", unit="of x", meaning="x in the rest frame of the i-th daughter",
          nan="x is, or there is no rest frame", source=_META, of="frame", parameters=("i:index", "x:expression"))
def _in_daughter_rest(subject: Subject, i: int, x: Node) -> NDArray[Any]:
    def of(part: Subject, daughters: Sequence[Subject]) -> NDArray[Any]:
        return part.seen_from(daughters[i].rest_frame()).value(x)

    return subject.each(_if_there(i + 1, of))


