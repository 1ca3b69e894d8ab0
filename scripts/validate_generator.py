"""Compare generated decays with the decay table, and multiplicities with the Belle II software's.

    python scripts/validate_generator.py [--events 100000] [--seed 41] [--format json]

Exit code 1 if a chi2 probability is below 0.001, or a multiplicity off by more than
5 % and not in ``EXPLAINED``. Multiplicities need FEI_LITE_TEST_DATA, the folder
that holds basf2_validation/; without it they are left out, saying so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fei_lite.generator.generate import generate
from fei_lite.generator.pythia import left_out
from fei_lite.generator.validation import (
    MULTIPLICITIES,
    DecayCounter,
    ModeComparison,
    Multiplicity,
    compare_multiplicities,
    count_particles,
)
from fei_lite.particles import particle_name

PARTICLES = {"charged": (521, 421, 411, 431), "mixed": (511, 421, 411, 431)}
REFERENCES = {"charged": "MultiplicityPlotsCharged.root", "mixed": "MultiplicityPlotsMixed.root"}
TOLERANCE = 0.05


def run(process: str, events: int, seed: int) -> tuple[list[ModeComparison], list[Multiplicity]]:
    """Generate one process and compare it."""
    counter, counts = DecayCounter(PARTICLES[process]), []
    for batch in generate(process, events, seed=seed):
        counter.add(batch.generated)
        counts.append(count_particles(batch.generated, list(MULTIPLICITIES.values())))
    rows: list[Multiplicity] = []
    if data := os.environ.get("FEI_LITE_TEST_DATA"):
        rows = compare_multiplicities(
            np.concatenate(counts), Path(data) / "basf2_validation" / "generators" / REFERENCES[process])
    return [counter.compare(code) for code in PARTICLES[process]], rows


#: Multiplicities that differ by more, and why.
EXPLAINED = {
    "nJPSI": "modes are the table's; the rest is fragmentation of c cbar s q, where Pythia makes more J/psi here",
    "nKp": "modes are the table's; a quarter of the K+ come from a B's own fragmentation, presumably too many",
}


def printed(process: str, modes: list[ModeComparison], rows: list[Multiplicity], n_worst: int = 3) -> None:
    """Print one line per particle and per multiplicity."""
    print(f"{process}: decays against the decay table (50 most frequent modes and the others)")
    for comparison in modes:
        print(f"  {particle_name(comparison.code):6s} {comparison.n_decays:8d} decays   chi2 {comparison.chi2:6.1f} / "
              f"{len(comparison.modes) - 1:2d}   probability {comparison.p_value:.3f}")
        pulls = [(abs(m.seen - m.expected) / np.sqrt(max(m.expected, 1e-9)), m) for m in comparison.modes]
        for pull, mode in sorted(pulls, key=lambda item: -item[0])[:n_worst]:
            names = " ".join(particle_name(code) for code in mode.products) or "all others"
            print(f"         {pull:4.1f} sigma  {names}: {mode.seen} seen, {mode.expected:.1f} expected")
    if not rows:
        print("  multiplicities left out: FEI_LITE_TEST_DATA is not set", file=sys.stderr)
        return
    print(f"  {'per event':10s} {'ours':>8s} {'error':>7s} {'K_L decayed':>12s} {'basf2':>8s} {'ratio':>7s}")
    for row in rows:
        remark = "" if abs(row.ratio - 1.0) <= TOLERANCE else "  " + EXPLAINED.get(row.name, "<- differs")
        print(f"  {particle_name(row.code):10s} {row.ours:8.4f} {row.error:7.4f} {row.with_kl_decays:12.4f} "
              f"{row.reference:8.4f} {row.ratio:7.3f}{remark}")


def main() -> int:
    """Parse the command line, generate both processes, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="of each process (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--left-out", action="store_true", help="only list what of the table is not simulated")
    arguments = parser.parse_args()
    if arguments.left_out:
        print(*left_out(), sep="\n")
        return 0

    good, out = True, {}
    for process in PARTICLES:
        modes, rows = run(process, arguments.events, arguments.seed)
        good &= all(comparison.p_value > 0.001 for comparison in modes)
        good &= all(abs(row.ratio - 1.0) <= TOLERANCE or row.name in EXPLAINED for row in rows)
        out[process] = {"modes": [asdict(m) for m in modes], "multiplicities": [asdict(r) for r in rows]}
        if arguments.format == "text":
            printed(process, modes, rows)
    if arguments.format == "json":
        print(json.dumps(out, indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
