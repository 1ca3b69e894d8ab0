"""Laws of the whole reconstruction: what may not change the Btags, and what must add up.

The classifier is a smooth function that listens to every feature: no two
candidates tie, and an error in any feature reaches the probabilities.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fei_lite.channels import load_channel_set
from fei_lite.events import Jagged, concatenate
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.simulation.simulate import simulate
from fei_lite.sources import source_indices
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.driver import tag_batch

FOLDER = Path(os.environ.get("FEI_LITE_TEST_DATA", "")) / "basf2_mdst"
FILES = sorted(FOLDER.glob("*.root")) if "FEI_LITE_TEST_DATA" in os.environ else []

#: Events of each of B+B- and B0 B0bar.
N = 50
TRUTH = {"isSignal", "mcErrors", "mcPDG"}


class Smooth:
    """A classifier for every channel: the logistic function of a random sum over all features.

    Where a candidate and its conjugate differ by an exchange of daughters
    (J/psi -> e+ e-), daughters weigh the same: names count without digits.
    Of dy, which changes sign in the mirror, only the size counts.
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
        return identifier in self.weights

    def predict(self, identifier, features):
        features = np.where(self.signless[identifier], np.abs(features), features)
        squashed = np.where(np.isnan(features), 0.5, features / (1.0 + np.abs(features)))
        bias = 3.0 if identifier.endswith("_V0") else 0.0  # they are rare: let them reach the B
        return 1.0 / (1.0 + np.exp(-bias - (squashed * self.weights[identifier]).sum(axis=1)))


CHANNELS = load_channel_set("hadronic")
MODELS = Smooth(CHANNELS)


@pytest.fixture(scope="module")
def batch():
    return concatenate([b for process in ("charged", "mixed") for b in simulate(process, N, seed=11)])


@pytest.fixture(scope="module")
def result(batch):
    return reconstruct(batch, CHANNELS, MODELS)


@pytest.fixture(scope="module")
def tags(result):
    return select_tags(result)


def run(batch, **options):
    return reconstruct(batch, CHANNELS, MODELS, **options)


def lists_of(column):
    return [tuple(column[1][a:b].tolist()) for a, b in zip(column[0][:-1], column[0][1:], strict=True)]


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
            columns[name] = np.concatenate([[0], np.cumsum(counts)]), np.concatenate([p.columns[name][1] for p in parts])
        else:
            columns[name] = np.concatenate([p.columns[name] for p in parts])
    return replace(parts[0], columns=columns)


def test_batches_do_not_matter(batch, tags):
    """Would catch state or indices that leak from one event or batch into another."""
    cuts = [0, 1, 2, 9, 9, N + 10, 2 * N]
    parts = [select_tags(run(batch.slice(a, b)), first_entry=a) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    assert len(tags) > 100
    assert_same_tags(joined(parts), tags)


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
        offsets, index = source_indices(batch, table["source"], event, kind)
        rows = index + np.repeat(getattr(batch, kind).offsets[event], np.diff(offsets))
        rows = rows if rename is None else rename[rows]
        sources.append([tuple(sorted(rows[a:b].tolist())) for a, b in zip(offsets[:-1], offsets[1:], strict=True)])
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
