"""The tables that pages show of what stands in trained/: of the model sets, and of B -> Xs nu nubar.

    python scripts/write_results.py            # after scripts/evaluate_sets --ship, or scripts/make_xs_nunu

Each stands between the lines <!-- table: NAME --> and <!-- end --> of its page.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fei_lite.outputs import atomic_output

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs/results.md", ROOT / "docs/xs_nunu.md")
_SETS = ("fei_default", "extended")
_PLACE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_REGIONS = {"low": "below 0.6 GeV", "mid": "0.6 to 1.0 GeV", "high": "above 1.0 GeV", "all": "all"}
_PARTS = {"statistical": "statistics of the data", "mcstat_low": "templates below 0.6",
          "mcstat_mid": "templates of 0.6 to 1.0", "mcstat_high": "templates above 1.0"}
_BACKGROUNDS = {"charged": "B+B-", "mixed": "B0 anti-B0", "ccbar": "c cbar", "ssbar": "s sbar", "ddbar": "d dbar",
                "uubar": "u ubar"}


def main() -> int:
    """Parse the command line, write the pages."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
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
                                        "xs_nunu limits": limits, "xs_nunu luminosities": luminosities}


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
