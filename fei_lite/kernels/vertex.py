"""Vertex fits of candidates: groups of lanes linearised until chi2 stands still.

The equations and the steps are in :mod:`fei_lite.kernels.vertex_steps`.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.helix import crossing
from fei_lite.kernels.jit import kernel
from fei_lite.kernels.linalg import chi2_survival
from fei_lite.kernels.vertex_steps import (
    COV,
    CURVATURE,
    LANES,
    POSITION,
    USED,
    VALUES,
    add_momentum,
    add_normal,
    at,
    linearise,
    load,
    solve,
    tri,
    update,
    weigh,
)

__all__ = ["LANES", "VALUES", "fit_candidates", "load"]

_USUAL = 3         # linearisations that suffice for most; chi2 is compared from this one on
_TOLERANCE = 1e-3  # of chi2, relative above 1
_FAR = 1e4         # cm; a vertex beyond is a fit that ran away


@kernel
def _close(p4, gain, out, inverse, v, i, p, vertex, cov):
    """Write the mother of lane ``i``: its momentum ``p``, ``vertex`` and ``cov`` (7, 7), which holds the sums."""
    for r in range(4):
        p[r] += p4[at(r, i)]
    for r in range(3):
        vertex[r] = v[at(r, i)]
        for s in range(r + 1):
            cov[4 + r, 4 + s] = inverse[at(tri(r, s), i)]
            cov[4 + s, 4 + r] = cov[4 + r, 4 + s]
    for r in range(4):
        for s in range(r + 1):
            cov[r, s] += out[at(tri(r, s), i)]
        g0, g1, g2 = gain[at(3 * r, i)], gain[at(3 * r + 1, i)], gain[at(3 * r + 2, i)]
        h0 = g0 * cov[4, 4] + g1 * cov[5, 4] + g2 * cov[6, 4]
        h1 = g0 * cov[5, 4] + g1 * cov[5, 5] + g2 * cov[6, 5]
        h2 = g0 * cov[6, 4] + g1 * cov[6, 5] + g2 * cov[6, 6]
        cov[4, r], cov[5, r], cov[6, r] = -h0, -h1, -h2
        cov[r, 4], cov[r, 5], cov[r, 6] = -h0, -h1, -h2
        for q in range(r + 1):
            cov[r, q] += h0 * gain[at(3 * q, i)] + h1 * gain[at(3 * q + 1, i)] + h2 * gain[at(3 * q + 2, i)]
            cov[q, r] = cov[r, q]


@kernel
def _fit_group(lanes, g, needed, start, limit, n, row, open_, out_p4, out_vertex, out_cov, out_chi2, room):
    """Fit the ``n`` lanes of group ``g``, up to ``limit`` times linearised.

    ``lanes`` (k, n_groups, VALUES * LANES); ``needed`` (k,): a lane uses this daughter;
    ``start`` (3 * LANES,); ``row`` (LANES,): where the results go. ``open_``
    (LANES,) holds the lanes to fit; True remains where there is no decision yet.
    ``room`` (k + 1, many * LANES) is working space.
    """
    k = lanes.shape[0]
    v, normal, inverse = room[k, :3 * LANES], room[k, 3 * LANES:12 * LANES], room[k, 12 * LANES:18 * LANES]
    step, chi2, before = room[k, 18 * LANES:21 * LANES], room[k, 21 * LANES:22 * LANES], room[k, 22 * LANES:23 * LANES]
    p4, gain, out = room[k, 23 * LANES:27 * LANES], room[k, 27 * LANES:39 * LANES], room[k, 39 * LANES:49 * LANES]
    v[:] = start
    chi2[:] = np.nan
    for j in range(k):
        room[j, :7 * LANES] = lanes[j, g, :7 * LANES]
    for turn in range(limit):
        normal[:] = 0.0
        before[:] = chi2
        chi2[:] = 0.0
        for j in range(k):
            if needed[j]:
                alpha, jac, rest = room[j, :7 * LANES], room[j, 7 * LANES:16 * LANES], room[j, 33 * LANES:35 * LANES]
                half, weight = room[j, 16 * LANES:30 * LANES], room[j, 30 * LANES:33 * LANES]
                linearise(lanes[j, g], alpha, v, jac, rest)
                weigh(lanes[j, g], jac, half, weight)
                add_normal(jac, weight, rest, normal)
        solve(normal, inverse, step, v)
        for j in range(k):
            if needed[j]:
                update(lanes[j, g], room[j, 7 * LANES:16 * LANES], room[j, 16 * LANES:30 * LANES],
                        room[j, 30 * LANES:33 * LANES], room[j, 33 * LANES:35 * LANES], step, room[j, :7 * LANES], chi2)
        if turn + 1 < min(_USUAL, limit):
            continue
        n_open, n_new = 0, 0
        for i in range(n):
            if open_[i]:
                if not (chi2[i] < np.inf and abs(v[at(0, i)]) + abs(v[at(1, i)]) + abs(v[at(2, i)]) < _FAR):
                    open_[i] = False
                elif abs(chi2[i] - before[i]) < _TOLERANCE * max(1.0, chi2[i]):
                    n_new += 1
                    out_chi2[row[i]] = chi2[i]
                else:
                    n_open += 1
        if n_new:
            p4[:] = 0.0
            gain[:] = 0.0
            out[:] = 0.0
            for j in range(k):
                if needed[j]:
                    add_momentum(lanes[j, g], room[j, :7 * LANES], v, room[j, 16 * LANES:30 * LANES],
                                  room[j, 30 * LANES:33 * LANES], room[j, 7 * LANES:16 * LANES], p4, gain, out)
            for i in range(n):
                if open_[i] and abs(chi2[i] - before[i]) < _TOLERANCE * max(1.0, chi2[i]):
                    open_[i] = False
                    _close(p4, gain, out, inverse, v, i, out_p4[row[i]], out_vertex[row[i]], out_cov[row[i]])
        if n_open == 0:
            return


@kernel
def _unfitted(lanes, g, i, cross, hands_on, v, out_p4, out_cov):
    """Best guess without a fit; ``v`` is where the fit started."""
    n_used = 0
    for j in range(lanes.shape[0]):
        n_used += lanes[j, g, at(USED, i)] > 0.0
    for j in range(lanes.shape[0]):
        one = lanes[j, g]
        if one[at(USED, i)] == 0.0:
            continue
        if n_used == 1:
            for c in range(3):
                v[c] = one[at(POSITION + c, i)]
            if hands_on[j]:
                for r in range(4, 7):
                    for s in range(r + 1):
                        out_cov[r, s] = one[at(COV + tri(r, s), i)]
                        out_cov[s, r] = out_cov[r, s]
        elif cross and n_used == 2:  # momenta where the tracks meet are better than those at their perigees
            out_p4[0] -= one[at(CURVATURE, i)] * (v[1] - one[at(POSITION + 1, i)])
            out_p4[1] += one[at(CURVATURE, i)] * (v[0] - one[at(POSITION, i)])


@kernel
def _cross(lanes, g, i, v):
    """Move ``v`` to the crossing of the two tracks of a candidate, if it has two."""
    first, second = -1, -1
    for j in range(lanes.shape[0]):
        if lanes[j, g, at(USED, i)] > 0.0:
            if first >= 0 and second >= 0:
                return
            if first < 0:
                first = j
            else:
                second = j
    if second < 0:
        return
    a, b = lanes[first, g, at(CURVATURE, i)], lanes[second, g, at(CURVATURE, i)]
    if a != 0.0 and b != 0.0:
        one, two = np.empty(7), np.empty(7)
        for c in range(7):
            one[c], two[c] = lanes[first, g, at(c, i)], lanes[second, g, at(c, i)]
        crossing(one, a, two, b, v)


@kernel
def fit_candidates(lanes, cross, hands_on, max_iterations, out_p4, out_vertex, out_cov, out_chi2, out_ndf, out_prob):
    """Fit each of n candidates of k daughters; see ``fit_vertices`` for the meaning.

    ``lanes`` (k, at least n / LANES, VALUES * LANES) and ``out_p4``, ``out_cov`` as filled by
    :func:`load`; ``out_vertex`` (n, 3) holds the starting points. ``cross`` starts
    pairs of tracks at their crossing. ``hands_on`` (k,): this daughter gives its
    position covariance to an unfitted mother if no other has one.
    ``max_iterations`` 0: no fit. What needs more linearisations than usual is
    fitted again, in groups of its own.
    """
    k, n = lanes.shape[0], out_p4.shape[0]
    n_used, waiting, n_waiting = np.zeros(n, np.int64), np.empty(n, np.int64), 0
    room, again = np.empty((k + 1, 49 * LANES)), np.zeros((k, 1, VALUES * LANES))
    start, needed = np.zeros(3 * LANES), np.zeros(k, np.bool_)
    row, open_ = np.zeros(LANES, np.int64), np.zeros(LANES, np.bool_)
    out_chi2[:] = np.nan
    for g in range((n + LANES - 1) // LANES if max_iterations > 0 else 0):
        m = min(LANES, n - g * LANES)
        n_open = 0
        needed[:] = False
        for i in range(m):
            row[i] = g * LANES + i
            for j in range(k):
                if lanes[j, g, at(USED, i)] > 0.0:
                    n_used[row[i]] += 1
                    needed[j] = True
            open_[i] = n_used[row[i]] >= 2 and np.isfinite(out_p4[row[i], 3])
            n_open += open_[i]
            if cross:
                _cross(lanes, g, i, out_vertex[row[i]])
            for c in range(3):
                start[at(c, i)] = out_vertex[row[i], c]
        if n_open == 0:
            continue
        _fit_group(lanes, g, needed, start, min(_USUAL, max_iterations), m, row, open_,
                   out_p4, out_vertex, out_cov, out_chi2, room)
        for i in range(m):
            if open_[i]:
                waiting[n_waiting] = row[i]
                n_waiting += 1
    for first in range(0, n_waiting if max_iterations > _USUAL else 0, LANES):
        m = min(LANES, n_waiting - first)
        for i in range(m):
            row[i], open_[i] = waiting[first + i], True
            g, lane = row[i] // LANES, row[i] % LANES
            for j in range(k):
                for value in range(VALUES):
                    again[j, 0, at(value, i)] = lanes[j, g, at(value, lane)]
            for c in range(3):
                start[at(c, i)] = out_vertex[row[i], c]
        needed[:] = True
        _fit_group(again, 0, needed, start, max_iterations, m, row, open_, out_p4, out_vertex, out_cov, out_chi2, room)
    for i in range(n):
        if np.isnan(out_chi2[i]):
            out_ndf[i] = 0
            _unfitted(lanes, i // LANES, i % LANES, cross, hands_on, out_vertex[i], out_p4[i], out_cov[i])
        else:
            out_ndf[i] = 2 * n_used[i] - 3
        out_prob[i] = chi2_survival(out_chi2[i], out_ndf[i])
