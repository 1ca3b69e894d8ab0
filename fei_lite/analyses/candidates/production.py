"""Candidates of simulated events that are never written: in pieces, resumable, merged at the end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fei_lite.analyses.candidates.files import Loaded, Setup, is_made, merge_candidates, write_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.making import Counts, candidates
from fei_lite.analyses.candidates.samples import Source
from fei_lite.errors import AnalysisError
from fei_lite.generator.processes import events_in
from fei_lite.generator.settings import DEFAULT_SETTINGS
from fei_lite.outputs import make_folder
from fei_lite.parallel import Workers, map_in_context

#: Called with the number of pieces done and wanted.
Report = Callable[[int, int], None]


def produce(process: str, setup: Setup, output: Path, *, seed: int, events: int | None = None,
            luminosity: float | None = None, piece: int = 20_000, workers: Workers = 1,
            settings: str = DEFAULT_SETTINGS, report: Report | None = None) -> Inputs:
    """Candidates of ``events`` generated events (or those of ``luminosity`` 1/fb) in OUTPUT/PROCESS.parquet.

    Pieces of ``piece`` events (times the recipe's reuse) have the seeds ``seed``, ``seed + 1`` ...; those that stand
    in OUTPUT/pieces already are kept. ``settings`` are Pythia's. Raises :class:`AnalysisError` for a process that is
    none of the recipe's, and unless exactly one of ``events`` and ``luminosity`` is given.
    """
    context = setup.of_run()
    analysis = context.value.analysis
    analysis.recipe.samples_of(process)
    if (events is None) == (luminosity is None):
        raise AnalysisError(f"{process}: expected a number of events or a luminosity, got {events} and {luminosity}.")
    wanted = events if events is not None else events_in(process, float(luminosity or 0.0))
    n = max(1, -(-wanted // (piece * _reuse(process, analysis.recipe.production.reuse))))
    folder = make_folder(output / "pieces")
    work = partial(_piece, process=process, folder=folder, n=piece, settings=settings)
    files = []
    for path in map_in_context(work, range(seed, seed + n), context, workers=workers):
        files.append(path)
        if report is not None:
            report(len(files), n)
    return merge_candidates(files, output / f"{process}.parquet", analysis, force=True)


def _piece(seed: int, sets: Loaded, *, process: str, folder: Path, n: int, settings: str) -> Path:
    return simulate_candidates(process, seed, sets, folder=folder, n=n, settings=settings)


def _reuse(process: str, reuse: int) -> int:
    """Combinations of each B decay: continuum and signal have none."""
    return reuse if process in ("charged", "mixed") else 1


def simulate_candidates(process: str, seed: int, sets: Loaded, *, folder: Path, n: int,
                        settings: str = DEFAULT_SETTINGS) -> Path:
    """Candidates of simulated events that are never written: a file in ``folder``, unless it is there already.

    ``n`` events are generated of a process of the recipe: signal with its decay file, background with the recipe's
    generator-level selection and reuse (continuum cannot be reused). ``settings`` are Pythia's.
    """
    from fei_lite import __version__
    from fei_lite.production.simulate import simulate

    recipe, decays = sets.analysis.recipe, sets.analysis.recipe.signal_decays
    signal = process in decays
    recipe.samples_of(process)
    selection = None if signal else recipe.production.selection
    reuse = _reuse(process, recipe.production.reuse) if selection else 1
    options: dict[str, Any] = {"fei_lite_version": __version__, "background": 1}
    if signal:
        options["decay_file"] = Path(decays[process].decay_file).stem
    if selection is not None:
        options |= {"selection": selection, "reuse": reuse}
    if settings != DEFAULT_SETTINGS:
        options["settings"] = settings
    output = folder / f"{process}_{seed}.parquet"
    named = "signal" if signal else process
    said = {"process": named, "seed": seed, "n_generated": n * reuse, "options": options}
    if is_made(output, sets.identity, said):
        return output
    parts, counts, events = [], Counts(), 0
    for batch in simulate(named, n, seed=seed, dec_file=sets.analysis.decay_file(process) if signal else None,
                          selection=selection, reuse=reuse, settings=settings):
        columns, found_counts = candidates(batch, sets.analysis, sets.tags, process=process)
        parts.append(columns)
        counts.merge(found_counts.steps)
        events += batch.n_events
    source = Source(f"{process}_{seed}", named, seed, n * reuse, events, options)
    write_candidates(output, parts, source, counts, sets.identity)
    return output
