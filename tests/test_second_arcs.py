"""What tracks are made of: second arcs of curlers, nuclear interactions, decays of kaons, tracks of no particle."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
from scipy import stats

from fei_lite.detector.arcs import far_helix, mean_loss, reversed_arc, turns_inside
from fei_lite.detector.decays import KAON_MODES, decays_in_flight, three_body
from fei_lite.detector.nuclear import interaction_depths
from fei_lite.detector.particles import SPECIES, Particles, true_helix
from fei_lite.detector.response import Response, default_response, parse_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.events import schema
from fei_lite.events.batch import EventBatch, concatenate
from fei_lite.generator.generate import generate
from fei_lite.production.gun import particle_gun

RESPONSE = default_response()
TEXT = files("fei_lite.detector").joinpath("response.toml").read_text(encoding="utf-8")
BZ = 1.5


def changed(**values: float | list) -> Response:
    """The shipped response with other values of some keys."""
    lines = [f"{key} = {values[key]}" if (key := line.partition(" =")[0]) in values else line
             for line in TEXT.splitlines()]
    return parse_response("\n".join(lines))


def particles(pdg: int, n: int, seed: int, *, pt: tuple[float, float], slope: float = 0.5,
              spread: float = 0.5) -> Particles:
    """Particles of both charges from within ``spread`` cm of the origin."""
    rng = np.random.default_rng(seed)
    size, phi = rng.uniform(*pt, n), rng.uniform(-np.pi, np.pi, n)
    p3 = size[:, None] * np.stack([np.cos(phi), np.sin(phi), rng.uniform(-slope, slope, n)], axis=1)
    zero = np.zeros(n, dtype=np.int64)
    return Particles(zero, np.arange(n), rng.choice([-pdg, pdg], n), p3, rng.normal(0.0, spread, (n, 3)),
                     np.zeros(n), np.full(n, np.nan))


def centre(helix: np.ndarray) -> np.ndarray:
    """Centre of the transverse circle, from the definition of the perigee."""
    d0, phi0, omega = helix[:, :3].T
    x, y = d0 * np.sin(phi0), -d0 * np.cos(phi0)
    return np.stack([x + np.sin(phi0) / omega, y - np.cos(phi0) / omega], axis=1)


def test_second_arc_without_material_is_the_true_helix_reversed():
    """Catches wrong signs of the reversal: same |omega|, opposite charge, perigee on the true circle, direction
    against the true one, z a full turn later."""
    empty = changed(material=[1e-12] * len(RESPONSE.tracker.radius), loss_gas=0.0)
    made = particles(211, 500, 1, pt=(0.09, 0.26))
    truth = true_helix(made, np.full(500, BZ))
    helix, momentum = far_helix(made, np.full(500, BZ), empty, np.random.default_rng(2))
    back = reversed_arc(helix)
    assert np.allclose(momentum, made.momentum, rtol=1e-6)
    assert np.allclose(back[:, 2], -truth[:, 2], rtol=1e-5)
    point = np.stack([back[:, 0] * np.sin(back[:, 1]), -back[:, 0] * np.cos(back[:, 1])], axis=1)
    assert np.allclose(np.linalg.norm(point - centre(truth), axis=1), 1.0 / np.abs(truth[:, 2]), rtol=1e-5)
    assert np.allclose(centre(back), centre(truth), atol=1e-3)
    assert np.allclose(np.cos(back[:, 1] - truth[:, 1]), -1.0, atol=1e-6)
    turn = 2.0 * np.pi * made.p3[:, 2] / (0.00299792458 * BZ)  # a full turn: 2 pi pz / (B c)
    assert np.allclose(back[:, 3] - truth[:, 3], turn, atol=2e-2)
    assert np.allclose(back[:, 4], -truth[:, 4], atol=1e-5)


def test_reversed_arc_passes_the_points_of_the_true_one():
    """Catches a helix that is right at its perigee only: both pass the far point, at the same height."""
    truth = true_helix(particles(13, 200, 3, pt=(0.1, 0.2)), np.full(200, BZ))
    back = reversed_arc(truth)
    for helix, sign in ((truth, 1.0), (back, -1.0)):
        far = np.stack([-(helix[:, 0] + 2 / helix[:, 2]) * -np.sin(helix[:, 1]),
                        -(helix[:, 0] + 2 / helix[:, 2]) * np.cos(helix[:, 1]),
                        helix[:, 3] + np.pi / np.abs(helix[:, 2]) * helix[:, 4]], axis=1)
        if sign > 0:
            first = far
    assert np.allclose(first, far, atol=1e-9)


def test_energy_loss_on_the_way_out_is_the_sum_of_the_layers():
    """Catches layers counted twice or not at all: a fast muon at 90 degrees loses loss * sum(material) + gas."""
    made = particles(13, 50, 4, pt=(0.35, 0.36), slope=1e-6, spread=1e-6)
    response = changed(scattering=0.0)
    helix, momentum = far_helix(made, np.full(50, BZ), response, np.random.default_rng(5))
    t = response.tracker
    half = 0.5 * t.radius * 0.00299792458 * BZ / made.pt[:, None]
    arc = np.max(2.0 * np.arcsin(half) / (0.00299792458 * BZ / made.pt[:, None]), axis=1)
    expected = t.loss * np.sum(t.material / np.sqrt(1 - half**2), axis=1) + t.loss_gas * arc
    lost = np.hypot(made.momentum, SPECIES[13][0]) - np.hypot(momentum, SPECIES[13][0])
    relative = mean_loss(made.momentum, made.mass)
    assert np.allclose(lost, expected * relative, rtol=0.02)
    assert np.allclose(np.abs(helix[:, 2]), 0.00299792458 * BZ / momentum, rtol=1e-6)


def test_mean_loss_is_that_of_bethe():
    """Catches a slip in the formula: Bethe's with the PDG's constants for silicon, in MeV cm2 / g (1.664 at least)."""
    bg = np.array([0.6, 1.0, 2.0, 3.5])
    beta2 = bg**2 / (1 + bg**2)
    bethe = 0.307075 * 0.49848 / beta2 * (np.log(2 * 510998.95 * bg**2 / 173.0) - beta2)
    assert mean_loss(0.13957 * bg, np.full(4, 0.13957)) == pytest.approx(bethe / 1.664, rel=0.03)  # 2 %: density effect


def test_only_what_turns_in_the_drift_chamber_has_a_second_arc():
    """Catches curlers that leave the chamber: by radius, by either end, or too near to the beam."""
    rows = np.array([[0.0, 0.3, 1 / 40.0, 0.0, 0.1], [0.0, 0.3, -1 / 70.0, 0.0, 0.1], [0.0, 0.3, 1 / 40.0, 0.0, 1.5],
                     [0.0, 0.3, 1 / 40.0, 0.0, -1.0], [0.0, 0.3, 1 / 10.0, 0.0, 0.1]])
    assert turns_inside(rows, RESPONSE).tolist() == [True, False, False, False, False]


@pytest.fixture(scope="module")
def events() -> EventBatch:
    """B+B- and B0 anti-B0 events without beam background, as in the mDST files."""
    rng = np.random.default_rng(6)
    made = [batch for process in ("charged", "mixed") for batch in generate(process, 700, seed=7)]
    return concatenate([simulate_detector(batch, rng=rng, background=False) for batch in made])


def opposite(batch: EventBatch) -> tuple[np.ndarray, np.ndarray]:
    """Of matched tracks: whether the charge is that of the particle reversed, and the true pT."""
    g, t = batch.generated, batch.tracks
    matched = t["mc_index"] >= 0
    row = t["mc_index"][matched] + g.offsets[t.event_index[matched]]
    charge = np.array([SPECIES[abs(code)][1] * np.sign(code) if abs(code) in SPECIES else np.sign(code)
                       for code in g["pdg"][row].tolist()])
    return charge == -t["charge"][matched], np.hypot(g["p4"][row, 0], g["p4"][row, 1])


def test_opposite_charges_at_the_rate_of_the_full_simulation(events):
    """Catches second arcs at another rate: 5.4 % of the tracks of 130 mDST events (79 of 1460), 12 to 16 %
    below 0.2 GeV, none above 1 GeV; intervals of 95 %, tracks of an event as independent."""
    wrong, pt = opposite(events)
    interval = stats.binomtest(79, 1460).proportion_ci(0.95)
    assert interval.low < wrong.mean() < interval.high
    soft = (pt > 0.1) & (pt < 0.2)
    assert 0.10 < wrong[soft].mean() < 0.18
    assert wrong[pt > 1.0].mean() < 0.005


def test_tracks_of_no_particle_at_the_rate_of_the_full_simulation(events):
    """Catches beam background where there is none: 0.2 an event in 130 mDST events (26: 0.13 to 0.29)."""
    unmatched = np.count_nonzero(events.tracks["mc_index"] < 0) / events.n_events
    low, high = stats.chi2.ppf([0.025, 0.975], [2 * 26, 2 * 27]) / 2.0 / 130.0
    assert low < unmatched < high


def test_second_arcs_miss_the_vertex_by_a_centimetre(events):
    """Catches arcs that pass the vertex: the median of |d0| is 0.9 cm in the full simulation (all particles)."""
    t = events.tracks
    matched = t["mc_index"] >= 0
    d0 = np.abs(t["helix"][matched, 0][opposite(events)[0]])
    assert 0.4 < np.median(d0) < 1.8


def test_interactions_follow_the_material():
    """Catches a wrong layer sum: 1 - exp(-sum) of pions at 90 degrees have an end, and the rate is that of the file."""
    n = 20000
    response = changed(ctau_pi=1e9, second_arc_probability=0.0)
    shot = particle_gun(211, n, rng=np.random.default_rng(8), momentum=(3.0, 3.0), theta_deg=(88, 92))
    batch = simulate_detector(shot, response, rng=np.random.default_rng(9), background=False)
    depth = response.nuclear.per_radiation_length * response.tracker.material[:response.decay.conversion_layers].sum()
    g = batch.generated
    made = g["status"] & schema.STATUS["primary"] == 0
    ended = len(np.unique(g["mother"][made] + g.offsets[g.event_index[made]]))
    n_products = response.nuclear.protons
    seen = 1.0 - (1.0 - response.nuclear.scattered_fraction) * np.exp(-n_products)  # at least one product
    expected = n * (1.0 - np.exp(-depth)) * seen
    assert ended == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.02 * expected)


def test_depths_of_a_curler_stop_where_it_turns():
    """Catches layers beyond the farthest point: pT = 0.02 GeV turns at 8.9 cm."""
    made = particles(211, 1, 10, pt=(0.02, 0.0200001), slope=1e-6, spread=1e-6)
    depth, path = interaction_depths(made, np.full(1, BZ), RESPONSE)
    radius = RESPONSE.tracker.radius[:RESPONSE.decay.conversion_layers]
    crossed = np.diff(depth[0], prepend=0.0) > 0
    assert crossed.tolist() == (radius < 2 * 0.02 / (0.00299792458 * BZ)).tolist()
    assert path[0, 0] == pytest.approx(radius[0], rel=0.01)


def test_kaons_decay_into_all_modes_and_conserve_four_momentum():
    """Catches wrong boosts and signs: charge and four-momentum of each kaon's products, and the modes' fractions."""
    n = 40000
    made = particles(321, n, 11, pt=(0.4, 0.8))
    shifted = Particles(np.arange(n), np.zeros(n, dtype=np.int64), *(getattr(made, f) for f in (
        "pdg", "p3", "vertex", "time", "end")))
    after, new = decays_in_flight(shifted, np.full(n, BZ), RESPONSE, np.random.default_rng(12))
    ended = np.flatnonzero(np.isfinite(after.end))
    total = np.zeros((n, 4))
    np.add.at(total, new.event, new.p4)
    charge = np.zeros(n)
    unit = {11: -1, 13: -1, 211: 1}
    np.add.at(charge, new.event, [unit.get(abs(code), 0) * np.sign(code) for code in new.pdg.tolist()])
    assert np.allclose(total[ended, 3], np.hypot(made.momentum[ended], SPECIES[321][0]), atol=1e-9)
    assert np.allclose(total[ended, 2], made.p3[ended, 2], atol=1e-9)
    assert np.array_equal(charge[ended], np.sign(made.pdg[ended]))
    count = np.bincount(new.event, minlength=n)[ended]
    muons = np.bincount(new.event, np.abs(new.pdg) == 13, minlength=n)[ended]
    fraction = RESPONSE.decay.branching_K / RESPONSE.decay.branching_K.sum()
    expected = fraction[0] * len(ended)
    assert np.count_nonzero((count == 2) & (muons == 1)) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert len(KAON_MODES) == len(fraction)


def test_three_bodies_fill_the_dalitz_plot_evenly():
    """Catches a missing factor of phase space: flat in the two squared masses (chi2 over cells inside)."""
    first, second, third = three_body(np.full(60000, 0.493677), (0.13957,) * 3, np.random.default_rng(13))
    for left, right in ((first, second), (second, third)):
        square = (left + right)[:, 3] ** 2 - np.sum((left + right)[:, :3] ** 2, axis=1)
        assert square.min() > (2 * 0.13957) ** 2 - 1e-9
    masses = [pair[:, 3] ** 2 - np.sum(pair[:, :3] ** 2, axis=1) for pair in (first + second, second + third)]
    inner = [np.linspace(0.09, 0.108, 4)] * 2  # inside the contour
    counts = np.histogram2d(*masses, bins=inner)[0]
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3
