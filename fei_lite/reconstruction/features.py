"""Variables of candidates by their basf2 name: what cuts, rankings and classifiers read.

Definitions (laboratory frame unless ``useCMSFrame`` or ``useRestFrame`` says
otherwise; v is the vertex, p the four-momentum, both after the fit; the
right-hand column names the basf2 source):

==========================================  ==============================================  ======================
name                                        definition                                      source
==========================================  ==============================================  ======================
p pt px py pz E                             momentum, its parts, energy [GeV]               Variables
theta                                       polar angle of the momentum, 0..pi              Variables
M                                           the candidate's mass [GeV]                      Variables
dM                                          M - nominal mass                                Variables
Q                                           M - sum of the daughters' masses                Variables
dQ                                          Q - nominal Q (all masses nominal)              Variables
deltaE                                      E* - sqrt(s) / 2, * in the frame of e+e-        Variables
Mbc                                         sqrt(s / 4 - p*^2)                              Variables
dx dy dz dr                                 v - IP, and its transverse length [cm];         VertexVariables
                                            a track's perigee to the IP, minus the IP
distance                                    abs(v - IP) [cm]                                VertexVariables
significanceOfDistance                      r^2 / sqrt(r V r), r = v - IP, V the sum of     VertexVariables
                                            the vertex's and the IP's covariances
cosAngleBetweenMomentumAndVertexVector      cosine between p and v - IP                     Variables
daughterAngle(i,j)                          angle of the daughters' momenta, 0..pi          MetaVariables
decayAngle(i)                               angle, in the candidate's rest frame, of        ParameterVariables
                                            daughter i and the reverted momentum of e+e-
daughterInvariantMass(i,...)                mass of the summed daughters [GeV]              ParameterVariables
electronID ... protonID, deuteronID         L / sum of the six likelihoods                  PIDVariables
nCDCHits nSVDHits nPXDHits                  hits of a track                                 TrackVariables
clusterReg ... clusterE9E21                 columns of the cluster (E9E25 is E9E21)         ECLVariables
chiProb preCut_rank decayModeID             columns of the candidate                        ParticleCombiner, FEI
SignalProbability                           column of the candidate                         FEI
==========================================  ==============================================  ======================

Where basf2 changed a definition, this is the newer one: older releases gave
``daughterAngle`` and ``decayAngle`` as cosines, ``decayAngle`` relative to the
candidate's own flight. ``useRestFrame(daughter(i,distance))`` is the distance
of the daughter's vertex from the candidate's in the candidate's rest frame,
which shortens it along the flight by gamma (ReferenceFrame, RestFrame); basf2
subtracts the interaction point once more, a shift that would depend on the
choice of the origin. Undefined values, in and out, are NaN (basf2 has 0 for
Mbc, -1 for chiProb).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.constants import PID_HYPOTHESES
from fei_lite.errors import UnknownNameError
from fei_lite.events import EventBatch
from fei_lite.kernels import feature_codes as codes
from fei_lite.kernels import features as kernels
from fei_lite.kernels.feature_codes import Feature, known, parse_feature
from fei_lite.particles import mass, pdg_code, v0_daughters
from fei_lite.reconstruction.frames import invariant_mass
from fei_lite.reconstruction.kinematics import perigee

__all__ = ["feature_matrix", "known", "likelihood_ratios", "parse_feature"]

_PID = {f"{name}ID": i for i, name in enumerate(("electron", "muon", "pion", "kaon", "proton", "deuteron"))}
_CLUSTER = {"clusterReg": "region", "clusterNHits": "n_hits", "clusterTiming": "timing",
            "clusterE9E25": "E9E21", "clusterE9E21": "E9E21"}
_HITS = {"nCDCHits": "n_cdc_hits", "nSVDHits": "n_svd_hits", "nPXDHits": "n_pxd_hits"}


def feature_matrix(
    names: Sequence[str], candidates: CandidateTable, daughters: Sequence[CandidateTable], batch: EventBatch,
) -> NDArray[np.float64]:
    """Features (n candidates, n names) of one channel's candidates, C-contiguous.

    ``names`` are expanded basf2 names (see the table above); ``daughters[j]``
    is the table of the j-th daughter, of which ``candidates["daughters"][:, j]``
    are rows; leaves have none, except that the two tracks of a V0 count as
    daughters 0 (positive) and 1. NaN is undefined. Raises
    :class:`UnknownNameError` for a name that does not exist, a daughter that
    the channel does not have, or a column that its table does not have (yet).
    """
    features = [parse_feature(name) for name in names]
    rows = _Rows(candidates, daughters, batch)
    for name, feature in zip(names, features, strict=True):
        if feature.n_daughters > rows.n_daughters:
            raise UnknownNameError(f"{candidates.particle}: feature '{name}' needs {feature.n_daughters} daughters, "
                                   f"the candidates have {rows.n_daughters}.")
    out = np.empty((len(candidates), len(names)))
    if out.size == 0:
        return out
    columns: list[NDArray[np.float64]] = []
    opcodes = np.array([_opcode(feature, rows, columns) for feature in features], dtype=np.int64)
    offset = np.array([_offset(feature, rows) for feature in features])
    used = {f.code for f in features}
    kernels.fill(
        opcodes, offset, rows.p4(), rows.place(needed=any(codes.DX <= code <= codes.POINTING for code in used)),
        rows.column("M", 0) if codes.Q_VALUE in used else np.empty(0), rows.event, batch.events["beam_p4"],
        np.stack(columns) if columns else np.empty((0, 0)),
        any(f.frame == codes.CMS or f.code in (codes.MBC, codes.DELTA_E) for f in features),
        any(f.frame == codes.REST or f.code == codes.DECAY_ANGLE for f in features), out)
    return out


def _opcode(feature: Feature, rows: _Rows, columns: list[NDArray[np.float64]]) -> tuple[int, ...]:
    """The kernel's row for a feature; appends the columns that it reads."""
    first, second = 0, 0
    if feature.code == codes.COLUMN:
        first = len(columns)
        subjects = range(1, 1 + rows.n_daughters) if feature.subject == codes.ALL_DAUGHTERS else (feature.subject,)
        columns.extend(rows.column(feature.variable, subject) for subject in subjects)
    elif feature.code == codes.INVARIANT_MASS:
        first = sum(1 << i for i in feature.arguments)
    elif feature.arguments:
        first, second = feature.arguments[0], feature.arguments[-1]
    return feature.code, feature.frame, feature.subject, first, second, int(feature.absolute)


def _offset(feature: Feature, rows: _Rows) -> float:
    """Nominal value that dQ is taken from; 0 for all others (dM's is in its column)."""
    if feature.variable == "dQ":
        return rows.nominal_mass(0) - sum(rows.nominal_mass(s) for s in range(1, 1 + rows.n_daughters))
    return 0.0


@dataclass
class _Rows:
    """Candidates (subject 0) and their daughters (1, 2, ...), gathered row for row."""

    table: CandidateTable
    daughters: Sequence[CandidateTable]
    batch: EventBatch
    event: NDArray[np.int64] = field(init=False)
    identity: dict[int, NDArray[np.float64]] = field(default_factory=dict)  # likelihood ratios by subject

    def __post_init__(self) -> None:
        self.event = self.table.event_index
        self.is_v0 = "v0_p4" in self.table.columns
        self.n_daughters = 2 if self.is_v0 else len(self.daughters)

    def rows(self, subject: int) -> NDArray[Any]:
        """Rows of the candidates' ``subject`` in its own table."""
        return self.table["daughters"][:, subject - 1]

    def gather(self, name: str, subject: int) -> NDArray[Any]:
        """A column of the candidates or of one of their daughters."""
        if subject == 0:
            return self.table[name]
        return np.asarray(self.daughters[subject - 1][name].take(self.rows(subject), axis=0))

    def p4(self) -> NDArray[np.float64]:
        """Four-momenta (1 + daughters, 4, n)."""
        out = np.empty((1 + self.n_daughters, 4, len(self.table)))
        out[0] = self.table["p4"].T
        if self.is_v0:
            out[1:] = self.table["v0_p4"].transpose(1, 2, 0)
            return out
        for s in range(1, 1 + self.n_daughters):
            kernels.gather(self.daughters[s - 1]["p4"], self.rows(s), out[s])
        return out

    def place(self, *, needed: bool) -> NDArray[np.float64]:
        """Vertices, of tracks perigees, relative to the interaction point (1 + daughters, 3, n)."""
        out = np.full((1 + self.n_daughters, 3, len(self.table)), np.nan)
        for s in range(1 + self.n_daughters if needed else 0):
            if self.is_v0 or s == 0:
                out[s] = self.place_of(s).T
            else:
                kernels.gather(self.daughter_places(s), self.rows(s), out[s])
        return out

    def daughter_places(self, subject: int) -> NDArray[np.float64]:
        """Places of all candidates of a daughter's table: each is the daughter of many."""
        table = self.daughters[subject - 1]
        return table.derived("place", lambda: _Rows(table, [], self.batch).place_of(0))

    def place_of(self, subject: int) -> NDArray[np.float64]:
        """Vertex or perigee of one subject relative to the interaction point (n, 3)."""
        if subject > 0 and not self.is_v0:
            return self.daughter_places(subject).take(self.rows(subject), axis=0)
        ip = self.batch.events["ip"].take(self.event, axis=0)
        if self.is_v0 and subject > 0:
            return _perigee_position(self.v0_track("helix", subject), ip)
        if self.is_track(subject):
            return _perigee_position(self.batch.tracks["helix"].take(self.gather("object", subject), axis=0), ip)
        return np.asarray(self.gather("vertex", subject) - ip)

    def v0_track(self, column: str, subject: int) -> NDArray[Any]:
        """A column of one track of each V0; the daughters of an anti-Lambda0 are anti-p- and pi+, in this order."""
        rows = self.table["object"]
        positive, negative = (self.batch.v0s[f"{side}_{column}"][rows] for side in ("positive", "negative"))
        is_positive = (self.table["sign"] >= 0) == (subject == 1)
        return np.asarray(np.where(is_positive.reshape(-1, *[1] * (positive.ndim - 1)), positive, negative))

    def is_track(self, subject: int) -> bool:
        """Whether the subject is made of a single track."""
        name = (self.daughters[subject - 1] if subject else self.table).particle
        return abs(pdg_code(name)) in _track_codes()

    def nominal_mass(self, subject: int) -> float:
        """Nominal mass in GeV of the subject's particle (of a V0's tracks: in the order of the Lambda0's)."""
        if subject == 0:
            return mass(self.table.particle)
        if self.is_v0:
            return mass(v0_daughters(self.table.particle)[subject - 1])
        return mass(self.daughters[subject - 1].particle)

    def column(self, name: str, subject: int) -> NDArray[np.float64]:
        """A ready value of the subject: a column of its table, or made from the batch."""
        if name in _PID:
            return self._pid(name, subject)
        if self.is_v0 and subject > 0:
            return self._v0_column(name, subject)
        if name == "dM":
            return self.column("M", subject) - self.nominal_mass(subject)
        if name in _CLUSTER:
            return self._cluster(_CLUSTER[name])
        if name in _HITS:
            return self._hits(_HITS[name], subject)
        if name == "significanceOfDistance":
            return self._significance(subject)
        return self.gather(name, subject).astype(np.float64)

    def _v0_column(self, name: str, subject: int) -> NDArray[np.float64]:
        """Tracks of a V0 have a mass, but are neither ranked nor classified."""
        if name == "M":
            return invariant_mass(self.table["v0_p4"][:, subject - 1])
        if name == "dM":
            return np.zeros(len(self.table))
        return np.full(len(self.table), np.nan)

    def _pid(self, name: str, subject: int) -> NDArray[np.float64]:
        """Likelihood ratio of a track; NaN for anything else."""
        if subject not in self.identity:
            self.identity[subject] = self._ratios(subject)
        return self.identity[subject][:, _PID[name]]

    def _ratios(self, subject: int) -> NDArray[np.float64]:
        logl, tracks = self.batch.tracks["pid_logl"], self.batch.tracks
        if self.is_v0 and subject > 0:
            return likelihood_ratios(logl[self.v0_track("index", subject) + tracks.offsets[self.event]])
        if self.is_track(subject):
            if subject == 0:
                return likelihood_ratios(logl.take(self.table["object"], axis=0))
            table = self.daughters[subject - 1]  # each of its candidates is the daughter of many
            ratios = table.derived("identity", lambda: _Rows(table, [], self.batch)._ratios(0))
            return ratios.take(self.rows(subject), axis=0)
        return np.full((len(self.table), len(PID_HYPOTHESES)), np.nan)

    def _hits(self, column: str, subject: int) -> NDArray[np.float64]:
        """A column of a track; NaN for anything else."""
        if not self.is_track(subject):
            return np.full(len(self.table), np.nan)
        return np.asarray(self.batch.tracks[column][self.gather("object", subject)], dtype=np.float64)

    def _cluster(self, column: str) -> NDArray[np.float64]:
        """A cluster's column; NaN for candidates that are not clusters."""
        if self.is_v0 or pdg_code(self.table.particle) != 22:
            return np.full(len(self.table), np.nan)
        return np.asarray(self.batch.clusters[column][self.table["object"]], dtype=np.float64)

    def _significance(self, subject: int) -> NDArray[np.float64]:
        out = np.empty(len(self.table))
        kernels.distance_significance(self.place_of(subject), self.gather("cov", subject), self.event,
                                      self.batch.events["ip_cov"], out)
        return out


@cache
def _track_codes() -> frozenset[int]:
    return frozenset(abs(pdg_code(name)) for name in PID_HYPOTHESES)


def _perigee_position(helix: NDArray[np.float64], ip: NDArray[np.float64]) -> NDArray[np.float64]:
    """Perigee of helices to ``ip``, relative to ``ip``, as a point (n, 3)."""
    moved = perigee(helix, ip)
    return np.stack([moved[:, 0] * np.sin(moved[:, 1]), -moved[:, 0] * np.cos(moved[:, 1]), moved[:, 3]], axis=1)


def likelihood_ratios(logl: NDArray[Any]) -> NDArray[np.float64]:
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
