"""More kinds of input: settings, requests, classifiers, checkpoints, counts; and columns whose values are damaged."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import toy_candidates
from fuzz_damage import structured, toml_text
from fuzz_kinds import BTAG, KINDS, BtagsParquet, EventsParquet, Kind, Manifest, Ntuple, Text, command, moved
from other_layouts import basf2_columns, write_trees
from toy_events import toy_batch

from fei_lite.analyses.analysis import analyse
from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.classifier import FlatTransform, FoldClassifier, load_classifier, save_classifier
from fei_lite.analyses.output import read_classifiers, write_results
from fei_lite.analyses.production.driver import with_productions
from fei_lite.analyses.production.yields import learning_seconds
from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import find_model_set, load_model_set
from fei_lite.classifiers.text import unpack
from fei_lite.data_files import toml_content
from fei_lite.events import EventWriter, open_events
from fei_lite.events.conditions import load_conditions
from fei_lite.events.inputs import event_inputs
from fei_lite.generator.decay_table import belle2_table, require_modes
from fei_lite.generator.settings import load_settings
from fei_lite.production.enrichment_rates.boosts import read_counts
from fei_lite.production.enrichment_rates.counting import ENRICHED, Channels, Lines
from fei_lite.production.learned import first_selection, load_selection
from fei_lite.training.sampling import ChannelSample
from fei_lite.variables.request import request

#: What stands in a column in place of a number.
NUMBERS = (np.nan, np.inf, -np.inf, -1, 0, 1, 2, 10**6, 2**31 - 1, -2**31, 1e30, -1e300, 1e-300, 0.5)


def _values(column, rng):
    """A column (numbers, or lists of them) with one, some or all values replaced."""
    lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    flat = column.combine_chunks().values if lists else column.combine_chunks()
    if not len(flat) or not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        return column, "nothing"
    numbers = np.array(flat.to_numpy(zero_copy_only=False))
    value = NUMBERS[int(rng.integers(len(NUMBERS)))]
    if numbers.dtype.kind in "iu":
        limits = np.iinfo(numbers.dtype)
        value = min(max(int(np.nan_to_num(value)), int(limits.min)), int(limits.max))
    rows = rng.uniform(size=len(numbers)) < float(rng.choice([1.0, 0.3, 1.5 / len(numbers)]))
    numbers[rows] = value
    flat = pa.array(numbers, flat.type)
    if lists:
        flat = type(column.combine_chunks()).from_arrays(column.combine_chunks().offsets, flat)
    return flat, f"{value} in {int(rows.sum())} of {len(rows)}"


def altered(path, rng):
    """A Parquet file with a column dropped, doubled, of another type or length, or with other values; what was done."""
    table = pq.read_table(path)
    metadata = table.schema.metadata
    i = int(rng.integers(table.num_columns))
    name, column = table.column_names[i], table.column(i)
    what = str(rng.choice(["drop", "double", "type", "null", "rows", "order", "lists", *["values"] * 7]))
    if what == "drop":
        table = table.remove_column(i)
    elif what == "double":
        table = table.append_column(name, column)
    elif what == "type":
        other = [pa.array(["x"] * len(column)), pa.array([[1.5]] * len(column)), pa.array([True] * len(column)),
                 pa.array([b"\xff"] * len(column)), pa.nulls(len(column))]
        table = table.set_column(i, name, other[int(rng.integers(len(other)))])
    elif what == "null":
        table = table.set_column(i, name, pa.array([None, *column.to_pylist()[1:]], column.type))
    elif what == "rows":
        table = table.slice(0, int(rng.choice([0, 1])))
    elif what == "order":
        table = table.take(rng.permutation(len(table)))
    elif what == "lists" and (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        rows = column.to_pylist()
        rows[int(rng.integers(len(rows)))] = []
        table = table.set_column(i, name, pa.array(rows, column.type))
    else:
        new, what = _values(column, rng)
        table = table.set_column(i, name, new)
    pq.write_table(table.replace_schema_metadata(metadata), path, write_page_checksum=True)
    return f"{name}: {what}"


class EventColumns(EventsParquet):
    """Events whose columns hold what no simulation writes; those that are read are reconstructed."""

    def make(self, path, metadata=None):
        with EventWriter(path, metadata={"process": "charged", "seed": 1, "n_generated": 12}) as writer:
            batch = toy_batch(12, means=(6, 6, 1, 1, 12))
            batch.events["beam_p4"][:] = [0.457, 0.0, 2.999, 11.005]
            writer.write(batch)
        return path

    def damaged(self, rng, path):
        shutil.copy(self.good, path)
        return altered(path, rng)

    def read(self, path):
        output = self.folder / "tags.root"
        try:
            command(["reconstruct", str(path), "-o", str(output), "--quiet"])
        finally:
            output.unlink(missing_ok=True)


class BtagColumns(BtagsParquet):
    """Btags whose columns hold what no reconstruction writes."""

    def damaged(self, rng, path):
        self.make(path, BTAG)
        return altered(path, rng)


class Candidates(Ntuple):
    """Candidates of an analysis, read and analysed to the end; half of the damage is of columns."""

    def make(self, path, said=None):
        toys = [toy_candidates.toy(process, 2500, seed=i, shift=float(process == "signal"))
                for i, process in enumerate(["signal", "charged", "mixed", "ccbar", "uubar", "ddbar"])]
        first, *self.others = toy_candidates.write_toys(self.folder, toys)
        result = analyse(read_candidates([first, *self.others], toy_candidates.HTA), toy_candidates.HTA)
        if not (self.folder / "result").exists():
            write_results(result, self.folder / "result", trained=True, published=None)
        self.classifiers = read_classifiers(self.folder / "result" / "classifier", toy_candidates.HTA)
        shutil.copy(first, path)
        return path

    def damaged(self, rng, path):
        shutil.copy(self.good, path)
        if rng.random() < 0.6:
            return altered(path, rng)
        table = pq.read_table(path)
        key, stored = next(iter(table.schema.metadata.items()))
        content, what = structured(json.loads(stored), rng)
        pq.write_table(table.replace_schema_metadata({key: json.dumps(content).encode()}), path)
        return what

    def read(self, path):
        inputs = read_candidates([path, *self.others], toy_candidates.HTA)
        result = analyse(inputs, toy_candidates.HTA, classifiers=self.classifiers)
        try:
            write_results(result, self.folder / "again", trained=False, published=None)
        finally:
            shutil.rmtree(self.folder / "again", ignore_errors=True)


class SettingsFile(Text):
    suffix = ".toml"

    def make(self, path):
        text = (files("fei_lite.generator") / "settings_monash.toml").read_text(encoding="utf-8")
        path.write_text(text.replace('name = "monash"', 'name = "mine"', 1), encoding="utf-8")
        return path

    def read(self, path):
        load_settings.__wrapped__(str(path)).lines("ccbar")


class VariablesFile(Text):
    suffix = ".toml"

    def make(self, path):
        path.write_text('variables = ["Mbc", "daughter(0, kaonID)"]\ncut = "Mbc > 5.27 and [deltaE < 0.1]"\n[names]\n'
                        'p = "daughter(1, daughter(0, useCMSFrame(p)))"\ne = "roeEextra(hta)"\n')
        return path

    def read(self, path):
        request(path)


class AnalysisClassifier(Text):
    suffix = ".json"

    def make(self, path):
        entry = next(iter(load_model_set("fei_default").manifest["channels"].values()))
        text = unpack((find_model_set("fei_default") / entry["file"]).read_bytes(), source="good")
        self.features = entry["features"]
        transform = FlatTransform(np.linspace(0.0, 1.0, 20), np.linspace(0.0, 1.0, 20))
        save_classifier(FoldClassifier(tuple(self.features), (text, text), transform, {"auc": 0.5}),
                        self.folder / "set", extra={"seed": 1})
        shutil.copy(self.folder / "set" / "classifier.json", path)
        return path

    def read(self, path):
        moved(path, self.folder / "set" / "classifier.json")
        found = load_classifier(self.folder / "set", self.features)
        found.scores(np.zeros((3, len(self.features))), np.arange(3))


def _arrays(path, rng):
    """An npz file with an array missing, doubled in size, of another kind, or with other numbers; what was done."""
    with np.load(path) as content:
        arrays = dict(content)
    name = str(rng.choice(list(arrays)))
    what = str(rng.choice(["drop", "shape", "text", "objects", "flat", "number", "number"]))
    array = arrays[name]
    if what == "drop":
        del arrays[name]
    elif what == "shape":
        arrays[name] = np.stack([array, array])
    elif what in ("text", "objects"):
        arrays[name] = np.array("x") if what == "text" else np.array([None, {}], dtype=object)
    elif what == "flat":
        arrays[name] = array.reshape(-1)[:1]
    else:
        arrays[name] = np.array(array, dtype=np.float64)
        arrays[name].reshape(-1)[:1] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    np.savez_compressed(path, **arrays)
    return f"{name}: {what}"


class Checkpoint(Kind):
    suffix = ".npz"

    def make(self, path):
        rng, sample = np.random.default_rng(1), ChannelSample(3, seed=1, cap=50)
        sample.add(rng.normal(size=(90, 3)), rng.integers(0, 2, 90), np.ones(90), rng.uniform(size=90) < 0.2)
        sample.save(path)
        return path

    def damaged(self, rng, path):
        if rng.random() < 0.5:
            return super().damaged(rng, path)
        shutil.copy(self.good, path)
        return _arrays(path, rng)

    def read(self, path):
        ChannelSample.load(path).arrays()


class Counts(Checkpoint):
    def make(self, path):
        self.channels = Channels(load_channel_set("hadronic"))
        size, n = len(Lines(521 if "mixed" not in path.name else 511).modes), len(self.channels.channels)
        modes = {code: len(require_modes(belle2_table(), code)) for code in ENRICHED}
        np.savez_compressed(path, decays=np.ones(size), **{key: np.ones((size, n)) for key in (
            "counts", "weighted", "found")}, **{f"decays_{code}": np.ones((m, 1 + n)) for code, m in modes.items()})
        return path

    def read(self, path):
        folder = self.folder / "set"
        folder.mkdir(exist_ok=True)
        moved(path, folder / "charged_1.npz")
        read_counts(folder, self.channels)


class ResumedTraining(Manifest):
    """The manifest of a training that goes on."""

    def read(self, path):
        moved(path, self.folder / "set" / "manifest.json")
        command(["report", str(self.folder / "set"), "--generate", "0", "--quiet", "--force", "-o",
                 str(self.folder / "report.html")])


class MappingFile(Text):
    """A mapping of an ntuple that is there; defects come up when it is loaded, or when the ntuple is read by it."""

    suffix = ".toml"

    def make(self, path):
        batch = toy_batch(4, truth=False)
        batch.events["event"][:] = np.arange(4)
        self.ntuple = path.with_name("theirs.root")
        write_trees(self.ntuple, basf2_columns(batch)[0])
        path.write_text(toml_text(toml_content(files("fei_lite.events") / "mappings" / "basf2_ntuple.toml")))
        return path

    def read(self, path):
        for batch in open_events(self.ntuple, mapping=path):
            assert batch.tracks["helix"].shape[1] == 5


class ConditionsFile(Text):
    suffix = ".toml"

    def make(self, path):
        path.write_text('bz = 1.5\n[beams]\nher = 7.0\nler = 4.0\ncrossing_angle = 0.083\n[interaction_point]\n'
                        'position = [0.0, 0.0, 0.0]\nsize = [0.001, 0.001, 0.03]\n[[period]]\nexperiment = 7\n'
                        'runs = [1, 5]\nbz = 1.4\n')
        return path

    def read(self, path):
        found = load_conditions(path).applied(toy_batch(3).events)
        assert np.isfinite(found["bz"]).all() and (found["bz"] != 0).all()


class FileList(Kind):
    suffix = ".txt"

    def make(self, path):
        events = path.with_name("listed.root")
        with EventWriter(events, force=True) as writer:
            writer.write(toy_batch(2))
        path.write_text(f"# events\n{events}\n{events.with_name('listed*.root')}\n")
        return path

    def read(self, path):
        for name in event_inputs([], files_from=[path])[:3]:
            next(iter(open_events(name)))


class Workspace(Text):
    """A workspace that is fitted to the end."""

    suffix = ".json"

    def make(self, path):
        path.write_text(json.dumps({"channels": [{"name": "c", "samples": [
            {"name": "s", "data": [3.0, 2.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
            {"name": "b", "data": [20.0, 10.0], "modifiers": [
                {"name": "n", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}},
                {"name": "lumi", "type": "lumi", "data": None}]}]}],
            "observations": [{"name": "c", "data": [24.0, 11.0]}], "version": "1.0.0",
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [
                {"name": "lumi", "auxdata": [1.0], "sigmas": [0.02], "bounds": [[0.9, 1.1]], "inits": [1.0]}]}}]}))
        return path

    def read(self, path):
        command(["fit", str(path)])


class PieceRecord(Text):
    """What a piece of a production says of itself; the analyses look their files up by it."""

    suffix = ".json"

    def make(self, path):
        path.write_text(json.dumps({
            "process": "charged", "seed": 1, "n_generated": 100, "luminosity_fb": 1.8e-4,
            "selection": {"name": "pairs_1", "digest": "0123456789abcdef"}, "seconds": {"tag": 1.0},
            "analyses": {"hta": {"candidates": 3, "selected": 1, "identity": toy_candidates.HTA.identity}}}))
        return path

    def read(self, path):
        said = {"fei_lite_version": "1", "settings": "belle2", "settings_digest": "0"}
        for name in ("pieces", "trials"):
            (self.folder / "production" / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "production" / "manifest.json").write_text(json.dumps(said))
        moved(path, self.folder / "production" / "pieces" / path.name)
        with_productions([self.folder / "production"], toy_candidates.HTA)
        learning_seconds(self.folder / "production")


class Selection(Text):
    """A learned selection of a production."""

    suffix = ".json"

    def make(self, path):
        shutil.move(first_selection("events", 3).save(self.folder), path)
        return path

    def read(self, path):
        load_selection(path)


ALL = (*KINDS, MappingFile, ConditionsFile, FileList,
       EventColumns, BtagColumns, Candidates, SettingsFile, VariablesFile, AnalysisClassifier, Checkpoint,
       Counts, ResumedTraining, Workspace, PieceRecord, Selection)
