"""The example of an analysis as a folder outside of the package, from events to a fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.folders import load_analysis
from fei_lite.cli import main
from fei_lite.events.files import read_events
from fei_lite.production.simulate import simulate_file

FOLDER = Path(__file__).resolve().parents[1] / "scripts" / "examples" / "b_tau_nu"
#: Charged leptons and hadrons that the four modes of the tau leave.
MODES = {0: 11, 1: 13, 2: 211, 3: 211}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Events of signal and background, and the results of the example on them."""
    folder = tmp_path_factory.mktemp("b_tau_nu")
    files = [folder / "signal.root", folder / "charged.root"]
    simulate_file("signal", files[0], n=3000, seed=71, dec_file=FOLDER / "signal.dec")
    simulate_file("charged", files[1], n=2000, seed=72)
    out = folder / "results"
    assert main(["analyse", str(FOLDER), *map(str, files), "-o", str(out), "--quiet"]) == 0
    return files, out


def test_nothing_of_it_is_in_the_package():
    """Would catch an example that works only because the package knows of it."""
    package = Path(__file__).resolve().parents[1] / "fei_lite"
    assert not [path for path in package.rglob("*") if path.suffix in (".py", ".toml", ".dec")
                and "b_tau_nu" in path.read_text(encoding="utf-8")]
    assert not list(FOLDER.glob("*.py"))


def test_candidates_are_tau_decays(made):
    """Would catch candidates of a wrong mode, tracks left over, and E_extra that the signal side has used."""
    files, out = made
    columns, _ = read_ntuple(out / "candidates" / "signal.parquet")
    assert len(columns["event"]) > 5 and len(set(columns["event"].tolist())) == len(columns["event"])
    assert set(columns["tauMode"].tolist()) <= set(MODES)
    events = read_events(files[0])
    row = {int(number): i for i, number in enumerate(events.events["event"])}
    rows = [row[int(number)] for number in columns["event"]]
    every, not_of_decays = photon_energy(events)
    assert np.all(columns["Eextra"] <= every[rows] + 1e-6)
    signal = columns["isSignal"] == 1  # tag and tau have used every photon of a decay: background and showers are left
    assert signal.any() and np.any(every[rows][signal] > not_of_decays[rows][signal] + 0.1)
    assert np.all(columns["Eextra"][signal] <= not_of_decays[rows][signal] + 1e-6)


def photon_energy(events):
    """Per event (n,): energy of all photon clusters, and of those that are no photon of a pi0, eta or D* decay; GeV."""
    clusters, generated = events.clusters, events.generated
    photons = (clusters["is_track"] == 0) & (clusters["is_photon"] == 1)
    first = generated.offsets[:-1]
    matched = clusters["mc_index"] >= 0
    particle = np.where(matched, first[clusters.event_index] + clusters["mc_index"], 0)
    mother = np.where(generated["mother"] >= 0, first[generated.event_index] + generated["mother"], 0)[particle]
    of_decay = (matched & (generated["pdg"][particle] == 22) & (generated["mother"][particle] >= 0)
                & np.isin(np.abs(generated["pdg"][mother]), (111, 221, 413, 423, 433)))
    return tuple(np.bincount(clusters.event_index, clusters["E"] * chosen, minlength=events.n_events)
                 for chosen in (photons, photons & ~of_decay))


def test_templates_are_the_candidates(made):
    """Would catch a region that holds another mode's candidates, or a yield that is not f+-'s."""
    _, out = made
    ntuple, _ = read_ntuple(out / "ntuple.parquet")
    content = json.loads((out / "histograms.json").read_text())
    recipe = load_analysis(FOLDER).recipe
    assert [line.name for line in recipe.region] == list(content["regions"]) == ["e", "mu", "pi", "rho"]
    of = ntuple["sample"] == "signal"
    np.testing.assert_allclose(ntuple["event_weight"][of], 2 * 387.1e6 * 0.5113 * 1.09e-4 / 3000)
    for mode, region in enumerate(content["regions"].values()):
        inside = of & (ntuple["tauMode"] == mode)
        wanted = np.histogram(ntuple["Eextra"][inside], region["edges"], weights=ntuple["event_weight"][inside])[0]
        np.testing.assert_allclose(region["templates"][0]["values"], wanted)
    flow = json.loads((out / "cutflow.json").read_text())["signal"]
    assert flow[0]["passed"] == 3000 and flow[-1]["passed"] == of.sum() > 0
    assert [row["name"] for row in flow[-4:]] == [cut.name for cut in recipe.cut]


def test_fit_of_the_example(made, capsys):
    """Would catch a workspace that fei-lite fit does not take; Asimov data have mu = 1."""
    _, out = made
    assert main(["fit", str(out / "workspace.json"), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["poi"] == "mu" and found["mu"]["best_fit"] == pytest.approx(1.0, abs=0.05)
    assert (out / "plots" / "rho.png").stat().st_size > 1000
