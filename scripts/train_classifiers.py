"""Train a small model set with the library, and say what came out.

    python scripts/train_classifiers.py FOLDER EVENTS...
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from fei_lite.training.driver import Settings, train


def main() -> None:
    """Train on the given event files into the given folder."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, samples = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    models = train(samples, folder, settings=Settings(name=folder.name), date=datetime.date.today().isoformat(),
                   report=lambda what, done, total: print(f"{what}: {done} of {total}", file=sys.stderr))
    print(f"{len(models.models)} classifiers trained, {len(models.untrained)} channels without enough events")


if __name__ == "__main__":
    main()
