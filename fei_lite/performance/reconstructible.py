"""What the decays allow, from generator truth: covered branching fractions, and the reconstructible fraction.

A branching fraction is covered as far as the particle decays through a chain
of the set, resonances looked through (:mod:`fei_lite.channels.covered_decays`). Only
counting can tell it: a third of the B decays of the table fragment. The
reconstructible fraction of the events bounds the tag-side efficiency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.channels.covered_decays import Acceptance, covered_particles
from fei_lite.errors import EventFileError
from fei_lite.events import open_events
from fei_lite.events.batch import Jagged
from fei_lite.events.files import PathLike
from fei_lite.events.schema import STATUS
from fei_lite.fractions import Measured, Sums
from fei_lite.particles import pdg_code
from fei_lite.performance.best_tags import B_TYPES

_NOTHING = Sums()


@dataclass(frozen=True)
class Covered:
    """Generated particles (or events) in all, covered ones, and those complete inside the acceptance."""

    all: Sums = _NOTHING
    covered: Sums = _NOTHING
    complete: Sums = _NOTHING

    def __add__(self, other: Covered) -> Covered:
        return Covered(self.all + other.all, self.covered + other.covered, self.complete + other.complete)

    @property
    def fractions(self) -> tuple[Measured, Measured]:
        """The fractions covered, and complete inside the acceptance."""
        return self.all.fraction(self.covered.weight), self.all.fraction(self.complete.weight)


@dataclass
class Coverage:
    """Counts by particle of the set and by event type; ``source`` says in what."""

    particles: dict[str, Covered] = field(default_factory=dict)
    events: dict[str, Covered] = field(default_factory=dict)
    source: str = ""

    def merge(self, other: Coverage) -> None:
        """Add the counts of another part."""
        for mine, theirs in ((self.particles, other.particles), (self.events, other.events)):
            for name, counts in theirs.items():
                mine[name] = mine.get(name, Covered()) + counts

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

        found = Coverage()
        for name, config in channel_set.particles.items():
            if any(channel.leaf == "FSP" for channel in config.channels):
                continue
            own = (code == abs(config.pdg)) & primary
            found.particles[name] = _count(weight, per_event(own), per_event(own & (modes >= 0)),
                                           per_event(own & (inside >= 0)))
        for b, event_type in B_TYPES.values():
            of_type = (per_event(code == b) > 0).astype(np.int64)
            found.events[event_type] = _count(weight, of_type, of_type * (per_event(tag & (modes >= 0)) > 0),
                                              of_type * (per_event(tag & (inside >= 0)) > 0))
        self.merge(found)
        return modes


def _count(weight: NDArray[np.float64], *per_event: NDArray[np.int64]) -> Covered:
    return Covered(*(Sums.per_event(number, weight) for number in per_event))


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


@dataclass(frozen=True)
class Reconstructible:
    """Fractions of the events of one type in which a tag is there to be found.

    ``covered``: at least one of the two B decays through the channel set;
    ``in_acceptance``: with all its final-state particles inside the detector
    (:class:`fei_lite.channels.covered_decays.Acceptance`).
    """

    n_events: int
    covered: Measured
    in_acceptance: Measured


def find_reconstructible(paths: Sequence[PathLike], channel_set: ChannelSet, *, batch_size: int = 2000,
                         progress: Callable[[int], None] | None = None) -> dict[str, Reconstructible]:
    """The reconstructible fraction for ``"B+"`` (B+B- events) and ``"B0"`` (B0B0bar events) in event files with truth.

    ``progress`` is called with the number of events done. Raises
    :class:`EventFileError` for files without truth.
    """
    coverage, done = Coverage(), 0
    for batch in open_events(list(paths), batch_size=batch_size):
        if batch.generated is None:
            raise EventFileError(f"{batch.source}: no list 'generated': the reconstructible fraction is known "
                                 "from truth alone.")
        coverage.add(channel_set, batch.generated, batch.events["weight"].astype(np.float64))
        done += batch.n_events
        if progress is not None:
            progress(done)
    counts = {b_type: coverage.events.get(event_type, Covered()) for b_type, (_, event_type) in B_TYPES.items()}
    return {b_type: Reconstructible(found.all.n, *found.fractions) for b_type, found in counts.items() if found.all.n}


def of_same_channels(reconstructible: Mapping[str, Mapping[str, Reconstructible]],
                     b_type: str) -> list[tuple[str, Reconstructible]]:
    """Reconstructible fractions of one B type, each with the names of the sets that have it in common."""
    names: dict[Reconstructible, list[str]] = {}
    for name, of_set in reconstructible.items():
        if b_type in of_set:
            names.setdefault(of_set[b_type], []).append(name)
    return [("all" if len(group) == len(reconstructible) > 1 else ", ".join(group), found)
            for found, group in names.items()]
