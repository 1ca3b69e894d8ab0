"""Every command that writes, killed, without space, without permission and twice: nothing lost, nothing left.

The commands run in this process, on tiny inputs; what ends them happens where the bytes go to the disk. That signals
reach that place is tested with real processes in test_nothing_lost.py and test_parallel.py, for one command.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import toy_candidates
from fuzz_kinds import Btags
from fuzz_more_kinds import Counts
from small_set import write_small_set

from fei_lite.analyses.analysis import analyse
from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.classifier import save_classifier
from fei_lite.cli import guarded, main
from fei_lite.events import open_events

#: Command line, what it writes (a file, or files of a folder), and its exit code when all goes well.
COMMANDS = {
    "simulate": ("simulate charged -n 2 --seed 1 --quiet -o OUT/a.root", ["a.root"], 0),
    "channels": ("channels draw --set small -o OUT/a.dot", ["a.dot"], 0),
    "enrich count": ("enrich count charged -n 5 --seed 1 --set small --quiet -o OUT", ["charged_1.npz"], 0),
    "enrich boost": ("enrich boost counts -o OUT/a.json", ["a.json"], 0),
    "train": ("train events.root --set small --quiet -o OUT/set", ["set/manifest.json"], 1),
    "reconstruct": ("reconstruct events.root --models set --set small --quiet -o OUT/a.root", ["a.root"], 0),
    "reconstruct parquet": ("reconstruct events.root --models set --set small --quiet -o OUT/a.parquet",
                            ["a.parquet"], 0),
    "ntuple": ("ntuple events.root --models set --tag-set small --variable Mbc --quiet -o OUT/a.parquet",
               ["a.parquet"], 0),
    "evaluate": ("evaluate btag.root -o OUT/a.txt", ["a.txt"], 0),
    "evaluate figure": ("evaluate btag.root --purities 0.3 --replicas 5 --figure OUT/a.svg", ["a.svg"], 0),
    "analyse": ("analyse hta signal.parquet charged.parquet mixed.parquet ccbar.parquet uubar.parquet ddbar.parquet "
                "--no-figures --classifier trained -o OUT/hta",
                ["hta/workspace.json", "hta/histograms.json", "hta/ntuple.parquet"], 0),
    "candidates": ("analyse hta signal.parquet charged.parquet --candidates-only -o OUT/hta",
                   ["hta/candidates.parquet"], 0),
    "fit": ("fit workspace.json -o OUT/a.txt", ["a.txt"], 0),
    "report": ("report set --set small --generate 0 --quiet -o OUT/a.html", ["a.html"], 0),
    "produce": ("produce hta k_nunu --events 3 --piece 3 --seed 1 -o OUT",
                ["k_nunu.parquet", "pieces/k_nunu_1.parquet"], 0),
}

#: Those that go on where they stopped, or write over what they wrote: a second run is not refused.
RESUMED = ("train", "produce")

WORKSPACE = {"version": "1.0.0", "channels": [{"name": "c", "samples": [
    {"name": "s", "data": [4.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
    {"name": "b", "data": [9.0], "modifiers": []}]}], "observations": [{"name": "c", "data": [11]}],
    "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}]}


def run(line, out, capsys):
    """Run a command; its exit code and what it says on stderr."""
    words = line.replace("OUT", str(out)).split()
    if words[0] == "produce":
        path = Path(__file__).resolve().parents[1] / "scripts" / "produce_candidates.py"
        specification = importlib.util.spec_from_file_location("produce_candidates", path)
        script = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(script)
        before, sys.argv = sys.argv, words
        try:
            code = guarded("produce", script.main)
        finally:
            sys.argv = before
    else:
        code = main(words)
    return code, capsys.readouterr().err


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Inputs of all commands, made by the commands where there is no shorter way."""
    folder = tmp_path_factory.mktemp("inputs")
    small = write_small_set(folder / "small")
    assert main(["simulate", "signal", "--dec", "k_nunu", "-n", "4", "--seed", "7", "--quiet", "-o",
                 str(folder / "events.root")]) == 0
    Btags.make(None, folder / "btag.root")
    (folder / "workspace.json").write_text(json.dumps(WORKSPACE))
    toy_candidates.write_toys(folder, [toy_candidates.toy(process, 2500, seed=i, shift=float(process == "signal"))
                                       for i, process in enumerate(["signal", "charged", "mixed", "ccbar", "uubar",
                                                                    "ddbar"])])
    assert main(["train", str(folder / "events.root"), "--set", str(small), "-o", str(folder / "set"), "--quiet"]) == 1
    events = [folder / f"{name}.parquet" for name in ("signal", "charged", "mixed", "ccbar", "uubar", "ddbar")]
    result = analyse(read_candidates(events, toy_candidates.HTA), toy_candidates.HTA)
    save_classifier(result.classifiers[0], folder / "trained", extra={})
    (folder / "counts").mkdir()
    for name in ("charged_1.npz", "mixed_1.npz"):
        Counts.make(Counts.__new__(Counts), folder / "counts" / name)
    return folder


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def content_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def quick(place, monkeypatch):
    """Events that were simulated, and decays that were counted before: making them takes long, and writes nothing."""
    batch, counts = next(iter(open_events(place / "events.root"))), dict(np.load(place / "counts" / "charged_1.npz"))
    monkeypatch.setattr("fei_lite.production.simulate.simulate", lambda *_, **__: iter([batch]))
    monkeypatch.setattr("fei_lite.production.enrichment_rates.counting.count_decays", lambda *_, **__: counts)


@contextmanager
def at_the_disk(monkeypatch, effect):
    """Call ``effect`` when a written file is about to become the output."""
    with monkeypatch.context() as changed:
        changed.setattr("fei_lite.outputs.os.fsync", lambda _: effect())
        yield


@contextmanager
def no_space():
    """No file of this process may grow beyond 40 bytes: as a full disk, without filling one."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def killed(line, out, monkeypatch, capsys):
    """Run a command in a copy of this process that is killed when the bytes are on the disk; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            with at_the_disk(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                run(line, out, capsys)
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("quick")
def test_nothing_lost_nothing_left(name, place, tmp_path, monkeypatch, capsys):
    """Would catch, for each command: half a file after a signal, a full disk or a kill; part files that the next run
    does not remove; a traceback where nothing can be written; a second run that changes what the first one wrote."""
    line, outputs, good = COMMANDS[name]
    monkeypatch.chdir(place)
    inputs = content_of(place)
    folder = outputs[0].count("/") or "OUT/" not in line  # such a command makes it
    code, said = run(line if folder else line.replace("OUT/", "OUT_"), "/sys/fei_lite", capsys)
    assert code == 2 and "/sys/fei_lite" in said.strip().splitlines()[-1] and "Traceback" not in said, said

    def interrupted():
        raise KeyboardInterrupt(signal.SIGTERM)

    with at_the_disk(monkeypatch, interrupted):
        code, said = run(line, tmp_path, capsys)
    assert code == 143, said
    assert "no half-written file" in said and files_in(tmp_path) == []
    with no_space():
        code, said = run(line, tmp_path, capsys)
    assert code == 2 and "could not be written" in said and "Traceback" not in said, said
    assert files_in(tmp_path) == []
    assert killed(line, tmp_path, monkeypatch, capsys)
    left = files_in(tmp_path)
    assert len(left) == 1 and ".part" in left[0]
    code, said = run(line, tmp_path, capsys)
    assert code == good, said
    written = content_of(tmp_path)
    assert set(outputs) <= set(written) and not [file for file in written if ".part" in file], sorted(written)
    code, said = run(line, tmp_path, capsys)
    assert code == (good if name in RESUMED else 2) and content_of(tmp_path) == written
    assert name in RESUMED or "never overwritten without --force" in said
    assert content_of(place) == inputs
