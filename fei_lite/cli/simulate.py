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
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "simulate events: generator and parametric detector"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite simulate``."""
    parser.add_argument("process", metavar="PROCESS", help="what the beams make")
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("-n", "--events", type=int, metavar="N", help="events to generate")
    number.add_argument("--luminosity", type=float, metavar="L",
                        help="as many as an integrated luminosity of L/fb has on average (not for signal)")
    parser.add_argument("--seed", type=int, required=True, help="seed: the same one gives the same events")
    parser.add_argument("-o", "--output", type=Path, required=True, help="event file, .root or .parquet")
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
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite simulate``."""
    from tqdm import tqdm

    from fei_lite.detector.response import load_response
    from fei_lite.generator.decay_file import read_signal_decay
    from fei_lite.generator.processes import events_in
    from fei_lite.generator.pythia import left_out
    from fei_lite.production.simulate import simulate_file

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

        result = simulate_file(
            arguments.process, arguments.output, n=n, seed=arguments.seed, dec_file=signal,
            force=arguments.force, background=not arguments.no_background,
            keep_uncovered=arguments.keep_uncovered, channel_set=arguments.channel_set,
            enrich=arguments.enrich,
            response=None if arguments.response is None else load_response(arguments.response),
            report=advance, selection=arguments.select, reuse=arguments.reuse, settings=arguments.settings,
            inputs=[arguments.response])
    if arguments.quiet:
        return 0
    print(f"{result.n_generated} {arguments.process} events generated, {result.n_events} kept (sum of weights "
          f"{result.sum_of_weights:.1f}), written to {arguments.output}", file=sys.stderr)
    print(f"{len(left_out())} entries of the decay table are not simulated (unknown particles): "
          "scripts/validate_generator.py --left-out lists them", file=sys.stderr)
    return 0
