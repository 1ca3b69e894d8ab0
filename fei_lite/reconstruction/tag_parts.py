"""What a tag candidate is made of, in the same few numbers whatever its channel.

====================  ====================================================================
logOddsWorst          log-odds of its least probable daughter
logOddsSecond         of the next
logProduct            logarithm of the product of all daughters' SignalProbability
charm                 its first charmed (or charmonium) daughter: particle and channel
logOddsCharm          log-odds of that daughter
chiProbCharm          p-value of its vertex fit
dMCharm               its M - nominal mass, of a D* that of its D [GeV]
QCharm                of a D*: M(D*) - M(D) [GeV]
logOddsCompanion      least log-odds of a second charmed daughter and of the soft pion or
                      photon of the D*
nPi0                  number of pi0 daughters
logOddsPi0            log-odds of the least probable of them
EPi0                  least energy of them, in the frame of e+e- [GeV]
pTrack                momentum of its slowest track (daughters only), in the frame of e+e- [GeV]
====================  ====================================================================

NaN where there is no such part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import ChannelSet
from fei_lite.constants import PID_HYPOTHESES
from fei_lite.events import EventBatch
from fei_lite.particles import conjugate, mass, pdg_code
from fei_lite.reconstruction.competing import log_odds
from fei_lite.reconstruction.frames import to_cms

Floats = NDArray[np.float64]

PARTS = ("logOddsWorst", "logOddsSecond", "logProduct", "charm", "logOddsCharm", "chiProbCharm", "dMCharm", "QCharm",
         "logOddsCompanion", "nPi0", "logOddsPi0", "EPi0", "pTrack")

#: Lighter than every particle with a charm quark, heavier than all others that are combined (GeV).
_CHARM_MASS = 1.5
_TRACKS = {abs(pdg_code(name)) for name in PID_HYPOTHESES}
#: ``charm`` is this times the number of the particle, plus the channel.
_MODES = 100


def tag_parts(tag: CandidateTable, tables: dict[str, CandidateTable], channel_set: ChannelSet,
              batch: EventBatch) -> dict[str, Floats]:
    """:data:`PARTS` of the candidates of one table, each (n,); ``tables`` are the daughters'."""
    parts = _Parts(tag, tables, channel_set, batch)
    for mode in np.unique(tag["decayModeID"]):
        parts.fill(int(mode))
    return parts.columns


class _Parts:
    """The columns, filled channel by channel."""

    def __init__(self, tag: CandidateTable, tables: dict[str, CandidateTable], channel_set: ChannelSet,
                 batch: EventBatch) -> None:
        self.tag, self.tables, self.set = tag, tables, channel_set
        self.beam = batch.events["beam_p4"]
        self.charmed = sorted((name for name in channel_set.particles
                               if name not in channel_set.tags and mass(name) > _CHARM_MASS),
                              key=lambda name: abs(pdg_code(name)))
        self.columns = {name: np.full(len(tag), np.nan) for name in PARTS}
        self.columns["logProduct"][:] = self.columns["nPi0"][:] = 0.0

    def table(self, daughter: str) -> CandidateTable:
        """The table that serves a daughter, which may be the charge conjugate."""
        return self.tables[daughter if daughter in self.tables else conjugate(daughter)]

    def smallest(self, name: str, here: NDArray[np.intp], values: Floats) -> None:
        """Lower a column to ``values`` where they are smaller, or the first."""
        self.columns[name][here] = np.fmin(self.columns[name][here], values)

    def p4(self, table: CandidateTable, rows: NDArray[np.integer], here: NDArray[np.intp]) -> Floats:
        """Four-momenta of daughters in the frame of e+e-."""
        return to_cms(table["p4"].take(rows, axis=0), self.beam[self.tag.event_index[here]])

    def fill(self, mode: int) -> None:
        """The candidates of one channel."""
        here = np.flatnonzero(self.tag["decayModeID"] == mode)
        score, has_charm = [], False
        for j, daughter in enumerate(self.set.particles[self.tag.particle].channels[mode].daughters):
            table = self.table(daughter)
            rows = self.tag["daughters"][here, j]
            probability = table["SignalProbability"].take(rows)
            score.append(log_odds(probability))
            self.columns["logProduct"][here] += np.log(np.maximum(probability, 1e-13))
            if table.particle == "pi0":
                self.columns["nPi0"][here] += 1.0
                self.smallest("logOddsPi0", here, score[-1])
                self.smallest("EPi0", here, self.p4(table, rows, here)[:, 3])
            elif abs(pdg_code(table.particle)) in _TRACKS:
                self.smallest("pTrack", here, np.linalg.norm(self.p4(table, rows, here)[:, :3], axis=1))
            elif table.particle in self.charmed and has_charm:
                self.smallest("logOddsCompanion", here, score[-1])
            elif table.particle in self.charmed:
                has_charm = True
                self.charm(table, rows, here, score[-1])
        ordered = np.sort(np.stack(score), axis=0)
        self.columns["logOddsWorst"][here] = ordered[0]
        if len(ordered) > 1:
            self.columns["logOddsSecond"][here] = ordered[1]

    def charm(self, table: CandidateTable, rows: NDArray[np.integer], here: NDArray[np.intp], score: Floats) -> None:
        """The first charmed daughter, of all candidates ``here``."""
        modes = table["decayModeID"].take(rows)
        self.columns["charm"][here] = _MODES * self.charmed.index(table.particle) + modes
        self.columns["logOddsCharm"][here] = score
        self.columns["chiProbCharm"][here] = table["chiProb"].take(rows)
        self.columns["dMCharm"][here] = table["M"].take(rows) - mass(table.particle)
        for mode in np.unique(modes):
            daughters = self.set.particles[table.particle].channels[mode].daughters
            inner = [self.table(name) for name in daughters]
            for j, sub in enumerate(inner):
                if sub.particle in self.charmed:  # a D*
                    some = np.flatnonzero(modes == mode)
                    self.star(table, inner, j, rows[some], here[some])

    def star(self, table: CandidateTable, inner: list[CandidateTable], which: int, rows: NDArray[np.integer],
             here: NDArray[np.intp]) -> None:
        """D* candidates (``rows``) of one channel; ``inner[which]`` is the table of their D."""
        of = table["daughters"].take(rows, axis=0)
        d_mass = inner[which]["M"].take(of[:, which])
        self.columns["dMCharm"][here] = d_mass - mass(inner[which].particle)
        self.columns["QCharm"][here] = table["M"].take(rows) - d_mass
        for j, other in enumerate(inner):
            if j != which:
                self.smallest("logOddsCompanion", here, log_odds(other["SignalProbability"].take(of[:, j])))
