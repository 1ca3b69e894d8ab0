"""Variables of pairs: the rest of the event under a mask, the shape of the event, the event itself, its truth.

=======================================  =====================================================================
``roeEextra(mask)``, ``nROE_Tracks(mask)``, ``nROE_Photons(mask)``, ``nROE_K_S0(mask)`` ...: as
:func:`fei_lite.roe.rest_variables` has them; so ``missing_mass2(mask)``, ``missing_E_plus_p_cms(mask)``,
``missing_theta_lab(mask)``, ``roeCharge(mask)``, ``roeM(mask)``
``mRecoil``, ``q2``, ``q2_recoil``       recoil of the tag; no mask
``KSFWVariables(hso02, mask)`` ...       signal side against tag and rest
``cosTBTO(mask)``                        thrust axes of signal side, and of tag and rest
``nCleanedTracks(mask)``                 tracks of the whole event
``nCleanedECLClusters(mask)``            photons, and clusters of tracks with E > 0.1 GeV in 17 to 150 degrees
``visibleEnergyOfEventCMS(mask)``        of tracks and photons, GeV
``E_ECL(mask)``                          of photons and of clusters of tracks, GeV
``nKL_seen``, ``nKL_lost``               generated K_L0 with and without a cluster
=======================================  =====================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.pairs import SIGNAL, Pairs
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.event_shape import cos_between, ksfw_moments, thrust
from fei_lite.reconstruction.frames import sqrt_s, to_cms
from fei_lite.roe import RestOfEvent, rest_of_event
from fei_lite.used_objects import everything
from fei_lite.variables.registry import register, registered
from fei_lite.variables.subject import Subject

Values = NDArray[Any]

_REST = ("roeEextra", "nROE_Tracks", "nROE_Photons", "nROE_KLMClusters", "nROE_K_S0", "nROE_pi0", "nROE_Lambda0",
         "roeCharge", "roeM", "missing_mass2", "missing_E_plus_p_cms", "missing_theta_lab")
_RECOIL = ("mRecoil", "q2", "q2_recoil")
_KLONG = 130


def _ksfw(pairs: Pairs, moment: str, mask: str) -> Values:
    def make() -> dict[str, Values]:
        energy = to_cms(pairs.of(SIGNAL, "p4"), pairs.beam_p4)[:, 3]
        return ksfw_moments(pairs.momenta(SIGNAL), pairs.others(mask), sqrt_s=sqrt_s(pairs.beam_p4),
                            energy=energy).columns()

    columns = pairs.once(f"ksfw {mask}", make)
    if moment not in columns:
        raise UnknownNameError(f"KSFWVariables: no moment '{moment}'.{nearest(moment, columns)}")
    return np.asarray(columns[moment])


def _cos_tbto(pairs: Pairs, mask: str) -> Values:
    axes = [thrust(momenta)[0] for momenta in (pairs.momenta(SIGNAL), pairs.others(mask))]
    return np.asarray(cos_between(*axes))


def _whole(pairs: Pairs, mask: str) -> RestOfEvent:
    """The whole event as a rest of which nothing is used."""
    nothing = np.zeros((len(pairs), everything(pairs.batch).shape[1]), dtype=np.uint64)
    return pairs.once(f"whole {mask}",  # type: ignore[no-any-return]
                      lambda: rest_of_event(pairs.objects(mask), pairs.event, tag=nothing))


def _cleaned_clusters(pairs: Pairs, mask: str) -> Values:
    """basf2 counts clusters of tracks as well, with the cuts of the skim."""
    clusters, n = pairs.batch.clusters, pairs.batch.n_events
    of_track = clusters["is_track"] == 1
    cleaned = of_track & (clusters["E"] > 0.1) & (clusters["theta"] > 0.2967) & (clusters["theta"] < 2.6180)
    of_tracks = np.bincount(clusters.event_index[cleaned], minlength=n)
    return np.asarray(_whole(pairs, mask).count("photons") + of_tracks[pairs.event])


def _calorimeter_energy(pairs: Pairs, mask: str) -> Values:
    clusters = pairs.batch.clusters
    energy = np.bincount(clusters.event_index, clusters["E"] * (clusters["is_track"] == 1),
                         minlength=pairs.batch.n_events)
    return np.asarray(_whole(pairs, mask).extra_energy() + energy[pairs.event])


def _klongs(pairs: Pairs, *, seen: bool) -> Values:
    """Generated K_L0 of each event with (without) a cluster in the calorimeter."""
    generated, clusters = pairs.batch.generated, pairs.batch.clusters
    if generated is None:
        raise UnknownNameError("nKL_seen and nKL_lost need generated particles.")
    row = clusters["mc_index"] + generated.offsets[:-1][clusters.event_index]
    has_cluster = np.zeros(len(generated), dtype=bool)
    has_cluster[row[clusters["mc_index"] >= 0]] = True
    chosen = (generated["pdg"] == _KLONG) & (has_cluster if seen else ~has_cluster)
    return np.asarray(np.bincount(generated.event_index[chosen], minlength=pairs.batch.n_events)[pairs.event])


def _register(name: str, provide: Any, *parameters: str) -> None:
    if registered(name) is None:
        register(name, unit="", meaning="of the pair", nan="-", source="ours", of="rest of event",
                 parameters=parameters)(provide)


for _name in _REST:
    _register(_name, lambda pairs, mask="all", name=_name: pairs.rest_columns(mask)[name], "mask:word?")
for _name in _RECOIL:
    _register(_name, lambda pairs, name=_name: pairs.rest_columns("all")[name])
_register("KSFWVariables", _ksfw, "moment:word", "mask:word?")
_register("cosTBTO", _cos_tbto, "mask:word?")
_register("nCleanedTracks", lambda pairs, mask="all": _whole(pairs, mask).count("tracks"), "mask:word?")
_register("nCleanedECLClusters", _cleaned_clusters, "mask:word?")
_register("visibleEnergyOfEventCMS",
          lambda pairs, mask="all": np.asarray(_whole(pairs, mask).momenta_cms().sum()[:, 3]), "mask:word?")
_register("E_ECL", _calorimeter_energy, "mask:word?")
_register("nKL_seen", lambda pairs: _klongs(pairs, seen=True))
_register("nKL_lost", lambda pairs: _klongs(pairs, seen=False))
_register("isSignal", lambda subject: subject.column("isSignal"))
_register("mcErrors", lambda subject: subject.column("mcErrors"))


def _mc_pdg(subject: Subject) -> Values:
    mc = subject.column("mc")
    return np.where(mc >= 0, np.append(subject.batch.generated["pdg"], 0)[mc], 0).astype(np.int32)  # type: ignore


_register("mcPDG", _mc_pdg)
