"""Workspaces of several strengths: together, in toys, and sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from fit_workspaces import shapes

from fei_lite.errors import WorkspaceError
from fei_lite.statistics.by_sample import after_fit, before_fit
from fei_lite.statistics.fits import fit_strength
from fei_lite.statistics.from_templates import Channel, build_workspace, workspace_of
from fei_lite.statistics.profile import crossing
from fei_lite.statistics.toys import strength_toys
from fei_lite.statistics.workspaces import open_likelihood, strengths_of, with_common_strength
from fei_lite.templates import Template

pytest.importorskip("pyhf")
SIGNALS = {"low": [20.0, 6.0, 0.5], "high": [0.5, 4.0, 25.0]}
BACKGROUND = np.array([60.0, 80.0, 40.0])


def workspace(data=None):
    """Two signals in three bins, a background that is known to 10 %."""
    signals = [Template(name, values, signal=True, strength=f"mu_{name}") for name, values in SIGNALS.items()]
    return build_workspace([Channel("bins", [*signals, Template("background", BACKGROUND, errors=0.02 * BACKGROUND,
                                                                normalisations={"norm": 0.1})], data)], poi="mu_low")


def test_together_is_the_sum_of_the_signals():
    """Would catch a signal that is left behind: the fit of the common strength is that of one signal, their sum."""
    data = BACKGROUND + 1.3 * np.sum(list(SIGNALS.values()), axis=0)
    together = fit_strength(open_likelihood(with_common_strength(workspace(data))))
    one = fit_strength(open_likelihood(build_workspace([Channel("bins", [
        Template("signal", np.sum(list(SIGNALS.values()), axis=0), signal=True),
        Template("background", BACKGROUND, errors=0.02 * BACKGROUND, normalisations={"norm": 0.1})], data)])))
    assert together.best_fit == pytest.approx(1.3, abs=1e-3)
    assert together.error_up == pytest.approx(one.error_up, rel=1e-3)
    assert strengths_of(workspace()) == ("mu_low", "mu_high")
    assert strengths_of(with_common_strength(workspace())) == ("mu",)


def test_a_name_that_is_taken():
    """Would catch a strength that merges with a nuisance."""
    with pytest.raises(WorkspaceError, match="norm"):
        with_common_strength(workspace(), "norm")


def test_toys_of_several_strengths():
    """Would catch strengths exchanged, a truth that is not injected, pulls and roots of another width, and leakage."""
    spec = workspace()
    likelihoods = {name: open_likelihood(spec, poi=name) for name in strengths_of(spec)}
    before, toys = strength_toys(likelihoods, [{}, {"mu_high": 4.0}], n=200, rng=np.random.default_rng(3))
    assert before.injected.tolist() == [1.0, 1.0] and toys.injected.tolist() == [1.0, 4.0]
    for name, value in (("mu_low", 1.0), ("mu_high", 4.0)):
        pulls = toys.pulls(name)
        assert np.median(pulls.best_fit) == pytest.approx(value, abs=0.15)
        assert abs(pulls.mean) < 0.2 and pulls.width == pytest.approx(1.0, abs=0.15)
        assert abs(pulls.root.mean()) < 0.2 and pulls.root.std() == pytest.approx(1.0, abs=0.15)
        np.testing.assert_allclose(pulls.root, pulls.pulls, atol=0.25)
    shift, error = toys.moved("mu_low", before)
    alone = toys.best_fit[0] - 1.0
    assert abs(shift) < 4 * error and 0.0 < error < 0.75 * alone.std() / np.sqrt(200)
    shift, error = toys.moved("mu_high", before)
    assert shift == pytest.approx(3.0, abs=4.0 * error)


def test_samples_add_up():
    """Would catch samples in another order than their names: each is its template times the strength, all are what the
    bins expect; errors before the fit from the constraint terms by hand, and smaller after it."""
    likelihood = open_likelihood(workspace(BACKGROUND + np.sum(list(SIGNALS.values()), axis=0)))
    values = likelihood.start.copy()
    values[likelihood.index("mu_low")], values[likelihood.index("mu_high")] = 2.0, 3.0
    before = before_fit(likelihood, values)
    np.testing.assert_allclose(before.samples["bins"]["low"], 2.0 * np.array(SIGNALS["low"]))
    np.testing.assert_allclose(before.samples["bins"]["high"], 3.0 * np.array(SIGNALS["high"]))
    np.testing.assert_allclose(sum(before.samples["bins"].values()), before.total["bins"])
    by_hand = np.sqrt((0.1 * BACKGROUND)**2 + (0.02 * BACKGROUND)**2)
    np.testing.assert_allclose(before.errors["bins"], by_hand, rtol=0.02)  # ln 1.1 and ln 0.9 are not 0.1
    after = after_fit(likelihood, fit_strength(likelihood).point)
    assert np.all(after.errors["bins"] < np.sqrt(after.total["bins"]) * 1.05)
    other = open_likelihood(shapes())
    found = before_fit(other)
    np.testing.assert_allclose(sum(found.samples["bins"].values()), found.total["bins"])


def test_one_nuisance_per_bin_for_all_samples():
    """Would catch errors of the samples that are added up linearly, or one nuisance for all bins: the error of a
    strength that one bin decides, in closed form."""
    errors = {"signal": 0.0, "first": 6.0, "second": 8.0}
    regions = {"bins": [Template("signal", [10.0], errors=[errors["signal"]], signal=True),
                        Template("first", [50.0], errors=[errors["first"]]),
                        Template("second", [30.0], errors=[errors["second"]])]}
    spec = workspace_of(regions, statistics="bin")
    names = {m["name"] for s in spec["channels"][0]["samples"] for m in s["modifiers"] if m["type"] == "staterror"}
    assert names == {"mcstat_bins"}
    likelihood = open_likelihood(spec)
    fit = fit_strength(likelihood)
    variance = 90.0 + errors["first"]**2 + errors["second"]**2  # Poisson of the bin, and of the templates
    assert 0.5 * (fit.error_up + fit.error_down) == pytest.approx(np.sqrt(variance) / 10.0, rel=0.02)
    each = fit_strength(open_likelihood(workspace_of(regions)))
    assert fit.error_up == pytest.approx(each.error_up, rel=0.03)


def test_a_profile_with_a_gap():
    """Would catch a search that dies where the likelihood does not exist between two strengths: no zero is found."""
    assert np.isnan(crossing(lambda x: -1.0 if x < 1.5 else np.nan if x < 4.0 else 1.0, 1.0))
    assert crossing(lambda x: x - 3.0, 1.0) == pytest.approx(3.0, abs=1e-4)
