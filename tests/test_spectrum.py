"""The q2 spectrum of B -> K nu nubar against closed forms, other numbers in the literature, and generated events."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2
from signal_events import NEUTRINOS, Truth

from fei_lite.analyses.k_nunu.generated import generated_q2
from fei_lite.analyses.k_nunu.spectrum import (
    M_B,
    M_K,
    Q2_MAX,
    Couplings,
    f_plus,
    f_tensor,
    f_zero,
    fractions,
    kaon_momentum,
    phase_space,
    spectrum,
    weight,
)
from fei_lite.generator.decay_file import shipped_decays
from fei_lite.generator.generate import generate
from fei_lite.particles import mass

N = 4000


@pytest.fixture(scope="module")
def generated():
    return next(generate("signal", N, seed=21, dec_file=shipped_decays()["k_nunu"], batch_size=N))


def test_masses():
    """Would catch masses of the spectrum that are not those of the events it weights."""
    assert mass("B+") == pytest.approx(M_B, abs=1e-4) and mass("K+") == pytest.approx(M_K, abs=1e-6)


def test_kaon_momentum_conserves_energy():
    """Would catch a wrong lambda function: E_K + E_nunu = m_B with back-to-back momenta."""
    q2 = np.linspace(0.0, Q2_MAX, 50)[:-1]
    p = kaon_momentum(q2)
    np.testing.assert_allclose(np.hypot(p, M_K) + np.sqrt(p**2 + q2), M_B, rtol=1e-12)
    assert np.all(kaon_momentum([-0.1, Q2_MAX, 30.0]) == 0.0)


def test_form_factors_agree_where_they_must():
    """Would catch a coefficient in the wrong place: f0(0) = f+(0), all rise, f+/f0 as heavy-quark symmetry has it."""
    assert float(f_zero(0.0)) == pytest.approx(float(f_plus(0.0)), rel=0.12)  # 0.31 +- 0.03 and 0.34 +- 0.01
    for form in (f_plus, f_zero, f_tensor):
        assert np.all(np.diff(form(np.linspace(0, Q2_MAX, 50))) > 0)
    # the vector and tensor poles are nearer to the end of the spectrum than the scalar one
    assert f_plus(Q2_MAX) / f_plus(0.0) > 5 and f_tensor(Q2_MAX) / f_tensor(0.0) > 5
    assert f_zero(Q2_MAX) / f_zero(0.0) < 3
    # improved Isgur-Wise relation, arXiv:hep-ph/9812358: fT/f+ near (m_B + m_K) / m_B
    assert float(f_tensor(15.0) / f_plus(15.0)) == pytest.approx(1 + M_K / M_B, rel=0.1)


def naive_f_plus(q2):
    """f+ written out by hand from arXiv:1409.4557."""
    t_plus, t_minus = (5.27934 + 0.493677) ** 2, (5.27934 - 0.493677) ** 2
    t0 = t_plus * (1 - (1 - t_minus / t_plus) ** 0.5)
    z = ((t_plus - q2) ** 0.5 - (t_plus - t0) ** 0.5) / ((t_plus - q2) ** 0.5 + (t_plus - t0) ** 0.5)
    pole = 1 / (1 - q2 / (5.27934 + 0.046) ** 2)
    return pole * (0.432 - 0.664 * z - 1.20 * z**2 + z**3 / 3 * (0.664 - 2.40))


def test_standard_model_against_the_formula_by_hand():
    """Would catch a spectrum that is not p^3 f+^2, or not normalised: adaptive integration of the formula by hand."""
    def rate(q2):
        energy = (M_B**2 + M_K**2 - q2) / (2 * M_B)
        return max(energy**2 - M_K**2, 0.0) ** 1.5 * naive_f_plus(q2) ** 2

    total = quad(rate, 0, Q2_MAX)[0]
    for q2 in (0.0, 3.0, 11.0, 22.0):
        assert float(spectrum(q2)) == pytest.approx(rate(q2) / total, rel=1e-4)
    edges = [0.0, 4.0, 8.0, Q2_MAX]
    wanted = [quad(rate, a, b)[0] / total for a, b in pairwise(edges)]
    np.testing.assert_allclose(fractions(edges), wanted, rtol=1e-4)
    assert sum(fractions(edges)) == pytest.approx(1.0, rel=1e-6)


def test_weight_has_mean_one():
    """Would catch a weight that changes the number of signal events: its phase-space mean is the branching fraction."""
    assert quad(lambda q: float(weight(q) * phase_space(q)), 0, Q2_MAX * (1 - 1e-9))[0] == pytest.approx(1, rel=1e-4)
    assert np.all(np.isnan(weight([np.nan, -1.0, Q2_MAX + 1])))


@pytest.mark.parametrize("couplings, power",
                         [(Couplings(0, 1, 0), 1), (Couplings(1, 0, 0), 3), (Couplings(0, 0, 1), 3)])
def test_threshold_behaviour(couplings, power):
    """Would catch operators mixed up: near the end p_K (scalar, S wave) or p_K^3; at q2 = 0 only the vector stays."""
    q2 = Q2_MAX - np.array([1e-4, 2e-4])
    slope = np.diff(np.log(spectrum(q2, couplings))) / np.diff(np.log(kaon_momentum(q2)))
    assert slope[0] == pytest.approx(power, abs=0.01)
    assert (spectrum(0.0, couplings) > 0) == (couplings.vector > 0)


def test_operators_add_without_interference():
    """Would catch a sum of amplitudes: vector, scalar and tensor do not interfere with massless neutrinos."""
    q2 = np.linspace(0, Q2_MAX, 30)
    parts = spectrum(q2, Couplings(0.5, 0, 0)) + spectrum(q2, Couplings(0, 2, 0)) + spectrum(q2, Couplings(0, 0, -3))
    np.testing.assert_allclose(spectrum(q2, Couplings(0.5, 2, -3)), parts, rtol=1e-12)
    np.testing.assert_allclose(spectrum(q2, Couplings(0.5)), 0.25 * spectrum(q2), rtol=1e-12)


def dirac_matrices():
    """gamma^mu (4, 4, 4) in the Dirac representation, and P_L."""
    sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    zero, one = np.zeros((2, 2)), np.eye(2)
    gamma = np.array([np.block([[one, zero], [zero, -one]]), *(np.block([[zero, s], [-s, zero]]) for s in sigma)])
    gamma5 = 1j * gamma[0] @ gamma[1] @ gamma[2] @ gamma[3]
    return gamma, 0.5 * (np.eye(4) - gamma5)


@pytest.mark.parametrize("q2", [1.0, 8.0, 15.0, 21.0])
def test_scalar_and_tensor_rates_are_absolute(q2):
    """Would catch a factor of the scalar or tensor rate: traces of Dirac matrices, relative to the vector's.

    Hadronic matrix elements with (1 - gamma5) / 2 of the quarks; a pair of neutrinos k1, k2 at an angle in the frame
    of their sum. Operators that change lepton number make pairs of neutrinos and, by their conjugate, of antineutrinos.
    """
    gamma, left = dirac_matrices()
    metric = np.diag([1.0, -1, -1, -1])
    root = 2 * M_B * float(kaon_momentum(q2))
    sum_p = np.array([(M_B**2 - M_K**2) / q2**0.5, 0, 0, root / q2**0.5])  # p_B + p_K in the frame of q
    q = np.array([q2**0.5, 0, 0, 0])
    tensor_element = -1j * (np.outer(sum_p, q) - np.outer(q, sum_p)) * float(f_tensor(q2)) / (M_B + M_K)
    cosines, weights = np.polynomial.legendre.leggauss(6)
    rates = np.zeros(3)
    for c, w in zip(cosines, weights, strict=True):
        n = np.array([np.sqrt(1 - c**2), 0, c])
        k1, k2 = (0.5 * q2**0.5 * np.array([1.0, *(s * n)]) for s in (1, -1))
        slash1, slash2 = (np.einsum("m,mn,nij->ij", k, metric, gamma) for k in (k1, k2))
        lower = np.einsum("mn,nij->mij", metric, gamma)
        sigma = 0.5j * (np.einsum("mij,njk->mnik", lower, lower) - np.einsum("nij,mjk->mnik", lower, lower))
        vertices = (0.5 * float(f_plus(q2)) * np.einsum("m,mij->ij", sum_p, lower) @ left,
                    0.5 * float(f_zero(q2)) * (M_B**2 - M_K**2) / 4.10 * left,
                    # sigma P_L of the quarks is self-dual, as that of the neutrinos: the half of P_L is made up for
                    np.einsum("mn,mnij->ij", tensor_element, sigma) @ left)
        for i, vertex in enumerate(vertices):
            bar = gamma[0] @ vertex.conj().T @ gamma[0]
            rates[i] += w * np.trace(slash1 @ vertex @ slash2 @ bar).real
    for couplings, rate in ((Couplings(0, 1, 0), rates[1]), (Couplings(0, 0, 1), rates[2])):
        assert float(spectrum(q2, couplings) / spectrum(q2)) == pytest.approx(2.0 * rate / rates[0], rel=1e-9)


def test_generated_q2(generated):
    """Would catch the wrong neutrinos, or a pair that is no signal: q2 again from the B and all but the neutrinos."""
    q2 = generated_q2(generated)
    assert np.isfinite(q2).all()
    truth = Truth(generated)
    g = generated.generated
    for e in range(0, N, 50):
        rows = np.arange(g.offsets[e], g.offsets[e + 1])
        b = truth.signal[e]
        seen = [r for r in rows if truth.mother[r] == b and abs(g["pdg"][r]) not in NEUTRINOS]
        rest = g["p4"][b] - g["p4"][seen].sum(axis=0)
        assert q2[e] == pytest.approx(rest[3]**2 - rest[:3] @ rest[:3], abs=1e-6)


def test_generic_events_have_no_signal():
    """Would catch two neutrinos of different B's, or of a tau, taken for a signal."""
    batch = next(generate("charged", 300, seed=22, batch_size=300))
    assert np.isnan(generated_q2(batch)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_generated_spectrum(generated, weighted):
    """Would catch a generator that is not phase space, or a weight that does not make the standard model of it."""
    q2 = generated_q2(generated)
    edges = np.linspace(0, Q2_MAX, 13)
    w = weight(q2) if weighted else np.ones(N)
    found, squares = (np.histogram(q2, edges, weights=x)[0] for x in (w, w**2))
    wanted = fractions(edges) if weighted else [quad(lambda q: float(phase_space(q)), a, b)[0]
                                                for a, b in pairwise(edges)]
    pull2 = (found - N * np.array(wanted)) ** 2 / squares
    assert chi2.sf(pull2.sum(), len(pull2)) > 1e-3
    assert w.sum() == pytest.approx(N, abs=5 * np.sqrt((w**2).sum()))
