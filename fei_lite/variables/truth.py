"""What was generated: the particle that a candidate is matched to, and its event."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FeiLiteError
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.events.types import event_types
from fei_lite.reconstruction.truth import ACCEPTED
from fei_lite.variables.kinematics import seen
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.subject import Floats, Subject

_SOURCE = "basf2, MC Matching"
_UNMATCHED = "not matched"
_MISS_NEUTRINO = 8


def _matched(subject: Subject, name: str) -> NDArray[Any]:
    if not subject.has(name):
        raise FeiLiteError(f"{subject.particle}: no truth '{name}': reconstruct simulated events, with_truth=True.")
    return subject.column(name)


def _generated(subject: Subject) -> Jagged:
    if subject.batch.generated is None:
        raise FeiLiteError(f"{subject.batch.source or 'batch'}: no list 'generated': there is no truth to ask for.")
    return subject.batch.generated


def _of_particle(subject: Subject, values: NDArray[Any]) -> Floats:
    """Values of all generated particles for each candidate; NaN where unmatched."""
    mc = _matched(subject, "mc")
    out = np.full((len(mc), *values.shape[1:]), np.nan)
    out[mc >= 0] = values[mc[mc >= 0]]
    return out


@register("isSignal", unit="", meaning="1 if the candidate is what its channel file's target asks for (isSignal, "
          "isPrimarySignal or isSignalAcceptMissingNeutrino)", nan="never", source=_SOURCE, of="truth")
def _signal(subject: Subject) -> NDArray[Any]:
    return _matched(subject, "isSignal").astype(np.int64)


@register("isSignalAcceptMissingNeutrino", unit="", meaning="1 if only neutrinos, soft photons and intermediate states "
          "are missing", nan="never", source=_SOURCE, of="truth")
def _semileptonic(subject: Subject) -> NDArray[Any]:
    accepted = ACCEPTED | _MISS_NEUTRINO
    good = (_matched(subject, "mc") >= 0) & (_matched(subject, "mcErrors") & ~accepted == 0)
    return np.asarray(good, dtype=np.int64)


@register("mcErrors", unit="", meaning="bits of what is wrong with the match; 512 where unmatched", nan="never",
          source=_SOURCE, of="truth")
def _errors(subject: Subject) -> NDArray[Any]:
    return _matched(subject, "mcErrors").astype(np.int64)


@register("mcPDG", unit="", meaning="PDG code of the matched particle; 0 where unmatched", nan="never",
          source=f"{_SOURCE}; NaN there where unmatched", of="truth")
def _code(subject: Subject) -> NDArray[Any]:
    mc = _matched(subject, "mc")
    return np.where(mc >= 0, np.append(_generated(subject)["pdg"], 0)[mc], 0).astype(np.int64)


@register("genMotherPDG", unit="", meaning="PDG code of the matched particle's mother, or i-th ancestor (0: mother); 0 "
          "where there is none", nan="never", source=_SOURCE, of="truth", parameters=("i:index?",))
def _mother(subject: Subject, i: int = 0) -> NDArray[Any]:
    generated, row = _generated(subject), _matched(subject, "mc").astype(np.int64)
    first = generated.offsets[:-1][generated.event_index]
    above = np.append(np.where(generated["mother"] >= 0, generated["mother"] + first, -1), -1)
    for _ in range(i + 1):
        row = above[row]
    return np.where(row >= 0, np.append(generated["pdg"], 0)[row], 0).astype(np.int64)


def _momentum(which: int) -> Provider:
    def provide(subject: Subject) -> Floats:
        q = seen(_of_particle(subject, _generated(subject)["p4"]), subject.frame)
        if which < 4:
            return np.asarray(q[which])
        return np.asarray(np.sqrt(np.sum(q[:3 if which == 4 else 2] ** 2, axis=0)))

    return provide


for _which, _name, _meaning in ((0, "mcPX", "x component of the momentum"), (1, "mcPY", "y component of the momentum"),
                                (2, "mcPZ", "z component of the momentum"), (3, "mcE", "energy"),
                                (4, "mcP", "momentum"), (5, "mcPT", "transverse momentum")):
    register(_name, unit="GeV", meaning=f"{_meaning} of the matched particle", nan=_UNMATCHED, source=_SOURCE,
             of="truth")(_momentum(_which))
for _i, _axis in enumerate("XYZ"):
    register(f"mcProductionVertex{_axis}", unit="cm", meaning=f"{_axis.lower()} where the matched particle was made",
             nan=_UNMATCHED, source=_SOURCE, of="truth")(
        lambda subject, i=_i: _of_particle(subject, _generated(subject)["vertex"])[:, i])


def _event_type(*wanted: str) -> Provider:
    def provide(subject: Subject) -> NDArray[Any]:
        _generated(subject)
        types = subject.around.once("event types", lambda: event_types(subject.batch))
        return np.isin(types, wanted)[subject.event].astype(np.int64)

    return provide


for _name, _wanted, _meaning in (("isChargedBEvent", ("B+B-",), "B+ B-"), ("isNeutralBEvent", ("B0B0bar",), "B0 B0bar"),
                                 ("isNotContinuumEvent", ("B+B-", "B0B0bar"), "B Bbar")):
    register(_name, unit="", meaning=f"1 if the event is {_meaning}", nan="never", source=_SOURCE, of="truth")(
        _event_type(*_wanted))


@register("nGenerated", unit="", meaning="generated particles of a PDG code, and of its negative, in the event",
          nan="never", source="ours", of="truth", parameters=("pdg:number",))
def _count(subject: Subject, pdg: float) -> NDArray[Any]:
    generated = _generated(subject)
    chosen = np.abs(generated["pdg"]) == pdg
    return np.bincount(generated.event_index[chosen], minlength=subject.batch.n_events)[subject.event]


@register("nGeneratedWithCluster", unit="", of="truth", parameters=("pdg:number",), nan="never", source="ours",
          meaning="generated particles of a PDG code, and of its negative, in the event that a cluster is matched to")
def _with_cluster(subject: Subject, pdg: float) -> NDArray[Any]:
    generated, clusters = _generated(subject), subject.batch.clusters
    row = clusters["mc_index"] + generated.offsets[:-1][clusters.event_index]
    has_cluster = np.zeros(len(generated), dtype=bool)
    has_cluster[row[clusters["mc_index"] >= 0]] = True
    chosen = (np.abs(generated["pdg"]) == pdg) & has_cluster
    return np.bincount(generated.event_index[chosen], minlength=subject.batch.n_events)[subject.event]


@register("nGeneratedDecays", unit="", of="truth", parameters=("pdg:number", "first:number", "second:number"),
          nan="never", source="ours", meaning="generated particles of a PDG code, and of its negative, in the event "
          "whose two daughters have these PDG codes, signs aside; radiated photons do not count")
def _decays(subject: Subject, pdg: float, first: float, second: float) -> NDArray[Any]:
    generated, n = _generated(subject), len(_generated(subject))
    mother = np.where(generated["mother"] >= 0, generated["mother"] + generated.offsets[:-1][generated.event_index], n)
    code, radiated = np.abs(generated["pdg"]), (generated["status"] & STATUS["photos_photon"]) != 0
    daughters = [np.bincount(mother[~radiated & fits], minlength=n + 1)[:n] for fits in (
        np.ones(n, dtype=bool), code == first, code == second)]
    here = (code == pdg) & (daughters[0] == 2)
    here &= (daughters[1] == 2) if first == second else (daughters[1] == 1) & (daughters[2] == 1)
    return np.bincount(generated.event_index[here], minlength=subject.batch.n_events)[subject.event]
