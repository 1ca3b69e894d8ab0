"""Best Btags drawn from known distributions: what they should give is known in closed form."""

from __future__ import annotations

import numpy as np

from fei_lite.fractions import Sums
from fei_lite.performance.best_tags import BestTags

METADATA = {"n_events": 0, "sum_of_weights": 0.0, "event_types": {}, "models": "toy", "channel_set": "hadronic"}


def toy_tags(entry, probability, correct, *, n_events, b_type=521, weight=None, mbc=None, ancestor=None, mode=None,
             n_listed=0):
    """Best Btags of one B type in ``n_events`` events of that type; ``n_listed`` with a correct candidate."""
    n = len(entry)
    weight = np.ones(n) if weight is None else weight
    events = Sums(n_events, float(n_events), float(n_events))
    return BestTags(
        entry=np.asarray(entry, dtype=np.int64), event=np.asarray(entry, dtype=np.int64) + 1,
        b_type=np.full(n, b_type, dtype=np.int32), mode=np.zeros(n, np.int32) if mode is None else mode,
        probability=np.asarray(probability, dtype=np.float64), mbc=np.full(n, 5.28) if mbc is None else mbc,
        delta_e=np.zeros(n), weight=weight, correct=np.asarray(correct, dtype=bool),
        ancestor=np.full(n, 300553, np.int32) if ancestor is None else ancestor, has_truth=True, events=events,
        events_of_b_type={"B+" if b_type == 521 else "B0": events},
        listed={"B+" if b_type == 521 else "B0": Sums(n_listed, float(n_listed), float(n_listed))},
        metadata={**METADATA, "n_events": n_events, "sum_of_weights": float(n_events)})
