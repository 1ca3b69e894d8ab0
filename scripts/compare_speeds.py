"""The curve of tag-side efficiency against time: every level of a model set's first look, on the same events in turn.

    python scripts/compare_speeds.py --models extended --timed generic.root --counted enriched.root --max-events 5000

Time is the processor's, of reconstruction and choice, in ``--timed`` events (generic ones). Right best tags, lost
and gained against level 0, are counted in ``--counted`` events with their weights: enriched ones (fei-lite simulate
--enrich SET --keep-uncovered 0.01) hold many. Neither may be those that the first look was fitted on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from fei_lite.benchmarks.speeds import SpeedPoint, compare_speeds
from fei_lite.classifiers.tagger import load_tagger


def main() -> int:
    """Parse the command line, reconstruct, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="extended", help="model set with a first look (default: %(default)s)")
    parser.add_argument("--set", dest="channel_set", default=None, help="channel set (default: that of the models)")
    parser.add_argument("--timed", type=Path, nargs="*", default=[], metavar="EVENTS")
    parser.add_argument("--counted", type=Path, nargs="*", default=[], metavar="EVENTS")
    parser.add_argument("--levels", type=int, nargs="+", help="beside 0 (default: all of the set)")
    parser.add_argument("--max-events", type=int, help="of each file")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    arguments = parser.parse_args()

    sets = load_tagger(arguments.models, arguments.channel_set)
    levels = arguments.levels or list(range(1, len(sets[1].levels) + 1))
    n_timed, n_counted, points = compare_speeds(
        arguments.timed, arguments.counted, sets, levels=levels, max_events=arguments.max_events,
        report=lambda what, n: print(f"{what}: {n} events", file=sys.stderr))
    if arguments.format == "json":
        print(json.dumps({"timed": n_timed, "counted": n_counted, "points": [asdict(p) for p in points]}, indent=1))
    else:
        print(f"{n_timed} events timed, {n_counted} counted, models {sets[1].name}\n{table(points)}")
    return 0


def table(points: list[SpeedPoint]) -> str:
    """The points as text."""
    lines = [f"{'speed':>5} {'us/event':>9} {'time':>6} {'candidates':>10} {'right':>6} {'lost':>5} {'gained':>6} "
             f"{'efficiency %':>16} {'listed %':>9} {'promised/right':>14}"]
    lines += [f"{p.level:5d} {p.us_per_event:9.0f} {p.time_ratio:6.3f} {p.candidates:10.2f} {p.right:6d} {p.lost:5d} "
              f"{p.gained:6d} {100 * p.change:8.2f} +- {100 * p.change_error:.2f} {100 * p.listed_change:9.2f} "
              f"{p.promised_over_right:14.3f}" for p in points]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
