"""The last classifier: all tag candidates of an event, of all channels, against each other.

Each channel's classifier sees one candidate and judges it alone. Which of an
event's candidates is right depends on the others: two that promise 0.3 each
cannot both be. The last classifier gets what the channels said of a candidate
and of its rivals, and gives the signal probability that a user sees; the
channels' own stays in ``channelProbability``.

No feature looks at the rest of the event: a tag must not become more
probable because the signal side is empty. Mbc is no feature either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.events import EventBatch
from fei_lite.reconstruction.frames import sqrt_s, to_cms

Floats = NDArray[np.float64]

#: Features, in the order of the model: log-odds of the candidate, of its best rival, and of the sum of all
#: rivals' odds; its rank; numbers of candidates; which particle and channel it is; chiProb; deltaE (GeV).
FEATURES = ("logOdds", "logOddsBestRival", "logOddsRivals", "rank", "nCandidates", "nCandidatesOfParticle",
            "particle", "decayModeID", "chiProb", "deltaE")

#: Log-odds of an event without rivals, and of probabilities that rounding has made 0 or 1.
_LIMIT = 30.0


def tag_features(tables: Sequence[CandidateTable], batch: EventBatch) -> list[Floats]:
    """:data:`FEATURES` of the tag candidates, per table (n, features); rows as in the tables."""
    event = np.concatenate([t.event_index for t in tables])
    which = np.repeat(np.arange(len(tables)), [len(t) for t in tables])

    def join(name: str) -> NDArray:
        return np.concatenate([t[name] for t in tables])

    p = join("SignalProbability")
    with np.errstate(divide="ignore"):
        score = np.clip(np.log(p) - np.log1p(-p), -_LIMIT, _LIMIT)
    rank, best_rival = _rivals(event, score)
    odds = np.exp(score)
    total = np.bincount(event, weights=odds, minlength=batch.n_events)
    behind = np.bincount(event, weights=np.where(rank > 1, odds, 0.0), minlength=batch.n_events)
    others = np.where(rank == 1, behind[event], total[event] - odds)  # no difference of large numbers
    count = np.bincount(event, minlength=batch.n_events)
    of_particle = np.bincount(event * len(tables) + which, minlength=batch.n_events * len(tables))
    with np.errstate(divide="ignore"):
        rivals = np.where(count[event] > 1, np.clip(np.log(others), -_LIMIT, _LIMIT), -_LIMIT)
    beam = batch.events["beam_p4"][event]
    columns = (score, best_rival, rivals, rank, count[event], of_particle[event * len(tables) + which], which,
               join("decayModeID"), join("chiProb"), to_cms(join("p4"), beam)[:, 3] - 0.5 * sqrt_s(beam))
    X = np.column_stack(columns).astype(np.float64)
    ends = np.cumsum([len(t) for t in tables])
    return np.split(X, ends[:-1])


def _rivals(event: NDArray[np.int64], score: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Rank (1 is the best) in the event, and the score of the best other candidate."""
    order = np.lexsort((-score, event))
    sorted_event = event[order]
    first = np.searchsorted(sorted_event, sorted_event, side="left")
    last = np.searchsorted(sorted_event, sorted_event, side="right")
    position = np.arange(len(order))
    rival = np.where(position == first, first + 1, first)
    lone = last - first < 2
    best = np.full(len(order), -_LIMIT)
    best[~lone] = score[order][rival[~lone]]
    rank, best_rival = np.empty(len(order), np.int64), np.empty(len(order))
    rank[order], best_rival[order] = position - first + 1, best
    return rank, best_rival


def with_probability(table: CandidateTable, probability: Floats) -> CandidateTable:
    """The table with the last classifier's ``SignalProbability``, the best of an event first."""
    table = CandidateTable(table.particle, table.offsets, {
        **table.columns, "SignalProbability": probability, "channelProbability": table["SignalProbability"]})
    return table.select(np.lexsort((-probability, table.event_index)))
