"""What recipes can say beyond the HTA's: cuts of a part, N - 1, classifiers trained on more or left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_recoil_mass import batch, pairs  # noqa: F401 (fixtures)
from toy_candidates import HTA, RECIPE, TOYS, inputs_of

from fei_lite.analyses.analysis import analyse
from fei_lite.analyses.output import fit_regions, read_classifiers, write_results
from fei_lite.analyses.recipes.recipe import CutLine, RegionLine
from fei_lite.analyses.selection import cut_flow
from fei_lite.channels import load_channel_set
from fei_lite.errors import AnalysisError

PLAIN = replace(HTA.physics, summary=None, files=None, figures=None, lines=None)


def test_cut_flow_by_hand():
    """Would catch a cut that judges candidates it does not look at, and an N - 1 that is not what it alone rejects."""
    rng = np.random.default_rng(1)
    columns = {"x": rng.normal(size=400), "y": rng.normal(size=400), "kind": rng.integers(0, 2, 400)}
    columns["y"][:20] = np.nan
    weight = rng.uniform(0.5, 2.0, 400)
    cuts = [CutLine(name="a", cut="x > -0.5", origin="-"),
            CutLine(name="b", cut="y < 1", origin="-", where="kind == 1"),
            CutLine(name="c", cut="x + y < 2", origin="-", where="y > 0")]
    keep, rows = cut_flow(cuts, columns, weight)
    passed = {"a": [], "b": [], "c": []}
    for x, y, kind in zip(columns["x"], columns["y"], columns["kind"], strict=True):
        passed["a"].append(x > -0.5)
        passed["b"].append(kind != 1 or y < 1)
        passed["c"].append(not y > 0 or x + y < 2)
    table = np.array([passed[name] for name in "abc"])
    np.testing.assert_array_equal(keep, table.all(axis=0))
    for i, row in enumerate(rows):
        last = ~table[i] & np.delete(table, i, axis=0).all(axis=0)
        assert row.rejected_last == last.sum() and row.rejected_last_weight == pytest.approx(weight[last].sum())
        assert row.alone == table[i].sum()


def classified(**changes):
    """The HTA with one classifier for q2 < 12 and changes to it."""
    line = RECIPE.classifier[0].model_copy(update={"where": "q2 < 12", **changes})
    region = RegionLine(name="hta", variable="eta", edges=(0.0, 0.5, 1.0), where="not eta <= 0.1")
    recipe = RECIPE.model_copy(update={"classifier": (line,), "region": (region,), "fit": "unbinned"})
    return replace(HTA, recipe=recipe, physics=PLAIN)


def test_trained_on_more():
    """Would catch a classifier that judges what it was only trained on, one that is flat in other signal than it
    judges, and one that was not trained on more."""
    alone, more = (analyse(inputs_of(*TOYS), classified(train=train)) for train in (None, "q2 < 20"))
    judged = more.columns["q2"] < 12
    np.testing.assert_array_equal(np.isnan(more.columns["eta"]), ~judged)
    signal = judged & (more.sample == "signal")
    low = more.columns["event_weight"][signal & (more.columns["eta"] < 0.5)].sum()
    assert low == pytest.approx(0.5 * more.columns["event_weight"][signal].sum(), rel=0.01)
    assert more.classifiers[0].summary["n_signal"] > 1.4 * alone.classifiers[0].summary["n_signal"]


def test_trained_before_the_cuts():
    """Would catch a classifier that is trained on selected candidates alone though it need not be, or judges others."""
    after, before = (analyse(inputs_of(*TOYS), classified(before_cuts=flag)) for flag in (False, True))
    n = sum(int((columns["q2"] < 12).sum()) for columns, _, _ in TOYS)
    found = before.classifiers[0].summary
    assert found["n_signal"] + found["n_background"] == n
    assert after.classifiers[0].summary["n_signal"] < 0.5 * found["n_signal"]
    signal = (before.columns["q2"] < 12) & (before.sample == "signal")
    low = before.columns["event_weight"][signal & (before.columns["eta"] < 0.5)].sum()
    assert low == pytest.approx(0.5 * before.columns["event_weight"][signal].sum(), rel=0.01)
    assert len(before.sample) == len(after.sample)


def test_left_out(tmp_path):
    """Would catch a classifier with too few candidates that ends the analysis though optional, or cuts all away."""
    few = [({k: v[:40] for k, v in c.items()}, s, n) for c, s, n in TOYS[1:3]]
    with pytest.raises(AnalysisError, match="30 or more"):
        analyse(inputs_of(TOYS[0], *few), classified())
    result = analyse(inputs_of(TOYS[0], *few), classified(optional=True))
    assert np.isnan(result.columns["eta"]).all() and "left_out" in result.classifiers[0].summary
    assert "not eta <= 0.1" in str(result.recipe.region[0].where)
    text = write_results(result, tmp_path, trained=True)
    assert "BDTh is left out" in text
    again = read_classifiers(tmp_path / "classifier", result.analysis)
    assert again[0].folds == 0 and "left_out" in again[0].summary
    other = analyse(inputs_of(TOYS[0], *few), classified(optional=True), classifiers=again)
    assert np.isnan(other.columns["BDTh"]).all()


def test_regions_of_an_unbinned_fit():
    """Would catch another range, signal or error of the efficiency than the recipe and its systematics say."""
    found = fit_regions(analyse(inputs_of(*TOYS), classified()))
    line = found["regions"]["hta"]
    sizes = [s.size for s in HTA.systematics if s.kind == "normalisation" and "signal" in s.samples]
    assert line["range"] == [0.0, 1.0] and line["signal"] == "signal" and found["signals"] == ["signal"]
    assert line["efficiency_error"] == pytest.approx(np.sqrt(np.sum(np.square(sizes)))) and len(sizes) == 4


def test_same_objects_stay(pairs):  # noqa: F811
    """Would catch K e mu that is kept as K e tau(mu) alone: the lepton of the B may be either of the two."""
    side = pairs.result.tables["B+:k"]
    assert load_channel_set("k_tau_l").particle("B+:k").same_objects
    seen: dict[tuple, set] = {}
    for i in range(len(side)):
        key = (int(side.event_index[i]), int(side["sign"][i]), side["used"][i].tobytes())
        seen.setdefault(key, set()).add(int(side["decayModeID"][i]))
    assert any({0, 3} <= modes or {1, 2} <= modes or {0, 1} <= modes or {2, 3} <= modes for modes in seen.values())
    assert not load_channel_set("k_nunu").particle("B+:sig").same_objects


def test_hash_of_older_sets():
    """Would catch a new key that changes the hash of sets which do not use it."""
    from fei_lite.channels.model import _meaning

    assert "same_objects" not in _meaning(load_channel_set("k_nunu").particle("B+:sig"))
    assert _meaning(load_channel_set("k_tau_l").particle("B+:k"))["same_objects"]
