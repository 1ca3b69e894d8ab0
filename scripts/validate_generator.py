"""Compare generated decays with the decay table, and particles per event with Belle II's simulation.

    python scripts/validate_generator.py [--events 100000] [--seed 41] [--format json]
    python scripts/validate_generator.py --reference FILE.json [--events 20000] [--process uubar ...]

Without --reference: exit code 1 if a chi2 probability is below 0.001, or a
multiplicity off by more than 5 % and not in ``EXPLAINED``. Multiplicities need
FEI_LITE_TEST_DATA, the folder that holds basf2_validation/; without it they are left
out, saying so.

With --reference, particles of every species and process of the file (generated, before
the detector; both charges together; K_L0 do not decay): ours, the reference, ratio and
pull. Flagged is what is off by more than 7 % and five standard deviations, with the
reason where validate_generator.toml has one; exit code 1 if it has none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fei_lite.generator.generate import generate
from fei_lite.generator.pythia import left_out
from fei_lite.generator.reference_counts import SpeciesCount, compare_counts, count_species, load_reference
from fei_lite.generator.settings import load_settings
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


def against(reference: Path, processes: list[str], events: int, seed: int, settings: str) -> list[SpeciesCount]:
    """Generate the processes that the reference file has (or those asked for) and compare."""
    expected, rows = load_reference(reference), []
    for process in processes or expected:
        if process not in expected:
            raise SystemExit(f"{reference}: no process '{process}', only {', '.join(expected)}")
        parts = [count_species(batch.generated)
                 for batch in generate(process, events, seed=seed, settings=load_settings(settings))]
        counts = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows += compare_counts(process, counts, expected[process])
    return rows


def reasons() -> dict[tuple[str, str], str]:
    """Why a species of a process differs, from the file beside this script."""
    content = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {(process, species): entry["why"] for entry in content["differs"]
            for process in entry["processes"] for species in entry["species"]}


def printed_rows(rows: list[SpeciesCount], why: dict[tuple[str, str], str]) -> None:
    """One line per species and process."""
    last = ""
    for row in rows:
        if row.process != last:
            print(f"{row.process}\n  {'per event':16s} {'ours':>9s} {'error':>8s} {'reference':>10s} {'ratio':>7s} "
                  f"{'pull':>7s}")
            last = row.process
        remark = why.get((row.process, row.species), "<- differs") if row.differs() else ""
        print(f"  {row.species[:16]:16s} {row.ours:9.4f} {row.error:8.4f} {row.reference:10.4f} {row.ratio:7.3f} "
              f"{row.pull:7.1f}  {remark}".rstrip())


def compared_with_reference(arguments: argparse.Namespace) -> int:
    """The whole of --reference: generate, print, and 1 if something differs without a reason."""
    rows = against(arguments.reference, arguments.process, arguments.events or 20_000, arguments.seed,
                   arguments.settings)
    why = reasons()
    if arguments.format == "json":
        print(json.dumps([{**asdict(row), "ratio": row.ratio if row.reference else None, "pull": row.pull,
                           "differs": row.differs(),
                           "why": why.get((row.process, row.species)) if row.differs() else None} for row in rows],
                         indent=1))
    else:
        printed_rows(rows, why)
        found = [row for row in rows if row.differs()]
        unexplained = sum((row.process, row.species) not in why for row in found)
        print(f"{len(rows)} species and processes, {len(found)} off by more than 7 % and 5 sigma, "
              f"{unexplained} of them without a reason")
    return int(any(row.differs() and (row.process, row.species) not in why for row in rows))


def main() -> int:
    """Parse the command line, generate both processes, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, help="of each process (default: 100000; 20000 with --reference)")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="particles per event of another simulation")
    parser.add_argument("--process", nargs="+", default=[], help="with --reference: only these")
    parser.add_argument("--settings", default="belle2", help="with --reference: Pythia's settings")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--left-out", action="store_true", help="only list what of the table is not simulated")
    arguments = parser.parse_args()
    if arguments.left_out:
        print(*left_out(), sep="\n")
        return 0
    if arguments.reference is not None:
        return compared_with_reference(arguments)

    good, out = True, {}
    for process in PARTICLES:
        modes, rows = run(process, arguments.events or 100_000, arguments.seed)
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
