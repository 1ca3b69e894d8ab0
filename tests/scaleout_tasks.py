"""Pieces of work for the tests of clusters: importable by workers, and a client to be killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from fei_lite.errors import EventFileError
from fei_lite.parallel import Context, Journal, map_in_context


def factor():
    return 3


def marked(number, scale, *, folder, seconds=0.05, die_at=None, fail_at=None, break_at=None):
    """A result that depends on its task alone; every time it is calculated leaves a mark."""
    with open(Path(folder) / f"{number}.marks", "a") as file:
        file.write(f"{os.getpid()}\n")
    times = (Path(folder) / f"{number}.marks").read_text().count("\n")
    if number == die_at and times == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == fail_at:
        raise EventFileError(f"task {number}: no events")
    if number == break_at and times < 3:
        raise ConnectionError("the disk of task went away")
    time.sleep(seconds)
    return {"number": number, "values": np.arange(number) * scale}


def page_faults(number, _scale):
    """Page faults of filling and dropping 50 arrays of 8 MB each: 2048 of them are one array's pages."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.full(1_000_000, number, dtype=np.float64)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def times_calculated(folder):
    """How often each task was begun: {number: times}."""
    return {int(path.stem): path.read_text().count("\n") for path in Path(folder).glob("*.marks")}


def journal_of(path, **key):
    return Journal(Path(path), {"test": 1, **key}, str)


if __name__ == "__main__":
    from functools import partial

    from fei_lite.errors import FeiLiteError
    from fei_lite.parallel.cluster import connected

    address, marks, where, n = sys.argv[1:5]
    try:
        with connected(address) as workers:
            for found in map_in_context(partial(marked, folder=marks, seconds=0.1), range(int(n)), Context(factor),
                                        workers=workers, journal=journal_of(where)):
                print(found["number"], flush=True)
    except FeiLiteError as error:
        print(type(error).__name__, error, flush=True)
        sys.exit(2)
