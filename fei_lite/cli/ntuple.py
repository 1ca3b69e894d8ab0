"""Write candidates with any variables: Btags, or tag-signal pairs of a signal side.

Variables are those of `fei-lite variables`. FILE is TOML: variables = ["Mbc", ...], cut = "...", and columns under
names of your own in a table [names]. Examples:

    fei-lite simulate charged -n 300 --seed 1 -o events.root
    fei-lite ntuple events.root --variable Mbc --variable "daughter(0, M)" --cut "Mbc > 5.27" --best -o tags.parquet
    fei-lite ntuple events.root --set k_nunu --variable "daughter(0, Mbc)" --variable "roeEextra(hta)" -o pairs.root
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fei_lite.cli.options import add_event_inputs, event_inputs_of, files_read
from fei_lite.cli.workers import add_workers, wants_journal, workers_of
from fei_lite.constants import DEFAULT_MODELS

HELP = "write candidates with any variables"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite ntuple``."""
    add_event_inputs(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="ntuple, .root or .parquet")
    parser.add_argument("--set", dest="signal_set", default=None, metavar="SIGNALSET",
                        help="channel set of the signal side: a shipped name or a folder (default: Btags alone)")
    parser.add_argument("--variables", type=Path, default=None, metavar="FILE", help="TOML file with the columns")
    parser.add_argument("--variable", action="append", default=[], metavar="EXPRESSION", help="one more column")
    parser.add_argument("--cut", default="", help="rows to write, as a cut string")
    parser.add_argument("--best", action="store_true", help="only the most probable candidate of each event")
    parser.add_argument("--models", default=DEFAULT_MODELS,
                        help="model set of the tagger: a shipped name or a folder (default: %(default)s)")
    parser.add_argument("--tag-set", default=None, help="channel set of the tagger (default: that of the models)")
    parser.add_argument("--masks", type=Path, default=None, help="TOML file with masks of the rest of the event")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    add_workers(parser, journal="OUTPUT.journal")
    parser.add_argument("--batch-size", type=int, default=None, help="events of a batch")
    parser.add_argument("--max-events", type=int, default=None, help="stop after so many events")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite ntuple``."""
    from tqdm.auto import tqdm

    from fei_lite.errors import FeiLiteError
    from fei_lite.events.ranges import BATCH_SIZE
    from fei_lite.outputs import refuse_inputs
    from fei_lite.variables.ntuples import ntuple
    from fei_lite.variables.request import request

    asked = request(arguments.variable, cut=arguments.cut)
    if arguments.variables is not None:
        of_file = request(arguments.variables, cut=arguments.cut)
        asked = type(asked)({**of_file.columns, **asked.columns}, of_file.cut)
    if not asked.columns:
        raise FeiLiteError("no variables. Give --variables FILE or --variable EXPRESSION.")
    inputs = event_inputs_of(arguments, arguments.inputs, listed=True)
    refuse_inputs(arguments.output, files_read(arguments))
    with workers_of(arguments) as workers, \
            tqdm(unit="event", desc="ntuple", file=sys.stderr, disable=arguments.quiet) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        totals = ntuple(
            inputs, arguments.output, variables=asked.columns, cut=asked.cut, best=arguments.best,
            models=arguments.models, channel_set=arguments.tag_set, signal_set=arguments.signal_set,
            masks=arguments.masks, force=arguments.force, workers=workers, max_events=arguments.max_events,
            journal=wants_journal(arguments),
            batch_size=BATCH_SIZE if arguments.batch_size is None else arguments.batch_size, progress=advance)
    print(f"{totals.n_events} events read, candidates written to {arguments.output}", file=sys.stderr)
    return 0
