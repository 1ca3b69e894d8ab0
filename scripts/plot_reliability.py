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

import numpy as np

from fei_lite.classifiers.quality import reliability, weighted_auc
from fei_lite.errors import FeiLiteError
from fei_lite.plots.tags import plot_reliability
from fei_lite.training.checking import classified_candidates

MIN_SIGNAL = 10  # true candidates; below, the channel is drawn but does not count in the median


def main() -> int:
    """Parse the command line, classify, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+", metavar="EVENTS")
    parser.add_argument("--models", default="fei_default", help="name or folder of a model set (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("reliability.png"))
    arguments = parser.parse_args()
    try:
        found = classified_candidates(
            arguments.samples, arguments.models, workers=arguments.workers,
            report=lambda what, done, total: print(f"\r{what}: {done} of {total} events", end="", file=sys.stderr))
    except FeiLiteError as error:
        print(error, file=sys.stderr)
        return 3
    print(file=sys.stderr)
    panels, ratios = {}, []
    print(f"{'channel':52s} {'candidates':>11s} {'true':>7s} {'AUC':>7s} {'calibration error':>18s} {'expected':>9s}")
    for identifier, (truth, probability, weight) in found.items():
        auc, _ = weighted_auc(truth, probability, weight=weight)
        bins = reliability(truth, probability, weight=weight, n_bins=10)
        if not len(bins.weight):
            print(f"{identifier:52s} {0:11d}")
            continue
        error = np.average(np.abs(bins.observed - bins.predicted), weights=bins.weight)
        expected = np.average(np.sqrt(2.0 / np.pi) * bins.uncertainty, weights=bins.weight)
        print(f"{identifier:52s} {len(truth):11d} {int(truth.sum()):7d} {auc:7.4f} {error:18.2e} {expected:9.2e}")
        panels[identifier] = bins
        if truth.sum() >= MIN_SIGNAL:
            ratios.append(error / expected)
    print(f"{len(panels)} channels drawn; {len(ratios)} of them have {MIN_SIGNAL} true candidates or more and a median "
          f"of calibration error / expected of {np.median(ratios):.2f}")
    for file in plot_reliability(panels, arguments.output, title="Reliability on independent events"):
        print(f"drawn: {file}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
