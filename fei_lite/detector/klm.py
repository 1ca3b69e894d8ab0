"""Clusters of the K_L and muon detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.detector.particles import Particles
from fei_lite.detector.response import Response
from fei_lite.detector.surface import straight_impact
from fei_lite.events.batch import Jagged, offsets_of

_MUON = 1


def make_klm(particles: Particles, impact: NDArray[np.float64], n_events: int, *, response: Response,
             rng: np.random.Generator, background: bool = True) -> Jagged:
    """KLM clusters of a batch: K_L, neutrons, muons, punch-through and noise.

    ``impact`` (n, 3) is where charged particles meet the calorimeter (NaN: they
    do not); they go straight on from there.
    """
    k, h = response.klm, response.neutral_hadron
    kind = particles.charged_kind
    p = particles.momentum
    chance = np.where((kind >= 0) & np.isfinite(impact[:, 0]) & (p > k.min_momentum), k.probability[kind], 0.0)
    neutral = np.select([particles.pdg == 2112, particles.pdg == -2112, particles.species == 130], [0, 1, 2], -1)
    chance = np.where(neutral >= 0, h.klm_probability[neutral] * (1.0 - np.exp(-p / h.klm_scale)), chance)
    rows = np.flatnonzero(rng.uniform(size=len(particles)) < chance)
    start = np.where(np.isfinite(impact[rows]), impact[rows], particles.vertex[rows])
    away = np.where(np.isfinite(impact[rows]), impact[rows] - particles.vertex[rows], particles.p3[rows])
    muon = kind[rows] == _MUON
    noise = np.repeat(np.arange(n_events), rng.poisson(k.noise if background else 0.0, n_events))
    n = len(rows) + len(noise)
    cosine, phi = rng.uniform(-0.85, 0.95, len(noise)), rng.uniform(-np.pi, np.pi, len(noise))
    sine = np.sqrt(1.0 - cosine**2)
    direction = np.concatenate([away, np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)])
    start = np.concatenate([start, np.zeros((len(noise), 3))])
    deep = straight_impact(start, direction, radius=k.radius + 40.0, z_forward=k.z_forward + 40.0,
                           z_backward=k.z_backward - 40.0)
    face = straight_impact(start, direction, radius=k.radius, z_forward=k.z_forward, z_backward=k.z_backward)
    depth = rng.uniform(0.0, 1.0, (n, 1)) ** 2
    place = face + depth * (deep - face) + rng.normal(0.0, k.resolution, (n, 3))
    is_muon = np.concatenate([muon, np.zeros(len(noise), dtype=bool)])
    layers = 1 + rng.poisson(np.where(is_muon, k.muon_layers, k.mean_layers * rng.exponential(size=n)))
    layers = np.minimum(layers, 15)
    inner = np.where(is_muon, 1, 1 + rng.geometric(0.5, n) - 1)
    event = np.concatenate([particles.event[rows], noise])
    order = np.argsort(event, kind="stable")
    columns = {"x": place[:, 0], "y": place[:, 1], "z": place[:, 2], "p": k.layer_momentum * layers,
               "timing": rng.normal(k.timing[0], k.timing[1], n), "layers": layers,
               "innermost_layer": np.clip(inner, 1, 15),
               "mc_index": np.concatenate([particles.index[rows], np.full(len(noise), -1)])}
    whole = {"layers": np.int16, "innermost_layer": np.int16, "mc_index": np.int32}
    offsets = offsets_of(np.bincount(event, minlength=n_events))
    return Jagged(offsets, {c: v[order].astype(whole.get(c, np.float32)) for c, v in columns.items()})
