"""The training of the tag classifier, which judges all tag candidates of an event against each other.

It learns from events that no channel's classifier was fitted on: on the others
the channels know too much, and it would believe them.

Of ten million false candidates it can be fitted on a tenth. Nearly all of them are
hopeless; where the cut on the probability will be there are few, and heavy ones (of
continuum, of events without a B of the channel list). So candidates that their
channels believe are taken first, with the smaller weight that this calls for.

One event in five of these fits no forest. It ends the training, measures the result and
calibrates the probability of the event's best candidate (:mod:`fei_lite.training.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.classifiers.fitting import FittedChannel, fit_channel
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.classifiers.text import rescaled
from fei_lite.events.ranges import EntryRange
from fei_lite.events.types import event_types
from fei_lite.parallel import Context, Workers, map_in_context, threads_of
from fei_lite.reconstruction.competing import compare
from fei_lite.reconstruction.engine import ReconstructionOptions, reconstruct
from fei_lite.reconstruction.tag_classifier import FEATURES, tag_features
from fei_lite.training.calibration import fit_calibration
from fei_lite.training.journals import journal_of
from fei_lite.training.mixture import Factors, read_weighted
from fei_lite.training.sampling import VALIDATION_EVERY, ChannelSample, Floats, held_out

#: Settings of both forests: they have many events, and effects of several features at once matter.
TAG_CLASSIFIER: Mapping[str, Any] = {"n_trees": 800, "max_depth": 6, "num_leaves": 15, "learning_rate": 0.1,
                               "min_data_in_leaf": 100, "bagging_fraction": 0.7, "feature_fraction": 0.5,
                               "lambda_l2": 5.0}
#: Candidates of a class that each is fitted on at most.
TAG_CLASSIFIER_ENTRIES = 1_000_000
#: A candidate of probability p, after its channel, is worth sqrt(p + this) as an example: about the error that a
#: wrong p there makes in what is above a cut.
_HOPELESS = 1e-3


class _Rows(NamedTuple):
    """Candidates (n,): features (n, n_features), truth, whether the event is B Bbar, weight, part of the measurement,
    relevance, number of the event."""

    X: NDArray[Any]
    truth: NDArray[np.int8]
    is_bb: NDArray[np.bool_]
    weight: Floats
    measures: NDArray[np.bool_]
    relevance: Floats
    event: NDArray[np.int64]

    def select(self, rows: NDArray[np.bool_]) -> _Rows:
        """Some candidates."""
        return _Rows._make(column[rows] for column in self)


def fit_tag_classifier(
    ranges: Sequence[EntryRange], more: Sequence[EntryRange], folder: Path, *, channel_set: str, seed: int,
    factors: Factors, min_entries: int, workers: Workers = 1, journal: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> tuple[FittedChannel, FittedChannel | None]:
    """The tag classifier, from the held-out events of ``ranges`` and from all events of ``more``.

    The first forest is fitted on all these events, the second on those that are B Bbar; it is
    None without others. Both are calibrated for the best candidate of an event.
    ``folder`` holds the finished classifiers of the channels. One in five of these events
    ends the training, calibrates and measures the result, so that all parts are the same mixture; the
    candidates of these events are kept in memory (float32).
    ``report(done, total)`` counts events.
    """
    everything, given_bb = (ChannelSample(len(FEATURES), cap=TAG_CLASSIFIER_ENTRIES, seed=seed + i) for i in (0, 1))
    context = Context(partial(_channels_only, channel_set, str(folder)))
    done, total, only_bb = 0, sum(r.stop - r.start for r in (*ranges, *more)), True
    measured: list[_Rows] = []
    for some, only_held_out in ((ranges, True), (more, False)):
        work = partial(_tag_candidates, factors=factors, only_held_out=only_held_out)
        written = journal_of(folder, "tag classifier", work, context.value[1], (_Rows,)) if journal else None
        for entries, parts in zip(some, map_in_context(work, some, context, workers=workers, journal=written),
                                  strict=True):
            for part in parts:
                for sample, rows in ((everything, part), (given_bb, part.select(part.is_bb))):
                    sample.add(rows.X, rows.truth, rows.weight, rows.measures, rows.relevance)
                only_bb &= bool(part.is_bb.all())
                measured.append(_small(part.select(part.measures), of_more=not only_held_out))
            done += entries.stop - entries.start
            if report is not None:
                report(done, total)
        if written is not None:
            written.remove()

    def fit(sample: ChannelSample, *, of_bb: bool) -> FittedChannel:
        training, validation = sample.arrays()
        fitted = fit_channel(*training, names=FEATURES, seed=seed, validation=validation, parameters=TAG_CLASSIFIER,
                             min_entries=min_entries, num_threads=threads_of(workers))
        return _calibrated(fitted, [part.select(part.is_bb) for part in measured] if of_bb else measured)

    return fit(everything, of_bb=False), None if only_bb else fit(given_bb, of_bb=True)


def _small(rows: _Rows, *, of_more: bool) -> _Rows:
    """The candidates with features in float32, and event numbers that differ between the two lists of files."""
    with np.errstate(over="ignore", under="ignore"):  # beyond float32: infinite, or zero
        return rows._replace(X=rows.X.astype(np.float32), event=2 * rows.event + of_more)


def _calibrated(fitted: FittedChannel, measured: Sequence[_Rows]) -> FittedChannel:
    """The forest, its raw score such that the best candidate of an event is right as often as it says."""
    if not fitted.trained or not measured:
        return fitted
    model = fitted.model()
    log_odds = model.steepness * np.concatenate([model.raw_score(rows.X) for rows in measured])
    event, truth, weight = (np.concatenate([getattr(rows, name) for rows in measured])
                            for name in ("event", "truth", "weight"))
    best = compare(np.unique(event, return_inverse=True)[1], log_odds).rank == 1
    found = fit_calibration(log_odds[best], truth[best] == 1, weight[best])
    if found is None:
        return fitted
    return replace(fitted, calibration=found.to_json(),
                   text=rescaled(fitted.text, slope=found.slope, offset=found.offset / model.steepness))


def _channels_only(channel_set: str, folder: str) -> tuple[ChannelSet, ModelSet]:
    """The channel set, and the channels' classifiers of the folder."""
    return load_channel_set(channel_set), replace(load_model_set(folder), tag_classifier=None, given_bb=None)


def _tag_candidates(entries: EntryRange, sets: tuple[ChannelSet, ModelSet], *, factors: Factors,
                    only_held_out: bool) -> list[_Rows]:
    """The tag candidates of a range of events, which of them measure the result, and how relevant they are."""
    channels, models = sets
    found: list[_Rows] = []
    for batch in read_weighted(entries, factors):
        number = np.arange(batch.n_events) + entries.first_entry
        measures = held_out(number // VALIDATION_EVERY if only_held_out else number)
        events = np.flatnonzero(held_out(number)) if only_held_out else np.arange(batch.n_events)
        if not len(events):
            continue
        part = batch.select(events)
        result = reconstruct(part, channels, models, options=ReconstructionOptions(with_truth=True))
        tables = [result.tables[name] for name in channels.tags]
        weight = part.events["weight"].astype(np.float64)
        is_bb = event_types(part) != "other"
        features = tag_features(tables, result.tables, channels, part)
        for table, X in zip(tables, features, strict=True):
            event = table.event_index
            odds = np.exp(X[:, FEATURES.index("logOdds")].astype(np.float32).astype(np.float64))
            relevance = np.sqrt(odds / (1.0 + odds) + _HOPELESS)
            found.append(_Rows(X, table["isSignal"], is_bb[event], weight[event], measures[events[event]], relevance,
                               number[events[event]]))
    return found
