"""An analysis as a folder: its files read strictly, pairs of any modes, several signals and regions, one candidate."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from signal_events import Truth, signal_batch, true_tags
from toy_candidates import HTA, RECIPE, TOYS, inputs_of, write_toys

from fei_lite.analyses.analysis import analyse
from fei_lite.analyses.candidates.files import Setup
from fei_lite.analyses.candidates.making import sample_of_events
from fei_lite.analyses.candidates.ntuple import read_ntuple, write_ntuple
from fei_lite.analyses.candidates.pairs import all_pairs, best_of_each_event, with_signal_side
from fei_lite.analyses.candidates.production import produce
from fei_lite.analyses.candidates.samples import Expectation
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.output import fit_values
from fei_lite.analyses.recipes.recipe import RegionLine, SampleLine, SignalDecay
from fei_lite.candidates import CandidateTable
from fei_lite.channels import load_channel_set
from fei_lite.cli import main
from fei_lite.errors import AnalysisError
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.statistics.fits import fit_strength
from fei_lite.statistics.from_templates import workspace_of
from fei_lite.statistics.workspaces import open_likelihood

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
NONE = 'target = "isSignal"\nclassifier = "none"\nfit = "none"\npost = { best = 100 }\n'
LEAF = 'rank = { by = "p", keep = "highest", best = 100 }\n'
TAGS = 'rank = { by = "SignalProbability", keep = "highest", best = 100 }\n'
PAIR = 'rank = { by = "daughterProductOf(SignalProbability)", keep = "highest", best = 100 }\n'


# Files


def changed(tmp_path, *changes, file="recipe.toml"):
    """A copy of the HTA's folder with some text replaced."""
    folder = tmp_path / "mine"
    shutil.copytree(HTA.folder, folder, dirs_exist_ok=True)
    text = (folder / file).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / file).write_text(text)
    return folder


@pytest.mark.parametrize(("old", "new", "said"), [
    ('cut = "nROE_pi0 == 0"', 'cut = "nROE_pi0 < "', "recipe.toml: cut[6].cut: column 11: expected a name"),
    ('cut = "nROE_pi0 == 0"', 'cut = "nROE_pio == 0"', "cut[6].cut: column 1: unknown variable 'nROE_pio'. Nearest"),
    ('cut = "nROE_pi0 == 0"', 'cut = "nROE_pi0"', "cut[6].cut: 'nROE_pi0' is no condition"),
    ('cut = "nROE_pi0 == 0"', 'cutz = "nROE_pi0 == 0"', "cut[6].cutz: unknown key 'cutz'. Nearest known: 'cut'."),
    ('"tagChiProb",', '"tagChiProp",', "classifier[0].features[9]"),
    ('"charged", "mixed"', '"charged", "mixd"', "sample[1].processes[1]: no process 'mixd'. Nearest known: 'mixed'."),
    ('processes = ["ccbar"]', 'processes = ["ccbar", "mixed"]', "'mixed' belongs to sample 'bbbar' already"),
    ('strength = "mu"', '', "sample: none has a strength"),
    ('mRecoil = "daughter(0, mRecoil)"', 'mRecoil = "daughter(0, mRecoyl)"', "variables.mRecoil: column 13: unknown"),
    ("[0.4, 0.5, 0.6", "[0.4, 0.6, 0.5", "region[0].edges: expected rising numbers"),
    ("q2_edges = [", "q2_edge = [", "physics.q2_edges: missing."),
    ('by = "daughter(0, SignalProbability)"', 'by = "daughter(0, Probability)"', "signal_side.best[0].by: column 13"),
    ('channel_set = "k_nunu"', 'channel_set = "k_nun"', "signal_side.channel_set: no channel set 'k_nun'"),
    ('meson = "B+"', 'meson = "B-"', "signal_decays.k_nunu.meson: got 'B-', expected"),
])
def test_defects_of_a_recipe(tmp_path, old, new, said):
    """Would catch a recipe with a typing error that silently does something else."""
    with pytest.raises(AnalysisError) as caught:
        load_analysis(changed(tmp_path, (old, new)))
    assert said in str(caught.value)


@pytest.mark.parametrize(("old", "new", "said"), [
    ('kind = "weight"', 'kind = "wait"', "systematic[7].kind: expected one of normalisation, weight, form_factor, got"),
    ("size = 0.30", "size = 3", "systematic[0].size: got 3, expected"),
    ("size = 0.30", "", "systematic[0].size: missing."),
    ('samples = ["bbbar"]', 'samples = ["bbar"]', "systematic[0].samples[0]: no sample 'bbar' in "),
    ("coefficient = 2", "coefficient = 3", "systematic[11].coefficient: got 3"),
    ("nROE_Photons = 0.20", "nROE_Photon = 0.20", "systematic[7].per: no column 'nROE_Photon'. Nearest"),
])
def test_defects_of_systematics(tmp_path, old, new, said):
    """Would catch an uncertainty that is silently none."""
    with pytest.raises(AnalysisError) as caught:
        load_analysis(changed(tmp_path, (old, new), file="systematics.toml"))
    assert said in str(caught.value)


def test_physics_that_is_none(tmp_path):
    """Would catch a misspelt hook of physics.py that is never called."""
    with pytest.raises(AnalysisError, match=r"unexpected keyword argument 'event_weight'"):
        load_analysis(changed(tmp_path, ("event_weights=event_weights", "event_weight=event_weights"),
                              file="physics.py"))
    with pytest.raises(AnalysisError, match=r"no analysis 'htb'.*Nearest known: 'hta'"):
        load_analysis("htb")


def test_candidates_depend_on_what_makes_them(tmp_path):
    """Would catch candidates kept although a variable changed, or made anew for another cut or binning."""
    assert load_analysis(changed(tmp_path, ("2 < E_ECL < 7", "2 < E_ECL < 8"))).identity == HTA.identity
    assert load_analysis(changed(tmp_path, ('"roeEextra(hta)"', '"roeEextra(ita)"'))).identity != HTA.identity


def test_neutral_signal_takes_f00():
    """Would catch B0 signal that is normalised to B+ pairs: 2 N f00 B by hand."""
    decays = {name: SignalDecay(decay_file=name, meson=meson, branching_fraction=1e-5, origin="-")
              for name, meson in (("plus", "B+"), ("zero", "B0"))}
    norm = Expectation(10.0, 5.0, 1e6, decays)
    assert norm.expected("zero") == pytest.approx(2 * 2e6 * 0.4861 * 1e-5)
    assert norm.expected("plus") == pytest.approx(2 * 2e6 * 0.5113 * 1e-5)


# Pairs


@pytest.fixture(scope="module")
def batch():
    return signal_batch(150, seed=11)


@pytest.fixture(scope="module")
def neutral(batch, tmp_path_factory):
    """Pairs of a neutral tag (that of charged events, with a flavour by chance) and B0 -> K+ pi-, both flavours."""
    folder = tmp_path_factory.mktemp("neutral")
    for name, text in {
            "k": f'particle = "K+:sig"\n{NONE}cuts = "kaonID > 0.5"\n{LEAF}[[channel]]\ndaughters = ["K+:FSP"]\n',
            "pi": f'particle = "pi+:sig"\n{NONE}cuts = "pionID > 0.5"\n{LEAF}[[channel]]\ndaughters = ["pi+:FSP"]\n',
            "tag": f'particle = "B0:tag"\n{NONE}cuts = ""\n{TAGS}[[channel]]\ndaughters = ["B0:Btag"]\n',
            "sig": f'particle = "B0:sig"\n{NONE}cuts = ""\n{PAIR}[[channel]]\ndaughters = ["K+:sig", "pi-:sig"]\n',
            "pair": f'particle = "Upsilon(4S)"\n{NONE}cuts = ""\n{PAIR}'
                    '[[channel]]\ndaughters = ["B0:tag", "anti-B0:sig"]\n'
                    '[[channel]]\ndaughters = ["B0:tag", "B0:sig"]\n'}.items():
        (folder / f"{name}.toml").write_text(text)
    signal_set = load_channel_set(folder)
    table = true_tags(batch, Truth(batch))["B+"]
    flavour = np.random.default_rng(4).choice(np.array([-1, 1], dtype=np.int8), len(table))
    tags = Reconstruction(batch, load_channel_set("hadronic"), {
        "B0": CandidateTable("B0", table.offsets, table.columns | {"sign": flavour}),
        "B+": table.select(np.zeros(len(table), dtype=bool))})
    return all_pairs(batch, tags, signal_set, "Upsilon(4S)", masks=HTA.masks), tags, signal_set


def test_mixing_is_kept(batch, neutral):
    """Would catch a signal B0 of the tag's own flavour that is lost: all pairs by loops over tags and tracks."""
    pairs, tags, _ = neutral
    table, tracks, wanted = tags.tables["B0"], batch.tracks, {}
    for i, e in enumerate(table.event_index):
        rows = range(tracks.offsets[e], tracks.offsets[e + 1])
        free = [r for r in rows if not (table["used"][i, 0] >> np.uint64(r - tracks.offsets[e])) & np.uint64(1)]
        likelihood = {r: np.exp(tracks["pid_logl"][r] - tracks["pid_logl"][r].max()) for r in free}
        for k in (r for r in free if likelihood[r][3] > 0.5 * likelihood[r].sum()):
            for pi in (r for r in free if likelihood[r][2] > 0.5 * likelihood[r].sum()):
                if tracks["charge"][k] * tracks["charge"][pi] < 0:
                    key = (int(e), int(table["sign"][i]), int(tracks["charge"][k]))
                    wanted[key] = wanted.get(key, 0) + 1
    found = {}
    flavour = pairs.value("daughter(1, daughter(0, charge))")
    for e, sign, charge in zip(pairs.event.tolist(), pairs.of(0, "sign").tolist(), flavour.tolist(), strict=True):
        found[e, sign, int(charge)] = found.get((e, sign, int(charge)), 0) + 1
    assert found == wanted
    assert {sign * charge for _, sign, charge in found} == {1, -1}


def test_one_candidate_per_event(neutral):
    """Would catch another than the best pair, ties decided by chance, and NaN that wins."""
    pairs, _, _ = neutral
    first = pairs.value("daughter(0, SignalProbability)").copy()
    second = pairs.value("daughter(1, M)")
    first[::7] = np.nan
    best = best_of_each_event(pairs, [(first, True), (second, False)])
    wanted = {}
    for i, e in enumerate(pairs.event.tolist()):
        key = (-first[i] if first[i] == first[i] else np.inf, second[i], i)
        wanted[e] = min(wanted.get(e, key), key)
    assert best.event.tolist() == sorted(wanted)
    assert best.rows.tolist() == [wanted[e][2] for e in sorted(wanted)]


def test_events_without_a_signal_side_need_no_tag(batch):
    """Would catch an event that is dropped although it has a pair."""
    kept = with_signal_side(batch, HTA.signal_set, "Upsilon(4S)")
    tags = Reconstruction(batch, load_channel_set("hadronic"), true_tags(batch, Truth(batch)))
    pairs = all_pairs(batch, tags, HTA.signal_set, "Upsilon(4S)", masks=HTA.masks)
    assert set(pairs.event.tolist()) <= set(kept.tolist()) and 0 < len(kept) < batch.n_events


# Several signals, several regions


def two_signals():
    """The HTA with its signal split by the generated q2, a strength each, in two regions of other bins."""
    low, high = (SampleLine(name=f"signal_{name}", processes=("k_nunu",), strength=f"mu_{name}", where=where)
                 for name, where in (("low", "q2_generated < 8"), ("high", "not q2_generated < 8")))
    regions = (RegionLine(name="near", variable="eta", edges=(0.4, 0.7, 1.0), where="q2 < 8"),
               RegionLine(name="far", variable="1 - eta", edges=(0.0, 0.2, 0.4, 0.6), where="q2 >= 8"))
    recipe = RECIPE.model_copy(update={"sample": (low, high, *RECIPE.sample[1:]), "region": regions})
    lines = tuple(line.model_copy(update={"samples": tuple(
        name for s in line.samples for name in (("signal_low", "signal_high") if s == "signal" else (s,)))})
        for line in HTA.systematics)
    return replace(HTA, recipe=recipe, systematics=lines, physics=replace(HTA.physics, summary=None, files=None,
                                                                        figures=None, lines=None))


@pytest.fixture(scope="module")
def split():
    toys = list(TOYS)
    columns, source, counts = toys[0]
    parts = {}
    for name, of in (("low", columns["q2_generated"] < 8), ("high", columns["q2_generated"] >= 8)):
        parts[f"signal_{name}"] = {step: [int(n * of.mean()), float(w * of.mean())]
                                   for step, (n, w) in counts["signal"].items()}
    toys[0] = columns, source, parts
    return analyse(inputs_of(*toys), two_signals())


def test_each_signal_has_its_own_strength(split):
    """Would catch a split signal that counts twice, in the wrong region or with the other's strength."""
    of = np.isin(split.sample, ["signal_low", "signal_high"])
    columns = split.columns
    for region, inside, x in (("near", columns["q2"] < 8, columns["eta"]), ("far", columns["q2"] >= 8,
                                                                            1 - columns["eta"])):
        edges = split.region(region).edges
        for name, part in (("signal_low", columns["q2_generated"] < 8), ("signal_high", columns["q2_generated"] >= 8)):
            wanted = np.histogram(x[of & inside & part], edges, weights=columns["event_weight"][of & inside & part])[0]
            np.testing.assert_allclose(split.region(region).template(name).values, wanted)
    assert split.of("signal_low").expected + split.of("signal_high").expected == pytest.approx(
        columns["event_weight"][of].sum())
    spec = workspace_of({region.name: region.templates for region in split.regions})
    for poi in ("mu_low", "mu_high"):
        scaled = {s["name"] for c in spec["channels"] for s in c["samples"] for m in s["modifiers"] if m["name"] == poi}
        assert scaled == {poi.replace("mu", "signal")}
        fit = fit_strength(open_likelihood(spec, poi=poi))
        assert fit.best_fit == pytest.approx(1.0, abs=0.02) and fit.error_up > 0


def test_samples_part_the_events():
    """Would catch events of a signal that belong to no sample, or to two."""
    analysis = two_signals()
    q2 = {"q2_generated": np.array([1.0, 20.0, 7.9])}
    assert sample_of_events(analysis, "k_nunu", q2, 3).tolist() == [0, 1, 0]
    lines = (analysis.recipe.sample[0], analysis.recipe.sample[1].model_copy(update={"where": "q2_generated > 15"}))
    gap = replace(analysis, recipe=analysis.recipe.model_copy(update={"sample": lines}))
    with pytest.raises(AnalysisError, match="1 of 3 events belong to none or to several"):
        sample_of_events(gap, "k_nunu", {"q2_generated": np.array([1.0, 20.0, 9.0])}, 3)


def test_classifier_of_a_category():
    """Would catch a classifier that judges candidates of another category, and a NaN that lands in a bin."""
    one = RECIPE.classifier[0].model_copy(update={"where": "q2 < 12", "name": "near", "flat": "eta_near"})
    two = RECIPE.classifier[0].model_copy(update={"where": "q2 >= 12", "name": "far", "flat": "eta_far"})
    regions = tuple(RegionLine(name=n, variable=f"eta_{n}", edges=(0.0, 0.5, 1.0)) for n in ("near", "far"))
    recipe = RECIPE.model_copy(update={"classifier": (one, two), "region": regions})
    analysis = replace(HTA, recipe=recipe, physics=replace(HTA.physics, summary=None, files=None))
    result = analyse(inputs_of(*TOYS), analysis)
    near = result.columns["q2"] < 12
    assert np.isnan(result.columns["near"][~near]).all() and np.isnan(result.columns["far"][near]).all()
    assert not np.isnan(result.columns["far"][~near]).any()
    for region, of in (("near", near), ("far", ~near)):
        total = sum(t.values.sum() for t in result.region(region).templates)
        assert total == pytest.approx(result.columns["event_weight"][of].sum())
        signal = result.region(region).template("signal").values
        assert signal[0] == pytest.approx(signal[1], rel=0.02)  # flat in signal


def test_unbinned_values_are_the_candidates(tmp_path):
    """Would catch values outside of the range, or of another region, in what an unbinned fit takes."""
    regions = (RegionLine(name="low", variable="q2 + 1", edges=(3.0, 9.0), where="eta > 0.5"),)
    recipe = RECIPE.model_copy(update={"fit": "unbinned", "region": regions})
    analysis = replace(HTA, recipe=recipe, physics=replace(HTA.physics, summary=None, files=None))
    result = analyse(inputs_of(*TOYS), analysis)
    values = fit_values(result)
    x = result.columns["q2"] + 1
    inside = (x >= 3) & (x <= 9) & (result.columns["eta"] > 0.5)
    np.testing.assert_array_equal(values["value"], x[inside])
    np.testing.assert_array_equal(values["weight"], result.columns["event_weight"][inside])
    assert values["sample"].tolist() == result.sample[inside].tolist() and set(values["region"]) == {"low"}


def test_too_few_candidates_say_of_what():
    """Would catch a message that leaves open which process has to be simulated more."""
    few = [(({k: v[:40] for k, v in c.items()}), s, n) for c, s, n in TOYS[1:3]]
    with pytest.raises(AnalysisError) as caught:
        analyse(inputs_of(TOYS[0], *few), HTA)
    said = str(caught.value)
    assert "of background pass the selection, expected 30 or more" in said
    assert "charged" in said and "of 180000 generated, lacks about" in said and "mixed" in said


# Comparison and production


def test_comparison_sees_one_bit(tmp_path, capsys):
    """Would catch a comparison that calls different results equal."""
    files = list(map(str, write_toys(tmp_path, TOYS)))
    before, after = tmp_path / "before", tmp_path / "after"
    assert main(["analyse", "hta", *files, "-o", str(before), "--quiet", "--no-figures"]) == 0
    shutil.copytree(before, after)
    run = [sys.executable, str(SCRIPTS / "compare_analyses.py"), str(before), str(after)]
    assert subprocess.run(run, capture_output=True, text=True, check=False).returncode == 0
    columns, metadata = read_ntuple(after / "ntuple.parquet")
    columns["q2"] = columns["q2"].copy()
    columns["q2"][3] = np.nextafter(columns["q2"][3], 99.0)
    write_ntuple(after / "ntuple.parquet", columns, metadata, force=True)
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "q2: 1 of" in done.stdout
    assert "templates of workspace.json: equal to the bit" in done.stdout


def test_production_goes_on(tmp_path):
    """Would catch pieces that are made again, missing ones that are not, and events that count twice."""
    setup = Setup(HTA.folder)
    made = produce("k_nunu", setup, tmp_path, seed=7, events=250, piece=150)
    assert sorted(s.seed for s in made.sources) == [7, 8] and sum(s.n_generated for s in made.sources) == 300
    pieces = {path: path.stat().st_mtime_ns for path in (tmp_path / "pieces").iterdir()}
    gone = next(path for path in pieces if "_8" in path.name)
    gone.unlink()
    again = produce("k_nunu", setup, tmp_path, seed=7, events=250, piece=150)
    assert {path: path.stat().st_mtime_ns for path in pieces if path != gone} == {
        path: time for path, time in pieces.items() if path != gone} and gone.exists()
    np.testing.assert_array_equal(again.columns["event"], made.columns["event"])
    with pytest.raises(AnalysisError, match=r"process 'taunu' belongs to no sample"):
        produce("taunu", setup, tmp_path, seed=7, events=10)
    with pytest.raises(AnalysisError, match=r"expected a number of events or a luminosity"):
        produce("k_nunu", setup, tmp_path, seed=7)


def test_long_metadata_are_compressed(tmp_path):
    """Would catch sources of a long production that take more than its candidates, or that come back as others."""
    columns = {"weight": np.ones(3), "source": np.zeros(3, np.int32)}
    for n in (1, 500):
        said = {"of": "mine", "list": [{"file": f"charged_{i}", "options": {"selection": "pairs"}} for i in range(n)]}
        path = tmp_path / f"{n}.parquet"
        write_ntuple(path, columns, said)
        found, again = read_ntuple(path)
        assert again == said and found["weight"].tolist() == [1.0] * 3
        kept = pq.read_schema(path).metadata[b"fei_lite_ntuple"]
        assert (json.loads(kept) == said) if n == 1 else len(kept) < 0.2 * len(json.dumps(said))
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"fei_lite_ntuple": kept[:-100]}), tmp_path / "cut.parquet")
    with pytest.raises(AnalysisError, match=r"cut.parquet: fei_lite_ntuple: damaged .*Copy or make"):
        read_ntuple(tmp_path / "cut.parquet")
