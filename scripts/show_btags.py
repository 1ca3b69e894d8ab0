"""Print the best Btags of a Btag file and draw their Mbc and deltaE.

    python scripts/show_btags.py btag.root --plots FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from fei_lite.performance.best_tags import read_best_tags
from fei_lite.performance.calibration import calibrate
from fei_lite.performance.text import calibration_table
from fei_lite.plots.tags import plot_delta_e, plot_mbc
from fei_lite.tagging.output import read_tags


def main() -> None:
    """Parse the command line, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("btags", type=Path)
    parser.add_argument("--plots", type=Path, default=Path("."), help="folder for mbc.png and delta_e.png")
    parser.add_argument("--show", type=int, default=10, help="Btags to print (default: %(default)s)")
    arguments = parser.parse_args()

    columns, _, _ = read_tags(arguments.btags)
    best = {name: np.asarray(values)[columns["best"] == 1] for name, values in columns.items()
            if not isinstance(values, tuple)}
    print(f"\nThe {arguments.show} most probable Btags:")
    print(f"{'entry':>8} {'SignalProbability':>18} {'Mbc [GeV]':>10} {'deltaE [GeV]':>13} {'true':>5}  decay chain")
    for i in np.argsort(-best["SignalProbability"])[: arguments.show]:
        true = "-" if "isSignal" not in best else ("yes" if best["isSignal"][i] == 1 else "no")
        print(f"{best['entry'][i]:8d} {best['SignalProbability'][i]:18.3f} {best['Mbc'][i]:10.4f} "
              f"{best['deltaE'][i]:13.4f} {true:>5}  {best['decayChain'][i]}")
    tags = read_best_tags(arguments.btags, truth=False)
    if tags.has_truth:
        print("\n" + calibration_table(calibrate(tags, rng=np.random.default_rng(1))))
    arguments.plots.mkdir(parents=True, exist_ok=True)
    for draw, name in ((plot_mbc, "mbc.png"), (plot_delta_e, "delta_e.png")):
        draw(best, arguments.plots / name)
        print(f"drawn: {arguments.plots / name}", file=sys.stderr)


if __name__ == "__main__":
    main()
