"""What a piece of a production says of its candidates: numbers, sums of weights, variances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.production.scores import Classifiers, with_scores
from fei_lite.analyses.selected import selected
from fei_lite.generator.processes import PROCESSES


def summary_of(one: Loaded, inputs: Inputs, classifiers: Classifiers) -> dict[str, Any]:
    """Numbers of candidates and of those selected, the sums of their weights and the variances of these.

    With classifiers (``classified``) those are selected that they leave in the bins of a fit.
    """
    columns, first, second = with_scores(inputs, one.analysis, classifiers), inputs.decay(), inputs.second()
    every, keep = np.ones(len(columns["weight"]), dtype=bool), selected(one.analysis.recipe, columns)

    def sums(mask: NDArray[np.bool_]) -> tuple[float, float]:
        weight = columns["weight"][mask]
        variance = bin_variances(np.zeros(len(weight)), weight, np.zeros(len(weight), dtype=np.int64), first[mask],
                                 np.array([-1.0, 1.0]), second=None if second is None else second[mask])[0]
        return float(weight.sum()), float(variance)

    (weight, variance), (all_weights, all_variance) = sums(keep), sums(every)
    return {"identity": one.identity["recipe"], "classified": bool(classifiers),
            "candidates": len(every), "selected": int(np.count_nonzero(keep)),
            "sum_of_weights": weight, "variance": variance, "all_weights": all_weights, "all_variance": all_variance}


def luminosity_of(process: str, n: int) -> float | None:
    """Integrated luminosity (1/fb) that ``n`` events of a process stand for; None for signal."""
    section = PROCESSES[process].cross_section if process in PROCESSES else 0.0
    return n / (section * 1e6) if section > 0.0 else None
