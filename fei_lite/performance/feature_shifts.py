"""Do classifiers see the same in two samples of events? Every feature of every channel, and what comes out.

Meant for Belle II's own simulation (mDST files) against ours. A feature is
compared over all candidates of its channel before the classifier. Candidates
of one event share tracks and clusters, so that p-values come from exchanging
whole events (:func:`fei_lite.performance.two_sample.ks_events`). Hundreds of
features are tested: ``q_value`` is the p-value after Benjamini and Hochberg
(J. R. Stat. Soc. B 57 (1995) 289): of the features with q below 5 %, some 5 % differ
by chance. It holds for features that are correlated positively.

A small sample finds only large differences: about 1.4 / sqrt(events) in D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.errors import EventFileError
from fei_lite.events import open_events
from fei_lite.events.files import PathLike
from fei_lite.events.types import event_types
from fei_lite.fractions import CONFIDENCE
from fei_lite.performance.two_sample import Sample, ks_distance, ks_events
from fei_lite.reconstruction.engine import Hooks, ReconstructionOptions, reconstruct

Floats = NDArray[np.float64]

#: Exchanges of events, round by round, and the p-value below which the next, finer round is made.
ROUNDS = ((199, 0.05), (1999, 0.005), (19_999, 0.0))
#: What is compared of a particle beside its features.
NUMBER, PROBABILITY = "candidates per event", "SignalProbability"


@dataclass
class Collected:
    """Columns of candidates of many events, per channel or particle and name.

    ``columns[label][name]`` are values (n,); ``events[label]`` the event of each
    (n,), ``weight`` (n_events,) the events' weights. Particles stand under their name,
    channels under their identifier; ``particle_of`` is the particle of either and
    ``stage_of`` its stage. ``event_types`` counts processes by generator truth.
    """

    n_events: int = 0
    weight: list[float] = field(default_factory=list)
    columns: dict[str, dict[str, list[Floats]]] = field(default_factory=dict)
    events: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    particle_of: dict[str, str] = field(default_factory=dict)
    stage_of: dict[str, int] = field(default_factory=dict)
    event_types: dict[str, int] = field(default_factory=dict)

    def sample(self, label: str, name: str) -> Sample:
        """One column with its events, NaN included."""
        event = np.concatenate(self.events[label])
        return Sample(np.concatenate(self.columns[label][name]), np.array(self.weight)[event], event)

    def numbers(self, label: str) -> Sample:
        """Number of candidates in each event."""
        event = np.concatenate(self.events[label]) if label in self.events else np.empty(0, np.int64)
        counts = np.bincount(event, minlength=self.n_events).astype(np.float64)
        return Sample(counts, np.array(self.weight), np.arange(self.n_events))

    def add(self, label: str, particle: str, stage: int, event: NDArray[np.int64], columns: dict[str, Floats]) -> None:
        """Append the candidates of a batch; ``event`` counts in the batch."""
        self.particle_of[label], self.stage_of[label] = particle, stage
        self.events.setdefault(label, []).append(event + self.n_events)
        for name, values in columns.items():
            self.columns.setdefault(label, {}).setdefault(name, []).append(values)


def collect(paths: Sequence[PathLike], channels: ChannelSet, models: ModelSet, *, max_events: int | None = None,
            batch_size: int = 200, progress: Callable[[int], None] | None = None) -> Collected:
    """Features of every channel with a model, and SignalProbability of every particle's kept candidates.

    ``max_events`` of each file; ``progress`` is called with the events done.
    Raises :class:`EventFileError` for events without truth: their process would be unknown.
    """
    found = Collected()
    for path in paths:
        done = 0
        for batch in open_events([path], batch_size=batch_size):
            if max_events is not None and done + batch.n_events > max_events:
                batch = batch.slice(0, max_events - done)
            if batch.n_events == 0:
                break
            if batch.generated is None:
                raise EventFileError(f"{path}: no generated particles, so that the process of its events is unknown.")

            def observe(channel: Channel, table: CandidateTable, X: Floats) -> None:
                if models.has_model(channel.identifier):
                    columns = dict(zip(channel.features, X.T.copy(), strict=True))
                    found.add(channel.identifier, channel.particle, channels.particles[channel.particle].stage,
                              table.event_index, columns)

            result = reconstruct(batch, channels, models, options=ReconstructionOptions(speed=0),
                                 hooks=Hooks(observer=observe))
            for name, table in result.tables.items():
                found.add(name, name, channels.particles[name].stage, table.event_index,
                          {PROBABILITY: table["SignalProbability"]})
            types, counts = np.unique(event_types(batch), return_counts=True)
            for event_type, count in zip(types, counts, strict=True):
                found.event_types[str(event_type)] = found.event_types.get(str(event_type), 0) + int(count)
            found.weight.extend(batch.events["weight"].tolist())
            found.n_events += batch.n_events
            done += batch.n_events
            if progress is not None:
                progress(found.n_events)
    return found


@dataclass(frozen=True)
class Difference:
    """One feature in two samples, the first against the second (the reference).

    ``shift``: difference of the medians in units of the reference's spread (half
    of the central 68.3 %; standard deviation where that is 0); ``width``: ratio of
    the spreads; ``undefined``: fractions of NaN in both. ``distance``, ``p_value``
    and ``q_value``: see the head of the module. ``n_candidates``, ``n_events``: with a
    defined value, in both.
    """

    label: str
    particle: str
    stage: int
    feature: str
    n_candidates: tuple[int, int]
    n_events: tuple[int, int]
    shift: float
    width: float
    undefined: tuple[float, float]
    distance: float
    p_value: float
    q_value: float = float("nan")


@dataclass(frozen=True)
class ProbabilityRange:
    """SignalProbability of a particle's kept candidates in both samples: quantiles 1, 50 and 99 %, and the maximum."""

    particle: str
    n_candidates: tuple[int, int]
    first: tuple[float, float, float, float]
    second: tuple[float, float, float, float]


def compare_features(
    first: Collected, second: Collected, *, min_events: int = 15, max_stage: int | None = None,
    rounds: Sequence[tuple[int, float]] = ROUNDS, rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> list[Difference]:
    """Every feature with at least ``min_events`` events in both samples, final-state particles first.

    ``max_stage`` ends the features after that stage; numbers of candidates and
    SignalProbability are compared in all. ``rounds``: see :data:`ROUNDS`.
    ``progress``: (done, of all).
    """
    work = [(label, name) for label in first.columns for name in (*first.columns[label], NUMBER)
            if label in second.columns and (name in (NUMBER, PROBABILITY) or max_stage is None
                                            or first.stage_of[label] <= max_stage)]
    found = []
    for i, (label, name) in enumerate(work):
        samples = [c.numbers(label) if name == NUMBER else c.sample(label, name) for c in (first, second)]
        difference = _difference(samples[0], samples[1], rng, min_events, rounds)
        if difference is not None:
            found.append(replace(difference, label=label, particle=first.particle_of[label],
                                 stage=first.stage_of[label], feature=name))
        if progress is not None:
            progress(i + 1, len(work))
    q_values = adjusted([d.p_value for d in found])
    return sorted((replace(d, q_value=q) for d, q in zip(found, q_values, strict=True)), key=lambda d: d.stage)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values.

    >>> [round(q, 3) for q in adjusted([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]
    """
    from scipy.stats import false_discovery_control

    return [float(q) for q in false_discovery_control(p_values)] if len(p_values) else []


def _difference(first: Sample, second: Sample, rng: np.random.Generator, min_events: int,
                rounds: Sequence[tuple[int, float]]) -> Difference | None:
    undefined = tuple(float(np.average(np.isnan(s.values), weights=s.weight)) if s.weight.sum() > 0.0 else np.nan
                      for s in (first, second))
    a, b = (Sample.of(s.values, weight=s.weight, event=s.event) for s in (first, second))
    n_events = len(np.unique(a.event)), len(np.unique(b.event))
    if min(n_events) < min_events:
        return None
    p_value = 1.0
    if ks_distance(a, b) > 1e-12:  # else every exchange is as far
        for permutations, enough in rounds:
            _, p_value = ks_events(a, b, permutations=permutations, rng=rng)
            if p_value >= enough:
                break
    (middle_a, spread_a), (middle_b, spread_b) = location(a), location(b)
    scale = spread_b if spread_b > 0.0 else float(np.std(b.values))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = 0.0 if middle_a == middle_b else float(np.divide(middle_a - middle_b, scale))
        width = float(np.divide(spread_a, spread_b))
    return Difference("", "", 0, "", (len(a.values), len(b.values)), n_events, shift, width,
                      (undefined[0], undefined[1]), ks_distance(a, b), p_value)


def location(sample: Sample) -> tuple[float, float]:
    """Weighted median and half of the central 68.3 %.

    >>> location(Sample.of(np.linspace(0.0, 1.0, 10001)))[1].__round__(3)
    0.341
    """
    low, middle, high = quantiles(sample, (0.5 - CONFIDENCE / 2, 0.5, 0.5 + CONFIDENCE / 2))
    return middle, 0.5 * (high - low)


def quantiles(sample: Sample, fractions: Sequence[float]) -> list[float]:
    """Weighted quantiles: the smallest value with at least that fraction of the weight at or below it."""
    if not len(sample.values):
        return [float("nan")] * len(fractions)
    order = np.argsort(sample.values, kind="stable")
    below = np.cumsum(sample.weight[order]) / sample.weight.sum()
    at = np.searchsorted(below, np.asarray(fractions) * (1.0 - 1e-12)).clip(max=len(order) - 1)
    return [float(v) for v in sample.values[order][at]]


def probability_ranges(first: Collected, second: Collected) -> list[ProbabilityRange]:
    """The range of SignalProbability of every particle that both samples have."""
    rows = []
    for particle, columns in first.columns.items():
        if PROBABILITY not in columns or particle not in second.columns:
            continue
        samples = [c.sample(particle, PROBABILITY) for c in (first, second)]
        one, two = (quantiles(s, (0.01, 0.5, 0.99, 1.0)) for s in samples)
        rows.append(ProbabilityRange(particle, (len(samples[0].values), len(samples[1].values)),
                                     (one[0], one[1], one[2], one[3]), (two[0], two[1], two[2], two[3])))
    return rows
