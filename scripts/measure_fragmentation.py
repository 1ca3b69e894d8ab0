"""Measure fei_lite/generator/fragmentation_NAME.json: accepted fractions of the B's parton modes.

    python scripts/measure_fragmentation.py [--settings belle2] [--events 40000] [--workers 2]

To be run again when the decay table, the settings or Pythia change (five minutes on two cores).
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

from fei_lite.generator import fragmentation
from fei_lite.generator.decay_table import table_hash
from fei_lite.generator.pythia import COPIES
from fei_lite.generator.settings import DEFAULT_SETTINGS, load_settings, shipped_settings

SEED = 7


def fraction(task: tuple[int, int, int, str]) -> float:
    """Accepted fraction of one mode."""
    code, number, events, settings = task
    return fragmentation.measure(code, number, n=events, seed=SEED + number, settings=settings)


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000, help="B pairs per mode (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--settings", default=DEFAULT_SETTINGS, choices=shipped_settings(),
                        help="Pythia's settings (default: %(default)s)")
    arguments = parser.parse_args()
    accepted = {}
    with ProcessPoolExecutor(arguments.workers) as pool:
        for code in sorted(COPIES.values()):
            modes = fragmentation.parton_modes(code)
            fractions = pool.map(fraction, [(code, i, arguments.events, arguments.settings) for i in range(len(modes))])
            accepted[str(code)] = [round(value, 4) for value in fractions]
            for mode, value in zip(modes, accepted[str(code)], strict=True):
                print(f"{code} -> {mode.products} ({mode.fraction:.4f}): {value}")
    settings = load_settings(arguments.settings)
    data = {"settings": settings.name, "settings_digest": settings.digest, "table": table_hash(),
            "decaylanguage": version("decaylanguage"), "pythia8mc": version("pythia8mc"),
            "command": f"scripts/measure_fragmentation.py --settings {settings.name} --events {arguments.events}",
            "seed": SEED, "accepted": accepted}
    path = Path(fragmentation.__file__).with_name(f"fragmentation_{settings.name}.json")
    path.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
