"""Decays into more products than Pythia makes: phase space in closed form, and events that hold all products."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, ks_2samp, kstest, uniform

from fei_lite.generator.decay_file import signal_decay
from fei_lite.generator.generate import generate
from fei_lite.generator.matrix_elements.kinematics import mass_of
from fei_lite.generator.matrix_elements.many_body import phase_space

B_PAIRS = "Decay Upsilon(4S)\n0.5 B+sig B- VSS;\n0.5 B-sig B+ VSS;\nEnddecay\n"
RADIATED = 256


@pytest.mark.parametrize("n", [3, 9, 12])
def test_energies_of_massless_bodies(n):
    """Would catch weights left out: of n massless bodies x = 2 E / M has the density x (1 - x)^(n - 3)."""
    p = phase_space(np.full(4000, 5.0), np.zeros((4000, n)), np.random.default_rng(n))
    assert np.allclose(p.sum(axis=1), [0.0, 0.0, 0.0, 5.0], atol=1e-9)
    for i in (0, 1, n - 1):
        assert kstest(2.0 * p[:, i, 3] / 5.0, beta(2, n - 2).cdf).pvalue > 1e-4


def test_dalitz_plot_is_flat():
    """Would catch masses of products that do not count: three bodies fill the Dalitz plot evenly."""
    masses = np.array([0.5, 0.3, 0.8])
    p = phase_space(np.full(20_000, 2.0), np.tile(masses, (20_000, 1)), np.random.default_rng(1))
    assert np.allclose(mass_of(p.reshape(-1, 4)).reshape(-1, 3), masses, atol=1e-7)
    m12 = mass_of(p[:, 0] + p[:, 1])
    cos = _helicity(p[:, 0], p[:, 1])
    for low, high in ((0.8, 0.95), (0.95, 1.1), (1.1, 1.2)):
        assert kstest(cos[(m12 > low) & (m12 < high)], uniform(-1.0, 2.0).cdf).pvalue > 1e-4
    # dN/dm12 goes as p* q
    edges = np.linspace(0.8, 1.2, 9)
    found = np.histogram(m12, edges)[0]
    grid = np.linspace(0.8, 1.2, 8001)
    density = _momentum(2.0, grid, 0.8) * _momentum(grid, 0.5, 0.3)
    expected = np.add.reduceat(density[:-1], np.arange(0, 8000, 1000))
    expected *= found.sum() / expected.sum()
    assert np.sum((found - expected) ** 2 / expected) < 30.0


def _momentum(m, a, b):
    return np.sqrt(np.maximum((m**2 - (a + b) ** 2) * (m**2 - (a - b) ** 2), 0.0)) / (2.0 * m)


def _helicity(first, second):
    """cos(theta) of the first in the rest frame of both, to their flight."""
    total = first + second
    m = mass_of(total)
    p = np.sqrt(np.sum(total[:, :3] ** 2, axis=1))
    e = (first[:, 3] * total[:, 3] - np.sum(first[:, :3] * total[:, :3], axis=1)) / m
    k = np.sqrt(e**2 - mass_of(first) ** 2)
    return (first[:, 3] - total[:, 3] / m * e) / (p / m * k)


@pytest.mark.parametrize("products, n", [
    ("pi+ pi- pi+ pi- pi+ pi- pi+ pi0 pi0", 9), ("anti-D0 pi+ pi+ pi- pi0 pi0 pi0 pi- pi+ gamma", 10),
    ("pi+ pi- pi+ pi- pi+ pi- pi+ pi- pi+ pi- pi+ pi- pi+ pi0 pi0 pi0 gamma", 17),
])
def test_decays_into_many_bodies(products, n):
    """Would catch products left out, steps that stay in the event, four-momentum that is not conserved."""
    text = B_PAIRS + f"Decay B+sig\n1.0 {products} PHSP;\nEnddecay\nCDecay B-sig\n"
    g = next(generate("signal", 60, seed=3, dec_file=signal_decay(text, "x.dec"), batch_size=60)).generated
    assert not np.any(np.abs(g["pdg"]) // 100_000 == 60)
    above = np.where(g["mother"] >= 0, g["mother"] + g.offsets[:-1][g.event_index], -1)
    whole = 0
    for i, b in enumerate(g.offsets[:-1] + 1):
        for row in (b, b + 1):
            daughters = np.flatnonzero(above == row)
            plain = daughters[g["status"][daughters] & RADIATED == 0]
            if len(plain) == n and sorted(np.abs(g["pdg"][plain])) == _codes(products):
                assert np.allclose(g["p4"][daughters].sum(axis=0), g["p4"][row], atol=1e-5), i
                whole += 1
                for d in plain[np.isin(np.abs(g["pdg"][plain]), (421, 111))]:
                    assert np.allclose(g["p4"][above == d].sum(axis=0), g["p4"][d], atol=1e-5)
    assert whole == 60


def test_many_bodies_fill_phase_space():
    """Would catch products that keep what the step gave them: masses of pairs are those of phase space."""
    text = B_PAIRS + "Decay B+sig\n1.0 " + "pi+ pi- " * 4 + "pi+ PHSP;\nEnddecay\nCDecay B-sig\nnoPhotos\n"
    g = next(generate("signal", 1000, seed=4, dec_file=signal_decay(text, "x.dec"), batch_size=1000)).generated
    above = np.where(g["mother"] >= 0, g["mother"] + g.offsets[:-1][g.event_index], 0)
    counts = np.bincount(above, minlength=len(above))
    rows = np.flatnonzero((counts[above] == 9) & (np.abs(g["pdg"][above]) == 521))
    own = g["p4"][rows].reshape(-1, 9, 4)
    plain = phase_space(np.full(1000, 5.2793), np.full((1000, 9), 0.13957), np.random.default_rng(7))
    assert len(own) >= 1000
    for first, second in ((0, 1), (6, 7), (7, 8)):  # the last two are those of the step, which has one mass
        found, expected = (mass_of(p[:, first] + p[:, second]) for p in (own, plain))
        assert ks_2samp(found, expected).pvalue > 1e-4


def _codes(products):
    codes = {"pi": 211, "pi0": 111, "gamma": 22, "anti-D0": 421}
    return sorted(codes[word.rstrip("+-")] for word in products.split())
