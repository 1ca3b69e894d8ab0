"""The HTA: candidates against the event by hand, the analysis on toys with known answers, the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import naive_roe
import numpy as np
import pytest
from scipy.stats import kstest
from signal_events import Truth, signal_batch, true_tags
from toy_candidates import EDGES, HTA, RECIPE, TOYS, inputs_of, toy, write_toys

from fei_lite.analyses.analysis import SampleResult, analyse
from fei_lite.analyses.candidates.files import (
    Setup,
    make_candidates,
    merge_candidates,
    read_candidates,
)
from fei_lite.analyses.candidates.inputs import UNKNOWN
from fei_lite.analyses.candidates.making import candidates
from fei_lite.analyses.candidates.ntuple import read_ntuple, write_ntuple
from fei_lite.analyses.candidates.pairs import SIGNAL, TAG, all_pairs, best_of_each_event
from fei_lite.analyses.candidates.production import simulate_candidates
from fei_lite.analyses.candidates.samples import Expectation
from fei_lite.analyses.classifier import load_classifier, train_folds
from fei_lite.analyses.histograms import Region, bin_variances, with_bin_floor
from fei_lite.analyses.hta import physics
from fei_lite.analyses.selected import failed
from fei_lite.analyses.shortage import empty_templates
from fei_lite.analyses.systematics import WeightLine
from fei_lite.channels import load_channel_set
from fei_lite.classifiers.quality import weighted_auc
from fei_lite.cli import main
from fei_lite.errors import AnalysisError, UnknownNameError
from fei_lite.events.files import EventWriter, read_events
from fei_lite.production.simulate import simulate_file
from fei_lite.provenance import RECORD, checksum
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.frames import to_cms
from fei_lite.roe import masked_objects, rest_of_event
from fei_lite.statistics.fits import expected_data
from fei_lite.statistics.from_templates import workspace_of
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.templates import Template
from fei_lite.used_objects import everything

Q2_EDGES = HTA.settings.q2_edges
SETUP = Setup(HTA.folder)
LOADED = SETUP.load()
N = 150


# Candidates


@pytest.fixture(scope="module")
def batch():
    return signal_batch(N, seed=11)


def tag(batch):
    """The true Btags of a batch in place of reconstructed ones."""
    return Reconstruction(batch, load_channel_set("hadronic"), true_tags(batch, Truth(batch)))


@pytest.fixture(scope="module")
def tags(batch):
    return tag(batch)


@pytest.fixture(scope="module")
def sides(batch, tags):
    every = all_pairs(batch, tags, HTA.signal_set, "Upsilon(4S)", masks=HTA.masks, own=HTA.physics.variables)
    return best_of_each_event(every, [(every.value("daughter(0, SignalProbability)"), True)])


@pytest.fixture(scope="module")
def columns(batch):
    return candidates(batch, HTA, tag, process="k_nunu")[0]


def test_the_most_probable_pair(tags, sides):
    """Would catch another than the best Btag of the event: a loop over all pairs."""
    pairs, tag = sides.result.tables["Upsilon(4S)"], sides.result.tables["B+:tag"]
    best = {}
    for i, e in enumerate(pairs.event_index):
        p = tag["SignalProbability"][pairs["daughters"][i, 0]]
        best[int(e)] = max(best.get(int(e), 0.0), float(p))
    assert len(best) == len(sides) > 0.3 * N
    assert dict(zip(sides.event.tolist(), sides.of(TAG, "SignalProbability").tolist())) == best


def test_tag_signal_and_rest_partition_the_event(batch, sides):
    """Would catch an object on two sides or on none."""
    tag, kaon = sides.of(TAG, "used"), sides.of(SIGNAL, "used")
    rest = rest_of_event(masked_objects(batch, "hta"), sides.event, tag=tag, signal=kaon).bits
    assert not (tag & kaon).any() and not (tag & rest).any() and not (kaon & rest).any()
    np.testing.assert_array_equal(tag | kaon | rest, everything(batch)[sides.event])
    assert kaon.any(axis=1).all() and tag.any(axis=1).all()


def thrust_axis(p3):
    """The axis along the largest sum of momenta, each with its best sign: all planes through two momenta."""
    best = np.zeros(3)
    for i in range(len(p3)):
        for j in range(i):
            signs = np.sign(p3 @ np.cross(p3[i], p3[j]))
            for a in (-1, 1):
                for b in (-1, 1):
                    signs[i], signs[j] = a, b
                    total = signs @ p3
                    best = total if total @ total > best @ best else best
    return best / np.linalg.norm(best)


def test_variables_by_hand(batch, sides, columns):
    """Would catch a side left out of a variable, a wrong frame or mask: objects one at a time, from bit sets."""
    from fei_lite.roe import find_mask

    hta = find_mask("hta")
    for i in range(0, len(sides), 3):
        e, beam = int(sides.event[i]), batch.events["beam_p4"][sides.event[i]]
        used = naive_roe.of_bits(batch, e, sides.of(TAG, "used")[i])
        kaon = naive_roe.of_bits(batch, e, sides.of(SIGNAL, "used")[i])
        left = naive_roe.rest(batch, e, used | kaon, hta)
        rest = left["tracks"] + left["photons"]
        assert columns["roeEextra"][i] == pytest.approx(sum(p[3] for p in left["photons"]))
        assert columns["nROE_Tracks"][i] == len(left["tracks"]) and columns["nROE_pi0"][i] == left["n_pi0"]
        assert columns["nROE_AllTracks"][i] == sum(kind == "tracks" for kind, _ in left["left"])
        p_tag, p_kaon = sides.of(TAG, "p4")[i], sides.of(SIGNAL, "p4")[i]
        lost = to_cms(np.array([beam - p_tag - p_kaon - sum(rest, np.zeros(4))]), beam)[0]
        kaon_cms = to_cms(p_kaon[None], beam)[0]
        assert columns["missing_E_plus_p_cms"][i] == pytest.approx(lost[3] + np.linalg.norm(lost[:3]))
        turn = np.degrees(np.arctan2(kaon_cms[1], kaon_cms[0]) - np.arctan2(lost[1], lost[0])) % 360
        assert np.degrees(columns["kaonMissingDeltaPhi"][i]) == pytest.approx(min(turn, 360 - turn), abs=1e-6)
        objects = [naive_roe.track(batch, e, k)[0] for kind, k in used if kind == "tracks"]
        objects += [found[0] for kind, k in used if kind == "clusters" and (found := naive_roe.photon(batch, e, k))]
        total = sum(objects + rest, np.zeros(4))
        assert columns["recoilMass"][i] == pytest.approx(np.sqrt(total[3]**2 - total[:3] @ total[:3]), rel=1e-6)
        p3 = to_cms(np.array(objects + rest), np.tile(beam, (len(objects + rest), 1)))[:, :3]
        c, first, last = batch.clusters, batch.clusters.offsets[e], batch.clusters.offsets[e + 1]
        assert columns["nCleanedClusters"][i] == sum(
            c["E"][k] > 0.1 and 17 < np.degrees(c["theta"][k]) < 150 and (c["is_track"][k] or c["is_photon"][k])
            for k in range(first, last))
        axis = thrust_axis(p3)
        wanted = abs(axis @ kaon_cms[:3]) / np.linalg.norm(kaon_cms[:3])
        assert columns["cosKaonThrust"][i] == pytest.approx(wanted, rel=1e-6)


def test_recoil_is_the_signal(columns):
    """Would catch a wrong q2: with true tags it is the generated one, with the resolution of the kaon's track."""
    difference = columns["q2"] - columns["q2_generated"]
    right = columns["isSignal"] == 1
    assert right.sum() > 0.3 * N
    assert abs(np.median(difference[right])) < 0.1 and np.quantile(np.abs(difference[right]), 0.68) < 0.3
    assert np.all(columns["kaonCharge"][right] * np.sign(columns["kaonMcPDG"][right]) == 1)


def test_counts_before_the_candidates(batch, sides, columns):
    """Would catch a step that is not counted, or counted without weights, and a pair lost with the events
    that have no kaon."""
    _, counts = candidates(batch, HTA, tag, process="k_nunu")
    read, kaon, btag, pair = counts.steps["signal"].values()
    assert list(counts.steps["signal"]) == ["events read", "signal side", "Btag", "Btag and signal side"]
    assert read[0] == N > kaon[0] >= btag[0] > pair[0] == len(columns["event"])
    np.testing.assert_array_equal(columns["event"], batch.events["event"][sides.event])
    assert pair[1] == pytest.approx(columns["weight"].sum())


def test_signal_that_is_none(batch):
    """Would catch a signal file of another decay that is weighted with NaN."""
    other = replace(batch, generated=replace(batch.generated, columns=batch.generated.columns | {
        "pdg": np.where(np.abs(batch.generated["pdg"]) == 16, 111, batch.generated["pdg"])}))
    with pytest.raises(AnalysisError, match=r"150 of 150 events of process 'signal' hold no B\+ -> K\+ nu nubar"):
        candidates(other, HTA, tag, process="k_nunu")


# The analysis on toys


@pytest.fixture(scope="module")
def result():
    return analyse(inputs_of(*TOYS), HTA)


def test_cut_flow_sums(result):
    """Would catch a candidate that is lost or counted twice between two steps."""
    for sample in result.samples:
        flow = sample.flow
        for before, row in pairwise(flow):
            assert row.passed + row.rejected == before.passed
            assert row.passed_weight + row.rejected_weight == pytest.approx(before.passed_weight)
            assert row.passed <= row.alone
        assert flow[-1].passed == sample.entries == np.count_nonzero(result.sample == sample.name)
        assert flow[-1].passed_weight == pytest.approx(sample.expected)
        assert flow[0].passed == sample.n_generated


def test_selection_by_hand(result):
    """Would catch a cut that is not applied: all cuts of the recipe, one candidate at a time."""
    columns, _, _ = TOYS[1]
    n = sum(columns["nCleanedTracks"][i] > 2.5 and columns["nCleanedClusters"][i] > 2.5
            and columns["visibleEnergyOfEventCMS"][i] > 4 and 2 < columns["E_ECL"][i] < 7
            and not any(columns[f"nROE_{x}"][i] for x in ("Tracks", "K_S0", "pi0", "Lambda0"))
            for i in range(len(columns["event"])))
    assert n == np.count_nonzero(result.columns["source"] == 1) > 50


def test_eta_is_flat_in_signal(result):
    """Would catch a transform that is not the cumulative signal, weights included; also on other signal."""
    of = result.sample == "signal"
    eta, weight = result.columns["eta"][of], result.columns["event_weight"][of]
    fraction = np.histogram(eta, 20, (0, 1), weights=weight)[0] / weight.sum()
    assert np.all(np.abs(fraction - 0.05) < 0.002)
    other = analyse(inputs_of(toy("signal", 9000, seed=11, shift=1.0), *TOYS[1:]), HTA,
                    classifiers=result.classifiers)
    eta = other.columns["eta"][other.sample == "signal"]
    weight = other.columns["event_weight"][other.sample == "signal"]
    n = weight.sum()**2 / (weight**2).sum()
    order = np.argsort(eta)
    distance = np.abs(np.cumsum(weight[order]) / weight.sum() - eta[order]).max()
    assert distance < 1.95 * np.sqrt(1 / n + 1 / of.sum())  # Kolmogorov's bound of 1e-3, both samples finite
    background = result.columns["eta"][result.sample == "bbbar"]
    assert kstest(background, "uniform").pvalue < 1e-6 and np.median(background) < 0.2


def test_nobody_is_judged_by_trees_that_know_it(result):
    """Would catch overtraining: the area under the curve is that of the toys, Phi(sqrt(3 / 2)), not more."""
    from scipy.stats import norm

    best = norm.cdf(np.sqrt(3.0 / 2.0))
    summary = result.classifiers[0].summary
    assert summary["auc"] < best + 3 * summary["auc_uncertainty"]
    assert summary["auc"] > best - 0.04


@pytest.mark.parametrize("up_to", [None, 0.9])
def test_one_large_weight_does_not_rule_the_training(up_to):
    """Would catch a forest that has learnt the one background event with the weight of all others."""
    rng = np.random.default_rng(8)
    y = np.arange(3000) % 2 == 0
    X = rng.normal(size=(3000, 2)) + np.where(y, 1.5, 0.0)[:, None]
    X[1] = 1.5, 1.5  # background where the signal is
    weight = np.where(np.arange(3000) == 1, 1e4, 1.0)
    options = {"names": ["a", "b"], "folds": 2, "seed": 1, "parameters": {"n_trees": 50}, "weights_up_to": up_to}
    fold = np.arange(3000) // 2 % 2
    scores = train_folds(X, y, weight, fold, **options)[1]
    plain = train_folds(X, y, np.ones(3000), fold, **options)[1]
    assert weighted_auc(y, scores)[0] > weighted_auc(y, plain)[0] - 0.01


def test_background_that_was_preferred_counts_by_its_weight():
    """Would catch a forest that takes what a selection prefers for what there is: of the background, sampled as
    often as it is like the signal (in a), nothing but b would be left to tell them apart."""
    rng = np.random.default_rng(9)
    n = 6000
    y = np.arange(n) % 2 == 0
    X = rng.normal(size=(n, 2)) + np.where(y, 1.0, 0.0)[:, None]
    X[~y, 0] += 1.0  # the background of a, drawn as the signal is ...
    weight = np.ones(n)
    weight[~y] = np.exp(0.5 - X[~y, 0])  # ... with the weights that make it one around 0
    options = {"names": ["a", "b"], "folds": 2, "seed": 1, "parameters": {"n_trees": 60, "max_depth": 3}}
    fold = np.arange(n) // 2 % 2
    equal, by_weight = (train_folds(X, y, weight, fold, weights_up_to=part, **options)[1] for part in (None, 0.98))
    auc = [weighted_auc(y, scores, weight=weight)[0] for scores in (equal, by_weight)]
    assert auc[1] > auc[0] + 0.03


def test_yields_are_cross_sections(result):
    """Would catch a wrong scale: expected events from the cross-sections, by hand, with 362/fb."""
    expected = {"charged": 387.1e6 * 0.5113, "mixed": 387.1e6 * 0.4861, "ccbar": 1.30e6 * 362, "uubar": 1.61e6 * 362,
                "ddbar": 0.40e6 * 362, "k_nunu": 2 * 387.1e6 * 0.5113 * 4.97e-6}
    for i, (_, source, _) in enumerate(TOYS):
        weight = result.columns["event_weight"][result.columns["source"] == i]
        plain = result.columns["weight"][result.columns["source"] == i]
        process = "k_nunu" if source.process == "signal" else source.process
        np.testing.assert_allclose(weight, plain * expected[process] / source.n_generated, rtol=1e-12)
    bbbar = next(s for s in result.samples if s.name == "bbbar")
    assert bbbar.luminosity == pytest.approx(362 * min(180000 / expected["charged"], 120000 / expected["mixed"]))
    assert result.missing == ("ssbar",)


def test_halves_make_a_whole(result):
    """Would catch a sample of two files that counts twice, or with the luminosity of one."""
    columns, source, counts = TOYS[1]
    half = len(columns["event"]) // 2
    parts = []
    for k, rows in enumerate((slice(0, half), slice(half, None))):
        part = {name: values[rows] for name, values in columns.items()}
        parts.append((part, replace(source, seed=100 + k, n_generated=source.n_generated // 2), counts))
    whole, split = (analyse(inputs_of(TOYS[0], *some), HTA, classifiers=result.classifiers).samples[1].expected
                    for some in ([TOYS[1]], parts))
    assert split == pytest.approx(whole)


def test_luminosity_scales(result):
    """Would catch a luminosity that scales some samples only; errors scale alike."""
    double = analyse(inputs_of(*TOYS), HTA, luminosity=724.0, classifiers=result.classifiers)
    for one, two in zip(result.regions[0].templates, double.regions[0].templates, strict=True):
        np.testing.assert_allclose(two.values, 2 * one.values)
        np.testing.assert_allclose(two.errors, 2 * one.errors)


def test_workspace_is_the_histograms(result):
    """Would catch a workspace that pyhf refuses, or that expects something else than the histograms."""
    pyhf = pytest.importorskip("pyhf")
    spec = workspace_of({"hta": result.regions[0].templates})
    model = pyhf.Workspace(spec).model()
    values = sum(np.histogram(result.columns["eta"], EDGES,
                              weights=result.columns["event_weight"] * (result.sample == s.name))[0]
                 for s in result.samples)
    np.testing.assert_allclose(model.expected_actualdata(model.config.suggested_init()), values, rtol=1e-9)
    likelihood = open_likelihood(spec)
    np.testing.assert_allclose(expected_data(likelihood)[:6], values, rtol=1e-9)
    background = expected_data(likelihood, 0.0)[:6]
    np.testing.assert_allclose(values - background, result.regions[0].templates[0].values, rtol=1e-9)
    names = {m["name"] for s in spec["channels"][0]["samples"] for m in s["modifiers"]}
    assert names >= {line.name for line in HTA.systematics} | {"mu", "mcstat_hta_bbbar"}


def test_efficiency_in_q2(result):
    """Would catch a denominator of another spectrum: with the bins' fractions it averages to the whole."""
    from fei_lite.analyses.k_nunu.spectrum import fractions

    values, errors = physics.efficiency_in_q2(result)
    inside = result.columns["q2_generated"][result.sample == "signal"] < Q2_EDGES[-1]
    weight = result.columns["event_weight"][result.sample == "signal"]
    whole = fractions(Q2_EDGES)
    assert whole.sum() == pytest.approx(1.0, abs=1e-3)
    assert values @ whole == pytest.approx(result.of("signal").efficiency * weight[inside].sum() / weight.sum())
    assert np.all(errors < 0.5 * values)


def test_resolution_of_q2(result):
    """Would catch a resolution of other candidates than the selected signal: Gaussian toys of width 0.3."""
    found = physics.q2_resolution(result)
    assert found["half_68"] == pytest.approx(0.3, rel=0.1) and abs(found["median"]) < 0.05
    assert found["beyond_1"] < 0.01


def test_floor_of_empty_bins():
    """Would catch a bin that expects nothing, or one that is raised although there is background."""
    signal = Template("signal", np.ones(3), np.ones(3), signal=True)
    one = Template("one", np.array([8.0, 0.0, 0.0]), np.array([4.0, 0.0, 0.0]), shapes={"s": (np.zeros(3), np.ones(3))})
    two = Template("two", np.array([3.0, 3.0, 0.0]), np.array([3.0, 3.0, 0.0]))
    nothing = [replace(t, values=np.zeros(3), errors=np.zeros(3)) for t in (one, two)]
    regions = [Region("a", "x", (0, 1, 2, 3), (signal, one, two)), Region("b", "x", (0, 1, 2, 3), (signal, *nothing))]
    found, bare = with_bin_floor(regions, 0.5)
    same, first, raised = found.templates
    assert same is signal and found.floored == (2,)
    assert first.values.tolist() == [8.0, 0.0, 1.0] and first.errors.tolist() == [4.0, 0.0, 1.0]  # weight 2 an entry
    assert [x.tolist() for x in first.shapes["s"]] == [[0, 0, 1.0], [1, 1, 1.0]] and raised is two
    # a region without any background: the lightest entry of the others
    assert bare.floored == (0, 1, 2) and bare.template("one").values.tolist() == [1.0, 1.0, 1.0]
    assert bare.template("two").values.tolist() == [0.0, 0.0, 0.0]
    none, = with_bin_floor(regions[1:], 0.5, otherwise=("two", 6.0))
    assert none.template("two").values.tolist() == [3.0, 3.0, 3.0] == none.template("two").errors.tolist()
    only = Region("a", "x", (0, 1, 2, 3), (signal,))
    assert with_bin_floor([only], 0.5) == (only,)


def test_background_that_never_reaches_the_bins_is_said():
    """Would catch a template of 0 +- 0 that is taken for a measurement, and a luminosity that would not be enough."""
    def template(name, values, **more):
        return Template(name, np.array(values), np.zeros(2), **more)

    region = Region("a", "x", (0, 1, 2), (template("signal", [4.0, 6.0], signal=True), template("bbbar", [3.0, 0.0]),
                                         template("ccbar", [0.0, 0.0])))
    samples = [SampleResult(name, (name,), 1000, 50.0, entries, 2.0, np.nan, 0.1, ())
               for name, entries in (("signal", 10), ("bbbar", 10), ("ccbar", 5))]
    result = SimpleNamespace(recipe=RECIPE, regions=(region,), samples=samples,
                             expectation=SimpleNamespace(luminosity=362.0))
    line, = empty_templates(result)  # each stands for ten events: 23 are compatible with none
    assert line.startswith("ccbar: none of 5 selected") and "up to 23 events of 362/fb" in line
    assert "Less than the signal's 10 events takes about 4.6/fb of it, made as the 2/fb there are" in line


def test_combinations_of_one_decay_are_correlated():
    """Would catch an error that counts a decay used four times as four: toys of shared decays have that spread."""
    edges, rng = np.array(EDGES), np.random.default_rng(12)
    decay = np.repeat(np.arange(50), 4)
    x, one = np.full(200, 0.45), np.ones(200)
    zero = np.zeros(200, dtype=int)
    assert bin_variances(x, one, zero, np.arange(200), edges).tolist() == [200, 0, 0, 0, 0, 0]
    assert bin_variances(x, one, zero, decay, edges)[0] == 200 + 2 * 50 * (16 - 4)
    assert bin_variances(x, one, decay % 3, zero, edges).sum() > 200**2 / 3
    # of another source that does not say its second B's: each part as it would be alone
    source, second = np.repeat([0, 1], 100), np.where(np.arange(200) < 100, np.arange(200), UNKNOWN)
    both = bin_variances(x, one, source, decay, edges, second=second)
    alone = [bin_variances(x[rows], one[rows], source[rows], decay[rows], edges, second=of)
             for rows, of in ((slice(100), second[:100]), (slice(100, None), None))]
    np.testing.assert_allclose(both, alone[0] + alone[1])
    # a decay is good with probability p, a combination passes if both are: n x n decays, each in `reuse` of them
    n, p, reuse, counts, claimed = 400, 0.1, 20, [], []
    for _ in range(400):
        good, other = (rng.uniform(size=n) < p for _ in range(2))
        first = np.repeat(np.arange(n), reuse)
        passed = good[first] & other[(first + np.tile(np.arange(reuse), n)) % n]
        k = int(passed.sum())
        counts.append(k)
        claimed.append(bin_variances(np.full(k, 0.45), np.ones(k), np.zeros(k, int), first[passed], edges)[0])
    assert np.mean(claimed) == pytest.approx(np.var(counts), rel=0.15)


# Systematic uncertainties


def test_every_line_has_an_origin():
    """Would catch a number without a source."""
    assert all(line.origin for line in HTA.systematics) and all(cut.origin for cut in RECIPE.cut)
    assert {line.kind for line in HTA.systematics} == {"normalisation", "weight", "form_factor"}


def test_weight_line_in_closed_form():
    """Would catch a factor of the wrong power: (1 +- s)^n; of Poisson counts its mean is exp(s lambda)."""
    n = np.random.default_rng(3).poisson(1.3, 200_000)
    def line(column):
        return WeightLine(name="x", samples=("signal",), kind="weight", origin="-", per={column: 0.2})

    down, up = line("n").factors({"n": n, "weight": np.ones(len(n))})
    np.testing.assert_allclose(up, 1.2**n)
    np.testing.assert_allclose(down, 0.8**n)
    assert up.mean() == pytest.approx(np.exp(0.2 * 1.3), rel=0.01)
    with pytest.raises(UnknownNameError, match="no column 'm'"):
        line("m").factors({"n": n, "weight": n})


def test_form_factor_keeps_the_rate():
    """Would catch a form factor that changes the branching fraction: its mean over the spectrum is 1."""
    from fei_lite.analyses.k_nunu.spectrum import Q2_MAX, spectrum

    q2 = np.append(np.linspace(0, Q2_MAX, 4001)[:-1], np.nan)
    for k in range(3):
        line = next(s for s in HTA.systematics if s.name == f"form_factor_a{k}")
        for factor in line.factors({"q2_generated": q2, "weight": np.ones(len(q2))}):
            assert factor[-1] == 1.0
            assert np.trapezoid(factor[:-1] * spectrum(q2[:-1]), q2[:-1]) == pytest.approx(1.0, abs=1e-3)
            assert np.ptp(factor[:-1]) > 0.003


def test_variations_of_the_templates(result):
    """Would catch a variation of the wrong sample, or a yield that was to stay: sums by hand."""
    for template in result.regions[0].templates:
        names = {line.name for line in HTA.systematics if template.name in line.samples}
        assert set(template.shapes) | set(template.normalisations) == names
    of = result.sample == "bbbar"
    part = {name: values[of] for name, values in result.columns.items()}
    weight, n = part["event_weight"], part["nROE_Photons"]
    moved = weight * 1.2**n * weight.sum() / (weight * 1.2**n).sum()
    wanted = np.histogram(part["eta"], EDGES, weights=moved)[0]
    template = next(t for t in result.regions[0].templates if t.name == "bbbar")
    np.testing.assert_allclose(template.shapes["extra_photons"][1], wanted)
    lost = weight * 1.17**part["nKL_lost"] * 0.83**part["nKL_seen"]
    wanted = np.histogram(part["eta"], EDGES, weights=lost)[0]
    np.testing.assert_allclose(template.shapes["klong_efficiency"][1], wanted)


# Files


def test_files_that_say_too_little(tmp_path, batch):
    """Would catch events of unknown luminosity in a result, and the same events taken twice."""
    path = tmp_path / "events.root"
    with EventWriter(path, metadata={"process": "charged"}) as writer:
        writer.write(batch.slice(0, 5))
    with pytest.raises(AnalysisError, match="metadata have no n_generated, seed"):
        make_candidates(path, tmp_path / "out.parquet", SETUP)
    files = write_toys(tmp_path, TOYS[:2])
    with pytest.raises(AnalysisError, match="the same process 'charged' and seed 2"):
        read_candidates([*files, files[1]], HTA)
    with pytest.raises(AnalysisError, match="no signal among the inputs"):
        analyse(read_candidates(files[1:], HTA), HTA)


def test_combinations_beside_other_samples(tmp_path):
    """Would catch that what the page of the analysis shows ends with an error: signal beside B pairs of `--reuse`,
    which do not say where the second B is from; and combinations counted as independent for that."""
    files = write_toys(tmp_path, TOYS[:2])
    columns, said = read_ntuple(files[1])
    columns["event"] = np.arange(len(columns["event"]))  # 40 combinations of each B decay
    said["sources"][0]["source"]["options"]["reuse"] = 40
    write_ntuple(files[1], columns, said, force=True)
    both = read_candidates(files, HTA)
    charged = both.columns["source"] == 1
    second = both.second()
    assert np.all(second[charged] == UNKNOWN) and np.all(second[~charged] == both.columns["event"][~charged])
    weight, source = both.columns["weight"], both.columns["source"]
    edges = np.array([-1.0, 1.0])
    variance = bin_variances(np.zeros(len(weight)), weight, source, both.decay(), edges, second=second)[0]
    squares = np.sum(weight**2)
    n = int(charged.sum())
    assert n % 40 == 0 and variance == pytest.approx(squares + 2 * (n // 40 * 40**2 - n))


def test_candidates_of_files_and_without(tmp_path):
    """Would catch candidates of a long production that are others than those of the same events in a file.

    Also candidates made again although they are there, or kept although the events are others.
    """
    made = simulate_candidates("k_nunu", 2, LOADED, folder=tmp_path, n=2000)
    assert made == simulate_candidates("k_nunu", 2, LOADED, folder=tmp_path, n=2000)
    path, output = tmp_path / "events.root", tmp_path / "file.parquet"
    simulate_file("signal", path, n=2000, seed=2, dec_file="k_nunu")
    assert make_candidates(path, output, SETUP) and not make_candidates(path, output, SETUP)
    one, other = (read_candidates([file], HTA) for file in (made, output))
    assert len(one.columns["event"]) > 1 and one.counts == other.counts
    for name, values in one.columns.items():
        np.testing.assert_allclose(values, other.columns[name], rtol=1e-6, err_msg=name)
    with pytest.raises(AnalysisError, match="holds candidates of other options"):
        simulate_candidates("k_nunu", 2, LOADED, folder=tmp_path, n=2010)
    with pytest.raises(AnalysisError, match="the same process 'signal' and seed 2"):
        merge_candidates([made, output], tmp_path / "all.parquet", HTA)
    part = read_events(path, entry_stop=20)
    with EventWriter(path, force=True, metadata={"process": "signal", "seed": 3, "n_generated": 400,
                                                       "decay_file": "k_nunu"}) as writer:
        writer.write(part)
    assert make_candidates(path, output, SETUP)
    assert read_candidates([output], HTA).counts[0]["signal"]["events read"][0] == 20


def test_thinned_candidates_stand_for_all(tmp_path):
    """Would catch candidates of a fit that are lost when a production is kept, and a sum that is not that of all."""
    files = write_toys(tmp_path, TOYS)
    merged = {part: merge_candidates(files, tmp_path / f"{part}.parquet", HTA, thin=part) for part in (1.0, 0.1)}
    every, few = (read_candidates([tmp_path / f"{part}.parquet"], HTA) for part in merged)
    (inside, all_of), (kept, of_few) = ((failed(HTA.recipe, one.columns) == 0, one.columns) for one in (every, few))
    for name in all_of:
        np.testing.assert_array_equal(all_of[name][inside], of_few[name][kept], err_msg=name)
    n = np.count_nonzero(~inside)
    assert 0 < np.count_nonzero(~kept) < 0.2 * n and few.counts == every.counts
    total, found = all_of["weight"][~inside].sum(), of_few["weight"][~kept].sum()
    assert found == pytest.approx(total, abs=4.0 * np.sqrt(99.0 * np.sum(all_of["weight"][~inside] ** 2)))


def test_a_part_of_a_production_counts(tmp_path):
    """Would catch a production that counts as less but whose candidates per luminosity are no longer the same."""
    files = write_toys(tmp_path, TOYS)
    all_of, part = (merge_candidates(files, tmp_path / f"{one}.parquet", HTA, counted=one) for one in (1.0, 0.25))
    of_all = analyse(all_of, HTA)
    of_part = analyse(part, HTA, classifiers=of_all.classifiers)
    for every, some in zip(of_all.samples, of_part.samples, strict=True):
        assert some.luminosity == pytest.approx(0.25 * every.luminosity, rel=0.01)
        assert some.expected == pytest.approx(every.expected, rel=1e-9) and some.entries == every.entries
    again = read_candidates([tmp_path / "0.25.parquet"], HTA)
    assert again.counts == part.counts and again.sources == part.sources


def test_command_line(tmp_path, capsys, result):
    """Would catch a result that is not written, or a second run that gives another one."""
    files = list(map(str, write_toys(tmp_path, TOYS)))
    out = tmp_path / "hta"
    assert main(["analyse", "hta", *files, "-o", str(out), "--quiet"]) == 0
    shown = capsys.readouterr()
    assert "no events of ssbar: the templates lack them" in shown.err
    assert re.search(r"no pi0 left +\d+", shown.out) and re.search(r"efficiency of signal: \d", shown.out)
    content = json.loads((out / "histograms.json").read_text())
    templates = content["regions"]["hta"]["templates"]
    assert [t["name"] for t in templates] == ["signal", "bbbar", "ccbar", "qqbar"]
    np.testing.assert_allclose(templates[1]["values"], result.regions[0].templates[1].values)
    flow = json.loads((out / "cutflow.json").read_text())["bbbar"]
    assert all(a["passed"] == b["passed"] + b["rejected"] for a, b in pairwise(flow))
    ntuple, _ = read_ntuple(out / "ntuple.parquet")
    assert len(ntuple["eta"]) == len(result.sample)
    record = json.loads((out / RECORD).read_text())
    assert {*record["files"]} == {"cutflow.json", "cutflow.txt", "density.json", "histograms.json", "ntuple.parquet",
                                  "workspace.json"}
    assert all(checksum(out / name) == digest for name, digest in record["files"].items())
    assert [part["sha256"] for part in record["inputs"]] == list(map(checksum, files))
    assert record["analysis"]["files"]["recipe.toml"]["sha256"] == checksum(HTA.folder / "recipe.toml")
    said = {key: value for key, value in record.items() if key != "files"}
    assert content["provenance"] == said and read_ntuple(out / "ntuple.parquet")[1]["provenance"] == said
    assert json.loads((out / "classifier" / "BDTh" / "classifier.json").read_text())["provenance"] == said
    assert {p.name for p in (out / "plots").iterdir()} == {"hta.png", "inputs_BDTh.png", "efficiency.png",
                                                              "spectra.png"}
    assert main(["fit", str(out / "workspace.json")]) == 0
    assert "mu             1.00 +" in capsys.readouterr().out
    again = tmp_path / "again"
    assert main(["analyse", "hta", *files, "-o", str(again), "--quiet", "--no-figures",
                 "--classifier", str(out / "classifier"),
                 "--compare", str(out / "workspace.json")]) == 0
    assert "published bbba" in capsys.readouterr().out
    assert (again / "workspace.json").read_text() == (out / "workspace.json").read_text()
    assert main(["analyse", "hta", *files, "-o", str(out), "--quiet"]) == 2
    assert "--force" in capsys.readouterr().err


def test_classifier_of_other_features(tmp_path):
    """Would catch trees that are given columns in another order."""
    with pytest.raises(AnalysisError, match="cannot be read"):
        load_classifier(tmp_path, RECIPE.classifier[0].features)
    assert Expectation(1.0, 362.0, 387.1e6, {}).expected("charged") == pytest.approx(387.1e6 / 362 * 0.5113)
