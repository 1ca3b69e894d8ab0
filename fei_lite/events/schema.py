"""The event schema: every list, every column, its type, unit and meaning.

This module is the only place where the layout of events is written down.
Files carry :data:`VERSION`; reading checks each branch against this table.
Indices (``*_index``, ``mother``) count within their event, from 0; -1 is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Version of the schema. Raise it when a column changes its meaning.
VERSION = 1


@dataclass(frozen=True)
class Column:
    """One column: name, numpy type, shape of one entry, unit and meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str
    shape: tuple[int, ...] = ()

    def empty(self, n: int) -> np.ndarray:
        """An uninitialised array of ``n`` entries."""
        return np.empty((n, *self.shape), dtype=self.dtype)


EVENT = (
    Column("experiment", "i4", "", "experiment number"),
    Column("run", "i4", "", "run number"),
    Column("event", "i8", "", "event number"),
    Column("weight", "f8", "", "event weight (1 for unweighted samples)"),
    Column("beam_p4", "f8", "GeV", "nominal four-momentum of e+e- in the laboratory, (px, py, pz, E)", (4,)),
    Column("ip", "f8", "cm", "interaction point", (3,)),
    Column("ip_cov", "f8", "cm^2", "covariance of the luminous region, xx xy xz yy yz zz", (6,)),
    Column("bz", "f8", "T", "solenoid field along z that relates omega to pT"),
)

TRACKS = (
    Column("charge", "i1", "e", "electric charge"),
    Column("helix", "f8", "cm, rad, 1/cm, cm, 1",
           "d0, phi0, omega, z0, tanLambda at the perigee to the origin, basf2's signs: "
           "x = d0 sin(phi0), y = -d0 cos(phi0), omega has the sign of the charge", (5,)),
    Column("helix_cov", "f8", "products of the above",
           "covariance, packed upper triangle by rows (00 01 02 03 04 11 12 ... 44)", (15,)),
    Column("pid_logl", "f4", "", "log-likelihoods for e, mu, pi, K, p, deuteron (sum over detectors)", (6,)),
    Column("p_value", "f4", "", "p-value of the track fit (basf2 chiProb of a track)"),
    Column("n_cdc_hits", "i2", "", "drift-chamber hits"),
    Column("n_svd_hits", "i2", "", "strip-vertex hits"),
    Column("n_pxd_hits", "i2", "", "pixel hits"),
    Column("mc_index", "i4", "", "matched generated particle"),
)

CLUSTERS = (
    Column("E", "f4", "GeV", "energy in the photon hypothesis"),
    Column("theta", "f4", "rad", "polar angle of the cluster seen from the origin"),
    Column("phi", "f4", "rad", "azimuth of the cluster seen from the origin, -pi..pi"),
    Column("r", "f4", "cm", "distance of the cluster from the origin"),
    Column("E_error", "f4", "GeV", "standard deviation of E (as the two below: NaN allowed if not is_photon)"),
    Column("theta_error", "f4", "rad", "standard deviation of theta"),
    Column("phi_error", "f4", "rad", "standard deviation of phi"),
    Column("region", "i1", "", "clusterReg: 1 forward, 2 barrel, 3 backward, 11/13 gaps"),
    Column("n_hits", "f4", "", "clusterNHits: (weighted) number of crystals"),
    Column("E9E21", "f4", "", "clusterE9E21: energy ratio of 3x3 to 5x5 without corners (E9E25 in older basf2)"),
    Column("timing", "f4", "ns", "clusterTiming"),
    Column("timing_error", "f4", "ns", "clusterErrorTiming (delta time 99)"),
    Column("min_track_distance", "f4", "cm", "clusterTrackDist: distance to the nearest extrapolated track"),
    Column("is_track", "i1", "", "1 if matched to a track (not a photon candidate), else 0"),
    Column("is_photon", "i1", "", "1 if it has the photon hypothesis"),
    Column("mc_index", "i4", "", "matched generated particle"),
)

KLM = (
    Column("x", "f4", "cm", "position"),
    Column("y", "f4", "cm", "position"),
    Column("z", "f4", "cm", "position"),
    Column("p", "f4", "GeV", "estimated momentum"),
    Column("timing", "f4", "ns", "time"),
    Column("layers", "i2", "", "number of layers hit"),
    Column("innermost_layer", "i2", "", "innermost layer hit"),
    Column("mc_index", "i4", "", "matched generated particle"),
)

V0S = (
    Column("pdg", "i4", "", "PDG code of the hypothesis: 310 K_S0, 3122 / -3122 (anti-)Lambda0, 22 converted photon"),
    Column("positive_index", "i4", "", "index of the positive track in the event's tracks"),
    Column("negative_index", "i4", "", "index of the negative track in the event's tracks"),
    Column("positive_helix", "f8", "as tracks",
           "helix of the positive track, refitted without the inner material", (5,)),
    Column("positive_cov", "f8", "as tracks", "its covariance", (15,)),
    Column("negative_helix", "f8", "as tracks", "helix of the negative track", (5,)),
    Column("negative_cov", "f8", "as tracks", "its covariance", (15,)),
)

GENERATED = (
    Column("pdg", "i4", "", "PDG code"),
    Column("mother", "i4", "", "index of the mother"),
    Column("status", "i4", "", "basf2's MCParticle status bits, see STATUS"),
    Column("p4", "f8", "GeV", "four-momentum in the laboratory", (4,)),
    Column("vertex", "f8", "cm", "production vertex", (3,)),
    Column("time", "f4", "ns", "production time"),
)

#: Lists of an event, in the order of the file. ``generated`` may be absent (data).
LISTS = {"tracks": TRACKS, "clusters": CLUSTERS, "klm": KLM, "v0s": V0S, "generated": GENERATED}

#: Status bits of generated particles (those of basf2's MCParticle).
STATUS = {
    "primary": 1,          # made by the generator (not by the detector simulation)
    "stable": 2,           # stable in the generator
    "virtual": 16,
    "initial": 32,
    "isr_photon": 64,
    "fsr_photon": 128,
    "photos_photon": 256,
}
