"""Fits, limits and combinations against closed forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fit_workspaces import counting, poisson_interval, shapes
from scipy.optimize import brentq
from scipy.stats import norm, poisson

from fei_lite.errors import WorkspaceError
from fei_lite.statistics.combination import combine
from fei_lite.statistics.fits import error_budget, fit_strength, significance
from fei_lite.statistics.from_templates import Channel, build_workspace
from fei_lite.statistics.gaussian import GaussianFit, gaussian_fit
from fei_lite.statistics.limits import asymptotic_cls, upper_limit
from fei_lite.statistics.profile import Profile
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.templates import Template

pytest.importorskip("pyhf")


# --- closed forms -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 4, 55, 70])
def test_counting_experiment(n):
    """Would catch a wrong rise (0.5 or 1), a bound at 0, errors that are symmetric, or swapped."""
    likelihood = open_likelihood(counting(n, background=5.0))
    fit = fit_strength(likelihood)
    low, high = poisson_interval(n)
    assert fit.best_fit == pytest.approx((n - 5.0) / 10.0, abs=1e-4)
    assert fit.error_up == pytest.approx((high - n) / 10.0, rel=1e-4)
    assert fit.error_down == pytest.approx((n - low) / 10.0, rel=1e-4)
    assert fit.statistical_fraction == pytest.approx((1.0, 1.0))
    expected = np.sqrt(2.0 * (n * np.log(n / 5.0) - n + 5.0)) if n > 5 else 0.0
    assert significance(likelihood) == pytest.approx(expected, abs=1e-4)


def test_no_event_at_all():
    """Would catch a lower error made up where the likelihood never rises, and a fit that dies on the logarithm of 0."""
    fit = fit_strength(open_likelihood(counting(0, background=5.0)))
    assert fit.best_fit == pytest.approx(-0.5, abs=1e-4)  # nothing is expected any more
    assert fit.error_up == pytest.approx(0.05, rel=1e-3)  # nu itself is the likelihood: nu = 1/2
    assert np.isnan(fit.error_down)


def test_strengths_that_only_moved_nuisances_allow():
    """Would catch a profile that ends where the nominal background is used up, though a larger one is allowed: one bin,
    whose template is known to 70 %; the minimum over its factor is a root of a quadratic."""
    n, signal, background, error = 8.0, 0.83, 7.6, 5.4
    likelihood = open_likelihood(build_workspace([Channel("bin", [
        Template("signal", [signal], signal=True), Template("background", [background], errors=[error])], [n])]))
    profile, relative = Profile(likelihood), error / background

    def twice(mu):
        # b (1 - n / nu) + (g - 1) / r^2 = 0 with nu = g b + mu s
        a, m = background * relative**2, mu * signal
        g = max(np.roots([background, m + background * (a - 1.0), a * (m - n) - m]).real)
        nu = g * background + m
        return 2.0 * (nu - n + n * np.log(n / nu)) + ((g - 1.0) / relative) ** 2

    for mu in (-15.0, 0.0, -25.0, 5.0):
        assert background + mu * signal < 0.0 or mu >= 0.0
        assert profile(mu) == pytest.approx(twice(mu), abs=1e-4), mu


@pytest.mark.parametrize("n", [2, 12, 30])
def test_asymptotic_limit_of_a_counting_experiment(n):
    """Would catch a wrong Asimov data set or branch of q-tilde: here all of it is elementary."""
    signal, background, level = 10.0, 9.0, 0.9

    def twice(n, nu):
        return 2.0 * (nu - n + (n * np.log(n / nu) if n > 0 else 0.0))

    def q(mu, n):
        best = max((n - background) / signal, 0.0)
        nu = background + mu * signal
        return 0.0 if mu < best else twice(n, nu) - twice(n, background + best * signal)

    def cls(mu):
        seen, asimov = q(mu, n), q(mu, background)
        shift = np.sqrt(seen) - np.sqrt(asimov) if seen <= asimov else (seen - asimov) / (2.0 * np.sqrt(asimov))
        return norm.sf(shift + np.sqrt(asimov)) / norm.sf(shift)

    limit = upper_limit(open_likelihood(counting(n, signal=signal, background=background)), level=level)
    assert limit.observed == pytest.approx(brentq(lambda mu: cls(mu) - 0.1, 1e-3, 10.0), rel=1e-4)
    for quantile, value in zip((-2, -1, 0, 1, 2), limit.expected):
        assert norm.sf(np.sqrt(q(value, background)) - quantile) / norm.cdf(quantile) == pytest.approx(0.1, rel=1e-3)


def test_limit_of_toys_is_exact():
    """Would catch toys of the wrong hypothesis: with no event CLs is exp(-signal), so the limit is ln 10 for any
    background."""
    likelihood = open_likelihood(counting(0, signal=1.0, background=1.0))
    limit = upper_limit(likelihood, toys=400, rng=np.random.default_rng(1))
    assert limit.observed == pytest.approx(np.log(10.0), rel=0.12)
    # a background of 1: the median toy has 1 event, whose exact limit is
    exact = brentq(lambda s: poisson.cdf(1, 1.0 + s) / poisson.cdf(1, 1.0) - 0.1, 0.1, 10.0)
    assert limit.expected[2] == pytest.approx(exact, rel=0.12)
    assert limit.expected[0] == pytest.approx(limit.observed, rel=1e-6)  # fewer than none there are not


def test_gaussian_limit():
    """Would catch a wrong quantile: with a million events everything is Gaussian and known."""
    n, background, signal = 1_002_000, 1e6, 1000.0
    likelihood = open_likelihood(counting(n, signal=signal, background=background))
    sigma = np.sqrt(background) / signal
    fit, limit = fit_strength(likelihood), upper_limit(likelihood)
    assert (fit.best_fit, fit.error_up, fit.error_down) == pytest.approx((2.0, sigma, sigma), rel=2e-3)
    assert limit.observed == pytest.approx(GaussianFit(2.0, sigma).upper_limit(0.9), rel=2e-3)
    # 1 - Phi(limit - n) = 0.1 Phi(n), limits in units of sigma: 1.6449 is the median
    assert limit.expected == pytest.approx(
        [sigma * (x + norm.isf(0.1 * norm.cdf(x))) for x in (-2, -1, 0, 1, 2)], rel=2e-3)
    assert limit.expected[2] == pytest.approx(1.6449 * sigma, rel=2e-3)


def test_systematic_error_adds_in_quadrature():
    """Would catch a constraint of the wrong width, and a statistical share that holds nuisances or forgets them."""
    background, error = 1e6, 0.002
    likelihood = open_likelihood(counting(background, signal=1000.0, background=background, error=error))
    fit = fit_strength(likelihood)
    statistical, systematic = np.sqrt(background) / 1000.0, error * background / 1000.0
    assert fit.error_up == pytest.approx(np.hypot(statistical, systematic), rel=3e-3)
    assert fit.statistical[0] == pytest.approx(statistical, rel=3e-3)
    assert fit.systematic[1] == pytest.approx(systematic, rel=3e-3)
    budget = error_budget(likelihood, fit.point)
    assert budget == pytest.approx({"statistical": statistical, "norm": systematic}, rel=3e-3)
    gaussian = gaussian_fit(likelihood)
    assert gaussian.error == pytest.approx(np.hypot(statistical, systematic), rel=1e-3)
    assert gaussian.best_fit == pytest.approx(0.0, abs=1e-3)


# --- combination --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("correlated, systematic_part", [((), 0.5), (("norm",), 1.0)])
def test_two_equal_experiments(correlated, systematic_part):
    """Would catch nuisances that are joined or split unasked: alone both variances halve, a common one stays."""
    one = counting(1e6, signal=1000.0, background=1e6, error=0.002)
    both = combine({"a": one, "b": one}, correlated=correlated)
    fit = fit_strength(open_likelihood(both))
    assert fit.error_up**2 == pytest.approx(0.5 * 1.0 + systematic_part * 4.0, rel=5e-3)
    assert len(open_likelihood(both).names) == 3 - len(correlated)


def test_combination_keeps_what_is_unique():
    """Would catch channels or statistical errors of the templates that run into each other."""
    both = combine({"x": shapes(label="1"), "y": shapes(label="2", scale=3.0)}, correlated=["efficiency"])
    likelihood = open_likelihood(both)
    assert {"efficiency", "norm_x", "norm_y", "slope_x", "slope_y", "continuum_norm_x"} < set(likelihood.names)
    assert "mcstat_bins1_generic[0]" in likelihood.names and "mcstat_bins2_generic[3]" in likelihood.names
    assert likelihood.n_bins == 8
    single = fit_strength(open_likelihood(shapes(label="1"))).error_up
    assert fit_strength(likelihood).error_up < single


def test_combination_refuses():
    """Would catch a misspelt nuisance that silently stays two, and parameters of interest that differ."""
    one = counting(10, error=0.1)
    with pytest.raises(WorkspaceError, match=r"'nrm' is in 0 of 2 workspaces.*Nearest known: 'norm'"):
        combine({"a": one, "b": one}, correlated=["nrm"])
    with pytest.raises(WorkspaceError, match=r"measurements\[0\]\.config\.poi: 'strength', expected the common 'mu'"):
        combine({"a": one, "b": build_workspace([Channel("c", [
            Template("s", [1.0], signal=True), Template("b", [1.0])])], poi="strength")})
    other = json.loads(json.dumps(one))
    for spec, upper in ((one, 4.0), (other, 3.0)):
        spec["measurements"][0]["config"]["parameters"].append({"name": "norm", "bounds": [[-5.0, upper]]})
    with pytest.raises(WorkspaceError, match="'norm' is set differently"):
        combine({"a": one, "b": other}, correlated=["norm"])
    assert combine({"a": one, "b": other})["measurements"][0]["config"]["parameters"][0]["name"] == "mu"


def test_asymptotic_cls_far_out():
    """Would catch 0/0 in the tail: CLs stays the ratio of two tails, which is known from their leading terms."""
    shift, root = 40.0, 1.0
    q = (2.0 * root * shift) + root**2
    assert asymptotic_cls(q, root**2) == pytest.approx(np.exp(-0.5 * ((shift + root) ** 2 - shift**2)) * shift
                                                       / (shift + root), rel=2e-3)
