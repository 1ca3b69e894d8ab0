"""What a piece of a production says of its candidates: numbers, sums of weights, variances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.analyses.candidates.ntuple import Columns, joined
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.selected import selected
from fei_lite.generator.processes import PROCESSES


def summary_of(one: Loaded, parts: Sequence[Columns], options: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of candidates and of those selected, the sums of their weights and the variances of these.

    ``options`` say how events are numbered (``family``), and whether decays were combined anew (``recombined``).
    """
    columns = joined(list(parts))
    every, keep = np.ones(len(columns["weight"]), dtype=bool), selected(one.analysis.recipe, columns)

    def sums(mask: NDArray[np.bool_]) -> tuple[float, float]:
        weight, event, partner = (columns[name][mask] for name in ("weight", "event", "partner"))
        variance = bin_variances(np.zeros(len(weight)), weight, np.zeros(len(weight), dtype=np.int64),
                                 event // options.get("family", 1), np.array([-1.0, 1.0]),
                                 second=partner if options.get("recombined") else event)[0]
        return float(weight.sum()), float(variance)

    (weight, variance), (all_weights, all_variance) = sums(keep), sums(every)
    return {"identity": one.identity["recipe"], "candidates": len(every), "selected": int(np.count_nonzero(keep)),
            "sum_of_weights": weight, "variance": variance, "all_weights": all_weights, "all_variance": all_variance}


def luminosity_of(process: str, n: int) -> float | None:
    """Integrated luminosity (1/fb) that ``n`` events of a process stand for; None for signal."""
    section = PROCESSES[process].cross_section if process in PROCESSES else 0.0
    return n / (section * 1e6) if section > 0.0 else None
