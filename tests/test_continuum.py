"""Continuum with photons from the beams: closed forms, conservation laws, Pythia's settings, Belle II's counts."""

from __future__ import annotations

import json
import os
import runpy
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chisquare, kstest, poisson

from fei_lite.cli import main
from fei_lite.errors import SimulationError
from fei_lite.events import inspect_events
from fei_lite.events.schema import STATUS
from fei_lite.generator.beams import ELECTRON_MASS, Beams, boost
from fei_lite.generator.born import ALPHA, OMEGA, born, light_parts, pion_pairs, ratio, threshold_factor
from fei_lite.generator.continuum import CONTINUUM_SETTINGS, Continuum, start_continuum
from fei_lite.generator.generate import generate
from fei_lite.generator.processes import PROCESSES
from fei_lite.generator.pythia import initialised, new_pythia
from fei_lite.generator.radiation import (
    SOFTEST,
    dipole_cosines,
    photon_strength,
    photons,
    prepare,
    radiator,
)
from fei_lite.generator.records import blocks
from fei_lite.generator.reference_counts import (
    BEAM_PHOTONS,
    SPECIES,
    SpeciesCount,
    compare_counts,
    count_species,
    load_reference,
)
from fei_lite.generator.settings import load_settings, shipped_settings
from fei_lite.particles import charge

SQRT_S = 10.5796
S = SQRT_S**2
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
DATA = os.environ.get("FEI_LITE_TEST_DATA")


# the radiator and the Born cross-section


def kuraev_fadin(v, s):
    """Another exponentiation, first order: E. A. Kuraev, V. S. Fadin, Sov. J. Nucl. Phys. 41 (1985) 466."""
    big = np.log(s / ELECTRON_MASS**2)
    g = 2 * ALPHA / np.pi * (big - 1)
    soft = 1 + ALPHA / np.pi * (1.5 * big + np.pi**2 / 3 - 2)
    return g * v ** (g - 1) * soft - ALPHA / np.pi * (2 - v) * (big - 1)


def test_radiator_is_that_of_kuraev_and_fadin():
    """Would catch a wrong exponent, norm or hard part: an independent formula agrees to its order (g / 4 = 2 %)."""
    v = np.geomspace(1e-5, 0.95, 50)
    assert np.allclose(radiator(v, S), kuraev_fadin(v, S), rtol=0.05)
    v = v[v < 0.6]
    assert np.allclose(radiator(v, S), kuraev_fadin(v, S), rtol=photon_strength(S) / 4)


def test_radiator_is_normalised():
    """Would catch a lost factor: all radiation together is 1 + O(alpha) (the vertex's finite part, 0.6 %)."""
    total = quad(lambda y: float(radiator(np.exp(np.array([y])), S)[0] * np.exp(y)), -400.0, -1e-9, limit=500)[0]
    assert total == pytest.approx(1.0, abs=0.01)


def test_quarks_equal_resonances_on_average():
    """Would catch a wrong width or charge: rho and omega below 1.1 GeV are 0.9 of the quarks' R (duality)."""
    def average(r):
        return quad(lambda y: float(r(np.exp(np.array([y])))[0]), np.log(0.0785), np.log(1.21), limit=400,
                    points=[np.log(OMEGA.mass**2)])[0]

    resonances = average(lambda s: sum(light_parts(2, s).values()) + sum(light_parts(1, s).values()))
    quarks = quad(lambda y: 5 / 3 * float(threshold_factor(np.exp(y), 0.1)), np.log(0.04), np.log(1.21))[0]
    assert resonances == pytest.approx(0.9 * quarks, rel=0.05)
    narrow = average(OMEGA.ratio)
    assert narrow == pytest.approx(9 * np.pi * OMEGA.width_ee / (ALPHA**2 * OMEGA.mass), rel=0.02)
    assert float(pion_pairs(np.array([0.775**2]))[0]) == pytest.approx(9.0, rel=0.15)  # R at the rho, measured


@pytest.mark.parametrize(("process", "tolerance"), [("uubar", 0.03), ("ddbar", 0.03), ("ssbar", 0.07), ("ccbar", 0.03),
                                                    ("taupair", 0.01)])
def test_cross_sections_are_those_of_belle2(process, tolerance):
    """Would catch another definition: with all radiation, the Physics Book's numbers (without the phi for s: 7 %)."""
    quoted = PROCESSES[process]
    assert prepare(quoted.code, SQRT_S).cross_section == pytest.approx(quoted.cross_section, rel=tolerance)


# drawn photons


@pytest.mark.parametrize("code", [2, 4])
def test_spectrum_of_radiation(code):
    """Would catch a table too coarse, or drawn wrongly: v against quad's integrals of the closed form, chi2."""
    n = 100_000
    v = prepare(code, SQRT_S).draw(n, np.random.default_rng(1))
    edges = np.concatenate([np.geomspace(SOFTEST, 0.5, 15), [0.7, 0.8]])

    def integral(low, high):
        def density(y):
            v = np.exp(np.array([y]))
            return float((radiator(v, S) * born(code, S * (1 - v)) * v)[0])
        return quad(density, np.log(low), np.log(high))[0]

    expected = [integral(low, high) for low, high in pairwise(edges)]
    soft = quad(lambda y: float(radiator(np.exp(np.array([y])), S)[0] * np.exp(y)), -500, np.log(SOFTEST),
                limit=500)[0] * float(born(code, np.array([S]))[0])
    seen = np.histogram(v, edges)[0]
    chosen = n - np.sum((v > edges[-1]) & (v < 1))
    rows = np.concatenate([[np.sum(v == 0.0)], seen])
    probability = np.concatenate([[soft], expected])
    assert chosen == rows.sum()
    assert chisquare(rows, probability / probability.sum() * rows.sum()).pvalue > 0.001


def test_number_of_photons():
    """Would catch a wrong mean or a lost photon: one more than Poisson at fixed v; the mean is the table's."""
    v = np.full(20_000, 0.01)
    event, _ = photons(v, np.full(len(v), SQRT_S), np.random.default_rng(2))
    more = np.bincount(event, minlength=len(v)) - 1
    mean = photon_strength(S) * np.log(0.01 / SOFTEST)
    seen = np.bincount(np.minimum(more, 4), minlength=5)
    expected = np.append(poisson.pmf(np.arange(4), mean), poisson.sf(3, mean)) * len(v)
    assert chisquare(seen, expected).pvalue > 0.001
    radiation = prepare(4, SQRT_S)
    v = radiation.draw(100_000, np.random.default_rng(3))
    event, _ = photons(v, np.full(len(v), SQRT_S), np.random.default_rng(4))
    assert len(event) / len(v) == pytest.approx(radiation.mean_photons, abs=5 / np.sqrt(len(v)))
    assert radiation.mean_photons == pytest.approx(1.044, rel=0.02)  # counted in Belle II's c cbar events


def test_photons_take_what_was_drawn():
    """Would catch a wrong scale of several photons: (P - sum k)^2 = s (1 - v), massless photons of positive energy."""
    rng = np.random.default_rng(5)
    v = np.concatenate([np.geomspace(1e-5, 0.999, 5000), np.zeros(100)])
    event, k = photons(v, np.full(len(v), SQRT_S), rng)
    pair = np.zeros((len(v), 4))
    pair[:, 3] = SQRT_S
    np.subtract.at(pair, event, k)
    assert np.allclose(pair[:, 3] ** 2 - np.sum(pair[:, :3] ** 2, axis=1), S * (1 - v), rtol=1e-9)
    assert np.all(k[:, 3] > 0.0) and np.allclose(np.linalg.norm(k[:, :3], axis=1), k[:, 3], rtol=1e-12)
    assert not np.isin(np.flatnonzero(v == 0.0), event).any()


def test_angle_of_photons():
    """Would catch photons isotropic or exactly along the beams: the dipole's density, where it is smooth."""
    s = (4 * ELECTRON_MASS) ** 2
    b2 = 1 - 4 * ELECTRON_MASS**2 / s
    grid = np.linspace(-1, 1, 20_001)
    density = (1 - grid**2) / (1 - b2 * grid**2) ** 2
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    drawn = dipole_cosines(20_000, s, np.random.default_rng(6))
    assert kstest(drawn, lambda c: np.interp(c, grid, cumulative / cumulative[-1])).pvalue > 1e-4
    hard = dipole_cosines(20_000, S, np.random.default_rng(7))
    assert 0.4 < np.mean(np.abs(hard) > 0.9999) < 0.9  # within 14 mrad of the beams


def test_direction_of_the_pair():
    """Would catch a flat pair: 1 + c^2 of quarks far above threshold, sin^2 of pions."""
    continuum = Continuum(2, beams=Beams(), rng=np.random.default_rng(8))
    at_rest = np.tile([0.0, 0.0, 0.0, SQRT_S], (20_000, 1))
    for code, cumulative in ((2, lambda c: 0.5 + 3 / 8 * (c + c**3 / 3)), (211, lambda c: 0.5 + (3 * c - c**3) / 4)):
        p4, _ = continuum.daughters(np.full(20_000, code), np.full(20_000, SQRT_S), at_rest)
        cos = p4[:, 0, 2] / np.linalg.norm(p4[:, 0, :3], axis=1)
        assert kstest(cos, cumulative).pvalue > 1e-4
        assert np.allclose(p4[:, 0, :4] + p4[:, 1, :4], at_rest)


# events


@pytest.fixture(scope="module", params=["uubar", "ssbar", "ccbar", "taupair"])
def events(request):
    """One batch of a process."""
    return next(generate(request.param, 1500, seed=31, batch_size=1500))


def test_everything_together_is_the_beams(events):
    """Would catch photons that are counted twice, lost, or in another frame; and charge made from nothing."""
    g = events.generated
    stable = g["status"] & STATUS["stable"] > 0
    total = np.zeros((events.n_events, 4))
    np.add.at(total, g.event_index[stable], g["p4"][stable])
    mass = np.sqrt(total[:, 3] ** 2 - np.sum(total[:, :3] ** 2, axis=1))
    assert mass.mean() == pytest.approx(SQRT_S, abs=1e-3)
    assert np.abs(mass - SQRT_S).max() < 0.03  # the beams' spread is 5 MeV
    assert np.abs(total - events.events["beam_p4"]).max() < 0.06
    codes, where = np.unique(g["pdg"][stable], return_inverse=True)
    charges = np.array([np.sign(code) * charge(abs(int(code))) for code in codes])[where]
    assert not np.bincount(g.event_index[stable], charges, minlength=events.n_events).any()


def test_photons_of_the_beams_have_no_mother(events):
    """Would catch beam photons below the virtual photon, or hadrons without a mother."""
    g = events.generated
    first = np.zeros(len(g["pdg"]), dtype=bool)
    first[g.offsets[:-1]] = True
    assert np.all(g["status"][first] & STATUS["virtual"] > 0)
    radiated = (g["mother"] < 0) & ~first
    assert np.all(g["pdg"][radiated] == 22) and np.all(g["status"][radiated] & STATUS["isr_photon"] > 0)
    assert not np.any(g["status"][~radiated] & STATUS["isr_photon"])
    expected = prepare(events.process.code, SQRT_S).mean_photons
    assert radiated.sum() / events.n_events == pytest.approx(expected, abs=5 * np.sqrt(1.2 / events.n_events))
    assert not np.isin(np.abs(g["pdg"]), [1, 2, 3, 4, 21, 23, 90]).any()


def test_low_masses():
    """Would catch strings below their reach, or pions from an omega counted as rho: the radiative return is there."""
    g = next(generate("uubar", 4000, seed=32, batch_size=4000)).generated
    p4 = g["p4"][g.offsets[:-1]]
    mass = np.sqrt(np.maximum(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1), 0.0))
    expected = prepare(2, SQRT_S).probability(1 - 1.1**2 / S, 1 - 0.28**2 / S)
    assert np.mean(mass < 1.1) == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))
    assert 0.6 < np.mean(np.abs(mass[mass < 1.1] - 0.775) < 0.15) < 0.95
    assert np.all(mass > 0.279)
    assert float(ratio(3, np.array([1.0]))[0]) == 0.0 and float(ratio(4, np.array([3.7**2]))[0]) == 0.0


def test_same_seed_same_continuum():
    """Would catch random numbers that depend on the batches, or a seed without effect on the photons."""
    one = next(generate("ssbar", 1200, seed=33, batch_size=1200)).generated
    parts = list(generate("ssbar", 1200, seed=33, batch_size=500))
    assert np.array_equal(one["p4"], np.concatenate([part.generated["p4"] for part in parts]))
    other = next(generate("ssbar", 1200, seed=34, batch_size=1200)).generated
    assert one["p4"][:20].tolist() != other["p4"][:20].tolist()


def test_helicities_of_tau_pairs():
    """Would catch taus unpolarised, or of equal helicities: <c+ c-> of the pions is 1/9 (1 - 2 P(equal)), <c> is 0."""
    generator = new_pythia(seed=1, settings=(*CONTINUUM_SETTINGS, "15:onMode = off", "15:onIfMatch = 16 211"))
    start_continuum(generator, 15, beams=Beams(), rng=np.random.default_rng(9))
    cosines, equal = [], []
    for block in blocks(initialised(generator), 4000):
        rows = np.flatnonzero(np.abs(block["pdg"]) == 211)
        assert np.array_equal(block.event_index[rows], np.repeat(np.arange(len(block.counts)), 2))
        first = block.offsets[:-1][block.event_index[rows]]
        back = np.array([-1.0, -1.0, -1.0, 1.0])
        tau, pion = (boost(block["p4"][r], block["p4"][first] * back)
                     for r in (block["mother"][rows] + first, rows))
        m, mu = 1.77686, 0.13957
        r = 4 * m**2 / np.sum(block["p4"][block.offsets[:-1]]**2 * np.array([-1, -1, -1, 1]), axis=1)
        equal.append(r / (2 + r))  # of 1 + c^2 + r (1 - c^2), integrated over c
        energy, p = (m * m + mu * mu) / (2 * m), (m * m - mu * mu) / (2 * m)
        velocity = np.linalg.norm(tau[:, :3], axis=1) / tau[:, 3]
        cosines.append(((pion[:, 3] * m / tau[:, 3] - energy) / (p * velocity)).reshape(-1, 2))
    c = np.concatenate(cosines)
    error = 1 / np.sqrt(len(c))
    assert np.all(np.abs(c) < 1.01)
    expected = np.mean(1 - 2 * np.concatenate(equal)) / 9
    assert np.mean(c[:, 0] * c[:, 1]) == pytest.approx(expected, abs=3.5 * error / 3)
    assert np.abs(c.mean(axis=0)).max() < 4 * error / np.sqrt(3)


# settings


@pytest.mark.parametrize("process", ["charged", "uubar", "ccbar"])
def test_pythia_has_the_settings(process):
    """Would catch settings that are read and not given to Pythia, or those of c cbar given to all."""
    settings = load_settings("belle2")
    pythia = new_pythia(seed=1, settings=settings.lines(process)).pythia
    read = {"StringZ:aLund": 0.32, "StringZ:bLund": 0.62, "StringFlav:etaSup": 0.27, "StringFlav:etaPrimeSup": 0.12,
            "StringFragmentation:stopMass": 0.3, "ParticleDecays:multIncrease": 4.5, "StringZ:rFactC": 1.0}
    assert {name: pythia.parm(name) for name in read} == read
    assert not pythia.flag("StringZ:usePetersonC") and pythia.flag("TimeShower:QEDshowerByQ")
    assert (pythia.parm("StringFlav:mesonCvector") == 2.8) == (process == "ccbar")
    own = new_pythia(seed=1, settings=load_settings("monash").lines(process)).pythia
    assert own.parm("StringZ:aLund") == own.settings.parmDefault("StringZ:aLund") == 0.68


def test_settings_files(tmp_path):
    """Would catch a file that is half understood, a shipped name taken, and a digest that does not see a change."""
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\norigin = "a test"\n[all]\n"StringZ:aLund" = 0.4\n')
    mine = load_settings(str(path))
    assert mine.lines("uubar") == ("StringZ:aLund = 0.4",)
    assert shipped_settings() == ("belle2", "monash")
    assert len({mine.digest, *(load_settings(name).digest for name in shipped_settings())}) == 3
    for text, message in (('name = "mine"\norigin = "x"\n[al]\n', "Nearest known: 'all'"),
                          ('name = "belle2"\norigin = "x"\n', "shipped set"),
                          ('name = "mine"\norigin = "x"\n[all]\naLund = 1\n', "no setting of Pythia"),
                          ('origin = "x"\n', "name: missing")):
        other = tmp_path / f"{len(message)}.toml"
        other.write_text(text)
        with pytest.raises(SimulationError, match=message):
            load_settings(str(other))
    with pytest.raises(SimulationError, match="Nearest known: 'monash'"):
        load_settings("monahs")
    path = tmp_path / "unknown.toml"
    path.write_text('name = "unknown"\norigin = "x"\n[all]\n"StringZ:nonsense" = 0.4\n')
    with pytest.raises(SimulationError, match="StringZ:nonsense"):
        next(generate("uubar", 1, seed=1, settings=load_settings(str(path))))


def test_event_files_name_their_settings(tmp_path, capsys, monkeypatch):
    """Would catch an option without effect, a file that does not say what it was made with, and --quiet that talks."""
    monkeypatch.chdir(tmp_path)
    for name in ("belle2", "monash"):
        assert main(["simulate", "uubar", "-n", "200", "--seed", "1", "-o", f"{name}.root", "--settings", name,
                     "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""
    found = {name: inspect_events(f"{name}.root").metadata for name in ("belle2", "monash")}
    assert found["belle2"]["settings"] == "belle2" and found["monash"]["settings"] == "monash"
    assert found["belle2"]["settings_digest"] == load_settings("belle2").digest
    assert main(["simulate", "uubar", "-n", "5", "--seed", "1", "-o", "x.root", "--settings", "none"]) != 0


# particles per event beside a reference


def test_counts_of_species(events):
    """Would catch photons of the beams counted twice, or the virtual photon as one: a plain loop counts the same."""
    counts, g = count_species(events.generated), events.generated
    for event in range(5):
        codes = g["pdg"][g.offsets[event]:g.offsets[event + 1]].tolist()[1:]
        for name, code in SPECIES.items():
            assert counts[name][event] == sum(abs(c) == code for c in codes)
    radiated = np.bincount(g.event_index[g["status"] & STATUS["isr_photon"] > 0], minlength=events.n_events)
    assert np.array_equal(counts[BEAM_PHOTONS], radiated)


def test_what_counts_as_different():
    """Would catch a flag for a large pull alone, or for a large ratio alone."""
    def row(ours, error):
        return SpeciesCount("uubar", "p", ours, error, 1.0, 0.0)

    assert row(1.08, 0.01).differs() and row(0.9, 0.01).differs()
    assert not row(1.06, 0.001).differs() and not row(1.2, 0.05).differs()
    rows = compare_counts("uubar", {"p": np.array([0, 2, 1, 1])}, {"p": (0.5, 0.1)})
    assert rows[0].ratio == 2.0 and rows[0].error == pytest.approx(np.sqrt(0.5) / 2)
    assert rows[0].pull == pytest.approx(0.5 / np.hypot(rows[0].error, 0.1))


def test_reference_files(tmp_path):
    """Would catch a reference of another process or species that is compared with nothing."""
    path = tmp_path / "reference.json"
    good = {"uubar": {"n_events": 10, "per_event": {"p": {"mean": 0.3, "error": 0.1}}}}
    path.write_text(json.dumps(good))
    assert load_reference(path) == {"uubar": {"p": (0.3, 0.1)}}
    for key, message in (("n_events", "n_events"), ("per_event", "per_event")):
        path.write_text(json.dumps({"uubar": {k: v for k, v in good["uubar"].items() if k != key}}))
        with pytest.raises(SimulationError, match=message):
            load_reference(path)
    path.write_text(json.dumps({"uubar": {"n_events": 1, "per_event": {"pions": {"mean": 1.0, "error": 0.1}}}}))
    with pytest.raises(SimulationError, match="unknown species 'pions'"):
        load_reference(path)
    path.write_text(json.dumps({"ubar": good["uubar"]}))
    with pytest.raises(SimulationError, match="Nearest known: 'uubar'"):
        load_reference(path)


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="FEI_LITE_TEST_DATA is not set: no reference to compare with")
def test_continuum_has_belle2s_particles(monkeypatch, capsys):
    """Would catch lost settings or radiation: every species within 7 % of Belle II's, or in the list of reasons."""
    monkeypatch.setattr(sys, "argv", ["validate", "--reference",
                                      str(Path(DATA) / "generator" / "generator_reference.json"), "--events", "6000",
                                      "--process", "uubar", "ddbar", "ssbar", "ccbar"])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(SCRIPTS / "validate_generator.py"), run_name="__main__")
    assert done.value.code == 0, capsys.readouterr().out
    lines = capsys.readouterr().out.splitlines()
    assert sum("photons without" in line for line in lines) == 4
