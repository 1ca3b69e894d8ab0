"""Tag and signal side of an event: Upsilon(4S) -> Btag Bsig in any number of signal modes, of B+ and B0.

The signal side is a channel set whose Upsilon(4S) (or whatever the recipe calls
the pair) has the Btag as its first daughter and the signal B as its second. For
neutral B both flavours of the signal may stand there (``["B0:tag", "anti-B0:sig"]``
and ``["B0:tag", "B0:sig"]``): mixing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.errors import UnknownNameError
from fei_lite.events import EventBatch
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.final_state import leaf_candidates
from fei_lite.roe.masks import Mask
from fei_lite.variables.subject import Subject

TAG, SIGNAL = 0, 1
Columns = dict[str, NDArray[Any]]
#: A variable of pairs that an analysis brings along.
Provider = Callable[["Pairs"], NDArray[Any]]


class Pairs(Subject):
    """The chosen pair of n events, in their order: candidates of the pair's table, with both sides at hand.

    ``own`` are variables that the analysis itself defines. What is asked for is computed once.
    """

    def __init__(self, result: Reconstruction, rows: NDArray[np.int64], name: str, *, tags: Reconstruction,
                 masks: Mapping[str, Mask], own: Mapping[str, Provider]) -> None:
        super().__init__(result.tables[name], rows, result=result, tags=tags, masks=masks)
        self.result, self.tags, self.name, self.own = result, tags, name, own

    def __repr__(self) -> str:
        return f"<{len(self)} pairs '{self.name}' of {self.batch.n_events} events>"

    def chosen(self, positions: NDArray[np.int64]) -> Pairs:
        """Some of the pairs."""
        assert self.rows is not None
        return Pairs(self.result, self.rows[positions], self.name, tags=self.tags, masks=self.around.masks,
                     own=self.own)

    def ready(self, text: str) -> NDArray[Any] | None:
        """Variables of the analysis."""
        return self.once(f"own {text}", lambda: self.own[text](self)) if text in self.own else None

    def known_columns(self) -> frozenset[str]:
        """Names of the analysis's variables."""
        return frozenset(self.own)

    def of(self, side: int, column: str) -> NDArray[Any]:
        """A column of the tables of one side (:data:`TAG`, :data:`SIGNAL`), (n, ...)."""
        def make() -> NDArray[Any]:
            name = side_names(self.result.channel_set, self.name, side)[0]
            out = np.zeros((len(self), *self.result.tables[name][column].shape[1:]),
                           dtype=self.result.tables[name][column].dtype)
            for here, part, channel in self.parts():
                out[slice(None) if here is None else here] = part.daughters_of(channel)[side].column(column)
            return out

        return self.once(f"side {side} {column}", make)  # type: ignore[no-any-return]

    def p4_of(self, path: str) -> NDArray[np.float64]:
        """Four-momentum (n, 4) in the laboratory of a daughter: ``"daughter(1, daughter(0, {}))"``."""
        return np.stack([self.value(path.format(name)) for name in ("px", "py", "pz", "E")], axis=1)


def without_tag(channel_set: ChannelSet) -> ChannelSet:
    """The part of a signal side that needs no Btag."""
    needs: set[str] = set()
    for stage in channel_set.stages:
        for name in stage:
            for channel in channel_set.particles[name].channels:
                made = (channel_set.resolve(d) for d in channel.daughters)
                if channel.leaf == "Btag" or any(d in needs for d in made):
                    needs.add(name)
    stages = tuple(tuple(name for name in stage if name not in needs) for stage in channel_set.stages)
    return replace(channel_set, stages=tuple(stage for stage in stages if stage))


def side_names(channel_set: ChannelSet, pair: str, side: int) -> tuple[str, ...]:
    """Tables that hold one side of the pairs."""
    found = (channel_set.resolve(channel.daughters[side]) for channel in channel_set.particle(pair).channels)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def check_pair(channel_set: ChannelSet, pair: str) -> str:
    """What is wrong with the pair of a signal side; nothing if it is fit for use."""
    try:
        config = channel_set.particle(pair)
    except UnknownNameError as error:
        return str(error)
    alone = {name for stage in without_tag(channel_set).stages for name in stage}
    for channel in config.channels:
        made = [channel_set.resolve(d) for d in channel.daughters]
        if len(made) != 2 or made[TAG] in alone or made[SIGNAL] not in alone:
            return (f"'{pair}' -> {' '.join(channel.daughters)}: expected two daughters, first that made from a Btag, "
                    "then the signal B.")
    return ""


def with_signal_side(batch: EventBatch, channel_set: ChannelSet, pair: str) -> NDArray[np.int64]:
    """Events (rows of the batch) that have a signal side: only they need a Btag, which takes most of the time.

    The channels with fewest daughters come first: only events that have none of them are combined further.
    """
    alone, sides = without_tag(channel_set), side_names(channel_set, pair, SIGNAL)
    there = np.zeros(batch.n_events, dtype=bool)
    for part in (_shortest_channels(alone, sides), alone):
        rows = np.flatnonzero(~there)
        found = reconstruct(batch.select(rows), part, NoClassifiers(), options=ReconstructionOptions(with_truth=False))
        there[rows[has_any(found, sides)]] = True
    return np.flatnonzero(there)


def _shortest_channels(channel_set: ChannelSet, names: Collection[str]) -> ChannelSet:
    """The set with the channels of these particles that have the fewest daughters; the others are left out."""
    particles = dict(channel_set.particles)
    for name in names:
        least = min(len(channel.daughters) for channel in particles[name].channels)
        kept = tuple(c for c in particles[name].channels if len(c.daughters) == least)
        particles[name] = replace(particles[name], channels=kept)
    return replace(channel_set, particles=particles)


def with_btag(tags: Reconstruction, channel_set: ChannelSet, pair: str) -> NDArray[np.bool_]:
    """Events (n_events,) that have a Btag which passes the cuts of the signal side."""
    found = np.zeros(tags.batch.n_events, dtype=bool)
    for name in side_names(channel_set, pair, TAG):
        config = channel_set.particles[name]
        for channel in config.channels:
            if channel.leaf == "Btag":
                found |= np.diff(leaf_candidates(channel, config, batch=tags.batch, btags=tags.tables).offsets) > 0
    return found


def has_any(result: Reconstruction, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Events (n_events,) with a candidate in one of the tables."""
    return np.asarray(np.sum([np.diff(result.tables[name].offsets) for name in names], axis=0) > 0)


def all_pairs(batch: EventBatch, tags: Reconstruction, channel_set: ChannelSet, pair: str, *,
              masks: Mapping[str, Mask], own: Mapping[str, Provider] | None = None) -> Pairs:
    """Every pair of Btag and signal side that share no object, most probable first within an event."""
    truth = all("mc" in table.columns for table in tags.tables.values())
    result = reconstruct(batch, channel_set, NoClassifiers(), btags=tags,
                         options=ReconstructionOptions(with_truth=truth))
    return Pairs(result, np.arange(len(result.tables[pair])), pair, tags=tags, masks=masks, own=own or {})


def best_of_each_event(pairs: Pairs, rules: Sequence[tuple[NDArray[Any], bool]], *,
                       each: NDArray[Any] | None = None) -> Pairs:
    """One pair of each event: that with the highest (True) or lowest (False) value; NaN loses.

    Of equal ones the next rule decides, in the end the order of the table. With ``each`` (n,) there is one for every
    value of it in the event; NaN is a value of its own.
    """
    return pairs.chosen(_first_of_each_event(pairs.event, rules, each))


def best_rows(result: Reconstruction, name: str, by: str, *, highest: bool) -> NDArray[np.int64]:
    """Row of the best candidate of a table in every event that has one, by a variable."""
    subject = Subject(result.tables[name], result=result)
    return _first_of_each_event(subject.event, [(subject.value(by), highest)], None)


def _first_of_each_event(event: NDArray[np.int64], rules: Sequence[tuple[NDArray[Any], bool]],
                         each: NDArray[Any] | None) -> NDArray[np.int64]:
    keys = []
    for value, highest in rules:
        key = np.asarray(value, dtype=np.float64)
        keys.append(-key if highest else key)  # NaN is sorted last
    group = np.zeros(len(event), dtype=np.int64) if each is None else np.unique(each, return_inverse=True)[1]
    order = np.lexsort((*reversed(keys), group, event))
    first = np.diff(event[order], prepend=-1) != 0
    first[1:] |= np.diff(group[order]) != 0
    return np.asarray(order[first], dtype=np.int64)
