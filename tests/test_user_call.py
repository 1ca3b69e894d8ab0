"""fei_lite.reconstruct as a user calls it: arguments are looked at; what comes back prints a line and gives columns."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from small_set import write_small_set

import fei_lite
from fei_lite.benchmarks.identity import different_tag_files
from fei_lite.candidates import CandidateTable
from fei_lite.errors import ArgumentTypeError, FeiLiteError, ModelSetError, UnknownNameError
from fei_lite.reconstruction import truth
from fei_lite.reconstruction.engine import NoClassifiers
from fei_lite.reconstruction.ranking import drop_duplicates
from fei_lite.tagging.driver import tag_files
from fei_lite.tagging.output import TagWriter


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.root"
    from fei_lite.production.simulate import simulate_file

    simulate_file("charged", path, n=40, seed=9)
    return path


@pytest.fixture(scope="module")
def batch(path):
    return next(iter(fei_lite.open(path)))


@pytest.fixture(scope="module")
def sets():
    return fei_lite.load_channel_set("hadronic"), fei_lite.load_model_set("fei_default")


@pytest.fixture(scope="module")
def result(batch, sets):
    return fei_lite.reconstruct(batch, *sets)


def test_names_and_paths_get_a_sentence(path, batch, sets):
    """Would catch an AttributeError from deep inside where a name was given for what it stands for."""
    channels, models = sets
    for arguments, said in (
            ((str(path), channels, models), "batch: got .*Read it: for batch in fei_lite.open"),
            ((fei_lite.open(path), channels, models), "batch: .*fei_lite.open"),
            ((batch, "hadronic", models), r"channel_set: got 'hadronic'.*fei_lite.load_channel_set\('hadronic'"),
            ((batch, channels, "fei_default"), r"models: got 'fei_default'.*fei_lite.load_model_set\('fei_default'"),
            ((batch, models, channels), "channel_set: .*the order is batch, channel set, models"),
            ((batch, channels, None), "models: got an object of type NoneType.*need has_model")):
        with pytest.raises(ArgumentTypeError, match=said) as found:
            fei_lite.reconstruct(*arguments)
        assert isinstance(found.value, TypeError) and "\n" not in str(found.value)
    with pytest.raises(ArgumentTypeError, match="options: got"):
        fei_lite.reconstruct(batch, channels, models, options={"with_truth": False})
    with pytest.raises(ArgumentTypeError, match="select_tags"):
        fei_lite.select_tags(batch)


def test_models_of_other_channels_are_refused_once(batch, sets, tmp_path, monkeypatch):
    """Would catch nonsense from models of another set, and a comparison that costs its time in every batch."""
    channels, models = sets
    small = fei_lite.load_channel_set(write_small_set(tmp_path / "small"))
    for _ in range(2):  # a refusal is no pass
        with pytest.raises(ModelSetError, match="does not fit"):
            fei_lite.reconstruct(batch, small, models)
    asked = []
    monkeypatch.setattr(type(models), "check", lambda self, channel_set: asked.append(channel_set.name))
    fresh = replace(models)
    for _ in range(3):
        fei_lite.reconstruct(batch.slice(0, 1), channels, fresh)
    assert asked == ["hadronic"]


def test_representations_are_short(batch, sets, result):
    """Would catch a megabyte of numbers where a user types the name of a result."""
    tags = fei_lite.select_tags(result)
    for value, words in ((batch, ["40 events", "events.root", f"{len(batch.tracks)} tracks"]),
                         (batch.tracks, ["helix", "40 events"]), (sets[1], ["fei_default", "channels"]),
                         (result, ["40 events", f"{len(result.tables['B+'])} B+", "hadronic"]),
                         (result.tables["D0"], [f"{len(result.tables['D0'])} candidates", "chiProb"]),
                         (tags, [f"{len(tags)} candidates", "Mbc"])):
        assert all(word in repr(value) for word in words) and len(repr(value)) < 1000, repr(value)[:200]


def test_columns_pandas_and_awkward(result, batch, path, sets, tmp_path):
    """Would catch rows of another candidate, lists torn apart, and events without a tag that vanish."""
    tags = fei_lite.select_tags(result)
    with TagWriter(tmp_path / "tags.root") as writer:
        writer.write(tags.columns)
        writer.finish([], {"n_events": batch.n_events})
    read = fei_lite.read_tags(tmp_path / "tags.root")
    for table in (tags, read):
        assert len(table) == len(result.tables["B+"]) + len(result.tables["B0"]) > 20
        np.testing.assert_array_equal(table["Mbc"], tags.columns["Mbc"])
        assert table._ipython_key_completions_() == list(tags.columns)
        with pytest.raises(UnknownNameError, match="Nearest known: 'Mbc'"):
            table["mbc"]
        frame, lists = table.to_pandas(), table.to_awkward()
        assert list(frame.columns) == list(tags.columns) and len(lists) == batch.n_events
        counts = np.bincount(tags.event, minlength=batch.n_events)
        assert (counts == 0).any() and [len(event) for event in lists] == counts.tolist()
        offsets, index = tags["track_index"]
        for row in range(len(tags)):
            assert frame["track_index"][row].tolist() == index[offsets[row]:offsets[row + 1]].tolist()
            assert frame["decayChain"][row] == tags["decayChain"][row] and frame["Mbc"][row] == tags["Mbc"][row]
    columns, cutflow, metadata = read
    assert columns is read.columns and cutflow == [] and metadata["n_events"] == batch.n_events
    some = fei_lite.read_tags(tmp_path / "tags.root", columns=["Mbc"])
    assert len(some) == len(tags) == len(fei_lite.read_tags(tmp_path / "tags.root", columns=[]))
    with pytest.raises(FeiLiteError, match="needs the column 'entry'"):
        some.to_awkward()


def test_truth_of_a_batch_dies_with_it(batch):
    """Would catch truth that outlives its batch, or that a batch inherits from one it was cut from."""
    part = batch.slice(0, 5)
    family = truth._family(part)
    assert truth._family(part) is family and truth._family(part.slice(0, 5)) is not family
    assert truth._family(replace(part, notes={})) is not family
    left, key = weakref.ref(family), len(family.code)
    assert key == len(part.generated)
    del part, family
    gc.collect()
    assert left() is None


def test_priority_among_duplicates():
    """Would catch the probability used where a priority was given, and an equal later candidate that wins."""
    table = CandidateTable("K_S0", np.array([0, 4]), {
        "sign": np.ones(4, np.int8), "used": np.array([[3], [3], [5], [5]], np.uint64),
        "SignalProbability": np.array([0.9, 0.1, 0.5, 0.6]), "number": np.arange(4)})
    assert drop_duplicates(table, np.array([0.0, 1.0, 2.0, 2.0]))["number"].tolist() == [1, 2]
    assert drop_duplicates(table, table["SignalProbability"])["number"].tolist() == [0, 3]


def test_files_are_compared_to_the_bit(path, tmp_path):
    """Would catch a comparison of files that never finds anything: one bit, the sign of a zero, a list, a type."""
    names = [tmp_path / f"{name}.root" for name in ("a", "b")]
    plain = {"x": np.array([0.0, np.nan, 2.0]), "n": np.arange(3), "t": np.array(["a", "b", "c"]),
             "l": (np.array([0, 1, 1, 2]), np.array([4, 5], np.int32))}

    def differences(changes, flow=(("a", "b", 1),), n_events=3):
        for name, columns, rows in ((names[0], plain, [("a", "b", 1)]), (names[1], plain | changes, flow)):
            with TagWriter(name, force=True) as writer:
                writer.write(columns)
                writer.finish(rows, {"n_events": 3 if name == names[0] else n_events})
        return different_tag_files(names[1], names[0])[2]

    assert differences({}) == []
    for changes in ({"x": np.array([-0.0, np.nan, 2.0])}, {"x": np.array([0.0, np.nan, np.nextafter(2.0, 3.0)])},
                    {"n": np.arange(3, dtype=np.int32)}, {"t": np.array(["a", "b", "d"])}, {"y": np.zeros(3)},
                    {"l": (np.array([0, 1, 2, 2]), np.array([4, 5], np.int32))}):
        assert len(differences(changes)) == 1, changes
    assert len(differences({}, flow=[("a", "b", 2)])) == 1 and len(differences({}, n_events=4)) == 1


def test_changed_folder_is_seen(path, sets, tmp_path):
    """Would catch models that a process keeps although their folder holds others at the next call."""
    import shutil

    from fei_lite.classifiers.model_set import find_model_set

    folder = tmp_path / "models"
    seen = []
    for name in ("fei_default", "extended"):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(find_model_set(name), folder)
        tag_files([path], tmp_path / "tags.root", models=str(folder), force=True)
        found = fei_lite.read_tags(tmp_path / "tags.root")
        assert found.metadata["models_digest"] == fei_lite.load_model_set(name).digest
        seen.append(set(found.columns))
    assert "channelProbability" in seen[1] - seen[0]


def test_options_reach_the_engine(batch, sets):
    """Would catch an option that the user call drops."""
    options = fei_lite.ReconstructionOptions(with_truth=False, last_stage=0)
    found = fei_lite.reconstruct(batch, *sets, options=options)
    assert "B+" not in found.tables and "mc" not in found.tables["pi+"].columns
    assert not NoClassifiers().has_model("D0_K-_pi+") and NoClassifiers.tag_classifier is None
