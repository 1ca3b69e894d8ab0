"""Candidate tables: all candidates of one particle in a batch of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import UnknownNameError, nearest
from fei_lite.events import offsets_of


@dataclass
class CandidateTable:
    """Candidates of one particle (both charge conjugates), sorted by event.

    ``particle`` is the name in the channel set (``"D0"``, ``"pi+"``);
    ``offsets`` has n_events + 1 entries. Columns every table has (n candidates):

    ===================  =================  ====================================================
    name                 shape, type        meaning
    ===================  =================  ====================================================
    sign                 int8               +1 as named, -1 charge conjugate, 0 unflavoured: the
                                            final state is its own conjugate and serves as both
    p4                   (n, 4) float64     (px, py, pz, E) in the laboratory, GeV, after the fit
    vertex               (n, 3) float64     decay vertex (perigee of a track, IP of a photon), cm
    cov                  (n, 7, 7) float64  covariance of (px, py, pz, E, x, y, z)
    used                 (n, n_words) u64   bit set of used tracks, then clusters, then KLM clusters
    object               int32              row in the batch's tracks / clusters / v0s (leaves; else -1)
    M, chiProb           float64            mass (GeV); p-value of the vertex fit, NaN if there is none
    decayModeID          int16              channel: position in the particle's channel list
    SignalProbability    float64            classifier output
    preCut_rank          int16              rank (1 = best) in its channel, event and conjugate
    daughters            (n, k) int32       rows in the daughters' tables, -1 where unused
    mc                   int32              row in ``batch.generated`` (the whole batch's), -1 unmatched
    mcErrors             int32              basf2's bits; 512 where unmatched
    isSignal             int8               the channel set's target
    ===================  =================  ====================================================
    """

    particle: str
    offsets: NDArray[np.int64]
    columns: dict[str, NDArray]
    _derived: dict[str, NDArray] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return (f"CandidateTable('{self.particle}': {len(self)} candidates in {len(self.offsets) - 1} events: "
                f"{', '.join(self.columns)})")

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __getitem__(self, name: str) -> NDArray:
        try:
            return self.columns[name]
        except KeyError:
            raise UnknownNameError(
                f"{self.particle}: no column '{name}'.{nearest(name, self.columns)}") from None

    @property
    def event_index(self) -> NDArray[np.int64]:
        """Event (row in the batch) of each candidate."""
        return self.derived("event", lambda: np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets)))

    def derived(self, name: str, make: Callable[[], NDArray]) -> NDArray:
        """What ``make`` computes from columns that no longer change: done once, lost in a selection."""
        if name not in self._derived:
            self._derived[name] = make()
        return self._derived[name]

    def select(self, rows: NDArray) -> CandidateTable:
        """The candidates of ``rows`` (a mask, or rows in the order of the events)."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        event = self.event_index[rows]
        per_event = np.bincount(event, minlength=len(self.offsets) - 1)
        offsets = offsets_of(per_event)
        # take: indexing is many times slower for columns of two dimensions
        return CandidateTable(self.particle, offsets, {k: v.take(rows, axis=0) for k, v in self.columns.items()})
