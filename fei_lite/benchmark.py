"""How fast the line is: events per second and core, per step, and memory.

Sizes and seeds are fixed, so that two runs on one machine can be compared. The
kernels are warmed up on a small sample first; their compile time is told apart.
"""

from __future__ import annotations

import platform
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.model_set import load_model_set
from fei_lite.events.ranges import entry_ranges, read_range
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.reconstruction.timing import Stopwatch
from fei_lite.simulation.simulate import simulate_file
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.output import TagWriter

SEED = 20_260
WARM_UP_EVENTS = 200


@dataclass(frozen=True)
class BenchmarkResult:
    """Figures of one run on one core. Seconds are wall-clock; memory is the process's peak."""

    n_events: int
    models: str
    machine: str
    simulation_events_per_second_per_core: float
    events_per_second_per_core: float
    reconstruct_with_truth_events_per_second_per_core: float
    first_batch_seconds: float
    peak_rss_mib: float
    stages: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def run_benchmark(*, n_events: int = 2000, models: str = "hadronic", channel_set: str = "hadronic",
                  report: Callable[[str], None] | None = None) -> BenchmarkResult:
    """Simulate B+B- and B0B0bar events, reconstruct them, and time every step.

    One process, one thread. ``events_per_second_per_core`` counts reading,
    the whole hadronic reconstruction and writing, without truth matching (as on
    data); the figure with truth matching stands beside it.
    """
    say = report or (lambda _text: None)
    with tempfile.TemporaryDirectory(prefix="fei-lite-benchmark-") as folder:
        small, files = Path(folder) / "small.root", []
        say("simulate")
        simulate_file("charged", small, n=WARM_UP_EVENTS, seed=SEED)
        started = time.perf_counter()
        for i, process in enumerate(("charged", "mixed")):
            files.append(Path(folder) / f"{process}.root")
            simulate_file(process, files[-1], n=n_events // 2, seed=SEED + 1 + i)
        simulation = time.perf_counter() - started
        say("warm up")
        started = time.perf_counter()
        _tag([small], Path(folder) / "warm.root", channel_set, models, with_truth=True)
        first = time.perf_counter() - started
        say("reconstruct")
        stages, seconds = _tag(files, Path(folder) / "tags.root", channel_set, models, with_truth=False)
        say("reconstruct with truth")
        with_truth, seconds_truth = _tag(files, Path(folder) / "truth.root", channel_set, models, with_truth=True)
    stages["truth"] = with_truth.get("truth", 0.0)
    n = 2 * (n_events // 2)
    return BenchmarkResult(
        n_events=n, models=models, machine=f"{platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}", simulation_events_per_second_per_core=n / simulation,
        events_per_second_per_core=n / seconds,
        reconstruct_with_truth_events_per_second_per_core=n / seconds_truth, first_batch_seconds=first,
        peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, stages=stages)


def _tag(files: list[Path], output: Path, channel_set: str, models: str, *,
         with_truth: bool) -> tuple[dict[str, float], float]:
    """Seconds per step and in all, from files to a Btag file."""
    channels, model_set = load_channel_set(channel_set), load_model_set(models)
    watch = Stopwatch()
    started = time.perf_counter()
    with TagWriter(output) as writer:
        for entries in entry_ranges(files):
            with watch("read"):
                batches = list(read_range(entries))
            for batch in batches:
                result = reconstruct(batch, channels, model_set, with_truth=with_truth, stopwatch=watch)
                with watch("best tag"):
                    tags = select_tags(result, first_entry=entries.first_entry)
                with watch("write"):
                    writer.write(tags.columns)
        with watch("write"):
            writer.finish([], {})
    seconds = time.perf_counter() - started
    watch.seconds["other"] = seconds - sum(watch.seconds.values())
    return watch.seconds, seconds
