"""Compare candidates of a production with those of plain simulation, of several analyses and processes at once.

    fei-lite produce hta k_tau_l xs_nunu --process charged mixed --luminosity 2 --models fei_default --plain \\
        --workers 2 --seed 1000 -o plain
    fei-lite produce hta k_tau_l xs_nunu --process charged mixed --luminosity 4 --models fei_default --workers 2 \\
        --seed 500000 -o production
    python scripts/check_selection.py plain production

Prints for every analysis and process (default: all that both have), and each step of the cut-flow, the fraction of
generated events in both (sums of weights over events), the ratio, which a selection without bias leaves at 1, how far
it is from that in standard deviations, and the relative bias that would be two of these. In the errors candidates that
share a generated decay are correlated; "scatter" is how much the pieces of each sample, which are independent, differ,
over what these errors say (1 if they are right; few pieces, or large weights, scatter by chance). At the end: how many
events make --bias (of B pairs and of continuum) two standard deviations for the candidates of each analysis. With
--pulls the pulls of histograms of all candidates, too. Seeds of both samples must differ, or they share events.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.folders import Analysis, load_analysis
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.production.driver import production_files
from fei_lite.analyses.production.learning import kind_of
from fei_lite.analyses.production.plain_comparison import Step, compared, events_for
from fei_lite.analyses.production.records import records_of
from fei_lite.cli import guarded
from fei_lite.errors import AnalysisError

#: Bins of each histogram, and least candidates in a bin of both samples.
BINS, LEAST = 5, 10
#: Columns that are no quantities.
_NUMBERS = ("experiment", "run", "event", "weight", "source", "partner")


def candidates_of(path: Path, analysis: Analysis, process: str) -> Inputs:
    """The candidates of a process in a production."""
    found = [file for file in production_files(path, analysis) if file.name.startswith(f"{process}_")]
    return read_candidates(found, analysis)


def in_both(folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Analyses and processes that all productions have."""
    found = [dict.fromkeys((name, record["process"]) for record in records_of(folder) for name in record["analyses"])
             for folder in folders]
    return [pair for pair in found[0] if all(pair in other for other in found)]


def print_steps(steps: Sequence[Step]) -> None:
    """A line for each step."""
    print(f"{'':26s} {'plain':>21s} {'selected':>21s} {'ratio':>17s} {'sigma':>6s} {'seen, %':>8s} "
          f"{'scatter: plain':>15s} {'selected':>13s}")
    for step in steps:
        numbers = [f"{one.value:10.3e} +- {one.error:.1e}" for one in (step.plain, step.selected)]
        scatter = ["" if np.isnan(one.scatter) else f"{one.scatter:.2f} +- {one.scatter_error:.2f}"
                   for one in (step.plain, step.selected)]
        known = np.isfinite(step.error) and step.error > 0.0
        ratio = f"{step.ratio:.4f} +- {step.error:.4f}" if known else "-"
        sigma, seen = (f"{(step.ratio - 1.0) / step.error:+.1f}", f"{100.0 * step.seen:.1f}") if known else ("", "")
        print(f"{step.name:26s} {numbers[0]:>21s} {numbers[1]:>21s} {ratio:>17s} {sigma:>6s} {seen:>8s} "
              f"{scatter[0]:>15s} {scatter[1]:>13s}")


def print_pulls(both: Sequence[Inputs]) -> None:
    """Pulls of histograms of all candidates: one line per column, and mean and width of all."""
    names = [name for name in both[0].columns if name not in _NUMBERS
             and np.issubdtype(both[0].columns[name].dtype, np.number)]
    every: list[float] = []
    print(f"\n{'pulls of bins':30s}")
    for name in names:
        values = [np.asarray(one.columns[name], dtype=np.float64) for one in both]
        finite = values[0][np.isfinite(values[0])]
        edges = np.unique(np.quantile(finite, np.linspace(0.0, 1.0, BINS + 1))) if len(finite) else np.zeros(0)
        if len(edges) < 3:
            continue
        (a, da, n), (b, db, m) = (_histogram(one, x, edges) for one, x in zip(both, values, strict=True))
        good = (n >= LEAST) & (m >= LEAST)
        pulls = (b - a)[good] / np.hypot(da, db)[good]
        every += pulls.tolist()
        print(f"{name:30s} " + " ".join(f"{pull:5.1f}" for pull in pulls))
    if every:
        print(f"{len(every)} bins of {len(names)} histograms: mean {np.mean(every):.2f}, width {np.std(every):.2f} "
              "(bins of one candidate are correlated)")


def _histogram(inputs: Inputs, x: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Fractions of the generated events in bins, their errors, and the candidates."""
    n, second, mask = sum(one.n_generated for one in inputs.sources), inputs.second(), np.isfinite(x)
    weight = inputs.columns["weight"][mask]
    variance = bin_variances(x[mask], weight, inputs.columns["source"][mask], inputs.decay()[mask], edges,
                             second=None if second is None else second[mask])
    return (np.histogram(x[mask], edges, weights=weight)[0] / n, np.sqrt(variance) / n,
            np.histogram(x[mask], edges)[0].astype(np.int64))


def main() -> int:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plain", type=Path, help="a production made with --plain")
    parser.add_argument("selected", type=Path, help="a production of the same analyses and models without")
    parser.add_argument("--analysis", nargs="+", metavar="A", help="shipped ones or folders (default: all in both)")
    parser.add_argument("--process", nargs="+", metavar="P", help="processes (default: all in both)")
    parser.add_argument("--bias", nargs=2, type=float, default=(1.0, 3.0), metavar=("B", "Q"),
                        help="per cent, of B pairs and of continuum, that are to be seen (default: 1 3)")
    parser.add_argument("--pulls", action="store_true", help="print pulls of histograms, too")
    arguments = parser.parse_args()
    folders = (arguments.plain, arguments.selected)
    pairs = in_both(folders)
    analyses = {one.name: one for one in map(load_analysis, arguments.analysis or dict.fromkeys(a for a, _ in pairs))}
    chosen = [(analyses[name], process) for name, process in pairs
              if name in analyses and process in (arguments.process or [process])]
    if not chosen:
        raise AnalysisError(f"{folders[0]} and {folders[1]}: no analysis and process that were asked for are in both; "
                            f"there are {', '.join(f'{name} {process}' for name, process in pairs) or 'none'}.")
    needs = []
    for analysis, process in chosen:
        both = [candidates_of(folder, analysis, process) for folder in folders]
        common = {one.seed for one in both[0].sources} & {one.seed for one in both[1].sources}
        if common:
            raise AnalysisError(f"{process}: seeds {', '.join(map(str, sorted(common)[:5]))} are in both: their events "
                                "are the same, the samples not independent. Produce one of them with another --seed.")
        steps = list(compared(*both, analysis.recipe))
        generated = [sum(one.n_generated for one in inputs.sources) for inputs in both]
        print(f"\n{analysis.name}, {process}: {generated[0]} plain events, {generated[1]} with the selection")
        print_steps(steps)
        if arguments.pulls:
            print_pulls(both)
        needs.append((analysis.name, process, next(step for step in steps if step.name == "candidates"), generated))
    print(f"\n{'candidates':26s} {'ratio':>18s} {'seen, %':>8s} {'wanted, %':>9s} {'plain events':>14s} "
          f"{'selected':>12s}")
    for name, process, step, generated in needs:
        bias = arguments.bias[0 if kind_of(process) == "pairs" else 1]
        enough = events_for(step, (generated[0], generated[1]), bias / 100.0) if np.isfinite(step.seen) else ("-", "-")
        print(f"{name + ' ' + process:26s} {step.ratio:8.4f} +- {step.error:.4f} {100.0 * step.seen:8.1f} {bias:9.1f} "
              f"{enough[0]:>14} {enough[1]:>12}")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("check_selection", main))
