"""Efficiency of the BDT of B -> Xs nu nubar on B -> Xs J/psi with the leptons removed, beside that on signal.

    python scripts/check_jpsi.py FOLDER CONTROL...

FOLDER holds the results of `fei-lite analyse xs_nunu`, CONTROL are candidates of scripts/produce_jpsi.py. Signal is
taken with q2 near the mass squared of the J/psi and the tag of a right or wrong kind as it comes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.columns import passes
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.ntuple import read_ntuple
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.tagged_production import with_productions

#: Window of the generated q2 of signal, GeV^2, about 3.0969^2.
Q2 = (8.1, 11.1)


def fraction(passed: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted fraction and its binomial error for the effective number of entries."""
    if not len(weight):
        return float("nan"), float("nan")
    p = float(weight[passed].sum() / weight.sum())
    n = weight.sum() ** 2 / (weight**2).sum()
    return p, float(np.sqrt(max(p * (1 - p), 1.0 / (n + 2) ** 2) / n))


def control(paths: list[Path], folder: Path) -> dict:
    """Columns of the selected control candidates with the score of the trained BDT."""
    analysis = load_analysis("xs_nunu")
    inputs = read_candidates(with_productions(paths, analysis), analysis)
    line, used = analysis.recipe.classifier[0], read_classifiers(folder / "classifier", analysis)[0]
    keep = np.ones(len(inputs), dtype=bool)
    for cut in analysis.recipe.cut:
        keep &= passes(cut.cut, inputs.columns)
    columns = {name: values[keep] for name, values in inputs.columns.items()}
    X = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in line.features])
    fold = np.arange(len(X)) % used.folds  # no tree has seen any of them
    return columns | {line.name: used.scores(X, fold)}


def main() -> int:
    """Parse the command line, read, print a line per region."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("control", nargs="+", type=Path)
    arguments = parser.parse_args()
    recipe = load_analysis("xs_nunu").recipe
    found = control(arguments.control, arguments.folder)
    signal, _ = read_ntuple(arguments.folder / "ntuple.parquet")
    names = [line.name for line in recipe.signals]
    chosen = np.isin(signal["sample"].astype(str), names)
    chosen &= (signal["q2_generated"] > Q2[0]) & (signal["q2_generated"] < Q2[1])
    signal = {name: values[chosen] for name, values in signal.items()}
    cut = min(line.edges[0] for line in recipe.region)
    print(f"O(BDT) > {cut:g}; signal with {Q2[0]:g} < q2 < {Q2[1]:g} GeV^2\n{'region':8s} {'J/psi':>6s} "
          f"{'efficiency':>18s} {'signal':>7s} {'efficiency':>18s} {'ratio':>16s}")
    for line in (*recipe.region, None):
        where = "Mxs < 2.0" if line is None else line.where
        (a, da, n), (b, db, m) = ((*fraction(c["BDT"][k] > cut, c[w][k]), int(k.sum())) for c, w in (
            (found, "weight"), (signal, "event_weight")) for k in [passes(where, c)])
        ratio = a / b
        error = ratio * np.hypot(da / max(a, 1e-9), db / max(b, 1e-9))
        print(f"{'all' if line is None else line.name:8s} {n:6d} {100 * a:8.1f} +- {100 * da:4.1f} % {m:7d} "
              f"{100 * b:8.1f} +- {100 * db:4.1f} % {ratio:8.2f} +- {error:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
