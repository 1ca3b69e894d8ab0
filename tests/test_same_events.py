"""Events count once: files of the same events are refused, files of different ones are told apart."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from importlib.resources import files as files_of
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from fuzz_kinds import BTAG, Btags
from toy_events import toy_batch

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import load_model_set
from fei_lite.errors import EventFileError, FeiLiteError, SimulationError
from fei_lite.events import EventWriter, concatenate
from fei_lite.events import ranges as ranges_module
from fei_lite.events.ranges import entry_ranges, read_range
from fei_lite.events.same_events import digest_of, same_sample, seed_of
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.enrichment import load_enrichment
from fei_lite.generator.generate import generate, made_by
from fei_lite.generator.processes import SEEDS, check_seed, run_number
from fei_lite.generator.settings import load_settings
from fei_lite.parallel import map_in_context, ordered_map
from fei_lite.performance.best_tags import read_best_tags
from fei_lite.performance.files import compare_files, evaluate_file
from fei_lite.tagging.driver import count_b_channels
from fei_lite.training.outcome import missing_b_channels

SMALL = (3, 4, 1, 1, 6)


def write(path, batch, **said):
    with EventWriter(path, metadata=said) as writer:
        writer.write(batch)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files whose metadata tell, and files that say nothing."""
    folder, batch = tmp_path_factory.mktemp("files"), toy_batch(6, means=SMALL)
    found = {
        "parquet": write(folder / "one.parquet", batch, process="charged", seed=1),
        "longer": write(folder / "longer.root", toy_batch(9, means=SMALL), process="charged", seed=1),
        "wrapped": write(folder / "wrapped.root", batch, process="charged", seed=1 + SEEDS),
        "two": write(folder / "two.root", batch, process="charged", seed=2),
        "selected": write(folder / "hta.root", batch, process="charged", seed=1, selection="hta", settings_digest="b"),
        "monash": write(folder / "monash.root", batch, process="charged", seed=1, settings_digest="m"),
        "other signal": write(folder / "other.root", batch, process="signal", seed=1, decay_file="b.dec"),
        "silent": write(folder / "silent.root", batch), "silent other": write(folder / "x.root", toy_batch(6, seed=3)),
        "silent parquet": write(folder / "silent.parquet", batch),
        "later": write(folder / "later.root", concatenate([batch.slice(0, 5), toy_batch(1, seed=4)]))}
    found["one"] = write(folder / "one.root", batch, process="charged", seed=1, settings_digest="b")
    for name, decays, digest in (("", "a", "x"), ("renamed ", "c", "x"), ("edited ", "a", "y")):
        found[f"{name}signal"] = write(folder / f"{name}signal.root", batch, process="signal", seed=1,
                                       decay_file=f"{decays}.dec", decay_digest=digest)
    shutil.copy(found["silent"], folder / "copy.root")
    os.symlink(found["two"], folder / "link.root")
    return found | {"copy": folder / "copy.root", "link": folder / "link.root"}


@pytest.mark.parametrize("pair, message", [
    (("one", "one"), "given twice"), (("two", "link"), r"given twice: its events|given twice \(also as"),
    (("one", "parquet"), "the same process 'charged' and seed 1"), (("one", "longer"), "the same process"),
    (("one", "wrapped"), "the same process"), (("silent", "copy"), "the same events as in"),
    (("silent", "one"), "the same events as in"), (("silent parquet", "silent"), "the same events as in"),
    (("one", "selected"), "the same process"), (("one", "monash"), None), (("selected", "monash"), None),
    (("signal", "renamed signal"), "the same process"), (("signal", "edited signal"), None),
    (("one", "two"), None), (("one", "signal"), None), (("signal", "other signal"), None), (("silent", "later"), None),
    (("silent", "silent other"), None)])
def test_the_same_events_twice(pair, message, files):
    """Would catch events that count twice in reconstruct, train, report and ntuple: all cut files by this function."""
    paths = [files[name] for name in pair]
    if message is None:
        assert len(list(entry_ranges(paths))) == 2
    else:
        with pytest.raises(EventFileError, match=message):
            list(entry_ranges(paths))
        assert len(list(entry_ranges(paths, distinct=False))) == 2


def test_seeds_are_those_that_pythia_has():
    """Would catch seeds that share a sequence of Pythia: beyond 900 000 000 they would have to."""
    for seed in (-1, SEEDS, 10**12):
        with pytest.raises(SimulationError, match="Pythia has no others"):
            check_seed(seed)
        with pytest.raises(SimulationError, match="seed"):
            next(generate("charged", 1, seed=seed))
    assert check_seed(0) == 0 and check_seed(SEEDS - 1) == SEEDS - 1
    assert seed_of({"process": "a", "seed": "1"}) is None and seed_of({"seed": 1}) is None


def test_pythias_seeds_are_one_to_one():
    """Would catch a bound that is too large: Pythia's start (ij, kl) of Marsaglia, Zaman and Tsang, by hand."""
    seeds = np.concatenate([np.arange(1, 200_000), np.arange(SEEDS - 200_000, SEEDS + 1)])
    starts = np.stack([(seeds // 30082) % 31329, seeds % 30082])
    assert len(np.unique(starts, axis=1).T) == len(seeds)
    assert SEEDS < 31329 * 30082


def test_runs_are_keys():
    """Would catch two simulated files whose events have the same experiment, run and event."""
    runs = {run_number(process, seed, decays) for process in ("charged", "mixed", "ccbar") for seed in range(3000)
            for decays in ("", "k_nunu")}
    assert len(runs) >= 18_000 - 1 and min(runs) > 0 and max(runs) < 2**31
    one, other = (next(generate("charged", 3, seed=seed)).events for seed in (1, 2))
    assert set(one["run"]) == {run_number("charged", 1)} and set(other["run"]) == {run_number("charged", 2)}
    assert one["event"].tolist() == [0, 1, 2]


def first_momenta(seed=5, **asked):
    batch = next(generate("charged", 6, seed=seed, **asked))
    particles = batch.generated
    return [particles["p4"][a:b].tobytes() for a, b in pairwise(particles.offsets)], int(batch.events["run"][0])


def test_what_makes_other_events_is_told_apart(tmp_path):
    """Would catch samples of one seed that are refused as the same though settings or an enrichment made other
    events, or that have the same run; and a selection, or a file under another name, taken for something else."""
    (usual, run), kept = first_momenta(), first_momenta(keep=lambda batch, rng: (
        np.arange(batch.n_events) % 2 == 1, np.ones(batch.n_events)))
    assert kept == (usual[1::2], run)
    text = (files_of("fei_lite.generator") / "settings_monash.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace('name = "monash"', 'name = "mine"', 1), encoding="utf-8")
    monash, mine = (load_settings(name) for name in ("monash", str(tmp_path / "mine.toml")))
    shutil.copy(str(files_of("fei_lite.generator") / "enrichment_hadronic.json"), tmp_path / "mine.json")
    enriched, same = (load_enrichment(name) for name in ("hadronic", str(tmp_path / "mine.json")))
    found = [(usual, run, made_by(None, None, None))]
    for asked, again in (({"settings": monash}, {"settings": mine}), ({"enrichment": enriched}, {"enrichment": same})):
        one, other = ((None, x.get("enrichment"), x.get("settings")) for x in (asked, again))
        assert made_by(*one) == made_by(*other)
        found.append((*first_momenta(**asked), made_by(*one)))
    for (mine_p4, mine_run, mine_made), (p4, number, made) in combinations(found, 2):
        origins = [{"process": "charged", "seed": 5, **x} for x in (mine_made, made)]
        assert set(mine_p4).isdisjoint(p4) and mine_run != number and not same_sample(*origins)


def test_a_decay_file_is_known_by_its_content(tmp_path):
    """Would catch two files of one name with other decays taken for the same, or one under another name, or with
    another comment, taken for another one."""
    shipped = read_signal_decay(Path("k_nunu"))
    (tmp_path / "k.dec").write_text(f"# mine\n{shipped.text}\n", encoding="utf-8")
    (tmp_path / "k_nunu.dec").write_text(shipped.text.replace("nu_tau", "nu_mu"), encoding="utf-8")
    same, other = (read_signal_decay(tmp_path / f"{name}.dec").digest for name in ("k", "k_nunu"))
    assert shipped.digest == same != other


def test_digest_knows_events_and_order_only():
    """Would catch a digest that depends on batches, or is blind to a key, a weight, a track or the order."""
    batch = toy_batch(40, means=SMALL)
    whole = digest_of(batch, 100)
    for cuts in ((0, 40), (0, 1, 40), (0, 7, 8, 31, 40)):
        parts = [digest_of(batch.slice(a, b), 100 + a) for a, b in pairwise(cuts)]
        assert sum(parts) % 2**64 == whole
    assert digest_of(batch, 101) != whole
    assert digest_of(concatenate([batch.slice(1, 40), batch.slice(0, 1)]), 100) != whole
    for name in ("experiment", "run", "event", "weight"):
        events = {key: values.copy() for key, values in batch.events.items()}
        events[name][3] += 1
        assert digest_of(replace(batch, events=events), 100) != whole, name
    for name, column in (("tracks", "helix"), ("tracks", "charge"), ("clusters", "E"), ("clusters", "phi")):
        objects = getattr(batch, name)
        values = objects[column].copy()
        values.reshape(-1)[5] = np.nextafter(values.reshape(-1)[5], 9) if values.dtype.kind == "f" else 7
        changed = replace(objects, columns={**objects.columns, column: values})
        assert digest_of(replace(batch, **{name: changed}), 100) != whole, (name, column)


def test_sets_are_compared_on_the_same_events_only(tmp_path):
    """Would catch the comparison of Btags of different events that have equal numbers of them."""
    paths = [tmp_path / f"{name}.root" for name in "abc"]
    for path, digest in zip(paths, ("01", "02", None)):
        Btags.make(None, path, BTAG | {"events_digest": digest, "models": path.stem})
    with pytest.raises(FeiLiteError, match="b and a are of different events: the digest of the events is 02 and 01"):
        compare_files(paths[:2], replicas=5)
    found, _ = compare_files([paths[0], paths[2]], replicas=5)
    assert len(found.notes) == 1 and found.notes[0].startswith("c: made by an earlier version")


def test_a_set_without_b_channels_is_said(tmp_path):
    """Would catch efficiencies of 0 without a word after a training on too few events."""
    channels, models = load_channel_set("hadronic"), load_model_set("fei_default")
    of_b = [c.identifier for name in ("B+", "B0") for c in channels.particles[name].channels if c.features]
    assert count_b_channels(channels, models)["trained"] > 10 and missing_b_channels(models, channels) == ""
    manifest = json.loads(json.dumps(models.manifest))
    for i, identifier in enumerate(of_b):
        manifest["channels"].pop(identifier, None)
        manifest["untrained"][identifier] = {"stage": 5, "reason": "few", "features": [], "training": {
            "n_signal": 20 if i == 3 else 2, "n_background": 900}}
    manifest["parameters"]["min_entries"] = 500
    manifest["sample"] = {"files": [{"entries": 3000}, {"entries": 1000}], "max_events": None}
    poor = replace(models, models={k: m for k, m in models.models.items() if k not in of_b}, manifest=manifest)
    assert count_b_channels(channels, poor) == {"trained": 0, "all": len(of_b)}
    text = missing_b_channels(poor, channels)
    assert f"the nearest, {of_b[3]}, has 20 and 900 from 4000 events" in text
    assert "About 100000 such events" in text  # 4000 x 500 / 20
    Btags.make(None, tmp_path / "b.root", BTAG | {"b_channels": {"trained": 0, "all": 9}})
    assert "no event can get a Btag" in evaluate_file(tmp_path / "b.root").notes[0]
    Btags.make(None, tmp_path / "c.root", BTAG)
    assert evaluate_file(tmp_path / "c.root").notes == ()


def test_weights_that_no_sum_survives(tmp_path):
    """Would catch one weight of 1e30, which hides all other events, and efficiencies over a sum of 0."""
    batch = toy_batch(5, means=SMALL)
    batch.events["weight"][3] = 1e30
    with pytest.raises(EventFileError, match=r"column 'weight': entry 3: found 1e\+30"):
        list(read_range(entry_ranges([write(tmp_path / "a.root", batch)])[0]))
    Btags.make(None, tmp_path / "b.root", BTAG | {"sum_of_weights": 0.0})
    with pytest.raises(EventFileError, match="the weights of its 40 events sum to 0"):
        read_best_tags(tmp_path / "b.root")


@pytest.mark.parametrize("workers", [0, -3])
def test_workers_are_one_or_more(workers):
    """Would catch -3 workers taken for one."""
    with pytest.raises(FeiLiteError, match=f"workers: got {workers}, expected 1 or more"):
        list(ordered_map(abs, [1], workers=workers))
    with pytest.raises(FeiLiteError, match="workers"):
        list(map_in_context(abs, [1], None, workers=workers))


def test_many_files_are_counted_when_their_turn_comes(files, monkeypatch):
    """Would catch minutes of counting before the first event; and a total that never becomes exact."""
    paths, seen = [files["one"]] * 2000, []
    describe = ranges_module.describe
    monkeypatch.setattr(ranges_module, "describe", lambda path: seen.append(path) or describe(path))
    start = time.monotonic()
    found = entry_ranges(paths, batch_size=4, distinct=False)
    first = next(iter(found))
    assert time.monotonic() - start < 5.0 and len(seen) == 1
    assert (first.start, first.stop, first.first_entry) == (0, 4, 0) and found.expected_events == 6 * 2000
    second = iter(found)
    assert [next(second).first_entry for _ in range(5)] == [0, 4, 6, 10, 12] and len(seen) == 3
    few = entry_ranges([files["one"], files["two"]], batch_size=4, max_events=9)
    assert [(r.start, r.stop, r.first_entry) for r in few] == [(0, 4, 0), (4, 6, 4), (0, 3, 6)]
    assert few.expected_events == 9 and len(few) == 3 and few[-1].stop == 3 and few[:1] == [few[0]]


def test_a_missing_file_among_many_is_said_at_once(files, tmp_path):
    """Would catch a wrong name at the end of the list that shows after hours."""
    with pytest.raises(EventFileError, match="no such file"):
        entry_ranges([files["one"]] * 100 + [tmp_path / "missing.root"], distinct=False)
    os.mkfifo(tmp_path / "pipe.root")
    with pytest.raises(EventFileError, match="not a regular file"):
        entry_ranges([tmp_path / "pipe.root"])
