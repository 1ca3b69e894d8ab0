"""Btag files evaluated, checked and compared: from their names to the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.channels import load_channel_set
from fei_lite.errors import FeiLiteError
from fei_lite.events.same_events import DistinctFiles
from fei_lite.performance.best_tags import BestTags, Choice, read_best_tags, said
from fei_lite.performance.calibration import Calibration, calibrate
from fei_lite.performance.comparison import PURITIES, Comparison, compare_sets
from fei_lite.performance.origin import kinds_of_tags
from fei_lite.performance.reconstructible import Reconstructible, find_reconstructible
from fei_lite.performance.sculpting import Sculpting, mbc_sculpting
from fei_lite.performance.working_points import WORKING_POINTS, Evaluation, evaluate_tags
from fei_lite.tagging.driver import NO_B_CHANNEL
from fei_lite.tagging.output import read_tags

#: Called as progress(events done).
Progress = Callable[[int], None]


@dataclass(frozen=True)
class FileEvaluation:
    """A Btag file's working points and its cut-flow: rows of (stage, name, count).

    ``every_event_accounted_for``: as many events were read as are tagged and untagged, and as the file says it is of.
    ``notes``: sentences on what the numbers cannot mean.
    """

    evaluation: Evaluation
    cutflow: list[tuple[str, str, int]]
    every_event_accounted_for: bool
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data, undefined is None."""
        return self.evaluation.to_json() | {
            "cutflow": [{"stage": stage, "name": name, "count": count} for stage, name, count in self.cutflow],
            "every_event_accounted_for": self.every_event_accounted_for}


def evaluate_file(path: Path, *, working_points: Sequence[float] = WORKING_POINTS) -> FileEvaluation:
    """Efficiencies and purities of a Btag file, with truth or without, and whether its cut-flow adds up.

    Raises :class:`EventFileError` for a file that is damaged, foreign or incomplete.
    """
    found = evaluate_tags(read_best_tags(path, truth=False), working_points=working_points)
    _, rows, metadata = read_tags(path, columns=())
    cutflow = [(str(stage), str(name), int(count)) for stage, name, count in rows]
    counts = {(stage, name): count for stage, name, count in cutflow}
    read, tagged, untagged = (counts.get(("events", f"all: {step}"), -1) for step in ("read", "tagged", "untagged"))
    accounted = ((read == tagged + untagged == found.n_events and tagged == found.n_tagged)
                 or (not cutflow and found.n_events == 0))
    b_channels = metadata.get("b_channels")
    untrained = isinstance(b_channels, dict) and b_channels.get("trained") == 0 and b_channels.get("all") != 0
    notes = (f"{path}: " + NO_B_CHANNEL.format(name=metadata.get("models", "")),) if untrained else ()
    return FileEvaluation(found, cutflow, accounted, notes)


def compare_files(
    paths: Sequence[Path], *, choose: Choice = "event", purities: Sequence[float] = PURITIES, replicas: int = 400,
    seed: int = 1, events: Sequence[Path] | None = None, given_bb: bool = False, progress: Progress | None = None,
) -> tuple[Comparison, dict[str, dict[str, Reconstructible]]]:
    """Sets compared (baseline first), and the reconstructible fractions of their channels in ``events``.

    No ``events``: in the Btag files' own inputs; None: not asked for. ``given_bb``: tags are ordered by
    ``SignalProbabilityGivenBB`` where a set has it (events without continuum).
    ``progress`` is called while events are read for the reconstructible fractions.
    """
    if replicas < 1 or seed < 0:
        raise FeiLiteError(f"bootstrap: got {replicas} replicas and seed {seed}, expected 1 or more and 0 or more.")
    for files in (paths, events or ()):
        distinct = DistinctFiles()
        for path in files:
            distinct.add_path(path)
    read = [read_best_tags(path, choose=choose, given_bb=given_bb) for path in paths]
    sets = dict(zip(set_names(paths, read), read, strict=True))
    comparison = compare_sets(sets, purities=purities, replicas=replicas, rng=np.random.default_rng(seed))
    return comparison, {} if events is None else _reconstructible(sets, events, progress)


def set_names(paths: Sequence[Path], tags: Sequence[BestTags]) -> list[str]:
    """A name per file: that of its model set if it is one of its own, else the file's."""
    for names in ([Path(str(t.metadata.get("models", ""))).name for t in tags], [p.stem for p in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    return [str(p) for p in paths]


def _reconstructible(sets: Mapping[str, BestTags], events: Sequence[Path],
                     progress: Progress | None) -> dict[str, dict[str, Reconstructible]]:
    """The reconstructible fraction of each set's channels, in the events given or in those that the Btag files name."""
    found: dict[str, dict[str, Reconstructible]] = {}  # by channel set
    for tags in sets.values():
        name = str(said(tags.metadata, "channel_set"))
        if name not in found:
            found[name] = find_reconstructible(list(events) or [Path(p) for p in said(tags.metadata, "inputs")],
                                               load_channel_set(name), progress=progress)
    return {name: found[str(tags.metadata["channel_set"])] for name, tags in sets.items()}


@dataclass(frozen=True)
class TagChecks:
    """Is Mbc of the background sculpted, is SignalProbability a probability? By B type; calibration also of all."""

    sculpting: Sculpting
    calibration: dict[str, list[Calibration]]


def check_tags(path: Path, *, events: Sequence[Path] = (), choose: Choice = "event", seed: int = 1) -> TagChecks:
    """Sculpting and calibration of a file's best Btags; ``seed`` is that of the bootstrap.

    With the ``events`` that the Btags are of, in the file's order, nearly and half right Btags are told by what is
    from elsewhere (:mod:`fei_lite.performance.origin`), else nearly right ones by their common ancestor.
    """
    tags = read_best_tags(path, choose=choose)
    kinds = kinds_of_tags(tags, path, events, choose=choose) if events else None
    return TagChecks(mbc_sculpting(tags, backgrounds=kinds), calibrate(tags, rng=np.random.default_rng(seed)))
