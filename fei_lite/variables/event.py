"""The event that a candidate is in: numbers, beams, counts, visible and missing energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.reconstruction.frames import sqrt_s
from fei_lite.reconstruction.kinematics import photon_kinematics
from fei_lite.roe import mass_squared
from fei_lite.roe.objects import likely_tracks
from fei_lite.variables.evaluation import condition
from fei_lite.variables.recoil import polar
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.rest_of_event import objects_of, rest
from fei_lite.variables.subject import Floats, Subject
from fei_lite.variables.tree import Node, canonical

_SOURCE = "basf2, Event"
_MASK = ("mask:word?",)


def _column(name: str, component: int = -1) -> Provider:
    def provide(subject: Subject) -> NDArray[Any]:
        values = subject.batch.events[name]
        return np.asarray((values if component < 0 else values[:, component])[subject.event])

    return provide


for _name, _column_name, _meaning in (("expNum", "experiment", "experiment number"), ("runNum", "run", "run number"),
                                      ("evtNum", "event", "event number"), ("weight", "weight", "weight of the event")):
    register(_name, unit="", meaning=_meaning, nan="never", source=_SOURCE if _name != "weight" else "ours", of="event",
             aliases={"evtNum": ("event",), "runNum": ("run",), "expNum": ("experiment",)}.get(_name, ()))(
        _column(_column_name))
for _i, _axis in enumerate(("Px", "Py", "Pz", "E")):
    register(f"beam{_axis}", unit="GeV", meaning=f"{_axis} of e+e-, laboratory", nan="never", source=_SOURCE,
             of="event")(_column("beam_p4", _i))
for _i, _axis in enumerate("XYZ"):
    register(f"IP{_axis}", unit="cm", meaning=f"{_axis.lower()} of the interaction point", nan="never", source=_SOURCE,
             of="event")(_column("ip", _i))


@register("Ecms", unit="GeV", meaning="centre-of-mass energy sqrt(s)", nan="never", source=_SOURCE, of="event")
def _energy(subject: Subject) -> Floats:
    return sqrt_s(subject.beam_p4)


@register("nTracks", unit="", meaning="tracks of the event", nan="never", source=_SOURCE, of="event")
def _n_tracks(subject: Subject) -> NDArray[Any]:
    return np.asarray(subject.batch.tracks.counts[subject.event])


def _counted(subject: Subject, name: str, make: Callable[[], CandidateTable], cut: Node | None) -> NDArray[Any]:
    """Objects of each candidate's event that pass a cut."""
    def count() -> NDArray[Any]:
        table = subject.around.once(name, make)
        if cut is None:
            return np.diff(table.offsets)
        keep = condition(cut, Subject(table, batch=subject.batch))
        return np.bincount(table.event_index[keep], minlength=subject.batch.n_events)

    per_event = subject.around.once(f"{name} {'' if cut is None else canonical(cut)}", count)
    return np.asarray(per_event[subject.event])


@register("nCleanedTracks", unit="", meaning="tracks of the event that pass a cut; they have the mass of their most "
          "likely hypothesis", nan="never", source=_SOURCE, of="event", parameters=("cut:condition?",))
def _cleaned_tracks(subject: Subject, cut: Node | None = None) -> NDArray[Any]:
    return _counted(subject, "all tracks", lambda: likely_tracks(subject.batch), cut)


@register("nCleanedECLClusters", unit="", meaning="clusters of the event, those of tracks among them, that pass a cut",
          nan="never", source=_SOURCE, of="event", parameters=("cut:condition?",))
def _cleaned_clusters(subject: Subject, cut: Node | None = None) -> NDArray[Any]:
    return _counted(subject, "all clusters", lambda: _all_clusters(subject), cut)


def _all_clusters(subject: Subject) -> CandidateTable:
    """Clusters with the photon hypothesis or of a track."""
    clusters, batch = subject.batch.clusters, subject.batch
    energy, theta, phi, r = (clusters[name].astype(np.float64) for name in ("E", "theta", "phi", "r"))
    p4, vertex, _ = photon_kinematics(energy, theta, phi, r, np.zeros((len(clusters), 3)),
                                      batch.events["ip"][clusters.event_index])
    table = CandidateTable("gamma", clusters.offsets, {
        "p4": p4, "vertex": vertex, "object": np.arange(len(clusters), dtype=np.int32), "M": np.zeros(len(clusters)),
        "sign": np.ones(len(clusters), np.int8), "daughters": np.empty((len(clusters), 0), np.int32)})
    return table.select((clusters["is_photon"] == 1) | (clusters["is_track"] == 1))


def _visible(subject: Subject, mask: str) -> Floats:
    """Four-momentum of all tracks and photons of a mask in every event, (events, 4), laboratory."""
    return np.asarray(subject.around.once(f"visible {mask or 'all'}", lambda: rest(
        Subject(None, surroundings=subject.around), mask).p4_lab()))


def _lost(subject: Subject, mask: str) -> Floats:
    return np.asarray(subject.beam_p4 - _visible(subject, mask)[subject.event])


@register("visibleEnergyOfEventCMS", unit="GeV", meaning="energy of all tracks and photons in the frame of e+e-",
          nan="never", source="basf2, Event Kinematics", of="event", parameters=_MASK)
def _visible_energy(subject: Subject, mask: str = "") -> Floats:
    def make() -> Floats:
        return rest(Subject(None, surroundings=subject.around), mask).momenta_cms().sum()[:, 3]

    return np.asarray(subject.around.once(f"visible energy {mask or 'all'}", make)[subject.event])


@register("missingMass2OfEvent", unit="GeV^2", meaning="(beams - all tracks and photons)^2", nan="never",
          source="basf2, Event Kinematics", of="event", parameters=_MASK)
def _missing_mass(subject: Subject, mask: str = "") -> Floats:
    return mass_squared(_lost(subject, mask))


@register("missingMomentumOfEvent", unit="GeV", meaning="momentum of beams - all tracks and photons, laboratory",
          nan="never", source="basf2, Event Kinematics", of="event", parameters=_MASK)
def _missing_momentum(subject: Subject, mask: str = "") -> Floats:
    return np.asarray(np.linalg.norm(_lost(subject, mask)[:, :3], axis=1))


@register("missingMomentumOfEvent_theta", unit="rad", meaning="polar angle of that momentum", nan="it is zero",
          source="basf2, Event Kinematics", of="event", parameters=_MASK)
def _missing_theta(subject: Subject, mask: str = "") -> Floats:
    return polar(_lost(subject, mask).T)


@register("missingEnergyOfEventCMS", unit="GeV", meaning="sqrt(s) minus the energy of all tracks and photons in the "
          "frame of e+e-", nan="never", source="basf2, Event Kinematics", of="event", parameters=_MASK)
def _missing_energy(subject: Subject, mask: str = "") -> Floats:
    return np.asarray(sqrt_s(subject.beam_p4) - _visible_energy(subject, mask))


@register("totalPhotonsEnergyOfEvent", unit="GeV", meaning="energy of all photons, laboratory", nan="never",
          source="basf2, Event Kinematics", of="event", parameters=_MASK)
def _photon_energy(subject: Subject, mask: str = "") -> Floats:
    photons = objects_of(subject, mask).photons
    per_event = np.bincount(photons.event_index, photons["p4"][:, 3], minlength=subject.batch.n_events)
    return np.asarray(per_event[subject.event], dtype=np.float64)


@register("eclEnergyOfEvent", unit="GeV", meaning="energy of all photons of the mask and of all clusters of tracks, "
          "laboratory", nan="never", source="ours: E_ECL of the hadronic skim", of="event", parameters=_MASK)
def _calorimeter(subject: Subject, mask: str = "") -> Floats:
    clusters = subject.batch.clusters
    of_tracks = np.bincount(clusters.event_index, clusters["E"] * (clusters["is_track"] == 1),
                            minlength=subject.batch.n_events)
    return np.asarray(_photon_energy(subject, mask) + of_tracks[subject.event])
