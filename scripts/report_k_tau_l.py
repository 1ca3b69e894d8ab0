"""The tables of docs/k_tau_l.md and docs/kstar_tau_tau.md from committed results, as Markdown.

    python scripts/report_k_tau_l.py trained                # prints them
    python scripts/report_k_tau_l.py trained --docs docs    # puts them into the pages, after "<!-- table NAME -->"

Numbers inside of sentences are not touched: read the pages again.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

KAONS = {"ks": "K_S0", "kst": "K*0", "k": "K+"}
MODES = {"taup_mum": "tau+ mu-", "taum_mup": "tau- mu+", "taup_em": "tau+ e-", "taum_ep": "tau- e+"}
BACKGROUNDS = ("charged", "mixed", "continuum")
REGIONS = [(f"{k}_{s}", f"{KAONS[k]} {MODES[s]}") for k in KAONS for s in MODES]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def pair(entry: dict[str, float]) -> str:
    """An efficiency in 1e-4 with its error."""
    return f"{1e4 * entry['value']:.1f} +- {1e4 * entry['error']:.1f}"


def read(folder: Path, name: str) -> Any:
    """A JSON file of the results."""
    return json.loads((folder / name).read_text())


def luminosities(samples: dict[str, Any]) -> str:
    """Luminosity of each background."""
    return table(["background", "generated 1/fb", "candidates that pass the cuts", "effective 1/fb in the fit"], [
        [s, f"{samples[s]['luminosity_fb']:.3g}", str(samples[s]["entries"]),
         "none there" if (e := samples[s]["effective_luminosity_fb"]) is None else f"{e:.2g}"]
        for s in BACKGROUNDS if s in samples])


def k_tau_l(folder: Path) -> dict[str, str]:
    """Tables of B -> K tau l by name."""
    histograms, limits, toys = (read(folder, f"{n}.json") for n in ("histograms", "limits", "toys"))
    out = {"luminosities": luminosities(histograms["samples"]), "vetoes": vetoes(read(folder, "cutflow.json"))}
    out["M_tau"] = table(["", "candidates", "median [GeV]", "half of 68 % [MeV]", "beyond 0.2 GeV [%]"], [
        [name, str(q["entries"]), f"{q['median']:.4f}", f"{1e3 * q['half_68']:.0f}", f"{100 * q['beyond_0.2']:.0f}"]
        for name, q in histograms["M_tau_GeV"].items()])
    rows = []
    for name, title in REGIONS:
        r, e = limits["regions"][name], histograms["efficiency_of_operators"][name]
        own = r.get("independent_cuts", {})
        found = [own.get("background"), own.get("limit"), *((r.get(f"{f} 365") or [None] * 3)[2] for f in (
            "exponential", "bernstein1", "bernstein2")), (r.get("exponential 365+711") or [None] * 3)[2]]
        rows.append([title, *(pair(e[o]) for o in ("phase space", "vector", "scalar")), str(r["background_entries"]),
                     *("-" if x is None else f"{x:.2g}" for x in found), f"{r['published']:g}"])
    head = ["", "phase space", "vector", "scalar", "background candidates", "background, independent cuts",
            "limit with it, 365/fb", "limit, counted, 365/fb", "Bernstein 1", "Bernstein 2", "and 711/fb more",
            "published"]
    out["limits"] = table(head, rows)
    out["categories"] = table(["", "e", "mu", "pi", "rho"], [
        [title, *(pair(histograms["efficiency_of_categories"][name][c]) for c in ("e", "mu", "pi", "rho"))]
        for name, title in REGIONS if not name.startswith("kst")])
    out["toys"] = table(["region", "background", "injected", "estimate, mean", "width", "root, mean", "width"], [
        [name, f"{r['background']:.0f}", strength, *(f"{x:.3f} +- {error:.3f}" for x, error in (
            p["estimate"][:2], p["estimate"][2:], p["mean"], p["width"]))]
        for name, r in toys["regions"].items() if "pulls" in r for strength, p in r["pulls"].items()])
    return out


def vetoes(flows: dict[str, Any]) -> str:
    """What each cut alone rejects."""
    signals = [name for name, _ in REGIONS if name in flows]
    kept = [sum(flows[s][-1]["passed"] for s in of if s in flows) for of in (signals, BACKGROUNDS)]
    rows = []
    for row in flows[signals[0]]:
        lost = [sum(r["rejected_last"] for s in of if s in flows for r in flows[s] if r["name"] == row["name"])
                for of in (signals, BACKGROUNDS)]
        if row["alone"] != row["passed"] or any(lost):
            rows.append([row["name"], str(lost[0]), f"{100 * lost[0] / (kept[0] + lost[0]):.1f} %", str(lost[1])])
    rows.append(["pass all", str(kept[0]), "", str(kept[1])])
    return table(["cut", "signal", "of signal", "background"], rows)


def kstar_tau_tau(folder: Path) -> dict[str, str]:
    """Tables of B0 -> K*0 tau tau by name."""
    histograms, other = read(folder, "histograms.json"), read(folder, "independent_cuts.json")
    categories = histograms["efficiency_of_categories"]
    return {"luminosities": luminosities(histograms["samples"]), "categories": table(
        ["category", "efficiency, 1e-4", "background candidates before the cuts", "background, independent cuts"],
        [[name, f"{1e4 * e['value']:.2f} +- {1e4 * e['error']:.2f}", str(other["regions"][name]["candidates"]),
          f"{sum(other['regions'][name]['background']):.0f}"] for name, e in categories.items()])}


def main() -> int:
    """Print all tables, or put them into the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with k_tau_l and kstar_tau_tau")
    parser.add_argument("--docs", type=Path, help="folder of the pages")
    arguments = parser.parse_args()
    for name, make in (("k_tau_l", k_tau_l), ("kstar_tau_tau", kstar_tau_tau)):
        tables = make(arguments.folder / name)
        if arguments.docs is None:
            print("\n".join(f"{name}: {key}\n\n{text}" for key, text in tables.items()))
            continue
        page = arguments.docs / f"{name}.md"
        text = page.read_text()
        for key, new in tables.items():
            mark = f"<!-- table {key} -->\n"
            if mark not in text:
                raise SystemExit(f"{page}: no line {mark.strip()}")
            text = re.sub(re.escape(mark) + r"(?:\|.*\n)*", lambda _, m=mark, n=new: m + n, text)
        page.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
