"""What the levels of a first look gain and lose: processor time and right best tags, on the same events in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch
from fei_lite.events.ranges import BATCH_SIZE, entry_ranges, read_range
from fei_lite.reconstruction.engine import Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.tagging.best import select_tags

#: Called as report(what, events done).
Report = Callable[[str, int], None] | None
#: Events that compile the kernels before any clock starts.
_WARM_UP = 50


@dataclass(frozen=True)
class SpeedPoint:
    """One level. ``us_per_event``: processor time of reconstruction and choice, without reading and writing;
    ``time_ratio`` to level 0; ``candidates`` per event.

    ``right`` events with a right best tag, ``lost`` and ``gained`` against level 0; ``change`` of the (weighted)
    tag-side efficiency, relative, with its error; ``listed_change``: of events with a right candidate.
    ``promised_over_right``: sum of the best tags' SignalProbability over the number of right ones.
    """

    level: int
    us_per_event: float
    time_ratio: float
    candidates: float
    right: int
    lost: int
    gained: int
    change: float
    change_error: float
    listed_change: float
    promised_over_right: float


@dataclass(frozen=True)
class _Best:
    """Per event: right best tag, right candidate in the list, SignalProbability of the best."""

    right: NDArray[np.bool_]
    listed: NDArray[np.bool_]
    probability: NDArray[np.float64]


def compare_speeds(timed: Sequence[Path], counted: Sequence[Path], sets: tuple[ChannelSet, ModelSet], *,
                   levels: Sequence[int], max_events: int | None = None, batch_size: int = BATCH_SIZE,
                   report: Report = None) -> tuple[int, int, list[SpeedPoint]]:
    """Time on the events of ``timed`` (generic ones), tags on those of ``counted`` (with truth, weighted or not).

    ``max_events`` of each file. Returns the numbers of events timed and counted, and a point per level; level 0 is
    always the first. Every batch is reconstructed at all levels before the next, so that a clock that drifts
    favours none.
    """
    chosen = [0, *(level for level in levels if level)]
    options = [ReconstructionOptions(with_truth=False, speed=level) for level in chosen]
    seconds, candidates, n_timed = np.zeros(len(chosen)), np.zeros(len(chosen)), 0
    for batch in _batches(timed, batch_size, max_events):
        for i, option in enumerate(options):
            if n_timed == 0:
                reconstruct(batch.select(np.arange(min(_WARM_UP, batch.n_events))), *sets, options=option)
            started = time.process_time()
            tags = select_tags(reconstruct(batch, *sets, options=option))
            seconds[i] += time.process_time() - started
            candidates[i] += len(tags)
        n_timed += batch.n_events
        if report is not None:
            report("time", n_timed)
    found, weight = _count(counted, sets, chosen, batch_size, max_events, report)
    points = [_point(level, seconds[i], seconds[0], candidates[i], n_timed, found[0], found[i], weight)
              for i, level in enumerate(chosen)]
    return n_timed, len(weight), points


def _batches(paths: Sequence[Path], batch_size: int, max_events: int | None) -> Iterator[EventBatch]:
    for path in paths:
        for entries in entry_ranges([path], batch_size=batch_size, max_events=max_events):
            yield from read_range(entries)


def _count(paths: Sequence[Path], sets: tuple[ChannelSet, ModelSet], levels: Sequence[int], batch_size: int,
           max_events: int | None, report: Report) -> tuple[list[_Best], NDArray[np.float64]]:
    """The best tags of all events, by level, and the events' weights."""
    parts: list[list[_Best]] = [[] for _ in levels]
    weights: list[NDArray[np.float64]] = [np.empty(0)]
    for batch in _batches(paths, batch_size, max_events):
        if batch.generated is None:
            raise EventFileError(f"{batch.source}: no list 'generated': right tags are known from truth alone.")
        for part, level in zip(parts, levels, strict=True):
            option = ReconstructionOptions(with_truth=True, speed=level)
            part.append(_best(batch, reconstruct(batch, *sets, options=option)))
        weights.append(batch.events["weight"].astype(np.float64))
        if report is not None:
            report("count", sum(map(len, weights)))
    none = np.empty(0, dtype=bool)
    return [_Best(np.concatenate([none, *(best.right for best in part)]),
                  np.concatenate([none, *(best.listed for best in part)]),
                  np.concatenate([np.empty(0), *(best.probability for best in part)]))
            for part in parts], np.concatenate(weights)


def _best(batch: EventBatch, result: Reconstruction) -> _Best:
    tags = select_tags(result)
    best, signal = tags.columns["best"] == 1, tags.columns["isSignal"] == 1
    n = batch.n_events
    found = _Best(np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n))
    found.right[tags.event[best & signal]] = True
    found.listed[tags.event[signal]] = True
    found.probability[tags.event[best]] = tags.columns["SignalProbability"][best]
    return found


def _point(level: int, seconds: float, seconds_0: float, candidates: float, n: int, plain: _Best, found: _Best,
           weight: NDArray[np.float64]) -> SpeedPoint:
    lost, gained = plain.right & ~found.right, found.right & ~plain.right
    total, all_listed, now = (float(weight @ mask) or np.nan for mask in (plain.right, plain.listed, found.right))
    return SpeedPoint(
        level, 1e6 * seconds / max(n, 1), seconds / seconds_0 if seconds_0 else np.nan, candidates / max(n, 1),
        int(found.right.sum()), int(lost.sum()), int(gained.sum()), now / total - 1.0,
        float(np.sqrt(np.sum(weight[lost | gained] ** 2))) / total, float(weight @ found.listed) / all_listed - 1.0,
        float(weight @ found.probability) / now)
