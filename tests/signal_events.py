"""Signal events B+ -> K+ nu nubar with Btags made from truth: rich in candidates without a tagger."""

from __future__ import annotations

from functools import cache

import numpy as np

from fei_lite.candidates import CandidateTable
from fei_lite.events import concatenate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.truth import _family
from fei_lite.used_objects import everything, object_bits

NEUTRINOS = (12, 14, 16)


@cache
def signal_batch(n, *, seed):
    """Signal events of the shipped decay file as one batch, the same object each time."""
    return concatenate(list(simulate("signal", n, seed=seed, dec_file="k_nunu")))


class Truth:
    """Signal B, tag B and signal kaon of each event: rows in ``generated``."""

    def __init__(self, batch):
        self.batch, g = batch, batch.generated
        first = g.offsets[:-1][g.event_index]
        self.mother = np.where(g["mother"] >= 0, g["mother"] + first, -1)
        self.pdg = g["pdg"]
        self.signal, self.tag, self.kaon = [], [], []
        for e in range(batch.n_events):
            rows = np.arange(g.offsets[e], g.offsets[e + 1])
            bs = rows[np.abs(self.pdg[rows]) == 521]
            for b in bs:
                products = {int(abs(c)) for c in self.pdg[rows][self.mother[rows] == b]} - {22}
                if products == {321, 16}:
                    self.signal.append(int(b))
                    self.tag.append(int(bs[bs != b][0]))
                    self.kaon.append(int(rows[(self.mother[rows] == b) & (np.abs(self.pdg[rows]) == 321)][0]))
        assert len(self.signal) == batch.n_events

    def used(self, ancestors):
        """Bit sets (n_events, n_words) of the tracks, clusters and K_L clusters of the descendants."""
        wanted = np.isin(np.arange(len(self.pdg)), ancestors)
        for _ in range(40):
            wanted |= np.where(self.mother >= 0, wanted[self.mother], False)
        words = np.zeros_like(everything(self.batch))
        for kind in ("tracks", "clusters", "klm"):
            objects = getattr(self.batch, kind)
            row = objects["mc_index"] + self.batch.generated.offsets[:-1][objects.event_index]
            rows = np.flatnonzero((objects["mc_index"] >= 0) & wanted[row])
            np.bitwise_or.at(words, objects.event_index[rows], object_bits(self.batch, kind, rows))
        return words


def true_tags(batch, truth, *, seed=1):
    """A table of B+ with the true tag of every event, of random probability; a wrong one as well in every third."""
    rng = np.random.default_rng(seed)
    n, tag = batch.n_events, np.array(truth.tag)
    used = truth.used(truth.tag)
    wrong = np.flatnonzero(np.arange(n) % 3 == 0)
    event = np.concatenate([np.arange(n), wrong])
    order = np.argsort(event, kind="stable")
    event = event[order]
    false = (np.concatenate([np.zeros(n), np.ones(len(wrong))]) == 1)[order]
    m = len(event)
    sign = np.sign(truth.pdg[tag[event]]).astype(np.int8)
    everywhere = everything(batch)[event]
    columns = {
        "sign": np.where(false, -sign, sign).astype(np.int8), "p4": batch.generated["p4"][tag[event]].copy(),
        "vertex": np.zeros((m, 3)), "cov": np.tile(np.eye(7) * 1e-6, (m, 1, 1)),
        # the wrong tag has the other charge and takes everything, the signal kaon as well
        "used": np.where(false[:, None], everywhere, used[event]),
        "object": np.full(m, -1, np.int32), "daughters": np.empty((m, 0), np.int32), "M": np.full(m, 5.279),
        "chiProb": rng.uniform(size=m), "decayModeID": np.zeros(m, np.int16),
        "SignalProbability": rng.uniform(0.002, 1.0, m), "preCut_rank": np.ones(m, np.int16),
        "mc": np.where(false, -1, tag[event]).astype(np.int32),
        "mcErrors": np.where(false, 512, 0).astype(np.int32),
        "mc_used": np.where(false[:, None], np.uint64(0), _family(batch).descend[tag[event]]),
        "isSignal": (~false).astype(np.int8)}
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=n))]).astype(np.int64)
    return {"B+": CandidateTable("B+", offsets, columns)}
