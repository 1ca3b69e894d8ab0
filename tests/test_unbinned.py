"""Unbinned fits of a peak on a smooth background: closed forms, an independent minimiser, toys of known truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from fei_lite.analyses.candidates.ntuple import write_ntuple
from fei_lite.cli import main
from fei_lite.errors import FitError, WorkspaceError
from fei_lite.statistics.from_values import read_values
from fei_lite.statistics.shapes import FAMILIES, TAIL_POWER, Background, Peak, fit_peak
from fei_lite.statistics.unbinned import PeakFit, PeakModel, background_of, sets_of
from fei_lite.statistics.unbinned_limits import coverage, expected_limits, pulls, upper_limit

LOW, HIGH = 1.0, 2.5
PEAK = Peak(LOW, HIGH, 1.777, 0.02, 1.2, 1.0, 0.1)
PARAMETERS = {"exponential": (200.0, 1.5), "bernstein1": (120.0, 80.0), "bernstein2": (90.0, 40.0, 70.0)}
GRID = np.linspace(LOW, HIGH, 20_001)
MIDDLE = 0.5 * (GRID[1:] + GRID[:-1])


def model(total=200.0, signal=8.0, *, sigma=0.0, family="exponential", names=("a",), scales=(1.0,)):
    parameters = np.array(PARAMETERS[family])
    scale = total / 200.0
    scaled = [p if name == "slope" else p * scale for name, p in zip(FAMILIES[family], parameters, strict=True)]
    return PeakModel(PEAK, sets_of(names, scales, signal=signal, background=Background(family, LOW, HIGH),
                                   parameters=scaled), sigma)


def crystal_ball(x, loc, scale, left, right):
    """Two-sided Crystal Ball as in the textbook, not normalised."""
    t = (x - loc) / scale
    beta = np.where(t < 0.0, left, right)
    n = TAIL_POWER
    tail = (n / beta) ** n * np.exp(-0.5 * beta**2) * np.maximum(n / beta - beta + np.abs(t), 1e-9) ** -n
    return np.where(np.abs(t) < beta, np.exp(-0.5 * t**2), tail)


def test_peak_by_the_textbook():
    """Would catch swapped tails, another power, or a peak that is not normalised on its interval."""
    core = crystal_ball(MIDDLE, 1.777, 0.02, 1.2, 1.0)
    hand = 0.9 * core / (core.sum() * (GRID[1] - GRID[0])) + 0.1 / (HIGH - LOW)
    np.testing.assert_allclose(PEAK.density(MIDDLE), hand, rtol=2e-4)


def test_peak_comes_back():
    """Would catch a fit of the peak that is biased, or that does not heed the weights."""
    rng = np.random.default_rng(3)
    x = PEAK.draw(6000, rng)
    found = fit_peak(x, np.full(len(x), 0.3), LOW, HIGH, loc=1.78)
    for name in ("loc", "scale", "left", "right", "flat"):
        assert abs(getattr(found, name) - getattr(PEAK, name)) < 4 * found.errors[name], name
    assert found.errors["loc"] == pytest.approx(0.0003, rel=0.6)
    other = np.concatenate([x, rng.uniform(LOW, HIGH, 3000)])
    weight = np.concatenate([np.ones(len(x)), np.full(3000, 1e-6)])
    np.testing.assert_allclose(fit_peak(other, weight, LOW, HIGH, loc=1.78).scale, found.scale, rtol=0.03)
    with pytest.raises(FitError, match="12 signal candidates"):
        fit_peak(x[:12], np.ones(12), LOW, HIGH, loc=1.78)


@pytest.mark.parametrize("family", FAMILIES)
def test_backgrounds_by_hand(family):
    """Would catch a background whose integral is not its yield, or a slope of the wrong sign."""
    background, width = Background(family, LOW, HIGH), HIGH - LOW
    u = (MIDDLE - LOW) / width
    for p in (PARAMETERS[family], PARAMETERS[family][:1] + tuple(-x for x in PARAMETERS[family][1:])
              if family == "exponential" else PARAMETERS[family][::-1]):
        if family == "exponential":
            hand = np.exp(-p[1] * u)
            hand *= p[0] / (hand.mean() * width)
        elif family == "bernstein1":
            hand = 2.0 / width * (p[0] * (1 - u) + p[1] * u)
        else:
            hand = 3.0 / width * (p[0] * (1 - u) ** 2 + 2 * p[1] * u * (1 - u) + p[2] * u**2)
        np.testing.assert_allclose(background.density(MIDDLE, p), hand, rtol=1e-4)
        assert background.total(p) == pytest.approx(hand.mean() * width, rel=1e-6)


def test_unknown_background():
    """Would catch a family that is taken for another one."""
    with pytest.raises(FitError, match=r"no background 'exponentail'.*Nearest known: 'exponential'"):
        Background("exponentail", LOW, HIGH)


def test_background_of_weighted_candidates():
    """Would catch a yield that is not the sum of the weights, and a shape that ignores them."""
    rng, background = np.random.default_rng(5), Background("exponential", LOW, HIGH)
    x = background.draw(4000, (1.0, 2.0), rng)
    found = background_of(x, np.full(4000, 0.25), "exponential", LOW, HIGH)
    assert found[0] == pytest.approx(1000.0) and found[1] == pytest.approx(2.0, abs=0.25)
    u = (x - LOW) / (HIGH - LOW)
    turned = background_of(x, np.exp(2.0 * u), "exponential", LOW, HIGH)
    assert turned[1] == pytest.approx(0.0, abs=0.25)
    with pytest.raises(FitError, match="no candidate"):
        background_of(np.empty(0), np.empty(0), "exponential", LOW, HIGH)


def test_limit_of_many_events():
    """Would catch a wrong test statistic or quantile: with many events the limit is 1.645 times the error that the
    Fisher information gives, background yield and slope being free."""
    one = model(2e5, 100.0)
    total, slope = one.sets[0].parameters
    density = one.sets[0].background.density(MIDDLE, (total, slope))
    u = (MIDDLE - LOW) / (HIGH - LOW)
    parts = [100.0 * PEAK.density(MIDDLE), density / total, -density * (u - np.average(u, weights=density))]
    fisher = np.array([[np.sum(a * b / density) * (GRID[1] - GRID[0]) for a in parts] for b in parts])
    error = np.sqrt(np.linalg.inv(fisher)[0, 0])
    fit = PeakFit(one, one.asimov())
    assert fit.error(1.0) == pytest.approx(error, rel=0.02) and fit.error(-1.0) == pytest.approx(error, rel=0.02)
    found = expected_limits(one)
    for n, limit in zip((-2.0, -1.0, 0.0, 1.0, 2.0), found, strict=True):
        assert limit == pytest.approx(error * (n + norm.isf(0.1 * norm.cdf(n))), rel=0.03)


def test_fit_by_another_minimiser():
    """Would catch a wrong likelihood: the minimum is that of the plain formula by Nelder and Mead."""
    one = model(60.0, 8.0)
    for seed in (1, 2, 3):
        data, _ = one.draw(1.5, np.random.default_rng(seed))
        x = data[0].x

        def cost(p, x=x):
            mu, b, k = p
            u = (x - LOW) / (HIGH - LOW)
            shape = np.exp(-k * u) * (k / (1 - np.exp(-k)) if abs(k) > 1e-6 else 1.0) / (HIGH - LOW)
            inside = 8.0 * mu * PEAK.density(x) + b * shape
            return 1e9 if np.any(inside <= 0) else 2 * (8.0 * mu + b - np.sum(np.log(inside)))

        plain = minimize(cost, [1.0, 60.0, 1.0], method="Nelder-Mead",
                         options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 8000, "maxfev": 8000})
        best = PeakFit(one, data).best
        assert best.strength == pytest.approx(plain.x[0], abs=5e-3)
        assert best.cost == pytest.approx(plain.fun, abs=1e-3)


def test_two_sets_are_one_of_their_size():
    """Would catch a second data set that is not fitted, or counted twice: equal sets together have the limit of one
    that is as large as both; each alone has a higher one."""
    both = expected_limits(model(200.0, 8.0, names=("a", "b"), scales=(1.0, 711.0 / 365.0)))
    large = expected_limits(model(200.0 * (1.0 + 711.0 / 365.0), 8.0 * (1.0 + 711.0 / 365.0)))
    np.testing.assert_allclose(both, large, rtol=0.01)
    assert both[2] < 0.75 * expected_limits(model(200.0, 8.0))[2]


def test_error_of_the_efficiency():
    """Would catch a nuisance without effect: far above the background, the error of the strength is at least its."""
    one = model(10.0, 400.0, sigma=0.2)
    assert PeakFit(one, one.asimov(1.0)).error(1.0) == pytest.approx(np.hypot(0.2, 1 / 20.0), rel=0.15)
    assert expected_limits(model(200.0, 8.0, sigma=0.3))[2] > expected_limits(model(200.0, 8.0))[2]


def test_pulls_and_coverage():
    """Would catch a biased strength, errors of the wrong size, or limits that exclude the truth too often."""
    one = model(400.0, 8.0, sigma=0.05)
    limit = expected_limits(one)[2]
    for strength in (0.0, 5.0 * limit):
        found = pulls(one, strength, toys=150, rng=np.random.default_rng(8))
        assert found.undefined == 0
        assert abs(found.mean[0]) < 0.3 and abs(found.width[0] - 1.0) < 0.2
    wrong = pulls(one, 0.0, toys=60, rng=np.random.default_rng(8), truth=model(400.0, 8.0, family="bernstein2"))
    assert wrong.undefined == 0
    covered = coverage(one, limit, toys=60, rng=np.random.default_rng(9))
    assert covered.value > 0.9 - 3 * covered.error


def test_limit_of_data():
    """Would catch a limit that does not rise with the signal found: Asimov data give the median without signal."""
    one = model(300.0, 8.0)
    expected = expected_limits(one)
    assert upper_limit(one, one.asimov()) == pytest.approx(expected[2], rel=0.02)
    assert upper_limit(one, one.asimov(2.0)) > 2.0 + expected[1]


@pytest.fixture
def values(tmp_path):
    """A file of values with two regions; the second has no background at all."""
    rng = np.random.default_rng(7)
    signal, other = PEAK.draw(300, rng), PEAK.draw(60, rng)
    background = Background("exponential", LOW, HIGH).draw(200, (1.0, 1.0), rng)
    parts = [("one", "sig", signal, 0.02), ("one", "bb", background, 0.5), ("two", "sig2", other, 0.02),
             ("two", "sig", other[:5], 0.02)]
    columns = {
        "region": np.concatenate([np.full(len(x), r, dtype=object) for r, _, x, _ in parts]),
        "sample": np.concatenate([np.full(len(x), s, dtype=object) for _, s, x, _ in parts]),
        "value": np.concatenate([x for _, _, x, _ in parts]),
        "weight": np.concatenate([np.full(len(x), w) for _, _, x, w in parts])}
    regions = {name: {"range": [LOW, HIGH], "signal": signal, "title": "", "variable": "x", "efficiency_error": 0.1}
               for name, signal in (("one", "sig"), ("two", "sig2"))}
    path = tmp_path / "values.parquet"
    said = {"background_floor": 0.3, "luminosity_fb": 365.0, "signals": ["sig", "sig2"], "regions": regions}
    write_ntuple(path, columns, {"fit": said})
    return path


def test_values_of_an_analysis(values):
    """Would catch another region's signal as its own, signal counted as background, or a lost weight."""
    found = read_values(values.parent)
    one, two = found.region("one"), found.region("two")
    assert one.signal_weight.sum() == pytest.approx(6.0) and one.background_total[0] == pytest.approx(100.0)
    assert len(two.signal) == 60 and len(two.background) == 0
    assert found.peak("one", loc=1.78).entries == pytest.approx(300, abs=3)
    assert found.peak("two", loc=1.78).entries > 300
    assert found.model("two", loc=1.78).sets[0].total == pytest.approx(0.3)
    with pytest.raises(WorkspaceError, match=r"no region 'onne'; there are one, two\. Nearest known: 'one'"):
        found.region("onne")
    with pytest.raises(WorkspaceError, match="no values of an unbinned fit"):
        read_values(values.parent / "nothing.parquet")


def test_command(values, capsys):
    """Would catch a command that fits another luminosity, background or region than asked."""
    assert main(["fit", str(values.parent), "--format", "json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert main(["fit", str(values), "--more", "711", "--background", "bernstein1", "--region", "one"]) == 0
    text = capsys.readouterr().out
    assert "365/fb and 711/fb more, background bernstein1" in text and "two" not in text
    limit = alone["regions"]["one"]["expected_limit"][2]
    assert float(text.splitlines()[-1].split()[6]) < 0.8 * limit
    assert alone["regions"]["one"]["background"] == pytest.approx(100.0)
