"""The mass fit of the pi0 against toys with known truth and scipy's constrained minimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from vertex_toys import batch_of, pi0_toy, table

from fei_lite.reconstruction import vertexing

N = 50_000


def test_mass_fit_pulls():
    """Biased pi0 momenta, wrong errors, a chiProb that is not flat for true pi0."""
    n = N
    p4, tables, _ = pi0_toy(np.random.default_rng(21), n)
    rows = np.tile(np.arange(n, dtype=np.int32)[:, None], (1, 2))
    result = vertexing.fit_masses(table("pi0", n, daughters=rows), tables, batch_of(n))
    pulls = (result.p4 - p4) / np.sqrt(np.einsum("nii->ni", result.cov)[:, :4])
    assert np.abs(pulls.mean(axis=0)).max() < 0.03 and np.abs(pulls.std(axis=0) - 1).max() < 0.05
    assert stats.kstest(result.chiProb, "uniform").pvalue > 0.001
    mass = np.sqrt(result.p4[:, 3] ** 2 - np.sum(result.p4[:, :3] ** 2, axis=1))
    np.testing.assert_allclose(mass, 0.1349768, atol=1e-6)
    assert np.isnan(result.cov[:, 4:]).all() and (result.ndf == 1).all()


def test_mass_fit_naive():
    """A fit of the sum that is not the fit of both photons' energies and angles."""
    _, tables, summary = pi0_toy(np.random.default_rng(22), 8, scale=0.1)
    rows = np.tile(np.arange(8, dtype=np.int32)[:, None], (1, 2))
    result = vertexing.fit_masses(table("pi0", 8, daughters=rows), tables, batch_of(8))

    def photon(e, t, f):
        return e * np.array([np.sin(t) * np.cos(f), np.sin(t) * np.sin(f), np.cos(t), 1.0])

    for i in range(8):
        seen, errors = (np.concatenate([s[k][i] for s in summary]) for k in (0, 1))

        def total(z, seen=seen, errors=errors):
            values = seen + errors * z
            return photon(*values[:3]) + photon(*values[3:])

        def off_shell(z, total=total):
            p = total(z)
            return (p[3] ** 2 - p[:3] @ p[:3]) / 0.1349768**2 - 1

        best = minimize(lambda z: z @ z, np.zeros(6), constraints={"type": "eq", "fun": off_shell},
                        method="SLSQP", options={"ftol": 1e-14})
        sigma = np.sqrt(np.einsum("ii->i", result.cov[i])[:4])
        assert result.chi2[i] == pytest.approx(best.fun, rel=0.01, abs=1e-3)
        assert np.abs((result.p4[i] - total(best.x)) / sigma).max() < 0.05


def test_mass_fit_of_nothing():
    """An exception, or a probability, for NaN photons or a zero covariance."""
    p4 = np.array([[np.nan] * 4, [0.1, 0.0, 0.3, 0.4]])
    cov = np.zeros((2, 4, 4))
    out, _, chi2, probability = vertexing.mass_fit(p4, cov, mass=0.135)
    assert np.isnan(chi2).all() and np.isnan(probability).all()
    np.testing.assert_array_equal(out, p4)
