"""Tracks: which charged particles are found, with which helix, covariance and hits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.detector.arcs import find_second_arcs
from fei_lite.detector.particles import SPECIES, Particles, in_random_order, true_helix
from fei_lite.detector.response import Response
from fei_lite.kernels import detector as kernels

#: Number of the drift chamber in ``tracker.kind``.
_DRIFT = 3
#: Species of tracks of no particle: mostly pions, some electrons and protons. Assumed.
_BACKGROUND_SPECIES, _BACKGROUND_SHARE = np.array([211, 2212, 11]), np.array([0.6, 0.2, 0.2])


@dataclass(frozen=True)
class Tracks:
    """Found tracks, sorted by event, in random order within it.

    ``particle`` is the row in the particles (-1: of none); ``species`` the
    code without sign that the identification sees; ``momentum`` and ``theta``
    the true ones (GeV, rad; reconstructed where there is no particle). ``flown`` is the
    fraction of the way to the calorimeter that a kaon flies before it decays, 1 for all others.
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
    flown: NDArray[np.float64]
    innermost: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event)


def track_errors(
    helix: NDArray[np.float64], momentum: NDArray[np.float64], mass: NDArray[np.float64], *,
    first: NDArray[np.float64], last: NDArray[np.float64], response: Response, rng: np.random.Generator,
    unseen: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Covariances (n, 15) of helices (n, 5), hits (n, 3) in pixels, strips and drift chamber, radius of the first hit.

    Measurements and material between the radii ``first`` and ``last`` (n,), cm,
    are combined by a Kalman filter; hits are drawn by their efficiency. Inside the
    radius ``unseen`` (n,) there is material but no hits.
    """
    t = response.tracker
    n = len(helix)
    layers = np.stack([t.radius, t.material, t.kind, np.maximum(t.hits * t.hit_efficiency, 1e-9),
                       t.sigma_rphi, t.sigma_z], axis=1)
    low, high = np.radians(t.theta_low_deg), np.radians(t.theta_high_deg)
    limits = np.array([1.0 / np.tan(low), 1.0 / np.tan(high), t.z_forward, t.z_backward, t.scattering])
    n_hits = rng.binomial(t.hits.astype(np.int64), t.hit_efficiency, size=(n, len(t.radius)))
    if unseen is not None:
        n_hits = np.where(t.radius[None, :] < unseen[:, None], 0, n_hits)
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
    arcs, alone, arc_helix, arc_momentum = find_second_arcs(particles, rows, bz, response=response, rng=rng)
    cloned = rng.uniform(size=len(rows)) < response.tracking.clone_probability
    again = _second_arcs(particles, rows[arcs], arc_helix, arc_momentum, response, rng)
    rows = np.concatenate([np.delete(rows, arcs[alone]), rows[cloned]])
    parts = [_first_arcs(particles, rows, bz, response, rng), again]
    found = sum(len(p) for p in parts)
    fakes = rng.uniform(size=found) < response.tracking.fake_probability
    event = np.concatenate([p.event for p in parts])[fakes]
    if background:
        beams = np.repeat(np.arange(n_events), rng.poisson(response.tracking.background_tracks, n_events))
        event = np.concatenate([event, beams])
    parts.append(_of_no_particle(event.astype(np.int64), bz, response, rng))
    return _in_order(parts, response, rng)


def _first_arcs(particles: Particles, rows: NDArray[np.int64], bz: NDArray[np.float64], response: Response,
                rng: np.random.Generator) -> Tracks:
    """The tracks of the particles ``rows``, from their vertex outward."""
    taken = particles.take(rows)
    n = len(rows)
    helix = true_helix(taken, bz[taken.event])
    first = np.hypot(taken.vertex[:, 0], taken.vertex[:, 1])
    last = np.where(np.isnan(taken.end), np.inf, taken.end)
    cov, counts, innermost = track_errors(helix, taken.momentum, taken.mass, first=first, last=last, response=response,
                                          rng=rng)
    worse = np.where(rng.uniform(size=n) < response.tracker.tail_fraction, response.tracker.tail_scale**2, 1.0)
    cov *= worse[:, None]
    decays = taken.end > response.tracker.radius[response.decay.conversion_layers - 1]  # not on a nucleus
    species = np.where(decays & (taken.species == 211), 13, taken.species)  # the muon keeps the pion's direction
    flown = np.where(decays & (taken.species == 321), np.minimum(taken.end / response.calorimeter.radius, 1.0), 1.0)
    p_value = _p_values(taken.momentum, taken.mass, response.tracker.p_value_bad, response, rng)
    return Tracks(taken.event, rows, species, taken.charge, taken.momentum, taken.theta, _smeared(helix, cov, rng), cov,
                  counts, p_value, flown, innermost)


def _second_arcs(particles: Particles, rows: NDArray[np.int64], helix: NDArray[np.float64],
                 momentum: NDArray[np.float64], response: Response, rng: np.random.Generator) -> Tracks:
    """Tracks of the particles ``rows`` on their way back, taken for particles that leave the beam."""
    taken = particles.take(rows)
    n = len(rows)
    outer = rng.uniform(size=n) < response.tracking.second_arc_outer_fraction
    wall = response.tracker.radius[response.tracker.kind == _DRIFT].min()
    cov, counts, innermost = track_errors(helix, momentum, taken.mass, first=np.abs(helix[:, 0]),
                                          last=np.full(n, np.inf), response=response, rng=rng,
                                          unseen=np.where(outer, wall, 0.0))
    p_value = _p_values(momentum, taken.mass, response.tracker.p_value_bad_arc, response, rng)
    failed = (p_value < 0.01)[:, None]
    cov *= np.where(failed, response.tracking.second_arc_scale**2, 1.0)
    true_cov = cov * np.where(failed, response.tracking.second_arc_pull**2, 1.0)
    counts[(counts[:, 1] == 0) & (counts[:, 2] < response.tracking.second_arc_min_hits)] = 0  # dropped later
    return Tracks(taken.event, rows, taken.species, -taken.charge, momentum, np.arctan2(1.0, helix[:, 4]),
                  _smeared(helix, true_cov, rng), cov, counts, p_value, np.ones(n), innermost)


def _smeared(helix: NDArray[np.float64], cov: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    measured = np.empty_like(helix)
    kernels.smear(np.ascontiguousarray(helix), cov, rng.normal(size=helix.shape), measured)
    return measured


def _p_values(momentum: NDArray[np.float64], mass: NDArray[np.float64], bad: float, response: Response,
              rng: np.random.Generator) -> NDArray[np.float64]:
    """P-values of fits with the pion's mass: a normal deviate of the chi2, shifted; a fraction ``bad`` near zero.

    The energy loss that the fit corrects for is wrong in proportion to the difference of 1 / beta^2,
    and what it does to the curvature falls as 1 / p.
    """
    t = response.tracker
    heavier = np.maximum(mass**2 - SPECIES[211][0] ** 2, 0.0)  # 1 / beta^2 is 1 + (m / p)^2
    excess = heavier / np.maximum(momentum, 0.05) ** 3
    deviate = rng.normal(size=len(mass)) + t.p_value_shift + np.minimum(t.p_value_mass * excess, 6.0)
    failed = rng.uniform(size=len(mass)) < bad
    return np.where(failed, 10.0 ** rng.uniform(-12.0, -2.0, len(mass)), ndtr(-deviate))


def _of_no_particle(event: NDArray[np.int64], bz: NDArray[np.float64], response: Response,
                    rng: np.random.Generator) -> Tracks:
    """Tracks in the events ``event`` (n,) that are of no generated particle: of hits of several, or of the beams."""
    t = response.tracking
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
                  _p_values(momentum, mass, response.tracker.p_value_bad_arc, response, rng), np.ones(n), innermost)


def _in_order(parts: list[Tracks], response: Response, rng: np.random.Generator) -> Tracks:
    """Those with enough hits, sorted by event and shuffled within it."""
    whole = {name: np.concatenate([getattr(p, name) for p in parts]) for name in Tracks.__dataclass_fields__}
    enough = whole["counts"][:, 1] + whole["counts"][:, 2] >= response.tracking.min_hits
    order = in_random_order(whole["event"], rng)
    order = order[enough[order]]
    helix = whole["helix"]
    helix[:, 1] = (helix[:, 1] + np.pi) % (2.0 * np.pi) - np.pi
    straight = np.abs(helix[:, 2]) < 1e-7  # keep away from infinite momentum
    helix[straight, 2] = np.where(helix[straight, 2] < 0, -1e-7, 1e-7)
    whole["charge"] = np.sign(helix[:, 2]).astype(np.int64)  # as measured
    return Tracks(**{name: values[order] for name, values in whole.items()})
