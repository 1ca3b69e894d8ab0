"""Tagging efficiency, tag-side efficiency and purity of a Btag file, and its cut-flow; or sets compared.

N events in all, T with a best Btag of the B type above the working point, C of
them correct: tagging efficiency T/N, tag-side efficiency C/N, purity C/T, with
68.3 % intervals. Exit code 1 if the cut-flow does not account for every event.
Example:

    fei-lite simulate charged -n 1000 --seed 1 -o events.root
    fei-lite reconstruct events.root --models fei_default -o btag.root
    fei-lite evaluate btag.root --format json

With several Btag files of the same events (baseline first): tag-side efficiency
at fixed purity, the maximum, and ratios to the baseline on the same events. With
--simulation: correction factors per decay mode, data over simulation, from fits
of Mbc.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

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
    several = parser.add_argument_group("efficiency against purity (several files, or one with an option of these)")
    several.add_argument("--purities", type=float, nargs="+", metavar="P", help="compare there (default: 0.1 0.5)")
    several.add_argument("--choose", choices=("event", "type"), default="event",
                         help="the best Btag of each event, or of each list, B+ and B0 (default: %(default)s)")
    several.add_argument("--given-bb", action="store_true",
                         help="the events hold no continuum: order the Btags by SignalProbabilityGivenBB where "
                              "a set has it")
    several.add_argument("--reconstructible", type=Path, nargs="*", metavar="EVENTS",
                         help="count, in these event files (default: those the Btag files name), the events in which "
                              "a B of the channel list is generated")
    several.add_argument("--replicas", type=int, default=400, help="of the bootstrap (default: %(default)s)")
    several.add_argument("--seed", type=int, default=1, help="of the bootstrap (default: %(default)s)")
    factors = parser.add_argument_group("correction factors")
    factors.add_argument("--simulation", type=Path, metavar="BTAG",
                         help="simulated Btags of the same control sample; BTAG is the data")
    factors.add_argument("--events", type=Path, nargs="+", metavar="EVENTS",
                         help="the simulated Btags' event files: those with little energy from elsewhere peak, too")
    factors.add_argument("--scale", type=float, help="events in data over those in simulation (default: the files')")
    factors.add_argument("--scale-error", type=float, default=0.0, help="its relative error (default: %(default)s)")
    factors.add_argument("--min-signal-probability", type=float, default=0.01, metavar="P",
                         help="of the Btags (default: %(default)s)")
    factors.add_argument("--min-expected", type=float, default=50.0, metavar="N",
                         help="signal events that a mode needs to have a factor of its own (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite evaluate``."""
    from fei_lite.errors import FeiLiteError
    from fei_lite.outputs import atomic_output

    if arguments.simulation is not None and len(arguments.btags) > 1:
        raise FeiLiteError("--simulation: give one Btag file of data; sets are compared without it.")
    if arguments.simulation is not None:
        from fei_lite.cli.corrections import correct

        text, accounted = correct(arguments), True
    elif len(arguments.btags) > 1 or any(x is not None for x in (
            arguments.purities, arguments.reconstructible, arguments.figure)):
        from fei_lite.cli.comparison import compare

        text, accounted = compare(arguments), True
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
    import json

    from fei_lite.performance.working_points import WORKING_POINTS, evaluate_tags
    from fei_lite.tagging.output import read_tags

    _, cutflow, metadata = read_tags(arguments.btags[0], columns=())
    result = evaluate_tags(_best_rows(arguments.btags[0]), metadata,
                           working_points=arguments.working_points or WORKING_POINTS)
    counts = {(stage, name): count for stage, name, count in cutflow}
    read, tagged, untagged = (counts.get(("events", f"all: {step}"), -1) for step in ("read", "tagged", "untagged"))
    accounted = ((read == tagged + untagged == result["n_events"] and tagged == result["n_tagged"])
                 or (not cutflow and result["n_events"] == 0))
    result["cutflow"] = [{"stage": s, "name": n, "count": c} for s, n, c in cutflow]
    result["every_event_accounted_for"] = accounted
    return json.dumps(result, indent=1) if arguments.format == "json" else _table(result, arguments.channels), accounted


def _best_rows(path: Path) -> dict[str, Any]:
    """What :func:`evaluate_tags` reads, of the best Btags alone: a long file does not fit into memory."""
    import numpy as np

    from fei_lite.tagging.streaming import iterate_tags

    names = ("best", "SignalProbability", "pdg", "weight", "Mbc", "isSignal")
    pieces = [{name: values[piece["best"] == 1] for name, values in piece.items()}
              for piece in iterate_tags(path, names[:-1], optional=names[-1:])]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _percent(measured: dict[str, float | None] | None) -> str:
    if measured is None or measured["value"] is None:
        return f"{'-':>22}"
    value, lower, upper = (100.0 * float(measured[k] or 0.0) for k in ("value", "lower", "upper"))
    return f"{value:8.3f} [{lower:.3f}, {upper:.3f}]"


def _table(result: dict[str, Any], channels: bool) -> str:
    lines = [f"{result['n_events']} events" + (", weighted" if result["weighted"] else ""), "",
             f"{'':4} {'P >':>6} {'tags':>8} {'tagging efficiency %':>26} {'tag-side efficiency %':>26} "
             f"{'purity %':>26}"]
    for b_type in ("B+", "B0"):
        for point in result[b_type]["working_points"]:
            lines.append(
                f"{b_type:4} {point['min_signal_probability']:6g} {point['n_tagged']:8d} "
                f"{_percent(point['tagging_efficiency']):>26} {_percent(point['tag_side_efficiency']):>26} "
                f"{_percent(point['purity']):>26}")
        if block := result[b_type].get("per_event_type"):
            fractions = ", ".join(_percent(m).strip() for m in block["tag_side_efficiency"])
            lines.append(f"     of {block['event_type']} events alone: tag-side efficiency % {fractions}")
    if not result["has_truth"]:
        lines.append("no truth in the file: tag-side efficiency and purity are unknown")
    elif (peak := result["mbc_of_correct_tags"]) and peak["median"] is not None:
        lines += ["", f"Mbc of {peak['n']} correct best tags: median {peak['median']:.4f} GeV, "
                  f"half of the central 68 % {1e3 * peak['width']:.2f} MeV; Gaussian core {peak['core_mean']:.4f} GeV, "
                  f"sigma {1e3 * peak['core_sigma']:.2f} MeV"]
    lines += ["", *_cutflow(result, channels)]
    return "\n".join(lines)


def _cutflow(result: dict[str, Any], channels: bool) -> list[str]:
    """The cut-flow per stage and particle; of channels only on request."""
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for row in result["cutflow"]:
        name, _, step = row["name"].rpartition(": ")
        rows.setdefault((row["stage"], name), {})[step] = row["count"]
    events = rows.pop(("events", "all"), {})
    lines = ["cut-flow: " + " = ".join([f"read {events.get('read', 0)}", f"tagged {events.get('tagged', 0)}"
                                         f" + untagged {events.get('untagged', 0)}"])]
    for (_, name), steps in [item for item in rows.items() if item[0][0] == "events"]:
        lines += [f"  {name}: {step}: {count}" for step, count in steps.items()]
    shown = ("events with a candidate", "events without", "classified", "duplicates dropped", "kept", "kept true")
    lines.append(f"{'stage':8} {'particle':10} " + " ".join(f"{s:>24}" for s in shown))
    for (stage, name), steps in rows.items():
        if stage != "events" and "kept" in steps:
            lines.append(f"{stage:8} {name:10} " + " ".join(f"{steps.get(s, 0):>24}" for s in shown))
    if channels:
        for (stage, name), steps in rows.items():
            if stage != "events" and "kept" not in steps:
                lines.append(f"{stage:8} {name}: " + ", ".join(f"{step} {count}" for step, count in steps.items()))
    return lines
