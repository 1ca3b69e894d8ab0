"""Controls of recoil masses: B0 -> D- pi+ and D_s+ D-, and J/psi K*0 with its leptons taken out of the event.

    python scripts/make_recoil_controls.py --events 50000 --seed 1 --signal trained/kstar_tau_tau -o trained/k_tau_l

Simulates --events of each (generator-level: without a tag of the channel set one in ten is kept, with weight 10), tags
them, and writes the recoil masses in classes of SignalProbability, the efficiency of tag and pion (B0 -> D- pi+), the
resolution of the D_s+ beside that of the tau, and the extra energy beside that of B0 -> K*0 tau tau (--signal: its
results).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fei_lite.analyses.candidates.files import Loaded, Setup
from fei_lite.analyses.candidates.making import Counts, candidates
from fei_lite.analyses.candidates.ntuple import joined, read_ntuple
from fei_lite.analyses.controls.embedding import without_particle
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.folders import find_analysis
from fei_lite.analyses.recipes.columns import passes
from fei_lite.channels import load_channel_set
from fei_lite.particles import mass
from fei_lite.plots.analysis import plot_panels
from fei_lite.production.simulate import simulate

NAME = "recoil_controls"
#: Decay -> (its number in the recipe, the particle that is not looked for).
DECAYS = {"d_pi": (0, "D-"), "ds_d": (1, "D_s+"), "jpsi_kst": (2, "J/psi")}
CLASSES = ((0.001, 0.01), (0.01, 0.1), (0.1, 0.5), (0.5, 1.0))


def columns_of(process: str, sets: Loaded, n: int, seed: int) -> tuple[dict[str, Any], float]:
    """Candidates of one decay and the weight of all that was generated."""
    parts, counts, leptons = [], Counts(), load_channel_set("j_psi")
    for batch in tqdm(simulate("signal", n, seed=seed, dec_file=process, keep_uncovered=0.1, channel_set="extended"),
                      desc=process):
        events = without_particle(batch, leptons, "J/psi") if process == "jpsi_kst" else batch
        found, steps = candidates(events, sets.analysis, sets.tags, process=process)
        parts.append(found)
        counts.merge(steps.steps)
    columns = joined(parts)
    keep = np.ones(len(columns["weight"]), dtype=bool)
    for line in sets.analysis.recipe.cut:
        keep &= passes(line.cut, columns)
    keep &= (columns["decay"] == DECAYS[process][0]) & (columns["sameFlavour"] == 0)
    return {name: values[keep] for name, values in columns.items()}, float(n)


def masses(columns: dict[str, Any], nominal: float) -> dict[str, Any]:
    """Quantiles of the recoil mass less the nominal one, by the tag's probability: the core is within 0.2 GeV.

    A right tag may be the decay under study itself, where the tagger knows it, with a D or a pion of the other B: such
    pairs lie anywhere.
    """
    x, p = columns["M_recoil"] - nominal, columns["tagSignalProbability"]
    tag, out = columns["tagIsSignal"] == 1, {}
    right = tag & (columns["visibleIsSignal"] == 1)
    classes = {"all right": right, "right tag": tag, "wrong tag": ~tag}
    classes |= {f"P {a:g}-{b:g}": (p > a) & (p <= b) for a, b in CLASSES}
    for name, chosen in classes.items():
        y = x[chosen]
        core = y[np.abs(y) < 0.2]
        low, median, high = np.quantile(core, [0.16, 0.5, 0.84]) if len(core) else [float("nan")] * 3
        out[name] = {"entries": len(y), "median": float(median), "half_68": float(high - low) / 2,
                     "beyond_0.2": float(np.mean(np.abs(y) > 0.2)) if len(y) else float("nan")}
    return out


def main() -> int:
    """Simulate, tag, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--signal", type=Path, help="results of kstar_tau_tau")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    sets, found, lines, panels = Setup(find_analysis(NAME)).load(), {}, [], []
    kept: dict[str, dict[str, Any]] = {}
    for k, (process, (_, particle)) in enumerate(DECAYS.items()):
        columns, total = columns_of(process, sets, arguments.events, arguments.seed + k)
        print(f"{process}: {len(columns['weight'])} candidates", flush=True)
        kept[process], nominal = columns, mass(particle)
        near = np.abs(columns["M_recoil"] - nominal) < 0.1
        w = columns["weight"][near]
        value, error = float(w.sum() / total), float(np.sqrt(np.sum(w**2)) / total)
        found[process] = {"efficiency_within_0.1": [value, error], "masses": masses(columns, nominal)}
        lines.append(f"{process}: {total:.0f} generated, within 0.1 GeV of m({particle}) "
                     f"{1e4 * value:.2f} +- {1e4 * error:.2f} of 1e4")
        lines += [f"  {name:12} {q['entries']:6d} entries, median - m {q['median']:8.4f} GeV, half of 68 % "
                  f"{q['half_68']:.4f} GeV, {100 * q['beyond_0.2']:.0f} % beyond 0.2 GeV"
                  for name, q in found[process]["masses"].items() if q["entries"]]
        edges = np.linspace(nominal - 0.4, nominal + 0.4, 41)
        panels.append(Panel(f"recoil mass [GeV], {process}", "candidates", steps=[
            Steps(edges, np.histogram(columns["M_recoil"][columns["tagIsSignal"] == flag], edges)[0].astype(float),
                  label=label) for flag, label in ((1, "right tag"), (0, "wrong tag"))]))
    text, panel = pairs_of_leptons(arguments.events // 2, arguments.seed + 10)
    lines += text
    panels.append(panel)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "plots").mkdir(exist_ok=True)
    plot_panels(panels, arguments.output / "plots" / "recoil_controls.png")
    if arguments.signal is not None:
        lines += extra_energy(kept["jpsi_kst"], arguments.signal)
    (arguments.output / "controls.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.output / "controls.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


def pairs_of_leptons(n: int, seed: int) -> tuple[list[str], Panel]:
    """m(l t) of K*0 tau l candidates in B0 -> J/psi K*0 events, before any cut: what the veto is against."""
    sets, parts = Setup(find_analysis("k_tau_l")).load(), []
    for batch in tqdm(simulate("signal", n, seed=seed, dec_file="jpsi_kst", keep_uncovered=0.1, channel_set="extended"),
                      desc="J/psi K*0 as K*0 tau l"):
        found, _ = candidates(batch, sets.analysis, sets.tags, process="mixed")
        parts.append(found)
    columns = joined(parts)
    x = columns["M_lt"][columns["kaon"] == 1]
    inside = int(np.sum((x > 2.95) & (x < 3.15)))
    edges = np.linspace(0.0, 5.0, 101)
    return ([f"J/psi K*0 as K*0 tau l: {len(x)} candidates, {inside} with 2.95 < m(l t) < 3.15 GeV"],
            Panel(r"$m(\ell t)$ with $K^{*0}$ [GeV], J/psi K*0", "candidates", steps=[
                Steps(edges, np.histogram(x, edges)[0].astype(float), label="J/psi K*0")]))


def extra_energy(control: dict[str, Any], signal: Path) -> list[str]:
    """Extra energy of J/psi K*0 without the leptons beside that of selected K*0 tau tau without a rho."""
    columns, _ = read_ntuple(signal / "ntuple.parquet")
    of = (columns["sample"].astype(str) == "signal") & (columns["nRho"] == 0) & (columns["tagIsSignal"] == 1)
    near = (np.abs(control["M_recoil"] - mass("J/psi")) < 0.1) & (control["nROE_Tracks"] == 0)
    near &= (control["tagIsSignal"] == 1) & (control["roeEextra"] < 2.0)
    out = []
    for label, x, w in (("J/psi K*0, leptons removed", control["roeEextra"][near], control["weight"][near]),
                        ("K*0 tau tau", columns["roeEextra"][of], columns["event_weight"][of])):
        if not len(x):
            continue
        mean = float(np.average(x, weights=w))
        error = float(np.sqrt(np.sum(w**2 * (x - mean) ** 2)) / w.sum())
        out.append(f"extra energy below 2 GeV, right tag, no track left: {label}: {len(x)} entries, mean {mean:.3f} +- "
                   f"{error:.3f} GeV, below 0.2 GeV {100 * float(w[x < 0.2].sum() / w.sum()):.0f} %")
    return out


if __name__ == "__main__":
    raise SystemExit(main())
