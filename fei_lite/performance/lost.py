"""Where right tags are lost: the truth followed from the generated B to the chosen Btag.

An event of B+B- or B0 anti-B0 counts as long as one of its two B's can still be tagged: as long as the particles
that have a true candidate after a step make a chain of the channel set. It is lost in the step after which no chain is
left, and to the particles whose true candidates are missing from then on. So the numbers add up: what a step loses is
what stands between it and the one before, and what particles and channels lose in it sums to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.channels.covered_decays import covered_particles
from fei_lite.classifiers.tagger import Tagger, tagger_of_run
from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch
from fei_lite.events.ranges import BATCH_SIZE, EntryRange, entry_ranges, read_range
from fei_lite.events.types import event_types
from fei_lite.fractions import CONFIDENCE, UNDEFINED, Measured, Sums
from fei_lite.parallel import map_in_context
from fei_lite.particles import pdg_code
from fei_lite.performance.best_tags import B_TYPES
from fei_lite.performance.truth_steps import ancestors, true_particles
from fei_lite.plain import as_plain
from fei_lite.reconstruction.classifiers import Classifiers
from fei_lite.tagging.best import Btags, select_tags

Mask = NDArray[np.bool_]
#: (stage, step) of the decays allowed by the channel set, and of the choice of one Btag.
COVERED, CHOSEN = ("generated", "covered by a chain"), ("choice", "the best Btag is right")
#: What a right candidate loses to if it is in the list.
OTHERS = ("a false one is best", "a false one of the other list is best")


@dataclass
class LostStep:
    """Events left after a step, and those that it loses by particle and by channel.

    An event that loses several particles at once counts for each with an equal part of its weight.
    """

    left: Sums = field(default_factory=Sums)
    particles: dict[str, float] = field(default_factory=dict)
    channels: dict[str, float] = field(default_factory=dict)

    def merge(self, other: LostStep) -> None:
        """Add the sums of another part."""
        self.left = self.left + other.left
        for mine, theirs in ((self.particles, other.particles), (self.channels, other.channels)):
            for name, weight in theirs.items():
                mine[name] = mine.get(name, 0.0) + weight


@dataclass(frozen=True)
class StepFractions:
    """One step: the fractions of all events left after it and lost in it, the latter by particle and by channel."""

    stage: str
    step: str
    left: Measured
    lost: Measured
    particles: Mapping[str, float]
    channels: Mapping[str, float]


@dataclass
class LostOfBType:
    """The truth cut-flow of one B type: all events of B B-bar, and the steps by (stage, step).

    ``chosen_beside``: events whose best Btag is right although their decay is not counted as covered to the end
    (such as a candidate made of particles other than those of the first chain found).
    """

    events: Sums = field(default_factory=Sums)
    steps: dict[tuple[str, str], LostStep] = field(default_factory=dict)
    chosen_beside: Sums = field(default_factory=Sums)

    def merge(self, other: LostOfBType) -> None:
        """Add the sums of another part."""
        self.events, self.chosen_beside = self.events + other.events, self.chosen_beside + other.chosen_beside
        for key, step in other.steps.items():
            self.steps.setdefault(key, LostStep()).merge(step)

    def fractions(self) -> list[StepFractions]:
        """The steps in their order, as fractions of all events."""
        rows: list[StepFractions] = []
        before = self.events
        for (stage, name), step in self.steps.items():
            lost = Sums(before.n - step.left.n, before.weight - step.left.weight, before.squares - step.left.squares)
            lost = lost if rows else Sums()
            rows.append(StepFractions(stage, name, _of_all(step.left, self.events), _of_all(lost, self.events),
                                      *(_sorted(of, 1.0 / self.events.weight if self.events.weight else np.nan)
                                        for of in (step.particles, step.channels))))
            before = step.left
        return rows

    def to_json(self) -> dict[str, Any]:
        """As plain data, with fractions of all events."""
        return {"events": self.events.n, "sum_of_weights": self.events.weight,
                "chosen_beside": as_plain(_of_all(self.chosen_beside, self.events)),
                "steps": as_plain(self.fractions())}


def _of_all(some: Sums, events: Sums) -> Measured:
    """Some events as a fraction of all, with a Garwood interval of their effective number (68.3 %).

    Not that of a fraction: events kept for what they are have small weights, the rest large ones, and what the
    large weights fluctuate says nothing of those kept. For small fractions without weights both are the same.
    """
    from scipy.stats import chi2

    if not events.weight > 0.0:
        return UNDEFINED
    n, tail = some.n_effective, 0.5 * (1.0 - CONFIDENCE)
    value = some.weight / events.weight
    if n <= 0.0:
        return Measured(0.0, 0.0, float(chi2.ppf(1.0 - tail, 2.0) / 2.0 / events.n_effective))
    lower, upper = chi2.ppf(tail, 2.0 * n) / (2.0 * n), chi2.ppf(1.0 - tail, 2.0 * n + 2.0) / (2.0 * n)
    return Measured(value, value * float(lower), value * float(upper))


def _sorted(weights: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: factor * weight for name, weight in sorted(weights.items(), key=lambda item: -item[1])}


def find_lost(paths: Sequence[Path], models: str, *, channel_set: str | None = None, workers: int = 1,
              batch_size: int = BATCH_SIZE, max_events: int | None = None,
              progress: Callable[[int], None] | None = None) -> dict[str, LostOfBType]:
    """The truth cut-flow of a model set in event files with truth, for ``"B+"`` and ``"B0"``.

    The events are reconstructed anew. ``progress`` is called with the number of events done. Raises
    :class:`EventFileError` for files without truth.
    """
    found: dict[str, LostOfBType] = {}
    ranges, done = entry_ranges(paths, batch_size=batch_size, max_events=max_events), 0
    for entries, part in zip(ranges, map_in_context(_of_range, ranges, tagger_of_run(models, channel_set),
                                                    workers=workers), strict=True):
        merge_lost(found, part)
        done += entries.stop - entries.start
        if progress is not None:
            progress(done)
    return {b_type: found[b_type] for b_type in B_TYPES if b_type in found}


def merge_lost(found: dict[str, LostOfBType], part: Mapping[str, LostOfBType]) -> None:
    """Add the truth cut-flow of a part of the events."""
    for b_type, counts in part.items():
        found.setdefault(b_type, LostOfBType()).merge(counts)


def _of_range(entries: EntryRange, sets: Tagger) -> dict[str, LostOfBType]:
    found: dict[str, LostOfBType] = {}
    for batch in read_range(entries):
        merge_lost(found, lost_in_batch(batch, *sets))
    return found


def lost_in_batch(batch: EventBatch, channel_set: ChannelSet, models: Classifiers) -> dict[str, LostOfBType]:
    """The truth cut-flow of one batch of events, by B type."""
    if batch.generated is None:
        raise EventFileError(f"{batch.source or 'batch'}: no list 'generated': where true candidates are lost is known "
                             "from truth alone.")
    result, steps = true_particles(batch, channel_set, models)
    follow = _Follow(batch, channel_set)
    follow.step(COVERED, np.ones(len(batch.generated), dtype=bool))
    for stage, name, usable in steps:
        follow.step((stage, name), usable)
    follow.choose(select_tags(result))
    return follow.found


class _Follow:
    """The B's of a batch, step by step."""

    def __init__(self, batch: EventBatch, channel_set: ChannelSet) -> None:
        assert batch.generated is not None
        self.generated, self.channel_set, self.n_events = batch.generated, channel_set, batch.n_events
        self.weight = batch.events["weight"].astype(np.float64)
        self.code = np.abs(batch.generated["pdg"])
        self.types = event_types(batch)
        self.tag_codes = [abs(pdg_code(name)) for name in channel_set.tags]
        self.b_of = ancestors(batch, self.tag_codes)
        self.usable = np.ones(len(self.code), dtype=bool)
        self.modes = np.full(len(self.code), -1, dtype=np.int16)
        self.alive = self.is_b = np.isin(self.code, self.tag_codes)  # rows of B's that can still be tagged
        self.found = {b_type: LostOfBType(Sums.of(self.weight[self.types == event_type]))
                      for b_type, (_, event_type) in B_TYPES.items() if (self.types == event_type).any()}

    def events(self, rows: Mask) -> Mask:
        """Events with one of the generated particles ``rows``."""
        return np.asarray(np.bincount(self.generated.event_index[rows], minlength=self.n_events) > 0)

    def step(self, key: tuple[str, str], usable: Mask) -> None:
        """Ask which B's are left with the particles that are usable after a step."""
        if key != COVERED and np.array_equal(usable, self.usable):
            modes = self.modes
        else:
            modes = covered_particles(self.channel_set, self.generated, usable=usable)
        alive = self.alive & (modes >= 0)
        before, after = self.events(self.alive), self.events(alive)
        died = self.alive & ~alive & (before & ~after)[self.generated.event_index]
        missing = np.flatnonzero(self.usable & ~usable & (self.modes >= 0) & died[self.b_of] & (self.b_of >= 0))
        self._note(key, after, missing)
        self.usable, self.modes, self.alive = usable, modes, alive

    def _note(self, key: tuple[str, str], left: Mask, missing: NDArray[np.intp]) -> None:
        """Count what is left, and divide each lost event among the particles that it misses."""
        event = self.generated.event_index[missing]
        part = self.weight[event] / np.bincount(event, minlength=self.n_events)[event]
        for b_type, found in self.found.items():
            of_type = self.types == B_TYPES[b_type][1]
            step = LostStep(Sums.of(self.weight[left & of_type]))
            for row, weight in zip(missing[of_type[event]], part[of_type[event]], strict=True):
                particle, channel = self._names(int(row))
                step.particles[particle] = step.particles.get(particle, 0.0) + float(weight)
                step.channels[channel] = step.channels.get(channel, 0.0) + float(weight)
            found.steps[key] = step

    def _names(self, row: int) -> tuple[str, str]:
        """Name of a generated particle in the set, and the channel by which it decays."""
        config = next(config for config in self.channel_set.particles.values()
                      if abs(config.pdg) == self.code[row])
        channel = next((c for c in config.channels if c.index == self.modes[row] and c.leaf is None), None)
        return config.name, config.name if channel is None else channel.text

    def choose(self, tags: Btags) -> None:
        """The last step: the best Btag of the event is right."""
        best = tags.columns["best"] == 1
        right = best & (tags.columns["isSignal"] == 1)
        chosen = np.bincount(tags.event[right], minlength=self.n_events) > 0
        before = self.events(self.alive)
        which = np.full(self.n_events, "no candidate is best", dtype=object)
        own = np.array([B_TYPES[name][1] for name in tags.particle[best]]) == self.types[tags.event[best]]
        which[tags.event[best]] = np.where(own, *OTHERS)
        for b_type, found in self.found.items():
            of_type = self.types == B_TYPES[b_type][1]
            lost = {str(name): float(self.weight[of_type & before & ~chosen & (which == name)].sum())
                    for name in np.unique(which[of_type & before & ~chosen].astype(str))}
            found.steps[CHOSEN] = LostStep(Sums.of(self.weight[of_type & before & chosen]), lost, dict(lost))
            found.chosen_beside = Sums.of(self.weight[of_type & ~before & chosen])
