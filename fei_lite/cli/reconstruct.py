"""Reconstruct Btags in event files: fei-lite's own, or Belle II mDST (told apart by content).

All B+ and B0 candidates are written, one row each, with the best of every
event flagged. Example:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
    fei-lite reconstruct events.root --models fei_default -o btag.root

Many files: --files-from list.txt; other layouts: --mapping FILE; field and beams: --conditions FILE.

More columns: --variables FILE.toml with variables = ["daughter(0, daughter(0, kaonID))", ...] or a table [names].
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fei_lite.cli.options import add_event_inputs, event_inputs_of, files_read, natural
from fei_lite.cli.workers import add_workers, wants_journal, workers_of
from fei_lite.constants import DEFAULT_MODELS

HELP = "reconstruct Btags in event files"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite reconstruct``."""
    add_event_inputs(parser)
    parser.add_argument("--models", default=DEFAULT_MODELS,
                        help="model set: a shipped name or a folder (default: %(default)s)")
    parser.add_argument("--set", dest="channel_set", default=None,
                        help="channel set: a shipped name or a folder (default: that of the models)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="Btag file, .root or .parquet")
    parser.add_argument("--speed", type=natural, default=None, metavar="LEVEL",
                        help="drop combinations after a first look: 0 none, 1, 2, ... more and more of them, as far "
                             "as the models go (default: the level that the models name)")
    parser.add_argument("--variables", type=Path, default=None, metavar="FILE",
                        help="TOML file with further columns: any variable (see fei-lite variables)")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    add_workers(parser, journal="OUTPUT.journal")
    parser.add_argument("--batch-size", type=int, default=None, help="events of a batch")
    parser.add_argument("--max-events", type=int, default=None, help="stop after so many events")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite reconstruct``."""
    from tqdm.auto import tqdm

    from fei_lite.events.ranges import BATCH_SIZE
    from fei_lite.outputs import refuse_inputs
    from fei_lite.tagging.driver import tag_files
    from fei_lite.variables.request import columns_of

    variables = {} if arguments.variables is None else columns_of(arguments.variables)
    inputs = event_inputs_of(arguments, arguments.inputs, listed=True)
    refuse_inputs(arguments.output, files_read(arguments))
    with workers_of(arguments) as workers, \
            tqdm(unit="event", desc="reconstruct", file=sys.stderr, disable=arguments.quiet) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        totals = tag_files(
            inputs, arguments.output, models=arguments.models, channel_set=arguments.channel_set,
            variables=variables, speed=arguments.speed, force=arguments.force, workers=workers,
            journal=wants_journal(arguments),
            max_events=arguments.max_events,
            batch_size=BATCH_SIZE if arguments.batch_size is None else arguments.batch_size, progress=advance,
            notice=lambda text: print(text, file=sys.stderr))
    print(f"{totals.n_events} events read, Btags written to {arguments.output}", file=sys.stderr)
    return 0
