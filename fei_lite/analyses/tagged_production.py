"""Productions: one set of simulated events for several analyses, in pieces that resume and add up.

A folder holds ``manifest.json`` (what all its pieces have in common), ``pieces`` (a record each), a folder of
candidates per analysis, the learned ``selections``, the ``experience`` they learned from and, if wanted, the tagged
``events``. The pieces of a process have seeds that follow each other. Folders made with other seeds add up.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.production_pieces import (
    Piece,
    Plan,
    Workshop,
    experience_file,
    make_piece,
    read_experience,
    read_record,
)
from fei_lite.data_files import json_content, read_text
from fei_lite.errors import AnalysisError, OutputError, shortened
from fei_lite.generator.processes import PROCESSES, events_in
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.parallel import map_in_context
from fei_lite.production.learned import Costs, Experience, LearnedSelection, first_selection, learn, load_selection

#: Events generated per piece: before anything was learned, and afterwards.
FIRST_PIECE = {"pairs": 4_000, "events": 20_000, "signal": 10_000}
PIECE = {"pairs": 6_000, "events": 60_000, "signal": 10_000}
#: Combinations of each B decay, likewise, and copies of an event of continuum at most.
FIRST_REUSE, REUSE, SPLIT = 20, 100, 20
#: Candidates after which a selection is learned first, and by what factor more it is learned anew.
CANDIDATES, MORE = 100, 2.0
#: Events that a selection is learned from, at most; the latest count.
_ROWS = 400_000

#: Called with a record whenever a piece is done.
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wanted:
    """How much of each process: an integrated luminosity (1/fb), or generated events (signal); seconds to spend."""

    luminosity: float | None = None
    events: int | None = None
    seconds: float | None = None


def kind_of(process: str) -> str:
    """``pairs`` of B, ``events`` of continuum, or ``signal``."""
    if process not in PROCESSES:
        return "signal"
    return "pairs" if PROCESSES[process].kind == "bb" else "events"


def produce_all(processes: Sequence[str], plan: Plan, folder: Path, *, seed: int, wanted: Wanted, reuse: int = REUSE,
                workers: int = 1, report: Report | None = None) -> None:
    """Make the pieces that are missing in a folder, the process that lacks most first.

    Raises :class:`AnalysisError` for a process that no analysis has, for a folder of another plan or version, and
    where neither luminosity, nor events, nor seconds are given.
    """
    context, started = plan.of_run(), time.monotonic()
    workshop = context.value
    for process in processes:
        workshop.of(process)
    if wanted.luminosity is None and wanted.events is None and wanted.seconds is None:
        raise AnalysisError("how much? Give a luminosity, a number of events or a time.")
    _check_manifest(folder, workshop)
    while True:
        if wanted.seconds is not None and time.monotonic() - started > wanted.seconds:
            return
        pieces: list[Piece] = []
        for _ in range(1 if workers == 1 else 3 * workers):
            piece = _next_piece(processes, folder, seed=seed, wanted=wanted, reuse=reuse, planned=pieces,
                                workshop=workshop)
            if piece is None:
                break
            pieces.append(piece)
        if not pieces:
            return
        for path in map_in_context(make_piece, pieces, context, workers=min(workers, len(pieces))):
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
    other = [key for key in said if found.get(key) != said[key]]
    if other:
        raise AnalysisError(f"{path}: a production with other {', '.join(other)}. Choose another folder; an analysis "
                            "that came later or changed runs on the kept events (fei-lite analyse).")


def records_of(folder: Path) -> list[dict[str, Any]]:
    """What the pieces of a folder say of themselves."""
    return [read_record(path) for path in sorted((folder / "pieces").glob("*.json"))]


def _next_piece(processes: Sequence[str], folder: Path, *, seed: int, wanted: Wanted, reuse: int,
                planned: Sequence[Piece], workshop: Workshop) -> Piece | None:
    """The next piece of the process that has least of what is wanted; None if all have enough."""
    records = records_of(folder)
    best: tuple[float, str] | None = None
    for process in processes:
        done = sum(record["n_generated"] for record in records if record["process"] == process)
        done += sum(piece.n * piece.reuse for piece in planned if piece.process == process)
        kind = kind_of(process)
        goal = (wanted.events if kind == "signal" else None if wanted.luminosity is None
                else events_in(process, wanted.luminosity))
        scale = goal or (1 if kind == "signal" else events_in(process, 1.0))
        if (goal is None or done < goal) and (best is None or done / scale < best[0]):
            best = done / scale, process
    if best is None:
        return None
    process = best[1]
    kind = kind_of(process)
    taken = {record["seed"] for record in records if record["process"] == process}
    taken |= {piece.seed for piece in planned if piece.process == process}
    number = next(k for k in range(seed, seed + len(taken) + 1) if k not in taken)
    if kind == "signal":
        goal = (wanted.events or PIECE[kind]) - round(best[0] * (wanted.events or 1))
        return Piece(process, number, min(PIECE[kind], max(goal, 1)), folder)
    selection, path = _selection(kind, folder, records, workshop, reuse=reuse)
    first = selection.number == 0
    size = (FIRST_PIECE if first else PIECE)[kind]
    return Piece(process, number, size, folder, path, 1 if kind == "events" else FIRST_REUSE if first else reuse)


def _selection(kind: str, folder: Path, records: Sequence[dict[str, Any]], workshop: Workshop, *,
               reuse: int) -> tuple[LearnedSelection, Path]:
    """The present selection of pairs or events: learned anew if there is enough more to learn from."""
    where = folder / "selections"
    make_folder(where)
    numbers = sorted(int(path.stem.split("_")[1]) for path in where.glob(f"{kind}_*.json"))
    if not numbers:
        found = first_selection(kind, 1 if kind == "pairs" else SPLIT)
        return found, found.save(where)
    path = where / f"{kind}_{numbers[-1]}.json"
    present = load_selection(path)
    of_kind = [record for record in records if kind_of(record["process"]) == kind and record["selection"]]
    candidates = sum(part["candidates"] for record in of_kind for part in record["analyses"].values())
    if candidates < max(CANDIDATES, MORE * present.learned_from.get("all_candidates", 0)):
        return present, path
    costs = _costs(of_kind, reuse if kind == "pairs" else 1)
    new = learn(_experience(folder, of_kind, workshop), before=present, costs=costs)
    new.learned_from["all_candidates"] = candidates
    return new, new.save(where)


def _costs(records: Sequence[dict[str, Any]], reuse: int) -> Costs:
    """Seconds per event, of each step the least that a piece of the latest selection took: the first one compiles."""
    latest = max(int(record["selection"]["name"].split("_")[1]) for record in records)
    records = [record for record in records if record["selection"]["name"].endswith(f"_{latest}")]

    def per(steps: Sequence[str], events: str, times: int = 1) -> float:
        return float(min(sum(record["seconds"].get(step, 0.0) for step in steps) * times / max(record[events], 1)
                         for record in records))

    made = per(["generate"], "n_generated", records[0]["reuse"]) / reuse
    return Costs(made + per(["select"], "offered"), per(["detect", "look"], "taken"),
                 per(["tag", "analyse", "write"], "tagged"))


def _experience(folder: Path, records: Sequence[dict[str, Any]], workshop: Workshop) -> Experience:
    """The experience of the latest pieces, up to some hundred thousand events; every piece is of the same analyses."""
    parts: list[Experience] = []
    for record in sorted(records, key=lambda record: -int(record["selection"]["name"].split("_")[1])):
        there = experience_file(folder, f"{record['process']}_{record['seed']}").exists()
        if there and sum(len(part.X) for part in parts) < _ROWS:
            parts.append(read_experience(folder, record, [one.analysis for one in workshop.of(record["process"])]))
    return Experience.joined(parts)


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
        said = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
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
    own = [record for record in records
           if record["analyses"].get(analysis.name, {}).get("identity") == analysis.identity]
    if own:
        return [folder / analysis.name / f"{record['process']}_{record['seed']}.parquet" for record in own]
    events = [folder / "events" / f"{record['process']}_{record['seed']}.parquet" for record in records
              if record["selection"]]
    if not events or not all(path.exists() for path in events):
        known = {name for record in records for name in record["analyses"]}
        raise AnalysisError(f"{folder}: made for {', '.join(sorted(known))}, not for '{analysis.name}' as it is now, "
                            "and without its events (--keep-events). Produce it anew.")
    return events
