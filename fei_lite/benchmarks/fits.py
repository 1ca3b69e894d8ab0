"""The vertex fit alone: microseconds per candidate of 2, 3 and 4 tracks."""

from __future__ import annotations

from functools import partial

import numpy as np

from fei_lite.benchmarks.timing import best_seconds
from fei_lite.candidates import CandidateTable
from fei_lite.events import EventBatch, offsets_of
from fei_lite.reconstruction.final_state import track_candidates
from fei_lite.reconstruction.vertexing import fit_vertices

N_TRACKS = (2, 3, 4)


def vertex_fit_us(batch: EventBatch, *, rng: np.random.Generator, n: int = 20_000) -> dict[str, float]:
    """Time of a fit per number of tracks (us), with gathering the tracks and writing the result.

    The candidates are random tracks of one event, as most candidates of a
    reconstruction are; ``n`` of them per number.
    """
    table = track_candidates("pi+", batch)
    found = {}
    for k in N_TRACKS:
        fit = partial(fit_vertices, _random_candidates(table, k, n=n, rng=rng), [table] * k, batch)
        found[str(k)] = 1e6 * best_seconds(fit) / n
    return found


def _random_candidates(table: CandidateTable, k: int, *, n: int, rng: np.random.Generator) -> CandidateTable:
    """``n`` candidates of ``k`` different tracks of an event with at least ``k``."""
    counts = np.diff(table.offsets)
    event = np.sort(rng.choice(np.flatnonzero(counts >= k), n))
    rows = np.stack([table.offsets[e] + rng.choice(counts[e], k, replace=False) for e in event]).astype(np.int32)
    offsets = offsets_of(np.bincount(event, minlength=len(counts)))
    return CandidateTable("D0", offsets, {"daughters": rows})
