"""Everything that docs/kstar_tau_tau.md states, from candidates or productions: one command, again with more of them.

    python scripts/make_kstar_tau_tau.py production kst_tau_tau.root -o trained/kstar_tau_tau

Runs the analysis, the fit of the four categories, toys, and the yields of pairs of equal flavour, which are a control.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.files import Setup, candidate_files, read_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.ntuple import read_ntuple
from fei_lite.analyses.candidates.samples import Expectation, generated_of
from fei_lite.analyses.classifier import fold_of
from fei_lite.analyses.folders import find_analysis, load_analysis
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.production.driver import with_productions
from fei_lite.analyses.recipes.columns import passes
from fei_lite.analyses.selection import cut_flow
from fei_lite.cli import main as fei_lite
from fei_lite.errors import FeiLiteError
from fei_lite.statistics.from_templates import workspace_of
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.toys import pull_toys
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.templates import Template

NAME, UNIT, PUBLISHED = "kstar_tau_tau", 1e-3, 1.8


def flavours(folder: Path) -> str:
    """Yields of pairs of opposite and of equal flavour, before the fit's cut on eta."""
    columns, _ = read_ntuple(folder / "ntuple.parquet")
    sample, weight = columns["sample"].astype(str), columns["event_weight"]
    lines = ["pairs of tag and signal B before the cut on eta, expected at 365/fb; equal flavour is the control",
             f"{'sample':12} {'opposite':>18} {'equal':>18} {'equal / all':>14}"]
    for name in dict.fromkeys(sample.tolist()):
        cells = []
        for flag in (0, 1):
            w = weight[(sample == name) & (columns["sameFlavour"] == flag)]
            cells.append((float(w.sum()), float(np.sqrt(np.sum(w**2)))))
        total = cells[0][0] + cells[1][0]
        lines.append(f"{name:12} " + " ".join(f"{v:10.2f} +-{e:6.2f}" for v, e in cells)
                     + f" {cells[1][0] / total if total else float('nan'):14.3f}")
    return "\n".join(lines) + "\n"


def independent(inputs: Inputs, folder: Path) -> dict[str, Any]:
    """Background of each category and bin, and the limit, if the cuts knew nothing of each other, nor of eta.

    From all background candidates of a category before any cut: their sum of weights times the fraction that each cut
    keeps of them alone, spread over the bins as the classifier spreads them. A hundred times fewer events do than for
    counting; correlations are lost, so that each category's background has an error of 50 % (assumed).
    """
    analysis = load_analysis(NAME)
    recipe, columns = analysis.recipe, inputs.columns
    norm = Expectation(recipe.normalisation.luminosity_fb, recipe.normalisation.luminosity_fb,
                       recipe.normalisation.n_upsilon4s, recipe.signal_decays)
    scale = {p: norm.expected(p) / n for p, n in generated_of(inputs.sources, recipe.signal_decays).items()}
    process = inputs.process(recipe.signal_decays)
    weight = columns["weight"] * np.array([scale[p] for p in process.tolist()])
    background = ~np.isin(process, list(recipe.signal_decays))
    seeds = np.array([source.seed for source in inputs.sources])[columns["source"]]
    histograms = json.loads((folder / "histograms.json").read_text())["regions"]
    regions, out = {}, {}
    classifiers = dict(zip((line.name for line in recipe.classifier), read_classifiers(folder / "classifier", analysis),
                           strict=True))
    for line, region in zip(recipe.classifier, recipe.region, strict=True):
        of = background & passes(line.where or "", columns)
        part, w = {name: values[of] for name, values in columns.items()}, weight[of]
        total = float(w.sum()) * float(np.prod([np.average(cut_flow([cut], part, w)[0], weights=w)
                                                for cut in recipe.cut])) if w.sum() > 0 else 0.0
        used = classifiers[line.name]
        X = np.column_stack([np.asarray(part[name], dtype=np.float64) for name in line.features])
        eta = used.transform(used.scores(X, fold_of(inputs.decay()[of], seeds[of], max(used.folds, 1))))
        n, squares = (np.histogram(np.where(np.isnan(eta), 0.95, eta), region.edges, weights=v)[0] for v in (w, w**2))
        values = total * n / w.sum()
        lightest = total * float(w.min()) / w.sum()
        values, errors = np.maximum(values, 0.5 * lightest), np.maximum(total * np.sqrt(squares) / w.sum(), lightest)
        signal = next(t for t in histograms[region.name]["templates"] if t["name"] == "signal")
        regions[region.name] = [
            Template("signal", np.array(signal["values"]), np.array(signal["errors"]), True, {}, {}, "mu"),
            Template("background", values, errors, False, {f"background_{region.name}": (0.5, 1.5)}, {}, "")]
        out[region.name] = {"background": values.tolist(), "errors": errors.tolist(), "candidates": int(of.sum())}
    limit = upper_limit(open_likelihood(workspace_of(regions)), level=0.9).expected
    return {"regions": out, "expected_limit": list(limit)}


def toys(workspace: Path, n: int, seed: int, limit: float) -> dict[str, Any]:
    """Pulls at zero, one and five times the expected limit: roots of the likelihood ratio, and over the errors."""
    likelihood, out = open_likelihood(workspace), {}
    for times, rng in zip((0.0, 1.0, 5.0), np.random.default_rng(seed).spawn(3), strict=True):
        found = pull_toys(likelihood, times * limit, n=n, rng=rng)
        out[f"{times:g}"] = {"injected": times * limit, "undefined": found.undefined}
        for name, pulls in (("", found.root), (" by errors", found.pulls)):
            pulls = pulls[np.isfinite(pulls)]
            k, width = len(pulls), float(np.std(pulls, ddof=1))
            out[f"{times:g}"] |= {f"mean{name}": [float(pulls.mean()), width / np.sqrt(k)],
                                  f"width{name}": [width, width / np.sqrt(2 * k)]}
    return out


def main() -> int:
    """Analysis, fit, toys, control."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path, help="productions, event files, candidates")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    output = arguments.output
    code = fei_lite(["analyse", NAME, *map(str, arguments.inputs), "-o", str(output), "--force"])
    if code:
        return code
    fei_lite(["fit", str(output / "workspace.json"), "--format", "json", "-o", str(output / "fit.json"), "--force"])
    fit = json.loads((output / "fit.json").read_text())
    expected = fit["upper_limit_90"]["expected"]
    analysis = load_analysis(NAME)
    made = candidate_files(with_productions(arguments.inputs, analysis), output / "candidates",
                           Setup(find_analysis(NAME)))
    other = independent(read_candidates(made, analysis), output)
    (output / "independent_cuts.json").write_text(json.dumps(other, indent=1) + "\n")
    text = ["expected CLs limit at 90 % CL on B(B0 -> K*0 tau tau), 365/fb: "
            + ("undefined" if expected[2] is None else f"{expected[2] * UNIT:.3g} (68 %: {expected[1] * UNIT:.3g} to "
               f"{expected[3] * UNIT:.3g})") + f"; published {PUBLISHED * UNIT:.3g} (arXiv:2504.10042)\n",
            f"with the background of independent cuts: {other['expected_limit'][2] * UNIT:.3g} (68 %: "
            f"{other['expected_limit'][1] * UNIT:.3g} to {other['expected_limit'][3] * UNIT:.3g})\n",
            *(f"  {name}: {sum(part['background']):.0f} events of background from {part['candidates']} candidates\n"
              for name, part in other["regions"].items()), flavours(output)]
    if arguments.toys and expected[2] is not None:
        try:
            tried = toys(output / "workspace.json", arguments.toys, arguments.seed, expected[2])
            (output / "toys.json").write_text(json.dumps(tried, indent=1) + "\n")
            text += [f"{arguments.toys} toys at {times} times the limit: signed root of the likelihood ratio: mean "
                     f"{p['mean'][0]:.3f} +- {p['mean'][1]:.3f}, width {p['width'][0]:.3f} +- {p['width'][1]:.3f}; "
                     f"over the fit's errors: {p['mean by errors'][0]:.3f}, {p['width by errors'][0]:.3f}; undefined "
                     f"{p['undefined']}\n" for times, p in tried.items()]
        except FeiLiteError as problem:
            text.append(f"toys: {problem}\n")
    (output / "limit.txt").write_text("".join(text))
    print("".join(text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
