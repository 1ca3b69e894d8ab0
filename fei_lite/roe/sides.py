"""The sides of an event: events, bit sets and four-momenta of B candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.tagging.best import Btags


@dataclass(frozen=True)
class Side:
    """One side of n events: ``event`` (n,) in the batch, ``used`` (n, n_words), ``p4`` (n, 4) in the laboratory."""

    event: NDArray[np.int64]
    used: NDArray[np.uint64]
    p4: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event)


def tag_side(result: Reconstruction, tags: Btags, *, best: bool = True) -> Side:
    """The Btags of a reconstructed batch: the best of each event, or all, in the order of ``tags``."""
    keep = tags.columns["best"] == 1 if best else np.ones(len(tags), dtype=bool)
    rows = np.flatnonzero(np.asarray(keep))
    some = next(iter(result.tables.values()))
    used = np.zeros((len(rows), some["used"].shape[1]), dtype=np.uint64)
    p4 = np.full((len(rows), 4), np.nan)
    for particle in np.unique(tags.particle[rows]):
        of = tags.particle[rows] == particle
        table = result.tables[str(particle)]
        used[of], p4[of] = table["used"][tags.row[rows[of]]], table["p4"][tags.row[rows[of]]]
    return Side(tags.event[rows], used, p4)
