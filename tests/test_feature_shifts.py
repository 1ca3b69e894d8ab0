"""Features of two samples of events: known shifts are found, equal samples are not told apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import fei_lite
from fei_lite.performance.feature_shifts import (
    NUMBER,
    PROBABILITY,
    Collected,
    collect,
    compare_features,
    probability_ranges,
    quantiles,
)
from fei_lite.performance.two_sample import Sample
from fei_lite.production.simulate import simulate_file
from fei_lite.reconstruction.engine import reconstruct


def events(rng, n_events, *, shift=0.0, scale=1.0, mean=5.0, undefined=0.0):
    """Candidates with a feature that shifts, one that does not, and one that is undefined now and then."""
    found = Collected()
    for start in range(0, n_events, 10):  # in batches, as a file is read
        event = np.repeat(np.arange(10), rng.poisson(mean, 10))
        n = len(event)
        common = rng.normal(size=10)[event]
        holes = np.where(rng.random(n) < undefined, np.nan, rng.normal(size=n))
        found.add("pi+_FSP", "pi+", 0, event, {
            "shifted": shift + scale * np.sqrt(0.5) * (common + rng.normal(size=n)), "same": common, "holes": holes})
        found.add("pi+", "pi+", 0, event, {PROBABILITY: rng.random(n)})
        found.weight.extend([1.0] * 10)
        found.n_events += 10
        assert found.n_events == start + 10
    return found


def test_known_differences():
    """Would catch the wrong sign or unit of a shift, candidates of other events, NaN in a median."""
    rng = np.random.default_rng(1)
    first = events(rng, 100, shift=1.0, scale=2.0, mean=8.0, undefined=0.25)
    second = events(rng, 400)
    differences = compare_features(first, second, rounds=((199, 0.01), (1999, 0.0)), rng=rng)
    found = {(d.label, d.feature): d for d in differences}
    d = found["pi+_FSP", "shifted"]
    assert d.shift == pytest.approx(1.0, abs=0.35) and d.width == pytest.approx(2.0, rel=0.15)
    assert d.p_value == pytest.approx(1 / 2000) and d.q_value < 0.005
    assert (d.particle, d.stage, d.n_events[1]) == ("pi+", 0, len(np.unique(np.concatenate(second.events["pi+"]))))
    assert found["pi+_FSP", "same"].p_value > 0.005
    assert found["pi+_FSP", "holes"].undefined == pytest.approx((0.25, 0.0), abs=0.05)
    number = found["pi+_FSP", NUMBER]
    assert number.n_candidates == (100, 400)  # one entry per event, those without candidates too
    assert number.shift == pytest.approx(3 / np.sqrt(5), abs=0.5) and number.q_value < 0.005
    assert ("pi+", PROBABILITY) in found


def test_equal_samples_stay_equal():
    """Would catch candidates of one event taken as independent: a common part makes chance look significant."""
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(12):
        found = compare_features(events(rng, 40), events(rng, 200), rng=rng)
        p_values += [d.p_value for d in found if d.feature == "same"]
        assert all(d.q_value >= d.p_value for d in found)
    assert np.mean(np.array(p_values) < 0.2) < 0.6 and np.min(p_values) > 0.001


def test_few_events_are_not_tested():
    """Would catch a p-value from a handful of events."""
    rng = np.random.default_rng(3)
    assert compare_features(events(rng, 10), events(rng, 100), rng=rng) == []
    assert compare_features(Collected(), events(rng, 100), rng=rng) == []


def test_weighted_quantiles():
    """Would catch quantiles without weights: flat values weighted by themselves have a median of 1/sqrt(2)."""
    x = np.linspace(0.0, 1.0, 5001)
    assert quantiles(Sample.of(x, weight=x), [0.5])[0] == pytest.approx(np.sqrt(0.5), abs=1e-3)
    z = norm.ppf((np.arange(1000) + 0.5) / 1000)
    assert quantiles(Sample.of(z), [0.1, 1.0]) == pytest.approx([norm.ppf(0.1), z.max()], abs=0.01)


def test_collecting_is_reconstructing(tmp_path):
    """Would catch events numbered anew in each batch, or candidates of another stage than in the reconstruction."""
    path = tmp_path / "events.root"
    simulate_file("charged", path, n=24, seed=1)
    channels, models = fei_lite.load_channel_set("hadronic"), fei_lite.load_model_set("fei_default")
    found = collect([path, path], channels, models, batch_size=15, max_events=23)
    result = reconstruct(next(iter(fei_lite.open([path]))).slice(0, 23), channels, models)
    pions = result.tables["pi+"]
    assert found.n_events == 46 and found.event_types == {"B+B-": 46}
    sample = found.sample("pi+", PROBABILITY)
    np.testing.assert_array_equal(sample.values, np.tile(pions["SignalProbability"], 2))
    np.testing.assert_array_equal(sample.event, np.concatenate([pions.event_index, pions.event_index + 23]))
    np.testing.assert_array_equal(found.numbers("pi+").values[:23], np.diff(pions.offsets))
    row = next(r for r in probability_ranges(found, found) if r.particle == "pi+")
    assert row.first == row.second and row.first[3] == pions["SignalProbability"].max()
    same = compare_features(found, found, max_stage=0, rng=np.random.default_rng(4))
    assert len(same) > 60 and all(d.distance < 1e-12 and d.p_value == 1.0 and d.shift == 0.0 for d in same)
