"""The training of the last classifier, which judges all tag candidates of an event against each other.

It learns from events that no channel's classifier was fitted on: on the others
the channels know too much, and it would believe them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.classifiers.fitting import FittedChannel, fit_channel
from fei_lite.classifiers.manifest import MANIFEST
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.events.ranges import EntryRange
from fei_lite.parallel import ordered_map
from fei_lite.reconstruction.deciding import FEATURES, tag_features
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.training.mixture import Factors, read_weighted
from fei_lite.training.sampling import VALIDATION_EVERY, ChannelSample, Rows, held_out

#: Settings of the last classifier: it has many events, and effects of several features at once matter.
DECIDING: Mapping[str, Any] = {"n_trees": 600, "max_depth": 6, "num_leaves": 15, "learning_rate": 0.05,
                               "min_data_in_leaf": 100, "bagging_fraction": 0.7, "feature_fraction": 0.5,
                               "lambda_l2": 5.0}
#: Candidates of a class that it is fitted on at most.
DECIDING_ENTRIES = 1_500_000


def fit_deciding(
    ranges: Sequence[EntryRange], more: Sequence[EntryRange], folder: Path, *, channel_set: str, seed: int,
    factors: Factors, min_entries: int, workers: int = 1, report: Callable[[int, int], None] | None = None,
) -> FittedChannel:
    """The last classifier, from the held-out events of ``ranges`` and from all events of ``more``.

    ``folder`` holds the finished classifiers of the channels. Of the events one in
    two of ``ranges``, and one in five of ``more``, ends the training and measures
    the result. ``report(done, total)`` counts events.
    """
    sample = ChannelSample(len(FEATURES), cap=DECIDING_ENTRIES, seed=seed)
    state = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    done, total = 0, sum(r.stop - r.start for r in (*ranges, *more))
    for some, only_held_out in ((ranges, True), (more, False)):
        work = partial(_tag_candidates, channel_set=channel_set, folder=str(folder), state=state,
                       factors=factors, only_held_out=only_held_out)
        for entries, parts in zip(some, ordered_map(work, some, workers=workers), strict=True):
            for rows in parts:
                sample.add(*rows)
            done += entries.stop - entries.start
            if report is not None:
                report(done, total)
    training, validation = sample.arrays()
    return fit_channel(*training, names=FEATURES, seed=seed, validation=validation, parameters=DECIDING,
                       min_entries=min_entries, num_threads=workers)


@cache
def _loaded(channel_set: str, folder: str, state: str) -> tuple[ChannelSet, ModelSet]:
    """The sets of this process; ``state`` tells one training in the folder from another."""
    return load_channel_set(channel_set), load_model_set(folder)


def _tag_candidates(entries: EntryRange, *, channel_set: str, folder: str, state: str,
                    factors: Factors, only_held_out: bool) -> list[Rows]:
    """The tag candidates of a range of events, and which of them measure the result."""
    channels, models = _loaded(channel_set, folder, state)
    found: list[Rows] = []
    for batch in read_weighted(entries, factors):
        number = np.arange(batch.n_events) + entries.first_entry
        measures = (number // VALIDATION_EVERY) % 2 == 1 if only_held_out else held_out(number)
        events = np.flatnonzero(held_out(number)) if only_held_out else np.arange(batch.n_events)
        if not len(events):
            continue
        part = batch.select(events)
        result = reconstruct(part, channels, models, with_truth=True)
        tables = [result.tables[name] for name in channels.tags]
        weight = part.events["weight"].astype(np.float64)
        features = tag_features(tables, result.tables, channels, part)
        for table, X in zip(tables, features, strict=True):
            event = table.event_index
            found.append((X, table["isSignal"], weight[event], measures[events[event]]))
    return found
