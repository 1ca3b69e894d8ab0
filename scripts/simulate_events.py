"""Simulate a few B+B- events with the library and look at them.

    python scripts/simulate_events.py 200
"""

from __future__ import annotations

import sys

import numpy as np

import fei_lite


def main() -> None:
    """Simulate and print mean multiplicities."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for batch in fei_lite.simulate("charged", n, seed=1):
        print(f"{batch.n_events} events: {np.mean(batch.tracks.counts):.1f} tracks, "
              f"{np.mean(batch.clusters.counts):.1f} clusters, "
              f"{np.mean(batch.generated.counts):.0f} generated particles")


if __name__ == "__main__":
    main()
