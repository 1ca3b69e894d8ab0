"""Fitted classifiers and their measures against toys whose probability is known."""

from __future__ import annotations

from math import erf

import lightgbm
import numpy as np
import pytest

from fei_lite.classifiers.fitting import FEI_DEFAULT, FittedChannel, fit_channel
from fei_lite.classifiers.quality import (
    expected_calibration_error,
    log_loss,
    measure_quality,
    reliability,
    weighted_auc,
)
from fei_lite.errors import FeiLiteError, ModelSetError

SHIFT = np.array([1.2, 0.8, 0.5, 0.0, 0.0, 0.0])
NAMES = [f"feature({i},p)" for i in range(len(SHIFT))]


class Toy:
    """Gaussian signal shifted against Gaussian background; weights carry the prior."""

    def __init__(self, n_signal: int, n_background: int, prior: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.y = np.arange(n_signal + n_background) < n_signal
        self.X = rng.normal(size=(len(self.y), len(SHIFT))) + np.outer(self.y, SHIFT)
        self.weight = np.where(self.y, prior / n_signal, (1 - prior) / n_background)
        log_odds = self.X @ SHIFT - SHIFT @ SHIFT / 2 + np.log(prior / (1 - prior))
        self.probability = 1.0 / (1.0 + np.exp(-log_odds))

    @property
    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.X, self.y, self.weight

    def fit(self, **options: object) -> FittedChannel:
        return fit_channel(*self.sample, names=NAMES, **{"seed": 1} | options)


@pytest.mark.parametrize(("n_signal", "n_background", "prior"), [(4000, 8000, 0.2), (1500, 15_000, 1e-4)])
def test_output_is_the_probability_with_the_prior(n_signal: int, n_background: int, prior: float) -> None:
    """Independent toys, truth known in closed form: catches a prior lost with the weights, over-training,
    and the overshooting first steps of a rare class (log-loss then 1.3 to 3 times the ideal one)."""
    fitted = Toy(n_signal, n_background, prior, 1).fit(
        validation=Toy(n_signal // 2, n_background // 2, prior, 2).sample)
    test = Toy(100_000, 100_000, prior, 3)
    p = fitted.model().probability(test.X)
    assert np.average(p, weights=test.weight) == pytest.approx(prior, rel=0.1)
    ideal = log_loss(test.y, test.probability, weight=test.weight)
    assert ideal < log_loss(test.y, p, weight=test.weight) < 1.03 * ideal
    assert expected_calibration_error(test.y, p, weight=test.weight) < 0.15 * prior
    bins = reliability(test.y, p, weight=test.weight, n_bins=10)
    likely = bins.predicted > prior / 2  # far below the prior few trees cannot tell how unlikely
    assert np.count_nonzero(likely) >= 5
    np.testing.assert_allclose(bins.observed[likely], bins.predicted[likely], rtol=0.2)


def test_scale_of_the_weights_does_not_matter() -> None:
    """Weights of 1e-9 or 1e6 give the same trees: catches absolute limits on sums of weights."""
    toy = Toy(1000, 3000, 0.05, 4)
    first = toy.fit(parameters={"n_trees": 10})
    toy.weight = toy.weight * 2.0**-30
    assert toy.fit(parameters={"n_trees": 10}).text == first.text


def test_validation_ends_the_training_and_is_not_reused() -> None:
    """Pure noise: the validation ends the training early, and the AUC of the other half is 1/2."""
    rng = np.random.default_rng(5)

    def noise(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return rng.normal(size=(n, len(SHIFT))), np.arange(n) % 2 == 0, np.ones(n)

    fitted = fit_channel(*noise(2000), names=NAMES, seed=1, validation=noise(4000))
    assert fitted.n_trees < 50
    assert fitted.validation is not None
    assert abs(fitted.validation.auc - 0.5) < 4.0 * fitted.validation.auc_uncertainty
    assert fitted.validation.n_signal == fitted.validation.n_background == 1000
    without = fit_channel(*noise(2000), names=NAMES, seed=1)
    assert without.n_trees == FEI_DEFAULT["n_trees"] and without.validation is None
    assert without.training.auc > 0.8  # what the FEI's fixed 400 trees learn by heart


def test_small_leaves_and_unequal_weights_do_not_end_the_training() -> None:
    """LightGBM's "Check failed: left_count > 0": a lower limit per leaf, or the second try, avoids it."""
    toy = Toy(600, 20_000, 1e-4, 17)
    for limit in (0.0, 1e-5):
        fitted = toy.fit(parameters={"min_data_in_leaf": 5, "min_information_in_leaf": limit})
        assert fitted.trained and fitted.training.auc > 0.85


def test_trees_end_where_overtraining_begins() -> None:
    """Few candidates and deep trees: catches a limit that is ignored, or that ends a training without need."""
    toy, held, other = Toy(600, 2000, 0.2, 30), Toy(400, 400, 0.2, 35), Toy(50_000, 50_000, 0.2, 32)
    deep = {"max_depth": 7, "num_leaves": 60, "min_data_in_leaf": 5}
    free = toy.fit(validation=held.sample, parameters=deep)
    restrained = toy.fit(validation=held.sample, parameters=deep | {"max_overtraining": 1.0})
    assert 1 <= restrained.n_trees < free.n_trees

    def excess(fitted: FittedChannel) -> float:
        auc, _ = weighted_auc(other.y, fitted.model().probability(other.X), weight=other.weight)
        return (fitted.training.auc - auc) / fitted.training.auc_uncertainty

    assert excess(restrained) < 0.85 * excess(free) and excess(free) > 2.0
    losses = [measure_quality(other.y, fitted.model().probability(other.X), weight=other.weight).log_loss
              for fitted in (restrained, free)]
    assert losses[0] < 1.02 * losses[1]
    many = Toy(20_000, 20_000, 0.2, 33)  # depth 2 cannot learn these by heart
    shallow = {"max_depth": 2, "num_leaves": 4, "n_trees": 30}
    assert (many.fit(validation=held.sample, parameters=shallow).text
            == many.fit(validation=held.sample, parameters=shallow | {"max_overtraining": 3.0}).text)


def test_an_unlucky_held_out_sample_costs_no_trees() -> None:
    """Held-out signal from another, harder distribution never reaches the AUC of the training: catches a classifier
    cut down to a tenth of its trees, though held-out candidates are told apart far better with all of them."""
    toy, held = Toy(20_000, 20_000, 0.2, 34), Toy(20_000, 20_000, 0.2, 35)
    X, y, weight = held.sample
    hidden = np.flatnonzero(y)[np.random.default_rng(36).uniform(size=y.sum()) < 0.125]  # look like background
    X = X.copy()
    X[hidden] = X[np.flatnonzero(~y)[: len(hidden)]]
    parameters = {"n_trees": 100, "learning_rate": 0.03}
    free = toy.fit(validation=(X, y, weight), parameters=parameters)
    restrained = toy.fit(validation=(X, y, weight), parameters=parameters | {"max_overtraining": 1.0})
    assert free.training.auc - free.validation.auc > 5.0 * free.validation.auc_uncertainty
    assert restrained.n_trees > 0.3 * free.n_trees
    assert restrained.validation.log_loss < 1.01 * free.validation.log_loss


def test_impossible_parameters_are_named() -> None:
    """Catches a raw LightGBM error, and a set without models because of a typing mistake."""
    with pytest.raises(ModelSetError, match=r"LightGBM cannot train with .*'num_leaves': -1"):
        Toy(600, 600, 0.5, 18).fit(parameters={"num_leaves": -1})
    with pytest.raises(ModelSetError, match="unknown to LightGBM: learning_rat"):
        Toy(600, 600, 0.5, 18).fit(parameters={"learning_rat": 0.2, "n_trees": 1})


def test_same_seed_same_text() -> None:
    """Catches randomness outside the seed."""
    toy = Toy(600, 600, 0.5, 6)
    texts = [toy.fit(seed=seed, parameters={"n_trees": 5}).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(("n_signal", "n_background", "named"), [
    (499, 2000, "499 signal"), (2000, 499, "499 background"), (3, 4, "3 signal entries and 4 background"),
    (0, 2000, "0 signal"), (0, 0, "0 signal entries and 0 background")])
def test_too_small_classes_are_not_trained(n_signal: int, n_background: int, named: str) -> None:
    """Catches a model from nothing, and an untrained channel without a reason."""
    toy = Toy(max(n_signal, 1), max(n_background, 1), 0.5, 7)
    rows = np.flatnonzero(toy.y)[:n_signal].tolist() + np.flatnonzero(~toy.y)[:n_background].tolist()
    fitted = fit_channel(toy.X[rows], toy.y[rows], toy.weight[rows], names=NAMES, seed=1)
    assert not fitted.trained and named in fitted.reason
    assert (fitted.training.n_signal, fitted.training.n_background) == (n_signal, n_background)
    with pytest.raises(ModelSetError, match="no model: only"):
        fitted.model()


def test_limit_is_an_argument() -> None:
    """500 of each class are enough, and the limit can be lowered."""
    assert Toy(500, 500, 0.5, 8).fit(parameters={"n_trees": 2}).trained
    assert Toy(60, 60, 0.5, 8).fit(parameters={"n_trees": 2}, min_entries=60).trained


def test_undefined_and_constant_features() -> None:
    """NaN, a constant and an all-NaN column train, and LightGBM agrees on the result: catches a
    channel lost to one undefined feature."""
    toy = Toy(1000, 1000, 0.5, 9)
    toy.X[np.arange(2000) % 3 == 0, 0] = np.nan
    toy.X[:, 3], toy.X[:, 4] = 1.0, np.nan
    fitted = toy.fit(parameters={"n_trees": 30})
    booster = lightgbm.Booster(model_str=fitted.text)
    np.testing.assert_array_equal(fitted.model().probability(toy.X), booster.predict(toy.X))
    assert fitted.training.auc > 0.75


def test_without_any_useful_feature_the_prior_is_left() -> None:
    """All features constant: the output is the prior, no error."""
    toy = Toy(1000, 1000, 0.02, 10)
    toy.X[:] = 1.0
    p = toy.fit(parameters={"n_trees": 5}).model().probability(toy.X[:1])
    assert p[0] == pytest.approx(0.02, rel=1e-6)


@pytest.mark.parametrize(("change", "message"), [
    (lambda X, y, w: (X[:, :2], y, w), "X: got shape"), (lambda X, y, w: (X, y[:-1], w), "expected equal numbers"),
    (lambda X, y, w: (X, y, -w), "positive"), (lambda X, y, w: (X, y, np.where(y, np.nan, w)), "positive")])
def test_malformed_samples_are_refused(change, message: str) -> None:
    """Catches columns out of step and weights that no probability can have."""
    with pytest.raises(ModelSetError, match=message):
        fit_channel(*change(*Toy(600, 600, 0.5, 11).sample), names=NAMES, seed=1)


def test_auc_of_shifted_gaussians() -> None:
    """Closed form: two unit Gaussians a distance d apart have the area Phi(d / sqrt 2)."""
    rng = np.random.default_rng(12)
    y = np.arange(200_000) % 4 == 0
    auc, uncertainty = weighted_auc(y, rng.normal(size=len(y)) + y)
    assert abs(auc - 0.5 * (1.0 + erf(0.5))) < 4.0 * uncertainty
    assert uncertainty < 0.002


def test_auc_counts_pairs() -> None:
    """A double loop over all pairs, with ties and weights: catches ties counted as won or lost."""
    rng = np.random.default_rng(13)
    y, p, w = rng.random(60) < 0.4, rng.integers(0, 8, 60) / 8, rng.random(60) + 0.1
    won = total = 0.0
    for i in np.flatnonzero(y):
        for j in np.flatnonzero(~y):
            won += w[i] * w[j] * ((p[i] > p[j]) + 0.5 * (p[i] == p[j]))
            total += w[i] * w[j]
    assert weighted_auc(y, p, weight=w)[0] == pytest.approx(won / total, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_auc_uncertainty_covers(weighted: bool) -> None:
    """Pulls of 400 toys have width 1: catches an uncertainty that treats weights as repetitions."""
    rng = np.random.default_rng(14)
    pulls = []
    for _ in range(400):
        y = np.arange(600) % 3 == 0
        weight = rng.choice([0.1, 1.0, 5.0], 600) if weighted else None
        auc, uncertainty = weighted_auc(y, rng.normal(size=600) + y, weight=weight)
        pulls.append((auc - 0.5 * (1.0 + erf(0.5))) / uncertainty)
    assert abs(np.mean(pulls)) < 4.0 / np.sqrt(400)
    assert np.std(pulls) == pytest.approx(1.0, abs=4.0 / np.sqrt(800))


def test_auc_uncertainty_of_events() -> None:
    """Candidates repeated five times in their events carry no more information: catches copies counted as new."""
    rng = np.random.default_rng(15)
    y = np.arange(900) % 3 == 0
    p, event = rng.normal(size=900) + y, np.arange(900) // 2
    five = [np.repeat(x, 5) for x in (y, p, event)]
    single = weighted_auc(y, p, group=event)
    assert weighted_auc(five[0], five[1], group=five[2]) == pytest.approx(single, rel=1e-9)
    assert weighted_auc(y, p, group=np.arange(900)) == weighted_auc(y, p)
    assert weighted_auc(five[0], five[1])[1] < 0.5 * single[1]


def test_measures_of_an_empty_class_are_undefined() -> None:
    """NaN, never 0 or 1/2; in JSON None."""
    for y in ([], [1, 1], [0, 0]):
        quality = measure_quality(y, np.full(len(y), 0.5))
        assert np.isnan(quality.auc) and quality.to_json()["auc"] is None
    with pytest.raises(FeiLiteError, match="weight: got shape"):
        measure_quality([0, 1], weight=[1.0])


def test_reliability_of_the_true_probability() -> None:
    """The true probability is reliable within its uncertainties (chi2); 1.3 times the log-odds is not."""
    toy = Toy(20_000, 20_000, 0.1, 15)
    rng = np.random.default_rng(16)
    weight = rng.random(40_000) + 0.5

    def chi2(p: np.ndarray) -> float:
        truth = rng.random(len(p)) < toy.probability
        bins = reliability(truth, p, weight=weight, n_bins=20)
        assert len(bins.weight) == 20
        assert bins.weight.sum() == pytest.approx(weight.sum())
        return float(np.sum(((bins.observed - bins.predicted) / bins.uncertainty)**2))

    assert 5.0 < chi2(toy.probability) < 45.0
    odds = toy.probability / (1.0 - toy.probability)
    assert chi2(odds**1.3 / (1.0 + odds**1.3)) > 200.0


def test_calibration_error_in_closed_form() -> None:
    """Half of the weight at 0.2 (observed 0.3), half at 0.6 (observed 0.5): the mean error is 0.1."""
    p = np.repeat([0.2, 0.6], 10)
    y = np.r_[np.arange(10) < 3, np.arange(10) < 5]
    assert expected_calibration_error(y, p) == pytest.approx(0.1)
    assert expected_calibration_error(y, p, weight=np.repeat([3.0, 0.0], 10)) == pytest.approx(0.1)
    assert np.isnan(expected_calibration_error([], []))
