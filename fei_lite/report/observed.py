"""What independent events tell about a model set: reconstructed in batches, counted, sampled, merged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet, load_channel_set
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch
from fei_lite.events.ranges import BATCH_SIZE, EntryRange, entry_ranges, read_range
from fei_lite.events.reading import count_events, origin_of
from fei_lite.parallel import Context, Workers, map_in_context
from fei_lite.performance.best_tags import BestTags, TagPieces
from fei_lite.performance.reconstructible import Coverage
from fei_lite.reconstruction.cutflow import CutFlow
from fei_lite.reconstruction.engine import Hooks, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.report.steps import Counts, StepCounter
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.driver import Totals
from fei_lite.training.driver import thin

Floats = NDArray[np.float64]
#: Called as report(what, done, total).
Report = Callable[[str, int, int], None]

#: Candidates of a channel and class that are kept for AUC and reliability; above, a random part with weights.
CANDIDATES = 50_000
#: Candidates of a channel and class whose features are kept for the importances.
ROWS = 2_000


@dataclass(frozen=True)
class Sets:
    """Names or folders of what is compared: the set, its channels, and a baseline with its own.

    ``last_stage``: the last one that is trained; a set without its last stage
    makes no tags.
    """

    models: str
    channels: str
    last_stage: int
    baseline: str | None = None
    baseline_channels: str | None = None


@dataclass
class Scored:
    """Classified candidates of one channel, before the cut on the probability: columns of equal length."""

    truth: list[NDArray[np.bool_]] = field(default_factory=list)
    probability: list[Floats] = field(default_factory=list)
    weight: list[Floats] = field(default_factory=list)
    entry: list[NDArray[np.int64]] = field(default_factory=list)

    def merge(self, other: Scored) -> None:
        """Append another part."""
        for name in ("truth", "probability", "weight", "entry"):
            getattr(self, name).extend(getattr(other, name))

    def arrays(self) -> tuple[NDArray[np.bool_], Floats, Floats, NDArray[np.int64]]:
        """Truth, probability, weight and event (numbered without gaps), each (n,)."""
        if not self.truth:
            return np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
        event = np.unique(np.concatenate(self.entry), return_inverse=True)[1]
        return np.concatenate(self.truth), np.concatenate(self.probability), np.concatenate(self.weight), event


@dataclass
class Featured:
    """Features (float32), truth and weight of a few candidates of one channel."""

    X: list[NDArray[np.float32]] = field(default_factory=list)
    truth: list[NDArray[np.bool_]] = field(default_factory=list)
    weight: list[Floats] = field(default_factory=list)

    def merge(self, other: Featured) -> None:
        """Append another part."""
        for name in ("X", "truth", "weight"):
            getattr(self, name).extend(getattr(other, name))

    def arrays(self) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Features (n, n_features), truth (n,), weight (n,)."""
        return np.concatenate(self.X).astype(np.float64), np.concatenate(self.truth), np.concatenate(self.weight)


@dataclass
class Observed:
    """Counts and samples of a range of events, or of all."""

    totals: Totals = field(default_factory=Totals)
    cutflow: CutFlow = field(default_factory=CutFlow)
    coverage: Coverage = field(default_factory=Coverage)
    channels: dict[str, Counts] = field(default_factory=dict)
    particles: dict[str, Counts] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)
    featured: dict[str, Featured] = field(default_factory=dict)
    tags: dict[str, TagPieces] = field(default_factory=dict)

    def merge(self, other: Observed) -> None:
        """Add the counts of another range, append its samples."""
        for name in ("totals", "cutflow", "coverage"):
            getattr(self, name).merge(getattr(other, name))
        empty = {"channels": Counts, "particles": Counts, "scored": Scored, "featured": Featured, "tags": TagPieces}
        for name, new in empty.items():
            mine = getattr(self, name)
            for key, part in getattr(other, name).items():
                mine.setdefault(key, new()).merge(part)

    def best_tags(self, which: str) -> BestTags:
        """The best Btag of every event that has one; ``which`` is ``"set"`` or ``"baseline"``."""
        return self.tags[which].best_tags(asdict(self.totals))


def observe_files(
    paths: Sequence[Path], sets: Sets, *, batch_size: int = BATCH_SIZE, max_events: int | None = None,
    workers: Workers = 1, seed: int = 1, report: Report | None = None,
) -> Observed:
    """Reconstruct event files with a set (and a baseline) and collect what the report needs.

    Raises :class:`EventFileError` for events without truth.
    """
    ranges = entry_ranges(paths, batch_size=batch_size, max_events=max_events)
    # every range may give its part, with room for ranges that hold less
    fractions = tuple(max(50, 3 * cap // max(1, len(ranges))) for cap in (CANDIDATES, ROWS))
    context = Context(partial(_load, sets))
    work = partial(_observe_range, sets=sets, fractions=fractions, seed=seed)
    observed, done = Observed(), 0
    total = sum(r.stop - r.start for r in ranges)
    for entries, part in zip(ranges, map_in_context(work, ranges, context, workers=workers), strict=True):
        observed.merge(part)
        done += entries.stop - entries.start
        if report is not None:
            report("reconstruct", done, total)
    return observed


def describe_events(paths: Sequence[Path], *, max_events: int | None = None) -> list[dict[str, Any]]:
    """Name, entries used and in all, SHA-256 and origin of every event file."""
    files, left = [], max_events
    for path in paths:
        entries = count_events(path)  # first: it says what is wrong with a file
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        used = entries if left is None else min(left, entries)
        left = None if left is None else left - used
        files.append({"name": Path(path).name, "entries": entries, "used": used, "sha256": digest,
                      "origin": origin_of(path)})
    return files


#: A channel set and its models: of the set, and of the baseline if there is one.
_Loaded = tuple[tuple[ChannelSet, ModelSet], tuple[ChannelSet, ModelSet] | None]


def _load(sets: Sets) -> _Loaded:
    baseline = None
    if sets.baseline is not None and sets.baseline_channels is not None:
        baseline = load_channel_set(sets.baseline_channels), load_model_set(sets.baseline)
    return (load_channel_set(sets.channels), load_model_set(sets.models)), baseline


def _observe_range(entries: EntryRange, loaded: _Loaded, *, sets: Sets, fractions: tuple[int, ...],
                   seed: int) -> Observed:
    """What one range of events gives."""
    (channels, models), baseline = loaded
    observed = Observed()
    for batch in read_range(entries):
        if batch.generated is None:
            raise EventFileError(f"{entries.path}: no list 'generated': a report needs events with truth.")
        rng = np.random.default_rng([seed, entries.first_entry])
        seen: dict[str, tuple[CandidateTable, Floats]] = {}

        def observe(channel: Channel, table: CandidateTable, X: Floats, *,
                    seen: dict[str, tuple[CandidateTable, Floats]] = seen) -> None:
            seen[channel.identifier] = (table, X)

        # without the early exit every candidate has its own probability; without a first look all are there
        options = ReconstructionOptions(with_truth=True, early_exit=False, last_stage=sets.last_stage, speed=0)
        result = reconstruct(batch, channels, models, options=options, hooks=Hooks(observer=observe))
        _sample(observed, batch, seen, fractions, rng, entries.first_entry)
        weight = batch.events["weight"].astype(np.float64)
        modes = observed.coverage.add(channels, batch.generated, weight)
        counter = StepCounter(result, {key: table for key, (table, _) in seen.items()}, modes)
        counter.count()
        observed.channels, observed.particles = counter.channels, counter.particles
        observed.totals.add(batch, first_entry=entries.first_entry)
        observed.cutflow.merge(result.cutflow)
        if sets.last_stage == len(channels.stages) - 1:
            used = reconstruct(batch, channels, models) if models.speed else result
            _add_tags(observed, "set", used, entries.first_entry)
        if baseline is not None:
            _add_tags(observed, "baseline", reconstruct(batch, *baseline), entries.first_entry)
    return observed


def _sample(observed: Observed, batch: EventBatch, seen: Mapping[str, tuple[CandidateTable, Floats]],
            fractions: tuple[int, ...], rng: np.random.Generator, first_entry: int) -> None:
    """Keep classified candidates, and the features of fewer."""
    event_weight = batch.events["weight"].astype(np.float64)
    for identifier, (table, X) in seen.items():
        if "SignalProbability" not in table.columns:
            continue
        event, truth = table.event_index, table["isSignal"]
        rows, weight = thin(truth, event_weight[event], fractions[0], rng)
        observed.scored[identifier] = Scored(
            [truth[rows] == 1], [table["SignalProbability"][rows]], [weight],
            [event[rows] + first_entry])
        few, weight = thin(truth, event_weight[event], fractions[1], rng)
        with np.errstate(over="ignore", under="ignore"):  # beyond float32: infinite, or zero
            features = X[few].astype(np.float32)
        observed.featured[identifier] = Featured([features], [truth[few] == 1], [weight])


def _add_tags(observed: Observed, which: str, result: Reconstruction, first_entry: int) -> None:
    """The best Btag of every event, and what the cut-flow says of them."""
    columns = select_tags(result, first_entry=first_entry).columns
    flat = {name: values for name, values in columns.items() if not isinstance(values, tuple)}
    observed.tags.setdefault(which, TagPieces()).add(flat)
    if which == "set":
        n = int(np.count_nonzero(flat["best"] == 1))
        observed.cutflow.add("events", "all", "tagged", n)
        observed.cutflow.add("events", "all", "untagged", result.batch.n_events - n)
