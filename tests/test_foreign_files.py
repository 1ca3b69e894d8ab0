"""Files from elsewhere: what they hold is looked at before it is used, and costs no more than an error."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from fuzz_kinds import BTAG, Btags, Manifest, ModelText
from fuzz_more_kinds import AnalysisClassifier
from toy_events import toy_batch

from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.classifier import load_classifier
from fei_lite.channels import load_channel_set
from fei_lite.channels.files import find_channel_set
from fei_lite.classifiers import text as text_module
from fei_lite.classifiers.model_set import load_model_set
from fei_lite.classifiers.text import pack, unpack
from fei_lite.classifiers.trees import parse_trees
from fei_lite.classifiers.writer import write_with_tag_classifier
from fei_lite.cli import main
from fei_lite.errors import (
    AnalysisError,
    ChannelFileError,
    EventFileError,
    FeiLiteError,
    ModelSetError,
    SimulationError,
)
from fei_lite.events import EventWriter, read_events
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.performance.best_tags import TagPieces, read_best_tags
from fei_lite.tagging.best import rank_tags
from fei_lite.tagging.output import read_tags


@pytest.fixture
def manifest(tmp_path):
    """A model set of two channels, and its manifest as plain values."""
    kind = Manifest(tmp_path)
    return kind, json.loads(kind.good.read_text())


def reload(kind, content):
    path = kind.folder / "m.json"
    path.write_text(json.dumps(content))
    kind.read(path)


@pytest.mark.parametrize("file", ["../../outside.gz", "models/../../outside.gz", "/etc/passwd", "manifest.json",
                                  "models/.", "models/a/b.gz", "models\\a.gz", ""])
def test_a_model_lies_in_a_folder_of_its_set(file, manifest):
    """Would catch a manifest that names a file elsewhere: renewing the set would write there."""
    kind, content = manifest
    next(iter(content["channels"].values()))["file"] = file
    with pytest.raises(ModelSetError, match=r"manifest\.json: channels\['.*'\]\.file: got .*expected 'folder/name'"):
        reload(kind, content)


def test_a_copied_set_keeps_its_folders(manifest, tmp_path):
    """Would catch a traceback for models in a folder of another name."""
    kind, content = manifest
    for entry in content["channels"].values():
        entry["file"] = entry["file"].replace("models/", "mine/")
    shutil.copytree(kind.folder / "set" / "models", kind.folder / "set" / "mine")
    reload(kind, content)
    models = load_model_set(kind.folder / "set")

    class Fitted:
        trained, text, names, n_trees, seed, gain, calibration, validation = True, "x", ["a"], 1, 1, [1.0], None, None

        class training:
            @staticmethod
            def to_json():
                return {"n_signal": 1, "n_background": 1}

    write_with_tag_classifier(models, tmp_path / "new", Fitted, None, name="n", origin={})
    assert sorted(p.parent.name for p in (tmp_path / "new").rglob("*.gz")) == ["mine", "mine", "models"]


@pytest.mark.parametrize("change, message", [
    (lambda c, e: e.update(features=[1, 2]), r"features\[0\]"),
    (lambda c, e: e["training"].update(n_signal="many"), r"training\.n_signal"),
    (lambda c, e: e["training"].pop("n_signal"), r"training"),
    (lambda c, e: c["sample"].update(files=[3]), r"sample: files\[0\]"),
    (lambda c, e: c.update(search=[]), "search"),
])
def test_the_structure_of_a_manifest(change, message, manifest):
    """Would catch a traceback of the reconstruction, the report or the training far from the file."""
    kind, content = manifest
    change(content, next(iter(content["channels"].values())))
    with pytest.raises(ModelSetError, match=message):
        reload(kind, content)


def test_a_model_that_unpacks_to_gigabytes(monkeypatch):
    """Would catch memory filled by a file of a few kB."""
    monkeypatch.setattr(text_module, "MAX_TEXT", 2**20)
    assert unpack(pack("x" * 2**20), source="a") == "x" * 2**20
    with pytest.raises(ModelSetError, match="a: unpacks to more than 1 MiB"):
        unpack(gzip.compress(bytes(2**20 + 1)), source="a")
    for damaged in (pack("text")[:-3], pack("text") + b"more", b"", b"text"):
        with pytest.raises(ModelSetError, match="not a gzipped text model"):
            unpack(damaged, source="a")


@pytest.mark.parametrize("old, new, message", [
    ("sigmoid:1", "sigmoid:0", "sigmoid is 0"), ("sigmoid:1", "sigmoid:-1", "sigmoid is -1"),
    ("sigmoid:1", "sigmoid:nan", "sigmoid is nan"), ("leaf_value=", "leaf_value=nan ", "leaf_value"),
    ("leaf_value=", "leaf_value=inf ", "leaf_value"), ("max_feature_idx=", "max_feature_idx=9", "max_feature_idx")])
def test_models_that_give_no_probability(old, new, message, tmp_path):
    """Would catch NaN, or one half for everything, as a signal probability."""
    good = ModelText(tmp_path).good.read_text()
    assert old in good
    text = good.replace(old, new, 1)
    if "leaf_value" in old:  # in place of the first leaf
        head, _, tail = text.partition(new)
        text = head + new + tail.partition(" ")[2]
    with pytest.raises(ModelSetError, match=rf"m\.txt.*{message}"):
        parse_trees(text, source="m.txt")


def test_a_candidate_without_mbc_is_never_the_best():
    """Would catch a Btag of Mbc = NaN flagged as the best, of each event or of each B type."""
    event, probability = np.array([0, 0, 1, 2, 2]), np.array([0.9, 0.5, 0.8, np.nan, 0.1])
    mbc = np.array([np.nan, 5.28, np.nan, 5.28, 5.27])
    order, rank = rank_tags(event, probability, np.full(5, 0.5), np.isfinite(mbc) & np.isfinite(probability))
    assert order.tolist() == [1, 0, 2, 4, 3] and rank.tolist() == [1, 2, 1, 1, 2]
    piece = {"entry": np.array([0, 0, 1, 1]), "event": np.array([0, 0, 1, 1]), "pdg": np.array([521, 511, 521, 521]),
             "decayModeID": np.zeros(4), "SignalProbability": np.array([0.9, 0.5, 0.8, 0.7]),
             "best": np.array([1, 0, 1, 0]), "Mbc": np.array([np.nan, 5.28, np.nan, 5.27]),
             "deltaE": np.zeros(4), "weight": np.ones(4)}
    pieces = TagPieces("type")
    pieces.add(piece)
    found = pieces.best_tags({"n_events": 2, "sum_of_weights": 2.0, "sum_of_squared_weights": 2.0, "event_types": {}})
    assert found.mbc.tolist() == [5.28, 5.27]


@pytest.mark.parametrize("read", [read_events, read_tags, read_ntuple])
def test_a_column_that_stands_twice(read, tmp_path):
    """Would catch one of two columns taken by chance."""
    path = tmp_path / "twice.parquet"
    if read is read_events:
        with EventWriter(path) as writer:
            writer.write(toy_batch(3))
        table = pq.read_table(path)
    else:
        Btags.make(None, path)
        table = pq.read_table(path)
        said = {b"fei_lite_ntuple": b"{}"} if read is read_ntuple else {b"fei_lite_metadata": b"{}", b"cutflow": b"[]"}
        table = table.replace_schema_metadata(said)
    name = table.column_names[0]
    pq.write_table(table.append_column(name, table.column(0)), path)
    with pytest.raises(FeiLiteError, match=f"{name} stands twice"):
        read(path)


@pytest.mark.parametrize("said, message", [
    ({"n_events": "x"}, "n_events"), ({"event_types": []}, "event_types"), ({"event_types": {"B+B-": 3}}, r"B\+B-"),
    ({"sum_of_weights": None}, "no 'sum_of_weights'"), ({"inputs": [3]}, r"inputs\[0\]"),
    ({"n_events": 2**70}, "64 bits"), ({"sum_of_weights": float("inf")}, "finite")])
def test_the_metadata_of_a_btag_file(said, message, tmp_path):
    """Would catch a traceback for what a Btag file says of itself; the command gives one line with the file."""
    Btags.make(None, tmp_path / "b.root", BTAG | said)
    with pytest.raises(EventFileError, match=message) as caught:
        read_best_tags(tmp_path / "b.root")
    assert "b.root" in str(caught.value)


@pytest.mark.parametrize("said, message", [
    ({"folds": [{"file": "../../x", "sha256": "0" * 64}]}, r"folds\[0\]\.file"), ({"folds": []}, "folds"),
    ({"folds": [{"file": "fold_0.txt.gz", "sha256": "0" * 64}]}, "damaged"), ({"features": ["x"]}, "trained on x"),
    ({"eta": {"scores": [1.0, 0.0], "fraction": [0.0, 1.0]}}, "both rising"),
    ({"eta": {"scores": [0.0, 1.0], "fraction": [0.0, 1.5]}}, "fractions from 0 to 1"),
    ({"eta": {"scores": [0.0, None], "fraction": [0.0, 1.0]}}, r"eta: scores\[1\]"), ({"format": "x"}, "format"),
    ({"format_version": 2}, "format"), ({"summary": 3}, "summary")])
def test_the_classifier_of_an_analysis(said, message, tmp_path):
    """Would catch a file outside its folder that is read, scores that are not in order, and a traceback."""
    kind = AnalysisClassifier(tmp_path)
    path = kind.folder / "set" / "classifier.json"
    path.write_text(json.dumps(json.loads(kind.good.read_text()) | said))
    with pytest.raises(AnalysisError, match=message) as caught:
        load_classifier(kind.folder / "set", kind.features)
    assert str(kind.folder / "set") in str(caught.value)


@pytest.mark.parametrize("line, message", [
    ("evaluate b.root --purities 0.3 --replicas 0", "1 or more"), ("evaluate b.root --seed -1", "0 or more"),
    ("evaluate b.root b.root", "given twice"), ("fit w.json --toys 5 --seed -1", "0 or more"),
    ("train e.root -o set --seed -1", "0 or more"), ("report fei_default -o r.html --date today", "a date such as"),
    ("report fei_default -o r.html --max-events 0", "1 or more"),
    ("enrich count charged -n 0 --seed 1 -o c", "1 or more"),
    ("enrich check charged -n 5 --seed 1 --enrich hadronic --keep-uncovered nan", "expected above 0"),
    ("channels draw -o a.xyz", "the suffix"), ("enrich boost c -o a.txt", "the suffix"),
    ("simulate charged -n 1 --seed 1 --workers 2 -o a.root", "several workers make several files")])
def test_options_that_cannot_be(line, message, tmp_path, monkeypatch, capsys):
    """Would catch a traceback, or a result that means nothing, for a number out of range."""
    monkeypatch.chdir(tmp_path)
    Btags.make(None, tmp_path / "b.root")
    try:
        code = main(line.split())
    except SystemExit as ended:  # the parser's
        code = ended.code
    assert code == 2 and message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.root"]


@pytest.mark.parametrize("name", ["B+zzz", "MyB"])
def test_an_unknown_name_in_the_first_block_of_a_decay_file(name, tmp_path):
    """Would catch an error about a pair of B's that does not name the file and the line."""
    path = tmp_path / "mine.dec"
    path.write_text(f"Decay Upsilon(4S)\n1.0 {name} B- VSS;\nEnddecay\nDecay B+\n1.0 K+ pi0 PHSP;\nEnddecay\nEnd\n")
    with pytest.raises(SimulationError, match=r"mine\.dec: line 2"):
        read_signal_decay(path)


def test_twenty_thousand_equal_channels(tmp_path):
    """Would catch a check that compares every channel with every other: minutes, and as many findings as pairs."""
    for name in ("pi_plus", "K_plus"):
        shutil.copy(find_channel_set("hadronic") / f"{name}.toml", tmp_path)
    head = (find_channel_set("hadronic") / "D0.toml").read_text().split("[[channel]]")[0]
    one = '[[channel]]\ndaughters = ["K-", "pi+"]\nfeatures = ["M"]\n'
    (tmp_path / "D0.toml").write_text(head + one * 20_000)
    start = time.monotonic()
    with pytest.raises(ChannelFileError):
        load_channel_set(tmp_path)
    assert time.monotonic() - start < 20.0


def test_pipes_are_no_files(tmp_path):
    """Would catch a command that waits for ever at a named pipe."""
    for name in ("a.root", "a.parquet", "a.json", "a.toml"):
        os.mkfifo(tmp_path / name)
    code = ("import sys\nfrom fei_lite.cli import main\n"
            "for line in sys.stdin.read().splitlines():\n    print(main(line.split()))")
    simulate = f"simulate charged -n 1 --seed 1 -o {tmp_path}/o.root"
    lines = [f"reconstruct {tmp_path}/a.root -o {tmp_path}/o.root", f"evaluate {tmp_path}/a.parquet",
             f"fit {tmp_path}/a.json", f"{simulate} --response {tmp_path}/a.toml",
             f"{simulate} --enrich {tmp_path}/a.json",
             f"train {tmp_path}/a.root -o {tmp_path}/set", f"report fei_default --events {tmp_path}/a.root "
             f"-o {tmp_path}/r.html"]
    done = subprocess.run([sys.executable, "-c", code], input="\n".join(lines), capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.split() == ["2"] * len(lines), done.stderr[-2000:]
