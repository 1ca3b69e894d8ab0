"""B -> K tau l and B0 -> K*0 tau tau: Dalitz plane, operators, generated decays, folders of the analyses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.k_tau_l.dalitz import efficiency, limits, phase_space_fractions
from fei_lite.analyses.k_tau_l.generated import MODES, generated_decays
from fei_lite.analyses.k_tau_l.operators import KST_A0, M_TAU, OPERATORS, amplitudes, phase_space, squared, weight
from fei_lite.analyses.kstar_tau_tau import spectrum
from fei_lite.analyses.kstar_tau_tau.physics import of_events
from fei_lite.errors import AnalysisError
from fei_lite.events import concatenate
from fei_lite.generator.matrix_elements.bcl import simplified_series
from fei_lite.generator.matrix_elements.dineutrino import KST_A12, KST_NUNU, dineutrino_transition
from fei_lite.generator.matrix_elements.form_factors import Transition
from fei_lite.generator.matrix_elements.k_nunu import f_plus, f_zero
from fei_lite.generator.matrix_elements.semileptonic import differential_rate
from fei_lite.particles import mass
from fei_lite.production.simulate import simulate

M_B = {"K+": mass("B+"), "K_S0": mass("B0"), "K*0": mass("B0")}
M_K = {"K+": mass("K+"), "K_S0": mass("K0"), "K*0": mass("K*0")}
N = 400


def places(kaon, n, rng):
    """q2 and cos (n,) of phase space, by rejection."""
    low, high = M_TAU**2, (M_B[kaon] - M_K[kaon]) ** 2
    q2 = rng.uniform(low, high, 40 * n)
    density = phase_space(kaon, M_K[kaon], q2)
    q2 = q2[rng.uniform(size=len(q2)) * density.max() < density][:n]
    assert len(q2) == n
    return q2, rng.uniform(-1.0, 1.0, n)


def momenta(kaon, q2, cos):
    """Four-momenta (px, py, pz, E) of B, K, tau and l in the frame of tau l, the pair having flown along +z."""
    root, m_b, m_k = np.sqrt(q2), M_B[kaon], M_K[kaon]
    e_b = (m_b**2 + q2 - m_k**2) / (2 * root)
    p_b = np.sqrt(e_b**2 - m_b**2)
    p = (q2 - M_TAU**2) / (2 * root)
    zero, sine = np.zeros_like(q2), np.sqrt(1 - cos**2)
    b = np.stack([zero, zero, -p_b, e_b])
    k = np.stack([zero, zero, -p_b, e_b - root])
    tau = np.stack([p * sine, zero, p * cos, root - p])
    return b, k, tau, np.stack([-p * sine, zero, -p * cos, p])


def dot(a, b):
    return a[3] * b[3] - np.sum(a[:3] * b[:3], axis=0)


@pytest.mark.parametrize("kaon", ["K+", "K_S0"])
def test_vector_operator_by_the_trace(kaon):
    """Would catch a wrong helicity amplitude, angle or sign: |M|^2 = 2 (H.p_l)(H.p_tau) - H^2 p_l.p_tau with the
    current H = f+ (p_B + p_K - (m_B^2 - m_K^2)/q2 q) + f0 (m_B^2 - m_K^2)/q2 q, by hand from four-momenta."""
    q2, cos = places(kaon, 300, np.random.default_rng(1))
    b, k, tau, light = momenta(kaon, q2, cos)
    q, step = b - k, (M_B[kaon] ** 2 - M_K[kaon] ** 2) / q2
    current = f_plus(q2) * (b + k - step * q) + f_zero(q2) * step * q
    hand = 2 * dot(current, light) * dot(current, tau) - dot(current, current) * dot(light, tau)
    found = squared("vector", kaon, np.full(300, M_K[kaon]), q2, cos, np.zeros(300, dtype=bool))
    np.testing.assert_allclose(found / hand, (found / hand)[0], rtol=1e-9)


def test_scalar_operator_by_the_trace():
    """Would catch a scalar operator that is not p_l.p_tau f0^2, or that depends on the angle."""
    q2, cos = places("K+", 200, np.random.default_rng(2))
    _, _, tau, light = momenta("K+", q2, cos)
    hand = dot(light, tau) * f_zero(q2) ** 2
    found = squared("scalar", "K+", np.full(200, M_K["K+"]), q2, cos, np.zeros(200, dtype=bool))
    np.testing.assert_allclose(found / hand, (found / hand)[0], rtol=1e-9)


def test_vector_operator_with_k_star():
    """Would catch amplitudes of the K* that are mixed up: over all angles the rate is that of K* tau nu, of which the
    generator has its own formula."""
    q2 = np.linspace(M_TAU**2 + 0.1, 18.5, 40)
    m_k, cos = np.full(2001, M_K["K*0"]), np.linspace(-1.0, 1.0, 2001)
    own = np.array([np.trapezoid(squared("vector", "K*0", m_k, np.full(2001, x), cos, np.zeros(2001, dtype=bool)), cos)
                    for x in q2]) * phase_space("K*0", M_K["K*0"], q2)
    transition = dineutrino_transition(KST_NUNU, 511, 313)
    for lepton, same in ((1e-6, False), (M_TAU, False)):
        other = differential_rate(transition, M_B["K*0"], lepton, np.full(len(q2), M_K["K*0"]), q2)
        assert np.all(np.abs(own / other / (own / other)[-1] - 1.0) < 1e-6) == same
    # with the time-like part, which neutrinos do not feel
    full = Transition(1, lambda m, x, s: amplitudes("K*0", x, s))
    other = differential_rate(full, M_B["K*0"], M_TAU, np.full(len(q2), M_K["K*0"]), q2)
    np.testing.assert_allclose(own / other, (own / other)[0], rtol=1e-6)


def test_tau_charges_are_mirror_images():
    """Would catch charges without effect, or an asymmetry of K* tau+ l- that is all that of K* tau- l+ reversed."""
    q2, cos = places("K*0", 50, np.random.default_rng(3))
    m_k = np.full(50, M_K["K*0"])
    one, other = (squared("vector", "K*0", m_k, q2, cos, np.full(50, anti)) for anti in (False, True))
    assert np.all(np.abs(one / other - 1.0)[np.abs(cos) > 0.3] > 1e-3)
    flipped = squared("vector", "K*0", m_k, q2, -cos, np.full(50, True))
    assert not np.allclose(one, flipped)  # the time-like interference does not change its sign


@pytest.mark.parametrize("kaon", M_K)
@pytest.mark.parametrize("operator", OPERATORS)
def test_weights_keep_the_rate(kaon, operator):
    """Would catch weights that change the number of events: their mean over phase space is 1."""
    q2, cos = places(kaon, 20_000, np.random.default_rng(4))
    w = weight(operator, kaon, np.full(20_000, M_K[kaon]), q2, cos, anti=np.zeros(20_000, dtype=bool))
    assert w.mean() == pytest.approx(1.0, abs=4 * w.std() / np.sqrt(20_000) + 1e-9) and np.all(w >= 0.0)
    assert np.isnan(weight(operator, kaon, [0.5], [3.0], [0.0], anti=[False])).all() or operator == "phase space"


def test_unknown_operator():
    """Would catch an operator that is silently phase space."""
    with pytest.raises(AnalysisError, match="no operator 'tensor'"):
        weight("tensor", "K+", [0.5], [9.0], [0.0], anti=[False])


def test_form_factors_at_zero():
    """Would catch a wrong coefficient: A0(0) = 8 m_B m_K* A12(0) / (m_B^2 - m_K*^2)."""
    zero, m_k = np.zeros(1), M_K["K*0"]
    a0, a12 = (simplified_series(zero, M_B["K*0"], m_k, *part)[0] for part in (KST_A0, KST_A12))
    assert a0 == pytest.approx(8 * M_B["K*0"] * m_k / (M_B["K*0"] ** 2 - m_k**2) * a12, rel=0.03)


def test_plane_by_random_decays():
    """Would catch a wrong border of the Dalitz plane, or fractions that are no phase space: against random decays."""
    rng = np.random.default_rng(5)
    q2, cos = places("K+", 40_000, rng)
    _, k, _, light = momenta("K+", q2, cos)
    m2_kl = dot(k + light, k + light)
    low, high = limits(q2, m_b=M_B["K+"], m_k=M_K["K+"], m_l=0.0)
    assert np.all(m2_kl > low - 1e-9) and np.all(m2_kl < high + 1e-9)
    edges = ((3.0, 6.0, 9.0, 12.0, 15.0, 19.0, 23.0), (0.0, 3.0, 6.0, 9.0, 13.0))
    found = phase_space_fractions(edges, m_b=M_B["K+"], m_k=M_K["K+"], m_l=1e-4)
    counts = np.histogram2d(q2, m2_kl, bins=edges)[0]
    assert found.sum() == pytest.approx(1.0, abs=2e-3) and counts.sum() == 40_000
    np.testing.assert_allclose(counts, 40_000 * found, atol=5 * np.sqrt(40_000 * found.max()))
    assert np.sum((counts - 40_000 * found) ** 2 / np.maximum(40_000 * found, 1.0)) < 60.0


def test_efficiency_comes_back():
    """Would catch an efficiency that is not selected over generated in every bin, or errors that forget the weights."""
    rng = np.random.default_rng(6)
    q2, cos = places("K+", 40_000, rng)
    _, k, _, light = momenta("K+", q2, cos)
    m2_kl = dot(k + light, k + light)
    true = np.where(q2 < 10.0, 0.2, 0.4)
    kept = rng.uniform(size=40_000) < true
    found = efficiency(q2[kept], m2_kl[kept], np.full(int(kept.sum()), 0.5), total=20_000.0, kaon="K+", light="e",
                       edges=((3.0, 10.0, 23.0), (0.0, 5.0, 13.0)))
    pulls = (found.values - np.array([[0.2, 0.2], [0.4, 0.4]])) / found.errors
    assert np.all(np.abs(pulls) < 4.0) and found.total == pytest.approx(np.mean(kept), abs=1e-9)
    content = found.to_json()
    assert np.array(content["values"]).shape == (2, 2)


@pytest.fixture(scope="module")
def batch():
    return concatenate(list(simulate("signal", N, seed=9, dec_file="ks_tau_l")))


def test_generated_plane_is_flat(batch):
    """Would catch a wrong angle or q2 of the generated decays, and modes that are not a quarter each: Pythia's phase
    space against the formula."""
    found = generated_decays(batch)
    counts = np.bincount(found.mode, minlength=4)
    assert len(MODES) == 4 and np.all(np.abs(counts - N / 4) < 4 * np.sqrt(N * 3 / 16))
    assert kstest(found.cos, "uniform", args=(-1, 2)).pvalue > 1e-3
    grid = np.linspace(M_TAU**2, (M_B["K_S0"] - M_K["K_S0"]) ** 2, 4001)
    cumulative = np.concatenate([[0.0], np.cumsum(phase_space("K_S0", M_K["K_S0"], 0.5 * (grid[1:] + grid[:-1])))])
    assert kstest(found.m2_taul, lambda x: np.interp(x, grid, cumulative / cumulative[-1])).pvalue > 1e-3
    np.testing.assert_allclose(found.m_K, mass("K0"), atol=1e-3)
    low, high = limits(found.m2_taul, m_b=M_B["K_S0"], m_k=M_K["K_S0"], m_l=mass("e+"))
    assert np.mean((found.m2_Kl > low - 0.05) & (found.m2_Kl < high + 0.05)) > 0.99
    rows = batch.generated["pdg"]
    assert {310} == set(np.abs(rows[np.isin(rows, (310, 130, 311))][:1]))


def test_modes_need_the_flavour():
    """Would catch a tau+ of a B0 and one of an anti-B0 that count as the same mode: by a loop over particles."""
    events = concatenate(list(simulate("signal", 60, seed=10, dec_file="kst_tau_l")))
    g, found = events.generated, generated_decays(events)
    for e in range(60):
        rows = np.arange(g.offsets[e], g.offsets[e + 1])
        taus = [r for r in rows if abs(g["pdg"][r]) == 15 and abs(g["pdg"][rows[0] + g["mother"][r]]) == 511]
        tau = next(t for t in taus if not any(
            abs(g["pdg"][r]) == 16 and g["mother"][r] == g["mother"][t] for r in rows))
        mother = rows[0] + g["mother"][tau]
        light = next(int(g["pdg"][r]) for r in rows
                     if g["mother"][r] == g["mother"][tau] and abs(g["pdg"][r]) in (11, 13))
        positive = (g["pdg"][tau] < 0) == (g["pdg"][mother] > 0)
        wanted = f"tau{'+' if positive else '-'} {'e' if abs(light) == 11 else 'mu'}{'-' if positive else '+'}"
        assert MODES[found.mode[e]] == wanted


def test_spectrum_of_two_taus():
    """Would catch vector and axial couplings that are exchanged, a wrong threshold, weights that change the rate."""
    q2 = np.linspace(spectrum.Q2_MIN + 1e-6, spectrum.Q2_MAX - 1e-3, 2000)
    m_k = np.full(len(q2), M_K["K*0"])
    density = spectrum.phase_space(q2, m_k)
    mean = np.trapezoid(spectrum.weight(q2, m_k) * density, q2) / np.trapezoid(density, q2)
    assert mean == pytest.approx(1.0, rel=1e-3)
    vector, axial = (spectrum.squared(q2, m_k, c_9=a, c_10=b) for a, b in ((1, 0), (0, 1)))
    assert vector[0] > 2 * axial[0]  # at the threshold the axial current has its time-like part alone
    assert np.isnan(spectrum.weight([12.0], [0.89])).all()
    events = concatenate(list(simulate("signal", 60, seed=11, dec_file="kst_tau_tau")))
    found = of_events(events, "kst_tau_tau")
    assert np.all((found["q2_generated"] > spectrum.Q2_MIN) & (found["q2_generated"] < 22.0))
    assert np.all(np.isfinite(spectrum.weight(found["q2_generated"], found["m_K_generated"])))
    assert np.isnan(of_events(events, "mixed")["q2_generated"]).all()


@pytest.mark.parametrize(("name", "regions"), [("k_tau_l", 12), ("kstar_tau_tau", 4), ("recoil_controls", 3)])
def test_folders(name, regions):
    """Would catch a folder that does not load, or a search without its signal."""
    analysis = load_analysis(name)
    assert len(analysis.recipe.region) == regions and analysis.signal_set.warnings is not None
    for line in analysis.recipe.region:
        assert analysis.recipe.signal_of(line) in {s.name for s in analysis.recipe.signals}
