"""The sides of an event: candidates of a reconstruction, one row per event or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.tagging.best import TAG_PARTICLES, Btags


@dataclass(frozen=True)
class Side:
    """One side of n events: candidates of one table, or of several (B+ and B0).

    ``event`` (n,) is the row of each in the batch, ``tables[which]`` the table it stands in
    and ``row`` its row there. ``side["chiProb"]`` is a column of the tables, one entry per candidate.
    """

    event: NDArray[np.int64]
    tables: tuple[CandidateTable, ...]
    which: NDArray[np.intp]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.event)

    def __repr__(self) -> str:
        return f"Side({len(self)} candidates: {', '.join(table.particle for table in self.tables)})"

    def _ipython_key_completions_(self) -> list[str]:
        return [name for name in self.tables[0].columns if all(name in table.columns for table in self.tables)]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column that all tables have, (n, ...). Raises :class:`UnknownNameError`."""
        columns = [table[name] for table in self.tables]
        if len(columns) == 1:
            return np.asarray(columns[0][self.row])
        found = np.empty((len(self), *columns[0].shape[1:]), dtype=np.result_type(*columns))
        for k, column in enumerate(columns):
            found[self.which == k] = column[self.row[self.which == k]]
        return found

    @property
    def used(self) -> NDArray[np.uint64]:
        """Bit sets of the used objects, (n, n_words)."""
        return self["used"]

    @property
    def p4(self) -> NDArray[np.float64]:
        """Four-momenta (n, 4) in the laboratory, GeV."""
        return self["p4"]


def side_of(table: CandidateTable, row: NDArray[np.integer]) -> Side:
    """Candidates of one table, by their rows."""
    rows = row.astype(np.int64)
    return Side(table.event_index[rows], (table,), np.zeros(len(rows), dtype=np.intp), rows)


def tag_side(result: Reconstruction, tags: Btags, *, best: bool = True) -> Side:
    """The Btags of a reconstructed batch: the best of each event, or all, in the order of ``tags``."""
    keep = tags.columns["best"] == 1 if best else np.ones(len(tags), dtype=bool)
    rows = np.flatnonzero(np.asarray(keep))
    names = tuple(name for name in TAG_PARTICLES if name in result.tables)
    which = np.array([names.index(name) for name in tags.particle[rows]], dtype=np.intp)
    return Side(tags.event[rows], tuple(result.tables[name] for name in names), which, tags.row[rows])
