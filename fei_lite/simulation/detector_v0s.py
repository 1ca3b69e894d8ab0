"""V0s: pairs of found tracks from a displaced vertex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.events.batch import Jagged
from fei_lite.simulation.detector_particles import Particles
from fei_lite.simulation.detector_tracks import Tracks
from fei_lite.simulation.response import Response

#: Mothers of V0s: K_S0, Lambda, converted photon.
_MOTHERS = (310, 3122, 22)


def find_v0s(tracks: Tracks, particles: Particles, generated: Jagged, track_offsets: NDArray[np.int64], *,
             response: Response, rng: np.random.Generator) -> Jagged:
    """K_S0, Lambda and converted photons whose two tracks are found; ``generated`` includes secondaries.

    The covariance of a displaced track contains only the material outside its
    production vertex, so that its helix is also that of the V0.
    """
    matched = np.flatnonzero(tracks.particle >= 0)
    rows = tracks.particle[matched]
    event = particles.event[rows]
    mother = generated["mother"][generated.offsets[event] + particles.index[rows]].astype(np.int64)
    above = np.where(mother >= 0, generated.offsets[event] + mother, 0)
    kind = np.where(mother >= 0, generated["pdg"][above], 0)
    usable = np.isin(np.abs(kind), _MOTHERS)
    matched, rows, above, kind = matched[usable], rows[usable], above[usable], kind[usable]
    pairs = []
    for sign in (1, -1):
        side = np.flatnonzero(tracks.charge[matched] == sign)
        _, first = np.unique(above[side], return_index=True)  # one track of a clone pair
        pairs.append(side[first])
    _, a, b = np.intersect1d(above[pairs[0]], above[pairs[1]], return_indices=True)
    positive, negative = pairs[0][a], pairs[1][b]
    flight = np.hypot(particles.vertex[rows[positive], 0], particles.vertex[rows[positive], 1])
    v = response.v0
    efficiency = np.where(kind[positive] == 22, v.conversion_efficiency, v.finder_efficiency)
    efficiency = np.where(flight < v.min_flight, v.inside_efficiency, efficiency)
    found = rng.uniform(size=len(efficiency)) < efficiency
    code = kind[positive][found]
    plus, minus = matched[positive][found], matched[negative][found]
    order = np.lexsort((plus, tracks.event[plus]))
    plus, minus, code = plus[order], minus[order], code[order]
    where = tracks.event[plus]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(where, minlength=len(track_offsets) - 1))])
    return Jagged(offsets.astype(np.int64), {
        "pdg": code.astype(np.int32),
        "positive_index": (plus - track_offsets[where]).astype(np.int32),
        "negative_index": (minus - track_offsets[where]).astype(np.int32),
        "positive_helix": tracks.helix[plus], "positive_cov": tracks.cov[plus],
        "negative_helix": tracks.helix[minus], "negative_cov": tracks.cov[minus],
    })
