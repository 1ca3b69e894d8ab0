"""The kinds of input of fei-lite: an undamaged file of each, its damage, and what reads it."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from importlib.resources import files
from io import StringIO
from pathlib import Path

import numpy as np
from fuzz_damage import raw, structured, toml_text
from toy_events import assert_same, toy_batch

from fei_lite.analyses.candidates.files import VERSION, read_candidates
from fei_lite.analyses.candidates.ntuple import write_ntuple
from fei_lite.analyses.folders import load_analysis
from fei_lite.channels import load_channel_set
from fei_lite.channels.files import find_channel_set
from fei_lite.classifiers.model_set import find_model_set, load_model_set
from fei_lite.classifiers.text import unpack
from fei_lite.classifiers.trees import parse_trees
from fei_lite.cli import main
from fei_lite.data_files import read_bytes, read_text, toml_content
from fei_lite.detector.response import load_response
from fei_lite.errors import FeiLiteError
from fei_lite.events import EventWriter, open_events
from fei_lite.events.reading import describe
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.enrichment import load_enrichment
from fei_lite.production.selections import load_selections
from fei_lite.roe.masks import load_masks
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.tagging.output import TagWriter, read_tags

SMALL = (3, 4, 1, 1, 6)


def command(words):
    """Run a command here; its error as the exception that it prints."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
        code = main(words)
    if code == 2:
        raise FeiLiteError(said.getvalue().strip().partition("Error: ")[2])
    if code not in (0, 1):
        raise RuntimeError(f"exit code {code}: {said.getvalue()}")


def moved(path, target):
    """Put a file, or whatever it is, to another place."""
    if target.is_dir() and not target.is_symlink():
        target.rmdir()
    target.unlink(missing_ok=True)
    if os.path.lexists(path):
        shutil.copy(path, target) if path.name.startswith("good") else os.rename(path, target)


class Kind:
    """A kind of input: an undamaged file, damage of it, and what reads it."""

    suffix = ""

    def __init__(self, folder):
        self.folder = folder / type(self).__name__
        self.folder.mkdir()
        self.good = self.make(self.folder / f"good{self.suffix}")
        self.read(self.good)  # undamaged it is read

    def damaged(self, rng, path):
        """Write a damaged copy to ``path``; says what was done."""
        data, what = raw(self.good.read_bytes(), rng)
        path.write_bytes(data)
        return what

    def make(self, path):
        """Write an undamaged file."""
        raise NotImplementedError

    def read(self, path):
        """Read it; raises :class:`FeiLiteError` or nothing."""
        raise NotImplementedError

    def unread(self, path):
        """Nothing is left of it, beside what :meth:`read` finished."""


class Events(Kind):
    suffix = ".root"
    metadata = json.dumps({"schema_version": 1, "metadata": {"process": "charged", "seed": 1}})

    def make(self, path, metadata=None):
        with EventWriter(path, metadata={"process": "charged", "seed": 1, "n_generated": 12}) as writer:
            self.metadata = writer._metadata
            writer._metadata = metadata or self.metadata
            writer.write(toy_batch(12, means=SMALL))
        return path

    def damaged(self, rng, path):
        if rng.random() < 0.75:
            return super().damaged(rng, path)
        content, what = structured(json.loads(self.metadata), rng)
        self.make(path, json.dumps(content))
        return what

    def read(self, path):
        describe(path)
        output = path.with_name(f"copy{self.suffix}")
        try:
            with EventWriter(output) as writer:
                for batch in open_events(path, batch_size=5):
                    writer.write(batch)
            if path != self.good:
                for mine, theirs in zip(open_events(output), open_events(self.good), strict=True):
                    assert_same(mine, theirs)
        finally:
            output.unlink(missing_ok=True)


class EventsParquet(Events):
    suffix = ".parquet"


class Mdst(Kind):
    suffix = ".root"

    def make(self, path):
        shutil.copy(Path(os.environ["FEI_LITE_TEST_DATA"]) / "basf2_mdst" / "mdst-v06-00-00.root", path)
        path.chmod(0o600)
        return path

    def read(self, path):
        describe(path)
        for _ in open_events(path, batch_size=5):
            pass


BTAG = {
    "n_events": 40, "sum_of_weights": 40.0, "sum_of_squared_weights": 40.0, "models": "fei_default",
    "channel_set": "hadronic", "inputs": ["a.root"], "events_digest": "00ff", "b_channels": {"trained": 9, "all": 9},
    "event_types": {"B+B-": {"n_events": 40, "sum_of_weights": 40.0, "sum_of_squared_weights": 40.0}}}


class Btags(Kind):
    suffix = ".root"
    def make(self, path, said=None):
        rng, n = np.random.default_rng(1), 30
        columns = {"entry": np.arange(n), "event": np.arange(n), "pdg": np.full(n, 521, np.int32),
                   "decayModeID": np.zeros(n, np.int32), "SignalProbability": rng.uniform(size=n),
                   "Mbc": rng.normal(5.28, 0.003, n), "deltaE": rng.normal(0, 0.02, n), "weight": np.ones(n),
                   "best": np.ones(n, np.int8), "isSignal": rng.integers(0, 2, n).astype(np.int8),
                   "mcPDG": np.full(n, 521, np.int32), "decayChain": np.array(["B+ -> x"] * n, dtype=object),
                   "track_index": (np.arange(n + 1) * 2, np.arange(2 * n, dtype=np.int32))}
        with TagWriter(path) as writer:
            writer.write(columns)
            writer.finish([("events", "all: read", 40), ("events", "all: tagged", n), ("events", "all: untagged", 10)],
                          said or BTAG)
        return path

    def damaged(self, rng, path):
        if rng.random() < 0.6:
            return super().damaged(rng, path)
        content, what = structured(BTAG, rng)
        self.make(path, content)
        return what

    def read(self, path):
        read_tags(path)
        table = path.with_name("table.txt")
        for options in ([], ["--purities", "0.3", "--replicas", "5"]):
            try:
                command(["evaluate", str(path), *options, "-o", str(table)])
            finally:
                if table.exists() and not table.read_text().endswith("\n"):
                    raise RuntimeError("half a table was left")
                table.unlink(missing_ok=True)


class BtagsParquet(Btags):
    suffix = ".parquet"


NTUPLE = {
    "analysis": "hta", "version": VERSION, "models": {"name": "m"}, "recipe": load_analysis("hta").identity,
    "sources": [
        {"source": {"file": "a.root", "process": "charged", "seed": 1, "n_generated": 9, "n_events": 9, "options": {}},
         "counts": {"bbbar": {"events read": [9, 9.0]}}}]}


class Ntuple(Kind):
    suffix = ".parquet"
    def make(self, path, said=None):
        write_ntuple(path, {"weight": np.ones(5), "source": np.zeros(5, np.int32), "event": np.arange(5),
                            "q2": np.arange(5.0)}, said or NTUPLE)
        return path

    def damaged(self, rng, path):
        if rng.random() < 0.4:
            return super().damaged(rng, path)
        content, what = structured(NTUPLE, rng)
        self.make(path, content)
        return what

    def read(self, path):
        read_candidates([path], load_analysis("hta"))


class Text(Kind):
    """A text of structure; half of the damage is raw, half is of the structure."""

    def original(self):
        """Where an undamaged one is."""
        raise NotImplementedError

    def make(self, path):
        path.write_bytes(self.original().read_bytes())
        return path

    def damaged(self, rng, path):
        if rng.random() < 0.4:
            return super().damaged(rng, path)
        if self.suffix == ".toml":
            content, what = structured(toml_content(self.good), rng)
            path.write_text(toml_text(content), encoding="utf-8", errors="replace")
        else:
            content, what = structured(json.loads(self.good.read_text()), rng)
            path.write_text(json.dumps(content))
        return what


class Manifest(Text):
    suffix = ".json"
    kept = 2

    def make(self, path):
        folder = find_model_set("fei_default")
        content = json.loads((folder / "manifest.json").read_text())
        content["channels"] = dict(list(content["channels"].items())[:self.kept])
        content["untrained"] = dict(list(content["untrained"].items())[:1])
        shutil.rmtree(self.folder / "set", ignore_errors=True)
        (self.folder / "set" / "models").mkdir(parents=True)
        for entry in content["channels"].values():
            shutil.copy(folder / entry["file"], self.folder / "set" / entry["file"])
        path.write_text(json.dumps(content))
        return path

    def read(self, path):
        moved(path, self.folder / "set" / "manifest.json")
        models = load_model_set(self.folder / "set")
        for model in models.models.values():
            model.predict(np.zeros((2, len(model.features))))


class ModelText(Kind):
    suffix = ".txt"

    def make(self, path):
        packed = sorted((find_model_set("fei_default") / "models").glob("*.gz"), key=lambda p: p.stat().st_size)[0]
        path.write_text(unpack(packed.read_bytes(), source="good"))
        return path

    def read(self, path):
        text = read_text(path)  # as a model set gives it, from a file with a checksum
        model = parse_trees(text, source=str(path))
        model.probability(np.random.default_rng(1).normal(size=(5, len(model.feature_names))))


class PackedModel(ModelText):
    suffix = ".txt.gz"

    def make(self, path):
        packed = sorted((find_model_set("fei_default") / "models").glob("*.gz"), key=lambda p: p.stat().st_size)[0]
        shutil.copy(packed, path)
        return path

    def read(self, path):
        parse_trees(unpack(read_bytes(path), source=str(path)), source=str(path))


class ChannelFile(Text):
    suffix = ".toml"
    names = ("pi_plus", "K_plus", "gamma", "pi0", "D0")

    def original(self):
        return find_channel_set("hadronic") / "D0.toml"

    def read(self, path):
        folder = self.folder / "set"
        folder.mkdir(exist_ok=True)
        for name in ("pi_plus", "K_plus", "gamma", "pi0", "K_S0"):
            shutil.copy(find_channel_set("hadronic") / f"{name}.toml", folder)
        moved(path, folder / "D0.toml")
        load_channel_set(folder)


class Masks(Text):
    suffix = ".toml"

    def original(self):
        return Path(str(files("fei_lite.roe") / "masks.toml"))

    def read(self, path):
        load_masks(path)


class Recipe(Text):
    suffix = ".toml"

    def original(self):
        return Path(str(files("fei_lite") / "analyses" / "hta" / "recipe.toml"))

    def read(self, path):
        load_analysis("hta", recipe=path)


class SystematicsFile(Text):
    suffix = ".toml"

    def original(self):
        return Path(str(files("fei_lite") / "analyses" / "hta" / "systematics.toml"))

    def read(self, path):
        load_analysis("hta", systematics=path)


class Selections(Text):
    suffix = ".toml"

    def original(self):
        return Path(str(files("fei_lite.production") / "selections.toml"))

    def read(self, path):
        load_selections(path)


class ResponseFile(Text):
    suffix = ".toml"

    def original(self):
        return next(Path(str(files("fei_lite.detector"))).glob("*.toml"))

    def read(self, path):
        load_response(path)


class EnrichmentFile(Text):
    suffix = ".json"

    def original(self):
        return Path(str(files("fei_lite.generator") / "enrichment_hadronic.json"))

    def read(self, path):
        load_enrichment.__wrapped__(str(path))


class WorkspaceFile(Text):
    suffix = ".json"

    def make(self, path):
        path.write_text(json.dumps({"channels": [{"name": "c", "samples": [
            {"name": "s", "data": [3.0, 2.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
            {"name": "b", "data": [20.0, 10.0], "modifiers": [
                {"name": "shape", "type": "histosys", "data": {"hi_data": [22.0, 11.0], "lo_data": [18.0, 9.0]}},
                {"name": "norm", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}},
                {"name": "mc", "type": "staterror", "data": [2.0, 1.0]}]}]}],
            "observations": [{"name": "c", "data": [24.0, 11.0]}], "version": "1.0.0",
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [
                {"name": "mu", "bounds": [[0, 10]], "inits": [1.0]}]}}]}))
        return path

    def read(self, path):
        open_likelihood(path)


class DecayFile(Text):
    suffix = ".dec"

    def original(self):
        return Path(str(files("fei_lite.generator") / "k_nunu.dec"))

    def damaged(self, rng, path):
        return Kind.damaged(self, rng, path)

    def read(self, path):
        read_signal_decay(path)


#: All kinds; mDST files only where there are test data.
KINDS = (Events, EventsParquet, Mdst, Btags, BtagsParquet, Ntuple, Manifest, ModelText, PackedModel, ChannelFile, Masks,
         Recipe, SystematicsFile, Selections, ResponseFile, EnrichmentFile, WorkspaceFile, DecayFile)
