"""Everything that docs/kstar_tau_tau.md states, from candidates or productions: one command, again with more of them.

    python scripts/make_kstar_tau_tau.py production kst_tau_tau.root -o trained/kstar_tau_tau

Runs the analysis, the fit of the four categories, toys, and the yields of pairs of equal flavour, which are a control.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.ntuple import read_ntuple
from fei_lite.cli import main as fei_lite
from fei_lite.errors import FeiLiteError
from fei_lite.statistics.toys import pull_toys
from fei_lite.statistics.workspaces import open_likelihood

NAME, UNIT, PUBLISHED = "kstar_tau_tau", 1e-3, 1.8
CATEGORIES = {"ll": "nLeptons == 2", "lpi": "nLeptons == 1 and nRho == 0", "pipi": "nLeptons == 0 and nRho == 0",
              "rhoX": "nRho > 0"}


def flavours(folder: Path) -> str:
    """Yields of pairs of opposite and of equal flavour, before the fit's cut on eta."""
    columns, _ = read_ntuple(folder / "ntuple.parquet")
    sample, weight = columns["sample"].astype(str), columns["event_weight"]
    lines = ["pairs of tag and signal B before the cut on eta, expected at 365/fb; equal flavour is the control",
             f"{'sample':12} {'opposite':>18} {'equal':>18} {'equal / all':>14}"]
    for name in dict.fromkeys(sample.tolist()):
        cells = []
        for flag in (0, 1):
            w = weight[(sample == name) & (columns["sameFlavour"] == flag)]
            cells.append((float(w.sum()), float(np.sqrt(np.sum(w**2)))))
        total = cells[0][0] + cells[1][0]
        lines.append(f"{name:12} " + " ".join(f"{v:10.2f} +-{e:6.2f}" for v, e in cells)
                     + f" {cells[1][0] / total if total else float('nan'):14.3f}")
    return "\n".join(lines) + "\n"


def toys(workspace: Path, n: int, seed: int, limit: float) -> dict[str, Any]:
    """Pulls at zero, one and five times the expected limit."""
    likelihood, out = open_likelihood(workspace), {}
    for times, rng in zip((0.0, 1.0, 5.0), np.random.default_rng(seed).spawn(3), strict=True):
        found = pull_toys(likelihood, times * limit, n=n, rng=rng)
        k = n - found.undefined
        out[f"{times:g}"] = {"injected": times * limit, "mean": [found.mean, found.width / np.sqrt(k)],
                             "width": [found.width, found.width / np.sqrt(2 * k)], "undefined": found.undefined}
    return out


def main() -> int:
    """Analysis, fit, toys, control."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path, help="productions, event files, candidates")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    output = arguments.output
    code = fei_lite(["analyse", NAME, *map(str, arguments.inputs), "-o", str(output), "--force"])
    if code:
        return code
    fei_lite(["fit", str(output / "workspace.json"), "--format", "json", "-o", str(output / "fit.json"), "--force"])
    fit = json.loads((output / "fit.json").read_text())
    expected = fit["upper_limit_90"]["expected"]
    text = ["expected CLs limit at 90 % CL on B(B0 -> K*0 tau tau), 365/fb: "
            + ("undefined" if expected[2] is None else f"{expected[2] * UNIT:.3g} (68 %: {expected[1] * UNIT:.3g} to "
               f"{expected[3] * UNIT:.3g})") + f"; published {PUBLISHED * UNIT:.3g} (arXiv:2504.10042)\n",
            flavours(output)]
    if arguments.toys and expected[2] is not None:
        try:
            tried = toys(output / "workspace.json", arguments.toys, arguments.seed, expected[2])
            (output / "toys.json").write_text(json.dumps(tried, indent=1) + "\n")
            text += [f"{arguments.toys} toys at {times} times the limit: pull mean {p['mean'][0]:.3f} +- "
                     f"{p['mean'][1]:.3f}, width {p['width'][0]:.3f} +- {p['width'][1]:.3f}, undefined "
                     f"{p['undefined']}\n" for times, p in tried.items()]
        except FeiLiteError as problem:
            text.append(f"toys: {problem}\n")
    (output / "limit.txt").write_text("".join(text))
    print("".join(text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
