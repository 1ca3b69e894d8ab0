"""What B0 -> K*0 tau tau adds to the results of its analysis: the efficiency of each category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fei_lite.analyses.analysis import Result
from fei_lite.analyses.drawings import Panel, Steps


def summary(result: Result) -> dict[str, Any]:
    """Selected over generated signal in each category, with the statistical error, before the cut on eta."""
    of = result.sample == "signal"
    total = result.of("signal").flow[0].passed_weight
    out = {}
    for line in result.recipe.region:
        w = result.columns["event_weight"][of & result.in_region(line.name)]
        out[line.name] = {"value": float(w.sum() / total), "error": float(np.sqrt(np.sum(w**2)) / total)}
    return {"efficiency_of_categories": out}


def figures(result: Result) -> Mapping[str, Sequence[Panel]]:
    """q2 that recoils against tag and K*0, signal beside all background."""
    signal, edges = result.sample == "signal", np.linspace(10.0, 22.0, 25)
    parts = []
    for of, label in ((signal, "signal"), (~signal, "background")):
        n = np.histogram(result.columns["q2"][of], edges, weights=result.columns["event_weight"][of])[0]
        parts.append(Steps(edges, n / n.sum() if n.sum() > 0.0 else n, label=label))
    return {"q2": [Panel(r"$q^2$ [GeV$^2$]", "fraction per bin", steps=parts)]}
