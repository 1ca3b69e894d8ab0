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
    """

    def __init__(self, channel_set):
        self.weights = {}
        for config in channel_set.particles.values():
            for channel in config.channels:
                symmetric = config.self_conjugate or channel.unflavoured
                names = ["".join(c for c in f if not (symmetric and c.isdigit())) for f in channel.features]
                self.weights[channel.identifier] = np.array(
                    [zlib.crc32(f"{channel.identifier} {name}".encode()) / 2**31 - 1.0 for name in names])

    def has_model(self, identifier):
        return identifier in self.weights

    def predict(self, identifier, features):
        squashed = np.where(np.isnan(features), 0.5, features / (1.0 + np.abs(features)))
        return 1.0 / (1.0 + np.exp(-2.0 * (squashed * self.weights[identifier]).sum(axis=1)))


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
