"""A particle gun: single particles of one species, for the response of the detector alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.detector.particles import SPECIES
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.generator.beams import Beams
from fei_lite.generator.generate import GeneratedBatch
from fei_lite.generator.processes import Process


def particle_gun(
    pdg: int, n_events: int, *, rng: np.random.Generator, momentum: tuple[float, float] = (0.05, 3.0),
    theta_deg: tuple[float, float] = (17.0, 150.0), per_event: int = 1, radius: float = 0.0,
) -> GeneratedBatch:
    """Events of ``per_event`` equal particles from the origin, or from a distance ``radius`` (cm) in their direction.

    Momenta (GeV) are flat, directions isotropic between the polar angles; particles and antiparticles alternate
    for charged species.

    >>> batch = particle_gun(211, 2, rng=np.random.default_rng(1), momentum=(1.0, 1.0), per_event=3)
    >>> batch.generated.counts.tolist(), float(np.linalg.norm(batch.generated["p4"][0, :3]).round(6))
    ([3, 3], 1.0)
    """
    n = n_events * per_event
    mass, charge = SPECIES[abs(pdg)]
    p = rng.uniform(momentum[0], momentum[1], n)
    low, high = np.cos(np.radians(theta_deg[1])), np.cos(np.radians(theta_deg[0]))
    cosine, phi = rng.uniform(low, high, n), rng.uniform(-np.pi, np.pi, n)
    sine = np.sqrt(1.0 - cosine**2)
    unit = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
    p4 = np.concatenate([p[:, None] * unit, np.hypot(p, mass)[:, None]], axis=1)
    codes = np.where(np.arange(n) % 2 == 0, pdg, -pdg) if charge else np.full(n, pdg)
    status = STATUS["primary"] | STATUS["stable"]
    generated = Jagged(np.arange(0, n + 1, per_event, dtype=np.int64), {
        "pdg": codes.astype(np.int32), "mother": np.full(n, -1, dtype=np.int32),
        "status": np.full(n, status, dtype=np.int32), "p4": p4, "vertex": radius * unit,
        "time": np.zeros(n, dtype=np.float32)})
    beams = Beams()
    sx, sy, sz = beams.size
    events: dict[str, NDArray] = {
        "experiment": np.zeros(n_events, dtype=np.int32), "run": np.zeros(n_events, dtype=np.int32),
        "event": np.arange(n_events, dtype=np.int64), "weight": np.ones(n_events),
        "beam_p4": np.tile(beams.nominal, (n_events, 1)), "ip": np.zeros((n_events, 3)),
        "ip_cov": np.tile([sx**2, 0.0, 0.0, sy**2, 0.0, sz**2], (n_events, 1)), "bz": np.full(n_events, beams.bz)}
    return GeneratedBatch(events, generated, Process("gun", "gun", pdg, 0.0), n_events)
