"""Polarised taus against Dirac matrices, closed forms and generated events."""

from __future__ import annotations

import naive_spinors as naive
import numpy as np
import pytest
from generated_decays import Events, cosine, mass2, rest
from test_semileptonic import probability

from fei_lite.generator.generate import generate
from fei_lite.generator.matrix_elements import tau
from fei_lite.generator.matrix_elements.kinematics import units
from fei_lite.generator.matrix_elements.tau_hadrons import draw_three_pions

M = tau.TAU_MASS


def phase_space(masses, rng):
    """Some momenta (k, 4) that add up to a tau at rest."""
    p = rng.normal(size=(len(masses), 3))
    p -= p.mean(axis=0)
    low, high = 0.0, 10.0
    for _ in range(200):
        scale = 0.5 * (low + high)
        energy = np.sqrt(np.sum((scale * p) ** 2, axis=1) + np.square(masses))
        low, high = (low, scale) if energy.sum() > M else (scale, high)
    return np.column_stack([scale * p, energy])


def transverse(a, total):
    return a - total * (tau.product(a, total) / tau.product(total, total))


def polarimeter_by_dirac(rate):
    """(|M|^2(s) - |M|^2(-s)) / sum along three axes: h, since the rate is 1 + s.h."""
    total = 2.0 * rate(np.zeros(4))
    return np.array([(rate(np.append(0.0, s)) - rate(np.append(0.0, -s))) / total for s in np.eye(3)])


@pytest.mark.parametrize("charge", [-1.0, 1.0])
@pytest.mark.parametrize("pions", [2, 3])
def test_polarimeters_of_hadrons(pions, charge):
    """Would catch a sign of the parity-odd part, a wrong current, or tau+ and tau- mixed up."""
    rng, sign = np.random.default_rng(pions), np.array([charge])
    at_rest = np.array([M, 0.0, 0.0, 0.0])
    for _ in range(5):
        p = phase_space([0.14] * pions + [0.0], rng)
        total, neutrino = p[:-1].sum(axis=0), p[-1]
        if pions == 2:
            current = naive.standard(transverse(p[0] - p[1], total)).astype(complex)
            h = tau.two_meson_polarimeter(p[:1], p[1:2], p[2:], sign)[0]
        else:
            current = sum(tau._rho(np.array([tau.product(a + p[2], a + p[2])]))[0]
                          * naive.standard(transverse(a - p[2], total)) for a in p[:2])
            h = tau.three_pion_polarimeter(p[:1], p[1:2], p[2:3], p[3:], sign)[0]

        def rate(spin, current=current, neutrino=neutrino):
            return naive.tau_rate(current, at_rest, naive.standard(neutrino), spin, M, anti=charge > 0)

        np.testing.assert_allclose(h, polarimeter_by_dirac(rate), atol=1e-10)
        assert np.linalg.norm(h) == pytest.approx(1.0)


@pytest.mark.parametrize("cos", [-0.8, 0.1, 0.37])
@pytest.mark.parametrize("energy", [1.9, 5.29])
def test_pair_correlation(cos, energy):
    """Would catch a wrong sign or axis of the spin correlation of e+e- -> tau- tau+."""
    p = np.sqrt(energy**2 - M**2)
    sin = np.sqrt(1 - cos**2)
    flight, larger = np.array([sin, 0.0, cos]), np.array([cos, 0.0, -sin])
    axes = [larger, np.cross(flight, larger), flight]
    minus, plus = np.append(energy, p * flight), np.append(energy, -p * flight)
    beam = np.array([energy, 0.0, 0.0, energy]), np.array([energy, 0.0, 0.0, -energy])
    total = 4.0 * naive.tau_pair_rate(beam, minus, plus, np.zeros(4), np.zeros(4), M)
    found = np.zeros((3, 3))
    for i, a in enumerate(axes):
        for j, b in enumerate(axes):
            first, second = naive.boosted(np.append(0.0, a), minus), naive.boosted(np.append(0.0, b), plus)
            found[i, j] = sum(s * t * naive.tau_pair_rate(beam, minus, plus, s * first, t * second, M)
                              for s in (1, -1) for t in (1, -1)) / total
    np.testing.assert_allclose(tau.pair_correlation(np.array([cos]), energy / M)[0], found, atol=1e-10)


def test_turned_decays_have_the_density():
    """Would catch a rotation that does not take the polarimeter to the drawn direction: mean of R h is s h^2 / 3."""
    rng = np.random.default_rng(4)
    n = 100_000
    spin, h = np.tile([0.2, -0.5, 0.4], (n, 1)), np.tile([0.0, 0.6, 0.3], (n, 1))
    new = np.einsum("nij,nj->ni", tau.turned(spin, h, rng), h)
    np.testing.assert_allclose(new.mean(axis=0), spin[0] * np.sum(h[0] ** 2) / 3, atol=0.005)
    slope = np.linalg.norm(spin[0]) * np.linalg.norm(h[0])
    assert probability(cosine(new, spin), -1, 1, lambda c: 1 + slope * c) > 0.001


def test_three_pions_conserve_and_have_an_a1():
    """Would catch lost four-momentum and phase space in place of the a1: mean mass of the pions 1.11 GeV or so."""
    rng = np.random.default_rng(6)
    p4 = draw_three_pions(4000, np.full(4000, -1.0), rng, neutral=False)
    np.testing.assert_allclose(p4.sum(axis=0), np.tile([0.0, 0.0, 0.0, M], (4000, 1)), atol=1e-9)
    mass = np.sqrt(mass2(p4[1:].sum(axis=0)))
    assert 1.06 < mass.mean() < 1.18  # 1.22 in phase space; ALEPH's spectrum (hep-ex/0506072) has 1.1
    rho = np.sqrt(mass2(p4[1] + p4[3]))
    assert 0.25 < np.mean(np.abs(rho - 0.775) < 0.1) < 0.55


def taus(folder, mode, n=6000):
    """Events of B+ -> tau+ nu with one mode of the tau."""
    path = folder / "tau.dec"
    path.write_text("Alias mytau+ tau+\nAlias mytau- tau-\nChargeConj mytau+ mytau-\n"
                    f"Decay B+\n1.0 mytau+ nu_tau SLN;\nEnddecay\nDecay mytau+\n1.0 {mode};\nEnddecay\nEnd\n")
    return Events(next(generate("signal", n, seed=31, dec_file=path, batch_size=n)))


def in_tau(events, products, mother=(521,)):
    """Momenta of the first of ``products`` in the rest frame of the tau, reached through the B, and the tau there."""
    found, _ = events.decays((15,), products)
    alone = events.decays(mother, (15, 16))[0]
    found = found[np.isin(found[:, 0], alone[:, 1])]
    b = events.p4[events.mother[found[:, 0]]]
    tau_p4 = rest(events.p4[found[:, 0]], b)
    return [rest(rest(events.p4[found[:, 1 + k]], b), tau_p4) for k in range(len(products))], tau_p4, found, b


def test_pion_of_b_to_tau_nu(tmp_path):
    """Would catch an unpolarised tau: mean cos(theta) of the pion about the tau's flight is +1/3."""
    events = taus(tmp_path, "pi+ anti-nu_tau TAUSCALARNU", 12_000)
    (pion, _), flight, *_ = in_tau(events, (211, 16))
    cos = cosine(pion, flight)
    assert len(cos) > 10_000
    assert cos.mean() == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / len(cos)))
    assert probability(cos, -1, 1, lambda c: 1 + c, bins=20) > 0.001


def test_electron_of_b_to_tau_nu(tmp_path):
    """Would catch a spectrum that is not Michel's: mean x = 7/10, mean cos = -1/9, mean x cos = -1/10, of
    dGamma ~ x^2 [3 - 2x - cos (2x - 1)] for this tau+."""
    events = taus(tmp_path, "mu+ nu_mu anti-nu_tau TAULNUNU")
    (muon, *_), flight, found, b = in_tau(events, (13, 14, 16))
    photons = np.array([events.p4[[r for r in events.daughters[t] if events.pdg[r] == 22]].sum(axis=0)
                        for t in found[:, 0].tolist()])
    muon = muon + rest(rest(photons, b), flight)
    x, cos = muon[:, 3] / ((M**2 + 0.10566**2) / (2 * M)), cosine(muon, flight)
    n = len(x)
    assert x.mean() == pytest.approx(0.70, abs=0.003 + 4 * x.std() / np.sqrt(n))
    assert cos.mean() == pytest.approx(-1 / 9, abs=4 * cos.std() / np.sqrt(n))
    # integral of x^3 (1 - 2x) / 3 over x^2 (3 - 2x): -(2/5 - 1/4) / 3 / (1/2)
    assert (x * cos).mean() == pytest.approx(-0.1, abs=0.002 + 4 * (x * cos).std() / np.sqrt(n))


def test_rho_of_b_to_tau_nu(tmp_path):
    """Would catch rho's without helicity: mean cos of the rho, and cos^2 of its pion, follow m_tau^2 / m_rho^2."""
    events = taus(tmp_path, "rho+ anti-nu_tau TAUVECTORNU")
    (rho, _), flight, found, b = in_tau(events, (213, 16))
    ratio = M**2 / mass2(rho)
    cos = cosine(rho, flight)
    assert cos.mean() == pytest.approx(np.mean((ratio - 2) / (ratio + 2)) / 3, abs=4 * cos.std() / np.sqrt(len(cos)))
    pions = events.decays((213,), (211, 111))[0]
    place = {row: k for k, row in enumerate(found[:, 1].tolist())}
    which, pion = np.array([(place[r], p) for r, p, _ in pions.tolist() if r in place]).T
    inside = rest(rest(rest(events.p4[pion], b[which]), flight[which]), rho[which])
    squared = cosine(inside, rho[which]) ** 2
    r = ratio[which]
    assert squared.mean() == pytest.approx(np.mean((r / 5 + 2 / 15) / (r / 3 + 2 / 3)),
                                           abs=4 * squared.std() / np.sqrt(len(squared)))


def test_tau_pairs_are_correlated():
    """Would catch taus of e+e- that decay independently: means of h-_i h+_j of pions are R_ij / 9."""
    events = Events(next(generate("taupair", 4000, seed=33, batch_size=4000)))
    vectors = {}
    for products, size in (((211, 16), 1.0), ((211, 111, 16), None), ((11, 12, 16), 1.0), ((13, 14, 16), 1.0)):
        for row, *rows in events.decays((15,), products)[0].tolist():
            vectors[row] = (rows, size)
    minus = [r for r in vectors if events.pdg[r] == 15]
    pairs = []
    for m in minus:
        p = next((r for r in events.daughters[events.mother[m]] if events.pdg[r] == -15 and r in vectors), None)
        if p is not None:
            pairs.append((m, p))
    total = np.array([events.p4[m] + events.p4[p] for m, p in pairs])
    h = []
    for side, charge in ((0, -1.0), (1, 1.0)):
        out = []
        for k, pair in enumerate(pairs):
            rows, _ = vectors[pair[side]]
            frame = rest(events.p4[[pair[side]]], total[k:k + 1])
            inside = rest(rest(events.p4[rows], np.tile(total[k], (len(rows), 1))), np.tile(frame, (len(rows), 1)))
            code = abs(events.pdg[rows[1]])
            if code == 111:
                out.append(tau.two_meson_polarimeter(inside[:1], inside[1:2], inside[2:], np.array([charge]))[0])
            else:
                out.append(-charge * units(inside[1:2, :3] if code in (12, 14) else inside[:1, :3])[0])
        h.append(np.array(out))
    flight = units(np.array([rest(events.p4[[m]], total[k:k + 1])[0, :3] for k, (m, _) in enumerate(pairs)]))
    product = np.sum(h[0] * flight, axis=1) * np.sum(h[1] * flight, axis=1)
    g2 = (2 * M / 10.58) ** 2
    expected = (4 / 3 - g2 * 2 / 3) / (4 / 3 + g2 * 2 / 3) / 9  # R_zz averaged over 1 + cos^2 + g2 sin^2
    assert len(product) > 1000
    assert product.mean() == pytest.approx(expected, abs=4 * product.std() / np.sqrt(len(product)) + 0.005)
    assert product.mean() > 5 * product.std() / np.sqrt(len(product))
