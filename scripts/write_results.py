"""The tables that pages show of what stands in trained/: of the model sets, B+ -> K+ nu nubar and B -> Xs nu nubar.

    python scripts/write_results.py [--published WORKSPACE]

After scripts/evaluate_sets --ship, scripts/make_hta or scripts/make_xs_nunu. Each table stands between the lines
<!-- table: NAME --> and <!-- end --> of its page. WORKSPACE is Belle II's of B+ -> K+ nu nubar
(hta_channel_sgn1_had.json, HEPData 166082): its templates go into trained/hta/published.json, from where the page has
them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import Any

from fei_lite.outputs import atomic_output
from fei_lite.statistics.workspaces import published_templates

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs/results.md", ROOT / "docs/analyses.md",
         ROOT / "docs/xs_nunu.md")
_SETS = ("fei_default", "extended")
_PLACE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_REGIONS = {"low": "below 0.6 GeV", "mid": "0.6 to 1.0 GeV", "high": "above 1.0 GeV", "all": "all"}
_PARTS = {"statistical": "statistics of the data", "mcstat_low": "templates below 0.6",
          "mcstat_mid": "templates of 0.6 to 1.0", "mcstat_high": "templates above 1.0"}
_SAMPLES = {"signal": ("signal, mu = 1", "sgn_1_had"), "bbbar": ("B Bbar", "bbbar_1_had"),
            "ccbar": ("c cbar", "ccbar_1_had"), "qqbar": ("u, d, s", "qqbar_1_had")}
_SELECTION = {"signal side": "signal kaon", "Btag": "Btag", "Btag and signal side": "Btag and kaon of opposite charge",
              "calorimeter energy": "calorimeter energy, tracks, clusters (skim)",
              "no Lambda0 left": "no track, K_S0, pi0, Lambda0 left"}
_BACKGROUNDS = {"charged": "B+B-", "mixed": "B0 anti-B0", "ccbar": "c cbar", "ssbar": "s sbar", "ddbar": "d dbar",
                "uubar": "u ubar"}


def main() -> int:
    """Parse the command line, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, metavar="WORKSPACE")
    workspace = parser.parse_args().published
    if workspace is not None:
        bins = len(_measured("hta/histograms.json")["regions"]["hta"]["edges"]) - 1
        templates = published_templates(workspace, {"hta": bins})
        with atomic_output(ROOT / "trained/hta/published.json", force=True) as temporary:
            temporary.write_text(json.dumps({name: values.tolist() for name, values in templates["hta"].items()},
                                            indent=1) + "\n", encoding="utf-8")
    for page in PAGES:
        with atomic_output(page, force=True) as temporary:
            temporary.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(page)
    return 0


def filled(page: str) -> str:
    """A page with its tables made anew."""
    return _PLACE.sub(lambda place: place[1] + TABLES[place[2]]() + place[3], page)


@cache
def _measured(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "trained" / name).read_text(encoding="utf-8")))


def short() -> str:
    """Maximum and efficiency at half purity."""
    sets = _measured("figures/comparison.json")["comparison"]["sets"]
    lines = ["| | fei_default, % | extended, % |", "|---|---|---|"]
    for particle, of in sets.items():
        for title, part in (("at 50 % purity", _at(0.5)), ("maximum", _maximum)):
            lines.append(f"| {particle}, {title} | " + " | ".join(_percent(part(of[name])[0]) for name in _SETS) + " |")
    return "\n".join(lines) + "\n"


def full() -> str:
    """Everything that the comparison has, but for its curve."""
    compared = _measured("figures/comparison.json")
    lines = ["| | | fei_default, % | extended, % | ratio |", "|---|---|---|---|---|"]
    for particle, of in compared["comparison"]["sets"].items():
        for title, part in (("at 10 % purity", _at(0.1)), ("at 50 % purity", _at(0.5)), ("maximum", _maximum)):
            values = " | ".join(_percent(part(of[name])[0]) for name in _SETS)
            lines.append(f"| {particle} | {title} | {values} | {_interval(part(of['extended'])[1], 2)} |")
        listed = " | ".join(_percent(of[name]["listed"]) for name in _SETS)
        lines.append(f"| {particle} | any candidate right | {listed} | |")
        for title, key in (("events with a B of the channel list", "covered"),
                           ("and all of it inside the acceptance", "in_acceptance")):
            values = " | ".join(_percent(compared["reconstructible"][name][particle][key], 2) for name in _SETS)
            lines.append(f"| {particle} | {title} | {values} | |")
    return "\n".join(lines) + "\n"


def hta_templates() -> str:
    """Expected events in the bins of B+ -> K+ nu nubar, those of the published analysis below."""
    region, published = _measured("hta/histograms.json")["regions"]["hta"], _measured("hta/published.json")
    edges = [f"{edge:g}" for edge in region["edges"]]
    bins = " | ".join(f"{low}-{high}" for low, high in pairwise(edges))
    lines = [f"| eta(BDT_h) | {bins} | all |", "|---" * (len(edges) + 1) + "|"]
    templates = {template["name"]: template for template in region["templates"]}
    for name, (title, theirs) in _SAMPLES.items():
        values, errors = templates[name]["values"], templates[name]["errors"]
        ours = [*zip(values, errors, strict=True), (sum(values), hypot(*errors))]
        lines.append(f"| {title} | " + " | ".join(_with_error(*one, digits=2 if name == "signal" else 0)
                                                 for one in ours) + " |")
        digits = 2 if name == "signal" else 1
        lines.append("| published | " + " | ".join(f"{value:.{digits}f}" for value in published[theirs])
                     + f" | {sum(published[theirs]):.1f} |")
    return "\n".join(lines) + "\n"


def hta_selection() -> str:
    """Fractions of all signal decays that each step leaves."""
    rows = {row["name"]: row for row in _measured("hta/cutflow.json")["signal"]}
    generated = rows["generated"]["passed_weight"]
    lines = ["| signal, fraction of all B+ -> K+ nu nubar | % |", "|---|---|"]
    lines += [f"| {title} | {100.0 * rows[name]['passed_weight'] / generated:.3g} |"
              for name, title in _SELECTION.items()]
    region = _measured("hta/histograms.json")["regions"]["hta"]
    inside = sum(next(t["values"] for t in region["templates"] if t["name"] == "signal"))
    lines.append(f"| eta > {region['edges'][0]:g} (published: 0.4) | {100.0 * inside / generated:.3g} |")
    return "\n".join(lines) + "\n"


def limits() -> str:
    """Expected limits of B -> Xs nu nubar beside the published ones."""
    lines = ["| M(Xs) | median | 68 % | published (observed) | median over published | "
             "error on the strength, and its largest parts |", "|---|---|---|---|---|---|"]
    for region, of in _measured("xs_nunu/limits.json").items():
        _, lower, median, upper, _ = of["expected"]
        budget = ", ".join(f"{_part(name)} {size:.1f}" for name, size in list(of["error_budget"].items())[:3])
        lines.append(f"| {_REGIONS[region]} | {_fraction(median)} | {_fraction(lower)} to {_fraction(upper)} | "
                     f"{_fraction(of['published'], 2)} | {median / of['published']:.1f} | "
                     f"+{of['error_up']:.1f} -{of['error_down']:.1f}: {budget} |")
    return "\n".join(lines) + "\n"


def luminosities() -> str:
    """Of each background of B -> Xs nu nubar what was generated, what it is worth in the bins, what is expected."""
    found = _measured("xs_nunu/bdt.json")
    lines = ["| background | generated, 1/fb | effective in the bins, 1/fb | expected in the bins, 365/fb |",
             "|---|---|---|---|"]
    for name, title in _BACKGROUNDS.items():
        of = found["samples"][name]
        lines.append(f"| {title} | {of['luminosity_fb']:.1f} | {of['effective_luminosity_fb']:.1f} | "
                     f"{of['in_fit']:.0f} |")
    for name, of in found["together"].items():
        lines.append(f"| {name}, all | | {of['effective_luminosity_fb']:.1f} | "
                     f"{of['in_fit']:.0f} +- {of['error']:.0f} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {"efficiencies short": short, "efficiencies full": full,
                                        "hta templates": hta_templates, "hta selection": hta_selection,
                                        "xs_nunu limits": limits, "xs_nunu luminosities": luminosities}


def _with_error(value: float, error: float, digits: int) -> str:
    return f"{value:.{digits}f} +- {error:.{digits}f}" if value > 0.0 else "0"


def _part(name: str) -> str:
    process = name.removeprefix("norm_")
    if process in _BACKGROUNDS:
        return f"normalisation of {_BACKGROUNDS[process]}"
    return _PARTS.get(name, name.replace("_", " "))


def _fraction(value: float, digits: int = 1) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa.rstrip('0') if digits > 1 else mantissa}e{int(exponent)}"


def _at(purity: float) -> Any:
    def of(found: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
        point = next(one for one in found["at_purity"] if one["purity"] == purity)
        return point["tag_side_efficiency"], point["ratio"]
    return of


def _maximum(found: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    return found["maximum"], found["maximum_ratio"]


def _percent(measured: dict[str, float], digits: int = 3) -> str:
    return _interval({name: 100.0 * value for name, value in measured.items()}, digits)


def _interval(measured: dict[str, float], digits: int) -> str:
    value, lower, upper = (f"{measured[name]:.{digits}f}" for name in ("value", "lower", "upper"))
    return f"{value} [{lower}, {upper}]"


if __name__ == "__main__":
    raise SystemExit(main())
