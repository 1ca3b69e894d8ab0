#!/usr/bin/env python
"""Two Dask workers on this machine against the plain run: the same Btags, and how much faster.

    scripts/time_dask.py                      # 2000 events, taken twice and six times: the start-up drops out
    scripts/time_dask.py -n 1000 --turns 3

Two ratios are printed. By the clock, in turns, the best of each: right on an idle machine. By processor seconds, of
the client, its scheduler and the workers together: what two free cores would give if the workers never wait; how long
they waited is printed beside it. Two processors of a virtual machine are seldom two whole ones: "processors there are"
is how much of a plain loop they do at once, and bounds the ratio by the clock.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from fei_lite.cli import guarded
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.parallel.cluster import DaskExecutor, started
from fei_lite.production.simulate import simulate_file
from fei_lite.tagging.driver import tag_files

#: How often the events are taken in the short and in the long run.
SHORT, LONG = 2, 6


def _loop() -> float:
    """Seconds of a loop that needs a processor and nothing else."""
    start, total = time.perf_counter(), 0
    for i in range(20_000_000):
        total += i
    return time.perf_counter() - start


def _capacity(workers: DaskExecutor) -> float:
    """How many processors two busy workers have: the best of three."""
    return max(2.0 * _loop() / max(workers.run_on_workers(_loop).values()) for _ in range(3))


def _spent(workers: DaskExecutor | None) -> list[float]:
    """Processor seconds until now: of this process, and of each worker."""
    there = [] if workers is None else sorted(workers.run_on_workers(time.process_time).items())
    return [time.process_time(), *(seconds for _, seconds in there)]


def main() -> int:
    """Simulate, run in turns, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=2000, help="events (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=500, help="events of a chunk (default: %(default)s)")
    parser.add_argument("--models", default=DEFAULT_MODELS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, started("local", 2) as two:
        folder = Path(name)
        simulate_file("mixed", folder / "mixed.root", n=arguments.n, seed=1)

        def run(times: int, workers: DaskExecutor | None) -> tuple[float, list[float]]:
            start, before = time.perf_counter(), _spent(workers)
            tag_files([folder / "mixed.root"] * times, folder / f"{times}_{workers is None}.parquet", distinct=False,
                      models=arguments.models, workers=workers or 1, batch_size=arguments.batch_size, force=True,
                      journal=workers is not None)
            clock = time.perf_counter() - start
            return clock, [b - a for a, b in zip(before, _spent(workers), strict=True)]

        for workers in (None, two):
            run(SHORT, workers)  # compiled code, models
        taken: dict[tuple[int, bool], list[tuple[float, list[float]]]] = {}
        for _ in range(arguments.turns):
            for times in (SHORT, LONG):
                for workers in (None, two):
                    taken.setdefault((times, workers is None), []).append(run(times, workers))
        capacity = _capacity(two)
        same = (folder / f"{LONG}_True.parquet").read_bytes() == (folder / f"{LONG}_False.parquet").read_bytes()
    events = (LONG - SHORT) * arguments.n
    clock = {plain: min(c for c, _ in taken[LONG, plain]) - min(c for c, _ in taken[SHORT, plain])
             for plain in (True, False)}
    processor = {plain: [min(one[i] for _, one in taken[LONG, plain]) - min(one[i] for _, one in taken[SHORT, plain])
                         for i in range(1 if plain else 3)] for plain in (True, False)}
    print(json.dumps({
        "events": events, "identical": same, "processors there are": capacity,
        "ratio by the clock": clock[True] / clock[False],
        "ratio by processor seconds": 2 * processor[True][0] / sum(processor[False]),
        "processor seconds: plain": processor[True][0], "client and scheduler": processor[False][0],
        "workers": processor[False][1:], "clock: plain": clock[True], "clock: two workers": clock[False]}, indent=1))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(guarded("time_dask", main))
