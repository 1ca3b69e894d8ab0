"""Source bit sets: which objects a candidate uses, for events of any size."""

from __future__ import annotations

import numpy as np
import pytest

from fei_lite.events import EventBatch, Jagged
from fei_lite.used_objects import everything, n_words, object_bits, object_indices


def batch_of(counts):
    """A batch with the given numbers of (tracks, clusters, klm) per event and no columns."""
    def jagged(numbers):
        return Jagged(np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64), {})

    tracks, clusters, klm = (jagged(column) for column in zip(*counts, strict=True))
    return EventBatch({"event": np.arange(len(counts))}, tracks, clusters, klm, jagged([0] * len(counts)))


COUNTS = [(3, 2, 1), (0, 0, 0), (70, 90, 2), (64, 0, 0), (1, 64, 0)]


@pytest.mark.parametrize("kind", ["tracks", "clusters", "klm"])
def test_every_object_has_its_own_bit(kind):
    """Would catch two objects on one bit, or bits of one list read as another's."""
    batch = batch_of(COUNTS)
    rows = np.arange(len(getattr(batch, kind)))
    bits = object_bits(batch, kind, rows)
    event = getattr(batch, kind).event_index
    assert np.array_equal(np.bitwise_count(bits).sum(axis=1), np.ones(len(rows)))
    offsets, index = object_indices(batch, bits, event, kind)
    assert np.array_equal(offsets, np.arange(len(rows) + 1))
    assert np.array_equal(index, rows - getattr(batch, kind).offsets[event])
    for other in {"tracks", "clusters", "klm"} - {kind}:
        assert len(object_indices(batch, bits, event, other)[1]) == 0


def test_the_lists_partition_the_event():
    """Would catch an object that belongs to nobody: used and rest must add up to everything."""
    batch = batch_of(COUNTS)
    assert n_words(batch) == 3
    total = np.zeros((batch.n_events, 3), np.uint64)
    for kind in ("tracks", "clusters", "klm"):
        objects = getattr(batch, kind)
        for row, bits in enumerate(object_bits(batch, kind, np.arange(len(objects)))):
            event = objects.event_index[row]
            assert not np.any(total[event] & bits)
            total[event] |= bits
    assert np.array_equal(total, everything(batch))
    assert np.bitwise_count(total).sum(axis=1).tolist() == [sum(c) for c in COUNTS]
