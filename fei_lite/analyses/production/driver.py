"""Productions: one set of simulated events for several analyses, in pieces that resume and add up.

A folder holds ``manifest.json`` (what all its pieces have in common), ``pieces`` (a record each), a folder of
candidates per analysis, the learned ``selections``, the ``experience`` they learned from and, if wanted, the tagged
``events``. The pieces of a process have seeds that follow each other. Folders made with other seeds add up.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.production.goals import Wanted, most_lacking, next_is_guide
from fei_lite.analyses.production.learning import kind_of, present_selection
from fei_lite.analyses.production.pieces import make_piece
from fei_lite.analyses.production.plans import Piece, Plan, Workshop
from fei_lite.analyses.production.records import counted, of_analyses, read_manifest, read_record, records_of
from fei_lite.analyses.production.scores import candidates_of
from fei_lite.data_files import json_content, read_text
from fei_lite.errors import AnalysisError, OutputError, shortened
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.parallel import Workers, executor_of, map_in_context

#: Events generated per piece: before anything was learned, and afterwards.
FIRST_PIECE = {"pairs": 4_000, "events": 20_000, "signal": 10_000}
PIECE = {"pairs": 12_000, "events": 60_000, "signal": 10_000}

#: Called with a record whenever a piece is done.
Report = Callable[[dict[str, Any]], None]


def produce_all(processes: Sequence[str], plan: Plan, folder: Path, *, seed: int, wanted: Wanted,
                workers: Workers = 1, report: Report | None = None) -> None:
    """Make the pieces that are missing in a folder, the process that lacks most first.

    With several workers the order of the pieces depends on which of them is done first; what each holds does not.
    Raises :class:`AnalysisError` for a process that no analysis has, for a folder of another plan or version, and
    where neither luminosity, nor events, nor seconds are given.
    """
    context, started, executor = plan.of_run(), time.monotonic(), executor_of(workers)
    workshop = context.value
    for process in processes:
        workshop.of(process)
    if wanted.nothing:
        raise AnalysisError("how much? Give a luminosity, a number of events or a time.")
    _check_manifest(folder, workshop)
    given: list[Piece] = []

    def missing() -> Iterator[Piece]:
        """The next piece, whenever a process is free for it."""
        while wanted.seconds is None or time.monotonic() - started <= wanted.seconds:
            planned = [piece for piece in given if not piece.record.exists()]
            piece = _next_piece(processes, folder, seed=seed, wanted=wanted, planned=planned, workshop=workshop)
            if piece is None:
                return
            given.append(piece)
            yield piece

    for path in map_in_context(make_piece, missing(), context, workers=executor):
        if report is not None:
            report(read_record(path))


def _check_manifest(folder: Path, workshop: Workshop) -> None:
    """Write what all pieces of a folder have in common, or compare with what is there."""
    path, said = folder / "manifest.json", json.loads(json.dumps(workshop.identity))
    if not path.exists():
        make_folder(folder)
        try:
            with atomic_output(path) as temporary:
                temporary.write_text(json.dumps(said, indent=1), encoding="utf-8")
            return
        except OutputError:
            if not path.exists():
                raise  # else another job was faster: is it of the same production?
    found = json_content(read_text(path, error=AnalysisError), where=str(path), error=AnalysisError)
    if not isinstance(found, dict):
        raise AnalysisError(f"{path}: got {shortened(found)}, expected what the pieces of a production have in common. "
                            "Choose another folder.")
    known = found.get("analyses")
    fewer = isinstance(known, dict) and said["analyses"].items() <= known.items()  # it may go on for some of them
    other = [key for key in said if found.get(key) != said[key] and not (key == "analyses" and fewer)]
    if other:
        raise AnalysisError(f"{path}: a production with other {', '.join(other)}. Choose another folder; an analysis "
                            "that came later or changed runs on the kept events (fei-lite analyse).")


def _next_piece(processes: Sequence[str], folder: Path, *, seed: int, wanted: Wanted, planned: Sequence[Piece],
                workshop: Workshop) -> Piece | None:
    """The next piece of the process that has least of what is wanted; None if all have enough."""
    every, events = records_of(folder), Counter({process: 0 for process in processes})
    records = [record for process in processes for record in of_analyses(
        [one for one in every if one["process"] == process], [one.analysis.name for one in workshop.of(process)])]
    for piece in planned:
        events[piece.process] += piece.n
    process = most_lacking(processes, records, events, wanted)
    if process is None:
        return None
    kind = kind_of(process)
    taken = {record["seed"] for record in every if record["process"] == process}
    taken |= {piece.seed for piece in planned if piece.process == process}
    number = next(k for k in range(seed, seed + len(taken) + 1) if k not in taken)
    if kind != "signal" and workshop.plan.plain:
        return Piece(process, number, PIECE["signal"], folder)
    if kind == "signal":
        done = events[process] + sum(record["n_generated"] for record in records if record["process"] == process)
        left = PIECE[kind] if wanted.events is None else wanted.events - done
        return Piece(process, number, min(PIECE[kind], left), folder)
    selection, path = present_selection(kind, [p for p in processes if kind_of(p) == kind], folder, records, workshop,
                                        seed=seed)
    if selection.number == 0:
        return Piece(process, number, FIRST_PIECE[kind], folder, path)
    waiting = sum(piece.process == process for piece in planned)
    return Piece(process, number, PIECE[kind], folder, path,
                 guide=next_is_guide(process, records, waiting, wanted))


def with_productions(inputs: Sequence[Path], analysis: Analysis) -> list[Path]:
    """Inputs of an analysis with the files of each production in place of its folder.

    Raises :class:`AnalysisError` for productions of different versions, settings or models, which do not add up.
    """
    found: list[Path] = []
    first: tuple[Path, dict[str, Any]] | None = None
    for path in inputs:
        if not os.path.isdir(path):
            found.append(path)
            continue
        found += production_files(path, analysis)
        said = read_manifest(path)
        first = first or (path, said)
        other = [key for key in ("fei_lite_version", "settings", "settings_digest") if said[key] != first[1][key]]
        if other:
            raise AnalysisError(f"{path}: a production with other {', '.join(other)} than {first[0]}: they do not add "
                                "up. Leave one out.")
    return found


def production_files(folder: Path, analysis: Analysis) -> list[Path]:
    """The candidates of an analysis in a production; where it is not among those it was made for, its tagged events.

    Raises :class:`AnalysisError` if there is neither.
    """
    records = records_of(folder)
    if not records:
        raise AnalysisError(f"{folder}: no production (no pieces/*.json) in this folder.")
    own = counted([record for record in of_analyses(records, [analysis.name])
                   if record["analyses"][analysis.name].get("identity") == analysis.identity])
    if own:
        return [candidates_of(folder, analysis, record) for record in own]
    events = [folder / "events" / f"{record['process']}_{record['seed']}.parquet" for record in counted(records)
              if record["selection"]]
    if not events or not all(path.exists() for path in events):
        known = {name for record in records for name in record["analyses"]}
        raise AnalysisError(f"{folder}: made for {', '.join(sorted(known))}, not for '{analysis.name}' as it is now, "
                            "and without its events (--keep-events). Produce it anew.")
    return events
