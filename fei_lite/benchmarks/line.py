"""The line from event files to Btags on one core: seconds per step and in all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from fei_lite.channels import ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.events.ranges import entry_ranges, read_range
from fei_lite.production.simulate import simulate_file
from fei_lite.reconstruction.engine import Hooks, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.timing import Stopwatch
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.output import TagWriter


def simulate_both(folder: Path, *, n_events: int, seed: int) -> tuple[list[Path], float]:
    """Files with ``n_events // 2`` B+B- and as many B0 B0bar events, and the seconds it took."""
    started, files = time.perf_counter(), []
    for i, process in enumerate(("charged", "mixed")):
        files.append(folder / f"{process}.root")
        simulate_file(process, files[-1], n=n_events // 2, seed=seed + i)
    return files, time.perf_counter() - started


def tag_in_steps(files: Sequence[Path], output: Path, channel_set: ChannelSet, models: ModelSet, *,
                 with_truth: bool, speed: int | None = None) -> tuple[dict[str, float], float]:
    """Seconds per step and in all, from files to a Btag file; ``speed`` is the level of the first look
    (None: the one that the models name)."""
    watch = Stopwatch()
    started = time.perf_counter()
    with TagWriter(output) as writer:
        for entries in entry_ranges(files):
            with watch("read"):
                batches = list(read_range(entries))
            for batch in batches:
                result = reconstruct(batch, channel_set, models, hooks=Hooks(stopwatch=watch),
                                     options=ReconstructionOptions(with_truth=with_truth, speed=speed))
                with watch("best tag"):
                    tags = select_tags(result, first_entry=entries.first_entry)
                with watch("write"):
                    writer.write(tags.columns)
        with watch("write"):
            writer.finish([], {})
    seconds = time.perf_counter() - started
    watch.seconds["other"] = seconds - sum(watch.seconds.values())
    return watch.seconds, seconds
