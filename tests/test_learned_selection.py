"""What a learned selection looks at and learns from: truth by side, powers, sharpened likeness, promises told anew."""

from dataclasses import replace

import numpy as np
import pytest

from fei_lite.analyses.production.side_trials import with_a_mistake
from fei_lite.detector.response import default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.generator.generate import generate
from fei_lite.kernels.descent import inherit
from fei_lite.production.generated_features import EVENT, PAIR, PROMISES, SIDE
from fei_lite.production.learn_selection import Costs, Experience, best_power, best_scales, sharpened, with_promises
from fei_lite.production.learned import LEAST_CHANCE, RECORDS, Stage, features_of_recorded, first_selection
from fei_lite.production.recorded_features import RECORDED, recorded_features, seen_of
from fei_lite.production.recorded_sides import OF_SIDES, features_of_sides
from fei_lite.production.sides import SideModels

N = 1500


@pytest.fixture(scope="module")
def detected():
    """Simulated B+ pairs as the detector records them."""
    batch = next(generate("charged", N, seed=43, batch_size=N))
    return simulate_detector(batch, default_response(), rng=np.random.default_rng(1))


def test_particles_inherit_from_their_mothers():
    """Would catch mothers of another event, and particles that descend from none: two events, by hand."""
    root = np.array([-1, 0, 1, -1, -1, -1, -1, 0, -1])
    mother = np.array([-1, 0, 0, 1, 3, 0, -1, 0, 1], dtype=np.int32)
    inherit(np.array([0, 6, 9]), mother, root)
    assert root.tolist() == [-1, 0, 1, 0, 0, -1, -1, 0, 0]


def test_sides_share_what_was_recorded(detected):
    """Would catch objects of both sides or of none, and sides exchanged: the sums are those of the event."""
    seen, tag = seen_of(detected), np.zeros(N, dtype=np.int64)
    found, whole = features_of_sides(detected, seen, tag), recorded_features(detected, seen)

    def of(name):
        return found[:, OF_SIDES.index(name)]

    def of_event(name):
        return whole[:, RECORDED.index(name)]

    np.testing.assert_allclose(of("rTagNearTracks") + of("rOtherNearTracks") + of("rNoneTracks"),
                               of_event("rNearTracks"))
    np.testing.assert_allclose(of("rTagPhotonEnergy") + of("rOtherPhotonEnergy") + of("rNoneEnergy"),
                               of_event("rPhotonEnergy"), rtol=1e-6)
    assert np.all(of("rTagKaons") + of("rOtherKaons") <= of_event("rKaons"))
    assert np.mean(of("rTagKaons") + of("rOtherKaons")) / np.mean(of_event("rKaons")) > 0.9
    half = len(OF_SIDES) - 3
    turned = features_of_sides(detected, seen, 1 - tag)
    np.testing.assert_array_equal(turned[:, :half // 2], found[:, half // 2:half])
    np.testing.assert_array_equal(turned[:, half:], found[:, half:])
    np.testing.assert_array_equal(features_of_recorded("pairs", detected, tag), np.concatenate([whole, found], axis=1))
    assert RECORDS["pairs"] == (*RECORDED, *OF_SIDES)


def test_a_complete_side_has_the_energy_of_a_b(detected):
    """Would catch a wrong boost, masses of wrong species, objects of the other B, and losses that are not counted.

    Of a B of which nothing is lost (no track, no photon; K_L, neutrons and neutrinos take energy, too) what was
    recorded has the B's energy but for the resolution, and its momentum, 0.33 GeV.
    """
    found = np.concatenate([features_of_sides(detected, seen_of(detected), np.full(N, k)) for k in (0, 1)])
    generated = detected.generated
    unseen = np.isin(np.abs(generated["pdg"]), (12, 14, 16, 130, 2112))
    hidden = np.tile(np.bincount(generated.event_index[unseen], minlength=N) > 0, 2)
    delta, momentum, tracks, energy = (found[:, OF_SIDES.index(f"rTag{name}")] for name in (
        "DeltaE", "Momentum", "LostTracks", "LostEnergy"))
    complete = ~hidden & (tracks == 0) & (energy < 0.05)
    assert complete.sum() > 15
    assert abs(np.median(delta[complete])) < 0.06 and np.median(np.abs(delta[complete])) < 0.12
    assert abs(np.median(momentum[complete]) - 0.33) < 0.08
    lossy = ~hidden & (tracks == 0) & (energy > 0.3)
    assert lossy.sum() > 5
    np.testing.assert_allclose(np.median(delta[lossy] + energy[lossy]), 0.0, atol=0.15)


def test_mistakes_are_of_one_track_of_the_other_side(detected):
    """Would catch mistakes of the tag's tracks, likelihoods that are lost, or a wrong rate."""
    generated = detected.generated
    mesons = np.flatnonzero((generated["mother"] == 0) & (np.abs(generated["pdg"]) == 521))
    confused, often = with_a_mistake(detected, mesons[::2], np.random.default_rng(2))
    before, after = detected.tracks["pid_logl"], confused.tracks["pid_logl"]
    changed = np.any(before != after, axis=1)
    np.testing.assert_array_equal(np.sort(before, axis=1), np.sort(after, axis=1))
    event = detected.tracks.event_index
    assert np.bincount(event[changed], minlength=N).max() == 1
    index = detected.tracks["mc_index"].astype(np.int64) + generated.offsets[:-1][event]
    owner = ancestor(generated, index, mesons)
    assert np.all(owner[changed] != 0) and np.all(detected.tracks["mc_index"][changed] >= 0)
    others = np.bincount(event[(owner != 0) & (detected.tracks["mc_index"] >= 0)], minlength=N)
    np.testing.assert_allclose(often, np.minimum(0.08 * others, 1.0))
    assert np.mean(np.bincount(event[changed], minlength=N)[others > 0]) > 0.95


def ancestor(generated, row, mesons):
    """Which B (0, 1; -1: none) of its event each row of ``generated`` is from, mother by mother."""
    first = generated.offsets[:-1][generated.event_index]
    found = np.full(len(row), -1)
    for i, at in enumerate(row):
        at = int(at)
        while generated["mother"][at] >= 0 and at not in mesons[2 * generated.event_index[at]:][:2]:
            at = int(generated["mother"][at] + first[at])
        here = np.flatnonzero(mesons[2 * generated.event_index[at]:][:2] == at)
        found[i] = here[0] if len(here) else -1
    return found


def test_the_power_of_a_promise_is_found():
    """Would catch a power that is not that of what happened, and a factor that is not its mean: chance 3 p^1.5."""
    rng = np.random.default_rng(3)
    promised = np.exp(rng.uniform(-9.0, -2.0, 60_000))
    like = (rng.uniform(size=len(promised)) < 3.0 * promised**1.5).astype(float)
    power, factor = best_power(like, promised, np.ones(len(like)))
    assert power == pytest.approx(1.5, abs=0.21)
    assert np.sum(factor * promised**power) == pytest.approx(like.sum())
    look = Stage(1.0, 0.0, 1.0, factor, power)
    np.testing.assert_allclose(look.promise(np.zeros((3, 1)), promised[:3]), factor * promised[:3] ** power)
    assert Stage(**look.to_json()) == look and "power" not in Stage(1.0, 0.0, 1.0).to_json()


def test_the_second_look_never_refuses():
    """Would catch what was recorded that goes to the tag hardly ever, whatever the second look makes of it."""
    rng = np.random.default_rng(8)
    X, recorded = rng.normal(size=(300, len(EVENT))), np.abs(rng.normal(size=(300, len(RECORDED))))
    before = first_selection("events", 20)
    wanted = before.wanted(X)
    doubtful = Stage(1e-6, 1e-9, 20.0, least=LEAST_CHANCE)
    np.testing.assert_allclose(replace(before, second=doubtful).chance(X, recorded, wanted), LEAST_CHANCE)
    sure = Stage(1e6, 1e-9, 20.0, least=LEAST_CHANCE)
    assert np.all(replace(before, second=sure).chance(X, recorded, np.ones(300)) == 1.0)
    assert Stage(**doubtful.to_json()) == doubtful


def test_scales_know_the_least_chance():
    """Would catch a second look that is set as if it could refuse: where it cannot, less goes to the detector."""
    promised, costs = np.repeat([1e-6, 1e-2], [950, 50]), Costs(offer=1e-4, record=1e-4, tag=1e-2)
    flat, every = np.full(1000, promised.mean()), np.ones(1000)
    wanted = [best_scales(flat, promised, every, most=50.0, costs=costs, least_chance=least)[0] * np.sqrt(flat[0])
              for least in (0.0, 1.0)]
    assert wanted[1] < 0.5 * wanted[0]


def test_what_passes_outweighs_what_nearly_does():
    """Would catch failed candidates that drown those that pass, and ones that are lost where nothing passes."""
    few = np.array([[0.05], [0.02], [0.0]])
    np.testing.assert_array_equal(sharpened(few), few)
    many = np.concatenate([np.full((100, 1), 0.5), np.full((100_000, 1), 0.01)])
    found = sharpened(many)
    np.testing.assert_array_equal(found[:100], many[:100])
    assert found[100:].sum() < 0.5 * found[:100].sum() and np.all(found[100:] > 0.0)


def test_promises_are_told_anew():
    """Would catch experience that mixes what two models of sides promise, or other features that change."""
    rng = np.random.default_rng(5)
    old = rng.normal(size=(50, len(PAIR) + 4)).astype(np.float32)
    experience = Experience(old, np.ones(50), np.ones(50), np.zeros((50, 1)), old[:7])
    sides = SideModels(("",), ("",), (0.01,), (0.03,), (1.0,))
    found, k = with_promises(experience, sides), PAIR.index(PROMISES[0])
    promise = sides.promises(np.zeros((1, len(SIDE))))
    expected = sides.promise(promise, promise)[1][0]
    np.testing.assert_allclose(found.X[:, k:k + len(PROMISES)], np.tile(expected, (50, 1)), rtol=1e-6)
    rest = np.setdiff1d(np.arange(old.shape[1]), np.arange(k, k + len(PROMISES)))
    np.testing.assert_array_equal(found.X[:, rest], old[:, rest])
    np.testing.assert_array_equal(found.seen, found.X[:7])
