"""What the decays allow, from generator truth: covered branching fractions, and the reconstructible fraction.

A branching fraction is covered as far as the particle decays through a chain
of the set, resonances looked through (``fei_lite.channels.covered_decays``). Only
counting can tell it: a third of the B decays of the table fragment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.channels.covered_decays import Acceptance, covered_particles
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.particles import pdg_code
from fei_lite.report.steps import Tally

#: Event types, and the B that they hold.
EVENT_TYPES = {"B+B-": "B+", "B0B0bar": "B0"}


@dataclass
class Covered:
    """Generated particles (or events) in all, covered ones, and those complete inside the acceptance."""

    all: Tally = field(default_factory=Tally)
    covered: Tally = field(default_factory=Tally)
    complete: Tally = field(default_factory=Tally)

    def merge(self, other: Covered) -> None:
        """Add the counts of another part."""
        for name in ("all", "covered", "complete"):
            getattr(self, name).merge(getattr(other, name))


@dataclass
class Coverage:
    """Counts by particle of the set and by event type; ``source`` says what was counted."""

    particles: dict[str, Covered] = field(default_factory=dict)
    events: dict[str, Covered] = field(default_factory=dict)
    source: str = ""

    def merge(self, other: Coverage) -> None:
        """Add the counts of another part."""
        for mine, theirs in ((self.particles, other.particles), (self.events, other.events)):
            for name, counts in theirs.items():
                mine.setdefault(name, Covered()).merge(counts)

    def add(self, channel_set: ChannelSet, generated: Jagged, weight: NDArray[np.float64]) -> NDArray[np.int16]:
        """Count generated events with their weights; returns the decay modes of the particles."""
        modes = covered_particles(channel_set, generated)
        inside = covered_particles(channel_set, generated, acceptance=Acceptance())
        code, event = np.abs(generated["pdg"]), generated.event_index
        primary = generated["status"] & STATUS["primary"] != 0
        n_events = len(generated.offsets) - 1
        tag = np.isin(code, [pdg_code(name) for name in channel_set.tags])

        def per_event(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(event[rows], minlength=n_events)

        for name, config in channel_set.particles.items():
            if any(channel.leaf == "FSP" for channel in config.channels):
                continue
            own = (code == abs(config.pdg)) & primary
            _count(self.particles.setdefault(name, Covered()), weight, per_event(own), per_event(own & (modes >= 0)),
                   per_event(own & (inside >= 0)))
        for event_type, b_type in EVENT_TYPES.items():
            of_type = (per_event(code == pdg_code(b_type)) > 0).astype(np.int64)
            _count(self.events.setdefault(event_type, Covered()), weight, of_type,
                   of_type * (per_event(tag & (modes >= 0)) > 0), of_type * (per_event(tag & (inside >= 0)) > 0))
        return modes


def _count(counts: Covered, weight: NDArray[np.float64], *per_event: NDArray[np.int64]) -> None:
    for tally, number in zip((counts.all, counts.covered, counts.complete), per_event, strict=True):
        tally.add(number, weight)


def generated_coverage(channel_set: ChannelSet, *, n_events: int, seed: int,
                       report: Callable[[str, int, int], None] | None = None) -> Coverage:
    """Coverage of ``n_events`` B+B- and as many B0B0bar events of the generator alone (no detector)."""
    from fei_lite.generator.generate import generate

    coverage = Coverage(source=f"{n_events} B+B- and {n_events} B0B0bar events of the generator, seed {seed}")
    done = 0
    for process in ("charged", "mixed"):
        for batch in generate(process, n_events, seed=seed):
            coverage.add(channel_set, batch.generated, np.ones(batch.n_events))
            done += batch.n_events
            if report is not None:
                report("generate", done, 2 * n_events)
    return coverage
