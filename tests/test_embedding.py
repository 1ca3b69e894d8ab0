"""What is taken out of an event, weights that make one sample like another, and samples beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from fei_lite.analyses.controls.comparison import compare
from fei_lite.analyses.controls.embedding import without_objects, without_particle
from fei_lite.analyses.controls.reweighting import odds, reweight
from fei_lite.channels import load_channel_set
from fei_lite.errors import FeiLiteError
from fei_lite.events import concatenate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.used_objects import object_bits, unpacked_to_words


@pytest.fixture(scope="module")
def batch():
    return concatenate(list(simulate("signal", 200, seed=13, dec_file="xs_jpsi")))


def rows_of(objects, event):
    return range(objects.offsets[event], objects.offsets[event + 1])


def test_removed_by_hand(batch):
    """Would catch an object that stays, another that goes, and V0s that point to other tracks than before."""
    rng = np.random.default_rng(4)
    words = -(-int(max(a + b + c for a, b, c in zip(batch.tracks.counts, batch.clusters.counts, batch.klm.counts,
                                                    strict=True))) // 64)
    bits = rng.uniform(size=(batch.n_events, 64 * words)) < 0.2
    found = without_objects(batch, unpacked_to_words(bits))
    kept_v0s = 0
    for e in range(batch.n_events):
        start, gone_tracks, kept = 0, set(), {}
        for kind in ("tracks", "clusters", "klm"):
            objects = getattr(batch, kind)
            kept[kind] = [i for k, i in enumerate(rows_of(objects, e)) if not bits[e, start + k]]
            start += objects.counts[e]
        gone_tracks = set(rows_of(batch.tracks, e)) - set(kept["tracks"])
        particles = {batch.tracks["mc_index"][i] for i in gone_tracks} - {-1}
        kept["clusters"] = [i for i in kept["clusters"] if not (
            batch.clusters["is_track"][i] and batch.clusters["mc_index"][i] in particles)]
        for kind, column in (("tracks", "helix"), ("clusters", "E"), ("klm", "x")):
            new = getattr(found, kind)
            np.testing.assert_array_equal(new[column][list(rows_of(new, e))], getattr(batch, kind)[column][kept[kind]])
        old, new, first = batch.v0s, found.v0s, batch.tracks.offsets[e]
        wanted = [[batch.tracks["helix"][first + old[f"{side}_index"][i]] for side in ("positive", "negative")]
                  for i in rows_of(old, e) if not gone_tracks & {first + old["positive_index"][i],
                                                                 first + old["negative_index"][i]}]
        there = [[found.tracks["helix"][found.tracks.offsets[e] + new[f"{side}_index"][i]]
                  for side in ("positive", "negative")] for i in rows_of(new, e)]
        np.testing.assert_array_equal(np.array(there), np.array(wanted))
        kept_v0s += len(there)
    assert kept_v0s > 10


def test_leptons_of_the_j_psi_go(batch):
    """Would catch a lepton that stays, or events without a J/psi: what is left has none any more."""
    channels = load_channel_set("j_psi")
    left = without_particle(batch, channels, "J/psi")
    assert 60 < left.n_events < batch.n_events
    before = reconstruct(batch, channels, NoClassifiers()).tables["J/psi"]
    assert left.n_events == len(np.unique(before.event_index))
    after = reconstruct(left, channels, NoClassifiers()).tables["J/psi"]
    assert len(after) < 0.1 * len(before)
    event = {int(n): i for i, n in enumerate(left.events["event"])}
    for n, table_row in zip(batch.events["event"][before.event_index], range(len(before)), strict=True):
        e = before.event_index[table_row]
        if np.count_nonzero(before.event_index == e) == 1:
            assert left.tracks.counts[event[int(n)]] == batch.tracks.counts[e] - 2


def test_unknown_particle(batch):
    """Would catch a typing error that removes nothing."""
    with pytest.raises(FeiLiteError, match="psi"):
        without_particle(batch, load_channel_set("j_psi"), "psi(2S)")


def test_object_bits_are_those_of_the_lists(batch):
    """Would catch bits of another event: one track of each event goes, all others stay."""
    first = batch.tracks.offsets[:-1][batch.tracks.counts > 0]
    used = np.zeros((batch.n_events, object_bits(batch, "tracks", first).shape[1]), dtype=np.uint64)
    used[batch.tracks.event_index[first]] = object_bits(batch, "tracks", first)
    assert len(without_objects(batch, used).tracks) == len(batch.tracks) - len(first)


def test_reweighting_of_toys():
    """Would catch weights that are upside down or not normalised: exponentials of two slopes become one, and a second
    classifier tells them apart no more."""
    rng = np.random.default_rng(5)
    data, simulation = rng.exponential(1.0, 8000), rng.exponential(1.4, 12000)
    noise = [rng.normal(size=8000), rng.normal(size=12000)]
    found = reweight(np.column_stack([data, noise[0]]), np.column_stack([simulation, noise[1]]),
                     data_weight=np.ones(8000), simulation_weight=np.full(12000, 0.5), names=["x", "y"], seed=2)
    assert found.weights.mean() == pytest.approx(1.0)
    assert found.auc_before[0] > 0.57 and abs(found.auc_after[0] - 0.5) < 0.02
    expected = 1.4 * np.exp(-simulation * (1.0 - 1.0 / 1.4))
    inside = simulation < 4.0
    assert np.corrcoef(found.weights[inside], expected[inside])[0, 1] > 0.95
    assert np.average(simulation, weights=found.weights) == pytest.approx(1.0, abs=0.03)
    assert odds([0.2, 0.999]).tolist() == [0.25, 10.0]


def test_chi2_of_equal_samples():
    """Would catch errors of weights that are too small or large: the chi2 of equal shapes has the mean and width of its
    distribution, with weights and undefined entries."""
    rng, values = np.random.default_rng(6), []
    for _ in range(300):
        x, y = (np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(size=n)) for n in (900, 700))
        found = compare(x, y, rng.choice([1.0, 3.0], 900), rng.choice([2.0, 5.0], 700))
        values.append(chi2.sf(found.chi2, found.ndf))
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)
    assert 0.01 < np.mean(np.array(values) < 0.05) < 0.11
    shifted = compare(rng.normal(size=900), rng.normal(0.3, 1.0, 700), np.ones(900), np.ones(700))
    assert shifted.p_value < 1e-3
