"""What enriched events hold, counted channel by channel, with and without those that are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import load_channel_set
from fei_lite.errors import SimulationError
from fei_lite.generator.enrichment import load_enrichment
from fei_lite.generator.generate import generate
from fei_lite.production.enrichment_rates.counting import Channels
from fei_lite.production.simulate import stratified


@dataclass(frozen=True)
class EnrichedCounts:
    """Complete decays per million events and channel: enriched, of events kept, and with weights.

    ``channels`` are their texts, ``per_million`` (3, channels); ``weights`` those of all events and of
    the events kept.
    """

    channels: tuple[str, ...]
    per_million: NDArray[np.float64]
    weights: tuple[NDArray[np.float64], NDArray[np.float64]]


def count_enriched(process: str, n: int, *, seed: int, channel_set: str | Path, enrichment: str,
                   keep_uncovered: float) -> EnrichedCounts:
    """Generate ``n`` enriched events and count; see ``fei-lite simulate --enrich --keep-uncovered``."""
    channels, data = Channels(load_channel_set(channel_set)), load_enrichment(enrichment)
    if not 0.0 < keep_uncovered <= 1.0:
        raise SimulationError(f"share of uncovered events to keep: got {keep_uncovered}, expected above 0 and up to 1.")
    keep = stratified(keep_uncovered, channel_set, data)
    counts = np.zeros((3, len(channels.channels)))
    all_weights, kept_weights = [], []
    for batch in generate(process, n, seed=seed, enrichment=data):
        event, weight = batch.generated.event_index, batch.events["weight"]
        kept, factor = keep(batch, np.random.default_rng([seed, int(batch.events["event"][0])]))
        rows, channel, _ = channels.decays(batch)
        for row, values in enumerate((np.ones(len(weight)), kept, weight)):
            np.add.at(counts[row], channel, values[event[rows]])
        all_weights.append(weight)
        kept_weights.append((weight * factor)[kept])
    return EnrichedCounts(tuple(c.text for c in channels.channels), counts * 1e6 / n,
                          (np.concatenate(all_weights), np.concatenate(kept_weights)))
