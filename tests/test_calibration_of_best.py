"""The line in the log-odds that sets the probability of best candidates right, and forests that carry it."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from scipy.special import expit

from fei_lite.classifiers.fitting import fit_channel
from fei_lite.classifiers.text import rescaled
from fei_lite.classifiers.trees import parse_trees
from fei_lite.training.calibration import MIN_CORRECT, fit_calibration
from fei_lite.training.tag_classifier import _calibrated, _Rows, _small


def toys(rng, n, *, offset, slope):
    """Best candidates that are right with log-odds offset + slope z, and weights that know nothing of it."""
    z = rng.normal(-3.0, 2.0, n)
    return z, rng.random(n) < expit(offset + slope * z), rng.choice([0.5, 5.0, 25.0], n, p=[0.6, 0.3, 0.1])


def test_the_line_is_found_with_honest_errors():
    """Would catch a sign, the weights left out, and errors that take weights for numbers of events."""
    rng, true = np.random.default_rng(5), np.array([-0.4, 0.9])
    pulls = []
    for _ in range(200):
        found = fit_calibration(*toys(rng, 6000, offset=true[0], slope=true[1]))
        pulls.append((np.array([found.offset, found.slope]) - true) / np.sqrt(np.diag(found.covariance)))
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 4.0 / np.sqrt(200))
    assert np.all(np.abs(np.std(pulls, axis=0) - 1.0) < 4.0 / np.sqrt(2 * 200))


def test_what_was_promised_is_right_on_the_sample():
    """Would catch a fit that has not arrived: at the maximum of the likelihood promised and correct weights agree."""
    z, correct, weight = toys(np.random.default_rng(6), 20_000, offset=-0.4, slope=0.8)
    found = fit_calibration(z, correct, weight)
    p = expit(found.offset + found.slope * z)
    assert np.sum(weight * p) == pytest.approx(np.sum(weight * correct), rel=1e-5)
    assert np.sum(weight * p * z) == pytest.approx(np.sum(weight * correct * z), rel=1e-5)
    assert (found.n_events, found.n_correct) == (20_000, np.count_nonzero(correct))


def candidates(rng, n, *, of_more):
    """n events of up to six candidates, at most one of them right; features tell it well."""
    event = np.repeat(np.arange(n), rng.integers(1, 7, n))
    weight = rng.choice([0.5, 5.0, 25.0], n, p=[0.6, 0.3, 0.1])[event]
    right = np.zeros(len(event), dtype=np.int8)
    right[np.unique(event, return_index=True)[1]] = rng.random(n) < 0.3
    rows = rng.permutation(len(event))
    X = np.column_stack([rng.normal(2.0 * right), rng.normal(1.0 * right)])
    rows = _Rows(X, right, event % 3 > 0, weight, np.ones(len(event), bool), np.ones(len(event)), event).select(rows)
    return _small(rows, of_more=of_more)


def test_the_best_candidate_of_an_event_is_calibrated():
    """Would catch a calibration of all candidates, of events of the two lists taken for one, and weights left out."""
    rng = np.random.default_rng(10)
    training, *measured = (candidates(rng, 4000, of_more=more) for more in (False, False, True))
    fitted = fit_channel(training.X, training.truth, training.weight, names=["a", "b"], seed=1,
                         parameters={"n_trees": 60})
    new = _calibrated(fitted, measured)
    right = promised = 0.0
    for rows in measured:
        score = new.model().raw_score(rows.X)
        np.testing.assert_allclose(score, new.calibration["offset"]
                                   + new.calibration["slope"] * fitted.model().raw_score(rows.X), atol=1e-6)
        for number in np.unique(rows.event):
            of_event = np.flatnonzero(rows.event == number)
            best = of_event[np.argmax(score[of_event])]
            right += rows.weight[best] * rows.truth[best]
            promised += rows.weight[best] * expit(score[best])
    assert promised == pytest.approx(right, rel=1e-4)
    assert new.calibration["n_events"] == 8000  # four thousand of either list
    assert {**new.__dict__, "text": "", "calibration": {}} == {**fitted.__dict__, "text": ""}


@pytest.mark.parametrize("case", ["few", "all", "falling"])
def test_no_line_where_none_is_known(case):
    """Would catch a line through a handful of candidates, and one that turns the order round."""
    z, correct, weight = toys(np.random.default_rng(8), 4000, offset=0.0, slope=-1.0 if case == "falling" else 1.0)
    if case == "few":
        correct = correct & (np.cumsum(correct) < MIN_CORRECT)
    if case == "all":
        correct = np.ones(len(z), dtype=bool)
    assert fit_calibration(z, correct, weight) is None


def test_a_forest_carries_the_line():
    """Would catch an offset that every tree adds, or leaves that LightGBM reads in another way than we do."""
    rng = np.random.default_rng(9)
    X = rng.normal(size=(4000, 3))
    fitted = fit_channel(X, rng.random(4000) < expit(X[:, 0]), np.ones(4000), names=["a", "b", "c"], seed=1,
                         parameters={"n_trees": 30})
    text = rescaled(fitted.text, slope=0.8, offset=-0.4)
    before, after = fitted.model().raw_score(X), parse_trees(text, source="rescaled").raw_score(X)
    np.testing.assert_allclose(after, 0.8 * before - 0.4, rtol=0, atol=1e-6)
    np.testing.assert_allclose(lightgbm.Booster(model_str=text).predict(X, raw_score=True), after, atol=1e-9)
    assert rescaled(fitted.text, slope=1.0, offset=0.0) == fitted.text
