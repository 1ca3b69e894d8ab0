"""The rest of the event of a candidate under a mask, and what candidate and rest together miss.

The rest is everything that the candidate does not use; without the name of a mask, all of it counts. Of a tag-signal
pair it is what neither side uses, of ``daughter(0, ...)`` what the tag does not use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import ExpressionError
from fei_lite.event_shape import Momenta, join
from fei_lite.reconstruction.frames import beam_constrained, invariant_mass, sqrt_s, to_cms
from fei_lite.roe import (
    MaskedObjects,
    RestOfEvent,
    find_mask,
    load_masks,
    masked_objects,
    mass_squared,
    missing,
    objects_in,
    rest_of_event,
)
from fei_lite.used_objects import everything
from fei_lite.variables.kinematics import seen
from fei_lite.variables.recoil import polar
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.subject import Floats, Subject

_SOURCE = "basf2, Rest of Event"
_MASK = ("mask:word?",)


def objects_of(subject: Subject, mask: str) -> MaskedObjects:
    """The objects of the batch that pass a mask; made once for the batch."""
    def make() -> MaskedObjects:
        masks = load_masks() | dict(subject.around.masks or {})
        return masked_objects(subject.batch, find_mask(mask or "all", masks))

    made: MaskedObjects = subject.around.once(f"objects {mask or 'all'}", make)
    return made


def used_by(subject: Subject) -> NDArray[np.uint64]:
    """Bit set of the objects that each candidate uses, (n, words); events use nothing."""
    if subject.table is None:
        return np.zeros((len(subject), everything(subject.batch).shape[1]), dtype=np.uint64)
    return subject.column("used")


def rest(subject: Subject, mask: str = "") -> RestOfEvent:
    """The rest of the event of each candidate under a mask."""
    made: RestOfEvent = subject.once(f"rest {mask or 'all'}", lambda: rest_of_event(
        objects_of(subject, mask), subject.event, tag=used_by(subject)))
    return made


def momenta_of(subject: Subject, used: NDArray[np.uint64]) -> Momenta:
    """Tracks and photons of bit sets (n, words), whatever a mask says; centre-of-mass frame."""
    return objects_in(objects_of(subject, "all"), subject.event, used).momenta_cms()


def others(subject: Subject, mask: str) -> Momenta:
    """Tracks and photons of the rest of the event; of a daughter against all, its siblings', and those of the rest."""
    def make() -> Momenta:
        if subject.siblings is None:
            return rest(subject, mask).momenta_cms()
        left = rest_of_event(objects_of(subject, mask), subject.event, tag=used_by(subject) | subject.siblings)
        return join(momenta_of(subject, subject.siblings), left.momenta_cms())

    made: Momenta = subject.once(f"others {mask or 'all'}", make)
    return made


def _count(name: str) -> Provider:
    def provide(subject: Subject, mask: str = "") -> NDArray[Any]:
        found = rest(subject, mask)
        if name not in ("tracks", "photons") and name not in found.composites:
            raise ExpressionError(f"nROE_{name}: the mask '{mask or 'all'}' has no cuts for {name}: which ones count?")
        return found.count(name)

    return provide


for _name, _what in (("tracks", "Tracks"), ("photons", "Photons")):
    register(f"nROE_{_what}", unit="", meaning=f"{_name} of the mask in the rest of the event", nan="never",
             source=_SOURCE, of="rest of event", parameters=_MASK)(_count(_name))
for _name in ("K_S0", "pi0", "Lambda0"):
    register(f"nROE_{_name}", unit="", meaning=f"{_name} of unused objects that pass the mask's cuts for them; those "
             "that share an object count each", nan="never", source="ours; basf2: nROE_ParticlesInList",
             of="rest of event", parameters=("mask:word",))(_count(_name))


@register("nROE_KLMClusters", unit="", meaning="unused K_L clusters; no mask applies", nan="never",
          source=f"{_SOURCE}: nROE_KLs", of="rest of event", parameters=_MASK)
def _klm(subject: Subject, mask: str = "") -> NDArray[Any]:
    return rest(subject, mask).n_klm()


@register("roeEextra", unit="GeV", meaning="summed energy of the photons of the rest of the event, laboratory",
          nan="never", source=_SOURCE, of="rest of event", parameters=_MASK)
def _extra_energy(subject: Subject, mask: str = "") -> Floats:
    return rest(subject, mask).extra_energy()


@register("roeCharge", unit="e", meaning="charge of the tracks of the rest of the event", nan="never", source=_SOURCE,
          of="rest of event", parameters=_MASK)
def _charge(subject: Subject, mask: str = "") -> NDArray[Any]:
    return rest(subject, mask).charge()


def roe_p4(subject: Subject, mask: str = "") -> Floats:
    """Four-momentum of tracks and photons of the rest, (n, 4), laboratory."""
    return np.asarray(subject.once(f"roe p4 {mask}", lambda: rest(subject, mask).p4_lab()))


@register("roeM", unit="GeV", meaning="mass of tracks and photons of the rest of the event", nan="never",
          source=_SOURCE, of="rest of event", parameters=_MASK)
def _mass(subject: Subject, mask: str = "") -> Floats:
    return invariant_mass(roe_p4(subject, mask) if subject.siblings is None else others(subject, mask).sum())


def _component(which: int) -> Provider:
    return lambda subject, mask="": seen(roe_p4(subject, mask), subject.frame)[which]


for _which, _name in enumerate(("roePx", "roePy", "roePz", "roeE")):
    _part = "energy" if _name == "roeE" else f"{_name[-1]} component of the momentum"
    register(_name, unit="GeV", meaning=f"{_part} of tracks and photons of the rest of the event", nan="never",
             source=_SOURCE, of="rest of event", parameters=_MASK)(_component(_which))


@register("roeP", unit="GeV", meaning="momentum of tracks and photons of the rest of the event", nan="never",
          source=_SOURCE, of="rest of event", parameters=_MASK)
def _momentum(subject: Subject, mask: str = "") -> Floats:
    return np.asarray(np.linalg.norm(seen(roe_p4(subject, mask), subject.frame)[:3], axis=0))


@register("roePTheta", unit="rad", meaning="polar angle of the momentum of the rest of the event", nan="it is zero",
          source=_SOURCE, of="rest of event", parameters=_MASK)
def _theta(subject: Subject, mask: str = "") -> Floats:
    return polar(seen(roe_p4(subject, mask), subject.frame))


@register("roeMbc", unit="GeV", meaning="beam-constrained mass of the rest of the event", nan="p* exceeds sqrt(s)/2",
          source=_SOURCE, of="rest of event", parameters=_MASK)
def _mbc(subject: Subject, mask: str = "") -> Floats:
    return np.asarray(beam_constrained(roe_p4(subject, mask), subject.beam_p4)[0])


@register("roeDeltae", unit="GeV", meaning="E* of the rest of the event minus sqrt(s)/2", nan="never", source=_SOURCE,
          of="rest of event", parameters=_MASK)
def _delta_e(subject: Subject, mask: str = "") -> Floats:
    return np.asarray(beam_constrained(roe_p4(subject, mask), subject.beam_p4)[1])


# What candidate and rest miss: basf2's options of weMiss...

_OPTIONS = "; option 0 (centre of mass): beams - candidate - rest; 2: so with the rest's energy sqrt(s)/2; 3: a B at " \
           "rest minus the candidate; 5: as 0 in the laboratory"


def missing_p4(subject: Subject, mask: str, option: int) -> Floats:
    """Missing four-momentum (n, 4), in the centre-of-mass frame, with option 5 in the laboratory.

    Raises :class:`ExpressionError` for another option than 0, 2, 3 and 5 (basf2 has eight).
    """
    if option not in (0, 2, 3, 5):
        raise ExpressionError(f"weMiss...({mask}, {option}): unknown option, expected 0, 2, 3 or 5.")
    beam = subject.beam_p4
    if option in (0, 5):
        found = missing(subject.p4 + roe_p4(subject, mask), beam)
        return found.p4_lab if option == 5 else found.p4_cms
    own, half = to_cms(subject.p4, beam), 0.5 * sqrt_s(beam)
    if option == 3:
        lost = -own
        lost[:, 3] += half
        return lost
    left = to_cms(roe_p4(subject, mask), beam)
    lost = -own - left
    lost[:, 3] = half - own[:, 3]
    return lost


def _missing(name: str, unit: str, meaning: str, nan: str, of: Any) -> None:
    def provide(subject: Subject, mask: str = "", option: int = 0) -> Floats:
        return np.asarray(of(missing_p4(subject, mask, option)))

    register(name, unit=unit, meaning=meaning + _OPTIONS, nan=nan, source=_SOURCE, of="rest of event",
             parameters=("mask:word?", "option:index?"))(provide)


_missing("weMissM2", "GeV^2", "squared mass of what candidate and rest miss", "never", mass_squared)
_missing("weMissE", "GeV", "energy of what candidate and rest miss", "never", lambda p4: p4[:, 3])
_missing("weMissP", "GeV", "momentum of what candidate and rest miss", "never",
         lambda p4: np.linalg.norm(p4[:, :3], axis=1))
_missing("weMissPx", "GeV", "x component of the missing momentum", "never", lambda p4: p4[:, 0])
_missing("weMissPy", "GeV", "y component of the missing momentum", "never", lambda p4: p4[:, 1])
_missing("weMissPz", "GeV", "z component of the missing momentum", "never", lambda p4: p4[:, 2])
_missing("weMissPTheta", "rad", "polar angle of the missing momentum", "it is zero", lambda p4: polar(p4.T))
_missing("weMissPPhi", "rad", "azimuth of the missing momentum, -pi..pi", "never",
         lambda p4: np.arctan2(p4[:, 1], p4[:, 0]))


@register("missingMass2OfTagSignalAndRest", unit="GeV^2", nan="never", source="ours", of="rest of event",
          meaning="(beams - tag - signal side - rest of the event)^2 of a tag-signal pair: weMissM2 of the pair",
          parameters=_MASK)
def _missing_of_all(subject: Subject, mask: str = "") -> Floats:
    return mass_squared(missing_p4(subject, mask, 0))


# Truth of the rest.

def _of_generated(kind: str, codes: tuple[int, ...], of_rest: bool) -> Provider:
    def provide(subject: Subject, mask: str = "") -> NDArray[Any]:
        found = rest(subject, mask)
        offsets, rows = getattr(found, kind)
        table, generated = getattr(found.objects, kind), subject.batch.generated
        if generated is None:
            return np.full(len(subject), np.nan)
        objects = getattr(subject.batch, "tracks" if kind == "tracks" else "clusters")
        index = objects["mc_index"][table["object"][rows]]
        event = np.repeat(found.event, np.diff(offsets))
        code = np.where(index >= 0, np.append(generated["pdg"], 0)[np.maximum(index, 0) + generated.offsets[event]], 0)
        chosen = np.isin(np.abs(code), codes) == of_rest
        row = np.repeat(np.arange(len(subject)), np.diff(offsets))
        return np.bincount(row[chosen], minlength=len(subject))

    return provide


register("roeMC_nPhotonsFromKL", unit="", meaning="photons of the rest of the event that are clusters of a K_L0",
         nan="no generated particles", source="ours", of="truth", parameters=_MASK)(
    _of_generated("photons", (130,), True))
register("roeMC_nFakePhotons", unit="", meaning="photons of the rest of the event that are no generated photon",
         nan="no generated particles", source="ours", of="truth", parameters=_MASK)(
    _of_generated("photons", (22,), False))
