"""Ntuples: candidates of event files as a table of any variables, one row per candidate or the best per event."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.classifiers.tagger import Tagger, load_tagger
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.errors import FeiLiteError
from fei_lite.events import EventBatch
from fei_lite.events.inputs import as_input
from fei_lite.events.ranges import BATCH_SIZE, EntryRange, entry_ranges, name_of, read_range
from fei_lite.parallel import Context, Journal, Workers, map_in_context
from fei_lite.parallel.worker import identity
from fei_lite.reconstruction.cutflow import CutFlow
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction, reconstruct
from fei_lite.reconstruction.options import ReconstructionOptions
from fei_lite.roe import Mask, load_masks
from fei_lite.tagging.best import TAG_PARTICLES, rank_tags
from fei_lite.tagging.driver import Totals, metadata
from fei_lite.tagging.output import TagWriter
from fei_lite.variables.cuts import parse_cut
from fei_lite.variables.evaluation import evaluate
from fei_lite.variables.request import Request, request
from fei_lite.variables.subject import Subject

TREE = "ntuple"
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Run:
    """What every process of a run needs."""

    tagger: Tagger
    signal: ChannelSet | None
    masks: Mapping[str, Mask]


def ntuple(
    inputs: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str], *,
    variables: str | os.PathLike[str] | Sequence[str] | Mapping[str, str], models: str = DEFAULT_MODELS,
    channel_set: str | None = None, signal_set: str | None = None, cut: str = "", best: bool = False,
    masks: str | os.PathLike[str] | None = None, force: bool = False, workers: Workers = 1,
    journal: bool = False, batch_size: int = BATCH_SIZE, max_events: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Totals:
    """Reconstruct event files and write candidates with the variables asked for.

    With ``signal_set`` (a shipped name or a folder) the rows are candidates of its last particle: tag-signal pairs,
    ``daughter(0, Mbc)`` the tag's; without, they are Btags. ``variables`` is a list, a mapping of column names to
    variables or expressions, or a TOML file with ``variables``, ``names`` and ``cut``. ``cut`` chooses rows; ``best``
    keeps, of those, the one of the highest SignalProbability of each event. ROOT (TTree ``ntuple``; names as basf2
    makes them ROOT compatible) or Parquet by the suffix; whole or not at all.

    Columns beside the variables: experiment, run, event, weight, candidate (its number in the event, from 0, the most
    probable first), nCandidates, and file and file_entry (number of the input, and of the event in it, from 0).
    ``workers`` and ``journal`` are as in :func:`fei_lite.tag_files`. Returns the sums over all events read. Raises
    :class:`UnknownNameError` and :class:`ExpressionError` for variables that do not exist before anything is read.
    """
    asked = request(variables, cut=cut)
    taken = [name for name in asked.columns if name in ("experiment", "run", "event", "weight", "candidate",
                                                        "nCandidates", "file", "file_entry")]
    if taken:
        raise FeiLiteError(f"ntuple: column '{taken[0]}' is always written. Give yours another name.")
    context = Context(partial(_prepare, models, channel_set, signal_set, masks))
    run = context.value
    paths = [as_input(path) for path in inputs]
    ranges = entry_ranges(paths, batch_size=batch_size, max_events=max_events)
    totals, cutflow = Totals(), CutFlow()
    read: list[str | os.PathLike[str]] = [*paths, run.tagger[1].source, run.tagger[0].path,
            *(Path(path) for path in (variables, masks) if isinstance(path, str | os.PathLike)),
            *([] if run.signal is None else [run.signal.path])]
    work = partial(_of_range, asked=asked, best=best)
    written = _journal(output, work, run, batch_size) if journal else None
    with TagWriter(output, force=force, tree=TREE, inputs=read) as writer:
        for parts in map_in_context(work, ranges, context, workers=workers, journal=written):
            for columns, flow, sums in parts:
                writer.write(columns)
                cutflow.merge(flow)
                totals.merge(sums)
            if progress is not None:
                progress(totals.n_events, ranges.expected_events)
        channels, model_set = run.tagger
        origin = {"channel_set": channel_set or channels.name, "channel_set_hash": channels.hash, "models": models,
                  "models_digest": model_set.digest, "cut": asked.cut, "rows": "best" if best else "all"}
        if run.signal is not None:
            origin |= {"signal_set": str(signal_set), "signal_set_hash": run.signal.hash}
        rows = [(stage, f"{name}: {step}", count) for stage, name, step, count in cutflow]
        writer.finish(rows, metadata(paths, totals, origin) | {"variables": dict(asked.columns)})
    if written is not None:
        written.remove()
    return totals


def _journal(output: str | os.PathLike[str], work: partial[Any], run: _Run, batch_size: int) -> Journal:
    """The journal of a run, for these options, models, channels and masks."""
    options = {name: str(value) for name, value in work.keywords.items()}
    key = {"run": "ntuple", "options": options, "batch_size": batch_size, "models": run.tagger[1].digest,
           "channels": run.tagger[0].hash, "signal": None if run.signal is None else run.signal.hash,
           "masks": str(run.masks), "identity": identity()}
    return Journal(Journal.beside(output), key, name_of, classes=(CutFlow, Totals))


def _prepare(models: str, channel_set: str | None, signal_set: str | None,
             masks: str | os.PathLike[str] | None) -> _Run:
    signal = None if signal_set is None else load_channel_set(signal_set)
    if signal is not None and (classified := [c.identifier for c in signal.channels() if c.features]):
        raise FeiLiteError(f"signal side '{signal_set}': {classified[0]} has a classifier. Write classifier = \"none\" "
                           "in its file: signal sides have none.")
    return _Run(load_tagger(models, channel_set), signal, {} if masks is None else load_masks(masks))


def _of_range(entries: EntryRange, run: _Run, *, asked: Request, best: bool) -> list[tuple[Columns, CutFlow, Totals]]:
    return [_of_batch(batch, run, asked=asked, best=best, first_entry=entries.first_entry, file=entries.file)
            for batch in read_range(entries)]


def _of_batch(batch: EventBatch, run: _Run, *, asked: Request, best: bool,
              first_entry: int, file: int) -> tuple[Columns, CutFlow, Totals]:
    tags = reconstruct(batch, *run.tagger)
    totals, cutflow = Totals(), CutFlow()
    totals.add(batch, first_entry=first_entry)
    cutflow.merge(tags.cutflow)
    subjects = list(_pairs(batch, tags, run) if run.signal is not None else _btags(tags, run))
    found = [_candidates(subject, asked) for subject in subjects]
    joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    event, probability, chi = (joined.pop(name) for name in ("_event", "_probability", "_chi"))
    order, rank = rank_tags(event, probability, chi)
    counts = np.bincount(event, minlength=batch.n_events)
    columns: Columns = {name: batch.events[name][event[order]] for name in ("experiment", "run", "event", "weight")}
    columns |= {"candidate": (rank - 1).astype(np.int32), "nCandidates": counts[event[order]].astype(np.int32),
                "file": np.full(len(order), file, np.int32),
                "file_entry": (event[order] + batch.start).astype(np.int64)}
    columns |= {name: values[order] for name, values in joined.items()}
    cutflow.add("events", "ntuple", "candidates", len(order))
    cutflow.add("events", "ntuple", "events with a candidate", int(np.count_nonzero(counts)))
    return ({name: values[rank == 1] for name, values in columns.items()} if best else columns), cutflow, totals


def _pairs(batch: EventBatch, tags: Reconstruction, run: _Run) -> Iterator[Subject]:
    """Candidates of the particles that the signal side is for."""
    assert run.signal is not None
    with_truth = all("mc" in table.columns for table in tags.tables.values())
    result = reconstruct(batch, run.signal, NoClassifiers(), btags=tags,
                         options=ReconstructionOptions(with_truth=with_truth))
    for name in run.signal.tags:
        yield Subject(result.tables[name], result=result, masks=run.masks)


def _btags(tags: Reconstruction, run: _Run) -> Iterator[Subject]:
    for name in TAG_PARTICLES:
        if name in tags.tables:
            yield Subject(tags.tables[name], result=tags, masks=run.masks)


def _candidates(subject: Subject, asked: Request) -> Columns:
    """The columns of the candidates that pass the cut, and what they are ordered by."""
    if asked.cut:
        subject = subject.take(parse_cut(asked.cut).passes(subject))
    values = evaluate(list(dict.fromkeys(asked.columns.values())), subject)
    columns = {name: _plain(values[text]) for name, text in asked.columns.items()}
    return columns | {"_event": subject.event, "_probability": subject.column("SignalProbability"),
                      "_chi": subject.column("chiProb")}


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float64, counts and flags as whole numbers."""
    kind = np.float64 if values.dtype.kind == "f" else np.int8 if values.dtype.kind == "b" else np.int64
    return values.astype(kind)
