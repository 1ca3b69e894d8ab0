"""Many four-vectors into the frames of their events."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel


@kernel
def to_laboratory(vectors, event, rotation, frame, out):
    """Rotate (n, 4) vectors, then boost each from the rest frame of ``frame[event]`` (m, 4) into that of the frames."""
    mass = np.empty(len(frame))
    for e in range(len(frame)):
        mass[e] = np.sqrt(frame[e, 3] ** 2 - frame[e, 0] ** 2 - frame[e, 1] ** 2 - frame[e, 2] ** 2)
    for i in range(len(vectors)):
        e = event[i]
        x = rotation[0, 0] * vectors[i, 0] + rotation[0, 1] * vectors[i, 1] + rotation[0, 2] * vectors[i, 2]
        y = rotation[1, 0] * vectors[i, 0] + rotation[1, 1] * vectors[i, 1] + rotation[1, 2] * vectors[i, 2]
        z = rotation[2, 0] * vectors[i, 0] + rotation[2, 1] * vectors[i, 1] + rotation[2, 2] * vectors[i, 2]
        along = x * frame[e, 0] + y * frame[e, 1] + z * frame[e, 2]
        energy = (frame[e, 3] * vectors[i, 3] + along) / mass[e]
        factor = (vectors[i, 3] + energy) / (frame[e, 3] + mass[e])
        out[i, 0], out[i, 1], out[i, 2] = x + factor * frame[e, 0], y + factor * frame[e, 1], z + factor * frame[e, 2]
        out[i, 3] = energy
