"""Candidates of a batch of events: one pair of Btag and signal side per event, with the columns of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.pairs import (
    SIGNAL,
    Columns,
    Pairs,
    all_pairs,
    best_of_each_event,
    has_any,
    side_names,
    with_btag,
    with_signal_side,
)
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.recipes.columns import passes
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.some_events import of_events as tags_of


@dataclass
class Counts:
    """Events before any candidate is chosen: sample -> step -> [events, sum of weights]; sums over batches add up."""

    steps: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, name: str, weight: NDArray[np.float64], sample: NDArray[np.int64], samples: list[str]) -> None:
        """Count events of the given weights; ``sample`` is the position of each one's in ``samples``."""
        for k, of in enumerate(samples):
            chosen = weight[sample == k]
            row = self.steps.setdefault(of, {}).setdefault(name, [0, 0.0])
            row[0] += len(chosen)
            row[1] += float(chosen.sum())

    def merge(self, other: dict[str, dict[str, list[float]]]) -> None:
        """Add the counts of another part."""
        for sample, steps in other.items():
            for name, (n, weight) in steps.items():
                row = self.steps.setdefault(sample, {}).setdefault(name, [0, 0.0])
                row[0] += n
                row[1] += weight


def sample_of_events(analysis: Analysis, process: str, columns: Columns, n: int) -> NDArray[np.int64]:
    """Position (n,) in ``recipe.samples_of(process)`` of the sample that each event goes to.

    Raises :class:`AnalysisError` if an event goes to none or to two of them.
    """
    lines = analysis.recipe.samples_of(process)
    inside = np.array([np.ones(n, dtype=bool) if line.where is None else passes(line.where, columns, line.name)
                       for line in lines])
    wrong = int(np.count_nonzero(inside.sum(axis=0) != 1))
    if wrong:
        raise AnalysisError(f"process '{process}': {wrong} of {n} events belong to none or to several of the samples "
                            f"{', '.join(line.name for line in lines)}. Their conditions (where) have to part them.")
    return np.asarray(np.argmax(inside, axis=0), dtype=np.int64) if n else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Look:
    """A batch before the Btag: what an analysis keeps of each event, and which events (rows) have its signal side."""

    of_events: Columns
    weight: NDArray[np.float64]
    sample: NDArray[np.int64]
    with_side: NDArray[np.int64]
    counts: Counts


def first_look(batch: EventBatch, analysis: Analysis, *, process: str) -> Look:
    """Quantities of every event of a batch, and which have a signal side. Raises :class:`AnalysisError`."""
    physics, recipe = analysis.physics, analysis.recipe
    of_events: Columns = {} if physics.of_events is None else physics.of_events(batch, process)
    if tuple(of_events) != physics.event_columns:
        raise AnalysisError(f"{analysis.folder / 'physics.py'}: of_events gave columns {', '.join(of_events)}; "
                            f"event_columns says {', '.join(physics.event_columns)}.")
    weight = batch.events["weight"].astype(np.float64)
    if physics.event_weights is not None:
        weight = weight * physics.event_weights(of_events, process, str(batch.source or "batch"))
    sample = sample_of_events(analysis, process, of_events, batch.n_events)
    chosen = with_signal_side(batch, analysis.signal_set, recipe.signal_side.pair)
    samples, counts = [line.name for line in recipe.samples_of(process)], Counts()
    counts.add("events read", weight, sample, samples)
    counts.add("signal side", weight[chosen], sample[chosen], samples)
    return Look(of_events, weight, sample, chosen, counts)


def tagged_candidates(tags: Reconstruction, look: Look, rows: NDArray[np.int64],
                      analysis: Analysis, *, process: str) -> tuple[Columns, Counts, NDArray[np.bool_]]:
    """Candidates of a tagged batch (one entry per event that has one, or several with ``each``), the counts, the events
    that have a Btag.

    ``tags`` are of the events ``rows`` of the batch that ``look`` is of; of those with a signal side
    all that were chosen must be there, others may. Column ``weight`` includes the factor of the analysis's physics.
    """
    physics, recipe, counts = analysis.physics, analysis.recipe, look.counts
    samples, pair = [line.name for line in recipe.samples_of(process)], recipe.signal_side.pair
    tagged = with_btag(tags, analysis.signal_set, pair)
    chosen = np.flatnonzero(tagged & np.isin(rows, look.with_side))
    tags, rows = tags_of(tags, chosen), rows[chosen]
    batch, weight, sample = tags.batch, look.weight[rows], look.sample[rows]
    of_events = {name: values[rows] for name, values in look.of_events.items()}
    every = all_pairs(batch, tags, analysis.signal_set, pair, masks=analysis.masks, own=physics.variables)
    counts.add("Btag", weight, sample, samples)
    both = has_any(every.result, (pair,))
    counts.add("Btag and signal side", weight[both], sample[both], samples)
    each = recipe.signal_side.each
    pairs = best_of_each_event(every, [(every.value(rule.by), rule.keep == "highest") for rule in
                                       recipe.signal_side.best], each=None if each is None else every.value(each))
    columns: Columns = {name: batch.events[name][pairs.event] for name in ("experiment", "run", "event")}
    columns |= {"weight": weight[pairs.event]} | {name: values[pairs.event] for name, values in of_events.items()}
    columns |= _evaluated(recipe.columns(physics.event_columns), pairs)
    if "mc" in every.result.tables[side_names(analysis.signal_set, pair, SIGNAL)[0]].columns:
        columns |= _evaluated(recipe.truth, pairs)
    return columns, counts, tagged


def candidates(batch: EventBatch, analysis: Analysis, tag: Callable[[EventBatch], Reconstruction], *,
               process: str) -> tuple[Columns, Counts]:
    """Candidates as columns (one entry per event that has one, or several with ``each``), and the counts before.

    ``tag`` reconstructs the Btags of a batch; it is asked for events with a signal side only. Column ``weight``
    includes the factor of the analysis's physics. Raises :class:`AnalysisError`.
    """
    look = first_look(batch, analysis, process=process)
    batch = batch.select(look.with_side)
    columns, counts, _ = tagged_candidates(tag(batch), look, look.with_side, analysis, process=process)
    return columns, counts


def _evaluated(expressions: Mapping[str, str], pairs: Pairs) -> Columns:
    """Column -> values of each pair; flags and counts stay whole numbers."""
    return {name: np.array(pairs.value(text)) for name, text in expressions.items()}
