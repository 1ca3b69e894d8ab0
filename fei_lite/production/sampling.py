"""Generated events in, as many of each as a learned selection wants out, with weights.

Of B pairs, combinations of their decays are offered (:mod:`fei_lite.generator.recombination`) and each is taken once
or not at all. Events of continuum are taken several times if they promise much: the detector then sees the same
particles again with other random numbers. Copies of one event are a family, as combinations of one decay are: their
number in the file, divided by ``reuse``, is that of the event (of the first B decay's).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.events.batch import Jagged, offsets_of
from fei_lite.generator.generate import GeneratedBatch, joined
from fei_lite.generator.recombination import recombined, sides_of
from fei_lite.production.generated_features import event_features, pair_features, side_features
from fei_lite.production.learned import LearnedSelection

Array = NDArray[np.float64]

#: Of the offered events the features of so many per batch are kept, to learn from.
_REMEMBERED = 200


@dataclass(frozen=True)
class Taken:
    """Events that were taken, the features (n, n_features) that decided, and the numbers of the second decay's event.

    ``wanted`` (n,) is how often each was wanted, the inverse of its weight. ``partner`` (n,) is that of the event
    itself where decays were not combined anew. ``n_offered`` events or combinations were looked at; ``offered``
    (m, n_features) are a random sample of them.
    """

    batch: GeneratedBatch
    X: Array
    wanted: Array
    partner: NDArray[np.int64]
    n_offered: int
    offered: Array


@dataclass
class Sampler:
    """A learned selection at work on batches of generated events."""

    selection: LearnedSelection
    channel_set: ChannelSet
    rng: np.random.Generator
    reuse: int = 1

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
        number = batch.events["event"][rows] * self.selection.most + copy
        made = repeated(batch, rows)
        events = made.events | {"weight": made.events["weight"] / wanted[rows], "event": number}
        return Taken(replace(made, events=events, n_generated=batch.n_generated), X[rows], wanted[rows],
                     batch.events["event"][rows].astype(np.int64), len(X), self._some(X, len(X)))

    def _of_pairs(self, batch: GeneratedBatch) -> Taken:
        sides, n, sqrt_s = sides_of(batch), batch.n_events, _sqrt_s(batch)
        side = np.where(sides.side >= 0, 2 * sides.event + sides.side, -1)
        of_sides = side_features(batch.generated, batch.events["beam_p4"], side, 2 * n, channel_set=self.channel_set)
        first, second = of_sides[0::2], of_sides[1::2]
        rows, partners, numbers, wanted, features, sample = [], [], [], [], [], []
        for k, partner in enumerate(sides.partners(self.reuse, self.rng)):
            X = pair_features(first, second[partner], sqrt_s=sqrt_s)
            found = self.selection.wanted(X)
            mask = np.flatnonzero(self.rng.uniform(size=n) < found)
            rows.append(mask)
            partners.append(partner[mask])
            numbers.append(batch.events["event"][mask] * self.reuse + k)
            wanted.append(found[mask])
            features.append(X[mask])
            sample.append(self._some(X, n * self.reuse))
        row, partner = np.concatenate(rows), np.concatenate(partners)
        made = recombined(batch, sides, row, partner)
        events = made.events | {"weight": 1.0 / np.concatenate(wanted), "event": np.concatenate(numbers)}
        return Taken(replace(made, events=events, n_generated=batch.n_generated * self.reuse),
                     np.concatenate(features), np.concatenate(wanted),
                     batch.events["event"][partner].astype(np.int64), n * self.reuse, np.concatenate(sample))

    def _some(self, X: Array, n: int) -> Array:
        """A random part of ``X``, of ``n`` in all some hundred."""
        return X[self.rng.uniform(size=len(X)) < _REMEMBERED / n]


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
                 sum(part.n_offered for part in parts),
                 np.concatenate([part.offered for part in parts]))


def _part(taken: Taken, start: int, stop: int) -> Taken:
    """Events ``start`` to ``stop``; what was offered for all of them counts for the first."""
    first = start == 0
    return Taken(taken.batch.slice(start, stop), taken.X[start:stop], taken.wanted[start:stop],
                 taken.partner[start:stop], taken.n_offered if first else 0,
                 taken.offered if first else taken.offered[:0])
