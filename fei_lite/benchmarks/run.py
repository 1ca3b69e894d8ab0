"""All benchmarks in one run: ``fei-lite benchmark``."""

from __future__ import annotations

import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.benchmarks.awkward_combination import combination_speeds
from fei_lite.benchmarks.fits import vertex_fit_us
from fei_lite.benchmarks.forests import classifier_speed
from fei_lite.benchmarks.growth import growth_with_events, growth_with_objects, memory_with_events, worker_speeds
from fei_lite.benchmarks.line import simulate_both, tag_in_steps
from fei_lite.benchmarks.startup import start_up
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.events import concatenate
from fei_lite.events.reading import open_events
from fei_lite.production.simulate import simulate_file

SEED = 20_260
WARM_UP_EVENTS = 200
#: Events that the combination and the growth are measured on, at most.
PIECE_EVENTS = 1000
#: Numbers of events whose peak memory is compared in a full run.
MEMORY_SIZES = (10_000, 40_000)


@dataclass(frozen=True)
class BenchmarkResult:
    """Figures of one run on one core. Seconds are wall-clock; memory is the process's peak.

    ``load_average`` is the machine's at the start: above 0.5 the figures, and
    those of two workers above all, are those of a shared machine.

    ``ratios`` has ``classifier_vs_lightgbm``, ``combine_vs_awkward`` (the
    smallest of ``combinations``) and, where workers were measured,
    ``two_workers_vs_one``. ``workers``, ``start_up`` and ``memory`` are empty
    where they were not measured.
    """

    n_events: int
    models: str
    machine: str
    load_average: float
    simulation_events_per_second_per_core: float
    events_per_second_per_core: float
    reconstruct_with_truth_events_per_second_per_core: float
    first_batch_seconds: float
    peak_rss_mib: float
    speed: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    vertex_fit_us: dict[str, float] = field(default_factory=dict)
    classifier_us_per_row: float = np.nan
    ratios: dict[str, float] = field(default_factory=dict)
    classifier: dict[str, float] = field(default_factory=dict)
    combinations: list[dict[str, Any]] = field(default_factory=list)
    growth: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    workers: dict[str, Any] = field(default_factory=dict)
    start_up: dict[str, float] = field(default_factory=dict)
    memory: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def run_benchmark(*, n_events: int = 2000, models: str = DEFAULT_MODELS, channel_set: str | None = None,
                  processes: bool = True, full: bool = False, speed: int | None = None,
                  report: Callable[[str], None] | None = None) -> BenchmarkResult:
    """Simulate B+B- and B0B0bar events, reconstruct them, and time every step.

    One process, one thread. ``events_per_second_per_core`` counts reading,
    the whole hadronic reconstruction and writing, without truth matching (as on
    data); the figure with truth matching stands beside it. The peak memory is
    taken then. The pieces follow; with ``processes`` also what needs others:
    two workers, the start-up; with ``full`` memory against the size of the file. ``speed`` is the level of the models'
    first look for the line (None: the level that they name); the pieces are without it.
    """
    say = report or (lambda _text: None)
    channel_set = channel_set or load_tagger(models)[0].name
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="fei-lite-benchmark-") as name:
        folder = Path(name)
        figures, files = _line(folder, n_events, models, channel_set, speed, say)
        figures |= _pieces(files, models, channel_set, say)
        sets = {"models": models, "channel_set": channel_set}
        if processes:
            say("two workers against one")
            figures["workers"] = worker_speeds(files[:1], folder, **sets)
            figures["ratios"]["two_workers_vs_one"] = figures["workers"]["ratio"]
            say("start with an empty and with a full JIT cache")
            figures["start_up"] = asdict(start_up(files[0], folder, **sets))
        if full:
            say("simulate more events")
            (folder / "many").mkdir()
            many, _ = simulate_both(folder / "many", n_events=max(MEMORY_SIZES), seed=SEED + 2)
            figures["memory"] = memory_with_events(many, folder, sizes=MEMORY_SIZES, say=say, **sets)
    return BenchmarkResult(load_average=load, **figures)


def _line(folder: Path, n_events: int, models: str, channel_set: str, speed: int | None,
          say: Callable[[str], None]) -> tuple[dict[str, Any], list[Path]]:
    """Figures of the whole line, and the files it was measured on."""
    small = folder / "small.root"
    say("simulate")
    simulate_file("charged", small, n=WARM_UP_EVENTS, seed=SEED)
    files, simulation = simulate_both(folder, n_events=n_events, seed=SEED + 1)
    say("warm up")
    started = time.perf_counter()
    sets = load_tagger(models, channel_set)
    tag_in_steps([small], folder / "warm.root", *sets, with_truth=True, speed=speed)
    first = time.perf_counter() - started
    say("reconstruct")
    stages, seconds = tag_in_steps(files, folder / "tags.root", *sets, with_truth=False, speed=speed)
    say("reconstruct with truth")
    with_truth, seconds_truth = tag_in_steps(files, folder / "truth.root", *sets, with_truth=True, speed=speed)
    stages["truth"] = with_truth.get("truth", 0.0)
    n = 2 * (n_events // 2)
    return {
        "n_events": n, "models": models, "speed": sets[1].speed if speed is None else speed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.python_implementation()} "
                   f"{platform.python_version()}",
        "simulation_events_per_second_per_core": n / simulation, "events_per_second_per_core": n / seconds,
        "reconstruct_with_truth_events_per_second_per_core": n / seconds_truth, "first_batch_seconds": first,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "stages": stages,
    }, files


def _pieces(files: list[Path], models: str, channel_set: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Figures of the single steps, and how they grow."""
    batch = concatenate([next(iter(open_events([path], batch_size=PIECE_EVENTS // 2))) for path in files])
    sets = load_tagger(models, channel_set)
    say("vertex fits")
    fits = vertex_fit_us(batch, rng=np.random.default_rng(SEED))
    say("classifier against LightGBM")
    forest = classifier_speed(seed=SEED)
    say("combination against awkward arrays")
    combinations = combination_speeds(batch, *sets)
    say("growth")
    growth = {**growth_with_objects(batch, *sets), "events": growth_with_events(batch, *sets)}
    return {
        "vertex_fit_us": fits, "classifier_us_per_row": forest.us_per_row, "classifier": asdict(forest),
        "combinations": [asdict(c) for c in combinations], "growth": growth,
        "ratios": {"classifier_vs_lightgbm": forest.ratio, "combine_vs_awkward": min(c.ratio for c in combinations)},
    }
