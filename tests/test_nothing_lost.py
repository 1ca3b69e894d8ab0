"""Inputs survive whatever the output is called, and a killed command leaves nothing, whoever killed it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fuzz_kinds import Btags
from toy_events import toy_batch

from fei_lite import outputs
from fei_lite.analyses.candidates.ntuple import write_ntuple
from fei_lite.cli import main
from fei_lite.errors import OutputError
from fei_lite.events import EventWriter
from fei_lite.outputs import atomic_output, check_suffix, refuse_inputs


def other_names(path):
    """The file itself, by way of another folder, a symbolic and a hard link."""
    link, hard = path.with_name(f"link{path.suffix}"), path.with_name(f"hard{path.suffix}")
    link.symlink_to(path)
    os.link(path, hard)
    return [path, path.parent / ".." / path.parent.name / path.name, link, hard]


def test_no_name_of_an_input_is_written(tmp_path):
    """Would catch a comparison of names: a link, another way to the folder or force would destroy the input."""
    source = tmp_path / "a.txt"
    source.write_text("input")
    for name in other_names(source):
        with pytest.raises(OutputError, match="is the same file as the input"), \
                atomic_output(name, force=True, inputs=[tmp_path / "missing", source]):
            raise AssertionError("the block must not run")
    assert source.read_text() == "input"
    with atomic_output(tmp_path / "b.txt", inputs=[source]) as temporary:
        temporary.write_text("other files are written")


def test_an_input_that_becomes_the_output_meanwhile(tmp_path):
    """Would catch a look at the inputs only before hours of work."""
    source, target = tmp_path / "a.txt", tmp_path / "b.txt"
    source.write_text("input")
    with pytest.raises(OutputError, match="the input"), atomic_output(target, inputs=[source], force=True) as temporary:
        temporary.write_text("result")
        target.symlink_to(source)
        os.unlink(target)
        os.link(source, target)
    assert source.read_text() == "input" and not list(tmp_path.glob(".*part*"))


def test_folders_stand_for_what_they_consist_of(tmp_path):
    """Would catch a report written over the manifest of its set; or none allowed beside it."""
    (tmp_path / "set" / "models").mkdir(parents=True)
    for name in ("manifest.json", "models/a.txt.gz", "old.html"):
        (tmp_path / "set" / name).write_text("x")
    for name in ("manifest.json", "models/a.txt.gz"):
        with pytest.raises(OutputError, match="or a part of it"):
            refuse_inputs(tmp_path / "set" / name, [tmp_path / "set"])
    refuse_inputs(tmp_path / "set" / "old.html", [tmp_path / "set"])
    refuse_inputs(tmp_path / "set" / "new.json", [tmp_path / "set", None])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An event file, a Btag file and a workspace."""
    folder = tmp_path_factory.mktemp("inputs")
    with EventWriter(folder / "events.root", metadata={"process": "charged", "seed": 1, "n_generated": 5}) as writer:
        writer.write(toy_batch(5))
    Btags.make(None, folder / "btag.root")
    (folder / "workspace.json").write_text(json.dumps({"channels": [], "version": "1.0.0"}))
    (folder / "decays.dec").write_text("Decay B+\n1 K+ pi0 PHSP;\nEnddecay\nEnd\n")
    (folder / "counts").mkdir()
    (folder / "counts" / "charged_1.npz").write_bytes(b"x")
    return folder


@pytest.mark.parametrize("line", [
    "reconstruct events.root -o events.root --force", "reconstruct events.root -o hard.root --force",
    "evaluate btag.root -o btag.root --force", "evaluate btag.root --figure btag.root --force",
    "evaluate btag.root --purities 0.5 --reconstructible events.root -o events.root --force",
    "evaluate btag.root --simulation btag.root --events events.root -o events.root --force",
    "fit workspace.json -o workspace.json --force",
    "simulate signal -n 5 --seed 1 --dec decays.dec -o decays.dec --force",
    "enrich boost counts -o counts/charged_1.npz --force",
    "report fei_default --events events.root -o events.root --force",
    "analyse hta candidates.parquet -o . --candidates-only --force",
])
def test_every_command_that_writes(line, place, capsys, monkeypatch):
    """Would catch a command that does not tell its output what it reads."""
    monkeypatch.chdir(place)
    if not (place / "hard.root").exists():
        os.link("events.root", "hard.root")
        write_ntuple(place / "candidates.parquet", {"weight": np.ones(2)}, {})
    before = {name: (place / name).read_bytes() for name in os.listdir(place) if os.path.isfile(name)}
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert "the input" in said or "the suffix" in said, said
    assert {name: (place / name).read_bytes() for name in os.listdir(place) if os.path.isfile(name)} == before


@pytest.mark.parametrize("name, known, message", [
    ("a.rot", (".root", ".parquet"), "Nearest known: '.root'"), ("a.h5", (".root", ".parquet", ""), "'.h5'"),
    ("a", (".png",), "expected .png")])
def test_unknown_suffixes(name, known, message):
    """Would catch a file whose content is not what its name says."""
    with pytest.raises(OutputError, match=message):
        check_suffix(name, known)


def test_part_files_of_the_dead_are_removed(tmp_path):
    """Would catch the part files of killed jobs that fill a disk, and those of running jobs taken away."""
    code = ("import sys, time\nfrom fei_lite.outputs import atomic_output\n"
            "with atomic_output(sys.argv[1]) as part:\n    part.write_text('half')\n    print('x', flush=True)\n"
            "    time.sleep(60)")
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / name)], stdout=subprocess.PIPE)
               for name in ("a.root", "b.root")]
    for process in running:
        process.stdout.readline()
    running[0].kill()
    running[0].wait()
    assert len(os.listdir(tmp_path)) == 2
    other = [f".c.{word}.part.root" for word in ("00000000-1-1-12345678", f"{outputs._here()}-x-1-12345678")]
    for name in (*other, f".c.{outputs._here()}-{running[1].pid}-1-12345678.part.root"):  # its number is another's now
        (tmp_path / name).touch()
    with atomic_output(tmp_path / "c.root") as temporary:
        temporary.touch()
    left = sorted(os.listdir(tmp_path))
    running[1].kill()
    running[1].wait()
    assert [name for name in left if name.startswith(".a.")] == []
    assert len([name for name in left if name.startswith(".b.")]) == 1
    assert [name for name in left if name.startswith(".c.")] == sorted(other)


SIGNALS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]


@pytest.mark.parametrize("number, code", SIGNALS)
def test_signals_end_a_command_cleanly(number, code, tmp_path):
    """Would catch a closed terminal, or Ctrl-Backslash, that leaves half a file; sent twice, as terminals do."""
    line = [sys.executable, "-c", "import sys; from fei_lite.cli import main; sys.exit(main())", "simulate",
            "charged", "-n", "200000", "--seed", "1", "-o", str(tmp_path / "a.root"), "--quiet"]
    # a background job, or one under nohup, inherits signals that are ignored; a user's terminal has none
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    until = time.monotonic() + 60.0
    while not os.listdir(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert "no half-written file" in said and "Traceback" not in said
    assert os.listdir(tmp_path) == []


def test_what_nohup_ignores_stays_ignored(tmp_path):
    """Would catch a job under nohup that ends with its terminal."""
    code = ("import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
            "from fei_lite.cli import _termination_as_interrupt\n"
            "with _termination_as_interrupt():\n    os.kill(os.getpid(), signal.SIGHUP)\nprint('alive')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "alive\n"


def limited():
    """Files may grow to 20 kB only: as a full disk, without filling one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_a_disk_that_is_full(suffix, tmp_path):
    """Would catch a traceback, or half a file, when the disk is full at any moment of the writing."""
    code = ("import sys\nsys.path[:0] = sys.argv[2:]\nfrom toy_events import toy_batch\n"
            "from fei_lite.events import EventWriter\nfrom fei_lite.errors import OutputError\n"
            "try:\n    with EventWriter(sys.argv[1]) as writer:\n        writer.write(toy_batch(300))\n"
            "except OutputError as error:\n    print(error)\n")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / f"a.{suffix}"), os.path.dirname(__file__)],
                          capture_output=True, text=True, preexec_fn=limited)
    assert "could not be written" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == []


def test_two_writers_of_one_file(tmp_path):
    """Would catch two jobs that write into one temporary file, or a result that the later one takes away."""
    with atomic_output(tmp_path / "a.txt") as one:
        with pytest.raises(OutputError, match="exists"), atomic_output(tmp_path / "a.txt") as two:
            assert one != two
            one.write_text("first")
            two.write_text("second")
            os.replace(one, tmp_path / "a.txt")
            one.touch()
        assert (tmp_path / "a.txt").read_text() == "first"
        (tmp_path / "a.txt").unlink()
