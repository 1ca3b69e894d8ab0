"""Measure how fast simulation and reconstruction are on this machine, on one core.

Seeds and sizes are fixed; kernels are compiled before the clock starts.
Classifier and combination are compared with LightGBM and awkward arrays, which
must give the same. Example:

    fei-lite benchmark --events 2000 --format json
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from fei_lite.cli.options import natural
from fei_lite.constants import DEFAULT_MODELS

if TYPE_CHECKING:
    from fei_lite.benchmarks.run import BenchmarkResult

HELP = "measure events per second, per step, and memory"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite benchmark``."""
    parser.add_argument("--events", type=int, default=4000, help="events to reconstruct (default: %(default)s)")
    parser.add_argument("--models", default=DEFAULT_MODELS, help="model set (default: %(default)s)")
    parser.add_argument("--set", dest="channel_set", default=None,
                        help="channel set (default: that of the models)")
    parser.add_argument("--speed", type=natural, default=None, metavar="LEVEL",
                        help="level of the models' first look, see fei-lite reconstruct (default: that of the models)")
    parser.add_argument("--one-process", action="store_true", help="without start-up times and two workers")
    parser.add_argument("--full", action="store_true",
                        help="also peak memory of 10 000 and 40 000 events (some minutes)")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite benchmark``."""
    import json

    from fei_lite.benchmarks.run import run_benchmark

    result = run_benchmark(n_events=arguments.events, models=arguments.models, channel_set=arguments.channel_set,
                           processes=not arguments.one_process, full=arguments.full, speed=arguments.speed,
                           report=lambda text: print(f"benchmark: {text} ...", file=sys.stderr))
    if arguments.format == "json":
        print(json.dumps(result.to_json(), indent=1))
    else:
        print("\n".join([*_line(result), *_pieces(result), *_growth(result)]))
    return 0


def _line(result: BenchmarkResult) -> list[str]:
    lines = [
        f"{result.n_events} events, one core, {result.machine}, models {result.models}, speed {result.speed}, "
        f"load {result.load_average:.1f} at the start",
        f"simulation (generator, detector, writing)  {result.simulation_events_per_second_per_core:9.0f} events/s",
        f"reconstruction (read to write)             {result.events_per_second_per_core:9.0f} events/s",
        f"  with truth matching                      "
        f"{result.reconstruct_with_truth_events_per_second_per_core:9.0f} events/s",
        f"first 200 events, kernels compiled or loaded {result.first_batch_seconds:6.1f} s",
        f"peak memory                                {result.peak_rss_mib:9.0f} MiB",
        "", f"{'step':<16} {'seconds':>9} {'us/event':>9}"]
    return lines + [f"{step:<16} {seconds:9.3f} {1e6 * seconds / result.n_events:9.1f}"
                    for step, seconds in result.stages.items()]


def _pieces(result: BenchmarkResult) -> list[str]:
    fits = ", ".join(f"{value:.1f}" for value in result.vertex_fit_us.values())
    lines = ["", f"vertex fit of {', '.join(result.vertex_fit_us)} tracks          {fits} us",
             f"400 trees, 20 features, raw score    {result.classifier_us_per_row:.2f} us/row, LightGBM "
             f"{result.classifier['lightgbm_us_per_row']:.2f}: {result.classifier['ratio']:.1f} times, same bits"]
    for row in result.combinations:
        lines.append(f"{row['channel']:<36} {row['us_per_event']:.1f} us/event, awkward arrays "
                     f"{row['awkward_us_per_event']:.0f}: {row['ratio']:.1f} times, same "
                     f"{row['candidates']} candidates")
    if result.workers:
        w = result.workers
        lines.append(f"two workers against one              {w['two']:.0f} and {w['one']:.0f} events/s: "
                     f"{w['ratio']:.2f} times ({w['ratio_with_start']:.2f} with the start, {w['n_events']} events)")
    if result.start_up:
        s = result.start_up
        lines.append(f"start: --help {s['help']:.2f} s; one event {s['warm']:.1f} s; with an empty JIT cache "
                     f"{s['cold']:.1f} s, of which compiling {s['compile']:.1f} s")
    return lines


def _growth(result: BenchmarkResult) -> list[str]:
    lines = ["", f"{'per event':<20} {'events':>7} {'us/event':>9}"]
    for name, rows in result.growth.items():
        lines += [f"{'batch' if name == 'events' else format(row['mean'], '.1f') + ' ' + name:<20} "
                  f"{row['n_events']:7d} {row['us_per_event']:9.1f}" for row in rows]
    return lines + [f"peak memory of {row['n_events']} events: {row['peak_rss_mib']:.0f} MiB" for row in result.memory]
