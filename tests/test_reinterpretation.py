"""Reinterpretation: templates of other theories, their workspaces, limits on two-body decays, and the command."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pyhf
import pytest
from fit_workspaces import shapes
from scipy.integrate import quad

from fei_lite.analyses.k_nunu.density import Density, read_density
from fei_lite.analyses.k_nunu.null_model import BURAS, HPQCD, f_plus_lattice, null_centres, null_fractions
from fei_lite.analyses.k_nunu.spectrum import M_B, M_K, Q2_MAX, Couplings, f_plus, kaon_momentum
from fei_lite.analyses.k_nunu.two_body import two_body_events
from fei_lite.analyses.k_nunu.weak_theory import STANDARD_MODEL_VECTOR, branching_ratios
from fei_lite.cli import main
from fei_lite.errors import AnalysisError, WorkspaceError
from fei_lite.reinterpretation.inputs import matched
from fei_lite.reinterpretation.two_body import two_body_limits, two_body_workspace
from fei_lite.reinterpretation.wilson_coefficients import (
    at_couplings,
    operator_parts,
    priors,
    standard_model_fit,
    wilson_workspace,
)
from fei_lite.statistics.fits import expected_data, fit_strength
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.posterior import best_values
from fei_lite.statistics.signal_parts import SignalPart, with_parts
from fei_lite.statistics.workspaces import open_likelihood, read_workspace

FILE = Path(os.environ.get("FEI_LITE_TEST_DATA", "")) / "knunu_hta" / "hta_channel_sgn1_had.json"
needs_published = pytest.mark.skipif(not FILE.is_file(), reason="FEI_LITE_TEST_DATA with knunu_hta is not set")
RESULTS = Path(__file__).resolve().parents[1] / "trained" / "hta" / "reinterpretation"
EDGES = np.linspace(0.0, Q2_MAX, 24)


def flat_density(form_factor=BURAS, *, efficiency=lambda q2: np.ones_like(q2), size=1.0):
    """Three bins of x, an efficiency that depends on q2 alone (``efficiency``, of the mean q2), 6000 events or so."""
    share = size * np.array([1000.0, 2000.0, 3000.0])
    values = np.outer(share, null_fractions(EDGES, form_factor) * efficiency(null_centres(EDGES, form_factor)))
    return Density(np.linspace(0.4, 1.0, 4), EDGES, values, 0.01 * values, form_factor)


def workspace_of(density, background, *, observed=None):
    """One channel whose signal is the density's standard model, with every kind of modifier, and a background."""
    signal = density.values.sum(axis=1)
    background = np.asarray(background, dtype=float)
    modifiers = [{"name": "mu", "type": "normfactor", "data": None},
                 {"name": "stat_signal", "type": "staterror", "data": (0.1 * signal).tolist()},
                 {"name": "efficiency", "type": "normsys", "data": {"lo": 0.95, "hi": 1.05}},
                 {"name": "slope", "type": "histosys", "data": {
                     "lo_data": (signal * np.linspace(0.9, 1.1, len(signal))).tolist(),
                     "hi_data": (signal * np.linspace(1.1, 0.9, len(signal))).tolist()}}]
    return {"version": "1.0.0", "channels": [{"name": "hta", "samples": [
        {"name": "signal", "data": signal.tolist(), "modifiers": modifiers},
        {"name": "background", "data": background.tolist(), "modifiers": [
            {"name": "norm", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}]}]}],
        "observations": [{"name": "hta", "data": (background + signal if observed is None else observed).tolist()}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}]}


def test_lattice_form_factor_by_hand():
    """Would catch a term of the series: f+ of arXiv:2207.12468 written out, and its published f+(0) = 0.332(12)."""
    t, root = (5.279495 + 0.495644) ** 2, np.sqrt
    for q2 in (0.0, 7.0, 20.0):
        z = (root(t - q2) - root(t)) / (root(t - q2) + root(t))
        series = 0.2545 - 0.71 * (z - z**3 / 3) + 0.32 * (z**2 + 2 * z**3 / 3)
        assert float(f_plus_lattice(q2)) == pytest.approx(1.304 * series / (1 - q2 / 5.4158**2), rel=1e-12)
    assert float(f_plus_lattice(0.0)) == pytest.approx(0.332, abs=0.012)


def test_null_fractions_against_adaptive_integration():
    """Would catch a spectrum that is not p^3 f+^2, or not normalised."""
    def rate(q2):
        energy = (M_B**2 + M_K**2 - q2) / (2 * M_B)
        return max(energy**2 - M_K**2, 0.0) ** 1.5 * float(f_plus_lattice(q2)) ** 2

    total = quad(rate, 0, Q2_MAX)[0]
    wanted = [0.0, quad(rate, 0, 8)[0] / total, quad(rate, 8, Q2_MAX)[0] / total]
    np.testing.assert_allclose(null_fractions([-1.0, 0.0, 8.0, 24.0], HPQCD), wanted, rtol=1e-4)


@needs_published
def test_the_published_density_is_that_of_the_published_template():
    """Would catch a digit lost on the way: the sum over q2 of each bin is the workspace's signal to 1e-14.

    In the first two bins the two publications differ by one simulated event, which lies in the other bin.
    """
    template = np.array(read_workspace(FILE)["channels"][0]["samples"][0]["data"])
    density = read_density("published")
    own = density.values.sum(axis=1)
    np.testing.assert_allclose(own[2:], template[2:], rtol=1e-13)
    assert own.sum() == pytest.approx(template.sum(), rel=1e-13)
    assert abs(own[0] - template[0]) == pytest.approx(3.1e-5, rel=0.05)
    # what the events say of the form factor: the efficiency is smooth up to the end only over the right spectrum
    efficiency = density.values.sum(axis=0)[1:] / density.fractions[1:]
    assert np.all(np.abs(np.diff(efficiency[:60])) < 0.06 * efficiency[0])


@needs_published
def test_the_standard_model_comes_back_from_the_published_inputs():
    """Would catch any change of the workspace: the same events, and the published mu = 2.18 +2.36 -1.97."""
    inputs = matched(read_workspace(FILE), read_density("published"))
    before, after = open_likelihood(inputs.spec), open_likelihood(wilson_workspace(inputs))
    point = at_couplings(after, [STANDARD_MODEL_VECTOR, 0.0, 0.0])
    np.testing.assert_allclose(after.bins.events(point), before.bins.events(before.start), rtol=1e-14)
    was, now = standard_model_fit(inputs)
    for fit in (was, now):
        assert [fit.best_fit, fit.error_up, fit.error_down] == pytest.approx([2.18, 2.36, 1.97], abs=0.006)
    assert now.best_fit == pytest.approx(was.best_fit, abs=1e-6)


@pytest.mark.parametrize("form_factor", [BURAS, HPQCD])
def test_an_efficiency_without_q2_leaves_the_rates(form_factor):
    """Would catch weights of other bins or another norm: each part is then its branching ratio in every bin."""
    density = flat_density(form_factor)
    ratios, errors = operator_parts(density)
    np.testing.assert_allclose(ratios, np.outer(branching_ratios(form_factor), np.ones(3)), rtol=1e-3)
    assert np.all(errors[0] == 0.0) and np.all(errors[1:] > 0.0)
    for i, couplings in enumerate((Couplings(1, 0, 0), Couplings(0, 1, 0), Couplings(0, 0, 1))):
        np.testing.assert_allclose(ratios[i] * density.values.sum(axis=1), density.reweighted(couplings)[0], rtol=1e-4)


def test_scalar_rate_does_not_depend_on_the_vector_form_factor():
    """Would catch the standard model's total forgotten: scalar and tensor rates over each other are the same."""
    one, other = branching_ratios(BURAS), branching_ratios(HPQCD)
    assert one[1] / one[2] == pytest.approx(other[1] / other[2], rel=1e-9)

    def total(form_factor):
        return quad(lambda q: float(kaon_momentum(q)) ** 3 * float(form_factor(q)) ** 2, 0, Q2_MAX)[0]

    assert one[1] / other[1] == pytest.approx(total(f_plus_lattice) / total(f_plus), rel=1e-4)


def test_parts_keep_relative_uncertainties():
    """Would catch an uncertainty that grows or shrinks with the split: in pyhf's own model of halves and quarters."""
    spec = shapes()
    halves = [SignalPart(name, {"bins": np.full(4, ratio)}, name) for name, ratio in (("a", 0.5), ("b", 1.5))]
    made = with_parts(spec, halves)
    old, new = (pyhf.Workspace(s).model() for s in (spec, made))
    stat = next(m["name"] for m in spec["channels"][0]["samples"][0]["modifiers"] if m["type"] == "staterror")
    np.testing.assert_allclose(new.config.param_set(stat).sigmas, old.config.param_set(stat).sigmas, rtol=1e-12)
    rng = np.random.default_rng(3)
    shared = [name for name in old.config.par_names if name != "mu"]
    for _ in range(5):
        values = {name: 1.0 + rng.normal(0.0, 0.1) for name in shared}
        x = np.array([values.get(name, 2.0) for name in old.config.par_names])
        y = np.array([values.get(name, {"a": 1.0, "b": 1.0}.get(name)) for name in new.config.par_names], dtype=float)
        np.testing.assert_allclose(new.expected_actualdata(y), old.expected_actualdata(x), rtol=1e-12)


def test_one_part_is_the_signal_itself():
    """Would catch a modifier lost: fit and limit are those of the workspace as it was."""
    spec = shapes()
    made = open_likelihood(with_parts(spec, [SignalPart("same", {"bins": np.ones(4)}, "size")]))
    was = open_likelihood(spec)
    assert fit_strength(made).best_fit == pytest.approx(fit_strength(was).best_fit, abs=1e-6)
    assert upper_limit(made).observed == pytest.approx(upper_limit(was).observed, rel=1e-6)


def test_injected_couplings_come_back():
    """Would catch strengths that are not (C / C_SM)^2, or parts mixed up: the mode of Asimov data is the injection."""
    density = Density(np.linspace(0, 1, 6), EDGES, 2e3 * np.array([
        null_fractions(EDGES) * np.exp(-0.5 * ((null_centres(EDGES) - c) / 4.0) ** 2) for c in (2, 6, 10, 14, 18)]),
        np.zeros((5, 23)))
    likelihood = open_likelihood(wilson_workspace(matched(workspace_of(density, np.full(5, 50.0)), density)))
    for coefficients in ([6.6, 0.0, 0.0], [9.0, 5.0, 3.0], [3.0, 0.0, 8.0]):
        data = likelihood.expected(at_couplings(likelihood, coefficients))
        mode, point = best_values(likelihood, priors(), data)
        assert mode == pytest.approx(coefficients, abs=0.05) and point.nll < 1e-6


def test_what_does_not_fit_is_said():
    """Would catch bins, channels or templates of another analysis taken without a word."""
    density, spec = flat_density(), workspace_of(flat_density(), [500.0, 300.0, 200.0])
    with pytest.raises(WorkspaceError, match=r"channel 'htb', which has no signal.*Nearest known: 'hta'"):
        matched(spec, {"htb": density})
    with pytest.raises(WorkspaceError, match="channel 'hta': has 3 bins, the density 6"):
        matched(spec, read_density("published"))
    with pytest.raises(WorkspaceError, match=r"differs from the signal template by up to 50 %.*--normalise"):
        matched(spec, flat_density(size=1.5))
    scaled = matched(spec, flat_density(size=1.5), normalise=True)
    np.testing.assert_allclose(scaled.deviation["hta"], 0.5)
    made = wilson_workspace(scaled)["channels"][0]["samples"][0]
    assert made["name"] == "signal_vector" and made["data"] == spec["channels"][0]["samples"][0]["data"]
    spec["channels"][0]["samples"][0]["modifiers"].append({"name": "s", "type": "shapesys", "data": [1.0, 1.0, 1.0]})
    with pytest.raises(WorkspaceError, match=r"channel 'hta', sample 'signal': has a shapesys"):
        wilson_workspace(matched(spec, density))
    spec["measurements"][0]["config"]["poi"] = "norm"
    with pytest.raises(WorkspaceError, match="'norm' scales no sample"):
        matched(spec, density)


def test_two_body_events_of_a_linear_efficiency():
    """Would catch interpolation between the wrong points: a linear efficiency is exact at every mass."""
    density = flat_density(efficiency=lambda q2: 1.0 - 0.03 * q2)
    centres = null_centres(EDGES)
    for mass in (0.7, 1.9, 3.3, 4.5):
        events, errors = two_body_events(density, mass, density.branching_fraction)
        q2 = np.clip(mass**2, centres[0], centres[-1])
        np.testing.assert_allclose(events, np.array([1000.0, 2000.0, 3000.0]) * (1.0 - 0.03 * q2), rtol=1e-9)
        assert np.all(errors > 0.0)
    with pytest.raises(AnalysisError, match=r"mass 4.9 GeV: expected 0 or more, below m_B - m_K = 4.7857"):
        two_body_events(density, 4.9, 1e-5)


def test_interpolation_error_covers_a_bend():
    """Would catch a bound that is none: a quadratic efficiency off its chord by less than the stated error."""
    density = flat_density(efficiency=lambda q2: 1.0 - (q2 / 30.0) ** 2)
    exact = Density(density.x_edges, EDGES, density.values, np.zeros_like(density.values))
    centres = null_centres(EDGES)
    for q2 in np.linspace(centres[0], centres[-1], 60):
        events, errors = two_body_events(exact, float(np.sqrt(q2)), exact.branching_fraction)
        wanted = np.array([1000.0, 2000.0, 3000.0]) * (1.0 - (q2 / 30.0) ** 2)
        assert np.all(np.abs(events - wanted) <= (1.0 + 1e-6) * errors)


def test_two_body_limit_in_one_bin_against_the_counting_formula():
    """Would catch a unit: with 10^4 events of background alone the expected limit is 1.645 root n over the signal.

    (CLs at 90 %: 1 - Phi(t) = 0.1 / 2.)
    """
    density = flat_density(size=1e-3)
    one = Density(np.array([0.0, 1.0]), EDGES, density.values.sum(axis=0)[None], np.zeros((1, 23)))
    spec = workspace_of(one, [1e4])
    spec["channels"][0]["samples"][0]["modifiers"] = spec["channels"][0]["samples"][0]["modifiers"][:1]
    spec["channels"][0]["samples"][1]["modifiers"] = []
    spec["observations"][0]["data"] = [1e4 + one.values.sum()]
    found = two_body_limits(matched(spec, one), [2.0], uncertainty=0.0)["masses"][0]
    wanted = 1.645 * np.sqrt(1e4 + one.values.sum()) / 6.0 * one.branching_fraction
    assert found["expected"][2] == pytest.approx(wanted, rel=0.01)
    assert found["limit"] == pytest.approx(wanted, rel=0.01) and found["best_fit"] == pytest.approx(0.0, abs=1e-8)


def test_two_body_limits_move_the_right_way():
    """Would catch a sign: limits weaken with background, with uncertainty, with level, and with efficiency lost."""
    def limit(background=1.0, mass=2.0, **options):
        density = flat_density(efficiency=lambda q2: 1.0 - 0.03 * q2, size=1e-2)
        inputs = matched(workspace_of(density, background * np.array([500.0, 300.0, 200.0])), density)
        return two_body_limits(inputs, [mass], **options)["masses"][0]["expected"]

    plain = limit()
    assert all(np.diff(plain) > 0.0)
    for other in (limit(4.0), limit(uncertainty=0.5), limit(level=0.95), limit(mass=4.0)):
        assert other[2] > 1.02 * plain[2]


def test_injected_two_body_decay_comes_back():
    """Would catch the standard model counted as signal: the best fit of Asimov data is the injected decay."""
    density = flat_density(size=1e-2)
    inputs = matched(workspace_of(density, [500.0, 300.0, 200.0]), density)
    likelihood = open_likelihood(two_body_workspace(inputs, 1.5))
    fit = fit_strength(likelihood, expected_data(likelihood, 3.0))
    assert fit.best_fit == pytest.approx(3.0, abs=1e-4)


def run(tmp_path, *words, density=None):
    made = flat_density() if density is None else density
    (tmp_path / "density.json").write_text(json.dumps(made.to_json()))
    (tmp_path / "workspace.json").write_text(json.dumps(workspace_of(flat_density(), [5e3, 3e3, 2e3])))
    return main(["reinterpret", str(tmp_path / "workspace.json"), "--density", str(tmp_path / "density.json"),
                 "-o", str(tmp_path / "out"), "--quiet", *words])


def test_the_command_for_wilson_coefficients(tmp_path, capsys):
    """Would catch a result that cannot be read, or cannot be repeated; and one overwritten."""
    pytest.importorskip("emcee")
    assert run(tmp_path, "--model", "wet", "--steps", "1000", "--data", "asimov", "--seed", "3") == 0
    assert "|C_VL+C_VR|" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "reinterpretation.json").read_text())
    assert found["injected"] == [STANDARD_MODEL_VECTOR, 0.0, 0.0] and found["seed"] == 3
    samples = np.array(found["samples"]["values"])
    rate = found["branching_fraction_at_strength_1"] * np.array(list(found["branching_ratios"].values()))
    np.testing.assert_allclose(samples[:, 3], (samples[:, :3] / STANDARD_MODEL_VECTOR) ** 2 @ rate, rtol=1e-3)
    low, high = found["branching_fraction"]["central_95"]["edges"]
    assert low < 4.97e-6 < high  # 6000 events of signal, which a shape without q2 cannot tell apart
    for name in ("corner", "branching_fraction", "predictive"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 5000
    assert run(tmp_path, "--model", "wet", "--steps", "1000") == 2
    assert "never overwritten" in capsys.readouterr().err


def test_the_command_for_two_body_decays(tmp_path, capsys):
    """Would catch a limit lost between library and table."""
    assert run(tmp_path, "--model", "two_body", "--masses", "1", "3.5", "--format", "json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["mass_GeV"] for row in printed["masses"]] == [1.0, 3.5]
    assert all(row["limit"] > 0.0 and row["expected"][0] < row["expected"][4] for row in printed["masses"])
    assert (tmp_path / "out" / "limits.png").stat().st_size > 5000


@pytest.mark.parametrize("words, message", [
    (["--model", "wet", "--inject", "1", "2", "3"], "give --data asimov as well"),
    (["--model", "two_body", "--data", "asimov", "--inject", "1", "2"], "2 values, expected 1 of 0 or more"),
    (["--model", "two_body", "--masses", "5"], "mass 5 GeV: expected 0 or more, below"),
    (["--model", "two_body", "--level", "90"], "confidence level 90.0"),
    (["--model", "wet", "--high", "-1"], "--high -1")])
def test_wrong_use_of_the_command(tmp_path, capsys, words, message):
    """Would catch a wrong option taken in silence."""
    assert run(tmp_path, *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "reinterpretation.json").exists()


@pytest.mark.parametrize("name", ["published", "own"])
def test_shipped_results_belong_to_the_shipped_inputs(name):
    """Would catch results that stayed behind when the workspace or the density changed."""
    found = json.loads((RESULTS / name / "wet" / "reinterpretation.json").read_text())
    fit = found["standard_model"]["strength_after"]
    if name == "published":
        assert [fit["best_fit"], fit["error_up"], fit["error_down"]] == pytest.approx([2.18, 2.36, 1.97], abs=0.006)
    else:
        own = json.loads((RESULTS.parent / "fit.json").read_text())["mu"]
        assert fit["best_fit"] == pytest.approx(own["best_fit"], abs=1e-3)
        assert fit["error_up"] == pytest.approx(own["error_up"], rel=1e-3)
    assert min(found["sampler"]["independent_samples"]) > 300 and max(found["sampler"]["r_of_quarters"]) < 1.05
    assert 0.01 < found["predictive"]["p_value"] <= 1.0


def test_the_page_has_the_shipped_numbers(capsys, monkeypatch):
    """Would catch a page that was not written again with new results."""
    path = RESULTS.parents[2] / "scripts" / "report_reinterpretation.py"
    specification = importlib.util.spec_from_file_location("report_reinterpretation", path)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [str(path)])
    script.main()
    page = (RESULTS.parents[2] / "docs" / "reinterpretation.md").read_text(encoding="utf-8")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20 and [line for line in lines if line not in page] == []
