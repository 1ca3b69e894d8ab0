"""The training of the last classifier, which judges all tag candidates of an event against each other.

It learns from events that no channel's classifier was fitted on: on the others
the channels know too much, and it would believe them.

Of ten million false candidates it can be fitted on a tenth. Nearly all of them are
hopeless; where the cut on the probability will be there are few, and heavy ones (of
continuum, of events without a B of the channel list). So candidates that their
channels believe are taken first, with the smaller weight that this calls for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.classifiers.fitting import FittedChannel, fit_channel
from fei_lite.classifiers.manifest import MANIFEST
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.events.ranges import EntryRange
from fei_lite.events.types import event_types
from fei_lite.parallel import ordered_map
from fei_lite.reconstruction.deciding import FEATURES, tag_features
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.training.mixture import Factors, read_weighted
from fei_lite.training.sampling import VALIDATION_EVERY, ChannelSample, Floats, held_out

#: Settings of both forests: they have many events, and effects of several features at once matter.
DECIDING: Mapping[str, Any] = {"n_trees": 800, "max_depth": 6, "num_leaves": 15, "learning_rate": 0.1,
                               "min_data_in_leaf": 100, "bagging_fraction": 0.7, "feature_fraction": 0.5,
                               "lambda_l2": 5.0}
#: Candidates of a class that each is fitted on at most.
DECIDING_ENTRIES = 1_000_000
#: A candidate of probability p, after its channel, is worth sqrt(p + this) as an example: about the error that a
#: wrong p there makes in what is above a cut.
_HOPELESS = 1e-3

#: Of candidates: features, truth, whether the event is B Bbar, weight, part of the measurement, relevance.
_Rows = tuple[Floats, NDArray[np.int8], NDArray[np.bool_], Floats, NDArray[np.bool_], Floats]


def fit_deciding(
    ranges: Sequence[EntryRange], more: Sequence[EntryRange], folder: Path, *, channel_set: str, seed: int,
    factors: Factors, min_entries: int, workers: int = 1, report: Callable[[int, int], None] | None = None,
) -> tuple[FittedChannel, FittedChannel | None]:
    """The last classifier, from the held-out events of ``ranges`` and from all events of ``more``.

    The first forest is fitted on all these events, the second on those that are B Bbar; it is
    None without others.
    ``folder`` holds the finished classifiers of the channels. One in five of these events
    ends the training and measures the result, so that both parts are the same mixture.
    ``report(done, total)`` counts events.
    """
    everything, in_bb = (ChannelSample(len(FEATURES), cap=DECIDING_ENTRIES, seed=seed + i) for i in (0, 1))
    state = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    done, total, only_bb = 0, sum(r.stop - r.start for r in (*ranges, *more)), True
    for some, only_held_out in ((ranges, True), (more, False)):
        work = partial(_tag_candidates, channel_set=channel_set, folder=str(folder), state=state,
                       factors=factors, only_held_out=only_held_out)
        for entries, parts in zip(some, ordered_map(work, some, workers=workers), strict=True):
            for X, truth, is_bb, weight, measures, relevance in parts:
                everything.add(X, truth, weight, measures, relevance)
                in_bb.add(X[is_bb], truth[is_bb], weight[is_bb], measures[is_bb], relevance[is_bb])
                only_bb &= bool(is_bb.all())
            done += entries.stop - entries.start
            if report is not None:
                report(done, total)

    def fit(sample: ChannelSample) -> FittedChannel:
        training, validation = sample.arrays()
        return fit_channel(*training, names=FEATURES, seed=seed, validation=validation, parameters=DECIDING,
                           min_entries=min_entries, num_threads=workers)

    return fit(everything), None if only_bb else fit(in_bb)


@cache
def _loaded(channel_set: str, folder: str, state: str) -> tuple[ChannelSet, ModelSet]:
    """The sets of this process; ``state`` tells one training in the folder from another."""
    return load_channel_set(channel_set), replace(load_model_set(folder), deciding=None, in_bb=None)


def _tag_candidates(entries: EntryRange, *, channel_set: str, folder: str, state: str,
                    factors: Factors, only_held_out: bool) -> list[_Rows]:
    """The tag candidates of a range of events, which of them measure the result, and how relevant they are."""
    channels, models = _loaded(channel_set, folder, state)
    found: list[_Rows] = []
    for batch in read_weighted(entries, factors):
        number = np.arange(batch.n_events) + entries.first_entry
        measures = held_out(number // VALIDATION_EVERY if only_held_out else number)
        events = np.flatnonzero(held_out(number)) if only_held_out else np.arange(batch.n_events)
        if not len(events):
            continue
        part = batch.select(events)
        result = reconstruct(part, channels, models, with_truth=True)
        tables = [result.tables[name] for name in channels.tags]
        weight = part.events["weight"].astype(np.float64)
        is_bb = event_types(part) != "other"
        features = tag_features(tables, result.tables, channels, part)
        for table, X in zip(tables, features, strict=True):
            event = table.event_index
            odds = np.exp(X[:, FEATURES.index("logOdds")].astype(np.float32).astype(np.float64))
            relevance = np.sqrt(odds / (1.0 + odds) + _HOPELESS)
            found.append((X, table["isSignal"], is_bb[event], weight[event], measures[events[event]], relevance))
    return found
