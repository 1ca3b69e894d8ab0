"""Semileptonic decays against Dirac matrices, closed forms, published rates and generated events."""

from __future__ import annotations

import naive_spinors as naive
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

from fei_lite.generator.decay_table import belle2_table
from fei_lite.generator.matrix_elements import form_factors as ff
from fei_lite.generator.matrix_elements import helicity
from fei_lite.generator.matrix_elements.book import numbers_of
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum
from fei_lite.generator.matrix_elements.models import transition
from fei_lite.generator.matrix_elements.semileptonic import (
    Spectrum,
    analyser_direction,
    differential_rate,
    draw_angles,
)

M_B, M_D, M_DST, M_MU, M_TAU = 5.27966, 1.86966, 2.01026, 0.1056584, 1.77693
HBAR, G_F, V_CB, TAU_B = 6.582e-25, 1.16638e-5, 0.0407, 1.517e-12
BGL_D = (0.0126, -0.094, 0.34, -0.1, 0.0115, -0.057, 0.12, 0.4)
BGL_DST = (0.02596, -0.06049, 0.01311, 0.01713, 0.00753, -0.09346)
HQET3_D, HQET3_DST = (1.0541, 1.128, 1.0), (0.912, 1.205, 1.15, 1.404, 0.854)


def width(found, m, lepton, *, mass=M_B, v=1.0):
    """Total width (GeV) of a transition: G_F^2 |V|^2 / (96 pi^3 M^2) times the integral of the helicity rate."""
    def density(q2):
        return float(differential_rate(found, mass, lepton, np.array([m]), np.array([q2]))[0])
    integral = quad(density, lepton**2, (mass - m) ** 2, limit=400, epsabs=0.0, epsrel=1e-7)[0]
    return (G_F * v) ** 2 / (96.0 * np.pi**3 * mass**2) * integral


def point(rng, m, lepton):
    """A phase-space point in the axes of the helicity formulae, as (E, px, py, pz), and its angles."""
    q2 = rng.uniform(lepton**2 + 0.1, (M_B - m) ** 2 - 0.1)
    p, root = float(breakup_momentum(M_B, m, np.sqrt(q2))), np.sqrt(q2)
    cos, k = rng.uniform(-1, 1), (q2 - lepton**2) / (2 * root)
    sin = np.sqrt(1 - cos**2)
    pair = np.array([np.hypot(p, root), 0.0, 0.0, p])
    in_pair = np.array([np.hypot(k, lepton), k * sin, 0.0, k * cos])
    charged = naive.boosted(in_pair, pair)
    neutrino = naive.boosted(np.array([k, -k * sin, 0.0, -k * cos]), pair)
    hadron = np.array([np.hypot(p, m), 0.0, 0.0, -p])
    return q2, cos, hadron, charged, neutrino, in_pair, pair


def dirac(current, charged, neutrino, spin, lepton, *, anti):
    """|M|^2 with a hadronic current J_mu (lower) for a spin four-vector of the lepton."""
    vertex = sum(current[i] * naive.GAMMA[i] for i in range(4)) @ naive.LEFT
    if anti:
        return naive.squared(naive.slash(neutrino), vertex, naive.projected(charged, lepton, spin, anti=True))
    return naive.squared(naive.projected(charged, lepton, spin), vertex, naive.slash(neutrino))


def spins(in_pair, pair):
    """Spin four-vectors along the lepton's own axes x, y, z in its rest frame, reached through the pair's."""
    z = in_pair[1:] / np.linalg.norm(in_pair[1:])
    y = np.array([0.0, 1.0, 0.0])
    return [naive.boosted(naive.boosted(np.append(0.0, a), in_pair), pair) for a in (np.cross(y, z), y, z)]


def tensor_current(p, k, d, form):
    """J_mu of <T|V - A|P> contracted with T -> P P along ``d`` (orthogonal to k), a symmetric traceless d d."""
    m2 = k @ naive.METRIC @ k
    flat = p - k * (p @ naive.METRIC @ k) / m2  # the projection of p orthogonal to k
    v = d * (d @ naive.METRIC @ p) - (d @ naive.METRIC @ d) / 3.0 * flat
    low, q = naive.METRIC @ v, p - k
    vector = np.einsum("mnab,n,a,b->m", naive.EPSILON, v, p + k, q)
    axial = form["k"] * low + (low @ p) * naive.METRIC @ (form["plus"] * (p + k) + form["minus"] * q)
    # eps(v, p + k, p - k) = -2 eps(v, p, k): the sign is that of the vector meson's
    return -1j * form["h"] * vector - axial


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize("spin", [0, 1, 2])
def test_amplitudes_are_those_of_dirac_matrices(spin, anti):
    """Would catch a wrong sign, phase or factor of any helicity amplitude, angle or polarisation of the lepton."""
    rng = np.random.default_rng(spin + 10 * anti)
    ratios = []
    for _ in range(8):
        m, lepton = 2.0, M_TAU
        q2, cos, hadron, charged, neutrino, in_pair, pair = point(rng, m, lepton)
        cos_v, chi = rng.uniform(-1, 1), rng.uniform(-np.pi, np.pi)
        direction = analyser_direction(np.array([cos_v]), np.array([chi]))[0]
        d = naive.boosted(np.append(0.0, direction), hadron)
        p, at = np.array([M_B, 0.0, 0.0, 0.0]), (M_B, np.array([m]), np.array([q2]))
        if spin == 0:
            current = naive.scalar_current(p, hadron, {"f_plus": 0.9, "f_zero": 0.7})
            amplitudes = ff.scalar_amplitudes(*at, np.array([0.9]), np.array([0.7]))
        elif spin == 1:
            form = {"v": 0.9, "a0": 0.8, "a1": 0.7, "a2": 0.6}
            current = naive.vector_current(p, hadron, form) @ d
            amplitudes = ff.vector_amplitudes(*at, *(np.array([form[name]]) for name in ("v", "a0", "a1", "a2")))
        else:
            form = {"k": 0.7, "h": 0.04, "plus": -0.03, "minus": 0.02}
            current = tensor_current(p, hadron, d, form)
            amplitudes = ff.tensor_amplitudes(*at, *(np.array([form[name]]) for name in ("k", "h", "plus", "minus")))
        total = 2.0 * dirac(current, charged, neutrino, np.zeros(4), lepton, anti=anti)
        polarisation = [(dirac(current, charged, neutrino, s, lepton, anti=anti)
                         - dirac(current, charged, neutrino, -s, lepton, anti=anti)) / total
                        for s in spins(in_pair, pair)]
        ratio = np.array([lepton**2 / q2])
        leptonic = helicity.lepton_amplitudes(amplitudes, ratio, np.array([anti]), np.array([cos]))
        kind = np.array([helicity.SPINLESS if spin else helicity.UNSEEN])
        joint = helicity.joint_amplitudes(leptonic, np.array([spin]), kind, np.array([cos_v]), np.array([chi]))
        ratios.append(total / (np.sum(np.abs(joint) ** 2) * q2 * (1.0 - ratio[0])))
        np.testing.assert_allclose(helicity.lepton_spin(joint)[0], polarisation, atol=1e-12)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-10)


def test_angles_integrate_to_the_rate():
    """Would catch a density of the lepton's angle that is not the amplitude squared, or not normalised to the rate."""
    rng = np.random.default_rng(3)
    amplitudes, ratio = rng.normal(size=(4, 20)), rng.uniform(0.0, 0.9, 20)
    for anti in (np.zeros(20, dtype=bool), np.ones(20, dtype=bool)):
        constant, linear, square = helicity.lepton_polynomial(amplitudes, ratio, anti)
        for cos in (-0.7, 0.1, 0.9):
            found = helicity.lepton_amplitudes(amplitudes, ratio, anti, np.full(20, cos))
            np.testing.assert_allclose(np.sum(found**2, axis=(0, 1)), constant + linear * cos + square * cos**2)
        np.testing.assert_allclose((1 - ratio) ** 2 * (constant + square / 3) * 1.5,
                                   helicity.rate(amplitudes, ratio))


def test_ratios_to_taus_are_the_published_ones():
    """Would catch wrong form factors or a wrong lepton mass: R(D*) = 0.252 +- 0.003 (arXiv:1203.2654), R(D) = 0.300
    (arXiv:1612.07233, from the same parameters)."""
    for parameters, m, expected, error in ((HQET3_DST, M_DST, 0.252, 0.003), (HQET3_D, M_D, 0.300, 0.008)):
        code = 413 if m == M_DST else 411
        found = transition("HQET3", parameters, 511, code)
        assert width(found, m, M_TAU) / width(found, m, M_MU) == pytest.approx(expected, abs=error)


def test_widths_of_the_quark_model_are_the_published_ones():
    """Would catch a wrong parameter of ISGW2: its paper has Gamma = 1.19, 2.48, 0.96, 1.42 x 1e13 |V|^2 / s for
    D, D*, pi, rho e nu."""
    for code, m, expected in ((411, M_D, 1.19), (413, M_DST, 2.48), (211, 0.1396, 0.96), (213, 0.770, 1.42)):
        found = transition("ISGW2", (), 511, code)
        assert width(found, m, 0.000511) / HBAR * 1e-13 == pytest.approx(expected, rel=0.01)


def test_branching_fractions_of_the_fits():
    """Would catch a wrong outer function or pole of BGL: with |V_cb| = 0.0407 the fits give B0 -> D l nu 2.2 %,
    D* l nu 5.0 to 5.5 % (arXiv:1510.03657, 2008.09341), and LLSW the D1 and D2* of the decay table within its error."""
    for model, parameters, code, m, low, high in (
            ("BGL", BGL_D, 411, M_D, 0.0200, 0.0245), ("BGL", BGL_DST, 413, M_DST, 0.048, 0.058),
            ("LLSW", (0.71, -1.6, -0.5, 2.9), 10413, 2.422, 0.005, 0.009),
            ("LLSW", (0.71, -1.6, -0.5, 2.9), 415, 2.461, 0.0025, 0.0045)):
        found = transition(model, parameters, 511, code)
        assert low < width(found, m, M_MU, v=V_CB) * TAU_B / HBAR < high


def test_mean_q2_of_b_to_d():
    """Would catch phase space in place of form factors: B -> D mu nu has mean q2 3.74 GeV^2 by CLN."""
    found = transition("HQET2", (1.128, 1.054), 511, 411)
    q2 = np.linspace(M_MU**2, (M_B - M_D) ** 2, 4001)
    density = differential_rate(found, M_B, M_MU, np.full(4001, M_D), q2)
    assert np.trapezoid(density * q2, q2) / np.trapezoid(density, q2) == pytest.approx(3.74, abs=0.03)


def drawn(found, m, lepton, n, seed, *, anti=False):
    rng = np.random.default_rng(seed)
    masses, light = np.full(n, m), np.full(n, lepton)
    q2 = Spectrum(found, M_B, lepton).draw(masses, light, rng)
    return draw_angles(found.amplitudes(M_B, masses, q2), q2, light, np.full(n, anti), np.full(n, found.spin),
                       np.full(n, helicity.SPINLESS), rng)


def probability(values, low, high, density, *, bins=40, fine=200):
    """Chi2 probability of values against a density that is integrated over each bin."""
    edges = np.linspace(low, high, bins + 1)
    points = np.linspace(low, high, bins * fine * 2 + 1)[1::2]
    expected = density(points).reshape(bins, fine).sum(axis=1)
    expected *= len(values) / expected.sum()
    seen = np.histogram(values, edges)[0]
    assert seen.sum() == len(values)
    used = expected > 5.0
    terms = (seen[used] - expected[used]) ** 2 / expected[used]
    return chi2.sf(terms.sum(), used.sum() - 1)


@pytest.mark.parametrize(("model", "parameters", "code", "m"), [
    ("BGL", BGL_D, 411, M_D), ("HQET2", (1.128, 1.054), 411, M_D), ("BGL", BGL_DST, 413, M_DST),
    ("HQET2", (1.205, 0.908, 1.404, 0.854), 413, M_DST)])
@pytest.mark.parametrize("lepton", [M_MU, M_TAU])
def test_drawn_decays_follow_the_closed_form(model, parameters, code, m, lepton):
    """Would catch any bias of q2, w, cos(theta_l), cos(theta_V) in 100 000 decays."""
    found = transition(model, parameters, 511, code)
    n = 100_000
    decays = drawn(found, m, lepton, n, seed=code)
    low, high = lepton**2, (M_B - m) ** 2

    def rate(q2):
        return differential_rate(found, M_B, lepton, np.full(len(q2), m), q2)

    assert probability(decays.q2, low, high, rate) > 0.001
    w = (M_B**2 + m**2 - decays.q2) / (2 * M_B * m)
    ends = [(M_B**2 + m**2 - x) / (2 * M_B * m) for x in (high, low)]
    assert probability(w, *ends, lambda w: rate(M_B**2 + m**2 - 2 * M_B * m * w)) > 0.001
    q2 = np.linspace(low, high, 20_001)[1:-1]
    h, ratio = found.amplitudes(M_B, np.full(len(q2), m), q2), lepton**2 / q2
    common = breakup_momentum(M_B, m, np.sqrt(q2)) * q2 * (1 - ratio) ** 2
    plus, zero, minus, time = h
    transverse = np.sum(common * (1 + ratio) * (plus**2 + minus**2)) / 2
    flip = np.sum(common * ratio * (plus**2 + minus**2)) / 2

    def lepton_angle(c):  # Koerner, Schuler
        a = np.sum(common * (zero**2 + ratio * time**2)) + transverse
        b = np.sum(common * (minus**2 - plus**2 - 2 * ratio * zero * time))
        square = transverse - 2 * flip - np.sum(common * (1 - ratio) * zero**2)
        return a + b * c + square * c**2

    assert probability(decays.cos_lepton, -1, 1, lepton_angle) > 0.001
    if found.spin:
        long = np.sum(common * (zero**2 * (1 + ratio / 2) + 1.5 * ratio * time**2))
        side = np.sum(common * (plus**2 + minus**2) * (1 + ratio / 2))
        fraction = long / (long + side)
        assert probability(decays.cos_decay, -1, 1, lambda c: 2 * fraction * c**2 + (1 - fraction) * (1 - c**2)) > 0.001
        moment = (5 * np.mean(decays.cos_decay**2) - 1) / 2
        assert moment == pytest.approx(fraction, abs=0.005)


def test_massless_leptons_of_pseudoscalars_follow_sine_squared():
    """Would catch an asymmetric lepton angle, or any other than sin^2 where only one helicity exists."""
    decays = drawn(transition("BGL", BGL_D, 511, 411), M_D, 1e-6, 100_000, seed=5)
    assert probability(decays.cos_lepton, -1, 1, lambda c: 1 - c**2) > 0.001


def test_published_polarisations():
    """Would catch wrong tau helicities: P_tau(D) = 0.325, P_tau(D*) = -0.497, F_L(D*) = 0.46 (arXiv:1203.2654 and
    1212.1878: -0.497 +- 0.013, F_L = 0.457 +- 0.010)."""
    cases = (HQET3_D, 411, M_D, 0.325, 0.012), (HQET3_DST, 413, M_DST, -0.497, 0.015)
    for parameters, code, m, expected, error in cases:
        decays = drawn(transition("HQET3", parameters, 511, code), m, M_TAU, 200_000, seed=7)
        assert decays.spin[:, 2].mean() == pytest.approx(expected, abs=error)
        if code == 413:
            assert (5 * np.mean(decays.cos_decay**2) - 1) / 2 == pytest.approx(0.457, abs=0.015)


def test_every_model_of_the_table_has_finite_amplitudes():
    """Would catch a form factor that diverges inside of a spectrum, for light hadrons below their mass as well."""
    seen = 0
    for mother in (511, 521, 411, 421, 431):
        for mode in belle2_table().modes[mother]:
            hadrons = [c for c in mode.products if abs(c) not in range(11, 17)]
            if len(mode.products) != 3 or len(hadrons) != 1:
                continue
            found = transition(mode.model, numbers_of(mode.parameters), mother, hadrons[0])
            if found is None:
                continue
            seen += 1
            mass = {511: 5.28, 521: 5.28, 411: 1.87, 421: 1.865, 431: 1.968}[mother]
            for m in (0.3, 0.6, 0.9) if mass < 2 else (0.5, 1.0, 2.0, 2.6):
                q2 = np.linspace(1e-4, (mass - m) ** 2, 51)[:-1]
                density = differential_rate(found, mass, 0.000511, np.full(50, m), q2)
                assert np.all(np.isfinite(density)) and np.all(density >= 0.0), (mother, mode)
    assert seen > 100
