"""Candidates of the HTA from simulation, without event files: long productions that resume.

    python scripts/produce_hta.py signal --events 200000 --seed 1000 -o production
    python scripts/produce_hta.py charged --luminosity 50 --reuse 40 --seed 2000 --workers 2 -o production
    python scripts/produce_hta.py ccbar --luminosity 10 --seed 4000 --workers 2 -o production
    fei-lite analyse hta production/*.parquet -o hta

Events are made in pieces, each with a seed of its own (the first and those that
follow): simulated with the generator-level selection "hta" (signal: none),
tagged, and reduced to candidates. Each piece is a file in OUTPUT/pieces, written
whole; the same command goes on where it stopped. At the end all pieces of the
process are one file, OUTPUT/PROCESS.parquet, which says what was simulated.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from fei_lite.analyses.candidate_files import merge_candidates, simulate_candidates
from fei_lite.generator.processes import find_process
from fei_lite.parallel import ordered_map


def main() -> int:
    """Parse the command line, make the pieces that are missing, merge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", help="signal, charged, mixed, ccbar, uubar, ddbar, ssbar")
    parser.add_argument("--events", type=int, help="events to generate (with reuse: combinations)")
    parser.add_argument("--luminosity", type=float, help="the same as an integrated luminosity in 1/fb")
    parser.add_argument("--reuse", type=int, default=1, help="combinations of each B decay (charged, mixed)")
    parser.add_argument("--piece", type=int, default=20_000, help="events generated per piece (times reuse)")
    parser.add_argument("--seed", type=int, required=True, help="seed of the first piece")
    parser.add_argument("--models", default="fei_default")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if (arguments.events is None) == (arguments.luminosity is None):
        parser.error("give either --events or --luminosity.")
    events = arguments.events or round(arguments.luminosity * 1e6 * find_process(arguments.process).cross_section)
    pieces = max(1, -(-events // (arguments.piece * arguments.reuse)))
    folder = arguments.output / "pieces"
    folder.mkdir(parents=True, exist_ok=True)
    work = partial(simulate_candidates, arguments.process, folder=folder, n=arguments.piece, models=arguments.models,
                   selection=None if arguments.process == "signal" else "hta", reuse=arguments.reuse)
    seeds = range(arguments.seed, arguments.seed + pieces)
    files = list(tqdm(ordered_map(work, seeds, workers=arguments.workers), total=pieces, unit="piece",
                      desc=arguments.process))
    merged = merge_candidates(files, arguments.output / f"{arguments.process}.parquet", force=True)
    print(f"{sum(s.n_generated for s in merged.sources)} events of {arguments.process}, "
          f"{len(merged.columns['weight'])} candidates in {arguments.output / arguments.process}.parquet",
          file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
