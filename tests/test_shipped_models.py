"""The shipped model set on events that it has not seen: from simulation to the table of working points."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import load_model_set, shipped_model_sets
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.cli import main
from fei_lite.events import count_events
from fei_lite.events.reading import open_events
from fei_lite.particles import mass
from fei_lite.performance.best_tags import B_TYPES
from fei_lite.reconstruction.engine import ReconstructionOptions, reconstruct
from fei_lite.tagging.output import read_tags

N_EVENTS = 5000  # of each kind


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    """A Btag file of B+B- and B0B0bar events with the shipped models."""
    folder = tmp_path_factory.mktemp("shipped")
    files = []
    for kind, seed in (("charged", 9071), ("mixed", 9072)):
        files.append(str(folder / f"{kind}.root"))
        assert main(["simulate", kind, "-n", str(N_EVENTS), "--seed", str(seed), "-o", files[-1], "--quiet"]) == 0
    assert main(["reconstruct", *files, "--models", "fei_default", "-o", str(folder / "btag.root"), "--quiet"]) == 0
    return folder / "btag.root"


@pytest.fixture(scope="module")
def evaluated(tags):
    """What ``fei-lite evaluate --format json`` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["evaluate", str(tags), "--format", "json"]) == 0
    return json.loads(out.getvalue())


@pytest.mark.parametrize(("name", "channel_set"), [("fei_default", "hadronic"), ("extended", "extended")])
def test_set_fits_the_channels(name, channel_set):
    """Would catch models of another channel list, and channels that are neither trained nor listed."""
    channels, models = load_tagger(name)
    assert channels.name == channel_set and set(shipped_model_sets()) == {"fei_default", "extended"}
    identifiers = {channel.identifier for channel in channels.channels()}
    assert set(models.models) | set(models.untrained) == identifiers
    assert not set(models.models) & set(models.untrained)
    assert len(models.models) > 0.7 * len(identifiers)
    for identifier, reason in models.untrained.items():
        assert any(character.isdigit() for character in reason), f"{identifier}: {reason} has no count"
    assert "fei-lite train" in models.manifest["command"]
    assert all(entry["sha256"] for entry in models.manifest["sample"]["files"])


def test_size_of_the_shipped_sets():
    """Would catch sets that do not fit into the repository: 25 MB in all."""
    total = sum(path.stat().st_size for folder in shipped_model_sets().values() for path in folder.rglob("*"))
    assert total < 25 * 1024**2


@pytest.mark.parametrize("name", ["fei_default", "extended"])
def test_loaded_in_a_second(name):
    """Would catch sets that keep a user waiting: the best of three, files in the cache of the system."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        load_model_set(name)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0


def test_baseline_is_the_feis():
    """Would catch a baseline with other settings than the FEI's, or with the tag classifier that the FEI lacks."""
    models = load_model_set("fei_default")
    parameters = models.manifest["parameters"]
    assert [parameters[k] for k in ("n_trees", "max_depth", "learning_rate", "bagging_fraction")] == [400, 3, 0.1, 0.5]
    assert "search" not in models.manifest and models.tag_classifier is None
    of_both = [[(file["name"], file["entries"], file["origin"]) for file in
                load_model_set(name).manifest["sample"]["files"]] for name in ("fei_default", "extended")]
    assert of_both[0] == of_both[1]  # the same events; bytes differ (dates)


@pytest.mark.parametrize("name", ["fei_default", "extended"])
def test_not_overtrained(name):
    """Would catch models that know their training sample by heart: AUC on events held out beside it."""
    pulls = []
    for identifier, entry in load_model_set(name).manifest["channels"].items():
        training, validation = entry["training"], entry["validation"]
        if not validation or not validation["auc"] or validation["n_signal"] < 50:
            continue
        error = np.hypot(training["auc_uncertainty"], validation["auc_uncertainty"])
        pulls.append((training["auc"] - validation["auc"]) / error)
        assert training["auc"] - validation["auc"] < 6 * error + 0.02, identifier
    assert len(pulls) > 50
    assert np.median(pulls) < 2.0


def test_mbc_of_true_best_tags(evaluated):
    """Would catch wrong beams, masses or units: the peak at the B mass, its core below 4 MeV."""
    peak = evaluated["mbc_of_correct_tags"]
    assert peak["n"] > 30
    assert peak["core_mean"] == pytest.approx(mass("B+"), abs=0.001)
    assert 0.001 < peak["core_sigma"] < 0.004


def test_working_points(evaluated):
    """Would catch a probability that does not order tags, and shares out of their intervals."""
    for name in B_TYPES:
        points = evaluated[name]["working_points"]
        assert [p["min_signal_probability"] for p in points] == [0.001, 0.01, 0.1]
        purity = [p["purity"]["value"] for p in points]
        efficiency = [p["tag_side_efficiency"]["value"] for p in points]
        assert purity == sorted(purity) and efficiency == sorted(efficiency, reverse=True)
        assert efficiency[0] > 0.001
        for point in points:
            for key in ("tagging_efficiency", "tag_side_efficiency", "purity"):
                assert point[key]["lower"] <= point[key]["value"] <= point[key]["upper"]


def test_probabilities_of_best_tags_add_up(tags):
    """Would catch a lost prior: tags above 0.1 are right as often as they say, on average, within 3 sigma and 25 %."""
    columns, _, metadata = read_tags(tags)
    best = (columns["best"] == 1) & (columns["SignalProbability"] > 0.1)
    p, right = columns["SignalProbability"][best], columns["isSignal"][best] == 1
    assert best.sum() > 50
    error = np.sqrt(np.sum(p * (1 - p)))
    assert abs(right.sum() - p.sum()) < 3 * error + 0.25 * p.sum()
    assert metadata["n_events"] == 2 * N_EVENTS
    assert metadata["models_digest"] == load_model_set("fei_default").digest
    assert metadata["channel_set_hash"] == load_channel_set("hadronic").hash


def test_cut_flow_accounts_for_every_event(tags):
    """Would catch events lost on the way: read = tagged + untagged, at each stage with and without candidates."""
    _, cutflow, _ = read_tags(tags)
    counts = {(stage, step): count for stage, step, count in cutflow}
    read = counts["events", "all: read"]
    assert read == 2 * N_EVENTS == counts["events", "all: tagged"] + counts["events", "all: untagged"]
    for particle in ("pi+", "gamma", "pi0", "K_S0", "D0", "D*+", "B+", "B0"):
        found = [(stage, count) for (stage, step), count in counts.items()
                 if step == f"{particle}: events with a candidate"]
        missed = [(stage, count) for (stage, step), count in counts.items() if step == f"{particle}: events without"]
        assert [stage for stage, _ in found] == [stage for stage, _ in missed] and len(found) == 1
        assert found[0][1] + missed[0][1] == read


def test_reading_a_model_gives_the_same_trees():
    """Would catch a shipped model file that this version no longer reads."""
    models = load_model_set("fei_default")
    for identifier in ("pi+_FSP", "D0_K-_pi+"):
        model = models.models[identifier]
        rng = np.random.default_rng(1)
        p = model.predict(rng.normal(size=(100, len(model.features))))
        assert p.shape == (100,) and np.all((p >= 0) & (p <= 1)) and np.ptp(p) > 0


DATA = os.environ.get("FEI_LITE_TEST_DATA")
MDST = sorted(Path(DATA, "basf2_mdst").glob("*.root")) if DATA else []


@pytest.mark.skipif(not MDST, reason="FEI_LITE_TEST_DATA with basf2_mdst is not set: no Belle II events")
def test_belle2_events_go_through_the_tagger(tmp_path):
    """Would catch an mDST file on which a stage fails, events lost, and Btags that are outside their cuts."""
    output = tmp_path / "btag.parquet"
    assert main(["reconstruct", *map(str, MDST), "--models", "fei_default", "-o", str(output), "--quiet"]) == 0
    columns, cutflow, metadata = read_tags(output)
    counts = {(stage, step): count for stage, step, count in cutflow}
    assert counts["events", "all: read"] == metadata["n_events"] == sum(count_events(path) for path in MDST)
    assert counts["events", "all: tagged"] == (columns["best"] == 1).sum() > 0
    inside = (columns["Mbc"] > 5.2) & (np.abs(columns["deltaE"]) < 0.5)  # the cuts; vertex fits come after them
    assert inside.mean() > 0.9


@pytest.mark.skipif(not MDST, reason="FEI_LITE_TEST_DATA with basf2_mdst is not set: no Belle II events")
def test_true_candidates_of_belle2_events_peak_at_their_masses():
    """Would catch wrong momenta, mass hypotheses or truth matching in mDST events: pi0, K_S0, D0 and D+."""
    channels, models = load_channel_set("hadronic"), load_model_set("fei_default")
    shifts = {name: [] for name in ("pi0", "K_S0", "D0", "D+")}
    for batch in open_events(MDST):
        tables = reconstruct(batch, channels, models,
                             options=ReconstructionOptions(with_truth=True, last_stage=3)).tables
        for name, found in shifts.items():
            found.append(tables[name]["M"][tables[name]["isSignal"] == 1] - mass(name))
    shifts["D"] = shifts.pop("D0") + shifts.pop("D+")
    for name, (least, window) in {"pi0": (40, 0.005), "K_S0": (10, 0.001), "D": (5, 0.01)}.items():  # of 40 events
        values = np.concatenate(shifts[name])
        assert len(values) >= least, name
        assert abs(np.median(values)) < window, (name, len(values))
