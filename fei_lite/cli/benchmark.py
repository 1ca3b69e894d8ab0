"""Measure how fast simulation and reconstruction are on this machine, on one core.

Seeds and sizes are fixed; kernels are compiled before the clock starts. Example:

    fei-lite benchmark --events 2000 --format json
"""

from __future__ import annotations

import argparse
import sys

HELP = "measure events per second, per step, and memory"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite benchmark``."""
    parser.add_argument("--events", type=int, default=4000, help="events to reconstruct (default: %(default)s)")
    parser.add_argument("--models", default="hadronic", help="model set (default: %(default)s)")
    parser.add_argument("--set", dest="channel_set", default="hadronic", help="channel set (default: %(default)s)")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite benchmark``."""
    import json

    from fei_lite.benchmark import run_benchmark

    result = run_benchmark(n_events=arguments.events, models=arguments.models, channel_set=arguments.channel_set,
                           report=lambda text: print(f"benchmark: {text} ...", file=sys.stderr))
    if arguments.format == "json":
        print(json.dumps(result.to_json(), indent=1))
        return 0
    print(f"{result.n_events} events, one core, {result.machine}, models {result.models}")
    print(f"simulation (generator, detector, writing)  {result.simulation_events_per_second_per_core:9.0f} events/s")
    print(f"reconstruction (read to write)             {result.events_per_second_per_core:9.0f} events/s")
    print(f"  with truth matching                      "
          f"{result.reconstruct_with_truth_events_per_second_per_core:9.0f} events/s")
    print(f"first {200} events, kernels compiled or loaded {result.first_batch_seconds:9.1f} s")
    print(f"peak memory                                {result.peak_rss_mib:9.0f} MiB")
    print(f"\n{'step':<16} {'seconds':>9} {'us/event':>9}")
    for step, seconds in result.stages.items():
        print(f"{step:<16} {seconds:9.3f} {1e6 * seconds / result.n_events:9.1f}")
    return 0
