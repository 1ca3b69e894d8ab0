"""What B -> Xs nu nubar gives: limits on branching fractions, the BDT, the ranking of its inputs, the unrolled figure.

    python scripts/report_xs_nunu.py FOLDER INPUT...

FOLDER holds the results of `fei-lite analyse xs_nunu INPUT... -o FOLDER`; INPUT are the same candidates. Writes into it
limits.txt and limits.json (expected limits at 90 % CL beside the published ones, of each region with the other
strengths free, and of all with a common strength), bdt.txt and bdt.json (efficiency per region, signal efficiency
and rejection of O(BDT) > 0.86, the ranking), and plots/unrolled.png (a toy of the standard model, before and after
the fit).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from fei_lite.analyses.analysis import Result, analyse
from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.folders import load_analysis, with_models
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.production.driver import with_productions
from fei_lite.analyses.ranking import ranking
from fei_lite.analyses.xs_nunu.limits import PRELIMINARY, PUBLISHED, PUBLISHED_BDT, branching_fractions
from fei_lite.generator.processes import PROCESSES
from fei_lite.plots.unrolled import Unrolled, plot_unrolled
from fei_lite.statistics.by_sample import after_fit, before_fit
from fei_lite.statistics.fits import error_budget, fit_strength
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.workspaces import open_likelihood, read_workspace, strengths_of, with_common_strength

LEVEL = 0.9


def limits(folder: Path, fractions: dict[str, float]) -> tuple[str, dict]:
    """Expected limits as text and JSON."""
    spec = read_workspace(folder / "workspace.json")
    cases = {name.rpartition("_")[2]: open_likelihood(spec, poi=name) for name in strengths_of(spec)}
    cases["all"] = open_likelihood(with_common_strength(spec))
    lines = [f"expected upper limits on the branching fraction, {100 * LEVEL:g} % CL (CLs), beside the published ones",
             f"{'M(Xs)':6s} {'SM':>9s} {'-2':>9s} {'-1':>9s} {'median':>9s} {'+1':>9s} {'+2':>9s} {'published':>10s} "
             f"{'prelim.':>9s} {'median/publ.':>12s}   error on mu; largest parts of it"]
    content = {}
    for name, likelihood in cases.items():
        unit = fractions["all" if name == "all" else f"signal_{name}"]
        found = upper_limit(likelihood, level=LEVEL)
        fit = fit_strength(likelihood)
        budget = sorted(error_budget(likelihood, fit.point).items(), key=lambda item: -item[1])[:5]
        expected = [unit * x for x in found.expected]
        lines.append(f"{name:6s} {unit:9.2e} " + " ".join(f"{x:9.2e}" for x in expected)
                     + f" {PUBLISHED[name]:10.2e} {PRELIMINARY[name]:9.2e} {expected[2] / PUBLISHED[name]:12.2f}   "
                     f"+{fit.error_up:.3g} -{fit.error_down:.3g}; "
                     + ", ".join(f"{source} {size:.3g}" for source, size in budget))
        content[name] = {"branching_fraction_of_strength_1": unit, "expected": expected,
                         "strength_expected": list(found.expected), "published": PUBLISHED[name],
                         "preliminary": PRELIMINARY[name], "error_up": fit.error_up, "error_down": fit.error_down,
                         "error_budget": dict(budget), "undefined": dict(found.undefined)}
    return "\n".join(lines) + "\n", content


def bdt(result: Result, inputs: Inputs) -> tuple[str, dict]:
    """Efficiency and rejection of the BDT, luminosities, ranking, as text and JSON."""
    recipe, columns = result.recipe, result.columns
    cut = min(line.edges[0] for line in recipe.region)
    signal = np.isin(result.sample, [line.name for line in recipe.signals])
    passed, weight = columns["BDT"] > cut, columns["event_weight"]

    def part(of):
        total = weight[of].sum()
        return float(weight[of & passed].sum() / total) if total > 0 else float("nan")

    content = {"cut": cut, "signal efficiency": part(signal), "background rejection": 1.0 - part(~signal),
               "published": PUBLISHED_BDT}
    lines = [f"O(BDT) > {cut:g}: signal efficiency {100 * part(signal):.1f} % (published {100 * 0.68:.0f}), rejection "
             f"{100 * (1 - part(~signal)):.2f} % (published {100 * 0.97:.0f})"]
    lines.append(f"{'sample':14s} {'efficiency':>11s} {'O(BDT)':>8s} {'in the fit':>11s} {'+-':>8s} {'1/fb':>9s}"
                 f"{'effective':>10s}   of all generated; of the selected; expected events; generated, and in the bins")
    content["samples"] = {}
    for s in result.samples:
        of = result.sample == s.name
        inside, error = in_the_fit(result, [s.name])
        content["samples"][s.name] = {"efficiency": s.efficiency, "bdt": part(of), "in_fit": inside,
                                      "entries": s.entries, "luminosity_fb": s.luminosity,
                                      "effective_luminosity_fb": s.effective_luminosity}
        lines.append(f"{s.name:14s} {100 * s.efficiency:10.4f}% {100 * part(of):7.1f}% {inside:11.2f} {error:8.2f} "
                     f"{s.luminosity:9.4g}{s.effective_luminosity:10.4g}")
    content["together"] = {}
    backgrounds = [s for s in result.samples if s.name not in [line.name for line in recipe.signals]]
    for name, kind in (("B Bbar", True), ("continuum", False)):
        of_kind = [s.name for s in backgrounds if all((PROCESSES[p].kind == "bb") == kind for p in s.processes)]
        inside, error = in_the_fit(result, of_kind)
        effective = result.expectation.luminosity * inside / error**2 if error > 0.0 else float("nan")
        content["together"][name] = {"in_fit": inside, "error": error, "effective_luminosity_fb": effective}
        lines.append(f"{name + ', all':14s} {'':11s} {'':8s} {inside:11.2f} {error:8.2f} {'':9s}{effective:10.4g}")
    found = ranking(result, inputs, rng=np.random.default_rng(1))
    content["ranking"] = [{"input": name, "loss": float(a), "alone": float(b)}
                          for name, a, b in zip(found.features, found.loss, found.alone, strict=True)]
    return "\n".join(lines) + "\n\n" + found.text(), content


def in_the_fit(result: Result, names: list[str]) -> tuple[float, float]:
    """Expected events of samples in the bins of the fit, and the statistical error of their sum."""
    found = [region.template(name) for name in names for region in result.regions]
    return sum(float(t.values.sum()) for t in found), sum(float(np.sum(t.errors**2)) for t in found) ** 0.5


def unrolled(result: Result, folder: Path, seed: int) -> None:
    """The unrolled figure of a toy with standard-model signal."""
    likelihood = open_likelihood(folder / "workspace.json")
    toy = likelihood.draw(truth(likelihood, folder), np.random.default_rng(seed))
    slices = likelihood.model.config.channel_slices
    regions = [region.name for region in result.regions]
    samples = {line.name: line.title or line.name for line in
               sorted(result.recipe.sample, key=lambda line: line.strength is not None)}
    shown = Unrolled(regions, samples, {name: toy[slices[name]] for name in regions}, f"toy, seed {seed}")
    fit = fit_strength(likelihood, toy)
    plot_unrolled(shown, {"before the fit": before_fit(likelihood, truth(likelihood, folder)),
                          "after the fit": after_fit(likelihood, fit.point)}, folder / "plots" / "unrolled.png",
                  luminosity=result.expectation.luminosity)


def truth(likelihood, folder: Path) -> np.ndarray:
    """Nominal parameters with every strength 1."""
    values = np.array(likelihood.start)
    for name in strengths_of(read_workspace(folder / "workspace.json")):
        values[likelihood.index(name)] = 1.0
    return values


def main() -> int:
    """Parse the command line, read, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--models", default=None, help="model set of the tagger (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=11, help="of the toy (default: %(default)s)")
    arguments = parser.parse_args()
    folder = arguments.folder
    analysis = with_models(load_analysis("xs_nunu"), arguments.models)
    inputs = read_candidates(with_productions(arguments.inputs, analysis), analysis)
    result = analyse(inputs, analysis, classifiers=read_classifiers(folder / "classifier", analysis))
    fractions = dict(branching_fractions(analysis.recipe, inputs))
    for name, (text, content) in {"limits": limits(folder, fractions), "bdt": bdt(result, inputs)}.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(text)
    unrolled(result, folder, arguments.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
