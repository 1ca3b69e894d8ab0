"""V0s: pairs of opposite tracks that cross away from the beam, found from the tracks alone.

Fake V0s (crossings of unrelated tracks) come out by themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.detector.response import Response
from fei_lite.detector.response_sections import V0
from fei_lite.detector.tracks import Tracks
from fei_lite.events.batch import Jagged, offsets_of

Array = NDArray[np.float64]

_ELECTRON, _PION, _PROTON = 0.00051099895, 0.13957039, 0.93827209
#: Hypothesis, masses of the positive and negative daughter, mass window in the response.
_HYPOTHESES = ((310, _PION, _PION, "mass_K_S0"), (3122, _PROTON, _PION, "mass_Lambda"),
               (-3122, _PION, _PROTON, "mass_Lambda"), (22, _ELECTRON, _ELECTRON, "mass_photon"))


def find_v0s(tracks: Tracks, offsets: NDArray[np.int64], bz: Array, *, response: Response,
             rng: np.random.Generator) -> Jagged:
    """V0s of a batch: one row per pair and mass hypothesis whose window it meets, as in basf2.

    ``offsets`` (n_events + 1,) are those of the tracks, ``bz`` (n_events,) in T.
    The covariance of a displaced track contains only the material outside its
    production vertex, so that its helix is also that of the V0.
    """
    plus, minus = _opposite_pairs(tracks, offsets)
    v = response.v0
    centre = _centre(tracks.helix)
    point, good = _crossings(tracks.helix[plus], tracks.helix[minus], centre[plus], centre[minus], v)
    plus, minus = plus[good], minus[good]
    chances = np.array([v.loose_probability, v.hits_removed_probability, 1.0]) * v.finder_efficiency
    chance = chances[_no_hits_inside(tracks, plus, point).astype(int) + _no_hits_inside(tracks, minus, point)]
    drawn = rng.uniform(size=len(plus))
    good = drawn < np.maximum(chance, chances[0])  # those that may be taken, before more is known
    plus, minus, point, drawn, chance = plus[good], minus[good], point[good], drawn[good], chance[good]
    momenta, apart = _at_vertex(tracks, plus, minus, point, bz)
    good = drawn < _chance(chance, chances[0], point, momenta.sum(axis=0), apart, v)
    plus, minus, momenta = plus[good], minus[good], momenta[:, good]
    rows, codes = [], []
    for hypothesis, first, second, window in _HYPOTHESES:
        mass = _pair_mass(momenta, first, second)
        low, high = getattr(v, window)
        inside = np.flatnonzero((mass > low) & (mass < high))
        rows.append(inside)
        codes.append(np.full(len(inside), hypothesis))
    row, code = np.concatenate(rows), np.concatenate(codes)
    order = np.argsort(row, kind="stable")
    plus, minus, code = plus[row[order]], minus[row[order]], code[order]
    event = tracks.event[plus]
    counts = np.bincount(event, minlength=len(offsets) - 1)
    return Jagged(offsets_of(counts), {
        "pdg": code.astype(np.int32),
        "positive_index": (plus - offsets[event]).astype(np.int32),
        "negative_index": (minus - offsets[event]).astype(np.int32),
        "positive_helix": tracks.helix[plus], "positive_cov": tracks.cov[plus],
        "negative_helix": tracks.helix[minus], "negative_cov": tracks.cov[minus],
    })


def _opposite_pairs(tracks: Tracks, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the positive and the negative track of every pair within an event, sorted by event."""
    counts = np.diff(offsets)
    first = np.repeat(np.arange(len(tracks)), counts[tracks.event])
    starts = np.repeat(np.cumsum(counts[tracks.event]) - counts[tracks.event], counts[tracks.event])
    second = np.arange(len(first)) - starts + offsets[tracks.event[first]]
    opposite = (tracks.charge[first] > 0) & (tracks.charge[second] < 0)
    return first[opposite], second[opposite]


def _centre(helix: Array) -> Array:
    return np.asarray(((helix[:, 0] + 1.0 / helix[:, 2]) * np.array([np.sin(helix[:, 1]), -np.cos(helix[:, 1])])).T)


def _turn(helix: Array, point: Array, centre: Array) -> Array:
    """Direction of a helix beside the transverse point, as the angle turned since the perigee."""
    away = (point - centre) * helix[:, 2:3]
    direction = np.arctan2(-away[:, 0], away[:, 1])
    return wrapped(direction - helix[:, 1])


def wrapped(angle: Array) -> Array:
    """Angles (n,) from -2 pi to 2 pi, brought between -pi and pi: what the slower remainder gives.

    >>> wrapped(np.array([-4.0, 1.0, 4.0])).round(3).tolist()
    [2.283, 1.0, -2.283]
    """
    turn = 2.0 * np.pi
    angle = angle + np.pi
    return np.asarray(np.where(angle < 0.0, angle + turn, np.where(angle >= turn, angle - turn, angle)) - np.pi)


def _crossings(first: Array, second: Array, c1: Array, c2: Array, v: V0) -> tuple[Array, NDArray[np.int64]]:
    """Transverse points (m, 2) where circles about ``c1`` and ``c2`` cross (or nearly touch), and which pairs (m,) do.

    Of two crossings the one where the tracks are closer in z.
    """
    r1, r2 = 1.0 / np.abs(first[:, 2]), 1.0 / np.abs(second[:, 2])
    d = np.hypot(*(c2 - c1).T)
    along = 0.5 * (d + (r1 - r2) * (r1 + r2) / d)
    across2 = r1**2 - along**2
    gap = np.where(d > r1 + r2, d - r1 - r2, np.abs(r1 - r2) - d)
    touches = (across2 < 0.0) & (gap < v.max_gap)
    near = np.flatnonzero((across2 >= 0.0) | touches)
    first, second, c1, c2 = first[near], second[near], c1[near], c2[near]
    r1, r2, d, along, across2 = (x[near] for x in (r1, r2, d, along, across2))
    touches = touches[near]
    along = np.where(touches & (d > r1 + r2), 0.5 * (r1 + d - r2), along)
    across = np.sqrt(np.maximum(across2, 0.0))
    unit = (c2 - c1) / d[:, None]
    normal = np.stack([-unit[:, 1], unit[:, 0]], axis=1)
    points = [c1 + along[:, None] * unit + side * across[:, None] * normal for side in (1.0, -1.0)]
    apart = [np.abs(_height(first, p, c1) - _height(second, p, c2)) for p in points]
    point = np.where((apart[0] < apart[1])[:, None], points[0], points[1])
    flight = np.hypot(point[:, 0], point[:, 1])
    inside = (flight > v.min_flight) & (flight < v.max_flight)
    return point[inside], near[inside]


def _height(helix: Array, point: Array, centre: Array) -> Array:
    return np.asarray(helix[:, 3] - _turn(helix, point, centre) / helix[:, 2] * helix[:, 4])


def _at_vertex(tracks: Tracks, plus: NDArray, minus: NDArray, point: Array, bz: Array) -> tuple[Array, Array]:
    """Momenta (2, n, 3) at the vertex, and the distance (n,) of the tracks in z there over its error."""
    momenta, heights, variance = [], [], np.zeros(len(plus))
    for rows in (plus, minus):
        helix, cov = tracks.helix[rows], tracks.cov[rows]
        turn = _turn(helix, point, _centre(helix))
        arc = -turn / helix[:, 2]
        variance += cov[:, 12] + 2.0 * arc * cov[:, 13] + arc**2 * cov[:, 14]
        heights.append(helix[:, 3] + arc * helix[:, 4])
        pt = CURVATURE_TO_PT * bz[tracks.event[rows]] / np.abs(helix[:, 2])
        phi = helix[:, 1] + turn
        momenta.append(np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * helix[:, 4]], axis=1))
    return np.stack(momenta), np.abs(heights[0] - heights[1]) / np.sqrt(variance)


def _chance(chance: Array, loose: float, point: Array, total: Array, apart: Array, v: V0) -> Array:
    """Probability (n,) that a pair with momentum ``total`` (n, 3), ``apart`` in z at its vertex, is taken.

    ``chance`` (n,) is that of a pair that meets there and flies outward. basf2 takes hits inside the vertex off the
    tracks and fits them again: some pairs that do not meet before, that have hits inside or that fly towards the beam
    pass its cuts after it, with probability ``loose``.
    """
    decay = (np.sum(total[:, :2] * point, axis=1) > 0.0) & (apart < v.max_sigma)
    return np.asarray(np.where(apart < max(v.loose_sigma, v.max_sigma), np.where(decay, chance, loose), 0.0))


def _no_hits_inside(tracks: Tracks, rows: NDArray, point: Array) -> NDArray[np.bool_]:
    """Whether a track's innermost hit lies outside the vertex (with a margin), from its layers."""
    flight = np.hypot(point[:, 0], point[:, 1])
    innermost = tracks.innermost[rows]
    outside: NDArray[np.bool_] = innermost > flight - 0.5
    return outside


def _pair_mass(momenta: Array, first: float, second: float) -> Array:
    energy = sum(np.sqrt(np.sum(p**2, axis=1) + m**2) for p, m in zip(momenta, (first, second), strict=True))
    return np.asarray(np.sqrt(np.maximum(energy**2 - np.sum(np.sum(momenta, axis=0) ** 2, axis=1), 0.0)))
