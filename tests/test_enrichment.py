"""Enriched events: weights against closed forms and generic events, and that the boost is one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from scipy.stats import chi2 as chi2_distribution

from fei_lite.channels import load_channel_set
from fei_lite.channels.covered_decays import Acceptance, complete_in_acceptance, covered_particles
from fei_lite.cli import main
from fei_lite.errors import SimulationError
from fei_lite.events import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.generator.beams import Beams
from fei_lite.generator.decay_table import belle2_table, fragments, require_modes
from fei_lite.generator.enrichment import Enrichment, decay_weights, keep_shares, load_enrichment
from fei_lite.generator.generate import generate
from fei_lite.generator.groups import Groups
from fei_lite.generator.pair_sources import generic_pair, pair_source_class
from fei_lite.generator.processes import CHI_D
from fei_lite.generator.records import conjugated
from fei_lite.generator.validation import MULTIPLICITIES, count_particles
from fei_lite.particles import pdg_code
from fei_lite.production.enrichment_rates.boosts import _rates, best_draws, effective_decays
from fei_lite.production.enrichment_rates.counting import Lines
from fei_lite.production.simulate import simulate, simulate_file

SET = load_channel_set("hadronic")
DATA = load_enrichment("hadronic")
RATES = json.loads((files("fei_lite.generator") / "enrichment_hadronic.json").read_text())
N_EVENTS = 5000
CODES = {"charged": 521, "mixed": 511}
#: Five groups of very different boost, one never enriched, two that are partly vetoed.
TOY = Groups(521, np.array([9_000_521, 9_010_521, 9_020_521, 9_030_521, 9_040_521]),
             np.array([0.6, 0.3, 0.09, 0.009, 0.001]), np.array([0.1, 0.0, 0.2, 0.3, 0.4]),
             np.array([1.0, 0.8, 1.0, 0.5, 1.0]), 0.3)


def pair_probabilities(groups):
    """Probability of every pair of groups in (enriched, generic) events that were not vetoed, in plain words."""
    p, q, share = groups.generic, groups.enriched, groups.generic_share
    drawn = share * np.outer(p, p) + 0.5 * (1 - share) * (np.outer(q, p) + np.outer(p, q))
    accepted = np.outer(groups.accepted, groups.accepted)
    return [x * accepted / (x * accepted).sum() for x in (drawn, np.outer(p, p))]


def pairs_of(groups):
    """Copies of every pair of groups; shape (g * g, 2)."""
    return np.stack([x.ravel() for x in np.meshgrid(groups.copies, groups.copies, indexing="ij")], axis=1)


def test_weights_are_the_ratio_of_probabilities():
    """Would catch a wrong mixture, a forgotten veto and weights without bound: all pairs of groups, by hand."""
    enriched, generic = pair_probabilities(TOY)
    weight = TOY.weights(pairs_of(TOY) * np.array([1, -1])).reshape(enriched.shape)
    assert np.allclose(enriched * weight, generic, rtol=1e-12)
    assert weight.max() <= 1.2 / TOY.generic_share
    assert np.allclose(replace(TOY, generic_share=1.0).weights(pairs_of(TOY)), 1.0)


def test_pairs_are_drawn_as_the_weights_believe():
    """Would catch a B that is enriched too often, always the first one, or both of an event."""
    groups = replace(TOY, accepted=np.ones(5))
    source = pair_source_class()([generic_pair(521)], masses={521: 5.279, -521: 5.279}, groups={521: groups},
                                 beams=Beams(), rng=np.random.default_rng(4), before=None)
    rows = np.array([row[4:6] for _ in range(20) for row in source.draw()])
    assert np.all(rows * np.array([1, -1]) > 0)
    index = np.searchsorted(groups.copies, np.abs(rows))
    seen = np.bincount(index @ np.array([5, 1]), minlength=25)
    expected = pair_probabilities(groups)[0].ravel() * len(rows)
    used = expected > 5
    chi2 = np.sum((seen[used] - expected[used]) ** 2 / expected[used])
    assert chi2_distribution.sf(chi2, used.sum()) > 1e-3
    assert seen[expected == 0].sum() == 0


@pytest.fixture(scope="module", params=CODES)
def samples(request):
    """(kind, enriched events, generic events), one batch each."""
    def events(seed, **options):
        return next(generate(request.param, N_EVENTS, seed=seed, batch_size=N_EVENTS, **options))
    return request.param, events(51, enrichment=DATA), events(52)


def moment(values, weight):
    """Weighted mean of values (events, columns) and its error."""
    mean = (values * weight[:, None]).mean(axis=0)
    return mean, (values * weight[:, None]).std(axis=0) / np.sqrt(len(values))


def agree(left, right, n_sigma=4.5):
    """Whether means agree within their errors, all of them and by chi2."""
    (a, da), (b, db) = left, right
    pull = (a - b) / np.maximum(np.hypot(da, db), 1e-12)
    assert np.all(np.abs(pull) < n_sigma), pull
    assert chi2_distribution.sf(np.sum(pull**2), len(pull)) > 1e-4, pull


def decays(batch, code):
    """Decays of B's by the frequent exclusive modes of the table, per event; and the table's fractions."""
    modes = [m for m in require_modes(belle2_table(), code) if not fragments(m)]
    total = sum(m.fraction for m in require_modes(belle2_table(), code))
    frequent = sorted(modes, key=lambda m: -m.fraction)[:12]
    wanted = {tuple(sorted(m.products)): i for i, m in enumerate(frequent)}
    fraction = np.zeros(len(frequent))
    for mode in modes:
        if tuple(sorted(mode.products)) in wanted:
            fraction[wanted[tuple(sorted(mode.products))]] += mode.fraction / total
    g, out = batch.generated, np.zeros((batch.n_events, len(frequent)))
    for event in range(batch.n_events):
        a, b = g.offsets[event], g.offsets[event + 1]
        pdg, mother, radiated = g["pdg"][a:b], g["mother"][a:b], g["status"][a:b] & STATUS["photos_photon"]
        for side in (1, 2):
            products = pdg[(mother == side) & (radiated == 0)]
            key = tuple(sorted((conjugated(products) if pdg[side] < 0 else products).tolist()))
            if key in wanted:
                out[event, wanted[key]] += 1
    return out, fraction


def test_weights_average_to_one(samples):
    """Would catch a weight that is not normalised, or unbounded: mean 1 within its error, largest about 1/0.3."""
    _, enriched, generic = samples
    weight = enriched.events["weight"]
    assert abs(weight.mean() - 1.0) < 4 * weight.std() / np.sqrt(len(weight))
    assert weight.max() < 2.0**3 / DATA.generic_share
    assert weight.sum() ** 2 / np.sum(weight**2) > 0.3 * len(weight)
    assert np.all(generic.events["weight"] == 1.0)


def test_weighted_modes_are_the_tables(samples):
    """Would catch groups with the wrong modes, and weights given to other events: frequent modes against the table."""
    kind, enriched, _ = samples
    counts, fraction = decays(enriched, CODES[kind])
    weight = enriched.events["weight"]
    mean, error = moment(counts, weight)
    agree((mean, error), (2 * fraction, 0.0))


def test_weighted_particles_are_generic(samples):
    """Would catch a bias inside the groups: particles per event, weighted, as in generic events."""
    _, enriched, generic = samples
    codes = [*MULTIPLICITIES.values(), 431, 4122, 2212]
    means = [moment(count_particles(b.generated, codes).astype(float), b.events["weight"]) for b in (enriched, generic)]
    agree(*means)


def channel_counts(batch):
    """Complete decays per event, by channel of B's and of what they decay to."""
    modes = covered_particles(SET, batch.generated, acceptance=Acceptance())
    codes = np.abs(batch.generated["pdg"])
    channels = [c for c in SET.channels() if c.leaf is None]
    event = batch.generated.event_index
    return channels, np.stack([np.bincount(event[(codes == abs(pdg_code(c.particle))) & (modes == c.index)],
                                           minlength=batch.n_events) for c in channels], axis=1)


def test_weighted_channels_are_generic_and_rare_ones_boosted(samples):
    """Would catch a boost that boosts nothing, or that its weights do not undo."""
    kind, enriched, generic = samples
    weight = enriched.events["weight"]
    channels, counts = channel_counts(enriched)
    _, usual = channel_counts(generic)
    frequent = (counts.sum(axis=0) > 20) & (usual.sum(axis=0) > 20)
    assert frequent.sum() > 30
    agree(moment(counts[:, frequent], weight), moment(usual[:, frequent], np.ones(len(usual))))
    tag = {"charged": "B+", "mixed": "B0"}[kind]
    of_b = np.array([c.particle == tag for c in channels])
    rates = np.array([RATES["per_million"][c.text].split() for c in channels], dtype=float) * N_EVENTS / 1e6
    rare = of_b & (rates[:, 0] < 0.001 * N_EVENTS)
    expected, seen = rates[rare].sum(axis=0), counts[:, rare].sum()
    assert expected[1] > 3 * expected[0]
    assert abs(seen - expected[1]) < 4 * np.sqrt(expected[1])
    assert (counts[:, of_b] > 0).any(axis=1).mean() > 1.2 * (usual[:, of_b] > 0).any(axis=1).mean()


def test_mixing_is_untouched(samples):
    """Would catch an enriched B that decides the flavour or the time of the pair's decays."""
    kind, enriched, _ = samples
    g, weight = enriched.generated, enriched.events["weight"]
    codes = np.stack([g["pdg"][g.offsets[:-1] + row] for row in (1, 2)], axis=1)
    assert np.all(np.abs(codes) == CODES[kind])
    equal = codes[:, 0] == codes[:, 1]
    if kind == "charged":
        assert not equal.any()
        return
    assert abs(equal.mean() - CHI_D) < 4 * np.sqrt(CHI_D / len(equal)) + 0.002
    assert abs((equal * weight).mean() - CHI_D) < 4 * np.sqrt(CHI_D * np.mean(weight**2) / len(equal)) + 0.002
    assert abs((codes[equal] > 0).mean() - 0.5) < 0.05


def test_same_seed_same_events_and_weights():
    """Would catch weights that depend on the batches."""
    whole = next(generate("mixed", 1500, seed=9, batch_size=1500, enrichment=DATA))
    parts = list(generate("mixed", 1500, seed=9, batch_size=400, enrichment=DATA))
    assert [p.n_events for p in parts] == [400, 400, 400, 300]
    for name in ("pdg", "p4"):
        assert np.array_equal(whole.generated[name], np.concatenate([p.generated[name] for p in parts]))
    assert np.array_equal(whole.events["weight"], np.concatenate([p.events["weight"] for p in parts]))
    assert len(np.unique(whole.events["weight"])) > 10


def test_weights_multiply_with_those_of_uncovered_events(tmp_path):
    """Would catch weights that replace each other: the sum over kept events is that of generic ones."""
    n, share = 2000, 0.2
    kept = list(simulate("charged", n, seed=7, background=False, enrich="hadronic", keep_uncovered=share))
    weight = np.concatenate([batch.events["weight"] for batch in kept])
    assert abs(weight.sum() - n) < 4 * np.sqrt(np.sum(weight**2))
    batches = list(generate("charged", n, seed=7, enrichment=DATA))
    first = {int(number): w for b in batches for number, w in zip(b.events["event"], b.events["weight"], strict=True)}
    good = {int(number) for b in batches for number in b.events["event"][complete_in_acceptance(SET, b.generated)]}
    numbers = [int(number) for batch in kept for number in batch.events["event"]]
    assert good < set(numbers)
    for number, w in zip(numbers, weight, strict=True):
        largest = max(first[number], 1.0 / share)
        assert w == pytest.approx(first[number]) if number in good else w < 1.0001 * largest
    assert sum(abs(w - 1.0 / share) < 1e-6 for w in weight) > 0.5 * (len(numbers) - len(good))
    assert 0.2 * n < len(weight) < 0.5 * n
    written = simulate_file("charged", tmp_path / "a.root", n=200, seed=7, background=False, enrich="hadronic")
    assert written.n_events == 200 and abs(written.sum_of_weights - batches[0].events["weight"][:200].sum()) < 1e-6


def test_shares_to_keep_belong_to_their_channels():
    """Would catch a share given to another particle or mode, and particles without a mode (-1) kept."""
    data = Enrichment("toy", {}, {4122: {5: 0.5, 2: 0.25}, 431: {0: 1.0}})
    codes = np.array([4122, -4122, 4122, 4122, 431, -431, 431, 521])
    modes = np.array([5, 2, 3, -1, 0, 7, -1, 5], dtype=np.int16)
    assert keep_shares(data, codes, modes).tolist() == [0.5, 0.25, 0, 0, 1.0, 0, 0, 0]


@pytest.mark.parametrize("name", ["hadronic", "extended"])
def test_every_channel_of_the_set_has_its_rates(name):
    """Would catch a channel that was added and not measured; those that the table never makes are known."""
    data = json.loads((files("fei_lite.generator") / f"enrichment_{name}.json").read_text())
    channel_set, rates = load_channel_set(name), data["per_million"]
    assert data["channels"] == channel_set.decays_hash, "run fei-lite enrich for the changed channel set"
    assert set(rates) == {c.text for c in channel_set.channels() if c.leaf is None}
    assert {text for text, rate in rates.items() if rate.startswith("0 ")} == {
        "B+ -> D+ p+ anti-p- pi+ pi-", "B+ -> D*+ p+ anti-p- pi+ pi-"}


@pytest.mark.parametrize("arguments, message", [
    (["uubar", "--enrich"], "only charged and mixed events"),
    (["charged", "--enrich", "nothing"], "no enrichment 'nothing': expected one of extended, hadronic"),
    (["charged", "--enrich", "none.json"], "none.json"),
])
def test_wrong_requests(arguments, message, tmp_path, capsys, monkeypatch):
    """Would catch an enrichment that is silently not there."""
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", *arguments, "-n", "5", "--seed", "1", "-o", "a.root", "--quiet"]) != 0
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_data_of_another_table(tmp_path):
    """Would catch boosts applied to the wrong modes after an update of the decay table."""
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**RATES, "table": "0000"}))
    with pytest.raises(SimulationError, match="0000"):
        load_enrichment(str(path))
    path = tmp_path / "short.json"
    path.write_text(json.dumps({**RATES, "boosts": {"521": "0x3"}}))
    with pytest.raises(SimulationError, match="got 3"):
        load_enrichment(str(path))


def test_decay_weights_by_hand():
    """Would catch factors of other modes, of one sign only, or of the wrong mean: J/psi and Lambda_c+ records."""
    modes = {code: require_modes(belle2_table(), code) for code in (443, 4122)}
    leptons = [sorted(map(abs, m.products)) == [13, 13] for m in modes[443]]
    data = Enrichment("toy", {}, {}, {443: tuple(np.where(leptons, 8.0, 1.0)),
                                      4122: tuple(4.0 if i == 3 else 1.0 for i in range(len(modes[4122])))})
    share = sum(m.fraction for m, boosted in zip(modes[443], leptons, strict=True) if boosted)
    mean = 1.0 + 7.0 * share / sum(m.fraction for m in modes[443])
    third = modes[4122][3]
    mean_c = 1.0 + 3.0 * third.fraction / sum(m.fraction for m in modes[4122])
    events = [[443, -13, 13], [443, 11, -11], [443, 2212, -2212, 333], [4122, *third.products],
              [-4122, *(conjugated(np.array(third.products)).tolist())], [-4122, *third.products]]
    pdg = np.concatenate([[300553, *event] for event in events])
    offsets = np.concatenate([[0], np.cumsum([1 + len(event) for event in events])])
    mother = np.concatenate([[-1, 0, *[1] * (len(event) - 1)] for event in events])
    records = Jagged(offsets, {"pdg": pdg, "mother": mother, "radiated": np.zeros(len(pdg), bool)})
    assert np.allclose(decay_weights(records, data), [mean / 8, mean, mean, mean_c / 4, mean_c / 4, mean_c])


def test_generic_draws_have_the_events_that_they_have():
    """Would catch a factor in the number of decays of equal weight: drawn as generic, it is that of all decays."""
    rng = np.random.default_rng(3)
    p = {511: rng.dirichlet(np.ones(6)), 521: rng.dirichlet(np.ones(4))}
    rate = {code: rng.uniform(size=(len(x), 3)) for code, x in p.items()}
    expected = sum(2.0 * x @ rate[code] for code, x in p.items())
    np.testing.assert_allclose(effective_decays(p, {code: 2.0 * x for code, x in p.items()}, rate), expected)


def test_no_other_draws_level_the_channels_better():
    """Would catch draws that are not the minimum of the sum of N^-3/4, or below what generic B's give."""
    rng = np.random.default_rng(4)
    p = {511: rng.dirichlet(0.3 * np.ones(8))}
    rate, generic = {511: rng.uniform(size=(8, 5)) ** 6}, 0.3
    s = (1.0 + generic) * p[511] + best_draws(p, rate, generic)[511]
    assert s.sum() == pytest.approx(2.0) and np.all(s >= (1.0 + generic) * p[511] - 1e-12)

    def loss(draws):
        return np.sum(effective_decays(p, {511: draws}, rate) ** -0.75)

    free = np.flatnonzero(s > 1.001 * (1.0 + generic) * p[511])
    assert len(free) > 2
    for a in free:
        for b in free[free != a]:
            moved = s.copy()
            step = 1e-3 * min(s[a] - (1.0 + generic) * p[511][a], s[b])
            moved[a] -= step
            moved[b] += step
            assert loss(moved) > loss(s) * (1.0 - 1e-9)


def test_enrichment_of_ones_own_from_count_to_use(tmp_path, capsys):
    """Would catch steps of the command that do not fit together, counts of other channels, or one B type alone."""
    for process, seed in (("charged", 11), ("mixed", 12)):
        assert main(["enrich", "count", process, "-n", "600", "--seed", str(seed), "--quiet", "-o",
                     str(tmp_path / "counts")]) == 0
        if process == "charged":
            assert main(["enrich", "boost", str(tmp_path / "counts"), "-o", str(tmp_path / "a.json")]) == 2
            assert "no sample of process 'mixed'" in capsys.readouterr().err and not (tmp_path / "a.json").exists()
    mine = str(tmp_path / "mine.json")
    assert main(["enrich", "boost", str(tmp_path / "counts"), "-o", mine]) == 0
    data = json.loads((tmp_path / "mine.json").read_text())
    assert data["samples"] == ["charged_11", "mixed_12"]
    assert list(data["per_million"]) == [c.text for c in SET.channels() if c.leaf is None]
    assert main(["enrich", "boost", str(tmp_path / "counts"), "--set", "extended", "-o", mine, "--force"]) == 2
    assert "Count again" in capsys.readouterr().err
    assert main(["enrich", "check", "charged", "-n", "300", "--seed", "13", "--enrich", mine]) == 0
    found = re.search(r"all: 300 of 300 events, mean weight ([\d.]+) \+- ([\d.]+)", capsys.readouterr().out)
    assert abs(float(found[1]) - 1.0) < 5.0 * float(found[2])


def test_rates_of_enriched_events_are_from_samples_with_enriched_decays():
    """Would catch rates between those of generic and of enriched decays of D_s+, when samples of both were counted."""
    n = len(Lines(521).modes)
    plain = {"decays": np.full(n, 10.0), **{name: np.ones((n, 1)) for name in ("counts", "weighted", "found")}}
    enriched = plain | {"counts": np.full((n, 1), 5.0)}
    counted, generic, found = _rates({"charged_1": plain, "charged_2": enriched}, 521)
    assert np.allclose(counted, 0.5) and np.allclose(generic, 0.1) and np.allclose(found, 0.1)
    assert np.allclose(_rates({"charged_1": plain}, 521)[0], 0.1)
