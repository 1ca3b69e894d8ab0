"""Compare the simulated detector with the Belle II software's own histograms and events.

    FEI_LITE_TEST_DATA=DATA python scripts/calibrate_detector.py [--format json]

DATA holds basf2_validation/ and basf2_mdst/. Each row is an observable, its
value there, ours, and the ratio; rows outside their tolerance are marked. This
is where the numbers of fei_lite/detector/response.toml marked "tuned" come from. --fit-pid
starts from the numbers of [pid] there and prints those that fit best (some minutes).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fei_lite.detector.response import default_response
from fei_lite.performance.detector_validation import detector_rows
from fei_lite.performance.pid_fit import LISTS, NUMBERS, fit_pid, squares, witness


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--events", type=int, default=2000, help="generated B+B- events (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fit-pid", action="store_true", help="fit the numbers of the identification instead")
    arguments = parser.parse_args()
    folder = os.environ.get("FEI_LITE_TEST_DATA")
    if not folder:
        print("set FEI_LITE_TEST_DATA to the folder with basf2_validation/ and basf2_mdst/", file=sys.stderr)
        return 2
    if arguments.fit_pid:
        print_fit(Path(folder), arguments.seed)
        return 0
    rows = detector_rows(Path(folder), n_events=arguments.events, seed=arguments.seed)
    if arguments.format == "json":
        print(json.dumps([asdict(row) | {"ratio": row.ratio, "agrees": row.agrees} for row in rows], indent=1))
        return 0
    for row in rows:
        print(f"{row.observable:<52} {row.reference:10.4g} {row.ours:10.4g} {row.ratio:8.3f}  "
              f"{'' if row.agrees else '*'}".rstrip())
    print(f"{sum(row.agrees for row in rows)} of {len(rows)} agree; * marks the others")
    return 0


def print_fit(folder: Path, seed: int) -> None:
    """Fit [pid] of the shipped response and print the numbers that moved."""
    response = default_response()
    seen = witness(folder, response, seed=seed)
    fitted = fit_pid(seen, response.pid, rng=np.random.default_rng(seed))
    for pid, when in ((response.pid, "before"), (fitted, "after")):
        total, outside = squares(pid, seen)
        print(f"# {when}: sum of squares {total:.1f}, {outside} fractions off by more than the tolerance")
    for name in (*NUMBERS, *LISTS):
        print(f"{name} = {np.round(getattr(fitted, name), 5).tolist()}")


if __name__ == "__main__":
    sys.exit(main())
