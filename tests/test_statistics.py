"""Fits, limits and toys against closed forms, pyhf's own inference and the published B+ -> K+ nu nubar likelihood.

The likelihood comes from the environment variable FEI_LITE_TEST_DATA (folder
``knunu_hta``); without it the tests that need it are skipped.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import lambertw
from scipy.stats import chi2, norm, poisson

from fei_lite.cli import fit as fit_command
from fei_lite.cli import main
from fei_lite.errors import FeiLiteError, FitError, UnknownNameError, WorkspaceError
from fei_lite.statistics.fits import Profile, error_budget, expected_data, fit_strength, significance
from fei_lite.statistics.gaussian import GaussianFit, gaussian_fit
from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.limits import asymptotic_cls, upper_limit
from fei_lite.statistics.toys import Pulls, goodness_of_fit, pull_toys
from fei_lite.statistics.workspaces import (
    Channel,
    Sample,
    build_workspace,
    combine,
    open_likelihood,
    read_workspace,
    save_workspace,
)

pyhf = pytest.importorskip("pyhf")

FILE = Path(os.environ.get("FEI_LITE_TEST_DATA", "")) / "knunu_hta" / "hta_channel_sgn1_had.json"
needs_data = pytest.mark.skipif("FEI_LITE_TEST_DATA" not in os.environ or not FILE.exists(),
                                reason="FEI_LITE_TEST_DATA with knunu_hta is not set")


def counting(n, *, signal=10.0, background=50.0, error=None):
    """One bin: n events seen, a signal, a background that may have a relative error."""
    sizes = {} if error is None else {"norm": error}
    return build_workspace([Channel("count", [Sample("signal", [signal], signal=True),
                                              Sample("background", [background], normalisations=sizes)], [n])])


def shapes(*, label="", scale=1.0):
    """Four bins with every kind of modifier that is written here."""
    background = scale * np.array([80.0, 60.0, 45.0, 30.0])
    return build_workspace([Channel("bins" + label, [
        Sample("signal", scale * np.array([2.0, 5.0, 10.0, 20.0]), errors=scale * np.array([0.2, 0.3, 0.5, 0.7]),
               signal=True, normalisations={"efficiency": (0.95, 1.04)}),
        Sample("generic", background, errors=0.05 * background, normalisations={"norm": 0.2, "efficiency": 0.02},
               shapes={"slope": (background * [1.1, 1.03, 0.97, 0.9], background * [0.9, 0.97, 1.03, 1.1])}),
        Sample("continuum", scale * np.array([40.0, 20.0, 10.0, 5.0]), free=["continuum_norm"])],
        np.round(scale * np.array([121.0, 90.0, 70.0, 52.0])))])


def poisson_interval(n):
    """Where n ln(n / nu) + nu - n = 1/2: both branches of Lambert's W."""
    return tuple(float(np.real(-n * lambertw(-np.exp(-1.0 - 0.5 / n), branch))) for branch in (0, -1))


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
    assert fit.statistical_share == pytest.approx(1.0)
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
        Sample("signal", [signal], signal=True), Sample("background", [background], errors=[error])], [n])]))
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
        combine({"a": one, "b": build_workspace([Channel("c", [Sample("s", [1.0], signal=True)])], poi="strength")})
    other = json.loads(json.dumps(one))
    for spec, upper in ((one, 20.0), (other, 30.0)):
        spec["measurements"][0]["config"]["parameters"] = [{"name": "mu", "bounds": [[0.0, upper]]}]
    with pytest.raises(WorkspaceError, match="'mu' is set differently"):
        combine({"a": one, "b": other})


# --- against pyhf itself ------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def built():
    return open_likelihood(shapes())


def foreign():
    """A workspace with the modifiers that this package reads but does not write, and a bin with no error."""
    modifiers = [{"name": "lumi", "type": "lumi", "data": None},
                 {"name": "poisson", "type": "shapesys", "data": [2.0, 3.0, 0.0]}]
    return {"version": "1.0.0", "observations": [{"name": "c", "data": [12, 20, 31]}], "channels": [{
        "name": "c", "samples": [
            {"name": "s", "data": [1.0, 3.0, 9.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
            {"name": "b", "data": [10.0, 15.0, 20.0], "modifiers": modifiers},
            {"name": "d", "data": [1.0, 1.0, 0.0], "modifiers": [
                {"name": "stat", "type": "staterror", "data": [0.3, 0.2, 0.0]}]}]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [
            {"name": "lumi", "auxdata": [1.0], "sigmas": [0.02], "bounds": [[0.5, 1.5]], "inits": [1.0]}]}}]}


@pytest.mark.parametrize("spec", [shapes(), foreign()], ids=["ours", "foreign"])
def test_likelihood_is_that_of_pyhf(spec):
    """Would catch a forgotten constraint, a wrong width or auxiliary data in another order."""
    likelihood, rng = open_likelihood(spec), np.random.default_rng(2)
    data, start = likelihood.observed, likelihood.start

    def difference(x):
        return likelihood.nll(data, likelihood.expected(x)) + float(likelihood.model.logpdf(x, data)[0])

    for _ in range(20):
        x = start + np.where(likelihood.fixed, 0.0, 0.2 * rng.uniform(-1.0, 1.0, size=len(start)))
        assert difference(x) == pytest.approx(difference(start), abs=1e-7)
    assert np.allclose(likelihood.expected(start), likelihood.model.expected_data(start))
    assert -2.0 * float(likelihood.model.logpdf(likelihood.fit(data).parameters, data)[0]) <= float(
        pyhf.infer.mle.fit(data, likelihood.model, return_fitted_val=True)[1]) + 1e-6


def test_fit_is_that_of_pyhf(built):
    """Would catch Fisher scoring that stops early, or beside the minimum."""
    bounds = built.model.config.suggested_bounds()
    bounds[built.poi] = (-10.0, 10.0)
    theirs, twice_nll = pyhf.infer.mle.fit(built.observed, built.model, par_bounds=bounds, return_fitted_val=True)
    best = built.fit(built.observed)
    assert -2.0 * float(built.model.logpdf(best.parameters, built.observed)[0]) <= float(twice_nll) + 1e-6
    # pyhf's minimiser stops at a millionth of the function: a thousandth of an error
    assert best.parameters[built.poi] == pytest.approx(float(theirs[built.poi]), abs=5e-3)


def test_minuit_takes_over(built, monkeypatch):
    """Would catch a fallback that nobody ever ran."""
    best, score = built.fit(built.observed), Likelihood._score
    monkeypatch.setattr(Likelihood, "_score", lambda self, *a: (score(self, *a)[0], False))
    again = built.fit(built.observed, start=built.start)
    assert again.nll == pytest.approx(best.nll, abs=1e-6)
    monkeypatch.setattr(Likelihood, "_score", lambda self, data, x, free: (
        type(best)(x, self.nll(data, self.expected(x)), best.covariance), False))
    far = built.fit(built.observed)
    assert far.nll == pytest.approx(best.nll, abs=1e-3)
    assert far.covariance[built.poi, built.poi] == pytest.approx(best.covariance[built.poi, built.poi], rel=0.02)


def test_limit_is_that_of_pyhf(built):
    """Would catch any slip between the profile likelihood and CLs: pyhf's own CLs at our limits must be 10 %."""
    limit = upper_limit(built)
    at_observed = pyhf.infer.hypotest(limit.observed, built.observed, built.model)
    _, at_median = pyhf.infer.hypotest(limit.expected[2], built.observed, built.model, return_expected=True)
    assert float(at_observed) == pytest.approx(0.1, rel=0.01)
    assert float(at_median) == pytest.approx(0.1, rel=0.01)


def test_templates_come_back(built):
    """Would catch up and down exchanged, and statistical errors that are not the templates'."""
    def shifted(name, value):
        x = built.start.copy()
        x[built.index(name)] = value
        return built.expected(x)[: built.n_bins]

    nominal = built.expected(built.start)[:4]
    background = np.array([80.0, 60.0, 45.0, 30.0])
    assert shifted("slope", 1.0) - nominal == pytest.approx(background * [-0.1, -0.03, 0.03, 0.1])
    assert shifted("slope", -1.0) - nominal == pytest.approx(background * [0.1, 0.03, -0.03, -0.1])
    assert shifted("norm", 1.0) - nominal == pytest.approx(0.2 * background)
    assert shifted("mcstat_bins_generic[1]", 1.1) - nominal == pytest.approx([0.0, 6.0, 0.0, 0.0])
    sigma = np.sqrt(built.prior_variance())
    assert sigma[built.index("mcstat_bins_generic[1]")] == pytest.approx(0.05)
    assert sigma[built.index("norm")] == 1.0 and np.isinf(sigma[built.poi])
    with pytest.raises(UnknownNameError, match="Nearest known: 'slope'"):
        built.index("slop")


# --- the published likelihood -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def published():
    return open_likelihood(FILE)


@needs_data
def test_published_signal_strength(published, capsys):
    """Would catch any departure from the published fit (arXiv:2311.14647): mu = 2.18 +2.36 -1.97."""
    assert main(["fit", str(FILE), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    mu = result["mu"]
    assert {name: round(mu[name], 2) for name in ("best_fit", "error_up", "error_down")} == {
        "best_fit": 2.18, "error_up": 2.36, "error_down": 1.97}
    assert np.hypot(mu["statistical"], mu["systematic"]) == pytest.approx([mu["error_up"], mu["error_down"]])
    assert mu["statistical"] == pytest.approx([1.8, 1.7], abs=0.15)
    budget = result["error_budget"]  # squares add up to the symmetric error, the B Bbar normalisation is the largest
    assert np.hypot(*mu["statistical"]) < np.sqrt(2 * sum(x**2 for x in budget.values())) < 1.1 * np.hypot(2.36, 1.97)
    assert max(budget, key=lambda name: budget[name] if name != "statistical" else 0.0) == "norm_bbbar_1_had"
    assert result["significance"] == pytest.approx(1.1, abs=0.05)
    limit = result["upper_limit_90"]
    assert set(limit) == {"observed", "expected"} and len(limit["expected"]) == 5
    assert limit["expected"] == sorted(limit["expected"])
    # pyhf's own CLs at the observed limit is 10 %
    cls = pyhf.infer.hypotest(limit["observed"], published.observed, published.model)
    assert float(cls) == pytest.approx(0.1, abs=5e-4)


@needs_data
def test_published_statistical_error(published):
    """Would catch a share that counts what the bins constrain as systematic (1.4): published are +1.8 -1.7."""
    up, down = fit_strength(published).statistical
    assert up == pytest.approx(1.8, abs=0.15) and down == pytest.approx(1.7, abs=0.15)


@needs_data
def test_published_gaussian_cross_check(published):
    """Would catch a covariance without some of the uncertainties: the two methods agree on 24 events per bin."""
    simple, fit = gaussian_fit(published), fit_strength(published)
    assert simple.best_fit == pytest.approx(fit.best_fit, abs=0.1)
    assert simple.error == pytest.approx(0.5 * (fit.error_up + fit.error_down), rel=0.08)
    assert simple.upper_limit() == pytest.approx(upper_limit(published).observed, rel=0.15)


# --- toys ---------------------------------------------------------------------------------------------------------

def test_injected_signal_comes_back(built):
    """Would catch a bias, wrong errors or auxiliary data that do not fluctuate: pulls have mean 0 and width 1."""
    toys = pull_toys(built, 5.0, n=120, rng=np.random.default_rng(3))
    assert toys.undefined == 0
    assert toys.mean == pytest.approx(0.0, abs=3.0 / np.sqrt(120))
    assert toys.width == pytest.approx(1.0, abs=3.0 / np.sqrt(240))
    assert toys.coverage == pytest.approx(0.683, abs=3.0 * np.sqrt(0.683 * 0.317 / 120))


def test_toys_repeat(built):
    """Would catch hidden random state: the same generator gives the same toys, and more toys begin with the fewer."""
    few, many = (pull_toys(built, 1.0, n=n, rng=np.random.default_rng(4)) for n in (3, 6))
    assert np.array_equal(few.best_fit, many.best_fit[:3])
    assert not np.any(many.best_fit[3:] == many.best_fit[:3])


def test_pull_takes_the_error_towards_the_truth():
    """Would catch the errors exchanged: one toy two upward errors too low, one two downward errors too high."""
    pulls = Pulls(1.0, np.array([0.0, 2.0]), np.array([0.5, 9.0]), np.array([9.0, 0.5])).pulls
    assert pulls == pytest.approx([-2.0, 2.0])


def test_goodness_of_fit():
    """Would catch toys not drawn at the best fit: with full bins the p-value is that of chi2 with 3 - 1 degrees."""
    observed = np.array([10_150.0, 20_000.0, 29_900.0])
    spec = build_workspace([Channel("c", [Sample("s", [1e4, 2e4, 3e4], signal=True)], observed)])
    statistic, p_value = goodness_of_fit(open_likelihood(spec), n=200, rng=np.random.default_rng(5))
    expected = np.array([1.0, 2.0, 3.0]) / 6.0 * observed.sum()
    assert statistic == pytest.approx(np.sum((observed - expected) ** 2 / expected), rel=0.01)
    p = chi2.sf(statistic, 2)
    assert p_value == pytest.approx(p, abs=3.0 * np.sqrt(p * (1.0 - p) / 200))


def test_asimov_data_give_their_strength_back(built):
    """Would catch expected errors taken at another strength than asked for."""
    for fitted in (False, True):
        fit = fit_strength(built, expected_data(built, 3.0, fitted=fitted))
        assert fit.best_fit == pytest.approx(3.0, abs=1e-3) and fit.point.nll == pytest.approx(0.0, abs=1e-4)


# --- errors -------------------------------------------------------------------------------------------------------

def broken(change):
    spec = json.loads(json.dumps(shapes()))
    change(spec)
    return spec


def set_at(spec, value, *path):
    for key in path[:-1]:
        spec = spec[key]
    if value is None:
        del spec[path[-1]]
    else:
        spec[path[-1]] = value


SAMPLE = ("channels", 0, "samples", 1)
CASES = {
    "no data": (None, (*SAMPLE, "data"), r"channels\[0\]\.samples\[1\]: 'data' is a required property"),
    "a word": ("many", (*SAMPLE, "data", 2), r"channels\[0\]\.samples\[1\]\.data\[2\]: 'many' is not of type 'number'"),
    "unknown modifier": ("normsis", (*SAMPLE, "modifiers", 1, "type"),
                         r"samples\[1\]\.modifiers\[1\]\.type: unknown modifier 'normsis'.*Nearest known: 'normsys'"),
    "half a modifier": (None, (*SAMPLE, "modifiers", 1, "data", "lo"),
                        r"samples\[1\]\.modifiers\[1\]\.data: 'lo' is a required property"),
    "no measurements": (None, ("measurements",), "top level: 'measurements' is a required property"),
    "short": ([1.0], (*SAMPLE, "data"), r"channels\[0\]\.samples\[1\]\.data: 1 bins, expected 4"),
    "not finite": (float("nan"), (*SAMPLE, "data", 0), r"samples\[1\]\.data\[0\]: nan: expected a finite number"),
    "negative": (-1.0, ("observations", 0, "data", 3), r"observations\[0\]\.data\[3\]: -1.0: .* 0 or more"),
    "unobserved": ("bin", ("observations", 0, "name"), r"'bins' has no observation. Nearest known: 'bin'"),
    "error on nothing": (0.0, (*SAMPLE, "data", 3), r"modifiers\[0\] \('mcstat_bins_generic', staterror\)\[3\]"),
    "negative factor": (-0.1, (*SAMPLE, "modifiers", 1, "data", "lo"), r"\('norm', normsys\)\.lo: -0.1: .* above 0"),
    "poi": ("mus", ("measurements", 0, "config", "poi"),
            r"measurements\[0\]\.config\.poi: parameter of interest 'mus' scales no sample.*Nearest known: 'mu'"),
    "no poi": ("", ("measurements", 0, "config", "poi"), "no parameter of interest is named.*continuum_norm, mu"),
    "two kinds": ("norm", (*SAMPLE, "modifiers", 0, "name"), "pyhf builds no model of it"),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_workspace(case, tmp_path, capsys):
    """Would catch a traceback of pyhf, or a message that does not name the file and the place."""
    value, path, message = CASES[case]
    file = tmp_path / "w.json"
    file.write_text(json.dumps(broken(lambda spec: set_at(spec, value, *path))))
    with pytest.raises(WorkspaceError, match=message) as caught:
        open_likelihood(file)
    assert str(file) in str(caught.value)
    assert main(["fit", str(file)]) == 2
    assert "WorkspaceError" in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    (b"{", "line 1, column 2: not JSON"), (b"[]", "not a workspace: expected an object with 'channels'.*list"),
    (b'{"a": 1}', "not a workspace.*keys 'a'"), (b"\x93\xff", "is not a text file"), (b"", "line 1, column 1"),
    (None, "No such file")])
def test_no_workspace(content, message, tmp_path):
    """Would catch any file that is no workspace and ends in a traceback."""
    file = tmp_path / "w.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WorkspaceError, match=message) as caught:
        read_workspace(file)
    assert str(file) in str(caught.value)


def test_fits_that_have_no_answer():
    """Would catch numbers where there is no answer."""
    with pytest.raises(FitError, match="nothing depends on 'mu'"):
        fit_strength(open_likelihood(counting(50, signal=0.0)))
    spec = build_workspace([Channel("c", [Sample("s", [1.0, 0.0], signal=True)], [1.0, 2.0])])
    with pytest.raises(FitError, match=r"zero at the nominal parameters: bins c\[1\]"):
        fit_strength(open_likelihood(spec))


def test_an_empty_bin_is_no_harm():
    """Would catch NaN from a bin that neither expects nor holds an event."""
    with_bin = build_workspace([Channel("c", [Sample("s", [1.0, 0.0], errors=[0.1, 0.0], signal=True),
                                              Sample("b", [2.0, 0.0])], [4.0, 0.0])])
    without = build_workspace([Channel("c", [Sample("s", [1.0], errors=[0.1], signal=True), Sample("b", [2.0])], [4])])
    fits = [fit_strength(open_likelihood(spec)) for spec in (with_bin, without)]
    assert fits[0].best_fit == pytest.approx(fits[1].best_fit, abs=1e-5)
    assert fits[0].error_down == pytest.approx(fits[1].error_down, rel=1e-4)


@pytest.mark.parametrize("options, message", [
    ({"level": 90.0}, "between 0 and 1"), ({"toys": -1}, "-1 toys"), ({"toys": 5}, "give rng")])
def test_limits_refuse(options, message, built):
    """Would catch 90 taken for 90 %, and hidden randomness."""
    with pytest.raises(FeiLiteError, match=message):
        upper_limit(built, **options)


# --- command line -------------------------------------------------------------------------------------------------

def test_example_of_the_help(tmp_path, monkeypatch, capsys):
    """Would catch an example that no longer runs."""
    monkeypatch.chdir(tmp_path)
    save_workspace(shapes(), "workspace.json")
    examples = re.findall(r"^    fei-lite (fit .+)$", fit_command.__doc__, flags=re.MULTILINE)
    assert len(examples) == 2
    assert [main(example.split()) for example in examples] == [0, 0] and "significance" in capsys.readouterr().out


def test_command_line(tmp_path, capsys):
    """Would catch options that change nothing, and tables that disagree with the JSON."""
    file = tmp_path / "w.json"
    save_workspace(shapes(), file)
    assert main(["fit", str(file), "--level", "0.95", "--format", "json", "-o", str(tmp_path / "fit.json")]) == 0
    result = json.loads((tmp_path / "fit.json").read_text())
    limit = upper_limit(open_likelihood(file), level=0.95)
    assert result["upper_limit_95"]["observed"] == pytest.approx(limit.observed)
    assert main(["fit", str(file), "--level", "0.95"]) == 0
    table = capsys.readouterr().out
    for number in (result["mu"]["best_fit"], result["significance"], *result["upper_limit_95"]["expected"]):
        assert f"{number:.2f}" in table
    assert main(["fit", str(file), "--poi", "continuum_norm", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["poi"] == "continuum_norm"
    assert main(["fit", str(file), "--poi", "norm"]) == 2
    assert "--poi: parameter of interest 'norm' scales no sample" in capsys.readouterr().err
    assert main(["fit", str(file), "--measurement", "measurment"]) == 2
    assert "Nearest known: 'measurement'" in capsys.readouterr().err


def test_profile_falls_and_rises(built):
    """Would catch warm starts that get stuck: the profile is the same in any order, and convex about its minimum."""
    forward, backward = Profile(built), Profile(built)
    grid = np.linspace(-1.0, 6.0, 8)
    values = np.array([forward(mu) for mu in grid])
    assert values == pytest.approx(np.array([backward(mu) for mu in grid[::-1]])[::-1], abs=1e-6)
    assert np.all(np.diff(values, n=2) > 0.0)


def test_asymptotic_cls_far_out():
    """Would catch 0/0 in the tail: CLs stays the ratio of two tails, which is known from their leading terms."""
    shift, root = 40.0, 1.0
    q = (2.0 * root * shift) + root**2
    assert asymptotic_cls(q, root**2) == pytest.approx(np.exp(-0.5 * ((shift + root) ** 2 - shift**2)) * shift
                                                       / (shift + root), rel=2e-3)
