"""Two-sample tests, Mbc in slices of SignalProbability, calibration per event: against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp, kstest
from toy_tags import toy_tags

from fei_lite.figures import draw_calibration, draw_sculpting
from fei_lite.validation.calibration import calibrate, event_calibration
from fei_lite.validation.sculpting import mbc_sculpting, window_ratio
from fei_lite.validation.two_sample import Sample, ks_distance, ks_events, ks_independent


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
    """False best Btags: Mbc flat, but a share ``peaking`` x probability of them in the signal window."""
    p = rng.random(n)
    mbc = rng.uniform(5.20, 5.29, n)
    peak = rng.random(n) < peaking * p
    mbc[peak] = rng.uniform(5.272, 5.288, peak.sum())
    return toy_tags(np.arange(n), p, np.zeros(n), n_events=n, mbc=mbc)


def test_sculpting_is_found_and_measured():
    """Would catch a test against the wrong slice, or a ratio of other windows: flat is 16 MeV / 40 MeV.

    A share s of peaking background adds s / ((1 - s) 40 / 90) to the ratio; s is 0.15 and 0.35 on average.
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
    assert all(part.n == 0 for part in found.slices["B0"]["combinatorial"] + found.slices["B+"]["same B"])


def test_window_ratio_covers():
    """Toys: would catch an interval of the share called one of the ratio."""
    rng, inside = np.random.default_rng(4), 0
    for _ in range(200):
        found = window_ratio(rng.uniform(5.2, 5.29, 60), np.ones(60))
        inside += found.lower <= 0.4 <= found.upper
    assert 0.63 < inside / 200 < 0.85  # counts are whole: 0.683 and more


def test_correct_tags_are_no_background():
    """Would catch signal taken for sculpted background."""
    tags = toy_tags([0, 1], [0.5, 0.6], [True, False], n_events=5, ancestor=np.array([521, 521], np.int32))
    parts = mbc_sculpting(tags).slices["B+"]
    assert sum(p.n for p in parts["same B"]) == 1 and sum(p.n for p in parts["combinatorial"]) == 0


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


def test_figures(tmp_path):
    """Would catch figures that fail where a slice, a kind or all Btags are missing."""
    rng = np.random.default_rng(8)
    tags = background(rng, 500, peaking=0.5)
    draw_sculpting(mbc_sculpting(tags), tmp_path / "sculpting.png")
    nothing = tags.select(np.zeros(0, dtype=int))
    draw_calibration(calibrate(nothing, replicas=3, rng=rng), tmp_path / "nothing.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in ("sculpting", "nothing"))
