"""Every classifier of a model set on events that it has not seen: AUC, and whether its output is a probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fei_lite.classifiers.quality import Reliability, reliability, weighted_auc
from fei_lite.parallel import Workers
from fei_lite.training.checking import classified_candidates
from fei_lite.training.driver import Report

#: True candidates; below, a channel does not count in the median.
MIN_SIGNAL = 10


@dataclass(frozen=True)
class ChannelCheck:
    """Candidates of one channel before the cut on SignalProbability, true ones, AUC and reliability."""

    identifier: str
    n: int
    n_true: int
    auc: float
    reliability: Reliability


def check_classifiers(samples: Sequence[Path], models: str, *, workers: Workers = 1, n_bins: int = 10,
                      report: Report | None = None) -> list[ChannelCheck]:
    """Check the channels of a model set on event files with truth that were not trained on.

    Large samples are thinned, see
    :func:`fei_lite.training.checking.classified_candidates`.
    """
    found = classified_candidates(samples, models, workers=workers, report=report)
    return [ChannelCheck(identifier, len(truth), int(truth.sum()), weighted_auc(truth, probability, weight=weight)[0],
                         reliability(truth, probability, weight=weight, n_bins=n_bins))
            for identifier, (truth, probability, weight) in found.items()]


def classifiers_table(checks: Sequence[ChannelCheck]) -> str:
    """A line per channel, and the median of calibration error over what fluctuations alone would give."""
    lines = [f"{'channel':52s} {'candidates':>11s} {'true':>7s} {'AUC':>7s} {'calibration error':>18s} "
             f"{'expected':>9s}"]
    ratios = []
    for check in checks:
        bins = check.reliability
        if not len(bins.weight):
            lines.append(f"{check.identifier:52s} {0:11d}")
            continue
        error, expected = bins.calibration_error, bins.error_from_fluctuations
        lines.append(f"{check.identifier:52s} {check.n:11d} {check.n_true:7d} {check.auc:7.4f} {error:18.2e} "
                     f"{expected:9.2e}")
        if check.n_true >= MIN_SIGNAL:
            ratios.append(error / expected)
    drawn = sum(len(check.reliability.weight) > 0 for check in checks)
    median = f" and a median of calibration error / expected of {np.median(ratios):.2f}" if ratios else ""
    return "\n".join([*lines, f"{drawn} channels drawn; {len(ratios)} of them have {MIN_SIGNAL} true candidates or more"
                      + median])
