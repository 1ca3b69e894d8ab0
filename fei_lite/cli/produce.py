"""Simulate background (and signal) for several analyses at once: generated, selected, tagged once, candidates of all.

ANALYSIS are shipped ones or folders. What is worth the detector is learned on the way: a forest predicts from what was
generated whether an event enters one of the analyses, and weights make up for the selection. The folder grows in
pieces; the same command goes on where it stopped, and folders made with other seeds add up:

    fei-lite produce hta --process charged mixed --luminosity 100 --models extended --seed 1 -o production
    fei-lite produce hta --process ccbar uubar ddbar ssbar --minutes 60 --models extended --seed 1 -o production
    fei-lite produce hta --process k_nunu --events 100000 --models extended --seed 1 -o production
    fei-lite analyse hta production --models extended -o hta
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fei_lite.cli.workers import add_workers, workers_of

HELP = "simulate for several analyses at once, with a learned selection"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite produce``."""
    parser.add_argument("analyses", nargs="+", metavar="ANALYSIS", help="shipped analyses, or folders of some")
    parser.add_argument("--process", nargs="+", default=["charged", "mixed", "ccbar", "uubar", "ddbar", "ssbar"],
                        metavar="P", help="processes, signal decays of the recipes too (default: all background)")
    parser.add_argument("--luminosity", type=float, metavar="L", help="of each background process at least L/fb")
    parser.add_argument("--events", type=int, metavar="N", help="of each signal decay N events")
    parser.add_argument("--effective", type=float, nargs=2, metavar=("B", "Q"),
                        help="until the effective luminosity (1/fb) of the selected candidates is B for B pairs, Q for "
                             "each process of continuum: the time goes where most of it lacks. Every fifth piece "
                             "decides that, and is not among the candidates")
    parser.add_argument("--minutes", type=float, metavar="T", help="start no piece after T minutes")
    parser.add_argument("--seed", type=int, required=True, help="seed of the first piece of each process")
    parser.add_argument("--models", default=None, help="model set of the tagger (default: the recipes')")
    parser.add_argument("--set", dest="channel_set", default=None,
                        help="channel set of the tagger (default: that of the models)")
    parser.add_argument("--settings", default="belle2", metavar="NAME", help="Pythia's settings")
    parser.add_argument("--signal", nargs="+", type=Path, default=[], metavar="FILE",
                        help="candidates of simulated signal (fei-lite analyse --candidates-only), and of background "
                             "if there is any: the analyses' classifiers are then trained on the way, with these "
                             "besides, and the time goes to what comes into the bins of their fits")
    parser.add_argument("--keep-events", action="store_true",
                        help="keep all events with a Btag, so that other analyses can run on them")
    parser.add_argument("--plain", action="store_true",
                        help="no selection: every event is detected and tagged, to compare with")
    add_workers(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the production")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite produce``."""
    from fei_lite.analyses.folders import find_analysis
    from fei_lite.analyses.production.driver import produce_all
    from fei_lite.analyses.production.goals import Wanted
    from fei_lite.analyses.production.plans import Plan

    plan = Plan(tuple(find_analysis(name) for name in arguments.analyses), arguments.models, arguments.channel_set,
                arguments.settings, arguments.keep_events, arguments.plain, tuple(arguments.signal))
    wanted = Wanted(arguments.luminosity, arguments.events,
                    None if arguments.minutes is None else 60.0 * arguments.minutes,
                    None if arguments.effective is None else tuple(arguments.effective))
    with workers_of(arguments) as workers:
        produce_all(arguments.process, plan, arguments.output, seed=arguments.seed, wanted=wanted, workers=workers,
                    report=None if arguments.quiet else _tell)
    _print_yields(arguments.output, plan)
    return 0


def _tell(record: dict[str, Any]) -> None:
    """A line per piece."""
    found = ", ".join(f"{name} {part['selected']}/{part['candidates']}" for name, part in record["analyses"].items())
    size = "" if record["luminosity_fb"] is None else f" = {record['luminosity_fb']:.3g}/fb"
    selection = "" if record["selection"] is None else f", selection {record['selection']['name']}"
    selection += ", a guide" if record.get("guide") else ""
    print(f"{record['process']} {record['seed']}: {record['n_generated']} events{size}{selection}, {record['taken']} "
          f"reconstructed, selected/candidates {found}; {sum(record['seconds'].values()):.0f} s", file=sys.stderr,
          flush=True)


def _print_yields(folder: Path, plan: Any) -> None:
    """The table of effective luminosities."""
    from fei_lite.analyses.production.plain_costs import plain_seconds
    from fei_lite.analyses.production.records import records_of
    from fei_lite.analyses.production.yields import learning_seconds, yields_of

    workshop = plan.load()
    processes = list(dict.fromkeys(r["process"] for r in records_of(folder) if r["luminosity_fb"] is not None))
    plain = plain_seconds(processes, folder, workshop)
    print(f"{'analysis':16s} {'process':8s} {'1/fb':>9s} {'selected':>8s} {'effective':>9s} {'near':>8s} {'CPU s':>7s} "
          f"{'gain':>6s}  68 % interval")
    for one in workshop.all:
        for row in yields_of([folder], one.analysis, plain):
            low, high = row.gain_interval
            interval = f"{low:.1f} to {high:.1f}" if low > 0.0 else "few candidates"
            print(f"{row.analysis:16s} {row.process:8s} {row.luminosity:9.3f} {row.selected:8d} {row.effective:9.3f} "
                  f"{row.near:8.3f} {row.seconds:7.0f} {row.gain:6.1f}  {interval}")
    print(f"besides, to learn and to decide how much of each: {learning_seconds(folder):.0f} s")
