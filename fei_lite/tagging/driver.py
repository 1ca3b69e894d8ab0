"""From event files to a file of Btags, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import fei_lite
from fei_lite.channels import ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.classifiers.tagger import Tagger, tagger_of_run
from fei_lite.events import EventBatch
from fei_lite.events.inputs import read_by
from fei_lite.events.ranges import BATCH_SIZE, COUNTED_FIRST, EntryRange, entry_ranges, name_of, read_range
from fei_lite.events.reading import has_truth
from fei_lite.events.same_events import digest_of
from fei_lite.events.types import event_types
from fei_lite.kernels.ahead import compile_ahead
from fei_lite.outputs import PathLike
from fei_lite.parallel import Journal, Processes, Workers, executor_of, map_in_context
from fei_lite.parallel.worker import identity
from fei_lite.provenance import provenance
from fei_lite.reconstruction.classifiers import Classifiers
from fei_lite.reconstruction.cutflow import CutFlow
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.reconstruction.first_look import first_look_of
from fei_lite.reconstruction.options import ReconstructionOptions
from fei_lite.tagging.best import TAG_PARTICLES, Btags, select_tags
from fei_lite.tagging.output import TagWriter
from fei_lite.tagging.table import Column
from fei_lite.variables.names import check

#: Said of a model set with which no event can get a Btag.
NO_B_CHANNEL = ("model set '{name}' has no classifier for any channel of the B: no event can get a Btag, and all "
                "efficiencies are 0. Train it with more events (fei-lite train tells how many), or take a shipped set.")


def count_b_channels(channels: ChannelSet, models: Classifiers) -> dict[str, int]:
    """How many channels of the tag B's have a classifier, and how many there are."""
    of_b = [channel.identifier for name in TAG_PARTICLES if name in channels.particles
            for channel in channels.particles[name].channels if channel.features]
    return {"trained": sum(models.has_model(identifier) for identifier in of_b), "all": len(of_b)}


@dataclass
class Totals:
    """Sums over all events read: number, weights, per event type."""

    n_events: int = 0
    sum_of_weights: float = 0.0
    sum_of_squared_weights: float = 0.0
    event_types: dict[str, dict[str, float]] = field(default_factory=dict)
    #: Which events they were, in which order: see :func:`fei_lite.events.same_events.digest_of`.
    digest: int = 0

    def add(self, batch: EventBatch, *, first_entry: int = 0) -> None:
        """Add the events of a batch, whose first one has the number ``first_entry`` among all."""
        self._add_digest(digest_of(batch, first_entry))
        weight = batch.events["weight"].astype(np.float64)
        types = event_types(batch)
        self.n_events += batch.n_events
        self.sum_of_weights += float(weight.sum())
        self.sum_of_squared_weights += float((weight**2).sum())
        for name in np.unique(types):
            row, of_type = self._row(str(name)), weight[types == name]
            row["n_events"] += len(of_type)
            row["sum_of_weights"] += float(of_type.sum())
            row["sum_of_squared_weights"] += float((of_type**2).sum())

    def merge(self, other: Totals) -> None:
        """Add the sums of another part."""
        self._add_digest(other.digest)
        self.n_events += other.n_events
        self.sum_of_weights += other.sum_of_weights
        self.sum_of_squared_weights += other.sum_of_squared_weights
        for name, row in other.event_types.items():
            mine = self._row(name)
            for key, value in row.items():
                mine[key] += value

    def _add_digest(self, digest: int) -> None:
        self.digest = (self.digest + digest) % 2**64

    def _row(self, event_type: str) -> dict[str, float]:
        return self.event_types.setdefault(
            event_type, {"n_events": 0, "sum_of_weights": 0.0, "sum_of_squared_weights": 0.0})


@dataclass(frozen=True)
class TaggedBatch:
    """What one batch of events gave."""

    tags: Btags
    cutflow: CutFlow
    totals: Totals


def tag_batch(batch: EventBatch, channel_set: ChannelSet, models: ModelSet, *,
              first_entry: int = 0, variables: Mapping[str, str] | None = None, speed: int | None = None,
              file: int = 0) -> TaggedBatch:
    """Reconstruct a batch of events and choose the Btags; ``variables`` are further columns (name -> expression).

    ``first_entry`` is the number of the batch's first event among all, ``file`` that of its file. ``speed``: level of
    the models' first look (:func:`fei_lite.reconstruction.first_look.first_look_of`), theirs if None.
    """
    result = reconstruct(batch, channel_set, models, options=ReconstructionOptions(speed=speed))
    tags = select_tags(result, first_entry=first_entry, variables=variables, file=file)
    tagged = int(np.count_nonzero(tags.columns["best"]))
    result.cutflow.add("events", "all", "tagged", tagged)
    result.cutflow.add("events", "all", "untagged", batch.n_events - tagged)
    totals = Totals()
    totals.add(batch, first_entry=first_entry)
    return TaggedBatch(tags, result.cutflow, totals)


def _tag_range(entries: EntryRange, sets: Tagger, *, variables: Mapping[str, str],
               speed: int | None) -> list[TaggedBatch]:
    return [tag_batch(batch, *sets, first_entry=entries.first_entry, variables=variables, speed=speed,
                      file=entries.file)
            for batch in read_range(entries)]


def tag_files(
    inputs: Sequence[PathLike], output: PathLike, *, models: str, channel_set: str | None = None, force: bool = False,
    workers: Workers = 1, journal: bool = False, batch_size: int = BATCH_SIZE, max_events: int | None = None,
    distinct: bool = True, variables: Mapping[str, str] | None = None, speed: int | None = None,
    progress: Callable[[int, int], None] | None = None, notice: Callable[[str], None] | None = None,
) -> Totals:
    """Reconstruct event files and write all B candidates to ``output``.

    ``channel_set`` defaults to the one of the models. ROOT or Parquet by the
    suffix; written whole or not at all. In a list of files with and without truth, isSignal is -1 where there
    is none. The same events twice are refused (unless ``distinct`` is False).
    ``notice`` gets a sentence on a model set that cannot give a Btag, and on kernels that have to be compiled first.
    ``progress`` is called with (events done, events in all). Memory depends on ``batch_size`` and ``workers``, not on
    the files; while many files are not yet counted, the events in all are an estimate. ``variables`` are further
    columns: name -> variable or expression. ``speed``: level of the models' first look, 0 is none,
    the largest the fastest, None the level that the models name. ``workers`` are processes, or an executor
    (:mod:`fei_lite.parallel`).
    With ``journal`` what is done stands in ``output``.journal until all is: after a kill, the same call goes on
    there. Returns the sums over the events read.
    """
    asked = dict(variables or {})
    for name, text in asked.items():
        check(text, f"column '{name}'")
    context = tagger_of_run(models, channel_set)
    channels, model_set = context.value
    executor = executor_of(workers)
    first_look_of(model_set, speed)  # complain before any work
    ranges = entry_ranges(inputs, batch_size=batch_size, max_events=max_events, distinct=distinct)
    b_channels = count_b_channels(channels, model_set)
    if notice is not None and b_channels["all"] and not b_channels["trained"]:
        notice(NO_B_CHANNEL.format(name=model_set.name))
    # Btags of events without truth among others have the columns of truth as well: -1, not known
    mixed = len(inputs) > 1 and any(has_truth(path) for path in inputs[:COUNTED_FIRST])
    origin: dict[str, Any] = {"channel_set": channel_set or channels.name, "channel_set_hash": channels.hash,
              "models": models, "models_digest": model_set.digest, "b_channels": b_channels}
    if (level := model_set.speed if speed is None else speed):
        origin["speed"] = level
    if asked:
        origin["variables"] = json.dumps(asked)
    written = _journal(output, origin | {"batch_size": batch_size}, notice) if journal else None
    totals, cutflow = Totals(), CutFlow()
    with TagWriter(output, force=force, inputs=[*inputs, model_set.source, channels.path]) as writer:
        work = partial(_tag_range, variables=asked, speed=speed)
        if isinstance(executor, Processes):
            compile_ahead(notice)
        for parts in map_in_context(work, ranges, context, workers=executor, journal=written):
            for part in parts:
                writer.write(with_truth_columns(part.tags.columns) if mixed else part.tags.columns)
                totals.merge(part.totals)
                cutflow.merge(part.cutflow)
            if progress is not None:
                progress(totals.n_events, ranges.expected_events)
        rows = [(stage, f"{name}: {step}", count) for stage, name, step, count in cutflow]
        writer.finish(rows, metadata(inputs, totals, origin))
    if written is not None:
        written.remove()
    return totals


def _journal(output: PathLike, options: Mapping[str, Any], notice: Callable[[str], None] | None) -> Journal:
    """The journal of a run: for these options, models, channels and versions."""
    return Journal(Journal.beside(output), {"run": "tag_files", "options": options, "identity": identity()}, name_of,
                   classes=(TaggedBatch, Btags, CutFlow, Totals), notice=notice)


def with_truth_columns(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Columns of Btags with those of truth, which are -1 (mcPDG: 0) where nothing is known."""
    if "isSignal" in columns:
        return dict(columns)
    n = len(columns["event"])
    unknown: dict[str, Column] = {"isSignal": np.full(n, -1, np.int8), "mcErrors": np.full(n, -1, np.int32),
                                  "mcPDG": np.zeros(n, np.int32)}
    return {**columns, **unknown}


def metadata(inputs: Sequence[PathLike], totals: Totals, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a Btag file says about itself; ``origin`` names channels and models, with the hashes of their content."""
    return {
        "fei_lite": fei_lite.__version__, **origin, "provenance": provenance(), **read_by(inputs),
        "inputs": [str(path) for path in inputs], "n_events": totals.n_events,
        "sum_of_weights": totals.sum_of_weights, "sum_of_squared_weights": totals.sum_of_squared_weights,
        "event_types": totals.event_types, "events_digest": f"{totals.digest:016x}",
    }
