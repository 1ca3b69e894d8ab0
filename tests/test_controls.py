"""Controls of an analysis: variants, efficiencies, shapes, continuum and closure on toys with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_candidates import HTA, RECIPE, TOYS, inputs_of, toy, write_toys

from fei_lite.analyses.analysis import analyse
from fei_lite.analyses.candidates.files import Setup, read_candidates
from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.controls.closure import closure_data, closure_templates
from fei_lite.analyses.controls.comparison import compare
from fei_lite.analyses.controls.continuum import continuum_control
from fei_lite.analyses.controls.efficiency import embedding_efficiency
from fei_lite.analyses.controls.judged import judged
from fei_lite.analyses.controls.production import Job, embedded_events, make_embedded, produce_embedded
from fei_lite.analyses.controls.ratios import DATA, SIGNAL, SIMULATION, Efficiency, of_weights
from fei_lite.analyses.controls.shapes import compare_shapes
from fei_lite.analyses.folders import find_analysis, load_analysis
from fei_lite.analyses.recipes.controls import Continuum, Controls, Sideband, Variant
from fei_lite.analyses.recipes.recipe import findings
from fei_lite.errors import AnalysisError
from fei_lite.statistics.closure import fit_closure

LINE = RECIPE.controls.embedding["k_jpsi"]
PION = load_analysis("hta:pion")
#: Toys of a sample, of which one in 27 passes the cuts.
MANY = 60_000


@pytest.fixture(scope="module")
def trained():
    return analyse(inputs_of(*TOYS), replace(HTA, physics=replace(HTA.physics, summary=None))).classifiers


# Variants


def test_variant_has_the_changes_and_nothing_else():
    """Would catch a variant with the analysis's own candidates, its signal, cuts of it that are lost, and its name."""
    assert PION.name == "hta_pion" and PION.identity != HTA.identity and PION.reference == find_analysis("hta:pion")
    assert PION.recipe.cut == RECIPE.cut and PION.recipe.variables == RECIPE.variables
    assert PION.recipe.line("signal").processes == ("pi_k0",) and list(PION.recipe.signal_decays) == ["pi_k0"]
    assert PION.signal_set.resolve("pi+:sig") and not HTA.signal_set.resolve("pi+:sig")
    assert PION.recipe.production.selection is None and "nPionK0" in PION.recipe.truth
    assert {line.kind for line in PION.systematics} == {"normalisation", "weight"}
    assert Setup(PION.reference).load().analysis.name == "hta_pion"


def test_variant_of_cuts_shares_the_candidates():
    """Would catch a sideband of a cut that would need a production of its own, or keeps the cut."""
    whole, side = load_analysis("xs_nunu"), load_analysis("xs_nunu:mbc")
    assert (side.name, side.identity) == (whole.name, whole.identity)
    texts = {line.name: line.cut for line in side.recipe.cut}
    assert texts["Mbc of the Btag"] == "tagMbc <= 5.27" and len(texts) == len(whole.recipe.cut)


def test_variant_by_a_recipe_of_ones_own(tmp_path):
    """Would catch a dropped cut that stays, and a variant that only shipped analyses have."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("recipe.toml", "systematics.toml", "physics.py"):
        (folder / name).write_text((HTA.folder / name).read_text())
    with (folder / "recipe.toml").open("a") as recipe:
        recipe.write('\n[controls.variants.open]\ntitle = "-"\norigin = "-"\ncuts = { "no pi0 left" = "" }\n')
    names = [line.name for line in load_analysis(f"{folder}:open").recipe.cut]
    assert "no pi0 left" not in names and len(names) == len(RECIPE.cut) - 1


def test_unknown_variant():
    """Would catch a typing error that gives the analysis itself."""
    with pytest.raises(AnalysisError, match=r"no 'pions'; known: pion.*pion"):
        load_analysis("hta:pions")


@pytest.mark.parametrize("change, found", [
    ({"variants": {"a": Variant(title="-", origin="-", cuts={"no pi1 left": ""})}}, "cuts.no pi1 left: no cut"),
    ({"variants": {"a": Variant(title="-", origin="-", cuts={"no pi0 left": "x +"})}}, "variants.a.cuts.no pi0 left"),
    ({"embedding": {"a": LINE.model_copy(update={"replace_by": "k_nunuu"})}}, "no signal decay 'k_nunuu'"),
    ({"embedding": {"a": LINE.model_copy(update={"signal": "q3 > 1"})}}, "embedding.a.signal: no column 'q3'"),
    ({"embedding": {"a": LINE.model_copy(update={"bins": {"q3": (0.0, 1.0)}})}}, "bins.q3: no such column"),
    ({"sidebands": {"a": Sideband(variant="pions", origin="-")}}, "sidebands.a.variant: no variant 'pions'"),
    ({"sidebands": {"a": Sideband(where="q2", origin="-")}}, "'q2' is no condition"),
    ({"continuum": Continuum(without=("Mbc",), origin="-")}, "continuum.without: no cut 'Mbc'"),
    ({"continuum": Continuum(processes=("cc",), origin="-")}, "no process 'cc'")])
def test_findings(change, found):
    """Would catch a control that names what the recipe does not have, found only after hours of simulation."""
    recipe = RECIPE.model_copy(update={"controls": Controls(**change)})
    assert any(found in line for line in findings(recipe, HTA.physics.event_columns, HTA.physics.variables))


# Efficiencies


def control_toy(n, *, seed, shift=1.0, weights=1.0):
    """Toys as embedded events of the control: like signal."""
    columns, source, counts = toy("signal", n, seed=seed, shift=shift)
    columns["kaonMomentumCMS"] = np.random.default_rng(seed).uniform(0.0, 3.5, n)
    columns["weight"] = columns["weight"] * weights
    counts["signal"]["Btag and signal side"][1] *= weights
    return columns, replace(source, options={**source.options, "control": "k_jpsi"}), counts


def signal_toy(n, *, seed):
    columns, source, counts = control_toy(n, seed=seed)
    return columns, replace(source, options={"decay_file": "k_nunu"}), counts


def background_toy(process, n, *, seed):
    columns, source, counts = toy(process, n, seed=seed)
    return columns | {"kaonMomentumCMS": np.ones(n)}, source, counts


def test_efficiencies_of_toys(trained):
    """Would catch a fraction of other events, a cut that does not count, and ratios upside down: embedded events like
    signal's give 1, and data in which another 30 % fail one cut give 0.7, at that cut."""
    data = control_toy(MANY, seed=53)
    lost = np.random.default_rng(1).uniform(size=MANY) < 0.3
    data[0]["nROE_pi0"] = np.where(lost, 1, data[0]["nROE_pi0"])
    found = embedding_efficiency("k_jpsi", LINE, HTA, trained, simulation=inputs_of(control_toy(MANY, seed=52)),
                                 signal=inputs_of(signal_toy(MANY, seed=51), background_toy("charged", 500, seed=2)),
                                 data=inputs_of(data))
    steps = dict(zip(found.steps.rows, found.steps.ratios(SIMULATION, SIGNAL), strict=True))
    value, error = steps["in the bins of the fit"]
    assert abs(value - 1.0) < 3.0 * error and error < 0.05
    columns, _, counts = control_toy(MANY, seed=52)
    keep = (columns["nCleanedTracks"] >= 3) & (columns["nCleanedClusters"] >= 3)
    row = found.steps.rows.index("three cleaned clusters")
    one = found.steps.of[SIMULATION][row]
    assert one.passed == keep.sum()
    assert one.value == pytest.approx(columns["weight"][keep].sum() / counts["signal"]["events read"][1])
    ratios = dict(zip(found.steps.rows, found.steps.ratios(DATA, SIMULATION), strict=True))
    assert abs(ratios["no K_S0 left"][0] - 1.0) < 3.0 * ratios["no K_S0 left"][1]
    assert abs(ratios["no pi0 left"][0] - 0.7) < 3.0 * ratios["no pi0 left"][1] < 0.1
    assert "'no pi0 left'" in found.verdict[0] and "standard deviations from 1" in found.verdict[0]


def test_classifier_step_of_toys(trained):
    """Would catch scores that are not the trained classifier's: inputs of background in place of data lower the
    fraction in the bins of the fit, and nothing before."""
    found = embedding_efficiency("k_jpsi", LINE, HTA, trained, simulation=inputs_of(control_toy(MANY, seed=52)),
                                 signal=inputs_of(signal_toy(MANY, seed=51)),
                                 data=inputs_of(control_toy(MANY, seed=54, shift=0.3)))
    before, after = found.steps.ratios(DATA, SIMULATION)[-2:]
    assert abs(before[0] - 1.0) < 3.0 * before[1] and after[0] < 0.8
    kept = found.selected.of[SIGNAL][0]
    assert abs(kept.value - 0.6) < 4.0 * kept.error  # eta > 0.4 of a flat eta
    assert found.selected.ratios(DATA, SIMULATION)[0][0] == pytest.approx(after[0] / before[0], rel=0.01)
    table = found.bins[0]
    assert table.rows[0] == "0 to 4" and len(table.of[DATA]) == 5
    assert [p.x for p in found.panels()] == ["q2_generated"] * 2 + ["kaonMomentumCMS"] * 2


def test_error_of_a_weighted_fraction():
    """Would catch errors that ignore weights: the spread of 2000 toys is the error."""
    rng, values, errors = np.random.default_rng(8), [], []
    for _ in range(2000):
        weight = rng.choice([1.0, 6.0], 120, p=[0.8, 0.2])
        one = of_weights(rng.uniform(size=120) < 0.3, weight)
        values.append(one.value)
        errors.append(one.error)
    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.05)
    assert np.isnan(Efficiency(0.0, 0.1, 0).over(Efficiency(0.5, 0.1, 3))[0])


def test_controls_are_no_signal(tmp_path):
    """Would catch embedded events that count as signal of the analysis."""
    embedded = control_toy(2000, seed=60)
    with pytest.raises(AnalysisError, match="control 'k_jpsi'"):
        analyse(inputs_of(*TOYS, embedded), HTA)
    assert len(read_candidates(write_toys(tmp_path, [signal_toy(50, seed=61)]), HTA)) == 50


# Shapes, continuum


def test_sideband_of_toys(trained):
    """Would catch signal among the background, weights that do not count, and shapes that are always alike."""
    first = judged(inputs_of(TOYS[0], toy("charged", 30_000, seed=71), TOYS[3]), HTA, trained)
    second = judged(inputs_of(TOYS[0], toy("charged", 30_000, seed=72, shift=0.5)), HTA, trained)
    alike = compare_shapes("-", ("a", first), ("b", first), ["roeEextra", "BDTh"], RECIPE)
    assert alike.normalisation[0] == 1.0 and alike.of["roeEextra"].chi2 == 0.0 and "signal" not in alike.parts
    charged = judged(inputs_of(TOYS[0], toy("charged", 30_000, seed=71)), HTA, trained)
    shapes = compare_shapes("-", ("a", charged), ("b", second), ["roeEextra", "recoilMass"], RECIPE)
    assert shapes.of["roeEextra"].p_value < 1e-6 < 1e-3 < shapes.of["recoilMass"].p_value
    of = first.sample == "bbbar"
    assert alike.parts["bbbar"][0].entries == of.sum() and list(alike.parts) == ["bbbar", "ccbar"]
    assert alike.parts["bbbar"][0].expected == pytest.approx(first.weight[of].sum())
    continuum = compare_shapes("-", ("a", first), ("b", first), ["roeEextra"], RECIPE, processes={"ccbar"})
    assert list(continuum.parts) == ["ccbar"] and continuum.yields[0] == alike.parts["ccbar"][0]
    nothing = compare_shapes("-", ("a", first), ("b", first), ["roeEextra"], RECIPE, processes={"k_nunu"})
    assert nothing.empty == ("a", "b") and not continuum.empty
    assert "too few to compare" in nothing.lines()[-1] and nothing.to_json()["chi2"]["roeEextra"]["p_value"] is None
    low = first.where("eta < 0.4")
    assert np.all(low.columns["eta"] < 0.4) and not low.inside.any() and first.inside_only().inside.all()


def test_few_entries_are_no_difference():
    """Would catch a chi2 from errors that four entries cannot tell: many and few of the same distribution differ by
    chance alone."""
    rng = np.random.default_rng(8)
    p_values = [compare(rng.normal(size=n), rng.normal(size=2000), np.ones(n), np.ones(2000)).p_value
                for n in (4, 12, 40) for _ in range(50)]
    assert np.mean(np.array(p_values) < 0.01) < 0.05
    assert compare(np.zeros(4), np.ones(2000), np.ones(4), np.ones(2000)).ndf == 0


def test_continuum_of_toys():
    """Would catch B pairs among the continuum, cuts that are kept though left out, and weights that do not help."""
    data = inputs_of(toy("ccbar", MANY, seed=81, shift=0.4), toy("charged", 3000, seed=82))
    simulation = inputs_of(toy("ccbar", MANY, seed=83), toy("mixed", 3000, seed=84))
    line = RECIPE.controls.continuum
    found = continuum_control(line, HTA, data=data, simulation=simulation)
    keep = judged(data, replace(HTA, recipe=RECIPE.model_copy(update={"classifier": (), "region": ()})), ())
    assert found.yields[0].entries == np.count_nonzero(keep.process == "ccbar")
    assert found.weights.auc_before[0] > 0.6 and abs(found.weights.auc_after[0] - 0.5) < 4 * found.weights.auc_after[1]
    assert found.after["roeEextra"].chi2 < 0.3 * found.before["roeEextra"].chi2
    loose = continuum_control(line.model_copy(update={"without": ("no pi0 left",)}), HTA, data=data,
                              simulation=simulation)
    assert loose.yields[0].entries > 1.15 * found.yields[0].entries
    with pytest.raises(AnalysisError, match="give some of both"):
        continuum_control(line, HTA, data=inputs_of(TOYS[1]), simulation=simulation)


# Closure


def pion_toys(seed, *, decays):
    """Toys of the variant: B+ -> pi+ K0 and background, of which ``decays`` candidates are that decay."""
    rng = np.random.default_rng(seed)
    signal, source, counts = toy("signal", 8000, seed=seed, shift=1.0, n_generated=800_000)
    signal["nPionK0"] = np.ones(8000, dtype=np.int64)
    parts = [(signal, replace(source, options={"decay_file": "pi_k0"}), counts)]
    for process in ("charged", "uubar"):
        columns, source, counts = toy(process, 6000, seed=seed, n_generated=100_000_000)
        columns["nPionK0"] = np.zeros(6000, dtype=np.int64)
        if process == "charged" and decays:
            rows = rng.choice(6000, decays, replace=False)
            columns["nPionK0"][rows] = 1
            for name in RECIPE.classifier[0].features[:3]:
                columns[name][rows] += 1.0
        parts.append((columns, source, counts))
    return inputs_of(*parts)


def test_closure_of_toys(trained):
    """Would catch the decay counted twice (in signal and background), a wrong branching fraction, and data that are
    the templates: another seed gives back what was put in, within its errors."""
    line = RECIPE.controls.closure["pi_k0"]
    for branching_fraction in (2.368e-5, 4.0 * 2.368e-5):
        line = line.model_copy(update={"branching_fraction": branching_fraction})
        result = closure_templates(line, PION, trained, pion_toys(91, decays=400))
        observed = closure_data(line, PION, trained, pion_toys(92, decays=400))
        found = fit_closure({r.name: r.templates for r in result.regions}, observed.counts, replicas=30,
                            expected=branching_fraction / 2.34e-5, unit=2.34e-5, rng=np.random.default_rng(1))
        assert abs(found.pull) < 3.0 and np.isfinite(found.sample_error)
        assert found.expected == pytest.approx(branching_fraction / 2.34e-5)
    bbbar = result.of("bbbar").entries
    with_it = analyse(pion_toys(91, decays=400), PION, classifiers=trained).of("bbbar").entries
    assert bbbar < with_it
    assert sum(observed.counts(None)["hta"]) == pytest.approx(observed.weight.sum())
    drawn = [observed.counts(np.random.default_rng(k))["hta"].sum() for k in range(40)]
    assert np.std(drawn) == pytest.approx(np.sqrt(np.sum(observed.weight**2)), rel=0.4)


# Production


@pytest.fixture(scope="module")
def sets():
    return Setup(HTA.folder).load()


def test_embedded_batches(sets):
    """Would catch events without a control decay, and another process than the one that takes its place."""
    batches = list(embedded_events(Job("k_jpsi", 5, 40), sets.analysis, LINE, settings="belle2"))
    assert 5 < sum(batch.n_events for batch in batches) < 40
    left = list(embedded_events(Job("k_jpsi", 5, 40), sets.analysis, LINE.model_copy(update={"replace_by": None}),
                                settings="belle2"))
    assert len(batches[0].generated) > len(left[0].generated)


def test_pieces_resume(sets, tmp_path):
    """Would catch a piece that is made twice, one of other options that is taken, and candidates of another process."""
    path = make_embedded(Job("k_jpsi", 7, 60), sets, name="k_jpsi", folder=tmp_path, settings="belle2")
    _, said = read_ntuple(path)
    source = said["sources"][0]["source"]
    assert source["options"]["control"] == "k_jpsi" and source["options"]["decay_file"] == "k_nunu"
    read = said["sources"][0]["counts"]["signal"]["events read"][0]
    assert 5 < read == source["n_events"] < 60 == source["n_generated"]
    stamp = path.stat().st_mtime_ns
    make_embedded(Job("k_jpsi", 7, 60), sets, name="k_jpsi", folder=tmp_path, settings="belle2")
    assert path.stat().st_mtime_ns == stamp
    with pytest.raises(AnalysisError, match="other options"):
        make_embedded(Job("k_jpsi", 7, 61), sets, name="k_jpsi", folder=tmp_path, settings="belle2")


def test_unknown_control(tmp_path):
    """Would catch a typing error that makes nothing."""
    with pytest.raises(AnalysisError, match="no 'k_jpsy'; known: k_jpsi"):
        produce_embedded("k_jpsy", Setup(HTA.folder), tmp_path, seed=1, events=10)
