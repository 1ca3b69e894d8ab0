"""Every command that writes, killed, without space, without permission and twice: nothing lost, nothing left.

The commands run in this process, on tiny inputs; what ends them happens where the bytes go to the disk, or when the
first worker starts. Signals at any other moment are tested in test_nothing_lost.py and test_parallel.py.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import toy_candidates
from fuzz_kinds import Btags
from fuzz_more_kinds import Counts
from small_set import write_small_set

from fei_lite.analyses.analysis import analyse
from fei_lite.analyses.candidates.files import make_candidates, read_candidates
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
    "skim": ("skim tagged.root -o OUT/a.root", ["a.root"], 0),
    "skim list": ("skim tagged.root -o OUT/a.json", ["a.json"], 0),
    "merge": ("evaluate tagged.root --merge OUT/a.root", ["a.root"], 0),
    "evaluate": ("evaluate btag.root -o OUT/a.txt", ["a.txt"], 0),
    "evaluate figure": ("evaluate btag.root --purities 0.3 --replicas 5 --figure OUT/a.svg", ["a.svg"], 0),
    "analyse": ("analyse hta signal.parquet charged.parquet mixed.parquet ccbar.parquet uubar.parquet ddbar.parquet "
                "--no-figures --classifier trained -o OUT/hta",
                ["hta/workspace.json", "hta/histograms.json", "hta/ntuple.parquet"], 0),
    "candidates": ("analyse hta signal.parquet charged.parquet --candidates-only -o OUT/hta",
                   ["hta/candidates.parquet"], 0),
    "fit": ("fit workspace.json -o OUT/a.txt", ["a.txt"], 0),
    "fit figures": ("fit workspace.json --figures OUT",
                    ["fit.json", "correlations.png", "scan_mu.png", "cls_mu.png", "yields.png",
                     "templates_c.png"], 0),
    "reinterpret": ("reinterpret workspace.json --density density.json --model two_body --masses 1 --quiet -o OUT",
                    ["reinterpretation.json", "limits.png", "excess.png"], 0),
    "report": ("report set --set small --generate 0 --quiet -o OUT/a.html", ["a.html"], 0),
    "produce": ("produce hta --process k_nunu --events 3 --seed 1 --models set --set small --quiet -o OUT",
                ["manifest.json"], 0),
    "produce_candidates": ("produce_candidates hta k_nunu --events 3 --piece 3 --seed 1 -o OUT",
                           ["k_nunu.parquet", "pieces/k_nunu_1.parquet"], 0),
}

#: Those that go on where they stopped, or write over what they wrote: a second run is not refused.
RESUMED = ("train", "produce", "produce_candidates")

#: Commands with several workers, and pieces enough to have them.
WITH_WORKERS = {
    "train": "train events.root more.root --set small --quiet --workers 2 -o OUT/set",
    "reconstruct": "reconstruct events.root more.root --models set --set small --quiet --workers 2 -o OUT/a.root",
    "ntuple": "ntuple events.root more.root --models set --tag-set small --variable Mbc --quiet --workers 2 "
              "-o OUT/a.parquet",
    "report": "report set --set small --events more.root third.root --workers 2 --quiet -o OUT/a.html",
    "analyse": "analyse hta events.root more.root --candidates-only --models set --set small --workers 2 -o OUT/hta",
    "produce": "produce hta --process k_nunu --events 6 --seed 1 --models set --set small --workers 2 --quiet -o OUT",
    "produce_candidates": "produce_candidates hta k_nunu --events 9 --piece 3 --seed 1 --workers 2 -o OUT",
}

WORKSPACE = {"version": "1.0.0", "channels": [{"name": "c", "samples": [
    {"name": "s", "data": [4.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
    {"name": "b", "data": [9.0], "modifiers": []}]}], "observations": [{"name": "c", "data": [11]}],
    "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}]}


def run(line, out, capsys):
    """Run a command; its exit code and what it says on stderr."""
    words = line.replace("OUT", str(out)).split()
    if words[0] == "produce_candidates":
        path = Path(__file__).resolve().parents[1] / "scripts" / "produce_candidates.py"
        specification = importlib.util.spec_from_file_location("produce_candidates", path)
        script = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(script)
        before, sys.argv = sys.argv, words
        try:
            code = guarded(words[0], script.main)
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
    for seed, name in enumerate(["events.root", "more.root", "third.root"], start=7):
        assert main(["simulate", "signal", "--dec", "k_nunu", "-n", "4", "--seed", str(seed), "--quiet", "-o",
                     str(folder / name)]) == 0
    Btags.make(None, folder / "btag.root")
    assert main(["reconstruct", str(folder / "events.root"), "--models", "fei_default", "--quiet", "-o",
                 str(folder / "tagged.root")]) == 0
    (folder / "workspace.json").write_text(json.dumps(WORKSPACE))
    (folder / "density.json").write_text(json.dumps({"x_edges": [0, 1], "q2_edges_GeV2": [0, 8, 16, 22.9],
                                                     "events": [[2.0, 1.5, 0.5]], "variances": [[0.1, 0.1, 0.1]]}))
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


@contextmanager
def nothing_ignored():
    """Signals as a user's terminal has them: a background job, or one under nohup, ignores some."""
    before = {number: signal.signal(number, signal.SIG_DFL)
              for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
        with nothing_ignored(), at_the_disk(monkeypatch, lambda number=number: os.kill(os.getpid(), number)):
            code, said = run(line, tmp_path, capsys)
        assert code == 128 + number, said
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


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("quick")
def test_two_writers(name, place, tmp_path, monkeypatch, capsys):
    """Would catch, for each command: the later of two jobs that takes away the result of the earlier one, mixes its own
    with it, or removes its part files as those of the dead."""
    line, outputs, good = COMMANDS[name]
    monkeypatch.chdir(place)
    first, codes, between = os.getpid(), [], {}

    def overtaken():
        if os.getpid() == first and not codes:
            child = os.fork()
            if child == 0:
                os._exit(run(line, tmp_path, capsys)[0])
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            between.update(content_of(tmp_path))

    with at_the_disk(monkeypatch, overtaken):
        code, said = run(line, tmp_path, capsys)
    assert codes == [good]
    assert code == (good if name in RESUMED else 2), said
    assert name in RESUMED or "exists" in said
    written = {file: content for file, content in between.items() if ".part" not in file}
    left = content_of(tmp_path)
    assert set(outputs) <= set(left) and left.keys() == written.keys()
    assert left == written or name in RESUMED


@pytest.mark.parametrize("name", WITH_WORKERS)
def test_killed_worker(name, place, tmp_path, monkeypatch, capsys):
    """Would catch, for each command: a wait without end, a traceback or half a file after a worker was killed, as the
    kernel does when memory is short; a result without the pieces of that worker."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("fei_lite.analyses.production.driver.PIECE", {"signal": 2})
    monkeypatch.setattr(make_candidates, "__kwdefaults__", {**make_candidates.__kwdefaults__, "batch_size": 2})
    inputs, killed_ones = content_of(place), []

    def kill():
        until = time.monotonic() + 60.0
        seen = None
        while not killed_ones and time.monotonic() < until:
            children = multiprocessing.active_children()
            seen = seen or (time.monotonic() if children else None)
            if seen and (len(children) > 1 or time.monotonic() - seen > 0.5):  # all that start have started
                os.kill(children[0].pid, signal.SIGKILL)
                killed_ones.append(children[0].pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    code, said = run(WITH_WORKERS[name], tmp_path, capsys)
    killer.join()
    assert killed_ones, said
    assert code == 2 and "WorkerError" in said and "Traceback" not in said, said
    left = files_in(tmp_path)
    assert not [file for file in left if ".part" in file], left
    assert name in RESUMED or not left, left
    assert not multiprocessing.active_children() and content_of(place) == inputs
