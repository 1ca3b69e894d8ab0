"""The tables of docs/reinterpretation.md, from the results of scripts/make_reinterpretation.

    python scripts/report_reinterpretation.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INPUTS = {"published": "published, observed data", "own": "own, Asimov data"}


def read(folder: Path, name: str, model: str) -> dict[str, Any]:
    """Results of one input and model."""
    return json.loads((folder / name / model / "reinterpretation.json").read_text(encoding="utf-8"))


def edges(interval: dict[str, Any], name: str, scale: float, digits: int) -> str:
    """An interval with the larger Monte Carlo error of its edges."""
    low, high = (scale * x for x in interval[name]["edges"])
    error = scale * max(interval[name]["monte_carlo_errors"])
    return f"{low:.{digits}f} to {high:.{digits}f} ({error:.{digits}f})"


def coefficients(folder: Path) -> list[str]:
    """Modes and credible intervals."""
    lines = ["| inputs | | mode | median | 68 % | 95 % |", "|---|---|---|---|---|---|"]
    for name, said in INPUTS.items():
        found = read(folder, name, "wet")
        for coefficient, interval in found["intervals"].items():
            shown = coefficient.replace("|", "\\|")
            lines.append(f"| {said} | {shown} | {found['mode'][coefficient]:.1f} | {interval['median']:.1f} | "
                         + " | ".join(edges(interval, f"highest_density_{level}", 1.0, 1) for level in (68, 95)) + " |")
        interval = found["branching_fraction"]
        lines.append(f"| {said} | B in 1e-5 | | {1e5 * interval['median']:.2f} | "
                     + " | ".join(edges(interval, f"highest_density_{level}", 1e5, 2) for level in (68, 95)) + " |")
    return lines


def sampling(folder: Path) -> list[str]:
    """How well each posterior was sampled, and what the data say of it."""
    lines = ["| inputs | steps x walkers | independent samples | R of quarters | p-value | mu as before |",
             "|---|---|---|---|---|---|"]
    for name, said in INPUTS.items():
        found = read(folder, name, "wet")
        how, fit = found["sampler"], found["standard_model"]["strength_after"]
        cells = [said, f"{how['steps']} x {how['walkers']}", f"{min(how['independent_samples']):.0f}",
                 f"{max(how['r_of_quarters']):.3f}", f"{found['predictive']['p_value']:.2f}",
                 f"{fit['best_fit']:.2f} +{fit['error_up']:.2f} -{fit['error_down']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def limits(folder: Path) -> list[str]:
    """Limits at whole and half GeV, in 1e-5."""
    rows = {name: {row["mass_GeV"]: row for row in read(folder, name, "two_body")["masses"]} for name in INPUTS}
    masses = [mass for mass in rows["published"] if 2.0 * mass % 1.0 == 0.0]
    lines = ["| m_X, GeV | observed, published | expected (68 %), published | best fit, published | expected, own |",
             "|---|---|---|---|---|"]
    for mass in masses:
        row, own = rows["published"][mass], rows["own"][mass]
        best, up, down = (text(x) for x in (row["best_fit"], *row["errors"]))
        lines.append(f"| {mass:g} | {text(row['limit'])} | {text(row['expected'][2])} ({text(row['expected'][1])} to "
                     f"{text(row['expected'][3])}) | {best} +{up} -{down} | {text(own['expected'][2])} |")
    return lines


def text(value: float | None) -> str:
    """A branching fraction in 1e-5."""
    return "-" if value is None else f"{1e5 * value:.2f}"


def main() -> None:
    """Print all tables."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "trained" / "hta" / "reinterpretation"
    print("\n\n".join("\n".join(table(folder)) for table in (coefficients, sampling, limits)))


if __name__ == "__main__":
    main()
