"""Model sets: written, interrupted, damaged, loaded, and compared with a channel set."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from fei_lite.channels.model import Channel, ChannelSet, ParticleConfig
from fei_lite.classifiers import model_set, writer
from fei_lite.classifiers.fitting import FEI_DEFAULT, FittedChannel, fit_channel
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.classifiers.text import pack, text_names, unpack
from fei_lite.classifiers.writer import ModelSetWriter
from fei_lite.errors import ModelSetError, UnknownNameError
from fei_lite.variables.cuts import Cut, parse_cut

FEATURES = ("M", "daughter(0,SignalProbability)", "daughter(1,SignalProbability)", "chiProb")
TRAINED, UNTRAINED = "D0_K-_pi+", "D0_pi-_pi+"


def toy(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(FEATURES)))
    return X, rng.random(n) < 1.0 / (1.0 + np.exp(-X[:, 0] - 2.0 * X[:, 1])), np.ones(n)


@pytest.fixture(scope="module")
def fitted() -> FittedChannel:
    return fit_channel(*toy(2000, 1), names=FEATURES, seed=5, parameters={"n_trees": 20}, validation=toy(1000, 2))


@pytest.fixture(scope="module")
def too_small() -> FittedChannel:
    return fit_channel(*toy(100, 1), names=FEATURES, seed=5)


def channel_set(features: tuple[str, ...] = FEATURES, *, cut: float = 1.7,
                channels: tuple[tuple[str, ...], ...] = (("K-", "pi+"), ("pi-", "pi+"))) -> ChannelSet:
    made = tuple(Channel("D0", i, daughters, None, Cut(""), features, "vertex", False)
                 for i, daughters in enumerate(channels))
    config = ParticleConfig("D0", 421, 1.86484, 0, False, made, parse_cut(f"{cut} < M < 1.95"), "abs(dM)", False, 20,
                            0.001, 10, "isSignal", 0)
    return ChannelSet("small", Path("small"), {"D0": config}, (("D0",),))


def open_writer(folder: Path, **changes: object) -> ModelSetWriter:
    arguments = {"name": "small", "channel_set": "small", "channel_set_hash": channel_set().hash, "seed": 5,
                 "parameters": FEI_DEFAULT, "date": "2026-01-01",
                 "sample": {"files": [{"name": "a.root", "entries": 10, "sha256": "00", "weight": 1.0}]}} | changes
    return ModelSetWriter(folder, **arguments)


@pytest.fixture
def folder(tmp_path: Path, fitted: FittedChannel, too_small: FittedChannel) -> Path:
    output = open_writer(tmp_path / "set")
    output.add(TRAINED, fitted, stage=0)
    output.add(UNTRAINED, too_small, stage=0, sampled={"training signal": {"seen": 40, "kept": 40, "weight": 40.0}})
    return tmp_path / "set"


def test_prediction_is_lightgbms_on_the_stored_text(folder: Path) -> None:
    """The stored model, evaluated by LightGBM itself: catches another forest or other columns."""
    models = load_model_set(folder)
    packed = (folder / models.models[TRAINED].entry["file"]).read_bytes()
    booster = lightgbm.Booster(model_str=unpack(packed, source="t"))
    X = toy(500, 3)[0]
    np.testing.assert_array_equal(models.predict(TRAINED, X), booster.predict(X))
    assert booster.feature_name() == text_names(FEATURES)


def test_channels_without_a_model(folder: Path) -> None:
    """There is no stand-in: catches a prediction for a channel that was never trained."""
    models = load_model_set(folder)
    assert models.has_model(TRAINED) and not models.has_model(UNTRAINED)
    assert "fewer than 500" in models.untrained[UNTRAINED]
    sizes = models.manifest["untrained"][UNTRAINED]["training"]
    assert sizes["n_signal"] + sizes["n_background"] == 100
    assert models.manifest["untrained"][UNTRAINED]["sampled"]["training signal"]["seen"] == 40
    with pytest.raises(UnknownNameError, match="fewer than 500"):
        models.predict(UNTRAINED, np.zeros((1, 4)))
    with pytest.raises(UnknownNameError, match=re.escape(f"Nearest known: '{TRAINED}'")):
        models.predict("D0_K-_pi-", np.zeros((1, 4)))


def test_manifest_tells_the_origin(folder: Path, fitted: FittedChannel) -> None:
    """Catches a set that nobody could train again, and NaN in JSON."""
    content = json.loads((folder / "manifest.json").read_text(), parse_constant=pytest.fail)
    entry = content["channels"][TRAINED]
    assert content["versions"]["lightgbm"] == lightgbm.__version__
    assert content["seed"] == 5 and content["parameters"]["n_trees"] == 400
    assert content["sample"]["files"][0]["entries"] == 10
    assert entry["features"] == list(FEATURES)
    assert entry["validation"]["auc"] == fitted.validation.auc
    assert entry["validation"]["n_signal"] + entry["validation"]["n_background"] in (499, 500)  # the other half stopped


def test_digest_follows_what_decides(folder: Path, fitted: FittedChannel, tmp_path: Path) -> None:
    """Would catch a digest that misses a channel set, a model or the tag classifier, or depends on the date."""
    def digest(name: str, *, date: str = "1 January", cut: float = 1.7, channels: int = 1, last: bool = False,
               given_bb: bool = False) -> str:
        writer = open_writer(tmp_path / name, channel_set_hash=channel_set(cut=cut).hash, date=date)
        for i in range(channels):
            writer.add(f"D0_{i}", fitted, stage=0)
        if last:
            writer.add_tag_classifier(fitted, fitted if given_bb else None)
        return load_model_set(tmp_path / name).digest

    one = digest("a")
    assert len(one) == 64 and one == digest("b", date="2 January")
    assert len({one, digest("c", cut=1.8), digest("d", channels=2), digest("e", last=True),
                digest("f", last=True, given_bb=True)}) == 5
    (tmp_path / "f" / "manifest.json").write_text(
        (tmp_path / "f" / "manifest.json").read_text().replace('"tag_classifier": {', '"decided": {'))
    with pytest.raises(ModelSetError, match="given_bb: needs a tag classifier"):
        load_model_set(tmp_path / "f")


def test_matching_set_passes(folder: Path) -> None:
    """Catches a check that refuses everything."""
    load_model_set(folder).check(channel_set())


@pytest.mark.parametrize(("changed", "message"), [
    (channel_set(FEATURES[1:] + FEATURES[:1]), "another order: feature 0 is 'M' in the model"),
    (channel_set((*FEATURES[:3], "dz")), "not in the model: dz; only in the model: chiProb"),
    (channel_set(FEATURES[:3]), "only in the model: chiProb"),
    (channel_set(channels=(("K-", "pi+"),)), "D0_pi-_pi+: not in the channel set"),
    (channel_set(channels=(("K-", "pi+"), ("pi-", "pi+"), ("K-", "K+"))), "D0_K-_K+: not in the model set"),
    (channel_set(cut=1.6), "other cuts"),
], ids=["order", "name", "number", "less", "more", "cut"])
def test_another_channel_set_is_refused(folder: Path, changed: ChannelSet, message: str) -> None:
    """Catches features fed in another order: the trees would not notice."""
    with pytest.raises(ModelSetError) as caught:
        load_model_set(folder).check(changed)
    assert message in str(caught.value)


def test_every_mismatch_is_listed(folder: Path) -> None:
    """Catches a check that stops at the first finding; other cuts can be allowed, other features cannot."""
    models = load_model_set(folder)
    models.check(channel_set(cut=1.6), other_cuts=True)
    with pytest.raises(ModelSetError) as caught:
        models.check(channel_set(FEATURES[::-1], channels=(("K-", "pi+"), ("K-", "K+"))), other_cuts=True)
    for finding in (f"{TRAINED}: another order", "D0_K-_K+: not in the model set", f"{UNTRAINED}: not in the channel"):
        assert finding in str(caught.value)


def test_training_resumes_and_equals_an_uninterrupted_one(
        tmp_path: Path, folder: Path, fitted: FittedChannel, too_small: FittedChannel) -> None:
    """Catches channels lost on resuming, and bytes that depend on the moment of writing."""
    first = open_writer(tmp_path / "again")
    first.add(TRAINED, fitted, stage=0)
    second = open_writer(tmp_path / "again", date="2026-02-02")
    assert second.finished == {TRAINED}
    second.add(UNTRAINED, too_small, stage=0, sampled={"training signal": {"seen": 40, "kept": 40, "weight": 40.0}})
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


@pytest.mark.parametrize("change", [{"seed": 6}, {"channel_set_hash": "0"}, {"sample": {}}, {"parameters": {}}])
def test_resuming_another_training_is_refused(folder: Path, change: dict) -> None:
    """Catches a set mixed from two trainings."""
    with pytest.raises(ModelSetError, match="belongs to a training with another"):
        open_writer(folder, **change)


def test_interruption_while_writing(folder: Path, fitted: FittedChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between model and manifest: the set is the one before, whole and loadable."""
    output = open_writer(folder)
    before = (folder / "manifest.json").read_bytes()
    monkeypatch.setattr(writer, "dump_manifest", lambda content: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        output.add("D0_K-_K+", fitted, stage=0)
    assert (folder / "manifest.json").read_bytes() == before
    assert set(load_model_set(folder).models) == {TRAINED}
    assert not list(folder.rglob("*.part*"))


def test_colliding_file_names_are_refused(folder: Path, fitted: FittedChannel) -> None:
    """Catches a model that overwrites another one where file names ignore case."""
    with pytest.raises(ModelSetError, match="share the file"):
        open_writer(folder).add(TRAINED.upper(), fitted, stage=0)


def edit(folder: Path, change) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("change", "message"), [
    (lambda c: c.update(format="pickle"), "format: expected"),
    (lambda c: c.update(format_version=2), "format_version: got 2"),
    (lambda c: c.pop("seed"), "no 'seed'"),
    (lambda c: c["channels"][TRAINED].pop("sha256"), r"channels\['D0_K-_pi\+'\]: no 'sha256'"),
    (lambda c: c["channels"][TRAINED].update(features="M"), "features: got str, expected list"),
    (lambda c: c["channels"][TRAINED].update(file="../x/y"), "a file in a folder of the model set"),
    (lambda c: c["untrained"].update({TRAINED: c["untrained"][UNTRAINED]}), "both trained and untrained"),
    (lambda c: c["channel_set"].pop("hash"), "channel_set: no text 'hash'"),
])
def test_damaged_manifest(folder: Path, change, message: str) -> None:
    """Catches a manifest that fails later, far from its cause."""
    edit(folder, change)
    with pytest.raises(ModelSetError, match=message):
        load_model_set(folder)


def test_damaged_files(folder: Path) -> None:
    """Catches a changed byte, a missing model, features exchanged in the manifest only, and no JSON."""
    edit(folder, lambda c: c["channels"][TRAINED]["features"].reverse())
    with pytest.raises(ModelSetError, match="features of the model and of the manifest differ"):
        load_model_set(folder).predict(TRAINED, np.zeros((1, 4)))
    model = next(folder.glob("models/*.gz"))
    data = bytearray(model.read_bytes())
    data[100] ^= 1
    model.write_bytes(data)
    with pytest.raises(ModelSetError, match="changed or damaged"):
        load_model_set(folder)
    model.unlink()
    with pytest.raises(ModelSetError, match="cannot be read"):
        load_model_set(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ModelSetError, match="cannot be read as JSON"):
        load_model_set(folder)


def test_lookup_by_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped sets are found inside an installed package and beside a checkout; others by path only."""
    for place in (tmp_path / "installed" / "fei_lite", tmp_path / "checkout"):
        code = place if place.name == "fei_lite" else place / "fei_lite"
        (place / "trained").mkdir(parents=True)
        (place / "trained" / "hadronic").symlink_to(folder)
        monkeypatch.setattr(model_set, "__file__", str(code / "classifiers" / "model_set.py"))
        assert load_model_set("hadronic").name == "small"
    with pytest.raises(ModelSetError, match="Nearest known: 'hadronic'"):
        load_model_set("hadronik")
    with pytest.raises(ModelSetError, match="a folder without"):
        load_model_set(tmp_path)


def test_packing_is_checked() -> None:
    """Catches a raw zlib error for a damaged file whose manifest was rewritten to fit."""
    for data in (b"tree", b"\x1f\x8b" + b"0" * 30, pack("tree\n" * 100)[:-9]):
        with pytest.raises(ModelSetError, match=r"D0\.gz: not a gzipped text model"):
            unpack(data, source="D0.gz")


def test_full_set_loads_within_a_second(tmp_path: Path, fitted: FittedChannel) -> None:
    """145 channels: catches a loader that parses every forest at the start."""
    output = open_writer(tmp_path / "full")
    for i in range(145):
        output.add(f"channel_{i}", replace(fitted, n_trees=i), stage=0)
    start = time.perf_counter()
    models: ModelSet = load_model_set(tmp_path / "full")
    assert time.perf_counter() - start < 1.0
    assert len(models.models) == 145


def test_channel_set_of_the_models(folder: Path) -> None:
    """Without a channel set the models' own is taken; catches a silent other one where it is not shipped."""
    channels, models = load_tagger("fei_default")
    assert channels.name == "hadronic" == models.manifest["channel_set"]["name"]
    with pytest.raises(ModelSetError, match="'small', which is not among the shipped ones"):
        load_tagger(str(folder))
    with pytest.raises(ModelSetError, match="does not fit channel set 'hadronic'"):
        load_tagger(str(folder), "hadronic")
