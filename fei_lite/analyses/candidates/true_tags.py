"""Btags as the truth has them: what a signal side does where the tag is right, without a tagger."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch, offsets_of
from fei_lite.events.batch import Jagged
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.truth import empty_match
from fei_lite.used_objects import OBJECT_LISTS, everything, object_bits

#: Tables of tags, and the code of the B of each.
_MESONS = {"B+": 521, "B0": 511}
_NEUTRINOS = (12, 14, 16)
_DEEPEST = 40  # generations below a B


def true_tags(batch: EventBatch) -> Reconstruction:
    """One Btag in each event: the B that does not decay to a pair of neutrinos, with all objects that come from it.

    Its momentum is the generated one, its SignalProbability 1. Events in which both B or none decay to neutrinos have
    none. Raises :class:`EventFileError` without truth.
    """
    if batch.generated is None:
        raise EventFileError(f"{batch.source or 'batch'}: no list 'generated': there is no true Btag.")
    return tags_of_mesons(batch, _tags(batch.generated, _mothers(batch.generated)))


def tags_of_mesons(batch: EventBatch, tag: NDArray[np.intp]) -> Reconstruction:
    """One Btag of each of the B mesons ``tag`` (rows of ``generated``, one of an event at most, rising).

    It uses all objects that come from it, its momentum is the generated one, its SignalProbability 1.
    """
    generated = batch.generated
    assert generated is not None
    used = _used(batch, _mothers(generated), tag)
    tables = {}
    for name, code in _MESONS.items():
        rows = tag[np.abs(generated["pdg"][tag]) == code]
        tables[name] = _table(name, batch, rows, used[generated.event_index[rows]])
    return Reconstruction(batch, _tags_without_daughters(), tables)


@cache
def _tags_without_daughters() -> ChannelSet:
    """A channel set whose B's come from a list: a true Btag has no candidates as daughters."""
    known = load_channel_set("hadronic")
    particles = {}
    for name in _MESONS:
        leaf = replace(known.particles[name].channels[0], daughters=(f"{name}:Btag",), leaf="Btag", features=())
        particles[name] = replace(known.particles[name], channels=(leaf,))
    return replace(known, name="true_tags", particles=particles, stages=(tuple(_MESONS),))


def _mothers(generated: Jagged) -> NDArray[np.int64]:
    first = generated.offsets[:-1][generated.event_index]
    return np.where(generated["mother"] >= 0, generated["mother"] + first, -1)


def _tags(generated: Jagged, mother: NDArray[np.int64]) -> NDArray[np.intp]:
    """Rows of the tag B's, in the order of the events."""
    code = np.abs(generated["pdg"])
    a_b = np.isin(code, tuple(_MESONS.values()))
    last = a_b & (np.bincount(mother[a_b & (mother >= 0)], minlength=len(code)) == 0)  # a mixed B is its own mother
    pairs = np.bincount(mother[np.isin(code, _NEUTRINOS) & (mother >= 0)], minlength=len(code)) == 2
    event, n = generated.event_index, len(generated.counts)
    good = np.bincount(event[last & pairs], minlength=n) == 1
    return np.flatnonzero(last & ~pairs & good[event])


def _used(batch: EventBatch, mother: NDArray[np.int64], tag: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Bit sets (n_events, words) of the objects that come from the tag."""
    generated = batch.generated
    assert generated is not None
    inside = np.zeros(len(mother), dtype=bool)
    inside[tag] = True
    for _ in range(_DEEPEST):
        inside |= (mother >= 0) & inside[mother]
    words = np.zeros_like(everything(batch))
    for kind in OBJECT_LISTS:
        objects = getattr(batch, kind)
        matched = objects["mc_index"] >= 0
        row = np.where(matched, objects["mc_index"] + generated.offsets[:-1][objects.event_index], 0)
        rows = np.flatnonzero(matched & inside[row])
        np.bitwise_or.at(words, objects.event_index[rows], object_bits(batch, kind, rows))
    return words


def _table(name: str, batch: EventBatch, rows: NDArray[np.intp], used: NDArray[np.uint64]) -> CandidateTable:
    """The tags of one particle with every column that a signal side reads."""
    generated = batch.generated
    assert generated is not None
    n, p4 = len(rows), generated["p4"][rows].astype(np.float64)
    columns = {
        "sign": np.sign(generated["pdg"][rows]).astype(np.int8), "p4": p4,
        "vertex": generated["vertex"][rows].astype(np.float64), "cov": np.tile(np.eye(7) * 1e-6, (n, 1, 1)),
        "used": used, "object": np.full(n, -1, np.int32), "daughters": np.empty((n, 0), np.int32),
        "M": np.sqrt(np.maximum(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1), 0.0)), "chiProb": np.ones(n),
        "decayModeID": np.zeros(n, np.int16), "SignalProbability": np.ones(n), "preCut_rank": np.ones(n, np.int16),
        "mc": rows.astype(np.int32), "mcErrors": np.zeros(n, np.int32), "isSignal": np.ones(n, np.int8),
        "mc_used": np.zeros((n, empty_match(batch).mc_used.shape[1]), np.uint64)}
    counts = np.bincount(generated.event_index[rows], minlength=batch.n_events)
    return CandidateTable(name, offsets_of(counts), columns)
