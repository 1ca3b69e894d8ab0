"""Candidates of the embedding controls of an analysis: control decays with something removed, or replaced by signal.

    python scripts/produce_controls.py hta --events 100000 --seed 7000 -o controls/simulation
    python scripts/produce_controls.py hta --events 100000 --seed 8000 --settings monash -o controls/data
    python scripts/produce_controls.py xs_nunu --events 50000 --seed 7000 -o jpsi

[controls.embedding] of the recipe says what: of hta B+ -> K+ J/psi(-> mu mu), its muons removed and its kaon replaced
by that of a simulated signal decay; of xs_nunu B -> Xs J/psi without the leptons. Makes OUTPUT/DECAY_FILE.parquet for
each decay file (--events of each), in pieces that the same command goes on with. A second simulation, of other seeds
or --settings, stands in for data. scripts/check_controls.py compares them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from fei_lite.analyses.candidates.files import Setup
from fei_lite.analyses.controls.production import produce_embedded
from fei_lite.analyses.folders import find_analysis, load_analysis
from fei_lite.cli import guarded
from fei_lite.generator.settings import DEFAULT_SETTINGS


def main() -> int:
    """Parse the command line, make the pieces that are missing, merge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis", help="a shipped analysis, or the folder of one")
    parser.add_argument("--control", nargs="+", help="names of [controls.embedding] (default: all)")
    parser.add_argument("--events", type=int, required=True, help="of each decay file")
    parser.add_argument("--piece", type=int, default=10_000, help="events generated per piece (default: %(default)s)")
    parser.add_argument("--seed", type=int, required=True, help="seed of the first piece")
    parser.add_argument("--settings", default=DEFAULT_SETTINGS, help="Pythia's settings (default: %(default)s)")
    parser.add_argument("--models", default=None, help="model set of the tagger (default: the recipe's)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    names = arguments.control or list(load_analysis(arguments.analysis).recipe.controls.embedding)
    if not names:
        parser.error(f"{arguments.analysis}: its recipe has no [controls.embedding].")
    setup = Setup(find_analysis(arguments.analysis), models=arguments.models)
    for name in names:
        with tqdm(unit="piece", desc=name) as bar:
            def report(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            for path in produce_embedded(name, setup, arguments.output, seed=arguments.seed, events=arguments.events,
                                         piece=arguments.piece, settings=arguments.settings,
                                         workers=arguments.workers, report=report):
                print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("produce_controls", main))
