"""The command line as a user meets it: help, exit codes, messages, and one analysis from start to end."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_set import write_decays, write_small_set

from fei_lite.classifiers.model_set import shipped_model_sets
from fei_lite.cli import COMMANDS, build_parser, main
from fei_lite.kernels.ahead import entries
from fei_lite.tagging.output import read_tags

_COMMAND = [sys.executable, "-c", "import sys; from fei_lite.cli import main; sys.exit(main())"]
HEAVY = ("numba", "lightgbm", "uproot", "awkward", "matplotlib", "pythia8mc", "pyarrow", "scipy", "pyhf", "networkx")
N = 120


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command run in this process."""
    capsys.readouterr()
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as leave:  # argparse
        code = leave.code
    return code, *capsys.readouterr()


def json_alone(text):
    """Parse stdout; NaN and Infinity, which JSON does not have, fail."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"not JSON: {word}"))


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """Simulate, train, reconstruct, evaluate by the command line alone, on a small channel set."""
    folder = tmp_path_factory.mktemp("analysis")
    small, decays = write_small_set(folder / "small"), write_decays(folder / "signal.dec")
    for seed, name, n in ((1, "train.root", 300), (2, "test.parquet", N)):
        assert main(["simulate", "signal", "--dec", str(decays), "-n", str(n), "--seed", str(seed), "-o",
                     str(folder / name), "--quiet"]) == 0
    assert main(["train", str(folder / "train.root"), "--set", str(small), "--min-entries", "10", "-o",
                 str(folder / "models"), "--quiet"]) == 0
    assert main(["reconstruct", str(folder / "test.parquet"), "--set", str(small), "--models", str(folder / "models"),
                 "-o", str(folder / "btag.root"), "--quiet"]) == 0
    return folder


@pytest.fixture
def place(analysis, tmp_path, monkeypatch):
    """An empty working directory with the analysis' files under their names."""
    for path in analysis.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "text").write_text("hello\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Help


def examples(command):
    """The commands that a help text shows."""
    text = next(action for action in build_parser()._actions if action.choices).choices[command].format_help()
    return re.findall(r"^ +(fei-lite .*)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_quick(command):
    """Would catch an import that makes --help slow, or a help text that fails to format."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*_COMMAND, *command.split(), "--help"], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the processor: others may keep the machine busy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(f"usage: fei-lite {command}".strip())
    if command:
        assert f"    fei-lite {command} " in done.stdout
    else:
        for name in COMMANDS:  # long names have their text on the next line
            assert re.search(rf"^    {name}(?: +|\n {{10,}})\w", done.stdout, flags=re.MULTILINE), name


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_of_the_help_are_valid(command):
    """Would catch an example with an option that no longer exists."""
    shown = examples(command)
    assert any(line.startswith(f"fei-lite {command} ") for line in shown)
    for line in shown:
        build_parser().parse_args(shlex.split(line)[1:])


#: Examples are run with fewer events, and with the small set in place of the shipped one.
SMALLER = [("-n 1000", "-n 30"), ("-n 2000", "-n 60"), ("--models fei_default", "--models models --set small"),
           ("--min-entries 200", "--min-entries 5 --set small")]
#: 5 signal and 50 background events expected, 60 seen.
WORKSPACE = {
    "version": "1.0.0", "observations": [{"name": "one", "data": [60.0]}], "channels": [{"name": "one", "samples": [
        {"name": "signal", "data": [5.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
        {"name": "background", "data": [50.0], "modifiers": []}]}],
    "measurements": [{"name": "all", "config": {"poi": "mu", "parameters": []}}]}


@pytest.mark.parametrize("command", ["channels", "train", "evaluate", "fit"])
def test_examples_of_the_help_run(command, place, capsys):
    """Would catch an example that parses and fails; those of simulate and reconstruct are part of others'."""
    (place / "btag.root").unlink()
    (place / "workspace.json").write_text(json.dumps(WORKSPACE))
    for line in examples(command):
        for old, new in SMALLER:
            line = line.replace(old, new)
        code, out, err = run(capsys, *shlex.split(line)[1:])
        few = command == "train" and "train " in line  # the example's events, even fewer here, train no B
        assert code == 0 or (few and code == 1 and "no channel of the B has a classifier" in err), err
        if "--format json" in line:
            json_alone(out)


@pytest.mark.parametrize("code", ["import fei_lite", "import fei_lite.cli; fei_lite.cli.build_parser()",
                                  "import fei_lite.cli\ntry: fei_lite.cli.main(['--help'])\nexcept SystemExit: pass"])
def test_nothing_heavy_is_imported(code):
    """Would catch seconds of imports before the first word is said."""
    look = f"\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + look], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


# Wrong use


WRONG = {
    "no command": ("", "required: COMMAND"),
    "unknown command": ("chanels list", "invalid choice: 'chanels'"),
    "unknown option": ("channels list --sett x", "--sett"),
    "unknown process": ("simulate charge -n 5 --seed 1 -o new.root", "Nearest known: 'charged'"),
    "negative seed": ("simulate charged -n 5 --seed -1 -o new.root", "seed: got -1"),
    "seed in words": ("simulate charged -n 5 --seed one -o new.root", "invalid int value: 'one'"),
    "no seed": ("simulate charged -n 5 -o new.root", "required: --seed"),
    "no events": ("simulate charged -n 0 --seed 1 -o new.root", "number of events: got 0"),
    "two numbers of events": ("simulate charged -n 5 --luminosity 1 --seed 1 -o new.root", "not allowed with"),
    "luminosity of a signal": ("simulate signal --luminosity 1 --seed 1 -o new.root", "signal: no cross-section"),
    "no luminosity": ("simulate ccbar --luminosity 0 --seed 1 -o new.root", "luminosity 0.0: expected a positive"),
    "signal without decays": ("simulate signal -n 5 --seed 1 -o new.root", "--dec"),
    "no decay file": ("simulate signal --dec none.dec -n 5 --seed 1 -o new.root", "none.dec: no such decay file"),
    "foreign decay file": ("simulate signal --dec text -n 5 --seed 1 -o new.root", "text: not an EvtGen decay file"),
    "no folder": ("simulate charged -n 5 --seed 1 -o nowhere/new.root", "folder 'nowhere' does not exist"),
    "simulate over a file": ("simulate charged -n 5 --seed 1 -o train.root", "--force"),
    "no input": ("reconstruct none.root --models models --set small -o new.root", "none.root: no such file"),
    "foreign input": ("reconstruct text --models models --set small -o new.root", "text: not a ROOT file"),
    "tags as events": ("reconstruct btag.root --models models --set small -o new.root", "expected a TTree 'events'"),
    "unknown models": ("reconstruct train.root --models modls --set small -o new.root", "modls: neither a shipped"),
    "other models": ("reconstruct train.root --models models --set hadronic -o new.root",
                     "does not fit channel set 'hadronic'"),
    "unknown set": ("reconstruct train.root --models models --set nope -o new.root", "no channel set 'nope'"),
    "batch of 0": ("reconstruct train.root --models models --set small -o new.root --batch-size 0",
                   "batch size: got 0"),
    "reconstruct over a file": ("reconstruct train.root --models models --set small -o btag.root", "--force"),
    "train on nothing": ("train none.root --set small -o new", "none.root: no such file"),
    "train on text": ("train text --set small -o new", "text: not a ROOT file"),
    "train for nothing": ("train train.root --set nope -o new", "no channel set 'nope'"),
    "train over a file": ("train train.root --set small -o text", "no folder can be made there: "),
    "train over other models": ("train train.root --set small -o models --seed 7", "belongs to a training"),
    "evaluate nothing": ("evaluate none.root", "none.root: no such file"),
    "evaluate text": ("evaluate text", "text: not a ROOT file"),
    "evaluate events": ("evaluate train.root", "expected a TTree 'btag'"),
    "evaluate over a file": ("evaluate btag.root -o text", "--force"),
    "list nothing": ("channels list --set nope", "no channel set 'nope'"),
    "check nothing": ("channels check --set nope", "no channel set 'nope'"),
    "chains over a file": ("channels chains -o text", "--force"),
    "fit nothing": ("fit none.json", "none.json: cannot be read: No such file"),
    "fit text": ("fit text", "text: cannot be read as JSON: Expecting value: line 1 column 1"),
}


@pytest.mark.parametrize("line,message", WRONG.values(), ids=WRONG)
def test_wrong_use(line, message, place, capsys):
    """Would catch another exit code than 2, a traceback, talk on stdout, or a file left behind or overwritten."""
    def files():
        return {str(path): path.stat().st_mtime_ns for path in place.rglob("*")}

    before = files()
    code, out, err = run(capsys, *shlex.split(line))
    assert code == 2 and out == ""
    assert message in err and "Traceback" not in err
    assert len(re.findall(r"^fei-lite.*: ", err, flags=re.MULTILINE)) == 1
    assert files() == before


def test_findings(place, capsys):
    """Would catch a bad channel file taken for wrong use: findings are results on stdout, with exit code 1."""
    broken = place / "broken"
    broken.mkdir()
    for path in (place / "small").glob("*.toml"):
        (broken / path.name).write_text(path.read_text().replace('"K-", "pi+"', '"K-", "pi0"'))
    code, out, err = run(capsys, "channels", "check", "--set", broken, "--format", "json")
    found = json_alone(out)["findings"]
    assert code == 1 and err == "" and len(found) >= 2 and all("channel[" in text for text in found)
    code, out, err = run(capsys, "channels", "list", "--set", broken)
    assert code == 1 and out == "" and all(text in err for text in found)


# Results


def test_chains_of_the_default_set(capsys):
    """Would catch a lost channel: the FEI's hadronic default has 145 channels and these numbers of decay chains."""
    code, out, err = run(capsys, "channels", "chains", "--set", "hadronic", "--format", "json")
    assert (code, err) == (0, "")
    assert json_alone(out) == {"set": "hadronic", "n_channels": 145, "n_chains": {"B+": 13515, "B0": 17486}}


@pytest.mark.parametrize("action", ["check", "list", "chains", "draw"])
def test_channels_in_json(action, capsys, place):
    """Would catch words among the JSON, or another content in the file than on stdout."""
    code, out, err = run(capsys, "channels", action, "--format", "json")
    assert (code, err) == (0, "") and json_alone(out)
    assert run(capsys, "channels", action, "--format", "json", "-o", "new.json") == (0, "", "")
    assert (place / "new.json").read_text() == out
    code, text, _ = run(capsys, "channels", action)
    assert code == 0 and text != out


def test_summary_of_a_training_in_json(place, capsys):
    """Would catch a progress bar or a table in the JSON of fei-lite train."""
    code, out, _ = run(capsys, "train", "train.root", "--set", "small", "--min-entries", "10", "-o", "models",
                         "--format", "json")
    manifest = json_alone(out)
    assert code == 0 and manifest == json.loads((place / "models" / "manifest.json").read_text())
    code, out, _ = run(capsys, "train", "train.root", "--set", "small", "--min-entries", "10", "-o", "models")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [*manifest["channels"], *manifest["untrained"]]


def test_from_events_to_efficiencies(place, capsys):
    """Would catch a broken link of the line: each event holds a B+ that the models know."""
    code, out, err = run(capsys, "evaluate", "btag.root", "--format", "json")
    result = json_alone(out)
    assert (code, err) == (0, "") and result["n_events"] == N and result["has_truth"]
    assert result["every_event_accounted_for"]
    first = result["B+"]["working_points"][0]
    # not all: three or four tracks have to be in the acceptance, and the right candidate has to rank first
    assert 0.05 < first["tag_side_efficiency"]["value"] < 0.7
    assert first["purity"]["value"] > 0.4
    assert result["B0"]["working_points"][0]["n_tagged"] == 0  # there is no model for B0, and no B0
    rows = read_tags("btag.root").columns
    assert sorted(set(rows["entry"])) == sorted(rows["entry"][rows["best"] == 1])
    assert len(set(rows["entry"])) == result["n_tagged"]
    assert all(re.match(r"B[+-] -> \(", chain) for chain in rows["decayChain"])


def test_truth_followed_to_the_chosen_tag(place, capsys):
    """Would catch --lost with other models or events than the Btag file's, and an end other than its efficiency."""
    code, out, err = run(capsys, "evaluate", "btag.root", "--lost", "--format", "json")
    steps = json_alone(out)["B+"]["steps"]
    assert (code, err) == (0, "") and [steps[0]["stage"], steps[-1]["stage"]] == ["generated", "choice"]
    assert steps[0]["left"]["value"] > steps[1]["left"]["value"] > steps[-1]["left"]["value"] > 0.05
    rows = read_tags("btag.root").columns
    right = np.count_nonzero((rows["best"] == 1) & (rows["isSignal"] == 1))
    assert steps[-1]["left"]["value"] == pytest.approx(right / N, abs=0.01)
    code, out, _ = run(capsys, "evaluate", "btag.root", "--lost", "train.root", "--max-events", "50")
    assert code == 0 and "per cent of 50 B+B- events" in out and "choice" in out
    assert run(capsys, "evaluate", "btag.root", "btag.root", "--lost")[0] == 2


def test_cut_flow_of_every_stage(place, capsys):
    """Would catch events lost on the way: at each stage every event has a candidate, has none, or has no model."""
    _, out, _ = run(capsys, "evaluate", "btag.root", "--format", "json")
    flow = {(row["stage"], row["name"]): row["count"] for row in json_alone(out)["cutflow"]}
    assert flow["events", "all: read"] == N
    assert flow["events", "all: tagged"] + flow["events", "all: untagged"] == N
    particles = {(stage, name.rpartition(": ")[0]) for stage, name in flow if name.endswith(": kept")}
    assert {name for _, name in particles} == {"pi+", "K+", "gamma", "pi0", "K_S0", "D0", "D+", "B+", "B0"}
    for stage, name in particles:
        assert flow[stage, f"{name}: events with a candidate"] + flow[stage, f"{name}: events without"] == N
        assert flow[stage, f"{name}: classified"] >= flow[stage, f"{name}: kept"] >= flow[stage, f"{name}: kept true"]
    untrained = json.loads((place / "models" / "manifest.json").read_text())["untrained"]
    without = {name.rpartition(": ")[0]: count for (_, name), count in flow.items()
               if name.endswith(": events without a model")}
    assert without == dict.fromkeys(untrained, N)


def test_same_seed_same_files(place, capsys):
    """Would catch randomness that the seed does not rule, in any step of the line."""
    code, out, _ = run(capsys, "simulate", "signal", "--dec", "signal.dec", "-n", N, "--seed", 2, "-o", "again.parquet")
    assert code == 0 and out == ""
    assert (place / "again.parquet").read_bytes() == (place / "test.parquet").read_bytes()
    code, out, _ = run(capsys, "reconstruct", "again.parquet", "--set", "small", "--models", "models", "-o",
                       "again.root", "--force")
    assert code == 0 and out == ""
    (ours, *flow), (theirs, *flow_of_theirs) = read_tags("again.root"), read_tags("btag.root")
    assert list(ours) == list(theirs) and flow[0] == flow_of_theirs[0]
    for name, column in theirs.items():
        pairs = zip(ours[name], column, strict=True) if isinstance(column, tuple) else [(ours[name], column)]
        for left, right in pairs:
            np.testing.assert_array_equal(left, right, err_msg=name)


@pytest.mark.parametrize("number,code,suffix", [(signal.SIGINT, 130, "root"), (signal.SIGTERM, 143, "parquet")])
def test_interrupted_simulation(tmp_path, number, code, suffix):
    """Would catch a half-written file, an older one lost, or a traceback after an interruption."""
    older = tmp_path / f"events.{suffix}"
    older.write_text("yesterday's")
    process = subprocess.Popen([*_COMMAND, "simulate", "uubar", "-n", "1000000", "--seed", "1", "-o", str(older),
                                "--force", "--quiet"], stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        while not any(p.stat().st_size > 0 for p in tmp_path.glob(".*.part.*")) and time.monotonic() < end:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code
    assert err == "fei-lite simulate: interrupted; no half-written file was left.\n"
    assert os.listdir(tmp_path) == [older.name] and older.read_text() == "yesterday's"


def test_reader_that_leaves_early():
    """Would catch a traceback for ``fei-lite channels list | head -1``."""
    done = subprocess.run(f"{shlex.join(_COMMAND)} channels list | head -1", shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("particle") and done.stderr == ""


@pytest.mark.parametrize("cached", [True, False])
def test_compiling_is_said(cached, place, capsys, monkeypatch):
    """Would catch half a minute of silence at the first start, and the line at every other."""
    monkeypatch.setattr("fei_lite.kernels.ahead.missing", lambda: [] if cached else list(entries()[:1]))
    code, _, err = run(capsys, "reconstruct", "test.parquet", "--set", "small", "--models", "models", "--max-events",
                       "5", "-o", "again.root", "--quiet")
    assert code == 0
    assert ("compiling" in err) == (not cached)


@pytest.mark.skipif("fei_default" not in shipped_model_sets(), reason="no model set 'fei_default' is shipped")
def test_default_models(place, capsys):
    """Would catch shipped models that do not fit the shipped channels."""
    code, _, err = run(capsys, "reconstruct", "test.parquet", "-o", "default.root", "--quiet", "--max-events", 50)
    assert code == 0, err
    code, out, _ = run(capsys, "evaluate", "default.root", "--format", "json")
    assert code == 0 and json_alone(out)["n_events"] == 50


def test_the_shell_completes(tmp_path):
    """Would catch a command line whose commands and options a shell cannot complete."""
    pytest.importorskip("argcomplete", reason="argcomplete is not installed (extra fei-lite[shell])")
    for line, expected in (("fei-lite reco", ["reconstruct"]), ("fei-lite reconstruct --sched", ["--scheduler"]),
                           ("fei-lite reconstruct --cluster h", ["htcondor"])):
        answer = tmp_path / "answer"
        env = dict(os.environ, _ARGCOMPLETE="1", _ARGCOMPLETE_STDOUT_FILENAME=str(answer), COMP_LINE=line,
                   COMP_POINT=str(len(line)), _ARGCOMPLETE_IFS="\n", _ARGCOMPLETE_SHELL="bash")
        subprocess.run([sys.executable, "-c", "from fei_lite.cli import main; main([])"], env=env, check=False)
        assert [word.strip() for word in answer.read_text().split("\n") if word.strip()] == expected
