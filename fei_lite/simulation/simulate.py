"""From a process to an event file: generator, detector, writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fei_lite
from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.channels.coverage import complete_in_acceptance
from fei_lite.errors import SimulationError
from fei_lite.events import EventBatch
from fei_lite.events.files import EventWriter
from fei_lite.simulation.decay_table import table_hash
from fei_lite.simulation.detector import simulate_detector
from fei_lite.simulation.generator import GeneratedBatch, Keep, generate
from fei_lite.simulation.processes import find_process
from fei_lite.simulation.response import Response, load_response

#: Events generated and simulated at a time.
BATCH_SIZE = 2000


def simulate(process: str, n: int, *, seed: int, dec_file: Path | None = None, keep: Keep | None = None,
             background: bool = True, response: Response | None = None) -> Iterator[tuple[EventBatch, int]]:
    """Simulated events of a process, as (batch, events generated for it).

    The same seed gives the same events. See :func:`fei_lite.simulation.generator.generate`.
    """
    response = response or load_response()
    rng = np.random.default_rng([seed, 4])
    for batch in generate(process, n, seed=seed, dec_file=dec_file, batch_size=BATCH_SIZE, keep=keep):
        yield simulate_detector(batch, response, rng=rng, background=background), batch.n_generated


def keep_uncovered(share: float, channel_set: ChannelSet) -> Keep:
    """Keep every event that the channel set could tag, and a ``share`` of the others, with weights.

    An event can be tagged if one of its B's decays through a chain of the set
    inside the detector's acceptance. The others get the weight 1 / share, so
    that weighted distributions are those of generic events, while rare true
    tags come ``1 / share`` times as often as in a generic sample of this size.
    """
    if not 0.0 < share <= 1.0:
        raise SimulationError(f"share of uncovered events to keep: got {share}, expected above 0 and up to 1.")

    def keep(batch: GeneratedBatch, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        covered = complete_in_acceptance(channel_set, batch.generated)
        chosen = rng.uniform(size=batch.n_events) < share
        return covered | chosen, np.where(covered, 1.0, 1.0 / share)

    return keep


def simulate_file(
    process: str, output: Path, *, n: int, seed: int, dec_file: Path | None = None, uncovered: float = 1.0,
    channel_set: str = "hadronic", background: bool = True, force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Simulate ``n`` generated events into a file; returns how many were written.

    With ``uncovered`` < 1 only that share of the events that cannot be tagged
    goes through the detector (see :func:`keep_uncovered`). ``progress`` is called
    with (generated events done, n). Written whole or not at all.
    """
    keep = None if uncovered == 1.0 else keep_uncovered(uncovered, load_channel_set(channel_set))
    metadata: dict[str, str | int | float] = {
        "process": process, "n_generated": n, "seed": seed, "cross_section_nb": find_process(process).cross_section,
        "uncovered_share": uncovered, "background": int(background), "fei_lite": fei_lite.__version__,
        "decay_table": table_hash(), "dec_file": "" if dec_file is None else Path(dec_file).name,
    }
    with EventWriter(output, force=force, metadata=metadata) as writer:
        done = written = 0
        for batch, generated in simulate(process, n, seed=seed, dec_file=dec_file, keep=keep, background=background):
            writer.write(batch)
            written += batch.n_events
            done += generated
            if progress is not None:
                progress(done, n)
    return written
