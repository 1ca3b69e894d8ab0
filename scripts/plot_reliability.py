"""Draw the reliability of every classifier of a model set, on events it has not seen.

    python scripts/plot_reliability.py charged.root mixed.root --models fei_default -o reliability.png

Prints a line per channel: candidates, true ones, area under the ROC curve, and
the calibration error next to what fluctuations alone would give. Candidates of one
event resemble each other, so that the true fluctuations are somewhat larger.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fei_lite.errors import FeiLiteError
from fei_lite.performance.classifiers import check_classifiers, classifiers_table
from fei_lite.plots.tags import plot_reliability


def main() -> int:
    """Parse the command line, classify, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+", metavar="EVENTS")
    parser.add_argument("--models", default="fei_default", help="name or folder of a model set (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("reliability.png"))
    arguments = parser.parse_args()
    try:
        checks = check_classifiers(
            arguments.samples, arguments.models, workers=arguments.workers,
            report=lambda what, done, total: print(f"\r{what}: {done} of {total} events", end="", file=sys.stderr))
    except FeiLiteError as error:
        print(error, file=sys.stderr)
        return 3
    print(file=sys.stderr)
    print(classifiers_table(checks))
    panels = {check.identifier: check.reliability for check in checks if len(check.reliability.weight)}
    for file in plot_reliability(panels, arguments.output, title="Reliability on independent events"):
        print(f"drawn: {file}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
