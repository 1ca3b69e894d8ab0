"""Best Btags of a file with truth: is Mbc of the background sculpted, is SignalProbability a probability?

    python scripts/check_best_tags.py btag.root --events charged.root mixed.root --folder figures

With the events that the Btags are of, false Btags with less than 0.3 GeV from elsewhere are told apart: they peak by
nature. Prints two tables; writes sculpting.png, calibration.png and best_tags.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from fei_lite.performance.best_tags import read_best_tags
from fei_lite.performance.calibration import Calibration, calibrate
from fei_lite.performance.origin import NEARLY_RIGHT, foreign_energy, read_best_objects
from fei_lite.performance.plain import as_plain
from fei_lite.performance.sculpting import Sculpting, mbc_sculpting
from fei_lite.performance.working_points import Measured
from fei_lite.plots.validation import draw_calibration, draw_sculpting


def text(measured: Measured, digits: int = 3) -> str:
    """A number with its interval."""
    return f"{measured.value:.{digits}f} [{measured.lower:.{digits}f}, {measured.upper:.{digits}f}]"


def print_sculpting(found: Sculpting) -> None:
    """Window over sideband per slice, relative to the lowest, and the two-sample test."""
    print("Mbc of false best Btags: signal window over sideband, and that relative to the lowest slice")
    for b_type, backgrounds in found.slices.items():
        for name, slices in backgrounds.items():
            print(f"\n{b_type}, {name}\n{'SignalProbability':>18} {'number':>7} {'window / sideband':>22} "
                  f"{'relative':>22} {'KS distance':>12} {'p-value':>9}")
            for part in slices:
                print(f"{part.low:9g} to {part.high:5g} {part.n:7d} {text(part.ratio):>22} {text(part.relative):>22} "
                      f"{part.distance:12.4f} {part.p_value:9.2g}")


def print_calibration(groups: dict[str, list[Calibration]]) -> None:
    """Promised and kept, and the expected calibration error."""
    print(f"\nCalibration of the best Btag\n{'':5} {'P >':>6} {'number':>8} {'promised':>9} {'right':>24} "
          f"{'calibration error':>26} {'by chance':>9}")
    for name, rows in groups.items():
        for row in rows:
            print(f"{name:5} {row.min_signal_probability:6g} {row.n:8d} {row.promised:9.4f} {text(row.right, 4):>24} "
                  f"{text(row.error, 4):>26} {row.from_fluctuations:9.4f}")


def main() -> None:
    """Parse the command line, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("btags", type=Path)
    parser.add_argument("--events", type=Path, nargs="+", metavar="EVENTS", help="the Btag file's inputs, in order")
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--choose", choices=("event", "type"), default="event",
                        help="the best Btag of each event, or of each list")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap (default: %(default)s)")
    arguments = parser.parse_args()
    tags = read_best_tags(arguments.btags, choose=arguments.choose)
    nearly_right = None
    if arguments.events:
        objects = read_best_objects(arguments.btags, choose=arguments.choose)
        nearly_right = foreign_energy(tags, objects, arguments.events) < NEARLY_RIGHT
    sculpting = mbc_sculpting(tags, nearly_right=nearly_right)
    calibration = calibrate(tags, rng=np.random.default_rng(arguments.seed))
    print_sculpting(sculpting)
    print_calibration(calibration)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    draw_sculpting(sculpting, arguments.folder / "sculpting.png")
    draw_calibration(calibration, arguments.folder / "calibration.png")
    (arguments.folder / "best_tags.json").write_text(
        json.dumps({"sculpting": as_plain(sculpting), "calibration": as_plain(calibration)}, indent=1) + "\n",
        encoding="utf-8")


if __name__ == "__main__":
    main()
