"""Which tracks and clusters a candidate uses, as a bit set.

Bit ``i`` of an event stands for its ``i``-th object: first the tracks, then
the calorimeter clusters, then the K_L clusters. A set is a row of
``n_words`` 64-bit words, so an event may have any number of objects.
Overlap is ``a & b``; the rest of the event is ``everything & ~used``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.events import EventBatch, offsets_of

#: Lists that can be sources, in the order of their bits.
OBJECT_LISTS = ("tracks", "clusters", "klm")


def n_words(batch: EventBatch) -> int:
    """Words needed for the largest event of the batch (at least one)."""
    objects = sum(getattr(batch, name).counts for name in OBJECT_LISTS)
    return max(1, -(-int(np.max(objects, initial=0)) // 64))


def first_bit(batch: EventBatch, kind: str) -> NDArray[np.int64]:
    """Bit of the first object of list ``kind`` in each event, shape (n_events,)."""
    first = np.zeros(batch.n_events, dtype=np.int64)
    for name in OBJECT_LISTS[: OBJECT_LISTS.index(kind)]:
        first += getattr(batch, name).counts
    return first


def object_bits(batch: EventBatch, kind: str, rows: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Bit sets of single objects: rows of the list ``kind``, shape (n, n_words)."""
    objects = getattr(batch, kind)
    event = np.searchsorted(objects.offsets, rows, side="right") - 1
    bit = first_bit(batch, kind)[event] + rows - objects.offsets[event]
    words = np.zeros((len(rows), n_words(batch)), dtype=np.uint64)
    words[np.arange(len(rows)), bit // 64] = np.left_shift(np.uint64(1), (bit % 64).astype(np.uint64))
    return words


def everything(batch: EventBatch) -> NDArray[np.uint64]:
    """Bit set of all objects of each event, shape (n_events, n_words)."""
    objects = sum(getattr(batch, name).counts for name in OBJECT_LISTS)
    bits = np.arange(64 * n_words(batch)) < np.asarray(objects)[:, None]
    return unpacked_to_words(bits)


def unpacked_to_words(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack booleans (n, 64 * n_words), bit 0 first, into words (n, n_words)."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    words: NDArray[np.uint64] = packed.view("<u8").astype(np.uint64)
    return words


def words_to_unpacked(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """The inverse of :func:`unpacked_to_words`."""
    as_bytes = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
    return np.unpackbits(as_bytes, axis=-1, bitorder="little").astype(bool)


def object_indices(
    batch: EventBatch, used: NDArray[np.uint64], event: NDArray[np.integer], kind: str,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Indices (within their event) of the objects of list ``kind`` in each set.

    Returns offsets (n + 1,) and the indices, ascending within each set.
    """
    bits = words_to_unpacked(used)
    row, bit = np.nonzero(bits)
    index = bit - first_bit(batch, kind)[event[row]]
    inside = (index >= 0) & (index < getattr(batch, kind).counts[event[row]])
    counts = np.bincount(row[inside], minlength=len(used))
    offsets = offsets_of(counts)
    return offsets, index[inside].astype(np.int32)
