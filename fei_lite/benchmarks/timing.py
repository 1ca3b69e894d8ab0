"""Seconds of a call, and of a process with its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile

from fei_lite.errors import FeiLiteError

#: The command line in a process of its own, whether or not its script is on PATH.
FEI_LITE = (sys.executable, "-c", "import sys; from fei_lite.cli import main; sys.exit(main())")


def best_seconds(call: Callable[[], object], *, repeat: int = 5) -> float:
    """Shortest wall-clock time of several calls, after one that warms up (s).

    The shortest, because other work on the machine only ever adds.
    """
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True)
class ProcessCost:
    """Wall-clock seconds and peak resident memory (MiB) of one process, and what it said on stderr."""

    seconds: float
    peak_rss_mib: float
    talk: str


def run_process(arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> ProcessCost:
    """Run ``fei-lite`` with arguments in a process of its own; raises FeiLiteError if it fails.

    The memory is that of the process alone, not of its own children.
    """
    with TemporaryFile("w+") as talk:
        start = time.perf_counter()
        process = subprocess.Popen([*FEI_LITE, *arguments], stdout=subprocess.DEVNULL, stderr=talk,
                                   env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        talk.seek(0)
        text = talk.read()
    if process.returncode != 0:
        raise FeiLiteError(f"benchmark: 'fei-lite {' '.join(arguments)}' ended with {process.returncode}: "
                           f"{text[-500:]}")
    return ProcessCost(seconds, usage.ru_maxrss / 1024, text)
