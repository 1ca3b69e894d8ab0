"""Train the classifiers of a channel set, stage by stage, over event files.

For each stage of the decay graph the events are reconstructed up to that
stage with the classifiers trained so far; the candidates of its channels are
sampled, and each channel is fitted. What is finished is on disk: a training
that was interrupted goes on with the next channel.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet, load_channel_set
from fei_lite.classifiers.fitting import FEI_DEFAULT, MIN_ENTRIES, fit_channel
from fei_lite.classifiers.manifest import MANIFEST
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.classifiers.writer import ModelSetWriter
from fei_lite.errors import FeiLiteError
from fei_lite.events.inputs import read_by
from fei_lite.events.ranges import EntryRange, entry_ranges, evenly
from fei_lite.events.reading import count_events, origin_of
from fei_lite.events.remote import is_url, open_remote
from fei_lite.outputs import refuse_inputs
from fei_lite.parallel import Context, Workers, executor_of, map_in_context, threads_of
from fei_lite.reconstruction.engine import Hooks, ReconstructionOptions, reconstruct
from fei_lite.training.journals import journal_of
from fei_lite.training.mixture import Factors, luminosity_factors, read_weighted
from fei_lite.training.sampling import VALIDATION_EVERY, ChannelSample, Rows, held_out
from fei_lite.training.search import search
from fei_lite.training.tag_classifier import fit_tag_classifier

#: Called as report(what, done, total).
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to train.

    ``max_events`` are taken evenly from all files;
    ``max_entries`` caps each class of a channel's sample; ``early_fraction`` is the fraction of the events
    that the stages before the last use, which have more candidates than they need; ``search``: the
    classifiers' settings are searched for each stage (the result is in the
    manifest), otherwise they are the FEI's, with ``parameters`` changed;
    ``tag_classifier``: a tag classifier as well; ``same_luminosity``: events are weighted
    as if every process had the luminosity of the first.
    """

    name: str
    channel_set: str = "hadronic"
    seed: int = 1
    max_entries: int = 150_000
    min_entries: int = MIN_ENTRIES
    batch_size: int = 2000
    workers: Workers = 1
    journal: bool = False
    max_events: int | None = None
    early_fraction: float = 1.0
    parameters: Mapping[str, Any] | None = None
    search: bool = False
    tag_classifier: bool = True
    same_luminosity: bool = False

    def __post_init__(self) -> None:
        if self.search and self.parameters:
            raise FeiLiteError("parameters: settings are searched for; give either the search or the settings.")
        executor_of(self.workers)
        for name in ("max_entries", "min_entries"):
            if getattr(self, name) < 1:
                raise FeiLiteError(f"{name}: got {getattr(self, name)}, expected 1 or more.")
        if self.seed < 0:
            raise FeiLiteError(f"seed: got {self.seed}, expected 0 or more.")
        if self.max_events is not None and self.max_events < 1:
            raise FeiLiteError(f"number of events: got {self.max_events}, expected 1 or more.")
        if not 0.0 < self.early_fraction <= 1.0:
            raise FeiLiteError(f"early_fraction: got {self.early_fraction}, expected a fraction above 0, at most 1.")


def train(samples: Sequence[Path], folder: Path, *, settings: Settings, date: str,
          last_stage_samples: Sequence[Path] = (), tag_classifier_samples: Sequence[Path] = (),
          report: Report | None = None) -> ModelSet:
    """Train every channel of a set on event files with truth; returns the model set.

    The samples' event weights (and luminosities, if ``settings.same_luminosity``) make
    the mixture that the probabilities refer to: give generic events, or stratified
    ones with their weights. The channels of the last stage, whose candidates are rare, have the events
    of ``last_stage_samples`` as well. Every fifth
    event is held out; the tag classifier is fitted on those, and on all events of
    ``tag_classifier_samples``, which no channel's classifier sees. ``date`` goes into the manifest.
    Calling it again with the same arguments resumes.
    """
    if tag_classifier_samples and not settings.tag_classifier:
        raise FeiLiteError("events for the tag classifier, but none is to be trained: leave one of the two out.")
    entry_ranges([*samples, *last_stage_samples, *tag_classifier_samples])  # none twice, before any work
    folder = Path(folder).absolute()  # a relative one may have the name of a shipped set, which would come first
    channel_set = load_channel_set(settings.channel_set)
    everything = [*samples, *last_stage_samples]
    ranges, early_ranges = (evenly(entry_ranges(paths, batch_size=settings.batch_size), settings.max_events)
                            for paths in (everything, samples))
    n_early = sum(r.stop - r.start for r in early_ranges)
    early_ranges = evenly(early_ranges, max(1, round(settings.early_fraction * n_early)))
    parameters = {**FEI_DEFAULT, **(settings.parameters or {}), "max_entries": settings.max_entries,
                  "min_entries": settings.min_entries, "early_fraction": settings.early_fraction}
    parameters |= {"search": True} if settings.search else {}
    sample = describe_samples(everything, settings)
    used = sum(r.stop - r.start for r in ranges) / max(1, sum(file["entries"] for file in sample["files"]))
    factors = _factors(samples, last_stage_samples, tag_classifier_samples, used) if settings.same_luminosity else {}
    if last_stage_samples:
        sample["last_stage"] = [Path(path).name for path in last_stage_samples]
    if tag_classifier_samples:
        sample["tag_classifier"] = describe_samples(tag_classifier_samples, settings)["files"]
    for part, values in factors.items():
        sample[f"{part}_factors"] = {Path(path).name: factor for path, factor in values.items()}
    refuse_inputs(folder / MANIFEST, [*everything, *tag_classifier_samples])
    writer = ModelSetWriter(
        folder, name=settings.name, channel_set=channel_set.name, channel_set_hash=channel_set.hash,
        seed=settings.seed, parameters=parameters, sample=sample, date=date,
        command=command_line(samples, settings, last_stage_samples, tag_classifier_samples))
    for stage, names in enumerate(channel_set.stages):
        channels = [c for name in names for c in channel_set.particles[name].channels if c.features]
        open_channels = [c for c in channels if c.identifier not in writer.finished]
        if not open_channels:
            continue
        last = stage == len(channel_set.stages) - 1
        collected = _collect(ranges if last else early_ranges, factors.get("last_stage" if last else "early", {}),
                             folder, settings, stage, report)
        chosen = _searched(collected, writer, settings, stage, report) if settings.search else settings.parameters
        for i, channel in enumerate(open_channels):
            training, validation = collected[channel.identifier].arrays()
            fitted = fit_channel(
                *training, names=channel.features, seed=seed_of(settings.seed, channel.identifier),
                validation=validation, min_entries=settings.min_entries, num_threads=threads_of(settings.workers),
                parameters=chosen or FEI_DEFAULT)
            writer.add(channel.identifier, fitted, stage=stage)
            del collected[channel.identifier]
            if report is not None:
                report(f"stage {stage}: fit", i + 1, len(open_channels))
    if settings.tag_classifier and not writer.decided:
        writer.add_tag_classifier(*fit_tag_classifier(
            ranges, entry_ranges(tag_classifier_samples, batch_size=settings.batch_size), folder,
            channel_set=settings.channel_set, seed=seed_of(settings.seed, "tag_classifier"),
            factors=factors.get("tag_classifier", {}), workers=settings.workers, journal=settings.journal,
            min_entries=settings.min_entries,
            report=None if report is None else partial(report, f"stage {len(channel_set.stages)}: reconstruct")))
    return load_model_set(folder)


def _searched(collected: Mapping[str, ChannelSample], writer: ModelSetWriter, settings: Settings, stage: int,
              report: Report | None) -> Mapping[str, Any]:
    """The settings of a stage: those found before the training was interrupted, or found now."""
    found = writer.searched(stage)
    if found is None:
        found = search(collected, seed=seed_of(settings.seed, f"search {stage}"), min_entries=settings.min_entries,
                       num_threads=threads_of(settings.workers),
                       report=None if report is None else partial(report, f"stage {stage}: search"))
        writer.add_search(stage, found)
    parameters: Mapping[str, Any] = found["parameters"]
    return parameters


def _factors(samples: Sequence[Path], last_stage_samples: Sequence[Path],
             tag_classifier_samples: Sequence[Path], used: float) -> dict[str, Factors]:
    """Factors of the files for one luminosity: of the stages before the last, of the last, of the tag classifier.

    ``used``: the fraction of the events of ``samples`` and ``last_stage_samples`` that the training takes.
    """
    everything = [*samples, *last_stage_samples]
    shares = [(path, used / VALIDATION_EVERY) for path in everything]
    shares += [(path, 1.0) for path in tag_classifier_samples]
    return {"early": luminosity_factors([(path, 1.0) for path in samples]),
            "last_stage": luminosity_factors([(path, 1.0) for path in everything]),
            "tag_classifier": luminosity_factors(shares)}


def describe_samples(samples: Sequence[Path], settings: Settings) -> dict[str, Any]:
    """Name, entries, SHA-256 and origin (process, seed, version ...) of every event file, for the manifest.

    With them the mappings and conditions by which they were read, if any.
    """
    files = []
    for path in samples:
        digest = hashlib.sha256()
        with open_remote(os.fspath(path)) if is_url(path) else open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        files.append({"name": Path(path).name, "entries": count_events(path), "sha256": digest.hexdigest(),
                      "origin": origin_of(path)})
    return {"files": files, **read_by(samples), "max_events": settings.max_events, "validation_every": VALIDATION_EVERY}


def command_line(samples: Sequence[Path], settings: Settings, last_stage_samples: Sequence[Path] = (),
                 tag_classifier_samples: Sequence[Path] = ()) -> str:
    """The command that trains this set, for the manifest: file names only, their folders are of no interest.

    >>> command_line([Path("a/b.root")], Settings("mine", seed=2))
    'fei-lite train b.root --name mine --set hadronic --seed 2 --max-entries 150000 --min-entries 500 -o mine'
    """
    words = ["fei-lite", "train", *(Path(path).name for path in samples), "--name", settings.name,
             "--set", Path(settings.channel_set).name, "--seed", settings.seed, "--max-entries", settings.max_entries,
             "--min-entries", settings.min_entries]
    if settings.max_events is not None:
        words += ["--max-events", settings.max_events]
    if settings.early_fraction != 1.0:
        words += ["--early-fraction", settings.early_fraction]
    words += (["--search"] * settings.search + ["--no-tag-classifier"] * (not settings.tag_classifier)
              + ["--same-luminosity"] * settings.same_luminosity)
    for option, paths in (("--last-stage-events", last_stage_samples),
                          ("--tag-classifier-events", tag_classifier_samples)):
        words += [option, *(Path(path).name for path in paths)] if paths else []
    return shlex.join(str(word) for word in [*words, "-o", settings.name])


def seed_of(seed: int, identifier: str) -> int:
    """A seed of its own for every channel, the same in every run."""
    return zlib.crc32(f"{seed}:{identifier}".encode()) & 0x7FFFFFFF


def _collect(ranges: Sequence[EntryRange], factors: Factors, folder: Path, settings: Settings, stage: int,
             report: Report | None) -> dict[str, ChannelSample]:
    """Sample the candidates of every channel of a stage over all events."""
    channel_set = load_channel_set(settings.channel_set)
    collected = {
        channel.identifier: ChannelSample(len(channel.features), cap=settings.max_entries,
                                          seed=seed_of(settings.seed, channel.identifier))
        for name in channel_set.stages[stage] for channel in channel_set.particles[name].channels if channel.features}
    # every range may give its share of the cap, with room for ranges that hold less
    share = max(200, 3 * settings.max_entries // max(1, len(ranges)))
    context = Context(partial(_grown, settings.channel_set, str(folder)))
    work = partial(_candidates, factors=factors, stage=stage, share=share, seed=settings.seed)
    journal = journal_of(folder, f"stage {stage}", work, context.value[1]) if settings.journal else None
    done, total = 0, sum(r.stop - r.start for r in ranges)
    for entries, found in zip(ranges, map_in_context(work, ranges, context, workers=settings.workers,
                                                     journal=journal), strict=True):
        for identifier, parts in found.items():
            for rows in parts:
                collected[identifier].add(*rows)
        done += entries.stop - entries.start
        if report is not None:
            report(f"stage {stage}: reconstruct", done, total)
    if journal is not None:
        journal.remove()
    return collected


def _grown(channel_set: str, folder: str) -> tuple[ChannelSet, ModelSet]:
    """The channel set, and the models of a folder that grows from stage to stage: each stage reads it again."""
    return load_channel_set(channel_set), load_model_set(folder)


def _candidates(entries: EntryRange, sets: tuple[ChannelSet, ModelSet], *, factors: Factors, stage: int, share: int,
                seed: int) -> dict[str, list[Rows]]:
    """The candidates of a stage's channels in a range of events, thinned to ``share`` per class."""
    channels, models = sets
    found: dict[str, list[Rows]] = {}
    for batch in read_weighted(entries, factors):
        event_weight = batch.events["weight"].astype(np.float64)
        held = held_out(np.arange(batch.n_events) + entries.first_entry)
        rng = np.random.default_rng([seed, stage, entries.first_entry])

        weights: dict[str, NDArray[np.float64]] = {}

        def choose(channel: Channel, table: CandidateTable, *, event_weight: NDArray = event_weight,
                   rng: np.random.Generator = rng, weights: dict[str, NDArray] = weights) -> NDArray[np.intp]:
            rows, weights[channel.identifier] = thin(table["isSignal"], event_weight[table.event_index], share, rng)
            return rows

        def observe(channel: Channel, table: CandidateTable, X: NDArray[np.float64], *, held: NDArray = held,
                    weights: dict[str, NDArray] = weights) -> None:
            found.setdefault(channel.identifier, []).append(
                (X, table["isSignal"], weights[channel.identifier], held[table.event_index]))

        reconstruct(batch, channels, models, options=ReconstructionOptions(with_truth=True, last_stage=stage),
                    hooks=Hooks(observer=observe, observe_stage=stage, sampler=choose))
    return found


def thin(y: NDArray[np.integer], weight: NDArray[np.float64], share: int,
         rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows to keep, at most about ``share`` per class, and their weights.

    A row of a class that has more is kept with a probability proportional to its
    weight, at most 1, and its weight is divided by it: sums of weights stay
    right on average, and the kept rows weigh about the same.

    >>> rows, weight = thin(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0]), 10, np.random.default_rng(1))
    >>> rows.tolist(), weight.tolist()
    ([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
    """
    probability = np.ones(len(y))
    for of_class in (y == 1, y != 1):
        if np.count_nonzero(of_class) > share:
            probability[of_class] = np.minimum(1.0, weight[of_class] * (share / weight[of_class].sum()))
    rows = np.flatnonzero(rng.uniform(size=len(y)) < probability)
    return rows, weight[rows] / probability[rows]
