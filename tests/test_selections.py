"""Generator-level selections: unbiased by weights; recombined decays conserve what decays conserve."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from scipy.stats import ks_2samp

from fei_lite.analyses.candidates.samples import source_of
from fei_lite.classifiers.trees import parse_trees
from fei_lite.errors import SimulationError
from fei_lite.events.files import read_events
from fei_lite.generator.generate import generate
from fei_lite.generator.processes import DELTA_M_D, TAU_B0
from fei_lite.generator.recombination import recombined, sides_of, with_mixing_times
from fei_lite.particles import charge
from fei_lite.production.forests import expected, fit_forest
from fei_lite.production.selections import (
    Selection,
    Selector,
    Stratum,
    event_variables,
    find_selection,
    load_selections,
    selected,
)
from fei_lite.production.simulate import simulate_file
from fei_lite.reconstruction.frames import to_cms

N = 800


@pytest.fixture(scope="module", params=["charged", "mixed"])
def batch(request):
    return next(generate(request.param, N, seed=31, batch_size=N))


@pytest.fixture(scope="module")
def mixture(batch):
    """Every event with the second decay of another."""
    sides = sides_of(batch)
    partner = list(sides.partners(3, np.random.default_rng(5)))[2]
    return sides, partner, recombined(batch, sides, np.arange(N), partner)


def mothers(generated):
    first = generated.offsets[:-1][generated.event_index]
    return np.where(generated["mother"] >= 0, generated["mother"] + first, -1)


def test_momentum_and_places_at_every_vertex(batch, mixture):
    """Would catch a decay boosted to the wrong place or frame: four-momentum, mass, mother's order, flight."""
    generated = mixture[2].generated
    mother = mothers(generated)
    rows = np.flatnonzero(mother >= 0)
    assert np.all(mother[rows] < rows) and np.count_nonzero(mother < 0) == N
    total = np.zeros((len(mother), 4))
    np.add.at(total, mother[rows], generated["p4"][rows])
    decayed = np.isin(np.arange(len(mother)), mother[rows])
    np.testing.assert_allclose(total[decayed], generated["p4"][decayed], atol=1e-7)
    flight = generated["vertex"][rows] - generated["vertex"][mother[rows]]
    p3 = generated["p4"][mother[rows]][:, :3]
    along = np.sum(flight * p3, axis=1) / np.linalg.norm(p3, axis=1)
    assert np.all(along > -1e-6)  # nothing decays before it was made
    np.testing.assert_allclose(np.sum(flight**2, axis=1), along**2, atol=1e-6)


def test_each_side_is_a_generated_decay(batch, mixture):
    """Would catch particles of the wrong event: species of each side, one event at a time, and their masses."""
    sides, partner, made = mixture
    new = sides_of(made)

    def species(of, generated, event, side):
        rows = np.flatnonzero((of.event == event) & (of.side == side))
        return sorted(generated["pdg"][rows].tolist())

    for e in range(0, N, 30):
        assert species(new, made.generated, e, 0) == species(sides, batch.generated, e, 0)
        assert species(new, made.generated, e, 1) == species(sides, batch.generated, int(partner[e]), 1)
    np.testing.assert_array_equal(new.code, sides.code)
    assert np.mean(partner == np.arange(N)) < 0.01
    p4 = made.generated["p4"]
    codes = np.abs(made.generated["pdg"])
    for code, m in ((321, 0.49368), (211, 0.13957), (13, 0.10566)):
        mass2 = p4[codes == code, 3]**2 - np.sum(p4[codes == code, :3]**2, axis=1)
        np.testing.assert_allclose(mass2, m**2, atol=2e-5)


def test_own_decay_gives_the_event_back(batch):
    """Would catch any frame, place, time, mother or flag that a combination changes: every event is its own partner.

    Particles are in another order (those of the second B last): they are compared sorted, their mothers by code.
    """
    made = recombined(batch, sides_of(batch), np.arange(N), np.arange(N)).generated
    old = batch.generated

    def sorted_columns(g):
        order = np.lexsort((g["p4"][:, 0].round(6), g["pdg"], g.event_index))
        above = mothers(g)
        return {name: values[order] for name, values in g.columns.items() if name != "mother"} | {
            "mother": np.where(above >= 0, g["pdg"][above], 0)[order]}

    np.testing.assert_array_equal(made.offsets, old.offsets)
    for (name, one), two in zip(sorted_columns(old).items(), sorted_columns(made).values(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12, rtol=1e-6 if name == "time" else 0.0, err_msg=name)


def proper_times(made):
    """Of both B's (n, 2), in ps, and whether their flavours are equal (n,); NaN for a B that did not decay."""
    sides, generated = sides_of(made), made.generated
    daughter = np.full(len(generated["pdg"]), -1)
    above = mothers(generated)
    daughter[above[above >= 0]] = np.flatnonzero(above >= 0)
    flight = generated["vertex"][daughter[sides.meson]] - generated["vertex"][sides.meson]
    p4 = generated["p4"][sides.meson]
    mass = np.sqrt(p4[..., 3] ** 2 - np.sum(p4[..., :3] ** 2, axis=-1))
    along = np.sum(flight * p4[..., :3], axis=-1) / np.sum(p4[..., :3] ** 2, axis=-1)  # cm/GeV
    return along * mass / 29.9792458 * 1000.0, sides.code[:, 0] == sides.code[:, 1]


def test_combinations_of_neutral_pairs_oscillate(batch):
    """Would catch decay times that forget the other B's flavour: <cos(dm dt)> of pairs of equal and unequal flavours.

    With c_k = 1 / (1 + (k x)^2), x = dm tau, it is (c_1 -+ (1 + c_2) / 2) / (1 -+ c_1). Charged B's keep their times.
    """
    sides, rng = sides_of(batch), np.random.default_rng(9)
    partners = list(sides.partners(13, rng))[1:]
    rows = np.tile(np.arange(N), len(partners))
    plain = recombined(batch, sides, rows, np.concatenate(partners))
    made = with_mixing_times(plain, rng)
    if batch.process.name == "charged":
        assert made is plain
        return
    times, equal = proper_times(made)
    x = DELTA_M_D * TAU_B0
    c1, c2 = (1.0 / (1.0 + (k * x) ** 2) for k in (1, 2))
    for flavours, sign in ((equal, -1.0), (~equal, 1.0)):
        seen = np.cos(DELTA_M_D * np.diff(times[flavours], axis=1)[:, 0])
        assert seen.mean() == pytest.approx((c1 + sign * 0.5 * (1.0 + c2)) / (1.0 + sign * c1),
                                            abs=4.0 * seen.std() / np.sqrt(len(seen)))
    np.testing.assert_array_equal(made.generated["p4"], plain.generated["p4"])
    generated, above = made.generated, mothers(made.generated)
    rows = np.flatnonzero(above >= 0)
    step, before = (g["vertex"][rows] - g["vertex"][above[rows]] for g in (generated, plain.generated))
    from_b = np.isin(above[rows], sides_of(made).meson)
    np.testing.assert_allclose(step[~from_b], before[~from_b], atol=1e-9)  # what flies after the B flies as before
    assert np.all(np.abs(step[from_b] - before[from_b]).max(axis=1) > 0.0)


def test_partners_are_a_circle(batch):
    """Would catch a combination that is made twice, or a partner of another flavour."""
    sides = sides_of(batch)
    seen = set()
    for partner in sides.partners(12, np.random.default_rng(1)):
        assert sorted(partner) == list(range(N))
        np.testing.assert_array_equal(sides.code[partner, 1], sides.code[:, 1])
        pairs = set(zip(range(N), partner.tolist()))
        assert not seen & pairs
        seen |= pairs
    with pytest.raises(SimulationError, match=f"reuse: {N + 1} combinations"):
        list(sides.partners(N + 1, np.random.default_rng(1)))


def test_recombined_events_look_like_generated_ones(batch, mixture):
    """Would catch a frame mixed up: new and old events have the same distributions."""
    old, new = (event_variables(b.generated, b.events["beam_p4"]) for b in (batch, mixture[2]))
    for name in ("tag_energy", "n_charged", "charge"):
        a, b = (x[name][np.isfinite(x[name])] for x in (old, new))
        assert ks_2samp(a, b, method="asymp").pvalue > 1e-3, name


def test_variables_by_hand(batch):
    """Would catch a particle that counts although nobody sees it: a loop over the particles of some events."""
    found = event_variables(batch.generated, batch.events["beam_p4"])
    g = batch.generated
    for e in range(0, N, 40):
        energy, q, tracks, kaons = 0.0, 0, 0, []
        for r in range(g.offsets[e], g.offsets[e + 1]):
            px, py, pz, _ = p4 = g["p4"][r]
            code, pt = int(abs(g["pdg"][r])), np.hypot(px, py)
            theta = np.degrees(np.arctan2(pt, pz))
            if not g["status"][r] & 2:
                continue
            track = code in (11, 13, 211, 321, 2212) and pt > 0.1 and 17 < theta < 150
            photon = code == 22 and p4[3] > 0.05 and 12.4 < theta < 155.1
            if track or photon or code in (310, 3122):
                cms = to_cms(p4[None], batch.events["beam_p4"][e])[0, 3]
                energy += cms
                if track:
                    tracks, q = tracks + 1, q + charge(int(g["pdg"][r]))
                    kaons += [cms] if code == 321 else []
        assert found["n_charged"][e] == tracks and found["charge"][e] == q and found["n_kaons"][e] == len(kaons)
        wanted = min((energy - k for k in kaons), key=lambda x: abs(x - 5.4), default=np.nan)
        if len(kaons) < 3:  # of three the middle one is not looked at
            assert found["tag_energy"][e] == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize("reuse", [1, 10])
def test_weights_are_unbiased(batch, reuse):
    """Would catch a weight that is not the inverse of the probability: sums over all events, also inside a stratum."""
    selection = Selection("test", "", (Stratum("a", 0.5, {"tag_energy": (4.0, 7.0)}), Stratum("b", 0.1, {})))
    selector = Selector(selection, np.random.default_rng(7), reuse)
    parts = list(selected([batch], selector, 500))
    weight = np.concatenate([p.events["weight"] for p in parts])
    every = event_variables(batch.generated, batch.events["beam_p4"])
    assert set(np.unique(weight)) == {2.0, 10.0}
    assert sum(p.n_generated for p in parts) <= selector.n_offered == N * reuse
    error = np.sqrt((weight**2).sum())
    assert weight.sum() == pytest.approx(N * reuse, abs=4 * error)
    kaons = np.concatenate([event_variables(p.generated, p.events["beam_p4"])["n_kaons"] for p in parts])
    spread = np.sqrt(((weight * kaons)**2).sum() + reuse**2 * (every["n_kaons"]**2).sum() / 4)
    assert (weight * kaons).sum() == pytest.approx(every["n_kaons"].sum() * reuse, abs=4 * spread)
    if reuse == 1:
        inside = weight[weight == 2.0].sum()
        truth = np.count_nonzero((every["tag_energy"] > 4) & (every["tag_energy"] < 7))
        assert inside == pytest.approx(truth, abs=4 * np.sqrt(2 * truth))


def test_files_say_what_was_done(tmp_path):
    """Would catch a luminosity without the reuse, or event numbers that repeat."""
    path = tmp_path / "events.root"
    done = simulate_file("charged", path, n=400, seed=3, selection="hta", reuse=5, background=False)
    source, events = source_of(path), read_events(path).events["event"]
    assert source.n_generated == done.n_generated == 2000 and source.options["reuse"] == 5
    assert source.options["luminosity_fb"] == pytest.approx(2000 / 0.567543e6, rel=1e-4)
    assert done.n_events == len(events) < 500
    assert len(np.unique(events)) == len(events) and events.max() < 2000


def test_defects(tmp_path):
    """Would catch a selection that silently drops events for good, or cuts on nothing."""
    path = tmp_path / "s.toml"
    cases = {'keep = 0.0\ncuts = []': "a.stratum[0].keep: got 0.0, expected: greater than 0",
             'keep = 0.5\ncuts = [{ variable = "charge", minimum = 0.0 }]': "the last stratum takes all events",
             'keep = 0.5\ncuts = [{ variable = "n_kaon", minimum = 0.0 }]': "cuts[0].variable: got 'n_kaon', expected",
             'keep = 0.5\ncuts = [{ variable = "charge", min = 0.0 }]': "unknown key 'min'. Nearest known: 'minimum'"}
    for text, message in cases.items():
        path.write_text(f'[a]\norigin = ""\n[[a.stratum]]\nname = "x"\n{text}\n')
        with pytest.raises(SimulationError) as caught:
            load_selections(path)
        assert message in str(caught.value)
    path.write_text('[a]\norigin = ""\n[[a.stratum]]\nname = "x"\nkeep = 0.5\n')
    assert find_selection(f"{path}:a").strata[0].keep == 0.5
    with pytest.raises(SimulationError, match="no selection 'htaa'; there are hta"):
        find_selection("htaa")
    with pytest.raises(SimulationError, match="reuse goes with a selection"):
        simulate_file("charged", tmp_path / "x.root", n=10, seed=1, reuse=2)
    with pytest.raises(SimulationError, match="events without two B mesons"):
        simulate_file("uubar", tmp_path / "x.root", n=10, seed=1, reuse=2, selection="hta")


def test_forest_survives_an_empty_split(monkeypatch):
    """Would catch a production that dies, hours on, of a split that rounding made empty; other errors stay."""
    rng = np.random.default_rng(3)
    X = rng.uniform(size=(4000, 3))
    y = 0.1 * (X[:, 0] > 0.7)
    seeds, train = [], lightgbm.train

    def once(options, data, **more):
        seeds.append(options["seed"])
        if len(seeds) < 2:
            raise lightgbm.basic.LightGBMError("Check failed: (best_split_info.left_count) > (0) at learner.cpp")
        return train(options, data, **more)

    monkeypatch.setattr(lightgbm, "train", once)
    model = parse_trees(fit_forest(X, y, ["a", "b", "c"], seed=5, trees=30), source="-")
    assert len(set(seeds)) == 2
    found = expected(model, X)
    assert found[X[:, 0] > 0.75].mean() > 5 * found[X[:, 0] < 0.65].mean()

    def other(*_, **__):
        raise lightgbm.basic.LightGBMError("no memory")

    monkeypatch.setattr(lightgbm, "train", other)
    with pytest.raises(lightgbm.basic.LightGBMError, match="no memory"):
        fit_forest(X, y, ["a", "b", "c"], seed=5, trees=30)


def test_forest_does_not_run_away():
    """Would catch Newton steps as long as what is there over what was expected: forests went to certainty and, a
    billion times as far, back; the selections that they made lost a production its candidates."""
    rng = np.random.default_rng(4)
    X = rng.uniform(size=(20_000, 3))
    often = X[:, 0] > 0.98
    text = fit_forest(X, np.where(often, 0.4, 1e-7), ["a", "b", "c"], seed=6, trees=150, base=np.full(len(X), 1e-7))
    leaves = [float(x) for line in text.splitlines() if line.startswith("leaf_value=") for x in line[11:].split()]
    assert 0.5 < max(map(abs, leaves)) < 0.81
    found = expected(parse_trees(text, source="-"), X, np.full(len(X), 1e-7))
    assert 5e-3 < found[X[:, 0] > 0.985].mean() < 0.5 and found[X[:, 0] < 0.97].mean() < 1e-4
