"""The truth cut-flow: a hand-made example, classifiers that lose what they are told to, sums that add up."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from small_set import write_decays, write_small_set
from test_coverage import D0BAR, PI0, SET, events

from fei_lite.channels import load_channel_set
from fei_lite.events.reading import open_events
from fei_lite.performance.lost import CHOSEN, COVERED, LostOfBType, _Follow, lost_in_batch, merge_lost
from fei_lite.performance.text import lost_table
from fei_lite.performance.truth_steps import STEPS, ancestors, detected, true_particles
from fei_lite.production.simulate import simulate_file
from fei_lite.reconstruction.engine import NoClassifiers
from fei_lite.tagging.best import select_tags


def followed(trees, weights, *steps):
    """Counts of hand-made events; each step is the rows (event, row) of particles that it misses from then on."""
    generated = events(trees)
    batch = SimpleNamespace(generated=generated, n_events=len(trees), events={"weight": np.array(weights)})
    follow = _Follow(batch, SET)
    usable = np.ones(len(generated), bool)
    follow.step(COVERED, usable)
    for i, missing in enumerate(steps):
        usable = usable.copy()
        usable[[generated.offsets[event] + row for event, row in missing]] = False
        follow.step(("step", str(i)), usable)
    return follow.found


def test_hand_made_events():
    """Would catch a lost event counted twice or for nobody, a second chain or B overlooked, another B type's events."""
    # rows: 0 Upsilon, 1 B+, 2 anti-D0, 3 K+, 4 pi-, 5 pi+, 6 B-
    plain = ("Upsilon(4S)", ("B+", D0BAR, "pi+"), ("B-", "mu-", "nu_mu"))
    # 1 B+, 2 D*-, 3 anti-D0, 4 K+, 5 pi-, 6 pi-, 7 pi+, 8 pi+: without its D*-, anti-D0 pi+ pi+ pi- is left
    excited = ("Upsilon(4S)", ("B+", ("D*-", D0BAR, "pi-"), "pi+", "pi+"), ("B-", "mu-", "nu_mu"))
    # rows: 1 B+, 2 anti-D0, 5 pi+, 6 B-, 7 D0, 10 pi-
    both = ("Upsilon(4S)", ("B+", D0BAR, "pi+"), ("B-", ("D0", "K-", "pi+"), "pi-"))
    neutral = ("Upsilon(4S)", ("B0", ("D-", "K+", "pi-", "pi-"), "pi+"), ("anti-B0", "mu-", "nu_mu"))
    nothing = ("Upsilon(4S)", ("B+", "mu+", "nu_mu"), ("B-", "mu-", "nu_mu"))
    found = followed([plain, excited, both, plain, neutral, nothing], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
                     [(0, 3), (1, 2), (2, 5)],              # K+ of 0; D*- of 1 and one B of 2 cost nothing
                     [(2, 10), (3, 3), (3, 4)],             # last B of 2; K+ and pi- of 3, halves
                     [(1, 3), (4, 1)])                      # the D0 of 1; the B0 itself
    charged = found["B+"]
    assert charged.events.weight == 47.0
    assert [step.left.weight for step in charged.steps.values()] == [15.0, 14.0, 2.0, 0.0]
    assert [dict(step.particles) for step in charged.steps.values()][1:] == [
        {"K+": 1.0}, {"pi+": 8.0, "K+": 4.0}, {"D0": 2.0}]
    assert charged.steps["step", "2"].channels == {"D0 -> K- pi+": 2.0}
    assert [step.left.weight for step in found["B0"].steps.values()] == [16.0, 16.0, 16.0, 0.0]
    assert found["B0"].steps["step", "2"].channels == {"B0 -> D- pi+": 16.0}
    row = charged.fractions()[2]
    assert row.left.value == pytest.approx(2 / 47) and row.lost.value == pytest.approx(12 / 47)
    assert row.lost.lower < row.lost.value < row.lost.upper


def test_ancestors():
    """Would catch a chain followed to the wrong B, or past it."""
    tree = ("Upsilon(4S)", ("B+", ("anti-D0", "K+", PI0), "pi+"), ("B-", "mu-", "nu_mu"))
    batch = SimpleNamespace(generated=events([tree, tree]))
    one = [-1, 1, 1, 1, 1, 1, 1, 1, 8, 8, 8]
    assert ancestors(batch, [521]).tolist() == one + [row + 11 if row >= 0 else -1 for row in one]


class Told(NoClassifiers):
    """Classifiers that take everything but the channels they are told to lose, and know some not at all."""

    def __init__(self, *, zero=(), unknown=()):
        self.zero, self.unknown = zero, unknown

    def has_model(self, identifier):
        return identifier not in self.unknown

    def predict(self, identifier, features, *, above=0.0):
        # spread, repeatable, never equal: the best ones are chosen by it
        spread = np.abs(np.sin(1e3 * np.nan_to_num(features).sum(axis=1)))
        return np.zeros(len(features)) if identifier in self.zero else 0.1 + 0.8 * spread


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost")
    decays = write_decays(folder / "rich.dec")
    simulate_file("signal", folder / "rich.root", n=300, seed=3, dec_file=decays)
    (batch,) = open_events([folder / "rich.root"])
    return load_channel_set(str(write_small_set(folder / "small"))), batch


def stages_of(channel_set, name):
    return f"stage {channel_set.particles[name].stage}"


@pytest.mark.parametrize("told", [Told(), Told(zero=["D0_K-_pi+"]), Told(unknown=["D0_K-_pi+_pi0"])])
def test_sums_add_up(small, told):
    """Would catch steps out of order, particles or channels that lose more or less than their step, a wrong end."""
    channel_set, batch = small
    counts = lost_in_batch(batch, channel_set, told)["B+"]
    rows = counts.fractions()
    assert [(row.stage, row.step) for row in rows] == [
        COVERED, ("detector", "tracks and clusters"),
        *((f"stage {i}", step) for i in range(len(channel_set.stages)) for step in STEPS), CHOSEN]
    lefts = [row.left.value for row in rows]
    assert lefts[0] > 0.9 and all(b <= a for a, b in pairwise(lefts))
    for row in rows[1:]:
        assert sum(row.particles.values()) == pytest.approx(row.lost.value, abs=1e-12)
        assert sum(row.channels.values()) == pytest.approx(row.lost.value, abs=1e-12)
    result, _ = true_particles(batch, channel_set, told)
    tags = select_tags(result)
    right = np.unique(tags.event[(tags.columns["best"] == 1) & (tags.columns["isSignal"] == 1)])
    listed = np.unique(tags.event[tags.columns["isSignal"] == 1])
    n = batch.n_events
    assert counts.steps[CHOSEN].left.n + counts.chosen_beside.n == len(right)
    in_list = counts.steps[rows[-2].stage, rows[-2].step].left.n
    assert len(listed) - counts.chosen_beside.n <= in_list + 0.01 * n and in_list <= len(listed)


def test_lost_where_they_were_told_to_be(small):
    """Would catch a step blamed for what another does: a classifier's zeros, a missing model."""
    channel_set, batch = small
    free = lost_in_batch(batch, channel_set, Told())["B+"].steps
    stage = stages_of(channel_set, "D0")
    for step, told in (("probability", Told(zero=["D0_K-_pi+"])), ("model", Told(unknown=["D0_K-_pi+"]))):
        steps = lost_in_batch(batch, channel_set, told)["B+"].steps
        earlier = list(STEPS)[:list(STEPS).index(step)]
        assert all(steps[stage, name].left == free[stage, name].left for name in earlier)
        blamed = steps[stage, step].channels
        assert set(blamed) == {"D0 -> K- pi+"} and blamed["D0 -> K- pi+"] > 20
        # what is left decays by the other channel
        assert free[stage, step].left.n - blamed["D0 -> K- pi+"] == steps[stage, step].left.n


def test_detected(small):
    """Would catch tracks matched to photons, clusters to charged particles, particles of another event."""
    _, batch = small
    generated, found = batch.generated, detected(batch)
    rows = set()
    for objects, is_photon in ((batch.tracks, False), (batch.clusters, True)):
        for event, index in zip(objects.event_index, objects["mc_index"], strict=True):
            if index >= 0 and (generated["pdg"][generated.offsets[event] + index] == 22) == is_photon:
                rows.add(int(generated.offsets[event] + index))
    beside = set(np.flatnonzero(found)) - rows
    assert rows <= set(np.flatnonzero(found))
    assert all(generated["pdg"][row] == 22 for row in beside)  # conversions


def test_parts_merge(small):
    """Would catch sums that depend on how the events are divided into batches."""
    channel_set, batch = small
    whole = lost_in_batch(batch, channel_set, Told())
    found: dict[str, LostOfBType] = {}
    for part in (np.arange(100), np.arange(100, 300)):
        merge_lost(found, lost_in_batch(batch.select(part), channel_set, Told()))
    assert [(key, step.left.n) for key, step in found["B+"].steps.items()] == [
        (key, step.left.n) for key, step in whole["B+"].steps.items()]
    one, other = (counts["B+"].fractions() for counts in (found, whole))
    for a, b in zip(one, other, strict=True):
        assert a.channels == pytest.approx(b.channels) and a.left.upper == pytest.approx(b.left.upper)
    assert "D0 -> K- pi+" in lost_table(found)
