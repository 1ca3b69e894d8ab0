"""Closure: a known decay measured as the signal is, in a variant of the analysis.

Templates are the simulation, the bins to be fitted those of the stand-in for data; the fit itself is the statistics
package's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.analysis import Result, analyse
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.classifier import FoldClassifier
from fei_lite.analyses.controls.judged import judged
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.histograms import inside_region
from fei_lite.analyses.recipes.columns import calculate, passes
from fei_lite.analyses.recipes.controls import Closure

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """What the stand-in for data has in the bins of every region: ``place`` (n,) counts the bins of all regions.

    ``weight`` (n,) are events expected; ``family`` (n,) numbers the generated decays that candidates share. ``bins``:
    number of bins of each region by its name.
    """

    place: NDArray[np.int64]
    weight: Floats
    family: NDArray[np.int64]
    bins: dict[str, int]

    def counts(self, rng: np.random.Generator | None = None) -> dict[str, Floats]:
        """Events in the bins of each region; with ``rng`` those of a bootstrap sample, each family a Poisson number of
        times."""
        weight = self.weight
        if rng is not None and len(weight):
            weight = weight * rng.poisson(1.0, int(self.family.max()) + 1)[self.family]
        total = np.bincount(self.place, weight, minlength=sum(self.bins.values()))
        ends = np.cumsum(list(self.bins.values()))
        return dict(zip(self.bins, np.split(total, ends[:-1]), strict=True))


def closure_templates(line: Closure, variant: Analysis, classifiers: Sequence[FoldClassifier],
                      simulation: Inputs) -> Result:
    """The variant on simulation without the decay that is measured in its backgrounds."""
    return analyse(without_decay(line, variant, simulation), variant, classifiers=classifiers)


def without_decay(line: Closure, variant: Analysis, inputs: Inputs) -> Inputs:
    """Candidates of the signal, and those of background that are not of the decay that is measured."""
    signal = np.isin(inputs.process(variant.recipe.signal_decays), list(variant.recipe.signal_decays))
    keep = signal | ~passes(line.exclude, inputs.columns, "controls.closure: exclude")
    return replace(inputs, columns={name: values[keep] for name, values in inputs.columns.items()})


def closure_data(line: Closure, variant: Analysis, classifiers: Sequence[FoldClassifier], data: Inputs) -> Observed:
    """The stand-in for data in the bins of the fit, the decay at the branching fraction of the control.

    If there are events of the decay's own file among the data they stand for it, and those in the background are
    left out; otherwise those in the background are the decay.
    """
    decays = variant.recipe.signal_decays
    own = np.isin(data.process(decays), list(decays))
    found = judged(without_decay(line, variant, data) if own.any() else data, variant, classifiers)
    weight = found.weight.copy()
    for name, decay in decays.items():
        weight[found.process == name] *= line.branching_fraction / decay.branching_fraction
    places, weights, families, first = [], [], [], 0
    keys = np.stack([found.columns["source"], found.columns["decay"]], axis=1)
    family = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    for region in variant.recipe.region:
        inside = inside_region(region, found.columns)
        x = np.asarray(calculate(region.variable, found.columns), dtype=np.float64)[inside]
        places.append(first + np.searchsorted(region.edges[1:-1], x, side="right"))
        weights.append(weight[inside])
        families.append(family[inside])
        first += len(region.edges) - 1
    bins = {region.name: len(region.edges) - 1 for region in variant.recipe.region}
    return Observed(np.concatenate(places).astype(np.int64), np.concatenate(weights),
                    np.concatenate(families).astype(np.int64), bins)
