"""Toys with known truth: tracks of Belle II's resolution from a common vertex, and what decays before."""

from __future__ import annotations

import naive_vertex as naive
import numpy as np

from fei_lite.candidates import CandidateTable
from fei_lite.events import EventBatch
from fei_lite.reconstruction import vertexing
from fei_lite.reconstruction.kinematics import photon_kinematics, track_kinematics

BZ = 1.5
IP = np.array([0.04, 0.02, -0.1])
MASS = {"e+": 0.000511, "pi+": 0.1395704, "K+": 0.493677, "p+": 0.938272, "D+": 1.86966,
        "K_S0": 0.497611, "Lambda0": 1.115683}


def batch_of(n):
    """n events of one candidate each, without objects: the fit needs the field and the IP."""
    events = {"event": np.arange(n), "bz": np.full(n, BZ), "ip": np.tile(IP, (n, 1))}
    return EventBatch(events, None, None, None, None)  # type: ignore[arg-type]


def table(name, n, **columns):
    return CandidateTable(name, np.arange(n + 1), columns)


def directions(rng, n):
    """Isotropic, but inside the acceptance (17 to 150 degrees)."""
    cos, phi = rng.uniform(-0.85, 0.95, n), rng.uniform(-np.pi, np.pi, n)
    sin = np.sqrt(1 - cos**2)
    return np.stack([sin * np.cos(phi), sin * np.sin(phi), cos], axis=1)


def smear(rng, helix, scale=1.0):
    """Measured helices with a full covariance of Belle II's size; (helix, packed, full)."""
    pt = naive.C * BZ / np.abs(helix[:, 2])
    sigma = scale * np.stack([0.001 + 0.003 / pt, 0.0003 + 0.001 / pt, 0.003 * np.abs(helix[:, 2]) / np.minimum(pt, 1),
                              0.002 + 0.004 / pt, 0.0004 + 0.001 / pt], axis=1)
    correlation = np.eye(5)
    for (i, j), rho in {(0, 1): -0.8, (3, 4): -0.7, (1, 2): 0.3, (0, 2): -0.2, (0, 3): 0.05}.items():
        correlation[i, j] = correlation[j, i] = rho
    full = sigma[:, :, None] * sigma[:, None, :] * correlation
    noise = rng.normal(size=helix.shape) @ np.linalg.cholesky(correlation).T
    return helix + sigma * noise, full[:, naive.UPPER[0], naive.UPPER[1]], full


def track_table(rng, name, p3, x3, sign, scale=1.0):
    """Measured tracks of true momentum ``p3`` at ``x3``."""
    n = len(p3)
    sign = np.broadcast_to(sign, n)
    helix, packed, full = smear(rng, naive.helix_of(p3, x3, sign, BZ), scale)
    p4, vertex, cov = track_kinematics(helix, packed, BZ, MASS[name])
    return table(name, n, sign=sign.astype(np.int8), p4=p4, vertex=vertex, cov=cov, helix=helix, full=full)


def decay(rng, p4, masses):
    """Isotropic two-body decay of four-momenta (n, 4); momenta of both in the laboratory."""
    m = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
    m1, m2 = masses
    q = np.sqrt((m**2 - (m1 + m2) ** 2) * (m**2 - (m1 - m2) ** 2)) / (2 * m)
    cos, phi = rng.uniform(-1, 1, len(m)), rng.uniform(-np.pi, np.pi, len(m))
    sin = np.sqrt(1 - cos**2)
    rest = q[:, None] * np.stack([sin * np.cos(phi), sin * np.sin(phi), cos], axis=1)
    out = []
    for side, mass in ((1, m1), (-1, m2)):
        energy = np.sqrt(q**2 + mass**2)
        along = side * np.sum(rest * p4[:, :3], axis=1) / m
        out.append(side * rest + p4[:, :3] * ((along / (p4[:, 3] + m) + energy / m)[:, None]))
    return out


def prompt_toy(rng, k, *, n, scale=1.0):
    """k tracks from a point near the IP; (true p3 sum, true vertex, tables)."""
    vertex = IP + rng.normal(size=(n, 3)) * [0.01, 0.01, 0.03]
    tables, total = [], np.zeros((n, 3))
    for name in ("K+", "pi+", "pi+", "pi+")[:k]:
        p3 = directions(rng, n) * rng.uniform(0.4, 2.0, (n, 1))
        total += p3
        tables.append(track_table(rng, name, p3, vertex, rng.choice([-1, 1], n), scale))
    return total, vertex, tables


def v0_toy(rng, mother, *, n, scale=1.0):
    """K_S0 or Lambda that fly 1-20 cm; (true p3, true vertex, tables)."""
    names = ("pi+", "pi+") if mother == "K_S0" else ("p+", "pi+")
    direction = directions(rng, n)
    p3 = direction * rng.uniform(0.5, 2.5, (n, 1))
    vertex = IP + direction * rng.uniform(1, 20, (n, 1))
    p4 = np.concatenate([p3, np.sqrt(np.sum(p3**2, axis=1) + MASS[mother] ** 2)[:, None]], axis=1)
    pair = decay(rng, p4, [MASS[name] for name in names])
    seen = np.all([np.hypot(q[:, 0], q[:, 1]) > 0.08 for q in pair], axis=0)
    tables = [track_table(rng, name, q[seen], vertex[seen], s, scale)
              for name, q, s in zip(names, pair, (1, -1), strict=True)]
    return p3[seen], vertex[seen], tables


def fit(mother, tables, n=None, **options):
    n = len(tables[0]) if n is None else n
    rows = np.tile(np.arange(n, dtype=np.int32)[:, None], (1, len(tables)))
    candidates = table(mother, n, daughters=rows)
    return vertexing.fit_vertices(candidates, tables, batch_of(n), **options)


def b_to_d_pi(rng, n, scale=1.0):
    """B -> D+ pi-, D+ -> K- pi+ pi+ with flight; the D+ candidates fitted."""
    vertex = IP + rng.normal(size=(n, 3)) * [0.01, 0.01, 0.03]
    p_d = directions(rng, n) * rng.uniform(1.5, 2.5, (n, 1))
    flight = rng.exponential(0.03, n)
    p_at_d, x_d = np.empty((n, 3)), np.empty((n, 3))
    for i in range(n):
        path = flight[i] * np.hypot(p_d[i, 0], p_d[i, 1]) / np.linalg.norm(p_d[i])
        p_at_d[i], x_d[i] = naive.follow(p_d[i], vertex[i], 1, BZ, path)
    p4 = np.concatenate([p_at_d, np.sqrt(np.sum(p_at_d**2, axis=1) + MASS["D+"] ** 2)[:, None]], axis=1)
    kaon, rest = decay(rng, p4, (MASS["K+"], 0.8))
    p3 = [kaon, *decay(rng, np.concatenate([rest, np.sqrt(np.sum(rest**2, axis=1) + 0.64)[:, None]], axis=1),
                       (MASS["pi+"], MASS["pi+"]))]
    seen = np.all([(np.hypot(p[:, 0], p[:, 1]) > 0.15) & (np.abs(p[:, 2]) < 2 * np.hypot(p[:, 0], p[:, 1]))
                   for p in p3], axis=0)  # inside the acceptance: helices of slow tracks are not Gaussian
    p_d, vertex, p_at_d, x_d, p3 = p_d[seen], vertex[seen], p_at_d[seen], x_d[seen], [p[seen] for p in p3]
    n = len(p_d)
    parts = [track_table(rng, name, p, x_d, s, scale)
             for name, p, s in zip(("K+", "pi+", "pi+"), p3, (-1, 1, 1), strict=True)]
    fitted = fit("D+", parts)
    d = table("D+", n, sign=np.ones(n, np.int8), p4=fitted.p4, vertex=fitted.vertex, cov=fitted.cov)
    p_pi = directions(rng, n) * rng.uniform(1.5, 2.5, (n, 1))
    return p_d + p_pi, vertex, [d, track_table(rng, "pi+", p_pi, vertex, -1, scale)], fitted, (p_at_d, x_d)


def photon_table(n, energy=0.2):
    p4, vertex, cov = photon_kinematics(np.full(n, energy), np.full(n, 1.2), np.full(n, 0.4), np.full(n, 130.0),
                                        np.full((n, 3), 0.01), IP)
    return table("gamma", n, sign=np.ones(n, np.int8), p4=p4, vertex=vertex, cov=cov)


def pi0_toy(rng, n, scale=1.0):
    direction = directions(rng, n)
    p3 = direction * rng.uniform(0.2, 2.0, (n, 1))
    mass = 0.1349768
    p4 = np.concatenate([p3, np.sqrt(np.sum(p3**2, axis=1) + mass**2)[:, None]], axis=1)
    tables, summary = [], []
    for q in decay(rng, p4, (1e-9, 1e-9)):
        energy = np.linalg.norm(q, axis=1)
        true = np.stack([energy, np.arccos(q[:, 2] / energy), np.arctan2(q[:, 1], q[:, 0])], axis=1)
        errors = scale * np.stack([0.01 * energy, np.full(n, 0.002), np.full(n, 0.002) / np.sin(true[:, 1])], axis=1)
        seen = true + errors * rng.normal(size=(n, 3))
        # from a far cluster, so that it is seen from the IP as from the origin
        g4, x, cov = photon_kinematics(*seen.T, np.full(n, 1e9), errors, IP)
        tables.append(table("gamma", n, sign=np.ones(n, np.int8), p4=g4, vertex=x, cov=cov))
        summary.append((seen, errors))
    return p4, tables, summary
