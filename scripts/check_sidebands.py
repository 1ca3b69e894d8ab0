"""Sidebands of B -> Xs nu nubar: Mbc below the signal region, and O(BDT) below the fit's, beside the signal region.

    python scripts/check_sidebands.py FOLDER INPUT...

FOLDER holds the results of `fei-lite analyse xs_nunu INPUT... -o FOLDER`. In data the sidebands show whether the
simulation of the background is right; here, without data, whether they are like the signal region at all: shapes of
background in both, with the chi2 of their difference, and the yields.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from fei_lite.analyses.analysis import Result, analyse
from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.comparison import compare
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.tagged_production import with_productions

SHOWN = ("BDT", "Mxs", "E_ECL", "sigMomentumCMS", "missingMomentum", "tagSignalProbability")


def background(result: Result) -> np.ndarray:
    """Candidates of background."""
    return ~np.isin(result.sample, [line.name for line in result.recipe.signals])


def show(title: str, first: tuple[Result, np.ndarray], second: tuple[Result, np.ndarray], names) -> None:
    """Yields per sample, and the chi2 of each quantity."""
    print(title)
    for label, (result, chosen) in (("sideband", first), ("signal region", second)):
        weight = result.columns["event_weight"][chosen]
        parts = [f"{s.name} {weight[result.sample[chosen] == s.name].sum():.0f}" for s in result.samples]
        print(f"  {label}: {int(chosen.sum())} candidates, {weight.sum():.0f} expected ({', '.join(parts)})")
    for name in names:
        found = compare(*(r.columns[name][k & background(r)] for r, k in (first, second)),
                        *(r.columns["event_weight"][k & background(r)] for r, k in (first, second)), bins=5)
        print(f"  background, {name:22s} chi2 {found.chi2:6.1f} / {found.ndf:d}  p = {found.p_value:.3f}")


def main() -> int:
    """Parse the command line, select both Mbc regions, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("inputs", nargs="+", type=Path)
    arguments = parser.parse_args()
    analysis = load_analysis("xs_nunu")
    inputs = read_candidates(with_productions(arguments.inputs, analysis), analysis)
    used = read_classifiers(arguments.folder / "classifier", analysis)
    signal = analyse(inputs, analysis, classifiers=used)
    cuts = tuple(cut.model_copy(update={"cut": "tagMbc <= 5.27"}) if "tagMbc" in cut.cut else cut
                 for cut in analysis.recipe.cut)
    below = replace(analysis, recipe=analysis.recipe.model_copy(update={"cut": cuts}))
    side = analyse(inputs, below, classifiers=used)
    cut = min(line.edges[0] for line in analysis.recipe.region)
    everything = [np.ones(len(r.sample), dtype=bool) for r in (side, signal)]
    show("Mbc: 5.24 to 5.27 GeV, and above", (side, everything[0]), (signal, everything[1]), SHOWN)
    fit = signal.columns["BDT"] > cut
    low = (signal.columns["BDT"] > 0.3) & ~fit
    show(f"O(BDT): 0.3 to {cut:g}, and above", (signal, low), (signal, fit), SHOWN[1:])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
