"""Correction factors: shapes against scipy, yields and factors against toys of known content."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from mbc_toys import ENDPOINT, control_sample, peak
from scipy.integrate import quad
from scipy.stats import argus, crystalball, norm
from toy_tags import toy_tags

from fei_lite.cli import main
from fei_lite.corrections.factors import derive_factors, factors_from_plain
from fei_lite.corrections.samples import Options, control_tags, pool_modes
from fei_lite.corrections.shapes import MODELS, argus_bins, find_model, fit_shape
from fei_lite.corrections.text import factors_table
from fei_lite.corrections.yields import Problem, fit_yields
from fei_lite.errors import FeiLiteError, FitError
from fei_lite.plain import as_plain
from fei_lite.tagging.output import TagWriter

EDGES = np.linspace(5.22, 5.29, 36)
CB = MODELS["crystal_ball"]
SHAPE = np.array([5.2795, 0.0027, 1.5, 4.0])


@pytest.mark.parametrize("slope", [-60.0, -20.0, -0.5])
def test_argus_against_scipy(slope):
    """Would catch a wrong power, sign or endpoint: scipy knows the shape for falling slopes."""
    part, _ = argus_bins(EDGES, np.array([slope]), endpoint=ENDPOINT)
    expected = np.diff(argus.cdf(EDGES, np.sqrt(-2.0 * slope), scale=ENDPOINT))
    np.testing.assert_allclose(part[0], expected / expected.sum(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("slope", [-20.0, 0.0, 40.0])
def test_argus_and_its_derivative_by_quadrature(slope):
    """Would catch slopes of the other sign, for which scipy has no ARGUS, and a wrong derivative."""
    def density(x):
        t = 1.0 - (x / ENDPOINT) ** 2
        return x * np.sqrt(max(t, 0.0)) * np.exp(slope * t)

    part, derivative = argus_bins(EDGES, np.array([slope]), endpoint=ENDPOINT)
    numbers = np.array([quad(density, a, min(b, ENDPOINT))[0] for a, b in pairwise(EDGES)])
    np.testing.assert_allclose(part[0], numbers / numbers.sum(), rtol=1e-7)
    around = [argus_bins(EDGES, np.array([slope + d]), endpoint=ENDPOINT)[0][0] for d in (-1e-3, 1e-3)]
    np.testing.assert_allclose(derivative[0], (around[1] - around[0]) / 2e-3, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name,parameters", [("crystal_ball", SHAPE), ("core_and_tail", [5.2795, 0.0027, 0.2, 3.0])])
def test_signal_shapes(name, parameters):
    """Would catch a density that is not the derivative, or a shift of the other sign; against scipy's cumulatives."""
    p = np.array([parameters])
    part, by_shift, by_width = MODELS[name].bins(EDGES, p, shift=3e-4, width=1.2)
    mean, sigma, a, b = 5.2795 + 3e-4, 1.2 * 0.0027, p[0, 2], p[0, 3]
    cumulative = (crystalball.cdf(EDGES, a, b, mean, sigma) if name == "crystal_ball"
                  else (1 - a) * norm.cdf(EDGES, mean, sigma) + a * norm.cdf(EDGES, mean, b * sigma))
    np.testing.assert_allclose(part[0], np.diff(cumulative) / np.ptp(cumulative), rtol=1e-9, atol=1e-12)
    for derivative, step, move in ((by_shift, 1e-7, "shift"), (by_width, 1e-5, "width")):
        near = [MODELS[name].bins(EDGES, p, **({"shift": 3e-4, "width": 1.2} | {
            move: {"shift": 3e-4, "width": 1.2}[move] + d}))[0] for d in (-step, step)]
        numeric = (near[1] - near[0]) / (2 * step)
        np.testing.assert_allclose(derivative, numeric, rtol=1e-3, atol=1e-5 * np.abs(numeric).max())


def test_fitted_shape_finds_the_truth():
    """Would catch a covariance of another order than the parameters, or weights counted as events."""
    x = peak(np.random.default_rng(1), 20_000)
    counts = np.histogram(x, EDGES)[0].astype(float)
    fitted = fit_shape(CB, counts, counts, EDGES)
    pull = (fitted.parameters[:3] - [5.2794, 0.0027, 1.4]) / np.sqrt(np.diag(fitted.covariance))[:3]
    assert np.abs(pull).max() < 3.5
    model = MODELS["core_and_tail"]
    light, heavy = (fit_shape(model, w * counts, w**2 * counts, EDGES) for w in (1.0, 4.0))
    np.testing.assert_allclose(heavy.covariance, light.covariance, rtol=0.05, atol=1e-6)
    with pytest.raises(FitError, match="Known: crystal_ball, core_and_tail"):
        find_model("crystal_bal")


MODES = 5
TRUE_SIGNAL = np.array([80.0, 150.0, 300.0, 600.0, 1000.0])
TRUE_BACKGROUND = np.array([200.0, 100.0, 900.0, 500.0, 2000.0])


def expectation():
    """Bins of five modes whose peak is shifted by 0.2 MeV and 10 % wider than in simulation."""
    shapes = np.tile(SHAPE, (MODES, 1))
    peaks = CB.bins(EDGES, shapes, shift=2e-4, width=1.1)[0]
    argus_part, _ = argus_bins(EDGES, np.linspace(-40.0, 5.0, MODES), endpoint=ENDPOINT)
    return shapes, TRUE_SIGNAL[:, None] * peaks + TRUE_BACKGROUND[:, None] * argus_part


def test_pulls_of_yields():
    """Pseudo-data: pulls have mean 0 and width 1. Would catch errors without background, shift or slope in them."""
    shapes, nu = expectation()
    rng, pulls, positions = np.random.default_rng(2), [], []
    for _ in range(80):
        fit = fit_yields(Problem(rng.poisson(nu).astype(float), EDGES, CB, shapes, ENDPOINT))
        errors = np.sqrt(np.diag(fit.covariance))
        pulls.append((fit.signal - TRUE_SIGNAL) / errors[:MODES])
        positions.append((np.array(fit.position) - [2e-4, 1.1]) / errors[-2:])
    pulls, positions = np.array(pulls), np.array(positions)
    assert abs(pulls.mean()) < 0.1 and pulls.std() == pytest.approx(1.0, abs=0.1)  # 400 pulls: 0.05, 0.035
    assert np.abs(pulls.mean(axis=0)).max() < 0.35 and np.abs(positions.mean(axis=0)).max() < 0.35
    assert positions.std(axis=0) == pytest.approx([1.0, 1.0], abs=0.25)


def test_without_fluctuations():
    """Would catch a biased minimum: data equal to the expectation give back what went in."""
    shapes, nu = expectation()
    fit = fit_yields(Problem(nu, EDGES, CB, shapes, ENDPOINT, slope=-17.5))
    np.testing.assert_allclose(fit.signal, TRUE_SIGNAL, rtol=0.02)
    np.testing.assert_allclose(fit.position, [2e-4, 1.1], rtol=0.02)


def test_response_is_what_a_new_fit_finds():
    """Would catch a shape uncertainty of the wrong sign or size: propagated to first order, against fitting again."""
    shapes, nu = expectation()
    problem = Problem(nu, EDGES, CB, shapes, ENDPOINT)
    fit = fit_yields(problem)
    moved = shapes.copy()
    moved[2, 2] -= 0.1  # a longer tail in one mode
    peaks = [CB.bins(EDGES, s, shift=fit.position[0], width=fit.position[1])[0] for s in (shapes, moved)]
    predicted = fit.response(fit.signal[:, None] * (peaks[1] - peaks[0]))
    again = fit_yields(Problem(nu, EDGES, CB, moved, ENDPOINT))
    assert predicted[2] > 3.0  # a longer tail is more signal
    np.testing.assert_allclose(predicted, again.signal - fit.signal, atol=0.15 * predicted[2])


def test_a_mode_without_background_or_signal():
    """Would catch a fit that fails where a bin, or a whole mode, is empty."""
    shapes, nu = expectation()
    rng = np.random.default_rng(3)
    counts = rng.poisson(nu).astype(float)
    counts[0] = np.round(80.0 * CB.bins(EDGES, shapes)[0][0])
    counts[1] = rng.poisson(100.0 * argus_bins(EDGES, np.array([-20.0]), endpoint=ENDPOINT)[0][0])
    counts[2] = 0.0
    fit = fit_yields(Problem(counts, EDGES, CB, shapes, ENDPOINT))
    errors = np.sqrt(np.diag(fit.covariance))[:MODES]
    assert abs(fit.signal[0] - 80.0) < 12.0 and abs(fit.signal[1]) < 3.5 * errors[1] and abs(fit.signal[2]) < 2.0


SIMULATED = {(521, 0): (4000, 6000), (521, 3): (2500, 4000), (511, 0): (3000, 5000), (511, 7): (60, 100),
             (511, 9): (50, 80), (511, 2): (200, 500)}
TRUE = {(521, 0): 0.7, (521, 3): 1.2, (511, 0): 0.95, (511, 7): 1.0, (511, 9): 1.0, (511, 2): 1.0}


@pytest.fixture(scope="module")
def derived():
    """Factors from pseudo-data of 0.4 times the simulation with known differences, and the samples."""
    rng = np.random.default_rng(4)
    simulation = control_sample(rng, SIMULATED, truth=True)
    modes = {key: (0.4 * TRUE[key] * s, 0.4 * b) for key, (s, b) in SIMULATED.items()}
    data = control_sample(rng, modes, truth=False, mean=5.2797, sigma=0.0030)
    options = Options(scale=0.4, scale_error=0.02, min_expected=100.0)
    return derive_factors(data, simulation, options=options), data, simulation


def test_factors_of_known_differences(derived):
    """Would catch a factor upside down, a scale forgotten, a shift that is not passed on to the fit."""
    found, _, _ = derived
    assert [(m.b_type, m.modes) for m in found.modes] == [
        ("B+", (0,)), ("B+", (3,)), ("B0", (0,)), ("B0", (2, 7, 9))]  # 80 + 24 + 20 events: pooled
    expected = np.array([0.7, 1.2, 0.95, 1.0])
    difference = found.factors - expected
    chi2 = difference @ np.linalg.solve(found.covariance, difference)
    assert 0.2 < chi2 < 16.0  # 4 degrees of freedom
    assert np.sqrt(np.diag(found.covariance))[:3] == pytest.approx([0.045, 0.06, 0.05], rel=0.5)
    assert abs(found.shift[0] - 3e-4) < 4 * found.shift[1] and abs(found.width[0] - 10 / 9) < 4 * found.width[1]
    assert all(abs(m.closure - 1.0) < 0.25 for m in found.modes)


def test_covariance(derived):
    """Would catch parts that do not add up, or a common error that is not common."""
    found, _, _ = derived
    np.testing.assert_allclose(np.sum(list(found.parts.values()), axis=0), found.covariance)
    assert np.linalg.eigvalsh(found.covariance).min() > 0.0
    np.testing.assert_allclose(found.parts["scale"], 0.02**2 * np.outer(found.factors, found.factors))
    assert [m.own_shape for m in found.modes] == [True, True, True, False]


def test_factors_applied_and_stored(derived):
    """Would catch a factor given to the charge conjugate's neighbour, or lost on the way through JSON."""
    found, _, _ = derived
    again = factors_from_plain(json.loads(json.dumps(as_plain(found), default=str)))
    for factors in (found, again):
        weight, row = factors.weights(np.array([521, -521, 511, -511, 511]), np.array([3, 0, 9, 0, 40]))
        np.testing.assert_array_equal(row, [1, 0, 3, 2, -1])
        np.testing.assert_array_equal(weight[:4], found.factors[[1, 0, 3, 2]])
        assert np.isnan(weight[4])
    np.testing.assert_array_equal(again.covariance, found.covariance)


def test_pools():
    """Would catch a mode in two rows, or a row with too few events."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        expected = {int(m): float(n) for m, n in enumerate(rng.exponential(60.0, rng.integers(1, 12)))}
        rows = pool_modes(expected, 50.0)
        members = [m for row in rows for m in row]
        assert len(members) == len(set(members))
        assert all(sum(expected[m] for m in row) >= 50.0 for row in rows)
        assert set(members) == set(expected) or sum(expected.values()) < 50.0
    assert pool_modes({0: 10.0}, 50.0) == []


def test_what_peaks():
    """Would catch a Btag of one B called background, or the knowledge from the events ignored."""
    tags = toy_tags(range(5), [0.5, 0.5, 0.5, 0.5, 0.001], [1, 0, 0, 0, 1], n_events=9,
                    ancestor=np.array([521, 521, 300553, 0, 521], np.int32))
    assert control_tags(tags).peaking.tolist() == [True, True, False, False]  # the last is below the cut
    nearly_right = np.array([False, False, True, False, False])
    assert control_tags(tags, nearly_right=nearly_right).peaking.tolist() == [True, False, True, False]
    assert control_tags(replace(tags, has_truth=False)).peaking is None


def test_wrong_use(derived):
    """Would catch a simulation without truth, or a control sample that is too small, taken in silence."""
    _, data, simulation = derived
    with pytest.raises(FeiLiteError, match="no truth"):
        derive_factors(data, data)
    with pytest.raises(FeiLiteError, match="scale 0"):
        derive_factors(data, simulation, options=Options(scale=0.0))
    with pytest.raises(FitError, match="no mode has the 1e"):
        derive_factors(data, simulation, options=Options(min_expected=1e6))


def test_command(tmp_path, capsys, derived):
    """Would catch data and simulation exchanged, pooled modes that are not named, a figure that is not drawn."""
    _, data, simulation = derived
    for name, tags, n in (("data", data, 4000), ("simulation", simulation, 10_000)):
        size = len(tags.mbc)
        columns = {"entry": np.arange(size), "event": np.arange(size), "pdg": tags.b_type, "decayModeID": tags.mode,
                   "SignalProbability": np.full(size, 0.5), "Mbc": tags.mbc, "deltaE": np.zeros(size),
                   "weight": tags.weight, "best": np.ones(size, np.int8)}
        if tags.peaking is not None:
            columns |= {"isSignal": tags.peaking.astype(np.int8), "mcPDG": np.full(size, 300553, np.int32)}
        types = {"B+B-": {"n_events": n, "sum_of_weights": float(n)}} if tags.peaking is not None else {}
        with TagWriter(tmp_path / f"{name}.root") as writer:
            writer.write(columns)
            writer.finish([], {"n_events": n, "sum_of_weights": float(n), "sum_of_squared_weights": float(n),
                               "event_types": types, "channel_set": "hadronic"})
    arguments = ["evaluate", str(tmp_path / "data.root"), "--simulation", str(tmp_path / "simulation.root"),
                 "--scale-error", "0.02", "--min-expected", "100"]
    assert main([*arguments, "--format", "json", "--figure", str(tmp_path / "factors.png")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["scale"] == 0.4
    found = factors_from_plain(result)
    np.testing.assert_allclose(found.factors, derived[0].factors, rtol=1e-6)
    assert (tmp_path / "factors.png").stat().st_size > 20_000
    printed = factors_table(found, result["names"])
    assert "B+ -> anti-D0 pi+" in printed and "pooled, one factor" in printed and "B0: 3 other modes" in printed
