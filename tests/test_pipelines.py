"""The examples of pipelines run as they are; one whose package is not installed is skipped, and says so."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fei_lite.cli import build_parser, main
from fei_lite.tagging.output import read_tags

FOLDER = Path(__file__).resolve().parents[1] / "scripts" / "examples" / "pipelines"
N = 60


def needs(name):
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed (extra fei-lite[pipelines])")


def run(*command, folder):
    """Run a program in a folder, with this Python's programs first; returns what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = dict(os.environ, PATH=path, PYTHONWARNINGS="ignore")
    done = subprocess.run([str(word) for word in command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def btags(tmp_path_factory):
    """Two Btag files, of the first half of some events and of all."""
    folder = tmp_path_factory.mktemp("btags")
    events, files = folder / "events.root", [folder / "half.root", folder / "all.root"]
    assert main(["simulate", "charged", "-n", str(4 * N), "--seed", "1", "--quiet", "-o", str(events)]) == 0
    for path, n in zip(files, (2 * N, 4 * N), strict=True):
        assert main(["reconstruct", str(events), "--max-events", str(n), "--quiet", "-o", str(path)]) == 0
    return files


@needs("coffea")
def test_coffea(btags, monkeypatch):
    """Would catch a Btag file that coffea cannot read, and candidates lost or counted twice between its chunks."""
    monkeypatch.syspath_prepend(FOLDER)
    import coffea_mbc
    from coffea import processor
    from coffea.nanoevents import BaseSchema

    runner = processor.Runner(executor=processor.IterativeExecutor(status=False), schema=BaseSchema, chunksize=100)
    found = runner({"tags": {"treename": "btag", "files": [str(path) for path in btags]}}, coffea_mbc.BestTags(0.001))
    ours = [read_tags(path).columns for path in btags]
    assert found["candidates"] == sum(len(columns["Mbc"]) for columns in ours) > 100
    chosen = [(columns["best"] == 1) & (columns["SignalProbability"] > 0.001) for columns in ours]
    mbc = np.concatenate([columns["Mbc"][keep] for columns, keep in zip(ours, chosen, strict=True)])
    counts = found["Mbc"].project("Mbc").values(flow=True)
    assert counts[1:-1].tolist() == np.histogram(mbc, bins=np.linspace(5.25, 5.29, 41))[0].tolist()
    assert found["best"] == len(mbc) == counts.sum()


@needs("b2luigi")
def test_b2luigi(tmp_path):
    """Would catch a task whose output is not where the next one looks, and steps done again without need."""
    command = (sys.executable, FOLDER / "b2luigi_tag.py", "--events", N, "--seeds", 1, "--processes", "charged",
               "--results", tmp_path / "results")
    run(*command, folder=tmp_path)
    summary, = (tmp_path / "results").rglob("summary.json")
    said = json.loads(summary.read_text())
    assert (said["files"], said["events"]) == (1, N) and said["events with a Btag"] > 0
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.root")}
    summary.unlink()
    run(*command, folder=tmp_path)
    assert summary.exists() and {path: path.stat().st_mtime_ns for path in made} == made and len(made) == 2


@needs("snakemake")
def test_snakemake(tmp_path):
    """Would catch a rule that calls a command or an option that is no more, or that does not meet the next one."""
    run(sys.executable, "-m", "snakemake", "-s", FOLDER / "Snakefile", "--cores", 1, "--config", f"events={N}",
        "files=1", "--quiet", folder=tmp_path)
    assert json.loads((tmp_path / "efficiency.json").read_text())
    assert read_tags(tmp_path / "btag" / "charged_1.root").metadata["n_events"] == N


@needs("htcondor2")
def test_htcondor(tmp_path, monkeypatch):
    """Would catch a submit file that HTCondor does not understand, and jobs that fei-lite does not."""
    import htcondor2

    text = (FOLDER / "reconstruct.sub").read_text()
    submit = htcondor2.Submit(text)
    (tmp_path / "files.txt").write_text("data/a.root\ndata/b.root\n")
    monkeypatch.chdir(tmp_path)
    names = [next(iter(item.values())) if isinstance(item, dict) else item for item in submit.itemdata()]
    assert names == ["data/a.root", "data/b.root"] and submit.getQArgs() == "events from files.txt"
    for name, stem in zip(names, "ab", strict=True):
        submit["events"] = name
        program, *arguments = shlex.split(submit.expand("arguments").strip('"'))
        options = build_parser().parse_args(arguments)
        assert program == "fei-lite" and [str(path) for path in options.inputs] == [name] and options.journal
        assert options.output == Path(f"btag/{stem}.root") and submit.expand("error") == f"logs/{stem}.err"
    with pytest.raises(ValueError, match="parse"):
        htcondor2.Submit(text.replace("= vanilla", "vanilla"))


@pytest.mark.skipif(find_spec("nbclient") is None, reason="nbclient is not installed (extra fei-lite[notebook])")
def test_notebook(tmp_path):
    """Would catch a cell of the tour that fails, or shows nothing."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(FOLDER / "tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept without, so that changes can be read
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    NotebookClient(notebook, timeout=300, kernel_name="python3",
                   resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    text = "".join(str(output) for output in shown)
    assert "events have a Btag" in text and "Btags(" in text


def test_objects_say_what_they_are():
    """Would catch a screen full of numbers in a notebook where a line says what an object is; keys not completed."""
    from fei_lite import load_channel_set
    from fei_lite.reconstruction.cutflow import CutFlow

    channels, flow = load_channel_set("hadronic"), CutFlow()
    n = sum(1 for _ in channels.channels())
    assert repr(channels).startswith(f"ChannelSet('hadronic': {n} channels of ") and len(repr(channels)) < 120
    flow.add("stage 1", "D0", "pre-cut", 7)
    assert repr(flow) == "CutFlow(1 rows)\n  stage 1   D0: pre-cut 7"
    assert flow[flow._ipython_key_completions_()[0]] == 7
