"""Sets compared on the same events: closed forms, toys of events, files cut into pieces."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom
from toy_events import toy_batch
from toy_tags import toy_tags

from fei_lite.channels import load_channel_set
from fei_lite.cli import main
from fei_lite.errors import EventFileError, FeiLiteError, UnknownNameError
from fei_lite.events import EventWriter, open_events
from fei_lite.fractions import CONFIDENCE, Sums, fraction
from fei_lite.performance.best_tags import read_best_tags
from fei_lite.performance.bootstrap import event_replicas
from fei_lite.performance.comparison import compare_sets
from fei_lite.performance.reconstructible import find_reconstructible
from fei_lite.performance.scan import OrderedTags
from fei_lite.tagging.output import TagWriter
from fei_lite.tagging.streaming import iterate_tags


def scan_thresholds(probability, weight, correct):
    """The scan of Btags in the order of the file."""
    entry = np.arange(len(probability))
    return OrderedTags.of(toy_tags(entry, probability, correct, n_events=len(entry), weight=weight), entry).scan()


def ideal(rng, n, *, power, correct_fraction=0.3):
    """Probabilities with density (1 + power) p^power for correct tags, uniform for the others."""
    correct = rng.random(n) < correct_fraction
    return np.where(correct, rng.random(n) ** (1.0 / (1.0 + power)), rng.random(n)), correct


def test_efficiency_at_purity_in_closed_form():
    """Would catch an efficiency at another purity than asked for, or without interpolation.

    Correct: p^2 has density 3 p^2, above t is 1 - t^3; false: 1 - t. With 30 % correct, purity 1/2 is where
    0.3 (1 - t^3) = 0.7 (1 - t), 1 + t + t^2 = 7/3.
    """
    p, correct = ideal(np.random.default_rng(1), 400_000, power=2.0)
    scan = scan_thresholds(p, np.ones(len(p)), correct)
    found, threshold = scan.at_purity(0.5)
    t = (-1.0 + np.sqrt(1.0 + 4.0 * 4.0 / 3.0)) / 2.0
    assert threshold == pytest.approx(t, abs=0.01)
    assert found / 400_000 == pytest.approx(0.3 * (1.0 - t**3), abs=0.003)
    every, threshold = scan.at_purity(0.2)
    assert (every, threshold) == (correct.sum(), 0.0)  # all together are purer
    assert np.isnan(scan.at_purity(0.99999)[0]) or scan.at_purity(0.99999)[0] < 0.01 * correct.sum()


def test_interpolation_by_hand():
    """Would catch the first crossing taken for the last, ties split by the order of the file, weights ignored."""
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5])
    correct = np.array([False, True, True, True, False, False])
    scan = scan_thresholds(p, np.ones(6), correct)
    np.testing.assert_array_equal(scan.tagged, [1, 2, 3, 5, 6])
    np.testing.assert_array_equal(scan.correct, [0, 1, 2, 3, 3])
    # purity 0, 1/2, 2/3, 3/5, 1/2: from 2 of 3 to 3 of 5 it is 0.64 where 2 + x = 0.64 (3 + 2 x), x = 2/7
    assert scan.at_purity(0.64) == pytest.approx((2 + 2 / 7, 0.7 - 0.1 * 2 / 7))
    assert np.isnan(scan.at_purity(0.7)[0])
    heavy = scan_thresholds(p, np.array([1.0, 1, 1, 1, 1, 10]), correct)
    # from 3 of 5 to 3 of 15: 3 = 0.5 (5 + 10 x), x = 0.1
    assert heavy.at_purity(0.5) == pytest.approx((3.0, 0.59))


def test_replicas_are_drawn_with_replacement():
    """Would catch Poisson or fixed numbers of draws: counts of n draws have mean 1, variance 1 - 1/n, covariance -1/n.

    Of 50 events 20 are used: their total is binomial, of mean 20 and variance 50 x 0.4 x 0.6.
    """
    rng = np.random.default_rng(3)
    counts = np.array(list(event_replicas(50, 20, replicas=20_000, rng=rng)))
    assert counts.mean() == pytest.approx(1.0, abs=0.01)
    covariance = np.cov(counts.T)
    assert np.diag(covariance).mean() == pytest.approx(1.0 - 1 / 50, rel=0.01)
    assert covariance[~np.eye(20, dtype=bool)].mean() == pytest.approx(-1 / 50, rel=0.2)
    assert counts.sum(axis=1).var() == pytest.approx(50 * 0.4 * 0.6, rel=0.04)
    assert {int(c.sum()) for c in event_replicas(7, 7, replicas=20, rng=rng)} == {7}  # of all events none is left out


def pair(rng, n, *, found_both, found_first, found_second, false=0.02):
    """Two sets on the same n events: tags that both find, and that one finds; false ones are independent."""
    u = rng.random(n)
    sets = []
    for low, high in ((0.0, found_both + found_first), (found_first, found_first + found_both + found_second)):
        correct = (u >= low) & (u < high)
        wrong = ~correct & (rng.random(n) < false)
        entry = np.flatnonzero(correct | wrong)
        p = np.where(correct[entry], rng.random(len(entry)) ** 0.25, rng.random(len(entry)))
        sets.append(toy_tags(entry, p, correct[entry], n_events=n))
    return {"first": sets[0], "second": sets[1]}


def test_coverage_of_ratios_and_efficiencies():
    """Toys: would catch a correlation ignored (intervals too long) or counted twice (too short)."""
    toys, n = 60, 6000
    inside = {"ratio": 0, "efficiency": 0}
    widths = []
    for seed in range(toys):
        sets = pair(np.random.default_rng(seed), n, found_both=0.045, found_first=0.005, found_second=0.02)
        found = compare_sets(sets, replicas=70, points=0, rng=np.random.default_rng(seed)).sets["B+"]["second"]
        ratio, efficiency = found.maximum_ratio, found.maximum
        inside["ratio"] += ratio.lower <= 0.065 / 0.05 <= ratio.upper
        inside["efficiency"] += efficiency.lower <= 0.065 <= efficiency.upper
        widths.append(0.5 * (ratio.upper - ratio.lower))
    for name, count in inside.items():
        assert binom.cdf(count, toys, CONFIDENCE) > 0.001, name
        assert binom.sf(count - 1, toys, CONFIDENCE) > 0.001, name
    # correlated: sigma of B / A is r sqrt(1/A + 1/B - 2 common / (A B)), in counts
    a, b, common = 0.05 * n, 0.065 * n, 0.045 * n
    assert np.mean(widths) == pytest.approx(1.3 * np.sqrt(1 / a + 1 / b - 2 * common / (a * b)), rel=0.1)


def test_a_set_against_itself():
    """Would catch replicas drawn separately for each set: the ratio of equal sets is exactly one."""
    tags = pair(np.random.default_rng(5), 20_000, found_both=0.02, found_first=0, found_second=0)["first"]
    found = compare_sets({"a": tags, "b": tags}, replicas=50, rng=np.random.default_rng(1)).sets["B+"]
    for at in (*(point.ratio for point in found["b"].at_purity), found["b"].maximum_ratio):
        assert (at.value, at.lower, at.upper) == (1.0, 1.0, 1.0)
    assert found["b"].maximum == fraction(found["b"].n_correct, 20_000)


def test_curve_agrees_with_counts():
    """Would catch a curve of other events: each point counted again by brute force."""
    tags = pair(np.random.default_rng(6), 20_000, found_both=0.02, found_first=0, found_second=0)["first"]
    curve = compare_sets({"a": tags}, replicas=2, rng=np.random.default_rng(1)).sets["B+"]["a"].curve
    assert len(curve.threshold) > 20
    for threshold, efficiency, purity in zip(curve.threshold, curve.tag_side_efficiency, curve.purity, strict=True):
        above = tags.probability >= threshold
        assert efficiency == fraction(float(tags.correct[above].sum()), 20_000.0)
        assert purity == fraction(float(tags.correct[above].sum()), float(above.sum()), n_effective=float(above.sum()))


def test_sets_of_different_events():
    """Would catch a ratio of two samples sold as one of the same events."""
    sets = pair(np.random.default_rng(7), 1000, found_both=0.05, found_first=0.05, found_second=0.05)
    other = toy_tags([1, 2], [0.1, 0.2], [True, False], n_events=999)
    with pytest.raises(FeiLiteError, match="different events: n_events is 999 and 1000"):
        compare_sets({"a": sets["first"], "b": other}, rng=np.random.default_rng(1))
    sets["second"].event[:] += 1
    with pytest.raises(FeiLiteError, match="event numbers of the same entries"):
        compare_sets(sets, rng=np.random.default_rng(1))
    with pytest.raises(FeiLiteError, match="purity 0"):
        compare_sets(sets, purities=[0.0], rng=np.random.default_rng(1))


def tag_file(path, *, truth=True, models="toy", given_bb=False):
    """A Btag file of 200 events with 0 to 4 candidates each."""
    rng = np.random.default_rng(8)
    entry = np.repeat(np.arange(200), rng.integers(0, 5, 200))
    n = len(entry)
    rank = np.arange(n) - np.searchsorted(entry, entry) + 1
    columns = {
        "entry": entry, "event": entry + 1, "pdg": rng.choice([521, -521, 511, -511], n).astype(np.int32),
        "decayModeID": rng.integers(0, 5, n).astype(np.int32), "SignalProbability": rng.random(n),
        "Mbc": rng.uniform(5.2, 5.29, n), "deltaE": rng.normal(size=n), "weight": np.ones(n),
        "rank": rank.astype(np.int16), "best": (rank == 1).astype(np.int8)}
    if given_bb:
        columns["SignalProbabilityGivenBB"] = rng.random(n)
    if truth:
        columns |= {"isSignal": rng.integers(0, 2, n).astype(np.int8),
                    "mcPDG": rng.choice([521, -511, 300553], n).astype(np.int32)}
    types = {name: {"n_events": 100, "sum_of_weights": 100.0} for name in ("B+B-", "B0B0bar")}
    with TagWriter(path) as writer:
        writer.write(columns)
        writer.finish([("events", "all: read", 200)], {
            "n_events": 200, "sum_of_weights": 200.0, "sum_of_squared_weights": 200.0, "event_types": types,
            "models": models, "channel_set": "hadronic", "inputs": []})
    return path, columns


@pytest.mark.parametrize("suffix", ["root", "parquet"])
@pytest.mark.parametrize("rows", [7, 1000])
def test_pieces_of_a_file(tmp_path, suffix, rows):
    """Would catch an event cut by a piece whose best Btag of a B type is taken twice, or lost."""
    path, columns = tag_file(tmp_path / f"btag.{suffix}")
    best = read_best_tags(path, rows=rows)
    np.testing.assert_array_equal(best.entry, columns["entry"][columns["best"] == 1])
    of_b_type = read_best_tags(path, choose="type", rows=rows)
    expected = {}
    for i in range(len(columns["entry"])):
        expected.setdefault((columns["entry"][i], abs(columns["pdg"][i])), columns["SignalProbability"][i])
    found = {(e, k): p for e, k, p in zip(of_b_type.entry, of_b_type.b_type, of_b_type.probability, strict=True)}
    assert found == expected
    assert len(of_b_type) == len(expected)
    for b_type, pdg in (("B+", 521), ("B0", 511)):
        listed = set(columns["entry"][(columns["isSignal"] == 1) & (np.abs(columns["pdg"]) == pdg)])
        assert best.listed[b_type] == of_b_type.listed[b_type] == Sums(len(listed), len(listed), len(listed))
    with pytest.raises(UnknownNameError, match="no Btag column 'Mbcc'"):
        list(iterate_tags(path, ["Mbcc"]))


def test_probability_given_bb(tmp_path):
    """Would catch purities of B Bbar events from the probability that counts continuum, and sets without the other
    refused."""
    path, columns = tag_file(tmp_path / "plain.root")
    plain = read_best_tags(path, given_bb=True)
    np.testing.assert_array_equal(plain.probability, columns["SignalProbability"][columns["best"] == 1])
    path, columns = tag_file(tmp_path / "both.root", given_bb=True)
    both, usual = read_best_tags(path, given_bb=True), read_best_tags(path)
    np.testing.assert_array_equal(both.probability, columns["SignalProbabilityGivenBB"][columns["best"] == 1])
    np.testing.assert_array_equal(usual.probability, columns["SignalProbability"][columns["best"] == 1])
    np.testing.assert_array_equal(both.entry, usual.entry)


def test_truth_is_needed_where_it_is_used(tmp_path):
    """Would catch data whose tags are all called wrong."""
    path, _ = tag_file(tmp_path / "data.root", truth=False)
    with pytest.raises(EventFileError, match="no truth"):
        read_best_tags(path)
    assert not read_best_tags(path, truth=False).has_truth


def test_command(tmp_path, capsys):
    """Would catch another order of the sets, a table without the ratios, a figure that is not drawn."""
    names = [str(tag_file(tmp_path / f"{name}.root", models=name)[0]) for name in ("base", "mine")]
    figure = tmp_path / "efficiency.png"
    assert main(["evaluate", *names, "--format", "json", "--replicas", "20", "--figure", str(figure)]) == 0
    result = json.loads(capsys.readouterr().out)["comparison"]
    assert result["baseline"] == "base" and list(result["sets"]) == ["B+", "B0"]
    assert result["sets"]["B0"]["mine"]["maximum_ratio"] == {"value": 1.0, "lower": 1.0, "upper": 1.0}
    assert figure.stat().st_size > 10_000
    assert main(["evaluate", *names, "--replicas", "20"]) == 0
    printed = capsys.readouterr().out
    assert main(["evaluate", names[0], "--purities", "0.3", "--replicas", "5"]) == 0  # a single set
    assert "at 30 % purity       base" in capsys.readouterr().out
    assert main(["evaluate", *names, "--simulation", names[0]]) == 2
    assert "give one Btag file of data" in capsys.readouterr().err
    assert "at 50 % purity" in printed and "maximum" in printed and "B0, 100 events" in printed


def test_reconstructible_counts_each_b_type_alone(tmp_path):
    """Would catch events of one B type in the denominator of the other: generated particles without any B decay."""
    batch = toy_batch(30, seed=3)
    pdg = batch.generated["pdg"]
    pdg[:] = 211
    pdg[batch.generated.offsets[:20]] = 521  # undecayed: not covered
    pdg[batch.generated.offsets[20:30]] = 511
    batch.generated.columns["mother"][:] = -1
    batch.events["weight"][:] = 1.0
    with EventWriter(tmp_path / "events.root") as writer:
        writer.write(batch)
    assert next(iter(open_events(tmp_path / "events.root"))).n_events == 30
    found = find_reconstructible([tmp_path / "events.root"], load_channel_set("hadronic"))
    assert {b_type: c.n_events for b_type, c in found.items()} == {"B+": 20, "B0": 10}
    assert found["B0"].covered == fraction(0, 10) and found["B+"].in_acceptance == fraction(0, 20)
