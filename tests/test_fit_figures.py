"""Numbers behind the figures of a fit, against pyhf and iminuit used plainly."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pyhf
import pytest
from fit_workspaces import shapes
from iminuit import Minuit

from fei_lite.cli import main
from fei_lite.plots.fits import CONTOURS, figures
from fei_lite.statistics.overview import overview
from fei_lite.statistics.workspaces import open_likelihood


def factor(name):
    return {"name": name, "type": "normfactor", "data": None}


def workspace():
    """Two strengths, two channels, every kind of modifier; one nuisance without effect, one one-sided, one free
    normalisation that the data push to its lower bound."""
    one = {"name": "one", "samples": [
        {"name": "a", "data": [5.0, 12.0, 20.0], "modifiers": [
            factor("mu_a"), {"name": "eff", "type": "normsys", "data": {"lo": 0.93, "hi": 1.05}}]},
        {"name": "b", "data": [9.0, 6.0, 3.0], "modifiers": [factor("mu_b")]},
        {"name": "bkg", "data": [80.0, 60.0, 40.0], "modifiers": [
            {"name": "norm", "type": "normsys", "data": {"lo": 0.85, "hi": 1.15}},
            {"name": "side", "type": "normsys", "data": {"lo": 1.06, "hi": 1.08}},
            {"name": "nothing", "type": "normsys", "data": {"lo": 1.0, "hi": 1.0}},
            {"name": "slope", "type": "histosys", "data": {"hi_data": [88.0, 61.0, 36.0],
                                                           "lo_data": [74.0, 59.0, 43.0]}},
            {"name": "stat", "type": "staterror", "data": [4.0, 3.5, 3.0]}]},
        {"name": "rare", "data": [1.0, 4.0, 1.0], "modifiers": [factor("rare_norm")]}]}
    two = {"name": "two", "samples": [
        {"name": "b", "data": [20.0, 8.0], "modifiers": [factor("mu_b")]},
        {"name": "bkg", "data": [50.0, 55.0], "modifiers": [
            {"name": "norm", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}},
            {"name": "control", "type": "shapesys", "data": [5.0, 6.0]}]}]}
    return {"version": "1.0.0", "channels": [one, two],
            "observations": [{"name": "one", "data": [101, 62, 71]}, {"name": "two", "data": [74, 60]}],
            "measurements": [{"name": "m", "config": {"poi": "mu_a", "parameters": []}},
                             {"name": "n", "config": {"poi": "mu_b", "parameters": []}}]}


@cache
def shown():
    return overview({name: open_likelihood(workspace(), poi=name) for name in ("mu_a", "mu_b")})


@cache
def model_and_data():
    whole = pyhf.Workspace(workspace())
    model = whole.model(measurement_name="m")
    return model, np.array(whole.data(model))


def plain_fit(held=None, *, model=None, data=None):
    """pyhf's own log-likelihood under MIGRAD and HESSE, with the bounds of pyhf but none for the strengths."""
    own, seen = model_and_data()
    model, data = model or own, seen if data is None else data
    names, held = list(model.config.par_names), held or {}
    minuit = Minuit(lambda x: float(-model.logpdf(x, data)[0]), np.array(model.config.suggested_init()), name=names)
    minuit.errordef, minuit.strategy, minuit.tol = Minuit.LIKELIHOOD, 2, 1e-4
    minuit.limits = [(None, None) if name.startswith("mu_") else bounds
                     for name, bounds in zip(names, model.config.suggested_bounds())]
    for name, value in held.items():
        minuit.values[name], minuit.fixed[name] = value, True
    minuit.migrad(ncall=20000)
    return minuit


@cache
def best():
    minuit = plain_fit({"rare_norm": 0.0})  # at its bound, where HESSE of the others is defined
    minuit.hesse()
    return minuit


def parameter(name):
    return next(p for p in shown()["parameters"] if p["name"] == name)


def test_values_errors_correlations():
    """Would catch errors of the expected in place of the observed information, and a matrix with names mixed up."""
    assert plain_fit().values["rare_norm"] < 1e-3  # pushed to the bound, also in the free fit
    found, minuit = shown(), best()
    for name, fit in found["strengths"].items():
        assert fit["value"] == pytest.approx(minuit.values[name], abs=2e-3)
        assert fit["error"] == pytest.approx(minuit.errors[name], rel=5e-3)
    for p in found["parameters"]:
        if not p["at_bound"]:
            assert p["value"] == pytest.approx(minuit.values[p["name"]], abs=5e-3)
            assert p["error"] == pytest.approx(minuit.errors[p["name"]], rel=1e-2)
    names, matrix = found["correlations"]["names"], minuit.covariance.correlation()
    assert "rare_norm" not in names and len(names) == len(minuit.values) - 1
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            assert found["correlations"]["matrix"][i][j] == pytest.approx(matrix[one, two], abs=5e-3)


def test_pulls():
    """Would catch pulls of parameters around 1 that are not divided by the error of their constraint."""
    minuit, (model, _) = best(), model_and_data()
    widths = {"stat[1]": 3.5 / 60.0, "control[1]": 6.0 / 55.0, "norm": 1.0, "slope": 1.0}
    for name, width in widths.items():
        start = model.config.suggested_init()[model.config.par_names.index(name)]
        assert parameter(name)["pull"] == pytest.approx((minuit.values[name] - start) / width, abs=0.02)
        assert parameter(name)["constraint"] == pytest.approx(minuit.errors[name] / width, rel=0.01)
    assert parameter("rare_norm")["pull"] is None


@pytest.mark.parametrize("name", ["norm", "slope", "side", "stat[1]", "control[0]", "nothing"])
def test_impacts(name):
    """Would catch the linear estimate in place of a fit, up and down exchanged, the other strength held, and an
    impact of a parameter without effect; "side" has both variations on one side."""
    minuit, p = best(), parameter(name)
    prior = {"stat[1]": 3.5 / 60.0, "control[0]": 5.0 / 50.0}.get(name, 1.0)
    for when, size in (("post", minuit.errors[name]), ("pre", prior)):
        for side, sign in enumerate((-1.0, 1.0)):
            held = plain_fit({name: minuit.values[name] + sign * size})
            for strength in ("mu_a", "mu_b"):
                assert p["impact"][strength][when][side] == pytest.approx(
                    held.values[strength] - minuit.values[strength], abs=4e-3)
    if name == "nothing":
        assert p["pull"] == pytest.approx(0.0, abs=1e-6) and p["constraint"] == pytest.approx(1.0)
        assert np.abs([p["impact"][s][w] for s in ("mu_a", "mu_b") for w in ("post", "pre")]).max() < 1e-6


def test_parameter_at_a_bound():
    """Would catch an error of 0 at a bound, and a parameter that is moved beyond it."""
    p = parameter("rare_norm")
    assert p["at_bound"] and p["value"] == 0.0 and p["error"] > 0.1 and p["prior_error"] is None
    held = plain_fit({"rare_norm": p["error"]})
    for strength in ("mu_a", "mu_b"):
        down, up = p["impact"][strength]["post"]
        assert down == 0.0 and up == pytest.approx(held.values[strength] - best().values[strength], abs=4e-3)
        assert abs(up) > 1e-3 and p["impact"][strength]["pre"] == [None, None]


def test_scans():
    """Would catch a scan that does not profile, or is once and not twice the negative log-likelihood."""
    found, lowest = shown(), best().fval
    for strength, scan in found["scans"].items():
        for i in (0, 7, 20):
            plain = 2.0 * (plain_fit({strength: scan["values"][i]}).fval - lowest)
            assert scan["twice_nll"][i] == pytest.approx(plain, abs=5e-3)
    contour = found["contours"][0]
    i, j = 4, 11
    plain = plain_fit({"mu_a": contour["x"][i], "mu_b": contour["y"][j]}).fval
    assert contour["names"] == ["mu_a", "mu_b"]
    assert contour["twice_nll"][i][j] == pytest.approx(2.0 * (plain - lowest), abs=5e-3)
    assert pytest.approx((2.279, 5.991), abs=1e-3) == CONTOURS


def test_cls_band():
    """Would catch quantiles in the wrong order, or a band of other Asimov data than pyhf's."""
    spec = shapes()
    found = overview({"mu": open_likelihood(spec)})["cls"]["mu"]
    whole = pyhf.Workspace(spec)
    model = whole.model()
    bounds = list(model.config.suggested_bounds())
    bounds[model.config.poi_index] = (0.0, 50.0)
    for i in (8, 16):
        mu = found["strengths"][i]
        observed, expected = pyhf.infer.hypotest(mu, whole.data(model), model, test_stat="qtilde", par_bounds=bounds,
                                                 return_expected_set=True)
        assert found["observed"][i] == pytest.approx(float(observed), abs=2e-3)
        assert np.array(found["expected"])[:, i] == pytest.approx(np.array(expected, dtype=float), abs=2e-3)
    assert np.interp(found["limit"]["expected"][2], found["strengths"], found["expected"][2]) == pytest.approx(
        0.1, abs=0.02)


def test_templates_and_yields():
    """Would catch errors without correlations, a sum that is not that of its samples, before and after exchanged."""
    found, minuit, (model, data) = shown(), best(), model_and_data()
    start, names = np.array(model.config.suggested_init()), list(model.config.par_names)
    covariance = np.array(minuit.covariance)
    after = np.array([minuit.values[name] for name in names])
    draws = np.random.default_rng(3).multivariate_normal(after, 0.01 * covariance, size=4000, check_valid="ignore")
    bins = np.array([model.expected_actualdata(x) for x in draws])
    for channel, part in model.config.channel_slices.items():
        shown_part = found["templates"][channel]
        assert shown_part["data"] == list(data[part])
        assert shown_part["before"]["total"] == pytest.approx(model.expected_actualdata(start)[part])
        assert shown_part["after"]["total"] == pytest.approx(model.expected_actualdata(after)[part], rel=2e-3)
        assert shown_part["after"]["error"] == pytest.approx(10.0 * bins[:, part].std(axis=0), rel=0.06)
        rows = [r for r in found["yields"] if r["channel"] == channel]
        total = next(r for r in rows if r["sample"] == "total")
        assert total["after"][1] == pytest.approx(10.0 * bins[:, part].sum(axis=1).std(), rel=0.06)
        assert total["before"][0] == pytest.approx(sum(r["before"][0] for r in rows if r["sample"] != "total"))
    signal = next(r for r in found["yields"] if (r["channel"], r["sample"]) == ("two", "b"))
    assert signal["before"] == pytest.approx([28.0, 0.0])
    assert signal["after"] == pytest.approx([28.0 * minuit.values["mu_b"], 28.0 * minuit.errors["mu_b"]], rel=6e-3)


def test_command(tmp_path, capsys):
    """Would catch a figure that is missing or empty, numbers that are no JSON, and files that are overwritten."""
    (tmp_path / "w.json").write_text(json.dumps(workspace()))
    line = ["fit", str(tmp_path / "w.json"), "--data", "asimov", "--injected", "2", "--figures", str(tmp_path / "out")]
    assert main(line) == 0
    numbers = json.loads((tmp_path / "out" / "fit.json").read_text())
    drawn = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert drawn == set(figures(numbers)) and {"impacts_mu_a.png", "impacts_mu_b.png", "contours_mu_a_mu_b.png"} < drawn
    assert numbers["strengths"]["mu_a"]["value"] == pytest.approx(2.0, abs=1e-3)
    assert numbers["strengths"]["mu_b"]["value"] == pytest.approx(1.0, abs=1e-3)
    assert main(line) == 2 and "--force" in capsys.readouterr().err
    assert main([*line, "--force"]) == 0
