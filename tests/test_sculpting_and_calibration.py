"""Two-sample tests, Mbc in slices of SignalProbability, calibration per event: against scipy and closed forms."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp, kstest
from toy_events import toy_batch
from toy_tags import toy_tags

from fei_lite.errors import EventFileError
from fei_lite.events import EventWriter, open_events
from fei_lite.performance.best_tags import read_best_tags
from fei_lite.performance.calibration import calibrate, event_calibration
from fei_lite.performance.origin import by_foreign_energy, foreign_energy, read_best_objects
from fei_lite.performance.sculpting import mbc_sculpting, window_ratio
from fei_lite.performance.text import calibration_table, sculpting_table
from fei_lite.performance.two_sample import Sample, ks_distance, ks_events, ks_independent
from fei_lite.plots.performance import draw_calibration, draw_sculpting
from fei_lite.tagging.output import TagWriter


@pytest.mark.parametrize("digits", [0, 1, 15])
def test_distance_and_p_value_against_scipy(digits):
    """Would catch ties compared half-way, or a wrong effective size."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=700).round(digits), rng.normal(0.1, 1.1, size=500).round(digits)
    distance, p_value = ks_independent(Sample.of(a), Sample.of(b))
    expected = ks_2samp(a, b, method="asymp")
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    assert p_value == pytest.approx(expected.pvalue, rel=0.15)  # scipy corrects the limit for small samples


def test_whole_weights_are_repetitions():
    """Would catch weights that are ignored: an entry of weight 3 is three entries, in the distance."""
    rng = np.random.default_rng(2)
    a, b, w = rng.normal(size=50), rng.normal(size=60), rng.integers(1, 4, 50)
    assert ks_distance(Sample.of(a, weight=w), Sample.of(b)) == pytest.approx(
        ks_2samp(np.repeat(a, w), b).statistic, abs=1e-12)
    assert np.isnan([ks_distance(Sample.of([]), Sample.of(b)), ks_independent(Sample.of([]), Sample.of(b))[1]]).all()
    assert len(Sample.of([1.0, np.nan, 2.0]).values) == 2


def clustered(rng, n_events, per_event, shift=0.0):
    """Candidates of one event are nearly copies of each other."""
    centre = np.repeat(rng.normal(shift, 1.0, n_events), per_event)
    return Sample.of(centre + rng.normal(0.0, 0.1, len(centre)), event=np.repeat(np.arange(n_events), per_event))


def test_permutation_of_events():
    """Would catch candidates exchanged one by one: then copies within an event look like a difference."""
    p_values, naive = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a, b = clustered(rng, 40, 10), clustered(rng, 150, 10)
        p_values.append(ks_events(a, b, permutations=99, rng=rng)[1])
        naive.append(ks_independent(a, b)[1])
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert binom.sf(np.sum(np.array(naive) < 0.01) - 1, 60, 0.01) < 1e-6  # what the permutation is for
    rng = np.random.default_rng(0)
    distance, p_value = ks_events(clustered(rng, 40, 10, shift=1.0), clustered(rng, 150, 10), permutations=199, rng=rng)
    assert p_value == pytest.approx(1 / 200)
    assert distance == pytest.approx(0.38, abs=0.1)  # 2 Phi(1/2) - 1


def background(rng, n, *, peaking):
    """False best Btags: Mbc flat, but a fraction ``peaking`` x probability of them in the signal window."""
    p = rng.random(n)
    mbc = rng.uniform(5.20, 5.29, n)
    peak = rng.random(n) < peaking * p
    mbc[peak] = rng.uniform(5.272, 5.288, peak.sum())
    return toy_tags(np.arange(n), p, np.zeros(n), n_events=n, mbc=mbc)


def test_sculpting_is_found_and_measured():
    """Would catch a test against the wrong slice, or a ratio of other windows: flat is 16 MeV / 40 MeV.

    A fraction s of peaking background adds s / ((1 - s) 40 / 90) to the ratio; s is 0.15 and 0.35 on average.
    """
    rng = np.random.default_rng(3)
    flat = mbc_sculpting(background(rng, 50_000, peaking=0.0), slices=(0.0, 0.4, 1.0)).slices["B+"]["combinatorial"]
    for part in flat:
        assert part.ratio.value == pytest.approx(16 / 40, abs=0.02)
    assert flat[1].p_value > 0.001 and flat[1].relative.value == pytest.approx(1.0, abs=0.05)
    found = mbc_sculpting(background(rng, 50_000, peaking=0.5), slices=(0.0, 0.4, 1.0))
    low, high = found.slices["B+"]["combinatorial"]
    ratios = [16 / 40 + s / ((1 - s) * 40 / 90) for s in (0.1, 0.35)]
    assert low.ratio.value == pytest.approx(ratios[0], rel=0.03)
    assert high.relative.value == pytest.approx(ratios[1] / ratios[0], rel=0.05)
    assert high.p_value < 1e-10 and np.isnan(low.p_value)
    assert low.histogram.sum() + high.histogram.sum() == 50_000
    assert all(part.n == 0 for part in found.slices["B0"]["combinatorial"] + found.slices["B+"]["nearly right"])


def test_window_ratio_covers():
    """Toys: would catch an interval of the fraction called one of the ratio."""
    rng, inside = np.random.default_rng(4), 0
    for _ in range(200):
        found = window_ratio(rng.uniform(5.2, 5.29, 60), np.ones(60))
        inside += found.lower <= 0.4 <= found.upper
    assert 0.63 < inside / 200 < 0.85  # counts are whole: 0.683 and more


def test_correct_tags_are_no_background():
    """Would catch signal taken for sculpted background."""
    tags = toy_tags([0, 1], [0.5, 0.6], [True, False], n_events=5, ancestor=np.array([521, 521], np.int32))
    parts = mbc_sculpting(tags).slices["B+"]
    assert sum(p.n for p in parts["nearly right"]) == 1 and sum(p.n for p in parts["combinatorial"]) == 0


def family(rng, batch):
    """Two B per event; every other particle descends from one of them, from a daughter of one, or from nothing."""
    pdg, mother = batch.generated["pdg"], batch.generated["mother"]
    for first, last in pairwise(batch.generated.offsets):
        pdg[first:last] = 211
        pdg[first:first + 3] = [300553, 511, -511]
        mother[first:last] = rng.integers(-1, np.maximum(np.arange(last - first), 1))
        mother[first:first + 3] = [-1, 0, 0]
        mother[first + 3:last][mother[first + 3:last] == 0] = -1
        pdg[first + 3], mother[first + 3] = -511, 1  # the first B0 mixed


def slow_foreign_energy(batch, event, tracks, clusters):
    """Walk up from every object, sum per B, take the largest away."""
    by_b, generated = {}, batch.generated
    for objects, indices in ((batch.tracks, tracks), (batch.clusters, clusters)):
        for index in indices:
            row = objects.offsets[event] + index
            if objects is batch.tracks:
                _, _, omega, _, slope = objects["helix"][row]
                energy = 0.00299792458 * abs(batch.events["bz"][event] / omega) * np.sqrt(1 + slope**2)
            else:
                energy = objects["E"][row]
            at, b = objects["mc_index"][row], None
            while at >= 0:
                here = generated.offsets[event] + at
                b = at if abs(generated["pdg"][here]) == 511 else b
                at = generated["mother"][here]
            by_b.setdefault(b, []).append(energy)
    sums = {b: sum(energies) for b, energies in by_b.items()}
    return sum(sums.values()) - max((e for b, e in sums.items() if b is not None), default=0.0)


def test_foreign_energy_against_a_plain_loop(tmp_path):
    """Would catch objects of another event, the mixed B0 counted as a third B, unmatched objects called right."""
    rng = np.random.default_rng(9)
    batch = toy_batch(12, seed=9)
    family(rng, batch)
    for objects in (batch.tracks, batch.clusters):
        limit = batch.generated.counts[objects.event_index]
        objects["mc_index"][:] = rng.integers(-1, limit)
    with EventWriter(tmp_path / "events.root") as writer:
        writer.write(batch)
    batch = next(iter(open_events(tmp_path / "events.root")))  # as it is read: bad objects are dropped
    entry = np.flatnonzero(rng.random(12) < 0.7)
    lists = [[rng.permutation(o.counts[e])[: rng.integers(1, 6)] for e in entry]
             for o in (batch.tracks, batch.clusters)]
    objects = {name: (np.concatenate([[0], np.cumsum([len(x) for x in found])]), np.concatenate(found))
               for name, found in zip(("track_index", "cluster_index"), lists, strict=True)}
    tags = toy_tags(entry, np.ones(len(entry)), np.zeros(len(entry)), n_events=12)
    found = foreign_energy(tags, objects, [tmp_path / "events.root"], batch_size=5)
    expected = [slow_foreign_energy(batch, e, t, c) for e, t, c in zip(entry, *lists, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert np.ptp(found) > 0.1
    with pytest.raises(EventFileError, match="12 events, the Btags are of 13"):
        foreign_energy(toy_tags(entry, entry, entry, n_events=13), objects, [tmp_path / "events.root"])


def test_sculpting_of_named_backgrounds(tmp_path):
    """Would catch a bump of half right Btags that is laid to the combinatorial ones, correct ones in a background."""
    rng = np.random.default_rng(12)
    tags = background(rng, 20_000, peaking=0.0)
    energy = rng.uniform(0.0, 3.0, len(tags))
    kinds = by_foreign_energy(energy)
    assert np.all(sum(chosen.astype(int) for chosen in kinds.values()) == 1)
    tags.mbc[kinds["half right"]] = rng.normal(5.275, 0.01, int(kinds["half right"].sum())).clip(5.2, 5.2899)
    tags = replace(tags, correct=tags.correct | (np.arange(len(tags)) < 1000))
    found = mbc_sculpting(tags, backgrounds=kinds, slices=(0.0, 0.4, 1.0)).slices["B+"]
    assert {name: sum(part.n for part in parts) for name, parts in found.items()} == {
        name: int(chosen[1000:].sum()) for name, chosen in kinds.items()}
    for part in found["combinatorial"]:
        assert part.ratio.value == pytest.approx(0.4, abs=0.03)
    assert all(part.ratio.lower > 4.0 for part in found["half right"])
    draw_sculpting(mbc_sculpting(tags, backgrounds=kinds), tmp_path / "sculpting.png")


@pytest.mark.parametrize("suffix", ["root", "parquet"])
@pytest.mark.parametrize("choose", ["event", "type"])
def test_objects_of_best_tags(tmp_path, suffix, choose):
    """Would catch lists of other candidates where a file is read in pieces: each list tells its candidate."""
    rng = np.random.default_rng(10)
    entry = np.repeat(np.arange(60), rng.integers(0, 4, 60))
    n = len(entry)
    rank = np.arange(n) - np.searchsorted(entry, entry) + 1
    counts = rng.integers(0, 4, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    lists = {"track_index": (offsets, np.repeat(np.arange(n), counts).astype(np.int32)),
             "cluster_index": (np.arange(n + 1), np.arange(n, dtype=np.int32))}
    path = tmp_path / f"btag.{suffix}"
    with TagWriter(path) as writer:
        writer.write({"entry": entry, "event": entry, "pdg": rng.choice([521, 511], n).astype(np.int32),
                      "decayModeID": np.arange(n, dtype=np.int32), "SignalProbability": rng.random(n),
                      "Mbc": rng.random(n), "deltaE": rng.random(n), "weight": np.ones(n),
                      "best": (rank == 1).astype(np.int8), **lists})
        writer.finish([], {"n_events": 60, "sum_of_weights": 60.0, "sum_of_squared_weights": 60.0, "event_types": {}})
    tags = read_best_tags(path, choose=choose, truth=False, rows=7)
    objects = read_best_objects(path, choose=choose, rows=7)
    np.testing.assert_array_equal(objects["cluster_index"][1], tags.mode)
    starts, values = objects["track_index"]
    np.testing.assert_array_equal(np.diff(starts), counts[tags.mode])
    np.testing.assert_array_equal(values, np.repeat(tags.mode, counts[tags.mode]))


def test_known_miscalibration():
    """Would catch another definition: right with p^2 where p is said, uniform, the error is 1/2 - 1/3 = 1/6."""
    rng = np.random.default_rng(5)
    p = rng.random(40_000)
    found = event_calibration(rng.random(40_000) < p**2, p, replicas=40, rng=rng)
    assert found.error.value == pytest.approx(1 / 6, abs=0.007)
    assert found.error.lower < found.error.value < found.error.upper
    assert 0.5 * (found.error.upper - found.error.lower) == pytest.approx(
        np.sqrt((1 / 6 - 1 / 36) / 40_000), rel=0.35)  # of the mean of p - y; 40 replicas know it to 11 %
    assert found.promised == pytest.approx(0.5, abs=0.01) and found.right.value == pytest.approx(1 / 3, abs=0.01)


def test_perfect_calibration():
    """Would catch fluctuations read as miscalibration, and bins whose number or interval is of other Btags."""
    rng = np.random.default_rng(6)
    p = rng.random(20_000) ** 6
    found = event_calibration(rng.random(20_000) < p, p, replicas=10, rng=rng)
    assert found.error.value == pytest.approx(found.from_fluctuations, rel=0.5)
    assert sum(b.n for b in found.bins) == 20_000
    inside = sum(b.observed.lower <= b.predicted <= b.observed.upper for b in found.bins)
    assert binom.cdf(inside, len(found.bins), 0.683) > 0.001


def test_weights_of_calibration():
    """Would catch weights ignored: right ones weigh 1, others 3, so that p = 1/2 is right in a quarter."""
    correct = np.tile([True, False], 1000)
    found = event_calibration(correct, np.full(2000, 0.5), weight=np.where(correct, 1.0, 3.0), replicas=5,
                              rng=np.random.default_rng(7))
    assert found.right.value == pytest.approx(0.25) and found.error.value == pytest.approx(0.25)
    assert len(found.bins) == 1 and found.bins[0].n == 2000


def test_events_are_drawn_whole():
    """Would catch the two Btags of an event (of either list) drawn apart: twice the same is no more information."""
    rng = np.random.default_rng(11)
    p = rng.random(500)
    correct = rng.random(500) < 0.5 * p
    twice = np.repeat(np.arange(500), 2)
    one, two, apart = (event_calibration(correct[rows], p[rows], event=event, replicas=300,
                                         rng=np.random.default_rng(12)).error
                       for rows, event in ((np.arange(500), None), (twice, twice), (twice, None)))
    assert two.value == pytest.approx(one.value, abs=1e-12)
    assert two.upper - two.lower == pytest.approx(one.upper - one.lower, rel=0.05)
    assert apart.upper - apart.lower < 0.85 * (one.upper - one.lower)  # by sqrt(2)


def test_tables_show_the_numbers():
    """Would catch a column of another quantity: each number is read back from the text."""
    rng = np.random.default_rng(13)
    tags = background(rng, 3000, peaking=0.5)
    found = mbc_sculpting(tags, slices=(0.0, 0.4, 1.0))
    row = next(line for line in sculpting_table(found).splitlines() if line.split()[:3] == ["0.4", "to", "1"])
    part = found.slices["B+"]["combinatorial"][1]
    numbers = [float(word.strip("[],")) for word in row.split() if word != "to"]
    np.testing.assert_allclose(numbers[2:], [
        part.n, part.ratio.value, part.ratio.lower, part.ratio.upper, part.relative.value, part.relative.lower,
        part.relative.upper, part.distance, part.p_value], rtol=0.05, atol=6e-4)
    groups = calibrate(tags, replicas=5, rng=rng)
    row = next(line for line in calibration_table(groups).splitlines() if line.startswith("B+") and " 0.1 " in line)
    numbers = [float(word.strip("[],")) for word in row.split()[1:]]
    c = groups["B+"][3]
    np.testing.assert_allclose(numbers, [
        0.1, c.n, c.promised, c.right.value, c.right.lower, c.right.upper, c.error.value, c.error.lower,
        c.error.upper, c.from_fluctuations], atol=6e-5)


def test_figures(tmp_path):
    """Would catch figures that fail where a slice, a B type or all Btags are missing."""
    rng = np.random.default_rng(8)
    tags = background(rng, 500, peaking=0.5)
    draw_sculpting(mbc_sculpting(tags), tmp_path / "sculpting.png")
    nothing = tags.select(np.zeros(0, dtype=int))
    draw_calibration(calibrate(nothing, replicas=3, rng=rng), tmp_path / "nothing.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in ("sculpting", "nothing"))
