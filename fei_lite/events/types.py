"""What collided into an event, from generator truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.events.batch import EventBatch


def event_types(batch: EventBatch) -> NDArray[np.str_]:
    """``"B+B-"``, ``"B0B0bar"`` or ``"other"`` from generator truth, else ``"unknown"``."""
    if batch.generated is None:
        return np.full(batch.n_events, "unknown")
    code = np.abs(batch.generated["pdg"])
    event = batch.generated.event_index
    charged = np.bincount(event[code == 521], minlength=batch.n_events) > 0
    neutral = np.bincount(event[code == 511], minlength=batch.n_events) > 0
    return np.where(charged, "B+B-", np.where(neutral, "B0B0bar", "other"))
