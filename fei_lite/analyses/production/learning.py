"""What a production learns on the way: sides from trials, then selections from what its pieces tagged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.production.experience import (
    experience_file,
    joined_arrays,
    read_arrays,
    read_experience,
    save_arrays,
)
from fei_lite.analyses.production.plans import Times, Workshop
from fei_lite.analyses.production.scores import (
    classifiers_folder,
    known_classifiers,
    latest_folder,
    train_classifiers,
)
from fei_lite.analyses.production.side_trials import Judge, judge_of, try_sides
from fei_lite.generator.generate import generate
from fei_lite.generator.processes import PROCESSES, SEEDS
from fei_lite.generator.settings import load_settings
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.production.learn_selection import Costs, Experience, learn, thinned, with_promises
from fei_lite.production.learned import LearnedSelection, first_selection, load_selection
from fei_lite.production.sides import SideModels, Trials, learn_sides

#: Copies of an event of continuum, and of one combination of B decays, at most.
SPLIT = {"events": 20, "pairs": 1_000_000}
#: Candidates after which a selection is learned first, and by what factor more it is learned anew: of all of them, or
#: of those that are selected where there are enough.
CANDIDATES, MORE = 100, 1.2
SELECTED, MORE_SELECTED = 10, 1.5
#: Events without a candidate that a selection is learned from, at most.
_ROWS = 200_000
#: Events of each process whose B's are tried: all of them, then the promising ones of more.
TRIALS = (4_000, 32_000)
#: Events that are tried at a time.
_BATCH = 4_000
#: The trials' seeds are those of the pieces and this.
_SEED = SEEDS // 2


def kind_of(process: str) -> str:
    """``pairs`` of B, ``events`` of continuum, or ``signal``."""
    if process not in PROCESSES:
        return "signal"
    return "pairs" if PROCESSES[process].kind == "bb" else "events"


def present_selection(kind: str, processes: Sequence[str], folder: Path, records: Sequence[dict[str, Any]],
                      workshop: Workshop, *, seed: int) -> tuple[LearnedSelection, Path]:
    """The present selection of pairs or events: learned anew if there is enough more to learn from."""
    where = folder / "selections"
    make_folder(where)
    numbers = sorted(int(path.stem.split("_")[1]) for path in where.glob(f"{kind}_*.json"))
    if not numbers:
        sides = _sides(processes, folder, workshop, seed=seed, number=0) if kind == "pairs" else None
        found = first_selection(kind, SPLIT[kind], sides)
        return found, found.save(where)
    path = where / f"{kind}_{numbers[-1]}.json"
    present = load_selection(path)
    of_kind = [record for record in records if kind_of(record["process"]) == kind and record["selection"]]
    candidates, known = (sum(part[key] for record in of_kind for part in record["analyses"].values())
                         for key in ("candidates", "selected"))
    if not {*processes} <= {record["process"] for record in of_kind}:
        return present, path  # what one process has nothing of is not rare in all
    started = bool(workshop.plan.signal) and not classifiers_folder(folder, present.name).exists()
    names = [one.analysis.name for one in workshop.all]
    before = 0.0 if started else candidates_before(present.learned_from, names)
    before_selected = max(SELECTED, present.learned_from.get("all_selected", known))
    if candidates < max(CANDIDATES, MORE * before) and known < MORE_SELECTED * before_selected:
        return present, path
    name = f"{kind}_{numbers[-1] + 1}"
    train_classifiers(folder, name, [one.analysis for one in workshop.all], records, workshop.plan.signal)
    experience, counts = _experience(folder, name, of_kind, workshop)
    sides = _better_sides(present, processes, folder, workshop, seed=seed)
    if sides is not None:
        experience, present = with_promises(experience, sides), replace(present, sides=sides)
    new = learn(experience, before=present, costs=costs_of(of_kind), counts=counts)
    new.learned_from.update(all_candidates=candidates, all_selected=known, analyses=names)
    return new, new.save(where)


def candidates_before(learned_from: Mapping[str, Any], names: Sequence[str]) -> float:
    """Candidates that a selection was learned from, for some analyses; of other ones than it was learned for half of
    what it knew of these: that is enough for fewer purposes; none where it knew nothing of one of them.

    >>> known = {"analyses": ["xs_nunu", "hta"], "candidates": [100, 40], "all_candidates": 150}
    >>> candidates_before(known, ["hta", "xs_nunu"]), candidates_before(known, ["hta"])
    (150.0, 20.0)
    >>> candidates_before(known, ["hta", "k_tau_l"])
    0.0
    """
    known = learned_from.get("analyses", names)
    if {*known} == {*names}:
        return float(learned_from.get("all_candidates", 0))
    if not {*names} <= {*known}:
        return 0.0
    of = dict(zip(known, learned_from.get("candidates", [0] * len(known)), strict=True))
    return 0.5 * float(sum(of.get(name, 0) for name in names))


def _better_sides(present: LearnedSelection, processes: Sequence[str], folder: Path, workshop: Workshop, *,
                  seed: int) -> SideModels | None:
    """Models of single B's anew where the present ones are of other analyses, or knew no classifiers that there are."""
    sides = present.sides
    if sides is None or (sides.analyses == _names(workshop) and (sides.classified or not any(
            judge.classifiers for judge in _judges(folder, workshop)))):
        return None
    return _sides(processes, folder, workshop, seed=seed, number=present.number + 1)


def _names(workshop: Workshop) -> tuple[str, ...]:
    return tuple(one.analysis.name for one in workshop.all)


def _judges(folder: Path, workshop: Workshop) -> list[Judge]:
    """What judges the signal sides of each analysis."""
    latest = latest_folder(folder, "pairs")
    return [judge_of(one.analysis, known_classifiers(folder, latest, one.analysis), workshop.plan.signal)
            for one in workshop.all]


def _sides(processes: Sequence[str], folder: Path, workshop: Workshop, *, seed: int, number: int) -> SideModels:
    """Models of single B's, from trials: first of all sides, then of those that promise something.

    ``number`` is that of the selection that they are for.
    """
    models: SideModels | None = None
    judges = _judges(folder, workshop)
    done: list[Trials] = []
    for k, n in enumerate(TRIALS):
        for process in processes:
            done.append(_trials(process, n, len(TRIALS) * number + k, folder, workshop, seed=seed, models=models,
                                judges=judges))
        models = learn_sides(joined_arrays(done), seed=k, analyses=_names(workshop),
                             classified=any(judge.classifiers for judge in judges))
    assert models is not None
    return models


def _trials(process: str, n: int, number: int, folder: Path, workshop: Workshop, *, seed: int,
            models: SideModels | None, judges: Sequence[Judge]) -> Trials:
    """The trials of a process in a round, made unless they are there; one column for each analysis of the plan."""
    path = folder / "trials" / f"{process}_{number}.npz"
    if not path.exists():
        times, mine = Times(), workshop.of(process)
        at = [workshop.all.index(one) for one in mine]
        rng = np.random.default_rng([seed, 13, number, processes_number(process)])
        parts = []
        with times("trials"):
            for batch in generate(process, n, seed=(seed + _SEED + number) % SEEDS, batch_size=_BATCH,
                                  settings=load_settings(workshop.plan.settings)):
                part = try_sides(batch, mine, process=process, at=at, models=models, rng=rng, k=len(workshop.all),
                                 judges=[judges[i] for i in at])
                parts.append(part)
        save_arrays(path, joined_arrays(parts))
        with atomic_output(path.with_suffix(".json"), force=True) as temporary:
            temporary.write_text(json.dumps({"process": process, "n_generated": n, "seconds": times.seconds}),
                                 encoding="utf-8")
    return read_arrays(path, Trials)


def processes_number(process: str) -> int:
    """A number of each process, for seeds."""
    return list(PROCESSES).index(process)


def costs_of(records: Sequence[dict[str, Any]]) -> Costs:
    """Seconds per event, of each step the least that a piece of the latest selection took: the first one compiles."""
    latest = max(int(record["selection"]["name"].split("_")[1]) for record in records)
    records = [record for record in records if record["selection"]["name"].endswith(f"_{latest}")]

    def per(steps: Sequence[str], events: str) -> float:
        return float(min(sum(record["seconds"].get(step, 0.0) for step in steps) / max(record[events], 1)
                         for record in records))

    return Costs(per(["generate", "select"], "n_generated"), per(["detect", "look"], "taken"),
                 per(["side", "tag", "analyse", "write"], "chosen"))


def _experience(folder: Path, selection: str, records: Sequence[dict[str, Any]], workshop: Workshop,
                ) -> tuple[Experience, NDArray[np.float64]]:
    """The experience of all pieces: every candidate, of what has none some hundred thousand events; and how many each
    row stands for. Every piece is of the same analyses."""
    parts: list[tuple[Experience, NDArray[np.float64]]] = []
    known = {one.analysis.name: known_classifiers(folder, selection, one.analysis) for one in workshop.all}
    records = [record for record in records
               if experience_file(folder, f"{record['process']}_{record['seed']}").exists()]
    part = min(_ROWS / max(sum(record["chosen"] for record in records), 1), 1.0)
    rng = np.random.default_rng(len(records))
    for record in records:
        found = read_experience(folder, record, [(one.analysis, known[one.analysis.name])
                                                 for one in workshop.of(record["process"])])
        parts.append(thinned(found, part, rng))
    return joined_arrays([found for found, _ in parts]), np.concatenate([counts for _, counts in parts])
