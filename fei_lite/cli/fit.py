"""Signal strength, significance and CLs limit of a statistical workspace (pyhf's JSON), or of an unbinned analysis.

Errors are where twice the profiled negative log-likelihood first rises by one;
the limit is asymptotic, or of toys with --toys. --poi fits any normalisation
factor, the others being free. What has no value is "undefined", with its
reason, and hides nothing else; the exit code then is 1. Example:

    fei-lite fit workspace.json
    fei-lite fit workspace.json --format json
    fei-lite fit workspace.json --figures figures

The values of an unbinned analysis (values.parquet, or the folder with it) are simulation: errors and limits are the
expected ones, per region; --background and --more say with which background and which data set beside.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fei_lite.cli import fit_figures, fit_unbinned
from fei_lite.cli.options import natural

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

HELP = "signal strength, significance and limit of a workspace"

T = TypeVar("T")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite fit``."""
    parser.add_argument("workspace", type=Path, metavar="WORKSPACE",
                        help="workspace of pyhf (JSON), or values.parquet of an unbinned analysis")
    parser.add_argument("--poi", metavar="NAME", help="parameter of interest, any normalisation factor "
                                                      "(default: the measurement's)")
    parser.add_argument("--together", action="store_true",
                        help="all strengths of the workspace scale together: one parameter of interest, mu")
    parser.add_argument("--measurement", metavar="NAME", help="measurement of the workspace (default: the first)")
    parser.add_argument("--level", type=float, default=0.9, help="confidence level of the limit (default: %(default)s)")
    parser.add_argument("--toys", type=int, default=0, metavar="N",
                        help="limit from N toys per hypothesis and strength (default: asymptotic)")
    parser.add_argument("--seed", type=natural, default=1, help="of the toys (default: %(default)s)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("-o", "--output", type=Path, help="write there instead of printing")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    fit_figures.configure(parser)
    fit_unbinned.configure(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite fit``."""
    import json

    import numpy as np

    from fei_lite.errors import WorkspaceError
    from fei_lite.outputs import refuse_inputs
    from fei_lite.plain import as_plain
    from fei_lite.provenance import provenance_of
    from fei_lite.statistics.fits import error_budget, fit_strength, significance
    from fei_lite.statistics.limits import check_limit_options, upper_limit
    from fei_lite.statistics.workspaces import open_likelihood, read_workspace, with_common_strength

    if arguments.output is not None:
        refuse_inputs(arguments.output, [arguments.workspace])
    check_limit_options(arguments.level, arguments.toys)
    if fit_unbinned.is_unbinned(arguments.workspace):
        if arguments.figures is not None or arguments.data != "observed":
            raise WorkspaceError(f"{arguments.workspace}: --figures and --data are for binned workspaces (JSON).")
        regions = fit_unbinned.fit_regions(arguments) | {"provenance": provenance_of(_values(arguments.workspace))}
        _write(json.dumps(regions, indent=1) if arguments.format == "json" else fit_unbinned.table(regions), arguments)
        return 1 if any("undefined" in found for found in regions["regions"].values()) else 0
    if arguments.together and (arguments.poi or arguments.measurement):
        raise WorkspaceError("--together fits all strengths as one: it goes with neither --poi nor --measurement.")
    source = with_common_strength(read_workspace(arguments.workspace)) if arguments.together else arguments.workspace
    likelihood = open_likelihood(source, poi=arguments.poi, measurement=arguments.measurement)
    data = fit_figures.data_of(likelihood, arguments)
    undefined: dict[str, str] = {}
    fit = fit_strength(likelihood, data)
    undefined.update(fit.undefined)
    limit = _attempt(lambda: upper_limit(likelihood, data, level=arguments.level, toys=arguments.toys,
                                         rng=np.random.default_rng(arguments.seed)), "upper_limit", undefined)
    if limit is not None:
        undefined.update({f"upper_limit.{name}": reason for name, reason in limit.undefined.items()})
    result: dict[str, Any] = {
        "workspace": str(arguments.workspace), "poi": likelihood.names[likelihood.poi],
        "mu": {"best_fit": fit.best_fit, "error_up": as_plain(fit.error_up), "error_down": as_plain(fit.error_down),
               "statistical": as_plain(fit.statistical),
               "systematic": as_plain(fit.systematic)},
        "free": _free(likelihood, fit.point),
        "at_bound": _at_bound(likelihood, fit.point),
        "error_budget": error_budget(likelihood, fit.point),
        "significance": _attempt(lambda: significance(likelihood, data), "significance", undefined),
        f"upper_limit_{100 * arguments.level:g}": {
            "observed": None if limit is None else as_plain(limit.observed),
            "expected": [None] * 5 if limit is None else as_plain(limit.expected)},
        "toys": arguments.toys,
        "undefined": undefined,
        "provenance": provenance_of(arguments.workspace),
    }
    if arguments.data != "observed":
        result["data"] = {"is": arguments.data, "injected": arguments.injected}
    if arguments.figures is not None:
        undefined.update({f"figures.{name}": reason for name, reason in
                          fit_figures.write_figures(source, likelihood, arguments).items()})
    _write(json.dumps(result, indent=1) if arguments.format == "json" else _table(result, arguments.level), arguments)
    return 1 if undefined else 0


def _values(path: Path) -> Path:
    """The file of an unbinned analysis, of which the folder may be named."""
    return path / "values.parquet" if path.is_dir() else path


def _write(text: str, arguments: argparse.Namespace) -> None:
    """To the output, or on the screen."""
    from fei_lite.outputs import atomic_output

    if arguments.output is None:
        print(text)
        return
    with atomic_output(arguments.output, force=arguments.force, inputs=[arguments.workspace]) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


#: Sources of the error that the table names.
_SHOWN = 6


def _attempt(function: Callable[[], T], name: str, undefined: dict[str, str]) -> T | None:
    """The value, or None and the reason in ``undefined``."""
    from fei_lite.errors import FitError

    try:
        return function()
    except FitError as error:
        undefined[name] = str(error)
        return None


def _free(likelihood: Likelihood, point: FitPoint) -> dict[str, list[float]]:
    """Other parameters that nothing constrains: value and symmetric error."""
    others = [i for i in range(len(likelihood.names)) if likelihood.unconstrained[i] and not likelihood.fixed[i]
              and i != likelihood.poi]
    return {likelihood.names[i]: [float(point.parameters[i]), float(point.covariance[i, i]) ** 0.5] for i in others}


def _at_bound(likelihood: Likelihood, point: FitPoint) -> list[str]:
    x = point.parameters
    return [name for i, name in enumerate(likelihood.names)
            if not likelihood.fixed[i] and not likelihood.lower[i] < x[i] < likelihood.upper[i]]


def _form(values: Iterable[float | None]) -> str:
    """A format that shows the smallest of some numbers: two decimals if they are of order 1."""
    sizes = [abs(value) for value in values if value]
    least = min(sizes, default=1.0)
    if least >= 0.1 and max(sizes, default=1.0) < 1e5:
        return ".2f"
    return ".4f" if 0.001 <= least < 0.1 and max(sizes) < 1e3 else ".2e"


def _text(value: float | None, *, form: str = ".2f") -> str:
    return "undefined" if value is None else f"{value:{form}}"


def _table(result: dict[str, Any], level: float) -> str:
    mu, limit = result["mu"], result[f"upper_limit_{100 * level:g}"]
    form = _form([mu["error_up"], mu["error_down"], limit["observed"], limit["expected"][2]])
    method = f"{result['toys']} toys" if result["toys"] else "asymptotic"
    parts = ", ".join(f"+{_text(mu[name][0], form=form)} -{_text(mu[name][1], form=form)} ({name[:4]})"
                      for name in ("statistical", "systematic"))
    budget = sorted(result["error_budget"].items(), key=lambda item: -item[1])[:_SHOWN]
    expected = [_text(x, form=form) for x in limit["expected"]]
    lines = [
        f"{result['poi']:14} {mu['best_fit']:{form}} +{_text(mu['error_up'], form=form)} "
        f"-{_text(mu['error_down'], form=form)}: {parts}",
        f"{'significance':14} {_text(result['significance'])}{'' if result['significance'] is None else ' sigma'}",
        f"{'upper limit':14} {_text(limit['observed'], form=form)} at {100 * level:g} % CL (CLs, {method})",
        f"{'  expected':14} {expected[2]}, 68 % {expected[1]} to {expected[3]}, 95 % {expected[0]} to {expected[4]}",
        f"{'error from':14} " + ", ".join(f"{name} {value:{form}}" for name, value in budget)]
    if result["free"]:
        lines.append(f"{'free':14} " + ", ".join(
            f"{name} {value:{_form([error])}} +- {error:{_form([error])}}"
            for name, (value, error) in result["free"].items()))
    if result["at_bound"]:
        lines.append(f"{'at a bound':14} " + ", ".join(result["at_bound"]))
    return "\n".join(lines + [f"{'undefined':14} {name}: {reason}" for name, reason in result["undefined"].items()])
