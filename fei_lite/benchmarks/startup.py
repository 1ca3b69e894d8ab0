"""How long it takes until something happens: help, a warm start, a start with an empty JIT cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fei_lite.benchmarks.timing import run_process


@dataclass(frozen=True)
class StartUp:
    """Seconds of processes from their start to their end.

    ``help``: ``fei-lite --help``. ``warm``: ``fei-lite reconstruct`` of one
    event, compiled code in the cache. ``cold``: the same with an empty cache.
    ``compile`` is the difference.
    """

    help: float
    warm: float
    cold: float
    compile: float


def start_up(file: Path, folder: Path, *, channel_set: str, models: str) -> StartUp:
    """Measure the three starts; the cold one fills a new cache in ``folder``, the warm one reads it."""
    one_event = ["reconstruct", str(file), "--set", channel_set, "--models", models, "--max-events", "1", "--quiet",
                 "--force", "-o", str(folder / "start.root")]
    cache = {"NUMBA_CACHE_DIR": str(folder / "cache"), "FEI_LITE_JIT_CACHE": "1"}
    cold = run_process(one_event, environment=cache).seconds
    warm = min(run_process(one_event, environment=cache).seconds for _ in range(3))
    quick = min(run_process(["--help"]).seconds for _ in range(3))
    return StartUp(quick, warm, cold, cold - warm)
