"""The committed result of the HTA: one analysis, not numbers from several, of the luminosity that the README states."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.k_nunu.density import density_from_json
from fei_lite.analyses.output import read_classifiers
from fei_lite.cli import main

FOLDER = Path(__file__).resolve().parents[1] / "trained" / "hta"


@pytest.fixture(scope="module")
def ntuple():
    return read_ntuple(FOLDER / "ntuple.parquet")[0]


@pytest.fixture(scope="module")
def content():
    return json.loads((FOLDER / "histograms.json").read_text())


@pytest.fixture(scope="module")
def workspace():
    return json.loads((FOLDER / "workspace.json").read_text())


def test_background_has_its_luminosity(content):
    """Would catch a result from a short production, or one with a process left out."""
    samples = content["samples"]
    assert content["missing_processes"] == []
    assert samples["bbbar"]["luminosity_fb"] >= 4.5 and samples["bbbar"]["effective_luminosity_fb"] >= 260.0
    for name in ("ccbar", "qqbar"):
        assert samples[name]["luminosity_fb"] >= 2.2, name


def test_templates_are_those_of_the_candidates(ntuple, content, workspace):
    """Would catch a workspace of another run than the candidates beside it."""
    of_workspace = {s["name"]: s["data"] for s in workspace["channels"][0]["samples"]}
    region = content["regions"]["hta"]
    for template in region["templates"]:
        of = ntuple["sample"] == template["name"]
        assert of.sum() == content["samples"][template["name"]]["entries"]
        values = np.histogram(ntuple["eta"][of], region["edges"], weights=ntuple["event_weight"][of])[0]
        floored = np.isin(np.arange(len(values)), region["floored_bins"])
        np.testing.assert_allclose(np.array(template["values"])[~floored], values[~floored], rtol=1e-9)
        np.testing.assert_allclose(of_workspace[template["name"]], template["values"], rtol=1e-9)


def test_classifier_gives_the_scores(ntuple):
    """Would catch a BDT_h that is not the one of the ntuple: the score is reproduced by one of its five folds."""
    analysis = load_analysis("hta")
    classifier, = read_classifiers(FOLDER / "classifier", analysis)
    X = np.column_stack([ntuple[name].astype(np.float64) for name in analysis.recipe.classifier[0].features])
    scores = np.stack([classifier.scores(X, np.full(len(X), fold)) for fold in range(classifier.folds)])
    assert np.min(np.abs(scores - ntuple["BDTh"]), axis=0).max() < 1e-9
    np.testing.assert_allclose(classifier.transform(ntuple["BDTh"]), ntuple["eta"], atol=1e-9)


def test_cut_flow_ends_in_the_candidates(ntuple, content):
    """Would catch a cut-flow of another run, and one that grows."""
    flows = json.loads((FOLDER / "cutflow.json").read_text())
    for name, rows in flows.items():
        passed = [row["passed"] for row in rows if row["name"] != "generated"]  # combined in more events than these
        assert passed == sorted(passed, reverse=True)
        of = ntuple["sample"] == name
        assert passed[-1] == of.sum()
        assert rows[-1]["passed_weight"] == pytest.approx(ntuple["event_weight"][of].sum())
    signal = flows["signal"]
    assert content["efficiency"]["signal"] == pytest.approx(
        signal[-1]["passed_weight"] / signal[0]["passed_weight"], rel=1e-9)


def test_fit_of_the_workspace(capsys):
    """Would catch a fit.json of another workspace; Asimov data have mu = 1."""
    assert main(["fit", str(FOLDER / "workspace.json"), "--format", "json"]) == 0
    found, kept = json.loads(capsys.readouterr().out), json.loads((FOLDER / "fit.json").read_text())
    assert found["mu"]["best_fit"] == pytest.approx(1.0, abs=1e-3)
    for name in ("error_up", "error_down", "statistical"):
        assert found["mu"][name] == pytest.approx(kept["mu"][name], rel=1e-3), name
    assert found["upper_limit_90"]["expected"] == pytest.approx(kept["upper_limit_90"]["expected"], rel=1e-3)


def test_density_is_the_signal_of_the_fit(ntuple):
    """Would catch a reinterpretation that starts from another signal than the fit's."""
    density = density_from_json(json.loads((FOLDER / "density.json").read_text()))
    of = (ntuple["sample"] == "signal") & (ntuple["eta"] >= 0.4)
    assert np.sum(density.values) == pytest.approx(ntuple["event_weight"][of].sum(), rel=1e-6)
