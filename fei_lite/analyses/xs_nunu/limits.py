"""From strengths to branching fractions: what strength 1 stands for in each region of true M(Xs)."""

from __future__ import annotations

from collections.abc import Mapping

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.samples import process_of
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.generator.processes import F_CHARGED, F_NEUTRAL

#: Published upper limits at 90 % CL on the branching fraction in regions of M(Xs) and in all; arXiv:2511.10980.
PUBLISHED = {"low": 2.2e-5, "mid": 9.5e-5, "high": 3.12e-4, "all": 3.2e-4}
#: The preliminary ones.
PRELIMINARY = {"low": 2.5e-5, "mid": 1.0e-4, "high": 3.5e-4, "all": 3.6e-4}
#: Published efficiency of the BDT for signal, rejection of background, and coverage of the modes.
PUBLISHED_BDT = {"signal efficiency": 0.68, "background rejection": 0.97}


def branching_fractions(recipe: Recipe, inputs: Inputs) -> Mapping[str, float]:
    """Branching fraction of each signal sample at strength 1, and of ``all`` of them.

    That of B+ and B0 weighted with f+- and f00: the part of a sample is its sum of generated weights in the events
    that were read.
    """
    found: dict[str, float] = {}
    share = {"B+": F_CHARGED / (F_CHARGED + F_NEUTRAL), "B0": F_NEUTRAL / (F_CHARGED + F_NEUTRAL)}
    for name, decay in recipe.signal_decays.items():
        sums: dict[str, float] = {}
        for source, steps in zip(inputs.sources, inputs.counts, strict=True):
            if process_of(source, recipe.signal_decays) == name:
                for sample, counts in steps.items():
                    sums[sample] = sums.get(sample, 0.0) + counts["events read"][1]
        total = sum(sums.values())
        for sample, weight in sums.items():
            part = share[decay.meson] * decay.branching_fraction * weight / total
            found[sample] = found.get(sample, 0.0) + part
    return found | {"all": sum(found.values())}
