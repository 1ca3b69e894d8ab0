#!/usr/bin/env python
"""A list of ten thousand files on a Dask cluster: start-up, memory and open files of the client, against ten files.

    scripts/time_many_files.py

The files are links to one small one; a run is stopped after some chunks, as its first result, its memory and its open
files are what could grow with the list.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from fei_lite.cli import guarded
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.parallel.cluster import DaskExecutor, started
from fei_lite.production.simulate import simulate_file
from fei_lite.tagging.driver import tag_files


class _Enough(Exception):
    """A run has shown what it can show."""


def _resident() -> float:
    """Memory of this process (MiB)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _run(files: list[Path], folder: Path, models: str, chunks: int, workers: DaskExecutor) -> dict[str, float]:
    """Seconds until the first result, memory and open files after some chunks."""
    start, processor, seen = time.perf_counter(), time.process_time(), 0
    found: dict[str, float] = {"files": len(files)}

    def progress(_done: int, _total: int) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            found["seconds to the first result"] = time.perf_counter() - start
            found["processor seconds to the first result"] = time.process_time() - processor
        if seen == chunks:
            found["memory (MiB)"] = _resident()
            found["open files"] = len(os.listdir("/proc/self/fd"))
            raise _Enough

    with suppress(_Enough):
        tag_files(files, folder / f"{len(files)}.root", models=models, distinct=False, workers=workers, journal=True,
                  progress=progress)
    return found


def main() -> int:
    """Make the files, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000, help="files (default: %(default)s)")
    parser.add_argument("--models", default=DEFAULT_MODELS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, started("local", 2) as workers:
        folder = Path(name)
        simulate_file("mixed", folder / "events.root", n=20, seed=1)
        files = [folder / f"{i}.root" for i in range(arguments.n)]
        for path in files:
            path.symlink_to(folder / "events.root")
        (folder / "out").mkdir()
        rows = [_run(files[:n], folder / "out", arguments.models, 10, workers) for n in (10, 10, arguments.n)]
    print(json.dumps(rows[1:], indent=1))  # the first of all has the kernels to load
    return 0


if __name__ == "__main__":
    sys.exit(guarded("time_many_files", main))
