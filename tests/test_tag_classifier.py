"""The tag classifier: what it sees of an event's tag candidates, and what becomes of its answer."""

from __future__ import annotations

import math

import naive_event_shape as naive
import numpy as np
import pytest
from toy_events import toy_batch

from fei_lite.candidates import CandidateTable
from fei_lite.channels import load_channel_set
from fei_lite.errors import UnknownNameError
from fei_lite.particles import conjugate, mass
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction import tag_classifier
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.reconstruction.frames import beam_constrained
from fei_lite.reconstruction.tag_classifier import FEATURES, OF_EVENT, OF_GROUP, tag_features, with_probability
from fei_lite.reconstruction.tag_parts import PARTS
from fei_lite.reconstruction.tag_shape import SHAPE
from fei_lite.tagging.best import select_tags
from fei_lite.used_objects import n_words, object_indices, unpacked_to_words


def table(name, event, batch, rng):
    n = len(event)
    p4 = rng.normal(0.0, 0.3, (n, 4))
    p4[:, 3] = 5.5
    bits = np.zeros((n, 64 * n_words(batch)), dtype=bool)
    tracks = batch.tracks.counts[event]
    for row in range(n):  # few choices: some candidates have equal tracks, some equal everything
        bits[row, rng.choice(2, size=2)] = True
        bits[row, tracks[row] + rng.choice(2)] = True
    return CandidateTable(name, np.searchsorted(event, np.arange(batch.n_events + 1)).astype(np.int64), {
        "SignalProbability": rng.uniform(0.0, 1.0, n) ** 4, "chiProb": rng.uniform(size=n), "p4": p4,
        "used": unpacked_to_words(bits), "decayModeID": rng.integers(0, 30, n).astype(np.int16)})


@pytest.fixture
def tables():
    """Events with no, one, and many candidates of either particle."""
    rng = np.random.default_rng(3)
    charged = np.sort(rng.integers(0, 12, 30))
    neutral = np.sort(np.append(rng.integers(4, 12, 15), 13))
    batch = toy_batch(15, seed=1)
    batch.events["beam_p4"][:] = 0.457, 0.0, 2.999, 11.005
    return [table("B+", charged, batch, rng), table("B0", neutral, batch, rng)], batch


def log_sum(odds):
    return math.log(sum(odds)) if odds else -30.0


def log_best(odds):
    return math.log(max(odds)) if odds else -30.0


def test_features_against_a_loop_over_the_events(tables):
    """Would catch candidates of another event that compete, one that competes with itself, a particle left out."""
    tables, batch = tables
    found = tag_features(tables, {}, load_channel_set("hadronic"), batch, (*OF_EVENT, *OF_GROUP))
    everyone = [(int(e), w, i) for w, t in enumerate(tables) for i, e in enumerate(t.event_index)]
    sizes = []

    def odds(w, i):
        p = tables[w]["SignalProbability"][i]
        return p / (1.0 - p)

    def used(w, i, kind):
        t = tables[w]
        return tuple(object_indices(batch, t["used"][[i]], t.event_index[[i]], kind)[1].tolist())

    def delta_e(w, i, event):
        return beam_constrained(tables[w]["p4"][[i]], batch.events["beam_p4"][[event]])[1][0]

    for event, which, row in everyone:
        others = [(w, i) for e, w, i in everyone if e == event and (w, i) != (which, row)]
        competing = [odds(*one) for one in others]
        mine, tracks = odds(which, row), used(which, row, "tracks")
        same_tracks = [one for one in others if used(*one, "tracks") == tracks]
        groups = {}
        for one in others:
            if used(*one, "tracks") != tracks:
                groups.setdefault(used(*one, "tracks"), []).append(odds(*one))
        best_twin = max(same_tracks, key=lambda one: odds(*one)) if same_tracks else None
        sizes.append(len(same_tracks))
        expected = {
            "logOdds": math.log(mine), "logOddsBestCompeting": log_best(competing),
            "logOddsCompeting": log_sum(competing),
            "rank": 1 + sum(o > mine for o in competing), "nCandidates": 1 + len(competing),
            "nCandidatesOfParticle": sum(e == event and w == which for e, w, _ in everyone), "particle": which,
            "decayModeID": tables[which]["decayModeID"][row], "chiProb": tables[which]["chiProb"][row],
            "deltaE": delta_e(which, row, event), "nTracks": len(tracks),
            "nClusters": len(used(which, row, "clusters")), "nGroup": 1 + len(same_tracks),
            "rankGroup": 1 + sum(odds(*one) > mine for one in same_tracks),
            "logOddsBestGroup": log_best([odds(*one) for one in same_tracks]),
            "logOddsGroup": log_sum([odds(*one) for one in same_tracks]),
            "absDeltaEGroup": abs(delta_e(*best_twin, event)) if best_twin else math.nan, "nGroups": 1 + len(groups),
            "logOddsBestOther": log_best([max(group) for group in groups.values()]),
            "logOddsOther": log_sum([o for group in groups.values() for o in group])}
        assert tuple(expected) == (*OF_EVENT, *OF_GROUP)
        np.testing.assert_allclose(found[which][row], list(expected.values()), rtol=1e-6, atol=1e-9)
    assert min(sizes) == 0 and max(sizes) > 1


def test_groups_are_of_tracks_also_beyond_the_first_word():
    """Would catch bit sets cut at 64 objects, or clusters taken for tracks."""
    rng = np.random.default_rng(5)
    bits = rng.uniform(size=(40, 192)) < 0.3
    n_tracks = np.repeat([0, 3, 63, 64, 65, 128, 150, 192], 5)
    words, of_tracks, others = tag_classifier._used(unpacked_to_words(bits), n_tracks)
    inside = np.arange(192) < n_tracks[:, None]
    np.testing.assert_array_equal(words, unpacked_to_words(bits & inside))
    np.testing.assert_array_equal(of_tracks, (bits & inside).sum(axis=1))
    np.testing.assert_array_equal(others, (bits & ~inside).sum(axis=1))


def test_certain_candidates_have_finite_features(tables):
    """Probabilities that rounding made 0 or 1 would give infinite odds and NaN differences."""
    tables, batch = tables
    tables[0]["SignalProbability"][:2] = 0.0, 1.0
    names = tuple(name for name in (*OF_EVENT, *OF_GROUP) if name != "absDeltaEGroup")  # of lone candidates NaN
    assert all(np.isfinite(X).all() for X in tag_features(tables, {}, load_channel_set("hadronic"), batch, names))


def test_features_by_name(tables):
    """A model of an earlier version has fewer of them, in its own order; an unknown one must not become another."""
    tables, batch = tables
    channels = load_channel_set("hadronic")
    every = tag_features(tables, {}, channels, batch, (*OF_EVENT, *OF_GROUP))
    some = tag_features(tables, {}, channels, batch, ("nGroups", "rank"))
    for all_of, two in zip(every, some, strict=True):
        np.testing.assert_array_equal(two, all_of[:, [FEATURES.index("nGroups"), FEATURES.index("rank")]])
    with pytest.raises(UnknownNameError, match=r"'logOddss', which this fei-lite does not know.*logOdds"):
        tag_features(tables, {}, channels, batch, ("rank", "logOddss"))


def test_probability_replaces_and_orders(tables):
    """The best of an event must stand first, with the channel's probability beside it."""
    before = tables[0][0]
    p = 1.0 - before["SignalProbability"]
    after = with_probability(before, p)
    np.testing.assert_array_equal(after.offsets, before.offsets)
    np.testing.assert_allclose(after["SignalProbability"], 1.0 - after["channelProbability"])
    assert "SignalProbabilityGivenBB" not in after.columns
    both = with_probability(before, p, 0.5 * p)
    np.testing.assert_array_equal(both["SignalProbabilityGivenBB"], 0.5 * both["SignalProbability"])
    for e in range(15):
        mine = after["SignalProbability"][after.offsets[e]:after.offsets[e + 1]]
        assert (np.diff(mine) <= 0).all()
        assert sorted(mine) == sorted(p[before.offsets[e]:before.offsets[e + 1]])


class Plain(NoClassifiers):
    """Models for every channel, with probabilities that depend on the features."""

    def has_model(self, _identifier):
        return True

    def predict(self, _identifier, features, *, above=0.0):
        return 0.02 + 0.9 / (1.0 + np.nansum(np.abs(np.tanh(features)), axis=1))


@pytest.fixture(scope="module")
def plain():
    """A reconstruction without a tag classifier, of generated events."""
    batch = next(iter(simulate("charged", 30, seed=5)))
    return batch, reconstruct(batch, load_channel_set("hadronic"), Plain())


def test_parts_against_a_walk_down_each_candidate(plain):
    """Would catch daughters of another row or conjugate, and a D* taken for its D."""
    batch, result = plain
    tables, channels = result.tables, result.channel_set
    tags = [tables[name] for name in channels.tags]
    found = tag_features(tags, tables, channels, batch, PARTS)

    def daughters(t, row):
        names = channels.particles[t.particle].channels[t["decayModeID"][row]].daughters
        used = t["daughters"][row]
        return [(tables[n if n in tables else conjugate(n)], r)
                for n, r in zip(names, used[:len(names)], strict=True)]

    def score(part):
        p = part[0]["SignalProbability"][part[1]]
        return math.log(p / (1.0 - p))

    def cms(part):
        p4 = part[0]["p4"][part[1]]
        beam = batch.events["beam_p4"][part[0].event_index[part[1]]]
        beta = beam[:3] / beam[3]
        gamma = 1.0 / math.sqrt(1.0 - beta @ beta)
        energy = gamma * (p4[3] - beta @ p4[:3])
        return energy, math.sqrt(max(energy**2 - p4[3] ** 2 + p4[:3] @ p4[:3], 0.0))

    heavy = {"D0", "D+", "D_s+", "Lambda_c+", "J/psi", "D*0", "D*+", "D_s*+"}
    stars = 0
    rng = np.random.default_rng(2)
    for t, X in zip(tags, found, strict=True):
        for row in rng.choice(len(t), size=min(300, len(t)), replace=False):
            parts = daughters(t, row)
            scores = sorted(map(score, parts))
            charm = [part for part in parts if part[0].particle in heavy]
            pi0 = [part for part in parts if part[0].particle == "pi0"]
            tracks = [cms(part)[1] for part in parts if part[0].particle in ("pi+", "K+", "p+", "e+", "mu+")]
            x = dict(zip(PARTS, X[row], strict=True))
            expected = {"logOddsWorst": scores[0], "logOddsSecond": scores[1], "nPi0": len(pi0),
                        "logProduct": sum(math.log(a["SignalProbability"][b]) for a, b in parts),
                        "logOddsPi0": min(map(score, pi0), default=math.nan),
                        "EPi0": min((cms(part)[0] for part in pi0), default=math.nan),
                        "pTrack": min(tracks, default=math.nan)}
            first, companions = charm[0], list(map(score, charm[1:]))
            expected |= {"logOddsCharm": score(first), "chiProbCharm": first[0]["chiProb"][first[1]],
                         "dMCharm": first[0]["M"][first[1]] - mass(first[0].particle), "QCharm": math.nan}
            below = daughters(*first)
            if below[0][0].particle in heavy:
                stars += 1
                d = below[0]
                expected |= {"dMCharm": d[0]["M"][d[1]] - mass(d[0].particle),
                             "QCharm": first[0]["M"][first[1]] - d[0]["M"][d[1]]}
                companions += [score(below[1])]
            expected["logOddsCompanion"] = min(companions, default=math.nan)
            for name, value in expected.items():
                assert x[name] == pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True), name
            assert x["charm"] % 100 == first[0]["decayModeID"][first[1]]
    assert stars > 50


def test_shape_from_the_objects_of_each_candidate(plain):
    """Would catch objects of another event, a wrong frame, and clusters taken for tracks."""
    batch, result = plain
    tags = [result.tables[name] for name in result.channel_set.tags]
    found = tag_features(tags, result.tables, result.channel_set, batch, SHAPE)
    tracks, clusters, events = batch.tracks, batch.clusters, batch.events

    def of_track(row, event):
        _, phi0, omega, _, tan_lambda = map(float, tracks["helix"][row])
        pt = 0.00299792458 * float(events["bz"][event]) / abs(omega)  # GeV, from T and 1/cm
        p = pt * np.array([math.cos(phi0), math.sin(phi0), tan_lambda])
        return [*p, math.sqrt(p @ p + mass("pi+") ** 2)]

    def of_cluster(row, event):
        theta, phi, r = (float(clusters[name][row]) for name in ("theta", "phi", "r"))
        place = r * np.array([math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)])
        way = place - events["ip"][event]
        return [*(clusters["E"][row] * way / np.linalg.norm(way)), clusters["E"][row]]

    def cms(p4, event):
        beam = events["beam_p4"][event]
        beta = beam[:3] / beam[3]
        gamma = 1.0 / math.sqrt(1.0 - beta @ beta)
        p, along = np.array(p4[:3]), beta @ np.array(p4[:3])
        return p + beta * ((gamma - 1.0) * along / (beta @ beta) - gamma * p4[3])

    rng = np.random.default_rng(4)
    mixed = 0
    for t, X in zip(tags, found, strict=True):
        for row in rng.choice(len(t), size=min(40, len(t)), replace=False):
            e = int(t.event_index[row])
            used = [i for i in range(64 * t["used"].shape[1]) if int(t["used"][row, i // 64]) >> i % 64 & 1]
            n = int(tracks.counts[e])
            p3 = [cms(of_track(tracks.offsets[e] + i, e) if i < n else of_cluster(clusters.offsets[e] + i - n, e), e)
                  for i in used]
            mixed += used[0] < n <= used[-1]
            axis, own = naive.thrust(np.array(p3)), cms(t["p4"][row], e)
            length = float(np.linalg.norm(axis))
            expected = [abs(own[2]) / np.linalg.norm(own), abs(axis[2]) / length, length,
                        naive.fox_wolfram(p3, 2) / naive.fox_wolfram(p3, 0)]
            np.testing.assert_allclose(X[row], expected, rtol=2e-4, atol=2e-4)  # helices are single precision
    assert mixed > 20


def test_engine_asks_the_last_classifier(plain):
    """A tag_classifier that turns the order round must turn the Btags round, and nothing before them."""
    class Reversing:
        features = ("rank", "logOdds")

        def predict(self, X):
            return 1.0 / (1.0 + np.exp(X[:, 1]))

    class Halving(Reversing):
        def predict(self, X):
            return 0.5 * super().predict(X)

    class Decided(Plain):
        tag_classifier, given_bb = Reversing(), Halving()

    batch, plain = plain
    channels = load_channel_set("hadronic")
    decided = reconstruct(batch, channels, Decided())
    for name in plain.tables:
        if name not in channels.tags:
            np.testing.assert_array_equal(plain.tables[name]["SignalProbability"],
                                          decided.tables[name]["SignalProbability"])
    tags, other = select_tags(plain), select_tags(decided)
    assert "channelProbability" not in tags.columns
    np.testing.assert_allclose(other.columns["SignalProbability"], 1.0 - other.columns["channelProbability"])
    np.testing.assert_allclose(other.columns["SignalProbabilityGivenBB"], 0.5 * other.columns["SignalProbability"])
    best = {e: p for e, p, first in zip(tags.event, tags.columns["SignalProbability"], tags.columns["best"]) if first}
    worst = {e: p for e, p, first in zip(other.event, other.columns["channelProbability"], other.columns["best"])
             if first}
    assert best.keys() == worst.keys() and len(best) > 10
    assert all(worst[e] <= best[e] for e in best) and any(worst[e] < best[e] for e in best)
