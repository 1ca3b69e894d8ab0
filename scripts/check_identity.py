"""Candidates and probabilities with pruning and early exit on and off, on 5000 events.

    python scripts/check_identity.py --events 5000

Half the events are B+B-, half B0 B0bar. Exit code 1 if any column of any
candidate, or any row of the cut-flow, differs in any bit.
"""

from __future__ import annotations

import argparse
import time

from fei_lite.benchmarks.identity import identical_candidates
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.production.simulate import simulate


def main() -> int:
    """Parse the command line, simulate, reconstruct in four ways, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--models", default="fei_default", help="model set (default: %(default)s)")
    parser.add_argument("--set", dest="channel_set", default=None, help="channel set (default: that of the models)")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()

    started = time.perf_counter()
    batches = (batch for process in ("charged", "mixed")
               for batch in simulate(process, arguments.events // 2, seed=arguments.seed))
    candidates, found = identical_candidates(
        batches, *load_tagger(arguments.models, arguments.channel_set))
    print(f"{arguments.events} events, {sum(candidates.values())} candidates in {len(candidates)} tables, "
          f"{candidates['B+']} B+ and {candidates['B0']} B0, pruning and early exit on and off, "
          f"{time.perf_counter() - started:.0f} s: {'DIFFERENT' if found else 'identical to the last bit'}")
    print("\n".join(found[:50]))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
