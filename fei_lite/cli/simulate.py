"""Simulate events: generator, parametric detector, event file.

PROCESS is charged, mixed (Upsilon(4S) -> B+B-, B0 anti-B0), uubar, ddbar,
ssbar, ccbar, taupair (continuum) or signal (what the file of --dec says: B's or
continuum, decayed by it, read as by EvtGen on top of the Belle II decay table). --select keeps what an
analysis can use, with weights. Examples:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
    fei-lite simulate ccbar --luminosity 0.001 --seed 1 -o continuum.root
    fei-lite simulate charged -n 1000000 --seed 1 --enrich --keep-uncovered 0.04 -o to_train_on.root
    fei-lite simulate signal --dec k_nunu -n 1000 --seed 1 -o signal.root
    fei-lite simulate charged --select hta --reuse 40 -n 2000 --seed 1 -o selected.root
    fei-lite simulate mixed -n 4000 --per-file 2000 --seed 1 --workers 2 -o mixed
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fei_lite.cli.options import positive
from fei_lite.cli.workers import add_workers, workers_of

HELP = "simulate events: generator and parametric detector"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite simulate``."""
    parser.add_argument("process", metavar="PROCESS", help="what the beams make")
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("-n", "--events", type=int, metavar="N", help="events to generate")
    number.add_argument("--luminosity", type=float, metavar="L",
                        help="as many as an integrated luminosity of L/fb has on average (not for signal)")
    parser.add_argument("--seed", type=int, required=True, help="seed: the same one gives the same events")
    parser.add_argument("-o", "--output", type=Path, required=True,
                        help="event file, .root or .parquet; with --per-file a folder")
    parser.add_argument("--dec", type=Path, metavar="FILE",
                        help="decay file (EvtGen's format), or k_nunu, the shipped one, for signal or continuum; "
                             "what of it is followed and what approximated is said on stderr and in the event file")
    parser.add_argument("--strict", action="store_true",
                        help="with --dec: refuse models that are only approximated")
    parser.add_argument("--settings", default="belle2", metavar="NAME",
                        help="Pythia's settings: belle2 (default), monash (Pythia's own tune), or a file (.toml)")
    parser.add_argument("--response", type=Path, metavar="FILE",
                        help="response of the detector (TOML; default: Belle II)")
    parser.add_argument("--no-background", action="store_true", help="no clusters and tracks from the beams")
    parser.add_argument("--keep-uncovered", type=float, metavar="F",
                        help="keep events without a tag of the channel set with probability F and weight 1/F")
    parser.add_argument("--set", dest="channel_set", default="hadronic",
                        help="channel set of --keep-uncovered (default: %(default)s)")
    parser.add_argument("--enrich", nargs="?", const="hadronic", metavar="NAME",
                        help="charged, mixed: decays into rare channels are frequent, weights keep the events generic; "
                             "measured for the channel set NAME (default: hadronic), or a file (.json)")
    parser.add_argument("--select", metavar="NAME",
                        help="generator-level selection for an analysis (hta): fewer events, weighted")
    parser.add_argument("--reuse", type=int, default=1, metavar="R",
                        help="with --select, of charged and mixed: R combinations of each B decay (default: 1)")
    parser.add_argument("--per-file", type=positive, metavar="N",
                        help="files of N generated events each, with the seeds SEED, SEED + 1 ...; those that are "
                             "there are kept, and with --workers several are made at a time")
    parser.add_argument("--format", choices=("root", "parquet"), default="root", help="of the files of --per-file")
    add_workers(parser)
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite simulate``."""
    from tqdm.auto import tqdm

    from fei_lite.detector.response import load_response
    from fei_lite.generator.decay_file import read_signal_decay
    from fei_lite.generator.processes import events_in
    from fei_lite.generator.pythia import left_out
    from fei_lite.production.event_files import simulate_files
    from fei_lite.production.simulate import simulate_file

    _check_options(arguments)
    signal = None
    if arguments.dec is not None:
        signal = read_signal_decay(arguments.dec, strict=arguments.strict, process=arguments.process)
        for sentence in () if arguments.quiet else signal.told():
            print(f"{signal.place}: {sentence}", file=sys.stderr)
    n = arguments.events if arguments.luminosity is None else events_in(arguments.process, arguments.luminosity)
    with tqdm(unit="event", desc="simulate", total=max(n, 0), file=sys.stderr,
              disable=arguments.quiet) as bar:
        def advance(done: int, total: int) -> None:
            bar.update(done - bar.n)

        options: dict[str, Any] = {
            "background": not arguments.no_background, "keep_uncovered": arguments.keep_uncovered,
            "channel_set": arguments.channel_set, "enrich": arguments.enrich,
            "response": None if arguments.response is None else load_response(arguments.response),
            "selection": arguments.select, "reuse": arguments.reuse, "settings": arguments.settings,
            "inputs": [arguments.response]}
        if arguments.per_file is None:
            result = simulate_file(arguments.process, arguments.output, n=n, seed=arguments.seed, report=advance,
                                   dec_file=signal, force=arguments.force, **options)
        else:
            with workers_of(arguments) as workers:
                result = simulate_files(
                    arguments.process, arguments.output, n=n, per_file=arguments.per_file, seed=arguments.seed,
                    suffix=f".{arguments.format}", workers=workers, report=advance, dec_file=arguments.dec, **options)
    if arguments.quiet:
        return 0
    print(f"{result.n_generated} {arguments.process} events generated, {result.n_events} kept (sum of weights "
          f"{result.sum_of_weights:.1f}), written to {arguments.output}", file=sys.stderr)
    print(f"{len(left_out())} entries of the decay table are not simulated (unknown particles): "
          "scripts/validate_generator.py --left-out lists them", file=sys.stderr)
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise :class:`FeiLiteError` for options that contradict each other."""
    from fei_lite.errors import FeiLiteError

    if arguments.per_file is None and (arguments.workers != 1 or arguments.scheduler or arguments.cluster):
        raise FeiLiteError("several workers make several files: say of how many events (--per-file N), and give a "
                           "folder as output.")
    if arguments.per_file is not None and arguments.force:
        raise FeiLiteError("--per-file keeps files that are there: remove those that are to be made again, and leave "
                           "--force out.")
