"""Nothing has changed: candidates with and without short cuts, and Btags of two files, to the last bit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.events import EventBatch
from fei_lite.reconstruction.engine import Classifiers, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.tagging.output import read_tags
from fei_lite.tagging.table import Column


def identical_candidates(batches: Iterable[EventBatch], channel_set: ChannelSet,
                         models: Classifiers) -> tuple[dict[str, int], list[str]]:
    """Reconstruct with pruning and early exit on and off.

    Returns the number of candidates of each particle, and what differs: an
    empty list, or the tables, columns and rows of the cut-flow, with numbers.
    """
    candidates = dict.fromkeys(channel_set.particles, 0)
    found: list[str] = []
    for i, batch in enumerate(batches):
        plain = reconstruct(batch, channel_set, models,
                            options=ReconstructionOptions(prune=False, early_exit=False))
        for prune, early_exit in ((True, True), (True, False), (False, True)):
            quick = reconstruct(batch, channel_set, models,
                                options=ReconstructionOptions(prune=prune, early_exit=early_exit))
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


def different_tag_files(found: Path, expected: Path, *, more_columns: bool = False) -> tuple[int, int, list[str]]:
    """Compare two Btag files: Btags and columns compared, and what differs (nothing: an empty list).

    Columns go by their present names. The type, every bit of every number (the sign of a zero
    and the bits of a NaN, too), texts, lists, the cut-flow and the number of events must agree.
    ``more_columns``: ``found`` may have columns that ``expected`` lacks.
    """
    after, before = read_tags(found), read_tags(expected)
    ours, theirs = after.columns, before.columns
    alone = set(theirs) - set(ours) if more_columns else set(ours) ^ set(theirs)
    texts = [f"{name}: only in {expected if name in theirs else found}" for name in sorted(alone)]
    if after.metadata.get("n_events") != before.metadata.get("n_events"):
        texts.append(f"{after.metadata.get('n_events')} events, {before.metadata.get('n_events')} expected")
    if after.cutflow != before.cutflow:
        rows = set(after.cutflow) ^ set(before.cutflow)
        texts.append(f"cut-flow: {len(rows)} rows, for instance {sorted(rows)[:2]}")
    both = [name for name in theirs if name in ours]
    texts += [f"{name}: {text}" for name in both if (text := _difference(ours[name], theirs[name]))]
    return after.n_btags, len(both), texts


def _difference(found: Column, expected: Column) -> str:
    """How two columns differ; empty if they do not."""
    if isinstance(found, tuple) and isinstance(expected, tuple):
        return _differing(found[0], expected[0]) or _differing(found[1], expected[1])
    if isinstance(found, tuple) or isinstance(expected, tuple):
        return "a list per candidate in one file only"
    return _differing(found, expected)


def _differing(found: NDArray, expected: NDArray) -> str:
    """How two arrays differ in any bit; the byte order of the file does not count."""
    kinds = [array.dtype.newbyteorder("=") for array in (found, expected)]
    if kinds[0] != kinds[1]:
        return f"type {kinds[0]}, {kinds[1]} expected"
    if found.shape != expected.shape:
        return f"shape {found.shape}, {expected.shape} expected"
    a, b = (np.ascontiguousarray(array, dtype=kinds[0]) for array in (found, expected))
    if a.dtype.kind in "fiu":  # bits: 0 and -0 differ, a NaN equals itself
        a, b = (array.view(f"u{array.dtype.itemsize}") for array in (a, b))
    n = int(np.count_nonzero(a != b))
    return f"{n} of {a.size} numbers, first in row {np.flatnonzero(a != b)[0]}" if n else ""
