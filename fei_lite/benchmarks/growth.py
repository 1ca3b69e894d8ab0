"""How cost grows: with tracks, clusters and events, with workers, and memory with the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.benchmarks.timing import best_seconds, run_process
from fei_lite.channels import ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.events import EventBatch, concatenate
from fei_lite.reconstruction.engine import ReconstructionOptions, reconstruct
from fei_lite.tagging.driver import tag_files

Row = dict[str, Any]
_WITHOUT_TRUTH = ReconstructionOptions(with_truth=False)


def growth_with_objects(batch: EventBatch, channel_set: ChannelSet, models: ModelSet) -> dict[str, list[Row]]:
    """us per event in quarters of the events, from few to many tracks and clusters.

    Each row has ``mean`` (objects per event), ``n_events`` and ``us_per_event``.
    Tracks and clusters grow together, in events as they are.
    """
    def seconds(events: NDArray[np.int64]) -> float:
        part = concatenate([batch.slice(int(e), int(e) + 1) for e in events])
        return best_seconds(lambda: reconstruct(part, channel_set, models, options=_WITHOUT_TRUTH), repeat=2)

    table: dict[str, list[Row]] = {}
    for name in ("tracks", "clusters"):
        counts = getattr(batch, name).counts
        table[name] = [
            {"mean": float(counts[events].mean()), "n_events": len(events),
             "us_per_event": 1e6 * seconds(events) / len(events)}
            for events in np.array_split(np.argsort(counts, kind="stable"), 4)]
    return table


def growth_with_events(batch: EventBatch, channel_set: ChannelSet, models: ModelSet) -> list[Row]:
    """us per event of batches of an eighth, a quarter, half and all of the events."""
    rows = []
    for n in (batch.n_events // 8, batch.n_events // 4, batch.n_events // 2, batch.n_events):
        spent = best_seconds(partial(reconstruct, batch.slice(0, n), channel_set, models, options=_WITHOUT_TRUTH),
                             repeat=2)
        rows.append({"n_events": n, "us_per_event": 1e6 * spent / n})
    return rows


def worker_speeds(files: Sequence[Path], folder: Path, *, channel_set: str, models: str) -> Row:
    """Events per second of the whole line, files to Btags, with one and two workers.

    The time of the files taken twice is subtracted from that of the files taken
    ten times: what is left has no start-up. Both figures are given, and their
    ratios: ``ratio`` without the start-up, ``ratio_with_start`` of the long runs.
    """
    def run(times: int, workers: int) -> tuple[int, float]:
        start = time.perf_counter()
        totals = tag_files([*files] * times, folder / "workers.root", models=models, channel_set=channel_set,
                           force=True, workers=workers, distinct=False)
        return totals.n_events, time.perf_counter() - start

    runs = [(times, workers) for times in (2, 10) for workers in (1, 2)]
    best: dict[tuple[int, int], tuple[int, float]] = {}
    for _ in range(2):  # in turn, the shorter of two counts: a neighbour on the machine does not stay for all
        for key in runs:
            found = run(*key)
            best[key] = min(best.get(key, found), found, key=lambda pair: pair[1])
    speeds: Row = {}
    for name, workers in (("one", 1), ("two", 2)):
        (n_short, short), (n_long, long) = best[2, workers], best[10, workers]
        speeds[name] = (n_long - n_short) / (long - short)
        speeds[f"{name}_with_start"] = n_long / long
    speeds["n_events"] = n_long
    speeds["ratio"] = speeds["two"] / speeds["one"]
    speeds["ratio_with_start"] = speeds["two_with_start"] / speeds["one_with_start"]
    return speeds


def memory_with_events(files: Sequence[Path], folder: Path, *, channel_set: str, models: str,
                       sizes: Sequence[int], say: Callable[[str], None] = lambda _text: None) -> list[Row]:
    """Peak memory (MiB) of ``fei-lite reconstruct``, a process each, for numbers of events of the files."""
    rows = []
    for n in sizes:
        say(f"memory with {n} events")
        cost = run_process(["reconstruct", *map(str, files), "--set", channel_set, "--models", models, "--max-events",
                            str(n), "--quiet", "--force", "-o", str(folder / "memory.root")])
        rows.append({"n_events": n, "peak_rss_mib": cost.peak_rss_mib, "seconds": cost.seconds})
    return rows
