"""The tree evaluator against LightGBM itself, to the last bit."""

from __future__ import annotations

import re
import time

import lightgbm
import numpy as np
import pytest

from fei_lite.classifiers.text import concise_text, pack, text_names, unpack
from fei_lite.classifiers.trees import parse_trees
from fei_lite.errors import ModelSetError

N_FEATURES = 8
EDGES = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1e-310, 1e-36, 1e-35, 1.1e-35, -1e-35, 1e300, -1e300, 1.7e308,
         1.0, 2.0]


def toy(n: int, seed: int, *, missing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Continuous, discrete, half-zero and (if asked for) half-undefined features, and a truth."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_FEATURES))
    X[:, 3] = rng.integers(0, 5, n)
    X[:, 4] *= rng.random(n) < 0.5
    y = rng.random(n) < 1.0 / (1.0 + np.exp(-X[:, 0] * X[:, 1] - X[:, 2] - 0.5 * X[:, 3] + X[:, 4]))
    if missing:
        X[rng.random(n) < np.where(y, 0.5, 0.2), 2] = np.nan
        X[rng.random(n) < 0.3, 5] = np.nan
    return X, y


def train(n_trees: int = 60, *, missing: bool = True, **options: object) -> lightgbm.Booster:
    X, y = toy(3000, seed=1, missing=missing)
    options = {"objective": "binary", "num_leaves": 8, "max_depth": 3, "verbosity": -1, "num_threads": 1,
               "min_data_in_leaf": 5, "bagging_fraction": 0.5, "bagging_freq": 1} | options
    return lightgbm.train(options, lightgbm.Dataset(X, y, params=options), n_trees)


def awkward_rows(booster: lightgbm.Booster, n: int = 2000) -> np.ndarray:
    """Random rows, edge values strewn in, and every threshold with its two neighbours."""
    rng = np.random.default_rng(7)
    X, _ = toy(n, seed=8)
    strewn = rng.random(X.shape) < 0.3
    X[strewn] = rng.choice(EDGES, strewn.sum())
    at = re.findall(r"^threshold=(.*)$", booster.model_to_string(), flags=re.MULTILINE)
    thresholds = np.array([float(word) for words in at for word in words.split()])
    for side in (-np.inf, 0.0, np.inf):
        chosen = rng.random(X.shape) < 0.2
        values = rng.choice(thresholds, chosen.sum()) if len(thresholds) else np.zeros(chosen.sum())
        X[chosen] = np.nextafter(values, side) if side else values
    return X


@pytest.mark.parametrize("options", [
    {}, {"missing": False}, {"zero_as_missing": True}, {"use_missing": False}, {"num_leaves": 31, "max_depth": -1},
    {"num_leaves": 64, "max_depth": -1}, {"num_leaves": 65, "max_depth": -1, "min_data_in_leaf": 2},
    {"num_leaves": 15, "max_depth": 6}, {"num_leaves": 5, "max_depth": 4},
    {"num_leaves": 40, "max_depth": 9, "zero_as_missing": True}, {"max_depth": 1}, {"max_depth": 2},
    {"min_data_in_leaf": 5000}, {"sigmoid": 1.7}, {"n_trees": 1}, {"extra_trees": True, "max_bin": 1023},
], ids=str)
def test_scores_are_lightgbms_to_the_last_bit(options: dict) -> None:
    """Catches a wrong side for NaN, zero or a value on a threshold, another order of the sum, and
    mistakes in filled-up trees. ``missing: False`` gives nodes for which NaN counts as zero."""
    booster = train(**options)
    model = parse_trees(booster.model_to_string(), source="toy")
    X = awkward_rows(booster)
    np.testing.assert_array_equal(model.raw_score(X), booster.predict(X, raw_score=True))
    np.testing.assert_array_equal(model.probability(X), booster.predict(X))
    assert model.n_trees == booster.num_trees()


def test_every_missing_type_and_default_side() -> None:
    """Hand-made decision types, also mixed within one feature: LightGBM reads the same text."""
    text = train(40).model_to_string()
    rng = np.random.default_rng(3)

    def scramble(match: re.Match) -> str:
        kinds = rng.choice([0, 2, 4, 6, 8, 10], len(match[1].split()))
        return "decision_type=" + " ".join(map(str, kinds))

    text = re.sub(r"decision_type=(.*)", scramble, text)
    text = re.sub(r"threshold=\S+ \S+", "threshold=0 -0", text)
    text = re.sub(r"tree_sizes=.*\n", "", text)
    booster = lightgbm.Booster(model_str=text)
    X = awkward_rows(booster)
    np.testing.assert_array_equal(parse_trees(text, source="toy").raw_score(X), booster.predict(X, raw_score=True))


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 200])
def test_rows_do_not_depend_on_their_block(n: int) -> None:
    """Catches rows lost or mixed at the ends of the blocks of 64, and memory orders taken for granted."""
    booster = train(20)
    model = parse_trees(booster.model_to_string(), source="toy")
    X = awkward_rows(booster)[:n]
    one_by_one = np.array([model.raw_score(row[None, :])[0] for row in X])
    np.testing.assert_array_equal(model.raw_score(X), one_by_one)
    np.testing.assert_array_equal(model.raw_score(np.asfortranarray(X)), one_by_one)


LONG = {"n_trees": 320}


@pytest.mark.parametrize("options", [LONG, {**LONG, "sigmoid": 1.7}, {}, {**LONG, "max_depth": 9, "num_leaves": 40}],
                         ids=str)
@pytest.mark.parametrize("cut", [0.0, 1e-3, 0.2, 0.5, 0.99, 1.0])
def test_giving_up_hopeless_rows_keeps_the_others(options: dict, cut: float) -> None:
    """Catches a row given up although it passes the cut, and a sum in another order; LightGBM is the judge."""
    booster = train(**options)
    X = awkward_rows(booster)
    expected = booster.predict(X)
    model = parse_trees(booster.model_to_string(), source="toy")
    found = model.probability(X, above=cut)
    kept = expected > cut
    np.testing.assert_array_equal(found[kept], expected[kept])
    assert np.all(found[~kept] <= cut)
    if (options, cut) == (LONG, 0.99):
        X[:] = X[np.argmin(expected)]
        assert not model.probability(X, above=cut).any()  # the early exit is used at all


def test_rows_at_the_cut() -> None:
    """Catches a margin that is too small: every probability serves as the cut once."""
    booster = train(**LONG)
    model, X = parse_trees(booster.model_to_string(), source="toy"), toy(300, seed=5)[0]
    expected = booster.predict(X)
    for cut in np.concatenate([expected, np.nextafter(expected, 0.0), np.nextafter(expected, 1.0)]):
        kept = expected > cut
        np.testing.assert_array_equal(model.probability(X, above=cut)[kept], expected[kept])


def test_a_row_alone_at_its_own_cut() -> None:
    """Catches a row given up at its own cut: alone in its block, and in the best leaf of every tree (no slack)."""
    x, y = np.repeat([0.0, 1.0], 100)[:, None], np.tile(np.arange(100) < 30, 2) ^ np.repeat([False, True], 100)
    booster = lightgbm.train({"objective": "binary", "num_leaves": 2, "learning_rate": 0.005, "verbose": -1},
                             lightgbm.Dataset(x, y.astype(float)), 320)
    model = parse_trees(booster.model_to_string(), source="toy")
    expected = booster.predict([[1.0]])[0]
    assert model.n_trees == 320
    assert model.probability([[1.0]], above=np.nextafter(expected, 0.0)).tolist() == [expected]
    assert model.probability([[1.0]], above=expected + 1e-3).tolist() == [0.0]  # the early exit is used at all


def test_concise_text_is_a_model_for_lightgbm() -> None:
    """Catches a cut-down text that LightGBM refuses or reads as another forest."""
    booster = train(50)
    text = concise_text(booster.model_to_string())
    assert len(text) < 0.6 * len(booster.model_to_string())
    again = lightgbm.Booster(model_str=text)
    X = awkward_rows(booster)
    np.testing.assert_array_equal(parse_trees(text, source="t").raw_score(X), again.predict(X, raw_score=True))
    np.testing.assert_allclose(again.predict(X, raw_score=True), booster.predict(X, raw_score=True), atol=1e-6)
    assert unpack(pack(text), source="t") == text
    assert pack(text)[4:8] == bytes(4)  # gzip's time stamp: equal texts give equal files


def test_feature_names_with_commas() -> None:
    """basf2 names have commas, which LightGBM refuses; two names must not become one."""
    X, y = toy(500, seed=2)
    names = text_names(["daughter(0,p)", "daughter(1,p)", *"abcdef"])
    booster = lightgbm.train({"objective": "binary", "verbosity": -1}, lightgbm.Dataset(X, y, feature_name=names), 2)
    assert parse_trees(booster.model_to_string(), source="t").feature_names == tuple(names)
    with pytest.raises(ModelSetError, match="not unique"):
        text_names(["a,b", "a:b"])


def test_wrong_shape_is_named() -> None:
    """Catches reading past the end of a row that has too few features."""
    model = parse_trees(train(2).model_to_string(), source="D0.txt")
    for X in (np.zeros((3, N_FEATURES - 1)), np.zeros(N_FEATURES)):
        with pytest.raises(ModelSetError, match=r"D0.txt: feature matrix of shape .* expected \(n, 8\)"):
            model.raw_score(X)


@pytest.mark.parametrize(("old", "new", "message"), [
    (r"^tree\n", "plant\n", "line 1: expected 'tree'"),
    (r"num_class=1", "num_class=3", "num_class=3"),
    (r"version=v4\n", "", "no|without 'version='"),
    (r"feature_names=\S+ ", "feature_names=", "7 feature names, but max_feature_idx is 7"),
    (r"feature_names=", "average_output\nfeature_names=", "averaged"),
    (r"sigmoid:1", "sigmoid:one", "sigmoid is not a number"),
    (r"threshold=\S+", "threshold=x", r"line \d+: threshold: could not convert"),
    (r"threshold=\S+", "threshold=nan", r"node 0: the threshold is not a number"),
    (r"threshold=\S+ ", "threshold=", r"line \d+: threshold: got 6 numbers, expected 7"),
    (r"leaf_value=\S+ ", "leaf_value=", r"line \d+: leaf_value: got 7 numbers, expected 8"),
    (r"split_feature=\d+", "split_feature=8", "node 0: feature 8 of 8"),
    (r"split_feature=\d+", "split_feature=-1", "node 0: feature -1 of 8"),
    (r"decision_type=\d+", "decision_type=1", "categorical"),
    (r"decision_type=\d+", "decision_type=12", "unknown decision_type 12"),
    (r"num_cat=0", "num_cat=1", "categorical"),
    (r"is_linear=0", "is_linear=1", "linear"),
    (r"num_leaves=8", "num_leaves=0", "without leaves|got"),
    (r"left_child=\S+", "left_child=0", "children"),
    (r"left_child=.*", "left_child=1 1 1 1 1 1 1", "children"),
    (r"right_child=.*\n", "", "no line 'right_child='"),
    (r"end of trees(.|\n)*", "", "truncated"),
    (r"\nend of trees", "\nleaves\nend of trees", "expected 'Tree='"),
])
def test_damaged_text_is_refused(old: str, new: str, message: str) -> None:
    """Catches damage that would crash a kernel, never end, or give another forest without a word."""
    text = train(3).model_to_string()
    damaged, count = re.subn(old, new, text, count=1, flags=re.MULTILINE)
    assert count
    with pytest.raises(ModelSetError, match=message) as caught:
        parse_trees(damaged, source="D0.txt")
    assert str(caught.value).startswith("D0.txt: ")


def test_no_truncation_goes_unnoticed() -> None:
    """A text cut anywhere before its end is refused, never read as a shorter forest."""
    text = concise_text(train(4).model_to_string())
    for end in range(0, len(text) - len("\n"), 37):
        if text[:end].rstrip().endswith("end of trees"):
            continue
        with pytest.raises(ModelSetError):
            parse_trees(text[:end], source="t")


def test_categorical_training_is_refused() -> None:
    """Catches a categorical split taken for a numerical one."""
    X = toy(2000, seed=1)[0]
    data = lightgbm.Dataset(X[:, 3:4], np.isin(X[:, 3], [1, 3]), categorical_feature=[0])
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "min_data_per_group": 1}, data, 3)
    with pytest.raises(ModelSetError, match="categorical"):
        parse_trees(booster.model_to_string(), source="t")


def test_only_a_binary_objective_gives_a_probability() -> None:
    """Catches a regression's output used as a probability."""
    model = parse_trees(train(3, objective="regression").model_to_string(), source="t")
    with pytest.raises(ModelSetError, match="binary"):
        model.probability(np.zeros((1, N_FEATURES)))


@pytest.mark.slow
def test_faster_than_lightgbm() -> None:
    """The hot path: 400 trees of depth 3 on one thread, at least six times LightGBM's speed."""
    booster = train(400)
    model = parse_trees(booster.model_to_string(), source="t")
    X = awkward_rows(booster, 20_000)

    def seconds(call) -> float:
        call()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    ours = seconds(lambda: model.probability(X))
    theirs = seconds(lambda: booster.predict(X, num_threads=1))
    assert theirs > 6.0 * ours
