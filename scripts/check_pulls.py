"""Inject signal into toys of a workspace and look at the pulls of the fits.

    python scripts/check_pulls.py workspace.json --toys 300

The pull is the difference to what was injected over the error of the fit; the root is that of twice the difference of
the logarithm of the likelihood, with the sign of the difference: where few events make the likelihood no parabola the
pull is no Gaussian, the root still is. With several strengths in the workspace each is injected in turn, the others
being 1 and fitted as well; what an injection moves another strength by, in the same toys, is its leakage.
``--injected`` are strengths; with ``--of-limit`` in units of each strength's expected 90 % CL limit.
Exit code 1 if the mean of pulls or roots of what was injected is further than 0.1 from 0, or a width from 1, or a
leakage from 0 by more than 0.1 of the error of that strength.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.toys import INJECTED, Pulls, pull_toys, strength_toys
from fei_lite.statistics.workspaces import open_likelihood, read_workspace, strengths_of

HEADER = (f"{'injected':>8} {'toys':>5} {'mean pull':>16} {'width':>15} {'mean root':>16} {'width':>15} "
          f"{'coverage':>9} {'median fit':>11}")


def line(toys: Pulls) -> str:
    """The pulls as text."""
    n = len(toys.best_fit) - toys.undefined
    return (f"{toys.injected:8g} {n:5d} {toys.mean:8.3f} +- {toys.width / np.sqrt(n):.3f} "
            f"{toys.width:7.3f} +- {toys.width / np.sqrt(2 * n):.3f} {np.nanmean(toys.root):8.3f} +- "
            f"{np.nanstd(toys.root) / np.sqrt(n):.3f} {np.nanstd(toys.root):7.3f} +- "
            f"{np.nanstd(toys.root) / np.sqrt(2 * n):.3f} {toys.coverage:9.3f} "
            f"{np.nanmedian(toys.best_fit):11.2f}")


def good(toys: Pulls) -> bool:
    """Whether mean and width are as they should be."""
    return (max(abs(toys.mean), abs(float(np.nanmean(toys.root)))) <= 0.1
            and max(abs(toys.width - 1.0), abs(float(np.nanstd(toys.root)) - 1.0)) <= 0.1)


def limit_of(likelihood: Likelihood) -> float:
    """The median expected limit."""
    return upper_limit(likelihood, likelihood.expected(likelihood.at(0.0))).expected[2]


def of_one(likelihood: Likelihood, injected: list[float], n: int, seed: int) -> bool:
    """Pulls of the one strength of a workspace."""
    fine = True
    print(HEADER)
    for value, rng in zip(injected, np.random.default_rng(seed).spawn(len(injected)), strict=True):
        toys = pull_toys(likelihood, value, n=n, rng=rng)
        fine &= good(toys)
        print(line(toys), flush=True)
    return fine


def of_several(likelihoods: dict[str, Likelihood], injected: dict[str, list[float]], n: int, seed: int) -> bool:
    """Pulls of every strength of a workspace, without more than 1 of each and with each injected, and the leakage."""
    cases: list[dict[str, float]] = [{}, *({name: value} for name, values in injected.items() for value in values)]
    before, *found = strength_toys(likelihoods, cases, n=n, rng=np.random.default_rng(seed))
    print(f"all strengths 1\n{'':12s}{HEADER}")
    fine = True
    for name in likelihoods:
        fine &= good(before.pulls(name))
        print(f"{name:12s}{line(before.pulls(name))}")
    for case, toys in zip(cases[1:], found, strict=True):
        ((name, value),) = case.items()
        print(f"{name} = {value:g}, the others 1\n{'':12s}{HEADER}    moved by it, of its error")
        for other in likelihoods:
            pulls, text = toys.pulls(other), ""
            if other == name:
                fine &= good(pulls)
            else:
                shift, error = (x / float(np.nanmedian(0.5 * (pulls.error_up + pulls.error_down)))
                                for x in toys.moved(other, before))
                fine &= abs(shift) <= 0.1 + 2.0 * error
                text = f"{shift:10.3f} +- {error:.3f}"
            print(f"{other:12s}{line(pulls)} {text}", flush=True)
    return fine


def main() -> int:
    """Parse the command line, draw and fit the toys, print one line per strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--toys", type=int, default=300, help="per strength (default: %(default)s)")
    parser.add_argument("--injected", type=float, nargs="+", default=INJECTED, metavar="MU",
                        help="injected signal strengths (default: 1 5 20)")
    parser.add_argument("--of-limit", action="store_true", help="in units of the expected limit of each")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    names = strengths_of(read_workspace(arguments.workspace))
    likelihoods = {name: open_likelihood(arguments.workspace, poi=name) for name in names}
    injected = {name: [value * (limit_of(likelihood) if arguments.of_limit else 1.0) for value in arguments.injected]
                for name, likelihood in likelihoods.items()}
    if len(names) == 1:
        return 0 if of_one(likelihoods[names[0]], injected[names[0]], arguments.toys, arguments.seed) else 1
    return 0 if of_several(likelihoods, injected, arguments.toys, arguments.seed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
