"""Short cuts change nothing: the reconstruction with and without them, candidate by candidate."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fei_lite.channels import ChannelSet
from fei_lite.events import EventBatch
from fei_lite.reconstruction.engine import Classifiers, Reconstruction, reconstruct


def identical_candidates(batches: Iterable[EventBatch], channel_set: ChannelSet,
                         models: Classifiers) -> tuple[dict[str, int], list[str]]:
    """Reconstruct with pruning and early exit on and off.

    Returns the number of candidates of each particle, and what differs: an
    empty list, or the tables, columns and rows of the cut-flow, with numbers.
    """
    candidates = dict.fromkeys(channel_set.particles, 0)
    found: list[str] = []
    for i, batch in enumerate(batches):
        plain = reconstruct(batch, channel_set, models, prune=False, early_exit=False)
        for prune, early_exit in ((True, True), (True, False), (False, True)):
            quick = reconstruct(batch, channel_set, models, prune=prune, early_exit=early_exit)
            found += [f"batch {i}, prune={prune}, early_exit={early_exit}: {text}"
                      for text in differences(quick, plain)]
        for name, table in plain.tables.items():
            candidates[name] += len(table)
    return candidates, found


def differences(found: Reconstruction, expected: Reconstruction) -> list[str]:
    """Tables, columns and rows of the cut-flow in which two results differ, to the last bit."""
    texts = []
    if list(found.cutflow) != list(expected.cutflow):
        rows = set(found.cutflow) ^ set(expected.cutflow)
        texts.append(f"cut-flow: {len(rows)} rows, for instance {sorted(rows)[:2]}")
    for name, table in expected.tables.items():
        other = found.tables[name]
        if not np.array_equal(other.offsets, table.offsets):
            texts.append(f"{name}: {len(other)} candidates, {len(table)} expected")
            continue
        texts += [f"{name}.{column}: {np.count_nonzero(other[column] != values)} of {values.size} numbers"
                  for column, values in table.columns.items()
                  if not np.array_equal(other[column], values, equal_nan=values.dtype.kind == "f")]
    return texts
