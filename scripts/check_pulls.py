"""Inject signal into toys of a workspace and look at the pulls of the fits.

    python scripts/check_pulls.py workspace.json --toys 300

Exit code 1 if a mean is further than 0.1 from 0, or a width from 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fei_lite.statistics.toys import INJECTED, pull_toys
from fei_lite.statistics.workspaces import open_likelihood


def main() -> int:
    """Parse the command line, draw and fit the toys, print one line per strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--toys", type=int, default=300, help="per strength (default: %(default)s)")
    parser.add_argument("--injected", type=float, nargs="+", default=INJECTED, metavar="MU",
                        help="injected signal strengths (default: 1 5 20)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    likelihood = open_likelihood(arguments.workspace)
    good = True
    print(f"{'injected':>8} {'toys':>5} {'mean pull':>16} {'width':>15} {'coverage':>9} {'median fit':>11}")
    for injected, rng in zip(arguments.injected, np.random.default_rng(arguments.seed).spawn(len(arguments.injected))):
        toys = pull_toys(likelihood, injected, n=arguments.toys, rng=rng)
        n = arguments.toys - toys.undefined
        good &= abs(toys.mean) <= 0.1 and abs(toys.width - 1.0) <= 0.1
        print(f"{injected:8g} {n:5d} {toys.mean:8.3f} +- {toys.width / np.sqrt(n):.3f} "
              f"{toys.width:7.3f} +- {toys.width / np.sqrt(2 * n):.3f} {toys.coverage:9.3f} "
              f"{np.nanmedian(toys.best_fit):11.2f}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
