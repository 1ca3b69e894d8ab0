"""Compare model sets on the same events, the baseline first.

    python scripts/compare_sets.py charged.root mixed.root --models fei_default extended --folder comparison

Reconstructs the events with each set, unless FOLDER has its Btag file already, then does
``fei-lite evaluate`` with all Btag files: table, comparison.json and efficiency.png, with the
reconstructible fraction from generator truth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fei_lite.classifiers.model_set import load_model_set
from fei_lite.cli import main as fei_lite
from fei_lite.cli.comparison import as_json, compare_files, table
from fei_lite.plots.validation import draw_comparison


def main() -> int:
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
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files = []
    for models in arguments.models:
        files.append(arguments.folder / f"{Path(models).name}.root")
        if not files[-1].exists():
            print(f"reconstructing with {models}", file=sys.stderr)
            channels = str(load_model_set(models).manifest["channel_set"]["name"])
            if code := fei_lite(["reconstruct", *map(str, arguments.events), "--models", models, "--set", channels,
                                 "--workers", str(arguments.workers), "-o", str(files[-1])]):
                return code
    comparison, reconstructible = compare_files(files, choose=arguments.choose, events=arguments.events,
                                               given_bb=arguments.given_bb)
    (arguments.folder / "comparison.json").write_text(as_json(comparison, reconstructible) + "\n", encoding="utf-8")
    draw_comparison(comparison, arguments.folder / "efficiency.png", reconstructible=reconstructible)
    print(table(comparison, reconstructible, given_bb=arguments.given_bb))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
