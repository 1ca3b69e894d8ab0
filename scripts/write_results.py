"""The tables of tag-side efficiency in README.md and docs/results.md, from trained/figures/comparison.json.

    python scripts/write_results.py            # after scripts/evaluate_sets --ship

Each stands between the lines <!-- efficiencies: KIND --> and <!-- end --> of its page.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from fei_lite.outputs import atomic_output

ROOT = Path(__file__).resolve().parents[1]
COMPARISON = ROOT / "trained/figures/comparison.json"
PAGES = (ROOT / "README.md", ROOT / "docs/results.md")
_SETS = ("fei_default", "extended")
_PLACE = re.compile(r"(<!-- efficiencies: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Parse the command line, write the pages."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    compared = json.loads(COMPARISON.read_text(encoding="utf-8"))
    for page in PAGES:
        with atomic_output(page, force=True) as temporary:
            temporary.write_text(filled(page.read_text(encoding="utf-8"), compared), encoding="utf-8")
        print(page)
    return 0


def filled(page: str, compared: dict[str, Any]) -> str:
    """A page with its tables made anew."""
    return _PLACE.sub(lambda place: place[1] + TABLES[place[2]](compared) + place[3], page)


def short(compared: dict[str, Any]) -> str:
    """Maximum and efficiency at half purity."""
    sets = compared["comparison"]["sets"]
    lines = ["| | fei_default, % | extended, % |", "|---|---|---|"]
    for particle, of in sets.items():
        for title, part in (("at 50 % purity", _at(0.5)), ("maximum", _maximum)):
            lines.append(f"| {particle}, {title} | " + " | ".join(_percent(part(of[name])[0]) for name in _SETS) + " |")
    return "\n".join(lines) + "\n"


def full(compared: dict[str, Any]) -> str:
    """Everything that the comparison has, but for its curve."""
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


TABLES = {"short": short, "full": full}


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
