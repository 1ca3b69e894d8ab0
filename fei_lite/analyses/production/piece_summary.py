"""What a piece of a production says of its candidates: numbers, sums of weights, variances."""

from __future__ import annotations

from typing import Any

import numpy as np

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.production.scores import Classifiers, with_scores
from fei_lite.analyses.selected import selected
from fei_lite.generator.processes import PROCESSES


def summary_of(one: Loaded, inputs: Inputs, classifiers: Classifiers) -> dict[str, Any]:
    """Numbers of candidates and of those selected, the sum of the weights of these and its variance.

    With classifiers (``classified``) those are selected that they leave in the bins of a fit.
    """
    columns, first, second = with_scores(inputs, one.analysis, classifiers), inputs.decay(), inputs.second()
    keep = selected(one.analysis.recipe, columns)
    weight = columns["weight"][keep]
    variance = bin_variances(np.zeros(len(weight)), weight, np.zeros(len(weight), dtype=np.int64), first[keep],
                             np.array([-1.0, 1.0]), second=None if second is None else second[keep])[0]
    return {"identity": one.identity["recipe"], "classified": bool(classifiers), "candidates": len(keep),
            "selected": int(np.count_nonzero(keep)), "sum_of_weights": float(weight.sum()), "variance": float(variance)}


def luminosity_of(process: str, n: int) -> float | None:
    """Integrated luminosity (1/fb) that ``n`` events of a process stand for; None for signal."""
    section = PROCESSES[process].cross_section if process in PROCESSES else 0.0
    return n / (section * 1e6) if section > 0.0 else None
