"""The benchmarks themselves: equal results are checked, and the figures are there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_set import write_decays, write_small_set

from fei_lite.benchmarks import awkward_combination
from fei_lite.benchmarks.fits import vertex_fit_us
from fei_lite.benchmarks.forests import classifier_speed
from fei_lite.benchmarks.growth import memory_with_events
from fei_lite.benchmarks.identity import identical_candidates
from fei_lite.benchmarks.line import simulate_both
from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import load_model_set
from fei_lite.cli import main
from fei_lite.errors import FeiLiteError
from fei_lite.events import concatenate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Folders of the small channel set and of models trained for it."""
    folder = tmp_path_factory.mktemp("small")
    channels, decays = write_small_set(folder / "set"), write_decays(folder / "signal.dec")
    assert main(["simulate", "signal", "--dec", str(decays), "-n", "300", "--seed", "1", "-o",
                 str(folder / "train.root"), "--quiet"]) == 0
    assert main(["train", str(folder / "train.root"), "--set", str(channels), "--min-entries", "10", "-o",
                 str(folder / "models"), "--quiet"]) == 0
    return {"channel_set": str(channels), "models": str(folder / "models")}


@pytest.fixture(scope="module")
def sets(small):
    return load_channel_set(small["channel_set"]), load_model_set(small["models"])


@pytest.fixture(scope="module")
def batch():
    return concatenate(list(simulate("charged", 500, seed=3)))


def test_short_cuts_change_nothing(batch, sets):
    """Would catch a candidate lost, or a probability changed, by pruning or by the early exit of the trees."""
    candidates, found = identical_candidates([batch], *sets)
    assert found == []
    assert candidates["D0"] > 20 and candidates["B+"] > 5


def test_differences_are_found(batch, sets):
    """Would catch a comparison that never finds anything: one model answers with another probability when cut."""
    models = sets[1]

    class Careless(NoClassifiers):
        has_model = staticmethod(models.has_model)

        def predict(self, identifier, features, *, above=0.0):
            return models.predict(identifier, features) * (0.5 if above and identifier == "D0_K-_pi+" else 1.0)

    _, found = identical_candidates([batch.slice(0, 30)], sets[0], Careless())
    assert any("early_exit=True" in text and "D0" in text for text in found)
    assert not any("early_exit=False" in text for text in found)


def test_same_candidates_as_with_awkward_arrays(batch, sets):
    """Would catch a lost, doubled or wrongly ranked combination: awkward arrays make the whole product."""
    speeds = awkward_combination.combination_speeds(batch, *sets)
    assert [speed.channel for speed in speeds] == ["D0 -> K- pi+ pi0", "B+ -> anti-D0 pi+ pi+ pi-"]
    assert all(speed.candidates > 20 and speed.ratio > 1.0 for speed in speeds)


def test_another_combination_is_an_error(batch, sets, monkeypatch):
    """Would catch a ratio printed although the results differ."""
    theirs = awkward_combination.combine_with_awkward
    monkeypatch.setattr(awkward_combination, "combine_with_awkward", lambda *arguments: theirs(*arguments)[:-1])
    with pytest.raises(FeiLiteError, match="not the same"):
        awkward_combination.combination_speeds(batch, *sets)


def test_another_score_is_an_error(monkeypatch):
    """Would catch a ratio printed although a raw score differs in its last bit."""
    from fei_lite.classifiers.trees import TreeModel

    right = TreeModel.raw_score
    monkeypatch.setattr(TreeModel, "raw_score", lambda self, X: np.nextafter(right(self, X), np.inf))
    with pytest.raises(FeiLiteError, match="raw scores differ"):
        classifier_speed(seed=1, n=500)


def test_fits_of_more_tracks_take_longer(batch):
    """Would catch a time that is not that of the fit."""
    found = vertex_fit_us(batch, rng=np.random.default_rng(1), n=2000)
    assert list(found) == ["2", "3", "4"]
    assert 0.0 < found["2"] < found["4"] < 1000.0


KEYS = {"n_events", "models", "machine", "load_average", "simulation_events_per_second_per_core",
        "events_per_second_per_core", "reconstruct_with_truth_events_per_second_per_core", "first_batch_seconds",
        "peak_rss_mib", "stages", "vertex_fit_us", "classifier_us_per_row", "ratios", "growth", "combinations",
        "classifier"}


@pytest.mark.slow
def test_all_figures(small, capsys):
    """Would catch a figure that is missing, not a number, or not JSON; start-up and workers included."""
    assert main(["benchmark", "--events", "61", "--set", small["channel_set"], "--models", small["models"],
                 "--one-process", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert set(found) >= KEYS
    assert found["n_events"] == 60  # half of each kind
    assert set(found["ratios"]) == {"classifier_vs_lightgbm", "combine_vs_awkward"}
    assert {"read", "final state", "combine", "vertex", "features", "classify", "rank and merge", "truth",
            "write"} <= set(found["stages"])
    assert sum(v for k, v in found["stages"].items() if k != "truth") == pytest.approx(
        found["n_events"] / found["events_per_second_per_core"], rel=0.01)
    rows = [row for part in found["growth"].values() for row in part]
    assert len(rows) == 12 and all(row["us_per_event"] > 0.0 for row in rows)


def test_memory_of_numbers_of_events(small, tmp_path):
    """Would catch a full run that ends with an error: files given twice are refused."""
    files, _ = simulate_both(tmp_path, n_events=40, seed=5)
    rows = memory_with_events(files, tmp_path, sizes=(10, 40), **small)
    assert [row["n_events"] for row in rows] == [10, 40] and all(row["peak_rss_mib"] > 50.0 for row in rows)
