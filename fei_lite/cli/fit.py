"""Signal strength, significance and CLs limit of a statistical workspace (pyhf's JSON).

Errors are where twice the profiled negative log-likelihood rises by one; the
limit is asymptotic, or of toys with --toys. Example:

    fei-lite fit workspace.json
    fei-lite fit workspace.json --format json
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

HELP = "signal strength, significance and limit of a workspace"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite fit``."""
    parser.add_argument("workspace", type=Path, metavar="WORKSPACE", help="workspace of pyhf (JSON)")
    parser.add_argument("--poi", metavar="NAME", help="parameter of interest (default: the measurement's)")
    parser.add_argument("--measurement", metavar="NAME", help="measurement of the workspace (default: the first)")
    parser.add_argument("--level", type=float, default=0.9, help="confidence level of the limit (default: %(default)s)")
    parser.add_argument("--toys", type=int, default=0, metavar="N",
                        help="limit from N toys per hypothesis and strength (default: asymptotic)")
    parser.add_argument("--seed", type=int, default=1, help="of the toys (default: %(default)s)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("-o", "--output", type=Path, help="write there instead of printing")
    parser.add_argument("--force", action="store_true", help="overwrite the output")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite fit``."""
    import json

    import numpy as np

    from fei_lite.outputs import atomic_output
    from fei_lite.statistics.fits import error_budget, fit_strength, significance
    from fei_lite.statistics.limits import upper_limit
    from fei_lite.statistics.workspaces import open_likelihood

    likelihood = open_likelihood(arguments.workspace, poi=arguments.poi, measurement=arguments.measurement)
    fit = fit_strength(likelihood)
    limit = upper_limit(likelihood, level=arguments.level, toys=arguments.toys,
                        rng=np.random.default_rng(arguments.seed))
    result: dict[str, Any] = {
        "workspace": str(arguments.workspace), "poi": likelihood.names[likelihood.poi],
        "mu": {"best_fit": fit.best_fit, "error_up": _number(fit.error_up), "error_down": _number(fit.error_down),
               "statistical": [_number(x) for x in fit.statistical],
               "systematic": [_number(x) for x in fit.systematic]},
        "error_budget": error_budget(likelihood, fit.point),
        "significance": significance(likelihood),
        f"upper_limit_{100 * limit.level:g}": {
            "observed": _number(limit.observed), "expected": [_number(x) for x in limit.expected]},
        "toys": limit.toys,
    }
    text = json.dumps(result, indent=1) if arguments.format == "json" else _table(result, limit.level)
    if arguments.output is None:
        print(text)
    else:
        with atomic_output(arguments.output, force=arguments.force) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return 0


#: Sources of the error that the table names.
_SHOWN = 6


def _number(value: float) -> float | None:
    """JSON knows no NaN: undefined is null."""
    return value if math.isfinite(value) else None


def _text(value: float | None, *, form: str = ".2f") -> str:
    return "undefined" if value is None else f"{value:{form}}"


def _table(result: dict[str, Any], level: float) -> str:
    mu, limit = result["mu"], result[f"upper_limit_{100 * level:g}"]
    method = f"{result['toys']} toys" if result["toys"] else "asymptotic"
    parts = ", ".join(f"+{_text(mu[name][0])} -{_text(mu[name][1])} ({name[:4]})"
                      for name in ("statistical", "systematic"))
    budget = sorted(result["error_budget"].items(), key=lambda item: -item[1])[:_SHOWN]
    return "\n".join([
        f"{result['poi']:14} {mu['best_fit']:.2f} +{_text(mu['error_up'])} -{_text(mu['error_down'])}: {parts}",
        f"{'significance':14} {result['significance']:.2f} sigma",
        f"{'upper limit':14} {_text(limit['observed'])} at {100 * level:g} % CL (CLs, {method})",
        f"{'  expected':14} {_text(limit['expected'][2])}, 68 % {_text(limit['expected'][1])} to "
        f"{_text(limit['expected'][3])}, 95 % {_text(limit['expected'][0])} to {_text(limit['expected'][4])}",
        f"{'error from':14} " + ", ".join(f"{name} {value:.2f}" for name, value in budget)])
