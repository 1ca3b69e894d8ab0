"""Control of the continuum: reweight it to (a stand-in for) off-resonance data by a classifier, BDTc.

    python scripts/check_continuum.py xs_nunu ccbar.parquet ssbar.parquet ddbar.parquet uubar.parquet \
        --data monash/*.parquet -o FOLDER

The stand-in for data are candidates of continuum simulated with other settings (scripts/produce_candidates.py
--settings monash). Prints how well the two are told apart before and after the weights p / (1 - p), clipped at 10, and
the chi2 of every input of the analysis's classifier before and after. Other candidates among INPUT do not count. Cuts
are those of the analysis but for Mbc, whose sideband counts as well. Writes plots/continuum.png and continuum.json
into FOLDER.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.columns import passes
from fei_lite.analyses.comparison import compare
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.inputs import Inputs
from fei_lite.analyses.recipe import Recipe
from fei_lite.analyses.reweighting import reweight
from fei_lite.analyses.samples import Expectation, generated_of
from fei_lite.analyses.tagged_production import with_productions
from fei_lite.plots.analysis import plot_panels

SIDEBAND = "tagMbc"
CONTINUUM = ("ccbar", "ssbar", "ddbar", "uubar")


def selected(inputs: Inputs, recipe: Recipe) -> tuple[dict, np.ndarray]:
    """Columns and weights of the continuum's candidates that pass all cuts but that on Mbc."""
    process = inputs.process(recipe.signal_decays)
    keep = np.isin(process, CONTINUUM)
    for cut in recipe.cut:
        if SIDEBAND not in cut.cut:
            keep &= passes(cut.cut, inputs.columns)
    norm = Expectation(recipe.normalisation.luminosity_fb, recipe.normalisation.luminosity_fb,
                       recipe.normalisation.n_upsilon4s, recipe.signal_decays)
    scale = {name: norm.expected(name) / n for name, n in generated_of(inputs.sources, recipe.signal_decays).items()}
    weight = inputs.columns["weight"] * np.array([scale[p] for p in process.tolist()])
    return {name: values[keep] for name, values in inputs.columns.items()}, weight[keep]


def main() -> int:
    """Parse the command line, select, reweight, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis")
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="candidates that stand in for data")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    analysis = load_analysis(arguments.analysis)
    features = analysis.recipe.classifier[0].features
    (sim, sim_weight), (data, data_weight) = (
        selected(read_candidates(with_productions(paths, analysis), analysis), analysis.recipe)
        for paths in (arguments.inputs, arguments.data))
    X = [np.column_stack([np.asarray(c[name], dtype=np.float64) for name in features]) for c in (data, sim)]
    found = reweight(*X, data_weight=data_weight, simulation_weight=sim_weight, names=features, seed=arguments.seed)
    print(f"{len(data_weight)} candidates in place of data (expected {data_weight.sum():.0f}), {len(sim_weight)} "
          f"simulated ({sim_weight.sum():.0f}): normalisation {data_weight.sum() / sim_weight.sum():.3f}")
    print(f"area under the ROC curve {found.auc_before[0]:.3f} +- {found.auc_before[1]:.3f} before, "
          f"{found.auc_after[0]:.3f} +- {found.auc_after[1]:.3f} after; {100 * found.clipped:.1f} % of the weights are "
          "clipped")
    print(f"{'input':24s} {'chi2 before':>12s} {'after':>8s}  bins")
    panels, content = [], {}
    for name in features:
        before, after = (compare(data[name], sim[name], data_weight, w) for w in (
            sim_weight, sim_weight * found.weights))
        print(f"{name:24s} {before.chi2:12.1f} {after.chi2:8.1f} {before.ndf:5d}")
        content[name] = {"before": before.chi2, "after": after.chi2, "bins": before.ndf}
        if len(panels) < 4:
            panels.append(Panel(name, "fraction", steps=[
                Steps(before.edges, before.first, before.first_error, "data stand-in"),
                Steps(before.edges, before.second, label="simulation"),
                Steps(before.edges, after.second, label="reweighted")]))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "plots").mkdir(exist_ok=True)
    plot_panels(panels, arguments.output / "plots" / "continuum.png")
    (arguments.output / "continuum.json").write_text(json.dumps({
        "auc_before": found.auc_before, "auc_after": found.auc_after, "clipped": found.clipped, "chi2": content},
        indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
