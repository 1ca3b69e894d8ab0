"""Tagging efficiency, tag-side efficiency and purity of a Btag file, and its cut-flow; or sets compared.

N events in all, T with a best Btag of the B type above the working point, C of
them correct: tagging efficiency T/N, tag-side efficiency C/N, purity C/T, with
68.3 % intervals. Exit code 1 if the cut-flow does not account for every event.
Example:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
    fei-lite reconstruct events.root --models fei_default -o btag.root
    fei-lite evaluate btag.root --format json

With --lost: the truth followed from the generated B to the chosen Btag, through every step of the reconstruction,
and what each step loses to which particles and channels:

    fei-lite evaluate btag.root --lost

With --merge: Btag files of different events as one sample, written to a file of its own and evaluated:

    fei-lite evaluate btag.root --merge all.root

With several Btag files of the same events (baseline first): tag-side efficiency
at fixed purity, the maximum, and ratios to the baseline on the same events. With
--simulation: correction factors per decay mode, data over simulation, from fits
of Mbc.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fei_lite.cli.options import add_event_inputs, event_inputs_of, files_read, natural, positive

HELP = "efficiencies and purity of a Btag file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite evaluate``."""
    parser.add_argument("btags", type=Path, nargs="+", metavar="BTAG",
                        help="file made by fei-lite reconstruct; several of the same events are compared")
    parser.add_argument("--working-points", type=float, nargs="+", metavar="P",
                        help="lower cuts on SignalProbability (default: 0.001 0.01 0.1)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--channels", action="store_true", help="list the cut-flow of every channel as well")
    parser.add_argument("-o", "--output", type=Path, help="write there instead of printing")
    parser.add_argument("--figure", type=Path, help="draw there: efficiency against purity, or the fits of Mbc")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("--merge", type=Path, metavar="FILE",
                        help="write the Btags of all files, of different events and the same models, there, and "
                             "evaluate them as one")
    lost = parser.add_argument_group("truth cut-flow")
    lost.add_argument("--lost", nargs="*", metavar="EVENTS",
                      help="reconstruct these event files (default: those the Btag file names) again with its models, "
                           "and tell after which step right tags are lost")
    lost.add_argument("--max-events", type=positive, help="stop after so many events")
    lost.add_argument("--workers", type=positive, default=1, help="processes (default: %(default)s)")
    several = parser.add_argument_group("efficiency against purity (several files, or one with an option of these)")
    several.add_argument("--purities", type=float, nargs="+", metavar="P", help="compare there (default: 0.1 0.5)")
    several.add_argument("--choose", choices=("event", "type"), default="event",
                         help="the best Btag of each event, or of each list, B+ and B0 (default: %(default)s)")
    several.add_argument("--given-bb", action="store_true",
                         help="the events hold no continuum: order the Btags by SignalProbabilityGivenBB where "
                              "a set has it")
    several.add_argument("--reconstructible", nargs="*", metavar="EVENTS",
                         help="count, in these event files (default: those the Btag files name), the events in which "
                              "a B of the channel list is generated")
    several.add_argument("--replicas", type=positive, default=400, help="of the bootstrap (default: %(default)s)")
    several.add_argument("--seed", type=natural, default=1, help="of the bootstrap (default: %(default)s)")
    factors = parser.add_argument_group("correction factors")
    factors.add_argument("--simulation", type=Path, metavar="BTAG",
                         help="simulated Btags of the same control sample; BTAG is the data")
    factors.add_argument("--events", nargs="+", metavar="EVENTS",
                         help="the simulated Btags' event files: those with little energy from elsewhere peak, too")
    factors.add_argument("--scale", type=float, help="events in data over those in simulation (default: the files')")
    factors.add_argument("--scale-error", type=float, default=0.0, help="its relative error (default: %(default)s)")
    factors.add_argument("--min-signal-probability", type=float, default=0.01, metavar="P",
                         help="of the Btags (default: %(default)s)")
    factors.add_argument("--min-expected", type=float, default=50.0, metavar="N",
                         help="signal events that a mode needs to have a factor of its own (default: %(default)s)")
    add_event_inputs(parser, None)


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite evaluate``."""
    from fei_lite.errors import FeiLiteError
    from fei_lite.outputs import atomic_output, refuse_inputs
    from fei_lite.tagging.merging import merge_tags

    for name in ("lost", "reconstructible", "events"):
        if getattr(arguments, name) is not None:
            setattr(arguments, name, event_inputs_of(arguments, getattr(arguments, name)))
    inputs = [*arguments.btags, *files_read(arguments), arguments.simulation, *(arguments.events or ()),
              *(arguments.reconstructible or ()), *(arguments.lost or ())]
    for output in (arguments.output, arguments.figure, arguments.merge):
        if output is not None:
            refuse_inputs(output, inputs)
    if arguments.merge is not None:
        merge_tags(arguments.btags, arguments.merge, force=arguments.force)
        arguments.btags = [arguments.merge]
    accounted = True
    if arguments.lost is not None:
        if len(arguments.btags) > 1 or arguments.simulation is not None:
            raise FeiLiteError("--lost: give one Btag file: its models are the ones that are followed.")
        text = _lost(arguments)
    elif arguments.simulation is not None:
        if len(arguments.btags) > 1:
            raise FeiLiteError("--simulation: give one Btag file of data; sets are compared without it.")
        text = _correct(arguments)
    elif len(arguments.btags) > 1 or any(x is not None for x in (
            arguments.purities, arguments.reconstructible, arguments.figure)):
        text = _compare(arguments)
    else:
        text, accounted = _one(arguments)
    if arguments.output is None:
        print(text)
    else:
        with atomic_output(arguments.output, force=arguments.force) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return 0 if accounted else 1


def _one(arguments: argparse.Namespace) -> tuple[str, bool]:
    """The result of a single file, and whether its cut-flow accounts for every event."""
    from fei_lite.performance.files import evaluate_file
    from fei_lite.performance.text import evaluation_table
    from fei_lite.performance.working_points import WORKING_POINTS

    found = evaluate_file(arguments.btags[0], working_points=arguments.working_points or WORKING_POINTS)
    text = (json.dumps(found.to_json(), indent=1) if arguments.format == "json"
            else evaluation_table(found, channels=arguments.channels))
    for note in found.notes:
        print(note, file=sys.stderr)
    return text, found.every_event_accounted_for


def _lost(arguments: argparse.Namespace) -> str:
    """The truth cut-flow of a Btag file's models."""
    from tqdm import tqdm

    from fei_lite.performance.best_tags import said
    from fei_lite.performance.lost import find_lost
    from fei_lite.performance.text import lost_table
    from fei_lite.tagging.output import read_tags

    path = arguments.btags[0]
    _, _, metadata = read_tags(path, columns=())
    events = arguments.lost or event_inputs_of(arguments, said(metadata, "inputs", path))
    with tqdm(unit=" events", file=sys.stderr, disable=None, leave=False) as bar:
        found = find_lost(events, str(said(metadata, "models", path)),
                          channel_set=str(said(metadata, "channel_set", path)), workers=arguments.workers,
                          max_events=arguments.max_events, progress=lambda n: bar.update(n - bar.n))
    if arguments.format == "json":
        return json.dumps({b_type: counts.to_json() for b_type, counts in found.items()}, indent=1)
    return lost_table(found)


def _compare(arguments: argparse.Namespace) -> str:
    """Model sets compared on the same events; draws the figure."""
    from tqdm.auto import tqdm

    from fei_lite.performance.comparison import PURITIES
    from fei_lite.performance.files import compare_files
    from fei_lite.performance.text import comparison_table
    from fei_lite.plain import as_plain

    with tqdm(unit=" events", file=sys.stderr, disable=None, leave=False) as bar:
        comparison, reconstructible = compare_files(
            arguments.btags, choose=arguments.choose, purities=arguments.purities or PURITIES,
            replicas=arguments.replicas, seed=arguments.seed, events=arguments.reconstructible,
            given_bb=arguments.given_bb, progress=lambda n: bar.update(n - bar.n))
    for note in comparison.notes:
        print(note, file=sys.stderr)
    if arguments.figure is not None:
        from fei_lite.plots.performance import draw_comparison

        draw_comparison(comparison, arguments.figure, reconstructible=reconstructible, force=arguments.force)
    if arguments.format == "json":
        return json.dumps({"comparison": as_plain(comparison), "reconstructible": as_plain(reconstructible)}, indent=1)
    return comparison_table(comparison, reconstructible, given_bb=arguments.given_bb)


def _correct(arguments: argparse.Namespace) -> str:
    """Correction factors per decay mode; draws the figure."""
    from fei_lite.corrections.files import correct_files
    from fei_lite.corrections.text import factors_table

    found = correct_files(
        arguments.btags[0], arguments.simulation, events=arguments.events or (), choose=arguments.choose,
        min_signal_probability=arguments.min_signal_probability, scale=arguments.scale,
        scale_error=arguments.scale_error, min_expected=arguments.min_expected)
    if arguments.figure is not None:
        from fei_lite.plots.corrections import draw_corrections

        draw_corrections(found.factors, arguments.figure, names=found.names, force=arguments.force)
    return (json.dumps(found.to_json(), indent=1) if arguments.format == "json"
            else factors_table(found.factors, found.names))
