"""Other theories from a fitted analysis: Wilson coefficients of B+ -> K+ nu nubar, or limits on B+ -> K+ X.

The workspace has the standard model's signal; its joint number density n(x, q2) says what any other spectrum of q2
gives in its bins. --model wet samples the posterior of the vector, scalar and tensor coefficient (flat priors,
nuisances marginalised); --model two_body sets CLs limits on a two-body decay with an invisible X against its mass.
Writes reinterpretation.json and figures into a folder. Example:

    fei-lite reinterpret hta/workspace.json --density hta/density.json --model wet -o wet
    fei-lite reinterpret hta_channel_sgn1_had.json --density published --model two_body --level 0.95 -o two_body

"published" is Belle II's number density for the hadronic tag (arXiv:2507.12393); its workspace is on HEPData.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fei_lite.cli.options import natural, positive

if TYPE_CHECKING:
    from fei_lite.reinterpretation.inputs import Inputs

HELP = "Wilson coefficients, or limits on a two-body decay, from a workspace and its number density"

#: File of the numbers.
NUMBERS = "reinterpretation.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite reinterpret``."""
    parser.add_argument("workspace", type=Path, metavar="WORKSPACE", help="workspace of pyhf (JSON)")
    parser.add_argument("--density", required=True, action="append", metavar="FILE",
                        help="joint number density of the signal (density.json of an analysis), or 'published'; "
                             "CHANNEL=FILE for each of several channels")
    parser.add_argument("--model", required=True, choices=("wet", "two_body"), help="which theory")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder of the results")
    parser.add_argument("--normalise", action="store_true",
                        help="use only the density's dependence on q2: it is scaled to the workspace's signal in every "
                             "bin (an approximation, for a density of another selection)")
    parser.add_argument("--data", choices=("observed", "asimov"), default="observed",
                        help="data of the workspace, or the expectation of what --inject says (default: %(default)s)")
    parser.add_argument("--inject", type=float, nargs="+", metavar="VALUE",
                        help="for --data asimov: three coefficients (wet), or a branching fraction (two_body); "
                             "default: the standard model")
    parser.add_argument("--high", type=float, default=20.0, help="wet: upper end of the flat priors (default: "
                                                                 "%(default)s)")
    parser.add_argument("--steps", type=positive, default=40_000, metavar="N",
                        help="wet: most steps of the sampler; it ends sooner after 50 autocorrelation times (default: "
                             "%(default)s)")
    parser.add_argument("--masses", type=float, nargs="+", metavar="GEV",
                        help="two_body: masses of X (default: 0 to 4.7 in steps of 0.1)")
    parser.add_argument("--level", type=float, default=0.9, help="two_body: confidence level (default: %(default)s)")
    parser.add_argument("--sm-uncertainty", type=float, default=None, metavar="PART",
                        help="two_body: relative error of the standard model's rate, 0 holds it (default: 0.074)")
    parser.add_argument("--seed", type=natural, default=1, help="of the sampler (default: %(default)s)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--force", action="store_true", help="overwrite results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite reinterpret``."""
    import json

    from fei_lite.outputs import atomic_output, check_free, make_folder, refuse_inputs
    from fei_lite.plots.reinterpretation import figures, save_figures
    from fei_lite.provenance import provenance
    from fei_lite.reinterpretation.inputs import matched, read_densities
    from fei_lite.statistics.workspaces import read_workspace

    _check(arguments)
    inputs = matched(read_workspace(arguments.workspace), read_densities(arguments.density),
                     normalise=arguments.normalise, name=arguments.workspace.name)
    folder = make_folder(arguments.output)
    files = [arguments.workspace, *(text.rpartition("=")[2] for text in arguments.density)]
    refuse_inputs(folder / NUMBERS, files)
    for name in (NUMBERS, *figures({"model": arguments.model})):
        check_free(folder / name, force=arguments.force)
    found = {"density": arguments.density, "normalised": arguments.normalise, "seed": arguments.seed,
             **_found(inputs, arguments)}
    save_figures(found, folder, force=arguments.force)
    with atomic_output(folder / NUMBERS, force=arguments.force, inputs=files) as temporary:
        temporary.write_text(_compact({**found, **provenance()}) + "\n", encoding="utf-8")
    shown = {key: value for key, value in found.items() if key != "samples"}
    print(json.dumps(shown, indent=1) if arguments.format == "json" else _table(found))
    return 1 if any("undefined" in row for row in found.get("masses", ())) else 0


def _compact(found: dict[str, Any]) -> str:
    """JSON with one line for each key, so that samples do not take a line per number."""
    import json

    return "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()) + "\n}"


def _check(arguments: argparse.Namespace) -> None:
    from fei_lite.errors import FeiLiteError
    from fei_lite.statistics.limits import check_limit_options

    check_limit_options(arguments.level, 0)
    n = 3 if arguments.model == "wet" else 1
    if arguments.inject is not None:
        if arguments.data != "asimov":
            raise FeiLiteError("--inject says what Asimov data are made of: give --data asimov as well.")
        if len(arguments.inject) != n or not all(0.0 <= value < 1e6 for value in arguments.inject):
            raise FeiLiteError(f"--inject: {len(arguments.inject)} values, expected {n} of 0 or more for "
                               f"--model {arguments.model}.")
    if not 0.0 < arguments.high < 1e4:
        raise FeiLiteError(f"--high {arguments.high:g}: expected a positive number such as 20.")
    if arguments.sm_uncertainty is not None and not 0.0 <= arguments.sm_uncertainty < 1.0:
        raise FeiLiteError(f"--sm-uncertainty {arguments.sm_uncertainty:g}: expected 0 or more, below 1.")


def _found(inputs: Inputs, arguments: argparse.Namespace) -> dict[str, Any]:
    """Do the work, with a progress bar."""
    import numpy as np
    from tqdm.auto import tqdm

    from fei_lite.analyses.k_nunu.weak_theory import STANDARD_MODEL_VECTOR
    from fei_lite.reinterpretation.two_body import MASSES, STANDARD_MODEL_ERROR, two_body_limits
    from fei_lite.reinterpretation.wilson_coefficients import wilson_posterior

    masses = MASSES if arguments.masses is None else tuple(arguments.masses)
    wet = arguments.model == "wet"
    with tqdm(total=arguments.steps if wet else len(masses), unit="step" if wet else "mass", file=sys.stderr,
              disable=arguments.quiet) as bar:
        def progress(done: int) -> None:
            bar.update(done - bar.n)

        asimov = arguments.data == "asimov"
        if wet:
            standard = [STANDARD_MODEL_VECTOR, 0.0, 0.0]
            return wilson_posterior(inputs, rng=np.random.default_rng(arguments.seed), high=arguments.high,
                                    injected=np.array(arguments.inject or standard) if asimov else None,
                                    most_steps=arguments.steps, progress=progress)
        uncertainty = STANDARD_MODEL_ERROR if arguments.sm_uncertainty is None else arguments.sm_uncertainty
        return two_body_limits(inputs, masses, level=arguments.level, uncertainty=uncertainty,
                               injected=(arguments.inject or [0.0])[0] if asimov else None, progress=progress)


def _table(found: dict[str, Any]) -> str:
    return _limits(found) if found["model"] == "two_body" else _coefficients(found)


def _coefficients(found: dict[str, Any]) -> str:
    lines = [f"{'':18}{'mode':>8}{'median':>8}   68 % (highest density)   95 % (highest density)"]
    for name, interval in found["intervals"].items():
        edges = [interval[f"highest_density_{level}"]["edges"] for level in (68, 95)]
        lines.append(f"{name:18}{found['mode'][name]:8.2f}{interval['median']:8.2f}"
                     + "".join(f"{low:13.2f} to {high:5.2f}  " for low, high in edges))
    branching = found["branching_fraction"]
    edges = [branching[f"highest_density_{level}"]["edges"] for level in (68, 95)]
    lines.append(f"{'B / 1e-5':18}{'':8}{1e5 * branching['median']:8.2f}"
                 + "".join(f"{1e5 * low:13.2f} to {1e5 * high:5.2f}  " for low, high in edges))
    before, after = (found["standard_model"][f"strength_{when}"] for when in ("before", "after"))
    lines.append(f"strength of the standard model's shape: {after['best_fit']:.3f} +{after['error_up']:.3f} "
                 f"-{after['error_down']:.3f}, in the workspace {before['best_fit']:.3f} +{before['error_up']:.3f} "
                 f"-{before['error_down']:.3f}")
    sampled = found["sampler"]
    lines.append(f"p-value of the data over the posterior {found['predictive']['p_value']:.3f}; independent samples "
                 + ", ".join(f"{x:.0f}" for x in sampled["independent_samples"]))
    if found["normalised"]:
        lines.append("approximate: of the density only the dependence on q2 is used (--normalise)")
    return "\n".join(lines)


def _limits(found: dict[str, Any]) -> str:
    lines = [f"limits on B(B+ -> K+ X) in 1e-5, {100 * found['level']:g} % CL ({found['method']})",
             f"{'m_X, GeV':>9}{'observed':>10}{'expected':>10}   68 %             95 %             best fit"]

    def text(value: float | None) -> str:
        return f"{'-' if value is None else format(1e5 * value, '.2f')}"

    for row in found["masses"]:
        low2, low1, middle, high1, high2 = (text(x) for x in row["expected"])
        lines.append(f"{row['mass_GeV']:9.2f}{text(row['limit']):>10}{middle:>10}   {low1 + ' to ' + high1:17}"
                     f"{low2 + ' to ' + high2:17}{text(row['best_fit'])} +{text(row['errors'][0])} "
                     f"-{text(row['errors'][1])}" + (f"  {row['undefined']}" if "undefined" in row else ""))
    return "\n".join(lines)
