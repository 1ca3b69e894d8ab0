"""fei-lite fit --figures DIR: figures of a fit, and the numbers behind them as fit.json in the same folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fei_lite.statistics.likelihood import Likelihood


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of figures and of the data."""
    parser.add_argument("--figures", type=Path, metavar="DIR",
                        help="draw pulls, impacts, correlations, scans, CLs, templates and yields there, with their "
                             "numbers in fit.json")
    parser.add_argument("--data", choices=("observed", "asimov", "toy"), default="observed",
                        help="what is fitted: the data of the workspace (default), the expectation at --injected, or "
                             "one toy drawn from it")
    parser.add_argument("--injected", type=float, default=1.0, metavar="MU",
                        help="strength of the Asimov data or of the toy (default: %(default)s)")


def data_of(likelihood: Likelihood, arguments: argparse.Namespace) -> NDArray[np.float64]:
    """The data that are fitted."""
    import numpy as np

    from fei_lite.statistics.fits import expected_data

    if arguments.data == "observed":
        return likelihood.observed
    if arguments.data == "asimov":
        return expected_data(likelihood, arguments.injected)
    return likelihood.draw(likelihood.at(arguments.injected), np.random.default_rng(arguments.seed))


def write_figures(source: Any, likelihood: Likelihood, arguments: argparse.Namespace) -> dict[str, str]:
    """Draw everything into the folder, the numbers last; what has no value, by name."""
    from fei_lite.outputs import atomic_output, check_free, make_folder, refuse_inputs
    from fei_lite.plots.fits import figures, save_figures
    from fei_lite.provenance import provenance_of
    from fei_lite.statistics.overview import overview
    from fei_lite.statistics.workspaces import open_likelihood, read_workspace, strengths_of

    folder = make_folder(arguments.figures)
    numbers = folder / "fit.json"
    refuse_inputs(numbers, [arguments.workspace])
    check_free(numbers, force=arguments.force)
    spec = source if isinstance(source, dict) else read_workspace(source)
    first = likelihood.names[likelihood.poi]
    others = [name for name in strengths_of(spec) if name != first and name in likelihood.names]
    likelihoods = {first: likelihood} | {
        name: open_likelihood(spec, poi=name, measurement=arguments.measurement) for name in others}
    found = {"workspace": str(arguments.workspace), "data": arguments.data,
             "injected": None if arguments.data == "observed" else arguments.injected,
             "provenance": provenance_of(arguments.workspace),
             **overview(likelihoods, data_of(likelihood, arguments), level=arguments.level)}
    for name in figures(found):
        check_free(folder / name, force=arguments.force)
    save_figures(found, folder, force=arguments.force)
    with atomic_output(numbers, force=arguments.force, inputs=[arguments.workspace]) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return dict(found["undefined"])
