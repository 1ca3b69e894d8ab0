"""One page (HTML, nothing to fetch) about a trained model set.

From the manifest alone: what was trained on what, sizes and AUC of every
channel, importances, channels without a classifier. With independent events
(--events, with truth, never trained on): AUC, reliability, efficiency and purity
at every cut, Btags, cut-flow. With --baseline: a second set on the same events.
Example:

    fei-lite simulate charged -n 1000 --seed 11 -o charged.root
    fei-lite simulate mixed -n 1000 --seed 12 -o mixed.root
    fei-lite report fei_default --events charged.root mixed.root -o report.html
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fei_lite.cli.options import add_event_inputs, day, event_inputs_of, natural, positive
from fei_lite.cli.workers import add_workers, workers_of

HELP = "one page about a trained model set"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite report``."""
    parser.add_argument("training", metavar="TRAINING", help="model set: a shipped name or a folder of fei-lite train")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the page, .html")
    parser.add_argument("--events", nargs="+", default=[], metavar="FILE",
                        help="independent event files with truth")
    parser.add_argument("--set", dest="channel_set", metavar="SET",
                        help="channel set of the training (default: the one that its manifest names)")
    parser.add_argument("--baseline", metavar="SET", help="model set to compare with, on the same events")
    parser.add_argument("--baseline-set", metavar="SET", help="channel set of the baseline (default: as above)")
    parser.add_argument("--max-events", type=positive, default=None, help="use so many events only")
    parser.add_argument("--batch-size", type=int, default=None, help="events of a batch")
    add_workers(parser)
    parser.add_argument("--generate", type=natural, default=5000, metavar="N",
                        help="without --events: generate so many events of each B type for the covered branching "
                        "fraction; 0 leaves it out (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=1, help="of random subsets and toys (default: %(default)s)")
    parser.add_argument("--date", type=day, default=None, help="date on the page, ISO 8601 (default: today)")
    parser.add_argument("--format", choices=("table", "json"), default="table",
                        help="on stdout: the table of AUC on training and other events, or all numbers of the page")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_event_inputs(parser, None)


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite report``."""
    import datetime
    import json

    from tqdm.auto import tqdm

    from fei_lite.events.ranges import BATCH_SIZE
    from fei_lite.report.making import Request, make_report
    from fei_lite.report.text import overtraining_table

    bars: dict[str, tqdm] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = tqdm(total=total, desc=what, unit="event", file=sys.stderr, disable=arguments.quiet)
        bars[what].update(done - bars[what].n)
        if done >= total:
            bars[what].close()

    events = event_inputs_of(arguments, arguments.events)
    with workers_of(arguments) as workers:
        numbers = make_report(Request(
            arguments.training, channels=arguments.channel_set, events=events, baseline=arguments.baseline,
            baseline_channels=arguments.baseline_set, max_events=arguments.max_events,
            batch_size=BATCH_SIZE if arguments.batch_size is None else arguments.batch_size,
            workers=workers, generate=arguments.generate, seed=arguments.seed,
            date=arguments.date or datetime.date.today().isoformat()), arguments.output, force=arguments.force,
            report=report)
    print(json.dumps(numbers, indent=1) if arguments.format == "json" else overtraining_table(numbers))
    flagged = len(numbers["overtraining"]["flagged"])
    print(f"{numbers['set']['name']}: {numbers['set']['n_trained']} of {numbers['set']['n_channels']} channels with a "
          f"classifier, {flagged} flagged; written to {arguments.output} "
          f"({arguments.output.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    return 0
