"""Damage input files of every kind, read them, and say what is not answered by an error of one line.

    python scripts/fuzz_inputs.py --n 1000 --seed 1

Exit code 1 if there was a traceback, a reading that did not end, a half-written output, or an event that changed
without a word. ``--kinds Events Btags`` takes some of the kinds only; an input is repeated by its kind and seed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fuzz_more_kinds import ALL as KINDS
from fuzzing import fuzz

#: Memory (address space) of the process: who asks for more gets a MemoryError, which is a finding.
MEMORY = 12 * 2**30


def main() -> int:
    """Parse the command line, fuzz, print the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the damage (default: %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=[kind.__name__ for kind in KINDS], metavar="KIND",
                        help="kinds of input (default: all)")
    arguments = parser.parse_args()

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder, tqdm(total=arguments.n, unit=" inputs", file=sys.stderr,
                                                       disable=None) as bar:
        results = fuzz(arguments.n, seed=arguments.seed, folder=Path(folder), kinds=arguments.kinds,
                       report=lambda done, _: bar.update(done - bar.n))
    for finding in results.findings:
        print(f"{finding.kind}, seed {finding.seed}, {finding.damage}:\n{finding.what}\n")
    print(f"{arguments.n} inputs: {results.refused} refused, {results.read} read, {len(results.findings)} findings "
          f"{dict(Counter(finding.kind for finding in results.findings)) or ''}")
    return 1 if results.findings else 0


if __name__ == "__main__":
    sys.exit(main())
