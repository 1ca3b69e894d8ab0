"""What plain simulation costs: every event generated, detected and given to the analyses, with a tag where they ask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fei_lite.analyses.candidates.making import first_look, tagged_candidates
from fei_lite.analyses.production.plans import Times, Workshop
from fei_lite.analyses.production.records import read_costs
from fei_lite.detector.response import default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.generator.generate import generate
from fei_lite.generator.settings import load_settings
from fei_lite.outputs import atomic_output, make_folder

#: Events that the costs are measured with, after some that compile.
_EVENTS, _BEFORE = 1000, 200


def plain_seconds(processes: Sequence[str], folder: Path, workshop: Workshop) -> dict[str, float]:
    """Processor seconds per event of each process, measured once for a production (FOLDER/plain.json)."""
    path = folder / "plain.json"
    found = read_costs(path)
    missing = [process for process in processes if process not in found]
    for process in missing:
        found[process] = _measured(process, workshop)
    if missing:
        make_folder(folder)
        with atomic_output(path, force=True) as temporary:
            temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _measured(process: str, workshop: Workshop) -> float:
    """Seconds per event of a process of background."""
    analyses, response, rng = workshop.of(process), default_response(), np.random.default_rng(1)
    times = Times()
    settings = load_settings(workshop.plan.settings)
    events = generate(process, _BEFORE + _EVENTS, seed=1, batch_size=_BEFORE, settings=settings)
    for number in range(1 + _EVENTS // _BEFORE):
        with times("before" if number == 0 else "plain"):
            batch = simulate_detector(next(events), response, rng=rng)
            looks = [first_look(batch, one.analysis, process=process) for one in analyses]
            rows = np.unique(np.concatenate([look.with_side for look in looks]))
            tags = analyses[0].tags(batch.select(rows))
            for one, look in zip(analyses, looks, strict=True):
                tagged_candidates(tags, look, rows, one.analysis, process=process)
    return times.seconds["plain"] / _EVENTS
