"""Compare an analysis's candidates of a generator-level selection with those of plain simulation, step by step.

    fei-lite simulate charged -n 300000 --seed 901 -o charged.root
    fei-lite analyse hta charged.root --candidates-only -o plain
    fei-lite produce hta --process charged --luminosity 10 --seed 1 -o production
    python scripts/check_selection.py hta plain/candidates.parquet production --process charged

Prints, per step of the cut-flow, the fraction of generated events in both (sums of
weights over events) and the ratio, which a selection without bias leaves at 1.
Candidates of one generated decay count as one in the errors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.columns import passes
from fei_lite.analyses.folders import Analysis, load_analysis
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.tagged_production import production_files


def fractions(path: Path, analysis: Analysis, process: str | None) -> dict[str, tuple[float, float]]:
    """Fraction of the generated events that passes each step, and its error."""
    files = production_files(path, analysis) if path.is_dir() else [path]
    inputs = read_candidates([file for file in files if process is None or path == file
                              or file.name.startswith(f"{process}_")], analysis)
    n = sum(source.n_generated for source in inputs.sources)
    weight, decay, source = inputs.columns["weight"], inputs.decay(), inputs.columns["source"]
    second = inputs.second()
    keep = np.ones(len(weight), dtype=bool)
    read = sum(steps["events read"][1] for counts in inputs.counts for steps in counts.values())
    found = {"events read": (read / n, 0.0)}
    for name, inside in [("Btag and signal side", keep),
                         *((cut.name, passes(cut.cut, inputs.columns)) for cut in analysis.recipe.cut)]:
        keep = keep & inside
        variance = bin_variances(np.zeros(keep.sum()), weight[keep], source[keep], decay[keep], np.array([-1.0, 1.0]),
                                 second=None if second is None else second[keep])
        found[name] = (float(weight[keep].sum()) / n, float(np.sqrt(variance[0])) / n)
    return found


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis", help="a shipped analysis, or the folder of one")
    parser.add_argument("plain", type=Path, help="candidates of events without a selection")
    parser.add_argument("selected", type=Path, help="candidates of the same process with one, or a production")
    parser.add_argument("--process", default=None, help="process to take of a production")
    arguments = parser.parse_args()
    analysis = load_analysis(arguments.analysis)
    plain, selected = (fractions(path, analysis, arguments.process) for path in (arguments.plain, arguments.selected))
    print(f"{'':26s} {'plain':>23s} {'selected':>23s} {'ratio':>16s}")
    for name, (a, da) in plain.items():
        b, db = selected[name]
        ratio = f"{b / a:.3f} +- {b / a * np.hypot(da / a, db / b):.3f}" if a > 0.0 and b > 0.0 else "-"
        print(f"{name:26s} {a:10.3e} +- {da:.1e} {b:10.3e} +- {db:.1e} {ratio:>16s}")


if __name__ == "__main__":
    main()
