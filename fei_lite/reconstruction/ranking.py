"""Best-candidate selection: rank per event and conjugate, drop duplicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.kernels import combine as kernels


def rank_candidates(
    table: CandidateTable, values: NDArray[np.float64], *, highest: bool, best: int,
) -> tuple[CandidateTable, NDArray[np.int16]]:
    """Keep the ``best`` candidates per event and charge conjugate by ``values``.

    Unflavoured candidates (sign 0) compete in both conjugates. Returns the
    kept candidates and their ranks (1 is the best). Ties keep the order of the
    table; NaN ranks last.
    """
    keep = np.zeros(len(table), dtype=np.bool_)
    rank = np.zeros(len(table), dtype=np.int64)
    kernels.rank_rows(table.offsets, table["sign"], np.ascontiguousarray(values, dtype=np.float64),
                      highest, best, keep, rank)
    return table.select(keep), rank[keep].astype(np.int16)


def drop_duplicates(table: CandidateTable) -> CandidateTable:
    """Of candidates with the same sources and sign keep the most probable one.

    The same tracks may make one particle in two channels (K_S0 from the V0
    list and from two pions); only one of them may go on.
    """
    duplicate = np.zeros(len(table), dtype=np.bool_)
    kernels.mark_duplicates(table.offsets, table["sign"], table["source"],
                            table["SignalProbability"], duplicate)
    return table.select(~duplicate)
