"""Candidates of embedded events: control decays simulated, found, removed or replaced, tagged; in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.files import Loaded, Setup, is_made, merge_candidates, write_candidates
from fei_lite.analyses.candidates.making import Counts, candidates
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.controls.embedding import find_particle, with_track_distances, without_found
from fei_lite.analyses.controls.replacement import embedded, generate_decays
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.recipes.controls import Embedding
from fei_lite.channels import load_channel_set
from fei_lite.errors import AnalysisError, nearest
from fei_lite.events import EventBatch
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.processes import SEEDS
from fei_lite.generator.settings import DEFAULT_SETTINGS
from fei_lite.outputs import make_folder
from fei_lite.parallel import Workers, map_in_context
from fei_lite.production.simulate import simulate

#: Called with the number of pieces done and wanted.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """A piece: ``n`` generated events of a decay file from a seed."""

    decay: str
    seed: int
    n: int


def embedding_of(analysis: Analysis, name: str) -> Embedding:
    """A control of the recipe; raises :class:`AnalysisError` if there is none of this name."""
    known = analysis.recipe.controls.embedding
    if name not in known:
        raise AnalysisError(f"analysis '{analysis.name}': controls.embedding: no '{name}'; known: "
                            f"{', '.join(known) or 'none'}.{nearest(name, known)}")
    return known[name]


def produce_embedded(name: str, setup: Setup, output: Path, *, seed: int, events: int, piece: int = 10_000,
                     settings: str = DEFAULT_SETTINGS, workers: Workers = 1,
                     report: Report | None = None) -> list[Path]:
    """Candidates of a control ``name`` of the recipe: OUTPUT/DECAY_FILE.parquet for each of its decay files.

    Of each at least ``events`` events are generated, in pieces of ``piece`` with seeds that follow ``seed``; pieces in
    OUTPUT/pieces are kept. ``settings`` are those of the generator of the control events; the signal decays that
    replace something always have the default. Raises :class:`AnalysisError`.
    """
    if events < 1 or piece < 1:
        raise AnalysisError(f"control '{name}': got {events} events in pieces of {piece}, expected 1 or more.")
    context = setup.of_run()
    analysis = context.value.analysis
    line, n = embedding_of(analysis, name), -(-events // piece)
    jobs = [Job(decay, seed + n * k + i, min(piece, events))
            for k, decay in enumerate(line.decay_files) for i in range(n)]
    work = partial(make_embedded, name=name, folder=make_folder(output / "pieces"), settings=settings)
    files: dict[str, list[Path]] = {}
    for done, (job, path) in enumerate(zip(jobs, map_in_context(work, jobs, context, workers=workers), strict=True), 1):
        files.setdefault(Path(job.decay).stem, []).append(path)
        if report is not None:
            report(done, len(jobs))
    for decay, paths in files.items():
        merge_candidates(paths, output / f"{decay}.parquet", analysis, force=True)
    return [output / f"{decay}.parquet" for decay in files]


def make_embedded(job: Job, sets: Loaded, *, name: str, folder: Path, settings: str) -> Path:
    """The candidates of one piece: a file in ``folder``, unless it is there already.

    Raises :class:`AnalysisError` if a file of other options is in its place, or no event holds the control decay.
    """
    from fei_lite import __version__

    line, analysis = embedding_of(sets.analysis, name), sets.analysis
    process = line.replace_by or line.process
    options: dict[str, Any] = {"fei_lite_version": __version__, "control": name, "settings": settings,
                               "control_decay": Path(job.decay).stem}
    if process in analysis.recipe.signal_decays:
        options["decay_file"] = Path(analysis.recipe.signal_decays[process].decay_file).stem
    said = {"process": "signal" if "decay_file" in options else process, "seed": job.seed, "n_generated": job.n,
            "options": options}
    output = folder / f"{name}_{Path(job.decay).stem}_{job.seed}.parquet"
    if is_made(output, sets.identity, said):
        return output
    parts, counts, n_events = [], Counts(), 0
    for batch in embedded_events(job, analysis, line, settings=settings):
        columns, steps = candidates(batch, analysis, sets.tags, process=process)
        parts.append(columns)
        counts.merge(steps.steps)
        n_events += batch.n_events
    if not parts:
        raise AnalysisError(f"control '{name}': none of {job.n} events of {job.decay} holds a '{line.particle}' of "
                            f"channel set '{line.channel_set}'. Generate more, or loosen its cuts.")
    source = Source(output.stem, str(said["process"]), job.seed, job.n, n_events, options)
    write_candidates(output, parts, source, counts, sets.identity)
    return output


def embedded_events(job: Job, analysis: Analysis, line: Embedding, *, settings: str) -> Iterator[EventBatch]:
    """The control events of a piece, with what the recipe says taken out and put in; batches without any left out."""
    channels = load_channel_set(Path(analysis.beside(line.channel_set)))
    decays = None
    if line.replace_by is not None:
        signal = read_signal_decay(Path(analysis.decay_file(line.replace_by)), process="signal")
        decays = generate_decays(signal, job.n, seed=(job.seed + SEEDS // 2) % SEEDS)
    rng = np.random.default_rng([job.seed, 20])
    for batch in simulate("signal", job.n, seed=job.seed, dec_file=analysis.beside(job.decay), settings=settings):
        found = find_particle(batch, channels, line.particle, by=line.best.by, highest=line.best.keep == "highest")
        if not len(found.event):
            continue
        yield (with_track_distances(without_found(batch, found)) if decays is None
               else embedded(batch, found, decays, rng=rng))
