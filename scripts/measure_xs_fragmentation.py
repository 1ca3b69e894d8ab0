"""Measure what the generator's non-resonant Xs of B -> Xs nu nubar fragment into.

    python scripts/measure_xs_fragmentation.py [--events 200000]

Prints the table [generated] of fei_lite/analyses/xs_nunu/fragmentation.toml: percent of each category of modes in
bins of M(Xs), K_L0 counted as K_S0, and of all Xs the percentage that is none of the modes; B+ and B0 together. To be
run again when Pythia or its settings change (a few minutes).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fei_lite.analyses.xs_nunu.final_states import OTHER, final_states
from fei_lite.analyses.xs_nunu.fragmentation import MISSING, fragmentation
from fei_lite.generator.generate import generate


def main() -> None:
    """Parse the command line, generate, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="of B+ and of B0 each (default: %(default)s)")
    arguments = parser.parse_args()
    table = fragmentation()
    counts = np.zeros((len(table.names) + 1, len(table.edges) + 1))
    for seed, file in ((1, "xs_nunu"), (2, "xs_nunu_neutral")):
        for batch in generate("signal", arguments.events, seed=seed, dec_file=Path(file), batch_size=5000):
            found = final_states(batch)
            category, at = table.category(found.mode_with_kl), table.bins(found.mass)
            row = np.where(category == OTHER, len(table.names), category)
            np.add.at(counts, (row[found.non_resonant], at[found.non_resonant]), 1.0)
    covered = counts[:-1].sum(axis=0)
    rows = [*(100 * counts[:-1] / np.maximum(covered, 1.0)), 100 * counts[-1] / np.maximum(counts.sum(axis=0), 1.0)]
    print("[generated]")
    for name, values in zip((*table.names, MISSING), rows, strict=True):
        print(f"{name} = [{', '.join(f'{v:.3f}' for v in values)}]")


if __name__ == "__main__":
    main()
