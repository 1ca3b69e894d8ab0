"""From which of an event's roots every particle descends."""

from __future__ import annotations

from fei_lite.kernels.jit import kernel


@kernel
def inherit(offsets, mother, root):
    """Give every particle (n,) without a ``root`` (-1) that of its mother (place in the event, -1 for none), in place.

    Mothers stand before their daughters.
    """
    for event in range(len(offsets) - 1):
        first = offsets[event]
        for row in range(first, offsets[event + 1]):
            if root[row] < 0 and mother[row] >= 0:
                root[row] = root[first + mother[row]]
