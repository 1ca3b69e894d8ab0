"""Compare the simulated detector with the Belle II software's own histograms and events.

    FEI_LITE_TEST_DATA=DATA python scripts/calibrate_detector.py [--format json]

DATA holds basf2_validation/ and basf2_mdst/. Each row is an observable, its
value there, ours, and the ratio; rows outside their tolerance are marked. This
is where the numbers of fei_lite/detector/response.toml marked "tuned" come from.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from fei_lite.performance.detector_validation import detector_rows


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--events", type=int, default=2000, help="generated B+B- events (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = os.environ.get("FEI_LITE_TEST_DATA")
    if not folder:
        print("set FEI_LITE_TEST_DATA to the folder with basf2_validation/ and basf2_mdst/", file=sys.stderr)
        return 2
    rows = detector_rows(Path(folder), n_events=arguments.events, seed=arguments.seed)
    if arguments.format == "json":
        print(json.dumps([asdict(row) | {"ratio": row.ratio, "agrees": row.agrees} for row in rows], indent=1))
        return 0
    for row in rows:
        print(f"{row.observable:<52} {row.reference:10.4g} {row.ours:10.4g} {row.ratio:8.3f}  "
              f"{'' if row.agrees else '*'}".rstrip())
    print(f"{sum(row.agrees for row in rows)} of {len(rows)} agree; * marks the others")
    return 0


if __name__ == "__main__":
    sys.exit(main())
