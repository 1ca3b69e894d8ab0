"""What the detector says of a track or a cluster: identification, hits, shape, time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.constants import PID_HYPOTHESES
from fei_lite.particles import pdg_code
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.subject import Floats, Subject


def likelihood_ratios(logl: NDArray[Any]) -> Floats:
    """L / sum of L over the six hypotheses, for each of them: (n, 6) to (n, 6).

    Particle identification with equal priors. NaN where there is no
    likelihood. The greatest is taken out first: log-likelihoods of -1000 would
    underflow.

    >>> likelihood_ratios(np.log([[0.2, 0.1, 0.4, 0.1, 0.1, 0.1]]) - 1000)[0, 2].round(3).item()
    0.4
    """
    with np.errstate(invalid="ignore"):
        likelihood = np.exp(logl - logl.max(axis=1, keepdims=True), dtype=np.float64)
        return np.asarray(likelihood / likelihood.sum(axis=1, keepdims=True))


def _likelihoods(subject: Subject) -> Floats:
    """Log-likelihoods of the hypotheses, (n, 6), of tracks."""
    return np.asarray(subject.batch.tracks["pid_logl"].take(subject.column("object"), axis=0), dtype=np.float64)


def _identity(which: int) -> Provider:
    def ratios(subject: Subject, table: CandidateTable) -> Floats:
        return likelihood_ratios(subject.batch.tracks["pid_logl"].take(table["object"], axis=0))

    def provide(subject: Subject) -> Floats:
        if not subject.is_track:
            return subject.undefined()
        found = subject.derived("identity", lambda table: ratios(subject, table))
        return np.asarray(found[:, which])

    return provide


for _which, _name in enumerate(("electron", "muon", "pion", "kaon", "proton", "deuteron")):
    register(f"{_name}ID", unit="", meaning=f"likelihood of the {_name} over the sum of the six likelihoods",
             nan="not a track, or without likelihoods", source="basf2, PID")(_identity(_which))


@register("binaryPID", unit="", parameters=("first:number", "second:number"), nan="not a track, or without likelihoods",
          meaning="L(first) / (L(first) + L(second)) of two hypotheses by their PDG codes", source="basf2, PID")
def _binary(subject: Subject, first: float, second: float) -> Floats:
    codes = [abs(pdg_code(name)) if name != "deuteron" else 1000010020 for name in PID_HYPOTHESES]
    if not subject.is_track or first not in codes or second not in codes:
        return subject.undefined()
    logl: Any = _likelihoods(subject)
    of_first, of_second = logl[:, codes.index(int(first))], logl[:, codes.index(int(second))]
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(of_second - of_first)))


def _of_track(column: str) -> Provider:
    def provide(subject: Subject) -> Floats:
        if not subject.is_track:
            return subject.undefined()
        return np.asarray(subject.batch.tracks[column][subject.column("object")], dtype=np.float64)

    return provide


def _of_cluster(column: str, without: float = np.nan) -> Provider:
    def provide(subject: Subject) -> Floats:
        if pdg_code(subject.particle) != 22 or subject.has("v0_p4"):
            return subject.undefined()
        clusters, rows = subject.batch.clusters[column], subject.column("object")
        found = np.full(len(subject), np.nan)
        ok = _is_cluster(subject)
        found[ok] = clusters[rows[ok]]
        return found if np.isnan(without) else np.where(ok & np.isnan(found), without, found)

    return provide


def _is_cluster(subject: Subject) -> NDArray[np.bool_]:
    """Which photons are clusters: converted ones use two tracks."""
    result = subject.around.result
    name = subject.particle
    if result is None or name not in result.channel_set.particles:
        return np.ones(len(subject), dtype=bool)
    of_v0 = [c.index for c in result.channel_set.particles[name].channels if c.leaf == "V0"]
    return ~np.isin(subject.column("decayModeID"), of_v0)


for _name, _column, _meaning in (("nCDCHits", "n_cdc_hits", "hits in the drift chamber"),
                                 ("nSVDHits", "n_svd_hits", "hits in the strip detector"),
                                 ("nPXDHits", "n_pxd_hits", "hits in the pixel detector")):
    register(_name, unit="", meaning=_meaning, nan="not a track", source="basf2, Tracking")(_of_track(_column))

for _name, _column, _unit, _meaning in (
        ("clusterReg", "region", "", "calorimeter region: 1 forward, 2 barrel, 3 backward, 11 and 13 gaps"),
        ("clusterNHits", "n_hits", "", "weighted number of crystals"),
        ("clusterTiming", "timing", "ns", "time of the cluster"),
        ("clusterErrorTiming", "timing_error", "ns", "uncertainty of the time that holds 99 % of signal photons"),
        ("clusterE9E21", "E9E21", "", "energy in 3x3 crystals over that in 5x5 without corners"),
        ("clusterE9E25", "E9E21", "", "the same as clusterE9E21, under its name in older releases"),
        ("clusterE", "E", "GeV", "energy of the cluster"),
        ("clusterTheta", "theta", "rad", "polar angle of the cluster seen from the origin"),
        ("clusterPhi", "phi", "rad", "azimuth of the cluster seen from the origin"),
        ("clusterR", "r", "cm", "distance of the cluster from the origin")):
    register(_name, unit=_unit, meaning=_meaning, nan="not a cluster", source="basf2, ECL Cluster")(
        _of_cluster(_column))
register("minC2TDist", unit="cm", meaning="distance of the cluster from the nearest track at the calorimeter; infinite "
         "without a track", nan="not a cluster", source="basf2, ECL Cluster; NaN there without a track")(
    _of_cluster("min_track_distance", np.inf))
