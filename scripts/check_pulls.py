"""Inject signal into toys of a workspace and look at the pulls of the fits.

    python scripts/check_pulls.py workspace.json --toys 300

With several strengths in the workspace each is injected in turn, the others being 1, all of them are fitted, and the
leakage says by how much the estimate of another strength moves per unit that is injected.
Exit code 1 if a mean is further than 0.1 from 0, or a width from 1, or a leakage from 0 by more than 0.1 of the
error of that strength.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fei_lite.statistics.toys import INJECTED, Pulls, pull_toys, strength_toys
from fei_lite.statistics.workspaces import open_likelihood, read_workspace, strengths_of

HEADER = f"{'injected':>8} {'toys':>5} {'mean pull':>16} {'width':>15} {'coverage':>9} {'median fit':>11}"


def line(toys: Pulls) -> str:
    """The pulls as text."""
    n = len(toys.best_fit) - toys.undefined
    return (f"{toys.injected:8g} {n:5d} {toys.mean:8.3f} +- {toys.width / np.sqrt(n):.3f} "
            f"{toys.width:7.3f} +- {toys.width / np.sqrt(2 * n):.3f} {toys.coverage:9.3f} "
            f"{np.nanmedian(toys.best_fit):11.2f}")


def good(toys: Pulls) -> bool:
    """Whether mean and width are as they should be."""
    return abs(toys.mean) <= 0.1 and abs(toys.width - 1.0) <= 0.1


def of_one(path: Path, injected: list[float], n: int, seed: int) -> bool:
    """Pulls of the one strength of a workspace."""
    likelihood, fine = open_likelihood(path), True
    print(HEADER)
    for value, rng in zip(injected, np.random.default_rng(seed).spawn(len(injected)), strict=True):
        toys = pull_toys(likelihood, value, n=n, rng=rng)
        fine &= good(toys)
        print(line(toys), flush=True)
    return fine


def of_several(path: Path, names: tuple[str, ...], injected: list[float], n: int, seed: int) -> bool:
    """Pulls of every strength of a workspace with each injected, and the leakage between them."""
    likelihoods, fine = {name: open_likelihood(path, poi=name) for name in names}, True
    cases = [(name, value) for name in names for value in injected]
    for (name, value), rng in zip(cases, np.random.default_rng(seed).spawn(len(cases)), strict=True):
        toys = strength_toys(likelihoods, {name: value}, n=n, rng=rng)
        print(f"{name} = {value:g}, the others 1\n{'':12s}{HEADER}    leakage per unit, all in errors")
        for other in names:
            pulls, text = toys.pulls(other), ""
            if other != name and value != 1.0:
                shift, error = toys.leakage(name, other)
                width = float(np.nanmedian(0.5 * (pulls.error_up + pulls.error_down)))
                relative = shift * (value - 1.0) / width
                fine &= abs(relative) <= 0.1 + 2.0 * error * abs(value - 1.0) / width
                text = f"{shift:10.4f} +- {error:.4f} {relative:8.3f}"
            fine &= good(pulls)
            print(f"{other:12s}{line(pulls)} {text}", flush=True)
    return fine


def main() -> int:
    """Parse the command line, draw and fit the toys, print one line per strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--toys", type=int, default=300, help="per strength (default: %(default)s)")
    parser.add_argument("--injected", type=float, nargs="+", default=INJECTED, metavar="MU",
                        help="injected signal strengths (default: 1 5 20)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    names = strengths_of(read_workspace(arguments.workspace))
    given = arguments.workspace, list(arguments.injected), arguments.toys, arguments.seed
    fine = of_one(*given) if len(names) == 1 else of_several(given[0], names, *given[1:])
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
