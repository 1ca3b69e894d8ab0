"""Compare model sets on the same events, the baseline first.

    python scripts/compare_sets.py charged.root mixed.root --models fei_default extended --folder comparison

Reconstructs the events with each set, unless FOLDER has its Btag file already, then does as
``fei-lite evaluate`` with all Btag files: table, comparison.json and efficiency.png, with the
reconstructible fraction from generator truth.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from fei_lite.performance.files import compare_files
from fei_lite.performance.text import comparison_table
from fei_lite.plain import as_plain
from fei_lite.plots.performance import draw_comparison
from fei_lite.tagging.driver import tag_files


def advance(bar: tqdm, done: int, total: int) -> None:
    """Move a progress bar."""
    bar.total = total
    bar.update(done - bar.n)


def main() -> None:
    """Parse the command line, reconstruct what is missing, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path, nargs="+", metavar="EVENTS")
    parser.add_argument("--models", nargs="+", required=True, metavar="SET", help="names or folders, baseline first")
    parser.add_argument("--folder", type=Path, default=Path("comparison"))
    parser.add_argument("--choose", choices=("event", "type"), default="event",
                        help="the best Btag of each event, or of each list")
    parser.add_argument("--given-bb", action="store_true",
                        help="events hold no continuum: order the Btags by SignalProbabilityGivenBB where a set has it")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    names = [Path(models).name for models in arguments.models]
    if len(set(names)) < len(names):
        parser.error(f"--models: {' '.join(names)}: folders of different names are needed, which the Btag files get.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files = []
    for models in arguments.models:
        files.append(arguments.folder / f"{Path(models).name}.root")
        if not files[-1].exists():
            print(f"reconstructing with {models}", file=sys.stderr)
            with tqdm(unit="event", file=sys.stderr, disable=None) as bar:
                tag_files(arguments.events, files[-1], models=models, workers=arguments.workers,
                          progress=partial(advance, bar))
    comparison, reconstructible = compare_files(files, choose=arguments.choose, events=arguments.events,
                                                given_bb=arguments.given_bb)
    (arguments.folder / "comparison.json").write_text(json.dumps(
        {"comparison": as_plain(comparison), "reconstructible": as_plain(reconstructible)}, indent=1) + "\n",
        encoding="utf-8")
    draw_comparison(comparison, arguments.folder / "efficiency.png", reconstructible=reconstructible)
    print(comparison_table(comparison, reconstructible, given_bb=arguments.given_bb))


if __name__ == "__main__":
    main()
