"""Generated events in, as many of each as a learned selection wants out, with weights.

Of B pairs, combinations of their decays are drawn by what both promise (:mod:`fei_lite.production.sides`), thinned by
what they promise together, and built (:mod:`fei_lite.generator.recombination`). Events of continuum are taken several
times if they promise much: the detector then sees the same particles again with other random numbers. Copies of one
event are a family, as combinations of one decay are: their number in the file, divided by :data:`FAMILY`, is that of
the event (of the first B decay's).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.events.batch import Jagged, offsets_of
from fei_lite.generator.generate import GeneratedBatch, joined
from fei_lite.generator.recombination import recombined, sides_of, with_mixing_times
from fei_lite.production.generated_features import event_features, side_features
from fei_lite.production.learned import LearnedSelection
from fei_lite.production.sides import draw_pairs, features_of_pairs

Array = NDArray[np.float64]

#: Times this the number of an event or first B decay are the numbers of its copies and combinations.
FAMILY = 1_000_000
#: Combinations whose features are calculated at a time.
_AT_A_TIME = 20_000


@dataclass(frozen=True)
class Taken:
    """Events that were taken, the features (n, n_features) that decided, and the numbers of the second decay's event.

    ``wanted`` (n,) is how often each was wanted, the inverse of its weight. ``partner`` (n,) is that of the event
    itself where decays were not combined anew. ``tag`` (n,) says which B (0, 1) of a pair is rather the tag.
    ``n_offered`` events or combinations were looked at.
    """

    batch: GeneratedBatch
    X: Array
    wanted: Array
    partner: NDArray[np.int64]
    tag: NDArray[np.int64]
    n_offered: int


def whole(batch: GeneratedBatch) -> Taken:
    """All of a batch, each event once."""
    n = batch.n_events
    return Taken(batch, np.zeros((n, 0)), np.ones(n), batch.events["event"].astype(np.int64),
                 np.zeros(n, dtype=np.int64), n)


@dataclass
class Sampler:
    """A learned selection at work on batches of generated events."""

    selection: LearnedSelection
    channel_set: ChannelSet
    rng: np.random.Generator

    def __call__(self, batch: GeneratedBatch) -> Taken:
        """What is taken of a batch."""
        return (self._of_pairs if self.selection.of == "pairs" else self._of_events)(batch)

    def _of_events(self, batch: GeneratedBatch) -> Taken:
        sqrt_s = _sqrt_s(batch)
        X = event_features(batch.generated, batch.events["beam_p4"], channel_set=self.channel_set,
                           quark=batch.process.code, sqrt_s=sqrt_s)
        wanted = self.selection.wanted(X)
        whole = np.floor(wanted)
        copies = (whole + (self.rng.uniform(size=len(X)) < wanted - whole)).astype(np.int64)
        rows = np.repeat(np.arange(len(X)), copies)
        copy = np.arange(len(rows)) - np.repeat(offsets_of(copies)[:-1], copies)
        number = batch.events["event"][rows] * FAMILY + copy
        made = repeated(batch, rows)
        events = made.events | {"weight": made.events["weight"] / wanted[rows], "event": number}
        return Taken(replace(made, events=events, n_generated=batch.n_generated), X[rows], wanted[rows],
                     batch.events["event"][rows].astype(np.int64), np.zeros(len(rows), dtype=np.int64), len(X))

    def _of_pairs(self, batch: GeneratedBatch) -> Taken:
        sides, n, sqrt_s = sides_of(batch), batch.n_events, _sqrt_s(batch)
        side = np.where(sides.side >= 0, 2 * sides.event + sides.side, -1)
        of_sides = side_features(batch.generated, batch.events["beam_p4"], side, 2 * n, channel_set=self.channel_set)
        models = self.selection.sides
        assert models is not None
        promises = models.promises(of_sides)
        first, second = promises.of(np.arange(0, 2 * n, 2)), promises.of(np.arange(1, 2 * n, 2))
        drawn = draw_pairs(first, second, sides.code[:, 1], models, self.rng)
        rows, partners, wanted, features, tags = [], [], [], [], []
        for start in range(0, len(drawn.first), _AT_A_TIME):
            i, j = (part[start:start + _AT_A_TIME] for part in (drawn.first, drawn.second))
            X, swap = features_of_pairs(of_sides[2 * i], of_sides[2 * j + 1], (first.of(i), second.of(j)), models,
                                        sqrt_s=sqrt_s)
            before = drawn.wanted[start:start + _AT_A_TIME]
            found = np.minimum(self.selection.wanted(X), before)
            mask = np.flatnonzero(self.rng.uniform(size=len(i)) * before < found)
            rows.append(i[mask])
            partners.append(j[mask])
            wanted.append(found[mask])
            features.append(X[mask])
            tags.append(swap[mask].astype(np.int64))
        row, partner, times = np.concatenate(rows), np.concatenate(partners), np.concatenate(wanted)
        made = with_mixing_times(recombined(batch, sides, row, partner), self.rng)
        events = made.events | {"weight": 1.0 / times, "event": _numbers(batch.events["event"][row])}
        return Taken(replace(made, events=events, n_generated=batch.n_generated), np.concatenate(features), times,
                     batch.events["event"][partner].astype(np.int64), np.concatenate(tags), len(drawn.first))


def _numbers(event: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers (n,) of combinations of first decays of ``event``: that times :data:`FAMILY`, and counted from there."""
    order = np.argsort(event, kind="stable")
    first = np.searchsorted(event[order], event[order])
    count = np.empty(len(event), dtype=np.int64)
    count[order] = np.arange(len(event)) - first
    return np.asarray(event * FAMILY + count, dtype=np.int64)


def _sqrt_s(batch: GeneratedBatch) -> float:
    """The centre-of-mass energy, GeV, as the beams have it on average."""
    beam = batch.events["beam_p4"][0]
    return float(np.sqrt(beam[3] ** 2 - np.sum(beam[:3] ** 2)))


def repeated(batch: GeneratedBatch, rows: NDArray[np.int64]) -> GeneratedBatch:
    """The events of ``rows`` (any order, any number of times)."""
    generated = batch.generated
    counts = generated.counts[rows]
    offsets = offsets_of(counts)
    old = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts) + np.repeat(generated.offsets[:-1][rows], counts)
    return GeneratedBatch({name: values[rows] for name, values in batch.events.items()},
                          Jagged(offsets, {name: values[old] for name, values in generated.columns.items()}),
                          batch.process, len(rows))


def gathered(taken: Iterable[Taken], size: int) -> Iterator[Taken]:
    """The same events in batches of ``size`` (the last one smaller)."""
    waiting: list[Taken] = []
    n = 0
    for part in taken:
        waiting.append(part)
        n += part.batch.n_events
        if n >= size:
            whole = _together(waiting)
            for start in range(0, n - n % size, size):
                yield _part(whole, start, start + size)
            waiting = [_part(whole, n - n % size, n)]
            n %= size
    if waiting and (n or sum(part.n_offered for part in waiting)):
        yield _together(waiting)


def _together(parts: list[Taken]) -> Taken:
    """All of several."""
    return Taken(joined([part.batch for part in parts]), np.concatenate([part.X for part in parts]),
                 np.concatenate([part.wanted for part in parts]), np.concatenate([part.partner for part in parts]),
                 np.concatenate([part.tag for part in parts]), sum(part.n_offered for part in parts))


def _part(taken: Taken, start: int, stop: int) -> Taken:
    """Events ``start`` to ``stop``; what was offered for all of them counts for the first."""
    first = start == 0
    return Taken(taken.batch.slice(start, stop), taken.X[start:stop], taken.wanted[start:stop],
                 taken.partner[start:stop], taken.tag[start:stop], taken.n_offered if first else 0)
