"""From event files to HTA candidates: file by file, resumable, mergeable."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.analysis import Inputs
from fei_lite.analyses.k_nunu.candidates import Counts, hta_candidates, signal_set
from fei_lite.analyses.ntuple import Columns, is_ntuple, joined, read_ntuple, write_ntuple
from fei_lite.analyses.samples import Source, check_distinct, source_of
from fei_lite.classifiers.tagger import Tagger, load_tagger, tagger_of_run
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch
from fei_lite.events.ranges import BATCH_SIZE, EntryRange, entry_ranges, read_range
from fei_lite.parallel import Context, map_in_context
from fei_lite.reconstruction.engine import Reconstruction, reconstruct

ANALYSIS = "hta"
#: Version of the candidates: raise it when a column changes its meaning.
VERSION = 2

#: Called with the file, the events done and all its events.
Report = Callable[[str, int, int], None]


@dataclass
class Clock:
    """Seconds spent on the tag and on the analysis after it (of the processes' sum)."""

    tagging: float = 0.0
    analysis: float = 0.0


def _of_range(entries: EntryRange, sets: Tagger, *, signal: bool) -> tuple[Columns, Counts, Clock]:
    """Candidates of a range of entries."""
    parts, counts, clock = [], Counts(), Clock()
    for batch in read_range(entries):
        start, before = time.perf_counter(), clock.tagging
        columns, found = hta_candidates(batch, partial(_tags, sets=sets, clock=clock), signal=signal)
        parts.append(columns)
        counts.merge(found.steps)
        clock.analysis += time.perf_counter() - start - (clock.tagging - before)
    return joined(parts), counts, clock


def _tags(batch: EventBatch, *, sets: Tagger, clock: Clock | None = None) -> Reconstruction:
    """The Btags of a batch; the clock counts the time."""
    start = time.perf_counter()
    found = reconstruct(batch, *sets)
    if clock is not None:
        clock.tagging += time.perf_counter() - start
    return found


def make_candidates(path: Path, output: Path, *, models: str = DEFAULT_MODELS, channel_set: str | None = None,
                    workers: int = 1, batch_size: int = BATCH_SIZE, report: Report | None = None,
                    clock: Clock | None = None, tagger: Context[Tagger] | None = None) -> bool:
    """Write the candidates of one event file to ``output``, unless they are there already.

    They are if ``output`` was made from a file of the same origin and length
    with the same models and signal side. ``tagger`` is what ``models`` and ``channel_set`` name, where
    several files share it. Returns whether anything was done.
    Raises :class:`AnalysisError` for a file that does not say what was simulated.
    """
    source = source_of(path)
    tagger = tagger or tagger_of_run(models, channel_set)
    identity = _identity(tagger.value)
    if output.exists():
        _, metadata = read_ntuple(output)
        if {key: metadata.get(key) for key in identity} == identity and \
                [s["source"] for s in metadata["sources"]] == [source.to_json()]:
            return False
    work = partial(_of_range, signal=source.process == "signal")
    ranges = entry_ranges([path], batch_size=batch_size)
    parts, counts, done = [], Counts(), 0
    for entries, (columns, found, spent) in zip(ranges, map_in_context(work, ranges, tagger, workers=workers),
                                                strict=True):
        parts.append(columns)
        counts.merge(found.steps)
        if clock is not None:
            clock.tagging += spent.tagging
            clock.analysis += spent.analysis
        done += entries.stop - entries.start
        if report is not None:
            report(source.file, done, source.n_events)
    if not parts:
        raise AnalysisError(f"{path}: it holds no event.")
    _write(output, parts, source, counts, identity)
    return True


def simulate_candidates(process: str, seed: int, *, folder: Path, n: int, models: str = DEFAULT_MODELS,
                        channel_set: str | None = None, selection: str | None = None, reuse: int = 1) -> Path:
    """Candidates of simulated events that are never written: a file in ``folder``, unless it is there already.

    ``n`` events are generated (signal: the shipped decay file); ``selection`` and
    ``reuse`` are those of :func:`fei_lite.production.simulate.simulate`.
    """
    from fei_lite import __version__
    from fei_lite.production.simulate import simulate

    sets = load_tagger(models, channel_set)
    options: dict[str, Any] = {"fei_lite_version": __version__, "background": 1}
    if process == "signal":
        options["decay_file"] = "k_nunu"
    if selection is not None:
        options |= {"selection": selection, "reuse": reuse}
    output = folder / f"{process}_{seed}.parquet"
    identity = _identity(sets)
    said = {"process": process, "seed": seed, "n_generated": n * reuse, "options": options}
    if output.exists():
        _, metadata = read_ntuple(output)
        found = metadata["sources"][0]["source"]
        if {key: metadata.get(key) for key in identity} == identity and {key: found[key] for key in said} == said:
            return output
        raise AnalysisError(f"{output}: holds candidates of other options. Choose another folder, or remove it.")
    parts, counts, events = [], Counts(), 0
    for batch in simulate(process, n, seed=seed, dec_file="k_nunu" if process == "signal" else None,
                          selection=selection, reuse=reuse):
        columns, found_counts = hta_candidates(batch, partial(_tags, sets=sets), signal=process == "signal")
        parts.append(columns)
        counts.merge(found_counts.steps)
        events += batch.n_events
    source = Source(f"{process}_{seed}", process, seed, n * reuse, events, options)
    _write(output, parts, source, counts, identity)
    return output


def _identity(sets: Tagger) -> dict[str, Any]:
    """What candidates depend on besides their events."""
    channels, model_set = sets
    models = {"name": model_set.name, "date": model_set.manifest.get("date"), "channel_set": channels.hash}
    return {"analysis": ANALYSIS, "version": VERSION, "models": models,
            "signal_side": signal_set().hash}


def _write(output: Path, parts: list[Columns], source: Source, counts: Counts, identity: dict[str, Any]) -> None:
    columns = joined(parts)
    columns["source"] = np.zeros(len(columns["weight"]), dtype=np.int32)
    write_ntuple(output, columns, identity | {"sources": [{"source": source.to_json(), "counts": counts.steps}]},
                 force=True)


def read_candidates(paths: Sequence[Path]) -> Inputs:
    """Candidates of several ntuples as one input; raises :class:`AnalysisError` if events would count twice."""
    parts: list[Columns] = []
    sources: list[Source] = []
    counts: list[Any] = []
    kinds: dict[str, Path] = {}
    for path in paths:
        columns, metadata = read_ntuple(path)
        if (metadata.get("analysis"), metadata.get("version")) != (ANALYSIS, VERSION):
            raise AnalysisError(f"{path}: candidates of analysis '{metadata.get('analysis')}', version "
                                f"{metadata.get('version')}; expected '{ANALYSIS}', version {VERSION}. "
                                "Make them again.")
        kind = f"{metadata['models']} {metadata['signal_side']}"
        if kinds and kind not in kinds:
            raise AnalysisError(f"{path}: made with other models or another signal side than "
                                f"{next(iter(kinds.values()))}.")
        kinds[kind] = path
        columns["source"] = columns["source"] + len(sources)
        parts.append(columns)
        for entry in metadata["sources"]:
            sources.append(Source(**entry["source"]))
            counts.append(entry["counts"])
    check_distinct(sources)
    return Inputs(joined(parts), tuple(sources), tuple(counts))


def merge_candidates(paths: Sequence[Path], output: Path, *, force: bool = False) -> Inputs:
    """Write several ntuples of candidates as one: a long production in compact form."""
    inputs = read_candidates(paths)
    _, metadata = read_ntuple(paths[0])
    identity = {key: metadata[key] for key in ("analysis", "version", "models", "signal_side")}
    sources = [{"source": source.to_json(), "counts": counts}
               for source, counts in zip(inputs.sources, inputs.counts, strict=True)]
    write_ntuple(output, inputs.columns, identity | {"sources": sources}, force=force)
    return inputs


def candidate_files(inputs: Sequence[Path], folder: Path, *, models: str, channel_set: str | None, workers: int = 1,
                    report: Report | None = None, clock: Clock | None = None) -> list[Path]:
    """The ntuple of every input: itself if it is one, else made in ``folder`` (or found there)."""
    tagger = tagger_of_run(models, channel_set)
    found = []
    for path in inputs:
        if is_ntuple(path):
            found.append(path)
            continue
        output = folder / f"{Path(path).stem}.parquet"
        if output in found:
            raise AnalysisError(f"{path}: another input has the name {Path(path).stem} as well. Rename one.")
        folder.mkdir(parents=True, exist_ok=True)
        make_candidates(path, output, models=models, channel_set=channel_set, workers=workers, report=report,
                        clock=clock, tagger=tagger)
        found.append(output)
    return found
