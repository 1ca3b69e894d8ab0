"""Laws of the whole reconstruction: what may not change the Btags, and what must add up.

The classifier is a smooth function that listens to every feature: no two
candidates tie, and an error in any feature reaches the probabilities.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fei_lite.channels import load_channel_set
from fei_lite.channels.cut_strings import intervals
from fei_lite.events import Jagged, concatenate
from fei_lite.events.reading import open_events
from fei_lite.particles import charge, conjugate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.some_events import of_events
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.driver import tag_batch
from fei_lite.used_objects import object_indices

FOLDER = Path(os.environ.get("FEI_LITE_TEST_DATA", "")) / "basf2_mdst"
FILES = sorted(FOLDER.glob("*.root")) if "FEI_LITE_TEST_DATA" in os.environ else []

#: Events of each of B+B- and B0 B0bar.
N = 50
TRUTH = {"isSignal", "mcErrors", "mcPDG"}


UNTRAINED = ("K_S0_pi0_pi0", "Sigma+_p+_pi0")


class Smooth(NoClassifiers):
    """A classifier for every channel: a smooth function of a random sum over all features.

    Where a candidate and its conjugate differ by an exchange of daughters
    (J/psi -> e+ e-), daughters weigh the same: names count without digits.
    Of dy, which changes sign in the mirror, only the size counts. Two channels
    have no model: K_S0 -> pi0 pi0, which may exchange a pi0 with D0 -> K_S0 pi0
    (Sigma+ -> p+ pi0 likewise): without a fit to the vertex the masses are then
    equal, and rounding decides which of the two ranks first.
    """

    def __init__(self, channel_set):
        self.weights, self.signless = {}, {}
        for config in channel_set.particles.values():
            for channel in config.channels:
                symmetric = config.self_conjugate or channel.unflavoured
                names = ["".join(c for c in f if not (symmetric and c.isdigit())) for f in channel.features]
                self.weights[channel.identifier] = np.array(
                    [zlib.crc32(f"{channel.identifier} {name}".encode()) / 2**31 - 1.0 for name in names])
                self.weights[channel.identifier] *= 3.0 / np.sqrt(len(names))
                self.signless[channel.identifier] = np.array(channel.features) == "dy"

    def has_model(self, identifier):
        return identifier not in UNTRAINED

    def predict(self, identifier, features, *, above=0.0):
        features = np.where(self.signless[identifier], np.abs(features), features)
        squashed = np.where(np.isnan(features), 0.5, features / (1.0 + np.abs(features)))
        # all values from 0 to 1, so that every cut on the probability removes candidates
        probability = np.sin(5.0 * (squashed * self.weights[identifier]).sum(axis=1))**4
        return 0.5 + 0.5 * probability if identifier.endswith("_V0") else probability  # the rare V0s shall reach the B


CHANNELS = load_channel_set("hadronic")
MODELS = Smooth(CHANNELS)


@pytest.fixture(scope="module")
def batch():
    return concatenate([b for process in ("charged", "mixed") for b in simulate(process, N, seed=12)])


@pytest.fixture(scope="module")
def result(batch):
    return reconstruct(batch, CHANNELS, MODELS)


@pytest.fixture(scope="module")
def tags(result):
    return select_tags(result)


def run(batch, **options):
    return reconstruct(batch, CHANNELS, MODELS, options=ReconstructionOptions(**options))


def lists_of(column):
    return [tuple(column[1][a:b].tolist()) for a, b in pairwise(column[0])]


def assert_same_tags(found, expected, *, without=()):
    """Equal columns in equal order, to the last bit."""
    assert set(found.columns) == set(expected.columns) - set(without)
    for name in found.columns:
        ours, theirs = found.columns[name], expected.columns[name]
        if isinstance(ours, tuple):
            assert lists_of(ours) == lists_of(theirs), name
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def joined(parts):
    """The Btags of several batches, one after the other, as plain columns."""
    columns = {}
    for name, first in parts[0].columns.items():
        if isinstance(first, tuple):
            counts = np.concatenate([np.diff(p.columns[name][0]) for p in parts])
            offsets = np.concatenate([[0], np.cumsum(counts)])
            columns[name] = offsets, np.concatenate([p.columns[name][1] for p in parts])
        else:
            columns[name] = np.concatenate([p.columns[name] for p in parts])
    return replace(parts[0], columns=columns)


def test_batches_do_not_matter(batch, tags):
    """Would catch state or indices that leak from one event or batch into another."""
    cuts = [0, 1, 2, 9, 9, N + 10, 2 * N]
    parts = [select_tags(run(batch.slice(a, b)), first_entry=a) for a, b in pairwise(cuts)]
    assert len(tags) > 100
    assert_same_tags(joined(parts), tags)


def test_some_of_the_events(batch, result):
    """Would catch a row of a daughter, an object or a generated particle that still counts the events left out."""
    rows = np.arange(1, 2 * N, 3)
    found, expected = of_events(result, rows), run(batch.select(rows))
    assert sum(len(table) for table in found.tables.values()) > 1000
    for name, table in expected.tables.items():
        assert set(found.tables[name].columns) == set(table.columns)
        np.testing.assert_array_equal(found.tables[name].offsets, table.offsets)
        for key, values in table.columns.items():
            np.testing.assert_array_equal(found.tables[name][key], values, err_msg=f"{name} {key}")


def test_events_in_another_order(batch, tags):
    """Would catch a result that depends on the neighbours of an event."""
    turned = select_tags(run(concatenate([batch.slice(N, 2 * N), batch.slice(0, N)])))
    for name in ("SignalProbability", "Mbc", "chiProb", "decayChain", "pdg", "mcErrors"):
        first = tags.event < N
        expected = np.concatenate([tags.columns[name][~first], tags.columns[name][first]])
        np.testing.assert_array_equal(turned.columns[name], expected, err_msg=name)


def test_pruning_changes_nothing(batch, tags):
    """Would catch a combination given up although it would have passed the cuts."""
    small = batch.slice(0, 20)
    found, expected = (select_tags(run(small, prune=prune)) for prune in (False, True))
    assert_same_tags(found, expected)


# Symmetries: candidates are compared as sets, named by what they are made of.

def candidates(result, name, *, tracks=None, clusters=None, flip=False):
    """{(event, sign, tracks, clusters): row} of a table; ``tracks``, ``clusters`` rename the batch's rows."""
    table, batch = result.tables[name], result.batch
    event, sign = table.event_index, table["sign"].astype(int)
    if flip and not result.channel_set.particles[name].self_conjugate:
        sign = -sign
    sources = []
    for kind, rename in (("tracks", tracks), ("clusters", clusters)):
        offsets, index = object_indices(batch, table["used"], event, kind)
        rows = index + np.repeat(getattr(batch, kind).offsets[event], np.diff(offsets))
        rows = rows if rename is None else rename[rows]
        sources.append([tuple(sorted(rows[a:b].tolist())) for a, b in pairwise(offsets)])
    made = {key: row for row, key in enumerate(zip(event.tolist(), sign.tolist(), *sources, strict=True))}
    assert len(made) == len(table), f"{name}: the same objects twice"
    return made


def assert_same_candidates(found, expected, *, rtol=0.0, columns=(), **options):
    """All tables hold the same candidates with the same values."""
    for name, table in expected.tables.items():
        ours, theirs = candidates(found, name, **options), candidates(expected, name)
        assert ours.keys() == theirs.keys(), (
            f"{name}: {len(ours.keys() - theirs.keys())} new, {len(theirs.keys() - ours.keys())} lost of {len(theirs)}")
        rows = np.array([ours[key] for key in theirs], dtype=int)
        for column in ("SignalProbability", "decayModeID", "preCut_rank", "postCut_rank", "M", "chiProb", *columns):
            np.testing.assert_allclose(found.tables[name][column][rows], table[column], rtol=rtol, atol=rtol,
                                       err_msg=f"{name}.{column}")


TRUTH_OF_TABLES = ("isSignal", "mcErrors")


def reordered(objects, order):
    return Jagged(objects.offsets, {name: values[order] for name, values in objects.columns.items()})


def shuffled(batch, rng):
    """The objects of every event in another order, and the old rows of tracks and clusters."""
    order = {kind: np.lexsort((rng.random(len(getattr(batch, kind))), getattr(batch, kind).event_index))
             for kind in ("tracks", "clusters", "klm", "v0s")}
    lists = {kind: reordered(getattr(batch, kind), rows) for kind, rows in order.items()}
    new_row = np.empty(len(batch.tracks), dtype=np.int64)
    new_row[order["tracks"]] = np.arange(len(batch.tracks))
    start = batch.tracks.offsets[batch.v0s.event_index]
    v0s = lists["v0s"].columns
    for side in ("positive_index", "negative_index"):
        v0s[side] = (new_row[v0s[side] + start] - start).astype(np.int32)
    return replace(batch, **lists), order["tracks"], order["clusters"]


def test_order_of_objects_does_not_matter(batch, result):
    """Would catch daughters, ranks or ties decided by the order of tracks and clusters in the file."""
    other, tracks, clusters = shuffled(batch, np.random.default_rng(1))
    assert_same_candidates(run(other), result, rtol=1e-9, tracks=tracks, clusters=clusters, columns=TRUTH_OF_TABLES)


def anti(pdg):
    """PDG codes of the antiparticles."""
    size = np.abs(pdg)
    own = (size // 1000 % 10 == 0) & (size // 100 % 10 == size // 10 % 10)  # mesons of q qbar
    return np.where(own | np.isin(size, (22, 130, 310)), pdg, -pdg).astype(pdg.dtype)


_MIRROR = np.array([-1.0, -1.0, -1.0, 1.0, 1.0])  # d0, phi0 and omega change sign
_MIRROR_COV = np.outer(_MIRROR, _MIRROR)[np.triu_indices(5)]
_FLIP_Y = np.array([1.0, -1.0, 1.0])


def cp_conjugate(batch):
    """Every particle replaced by its antiparticle, and y by -y: the field along z stays, helices turn round."""
    events = batch.events | {
        "beam_p4": batch.events["beam_p4"] * [1.0, -1.0, 1.0, 1.0], "ip": batch.events["ip"] * _FLIP_Y,
        "ip_cov": batch.events["ip_cov"] * [1.0, -1.0, 1.0, 1.0, -1.0, 1.0]}

    def changed(objects, **columns):
        return Jagged(objects.offsets, objects.columns | columns)

    tracks, v0s, generated = batch.tracks, batch.v0s, batch.generated
    v0_columns = {"pdg": np.where(np.abs(v0s["pdg"]) == 3122, -v0s["pdg"], v0s["pdg"])}
    for side, other in (("positive", "negative"), ("negative", "positive")):
        v0_columns |= {f"{side}_index": v0s[f"{other}_index"], f"{side}_helix": v0s[f"{other}_helix"] * _MIRROR,
                       f"{side}_cov": v0s[f"{other}_cov"] * _MIRROR_COV}
    return replace(
        batch, events=events, v0s=changed(v0s, **v0_columns), klm=changed(batch.klm, y=-batch.klm["y"]),
        tracks=changed(tracks, charge=-tracks["charge"], helix=tracks["helix"] * _MIRROR,
                       helix_cov=tracks["helix_cov"] * _MIRROR_COV),
        clusters=changed(batch.clusters, phi=-batch.clusters["phi"]),
        generated=changed(generated, pdg=anti(generated["pdg"]), vertex=generated["vertex"] * _FLIP_Y,
                          p4=generated["p4"] * [1.0, -1.0, 1.0, 1.0]))


def test_conjugate_events_give_conjugate_candidates(batch, result):
    """Would catch a charge or flavour treated unlike its conjugate: wrong sign, lost channel, exchanged daughters."""
    found = run(cp_conjugate(batch))
    assert_same_candidates(found, result, rtol=1e-7, flip=True, columns=TRUTH_OF_TABLES)


# What a candidate is made of.

def channel_of(result, name, row):
    return result.channel_set.particles[name].channels[result.tables[name]["decayModeID"][row]]


def tables_of(result, daughters):
    """The particles whose tables hold the daughters of a channel."""
    return [name if name in result.tables else conjugate(name) for name in daughters]


def leaves(result, name, row, event):
    """Tracks and clusters (indices in the event) of a candidate, found by walking down its decay, repeats included."""
    table, channel, batch = result.tables[name], channel_of(result, name, row), result.batch
    used = table["object"][row]
    if channel.leaf == "V0":
        return [batch.v0s[f"{side}_index"][used] for side in ("positive", "negative")], []
    if name == "gamma":
        return [], [used - batch.clusters.offsets[event]]
    if channel.leaf:
        return [used - batch.tracks.offsets[event]], []
    tracks, clusters = [], []
    for j, daughter in enumerate(tables_of(result, channel.daughters)):
        parts = leaves(result, daughter, table["daughters"][row, j], event)
        tracks, clusters = tracks + parts[0], clusters + parts[1]
    return tracks, clusters


def test_nothing_is_used_twice(result, tags):
    """Would catch a track shared by two daughters, also through a V0, or an output that names other objects."""
    tracks, clusters = lists_of(tags.columns["track_index"]), lists_of(tags.columns["cluster_index"])
    with_v0 = 0
    for i in range(0, len(tags), 3):
        name, row, event = str(tags.particle[i]), tags.row[i], tags.event[i]
        walked = leaves(result, name, row, event)
        assert sorted(walked[0]) == list(tracks[i]) and sorted(walked[1]) == list(clusters[i])
        assert len(set(tracks[i])) == len(tracks[i]) and len(set(clusters[i])) == len(clusters[i])
        total = result.batch.tracks["charge"][result.batch.tracks.offsets[event] + np.array(tracks[i])].sum()
        assert total == charge(name) * np.sign(tags.columns["pdg"][i])
        with_v0 += ":V0" in tags.columns["decayChain"][i]
    assert with_v0 > 20


def boost_matrix(beam):
    """The Lorentz transformation (px, py, pz, E) into the rest frame of ``beam``."""
    beta = beam[:3] / beam[3]
    gamma = 1.0 / np.sqrt(1.0 - beta @ beta)
    matrix = np.empty((4, 4))
    matrix[3, 3], matrix[3, :3], matrix[:3, 3] = gamma, -gamma * beta, -gamma * beta
    matrix[:3, :3] = np.eye(3) + (gamma - 1.0) * np.outer(beta, beta) / (beta @ beta)
    return matrix


def mbc_and_delta_e(p4, beam):
    matrix, root_s = boost_matrix(beam), np.sqrt(beam[3]**2 - beam[:3] @ beam[:3])
    cms = p4 @ matrix.T
    return np.sqrt(root_s**2 / 4 - np.sum(cms[:, :3]**2, axis=1)), cms[:, 3] - root_s / 2


def mass_of(p4):
    return np.sqrt(np.maximum(p4[:, 3]**2 - np.sum(p4[:, :3]**2, axis=1), 0.0))


def test_mbc_delta_e_and_mass_by_hand(batch, tags):
    """Would catch a wrong beam, frame or half of the energy, and columns of another candidate's momentum."""
    p4 = np.stack([tags.columns[name] for name in ("px", "py", "pz", "E")], axis=1)
    beam = batch.events["beam_p4"]
    assert np.ptp(beam, axis=0).max() == 0.0
    mbc, delta_e = mbc_and_delta_e(p4, beam[0])
    np.testing.assert_allclose(tags.columns["Mbc"], mbc, rtol=0, atol=1e-9)
    np.testing.assert_allclose(tags.columns["deltaE"], delta_e, rtol=0, atol=1e-9)
    np.testing.assert_allclose(tags.columns["M"], mass_of(p4), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["J/psi", "D0", "D*+", "Lambda_c+", "B+", "B0"])
def test_momenta_are_the_sums_of_the_daughters(result, name):
    """Would catch daughters of another row or event, and cuts on something else than what they are called."""
    table, config = result.tables[name], result.channel_set.particles[name]
    beam, seen = result.batch.events["beam_p4"][0], 0
    for channel in config.channels:
        rows = np.flatnonzero(table["decayModeID"] == channel.index)
        if not len(rows):
            continue
        made_of = [result.tables[d] for d in tables_of(result, channel.daughters)]
        parts = [t["p4"][table["daughters"][rows, j]] for j, t in enumerate(made_of)]
        for j, t in enumerate(made_of):
            assert np.array_equal(t.event_index[table["daughters"][rows, j]], table.event_index[rows])
        total = sum(parts)
        mbc, delta_e = mbc_and_delta_e(total, beam)
        values = {"M": mass_of(total), "Mbc": mbc, "deltaE": delta_e, "abs(deltaE)": np.abs(delta_e),
                  "Q": mass_of(total) - sum(mass_of(p) for p in parts)}
        for window in intervals(channel.cuts).values():
            value = values[window.variable]
            assert np.all(value > window.low - 1e-9) and np.all(value < window.high + 1e-9), window
            seen += len(rows)
        unfitted = np.isnan(table["chiProb"][rows])
        np.testing.assert_allclose(table["p4"][rows[unfitted]], total[unfitted], rtol=0, atol=1e-9)
        good = table["chiProb"][rows] > 0.01  # a good fit moves the tracks within their errors
        assert not good.any() or np.median(np.abs(table["p4"][rows[good]] - total[good])) < 0.005
    assert seen >= len(table) > 0


def test_leaves_are_the_measured_objects(result, batch):
    """Would catch momenta that are not those of the tracks and clusters a candidate names."""
    pions, pi0s, photons = (result.tables[name] for name in ("pi+", "pi0", "gamma"))
    omega, tan_lambda = batch.tracks["helix"][pions["object"]][:, [2, 4]].T
    pt = 299792458e-11 * batch.events["bz"][pions.event_index] / np.abs(omega)
    np.testing.assert_allclose(np.hypot(*pions["p4"][:, :2].T), pt, rtol=1e-9)
    np.testing.assert_allclose(pions["p4"][:, 3], np.sqrt(pt**2 * (1 + tan_lambda**2) + 0.13957039**2), rtol=1e-6)
    np.testing.assert_array_equal(pions["sign"], batch.tracks["charge"][pions["object"]])
    pairs = pi0s["daughters"]
    clusters = photons["object"][pairs]
    of_clusters = (photons["decayModeID"][pairs] == 0).all(axis=1)
    columns = (batch.clusters[name][clusters].astype(float) for name in ("theta", "phi", "r", "E"))
    theta, phi, r, energy = (column[of_clusters] for column in columns)
    flight = r[..., None] * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    flight -= batch.events["ip"][pi0s.event_index[of_clusters]][:, None]
    flight /= np.linalg.norm(flight, axis=2, keepdims=True)
    cosine = np.sum(flight[:, 0] * flight[:, 1], axis=1)
    m2 = 2.0 * energy[:, 0] * energy[:, 1] * (1.0 - cosine)
    assert of_clusters.sum() > 300
    np.testing.assert_allclose(pi0s["M"][of_clusters], np.sqrt(m2), rtol=1e-6)


# What must add up.

def test_cut_flow_accounts_for_every_event_and_candidate(batch, result, tags):
    """Would catch an event or candidate lost between two steps without a row that says so."""
    tagged = tag_batch(batch, CHANNELS, MODELS)
    flow = tagged.cutflow
    assert flow["events", "all", "read"] == 2 * N == tagged.totals.n_events
    assert flow["events", "all", "tagged"] == len(np.unique(tags.event)) == tags.columns["best"].sum()
    assert flow["events", "all", "tagged"] + flow["events", "all", "untagged"] == 2 * N
    lost = dict.fromkeys(("duplicate", "cut", "ranked out"), 0)
    for name, config in CHANNELS.particles.items():
        stage, table = f"stage {config.stage}", result.tables[name]
        best = 0
        for channel in config.channels:
            first = "inside the cuts" if channel.leaf else "combinations inside the cuts"
            kept = flow[stage, channel.identifier, "best kept"]
            assert flow[stage, channel.identifier, first] >= kept >= flow[stage, channel.identifier, "fit undefined"]
            best += kept
        step = {text: flow[stage, name, text] for text in (
            "classified", "duplicates dropped", "above the probability cut", "kept", "events with a candidate",
            "events without")}
        above = (step["classified"] - step["duplicates dropped"] if config.min_signal_probability is None
                 else step["above the probability cut"])
        assert step["classified"] == best
        lost["ranked out"] += above - step["kept"]
        lost["duplicate"] += step["duplicates dropped"]
        lost["cut"] += step["classified"] - step["duplicates dropped"] - above
        assert step["classified"] - step["duplicates dropped"] >= above >= step["kept"] == len(table)
        assert step["events with a candidate"] + step["events without"] == 2 * N
        assert step["events with a candidate"] == len(np.unique(table.event_index))
        per_conjugate = [np.bincount(table.event_index[table["sign"] == sign]) for sign in (1, -1)]
        assert max(counts.max(initial=0) for counts in per_conjugate) <= config.best_post
    assert min(lost.values()) > 100, lost  # each step was at work
    for identifier in UNTRAINED:
        assert flow["stage 2", identifier, "events without a model"] == 2 * N
        assert flow["stage 2", identifier, "best kept"] == 0
    either = [flow["stage 5", name, "events with a candidate"] for name in ("B+", "B0")]
    assert max(either) <= flow["events", "all", "tagged"] <= sum(either)


def test_cut_flows_of_parts_add_up(batch, result):
    """Would catch counts that depend on the batches."""
    total = run(batch.slice(0, 30)).cutflow
    total.merge(run(batch.slice(30, 2 * N)).cutflow)
    assert sorted(total) == sorted(result.cutflow)


def test_truth_is_only_looked_at(batch, tags):
    """Would catch generator truth that leaks into the candidates or their order, and truth invented for data."""
    assert TRUTH.issubset(tags.columns)
    data = replace(batch, generated=None)
    assert_same_tags(select_tags(run(data)), tags, without=TRUTH)
    assert not any("isSignal" in table.columns or "mc" in table.columns for table in run(data).tables.values())
    assert_same_tags(select_tags(run(batch, with_truth=False)), tags, without=TRUTH)


# Unusual events.

def with_objects_in_front(objects, extra, spoil):
    """``extra`` copies of the first object of the batch before the objects of each event, changed by ``spoil``."""
    event = np.concatenate([np.repeat(np.arange(len(objects.offsets) - 1), extra), objects.event_index])
    n_new = len(event) - len(objects)
    order = np.argsort(event, kind="stable")
    columns = {}
    for name, values in objects.columns.items():
        front = np.repeat(values[:1], n_new, axis=0)
        columns[name] = np.concatenate([spoil(name, front), values])[order]
    return Jagged(objects.offsets + extra * np.arange(len(objects.offsets)), columns)


def test_ties_go_to_the_charged_b(result):
    """Would catch a tie between B+ and B0 that goes to the B0, or to whichever table was made first."""
    equal = {name: replace(result.tables[name], columns=result.tables[name].columns | {
        "SignalProbability": np.full(len(result.tables[name]), 0.5),
        "chiProb": np.full(len(result.tables[name]), 0.3)}) for name in ("B0", "B+")}
    turned = {**{name: table for name, table in result.tables.items() if name not in equal}, **equal}
    tags = select_tags(replace(result, tables=turned))
    both = np.intersect1d(tags.event[tags.particle == "B+"], tags.event[tags.particle == "B0"])
    assert len(both) > 5
    for event in both:
        here = tags.event == event
        assert tags.columns["rank"][here].tolist() == list(range(1, here.sum() + 1))
        particles = tags.particle[here].tolist()
        assert particles == sorted(particles, key=("B+", "B0").index)
        for name in ("B+", "B0"):  # and candidates of one particle keep their order
            assert np.all(np.diff(tags.row[here & (tags.particle == name)]) > 0)


def test_large_events(batch, tags):
    """Would catch bits lost beyond the 64th object: useless objects in front may only shift the indices."""
    def far_away(name, values):
        values[...] = -1 if name == "mc_index" else values
        if name == "helix":
            values[:, 0] = 50.0
        return values

    def no_photon(name, values):
        return values * 0 if name in ("E", "is_photon") else np.full_like(values, -1) if name == "mc_index" else values

    small = batch.slice(0, 30)
    v0s = small.v0s.columns | {name: small.v0s[name] + np.int32(70) for name in ("positive_index", "negative_index")}
    large = replace(small, tracks=with_objects_in_front(small.tracks, 70, far_away),
                    clusters=with_objects_in_front(small.clusters, 80, no_photon),
                    v0s=Jagged(small.v0s.offsets, v0s))
    found, expected = select_tags(run(large)), select_tags(run(small))
    assert large.tracks.counts.min() >= 70 and large.clusters.counts.min() >= 80
    for name, shift in (("track_index", 70), ("cluster_index", 80), ("final_track", 70), ("final_cluster", 80)):
        offsets, index = found.columns[name]
        found.columns[name] = offsets, np.where(index < 0, -1, index - shift)
    assert len(expected) > 500
    assert_same_tags(found, expected)


def without_objects(batch, kind, events):
    """The batch with no ``kind`` in the chosen events."""
    objects = getattr(batch, kind)
    keep = ~np.isin(objects.event_index, events)
    counts = np.bincount(objects.event_index[keep], minlength=batch.n_events)
    return Jagged(np.concatenate([[0], np.cumsum(counts)]), {name: v[keep] for name, v in objects.columns.items()})


@pytest.mark.parametrize("events", [[0, 4, 5, 9], range(10)], ids=["some", "all"])
def test_events_without_tracks(batch, events):
    """Would catch a crash, or indices shifted by events without tracks; they have no Btag, the others keep theirs."""
    batch = batch.slice(0, 10)
    bare = replace(batch, tracks=without_objects(batch, "tracks", events), v0s=without_objects(batch, "v0s", events))
    found, expected = select_tags(run(bare)), select_tags(run(batch))
    assert not np.isin(found.event, events).any()
    kept = ~np.isin(expected.event, events)
    assert len(events) == 10 or kept.sum() > 100
    for name in ("event", "SignalProbability", "Mbc", "decayChain"):
        np.testing.assert_array_equal(found.columns[name], expected.columns[name][kept], err_msg=name)


@pytest.mark.parametrize("events", [[0, 4, 5, 9], range(10)], ids=["some", "all"])
def test_events_without_clusters(batch, events):
    """Would catch a crash, or indices shifted by events without clusters; charged decays are found all the same."""
    batch = batch.slice(0, 10)
    bare = replace(batch, clusters=without_objects(batch, "clusters", events))
    found, expected = select_tags(run(bare)), select_tags(run(batch))
    chosen = np.isin(found.event, events)
    assert not any("pi0" in chain for chain in found.columns["decayChain"][chosen]) and chosen.any()
    assert np.diff(found.columns["cluster_index"][0])[chosen].sum() == 0
    np.testing.assert_array_equal(found.columns["SignalProbability"][~chosen],
                                  expected.columns["SignalProbability"][~np.isin(expected.event, events)])


def test_no_events(batch, tags):
    """Would catch an empty batch that crashes or has other columns than a full one."""
    none = select_tags(run(batch.slice(3, 3)))
    assert len(none) == 0 and list(none.columns) == list(tags.columns)
    for name, values in tags.columns.items():
        ours = none.columns[name]
        assert isinstance(ours, tuple) == isinstance(values, tuple)
        kinds = [c[1].dtype.kind if isinstance(c, tuple) else c.dtype.kind for c in (ours, values)]
        assert kinds[0] == kinds[1], name


@pytest.mark.skipif(not FILES, reason="FEI_LITE_TEST_DATA with basf2_mdst is not set")
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_belle_ii_files(path):
    """Would catch mDST events that the tagger cannot digest, or drops."""
    n_events, n_tags = 0, 0
    for batch in open_events([path]):
        tagged = tag_batch(batch, CHANNELS, MODELS)
        flow, tags = tagged.cutflow, tagged.tags
        assert flow["events", "all", "read"] == batch.n_events
        assert flow["events", "all", "tagged"] + flow["events", "all", "untagged"] == batch.n_events
        assert np.isfinite(tags.columns["SignalProbability"]).all() and np.isfinite(tags.columns["deltaE"]).all()
        assert (batch.generated is not None) == (TRUTH.issubset(tags.columns))
        n_events, n_tags = n_events + batch.n_events, n_tags + len(tags)
    assert n_events > 0 and n_tags > 0
