"""The training driver on a few hundred events: resumable, honest about small channels, with the right prior."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from small_set import write_decays, write_small_set

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import load_model_set
from fei_lite.cli import main
from fei_lite.errors import EventFileError, FeiLiteError, ModelSetError, OutputError
from fei_lite.events import EventWriter, count_events
from fei_lite.events.inputs import event_inputs
from fei_lite.events.ranges import EntryRange, entry_ranges, evenly
from fei_lite.events.reading import open_events, origin_of
from fei_lite.parallel import Journal
from fei_lite.production.simulate import simulate, simulate_file
from fei_lite.reconstruction.engine import Hooks, NoClassifiers, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.tag_classifier import FEATURES
from fei_lite.tagging.driver import tag_files
from fei_lite.tagging.output import read_tags
from fei_lite.training.driver import Settings, _candidates, _factors, describe_samples, thin, train
from fei_lite.training.mixture import luminosity_factors
from fei_lite.training.renewal import renew_tag_classifier
from fei_lite.training.sampling import VALIDATION_EVERY
from fei_lite.training.search import CHOICES, fewer

DATE = "2026-01-01"
#: Weight of the generic events: the prior of D mesons is then far from their share of the entries.
HEAVY = 8.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Events for training and, independent, for testing: 200 rich in the decays, 200 generic ones of weight 8."""
    folder = tmp_path_factory.mktemp("training")
    write_small_set(folder / "small")
    decays = write_decays(folder / "signal.dec")
    for seed, purpose in ((1, "train"), (2, "test")):
        for name, weight, batches in (("rich", 1.0, simulate("signal", 200, seed=seed, dec_file=decays)),
                                      ("generic", HEAVY, simulate("charged", 200, seed=seed))):
            with EventWriter(folder / f"{purpose}_{name}.root") as writer:
                for batch in batches:
                    batch.events["weight"][:] = weight
                    writer.write(batch)
    return folder


@pytest.fixture(scope="module")
def samples(folder):
    return [folder / "train_rich.root", folder / "train_generic.root"]


@pytest.fixture(scope="module")
def settings(folder):
    return Settings(name="small", channel_set=str(folder / "small"), seed=3, min_entries=20, batch_size=150,
                    parameters={"n_trees": 40, "min_data_in_leaf": 10, "max_delta_step": 5.0})


@pytest.fixture(scope="module")
def channels(folder):
    return load_channel_set(folder / "small")


@pytest.fixture(scope="module")
def trained(folder, samples, settings):
    """A training that nothing disturbed."""
    return train(samples, folder / "models", settings=settings, date=DATE)


def test_samples_by_list_and_url(folder, samples, settings, trained, tmp_path):
    """Would catch a training that cannot read a list of URLs, or gives other classifiers from the same events."""
    (tmp_path / "list.txt").write_text("".join(f"file://{path}\n" for path in samples))
    found = event_inputs([f"@{tmp_path / 'list.txt'}"])
    assert describe_samples(found, settings) == describe_samples(samples, settings)
    train(found, tmp_path / "models", settings=settings, date=DATE)
    assert content(tmp_path / "models") == content(folder / "models")


def test_manifest_says_how_samples_were_read(samples, settings, tmp_path):
    """Would catch classifiers of events that a mapping or conditions changed, which do not say so."""
    (tmp_path / "c.toml").write_text("bz = 1.4\n")
    said = describe_samples(event_inputs(samples, mapping="edm4hep", conditions=tmp_path / "c.toml"), settings)
    assert list(said["mappings"]) == ["EDM4hep"]
    assert said["conditions"]["content"] == {"bz": 1.4, "period": []}
    assert said["files"] == describe_samples(samples, settings)["files"]


def content(folder):
    """Every file of a model set: name and bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def candidates(paths, channels, models):
    """Candidates of each channel, found with the finished models: features, truth, weight, number of the event."""
    found = {channel.identifier: [] for channel in channels.channels()}
    first = 0
    for batch in open_events(paths, batch_size=1000):
        def observe(channel, table, X, *, batch=batch, first=first):
            event = table.event_index
            found[channel.identifier].append((X, table["isSignal"] == 1, batch.events["weight"][event], event + first))

        reconstruct(batch, channels, models, options=ReconstructionOptions(with_truth=True),
                    hooks=Hooks(observer=observe))
        first += batch.n_events
    return {name: tuple(np.concatenate(column) for column in zip(*parts, strict=True))
            for name, parts in found.items()}


def test_every_channel_is_trained_or_listed(trained, channels, folder, settings):
    """Would catch a channel that is forgotten, or a model invented for one with too few events."""
    trained.check(channels)
    entries, untrained = trained.manifest["channels"], trained.manifest["untrained"]
    assert entries.keys() | untrained.keys() == {c.identifier for c in channels.channels()}
    assert not entries.keys() & untrained.keys()
    assert {"pi+_FSP", "K+_FSP", "gamma_FSP", "pi0_gamma_gamma", "D0_K-_pi+"} <= entries.keys()
    for entry in entries.values():
        assert min(entry["training"]["n_signal"], entry["training"]["n_background"]) >= settings.min_entries
        assert 0 < entry["n_trees"] <= 40
    for identifier, entry in untrained.items():
        few = [f"{entry['training'][f'n_{name}']} {name} entries" for name in ("signal", "background")
               if entry["training"][f"n_{name}"] < settings.min_entries]
        assert few and entry["reason"] == trained.untrained[identifier]
        assert all(text in entry["reason"] for text in [*few, "fewer than 20"])
        assert not trained.has_model(identifier)
    assert "B0_D-_pi+" in untrained  # there is no B0 in the events
    assert len(list((folder / "models" / "models").iterdir())) == len(entries)


def test_samples_are_what_the_events_hold(trained, channels, samples):
    """Would catch held-out events that are trained on, batches lost or taken twice, and weights forgotten."""
    for identifier, (_, signal, weight, event) in candidates(samples, channels, trained).items():
        held = event % VALIDATION_EVERY == VALIDATION_EVERY - 1
        entry = trained.manifest["channels"].get(identifier) or trained.manifest["untrained"][identifier]
        for name, rows in (("signal", ~held & signal), ("background", ~held & ~signal)):
            assert entry["training"][f"n_{name}"] == np.count_nonzero(rows), identifier
            assert entry["training"][f"weight_{name}"] == pytest.approx(weight[rows].sum()), identifier
        if identifier in trained.models:  # half of the held-out ones chose the number of trees
            assert entry["validation"]["n_signal"] == np.count_nonzero(held & signal) // 2
            assert entry["validation"]["n_background"] == np.count_nonzero(held & ~signal) // 2


@pytest.mark.parametrize("batch_size", [3, 4, 100])
def test_held_out_events_are_counted_over_all_files(channels, folder, samples, tmp_path, batch_size):
    """Would catch events numbered from the start of a file or a batch, where files hold no multiple of either."""
    whole = next(iter(open_events([samples[0]], batch_size=100)))
    files, first = [], 0
    for n in (7, 9, 6):
        files.append(tmp_path / f"{n}.root")
        part = whole.slice(first, first + n)
        part.events["weight"][:] = 1.0 + first + np.arange(n)  # each event says its number
        with EventWriter(files[-1]) as writer:
            writer.write(part)
        first += n
    seen = set()
    for entries in entry_ranges(files, batch_size=batch_size):
        found = _candidates(entries, (channels, NoClassifiers()), factors={}, stage=0, share=10**6, seed=1)
        for _, _, weight, held in (rows for parts in found.values() for rows in parts):
            number = np.rint(weight).astype(int) - 1
            np.testing.assert_array_equal(held, number % VALIDATION_EVERY == VALIDATION_EVERY - 1)
            seen |= set(number.tolist())
    assert seen == set(range(22))


def test_sampled_candidates_are_those_of_a_full_reconstruction(trained, channels, samples):
    """Would catch rows mixed up between choosing, fitting and filling, and a choice beyond the stage observed."""
    batch = next(iter(open_events(samples, batch_size=200)))
    chosen, some, every = {}, {}, {}

    def sampler(channel, table):
        chosen[channel.identifier] = np.flatnonzero(np.arange(len(table)) % 3 == 1)
        return chosen[channel.identifier]

    stage = len(channels.stages) - 2
    options = ReconstructionOptions(with_truth=True, last_stage=stage)
    reconstruct(batch, channels, trained, options=options, hooks=Hooks(
        sampler=sampler, observe_stage=stage,
        observer=lambda channel, table, X: some.update({channel.identifier: (table, X)})))
    reconstruct(batch, channels, trained, options=options, hooks=Hooks(
        observe_stage=stage, observer=lambda channel, table, X: every.update({channel.identifier: (table, X)})))
    assert some.keys() == every.keys() == chosen.keys() and sum(len(rows) for rows in chosen.values()) > 20
    assert {channel.particle for channel in channels.channels() if channel.identifier in some} \
        == set(channels.stages[stage])
    for identifier, rows in chosen.items():
        (table, X), (whole, full) = some[identifier], every[identifier]
        np.testing.assert_array_equal(X, full[rows])
        np.testing.assert_array_equal(table["isSignal"], whole["isSignal"][rows])
        np.testing.assert_array_equal(table.event_index, whole.event_index[rows])


def test_early_stages_use_a_fraction_of_the_events(trained, channels, folder, samples, settings, tmp_path):
    """Would catch a fraction that reaches the B's stage, or is not in the manifest and command."""
    few = train(samples, tmp_path / "few", date=DATE,
                settings=replace(settings, early_fraction=0.5, tag_classifier=False))
    every = load_model_set(folder / "models").manifest["channels"]
    for identifier in ("pi+_FSP", "pi0_gamma_gamma"):
        ratio = few.manifest["channels"][identifier]["training"]["n_signal"] / every[identifier]["training"]["n_signal"]
        assert ratio == pytest.approx(0.5, abs=0.08)
    last = [name for name, entry in every.items() if entry["stage"] == len(channels.stages) - 1]
    assert last
    found = [(few.manifest["channels"].get(name) or few.manifest["untrained"][name])["training"]["n_signal"]
             for name in last]  # the early classifiers differ a little, and so do the candidates
    assert sum(found) == pytest.approx(sum(every[name]["training"]["n_signal"] for name in last), rel=0.35)
    assert "--early-fraction 0.5" in few.manifest["command"] and few.manifest["parameters"]["early_fraction"] == 0.5
    with pytest.raises(FeiLiteError, match=r"early_fraction: got 1\.5"):
        replace(settings, early_fraction=1.5)


def test_events_for_the_last_stage_alone(trained, channels, folder, samples, settings, tmp_path):
    """Would catch events that reach an earlier stage, held-out events that change, a file that passes for unseen."""
    more = folder / "test_rich.root"
    several = train(samples, tmp_path / "several", settings=replace(settings, tag_classifier=False), date=DATE,
                    last_stage_samples=[more])
    last = len(channels.stages) - 1
    entries = several.manifest["channels"]
    assert {entry["stage"] for entry in entries.values()} >= {0, 1, last}
    for identifier, entry in entries.items():
        if entry["stage"] < last:
            assert several.models[identifier].packed == trained.models[identifier].packed, identifier
        elif identifier in trained.models:
            few = trained.manifest["channels"][identifier]["training"]["n_signal"]
            assert entry["training"]["n_signal"] > 1.5 * few
    assert [file["name"] for file in several.manifest["sample"]["files"]] == [path.name for path in (*samples, more)]
    assert several.manifest["sample"]["last_stage"] == [more.name]
    assert "--last-stage-events test_rich.root" in several.manifest["command"]
    with pytest.raises(ModelSetError, match=r"test_rich.root: was trained on"):
        renew_tag_classifier(str(tmp_path / "several"), [more], tmp_path / "new", settings=settings, date=DATE,
                             command="")


def test_the_weighted_prior_is_kept(trained, channels, folder, samples):
    """Would catch a prior of entries in place of weights. The mean prediction is the weighted share of signal: on the
    training sample because the log-loss is at its minimum there, on independent events within the errors of both
    samples (candidates of one event count as one)."""
    fitted = candidates(samples, channels, trained)
    independent = candidates([folder / "test_rich.root", folder / "test_generic.root"], channels, trained)
    pulls = {}
    for identifier, model in trained.models.items():
        X, signal, weight, event = fitted[identifier]
        used = event % VALIDATION_EVERY != VALIDATION_EVERY - 1
        share = np.average(signal[used], weights=weight[used])
        # each tree sees a random half: the minimum is met within the fluctuation of the signal in it
        close = pytest.approx(share, rel=0.1 + 1.0 / np.sqrt(model.entry["training"]["n_signal"]))
        assert np.average(model.predict(X[used]), weights=weight[used]) == close, identifier
        if model.entry["training"]["n_signal"] < 100:
            continue  # with so few the model is fitted to single candidates
        X, signal, weight, event = independent[identifier]
        per_event = np.bincount(event, weights=weight * (model.predict(X) - signal))
        pulls[identifier] = per_event.sum() / np.sqrt(2.0 * np.sum(per_event**2))
    assert len(pulls) >= 4
    assert max(map(abs, pulls.values())) < 3.5, pulls
    ratio = {name: signal.mean() / np.average(signal, weights=weight) for name, (_, signal, weight, _) in fitted.items()
             if name in trained.models}
    assert max(ratio.values()) > 1.3, ratio  # entries without weights would be noticed


def test_reliability_on_held_out_events(trained):
    """Would catch probabilities that are none: the log-loss must beat the constant prior on events held out."""
    for identifier, entry in trained.manifest["channels"].items():
        held, training = entry["validation"], entry["training"]
        if min(held["n_signal"], held["n_background"]) < 20:
            continue
        prior = training["weight_signal"] / (training["weight_signal"] + training["weight_background"])
        share = held["weight_signal"] / (held["weight_signal"] + held["weight_background"])
        constant = -share * np.log(prior) - (1 - share) * np.log(1 - prior)
        assert held["log_loss"] < constant, identifier
        assert held["auc"] > 0.5 + 2 * held["auc_uncertainty"], identifier


def test_manifest_says_what_was_done(trained, channels, samples, settings):
    """Would catch a set that nobody can reproduce: seeds, settings, versions and the events' SHA-256."""
    manifest = trained.manifest
    assert [{key: file[key] for key in ("name", "entries", "sha256")} for file in manifest["sample"]["files"]] == [
        {"name": path.name, "entries": count_events(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in samples]
    assert [file["origin"] for file in manifest["sample"]["files"]] == [origin_of(path) for path in samples]
    assert manifest["sample"]["max_events"] is None and manifest["sample"]["validation_every"] == VALIDATION_EVERY
    assert (manifest["name"], manifest["date"], manifest["seed"]) == ("small", DATE, settings.seed)
    assert manifest["channel_set"] == {"name": "small", "hash": channels.hash}
    assert manifest["versions"]["lightgbm"] == version("lightgbm")
    for name, value in {"n_trees": 40, "min_data_in_leaf": 10, "min_entries": 20, "max_entries": 150_000}.items():
        assert manifest["parameters"][name] == value
    seeds = [entry["seed"] for entry in manifest["channels"].values()]
    assert len(set(seeds)) == len(seeds)
    assert manifest["command"] == ("fei-lite train train_rich.root train_generic.root --name small --set small "
                                   "--seed 3 --max-entries 150000 --min-entries 20 -o small")
    assert str(samples[0].parent) not in json.dumps(manifest)  # where the events were is nobody's business
    stages = {identifier: entry["stage"] for identifier, entry in manifest["channels"].items()}
    assert stages == {c.identifier: i for i, names in enumerate(channels.stages) for name in names
                      for c in channels.particles[name].channels if c.identifier in stages}


def test_a_folder_with_the_name_of_a_shipped_set(trained, folder, samples, settings, tmp_path, monkeypatch):
    """Would catch stages that are built with the shipped classifiers of that name, in place of those just trained."""
    monkeypatch.chdir(tmp_path)
    made = train(samples, Path("fei_default"), settings=settings, date=DATE)
    assert made.name == settings.name and made.digest == trained.digest
    assert content(tmp_path / "fei_default") == content(folder / "models")


def test_processes_and_batches_do_not_matter(trained, channels, folder, samples, settings, tmp_path):
    """Would catch models that depend on the events of a batch, or on the number of processes: of the last stage (every
    step starts its own) and of the tag classifier."""
    other = replace(settings, batch_size=90)
    with pytest.raises(KeyboardInterrupt):
        train(samples, tmp_path / "models", settings=other, date=DATE,
              report=Stop(f"stage {len(channels.stages) - 2}: fit", 2))
    train(samples, tmp_path / "models", settings=replace(other, workers=2), date=DATE)
    assert content(tmp_path / "models") == content(folder / "models")


def test_last_classifier_learns_from_events_that_no_channel_saw(channels, folder, samples, settings, tmp_path):
    """Would catch the events of the channels used again, more events left out, and a manifest silent about them."""
    more = [folder / "test_rich.root", folder / "test_generic.root"]
    whole = train(samples, tmp_path / "models", settings=settings, date=DATE, tag_classifier_samples=more)

    def true_tags(paths):
        """Numbers of the events of true tag candidates, over all files."""
        first, found = 0, []
        for batch in open_events(paths, batch_size=1000):
            result = reconstruct(batch, channels, whole)
            found += [table.event_index[table["isSignal"] == 1] + first
                      for table in (result.tables[name] for name in channels.tags)]
            first += batch.n_events
        return np.concatenate(found)

    own, others = true_tags(samples), true_tags(more)
    fifth = own[own % VALIDATION_EVERY == VALIDATION_EVERY - 1]
    training = (np.count_nonzero((fifth // VALIDATION_EVERY) % VALIDATION_EVERY != VALIDATION_EVERY - 1)
                + np.count_nonzero(others % VALIDATION_EVERY != VALIDATION_EVERY - 1))
    assert training > 30
    assert whole.manifest["tag_classifier"]["training"]["n_signal"] == training
    assert whole.tag_classifier is not None and whole.tag_classifier.features == FEATURES
    assert [file["name"] for file in whole.manifest["sample"]["tag_classifier"]] == [path.name for path in more]
    assert whole.manifest["command"].endswith("--tag-classifier-events test_rich.root test_generic.root -o small")
    with pytest.raises(ModelSetError, match="another sample"):
        train(samples, tmp_path / "models", settings=settings, date=DATE, tag_classifier_samples=more[:1])
    with pytest.raises(FeiLiteError, match="leave one of the two out"):
        train(samples, tmp_path / "other", settings=replace(settings, tag_classifier=False), date=DATE,
              tag_classifier_samples=more)


def test_a_new_last_classifier(folder, samples, settings, trained, tmp_path, monkeypatch):
    """Would catch the old tag classifier among the features of the new one, channels that change, a silent manifest,
    and a new one that learns from what the channels know by heart."""
    more = [folder / "test_rich.root", folder / "test_generic.root"]

    def renew(name, *, models=folder / "models", events=more, **changes):
        return renew_tag_classifier(str(models), events, tmp_path / name, settings=replace(settings, **changes),
                                    date=DATE,
                              command=f"make {name}")

    new = renew("new")
    again = renew("again", models=tmp_path / "new")
    assert new.tag_classifier.packed == again.tag_classifier.packed and new.given_bb is None
    assert "no_tag_classifier" not in new.manifest
    assert {name: model.packed for name, model in new.models.items()} == {
        name: model.packed for name, model in trained.models.items()}
    simulate_file("ccbar", tmp_path / "ccbar.root", n=2000, seed=9)
    calibrated = []  # on which candidates
    monkeypatch.setattr("fei_lite.training.tag_classifier._calibrated",
                        lambda fitted, measured: calibrated.append(measured) or fitted)
    mixture = renew("mixture", events=[*more, tmp_path / "ccbar.root"])
    with_continuum, of_bb = (np.concatenate([rows.is_bb for rows in measured]) for measured in calibrated)
    assert np.all(of_bb) and len(of_bb) == np.count_nonzero(with_continuum) < len(with_continuum)
    assert all(np.all(rows.measures) for rows in calibrated[0])
    # fitted on the B Bbar events alone
    assert mixture.given_bb.packed == new.tag_classifier.packed != mixture.tag_classifier.packed
    assert mixture.digest != new.digest
    origin = new.manifest["tag_classifier"]["origin"]
    assert (origin["command"], origin["date"]) == ("make new", DATE)
    assert new.manifest["command"] == trained.manifest["command"]
    assert [file["name"] for file in origin["sample"]["files"]] == [path.name for path in more]
    with pytest.raises(ModelSetError, match=r"train_rich.root: was trained on .* cannot teach its tag classifier"):
        renew("own", events=samples)
    with pytest.raises(OutputError, match="exists already"):
        renew("new")
    with pytest.raises(ModelSetError, match=r"the tag classifier: only .* Give more events"):
        renew("few", min_entries=10**6)
    assert not (tmp_path / "own").exists() and not (tmp_path / "few").exists()


def test_a_missing_forest_for_bb_says_why(trained, folder, samples, settings, tmp_path, monkeypatch):
    """Would catch a SignalProbabilityGivenBB that silently falls back because B Bbar events were too few."""
    from fei_lite.training import renewal

    def few_in_bb(*arguments, **options):
        fitted, _ = fit_tag_classifier(*arguments, **options)
        return fitted, replace(fitted, text="", reason="only 3 signal entries, fewer than 5")

    fit_tag_classifier = renewal.fit_tag_classifier
    monkeypatch.setattr(renewal, "fit_tag_classifier", few_in_bb)
    models = renew_tag_classifier(str(folder / "models"), [folder / "test_rich.root"], tmp_path / "few_bb",
                            settings=settings, date=DATE, command="make few_bb")
    assert models.given_bb is None
    assert models.manifest["no_tag_classifier_given_bb"] == "only 3 signal entries, fewer than 5"
    monkeypatch.setattr(renewal, "fit_tag_classifier", fit_tag_classifier)
    again = renew_tag_classifier(str(tmp_path / "few_bb"), [folder / "test_rich.root"], tmp_path / "again_bb",
                           settings=settings, date=DATE, command="make again_bb")
    assert "no_tag_classifier_given_bb" not in again.manifest


@pytest.mark.parametrize("option", ["--max-entries", "--early-fraction", "--last-stage-events"])
def test_settings_of_the_channels_do_not_go_with_renew(samples, tmp_path, capsys, option):
    """Would catch a setting that a user gives and that changes nothing."""
    value = {"--max-entries": "1000", "--early-fraction": "0.5", "--last-stage-events": "more.root"}[option]
    assert main(["train", str(samples[0]), "--renew", "extended", option, value, "-o", str(tmp_path / "new")]) != 0
    assert f"{option} is for a training of the channels" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_some_events_are_taken_from_all_files():
    """Would catch --max-events that takes all of the first files and none of the last: another mixture."""
    sizes, ranges = (70, 1, 25, 400), []
    for file, size in enumerate(sizes):
        ranges += [EntryRange(f"{file}.root", start, min(start + 30, size), sum(sizes[:file]) + start, file)
                   for start in range(0, size, 30)]
    for n in (1, 7, 100, 495, 496, 10_000):
        kept = [sum(r.stop - r.start for r in evenly(ranges, n) if r.file == file) for file in range(len(sizes))]
        assert sum(kept) == min(n, sum(sizes))
        np.testing.assert_allclose(kept, np.array(sizes) * sum(kept) / sum(sizes), atol=1.0)
    assert evenly(ranges, None) == ranges


def test_files_of_one_luminosity(folder, samples, settings, tmp_path):
    """Would catch a mixture in which a small file of continuum counts as much continuum as it has events."""
    short = replace(settings, max_events=250, min_entries=10**6, tag_classifier=False)
    charged, ccbar = tmp_path / "charged.root", tmp_path / "ccbar.root"
    for path, process, n in ((charged, "charged", 100), (ccbar, "ccbar", 60)):
        simulate_file(process, path, n=n, seed=7)
    scaled = train([charged, ccbar], tmp_path / "same", settings=replace(short, same_luminosity=True), date=DATE)
    counted = train([charged, ccbar], tmp_path / "counted", settings=short, date=DATE)
    one = train([charged], tmp_path / "one", settings=short, date=DATE)
    factor = origin_of(charged)["luminosity_fb"] / origin_of(ccbar)["luminosity_fb"]
    assert factor > 3.0  # ccbar has the larger cross section
    pion = [models.manifest["untrained"]["pi+_FSP"]["training"]["weight_signal"] for models in (one, counted, scaled)]
    # every fifth event is held out by its number in all files: 100 is a multiple of 5
    assert pion[2] - pion[0] == pytest.approx(factor * (pion[1] - pion[0]))
    for name, n in (("charged", 100), ("ccbar", 300)):
        simulate_file(name, tmp_path / f"more_{name}.root", n=n, seed=8)
    # a fifth of the first two files is used, the others are whole: 120 charged and 312 ccbar
    several = luminosity_factors([(charged, 0.2), (ccbar, 0.2), (tmp_path / "more_charged.root", 1.0),
                                  (tmp_path / "more_ccbar.root", 1.0)])
    assert several[str(charged)] == several[str(tmp_path / "more_charged.root")] == 1.0
    assert several[str(ccbar)] == several[str(tmp_path / "more_ccbar.root")] == pytest.approx(
        factor * (120 / 100) / (312 / 60))
    parts = _factors([charged, ccbar], [tmp_path / "more_charged.root"], [], 1.0)
    assert parts["early"][str(ccbar)] == pytest.approx(factor)
    assert parts["last_stage"][str(ccbar)] == pytest.approx(factor * 2.0)  # twice the charged events
    assert scaled.manifest["sample"]["last_stage_factors"] == {"charged.root": 1.0, "ccbar.root": pytest.approx(factor)}
    assert "--same-luminosity" in scaled.manifest["command"] and "last_stage_factors" not in counted.manifest["sample"]
    # of the first file two events in five are taken, and a fifth of these teaches the tag classifier; of ccbar all
    some = train([charged], tmp_path / "some", settings=replace(short, max_events=40, tag_classifier=True,
                                                                same_luminosity=True),
                 date=DATE, tag_classifier_samples=[ccbar])
    assert some.manifest["sample"]["tag_classifier_factors"] == {
        "charged.root": 1.0, "ccbar.root": pytest.approx(factor * 0.4 * 0.2)}
    with pytest.raises(EventFileError, match=r"train_generic.root: luminosity_fb: got None, expected a positive"):
        train([charged, samples[1]], tmp_path / "no", settings=replace(short, same_luminosity=True), date=DATE)


# Interruptions


class Stop:
    """A report that interrupts the training at a step."""

    def __init__(self, what, done):
        self.step = (what, done)

    def __call__(self, what, done, total):
        if (what, done) == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("what,done", [("stage 0: fit", 2), ("stage 2: reconstruct", 400), ("stage 3: fit", 2)])
def test_resumed_training_is_the_same(trained, folder, samples, settings, tmp_path, what, done):
    """Would catch channels lost, repeated or trained on other candidates after an interruption."""
    again = tmp_path / "models"
    with pytest.raises(KeyboardInterrupt):
        train(samples, again, settings=settings, date=DATE, report=Stop(what, done))
    finished = content(again)
    half = load_model_set(again)
    stages = [entry["stage"] for part in ("channels", "untrained") for entry in half.manifest[part].values()]
    assert all(stage <= int(what[6]) for stage in stages)
    assert stages.count(int(what[6])) == (done if "fit" in what else 0)

    steps = []
    train(samples, again, settings=settings, date="2030-01-01", report=lambda *step: steps.append(step))
    assert content(again) == content(folder / "models")
    assert {name: data for name, data in content(again).items() if name in finished and "models/" in name} == {
        name: data for name, data in finished.items() if "models/" in name}
    assert not any(int(step[0][6]) < int(what[6]) for step in steps)  # finished stages are left alone

    train(samples, again, settings=settings, date=DATE, report=lambda *step: pytest.fail(f"nothing to do: {step}"))


def test_an_interrupted_step_goes_on_with_its_journal(trained, folder, samples, settings, tmp_path):
    """Would catch candidates lost, doubled or sampled anew when a step is interrupted, in the tag classifier's too."""
    again, kept = tmp_path / "models", replace(settings, journal=True)
    for what, done in (("stage 2: reconstruct", 400), (f"stage {len(load_channel_set(settings.channel_set).stages)}: "
                                                       "reconstruct", 400)):
        with pytest.raises(KeyboardInterrupt):
            train(samples, again, settings=kept, date=DATE, report=Stop(what, done))
        assert Journal.beside(again).stat().st_size > 1000
        if "2:" in what:
            half = Journal.beside(again).read_bytes()
    assert half.splitlines()[0] != Journal.beside(again).read_bytes().splitlines()[0]  # of another step
    train(samples, again, settings=kept, date=DATE)
    assert content(again) == content(folder / "models") and not Journal.beside(again).exists()


def test_killed_training(trained, folder, samples, settings, tmp_path):
    """Would catch a folder that a killed process (no time for any clean-up) leaves unusable."""
    again = tmp_path / "models"
    program = f"""
import os
from pathlib import Path
from fei_lite.training.driver import Settings, train
def report(what, done, total):
    if (what, done) == ("stage 0: fit", 3):
        (Path({str(again)!r}) / ".manifest.1-2.part.json").write_text("half of")
        os._exit(9)
train([Path(p) for p in {[str(path) for path in samples]!r}], Path({str(again)!r}), date={DATE!r}, report=report,
      settings={settings!r})
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 9
    assert len(load_model_set(again).manifest["channels"]) == 3
    train(samples, again, settings=settings, date=DATE)
    assert {n: data for n, data in content(again).items() if ".part" not in n} == content(folder / "models")


def test_a_folder_used_twice_in_one_process(folder, samples, settings, tmp_path):
    """Would catch stages, or Btags, reconstructed with the models of an earlier training of that name."""
    def tag(models, name):
        tag_files(samples[:1], tmp_path / name, models=str(models), channel_set=settings.channel_set, max_events=50)
        columns, flow, _ = read_tags(tmp_path / name)
        return columns["SignalProbability"].tolist(), flow

    first = replace(settings, max_events=200, min_entries=10)
    other = replace(first, seed=8, parameters={"n_trees": 3, "min_data_in_leaf": 10})
    same, fresh = tmp_path / "same", tmp_path / "fresh"
    train(samples, same, settings=first, date=DATE)
    tags = tag(same, "first.root")
    shutil.rmtree(same)
    for models in (same, fresh):
        train(samples, models, settings=other, date=DATE)
    assert content(same) == content(fresh)
    assert tag(same, "same.root") == tag(fresh, "fresh.root") != tags


@pytest.mark.parametrize("changed,what", [
    ({"seed": 4}, "seed"), ({"name": "other"}, "name"), ({"min_entries": 30}, "parameters"),
    ({"max_entries": 1000}, "parameters"), ({"parameters": {"n_trees": 41}}, "parameters"),
    ({"max_events": 100}, "sample")])
def test_other_settings_do_not_resume(trained, folder, samples, settings, changed, what):
    """Would catch one set made by two different trainings."""
    before = content(folder / "models")
    with pytest.raises(ModelSetError, match=f"belongs to a training with another {what}"):
        train(samples, folder / "models", settings=replace(settings, **changed), date=DATE)
    assert content(folder / "models") == before


def test_other_events_or_channels_do_not_resume(trained, folder, samples, settings, tmp_path):
    """Would catch a resumed training on other events, in another order, or for channels with other cuts."""
    copy = shutil.copytree(folder / "models", tmp_path / "models")
    for paths in (samples[:1], samples[::-1], [folder / "test_rich.root", samples[1]]):
        with pytest.raises(ModelSetError, match="another sample"):
            train(paths, copy, settings=settings, date=DATE)
    small = shutil.copytree(folder / "small", tmp_path / "small")
    file = small / "D0.toml"
    file.write_text(file.read_text().replace("1.7 < M", "1.75 < M"))
    with pytest.raises(ModelSetError, match="another channel_set"):
        train(samples, copy, settings=replace(settings, channel_set=str(small)), date=DATE)
    assert content(copy) == content(folder / "models")


# The search for settings


def test_search_is_written_and_resumed(samples, settings, tmp_path):
    """A search in a whole training: catches settings that are found but not used, and a search that an
    interruption repeats with another result."""
    searching = replace(settings, search=True, parameters=None)
    whole = train(samples, tmp_path / "whole", settings=searching, date=DATE)
    found = whole.manifest["search"]
    assert set(found) == {str(entry["stage"]) for entry in [*whole.manifest["channels"].values(),
                                                            *whole.manifest["untrained"].values()]}
    assert all(set(row["tried"]) == set(CHOICES) for row in found.values())
    assert any(row["channels"] for row in found.values())
    for row in found.values():
        best = max(row["tried"], key=lambda choice: row["tried"][choice]["gain"])
        assert list(CHOICES).index(row["chosen"]) <= list(CHOICES).index(best)  # as good, and simpler
        assert row["parameters"] == CHOICES[row["chosen"]]

    class Interrupted(Exception):
        pass

    def stop(what, done, total):
        if what == "stage 0: fit" and done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(samples, tmp_path / "resumed", settings=searching, date=DATE, report=stop)
    train(samples, tmp_path / "resumed", settings=searching, date=DATE)
    assert content(tmp_path / "resumed") == content(tmp_path / "whole")
    with pytest.raises(FeiLiteError, match="either the search or the settings"):
        replace(settings, search=True)


# Limits and bad input


def test_fewer_candidates_weigh_as_much():
    """Would catch a search that sees another prior."""
    y = np.arange(1000) % 10 == 0
    weight = np.linspace(0.1, 2.0, 1000)
    X, few, scaled = fewer((np.arange(1000.0)[:, None], y, weight), 200, seed=1)
    assert np.count_nonzero(few) == 100 and np.count_nonzero(~few) == 200
    for label in (False, True):
        assert scaled[few == label].sum() == pytest.approx(weight[y == label].sum())
    np.testing.assert_array_equal(few, y[X[:, 0].astype(int)])


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_thinning_is_unbiased(spread):
    """Would catch a class that grows or shrinks when it is thinned: sums of weights stay right on average."""
    rng = np.random.default_rng(6)
    y = (rng.random(5000) < 0.1).astype(int)
    weight = np.exp(spread * rng.normal(size=5000))
    sums, sizes = [], []
    for _ in range(400):
        rows, kept = thin(y, weight, 100, rng)
        assert np.all(np.diff(rows) > 0)
        sums.append([kept[y[rows] == k].sum() for k in (0, 1)])
        sizes.append([np.count_nonzero(y[rows] == k) for k in (0, 1)])
    truth = np.array([weight[y == k].sum() for k in (0, 1)])
    error = np.std(sums, axis=0) / np.sqrt(400)
    assert np.all(np.abs(np.mean(sums, axis=0) - truth) < 4 * error)
    expected = [np.minimum(1.0, 100 * weight[y == k] / weight[y == k].sum()).sum() for k in (0, 1)]
    assert np.all(np.abs(np.mean(sizes, axis=0) - expected) < 4 * 10 / np.sqrt(400))


def test_cap_on_the_samples(trained, samples, settings, tmp_path):
    """Would catch memory without bounds, or a prior that the cap changes."""
    capped = train(samples, tmp_path / "models", date=DATE, settings=replace(settings, max_entries=60, batch_size=100))
    assert capped.manifest["channels"]
    for identifier in ("pi+_FSP", "K+_FSP", "gamma_FSP"):  # later stages see other candidates
        ours = capped.manifest["channels"][identifier]["training"]
        theirs = trained.manifest["channels"][identifier]["training"]
        for name in ("signal", "background"):
            assert ours[f"n_{name}"] == 60 < theirs[f"n_{name}"]
            # each of 4 batches keeps about 200 of a class at random: 4 % on the sum
            assert ours[f"weight_{name}"] == pytest.approx(theirs[f"weight_{name}"], rel=0.16)
    for entry in capped.manifest["channels"].values():
        assert max(entry["training"]["n_signal"], entry["training"]["n_background"]) <= 60


def test_events_without_truth(samples, settings, tmp_path):
    """Would catch data taken for background: training needs truth."""
    with EventWriter(tmp_path / "data.root") as writer:
        for batch in open_events(samples[:1], batch_size=50, entry_range=(0, 50)):
            writer.write(replace(batch, generated=None))
    with pytest.raises(EventFileError, match=r"data\.root: no list 'generated'"):
        train([tmp_path / "data.root"], tmp_path / "models", settings=settings, date=DATE)


def test_wrong_input_makes_no_folder(samples, settings, tmp_path):
    """Would catch an empty model set left by a mistyped name, which then blocks the right command."""
    with pytest.raises(EventFileError, match="no such file"):
        train([*samples, tmp_path / "none.root"], tmp_path / "models", settings=settings, date=DATE)
    for changed in ({"channel_set": "nope"}, {"batch_size": 0}, {"max_entries": 0}, {"max_events": 0}):
        with pytest.raises(FeiLiteError):
            train(samples, tmp_path / "models", settings=replace(settings, **changed), date=DATE)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "models").write_text("mine")
    with pytest.raises(OutputError, match="no folder can be made there"):
        train(samples, tmp_path / "models", settings=settings, date=DATE)
    assert (tmp_path / "models").read_text() == "mine"
