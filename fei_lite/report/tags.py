"""The best Btags of a sample: efficiency against purity, gain over a baseline, calibration, and the shape of Mbc.

Definitions as in :mod:`fei_lite.performance.working_points`, except that the tag-side
efficiency of a B type refers to the events of that B type (correct B+ tags over
B+B- events), and the purity to all events of the sample, whatever they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.quality import reliability
from fei_lite.performance.working_points import B_TYPES, CONFIDENCE, WORKING_POINTS, Measured, fraction
from fei_lite.report.observed import Observed

Floats = NDArray[np.float64]

#: Purities at which sets are compared.
PURITIES = (0.1, 0.5)
#: Slices of SignalProbability in which the false tags' Mbc is looked at.
SLICES = (0.001, 0.01, 0.1, 0.3, 1.0)
#: Bins of promised probability (upper edges of the best Btags' calibration).
PROMISED = (0.0, 0.001, 0.01, 0.1, 0.3, 0.6, 0.9, 1.0)
#: Mbc (GeV) above which a tag counts as in the peak.
PEAK = 5.27

_TOYS = 400


@dataclass(frozen=True)
class Events:
    """All events of a sample: type and weight, (n_events,)."""

    types: NDArray[np.str_]
    weight: Floats

    def n_effective(self, rows: NDArray[np.bool_]) -> float:
        """Effective number of the chosen events."""
        return _effective(self.weight[rows])


def all_events(observed: Observed) -> Events:
    """Types and weights of all events that were read."""
    return Events(np.concatenate(observed.event_types), np.concatenate(observed.event_weights))


@dataclass(frozen=True)
class TagsOfBType:
    """The best Btags of one B type (B+ or B0), the most probable first."""

    probability: Floats
    weight: Floats
    correct: NDArray[np.bool_]
    entry: NDArray[np.int64]
    total: float
    n_total: float

    @property
    def curve(self) -> tuple[Floats, Floats, Floats]:
        """Threshold, purity and tag-side efficiency after each tag, equal probabilities taken together."""
        right, tagged = np.cumsum(self.weight * self.correct), np.cumsum(self.weight)
        if not len(tagged) or not self.total > 0.0:  # no such tags, or no events that could have one
            return np.zeros(0), np.zeros(0), np.zeros(0)
        last = np.flatnonzero(np.append(np.diff(self.probability) < 0.0, True))
        return self.probability[last], right[last] / tagged[last], right[last] / self.total

    def above(self, threshold: float, *, inclusive: bool = False) -> dict[str, Any]:
        """Tags, correct ones, efficiency and purity of the tags above a threshold."""
        chosen = self.probability >= threshold if inclusive else self.probability > threshold
        weight, right = self.weight[chosen], chosen & self.correct
        good = float(self.weight[right].sum())
        return {"min_signal_probability": threshold, "n_tagged": int(chosen.sum()), "n_correct": int(right.sum()),
                "tag_side_efficiency": fraction(good, self.total, n_effective=self.n_total).to_json(),
                "purity": fraction(good, float(weight.sum()), n_effective=_effective(weight)).to_json()}

    def at_purity(self, purity: float) -> dict[str, Any] | None:
        """The working point with the most correct tags whose purity is not below; None if there is none."""
        threshold, found, _ = self.curve
        good = np.flatnonzero(found >= purity)
        return self.above(float(threshold[good[-1]]), inclusive=True) if len(good) else None


def tags_of_b_type(tags: Mapping[str, NDArray[Any]], b_type: str, events: Events) -> TagsOfBType:
    """The best Btags of a B type from their columns (``SignalProbability``, ``pdg``, ``isSignal``, ...)."""
    code, event_type = B_TYPES[b_type]
    rows = np.flatnonzero(np.abs(tags["pdg"]) == code)
    rows = rows[np.argsort(-tags["SignalProbability"][rows], kind="stable")]
    of_type = events.types == event_type
    return TagsOfBType(tags["SignalProbability"][rows], tags["weight"][rows].astype(np.float64),
                     tags["isSignal"][rows] == 1, tags["entry"][rows], float(events.weight[of_type].sum()),
                     events.n_effective(of_type))


def _effective(weight: Floats) -> float:
    squares = float(np.sum(weight**2))
    return float(weight.sum()) ** 2 / squares if squares > 0.0 else 0.0


def gain(ours: TagsOfBType, theirs: TagsOfBType, purity: float, *, n_events: int,
         rng: np.random.Generator) -> Measured:
    """Ratio of the correct tags of two sets at a purity, on the same events.

    The interval (68.3 %) is that of a bootstrap over the events (Poisson
    weights, the same ones for both sets): their tags are not independent.
    NaN where one of the sets does not reach the purity.
    """
    def correct(tag: TagsOfBType, times: Floats) -> float:
        weight = tag.weight * times[tag.entry]
        right, tagged = np.cumsum(weight * tag.correct), np.cumsum(weight)
        good = np.flatnonzero((right >= purity * tagged) & (tagged > 0.0))
        return float(right[good[-1]]) if len(good) else float("nan")

    def ratio(times: Floats) -> float:
        below = correct(theirs, times)
        return correct(ours, times) / below if below > 0.0 else float("nan")

    value = ratio(np.ones(n_events))
    toys = np.array([ratio(rng.poisson(1.0, n_events).astype(np.float64)) for _ in range(_TOYS)])
    toys = toys[np.isfinite(toys)]
    if not np.isfinite(value) or len(toys) < 0.9 * _TOYS:
        return Measured(value, float("nan"), float("nan"))
    lower, upper = np.quantile(toys, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Measured(value, float(lower), float(upper))


def calibration(tag: TagsOfBType) -> dict[str, Any]:
    """What tags promise and how often they are right: bins, and the expected calibration error with its noise."""
    rows = []
    for low, high in pairwise(PROMISED):
        inside = (tag.probability > low) & (tag.probability <= high)
        weight = tag.weight[inside]
        if not inside.any():
            continue
        rows.append({
            "low": low, "high": high, "n": int(inside.sum()),
            "promised": float(np.average(tag.probability[inside], weights=weight)),
            "right": fraction(float(weight[tag.correct[inside]].sum()), float(weight.sum()),
                           n_effective=_effective(weight)).to_json()})
    bins = reliability(tag.correct, tag.probability, weight=tag.weight, n_bins=10)
    result: dict[str, Any] = {"bins": rows, "error": None, "expected_error": None}
    if len(bins.weight):
        result["error"] = float(np.average(np.abs(bins.observed - bins.predicted), weights=bins.weight))
        result["expected_error"] = float(np.average(np.sqrt(2.0 / np.pi) * bins.uncertainty, weights=bins.weight))
    return result


def sculpting(tags: Mapping[str, NDArray[Any]], b_type: str) -> list[dict[str, Any]]:
    """Share of false tags in the peak region of Mbc, per slice of SignalProbability.

    Without sculpting it is the same in all slices, but for tags that miss or
    exchange a soft particle: these peak truly.
    """
    code, _ = B_TYPES[b_type]
    false = (np.abs(tags["pdg"]) == code) & (tags["isSignal"] != 1) & np.isfinite(tags["Mbc"])
    rows = []
    for low, high in pairwise(SLICES):
        inside = false & (tags["SignalProbability"] > low) & (tags["SignalProbability"] <= high)
        weight = tags["weight"][inside].astype(np.float64)
        peak = tags["Mbc"][inside] > PEAK
        rows.append({"low": low, "high": high, "n": int(inside.sum()),
                     "in_peak": fraction(float(weight[peak].sum()), float(weight.sum()),
                                      n_effective=_effective(weight)).to_json()})
    return rows


def measure_tags(tags: Mapping[str, NDArray[Any]], events: Events, *,
                 points: Sequence[float] = WORKING_POINTS) -> dict[str, Any]:
    """All numbers of one set's best Btags, by B type, as plain data."""
    result = {}
    for b_type in B_TYPES:
        tag = tags_of_b_type(tags, b_type, events)
        result[b_type] = {
            "working_points": [tag.above(p) for p in points], "all": tag.above(0.0, inclusive=True),
            "at_purity": {str(p): tag.at_purity(p) for p in PURITIES}, "calibration": calibration(tag),
            "sculpting": sculpting(tags, b_type)}
    return result
