"""Write the tagged events of Btag files: as an event file, or as a list of entries for uproot and basf2.

.root and .parquet are event files of fei-lite; .json and .csv are lists of experiment, run, event, file and entry
(the JSON's `entries` are what basf2's RootInput takes as entrySequences). Examples:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
    fei-lite reconstruct events.root --models fei_default -o btag.root
    fei-lite skim btag.root --min-signal-probability 0.01 -o tagged.root
    fei-lite skim btag.root -o tagged.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fei_lite.cli.options import add_event_inputs, event_inputs_of, files_read

HELP = "write the tagged events of Btag files"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite skim``."""
    parser.add_argument("btags", type=Path, nargs="+", metavar="BTAG", help="file made by fei-lite reconstruct")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".root, .parquet, .json or .csv")
    parser.add_argument("--min-signal-probability", type=float, default=0.0, metavar="P",
                        help="of the best Btag of the event (default: %(default)s)")
    parser.add_argument("--min-mbc", type=float, default=0.0, metavar="GEV", help="its Mbc (default: any)")
    parser.add_argument("--max-abs-delta-e", type=float, default=float("inf"), metavar="GEV",
                        help="its deltaE, without sign (default: any)")
    parser.add_argument("--events", nargs="+", metavar="EVENTS",
                        help="the event files, where they are elsewhere than the Btag files say, in the same order")
    add_event_inputs(parser, None)
    parser.add_argument("--force", action="store_true", help="overwrite the output")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite skim``."""
    from fei_lite.outputs import refuse_inputs
    from fei_lite.tagging.skim import default_output_is_list, tagged_events, write_events, write_list

    as_list = default_output_is_list(arguments.output)
    read = [*arguments.btags, *files_read(arguments)]
    refuse_inputs(arguments.output, read)
    found = tagged_events(arguments.btags, min_signal_probability=arguments.min_signal_probability,
                          min_mbc=arguments.min_mbc, max_abs_delta_e=arguments.max_abs_delta_e)
    if as_list:
        asked = {"min_signal_probability": arguments.min_signal_probability, "min_mbc": arguments.min_mbc}
        write_list(found, arguments.output, force=arguments.force, inputs=read, origin=asked)
    else:
        files = event_inputs_of(arguments, arguments.events or found.files)
        write_events(found, arguments.output, files=files, force=arguments.force, inputs=read,
                     origin={"skim_min_signal_probability": arguments.min_signal_probability})
    print(f"{len(found)} tagged events of {len(found.files)} files written to {arguments.output}", file=sys.stderr)
    return 0
