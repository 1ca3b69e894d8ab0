"""Tag and signal side of an event: Upsilon(4S) -> Btag Bsig in any number of signal modes, of B+ and B0.

The signal side is a channel set whose Upsilon(4S) (or whatever the recipe calls
the pair) has the Btag as its first daughter and the signal B as its second. For
neutral B both flavours of the signal may stand there (``["B0:tag", "anti-B0:sig"]``
and ``["B0:tag", "B0:sig"]``): mixing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import ChannelSet
from fei_lite.errors import AnalysisError, UnknownNameError
from fei_lite.event_shape.momenta import Momenta
from fei_lite.events import EventBatch
from fei_lite.particles import charge
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction, reconstruct
from fei_lite.reconstruction.features import feature_matrix
from fei_lite.roe import MaskedObjects, RestOfEvent, find_mask, masked_objects, rest_of_event, rest_variables
from fei_lite.roe.masks import Mask
from fei_lite.used_objects import everything

TAG, SIGNAL = 0, 1
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, repr=False)
class Members:
    """One particle of each of n pairs, in whichever table it stands: groups (table, positions, rows).

    A pair without such a particle (another mode) is in no group: its values are NaN.
    """

    result: Reconstruction
    n: int
    groups: tuple[tuple[str, NDArray[np.int64], NDArray[np.int64]], ...]

    def __repr__(self) -> str:
        return f"<Members of {self.n} pairs in {', '.join(name for name, _, _ in self.groups) or 'no table'}>"

    def daughter(self, i: int) -> Members:
        """The i-th daughter of each, from 0."""
        found = []
        for table, channel, positions, rows in self._by_channel():
            if channel.leaf is None and i < len(channel.daughters):
                name = self.result.channel_set.resolve(channel.daughters[i])
                assert name is not None
                found.append((name, positions, table["daughters"][rows, i].astype(np.int64)))
        return Members(self.result, self.n, tuple(found))

    def _by_channel(self) -> Iterator[tuple[CandidateTable, Any, NDArray[np.int64], NDArray[np.int64]]]:
        """(table, channel, positions, rows) of each table and decay mode."""
        for name, positions, rows in self.groups:
            table = self.result.tables[name]
            mode = table["decayModeID"][rows]
            for channel in self.result.channel_set.particles[name].channels:
                here = mode == channel.index
                if here.any() or not self.n:
                    yield table, channel, positions[here], rows[here]

    def column(self, name: str) -> NDArray[Any]:
        """A variable of each, (n, ...): a column of its table, or a variable of candidates by its basf2 name."""
        parts = [(positions, self._values(name, table, channel, rows))
                 for table, channel, positions, rows in self._by_channel()]
        covered = sum(len(positions) for positions, _ in parts)
        kinds = {values.dtype for _, values in parts}
        shape = parts[0][1].shape[1:] if parts else ()
        if covered == self.n and len(kinds) == 1:
            out = np.zeros((self.n, *shape), dtype=kinds.pop())
        else:
            out = np.full((self.n, *shape), np.nan)
        for positions, values in parts:
            out[positions] = values
        return out

    def _values(self, name: str, table: CandidateTable, channel: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
        if name == "charge":
            return np.asarray(table["sign"][rows] * charge(table.particle), dtype=np.int8)
        if name == "mcPDG":
            generated = self.result.batch.generated
            if generated is None or "mc" not in table.columns:
                raise UnknownNameError(f"{table.particle}: '{name}' needs generated particles.")
            mc = table["mc"][rows]
            return np.where(mc >= 0, np.append(generated["pdg"], 0)[mc], 0).astype(np.int32)
        if name in table.columns:
            return np.asarray(table[name][rows])
        names = [] if channel.leaf else [self.result.channel_set.resolve(d) for d in channel.daughters]
        daughters = [self.result.tables[str(d)] for d in names]
        return feature_matrix([name], table.select(rows), daughters, self.result.batch)[:, 0]


@dataclass(frozen=True, repr=False)
class Pairs:
    """The chosen pair of n events: ``event`` (n,) rises, ``row`` (n,) is that of the pair's table.

    ``masks`` are those that variables may name. What is asked for is computed once.
    """

    result: Reconstruction
    event: NDArray[np.int64]
    row: NDArray[np.int64]
    name: str
    masks: dict[str, Mask]
    _made: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.event)

    def __repr__(self) -> str:
        return f"<{len(self)} pairs '{self.name}' of {self.result.batch.n_events} events>"

    @property
    def batch(self) -> EventBatch:
        """The events."""
        return self.result.batch

    @property
    def beam_p4(self) -> NDArray[np.float64]:
        """Four-momentum of e+e- of each pair, (n, 4), laboratory, GeV."""
        return np.asarray(self.batch.events["beam_p4"][self.event])

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, computed the first time only."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def members(self) -> Members:
        """The pairs themselves."""
        return Members(self.result, len(self), ((self.name, np.arange(len(self)), self.row),))

    def side(self, i: int) -> Members:
        """:data:`TAG` or :data:`SIGNAL` of each pair."""
        return self.once(f"side {i}", lambda: self.members().daughter(i))  # type: ignore[no-any-return]

    def of(self, i: int, column: str) -> NDArray[Any]:
        """A variable of one side."""
        return self.once(f"{i} {column}", lambda: self.side(i).column(column))  # type: ignore[no-any-return]

    def objects(self, mask: str) -> MaskedObjects:
        """Objects of the batch that pass a mask."""
        return self.once(f"objects {mask}",  # type: ignore[no-any-return]
                         lambda: masked_objects(self.batch, find_mask(mask, self.masks)))

    def rest(self, mask: str) -> RestOfEvent:
        """What neither side uses, under a mask."""
        return self.once(f"rest {mask}", lambda: rest_of_event(  # type: ignore[no-any-return]
            self.objects(mask), self.event, tag=self.of(TAG, "used"), signal=self.of(SIGNAL, "used")))

    def rest_columns(self, mask: str) -> Columns:
        """All variables of the rest of the event under a mask."""
        return self.once(f"rest columns {mask}", lambda: rest_variables(  # type: ignore[no-any-return]
            self.rest(mask), self.of(TAG, "p4"), self.of(SIGNAL, "p4")))

    def momenta(self, side: int) -> Momenta:
        """Tracks and photons of one side, centre-of-mass frame, GeV."""
        def make() -> Momenta:
            used, objects = self.of(side, "used"), self.objects("all")
            return rest_of_event(objects, self.event, tag=everything(self.batch)[self.event] & ~used).momenta_cms()

        return self.once(f"momenta {side}", make)  # type: ignore[no-any-return]


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
    """Events (rows of the batch) that have a signal side: only they need a Btag, which takes most of the time."""
    found = reconstruct(batch, without_tag(channel_set), NoClassifiers(), with_truth=False)
    return np.flatnonzero(has_any(found, side_names(channel_set, pair, SIGNAL)))


def has_any(result: Reconstruction, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Events (n_events,) with a candidate in one of the tables."""
    return np.asarray(np.sum([np.diff(result.tables[name].offsets) for name in names], axis=0) > 0)


def all_pairs(batch: EventBatch, tags: Reconstruction, channel_set: ChannelSet, pair: str,
              masks: dict[str, Mask]) -> Pairs:
    """Every pair of Btag and signal side that share no object, most probable first within an event."""
    truth = all("mc" in table.columns for table in tags.tables.values())
    result = reconstruct(batch, channel_set, NoClassifiers(), btags=tags.tables, with_truth=truth)
    table = result.tables[pair]
    return Pairs(result, table.event_index, np.arange(len(table)), pair, masks)


def best_of_each_event(pairs: Pairs, value: NDArray[np.float64], *, highest: bool) -> Pairs:
    """The pair of each event with the highest (lowest) value; of equal ones the first; NaN loses.

    Raises :class:`AnalysisError` for values of another shape.
    """
    if value.shape != pairs.event.shape:
        raise AnalysisError(f"best candidate: values of shape {value.shape}, expected {pairs.event.shape}.")
    order = np.lexsort((np.where(np.isnan(value), np.inf, -value if highest else value), pairs.event))
    first = order[np.flatnonzero(np.diff(pairs.event[order], prepend=-1))]
    return Pairs(pairs.result, pairs.event[first], pairs.row[first], pairs.name, pairs.masks)
