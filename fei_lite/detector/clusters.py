"""Calorimeter clusters: photons, charged particles and their split-offs, neutral hadrons, beam background."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fei_lite.detector.particles import Particles, in_random_order, true_helix
from fei_lite.detector.response import Response
from fei_lite.detector.surface import (
    GAP_BACKWARD,
    GAP_FORWARD,
    cartesian,
    helix_impact,
    region,
    spherical,
    straight_impact,
    surface_distance,
)
from fei_lite.detector.tracks import Tracks
from fei_lite.events.batch import Jagged, offsets_of
from fei_lite.kernels import detector as kernels

Array = NDArray[np.float64]

_PHOTON, _HADRON = 0, 1


@dataclass(frozen=True)
class Deposits:
    """What reaches the calorimeter: energy (GeV) before smearing, place (cm), and what it is.

    ``index`` is the generated particle (-1: none), ``shape`` photon- or hadron-like, ``late`` out of time.
    """

    event: NDArray[np.int64]
    index: NDArray[np.int64]
    energy: Array
    point: Array
    shape: NDArray[np.int64]
    is_track: NDArray[np.bool_]
    is_photon: NDArray[np.bool_]
    late: NDArray[np.bool_]

    def take(self, rows: NDArray) -> Deposits:
        """The deposits of a mask or an index array."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Deposits(*(getattr(self, f.name).take(rows, axis=0) for f in fields(self)))


def _deposits(source: Particles, energy: Array, point: Array, *, shape: int, is_track: NDArray | bool = False,
              is_photon: NDArray | bool = True) -> Deposits:
    n = len(source)
    return Deposits(source.event, source.index, energy, point, np.full(n, shape), np.broadcast_to(is_track, n),
                    np.broadcast_to(is_photon, n), np.zeros(n, dtype=bool))


def charged_impact(particles: Particles, bz: Array, response: Response) -> Array:
    """Where charged particles meet the calorimeter (n, 3); NaN for others and for those that end before."""
    points = np.full((len(particles), 3), np.nan)
    rows = np.flatnonzero((particles.charge != 0) & np.isnan(particles.end))
    charged = particles.take(rows)
    points[rows] = helix_impact(true_helix(charged, bz[charged.event]), response)
    return points


def make_clusters(particles: Particles, tracks: Tracks, track_offsets: NDArray[np.int64], impact: Array, *,
                  response: Response, rng: np.random.Generator, background: bool = True) -> Jagged:
    """The calorimeter clusters of a batch as columns of the event schema; ``impact`` of :func:`charged_impact`."""
    n_events = len(track_offsets) - 1
    tracked = np.zeros(len(particles), dtype=bool)
    tracked[tracks.particle[tracks.particle >= 0]] = True
    parts = [_photons(particles, response, rng), _charged(particles, impact, tracked, response, rng),
             _split_offs(particles, impact, tracked, response, rng), _neutral_hadrons(particles, response, rng)]
    if background:
        parts.append(_background(n_events, response, rng))
    whole = Deposits(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Deposits)))
    columns, event = _measured(whole.take(in_random_order(whole.event, rng)), response, rng)
    clusters = Jagged(offsets_of(np.bincount(event, minlength=n_events)), columns)
    columns["min_track_distance"] = track_distance(clusters, tracks.helix, tracks.event, response)
    return clusters


def track_distance(clusters: Jagged, helix: Array, event: NDArray[np.integer], response: Response) -> NDArray:
    """Distance (n_clusters,) in cm of clusters to the nearest place where a track of their event meets the calorimeter.

    ``helix`` (n_tracks, 5) and ``event`` are the tracks', sorted by event. NaN where no track gets there.
    """
    points = cartesian(*(clusters[name].astype(np.float64) for name in ("theta", "phi", "r")))
    reached = helix_impact(helix, response)
    good = np.isfinite(reached[:, 0])
    targets = offsets_of(np.bincount(event[good], minlength=len(clusters.counts)))
    distance = np.empty(len(clusters))
    kernels.nearest_distance(points, clusters.offsets, reached[good], targets, distance)
    return distance.astype(np.float32)


def _photons(particles: Particles, response: Response, rng: np.random.Generator) -> Deposits:
    c = response.calorimeter
    photons = particles.take((particles.species == 22) & np.isnan(particles.end)
                             & (particles.momentum > c.threshold))
    point = straight_impact(photons.vertex, photons.p3, radius=c.radius, z_forward=c.z_forward,
                            z_backward=c.z_backward)
    energy = photons.momentum
    where = region(spherical(point)[0], response)
    efficiency = np.interp(np.log(energy), np.log(c.energy), c.photon_efficiency)
    efficiency *= np.select([where == 0, where > 10], [0.0, c.gap_efficiency], _by_region(where, c.region_efficiency))
    seen = rng.uniform(size=len(energy)) < efficiency
    lost = np.where(rng.uniform(size=len(energy)) < c.loss_fraction,
                    rng.exponential(c.loss_energy, len(energy)), 0.0)
    seen &= energy - lost > 0.5 * c.threshold  # what smearing may lift above the threshold
    return _deposits(photons, np.maximum(energy - lost, 1e-3), point, shape=_PHOTON).take(seen)


def _charged(particles: Particles, impact: Array, tracked: NDArray[np.bool_], response: Response,
             rng: np.random.Generator) -> Deposits:
    """Showers of electrons, minimum-ionising muons, hadrons of either kind."""
    c = response.charged_cluster
    rows = np.flatnonzero(np.isfinite(impact[:, 0]))
    charged, kind, n = particles.take(rows), particles.charged_kind[rows], len(rows)
    showers = (kind >= 2) & (rng.uniform(size=n) < c.shower_probability)
    energy = rng.normal(c.mip_energy, c.mip_width, n)
    energy = np.where(showers, energy + rng.exponential(c.shower_fraction, n) * charged.momentum, energy)
    energy = np.where(kind == 0, charged.momentum, energy)
    total = np.hypot(charged.momentum, charged.mass)
    energy = np.minimum(np.maximum(energy, 0.03), total)
    seen = rng.uniform(size=n) < c.match[kind]
    seen &= region(spherical(impact[rows])[0], response) > 0
    shape = np.where(kind == 0, _PHOTON, _HADRON)
    photon_like = (kind == 0) | (rng.uniform(size=n) < 1.0 - c.bad_photon_share)
    made = _deposits(charged, energy, impact[rows], shape=_HADRON, is_track=tracked[rows], is_photon=photon_like)
    return Deposits(**{**{f.name: getattr(made, f.name) for f in fields(made)}, "shape": shape}).take(seen)


def _split_offs(particles: Particles, impact: Array, tracked: NDArray[np.bool_], response: Response,
                rng: np.random.Generator) -> Deposits:
    """More clusters of a shower, some way from the track; a fraction of them is matched to it all the same."""
    c = response.charged_cluster
    reached = np.flatnonzero(np.isfinite(impact[:, 0]))
    reached = reached[region(spherical(impact[reached])[0], response) > 0]
    number = rng.poisson(c.split_off[particles.charged_kind[reached]])
    rows = np.repeat(reached, number)
    n = len(rows)
    theta, phi, r = spherical(impact[rows])
    away, turn = rng.exponential(c.split_distance, n) / r, rng.uniform(-np.pi, np.pi, n)
    theta = np.abs(theta + away * np.cos(turn))
    phi = phi + away * np.sin(turn) / np.maximum(np.sin(theta), 0.1)
    point = cartesian(theta, phi, surface_distance(theta, response))
    energy = response.calorimeter.threshold + rng.exponential(c.split_energy, n)
    source = particles.take(rows)
    seen = (region(theta, response) > 0) & (energy < source.momentum)
    joined = tracked[rows] & (rng.uniform(size=n) < c.split_matched)
    return _deposits(source, energy, point, shape=_HADRON, is_track=joined,
                     is_photon=rng.uniform(size=n) > c.bad_photon_share).take(seen)


def _neutral_hadrons(particles: Particles, response: Response, rng: np.random.Generator) -> Deposits:
    c = response.calorimeter
    kind = np.select([particles.pdg == 2112, particles.pdg == -2112, particles.species == 130], [0, 1, 2], -1)
    rows = np.flatnonzero(kind >= 0)
    hadrons, kind = particles.take(rows), kind[rows]
    point = straight_impact(hadrons.vertex, hadrons.p3, radius=c.radius, z_forward=c.z_forward,
                            z_backward=c.z_backward)
    energy = c.threshold + rng.exponential(size=len(rows)) * response.neutral_hadron.energy[kind]
    annihilates = np.where(kind == 1, 2.0 * 0.93957, 0.0)
    energy = np.minimum(energy, np.hypot(hadrons.momentum, hadrons.mass) - np.where(kind == 0, 0.9396, 0.0)
                        + annihilates)
    seen = (rng.uniform(size=len(rows)) < response.neutral_hadron.probability[kind]) & (energy > c.threshold)
    seen &= region(spherical(point)[0], response) > 0
    return _deposits(hadrons, energy, point, shape=_HADRON).take(seen)


def _background(n_events: int, response: Response, rng: np.random.Generator) -> Deposits:
    """Clusters of the beams: soft, mostly backward, out of time."""
    b = response.background_clusters
    event = np.repeat(np.arange(n_events), rng.poisson(b.mean, n_events))
    n = len(event)
    energy = np.interp(rng.uniform(size=n), b.energy_cumulative, b.energy)
    theta = np.arccos(np.interp(rng.uniform(size=n), b.cos_theta_cumulative, b.cos_theta))
    point = cartesian(theta, rng.uniform(-np.pi, np.pi, n), surface_distance(theta, response))
    yes, no = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    return Deposits(event, np.full(n, -1), energy, point, np.full(n, _PHOTON), no, yes, yes)


def energy_error(energy: Array, where: NDArray[np.int8], response: Response) -> Array:
    """Standard deviation (GeV) of a photon's energy: ``energy`` in GeV, ``where`` its region."""
    return _barrel_error(energy, response) * _by_region(where, response.calorimeter.region_energy)


def _barrel_error(energy: Array, response: Response) -> Array:
    c = response.calorimeter
    relative = np.interp(np.log(np.maximum(energy, 1e-6)), np.log(c.energy), c.energy_resolution)
    return np.asarray(relative * energy)


#: Place in arrays of forward, barrel, backward by region; 1 where there is none.
_PLACE = np.array([{1: 0, 3: 2}.get(code % 10, 1) for code in range(max(GAP_FORWARD, GAP_BACKWARD) + 1)])


def _by_region(where: NDArray[np.int8], scales: Array) -> Array:
    """Gaps resolve as the endcap beside them."""
    return np.asarray(scales[_PLACE[where]])


def smeared_energy(energy: Array, where: NDArray[np.int8], normal: Array, response: Response) -> Array:
    """Measured energies with (measured - true) / energy_error(measured) = ``normal`` exactly.

    The stored error depends on the measured energy only, so that it tells
    nothing of the true one, and yet the pull is normal.
    """
    measured, scale = energy, normal * _by_region(where, response.calorimeter.region_energy)
    for _ in range(5):  # contracts by about the relative resolution each time
        measured = np.maximum(energy + scale * _barrel_error(measured, response), 0.2 * energy)
    return measured


def _measured(d: Deposits, response: Response, rng: np.random.Generator) -> tuple[dict[str, NDArray], NDArray]:
    """Columns of the schema (but the track distance), and the event of each row."""
    c = response.calorimeter
    n = len(d.event)
    theta, phi, _ = spherical(d.point)
    where = region(theta, response)
    energy = smeared_energy(d.energy, where, np.clip(rng.normal(size=n), -6.0, 6.0), response)
    log_e, knots = np.log(energy), np.log(c.energy)
    theta_error = np.interp(log_e, knots, c.theta_resolution) * _by_region(where, c.region_theta)
    phi_error = np.interp(log_e, knots, c.phi_resolution) * _by_region(where, c.region_phi)
    theta = np.abs(theta + theta_error * rng.normal(size=n))
    phi = (phi + phi_error * rng.normal(size=n) + np.pi) % (2.0 * np.pi) - np.pi
    seen = region(theta, response)
    window = np.interp(log_e, knots, c.timing_error) * np.exp(rng.normal(0.0, 0.25, n))
    hadronic = d.shape == _HADRON
    spread = window / c.timing_core * np.where(hadronic, c.hadron_timing, 1.0)
    time = np.where(d.late, rng.normal(0.0, response.background_clusters.timing_spread, n), rng.normal(size=n) * spread)
    slow = hadronic & (rng.uniform(size=n) < c.hadron_late_fraction)
    time = time + np.where(slow, rng.exponential(c.hadron_late, n), 0.0)
    spilled = rng.exponential(size=n) * np.where(hadronic, c.e9e21_hadron, c.e9e21_photon)
    one = np.interp(log_e, knots, c.e9e21_one_fraction) * np.where(hadronic, c.hadron_one_fraction, 1.0)
    concentration = np.where(rng.uniform(size=n) < one, 1.0, 1.0 - spilled)
    columns = {
        "E": energy, "theta": theta, "phi": phi, "r": surface_distance(theta, response),
        "E_error": energy_error(energy, where, response), "theta_error": theta_error, "phi_error": phi_error,
        "region": np.where(seen > 0, seen, where),
        "n_hits": _crystals(energy, hadronic, response, rng), "E9E21": np.clip(concentration, 0.0, 1.0),
        "timing": time, "timing_error": window, "is_track": d.is_track, "is_photon": d.is_photon, "mc_index": d.index,
    }
    stored = {"region": np.int8, "is_track": np.int8, "is_photon": np.int8, "mc_index": np.int32}
    return {name: values.astype(stored.get(name, np.float32)) for name, values in columns.items()}, d.event


def _crystals(energy: Array, hadronic: NDArray[np.bool_], response: Response, rng: np.random.Generator) -> Array:
    """Number of crystals: whole, but for clusters that share crystals with a neighbour; stored in steps."""
    c = response.calorimeter
    mean = np.where(hadronic, *(np.interp(np.log(energy), np.log(c.energy), knots)
                                for knots in (c.crystals_hadron, c.crystals)))
    spread = np.sqrt(mean) * np.where(hadronic, c.crystals_spread[1], c.crystals_spread[0])
    number = np.maximum(mean + spread * rng.normal(size=len(energy)), 1.0)
    shares = rng.uniform(size=len(energy)) < c.crystals_shared_fraction
    return np.asarray(np.rint(np.where(shares, number, np.rint(number)) / c.crystals_step) * c.crystals_step)
