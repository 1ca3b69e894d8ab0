"""The likelihood, fits and toys against pyhf's own inference and the published B+ -> K+ nu nubar likelihood.

The likelihood comes from the environment variable FEI_LITE_TEST_DATA (folder
``knunu_hta``); without it the tests that need it are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fit_workspaces import shapes
from scipy.stats import chi2

from fei_lite.cli import main
from fei_lite.errors import UnknownNameError
from fei_lite.statistics import minimum as minimum_module
from fei_lite.statistics.fits import expected_data, fit_strength
from fei_lite.statistics.from_templates import Channel, build_workspace
from fei_lite.statistics.gaussian import gaussian_fit
from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.minimum import fast_minimum, minimum
from fei_lite.statistics.profile import Profile
from fei_lite.statistics.toys import Pulls, goodness_of_fit, pull_toys
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.templates import Template

pyhf = pytest.importorskip("pyhf")

FILE = Path(os.environ.get("FEI_LITE_TEST_DATA", "")) / "knunu_hta" / "hta_channel_sgn1_had.json"
needs_data = pytest.mark.skipif("FEI_LITE_TEST_DATA" not in os.environ or not FILE.exists(),
                                reason="FEI_LITE_TEST_DATA with knunu_hta is not set")


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
    assert -2.0 * float(likelihood.model.logpdf(minimum(likelihood, data).parameters, data)[0]) <= float(
        pyhf.infer.mle.fit(data, likelihood.model, return_fitted_val=True)[1]) + 1e-6


def test_fit_is_that_of_pyhf(built):
    """Would catch Fisher scoring that stops early, or beside the minimum."""
    bounds = built.model.config.suggested_bounds()
    bounds[built.poi] = (-10.0, 10.0)
    theirs, twice_nll = pyhf.infer.mle.fit(built.observed, built.model, par_bounds=bounds, return_fitted_val=True)
    best = minimum(built, built.observed)
    assert -2.0 * float(built.model.logpdf(best.parameters, built.observed)[0]) <= float(twice_nll) + 1e-6
    # pyhf's minimiser stops at a millionth of the function: a thousandth of an error
    assert best.parameters[built.poi] == pytest.approx(float(theirs[built.poi]), abs=5e-3)


def test_minuit_has_the_last_word(built, monkeypatch):
    """Would catch a Minuit that is never asked, or whose lower point is thrown away: the scoring moves nowhere here."""
    best = minimum(built, built.observed)
    monkeypatch.setattr(Likelihood, "score", lambda self, data, x, free, soft=0.0: (
        minimum_module.point_at(self, data, x), False))
    again = minimum(built, built.observed)
    assert again.nll == pytest.approx(best.nll, abs=1e-4)
    assert again.parameters[built.poi] == pytest.approx(best.parameters[built.poi], abs=0.02)


def test_fast_fits_of_toys_are_those_of_minuit(built):
    """Would catch Fisher scoring that stops early in some toys: all of them again, with Minuit's last word."""
    rng = np.random.default_rng(12)
    for toy in rng.spawn(25):
        data = built.draw(built.at(2.0), toy)
        for held in ({}, {built.poi: 0.0}):
            assert fast_minimum(built, data, held=held).nll == pytest.approx(
                minimum(built, data, held=held).nll, abs=1e-5)


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
    np.testing.assert_allclose(toys.root, toys.pulls, atol=0.25)  # the likelihood is nearly a parabola here
    assert np.std(toys.root) == pytest.approx(1.0, abs=3.0 / np.sqrt(240))


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
    spec = build_workspace([Channel("c", [Template("s", [1e4, 2e4, 3e4], signal=True)], observed)], allow_empty=True)
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


def test_profile_falls_and_rises(built):
    """Would catch warm starts that get stuck: the profile is the same in any order, and convex about its minimum."""
    forward, backward = Profile(built), Profile(built)
    grid = np.linspace(-1.0, 6.0, 8)
    values = np.array([forward(mu) for mu in grid])
    assert values == pytest.approx(np.array([backward(mu) for mu in grid[::-1]])[::-1], abs=1e-6)
    assert np.all(np.diff(values, n=2) > 0.0)
