"""Kernel of the permutation test: how many exchanges of events give a distance as large as the one found."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel


@kernel
def exchanges_as_far(event, weight, ends, in_first, limit):
    """Of the exchanges ``in_first`` (n, n_events), the number whose distance reaches ``limit``.

    ``event`` (k,) and ``weight`` (k,) of the pooled values in ascending order; ``ends`` (k,) marks the
    last of equal values, where alone the cumulative distributions are compared.
    """
    per_event = np.zeros(in_first.shape[1])
    for k in range(len(event)):
        per_event[event[k]] += weight[k]
    step = np.empty(len(per_event))
    far = 0
    for i in range(in_first.shape[0]):
        first, second = 0.0, 0.0
        for e in range(len(per_event)):
            if in_first[i, e]:
                first += per_event[e]
            else:
                second += per_event[e]
        for e in range(len(per_event)):
            step[e] = 1.0 / first if in_first[i, e] else -1.0 / second
        difference = 0.0
        for k in range(len(event)):
            difference += step[event[k]] * weight[k]
            if ends[k] and abs(difference) >= limit:
                far += 1
                break
    return far
