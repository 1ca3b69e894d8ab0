"""Decay trees carried along with particles whose momenta were drawn anew."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel


@kernel
def carry(mother, which, new, change, p4, x4, out_p4, out_x4):
    """Transform moved particles and their descendants, in place in ``out_p4`` and ``out_x4``.

    ``mother`` (n,) rows, before their daughters; ``which`` (n,) is the row in
    ``new`` (k, 4) and ``change`` (k, 4, 4), or -1: the particle's four-momentum, and
    the transformation of its descendants, after which come those of its ancestors.
    """
    n = len(mother)
    total = np.empty((n, 4, 4))
    touched = np.zeros(n, dtype=np.bool_)
    for i in range(n):
        m = mother[i]
        below = m >= 0 and touched[m]
        if not below and which[i] < 0:
            continue
        touched[i] = True
        own = which[i]
        for a in range(4):
            for b in range(4):
                value = 0.0
                if own >= 0 and below:
                    for c in range(4):
                        value += total[m, a, c] * change[own, c, b]
                elif own >= 0:
                    value = change[own, a, b]
                else:
                    value = total[m, a, b]
                total[i, a, b] = value
        start = new[own] if own >= 0 else p4[i]
        for a in range(4):
            value = start[a]
            if below:
                value = 0.0
                for b in range(4):
                    value += total[m, a, b] * start[b]
            out_p4[i, a] = value
        if below:
            for a in range(4):
                value = out_x4[m, a]
                for b in range(4):
                    value += total[m, a, b] * (x4[i, b] - x4[m, b])
                out_x4[i, a] = value
