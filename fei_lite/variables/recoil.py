"""What recoils against a candidate: the beams minus its four-momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.particles import mass
from fei_lite.reconstruction.frames import sqrt_s, to_cms
from fei_lite.roe.kinematics import mass_squared, momentum_transfer, recoil, recoil_mass_squared, signal_b_cms
from fei_lite.variables.kinematics import seen
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.subject import Floats, Subject

_SOURCE = "basf2, Kinematics (recoil)"


def _recoil(subject: Subject) -> Floats:
    """Four-momentum (4, n) of the recoil in the subject's frame."""
    return np.asarray(subject.once("recoil", lambda: seen(recoil(subject.p4, subject.beam_p4), subject.frame)))


def _component(which: int) -> Provider:
    return lambda subject: _recoil(subject)[which]


for _which, _name, _meaning in ((0, "pxRecoil", "x component"), (1, "pyRecoil", "y component"),
                                (2, "pzRecoil", "z component")):
    register(_name, unit="GeV", meaning=f"{_meaning} of the momentum of beams - candidate", nan="never",
             source=_SOURCE, of="recoil")(_component(_which))
register("eRecoil", unit="GeV", meaning="energy of beams - candidate", nan="never", source=_SOURCE, of="recoil")(
    _component(3))


@register("pRecoil", unit="GeV", meaning="momentum of beams - candidate", nan="never", source=_SOURCE, of="recoil")
def _momentum(subject: Subject) -> Floats:
    return np.asarray(np.linalg.norm(_recoil(subject)[:3], axis=0))


@register("pRecoilTheta", unit="rad", meaning="polar angle of the momentum of beams - candidate", nan="it is zero",
          source=_SOURCE, of="recoil")
def _theta(subject: Subject) -> Floats:
    q = _recoil(subject)
    return polar(q)


@register("pRecoilPhi", unit="rad", meaning="azimuth of the momentum of beams - candidate, -pi..pi", nan="never",
          source=_SOURCE, of="recoil")
def _phi(subject: Subject) -> Floats:
    q = _recoil(subject)
    return np.asarray(np.arctan2(q[1], q[0]))


@register("m2Recoil", unit="GeV^2", nan="never", source=_SOURCE, of="recoil",
          meaning="(beams - candidate)^2; of a tag-signal pair what both miss, the rest of the event not subtracted: "
          "0 where one neutrino is missing")
def _mass_squared(subject: Subject) -> Floats:
    return mass_squared(recoil(subject.p4, subject.beam_p4))


@register("mRecoil", unit="GeV", meaning="mass of beams - candidate, 0 where its square is negative", nan="never",
          source=_SOURCE, of="recoil")
def _mass(subject: Subject) -> Floats:
    return np.asarray(np.sqrt(np.maximum(_mass_squared(subject), 0.0)))


@register("missingMass2OfTagAndSignal", unit="GeV^2", nan="not a pair", source="ours", of="recoil",
          meaning="(beams - tag - signal side)^2 of a pair, from the tag's measured momentum: 0 where one neutrino is "
          "missing, whatever else the event holds")
def _of_both_sides(subject: Subject) -> Floats:
    return subject.each(lambda part, daughters: part.undefined() if len(daughters) != 2 else momentum_transfer(
        recoil(daughters[0].p4, part.beam_p4), daughters[1].p4))


@register("m2RecoilSignalSide", unit="GeV^2", nan="not a pair", source=_SOURCE, of="recoil",
          meaning="(-p*tag - signal side)^2 of a pair whose first daughter is the tag: the tag's measured momentum "
          "reversed, with the energy sqrt(s)/2")
def _of_signal_side(subject: Subject) -> Floats:
    def squared(part: Subject, daughters: Sequence[Subject]) -> NDArray[Any]:
        if len(daughters) != 2:
            return part.undefined()
        beam = part.beam_p4
        other = -to_cms(daughters[0].p4, beam)
        other[:, 3] = 0.5 * sqrt_s(beam)
        return mass_squared(other - to_cms(daughters[1].p4, beam))

    return subject.each(squared)


@register("missingMass2FromTagDirection", unit="GeV^2", nan="not a pair, or a tag at rest", source="ours", of="recoil",
          meaning="(signal B - signal side)^2 of a pair whose first daughter is the tag; the signal B flies opposite "
          "to the tag with the energy sqrt(s)/2 and the momentum sqrt(s/4 - m_B^2): the q2 of B -> K nu nubar")
def _from_direction(subject: Subject) -> Floats:
    def squared(part: Subject, daughters: Sequence[Subject]) -> NDArray[Any]:
        if len(daughters) != 2:
            return part.undefined()
        beam = part.beam_p4
        return momentum_transfer(signal_b_cms(daughters[0].p4, beam), to_cms(daughters[1].p4, beam))

    return subject.each(squared)


def _recoil_mass_squared(subject: Subject, which: Sequence[int]) -> Floats:
    """Square of :func:`recoil_mass` against some of the signal side's daughters, (n,), GeV^2."""
    def squared(part: Subject, sides: Sequence[Subject]) -> NDArray[Any]:
        if len(sides) != 2:
            return part.undefined()
        tag_cms = to_cms(sides[0].p4, part.beam_p4)

        def of_daughters(side: Subject, daughters: Sequence[Subject]) -> NDArray[Any]:
            if len(daughters) <= max(which):
                return np.full((len(side), 4), np.nan)
            return np.asarray(np.sum([daughters[i].p4 for i in sorted(set(which))], axis=0))

        seen_cms = to_cms(sides[1].each(of_daughters, (4,)), part.beam_p4)
        return recoil_mass_squared(tag_cms, seen_cms, sqrt_s(part.beam_p4), mass(sides[0].particle.partition(":")[0]))

    return subject.each(squared)


_FORMULA = ("m_B^2 + M^2 - 2 (E_beam E + p*tag . p*): M, E, p* of the daughters i, ... of the signal side of a pair "
            "whose first daughter is the tag, E_beam = sqrt(s)/2, all in the frame of e+e-")


@register("m2RecoilOfTagAndDaughters", unit="GeV^2", nan="not a pair, or there is no such daughter", of="recoil",
          source="arXiv:2505.08418", parameters=("i:index*",), meaning=f"{_FORMULA}; may be negative")
def _squared_against(subject: Subject, *which: int) -> Floats:
    return _recoil_mass_squared(subject, which)


@register("mRecoilOfTagAndDaughters", unit="GeV", of="recoil", source="arXiv:2505.08418", parameters=("i:index*",),
          nan="not a pair, there is no such daughter, or the square is negative",
          meaning=f"square root of {_FORMULA}: M_tau of B -> K tau l from daughters 0, 1 = K, l")
def _mass_against(subject: Subject, *which: int) -> Floats:
    squared = _recoil_mass_squared(subject, which)
    return np.sqrt(np.where(squared >= 0.0, squared, np.nan))


def polar(q: Floats) -> Floats:
    """Polar angle of momenta (4, n), rad; NaN without momentum."""
    pt = np.hypot(q[0], q[1])
    return np.where((pt == 0) & (q[2] == 0), np.nan, np.arctan2(pt, q[2]))
