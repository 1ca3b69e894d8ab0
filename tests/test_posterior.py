"""Posteriors and credible intervals against closed forms and integrals."""

from __future__ import annotations

import numpy as np
import pytest
from fit_workspaces import counting
from scipy.stats import gamma, norm

from fei_lite.errors import FeiLiteError
from fei_lite.statistics.credible import central, density_on, highest_density
from fei_lite.statistics.posterior import FlatPrior, best_values, sample_posterior
from fei_lite.statistics.workspaces import open_likelihood

pytest.importorskip("emcee")


def sampled(spec, prior, *, seed=1, steps=3000):
    return sample_posterior(open_likelihood(spec), [prior], rng=np.random.default_rng(seed), most_steps=steps)


def test_counting_without_nuisances_is_a_gamma_distribution():
    """Would catch a likelihood that is not the Poisson one, or a prior that is not flat: n + 1 events of a Gamma."""
    found = sampled(counting(70), FlatPrior("mu", "mu", 0.0, 10.0))
    total = gamma(71)  # of 50 + 10 mu
    at = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    low, high = total.cdf(50.0), total.cdf(150.0)
    wanted = (total.ppf(low + at * (high - low)) - 50.0) / 10.0
    np.testing.assert_allclose(np.quantile(found.values[:, 0], at), wanted, atol=0.04)
    assert found.split[0] < 1.02 and found.effective[0] > 2000


def test_a_nuisance_is_marginalised():
    """Would catch a profile in place of the integral, or a constraint term forgotten: the integral on a grid.

    A background of 50 with 30 % error (pyhf's interpolation) makes it wide and asymmetric.
    """
    spec = counting(70, error=0.3)
    found = sampled(spec, FlatPrior("mu", "mu", 0.0, 10.0), steps=6000)
    likelihood = open_likelihood(spec)
    mu, theta = np.linspace(0.0, 10.0, 201), np.linspace(-5.0, 5.0, 101)
    density, point = np.zeros(201), np.empty(2)
    for i, a in enumerate(mu):
        for b in theta:
            point[likelihood.index("mu")], point[likelihood.index("norm")] = a, b
            density[i] += np.exp(-likelihood.nll(likelihood.observed, likelihood.expected(point)))
    cumulative = np.cumsum(density) / density.sum()
    at = np.array([0.16, 0.5, 0.84, 0.975])
    np.testing.assert_allclose(np.quantile(found.values[:, 0], at), np.interp(at, cumulative, mu), atol=0.12)


def test_flat_in_a_root():
    """Would catch the Jacobian: flat in c with strength (c / 2)^2, by integration."""
    found = sampled(counting(70), FlatPrior("c", "mu", 0.0, 6.0, unit=2.0, power=2.0))
    c = np.linspace(0.0, 6.0, 6001)
    nu = 50.0 + 10.0 * (c / 2.0) ** 2
    cumulative = np.cumsum(np.exp(70.0 * np.log(nu / 70.0) - nu + 70.0))
    at = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(np.quantile(found.values[:, 0], at), np.interp(at, cumulative / cumulative[-1], c),
                               atol=0.05)
    mode, _ = best_values(open_likelihood(counting(70)), [FlatPrior("c", "mu", 0.0, 6.0, 2.0, 2.0)],
                          open_likelihood(counting(70)).observed)
    assert mode[0] == pytest.approx(2.0 * np.sqrt(2.0), abs=1e-3)  # 70 = 50 + 10 mu


def test_intervals_cover():
    """Would catch intervals that are too short: of 200 truths from the prior, as many inside as the level says.

    Exact for credible intervals when truths come from the prior, by Bayes' theorem; a Gamma posterior stands for
    the sampler, which is tested above.
    """
    rng = np.random.default_rng(5)
    inside = {"highest": 0, "central": 0}
    for truth in rng.uniform(0.0, 10.0, 200):
        n = rng.poisson(50.0 + 10.0 * truth)
        values = (gamma(n + 1).rvs(4000, random_state=rng) - 50.0) / 10.0
        values = values[(values > 0.0) & (values < 10.0)]
        for name, interval in (("highest", highest_density), ("central", central)):
            low, high = interval(values, 0.68)
            inside[name] += low <= truth <= high
    for count in inside.values():
        assert abs(count - 136) < 3.3 * np.sqrt(200 * 0.68 * 0.32)


def test_seeds():
    """Would catch a chain that ended too soon, or randomness that no seed governs.

    Central intervals of seven seeds scatter by 0.02 (68 %) and 0.05 (95 %), the shortest ones by 0.1: the top is flat.
    """
    prior = FlatPrior("mu", "mu", 0.0, 10.0)
    one, same, other = (sampled(counting(70, error=0.2), prior, seed=seed, steps=2000) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.values, same.values)
    assert not np.array_equal(one.values[:50], other.values[:50])
    for level, within in ((0.68, 0.1), (0.95, 0.3)):
        np.testing.assert_allclose(central(one.values[:, 0], level), central(other.values[:, 0], level), atol=within)


def test_intervals_of_known_densities():
    """Would catch an interval on the wrong side of a density that falls, or a level that is off."""
    rng = np.random.default_rng(2)
    normal, falling = rng.normal(3.0, 0.5, 200_000), rng.exponential(1.0, 200_000)
    np.testing.assert_allclose(highest_density(normal, 0.95), norm(3.0, 0.5).interval(0.95), atol=0.04)
    np.testing.assert_allclose(highest_density(falling, 0.9), [0.0, np.log(10.0)], atol=0.03)
    np.testing.assert_allclose(central(falling, 0.9), -np.log([0.95, 0.05]), atol=0.03)
    x = np.array([0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(density_on(falling[:20_000], x, low=0.0, high=20.0)[1:], np.exp(-x[1:]), rtol=0.06)


def test_wrong_use():
    """Would catch an empty range, a level in per cent, samples that are none."""
    with pytest.raises(FeiLiteError, match="prior of mu: from 3 to 3, expected a range"):
        sampled(counting(70), FlatPrior("mu", "mu", 3.0, 3.0))
    with pytest.raises(FeiLiteError, match=r"credible level 95: expected a number between 0 and 1"):
        highest_density(np.arange(100.0), 95)
    with pytest.raises(FeiLiteError, match="2 samples, of which 2 are finite"):
        central([1.0, 2.0], 0.9)
