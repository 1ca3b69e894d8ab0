"""The first look: what it sees against plain sums, what it drops and keeps, what it learns, and how it is asked for."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from small_set import write_decays, write_small_set
from test_lost import Told

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.benchmarks.speeds import compare_speeds
from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import load_model_set
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.cli import main
from fei_lite.errors import ModelSetError
from fei_lite.events.reading import open_events
from fei_lite.particles import mass
from fei_lite.production.simulate import simulate_file
from fei_lite.reconstruction.engine import Hooks, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.first_look import FEATURES, FirstLook, first_look_of
from fei_lite.reconstruction.frames import to_cms
from fei_lite.report.observed import Sets, observe_files
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.driver import tag_files
from fei_lite.tagging.output import read_tags
from fei_lite.training.driver import Settings, train
from fei_lite.training.first_look import LOSSES, _Levels, _Looked
from fei_lite.training.renewal import add_first_look, renew_tag_classifier

DATE = "2026-01-01"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first_look")
    write_small_set(folder / "small")
    decays = write_decays(folder / "signal.dec")
    for seed, name in ((1, "train"), (2, "look"), (3, "test")):
        simulate_file("signal", folder / f"{name}.root", n=300, seed=seed, dec_file=decays)
    return folder


@pytest.fixture(scope="module")
def settings(folder):
    return Settings(name="small", channel_set=str(folder / "small"), seed=3, min_entries=20, batch_size=150,
                    parameters={"n_trees": 40, "min_data_in_leaf": 10, "max_delta_step": 5.0})


@pytest.fixture(scope="module")
def models(folder, settings):
    """A small set, and the same with a first look."""
    train([folder / "train.root"], folder / "models", settings=settings, date=DATE)
    return add_first_look(str(folder / "models"), [folder / "look.root"], folder / "fast", settings=settings,
                          date=DATE, command="as tested")


@pytest.fixture(scope="module")
def events(folder):
    (batch,) = open_events([folder / "test.root"])
    return load_channel_set(str(folder / "small")), batch


class Forest:
    """Says 1 where a feature is above a value, else 0."""

    def __init__(self, name, value):
        self.column, self.value = FEATURES.index(name), value

    def predict(self, X, *, above=0.0):
        return (X[:, self.column] > self.value).astype(float)


def test_features_against_plain_sums(events):
    """Would catch a wrong daughter, frame, logarithm or column, and a mass or momentum of a tag."""
    channel_set, batch = events
    seen = {}
    result = reconstruct(batch, channel_set, Told(), hooks=Hooks(
        looker=lambda channel, table, X: seen.update({channel.identifier: (channel, table, X)})))
    assert {"D0_K-_pi+_pi0", "B+_anti-D0_pi+", "pi0_gamma_gamma"} <= seen.keys()
    for channel, table, X in seen.values():
        config = channel_set.particles[channel.particle]
        names = [channel_set.resolve(name) for name in channel.daughters]
        for row in range(0, len(table), max(1, len(table) // 40)):
            event = table.event_index[row]
            beam = batch.events["beam_p4"][[event]]
            of = [(result.tables[name], table["daughters"][row, j]) for j, name in enumerate(names)]
            p4 = [to_cms(t["p4"][[i]], beam)[0] for t, i in of]
            odds = [math.log(t["SignalProbability"][i] / (1 - t["SignalProbability"][i])) for t, i in of]
            total = np.sum(p4, axis=0)
            m = math.sqrt(max(total[3] ** 2 - np.sum(total[:3] ** 2), 0.0))
            expected = {
                "particle": list(channel_set.particles).index(channel.particle), "channel": channel.index,
                "preCut_rank": table["preCut_rank"][row], "nDaughters": len(of),
                "logProduct": sum(math.log(t["SignalProbability"][i]) for t, i in of),
                "logOddsWorst": min(odds), "logOddsSecond": sorted(odds)[1], "logOddsFirst": odds[0],
                "leastE": min(p[3] for p in p4)}
            if channel.particle in channel_set.tags:
                s = beam[0, 3] ** 2 - np.sum(beam[0, :3] ** 2)
                expected |= {"deltaE": total[3] - 0.5 * math.sqrt(s), "dM": math.nan, "Q": math.nan, "p": math.nan}
            else:
                masses = sum(math.sqrt(max(p[3] ** 2 - np.sum(p[:3] ** 2), 0.0)) for p in p4)
                expected |= {"deltaE": math.nan, "dM": m - mass(config.name), "Q": m - masses,
                             "p": math.sqrt(np.sum(total[:3] ** 2))}
            np.testing.assert_allclose(X[row], [expected[name] for name in FEATURES], rtol=1e-7, atol=1e-7)


def test_without_a_bound_nothing_changes(events):
    """Would catch candidates lost or reordered by the look itself."""
    channel_set, batch = events
    plain = reconstruct(batch, channel_set, Told())
    look = FirstLook({stage: Forest("nDaughters", 0) for stage in range(9)}, 1e-9)
    same = reconstruct(batch, channel_set, Told(), options=ReconstructionOptions(first_look=look))
    for name, table in plain.tables.items():
        for column, values in table.columns.items():
            np.testing.assert_array_equal(same.tables[name].columns[column], values, err_msg=f"{name}: {column}")


def test_what_is_dropped(events):
    """Would catch a bound on another stage, after the fit, or the wrong way round; a least product not asked for."""
    channel_set, batch = events
    stage, value = channel_set.particles["D0"].stage, math.log(0.2)
    plain = reconstruct(batch, channel_set, Told())
    for look in (FirstLook({stage: Forest("logProduct", value)}, 0.5),
                 FirstLook({}, 1e-9, {channel.identifier: 0.2 for channel in channel_set.particles["D0"].channels})):
        seen = []

        def observe(channel, table, _, *, seen=seen):
            if channel.particle == "D0":
                seen.append((channel, table))

        result = reconstruct(batch, channel_set, Told(), hooks=Hooks(observer=observe),
                             options=ReconstructionOptions(first_look=look))
        for channel, table in seen:
            product = np.ones(len(table))
            for j, name in enumerate(channel.daughters):
                product *= result.tables[channel_set.resolve(name)]["SignalProbability"][table["daughters"][:, j]]
            assert len(table) and product.min() > 0.2
        assert len(result.tables["pi0"]) == len(plain.tables["pi0"])
        assert 0 < len(result.tables["D0"]) < len(plain.tables["D0"])
    tags = reconstruct(batch, channel_set, Told(), options=ReconstructionOptions(first_look=FirstLook({}, 0.5)))
    for name in channel_set.tags:
        assert len(tags.tables[name]) < len(plain.tables[name]) and tags.tables[name]["SignalProbability"].min() > 0.5


def test_levels_lose_what_they_say(models, folder):
    """Would catch bounds in the wrong order or taken from other candidates: other events lose about as much."""
    assert [level["lost"] for level in models.levels] == list(LOSSES)
    least = [level["least"] for level in models.levels]
    assert all(a <= b for a, b in pairwise(least)) and 0.0 < least[0] < 1.0
    sizes, right = [], []
    for level in range(len(LOSSES) + 1):
        output = folder / f"tags_{level}.root"
        assert main(["reconstruct", str(folder / "test.root"), "--models", str(folder / "fast"), "--set",
                     str(folder / "small"), "--speed", str(level), "-o", str(output), "--quiet"]) == 0
        tags = read_tags(output)
        assert tags.metadata.get("speed", 0) == level
        sizes.append(len(tags.columns["best"]))
        right.append(np.count_nonzero((tags.columns["best"] == 1) & (tags.columns["isSignal"] == 1)))
    assert sizes[0] > sizes[1] > sizes[-1]
    n = right[0]
    for level, lost in enumerate(LOSSES):
        # 60 held-out events set the bounds, about 100 right tags are counted
        assert right[level + 1] > n * (1.0 - lost) - 4.0 * math.sqrt(n * (lost + 0.02))


def test_the_curve(models, events, folder):
    """Would catch tags counted at another level, events divided wrongly, weights forgotten, or changes to the worse."""
    channel_set, batch = events
    last = len(LOSSES)
    n_timed, n_counted, points = compare_speeds([folder / "test.root"], [folder / "test.root"], (channel_set, models),
                                                levels=[0, 1, last], batch_size=130)
    assert (n_timed, n_counted, [p.level for p in points]) == (300, 300, [0, 1, last])
    assert points[0].time_ratio == 1.0 and points[0].change == 0.0 and points[0].lost == points[0].gained == 0
    plain = None
    for point in points:
        options = ReconstructionOptions(first_look=first_look_of(models, point.level))
        tags = select_tags(reconstruct(batch, channel_set, models, options=options))
        good = (tags.columns["best"] == 1) & (tags.columns["isSignal"] == 1)
        right = set(tags.event[good])
        plain = right if plain is None else plain
        assert (point.right, point.lost, point.gained) == (len(right), len(plain - right), len(right - plain))
        assert point.change == pytest.approx(len(right) / len(plain) - 1.0)
        assert point.candidates == pytest.approx(len(tags) / 300) and point.us_per_event > 0.0
        promised = tags.columns["SignalProbability"][tags.columns["best"] == 1].sum()
        assert point.promised_over_right == pytest.approx(promised / len(right))
    assert points[2].candidates < points[1].candidates < points[0].candidates


def test_the_set_is_otherwise_the_same(models, folder, settings):
    """Would catch a first look that changes classifiers, hides in the digest, or goes with the tag classifier."""
    old = load_model_set(folder / "models")
    assert models.digest == old.digest and models.models.keys() == old.models.keys()
    assert set(models.first_look) and models.manifest["first_look"]["origin"]["command"] == "as tested"
    assert first_look_of(models, 0) is None
    for level in (-1, len(models.levels) + 1):
        with pytest.raises(ModelSetError, match="levels 1 to"):
            first_look_of(models, level)
    with pytest.raises(ModelSetError, match="no first look"):
        first_look_of(old, 1)
    with pytest.raises(ModelSetError, match="does not know"):
        first_look_of(replace(models, first_look={3: next(iter(old.models.values()))}), 1)
    renewed = renew_tag_classifier(str(folder / "fast"), [folder / "look.root"], folder / "renewed", date=DATE,
                                   settings=replace(settings, min_entries=5), command="")
    assert renewed.levels == models.levels and renewed.first_look.keys() == models.first_look.keys()
    assert renewed.digest != models.digest


def test_a_set_can_name_its_level(models, events, folder, settings):
    """Would catch a level that the library does not use, cannot be told off, or that a digest does not know."""
    channel_set, batch = events
    fast = add_first_look(str(folder / "models"), [folder / "look.root"], folder / "named", settings=settings,
                          date=DATE, command="", speed=3)
    assert fast.speed == 3 and fast.digest != load_model_set(folder / "models").digest
    sizes = {}
    for speed in (None, 0, 1, 3):
        tags = select_tags(reconstruct(batch, channel_set, fast, options=ReconstructionOptions(speed=speed)))
        sizes[speed] = len(tags)
    assert sizes[0] > sizes[3] == sizes[None]
    tag_files([folder / "test.root"], folder / "named.root", models=str(folder / "named"),
              channel_set=str(folder / "small"))
    read = read_tags(folder / "named.root")
    assert read.metadata["speed"] == 3 and len(read.columns["event"]) == sizes[3]
    # a report has all candidates of the channels, and the tags that are used
    observed = observe_files([folder / "test.root"], Sets(str(folder / "named"), str(folder / "small"),
                                                          len(channel_set.stages) - 1))
    assert len(observed.best_tags("set").entry) == np.count_nonzero(read.columns["best"])
    classified = sum(len(part.arrays()[0]) for part in observed.scored.values())
    assert classified > sum(count for _, name, count in read.cutflow if name.endswith(": classified"))
    # a new tag classifier learns from the candidates of the level
    learned = [renew_tag_classifier(str(folder / name), [folder / "look.root"], folder / f"renewed_{name}", date=DATE,
                                    settings=replace(settings, min_entries=5), command="").manifest["tag_classifier"]
               for name in ("named", "fast")]  # the second has a first look and does not use it
    assert learned[0]["training"]["n_background"] < learned[1]["training"]["n_background"]
    # candidates of analyses, which say what they were made with, are not taken for those of another level
    said = [Loaded(SimpleNamespace(name="any", identity="any"), channel_set, one).identity["models"]
            for one in (fast, models)]
    assert said[0] != said[1] and said[0]["date"] == said[1]["date"]
    with pytest.raises(ModelSetError, match="got 99, expected 0 to"):
        add_first_look(str(folder / "models"), [folder / "look.root"], folder / "none", settings=settings, date=DATE,
                       command="", speed=99)
    with pytest.raises(ModelSetError, match="expected 0 to"):
        damaged = json.loads((folder / "named" / "manifest.json").read_text())
        damaged["first_look"]["speed"] = 99
        (folder / "named" / "manifest.json").write_text(json.dumps(damaged))
        load_model_set(folder / "named")


def test_what_is_not_made_is_chosen_where_it_saves_most():
    """Would catch a budget shared out by channel: the long list that promises little, and costs most, has to go."""
    rng = np.random.default_rng(5)
    n_long, n_short = 50_000, 500
    looked = {0: {}}
    for key, n, promised in (((1, 0), n_long, 1.0), ((1, 1), n_short, 9.0)):
        log_product = np.sort(rng.uniform(-10.0, 0.0, n))
        probability = np.exp(log_product)  # what is more probable promises more
        looked[0][key] = _Looked(log_product, np.full(n, 1.0), probability * promised / probability.sum())
    channels = [SimpleNamespace(particle="b", index=i, identifier=name, leaf=None, features=["x"])
                for i, name in enumerate(("long", "short"))]
    levels = _Levels({}, {}, [], SimpleNamespace(particles={"a": None, "b": SimpleNamespace(channels=channels)},
                                                 stages=[["b"]]))
    levels.looked = looked
    _, bounds = levels.bounds(0.0, 0.04)  # half of it: 2 % of a promise of 10
    lost = sum(of.probability[np.exp(of.log_product) <= bounds[channels[index].identifier]].sum()
               for (_, index), of in looked[0].items())
    assert 0.15 < lost <= 0.2 + 1e-9
    # where they end, the combinations of both promise the same; at the same product the short list's promise 900 times
    assert math.log(bounds["long"] / bounds["short"]) == pytest.approx(math.log(900.0), abs=0.3)
    assert math.log(bounds["long"]) > -2.5  # all but a fifth of its combinations are saved


def test_command_line(folder, models, capsys):
    """Would catch options that get lost, events that the channels know, and a speed the set does not have."""
    words = ["train", str(folder / "look.root"), "--first-look", str(folder / "models"), "--set", str(folder / "small"),
             "--min-entries", "20", "--quiet", "-o"]
    assert main([*words, str(folder / "again")]) == 0
    assert "speed 1: a first look above" in capsys.readouterr().out
    assert main(["train", str(folder / "look.root"), "--renew", str(folder / "models"), "--set", str(folder / "small"),
                 "--speed", "1", "-o", str(folder / "other"), "--quiet"]) == 2
    assert "give it with --first-look" in capsys.readouterr().err
    assert main(["train", str(folder / "train.root"), "--speed", "1", "-o", str(folder / "other"), "--quiet"]) == 2
    assert "give it with --first-look" in capsys.readouterr().err and not (folder / "other").exists()
    again = json.loads((folder / "again" / "manifest.json").read_text())["first_look"]
    assert again["levels"][0].keys() == {"lost", "least", "min_product"}
    assert main([*words, str(folder / "again")]) == 2  # exists
    assert main(["train", str(folder / "train.root"), *words[2:], str(folder / "other")]) == 2
    assert "teach its first look" in capsys.readouterr().err
    assert main(["reconstruct", str(folder / "test.root"), "--models", str(folder / "models"), "--set",
                 str(folder / "small"), "--speed", "2", "-o", str(folder / "none.root"), "--quiet"]) == 2
    assert "no first look" in capsys.readouterr().err and not (folder / "none.root").exists()
    assert load_tagger(str(folder / "again"), str(folder / "small"))[1].levels
