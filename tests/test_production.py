"""Productions: selections that weights make up for, one tag for several analyses, pieces that repeat and resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fei_lite.analyses.candidates.files import read_candidates, write_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.making import Counts
from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.production.driver import _next_piece, produce_all, production_files, with_productions
from fei_lite.analyses.production.experience import joined_arrays, read_experience
from fei_lite.analyses.production.goals import GUIDES, Wanted, effective_of, most_lacking, next_is_guide
from fei_lite.analyses.production.learning import costs_of
from fei_lite.analyses.production.piece_summary import summary_of
from fei_lite.analyses.production.pieces import make_piece
from fei_lite.analyses.production.plans import Piece, Plan
from fei_lite.analyses.production.records import counted, of_analyses, read_record, read_trials, records_of
from fei_lite.analyses.production.scores import check_signal, known_classifiers, train_classifiers, with_scores
from fei_lite.analyses.production.side_trials import Judge, judge_of, try_sides
from fei_lite.analyses.production.yields import Families, effective_luminosity, yields_of
from fei_lite.analyses.selected import likeness, selected
from fei_lite.channels import load_channel_set
from fei_lite.errors import AnalysisError, SimulationError
from fei_lite.generator.generate import generate
from fei_lite.generator.recombination import one_side, sides_of
from fei_lite.production.generated_features import EVENT, PAIR, SIDE
from fei_lite.production.learn_selection import (
    Costs,
    Experience,
    best_scales,
    learn,
    likeness_of_events,
    thinned,
)
from fei_lite.production.learned import (
    RECORDS,
    LearnedSelection,
    Stage,
    closing,
    first_selection,
    load_selection,
    simple_promise,
    telling,
)
from fei_lite.production.recorded_features import RECORDED
from fei_lite.production.sampling import FAMILY, Sampler, Taken, gathered
from fei_lite.production.sides import SideModels, SidePromises, Trials, draw_pairs, learn_sides

N = 1000
HERE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def channels():
    return load_channel_set("hadronic")


@pytest.fixture(scope="module")
def continuum():
    return next(generate("ccbar", N, seed=41, batch_size=N))


@pytest.fixture(scope="module")
def pairs():
    return next(generate("charged", N, seed=42, batch_size=N))


def test_weights_of_copies_make_up_for_the_selection(continuum, channels):
    """Would catch a weight that is not the inverse of how often an event is wanted: 20 draws, in two classes.

    Copies of an event wanted w times are floor(w) and one more with the rest's chance: the weighted number has mean 1
    and variance f (1 - f) / w^2, f being the fractional part.
    """
    chosen = replace(first_selection("events", 20), first=Stage(0.62, 0.1, 20.0))
    sums, wanted = [], None
    for seed in range(20):
        taken = Sampler(chosen, channels, np.random.default_rng(seed))(continuum)
        row = taken.batch.events["event"] // FAMILY
        sums.append(np.bincount(row, taken.batch.events["weight"], minlength=N))
        wanted = np.full(N, np.nan) if wanted is None else wanted
        wanted[row] = taken.wanted
    assert np.nanmax(wanted) > 1.7 > 0.6 > np.nanmin(wanted)
    fraction = wanted % 1.0
    for of_class in (wanted > 1.2, wanted <= 1.2):
        variance = np.sum((fraction * (1.0 - fraction) / wanted**2)[of_class]) / len(sums)
        mean = np.mean(sums, axis=0)[of_class].sum()
        assert abs(mean - of_class.sum()) < 4.0 * np.sqrt(variance), (mean, of_class.sum())


def some_sides():
    """Models of sides without forests: every B promises the same."""
    return SideModels(("", ""), ("", ""), (0.01, 0.02), (0.03, 0.01), (1.0, 0.5), scale=(400.0, 300.0),
                      mean_promise=1e-3, mean_root=0.03, spread=5.0)


def test_weights_of_combinations_make_up_for_the_selection(pairs, channels):
    """Would catch combinations counted wrongly: first and second decays of a class meet n_a n_b / n times."""
    sides = sides_of(pairs)
    chosen = first_selection("pairs", 1_000_000, some_sides())
    taken = Sampler(chosen, channels, np.random.default_rng(3))(pairs)
    weight, first, second = taken.batch.events["weight"], taken.batch.events["event"] // FAMILY, taken.partner
    assert taken.batch.n_generated == N and len(np.unique(taken.batch.events["event"])) == len(weight) > 0.5 * N
    kaons = np.zeros((N, 2))
    generated = pairs.generated
    for k in (0, 1):
        of_side = (sides.side == k) & (np.abs(generated["pdg"]) == 321)
        kaons[:, k] = np.bincount(sides.event[of_side], minlength=N)
    a, b = kaons[:, 0] > 0, kaons[:, 1] > 0
    inside = a[first] & b[second]
    expected = a.sum() * b.sum() / N
    assert abs(weight[inside].sum() - expected) < 4.0 * np.sqrt(np.sum(weight[inside] ** 2))
    assert abs(weight.sum() - N) < 4.0 * np.sqrt(np.sum(weight**2))


def test_pairs_are_as_frequent_as_they_say():
    """Would catch pairs drawn more or less often than ``wanted``, and B's of another code: counted in 400 draws.

    Ten B's, seven of one code: of a pair there are ``wanted / n`` on average, n being the B's of its code.
    """
    rng = np.random.default_rng(11)
    first, second = (SidePromises(rng.uniform(0.01, 0.5, (10, 2)) ** 2, rng.uniform(0.01, 0.5, (10, 2)) ** 2)
                     for _ in range(2))
    code = np.array([521] * 7 + [-521] * 3)
    models = some_sides()
    counts, wanted = np.zeros((10, 10)), np.zeros((10, 10))
    for seed in range(400):
        drawn = draw_pairs(first, second, code, replace(models, scale=(10.0, 20.0)), np.random.default_rng(seed))
        np.add.at(counts, (drawn.first, drawn.second), 1.0)
        wanted[drawn.first, drawn.second] = drawn.wanted
    same = code[:, None] == code[None, :]
    assert np.all(counts[~same] == 0.0)
    mean = 400 * wanted / np.where(code == 521, 7, 3)[:, None]
    pulls = (counts - mean)[same] / np.sqrt(mean[same])
    assert np.abs(pulls).max() < 4.5 and abs(np.std(pulls) - 1.0) < 0.3
    root = np.sqrt(models.promise(first.of(np.arange(7)), second.of(np.arange(7)))[0])
    assert np.all(wanted[np.arange(7), np.arange(7)] >= 10.0 * 0.999 * root)


def test_sides_teach_what_gives_a_tag():
    """Would catch forests that mix up tag and signal side, or means without the chances of the trials."""
    rng = np.random.default_rng(5)
    n = 12_000
    X = rng.normal(size=(n, len(SIDE)))
    chance = np.where(X[:, 2] > 0.0, 1.0, 0.25)
    tag = (rng.uniform(size=(n, 1)) < np.where(X[:, :1] > 1.0, 0.3, 0.001)).astype(float)
    signal = (rng.uniform(size=(n, 1)) < np.where((X[:, 1:2] > 1.0) & (X[:, 2:3] > 0.0), 0.3, 0.001)).astype(float)
    kept = rng.uniform(size=n) < chance
    none = np.full((kept.sum(), 1), np.nan)
    models = learn_sides(joined_arrays([Trials(X[kept], chance[kept], tag[kept], none),
                                        Trials(X[kept], chance[kept], none, signal[kept])]), seed=1)
    assert models.mean_tag[0] == pytest.approx(tag.mean(), rel=0.15)
    assert models.mean_signal[0] == pytest.approx(signal.mean(), rel=0.15)
    found = models.promises(rng.normal(size=(2000, len(SIDE))) * 0.1 + np.eye(len(SIDE))[0] * 2.0)
    assert np.median(found.tag) > 0.15 and np.median(found.signal) < 0.02


def test_one_side_of_an_event(pairs):
    """Would catch particles of the other B, wrong mothers, or momenta that move: both sides together are the event."""
    sides, generated = sides_of(pairs), pairs.generated
    rows = np.array([3, 4, 700])
    parts = [one_side(pairs, sides, rows, k).generated for k in (0, 1)]
    for i, row in enumerate(rows):
        whole = slice(generated.offsets[row], generated.offsets[row + 1])
        both = [slice(part.offsets[i], part.offsets[i + 1]) for part in parts]
        own = np.flatnonzero((sides.side[whole] >= 0) | (np.arange(generated.counts[row]) == 0))
        assert sum(s.stop - s.start for s in both) == len(own) + 1  # the Upsilon(4S) is in both
        for k, (part, place) in enumerate(zip(parts, both, strict=True)):
            mother, pdg = part["mother"][place], part["pdg"][place]
            assert mother[0] == -1 and np.all(mother[1:] >= 0) and np.all(mother[1:] < np.arange(1, len(mother)))
            assert np.count_nonzero(mother == 0) == 1
            assert pdg[np.flatnonzero(mother == 0)[0]] == sides.code[row, k]
            ours = np.flatnonzero(sides.side[whole] == k)
            np.testing.assert_array_equal(part["p4"][place][1:], generated["p4"][whole][ours])
            np.testing.assert_array_equal(pdg[mother[1:]], generated["pdg"][whole][generated["mother"][whole][ours]])


def test_gathering_loses_nothing(continuum, channels):
    """Would catch events, or offers to learn from, that are dropped or doubled between batches."""
    sampler = Sampler(first_selection("events", 20), channels, np.random.default_rng(1))
    parts = [sampler(continuum.slice(i, i + 250)) for i in range(0, N, 250)]
    size = 37
    made = list(gathered(iter(parts), size))
    assert all(part.batch.n_events == size for part in made[:-1])
    for name in ("X", "wanted", "partner"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in made]),
                                      np.concatenate([getattr(part, name) for part in parts]))
    assert sum(part.n_offered for part in made) == N
    np.testing.assert_array_equal(np.concatenate([part.batch.generated["p4"] for part in made]),
                                  np.concatenate([part.batch.generated["p4"] for part in parts]))


def test_scales_of_two_classes():
    """Would catch a scale away from the optimum: two classes, one look, whose time times variance is written out.

    With promises p_i in equal parts, wanted s sqrt(p_i): (a + t s m) m / s, m the mean root, which falls with s; at
    1.1 times the least, t m^2, it is s = a / (0.1 t m), as long as no event is wanted more often than once.
    """
    promised = np.repeat([0.0004, 0.04], 500)
    root = np.sqrt(promised).mean()
    costs = Costs(offer=1e-5, record=1e-9, tag=1e-3)
    _, second = best_scales(np.full(1000, 1e12), promised, np.ones(1000), most=1.0, costs=costs)
    least = min((costs.offer + costs.tag * np.minimum(s * np.sqrt(promised), 1.0).mean())
                * np.mean(promised / np.minimum(s * np.sqrt(promised), 1.0)) for s in np.geomspace(1e-3, 1e3, 2001))
    wanted = np.minimum(second * np.sqrt(promised), 1.0)
    product = (costs.offer + costs.tag * wanted.mean()) * np.mean(promised / wanted)
    assert product <= 1.1 * least
    assert second <= 1.1 * costs.offer / (0.1 * costs.tag * root)
    smaller = np.minimum(second / 1.3 * np.sqrt(promised), 1.0)
    assert (costs.offer + costs.tag * smaller.mean()) * np.mean(promised / smaller) > 1.1 * least


WHAT = EVENT.index("sphericity")


def experience_of(rng, n, of="events"):
    """Events whose chance depends on two features only."""
    names = EVENT if of == "events" else PAIR
    X = rng.normal(size=(n, len(names) + len(RECORDS[of]))).astype(np.float32)
    chance = np.where(X[:, WHAT] > 1.0, 0.4, 0.01)
    candidate = rng.uniform(size=n) < chance
    passed = candidate & (X[:, -1] > 0.0)
    like = np.where(passed, 1.0, np.where(candidate, 0.01, 0.0))
    return Experience(X, np.ones(n), np.ones(n), like[:, None], np.column_stack([X[:2000], np.ones(2000)]))


def test_learning_finds_what_matters(tmp_path):
    """Would catch forests that learn nothing, or the recorded features missing from the second look."""
    rng = np.random.default_rng(7)
    found = learn(experience_of(rng, 20_000), before=first_selection("events", 20), costs=Costs(2e-4, 2e-4, 2.5e-3))
    X = rng.normal(size=(4000, len(EVENT)))
    recorded = rng.normal(size=(4000, len(RECORDED)))
    wanted = found.wanted(X)
    assert np.median(wanted[X[:, WHAT] > 1.2]) > 3.0 * np.median(wanted[X[:, WHAT] < 0.8])
    chance = found.chance(X, recorded, wanted)
    good = X[:, WHAT] > 1.2
    assert chance[good & (recorded[:, -1] > 0.2)].mean() > 1.5 * chance[good & (recorded[:, -1] < -0.2)].mean()
    assert np.all((chance > 0.0) & (chance <= 1.0)) and np.all(wanted > 0.0)
    again = load_selection(found.save(tmp_path))
    np.testing.assert_array_equal(again.wanted(X), wanted)
    np.testing.assert_array_equal(again.chance(X, recorded, wanted), chance)


def test_thinned_experience_stands_for_all():
    """Would catch a lost candidate, and a promise that is too large for want of the events without one."""
    rng = np.random.default_rng(17)
    every = experience_of(rng, 40_000)
    few, counts = thinned(every, 0.2, rng)
    assert np.count_nonzero(few.like) == np.count_nonzero(every.like) and len(few.X) < 0.3 * len(every.X)
    assert counts.sum() == pytest.approx(len(every.X), rel=0.02)
    X = rng.normal(size=(4000, len(EVENT)))
    recorded = rng.normal(size=(4000, len(RECORDED)))
    promised = []
    for experience, n in ((every, None), (few, counts)):
        found = learn(experience, before=first_selection("events", 20), costs=Costs(2e-4, 2e-4, 2.5e-3), counts=n)
        both = np.concatenate([X, recorded], axis=1)
        promised.append(found.second.promise(telling("events", both), simple_promise("events", X) * closing(recorded)))
    assert promised[1].mean() == pytest.approx(promised[0].mean(), rel=0.2)


def test_scales_heed_what_was_not_promised():
    """Would catch weights that run away where forests promise nothing of what is found: half of it, at a tenth of the
    mean. As it is promised, the second look takes little of it; as it was found, its scale has to be larger."""
    promised = np.repeat([0.0001, 0.01], [950, 50])
    costs = Costs(offer=1e-5, record=1e-9, tag=1e-3)
    never = np.full(1000, 1e12)
    found = np.full(100, 1e12), np.repeat([0.0001, 0.01], 50), np.ones(100)
    scales = [best_scales(never, promised, np.ones(1000), most=1.0, costs=costs, found=of)[1] for of in (None, found)]
    assert scales[1] > scales[0]


def test_analyses_count_alike():
    """Would catch an analysis with few candidates that counts for nothing: a tenth of them, ten times as important."""
    like = np.zeros((1100, 2))
    like[:1000, 0], like[1000:, 1] = 0.5, 0.5
    found = likeness_of_events(Experience(np.zeros((1100, 1)), np.ones(1100), np.ones(1100), like, np.zeros((1, 1))))
    assert found[:1000].sum() == pytest.approx(found[1000:].sum())
    assert found[-1] == pytest.approx(0.5)


def test_likeness_falls_with_what_a_cut_wants_none_of():
    """Would catch a track more that looks like any other failed cut: a factor 0.1 for each track, pi0 and step."""
    recipe = load_analysis("hta").recipe
    columns = {"weight": np.ones(4), "nCleanedTracks": np.full(4, 5), "nCleanedClusters": np.full(4, 5),
               "visibleEnergyOfEventCMS": np.array([6.0, 6.0, 6.0, 3.0]), "E_ECL": np.full(4, 4.0),
               "nROE_Tracks": np.array([0, 3, 3, 1]), "nROE_K_S0": np.zeros(4), "nROE_Lambda0": np.zeros(4),
               "nROE_pi0": np.array([0, 0, 1, 0]),
               "roeEextra": np.array([0.2, 0.2, 0.2, 0.2])}
    np.testing.assert_allclose(likeness(recipe, columns), 0.1 ** np.array([0, 3, 4, 2]))
    assert selected(recipe, columns).tolist() == [True, False, False, False]
    more = columns | {"roeEextra": np.array([1.2, 0.2, 0.6, 99.0])}  # steps of 0.5 GeV, at most nine
    np.testing.assert_allclose(likeness(recipe, more), 0.1 ** np.array([0, 3, 4, 2]) * 0.75 ** np.array([2, 0, 1, 9]))
    assert selected(recipe, more).tolist() == [True, False, False, False]


def test_a_changed_selection_is_refused(tmp_path):
    """Would catch pieces that are repeated with another selection under the same name."""
    path = first_selection("pairs", 1_000_000, some_sides()).save(tmp_path)
    said = json.loads(path.read_text())
    said["first"]["scale"] *= 2.0
    path.write_text(json.dumps(said))
    with pytest.raises(SimulationError, match="another version"):
        load_selection(path)


def test_variance_of_shared_decays():
    """Would catch correlations that are left out: k combinations of n first and n second decays, each weight 1.

    All n^2 combinations: of 2 n decays each is in n, so that the sum's variance is 2 n n^2 - n^2 in place of n^2.
    """
    n = 5
    first, second = (part.ravel() for part in np.meshgrid(np.arange(n), np.arange(n)))
    ones, nothing = np.ones(n * n), np.zeros(n * n, dtype=int)
    edges = np.array([0.0, 1.0])
    found = bin_variances(0.5 * ones, ones, nothing, first, edges, second=second)
    np.testing.assert_allclose(found, [2 * n**3 - n**2])
    copies = bin_variances(0.5 * ones, ones, nothing, first, edges, second=np.arange(n * n))
    np.testing.assert_allclose(copies, [n**3])  # families of n copies: (n)^2 each


def test_plain_events_are_no_family():
    """Would catch a record that takes all events of a plain piece for combinations of one decay: variance 9, not 3.

    With a selection events 0 to 2 are combinations of the first decay, events 0 and 1 with the same second one.
    """
    analysis = load_analysis("hta")
    columns = {"weight": np.ones(3), "event": np.arange(3), "partner": np.array([0, 0, 2]),
               "nCleanedTracks": np.full(3, 5), "nCleanedClusters": np.full(3, 5),
               "visibleEnergyOfEventCMS": np.full(3, 6.0), "E_ECL": np.full(3, 4.0), "roeEextra": np.full(3, 0.2),
               **{name: np.zeros(3) for name in ("nROE_Tracks", "nROE_K_S0", "nROE_Lambda0", "nROE_pi0")}}
    columns["source"] = np.zeros(3, dtype=int)
    one = SimpleNamespace(analysis=analysis, identity={"recipe": analysis.identity})

    def said_of(columns, **options):
        return summary_of(one, Inputs(columns, (Source("file", "charged", 1, 3, 3, options),), ({},)), ())

    said = said_of(columns)
    assert (said["selected"], said["sum_of_weights"], said["variance"]) == (3, 3.0, 3.0)
    some = said_of(columns | {"nROE_Tracks": np.array([0.0, 0.0, 1.0])})
    assert (some["candidates"], some["selected"], some["sum_of_weights"], some["variance"]) == (3, 2, 2.0, 2.0)
    assert said_of(columns, family=FAMILY, recombined=0)["variance"] == 9.0
    assert said_of(columns, family=FAMILY, recombined=1)["variance"] == 9.0 + 5.0 - 5.0


def test_effective_luminosity_of_weights():
    """Would catch a factor: 10 events of weight 3 from 2/fb have the error of 10 / 30 of the luminosity."""
    assert effective_luminosity(30.0, 10 * 9.0, 2.0) == pytest.approx(2.0 / 3.0)


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """A small piece of charged pairs for two analyses, with its events."""
    folder = tmp_path_factory.mktemp("production")
    plan = Plan((HERE / "fei_lite/analyses/hta", HERE / "scripts/examples/b_tau_nu"), keep_events=True)
    (folder / "selections").mkdir()
    path = first_selection("pairs", 1_000_000, some_sides()).save(folder / "selections")
    workshop = plan.load()
    make_piece(Piece("charged", 3, 600, folder, path), workshop)
    (folder / "manifest.json").write_text(json.dumps(workshop.identity))
    return folder, plan, workshop, path


def test_a_piece_repeats_itself(production, tmp_path):
    """Would catch random numbers that depend on more than the seed, and a piece that is made twice."""
    folder, _, workshop, path = production
    record = make_piece(Piece("charged", 3, 600, tmp_path, path), workshop)
    for name in ("hta", "b_tau_nu"):
        one, two = (read_ntuple(place / name / "charged_3.parquet")[0] for place in (folder, tmp_path))
        assert len(one["weight"]) > 0
        for column, values in one.items():
            np.testing.assert_array_equal(values, two[column], err_msg=column)
    before = record.stat().st_mtime_ns
    assert make_piece(Piece("charged", 3, 600, tmp_path, path), workshop).stat().st_mtime_ns == before
    assert read_record(record)["n_generated"] == 600


def test_kept_events_give_the_same_candidates(production):
    """Would catch events that an analysis needs and the production drops, and weights that they do not carry."""
    from fei_lite.analyses.candidates.making import candidates
    from fei_lite.events.files import read_events

    folder, _, workshop, _ = production
    batch = read_events(folder / "events" / "charged_3.parquet")
    for one in workshop.all:
        columns, _ = candidates(batch, one.analysis, one.tags, process="charged")
        made, _ = read_ntuple(folder / one.analysis.name / "charged_3.parquet")
        np.testing.assert_array_equal(columns["event"], made["event"])
        np.testing.assert_allclose(columns["weight"], made["weight"])
        np.testing.assert_allclose(columns["tagSignalProbability"], made["tagSignalProbability"])


def test_classifiers_are_trained_on_the_way(production, tmp_path):
    """Would catch a production that does not know the bins of the fit: nearness that no score enters.

    Candidates of one piece many times over stand for signal and background, told apart by one variable.
    """
    folder, _, workshop, _ = production
    one = workshop.all[0]
    few, metadata = read_ntuple(folder / "hta" / "charged_3.parquet")
    rng = np.random.default_rng(4)
    for process, shift in (("signal", 0.0), ("charged", 0.3)):
        n = 400
        columns = {name: values[rng.integers(len(few["weight"]), size=n)] for name, values in few.items()}
        columns |= {"event": FAMILY * np.arange(n), "weight": np.ones(n), "roeEextra": shift + rng.uniform(0.0, 0.5, n)}
        columns |= {"nROE_AllTracks": np.zeros(n), **{f"nROE_{name}": np.zeros(n)
                                                      for name in ("Tracks", "K_S0", "Lambda0", "pi0")}}
        columns |= {"nCleanedTracks": np.full(n, 5), "nCleanedClusters": np.full(n, 5), "E_ECL": np.full(n, 4.0),
                    "visibleEnergyOfEventCMS": np.full(n, 6.0)}
        options, counts = {"decay_file": "k_nunu"} if process == "signal" else {}, Counts()
        counts.merge({{"charged": "bbbar"}.get(process, process): {"candidates": [n, float(n)]}})
        source = Source("file", process, 5, n, n, metadata["sources"][0]["source"]["options"] | options)
        (tmp_path / "hta").mkdir(exist_ok=True)
        write_candidates(tmp_path / "hta" / f"{process}_5.parquet", [columns], source, counts, one.identity)
    record = {"process": "charged", "seed": 5, "selection": {"name": "pairs_1"}, "analyses": {"hta": {}}}
    signal, made = (tmp_path / "hta" / f"{process}_5.parquet" for process in ("signal", "charged"))
    assert not known_classifiers(tmp_path, "pairs_2", one.analysis)
    train_classifiers(tmp_path, "pairs_2", [one.analysis], [record], [signal])
    known = known_classifiers(tmp_path, "pairs_2", one.analysis)
    near = {}
    for path in (signal, made):
        inputs = read_candidates([path], one.analysis)
        columns = with_scores(inputs, one.analysis, known)
        inside = (columns["eta"] >= 0.4) & (columns["eta"] <= 1.0)
        np.testing.assert_array_equal(selected(one.analysis.recipe, columns), inside)
        assert selected(one.analysis.recipe, inputs.columns).all()
        with_score, without = (likeness(one.analysis.recipe, values).mean() for values in (columns, inputs.columns))
        near[path] = with_score / without
    assert near[made] < 0.5 * near[signal]
    check_signal([signal], [one.analysis])
    with pytest.raises(AnalysisError, match="none of b_tau_nu"):
        check_signal([signal], [workshop.all[1].analysis])


def test_folders_add_up_and_refuse(production, tmp_path):
    """Would catch the same events counted twice, and productions of other settings or analyses mixed."""
    folder, plan, _, _ = production
    analysis = load_analysis("hta")
    files = with_productions([folder], analysis)
    assert files == production_files(folder, analysis) and len(files) == 1
    with pytest.raises(AnalysisError, match="count twice"):
        read_candidates([*files, *files], analysis)
    other = tmp_path / "other"
    (other / "pieces").mkdir(parents=True)
    said = json.loads((folder / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(said | {"settings_digest": "changed"}))
    (other / "pieces" / "charged_3.json").write_bytes((folder / "pieces" / "charged_3.json").read_bytes())
    with pytest.raises(AnalysisError, match="settings_digest"):
        with_productions([folder, other], analysis)
    with pytest.raises(AnalysisError, match="analyses"):
        others = plan.analyses[0], HERE / "fei_lite/analyses/k_tau_l"
        produce_all(["charged"], replace(plan, analyses=others), folder, seed=1, wanted=Wanted(1.0))
    with pytest.raises(AnalysisError, match="other settings_digest"):
        produce_all(["charged"], replace(plan, analyses=plan.analyses[:1]), other, seed=1, wanted=Wanted(1.0))


def test_a_production_goes_on_for_fewer_analyses(production, tmp_path):
    """Would catch luminosity of pieces that were not made for an analysis, and likeness that is that of another one."""
    _, plan, workshop, path = production
    fewer = replace(plan, analyses=plan.analyses[1:]).load()
    (tmp_path / "manifest.json").write_text(json.dumps(workshop.identity))
    (tmp_path / "selections").mkdir()
    (tmp_path / "selections" / path.name).write_bytes(path.read_bytes())
    for seed, made_for in ((3, workshop), (4, fewer)):
        make_piece(Piece("charged", seed, 600, tmp_path, path), made_for)
    records = records_of(tmp_path)
    hta, other = (one.analysis for one in workshop.all)
    assert production_files(tmp_path, hta) == [tmp_path / "hta" / "charged_3.parquet"]
    assert len(production_files(tmp_path, other)) == 2
    assert [len(of_analyses(records, [name])) for name in (hta.name, other.name)] == [1, 2]
    (one,), (two,) = (yields_of([tmp_path], analysis, {}) for analysis in (hta, other))
    assert two.luminosity == pytest.approx(2.0 * one.luminosity)
    both = read_experience(tmp_path, records[0], [(hta, ()), (other, ())]).like
    np.testing.assert_array_equal(read_experience(tmp_path, records[0], [(other, ())]).like, both[:, 1:])
    assert np.any(both[:, 0] != both[:, 1])
    one_more = _next_piece(["charged"], tmp_path, seed=3, wanted=Wanted(1.0), planned=(), workshop=fewer)
    assert (one_more.seed, one_more.selection.name) == (5, "pairs_1.json")
    assert load_selection(one_more.selection).learned_from["analyses"] == [other.name]


def test_costs_leave_out_what_is_compiled():
    """Would catch the first piece, which compiles for a minute, in the costs that the selection is tuned to."""
    def record(slow):
        return {"selection": {"name": "pairs_0"}, "n_generated": 2000, "offered": 4000, "taken": 100, "chosen": 50,
                "seconds": {"generate": 0.5 * slow, "select": 0.2 * slow, "detect": 0.1 * slow,
                            "look": 0.1 * slow, "side": 0.1 * slow, "tag": 0.4 * slow, "analyse": 0.1 * slow}}

    costs = costs_of([record(1.0), record(30.0)])
    assert costs.offer == pytest.approx(0.7 / 2000)
    assert (costs.record, costs.tag) == (pytest.approx(0.2 / 100), pytest.approx(0.6 / 50))


def test_nothing_is_never_wanted(continuum, channels):
    """Would catch a selection without a floor: a look that promises nothing still takes events."""
    chosen = LearnedSelection("events", 1, Stage(1e-3, 1e-3, 20.0, 0.0), Stage(1.0, 1e-9, 20.0, 0.0))
    taken = Sampler(chosen, channels, np.random.default_rng(2))(continuum)
    assert isinstance(taken, Taken) and np.all(chosen.wanted(np.zeros((3, len(EVENT)))) > 0.0)


def a_record(process, *, n, selected_of, seconds=1.0, luminosity=1.0, selection="pairs_1", guide=False):
    """What a piece says of itself; of each analysis the candidates, their sum of weights and its variance."""
    return {"process": process, "selection": {"name": selection}, "n_generated": n, "luminosity_fb": luminosity,
            "seconds": {"tag": seconds}, "guide": guide,
            "analyses": {name: {"selected": k, "sum_of_weights": w, "variance": v}
                         for name, (k, w, v) in selected_of.items()}}


def test_time_goes_where_most_lacks():
    """Would catch the goal of pairs taken for continuum, analyses without candidates that stop all, and no end.

    B pairs reach L w / v = 80/fb and 100/fb in two analyses, and 1/fb is there where few are selected: on geometric
    average 20; continuum 8/fb. What is no guide has a luminosity, and no say.
    """
    records = [a_record("charged", n=500, selected_of={"a": (20, 4.0, 0.05), "b": (9, 5.0, 0.05), "c": (1, 1.0, 9.0)},
                        guide=True, luminosity=7.0),
               a_record("ccbar", n=500, selected_of={"a": (8, 2.0, 0.25)}, guide=True),
               *(a_record(process, n=500, selected_of={"a": (90, 1.0, 5.0)}) for process in ("charged", "ccbar"))]
    assert effective_of("charged", records) == pytest.approx(20.0)
    both = ["charged", "ccbar"]
    assert most_lacking(both, records, {}, Wanted(effective=(400.0, 80.0))) == "charged"  # 0.05 of it, 0.1
    assert most_lacking(both, records, {"charged": 2000}, Wanted(effective=(400.0, 80.0))) == "ccbar"  # as if 60/fb
    assert most_lacking(both, records, {}, Wanted(effective=(100.0, 80.0))) == "ccbar"
    assert most_lacking(both, records, {}, Wanted(effective=(19.0, 7.0))) is None
    assert most_lacking(["charged", "mixed"], records, {}, Wanted(effective=(30.0, 1.0))) == "mixed"
    few = a_record("mixed", n=10, selected_of={"a": (4, 4.0, 4.0)}, guide=True)
    count = a_record("mixed", n=10, selected_of={}, luminosity=6.0)
    assert effective_of("mixed", [few, count]) == pytest.approx(6.0)  # too few are selected: the luminosity says it


def stopped(rng, wanted, guide):
    """A toy production that ends by what was found: its sum of weights over what is expected.

    Pieces of 1/fb with two candidates on average, uneven weights of mean 1. ``guide`` says which pieces decide.
    """
    records = []
    while most_lacking(["charged"], records, {}, wanted) is not None:
        weight = rng.lognormal(-0.72, 1.2, rng.poisson(2.0))
        records.append(a_record("charged", n=1, guide=guide(records), selected_of={
            "a": (len(weight), weight.sum(), np.sum(weight**2))}))
    kept = counted(records)
    return sum(record["analyses"]["a"]["sum_of_weights"] for record in kept) / (2.0 * len(kept))


def test_stopping_by_weights_leaves_no_bias(monkeypatch):
    """Would catch a production that ends when its own weights are small and even: its sums are 7 % too small here.

    250 productions to an effective luminosity of 20/fb, which is that of 40 unweighted candidates; then again with
    pieces that decide and count.
    """
    rng, wanted = np.random.default_rng(23), Wanted(effective=(20.0, 1.0))
    found = [stopped(rng, wanted, lambda records: next_is_guide("charged", records, 0, wanted)) for _ in range(250)]
    assert np.mean(found) == pytest.approx(1.0, abs=3.5 * np.std(found) / np.sqrt(len(found)))
    assert np.std(found) < 0.4
    monkeypatch.setattr("fei_lite.analyses.production.goals.counted", list)
    monkeypatch.setitem(globals(), "counted", list)
    biased = [stopped(rng, wanted, lambda records: True) for _ in range(250)]
    assert np.mean(biased) == pytest.approx(0.93, abs=3.5 * np.std(biased) / np.sqrt(len(biased)))
    assert np.mean(biased) < 1.0 - 4.0 * np.std(biased) / np.sqrt(len(biased))


def test_guides_are_every_fifth_piece():
    """Would catch guides where a luminosity is wanted, guides of the first selection, and guides that count."""
    first = a_record("charged", n=10, selected_of={}, selection="pairs_0")
    goal = Wanted(effective=(1.0, 1.0))
    assert not next_is_guide("charged", [], 0, Wanted(luminosity=1.0)) and next_is_guide("charged", [first], 0, goal)
    pieces = [a_record("charged", n=10, selected_of={}, guide=k == 0) for k in range(GUIDES)]
    assert next_is_guide("charged", pieces, 0, goal) and not next_is_guide("charged", pieces[1:], 0, goal)
    assert next_is_guide("charged", pieces[1:], 1, goal) and next_is_guide("mixed", pieces[1:], 0, goal)
    assert counted([first, pieces[0]]) == [first] and counted([first, *pieces]) == pieces[1:]


def test_variance_is_that_of_repeated_productions():
    """Would catch families that are left out of the errors: 150 pieces of pairs that were drawn for unlike decays.

    Each piece has other decays. Every decay of a first or second B enters several candidates; what decays promise is
    wrong by a factor of two up or down. The mean of the variances is that of the sums, but for what is left out, 2 / n
    of the squared sum; without the families it would be less than half.
    """
    rng, n, pieces = np.random.default_rng(3), 300, 150
    models = SideModels(("",), ("",), (0.01,), (0.03,), (1.0,), scale=(60.0, 40.0))
    sums, variances, alone = (np.zeros(pieces) for _ in range(3))
    for k in range(pieces):
        tag, signal = np.exp(rng.normal(-4.0, 1.0, (2, 2, n)))
        true_tag, true_signal = (x * np.exp(rng.normal(0.0, 0.7, x.shape)) for x in (tag, signal))
        first, second = (SidePromises(tag[i][:, None], signal[i][:, None]) for i in (0, 1))
        drawn = draw_pairs(first, second, np.full(n, 521), models, rng)
        i, j = drawn.first, drawn.second
        chance = 5.0 * (true_tag[0][i] * true_signal[1][j] + true_signal[0][i] * true_tag[1][j])
        found = rng.uniform(size=len(i)) < chance
        weight = 1.0 / drawn.wanted[found]
        sums[k], alone[k] = weight.sum(), np.sum(weight**2)
        variances[k] = bin_variances(np.zeros(len(weight)), weight, np.zeros(len(weight), dtype=int), i[found],
                                     np.array([-1.0, 1.0]), second=j[found])[0]
    stated = variances.mean() - 2.0 * sums.mean() ** 2 / n
    pulls = (sums - sums.mean()) / np.sqrt(stated)
    assert np.std(pulls) == pytest.approx(1.0, abs=3.5 / np.sqrt(2.0 * pieces))
    assert stated > 2.0 * alone.mean()


def test_interval_of_an_effective_luminosity():
    """Would catch an error that is not that of repeated productions: 200 toys of 300 families with uneven weights."""
    rng = np.random.default_rng(17)
    errors, found = [], []
    for _ in range(200):
        n = rng.poisson(300)
        first = rng.integers(0, 250, n)
        toy = Families(rng.gamma(1.0, 1.0, n), np.zeros(n, dtype=int), first, np.arange(n))
        found.append(np.log(toy.effective(1.0)))
        low, high = toy.interval(1.0)
        errors.append(0.5 * np.log(high / low))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(found), rel=0.25)


def test_what_is_just_being_written_is_no_piece(tmp_path):
    """Would catch a production that ends because a piece is just being written, under a hidden name."""
    for folder in ("pieces", "trials"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".charged_3.part.json").write_text('{"process": "char')
    assert records_of(tmp_path) == read_trials(tmp_path) == []


def test_first_pieces_count_only_where_there_are_no_others():
    """Would catch pieces of large weights that make the error of a production, and plain pieces left out."""
    first = a_record("charged", n=10, selected_of={}, selection="pairs_0")
    later = a_record("charged", n=10, selected_of={}, selection="pairs_2")
    other = a_record("mixed", n=10, selected_of={}, selection="pairs_0")
    plain = a_record("charged", n=10, selected_of={}) | {"selection": None}
    assert counted([first, later, other, plain]) == [later, other, plain]
    assert counted([first, plain]) == [first, plain]


def test_selections_that_had_learned_little_do_not_count_later():
    """Would catch large weights of early pieces in a long production, and late ones left out: 1, 2 and 8 pieces."""
    made = {1: 1, 2: 2, 4: 8}
    pieces = [a_record("charged", n=10, selected_of={}, selection=f"pairs_{k}")
              for k, n in made.items() for _ in range(n)]
    assert counted(pieces[:3]) == pieces[:3]  # a third is more than a tenth
    assert counted(pieces) == pieces[1:]  # 1 of 11 is less, 3 are more
    assert counted([*pieces, a_record("mixed", n=10, selected_of={}, selection="pairs_1")])[-1]["process"] == "mixed"


def test_classifiers_judge_signal_sides(production):
    """Would catch classifiers that are left out of the trials, and a judge of background alone: signal keeps its order.

    A score multiplies the likeness by the fraction of signal with a lower one: half of it, on average, of what passes.
    """
    from fei_lite.generator.decay_file import shipped_decays

    hta = [one for one in production[2].all if one.analysis.name == "hta"]
    known = read_classifiers(HERE / "trained/hta/classifier", hta[0].analysis)
    judge = judge_of(hta[0].analysis, known, [HERE / "trained/hta/signal/k_nunu.parquet"])
    assert 5.27 < judge.typical["tagMbc"] < 5.285 and 0.0 < judge.typical["tagSignalProbability"] < 1.0
    assert judge_of(hta[0].analysis, known, [HERE / "trained/hta/background/2026-12-01c.parquet"]) == Judge()
    batch = next(generate("signal", 150, seed=5, batch_size=150, dec_file=shipped_decays()["k_nunu"]))
    plain, judged = (try_sides(batch, hta, process="k_nunu", at=[0], k=1, models=None, rng=np.random.default_rng(3),
                               judges=judges).signal[:, 0] for judges in ((), [judge]))
    passed = plain > 0.2
    assert passed.sum() > 40 and np.all(judged[np.isfinite(plain)] <= plain[np.isfinite(plain)] + 1e-12)
    assert 0.25 < judged[passed].mean() / plain[passed].mean() < 0.75


def test_trials_know_a_signal_side(production):
    """Would catch tag and signal side exchanged, and labels given to the wrong B: B+ -> K+ nu nubar and a generic B.

    The K+ of the signal decay is identified and alone in most of them; a generic B seldom looks so.
    """
    from fei_lite.generator.decay_file import shipped_decays

    workshop = production[2]
    hta = [one for one in workshop.all if one.analysis.name == "hta"]
    batch = next(generate("signal", 150, seed=5, batch_size=150, dec_file=shipped_decays()["k_nunu"]))
    found = try_sides(batch, hta, process="k_nunu", at=[1], k=2, models=None, rng=np.random.default_rng(3))
    assert np.all(np.isnan(found.tag[:, 0])) and found.tag.shape == (600, 2)
    signal = np.isfinite(found.signal[:, 1])
    assert signal.sum() == np.isfinite(found.tag[:, 1]).sum() == 300
    like, X = found.signal[signal, 1], found.X[signal]
    ours = (X[:, SIDE.index("nNeutrinos")] == 2) & (X[:, SIDE.index("nCharged")] == 1)
    assert ours.sum() > 75
    assert np.mean(like[ours] > 0.2) > 0.4 and np.mean(like[~ours] > 0.2) < 0.05
    alone = found.tag[~signal, 1]
    ours = found.X[~signal][:, SIDE.index("nNeutrinos")] == 2
    assert np.all(alone[ours & (found.X[~signal][:, SIDE.index("nCharged")] == 1)] == 0.0)
    assert np.all((alone >= 0.0) & (alone <= 1.0))
