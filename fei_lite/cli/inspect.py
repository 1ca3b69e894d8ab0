"""Say what files hold: events (fei-lite, mDST, ntuples), Btags, candidates, workspaces, model sets, or something else.

And what is missing before they can be reconstructed, and how to get it. Exit code 1 if a file is nothing that is known
or cannot be used. Examples:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
    fei-lite inspect events.root
    fei-lite inspect events.root --format json
"""

from __future__ import annotations

import argparse
import json

from fei_lite.cli.options import add_event_inputs, event_inputs_of

HELP = "say what files hold"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite inspect``."""
    add_event_inputs(parser, metavar="FILE")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite inspect``."""
    from fei_lite.inspection import inspect_file, inspection_text

    found = [inspect_file(path) for path in event_inputs_of(arguments, arguments.inputs, listed=True)]
    print(json.dumps([one.to_json() for one in found], indent=1) if arguments.format == "json"
          else "\n\n".join(inspection_text(one) for one in found))
    return int(any(not one.usable for one in found))
