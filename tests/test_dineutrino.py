"""B -> K, K*, Xs and Xu with lepton pairs as generator-level models, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from generated_decays import Events, cosine, mass2, rest
from scipy.integrate import quad
from scipy.stats import chi2, kstest
from test_semileptonic import probability

from fei_lite.analyses.k_nunu.spectrum import Q2_MAX, spectrum
from fei_lite.generator.decay_file import shipped_decays
from fei_lite.generator.generate import generate
from fei_lite.generator.matrix_elements.charmless import ShapeFunction
from fei_lite.generator.matrix_elements.dineutrino import FermiMotion, dineutrino_transition, quark_rate
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum
from fei_lite.generator.matrix_elements.semileptonic import Spectrum, differential_rate

M_B, M_K, M_KST = 5.27934, 0.493677, 0.89555


def events(name, n, seed):
    return Events(next(generate("signal", n, seed=seed, dec_file=shipped_decays()[name], batch_size=n)))


def pairs(found, mothers, hadron):
    """q2, hadron, B of the decays into a hadron and two neutrinos."""
    rows, _ = found.decays(mothers, (hadron, 16, 16))
    b, had, first, second = (found.p4[rows[:, k]] for k in range(4))
    return mass2(first + second), had, b, rows


def test_kaon_is_the_spectrum_of_the_analysis():
    """Would catch a generator whose K nu nubar is not that of the weights: q2 of 100 000 draws, and of events."""
    found = dineutrino_transition("KNUNU", 521, 321)
    n = 100_000
    q2 = Spectrum(found, M_B, 0.0).draw(np.full(n, M_K), np.zeros(n), np.random.default_rng(1))
    assert probability(q2, 0.0, Q2_MAX, spectrum) > 0.001
    made, *_ = pairs(events("k_nunu_sm", 3000, 2), (521,), 321)
    assert len(made) == 3000
    assert probability(made, 0.0, Q2_MAX + 0.01, spectrum, bins=15) > 0.001


def naive_kst(q2):
    """dB/dq2 longitudinal and transverse, written out from arXiv:1503.05534 (eqs. 15, 16, tab. 15) and 1409.4557."""
    high, low = (M_B + M_KST) ** 2, (M_B - M_KST) ** 2
    t0 = high * (1 - np.sqrt(1 - low / high))
    z, z0 = ((np.sqrt(high - x) - np.sqrt(high - t0)) / (np.sqrt(high - x) + np.sqrt(high - t0)) for x in (q2, 0.0))
    v = (0.38 - 1.17 * (z - z0) + 2.42 * (z - z0) ** 2) / (1 - q2 / 5.415**2)
    a1 = (0.30 + 0.39 * (z - z0) + 1.19 * (z - z0) ** 2) / (1 - q2 / 5.829**2)
    a12 = (0.27 + 0.53 * (z - z0) + 0.48 * (z - z0) ** 2) / (1 - q2 / 5.829**2)
    lam = (high - q2) * (low - q2)
    return (np.sqrt(lam) * 64 * M_B**2 * M_KST**2 * a12**2,
            np.sqrt(lam) * q2 * 2 * (lam * v**2 / (M_B + M_KST) ** 2 + (M_B + M_KST) ** 2 * a1**2))


def test_kstar_and_its_polarisation():
    """Would catch helicities mixed up: q2 and F_L by hand; F_L of the whole spectrum 0.47 +- 0.03 (arXiv:1409.4557)."""
    found = dineutrino_transition("KSTARNUNU_REV", 511, 313)
    q2 = np.linspace(0.01, (M_B - M_KST) ** 2 - 0.01, 200)
    long, side = naive_kst(q2)
    mine = differential_rate(found, M_B, 0.0, np.full(200, M_KST), q2)
    ratio = mine / (long + side)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    total = [quad(lambda x, k=k: naive_kst(x)[k], 0, (M_B - M_KST) ** 2)[0] for k in (0, 1)]
    fraction = total[0] / sum(total)
    assert fraction == pytest.approx(0.47, abs=0.03)
    made = events("kst_nunu", 6000, 3)
    _, kst, b, rows = pairs(made, (511,), 313)
    charged, _ = made.decays((313,), (321, 211))
    place = {row: k for k, row in enumerate(rows[:, 1].tolist())}
    which, kaon = np.array([(place[r], k) for r, k, _ in charged.tolist() if r in place]).T
    frame = rest(kst[which], b[which])
    cos = cosine(rest(rest(made.p4[kaon], b[which]), frame), frame)
    seen = (5 * np.mean(cos**2) - 1) / 2
    assert seen == pytest.approx(fraction, abs=2.5 * np.std(cos**2) / np.sqrt(len(cos)) * 4)


def test_fermi_motion_in_its_parts():
    """Would catch a wrong density of p, of s, or a system that is not s and spectator.

    Without a least mass, m_q = 0: q2 / m_b^2 and the recoil's two ways to the same M(Xs).
    """
    rng = np.random.default_rng(5)
    model = FermiMotion(30353, strange=0.0, spectator=0.0, p_f=0.461, least=0.0, rate_masses=(4.8, 0.0))
    m, q2, twice_s = model.draw(200_000, M_B, rng)
    s = twice_s / 2
    assert probability(s, 0.0, 1.0, lambda x: quark_rate(x, 0.0)) > 0.001
    p = (M_B**2 - q2 / s) / (2 * M_B)
    top = M_B / 2
    assert probability(p, 0.0, top, lambda x: x**2 * np.exp(-(x / 0.461) ** 2)) > 0.001
    # massless s of energy k in the b's frame, spectator of p: M^2 = 2 p k gamma (1 + beta) (1 + cos), cos uniform
    m_b = np.sqrt(q2 / s)
    k = breakup_momentum(m_b, 0.0, np.sqrt(q2))
    furthest = 4 * p * k * (np.sqrt(p**2 + m_b**2) + p) / m_b
    inside = m**2 / furthest
    assert kstest(inside, "uniform").pvalue > 0.001


def test_fermi_motion_stays_within_phase_space():
    """Would catch a mass below the cut, or more than the B has."""
    model = FermiMotion.of("BTOXSNUNU_FERMI", (0.2, 0.0, 0.461, 1.1, 4.8, 0.2), 30353)
    m, q2, _ = model.draw(50_000, M_B, np.random.default_rng(6))
    assert m.min() >= 1.1 and np.all(m + np.sqrt(q2) < M_B)
    assert FermiMotion.of("PHSP", (), 30353) is None and FermiMotion.of("BTOXSNUNU_FERMI", (1.0,), 30353) is None


@pytest.mark.parametrize(("name", "b", "system", "fractions"), [
    ("xs_nunu", 521, 30353, {321: 5.04, 323: 9.92, 30353: 14.04}),
    ("xs_nunu_neutral", 511, 30343, {311: 4.67, 313: 9.19, 30343: 15.14})])
def test_mixture(name, b, system, fractions):
    """Would catch a mode that is lost, a mass that Pythia drew itself, and a q2 of another event."""
    n = 3000
    found = events(name, n, 8)
    counts = {code: len(pairs(found, (b,), code)[0]) for code in fractions}
    assert sum(counts.values()) == n
    for code, fraction in fractions.items():
        expected = n * fraction / sum(fractions.values())
        assert counts[code] == pytest.approx(expected, abs=4 * np.sqrt(expected))
    q2, xs, _, rows = pairs(found, (b,), system)
    m = np.sqrt(mass2(xs))
    model = FermiMotion.of("BTOXSNUNU_FERMI", (), system)
    expected_m, expected_q2, _ = model.draw(300_000, M_B, np.random.default_rng(9))
    edges = np.quantile(expected_m, np.linspace(0, 1, 9)), np.quantile(expected_q2, np.linspace(0, 1, 6))
    seen, wanted = (np.histogram2d(*values, bins=edges)[0] for values in ((m, q2), (expected_m, expected_q2)))
    wanted *= len(m) / wanted.sum()
    assert seen.sum() >= len(m) - 2
    # both: the correlation of mass and q2 as well
    assert chi2.sf(np.sum((seen - wanted) ** 2 / wanted), seen.size - 1) > 0.001
    # strange, and nothing lost in its fragmentation
    for row in rows[:100, 1].tolist():
        assert len(found.daughters[row]) >= 2
        np.testing.assert_allclose(found.p4[found.daughters[row]].sum(axis=0), found.p4[row], atol=1e-6)


def test_half_of_k0_are_short():
    """Would catch a K0 that is always a K_S0: half decay in the detector, half are K_L0."""
    found = events("xs_nunu_neutral", 3000, 8)
    _, _, _, rows = pairs(found, (511,), 311)
    short = sum(310 in np.abs(found.pdg[found.daughters[r]]) for r in rows[:, 1].tolist())
    assert short == pytest.approx(len(rows) / 2, abs=4 * np.sqrt(len(rows)) / 2)


def test_shape_function():
    """Would catch a wrong shape function or parton rate: moments of k+ and s in closed form, without weights.

    <k+> = 0 and <k+^2> = Lambda^2 / (1 + a) for the exponential form; <s> = 3/10 for (1 - s)^2 (1 + 2 s).
    """
    n = 100_000
    m, q2, twice_s = ShapeFunction(30213, m_b=4.8, a=1.29, least=0.0).draw(n, M_B, np.random.default_rng(7))
    s = twice_s / 2
    quark = np.sqrt(q2 / s)
    np.testing.assert_allclose(m**2, (M_B - quark) * (M_B - q2 / quark), rtol=1e-9)
    spread = (M_B - 4.8) / np.sqrt(1 + 1.29)
    assert quark.mean() == pytest.approx(4.8, abs=4 * spread / np.sqrt(n))
    assert quark.std() == pytest.approx(spread, rel=0.02)
    assert s.mean() == pytest.approx(0.3, abs=4 * s.std() / np.sqrt(n))
    assert probability(s, 0, 1, lambda x: (1 - x) ** 2 * (1 + 2 * x)) > 0.001


def test_weights_of_the_hybrid():
    """Would catch weights that are applied to the wrong bins of M(Xu)."""
    plain, doubled = (ShapeFunction.of("VUB", (4.8, 1.29, 0.22, 2, 0.3, low, 1.5, 1.0), 30213).draw(
        100_000, M_B, np.random.default_rng(8))[0] for low in (1.0, 0.5))
    ratio = [np.sum(x < 1.5) / np.sum(x > 1.5) for x in (plain, doubled)]
    assert ratio[1] / ratio[0] == pytest.approx(0.5, rel=0.03)
