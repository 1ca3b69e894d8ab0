"""Measure what to enrich for a channel set of one's own, for fei-lite simulate --enrich FILE.

Three steps: count decays by mode and channel (one to two minutes per 250 000 events; with other seeds as
often as liked), find the boosts from all that was counted, and look at what they do. Counting again with the decays
of the first boosts tells how often D_s+, Lambda_c+ and J/psi lead to a channel once these are enriched too. To be run
again when
the decay table, Pythia or the channel set change; older files stay right, but spend events less well. Example:

    fei-lite enrich count charged -n 250000 --seed 11 --set hadronic -o counts
    fei-lite enrich count mixed -n 250000 --seed 12 --set hadronic -o counts
    fei-lite enrich boost counts --set hadronic -o first.json
    fei-lite enrich count charged -n 250000 --seed 13 --set hadronic --decays first.json -o counts
    fei-lite enrich count mixed -n 250000 --seed 14 --set hadronic --decays first.json -o counts
    fei-lite enrich boost counts --set hadronic -o mine.json
    fei-lite enrich check charged -n 50000 --seed 15 --set hadronic --enrich mine.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fei_lite.cli.options import positive

HELP = "measure which decays to enrich for a channel set"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite enrich``."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    count = steps.add_parser("count", help="count decays by mode and channel, into a folder")
    boost = steps.add_parser("boost", help="find the boosts from all that was counted")
    check = steps.add_parser("check", help="count what enriched events hold")
    for step in (count, check):
        step.add_argument("process", choices=["charged", "mixed"])
        step.add_argument("-n", "--events", type=positive, required=True, help="events to generate")
        step.add_argument("--seed", type=int, required=True, help="seed of the generator")
        step.add_argument("--quiet", action="store_true", help="no progress bar")
    for step in (count, boost, check):
        step.add_argument("--set", dest="channel_set", default="hadronic",
                          help="channel set, shipped or a folder (default: %(default)s)")
    count.add_argument("-o", "--output", type=Path, required=True, help="folder of the counts")
    count.add_argument("--decays", metavar="ENRICHMENT", default=None,
                       help="enrichment of an earlier pass: D_s+, Lambda_c+ and J/psi decay as enriched there")
    boost.add_argument("counts", type=Path, help="folder of the counts")
    boost.add_argument("-o", "--output", type=Path, required=True, help="the enrichment (.json)")
    boost.add_argument("--force", action="store_true", help="overwrite the output")
    check.add_argument("--enrich", required=True, metavar="ENRICHMENT", help="enrichment, shipped or a .json file")
    check.add_argument("--keep-uncovered", type=float, default=0.04, help="as in simulate (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite enrich``."""
    return {"count": _count, "boost": _boost, "check": _check}[arguments.step](arguments)


def _count(arguments: argparse.Namespace) -> int:
    from io import BytesIO

    import numpy as np
    from tqdm.auto import tqdm

    from fei_lite.channels import load_channel_set
    from fei_lite.generator.enrichment import Enrichment, load_enrichment
    from fei_lite.outputs import atomic_output, make_folder
    from fei_lite.production.enrichment_rates.counting import Channels, count_decays

    channels = Channels(load_channel_set(arguments.channel_set))
    enriched = load_enrichment(arguments.decays) if arguments.decays else Enrichment("", {}, {})
    path = arguments.output / f"{arguments.process}_{arguments.seed}.npz"
    make_folder(arguments.output)
    inputs = [arguments.channel_set, arguments.decays]
    with atomic_output(path, inputs=inputs) as temporary, tqdm(total=arguments.events, unit="event", file=sys.stderr,
                                                disable=arguments.quiet) as bar:
        content = BytesIO()
        found = count_decays(arguments.process, arguments.events, seed=arguments.seed, channels=channels,
                             enriched=enriched, progress=bar.update)
        np.savez_compressed(content, allow_pickle=False, **found)
        temporary.write_bytes(content.getvalue())
    return 0


def _boost(arguments: argparse.Namespace) -> int:
    from fei_lite.channels import load_channel_set
    from fei_lite.outputs import atomic_output, check_suffix
    from fei_lite.production.enrichment_rates.boosts import EVENTS, find_boosts, read_counts
    from fei_lite.production.enrichment_rates.counting import Channels

    check_suffix(arguments.output, (".json",))
    command = (f"fei-lite enrich count PROCESS -n EVENTS --seed SEED --set {arguments.channel_set}; "
               f"fei-lite enrich boost --set {arguments.channel_set}")
    inputs = [arguments.counts, arguments.channel_set]
    with atomic_output(arguments.output, force=arguments.force, inputs=inputs) as temporary:
        channel_set = load_channel_set(arguments.channel_set)
        counts = read_counts(arguments.counts, Channels(channel_set))
        data, rates = find_boosts(channel_set, counts, command=command)
        temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(f"{'':45s} {'generic':>12s} {'enriched':>12s} {'found':>12s} {'equal weight':>12s}  true complete decays in "
          f"{EVENTS} events of each B type")
    for r in rates:
        print(f"{r.channel.text:45s} {r.generic:12.1f} {r.enriched:12.1f} {r.found:12.1f} {r.effective:12.1f}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    import numpy as np

    from fei_lite.production.enrichment_rates.checking import count_enriched

    found = count_enriched(arguments.process, arguments.events, seed=arguments.seed, enrichment=arguments.enrich,
                           channel_set=arguments.channel_set, keep_uncovered=arguments.keep_uncovered)
    print(f"{'':45s} {'enriched':>10s} {'kept':>10s} {'weighted':>10s}  per million {arguments.process} events")
    for text, counts in zip(found.channels, found.per_million.T, strict=True):
        print(f"{text:45s} " + " ".join(f"{x:10.0f}" for x in counts))
    n = arguments.events
    for name, w in zip(("all", "kept"), found.weights, strict=True):
        squares = float(np.sum(w**2))
        print(f"{name}: {len(w)} of {n} events, mean weight {w.sum() / n:.4f} +- {np.sqrt(squares) / n:.4f}, largest "
              f"{w.max():.2f}, effective {w.sum() ** 2 / squares:.0f}")
    return 0
