"""Everything that docs/k_tau_l.md states, from candidates or productions: one command, again whenever there is more.

    fei-lite produce k_tau_l kstar_tau_tau --luminosity 100 --models extended --seed 1 -o production
    for d in ks_tau_l kst_tau_l k_tau_l; do
      fei-lite simulate signal --dec $d --keep-uncovered 0.1 --set extended -n 100000 --seed 1 -o $d.root; done
    python scripts/make_k_tau_l.py production ks_tau_l.root kst_tau_l.root k_tau_l.root -o trained/k_tau_l

Runs the analysis (cut-flows, efficiencies, M_tau), the expected limits with three backgrounds and two data sets beside
the published ones, toys at zero, one and five times the limit, and the figures of m(K t) and m(l t).
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fei_lite.analyses.candidates.files import Setup, candidate_files, read_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.samples import Expectation, generated_of
from fei_lite.analyses.folders import find_analysis, load_analysis
from fei_lite.analyses.production.driver import with_productions
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.analyses.selection import cut_flow
from fei_lite.cli import main as fei_lite
from fei_lite.errors import FitError
from fei_lite.particles import mass
from fei_lite.statistics.from_values import FitValues, read_values
from fei_lite.statistics.shapes import FAMILIES, Background
from fei_lite.statistics.unbinned import PeakFit, PeakModel, background_of, sets_of
from fei_lite.statistics.unbinned_limits import coverage, expected_limits, pulls

NAME, BELLE = "k_tau_l", 711.0
#: One region of each K is tried with toys: that with least and those with more background.
TOYS = ("ks_taum_mup", "kst_taup_mum", "k_taup_mum")


def limits(values: FitValues) -> dict[str, Any]:
    """Expected limits of all regions: three backgrounds, Belle II alone and with a stand-in for Belle."""
    published = json.loads((files("fei_lite.analyses.k_tau_l") / "published.json").read_text())
    out: dict[str, Any] = {"published": published, "regions": {}}
    for name in tqdm(values.regions, desc="limits"):
        own = values.region(name)
        total, error = own.background_total
        found: dict[str, Any] = {"signal_at_1e-5": float(own.signal_weight.sum()), "signal_entries": len(own.signal),
                                 "background": total, "background_error": error,
                                 "background_entries": len(own.background), "published": published["limits"][name]}
        try:
            peak = values.peak(name, loc=mass("tau+"))
            found["peak"] = peak.to_json()
            for family in FAMILIES:
                for label, more in (("365", None), ("365+711", {"belle": BELLE})):
                    model = values.model(name, loc=mass("tau+"), family=family, more=more, peak=peak)
                    found[f"{family} {label}"] = list(expected_limits(model))
            relative = error / total if total else 1.0
            found["background_error_365"] = [expected_limits(values.model(
                name, loc=mass("tau+"), peak=peak, background_scale=max(scale, 0.05)))[2]
                for scale in (1.0 - relative, 1.0 + relative)]
        except FitError as problem:
            found["undefined"] = str(problem)
        out["regions"][name] = found
    return out


def limits_text(found: dict[str, Any]) -> str:
    """The limits as text."""
    lines = ["expected CLs limits at 90 % CL in 1e-5; Belle is a stand-in, 711/fb simulated as Belle II; a background "
             "of no entry counts as half an event of the largest sample; with its error: the background less and more "
             "its statistical error; independent cuts: background from the candidates before the cuts, if these knew "
             "nothing of each other, without a classifier",
             f"{'region':14} {'signal at 1e-5':>14} {'entries':>8} {'background':>18} {'entries':>8} "
             f"{'365/fb':>8} {'with its error':>16} {'365+711':>8} {'bernst. 1':>9} {'bernst. 2':>9} "
             f"{'independent cuts':>18} {'limit':>7} {'published':>9}"]
    for name, r in found["regions"].items():
        head = (f"{name:14} {r['signal_at_1e-5']:14.3f} {r['signal_entries']:8d} {r['background']:9.1f} +- "
                f"{r['background_error']:<6.1f} {r['background_entries']:7d}")
        if "undefined" in r:
            lines.append(f"{head} undefined: {r['undefined']}")
            continue
        lines.append(f"{head} {r['exponential 365'][2]:8.2f} "
                     f"{r['background_error_365'][0]:7.2f}-{r['background_error_365'][1]:<8.2f} "
                     f"{r['exponential 365+711'][2]:8.2f} "
                     f"{r['bernstein1 365'][2]:9.2f} {r['bernstein2 365'][2]:9.2f} "
                     f"{_number(r.get('independent_cuts', {}).get('background')):>18} "
                     f"{_number(r.get('independent_cuts', {}).get('limit')):>7} {r['published']:9.2f}")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def independent(inputs: Inputs, values: FitValues, found: dict[str, Any]) -> None:
    """Background and limit of each region if the cuts were independent of each other, of M_tau and of the mode.

    From all background candidates of a K, before any cut: their sum of weights times the fraction that each cut keeps
    of them alone, the fraction of the mode and that in the range. It knows no correlation and no classifier, but needs
    a hundred times fewer events than counting.
    """
    recipe, columns = load_analysis(NAME).recipe, inputs.columns
    weight, background = _weights(inputs, recipe), _kind(inputs, recipe) != "signal"
    for name, line in zip(values.regions, recipe.region, strict=True):
        kaon, mode = (int(line.where.split(f"{key} == ")[1].split()[0]) for key in ("kaon", "mode"))
        of = background & (columns["kaon"] == kaon)
        w, own = weight[of], values.region(name)
        if not w.sum() > 0.0 or not len(own.signal):
            continue
        part = {key: column[of] for key, column in columns.items()}
        x = part["M_tau"]
        inside = (x >= own.low) & (x < own.high)
        # a cut of other modes or hadrons is one that candidates of this region pass
        part["mode"] = np.full(len(w), mode)
        total = float(w.sum() * np.average(columns["mode"][of] == mode, weights=w) * np.average(inside, weights=w))
        for cut in recipe.cut[1:]:
            passed, _ = cut_flow([cut], part, w)
            total *= float(np.average(passed, weights=w))
        entry: dict[str, Any] = {"background": total, "candidates": int(of.sum())}
        if total > 0.0:
            for family in ("exponential", "bernstein2"):
                shape = background_of(x[inside], w[inside], family, own.low, own.high)
                size = total / Background(family, own.low, own.high).total(shape)
                entry[family] = [p if key == "slope" else p * size
                                 for key, p in zip(FAMILIES[family], shape, strict=True)]
            entry["limit"] = expected_limits(_model(values, name, entry, "exponential"))[2]
        found["regions"][name]["independent_cuts"] = entry


def _model(values: FitValues, name: str, entry: dict[str, Any], family: str) -> PeakModel:
    """The model of a region with the background of independent cuts."""
    own = values.region(name)
    sets = sets_of(["belle2"], [1.0], signal=float(own.signal_weight.sum()), parameters=entry[family],
                   background=Background(family, own.low, own.high))
    return PeakModel(values.peak(name, loc=mass("tau+")), sets, own.efficiency_error)


def toys(values: FitValues, found_limits: dict[str, Any], n: int, seed: int) -> dict[str, Any]:
    """Pulls at zero, one and five times the limit, with the right background and another one, and the coverage.

    The background is that of independent cuts: that of counted candidates has too few of them.
    """
    out: dict[str, Any] = {"toys": n, "seed": seed, "regions": {}}
    for name in (bar := tqdm(TOYS, desc="toys")):
        rng, entry = np.random.default_rng(seed), found_limits["regions"][name].get("independent_cuts", {})
        if "limit" not in entry:
            out["regions"][name] = {"undefined": "no background candidate"}
            continue
        model, other = (_model(values, name, entry, family) for family in ("exponential", "bernstein2"))
        limit = expected_limits(model)[2]
        found: dict[str, Any] = {"limit": limit, "background": model.sets[0].total, "pulls": {}}
        for times in (0.0, 1.0, 5.0):
            bar.set_postfix_str(f"{name} {times:g}")
            for label, truth in (("", None), (" bernstein2", other)):
                if truth is not None and times > 0.0:
                    continue
                p = pulls(model, times * limit, toys=n, rng=rng, truth=truth)
                away = (p.best_fit - p.injected) / _expected_error(model, p.injected)
                k, spread = n - p.undefined, float(np.nanstd(away, ddof=1))
                found["pulls"][f"{times:g}{label}"] = {
                    "mean": p.mean, "width": p.width, "undefined": p.undefined,
                    "bias": float(np.nanmean(p.best_fit) - p.injected),
                    "estimate": [float(np.nanmean(away)), spread / np.sqrt(k), spread, spread / np.sqrt(2 * (k - 1))]}
        c = coverage(model, limit, toys=min(n, 200), rng=rng)
        found["coverage"] = {"at": limit, "level": 0.9, "value": c.value, "error": c.error}
        out["regions"][name] = found
    return out


def _expected_error(model: PeakModel, strength: float) -> float:
    """The mean of the errors up and down that are expected with this signal (Asimov data)."""
    fit = PeakFit(model, model.asimov(strength))
    return 0.5 * (fit.error(1.0) + fit.error(-1.0))


def toys_text(found: dict[str, Any]) -> str:
    """The toys as text."""
    lines = [f"{found['toys']} toys of each, seed {found['seed']}; strengths in units of the expected limit; the pull "
             "is the signed root of the likelihood ratio; estimate: fit less injected over the expected error; "
             "bernstein2: toys of that background, fitted with the exponential",
             f"{'region':14} {'background':>10} {'injected':>14} {'mean':>16} {'width':>16} {'bias':>8} "
             f"{'estimate, mean':>16} {'width':>16}"]
    for name, r in found["regions"].items():
        if "undefined" in r:
            lines.append(f"{name:14} undefined: {r['undefined']}")
            continue
        for strength, p in r["pulls"].items():
            mean, error, width, its_error = p["estimate"]
            lines.append(f"{name:14} {r['background']:10.1f} {strength:>14} {p['mean'][0]:8.3f} +-{p['mean'][1]:6.3f} "
                         f"{p['width'][0]:8.3f} +-{p['width'][1]:6.3f} {p['bias']:8.3f} {mean:8.3f} +-{error:6.3f} "
                         f"{width:8.3f} +-{its_error:6.3f}")
        c = r["coverage"]
        lines.append(f"{name:14} {'':10} limits above the injected one: {c['value']:.3f} +- {c['error']:.3f} (90 % CL)")
    return "\n".join(lines) + "\n"


def veto_figures(inputs: Inputs, folder: Path) -> None:
    """m(K t) and m(l t) of signal and background that pass all other cuts."""
    from fei_lite.analyses.drawings import Panel, Steps
    from fei_lite.plots.analysis import plot_panels

    analysis = load_analysis(NAME)
    recipe, columns = analysis.recipe, inputs.columns
    weight, sample = _weights(inputs, recipe), _kind(inputs, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    for name, variable, cut, where, low, high, bins in (
            ("m_Kt", "M_Kt", "D veto in m(K t)", columns["mode"] >= 2, 0.6, 4.8, 42),
            ("m_lt", "M_lt", "J/psi veto", columns["M_tau"] > -1.0, 0.0, 5.0, 50)):
        kept, _ = cut_flow([line for line in recipe.cut if not line.name.startswith(cut)
                            and line.name != "M_tau is defined"], columns, weight)
        panels = []
        for k, title in enumerate((r"K_S^0", r"K^{*0}", r"K^+")):
            of = kept & (columns["kaon"] == k) & where
            if name == "m_lt":
                of = (cut_flow([line for line in recipe.cut if line.name == "no good track left"], columns, weight)[0]
                      & (columns["kaon"] == k) & _same_flavour(columns))
            edges = np.linspace(low, high, bins + 1)
            steps = []
            for label in ("signal", "B Bbar", "continuum"):
                n = np.histogram(columns[variable][of & (sample == label)], edges,
                                 weights=weight[of & (sample == label)])[0]
                steps.append(Steps(edges, n / n.sum() if n.sum() > 0 else n, label=label))
            axis = r"$m(K t)$" if name == "m_Kt" else r"$m(\ell t)$"
            panels.append(Panel(f"{axis} with ${title}$ [GeV]", "fraction per bin", steps=steps))
        plot_panels(panels, folder / f"{name}.png")


def _same_flavour(columns: dict[str, Any]) -> np.ndarray:
    """Pairs of leptons of one flavour."""
    electron = np.where(columns["kaon"] == 1, columns["trackElectronID"] > 0.5, columns["tauMode"] == 0)
    muon = np.where(columns["kaon"] == 1, columns["trackMuonID"] > 0.5, columns["tauMode"] == 1)
    return np.where(columns["mode"] % 2 == 0, electron, muon).astype(bool)


def _weights(inputs: Inputs, recipe: Recipe) -> np.ndarray:
    norm = Expectation(recipe.normalisation.luminosity_fb, recipe.normalisation.luminosity_fb,
                       recipe.normalisation.n_upsilon4s, recipe.signal_decays)
    scale = {p: norm.expected(p) / n for p, n in generated_of(inputs.sources, recipe.signal_decays).items()}
    process = inputs.process(recipe.signal_decays)
    return np.asarray(inputs.columns["weight"] * np.array([scale[p] for p in process.tolist()]))


def _kind(inputs: Inputs, recipe: Recipe) -> np.ndarray:
    process = inputs.process(recipe.signal_decays)
    return np.where(np.isin(process, list(recipe.signal_decays)), "signal",
                    np.where(np.isin(process, ["charged", "mixed"]), "B Bbar", "continuum"))


def main() -> int:
    """Analysis, limits, toys, figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path, help="productions, event files, candidates")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only-toys", action="store_true", help="the results are in OUTPUT already")
    arguments = parser.parse_args()
    output = arguments.output
    if arguments.only_toys:
        return _toys(read_values(output), json.loads((output / "limits.json").read_text()), arguments)
    code = fei_lite(["analyse", NAME, *map(str, arguments.inputs), "-o", str(output), "--force"])
    if code:
        return code
    values, analysis = read_values(output), load_analysis(NAME)
    made = candidate_files(with_productions(arguments.inputs, analysis), output / "candidates",
                           Setup(find_analysis(NAME)))
    inputs = read_candidates(made, analysis)
    found = limits(values)
    independent(inputs, values, found)
    (output / "limits.json").write_text(json.dumps(found, indent=1) + "\n")
    (output / "limits.txt").write_text(limits_text(found))
    print(limits_text(found))
    veto_figures(inputs, output / "plots")
    return _toys(values, found, arguments) if arguments.toys else 0


def _toys(values: FitValues, found: dict[str, Any], arguments: argparse.Namespace) -> int:
    tried = toys(values, found, arguments.toys, arguments.seed)
    (arguments.output / "toys.json").write_text(json.dumps(tried, indent=1) + "\n")
    (arguments.output / "toys.txt").write_text(toys_text(tried))
    print(toys_text(tried))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
