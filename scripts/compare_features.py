"""Belle II's simulation (mDST files) against ours: features of the classifiers, and their output.

    python scripts/compare_features.py charged.root mixed.root --mdst FOLDER --models fei_default -o features.json

The mDST files are basf2's validation samples (default: FEI_LITE_TEST_DATA/basf2_mdst). Their events are generic
B Bbar; the process of each is read off its generated particles. Prints which features differ, by how much,
and the range of SignalProbability per particle; the JSON holds every feature. Candidates of an event
are not independent: p-values are from exchanging whole events.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fei_lite.classifiers.tagger import load_tagger
from fei_lite.performance.feature_shifts import (
    Difference,
    ProbabilityRange,
    collect,
    compare_features,
    probability_ranges,
)
from fei_lite.performance.plain import as_plain


def print_differences(found: list[Difference], level: float) -> None:
    """The features that differ, by stage, and how many were tested; particles of the same tracks share a row."""
    rows: dict[tuple[int, str, tuple[int, int], int], list[Difference]] = {}
    for d in found:
        if d.q_value < level:
            # the same column under several hypotheses: equal but for a candidate or two
            key = d.stage, d.feature, (d.n_candidates[0], 0), round(100 * d.distance)
            rows.setdefault(key, []).append(d)
    print(f"\n{len(found)} features tested, {sum(map(len, rows.values()))} differ with q < {level:g} "
          f"({sum(d.p_value < 0.05 for d in found)} with p < 0.05; {0.05 * len(found):.0f} by chance)")
    print(f"{'stage':>5} {'channel or particle':40} {'feature':44} {'candidates':>14} {'shift':>7} {'width':>6} "
          f"{'D':>6} {'p':>8} {'q':>8}")
    for group in rows.values():
        d = group[0]
        labels = " ".join(g.label.removesuffix("_FSP") for g in group)
        print(f"{d.stage:5d} {labels:40} {d.feature:44} {d.n_candidates[0]:6d} {d.n_candidates[1]:7d} {d.shift:7.2f} "
              f"{d.width:6.2f} {d.distance:6.3f} {d.p_value:8.1e} {d.q_value:8.1e}")


def print_ranges(rows: list[ProbabilityRange]) -> None:
    """The range of SignalProbability of each particle."""
    print("\nSignalProbability of kept candidates: number, quantiles 1, 50, 99 %, maximum\n"
          f"{'':12} {'mDST':>44} {'ours':>44}")
    for row in rows:
        halves = zip(row.n_candidates, (row.first, row.second), strict=True)
        print(f"{row.particle:12}" + "".join(f" {n:8d}" + "".join(f" {v:8.2g}" for v in values)
                                             for n, values in halves))


def main() -> int:
    """Parse the command line, reconstruct both samples, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulation", type=Path, nargs="+", metavar="EVENTS", help="the mDST's kinds, in equal parts")
    parser.add_argument("--mdst", type=Path, default=Path(os.environ.get("FEI_LITE_TEST_DATA", ".")) / "basf2_mdst",
                        help="folder, or one file")
    parser.add_argument("--models", default="fei_default")
    parser.add_argument("--events", type=int, default=200, help="of each file of ours (default: %(default)s)")
    parser.add_argument("--max-stage", type=int, help="last stage whose features are compared (default: all)")
    parser.add_argument("--level", type=float, default=0.05, help="of the q-values printed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="JSON with every feature")
    arguments = parser.parse_args()
    files = [arguments.mdst] if arguments.mdst.is_file() else sorted(arguments.mdst.glob("*.root"))
    if not files:
        print(f"{arguments.mdst}: no mDST files (*.root).", file=sys.stderr)
        return 2
    channels, models = load_tagger(arguments.models)
    mdst = collect(files, channels, models)
    ours = collect(arguments.simulation, channels, models, max_events=arguments.events)
    for name, sample in (("mDST", mdst), ("ours", ours)):
        print(f"{name}: {sample.n_events} events: {', '.join(f'{n} {t}' for t, n in sample.event_types.items())}")
    with tqdm(unit=" features", file=sys.stderr, disable=None, leave=False) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = compare_features(mdst, ours, max_stage=arguments.max_stage,
                                 rng=np.random.default_rng(arguments.seed), progress=advance)
    print_differences(found, arguments.level)
    ranges = probability_ranges(mdst, ours)
    print_ranges(ranges)
    if arguments.output is not None:
        result = {"mdst": [f.name for f in files], "events": {"mDST": mdst.event_types, "ours": ours.event_types},
                  "models": str(arguments.models), "differences": as_plain(found), "ranges": as_plain(ranges)}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
