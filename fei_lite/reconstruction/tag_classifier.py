"""The tag classifier: all tag candidates of an event, of all channels, against each other.

Each channel's classifier sees one candidate and judges it alone. Which of an
event's candidates is right depends on the others: two that promise 0.3 each
cannot both be. The tag classifier gets what the channels said of a candidate
and of those that compete with it, how the candidate is made (:mod:`fei_lite.reconstruction.tag_parts`)
and how it lies in space (:mod:`fei_lite.reconstruction.tag_shape`), and gives the
signal probability that a user sees; the channels' own stays in ``channelProbability``.

Competing candidates made of the same tracks differ in hypotheses, photons and pi0 alone: they are
judged among each other, and their track group against the event's other groups.

Where it was trained with continuum it has a second forest of the same features, fitted on B Bbar events
alone: the probability that a candidate is right given that the event is B Bbar (``SignalProbabilityGivenBB``, what the
FEI's SignalProbability means).

No feature looks at the rest of the event: a tag must not become more
probable because the signal side is empty. Mbc is no feature either.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import ChannelSet
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.events import EventBatch
from fei_lite.reconstruction.competing import Competing, compare, groups_of, log_odds
from fei_lite.reconstruction.frames import beam_constrained
from fei_lite.reconstruction.tag_parts import PARTS, tag_parts
from fei_lite.reconstruction.tag_shape import SHAPE, tag_shape
from fei_lite.renamed import current
from fei_lite.used_objects import words_to_unpacked

Floats = NDArray[np.float64]

#: Log-odds of the candidate, of the best that competes, and of the sum of the odds of all that do; its rank; numbers of
#: candidates; which particle and channel it is; chiProb; deltaE (GeV).
OF_EVENT = ("logOdds", "logOddsBestCompeting", "logOddsCompeting", "rank", "nCandidates", "nCandidatesOfParticle",
            "particle", "decayModeID", "chiProb", "deltaE")
#: Tracks and clusters that it uses; among those of the same tracks: size, rank, best, sum, and abs(deltaE) of the
#: best; of the event's groups of equal tracks: their number, and the best and the sum of the others.
OF_GROUP = ("nTracks", "nClusters", "nGroup", "rankGroup", "logOddsBestGroup", "logOddsGroup", "absDeltaEGroup",
            "nGroups", "logOddsBestOther", "logOddsOther")
#: All features, in the order of the model.
FEATURES = (*OF_EVENT, *OF_GROUP, *PARTS, *SHAPE)


def tag_features(tags: Sequence[CandidateTable], tables: dict[str, CandidateTable], channel_set: ChannelSet,
                 batch: EventBatch, names: Sequence[str] = FEATURES) -> list[Floats]:
    """Features of the tag candidates, per table of ``tags`` (n, names); rows as in the tables.

    ``tables`` are all tables of the reconstruction, by particle. NaN is undefined.
    Raises :class:`UnknownNameError` for a name that is not among :data:`FEATURES`.
    """
    now = current("tag_features", names, "tag classifier")
    for name in now.values():
        if name not in FEATURES:
            raise UnknownNameError(f"the tag classifier wants '{name}', which this fei-lite does not know."
                                   f"{nearest(name, FEATURES)} Train it again, or use the fei-lite that did.")
    joined = _joined(tags, batch)
    ends = np.cumsum([len(t) for t in tags])[:-1]
    for some, of_table in ((PARTS, partial(tag_parts, tables=tables, channel_set=channel_set, batch=batch)),
                           (SHAPE, partial(tag_shape, batch=batch))):
        if set(now.values()) & set(some):
            found = [of_table(t) for t in tags]
            joined |= {name: np.concatenate([columns[name] for columns in found]) for name in some}
    return np.split(np.column_stack([joined[now[name]] for name in names]).astype(np.float64), ends)


def _joined(tags: Sequence[CandidateTable], batch: EventBatch) -> dict[str, NDArray]:
    """:data:`OF_EVENT` and :data:`OF_GROUP` of all tag candidates, table after table."""
    event = np.concatenate([t.event_index for t in tags])
    which = np.repeat(np.arange(len(tags)), [len(t) for t in tags])

    def join(name: str) -> NDArray:
        return np.concatenate([t[name] for t in tags])

    score = log_odds(join("SignalProbability"))
    _, delta_e = beam_constrained(join("p4"), batch.events["beam_p4"][event])
    competing = compare(event, score)
    of_particle = np.bincount(event * len(tags) + which, minlength=batch.n_events * len(tags))
    tracks, n_tracks, n_clusters = _used(join("used"), batch.tracks.counts[event])
    group = groups_of([*tracks.T, event])
    same_tracks = compare(group, score)
    best_other, all_other = _groups(group, event, score, same_tracks)
    return {
        "logOdds": score, "logOddsBestCompeting": competing.best, "logOddsCompeting": competing.odds,
        "rank": competing.rank, "nCandidates": competing.size,
        "nCandidatesOfParticle": of_particle[event * len(tags) + which],
        "particle": which, "decayModeID": join("decayModeID"), "chiProb": join("chiProb"), "deltaE": delta_e,
        "nTracks": n_tracks, "nClusters": n_clusters, "nGroup": same_tracks.size, "rankGroup": same_tracks.rank,
        "logOddsBestGroup": same_tracks.best, "logOddsGroup": same_tracks.odds,
        "absDeltaEGroup": np.where(same_tracks.size > 1, np.abs(delta_e[same_tracks.row]), np.nan),
        "nGroups": best_other.size[group], "logOddsBestOther": best_other.best[group],
        "logOddsOther": all_other.odds[group]}


def _used(used: NDArray[np.uint64], n_tracks: NDArray[np.integer]) -> tuple[NDArray[np.uint64], NDArray, NDArray]:
    """Of the objects used their tracks, as bit sets (n, words), and the numbers of tracks and clusters (n,)."""
    bits = words_to_unpacked(used)
    is_track = np.arange(bits.shape[1]) < n_tracks[:, None]
    first = np.clip(n_tracks[:, None] - 64 * np.arange(used.shape[1]), 0, 64).astype(np.uint64)
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    mask = np.where(first == 64, full, ~(full << np.minimum(first, np.uint64(63))))
    of_tracks = np.count_nonzero(bits & is_track, axis=1)
    return used & mask, of_tracks, np.count_nonzero(bits, axis=1) - of_tracks


def _groups(group: NDArray[np.int64], event: NDArray[np.int64], score: Floats,
            same_tracks: Competing) -> tuple[Competing, Competing]:
    """The groups of an event against each other, by their best candidate and by the sum of their odds."""
    n_groups = int(group.max()) + 1 if len(group) else 0
    event_of, best = np.zeros(n_groups, dtype=np.int64), np.zeros(n_groups)
    leads = same_tracks.rank == 1
    event_of[group[leads]], best[group[leads]] = event[leads], score[leads]
    total = np.log(np.bincount(group, weights=np.exp(score), minlength=n_groups))
    return compare(event_of, best), compare(event_of, total)


def with_probability(table: CandidateTable, probability: Floats, given_bb: Floats | None = None) -> CandidateTable:
    """The table with the tag classifier's ``SignalProbability``, the best of an event first.

    ``given_bb`` (n,) is ``SignalProbabilityGivenBB``, if there is one.
    """
    columns = {**table.columns, "SignalProbability": probability, "channelProbability": table["SignalProbability"]}
    if given_bb is not None:
        columns["SignalProbabilityGivenBB"] = given_bb
    table = CandidateTable(table.particle, table.offsets, columns)
    return table.select(np.lexsort((-probability, table.event_index)))
