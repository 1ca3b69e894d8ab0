"""The parametric detector: pulls, efficiencies, conservation laws, errors of the response file."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from fei_lite.detector.clusters import energy_error, smeared_energy
from fei_lite.detector.particles import SPECIES
from fei_lite.detector.response import Response, default_response, load_response, parse_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.detector.surface import helix_impact, straight_impact
from fei_lite.detector.tracks import track_errors
from fei_lite.errors import SimulationError
from fei_lite.events import schema
from fei_lite.events.batch import EventBatch
from fei_lite.events.checks import clean
from fei_lite.generator.beams import Beams
from fei_lite.production.gun import particle_gun
from fei_lite.reconstruction.kinematics import helix_from_cartesian

RESPONSE = default_response()
TEXT = files("fei_lite.detector").joinpath("response.toml").read_text(encoding="utf-8")
DIAGONAL = (0, 5, 9, 12, 14)


def changed(**values: float | list) -> Response:
    """The shipped response with other values of some keys (each stands once in the file)."""
    lines = []
    for line in TEXT.splitlines():
        key = line.partition(" =")[0]
        lines.append(f"{key} = {values[key]}" if key in values else line)
    return parse_response("\n".join(lines))


#: No nuclear interactions, no second arcs, no clones, no tracks of mixed hits: one track per particle.
SINGLE = {"per_radiation_length": 0.0, "second_arc_probability": 0.0, "clone_probability": 0.0, "fake_probability": 0.0}
PLAIN = changed(**SINGLE)


def gun(pdg: int, n: int, seed: int, *, background: bool = False, response: Response = PLAIN,
        **settings) -> EventBatch:
    rng = np.random.default_rng(seed)
    return simulate_detector(particle_gun(pdg, n, rng=rng, **settings), response, rng=rng, background=background)


def matched(batch: EventBatch, name: str):
    objects = getattr(batch, name)
    index = objects["mc_index"]
    return np.where(index >= 0, index + batch.generated.offsets[objects.event_index], -1)


def helix_pulls(batch: EventBatch) -> np.ndarray:
    """(measured - true) / stored error of tracks matched to a particle of the generator."""
    g, t = batch.generated, batch.tracks
    row = matched(batch, "tracks")
    good = (row >= 0) & (g["status"][row] & 1 == 1)
    row = row[good]
    charge = np.array([SPECIES[abs(c)][1] * np.sign(c) for c in g["pdg"][row].tolist()])
    truth = helix_from_cartesian(g["p4"][row, :3], g["vertex"][row], charge=charge, bz=1.5)
    difference = t["helix"][good] - truth
    difference[:, 1] = (difference[:, 1] + np.pi) % (2 * np.pi) - np.pi
    return difference / np.sqrt(t["helix_cov"][good][:, DIAGONAL])


@pytest.mark.parametrize(("pdg", "momentum"), [(211, (0.1, 3.0)), (321, (0.3, 3.0)), (13, (0.6, 4.0))])
def test_pulls_of_all_helix_parameters(pdg, momentum):
    """Catches: helix signs, a covariance that is not the one smeared with, wrong packing, biased tails."""
    pulls = helix_pulls(gun(pdg, 6000, 1, momentum=momentum, per_event=4))
    assert len(pulls) > 15000
    assert np.abs(pulls.mean(axis=0)).max() < 0.02
    assert np.abs(pulls.std(axis=0) - 1.0).max() < 0.05


def test_pulls_are_decorrelated_by_the_covariance():
    """Catches wrong signs of correlations: chi2 with the full matrix must have 5 degrees of freedom."""
    batch = gun(211, 4000, 2, momentum=(0.2, 2.0), per_event=2)
    g, t = batch.generated, batch.tracks
    row = matched(batch, "tracks")
    good = (row >= 0) & (g["status"][row] & 1 == 1)
    charge = np.sign(g["pdg"][row[good]])
    truth = helix_from_cartesian(g["p4"][row[good], :3], g["vertex"][row[good]], charge=charge, bz=1.5)
    d = t["helix"][good] - truth
    d[:, 1] = (d[:, 1] + np.pi) % (2 * np.pi) - np.pi
    full = np.empty((len(d), 5, 5))
    upper = np.triu_indices(5)
    full[:, upper[0], upper[1]] = t["helix_cov"][good]
    full[:, upper[1], upper[0]] = t["helix_cov"][good]
    assert (np.linalg.eigvalsh(full / np.sqrt(np.einsum("nii,njj->nij", full, full))) > 0).all()
    chi2 = np.einsum("ni,ni->n", d, np.linalg.solve(full, d[..., None])[..., 0])
    assert stats.kstest(stats.chi2.sf(chi2, 5), "uniform").pvalue > 1e-3


def test_errors_of_a_single_layer_pair_follow_the_lever_arm():
    """Catches errors of the Kalman filter: two layers and no scattering give a closed form."""
    near, far, sigma = RESPONSE.tracker.radius[4], RESPONSE.tracker.radius[6], RESPONSE.tracker.sigma_z[4]
    text = TEXT.replace("scattering = 0.0136", "scattering = 0.0").replace("hit_efficiency = [0.0, 0.90, 0.90",
                                                                           "hit_efficiency = [0.0, 1.0, 1.0")
    line = next(x for x in text.splitlines() if x.startswith("hit_efficiency"))
    bare = line.replace("0.97, 0.97, 0.97, 0.97", "0.0, 1.0, 0.0, 1.0").replace("1.0, 1.0, 0.0", "0.0, 0.0, 0.0", 1)
    bare = bare.replace("0.85", "0.0")
    response = parse_response(text.replace(line, bare))
    helix = np.array([[0.0, 0.3, 1e-6, 0.0, 0.5]])
    cov, counts, _ = track_errors(helix, np.array([10.0]), np.array([0.14]), first=np.zeros(1), last=np.full(1, np.inf),
                               response=response, rng=np.random.default_rng(1))
    assert counts.tolist() == [[0, 4, 0]]
    lever = far - near
    assert np.sqrt(cov[0, 14]) == pytest.approx(np.sqrt(2) * sigma / lever, rel=1e-3)
    assert np.sqrt(cov[0, 12]) == pytest.approx(sigma * np.hypot(near, far) / lever, rel=1e-3)
    assert cov[0, 13] < 0  # z0 rises where tan lambda falls


def test_errors_shrink_with_momentum_and_hits():
    """Catches swapped layers: more momentum, or vertex hits, must measure the vertex better."""
    helix = np.array([[0.0, 0.0, 0.00449688 / pt, 0.0, 0.3] for pt in (0.15, 0.5, 2.0, 2.0)])
    first = np.array([0.0, 0.0, 0.0, 15.0])
    cov, counts, _ = track_errors(helix, np.array([0.15, 0.5, 2.0, 2.0]), np.full(4, 0.14), first=first,
                               last=np.full(4, np.inf), response=RESPONSE, rng=np.random.default_rng(3))
    d0 = np.sqrt(cov[:, 0])
    assert d0[0] > d0[1] > d0[2] and d0[3] > 5 * d0[2]
    assert counts[3, :2].tolist() == [0, 0] and counts[3, 2] > 30


def test_photon_energy_pulls():
    """Catches an error stored from the true energy only, biases, wrong regions.

    Matched, isolated photons that lose no energy before the crystals.
    """
    for low, high in ((0.05, 0.3), (0.3, 2.0)):
        batch = gun(22, 20000, 4, momentum=(low, high), theta_deg=(13, 154), response=changed(loss_fraction=0.0))
        c, row = batch.clusters, matched(batch, "clusters")
        pull = (c["E"] - batch.generated["p4"][row, 3]) / c["E_error"]
        pull = pull[(row >= 0) & (pull > -4.0)]
        core = pull[np.abs(pull) < 2.0]  # truncated normal: its width tells that of the core
        assert abs(pull.mean()) < 0.03
        assert core.mean() == pytest.approx(0.0, abs=0.02)
        assert core.std() / stats.truncnorm.std(-2, 2) == pytest.approx(1.0, abs=0.05)


def test_measured_energy_gives_back_the_normal_deviate():
    """Catches a fixed point that has not converged."""
    rng = np.random.default_rng(5)
    energy, normal = rng.uniform(0.03, 3.0, 1000), rng.normal(size=1000)
    where = rng.choice(np.array([1, 2, 3, 11, 13], dtype=np.int8), 1000)
    measured = smeared_energy(energy, where, normal, RESPONSE)
    assert np.allclose((measured - energy) / energy_error(measured, where, RESPONSE), normal, atol=1e-5)


def test_tracking_efficiency_follows_the_response_file():
    """Catches efficiencies applied twice or to the wrong variable: muons neither decay nor shower."""
    for pt, flat in ((0.4, 0.32), (1.5, 1.2)):
        batch = gun(13, 8000, 6, momentum=(pt, pt), theta_deg=(85, 95))
        row = matched(batch, "tracks")
        expected = np.interp(pt, RESPONSE.tracking.pt, RESPONSE.tracking.efficiency)
        assert flat < pt
        assert len(np.unique(row)) / 8000 == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 8000))


def test_nothing_is_found_outside_the_acceptance():
    """Catches limits in the wrong unit or at the wrong end."""
    for theta in ((2.0, 9.0), (160.0, 175.0)):
        batch = gun(211, 500, 7, momentum=(1.0, 2.0), theta_deg=theta)
        assert len(batch.tracks) == 0
        assert len(gun(22, 500, 7, momentum=(1.0, 2.0), theta_deg=theta).clusters) == 0


def test_pions_decay_at_the_rate_of_their_lifetime():
    """Catches a wrong decay length: 1 - exp(-L m / (p c tau)) for straight tracks at 90 degrees."""
    p, n = 3.0, 40000
    batch = gun(211, n, 8, momentum=(p, p), theta_deg=(88, 92))
    decays = np.count_nonzero(np.abs(batch.generated["pdg"]) == 14)
    expected = n * (1 - np.exp(-RESPONSE.decay.volume_r * 0.13957039 / (p * RESPONSE.decay.ctau_pi)))
    assert decays == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_photons_convert_at_the_rate_of_the_material():
    """Catches a wrong material sum: 1 - exp(-7/9 X) at 90 degrees."""
    n = 40000
    batch = gun(22, n, 9, momentum=(1.0, 1.0), theta_deg=(88, 92))
    x = RESPONSE.tracker.material[: RESPONSE.decay.conversion_layers].sum()
    expected = n * (1 - np.exp(-7 / 9 * x))
    assert np.count_nonzero(batch.generated["pdg"] == 11) == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_secondaries_conserve_momentum_and_charge():
    """Catches boosts into the wrong frame: daughters made in the detector add up to their mother."""
    for pdg, momentum in ((211, (0.3, 2.0)), (321, (0.5, 2.0)), (22, (0.2, 2.0))):
        g = gun(pdg, 20000, 10, momentum=momentum).generated
        made = np.flatnonzero(g["status"] & schema.STATUS["primary"] == 0)
        only = np.flatnonzero(np.bincount(g["mother"][made] + g.offsets[g.event_index[made]], minlength=len(g)) == 2)
        made = made[np.isin(g["mother"][made] + g.offsets[g.event_index[made]], only)]  # K+ -> pi+ pi0 has three
        assert len(made) > 100 and len(made) % 2 == 0
        mother = g["mother"][made] + g.offsets[g.event_index[made]]
        total = g["p4"][made[::2]] + g["p4"][made[1::2]]
        assert (mother[::2] == mother[1::2]).all()
        size = np.linalg.norm(g["p4"][mother[::2], :3], axis=1)
        assert np.allclose(np.linalg.norm(total[:, :3], axis=1), size, rtol=1e-9)  # direction: turned by the field
        assert np.allclose(total[:, 3], g["p4"][mother[::2], 3], atol=0.003 if pdg == 22 else 1e-9)
        assert np.allclose(total[:, 2], g["p4"][mother[::2], 2], atol=1e-9)


def test_straight_impact_lies_on_the_surface():
    """Catches the wrong root or end: impact points are on the cylinder or its ends, ahead of the particle."""
    rng = np.random.default_rng(11)
    vertex, p3 = rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    point = straight_impact(vertex, p3, radius=125.0, z_forward=196.0, z_backward=-102.0)
    rho = np.hypot(point[:, 0], point[:, 1])
    on = np.isclose(rho, 125) | np.isclose(point[:, 2], 196) | np.isclose(point[:, 2], -102)
    assert on.all() and (rho < 125.001).all()
    assert np.allclose(np.cross(point - vertex, p3) / np.linalg.norm(p3, axis=1)[:, None], 0, atol=1e-8)
    assert (np.sum((point - vertex) * p3, axis=1) > 0).all()


def test_helix_impact_meets_the_barrel_and_curlers_do_not():
    """Catches arc lengths that forget the offset d0: points are on the surface; pT below B r / 2 stays inside."""
    rng = np.random.default_rng(12)
    n = 400
    helix = np.stack([rng.normal(0, 3, n), rng.uniform(-3, 3, n), rng.choice([-1, 1], n) * rng.uniform(1e-4, 0.012, n),
                      rng.normal(0, 1, n), rng.normal(0, 0.5, n)], axis=1)
    point = helix_impact(helix, RESPONSE)
    rho = np.hypot(point[:, 0], point[:, 1])
    met = np.isfinite(rho)
    on = np.isclose(rho, 125, rtol=1e-6) | np.isclose(point[:, 2], 196) | np.isclose(point[:, 2], -102)
    assert on[met].all() and met.any()
    tight = np.array([[0.0, 0.0, 0.02, 0.0, 0.1]])
    assert np.isnan(helix_impact(tight, RESPONSE)).all()


def test_likelihood_ratio_is_calibrated():
    """Catches likelihoods that are not those of the observables: without the shares of mistaken tracks,
    a kaon fraction of x is found among tracks with L_K / (L_K + L_pi) = x (equal numbers of both)."""
    text = "\n".join(f"{line.split('=')[0]}= 0.0" if line.split(" =")[0].endswith(("wrong", "miss")) else line
                     for line in TEXT.splitlines())
    text = re.sub(r"(?m)^(tail_start|\w+_saturation) = [\d.]+", r"\1 = 1000.0", text)
    text = text.replace("ctau_K = 371.2", "ctau_K = 1e9").replace("ctau_pi = 780.45", "ctau_pi = 1e9")
    for key, value in (("per_radiation_length", 0.75), ("fake_probability", 0.018)):
        assert f"{key} = {value}" in text
        text = text.replace(f"{key} = {value}", f"{key} = 0.0")
    response = parse_response(text)
    ratios = []
    for pdg in (211, 321):
        rng = np.random.default_rng(13)
        batch = simulate_detector(particle_gun(pdg, 30000, rng=rng, momentum=(2.0, 3.5)), response, rng=rng,
                                  background=False)
        logl = batch.tracks["pid_logl"].astype(float)
        ratios.append(expit(logl[:, 3] - logl[:, 2]))
    edges = np.linspace(0.0, 1.0, 6)
    pions, kaons = (np.histogram(r, edges)[0] for r in ratios)
    fraction = kaons / (kaons + pions)
    error = np.sqrt(fraction * (1 - fraction) / (kaons + pions))
    centre = [np.concatenate(ratios)[(np.concatenate(ratios) > a) & (np.concatenate(ratios) <= b)].mean()
              for a, b in pairwise(edges)]
    assert (np.abs(fraction - centre) < 4 * error + 0.01).all()


def test_same_seed_same_events():
    """Catches hidden random state."""
    first, second, other = (gun(211, 200, seed, per_event=5, background=True) for seed in (1, 1, 2))
    for name in schema.LISTS:
        for column, values in getattr(first, name).columns.items():
            assert np.array_equal(values, getattr(second, name)[column], equal_nan=values.dtype.kind == "f")
    assert not np.array_equal(first.tracks["helix"][:5], other.tracks["helix"][:5])


def test_schema_indices_and_values_are_valid():
    """Catches columns of a wrong type, indices out of the event, NaN where none belongs; crowded, empty events."""
    for batch in (gun(211, 50, 14, per_event=100, background=True), gun(13, 3, 14, background=False,
                                                                      theta_deg=(2.0, 5.0))):
        for name, columns in schema.LISTS.items():
            objects = getattr(batch, name)
            assert set(objects.columns) == {c.name for c in columns}
            for c in columns:
                assert objects[c.name].dtype == np.dtype(c.dtype), (name, c.name)
                assert objects[c.name].shape == (len(objects), *c.shape), (name, c.name)
        for name in ("tracks", "clusters", "klm"):
            index = getattr(batch, name)["mc_index"]
            assert (index < batch.generated.counts[getattr(batch, name).event_index]).all()
        assert np.isfinite(batch.tracks["helix_cov"]).all() and np.isfinite(batch.clusters["E"]).all()
        assert clean(batch).notes == {}
    assert gun(211, 50, 14, per_event=100).tracks.counts.max() > 64


def test_v0s_refer_to_two_tracks_of_their_mother():
    """Catches swapped or shifted indices: both tracks belong to the photon that converted."""
    response = changed(hits_removed_probability=0.0, loose_probability=0.0, **SINGLE)
    batch = gun(22, 4000, 15, momentum=(0.5, 2.0), per_event=5, response=response)
    v, t, g = batch.v0s, batch.tracks, batch.generated
    assert len(v) > 50
    event = v.event_index
    for side, sign in (("positive", 1), ("negative", -1)):
        row = v[f"{side}_index"] + t.offsets[event]
        assert (t["charge"][row] == sign).all()
        assert np.array_equal(t["helix"][row], v[f"{side}_helix"])
        truth = t["mc_index"][row] + g.offsets[event]
        assert (np.abs(g["pdg"][truth]) == 11).all()
    mothers = [g["mother"][t["mc_index"][v[f"{s}_index"] + t.offsets[event]] + g.offsets[event]]
               for s in ("positive", "negative")]
    assert np.mean(mothers[0] == mothers[1]) > 0.98  # crossings of electrons of two photons are V0s, too


def test_mean_background_is_that_of_the_file():
    """Catches background that is not switched off, or counted twice."""
    n = 5000
    on, off = (gun(13, n, 16, theta_deg=(2.0, 5.0), background=b) for b in (True, False))
    assert off.clusters.counts.sum() == 0 and off.tracks.counts.sum() == 0
    mean = RESPONSE.background_clusters.mean
    assert on.clusters.counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / n))


@pytest.mark.parametrize(("old", "new", "key", "words"), [
    ("min_hits = 5", "min_hit = 5", "tracking.min_hit", "Nearest known: 'min_hits'"),
    ("min_hits = 5", "min_hits = 5.5", "tracking.min_hits", "whole number"),
    ("clone_probability = 0.015", "clone_probability = 1.5", "tracking.clone_probability", "from 0 to 1"),
    ("mip_energy = 0.21", "mip_energy = 'much'", "charged_cluster.mip_energy", "expected a number"),
    ("layer_momentum = 0.215", "", "klm.layer_momentum", "missing"),
    ("[v0]", "[vzero]", "vzero", "unknown key"),
    ("pt = [0.03, 0.05", "pt = [0.05, 0.03", "tracking.pt", "increasing"),
    ("pt = [0.03, 0.05", "pt = [0.05", "tracking.efficiency", "expected 9 numbers"),
    ("timing = [5.0, 2.0]", "timing = [5.0]", "klm.timing", "expected 2 numbers"),
    ("[klm]", "[klm", "TOML", "cannot be read as TOML"),
])
def test_defects_of_a_response_file_are_named(old, new, key, words):
    """Catches silent defaults: each defect names its key and what was expected."""
    assert old in TEXT
    with pytest.raises(SimulationError) as caught:
        parse_response(TEXT.replace(old, new, 1), source="mine.toml")
    assert "mine.toml" in str(caught.value) and key in str(caught.value) and words in str(caught.value)


def test_missing_response_file(tmp_path):
    """Catches a traceback instead of a message."""
    with pytest.raises(SimulationError, match=r"none\.toml"):
        load_response(tmp_path / "none.toml")


def test_every_number_of_the_response_has_a_source():
    """Catches numbers without an origin: each line has a comment that names one, or says assumed."""
    words = ("TDR", "book", "mdst", "tracking", "ecl", "pid", "klm", "pdg", "tuned", "assumed", "1.5 T", "ALEPH",
             "knots", "basf2")
    for line in TEXT.splitlines():
        if "=" in line and not line.startswith("#"):
            comment = line.partition("#")[2]
            assert any(word in comment for word in words), line


def test_field_of_response_and_beams_agree():
    """Catches a threshold for another field: pT to reach the barrel is 0.3 B r / 2 in metres."""
    reach = 0.00299792458 * Beams().bz * RESPONSE.calorimeter.radius / 2
    assert RESPONSE.pid.ecl_min_pt == pytest.approx(reach, rel=0.05)
