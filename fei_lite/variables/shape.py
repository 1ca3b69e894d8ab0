"""Event shape: of the whole event, and of a candidate against its rest of the event (centre-of-mass frame)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import UnknownNameError, nearest
from fei_lite.event_shape import cos_between, thrust
from fei_lite.event_shape.ksfw import NAMES
from fei_lite.event_shape.variables import continuum_suppression, event_shape
from fei_lite.reconstruction.frames import sqrt_s, to_cms
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.rest_of_event import momenta_of, others, rest, used_by
from fei_lite.variables.subject import Floats, Subject
from fei_lite.variables.tree import Node

Columns = dict[str, NDArray[Any]]
_MASK = ("mask:word?",)
_EVENT, _SUPPRESSION = "basf2, Event Shape", "basf2, Continuum Suppression"
_EMPTY = "the event has no particle that the mask keeps"


def _of_event(subject: Subject, mask: str) -> Columns:
    """The shape of every event of the batch, once for the batch."""
    def make() -> Columns:
        events = Subject(None, surroundings=subject.around)
        return event_shape(rest(events, mask).momenta_cms(), sqrt_s=sqrt_s(subject.batch.events["beam_p4"]))

    made: Columns = subject.around.once(f"event shape {mask or 'all'}", make)
    return made


def _shape(name: str) -> Provider:
    return lambda subject, mask="": _of_event(subject, mask)[name][subject.event]


for _name, _meaning in (
        ("thrust", "thrust of the event"), ("thrustAxisCosTheta", "abs(cos) of its thrust axis to the z axis"),
        ("sphericity", "sphericity, 0 (a line) .. 1 (isotropic)"), ("aplanarity", "aplanarity, 0 (a plane) .. 1/2"),
        *((f"foxWolframR{k}", f"Fox-Wolfram moments H{k} / H0") for k in range(1, 5)),
        *((f"harmonicMomentThrust{k}", f"harmonic moment B{k} about the thrust axis") for k in range(9))):
    register(_name, unit="", meaning=_meaning, nan=_EMPTY, source=_EVENT, of="event shape", parameters=_MASK)(
        _shape(_name))
for _k in range(9):
    register(f"cleoConeThrust{_k}", unit="GeV", meaning=f"momentum in the cone of {10 * _k} to {10 * _k + 10} degrees "
             "about the thrust axis, both sides", nan=_EMPTY, source=_EVENT, of="event shape", parameters=_MASK)(
        _shape(f"cleoConeThrust{_k}"))


def _against_rest(subject: Subject, mask: str) -> Columns:
    """The candidate against its rest of the event."""
    def make() -> Columns:
        beam = subject.beam_p4
        return continuum_suppression(momenta_of(subject, used_by(subject)), others(subject, mask), sqrt_s=sqrt_s(beam),
                                     energy=to_cms(subject.p4, beam)[:, 3])

    made: Columns = subject.once(f"continuum suppression {mask or 'all'}", make)
    return made


def _suppression(name: str) -> Provider:
    return lambda subject, mask="": _against_rest(subject, mask)[name]


for _name, _meaning, _nan in (
        ("thrustBm", "thrust of the candidate's tracks and photons", "it has none"),
        ("thrustOm", "thrust of its rest of the event", "the rest is empty"),
        ("cosTBTO", "abs(cos) of the candidate's thrust axis to that of its rest of the event", "one of them is empty"),
        ("cosTBz", "abs(cos) of the candidate's thrust axis to the z axis", "it has no particle"),
        ("R2", "Fox-Wolfram moments H2 / H0 of candidate and rest together", "there is no particle")):
    register(_name, unit="", meaning=_meaning, nan=_nan, source=_SUPPRESSION, of="event shape", parameters=_MASK)(
        _suppression(_name))


@register("CleoConeCS", unit="GeV", meaning="momentum in the i-th (1..9) cone of 10 degrees about the candidate's "
          "thrust axis, both sides", nan="the candidate has no particle", source=_SUPPRESSION, of="event shape",
          parameters=("i:index", "mask:word?"))
def _cone(subject: Subject, i: int, mask: str = "") -> Floats:
    if not 1 <= i <= 9:
        raise UnknownNameError(f"CleoConeCS({i}): cones are numbered from 1 to 9.")
    return np.asarray(_against_rest(subject, mask)[f"CleoConeCS({i})"])


@register("KSFWVariables", unit="", meaning=f"modified Fox-Wolfram moments of candidate and rest: {', '.join(NAMES)} "
          "(mm2 in GeV^2, et in GeV)", nan="the candidate has no particle, or more energy than the beams",
          source=f"{_SUPPRESSION}; arXiv:1406.6311, section 9.4.2", of="event shape",
          parameters=("moment:word", "mask:word?"))
def _moment(subject: Subject, moment: str, mask: str = "") -> Floats:
    if moment not in NAMES:
        raise UnknownNameError(f"KSFWVariables({moment}): no such moment.{nearest(moment, NAMES)}")
    return np.asarray(_against_rest(subject, mask)[f"KSFWVariables({moment})"])


@register("cosMomentumTO", unit="", meaning="abs(cos) of the candidate's momentum to the thrust axis of its rest of "
          "the event", nan="the rest is empty", source="ours", of="event shape", parameters=_MASK)
def _cos_momentum(subject: Subject, mask: str = "") -> Floats:
    axis, _ = thrust(others(subject, mask))
    p3 = to_cms(subject.p4, subject.beam_p4)[:, :3]
    return cos_between(axis, p3 / np.linalg.norm(p3, axis=1, keepdims=True))


@register("daughterAgainstAll", unit="of x", nan="x is, or there is no such daughter", source="ours", of="daughters",
          meaning="event-shape variable (or roeM) x of daughter i, whose rest of the event is all that the other "
          "daughters use (no mask applies to it) and the candidate's own rest under the mask of x",
          parameters=("i:index", "x:expression"))
def _against_all(subject: Subject, i: int, x: Node) -> Floats:
    out = np.full(len(subject), np.nan)
    for here, part, channel in subject.parts():
        daughters = part.daughters_of(channel)
        if len(daughters) > i:
            one = daughters[i].take(np.arange(len(part)))
            one.siblings = used_by(part) & ~used_by(one)
            out[slice(None) if here is None else here] = one.value(x)
    return out
