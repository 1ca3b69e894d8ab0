"""Tracks: which charged particles are found, with which helix, covariance and hits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.detector.particles import Particles, true_helix
from fei_lite.detector.response import Response
from fei_lite.kernels import detector as kernels

#: Polar angles (deg) and species of background tracks: mostly pions, some electrons and protons. Assumed.
_BACKGROUND_SPECIES, _BACKGROUND_SHARE = np.array([211, 2212, 11]), np.array([0.6, 0.2, 0.2])


@dataclass(frozen=True)
class Tracks:
    """Found tracks, sorted by event, in random order within it.

    ``particle`` is the row in the particles (-1 for background); ``species`` the
    code without sign that the identification sees; ``momentum`` and ``theta``
    the true ones (GeV, rad; reconstructed for background). ``kinked`` tracks
    decay to a muon in another direction: the detectors outside miss them.
    ``innermost`` is the radius (cm) of the first layer with a hit.
    """

    event: NDArray[np.int64]
    particle: NDArray[np.int64]
    species: NDArray[np.int64]
    charge: NDArray[np.int64]
    momentum: NDArray[np.float64]
    theta: NDArray[np.float64]
    helix: NDArray[np.float64]
    cov: NDArray[np.float64]
    counts: NDArray[np.int64]
    p_value: NDArray[np.float64]
    kinked: NDArray[np.bool_]
    innermost: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event)


def track_errors(
    helix: NDArray[np.float64], momentum: NDArray[np.float64], mass: NDArray[np.float64], *,
    first: NDArray[np.float64], last: NDArray[np.float64], response: Response, rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Covariances (n, 15) of helices (n, 5), hits (n, 3) in pixels, strips and drift chamber, radius of the first hit.

    Measurements and material between the radii ``first`` and ``last`` (n,), cm,
    are combined by a Kalman filter; hits are drawn by their efficiency.
    """
    t = response.tracker
    n = len(helix)
    layers = np.stack([t.radius, t.material, t.kind, np.maximum(t.hits * t.hit_efficiency, 1e-9),
                       t.sigma_rphi, t.sigma_z], axis=1)
    low, high = np.radians(t.theta_low_deg), np.radians(t.theta_high_deg)
    limits = np.array([1.0 / np.tan(low), 1.0 / np.tan(high), t.z_forward, t.z_backward, t.scattering])
    n_hits = rng.binomial(t.hits.astype(np.int64), t.hit_efficiency, size=(n, len(t.radius)))
    cov, counts, innermost = np.empty((n, 15)), np.empty((n, 3), dtype=np.int64), np.empty(n)
    p_beta = momentum**2 / np.hypot(momentum, mass)
    kernels.track_errors(np.ascontiguousarray(helix), p_beta, first, last, n_hits, layers, limits, cov, counts,
                         innermost)
    return cov, counts, innermost


def _chosen(particles: Particles, response: Response, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Charged particles that pass the efficiency against pT, flight and decay; hits are checked later."""
    t, decay = response.tracking, response.decay
    flight = np.hypot(particles.vertex[:, 0], particles.vertex[:, 1])
    efficiency = np.interp(particles.pt, t.pt, t.efficiency, left=0.0)
    efficiency *= np.interp(flight, t.flight, t.flight_efficiency, right=0.0)
    kind = np.where(particles.species == 321, 1, 0)
    lost, found = decay.r_lost[kind], decay.r_found[kind]
    kept = np.clip((particles.end - lost) / (found - lost), 0.0, 1.0)
    efficiency *= np.where(np.isnan(particles.end), 1.0, kept)
    return np.asarray((particles.charge != 0) & (rng.uniform(size=len(particles)) < efficiency))


def find_tracks(particles: Particles, bz: NDArray[np.float64], n_events: int, *, response: Response,
                rng: np.random.Generator, background: bool = True) -> Tracks:
    """The tracks of a batch; ``bz`` (n_events,) in T."""
    rows = np.flatnonzero(_chosen(particles, response, rng))
    rows = np.concatenate([rows, rows[_cloned(particles.take(rows), bz, response, rng)]])
    taken = particles.take(rows)
    n = len(rows)
    helix = true_helix(taken, bz[taken.event])
    first = np.hypot(taken.vertex[:, 0], taken.vertex[:, 1])
    last = np.where(np.isnan(taken.end), np.inf, taken.end)
    cov, counts, innermost = track_errors(helix, taken.momentum, taken.mass, first=first, last=last, response=response,
                                           rng=rng)
    worse = np.where(rng.uniform(size=n) < response.tracker.tail_fraction, response.tracker.tail_scale**2, 1.0)
    cov *= worse[:, None]
    measured = np.empty_like(helix)
    kernels.smear(helix, cov, rng.normal(size=(n, 5)), measured)
    decays = np.isfinite(taken.end)
    species = np.where(decays & (taken.species == 211), 13, taken.species)  # the muon keeps the pion's direction
    parts = [Tracks(taken.event, rows, species, taken.charge, taken.momentum, taken.theta, measured, cov, counts,
                    _p_values(n, response, rng), decays & (taken.species == 321), innermost)]
    if background:
        parts.append(_background(bz, n_events, response, rng))
    return _in_order(parts, response, rng)


def _cloned(taken: Particles, bz: NDArray[np.float64], response: Response,
            rng: np.random.Generator) -> NDArray[np.bool_]:
    diameter = 2.0 * taken.pt / (CURVATURE_TO_PT * bz[taken.event])
    curls = diameter < response.tracker.radius[-1]
    t = response.tracking
    probability = np.where(curls, t.clone_probability_curler, t.clone_probability)
    cloned: NDArray[np.bool_] = rng.uniform(size=len(taken)) < probability
    return cloned


def _p_values(n: int, response: Response, rng: np.random.Generator) -> NDArray[np.float64]:
    """Flat, with a share near zero."""
    bad = rng.uniform(size=n) < response.tracker.p_value_bad
    return np.where(bad, 10.0 ** rng.uniform(-12.0, -2.0, n), rng.uniform(size=n))


def _background(bz: NDArray[np.float64], n_events: int, response: Response, rng: np.random.Generator) -> Tracks:
    """Tracks of no generated particle: beam background, fakes, secondaries of nuclear interactions."""
    t = response.tracking
    event = np.repeat(np.arange(n_events), rng.poisson(t.background_tracks, n_events))
    n = len(event)
    pt = 0.05 + rng.exponential(t.background_pt, n)
    theta = np.arccos(rng.uniform(np.cos(np.radians(response.tracker.theta_high_deg)),
                                  np.cos(np.radians(response.tracker.theta_low_deg)), n))
    charge = rng.choice(np.array([-1, 1]), n)
    species = rng.choice(_BACKGROUND_SPECIES, size=n, p=_BACKGROUND_SHARE)
    mass = np.select([species == 211, species == 2212], [0.13957, 0.93827], 0.000511)
    helix = np.stack([rng.laplace(0.0, t.background_d0 / np.sqrt(2.0), n), rng.uniform(-np.pi, np.pi, n),
                      charge * CURVATURE_TO_PT * bz[event] / pt,
                      rng.normal(0.0, t.background_z0, n), 1.0 / np.tan(theta)], axis=1)
    momentum = pt / np.sin(theta)
    first = np.maximum(np.abs(helix[:, 0]), rng.uniform(0.0, 10.0, n))
    cov, counts, innermost = track_errors(helix, momentum, mass, first=first, last=np.full(n, np.inf),
                                           response=response, rng=rng)
    return Tracks(event, np.full(n, -1), species, charge, momentum, theta, helix, cov, counts,
                  _p_values(n, response, rng), np.zeros(n, dtype=bool), innermost)


def _in_order(parts: list[Tracks], response: Response, rng: np.random.Generator) -> Tracks:
    """Those with enough hits, sorted by event and shuffled within it: the order must not tell the truth."""
    whole = {name: np.concatenate([getattr(p, name) for p in parts]) for name in Tracks.__dataclass_fields__}
    enough = whole["counts"][:, 1] + whole["counts"][:, 2] >= response.tracking.min_hits
    order = np.lexsort((rng.uniform(size=len(enough)), whole["event"]))
    order = order[enough[order]]
    helix = whole["helix"]
    helix[:, 1] = (helix[:, 1] + np.pi) % (2.0 * np.pi) - np.pi
    straight = np.abs(helix[:, 2]) < 1e-7  # keep away from infinite momentum
    helix[straight, 2] = np.where(helix[straight, 2] < 0, -1e-7, 1e-7)
    whole["charge"] = np.sign(helix[:, 2]).astype(np.int64)  # as measured
    return Tracks(**{name: values[order] for name, values in whole.items()})
