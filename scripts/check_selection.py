"""Compare an analysis's candidates of a production with those of plain simulation: cut-flow, sums and shapes.

    fei-lite produce hta --process charged --events 1 --luminosity 0.5 --plain --seed 901 -o plain
    fei-lite produce hta --process charged --effective 50 50 --seed 1 -o production
    python scripts/check_selection.py hta plain production --process charged

Prints, per step of the cut-flow, the fraction of generated events in both (sums of
weights over events) and the ratio, which a selection without bias leaves at 1; then the
pulls of the bins of histograms of all candidates, which have mean 0 and width 1. In the
errors, candidates that share a generated decay are correlated.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.columns import passes
from fei_lite.analyses.folders import Analysis, load_analysis
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.inputs import Inputs
from fei_lite.analyses.tagged_production import production_files

#: Bins of each histogram, and least candidates in a bin of both samples.
BINS, LEAST = 5, 10


@dataclass(frozen=True)
class Sample:
    """Candidates of a process, and the events that were generated for them."""

    inputs: Inputs
    n_generated: int

    def fractions(self, x: NDArray[np.float64], edges: NDArray[np.float64],
                  mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Fractions of the generated events in bins, their errors, and the candidates."""
        columns, second = self.inputs.columns, self.inputs.second()
        weight = columns["weight"][mask]
        variance = bin_variances(x[mask], weight, columns["source"][mask], self.inputs.decay()[mask], edges,
                                 second=None if second is None else second[mask])
        sums = np.histogram(x[mask], edges, weights=weight)[0]
        return (sums / self.n_generated, np.sqrt(variance) / self.n_generated,
                np.histogram(x[mask], edges)[0].astype(np.int64))


def sample(path: Path, analysis: Analysis, process: str | None) -> Sample:
    """The candidates of a file, or of a process of a production."""
    files = production_files(path, analysis) if path.is_dir() else [path]
    inputs = read_candidates([file for file in files if process is None or path == file
                              or file.name.startswith(f"{process}_")], analysis)
    return Sample(inputs, sum(source.n_generated for source in inputs.sources))


def print_cut_flow(samples: list[Sample], analysis: Analysis) -> None:
    """Fractions of the generated events that pass each step, and their ratio."""
    print(f"{'':26s} {'plain':>23s} {'selected':>23s} {'ratio':>16s}")
    masks = [np.ones(len(one.inputs), dtype=bool) for one in samples]
    steps = [("events read", ""), ("Btag and signal side", ""), *((cut.name, cut.cut) for cut in analysis.recipe.cut)]
    for name, cut in steps:
        found = []
        for one, mask in zip(samples, masks, strict=True):
            if cut:
                mask &= passes(cut, one.inputs.columns)
            if name == "events read":
                read = sum(steps[name][1] for counts in one.inputs.counts for steps in counts.values())
                found.append((read / one.n_generated, 0.0))
                continue
            value, error, _ = one.fractions(np.zeros(len(mask)), np.array([-1.0, 1.0]), mask)
            found.append((float(value[0]), float(error[0])))
        (a, da), (b, db) = found
        ratio = f"{b / a:.3f} +- {b / a * np.hypot(da / a, db / b):.3f}" if a > 0.0 and b > 0.0 else "-"
        print(f"{name:26s} {a:10.3e} +- {da:.1e} {b:10.3e} +- {db:.1e} {ratio:>16s}")


def print_pulls(samples: list[Sample]) -> None:
    """Pulls of histograms of all candidates: one line per column, and mean and width of all."""
    columns = [one.inputs.columns for one in samples]
    names = [name for name in columns[0] if name not in ("experiment", "run", "event", "weight", "source", "partner")
             and np.issubdtype(columns[0][name].dtype, np.number)]
    every: list[float] = []
    print(f"\n{'pulls of bins':30s}")
    for name in names:
        values = [np.asarray(part[name], dtype=np.float64) for part in columns]
        finite = values[0][np.isfinite(values[0])]
        edges = np.unique(np.quantile(finite, np.linspace(0.0, 1.0, BINS + 1))) if len(finite) else np.zeros(0)
        if len(edges) < 3:
            continue
        (a, da, n), (b, db, m) = (one.fractions(x, edges, np.isfinite(x))
                                  for one, x in zip(samples, values, strict=True))
        good = (n >= LEAST) & (m >= LEAST)
        pulls = (b - a)[good] / np.hypot(da, db)[good]
        every += pulls.tolist()
        print(f"{name:30s} " + " ".join(f"{pull:5.1f}" for pull in pulls))
    if every:
        print(f"{len(every)} bins of {len(names)} histograms: mean {np.mean(every):.2f}, width {np.std(every):.2f} "
              "(bins of one candidate are correlated)")


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis", help="a shipped analysis, or the folder of one")
    parser.add_argument("plain", type=Path, help="candidates of events without a selection, or a plain production")
    parser.add_argument("selected", type=Path, help="candidates of the same process with one, or a production")
    parser.add_argument("--process", default=None, help="process to take of a production")
    arguments = parser.parse_args()
    analysis = load_analysis(arguments.analysis)
    samples = [sample(path, analysis, arguments.process) for path in (arguments.plain, arguments.selected)]
    print_cut_flow(samples, analysis)
    print_pulls(samples)


if __name__ == "__main__":
    main()
