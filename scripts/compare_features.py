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
from fei_lite.performance.feature_shifts import collect, compare_features, probability_ranges
from fei_lite.performance.shift_tables import differences_table, ranges_table
from fei_lite.plain import as_plain


def main() -> int:
    """Parse the command line, reconstruct both samples, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulation", type=Path, nargs="+", metavar="EVENTS",
                        help="of the mDST's processes, in equal parts")
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
    print("\n" + differences_table(found, level=arguments.level))
    ranges = probability_ranges(mdst, ours)
    print("\n" + ranges_table(ranges, names=("mDST", "ours")))
    if arguments.output is not None:
        result = {"mdst": [f.name for f in files], "events": {"mDST": mdst.event_types, "ours": ours.event_types},
                  "models": str(arguments.models), "differences": as_plain(found), "ranges": as_plain(ranges)}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
