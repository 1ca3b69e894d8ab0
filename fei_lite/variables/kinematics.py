"""Momenta, vertices and masses of candidates: the formulas are the compiled kernel's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.kernels import feature_codes as codes
from fei_lite.particles import mass
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.subject import Floats, Frame, Subject

_NOWHERE = "never"
_NO_VERTEX = "there is no vertex"


def lanes(values: NDArray[Any]) -> Floats:
    """(n, c) as (c, n), a component to a line, as kernels want it."""
    return np.ascontiguousarray(values.T, dtype=np.float64)


def seen(p4: Floats, frame: Frame | None) -> Floats:
    """Four-momenta (n, 4) as lines (4, n) in a frame (None: the laboratory)."""
    from fei_lite.kernels.lorentz import boost_lanes

    q = lanes(p4)
    if frame is None:
        return q
    out = np.empty_like(q)
    boost_lanes(q, lanes(frame.p4), np.ascontiguousarray(frame.mass), len(p4), out)
    return out


def momentum(subject: Subject) -> Floats:
    """Four-momenta (4, n) in the subject's frame."""
    return np.asarray(subject.once("momentum", lambda: seen(subject.p4, subject.frame)))


def place(subject: Subject) -> Floats:
    """Places (3, n) in the subject's frame: relative to the interaction point, or to the frame's origin."""
    def make() -> Floats:
        from fei_lite.kernels.lorentz import contract_lanes

        frame = subject.frame
        if frame is None:
            return lanes(subject.place)
        r = lanes(subject.place - frame.origin)
        out = np.empty_like(r)
        contract_lanes(r, lanes(frame.p4), np.ascontiguousarray(frame.mass), len(subject), out)
        return out

    return np.asarray(subject.once("place", make))


def _particle(code: int) -> Provider:
    """Provider of a variable that the kernel computes of one particle."""
    def provide(subject: Subject) -> Floats:
        from fei_lite.kernels.features import one_particle

        n = len(subject)
        empty = np.empty((4, 0))
        at_place = codes.DX <= code <= codes.POINTING
        q_lab = lanes(subject.p4) if code == codes.POINTING else empty
        r_lab = lanes(subject.place) if code == codes.POINTING else empty
        cms = code in (codes.MBC, codes.DELTA_E)
        q_cms = seen(subject.p4, subject.cms_frame()) if cms else empty
        out = np.empty(n)
        one_particle(code, empty if cms else momentum(subject), place(subject) if at_place else empty, q_lab, r_lab,
                     q_cms, subject.cms_frame().mass if cms else np.empty(0), n, out)
        return out

    return provide


def _own(name: str, code: int, unit: str, meaning: str, nan: str, source: str, known: str = "always") -> None:
    register(name, unit=unit, meaning=meaning, nan=nan, source=f"basf2, {source}", known=known,
             code=code)(_particle(code))


_own("p", codes.P, "GeV", "momentum", _NOWHERE, "Kinematics")
_own("pt", codes.PT, "GeV", "transverse momentum", _NOWHERE, "Kinematics")
_own("px", codes.PX, "GeV", "x component of the momentum", _NOWHERE, "Kinematics")
_own("py", codes.PY, "GeV", "y component of the momentum", _NOWHERE, "Kinematics")
_own("pz", codes.PZ, "GeV", "z component of the momentum", _NOWHERE, "Kinematics")
_own("E", codes.ENERGY, "GeV", "energy", _NOWHERE, "Kinematics")
_own("theta", codes.THETA, "rad", "polar angle of the momentum, 0..pi", "the momentum is zero", "Kinematics")
_own("Mbc", codes.MBC, "GeV", "beam-constrained mass sqrt(s/4 - p*^2), * in the frame of e+e-",
     "p* exceeds sqrt(s)/2", "Kinematics")
_own("deltaE", codes.DELTA_E, "GeV", "E* - sqrt(s)/2, * in the frame of e+e-", _NOWHERE, "Kinematics")
for _axis, _code in (("x", codes.DX), ("y", codes.DY), ("z", codes.DZ)):
    _own(f"d{_axis}", _code, "cm", f"{_axis} of the vertex (a track's perigee) minus that of the interaction point",
         _NO_VERTEX, "Vertex", "after the fit")
_own("dr", codes.DR, "cm", "transverse distance of the vertex (a track's perigee) from the interaction point",
     _NO_VERTEX, "Vertex", "after the fit")
_own("distance", codes.DISTANCE, "cm", "distance of the vertex (a track's perigee) from the interaction point; in a "
     "rest frame from the vertex at rest there", _NO_VERTEX, "Vertex", "after the fit")
_own("cosAngleBetweenMomentumAndVertexVector", codes.POINTING, "",
     "cosine of the angle between the momentum and the vertex seen from the interaction point (laboratory)",
     "vertex at the interaction point", "Vertex", "after the fit")


@register("phi", unit="rad", meaning="azimuth of the momentum, -pi..pi", nan=_NOWHERE, source="basf2, Kinematics")
def _phi(subject: Subject) -> Floats:
    q = momentum(subject)
    return np.asarray(np.arctan2(q[1], q[0]))


@register("cosTheta", unit="", meaning="cosine of the polar angle of the momentum", nan="the momentum is zero",
          source="basf2, Kinematics")
def _cos_theta(subject: Subject) -> Floats:
    q = momentum(subject)
    with np.errstate(invalid="ignore"):
        return np.asarray(q[2] / np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2))


@register("M", unit="GeV", meaning="invariant mass, after the fit if there is one (pi0: before its mass fit)",
          nan="the fit failed", source="basf2, Kinematics")
def _mass(subject: Subject) -> Floats:
    return np.asarray(subject.column("M"), dtype=np.float64)


@register("dM", unit="GeV", meaning="M minus the nominal mass", nan="the fit failed", source="basf2, Kinematics")
def _mass_difference(subject: Subject) -> Floats:
    return np.asarray(_mass(subject) - mass(subject.particle))


@register("InvM", unit="GeV", meaning="invariant mass of the summed daughters; without daughters that of the momentum",
          nan=_NOWHERE, source="basf2, Kinematics")
def _invariant_mass(subject: Subject) -> Floats:
    from fei_lite.reconstruction.frames import invariant_mass

    total = subject.each(lambda part, daughters: sum((d.p4 for d in daughters), np.zeros((len(part), 4)))
                         if daughters else part.p4, (4,))
    return invariant_mass(total)


@register("Q", unit="GeV", meaning="M minus the sum of the daughters' masses", nan="there are no daughters",
          source="basf2, Kinematics", code=codes.Q_VALUE)
def _released_energy(subject: Subject) -> Floats:
    from fei_lite.kernels.features import mass_lanes

    def release(part: Subject, daughters: Any) -> Floats:
        if not daughters:
            return part.undefined()
        total, own = np.array(_mass(part)), np.empty(len(part))
        for daughter in daughters:
            mass_lanes(lanes(daughter.p4), len(part), own)
            total -= own
        return np.asarray(total)

    return subject.each(release)


@register("dQ", unit="GeV", meaning="Q minus the Q of nominal masses", nan="there are no daughters",
          source="basf2, Kinematics", code=codes.Q_VALUE)
def _released_difference(subject: Subject) -> Floats:
    nominal = subject.each(lambda part, daughters: np.full(
        len(part), mass(part.particle) - sum(mass(d.particle) for d in daughters)))
    return np.asarray(_released_energy(subject) - nominal)


@register("significanceOfDistance", unit="", meaning="r^2 / sqrt(r V r), r the vertex minus the interaction point, V "
          "the sum of their covariances", nan="V is not known", source="basf2, Vertex", known="after the fit")
def _significance(subject: Subject) -> Floats:
    from fei_lite.kernels.features import distance_significance

    out = np.empty(len(subject))
    distance_significance(np.ascontiguousarray(subject.place), subject.column("cov"), subject.event,
                          subject.batch.events["ip_cov"], out)
    return out


@register("chiProb", unit="", meaning="p-value of the vertex fit (pi0: of the mass fit; a track: of its own fit)",
          nan="no fit, or it failed", source="basf2, Vertex; there -1 where it failed", known="after the fit")
def _fit_probability(subject: Subject) -> Floats:
    return np.asarray(subject.column("chiProb"), dtype=np.float64)


for _i, _axis in enumerate("xyz"):
    register(_axis, unit="cm", meaning=f"{_axis} of the vertex (a track's perigee to the origin), laboratory",
             nan=_NO_VERTEX, source="basf2, Vertex", known="after the fit")(
        lambda subject, i=_i: subject.column("vertex")[:, i])
