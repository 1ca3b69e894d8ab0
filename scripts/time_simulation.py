"""Events a second and core of the simulation, process by process: generator and detector apart.

    python scripts/time_simulation.py [--process ccbar charged ...] [--events 8000] [--repeat 3] [--format json]

Processor time of the process, which other work on the machine disturbs less than the clock's;
the first block of every repetition (start-up, compiled kernels, tables that are made when they
are needed) is left out. Printed are the best of the repetitions, in microseconds an event and
in events a second and core. To compare two versions, run each in turn, several times.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np

from fei_lite.detector.simulate import simulate_detector
from fei_lite.generator.generate import GeneratedBatch, generate
from fei_lite.generator.processes import PROCESSES
from fei_lite.production.simulate import BATCH_SIZE


def timed(process: str, events: int, seed: int) -> tuple[float, float]:
    """Microseconds of processor time an event: generator, detector."""
    generator, detector, done = 0.0, 0.0, 0
    rng = np.random.default_rng([seed, 10])
    batches: Iterator[GeneratedBatch] = generate(process, BATCH_SIZE + events, seed=seed, batch_size=BATCH_SIZE)
    simulate_detector(next(batches), rng=rng)
    while True:
        start = time.process_time()
        batch = next(batches, None)
        made = time.process_time()
        if batch is None:
            return generator / done * 1e6, detector / done * 1e6
        simulate_detector(batch, rng=rng)
        generator += made - start
        detector += time.process_time() - made
        done += batch.n_events


def main() -> None:
    """Parse the command line, time, print."""
    known = [name for name in PROCESSES if name != "signal"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--process", nargs="+", choices=known, default=known)
    parser.add_argument("--events", type=int, default=8000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    rows = []
    for process in arguments.process:
        generator, detector = min((timed(process, arguments.events, seed) for seed in range(1, arguments.repeat + 1)),
                                  key=sum)
        rows.append({"process": process, "generator_us": generator, "detector_us": detector,
                     "events_per_second": 1e6 / (generator + detector)})
    if arguments.format == "json":
        print(json.dumps(rows, indent=1))
        return
    print("process   generator  detector   us an event    events a second and core")
    for row in rows:
        print(f"{row['process']:8s} {row['generator_us']:10.1f} {row['detector_us']:9.1f} "
              f"{row['generator_us'] + row['detector_us']:13.1f} {row['events_per_second']:26.0f}")


if __name__ == "__main__":
    main()
