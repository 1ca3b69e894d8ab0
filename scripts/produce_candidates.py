"""Candidates of an analysis from simulation, without event files: long productions that resume.

    python scripts/produce_candidates.py hta k_nunu --events 200000 --seed 1000 -o production
    python scripts/produce_candidates.py hta charged --luminosity 50 --seed 2000 --workers 2 -o production
    python scripts/produce_candidates.py hta ccbar --luminosity 10 --seed 4000 --workers 2 -o production
    fei-lite analyse hta production/*.parquet -o hta

Events are made in pieces, each with a seed of its own (the first and those that follow): simulated with the recipe's
generator-level selection and reuse (signal: none), tagged, and reduced to candidates. Each piece is a file in
OUTPUT/pieces, written whole; the same command goes on where it stopped. At the end all pieces of the process are one
file, OUTPUT/PROCESS.parquet, which says what was simulated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from fei_lite.analyses.candidates.files import Setup
from fei_lite.analyses.candidates.production import produce
from fei_lite.analyses.folders import find_analysis
from fei_lite.cli import guarded
from fei_lite.generator.settings import DEFAULT_SETTINGS


def main() -> int:
    """Parse the command line, make the pieces that are missing, merge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis", help="a shipped analysis, or the folder of one")
    parser.add_argument("process", help="a signal decay of the recipe, or charged, mixed, ccbar, uubar, ddbar, ssbar")
    parser.add_argument("--events", type=int, help="events to generate (with reuse: combinations)")
    parser.add_argument("--luminosity", type=float, help="the same as an integrated luminosity in 1/fb")
    parser.add_argument("--piece", type=int, default=20_000, help="events generated per piece (times reuse)")
    parser.add_argument("--seed", type=int, required=True, help="seed of the first piece")
    parser.add_argument("--models", default=None, help="model set of the tagger (default: the recipe's)")
    parser.add_argument("--settings", default=DEFAULT_SETTINGS, help="Pythia's settings (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if (arguments.events is None) == (arguments.luminosity is None):
        parser.error("give either --events or --luminosity.")
    with tqdm(unit="piece", desc=arguments.process) as bar:
        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        merged = produce(arguments.process, Setup(find_analysis(arguments.analysis), models=arguments.models),
                         arguments.output, events=arguments.events, luminosity=arguments.luminosity,
                         seed=arguments.seed, piece=arguments.piece, workers=arguments.workers,
                         settings=arguments.settings, report=report)
    print(f"{sum(s.n_generated for s in merged.sources)} events of {arguments.process}, {len(merged)} candidates in "
          f"{arguments.output / arguments.process}.parquet", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("produce_candidates", main))
