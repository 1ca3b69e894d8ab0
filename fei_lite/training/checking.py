"""Every classifier of a model set on events it has not seen: is its output a probability?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel
from fei_lite.classifiers.tagger import Tagger, tagger_of_run
from fei_lite.errors import EventFileError
from fei_lite.events.ranges import EntryRange, entry_ranges, read_range
from fei_lite.parallel import Workers, map_in_context
from fei_lite.reconstruction.engine import Hooks, ReconstructionOptions, reconstruct
from fei_lite.training.driver import Report, thin

Floats = NDArray[np.float64]

#: Candidates of a class, channel and range of events that are looked at; the others by weight.
_SHARE = 3000


def classified_candidates(
    samples: Sequence[Path], models: str, *, batch_size: int = 1000, workers: Workers = 1, seed: int = 1,
    report: Report | None = None,
) -> dict[str, tuple[NDArray[np.bool_], Floats, Floats]]:
    """Truth (n,), signal probability (n,) and weight (n,) of candidates of every channel with a model.

    All stages, before the cut on the probability; large samples are thinned,
    with weights. ``samples`` are event files with truth that were not trained
    on. Raises :class:`EventFileError`.
    """
    ranges = entry_ranges(samples, batch_size=batch_size)
    context = tagger_of_run(models)
    work = partial(_of_range, seed=seed)
    parts: dict[str, list[tuple[NDArray[np.bool_], Floats, Floats]]] = {}
    done, total = 0, sum(r.stop - r.start for r in ranges)
    for entries, found in zip(ranges, map_in_context(work, ranges, context, workers=workers), strict=True):
        for identifier, rows in found.items():
            parts.setdefault(identifier, []).extend(rows)
        done += entries.stop - entries.start
        if report is not None:
            report("reconstruct", done, total)
    return {identifier: (np.concatenate([y for y, _, _ in rows]), np.concatenate([p for _, p, _ in rows]),
                         np.concatenate([w for _, _, w in rows])) for identifier, rows in parts.items()}


def _of_range(entries: EntryRange, sets: Tagger, *,
              seed: int) -> dict[str, list[tuple[NDArray[np.bool_], Floats, Floats]]]:
    """The classified candidates of a range of events."""
    channels, loaded = sets
    found: dict[str, list[tuple[NDArray[np.bool_], Floats, Floats]]] = {}
    for batch in read_range(entries):
        if batch.generated is None:
            raise EventFileError(f"{entries.path}: no list 'generated': reliability needs events with truth.")
        event_weight = batch.events["weight"].astype(np.float64)
        rng = np.random.default_rng([seed, entries.first_entry])

        def observe(channel: Channel, table: CandidateTable, X: Floats, *,
                    event_weight: Floats = event_weight, rng: np.random.Generator = rng) -> None:
            if not loaded.has_model(channel.identifier):
                return
            rows, weight = thin(table["isSignal"], event_weight[table.event_index], _SHARE, rng)
            found.setdefault(channel.identifier, []).append((
                table["isSignal"][rows] == 1, loaded.predict(channel.identifier, X[rows]), weight))

        reconstruct(batch, channels, loaded, options=ReconstructionOptions(with_truth=True, speed=0),
                    hooks=Hooks(observer=observe))
    return found
