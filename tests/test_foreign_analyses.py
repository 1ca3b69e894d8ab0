"""Analyses on files of others, and what results say of how they were made."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from fit_workspaces import shapes
from other_layouts import write_edm4hep
from toy_candidates import HTA

from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.candidates.samples import check_distinct, source_of
from fei_lite.analyses.candidates.simulated import load_simulated, with_simulated
from fei_lite.analyses.origin import _together
from fei_lite.cli import main
from fei_lite.errors import AnalysisError, EventFileError
from fei_lite.events import concatenate
from fei_lite.events.inputs import event_inputs
from fei_lite.production.simulate import simulate
from fei_lite.provenance import RECORD, checksum, provenance_of, recorded, running, write_record
from fei_lite.statistics.workspaces import save_workspace

CONDITIONS = """
bz = 1.5
[beams]
her = 7.004
ler = 4.002
crossing_angle = 0.083
[interaction_point]
position = [0.0, 0.0, 0.0]
size = [12.5e-4, 1.0e-4, 300e-4]
"""
SAMPLES = """
[[sample]]
files = ["signal_*.root"]
process = "signal"
decay_file = "k_nunu"
generated_per_event = 2.5
[[sample]]
files = ["charged.root"]
process = "charged"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Simulated events in EDM4hep's layout, of which nothing says what they are."""
    folder = tmp_path_factory.mktemp("foreign")
    signal = concatenate(list(simulate("signal", 40, seed=3, dec_file="k_nunu")))
    for name, batch in (("signal_1.root", signal.slice(0, 20)), ("signal_2.root", signal.slice(20, 40)),
                        ("charged.root", concatenate(list(simulate("charged", 20, seed=4))))):
        write_edm4hep(folder / name, batch)
    (folder / "c.toml").write_text(CONDITIONS)
    (folder / "s.toml").write_text(SAMPLES)
    return folder


def said(folder, *names):
    """Inputs that say how they are read and what they are."""
    inputs = event_inputs([folder / name for name in names], mapping="edm4hep", conditions=folder / "c.toml")
    return with_simulated(inputs, load_simulated(folder / "s.toml"), "s.toml")


NAMES = ("signal_1.root", "signal_2.root", "charged.root")


def test_sources_of_foreign_files(folder, tmp_path):
    """Would catch a luminosity of the events left over, and the same events taken twice under another name."""
    sources = [source_of(path) for path in said(folder, *NAMES)]
    assert [(s.process, s.n_generated, s.n_events) for s in sources] == [
        ("signal", 50, 20), ("signal", 50, 20), ("charged", 20, 20)]
    assert sources[0].options["decay_file"] == "k_nunu" and list(sources[0].options["mappings"]) == ["EDM4hep"]
    check_distinct(sources)
    (tmp_path / "signal_3.root").write_bytes((folder / "signal_1.root").read_bytes())
    again = event_inputs([tmp_path / "signal_3.root", folder / "charged.root"], mapping="edm4hep",
                         conditions=folder / "c.toml")
    again = with_simulated(again, load_simulated(folder / "s.toml"), "s.toml")
    with pytest.raises(AnalysisError, match="would count twice"):
        check_distinct([*sources, source_of(again[0])])
    with pytest.raises(AnalysisError, match=r"format 'EDM4hep': it has no process.*--samples"):
        source_of(event_inputs([folder / "charged.root"], mapping="edm4hep", conditions=folder / "c.toml")[0])


@pytest.mark.parametrize("old, new, message", [
    ('process = "charged"', 'process = "chargd"', "sample.1..process: no process 'chargd'.*Nearest known: 'charged'"),
    ('decay_file = "k_nunu"', "", "sample.0..decay_file: got '', expected one"),
    ("2.5", "0.5", "generated_per_event"), ("files = [\"charged.root\"]", "files = [\"*.root\"]", "both hold"),
    ("charged.root", "mixed.root", "none of the inputs is mixed.root"), ("process", "proces", "unknown key")])
def test_samples_that_do_not_fit(folder, tmp_path, old, new, message):
    """Would catch a process that is guessed, and a file that belongs to two samples or to none that was named."""
    path = tmp_path / "s.toml"
    path.write_text(SAMPLES.replace(old, new, 1))
    with pytest.raises(EventFileError, match=message):
        with_simulated([folder / name for name in NAMES], load_simulated(path), path)


def test_analyse_through_a_mapping(folder, tmp_path, capsys):
    """Would catch a mapping, conditions or a list that analyse does not hand on, and candidates that stay when these
    change."""
    (tmp_path / "list.txt").write_text("".join(f"{folder / name}\n" for name in NAMES))
    command = ["analyse", "hta", "--files-from", str(tmp_path / "list.txt"), "--mapping", "edm4hep", "--conditions",
               str(folder / "c.toml"), "--samples", str(folder / "s.toml"), "--candidates-only", "--quiet", "-o",
               str(tmp_path / "out")]
    assert main(command) == 0
    assert "candidates of 3 files" in capsys.readouterr().err
    columns, metadata = read_ntuple(tmp_path / "out" / "candidates.parquet")
    steps = [part["counts"] for part in metadata["sources"]]
    read = [one[name]["events read"][0] for one, name in zip(steps, ("signal", "signal", "bbbar"), strict=True)]
    assert read == [20, 20, 20]
    assert metadata["recipe"] == HTA.identity and set(HTA.recipe.variables) <= set(columns)
    assert metadata["provenance"]["command"].startswith("fei-lite analyse hta --files-from list.txt --mapping edm4hep")
    files = sorted((tmp_path / "out" / "candidates").iterdir())
    made = [path.stat().st_mtime_ns for path in files]
    (tmp_path / "c.toml").write_text(CONDITIONS.replace("1.5", "1.4"))
    changed = [str(tmp_path / "c.toml") if word == str(folder / "c.toml") else word for word in command]
    assert main([*changed, "--force"]) == 0
    assert all(path.stat().st_mtime_ns > before for path, before in zip(files, made, strict=True))
    assert main([*command[:2], "-o", str(tmp_path / "none")]) == 2
    assert "no event file" in capsys.readouterr().err


def test_record_of_a_folder(tmp_path):
    """Would catch a record that is believed of a file that changed, and one that is damaged and ends a command."""
    save_workspace(shapes(), tmp_path / "workspace.json")
    path = tmp_path / "workspace.json"
    assert recorded(path) is None and "provenance" not in provenance_of(path)["made_from"]
    with running(["analyse", "hta", "/data/a.root"]):
        from fei_lite.provenance import provenance

        write_record(tmp_path, ["workspace.json"], provenance(), force=False)
    assert json.loads((tmp_path / RECORD).read_text())["files"] == {
        "workspace.json": hashlib.sha256(path.read_bytes()).hexdigest()}
    found = provenance_of(path)["made_from"]
    assert found["sha256"] == checksum(path) and found["provenance"]["command"] == "fei-lite analyse hta a.root"
    path.write_text(path.read_text() + " ")
    assert recorded(path) is None
    (tmp_path / RECORD).write_text("{")
    assert recorded(path) is None


def test_fit_says_what_it_was_made_from(tmp_path):
    """Would catch a fit that does not say of which workspace it is, also in the numbers of its figures."""
    save_workspace(shapes(), tmp_path / "w.json")
    write_record(tmp_path, ["w.json"], {"command": "mine"}, force=False)
    assert main(["fit", str(tmp_path / "w.json"), "--format", "json", "-o", str(tmp_path / "fit.json")]) in (0, 1)
    found = json.loads((tmp_path / "fit.json").read_text())["provenance"]
    assert found["command"] == "fei-lite fit w.json --format json" and "fei_lite" in found["versions"]
    assert found["made_from"] == {"file": "w.json", "sha256": checksum(tmp_path / "w.json"),
                                  "provenance": {"command": "mine"}}
    assert np.isfinite(json.loads((tmp_path / "fit.json").read_text())["mu"]["best_fit"])


def test_pieces_of_a_production_are_one_source():
    """Would catch seeds, events or another selection that get lost where provenance names many pieces in one line."""
    def piece(seed, selection="pairs_2"):
        return {"file": f"charged_{seed}", "process": "charged", "seed": seed, "n_generated": 6, "n_events": seed,
                "options": {"selection": selection}}

    found = _together([piece(3), piece(4), piece(5, "pairs_3"), piece(7)])
    assert found == [{"process": "charged", "seeds": [3, 4, 7], "n_generated": 18, "n_events": 14,
                      "options": {"selection": "pairs_2"}}, piece(5, "pairs_3")]
