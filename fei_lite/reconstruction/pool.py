"""The pool: all candidates of a batch that can be daughters, table after table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.events import EventBatch
from fei_lite.reconstruction.frames import invariant_mass, sqrt_s, to_cms
from fei_lite.used_objects import n_words


class Pool:
    """Columns that the combination needs, of every finished particle table.

    ``offsets[t, e]`` is the first pool row of table ``t`` in event ``e``;
    ``tables[name]`` is the number of a particle's table, ``start[t]`` its first
    pool row, so that a pool row minus ``start[t]`` is a row of that table, ``candidates[name]``. ``falling[t]``:
    the probabilities of a table never rise inside an event.
    """

    def __init__(self, batch: EventBatch) -> None:
        self.batch = batch
        self.candidates: dict[str, CandidateTable] = {}
        self.beam_p4 = batch.events["beam_p4"]
        self.sqrt_s = sqrt_s(self.beam_p4)
        self.tables: dict[str, int] = {}
        self.start: list[int] = []
        self.offsets = np.zeros((0, batch.n_events + 1), dtype=np.int64)
        self.p4_cms = np.zeros((0, 4))
        self.sign = np.zeros(0, dtype=np.int8)
        self.mass = np.zeros(0)
        self.probability = np.zeros(0)
        self.falling = np.zeros(0, dtype=np.bool_)
        self.used: NDArray[np.uint64] = np.zeros((0, n_words(batch)), dtype=np.uint64)

    def add(self, tables: list[CandidateTable]) -> None:
        """Append finished tables (one stage's)."""
        start = len(self.mass)
        parts_p4, offsets = [self.p4_cms], [self.offsets]
        for table in tables:
            self.candidates[table.particle] = table
            self.tables[table.particle] = len(self.start)
            self.start.append(start)
            offsets.append(table.offsets[None, :] + start)
            parts_p4.append(to_cms(table["p4"], self.beam_p4[table.event_index]))
            start += len(table)
        self.p4_cms = np.concatenate(parts_p4)
        self.offsets = np.ascontiguousarray(np.concatenate(offsets))
        self.mass = np.concatenate([self.mass, *(invariant_mass(p4) for p4 in parts_p4[1:])])
        self.sign = np.concatenate([self.sign, *(t["sign"] for t in tables)])
        self.probability = np.concatenate([self.probability, *(t["SignalProbability"] for t in tables)])
        self.falling = np.concatenate([self.falling, [_falls(table) for table in tables]]).astype(np.bool_)
        self.used = np.concatenate([self.used, *(t["used"] for t in tables)])


def _falls(table: CandidateTable) -> bool:
    """Whether the probabilities of a table never rise inside an event."""
    falls, event = np.diff(table["SignalProbability"]) <= 0.0, table.event_index
    return bool(np.all(falls | (np.diff(event) != 0)))
