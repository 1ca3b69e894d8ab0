"""Simulate events: generator and parametric detector, written to an event file.

Processes: charged (Upsilon(4S) -> B+ B-), mixed (B0 anti-B0 with coherent mixing),
uubar ddbar ssbar ccbar taupair (continuum), signal (one B by --dec, the other
generic). The same seed gives the same events. Example:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "simulate events: generator and detector"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite simulate``."""
    parser.add_argument("process", metavar="PROCESS",
                        help="charged, mixed, uubar, ddbar, ssbar, ccbar, taupair or signal")
    parser.add_argument("-n", "--events", type=int, required=True, help="events to generate")
    parser.add_argument("--seed", type=int, required=True, help="seed of the random numbers")
    parser.add_argument("-o", "--output", type=Path, required=True, help="event file, .root or .parquet")
    parser.add_argument("--dec", type=Path, help="EvtGen-style decay file of the signal B")
    parser.add_argument("--keep-uncovered", type=float, default=1.0, metavar="SHARE",
                        help="of the events without a B that the channel set covers, simulate this share only, "
                             "with weight 1/SHARE (default: %(default)s, all)")
    parser.add_argument("--set", dest="channel_set", default="hadronic",
                        help="channel set of --keep-uncovered (default: %(default)s)")
    parser.add_argument("--no-background", action="store_true", help="no beam background")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite simulate``."""
    from tqdm import tqdm

    from fei_lite.simulation.simulate import simulate_file

    with tqdm(total=arguments.events, unit="event", desc=f"simulate {arguments.process}", file=sys.stderr,
              disable=arguments.quiet) as bar:
        written = simulate_file(
            arguments.process, arguments.output, n=arguments.events, seed=arguments.seed, dec_file=arguments.dec,
            uncovered=arguments.keep_uncovered, channel_set=arguments.channel_set,
            background=not arguments.no_background, force=arguments.force,
            progress=lambda done, _total: bar.update(done - bar.n))
    print(f"{written} events written to {arguments.output}", file=sys.stderr)
    return 0
