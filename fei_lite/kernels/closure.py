"""Whether an event can be a Btag and a few tracks with nothing left: all ways to part its objects.

A way takes one to :data:`SIDES` tracks out of an event; all others, and any of the photons, are the tag. It closes if
the tag has the energy, the momentum and a charge of a B, and the tracks together have none.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel

#: Tracks of a signal side, at most; photons of an event that are tried; tracks of an event, beyond which none is.
SIDES, PHOTONS, TRACKS = 4, 9, 13
#: Energy (GeV) that is left where no way closes.
NOTHING = 9.0


@kernel
def _least_left(e_tag, px, py, pz, sums, n_sums, total, beam_energy, delta_e, momentum2):
    """Least energy of photons that is left of those that close, and how many do; NOTHING and 0 if none does."""
    least, n = NOTHING, 0
    for k in range(n_sums):
        difference = e_tag + sums[k, 3] - beam_energy
        if difference > delta_e or difference < -delta_e:
            continue
        x, y, z = px + sums[k, 0], py + sums[k, 1], pz + sums[k, 2]
        if x * x + y * y + z * z > momentum2:
            continue
        n += 1
        left = total - sums[k, 3]
        least = min(least, left)
    return least, n


@kernel
def closures(track_offsets, tracks, charge, is_kaon, photon_offsets, photons, beam_energy, delta_e, momentum, out):
    """Fill ``out`` (n_events, 2, SIDES, 2): least energy left, and log(1 + ways), with kaons taken out (1) or not (0).

    ``tracks`` and ``photons`` (n, 4) are in the centre-of-mass frame, photons in the order of falling energy.
    """
    sums = np.empty((2**PHOTONS, 4))
    for event in range(len(track_offsets) - 1):
        out[event, :, :, 0] = NOTHING
        out[event, :, :, 1] = 0.0
        first, n = track_offsets[event], track_offsets[event + 1] - track_offsets[event]
        begin, n_photons = photon_offsets[event], photon_offsets[event + 1] - photon_offsets[event]
        if n > TRACKS or n < 2:
            continue
        total = 0.0
        for i in range(n_photons):
            total += photons[begin + i, 3]
        n_photons = min(n_photons, PHOTONS)
        n_sums = 1
        sums[0] = 0.0
        for i in range(n_photons):
            for k in range(n_sums):
                for axis in range(4):
                    sums[n_sums + k, axis] = sums[k, axis] + photons[begin + i, axis]
            n_sums *= 2
        for ways in range(1, 2**n):
            size, kaons, charge_out = 0, 0, 0.0
            rest = ways
            while rest:
                rest &= rest - 1
                size += 1
            if size > SIDES or size == n:
                continue
            e, px, py, pz, q = 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(n):
                if ways >> i & 1:
                    kaons += is_kaon[first + i]
                    charge_out += charge[first + i]
                else:
                    row = first + i
                    px += tracks[row, 0]
                    py += tracks[row, 1]
                    pz += tracks[row, 2]
                    e += tracks[row, 3]
                    q += charge[row]
            if e > beam_energy + delta_e or e + total < beam_energy - delta_e or abs(q) > 1 or q != -charge_out:
                continue
            left, found = _least_left(e, px, py, pz, sums, n_sums, total, beam_energy, delta_e,
                                      momentum * momentum)
            if found:
                kind = 1 if kaons else 0
                out[event, kind, size - 1, 0] = min(out[event, kind, size - 1, 0], left)
                out[event, kind, size - 1, 1] += found
    for event in range(len(track_offsets) - 1):
        for kind in range(2):
            for size in range(SIDES):
                out[event, kind, size, 1] = np.log(1.0 + out[event, kind, size, 1])
