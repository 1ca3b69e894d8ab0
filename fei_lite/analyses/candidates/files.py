"""From event files to candidates of an analysis: file by file, resumable, mergeable."""


from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.checks import check_candidates, check_columns_agree, check_steps_agree
from fei_lite.analyses.candidates.inputs import UNKNOWN, Inputs
from fei_lite.analyses.candidates.making import Counts, candidates
from fei_lite.analyses.candidates.ntuple import Columns, is_ntuple, joined, read_ntuple, write_ntuple
from fei_lite.analyses.candidates.samples import Source, check_distinct, process_of, source_of
from fei_lite.analyses.folders import Analysis, load_analysis, with_models
from fei_lite.analyses.selected import failed
from fei_lite.channels import ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch
from fei_lite.events.ranges import BATCH_SIZE, EntryRange, entry_ranges, read_range
from fei_lite.outputs import make_folder
from fei_lite.parallel import Context, Workers, map_in_context
from fei_lite.provenance import provenance, versions
from fei_lite.reconstruction.engine import Reconstruction, reconstruct

#: Version of the candidates: raise it when the file changes its meaning.
VERSION = 3

#: Cuts that a candidate fails, at most, that make it rarer.
_FAR = 2

#: Called with the file, the events done and all its events.
Report = Callable[[str, int, int], None]


@dataclass
class Clock:
    """Seconds spent on the tag and on the analysis after it (of the processes' sum)."""

    tagging: float = 0.0
    analysis: float = 0.0


@dataclass(frozen=True)
class Setup:
    """What makes candidates: an analysis (folder, other recipe), a model set and its channel set, by name."""

    folder: Path
    recipe: Path | None = None
    models: str | None = None
    channel_set: str | None = None

    def load(self) -> Loaded:
        """Read it all; raises children of :class:`FeiLiteError`."""
        analysis = with_models(load_analysis(self.folder, recipe=self.recipe), self.models)
        return Loaded(analysis, *load_tagger(analysis.recipe.tag.models, self.channel_set))

    def of_run(self) -> Context[Loaded]:
        """:meth:`load`, once in every process of a run."""
        return Context(self.load)


@dataclass(frozen=True)
class Loaded:
    """An analysis with its tagger."""

    analysis: Analysis
    channels: ChannelSet
    models: ModelSet

    @property
    def identity(self) -> dict[str, Any]:
        """What candidates depend on besides their events."""
        return {"analysis": self.analysis.name, "version": VERSION, "recipe": self.analysis.identity,
                "models": {"name": self.models.name, "date": self.models.manifest.get("date"),
                           "channel_set": self.channels.hash, "digest": self.models.digest}}

    def tags(self, batch: EventBatch, clock: Clock | None = None) -> Reconstruction:
        """The Btags of a batch; the clock counts the time."""
        start = time.perf_counter()
        found = reconstruct(batch, self.channels, self.models)
        if clock is not None:
            clock.tagging += time.perf_counter() - start
        return found


def _of_range(entries: EntryRange, sets: Loaded, *, process: str) -> tuple[Columns, Counts, Clock]:
    """Candidates of a range of entries."""
    parts, counts, clock = [], Counts(), Clock()
    for batch in read_range(entries):
        start, before = time.perf_counter(), clock.tagging
        columns, found = candidates(batch, sets.analysis, partial(sets.tags, clock=clock), process=process)
        parts.append(columns)
        counts.merge(found.steps)
        clock.analysis += time.perf_counter() - start - (clock.tagging - before)
    return joined(parts), counts, clock


def make_candidates(path: Path, output: Path, setup: Setup | Context[Loaded], *, workers: Workers = 1,
                    batch_size: int = BATCH_SIZE, report: Report | None = None, clock: Clock | None = None) -> bool:
    """Write the candidates of one event file to ``output``, unless they are there already.

    ``setup`` may be its :meth:`Setup.of_run`, where several files share it.
    They are if ``output`` was made from a file of the same origin and length with the same analysis and models.
    Returns whether anything was done. Raises :class:`AnalysisError` for a file that does not say what was simulated.
    """
    context = setup.of_run() if isinstance(setup, Setup) else setup
    source, sets = source_of(path), context.value
    if output.exists():
        _, metadata = read_ntuple(output)
        if {key: metadata.get(key) for key in sets.identity} == sets.identity and \
                [s["source"] for s in metadata["sources"]] == [source.to_json()]:
            return False
    work = partial(_of_range, process=process_of(source, sets.analysis.recipe.signal_decays))
    ranges = entry_ranges([path], batch_size=batch_size)
    parts, counts, done = [], Counts(), 0
    for entries, (columns, found, spent) in zip(ranges, map_in_context(work, ranges, context, workers=workers),
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
    write_candidates(output, parts, source, counts, sets.identity)
    return True


def is_made(output: Path, identity: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether candidates of this identity, of a source that says all of ``said``, are there already.

    Raises :class:`AnalysisError` if the file holds others.
    """
    if not output.exists():
        return False
    _, metadata = read_ntuple(output)
    source = metadata["sources"][0]["source"]
    if all(metadata.get(key) == value for key, value in identity.items()) \
            and all(source[key] == value for key, value in said.items()):
        return True
    raise AnalysisError(f"{output}: holds candidates of other options. Choose another folder, or remove it.")


def write_candidates(output: Path, parts: list[Columns], source: Source, counts: Counts,
                     identity: dict[str, Any]) -> None:
    """Write the candidates of one source, with the counts before them.

    Workers write them too: the command, which they do not know, is not among what the file says of itself.
    """
    columns = joined(parts)
    columns["source"] = np.zeros(len(columns["weight"]), dtype=np.int32)
    write_ntuple(output, columns, identity | {"sources": [{"source": source.to_json(), "counts": counts.steps}],
                                              "provenance": {"versions": versions()}}, force=True)


def read_candidates(paths: Sequence[Path], analysis: Analysis) -> Inputs:
    """Candidates of several ntuples as one input; raises :class:`AnalysisError` if events would count twice."""
    parts: list[Columns] = []
    sources: list[Source] = []
    counts: list[Any] = []
    places: list[Path] = []
    made_with: dict[str, Path] = {}
    for path in paths:
        columns, metadata = read_ntuple(path)
        if (metadata.get("recipe"), metadata.get("version")) != (analysis.identity, VERSION):
            raise AnalysisError(f"{path}: candidates of analysis '{metadata.get('analysis')}', version "
                                f"{metadata.get('version')}, with other variables or another signal side than "
                                f"'{analysis.name}' has now (version {VERSION}). Make them again.")
        models = str(metadata["models"])
        if made_with and models not in made_with:
            raise AnalysisError(f"{path}: made with other models than {next(iter(made_with.values()))}.")
        made_with[models] = path
        own = [Source(**entry["source"]) for entry in metadata["sources"]]
        steps = [entry["counts"] for entry in metadata["sources"]]
        check_candidates(path, columns, own, steps, analysis.recipe)
        if "partner" not in columns:  # both decays are of the event itself, or where the second is from was not written
            reused = np.array(["reuse" in source.options for source in own])[columns["source"]]
            columns["partner"] = np.where(reused, UNKNOWN, columns["event"].astype(np.int64))
        columns["source"] = columns["source"] + len(sources)
        parts.append(columns)
        sources += own
        counts += steps
        places += [path] * len(own)
    check_columns_agree(paths, parts)
    check_steps_agree(places, counts)
    check_distinct(sources)
    return Inputs(joined(parts), tuple(sources), tuple(counts))


def merge_candidates(paths: Sequence[Path], output: Path, analysis: Analysis, *, force: bool = False,
                     compact: bool = False, thin: float = 1.0, counted: float = 1.0) -> Inputs:
    """Write several ntuples of candidates as one.

    ``compact``: a long production that is to be kept; all but the weights with 24 bits of precision. ``thin``: of
    candidates that fail a cut, which no fit sees, only this part is kept, by chance, with as much more weight; of those
    that fail two or more the square of it. ``counted``: of the generated events, and so of the luminosity, only this
    part counts, and of all weights, where a selection left larger weights than that of other productions: the sum with
    those has the least error if each counts by luminosity over the mean weight (sum of squares over sum).
    """
    inputs = read_candidates(paths, analysis)
    if counted < 1.0:
        inputs = _counted(inputs, counted)
    if thin < 1.0:
        inputs = _thinned(inputs, analysis, thin)
    _, metadata = read_ntuple(paths[0])
    identity = {key: metadata[key] for key in ("analysis", "version", "recipe", "models")}
    sources = [{"source": source.to_json(), "counts": counts}
               for source, counts in zip(inputs.sources, inputs.counts, strict=True)]
    short = {name for name, values in inputs.columns.items() if values.dtype == np.float64} - {"weight"}
    columns = {name: values.astype(np.float32) if compact and name in short else values
               for name, values in inputs.columns.items()}
    write_ntuple(output, columns, identity | {"sources": sources, "provenance": provenance()}, force=force)
    return inputs


def _counted(inputs: Inputs, part: float) -> Inputs:
    """Inputs that stand for a part of their luminosity, with weights as much smaller."""
    sources = [replace(source, n_generated=max(round(part * source.n_generated), 1)) for source in inputs.sources]
    factors = np.array([now.n_generated / was.n_generated for now, was in zip(sources, inputs.sources, strict=True)])
    counts = [{sample: {step: [entries, weight * float(factor)] for step, (entries, weight) in steps.items()}
               for sample, steps in of.items()} for of, factor in zip(inputs.counts, factors, strict=True)]
    weight = inputs.columns["weight"] * factors[inputs.columns["source"]]
    return replace(inputs, columns=inputs.columns | {"weight": weight}, sources=tuple(sources), counts=tuple(counts))


def _thinned(inputs: Inputs, analysis: Analysis, part: float) -> Inputs:
    """Inputs with a part of the candidates that fail cuts; repeats itself."""
    chance = part ** np.minimum(failed(analysis.recipe, inputs.columns), _FAR)
    kept = np.random.default_rng(17).uniform(size=len(chance)) < chance
    columns = {name: values[kept] for name, values in inputs.columns.items()}
    columns["weight"] = columns["weight"] / chance[kept]
    return replace(inputs, columns=columns)


def candidate_files(inputs: Sequence[Path], folder: Path, setup: Setup, *, workers: Workers = 1,
                    report: Report | None = None, clock: Clock | None = None) -> list[Path]:
    """The ntuple of every input: itself if it is one, else made in ``folder`` (or found there)."""
    found, context = [], setup.of_run()
    for path in inputs:
        if is_ntuple(path):
            found.append(path)
            continue
        output = folder / f"{Path(path).stem}.parquet"
        if output in found:
            raise AnalysisError(f"{path}: another input has the name {Path(path).stem} as well. Rename one.")
        make_folder(folder)
        make_candidates(path, output, context, workers=workers, report=report, clock=clock)
        found.append(output)
    return found
