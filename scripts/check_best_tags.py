"""Best Btags of a file with truth: is Mbc of the background sculpted, is SignalProbability a probability?

    python scripts/check_best_tags.py btag.root --events charged.root mixed.root --folder figures

With the events that the Btags are of, false Btags with less than 0.3 GeV from elsewhere, and with less than 1 GeV,
are told apart: they peak by nature, the latter broadly. Prints two tables; writes sculpting.png, calibration.png and
best_tags.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fei_lite.performance.files import check_tags
from fei_lite.performance.text import calibration_table, sculpting_table
from fei_lite.plain import as_plain
from fei_lite.plots.performance import draw_calibration, draw_sculpting


def main() -> None:
    """Parse the command line, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("btags", type=Path)
    parser.add_argument("--events", type=Path, nargs="+", default=(), metavar="EVENTS",
                        help="the Btag file's inputs, in order")
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--choose", choices=("event", "type"), default="event",
                        help="the best Btag of each event, or of each list")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap (default: %(default)s)")
    arguments = parser.parse_args()
    found = check_tags(arguments.btags, events=arguments.events, choose=arguments.choose, seed=arguments.seed)
    print(sculpting_table(found.sculpting))
    print("\n" + calibration_table(found.calibration))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    draw_sculpting(found.sculpting, arguments.folder / "sculpting.png")
    draw_calibration(found.calibration, arguments.folder / "calibration.png")
    (arguments.folder / "best_tags.json").write_text(json.dumps(as_plain(found), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
