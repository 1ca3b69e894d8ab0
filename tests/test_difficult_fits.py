"""Fits that went silently wrong elsewhere: two valleys, small and large scales, empty bins, several strengths.

Right values are brute force on a grid of the nuisance, closed forms, or many
starts of Minuit on pyhf's own likelihood (``scripts/check_fits.py``).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from fit_workspaces import poisson_interval
from scipy.optimize import brentq

from fei_lite.cli import main
from fei_lite.errors import FitError
from fei_lite.statistics.fits import fit_strength, significance
from fei_lite.statistics.from_templates import Channel, build_workspace, workspace_of
from fei_lite.statistics.limits import TestStatistic, asymptotic_cls, upper_limit
from fei_lite.statistics.minimum import point_at
from fei_lite.statistics.profile import Profile
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.templates import Template

pyhf = pytest.importorskip("pyhf")


def one_channel(signal, backgrounds, observed, *, start=None):
    """Signal and (data, modifiers) of backgrounds, as pyhf's JSON; modifiers are (name, type, data)."""
    def sample(name, data, modifiers):
        return {"name": name, "data": data, "modifiers": [{"name": n, "type": t, "data": d} for n, t, d in modifiers]}

    return {"version": "1.0.0", "channels": [{"name": "c", "samples": [
        sample("signal", signal, [("mu", "normfactor", None)]),
        *(sample(f"b{i}", data, modifiers) for i, (data, modifiers) in enumerate(backgrounds))]}],
        "observations": [{"name": "c", "data": observed}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": (
            [] if start is None else [{"name": "mu", "inits": [start]}])}}]}


def poly(alpha, down, up):
    """pyhf's code 4p, written plainly: events added at alpha, given the changes at -1 and +1."""
    if abs(alpha) > 1.0:
        return alpha * up if alpha > 0.0 else -alpha * down
    return 0.5 * alpha * (up - down) + 0.0625 * (up + down) * (15 * alpha**2 - 10 * alpha**4 + 3 * alpha**6)


def exponential(alpha, factor):
    """A normsys of one factor at both sides, by its conditions: even, so a polynomial in alpha squared inside."""
    if abs(alpha) >= 1.0:
        return factor ** abs(alpha)
    log = np.log(factor)
    sums = np.linalg.solve([[1, 1, 1], [2, 4, 6], [2, 12, 30]], [factor - 1, factor * log, factor * log**2])
    return 1.0 + sums @ [alpha**2, alpha**4, alpha**6]


class BruteForce:
    """Profile of a strength with one nuisance on a grid of 4001 values."""

    def __init__(self, signal, background, observed):
        self.signal, self.observed = np.array(signal), np.array(observed, dtype=float)
        self.pulls = np.linspace(-5.0, 5.0, 4001)
        self.background = np.array([background(pull) for pull in self.pulls])

    def __call__(self, mu, asimov=None):
        n, centre = (self.observed, 0.0) if asimov is None else asimov
        nu = self.background + mu * self.signal
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = nu - n + np.where(n > 0.0, n * np.log(np.maximum(n, 1e-300) / nu), 0.0)
        return np.min(np.where(np.all(nu > 0.0, axis=1), 2.0 * terms.sum(axis=1) + (self.pulls - centre) ** 2, np.inf))

    def errors(self, reach):
        grid = np.linspace(-reach, reach, 4001)
        values = np.array([self(mu) for mu in grid])
        best = grid[np.argmin(values)]
        rise = values - values.min() - 1.0
        i = np.argmin(values)
        up = grid[i + np.flatnonzero(rise[i:] > 0.0)[0]] - best
        return best, up, best - grid[i - np.flatnonzero(rise[i::-1] > 0.0)[0]]

    def limit(self, reach):
        """90 % CLs limit; Asimov data, auxiliary ones included, at the nuisance that fits best without signal."""
        nu, n = self.background, self.observed
        terms = np.sum(nu - np.where(n > 0.0, n * np.log(np.maximum(nu, 1e-300)), 0.0), axis=1)
        i = np.argmin(np.where(np.all(nu > 0.0, axis=1), 2.0 * terms + self.pulls**2, np.inf))
        without = nu[i], self.pulls[i]
        least = min(self(mu) for mu in np.linspace(0.0, reach, 2001))

        def excess(mu):
            return asymptotic_cls(max(self(mu) - least, 0.0), self(mu, without)) - 0.1

        return brentq(excess, 0.3 * reach, reach)


DIFFICULT = {
    "both variations of a histosys on one side": (
        one_channel([7.0], [([50.0], [("u", "histosys", {"hi_data": [60.0], "lo_data": [60.0]})])], [56]),
        BruteForce([7.0], lambda u: [50.0 + poly(u, 10.0, 10.0)], [56]), 4.0, (1.75, 2.608)),
    "both variations of a normsys on one side": (
        one_channel([7.0, 3.0], [([50.0, 50.0], [("u", "normsys", {"hi": 1.1, "lo": 1.1})])], [56, 52]),
        BruteForce([7.0, 3.0], lambda u: [50.0 * exponential(u, 1.1)] * 2, [56, 52]), 4.0, (None, 2.340)),
    "a variation below zero": (
        one_channel([2.0, 1.0], [([10.0, 1.0], [("u", "histosys", {"hi_data": [11.0, 2.5], "lo_data": [9.0, -0.5]})])],
                    [11, 0]),
        BruteForce([2.0, 1.0], lambda u: [10.0 + u, 1.0 + 1.5 * u], [11, 0]), 4.0, (1.17, None)),
}


@pytest.mark.parametrize("case", DIFFICULT)
def test_against_brute_force(case):
    """Would catch Fisher scoring that rests at the saddle (errors 1.02 for 1.75), and a bin that ends the scan."""
    spec, brute, reach, (lower, limit) = DIFFICULT[case]
    likelihood = open_likelihood(spec)
    fit, found = fit_strength(likelihood), upper_limit(likelihood).observed
    step = 2.0 * reach / 4000
    best, up, down = brute.errors(reach)
    assert (fit.best_fit, fit.error_up, fit.error_down) == pytest.approx((best, up, down), abs=2.5 * step)
    if lower is not None:
        assert fit.error_down == pytest.approx(lower, abs=0.01)
    assert found == pytest.approx(brute.limit(reach), abs=2e-3)
    if limit is not None:
        assert found == pytest.approx(limit, abs=2e-3)


def test_statistical_part_where_a_nuisance_turns_round():
    """Would catch a nuisance without effect at its nominal value that is counted as no systematic error: downwards
    the error is 1.75 instead of 1.05, which must not be the fluctuation of the bin."""
    fit = fit_strength(open_likelihood(DIFFICULT["both variations of a histosys on one side"][0]))
    assert fit.statistical[1] == pytest.approx((56 - poisson_interval(56)[0]) / 7.0, rel=0.12)
    assert fit.systematic[1] > 1.3


VALLEYS = one_channel([4.19, 3.40, 4.59, 0.64], [
    ([35.76, 16.30, 14.86, 3.79], [("n0", "normsys", {"hi": 1.194, "lo": 1.194})]),
    ([4.67, 7.16, 9.25, 13.85], [("stat", "shapesys", [0.64, 0.41, 0.83, 0.93])])], [65, 33, 42, 17])
VALLEYS["channels"][0]["samples"][0]["modifiers"] += [
    {"name": "n0", "type": "normsys", "data": {"hi": 0.777, "lo": 1.286}},
    {"name": "h0", "type": "histosys", "data": {"hi_data": [4.25, 2.93, 4.62, 0.69], "lo_data": [4.13, 3.87, 4.55,
        0.59]}}]


def test_profile_takes_the_lower_valley():
    """Would catch a profile that stays in one branch of a nuisance (lower error 1.10 for more than 1.65), and one that
    depends on what was asked before: there and back, and each point alone."""
    likelihood = open_likelihood(VALLEYS)
    assert fit_strength(likelihood).error_down > 1.65
    grid = np.linspace(0.0, 7.0, 15)
    forward, backward = Profile(likelihood), Profile(likelihood)
    values = [forward(mu) for mu in grid]
    assert [backward(mu) for mu in grid[::-1]][::-1] == pytest.approx(values, abs=1e-4)
    assert [Profile(likelihood)(mu) for mu in grid[::5]] == pytest.approx(values[::5], abs=1e-4)


def mirrored(low):
    """Two nuisances whose variations of the background are equal (if ``low`` is 28), but not those of the signal."""
    spec = one_channel([4.0, 2.0], [([20.0, 30.0], [
        ("u", "histosys", {"hi_data": [28.0, 38.0], "lo_data": [low, 38.0]}),
        ("v", "histosys", {"hi_data": [20.0, 44.0], "lo_data": [20.0, 44.0]})])], [29, 45])
    spec["channels"][0]["samples"][0]["modifiers"] += [
        {"name": name, "type": "normsys", "data": {"hi": 1.5, "lo": 0.7}} for name in "uv"]
    return open_likelihood(spec)


def test_of_valleys_equally_deep_the_same_one_is_taken():
    """Would catch Asimov data, and with them expected limits, that rounding and the path of a scan choose: without
    signal the four combinations of u and v with a sign each are equally good, but a signal is worse in some of them.
    A valley that is deeper is kept."""
    likelihood = mirrored(28.0)
    best = TestStatistic(likelihood, likelihood.observed).without
    u, v = (likelihood.index(name) for name in "uv")
    assert best.parameters[u] > 0.3 and best.parameters[v] > 0.3
    for signs in ((1, -1), (-1, 1), (-1, -1)):
        other = best.parameters.copy()
        other[[u, v]] *= signs
        point = point_at(likelihood, likelihood.observed, other)
        assert point.nll == pytest.approx(best.nll, abs=1e-8)
        statistic = TestStatistic(likelihood, likelihood.observed)
        statistic.profile._points[0.0] = point  # as a scan from that side leaves it
        assert statistic.without.parameters == pytest.approx(best.parameters, abs=1e-3)
    uneven = mirrored(29.0)  # the valley of negative u is deeper
    found = TestStatistic(uneven, uneven.observed).without.parameters
    assert found[u] < -0.3 and found[v] > 0.3


def test_a_turn_of_the_signal_behind_a_larger_background():
    """Would catch a second valley that is not looked for: n takes signal away to both sides, which the change of the
    background with n hides until the strength is large."""
    spec = one_channel([4.0, 5.0], [([20.0, 40.0], [("n", "normsys", {"hi": 0.8, "lo": 1.3})])], [20, 40])
    spec["channels"][0]["samples"][0]["modifiers"].append(
        {"name": "n", "type": "normsys", "data": {"hi": 0.9, "lo": 0.9}})
    likelihood = open_likelihood(spec)
    assert [likelihood.names[i] for i in likelihood.branching] == ["n"]


def test_an_expected_limit_without_value_hides_no_other():
    """Would catch five undefined expected limits where only those far up are: at two standard deviations the nuisance
    takes all signal away, so that q of the Asimov data stays below 4; the median needs 2.71, one deviation up 5.65."""
    spec = one_channel([10.0, 6.0], [([20.0, 12.0], [])], [20, 12])
    spec["channels"][0]["samples"][0]["modifiers"].append(
        {"name": "u", "type": "histosys", "data": {"hi_data": [5.0, 3.0], "lo_data": [15.0, 9.0]}})
    limit = upper_limit(open_likelihood(spec))
    assert np.isfinite(limit.expected).tolist() == [True, True, True, False, False]
    assert np.isfinite(limit.observed) and set(limit.undefined) == {"expected"}


@pytest.fixture(scope="module")
def check_fits():
    path = Path(__file__).resolve().parents[1] / "scripts" / "check_fits.py"
    specification = importlib.util.spec_from_file_location("check_fits", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_random_workspaces(check_fits):
    """Would catch any of the above in a few of the random workspaces that the script compares by hundreds."""
    for rng in np.random.default_rng(5).spawn(3):
        assert check_fits.compare(check_fits.random_workspace(rng), rng, starts=1) == []


@pytest.mark.filterwarnings("ignore")
def test_the_comparison_sees_a_wrong_fit(check_fits, monkeypatch):
    """Would catch a comparison that finds nothing: a limit and an error of 10 % less must disagree."""
    rng, spec = np.random.default_rng(6), DIFFICULT["both variations of a histosys on one side"][0]
    limit, fit = check_fits.upper_limit, check_fits.fit_strength
    monkeypatch.setattr(check_fits, "upper_limit", lambda *a, **k: type(limit(*a))(
        0.9, 0.9 * limit(*a, **k).observed, limit(*a, **k).expected))
    monkeypatch.setattr(check_fits, "fit_strength", lambda *a: type(fit(*a))(
        fit(*a).best_fit, 0.9 * fit(*a).error_up, fit(*a).error_down, (1.0, 1.0), fit(*a).point))
    findings = check_fits.compare(spec, rng, starts=1)
    assert len(findings) == 2 and "upper error" in findings[0] and "limit" in findings[1]


def test_shared_errors_of_templates_are_summed():
    """Would catch a refusal of a sample that is empty in a bin whose sum is not; 2.696 is many-start Minuit's."""
    spec = one_channel([2.0, 1.0], [([5.0, 5.0], [("st", "staterror", [0.5, 0.5])]),
                                    ([0.0, 3.0], [("st", "staterror", [1.0, 0.5])])], [6, 9])
    likelihood = open_likelihood(spec)
    assert np.sqrt(likelihood.prior_variance())[1:] == pytest.approx([np.hypot(0.5, 1.0) / 5.0, np.hypot(0.5, 0.5) / 8])
    assert upper_limit(likelihood).observed == pytest.approx(2.696, abs=2e-3)


@pytest.mark.parametrize("scale", [1e9, 1.0, 1e-6])
def test_no_scale(scale):
    """Would catch an absolute step, tolerance or width: the strength may be a branching fraction."""
    spec = one_channel([scale, 2.0 * scale], [([100.0, 50.0], [])], [105, 55])
    likelihood = open_likelihood(spec)
    fit, limit = fit_strength(likelihood), upper_limit(likelihood)
    assert np.array([fit.best_fit, fit.error_up, fit.error_down]) * scale == pytest.approx(
        [2.80, 3.65, 3.38], abs=0.006)
    one = upper_limit(open_likelihood(one_channel([1.0, 2.0], [([100.0, 50.0], [])], [105, 55])))
    assert np.array([limit.observed, *limit.expected]) * scale == pytest.approx([one.observed, *one.expected], rel=1e-4)


def test_small_signal():
    """Would catch "nothing depends on mu" for a signal of 1e-6 events; 2.1e7 is the limit of 21 events over 100."""
    limit = upper_limit(open_likelihood(one_channel([1e-6], [([100.0], [])], [105]))).observed
    same = upper_limit(open_likelihood(one_channel([1.0], [([100.0], [])], [105]))).observed
    assert limit == pytest.approx(1e6 * same, rel=1e-4) and limit == pytest.approx(2.1e7, rel=0.01)


@pytest.mark.parametrize("scale, shown", [(1e9, "2.80e-09 +3.65e-09 -3.38e-09"), (50.0, "0.0560 +0.0729 -0.0675"),
                                          (1.0, "2.80 +3.65 -3.38")])
def test_table_shows_small_numbers(scale, shown, tmp_path, capsys):
    """Would catch a branching fraction printed as 0.00."""
    file = tmp_path / "w.json"
    file.write_text(json.dumps(one_channel([scale, 2.0 * scale], [([100.0, 50.0], [])], [105, 55])))
    assert main(["fit", str(file)]) == 0
    assert f"mu             {shown}:" in capsys.readouterr().out


def test_a_start_of_zero():
    """Would catch a fit that dies where its start is impossible: 5 events, 10 expected at mu = 1, no background."""
    fit = fit_strength(open_likelihood(one_channel([10.0], [([0.0], [])], [5], start=0.0)))
    low, high = poisson_interval(5)
    assert (fit.best_fit, fit.error_up, fit.error_down) == pytest.approx(
        (0.5, (high - 5) / 10, (5 - low) / 10), abs=1e-4)


def test_what_is_undefined_hides_nothing(tmp_path, capsys):
    """Would catch a fit without output for one bin that expects no background: the strength and its errors are known,
    the significance and the limit are not, for no signal is impossible; with their reasons and exit code 1."""
    spec = one_channel([1.0, 2.0, 1.0], [([10.0, 0.0, 5.0], [("uncorr", "shapesys", [1.0, 0.0, 1.0])])], [11, 3, 6])
    file = tmp_path / "w.json"
    file.write_text(json.dumps(spec))
    assert main(["fit", str(file), "--format", "json"]) == 1
    result = json.loads(capsys.readouterr().out)
    mu = result["mu"]
    assert (mu["best_fit"], mu["error_up"], mu["error_down"]) == pytest.approx((1.433, 0.90, 0.65), abs=0.005)
    assert result["significance"] is None and result["upper_limit_90"]["observed"] is None
    assert set(result["undefined"]) == {"significance", "upper_limit"}
    assert all("c[1]" in reason for reason in result["undefined"].values())
    assert main(["fit", str(file)]) == 1
    out = capsys.readouterr().out
    assert "1.43 +0.90 -0.65" in out and "significance   undefined" in out and "undefined      significance: the" in out
    with pytest.raises(FitError, match=r"zero at mu = 0: bins c\[1\]"):
        significance(open_likelihood(spec))


# --- several strengths --------------------------------------------------------------------------------------------

def strengths():
    """Three signals in three regions with a common nuisance; each region is a counting experiment of its own."""
    return {f"r{i}": [Template(f"s{i}", [5.0 * i], signal=True, strength=f"mu_{i}"),
                      Template("b", [20.0 * i], normalisations={"norm": 0.1})] for i in (1, 2, 3)}


def test_each_strength_with_the_others_free(tmp_path, capsys):
    """Would catch other strengths that are held, or kept at 0 by bounds: each fit must be that of its region alone,
    for free strengths elsewhere leave the nuisance its constraint."""
    spec = workspace_of(strengths())
    observed = [14.0, 55.0, 60.0]  # the first asks for a negative strength
    for item, n in zip(spec["observations"], observed):
        item["data"] = [n]
    assert [m["config"]["poi"] for m in spec["measurements"]] == ["mu_1", "mu_2", "mu_3"]
    assert open_likelihood(spec).names[open_likelihood(spec).poi] == "mu_1"
    for i, n in zip((1, 2, 3), observed):
        alone = build_workspace([Channel("r", strengths()[f"r{i}"], [n])], poi=f"mu_{i}")
        for other in (open_likelihood(spec, poi=f"mu_{i}"),
                      open_likelihood(spec, measurement=spec["measurements"][i - 1]["name"])):
            fits = [fit_strength(likelihood) for likelihood in (other, open_likelihood(alone))]
            assert fits[0].best_fit == pytest.approx(fits[1].best_fit, abs=1e-3)
            assert fits[0].best_fit == pytest.approx((n - 20.0 * i) / (5.0 * i), abs=1e-3)
            assert (fits[0].error_up, fits[0].error_down) == pytest.approx((fits[1].error_up, fits[1].error_down),
                                                                          rel=1e-3)
    file = tmp_path / "w.json"
    file.write_text(json.dumps(spec))
    assert main(["fit", str(file), "--poi", "mu_2", "--format", "json"]) == 0
    free = json.loads(capsys.readouterr().out)["free"]
    assert free["mu_1"][0] == pytest.approx(-1.2, abs=1e-3) and set(free) == {"mu_1", "mu_3"}


@pytest.mark.parametrize("signal", [30.0, 1.0, 0.05])
def test_pyhf_finds_its_own_limit_in_our_workspaces(signal):
    """Would catch bounds of the strength that do not hold the limit: pyhf's default ends at 10 and raises there."""
    spec = build_workspace([Channel("c", [
        Template("s", [signal, 2.0 * signal], signal=True),
        Template("b", [90.0, 40.0], errors=[5.0, 4.0], normalisations={"norm": 0.1})], [95.0, 44.0])])
    likelihood = open_likelihood(spec)
    low, high = likelihood.model.config.suggested_bounds()[likelihood.poi]
    limit = upper_limit(likelihood, level=0.95)
    assert low == 0.0 and 2.0 * limit.expected[4] < high < 100.0 * limit.observed
    workspace = pyhf.Workspace(spec)
    model = workspace.model()
    theirs, expected = pyhf.infer.intervals.upper_limits.upper_limit(workspace.data(model), model, level=0.05)
    assert float(theirs) == pytest.approx(limit.observed, rel=0.01)
    assert float(expected[2]) == pytest.approx(limit.expected[2], rel=0.01)
