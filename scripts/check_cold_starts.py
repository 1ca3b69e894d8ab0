"""Ten concurrent cold starts in one cache folder: all end well, with the same Btags.

    python scripts/check_cold_starts.py --processes 10

Every process is a ``fei-lite reconstruct`` of the same file with a new, empty
folder for compiled code that all share; afterwards one more finds it filled.
Exit code 1 if one fails, or if the Btags differ.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from fei_lite.benchmarks.timing import FEI_LITE
from fei_lite.production.simulate import simulate_file
from fei_lite.tagging.output import read_tags


def main() -> int:
    """Parse the command line, start the processes, compare what they wrote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--models", default="fei_default", help="model set (default: %(default)s)")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="fei-lite-cold-") as name:
        folder = Path(name)
        simulate_file("charged", folder / "events.root", n=arguments.events, seed=1)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "FEI_LITE_JIT_CACHE": "1"}

        def start(i: int) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [*FEI_LITE, "reconstruct", str(folder / "events.root"), "--models", arguments.models, "-o",
                 str(folder / f"{i}.parquet"), "--quiet"],
                env=environment, stderr=subprocess.PIPE, text=True)

        begun = time.perf_counter()
        running = [start(i) for i in range(arguments.processes)]
        talk = [process.communicate()[1] for process in running]
        cold = time.perf_counter() - begun
        begun = time.perf_counter()
        last = start(arguments.processes)
        talk.append(last.communicate()[1])
        warm = time.perf_counter() - begun
        for i, process in enumerate([*running, last]):
            if process.returncode != 0:
                print(f"process {i} ended with {process.returncode}: {talk[i][-500:]}")
                return 1
        tables = [read_tags(folder / f"{i}.parquet").columns for i in range(len(talk))]
        compiling = sum("compiling" in text for text in talk[:-1])

    same = all(_same(table, tables[0]) for table in tables[1:])
    print(f"{arguments.processes} cold starts at once: {cold:.0f} s, {compiling} said that they compile; then a warm "
          f"one: {warm:.1f} s{', which compiled again' if 'compiling' in talk[-1] else ''}; "
          f"{len(tables[0]['Mbc'])} candidates, {'equal in all' if same else 'DIFFERENT'}")
    return 0 if same and "compiling" not in talk[-1] else 1


def _same(left: dict, right: dict) -> bool:
    if list(left) != list(right):
        return False
    for a, b in zip(left.values(), right.values(), strict=True):
        for x, y in zip(a, b, strict=True) if isinstance(a, tuple) else ((a, b),):
            if not np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f"):
                return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
