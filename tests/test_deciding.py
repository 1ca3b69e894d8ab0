"""The last classifier: what it sees of an event's tag candidates, and what becomes of its answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from toy_events import toy_batch

from fei_lite.candidates import CandidateTable
from fei_lite.channels import load_channel_set
from fei_lite.reconstruction.deciding import FEATURES, tag_features, with_probability
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.simulation.simulate import simulate
from fei_lite.tagging.best import beam_constrained, select_tags


def table(name, event, n_events, rng):
    n = len(event)
    p4 = rng.normal(0.0, 0.3, (n, 4))
    p4[:, 3] = 5.5
    return CandidateTable(name, np.searchsorted(event, np.arange(n_events + 1)).astype(np.int64), {
        "SignalProbability": rng.uniform(0.0, 1.0, n) ** 4, "chiProb": rng.uniform(size=n), "p4": p4,
        "decayModeID": rng.integers(0, 30, n).astype(np.int16)})


@pytest.fixture
def tables():
    """Events with no, one, and many candidates of either particle."""
    rng = np.random.default_rng(3)
    charged = np.sort(rng.integers(0, 12, 30))
    neutral = np.sort(np.append(rng.integers(4, 12, 15), 13))
    batch = toy_batch(15, seed=1)
    batch.events["beam_p4"][:] = 0.457, 0.0, 2.999, 11.005
    return [table("B+", charged, 15, rng), table("B0", neutral, 15, rng)], batch


def test_features_against_a_loop_over_the_events(tables):
    """Would catch rivals of another event, oneself as a rival, or one particle's candidates forgotten."""
    tables, batch = tables
    found = tag_features(tables, batch)
    everyone = [(int(e), w, i) for w, t in enumerate(tables) for i, e in enumerate(t.event_index)]
    for event, which, row in everyone:
        def odds(w, i):
            p = tables[w]["SignalProbability"][i]
            return p / (1.0 - p)

        rivals = [odds(w, i) for e, w, i in everyone if e == event and (w, i) != (which, row)]
        mine = odds(which, row)
        _, delta_e = beam_constrained(tables[which]["p4"][[row]], batch.events["beam_p4"][[event]])
        expected = {
            "logOdds": math.log(mine), "logOddsBestRival": math.log(max(rivals)) if rivals else -30.0,
            "logOddsRivals": math.log(sum(rivals)) if rivals else -30.0,
            "rank": 1 + sum(o > mine for o in rivals), "nCandidates": 1 + len(rivals),
            "nCandidatesOfParticle": sum(e == event and w == which for e, w, _ in everyone), "particle": which,
            "decayModeID": tables[which]["decayModeID"][row], "chiProb": tables[which]["chiProb"][row],
            "deltaE": delta_e[0]}
        assert tuple(expected) == FEATURES
        np.testing.assert_allclose(found[which][row], list(expected.values()), rtol=1e-6, atol=1e-9)


def test_certain_candidates_have_finite_features(tables):
    """Probabilities that rounding made 0 or 1 would give infinite odds and NaN differences."""
    tables, batch = tables
    tables[0]["SignalProbability"][:2] = 0.0, 1.0
    assert all(np.isfinite(X).all() for X in tag_features(tables, batch))


def test_probability_replaces_and_orders(tables):
    """The best of an event must stand first, with the channel's probability beside it."""
    before = tables[0][0]
    p = 1.0 - before["SignalProbability"]
    after = with_probability(before, p)
    np.testing.assert_array_equal(after.offsets, before.offsets)
    np.testing.assert_allclose(after["SignalProbability"], 1.0 - after["channelProbability"])
    for e in range(15):
        mine = after["SignalProbability"][after.offsets[e]:after.offsets[e + 1]]
        assert (np.diff(mine) <= 0).all()
        assert sorted(mine) == sorted(p[before.offsets[e]:before.offsets[e + 1]])


def test_engine_asks_the_last_classifier():
    """A decider that turns the order round must turn the Btags round, and nothing before them."""
    class Plain:
        deciding = None

        def has_model(self, _identifier):
            return True

        def predict(self, _identifier, features):
            return 0.02 + 0.9 / (1.0 + np.nansum(np.abs(np.tanh(features)), axis=1))

    class Reversing:
        def predict(self, X):
            return 1.0 / (1.0 + np.exp(X[:, FEATURES.index("logOdds")]))

    class Decided(Plain):
        deciding = Reversing()

    channels = load_channel_set("hadronic")
    batch = next(iter(simulate("charged", 30, seed=5)))
    plain, decided = (reconstruct(batch, channels, models) for models in (Plain(), Decided()))
    for name in plain.tables:
        if name not in channels.tags:
            np.testing.assert_array_equal(plain.tables[name]["SignalProbability"],
                                          decided.tables[name]["SignalProbability"])
    tags, other = select_tags(plain), select_tags(decided)
    assert "channelProbability" not in tags.columns
    np.testing.assert_allclose(other.columns["SignalProbability"], 1.0 - other.columns["channelProbability"])
    best = {e: p for e, p, first in zip(tags.event, tags.columns["SignalProbability"], tags.columns["best"]) if first}
    worst = {e: p for e, p, first in zip(other.event, other.columns["channelProbability"], other.columns["best"])
             if first}
    assert best.keys() == worst.keys() and len(best) > 10
    assert all(worst[e] <= best[e] for e in best) and any(worst[e] < best[e] for e in best)
