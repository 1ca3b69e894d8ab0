"""What variables are evaluated on: candidates of one table, in their batch, seen from a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet
from fei_lite.errors import FeiLiteError
from fei_lite.events import EventBatch
from fei_lite.reconstruction.frames import invariant_mass, sqrt_s
from fei_lite.variables.evaluation import value
from fei_lite.variables.registry import registered
from fei_lite.variables.tracks import is_track, places, v0_track
from fei_lite.variables.tree import Node

Floats = NDArray[np.float64]


class Result(Protocol):
    """What a subject asks of a reconstruction."""

    @property
    def batch(self) -> EventBatch:
        """The events."""

    @property
    def channel_set(self) -> ChannelSet:
        """The decays."""

    @property
    def tables(self) -> Mapping[str, CandidateTable]:
        """The candidates of each particle."""

    @property
    def tags(self) -> Result | None:
        """The reconstruction that made the Btags of a signal side."""


@dataclass(frozen=True)
class Frame:
    """A frame of reference for each of n candidates: what rests in it, and where its origin is.

    ``p4`` (n, 4) and ``origin`` (n, 3; relative to the interaction point), laboratory; ``mass`` (n,) of ``p4``.
    """

    p4: Floats
    mass: Floats
    origin: Floats

    def take(self, rows: NDArray[np.integer]) -> Frame:
        """The frames of some of the candidates."""
        return Frame(self.p4[rows], self.mass[rows], self.origin[rows])


@dataclass
class Surroundings:
    """What the candidates of one batch share: events, tables, Btags, masks, and what was computed for all of them."""

    batch: EventBatch
    result: Result | None = None
    tags: Result | None = None
    masks: Any = None
    made: dict[str, Any] = field(default_factory=dict)

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returns; made once for the batch."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


class Subject:
    """Candidates of a table: all, or those of ``rows`` (in the order of the events).

    ``result`` is the reconstruction that the table is of; it gives the batch, and the daughters. Without it, ``batch``
    and, for candidates of one channel, ``daughters`` (their tables). ``tags`` is the reconstruction that made the
    Btags of a signal side (default: what ``result`` knows): with it the daughters of a Btag can be asked for, too.
    ``masks`` are masks of the rest of the event beyond the shipped ones, by name.

    A tag-signal pair is a candidate of the Upsilon(4S): ``daughter(0, Mbc)`` is its tag's,
    ``daughter(1, daughter(0, kaonID))`` its kaon's, and its rest of the event is what neither side uses. Without a
    table the subject is the events of the batch, of which event variables can be asked.
    """

    def __init__(self, table: CandidateTable | None, rows: NDArray[Any] | None = None, *,
                 result: Result | None = None, batch: EventBatch | None = None,
                 daughters: Sequence[CandidateTable] | None = None, tags: Result | None = None,
                 masks: Any = None, surroundings: Surroundings | None = None, frame: Frame | None = None) -> None:
        if surroundings is None:
            if batch is None:
                if result is None:
                    raise FeiLiteError("variables of candidates: give their reconstruction (result=...) or batch.")
                batch = result.batch
            if tags is None and result is not None:
                tags = result.tags
            surroundings = Surroundings(batch, result, tags, masks)
        self.table, self.around, self.frame = table, surroundings, frame
        self.rows = np.flatnonzero(rows) if rows is not None and rows.dtype == bool else rows
        self.daughter_tables = daughters
        #: Bit set of what the other daughters of a pair use, where they count as the rest of the event.
        self.siblings: NDArray[np.uint64] | None = None
        self._made: dict[str, Any] = {}

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return self.batch.n_events if self.table is None else len(self.table)

    def __repr__(self) -> str:
        return f"Subject({len(self)} {self.particle if self.table is not None else 'events'})"

    @property
    def batch(self) -> EventBatch:
        """The events that the candidates are in."""
        return self.around.batch

    @property
    def candidates(self) -> CandidateTable:
        """The table; raises :class:`FeiLiteError` if the subject is events."""
        if self.table is None:
            raise FeiLiteError("this variable is one of candidates, but there are only events.")
        return self.table

    @property
    def particle(self) -> str:
        """The particle in the channel set, with its label."""
        return self.candidates.particle

    # What expressions ask for.

    def ready(self, text: str) -> NDArray[Any] | None:
        """Nothing stands ready beyond what variables provide."""
        return None

    def known_columns(self) -> frozenset[str]:
        """No names beyond the registered ones."""
        return frozenset()

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returns; made once for these candidates."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def provide(self, name: str, arguments: tuple[Any, ...]) -> NDArray[Any]:
        """Values of a registered variable, (n,)."""
        found = registered(name)
        assert found is not None
        made = np.asarray(found.provider(self, *arguments))
        if made.shape not in ((len(self),), ()):
            raise FeiLiteError(f"variable '{name}': its provider returned an array of shape {made.shape}, "
                               f"expected ({len(self)},).")
        return made

    def value(self, expression: str | Node) -> NDArray[Any]:
        """Values of a variable or an expression, (n,)."""
        return value(expression, self)

    # What providers ask for.

    def column(self, name: str) -> NDArray[Any]:
        """A column of the table for each candidate."""
        column = self.candidates[name]
        return column if self.rows is None else column.take(self.rows, axis=0)

    def has(self, name: str) -> bool:
        """Whether the table has a column."""
        return name in self.candidates.columns

    def derived(self, name: str, make: Callable[[CandidateTable], NDArray[Any]]) -> NDArray[Any]:
        """What ``make`` gives of the whole table, for each candidate; computed once for the table."""
        table = self.candidates
        made = table.derived(name, lambda: make(table))
        return made if self.rows is None else made.take(self.rows, axis=0)

    @property
    def event(self) -> NDArray[np.int64]:
        """Row of the event in the batch, (n,)."""
        if self.table is None:
            return np.arange(self.batch.n_events) if self.rows is None else self.rows
        return self.table.event_index if self.rows is None else self.table.event_index[self.rows]

    @property
    def beam_p4(self) -> Floats:
        """Four-momentum of e+e-, (n, 4), laboratory, GeV."""
        return np.asarray(self.once("beam", lambda: self.batch.events["beam_p4"].take(self.event, axis=0)))

    @property
    def p4(self) -> Floats:
        """Four-momentum (n, 4), laboratory, GeV."""
        return self.column("p4")

    @property
    def place(self) -> Floats:
        """Vertex (a track's perigee) relative to the interaction point, (n, 3), laboratory, cm."""
        return self.places if self.rows is None else self.places.take(self.rows, axis=0)

    @property
    def places(self) -> Floats:
        """The same of the whole table: each of its candidates is the daughter of many."""
        return self.candidates.derived("place", lambda: places(self.candidates, self.batch))

    @property
    def is_track(self) -> bool:
        """Whether the candidates are single tracks."""
        return is_track(self.particle)

    def undefined(self) -> Floats:
        """NaN for each candidate."""
        return np.full(len(self), np.nan)

    def take(self, rows: NDArray[Any]) -> Subject:
        """Some of the candidates (positions, or a mask of those here)."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Subject(self.table, chosen if self.rows is None else self.rows[chosen], surroundings=self.around,
                       daughters=self.daughter_tables, frame=None if self.frame is None else self.frame.take(chosen))

    def seen_from(self, frame: Frame | None) -> Subject:
        """The same candidates in another frame (None: the laboratory)."""
        return Subject(self.table, self.rows, surroundings=self.around, daughters=self.daughter_tables, frame=frame)

    def cms_frame(self) -> Frame:
        """The frame of e+e-."""
        return Frame(self.beam_p4, sqrt_s(self.beam_p4), np.zeros((len(self), 3)))

    def rest_frame(self) -> Frame:
        """The frame in which each candidate is at rest, with its vertex as the origin; a photon has none (NaN)."""
        m = invariant_mass(self.p4)
        origin = self.place if self.has("vertex") or self.is_track else np.full((len(self), 3), np.nan)
        return Frame(self.p4, np.where(m > 0.0, m, np.nan), origin)

    # Daughters.

    def parts(self) -> Iterator[tuple[NDArray[np.intp] | None, Subject, Channel | None]]:
        """The candidates channel by channel: (positions, None for all; those candidates; their channel).

        Btags of a signal side come as the candidates of the reconstruction that made them, if it is known.
        """
        result = self.around.result
        if self.daughter_tables is not None or result is None or self.table is None:
            yield None, self, None
            return
        channels = result.channel_set.particles[self.particle].channels
        mode = self.column("decayModeID")
        for index in np.unique(mode):
            here = np.flatnonzero(mode == index)
            part, channel = self.take(here), channels[index]
            if channel.leaf == "Btag" and self.around.tags is not None:
                for inside, btags, inner_channel in part.btags().parts():
                    yield here if inside is None else here[inside], btags, inner_channel
            else:
                yield here, part, channel

    def btags(self) -> Subject:
        """Btags of a signal side as the candidates of the reconstruction that made them."""
        tags = self.around.tags
        assert tags is not None
        around = Surroundings(tags.batch, tags, None, self.around.masks, self.around.made)
        return Subject(tags.tables[self.particle.partition(":")[0]], self.column("object"), surroundings=around,
                       frame=self.frame)

    def each(self, function: Callable[[Subject, Sequence[Subject]], NDArray[Any]], shape: tuple[int, ...] = ()
             ) -> Floats:
        """``function(candidates, their daughters)``, channel by channel, (n,) + shape; without any, NaN."""
        out = np.full((len(self), *shape), np.nan)
        for here, part, channel in self.parts():
            out[slice(None) if here is None else here] = function(part, part.daughters_of(channel))
        return out

    def daughters_of(self, channel: Channel | None = None) -> Sequence[Subject]:
        """The daughters of candidates of one channel, one subject each, row for row."""
        found: Sequence[Subject] = self.once("daughters", lambda: self._daughters(channel))
        return found

    def _daughters(self, channel: Channel | None) -> Sequence[Subject]:
        if self.table is None:
            return []
        if (channel is not None and channel.leaf == "V0") or (channel is None and self.has("v0_p4")):
            return [self._inner(self._v0_track(j), None) for j in (0, 1)]
        tables, result = self.daughter_tables, self.around.result
        if channel is not None and channel.leaf is None and result is not None:
            tables = [result.tables[str(result.channel_set.resolve(name))] for name in channel.daughters]
        rows = self.column("daughters") if tables else np.empty((0, 0), np.int32)
        return [self._inner(table, rows[:, j]) for j, table in enumerate(tables or ())]

    def _inner(self, table: CandidateTable, rows: NDArray[Any] | None) -> Subject:
        return Subject(table, rows, surroundings=self.around, frame=self.frame)

    def _v0_track(self, which: int) -> CandidateTable:
        return v0_track(self.particle, self.column("object"), self.column("sign"), self.event, self.batch, which=which)
