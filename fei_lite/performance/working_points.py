"""The numbers of a tagger, from the best Btags of a sample, at cuts on SignalProbability.

Of one B type (B+ or B0) and one working point, with N the events of the sample, T those whose best Btag is
of this B type and has a SignalProbability above the working point, and C those of T whose best Btag is correct
(``isSignal``):

====================  =======
tagging efficiency    T / N
tag-side efficiency   C / N
purity                C / T
====================  =======

so that purity x tagging efficiency = tag-side efficiency (Keck et al.,
arXiv:1807.08680). All are sums of event weights. The best Btag is chosen once per
event, over the B+ and B0 lists together. Events of the other B type and continuum
count in N and in T. The *tag-side efficiency of the B type's own events* is
C / N with N the B+B- events for B+, the B0B0bar events for B0, where generator truth
knows them; in equal numbers of both it is twice as large. Whoever quotes a
tag-side efficiency says which N it refers to.

Intervals hold 68.3 %, see :mod:`fei_lite.fractions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fei_lite.errors import FeiLiteError
from fei_lite.fractions import Measured, effective_size, fraction
from fei_lite.performance.best_tags import B_TYPES, BestTags
from fei_lite.performance.mbc_peak import MbcPeak, mbc_peak
from fei_lite.plain import as_plain

#: Working points on SignalProbability in use for the FEI, and a pure one.
WORKING_POINTS = (0.001, 0.01, 0.1)


@dataclass(frozen=True)
class WorkingPoint:
    """Best Btags of one B type with SignalProbability above a cut; what needs truth is None without it.

    ``of_own_events``: the tag-side efficiency of the B type's own events.
    """

    min_signal_probability: float
    n_tagged: int
    n_correct: int | None
    tagging_efficiency: Measured
    tag_side_efficiency: Measured | None
    purity: Measured | None
    of_own_events: Measured | None

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the efficiency of its own events."""
        plain: dict[str, Any] = as_plain(self)
        del plain["of_own_events"]
        if self.n_correct is None:
            del plain["n_correct"]
        return plain


@dataclass(frozen=True)
class Evaluation:
    """Working points by B type, of ``n_events`` events, ``n_tagged`` of which have a Btag.

    ``own_events``: number of events of the type of each B type, where truth knows it.
    """

    n_events: int
    n_tagged: int
    weighted: bool
    has_truth: bool
    working_points: dict[str, list[WorkingPoint]]
    own_events: dict[str, int]
    mbc_of_correct_tags: MbcPeak | None

    def to_json(self) -> dict[str, Any]:
        """As plain data: the keys are those of ``fei-lite evaluate --format json``, undefined is None."""
        result: dict[str, Any] = {name: getattr(self, name) for name in (
            "n_events", "n_tagged", "weighted", "has_truth")}
        for b_type, points in self.working_points.items():
            block: dict[str, Any] = {"n_events": self.n_events, "working_points": [p.to_json() for p in points]}
            if b_type in self.own_events:
                block["per_event_type"] = {
                    "event_type": B_TYPES[b_type][1], "n_events": self.own_events[b_type],
                    "tag_side_efficiency": [as_plain(p.of_own_events) for p in points]}
            result[b_type] = block
        return result | {"mbc_of_correct_tags": as_plain(self.mbc_of_correct_tags)}


def evaluate_tags(tags: BestTags, *, working_points: Sequence[float] = WORKING_POINTS) -> Evaluation:
    """Efficiencies and purities of best Btags at working points.

    Raises :class:`FeiLiteError` for a working point outside 0 to 1.
    """
    for point in working_points:
        if not 0.0 <= point < 1.0:
            raise FeiLiteError(f"working point {point}: expected a SignalProbability from 0 to below 1.")
    events = tags.events
    # all weights are 1 if and only if both sums are the number of events
    weighted = not events.n == events.weight == events.squares
    own_events = {b_type: sums.n for b_type, sums in tags.events_of_b_type.items()} if tags.has_truth else {}
    return Evaluation(
        events.n, len(tags), weighted, tags.has_truth,
        {b_type: [_working_point(tags, b_type, point) for point in working_points] for b_type in B_TYPES}, own_events,
        mbc_peak(tags.mbc[tags.correct]) if tags.has_truth else None)


def _working_point(tags: BestTags, b_type: str, threshold: float) -> WorkingPoint:
    tagged = (tags.b_type == B_TYPES[b_type][0]) & (tags.probability > threshold)
    n, events = float(tags.weight[tagged].sum()), tags.events
    numbers = threshold, int(np.count_nonzero(tagged))
    if not tags.has_truth:
        return WorkingPoint(*numbers, None, events.fraction(n), None, None, None)
    correct = tagged & tags.correct
    right, own = float(tags.weight[correct].sum()), tags.events_of_b_type.get(b_type)
    return WorkingPoint(
        *numbers, int(np.count_nonzero(correct)), events.fraction(n), events.fraction(right),
        fraction(right, n, n_effective=effective_size(tags.weight[tagged])),
        None if own is None else own.fraction(right))
