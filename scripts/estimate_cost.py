#!/usr/bin/env python
"""Time and cost of a reconstruction of all events of an integrated luminosity on a cluster, from measured speeds.

    scripts/estimate_cost.py                                  # 50/ab on 1000 cores
    scripts/estimate_cost.py --luminosity 1000 --cores 200 --skim 0.05 --markdown

Speeds are those of scripts/benchmark.json, sizes are measured on the events that this script simulates, cross-sections
are the package's. What is assumed is an option: events per file, network, price.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fei_lite.cli import guarded
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.events.ranges import BATCH_SIZE, EntryRange, entry_ranges, name_of
from fei_lite.generator.processes import PROCESSES
from fei_lite.parallel.packing import packed
from fei_lite.production.simulate import simulate_file

#: Processes that make hadrons: what a skim of hadronic events holds before any further cut.
HADRONIC = ("charged", "mixed", "uubar", "ddbar", "ssbar", "ccbar")


@dataclass(frozen=True)
class Sizes:
    """Measured here: bytes of an event on disk, bytes of its Btags in the journal, seconds to hand out a chunk."""

    event: float
    btags: float
    chunk: float


def measure(n: int, models: str) -> Sizes:
    """Sizes of events, of results, and the time that the client needs for a chunk."""
    import pyarrow as pa

    from fei_lite.classifiers.tagger import load_tagger
    from fei_lite.events import read_events
    from fei_lite.reconstruction.cutflow import CutFlow
    from fei_lite.tagging.best import Btags
    from fei_lite.tagging.driver import TaggedBatch, Totals, tag_batch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mixed.root"
        simulate_file("mixed", path, n=n, seed=1)
        size = os.stat(path).st_size / n
        found = tag_batch(read_events(path), *load_tagger(models))
        start = time.process_time()
        content = packed([found], (TaggedBatch, Btags, CutFlow, Totals))
        data = pa.compress(content, codec="zstd", asbytes=True)
        writing = (time.process_time() - start) * BATCH_SIZE / n
        start = time.process_time()
        for _ in entry_ranges([path], batch_size=1):
            pass
        for i in range(100):
            name_of(EntryRange(path, i, i + 1, i))
        handing_out = (time.process_time() - start) / 100
    return Sizes(size, len(data) / n, writing + handing_out)


def estimate(arguments: argparse.Namespace, sizes: Sizes) -> dict[str, float]:
    """The figures, by name."""
    speeds = json.loads(arguments.benchmark.read_text(encoding="utf-8"))
    speed = speeds["events_per_second_per_core"]
    section = sum(PROCESSES[name].cross_section for name in HADRONIC)
    events = arguments.luminosity * 1e6 * section * arguments.skim
    core_seconds = events / speed
    chunks = events / BATCH_SIZE
    chunk_seconds = BATCH_SIZE / speed
    reading = sizes.event * speed
    client = sizes.chunk + speeds["stages"]["write"] / speeds["n_events"] * BATCH_SIZE
    served = chunk_seconds / client
    return {
        "cross-section of hadronic events (nb)": section,
        "events (1e9)": events / 1e9,
        "events per second and core": speed,
        "core years": core_seconds / (365.25 * 86400),
        "days on all cores": core_seconds / arguments.cores / 86400,
        f"cost ({arguments.currency})": core_seconds / 3600 * arguments.price,
        "input (TB)": events * sizes.event / 1e12,
        "Btags in the journal (TB)": events * sizes.btags / 1e12,
        "files of input": events / arguments.events_per_file,
        "chunks (1e6)": chunks / 1e6,
        "seconds of a chunk": chunk_seconds,
        "memory of the workers (GB)": arguments.cores * speeds["peak_rss_mib"] * 2**20 / 1e9,
        "input (GB/s) with all cores at work": reading * arguments.cores / 1e9,
        "cores that the network feeds": arguments.network * 1e9 / reading,
        "client's time per chunk: journal and output (s)": client,
        "cores that one client serves": served,
        "clients, each with an output of its own": arguments.cores / served,
        "TB of one client's output and journal": events * sizes.btags / 1e12 * served / arguments.cores,
        "cores that one scheduler serves": chunk_seconds / (arguments.scheduler * 1e-3),
    }


def main() -> int:
    """Measure, calculate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--luminosity", type=float, default=50_000.0, help="1/fb (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--skim", type=float, default=1.0, help="fraction of the hadronic events that is read")
    parser.add_argument("--price", type=float, default=0.01, help="assumed, of a core hour (default: %(default)s)")
    parser.add_argument("--currency", default="EUR")
    parser.add_argument("--network", type=float, default=10.0,
                        help="assumed, GB/s from the disks (default: %(default)s)")
    parser.add_argument("--scheduler", type=float, default=1.0,
                        help="assumed, ms of Dask's scheduler per task: its documentation says about one (default)")
    parser.add_argument("--events-per-file", type=float, default=200_000.0, help="assumed (default: %(default)s)")
    parser.add_argument("--models", default=DEFAULT_MODELS)
    parser.add_argument("--benchmark", type=Path, default=Path(__file__).with_name("benchmark.json"))
    parser.add_argument("-n", type=int, default=500, help="events to measure sizes on (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="as a table of a page")
    arguments = parser.parse_args()
    found = estimate(arguments, measure(arguments.n, arguments.models))
    if arguments.markdown:
        print(f"| {arguments.luminosity:g}/fb on {arguments.cores} cores | |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.3g} |" if arguments.markdown else f"{name:<52} {value:10.4g}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded("estimate_cost", main))
