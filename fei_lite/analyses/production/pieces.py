"""A piece of a production: generated, selected, detected, tagged once, reduced to candidates of all analyses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.files import Loaded, read_candidates, write_candidates
from fei_lite.analyses.candidates.making import Counts, first_look, tagged_candidates
from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.production.experience import experience_file, joined_arrays, save_arrays
from fei_lite.analyses.production.piece_summary import luminosity_of, summary_of
from fei_lite.analyses.production.plans import Piece, Times, Workshop
from fei_lite.analyses.production.scores import known_classifiers
from fei_lite.analyses.selected import likeness
from fei_lite.detector.response import default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.events import EventBatch
from fei_lite.events.files import EventWriter
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.generate import generate, made_by
from fei_lite.generator.settings import load_settings
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.production.learn_selection import Experience
from fei_lite.production.learned import LearnedSelection, features_of_recorded, load_selection
from fei_lite.production.sampling import FAMILY, Sampler, Taken, gathered, whole

#: Events generated, and at least so many reconstructed, at a time. Fixed: random numbers are drawn batch by batch.
BATCH = 8000
#: Fraction of the recorded events whose features are remembered, tagged or not.
SEEN = 0.3


@dataclass
class _Gathering:
    """What a piece has made so far."""

    candidates: dict[str, list[Columns]]
    counts: dict[str, Counts]
    experience: list[Experience] = field(default_factory=list)
    n_offered: int = 0
    n_taken: int = 0
    n_chosen: int = 0
    n_tagged: int = 0
    weight: float = 0.0


def make_piece(piece: Piece, workshop: Workshop) -> Path:
    """Make a piece, unless it is there, and write its files; the record comes last, so that it says: all is there."""
    if piece.record.exists():
        return piece.record
    analyses, times = workshop.of(piece.process), Times()
    selection = None if piece.selection is None else load_selection(piece.selection)
    made = _Gathering({one.analysis.name: [] for one in analyses}, {one.analysis.name: Counts() for one in analyses})
    options = _options(piece, workshop, selection)
    named = "signal" if find_decay(piece.process, analyses) else piece.process
    origin = {"process": named, "seed": piece.seed, "n_generated": piece.n, **options}
    events = _events_writer(piece, origin) if workshop.plan.keep_events else None
    if events is None:
        _reconstruct_all(piece, workshop, analyses, selection, made, times, None)
    else:
        with events:
            _reconstruct_all(piece, workshop, analyses, selection, made, times, events)
    said: dict[str, Any] = {}
    for one in analyses:
        name = one.analysis.name
        source = Source(piece.name, named, piece.seed, piece.n, made.n_taken, options)
        output = piece.folder / name / f"{piece.name}.parquet"
        make_folder(output.parent)
        write_candidates(output, made.candidates[name], source, made.counts[name], one.identity)
        known = known_classifiers(piece.folder, None if selection is None else selection.name, one.analysis)
        said[name] = summary_of(one, read_candidates([output], one.analysis), known)
    if selection is not None and made.experience:
        save_arrays(experience_file(piece.folder, piece.name), joined_arrays(made.experience))
    record = {"process": piece.process, "seed": piece.seed, "n_generated": piece.n,
              "luminosity_fb": luminosity_of(piece.process, piece.n),
              "selection": None if selection is None else {"name": selection.name, "digest": selection.digest},
              "guide": piece.guide,
              "offered": made.n_offered, "taken": made.n_taken, "chosen": made.n_chosen,
              "tagged": made.n_tagged,
              "sum_of_weights": made.weight, "seconds": times.seconds, "analyses": said,
              "identity": workshop.identity}
    make_folder(piece.record.parent)
    with atomic_output(piece.record, force=True) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return piece.record


def find_decay(process: str, analyses: tuple[Loaded, ...]) -> str | None:
    """The decay file of a signal process; None for background."""
    for one in analyses:
        if process in one.analysis.recipe.signal_decays:
            return one.analysis.decay_file(process)
    return None


def _options(piece: Piece, workshop: Workshop, selection: LearnedSelection | None) -> dict[str, Any]:
    """What a source says besides process, seed and number."""
    common, decay = workshop.identity, find_decay(piece.process, workshop.of(piece.process))
    options: dict[str, Any] = {"fei_lite_version": common["fei_lite_version"], "background": 1,
                               "settings": common["settings"]}
    options |= made_by(None if decay is None else read_signal_decay(Path(decay)), None,
                       load_settings(workshop.plan.settings))
    if decay is not None:
        options["decay_file"] = Path(decay).name
    if selection is not None:
        options |= {"selection": selection.name, "selection_digest": selection.digest}
        options |= {"family": FAMILY, "recombined": int(selection.of == "pairs")}
    return options


def _events_writer(piece: Piece, origin: dict[str, Any]) -> EventWriter:
    path = piece.folder / "events" / f"{piece.name}.parquet"
    make_folder(path.parent)
    return EventWriter(path, force=True, metadata=origin)


def _generated(piece: Piece, workshop: Workshop, analyses: tuple[Loaded, ...], selection: LearnedSelection | None,
               times: Times) -> Iterator[Taken]:
    """What is taken of the generated events, batch by batch."""
    decay = find_decay(piece.process, analyses)
    size = piece.n if selection is not None and selection.of == "pairs" else BATCH
    batches = generate("signal" if decay else piece.process, piece.n, seed=piece.seed, batch_size=size,
                       dec_file=None if decay is None else read_signal_decay(Path(decay)),
                       settings=load_settings(workshop.plan.settings))
    sampler = None if selection is None else Sampler(selection, analyses[0].channels,
                                                     np.random.default_rng([piece.seed, 11]))
    while True:
        with times("generate"):
            batch = next(batches, None)
        if batch is None:
            return
        with times("select"):
            taken = whole(batch) if sampler is None else sampler(batch)
        yield taken


def _reconstruct_all(piece: Piece, workshop: Workshop, analyses: tuple[Loaded, ...],
                     selection: LearnedSelection | None, made: _Gathering, times: Times,
                     events: EventWriter | None) -> None:
    """Detect and reconstruct what is taken; the result goes to ``made``."""
    rng, second = (np.random.default_rng([piece.seed, stream]) for stream in (10, 12))
    response = default_response()
    for taken in gathered(_generated(piece, workshop, analyses, selection, times), BATCH):
        made.n_offered += taken.n_offered
        made.n_taken += taken.batch.n_events
        made.weight += float(taken.batch.events["weight"].sum())
        with times("detect"):
            batch = simulate_detector(taken.batch, response, rng=rng)
        kept = _reconstruct(batch, taken, analyses, piece, selection, made, times, second)
        if events is not None:
            with times("write"):
                events.write(kept)


def _reconstruct(batch: EventBatch, taken: Taken, analyses: tuple[Loaded, ...], piece: Piece,
                 selection: LearnedSelection | None, made: _Gathering, times: Times,
                 rng: np.random.Generator) -> EventBatch:
    """Choose, tag once, make the candidates of every analysis; returns the events that have a Btag."""
    process, n = piece.process, batch.n_events
    with times("look"):
        recorded, chance, rows = np.zeros((n, 0)), np.ones(n), np.arange(n)
        if selection is not None:
            recorded = features_of_recorded(selection.of, batch, taken.tag)
            chance = selection.chance(taken.X, recorded, taken.wanted)
            rows = np.flatnonzero(rng.uniform(size=n) < chance)
        batch.events["weight"] = batch.events["weight"] / chance
        part = batch.select(rows)
    with times("side"):
        looks = [first_look(part, one.analysis, process=process) for one in analyses]
        with_side = np.unique(np.concatenate([look.with_side for look in looks]))
        sided = part.select(with_side)
    made.n_chosen += len(rows)
    made.n_tagged += len(with_side)
    with times("tag"):
        tags = analyses[0].tags(sided)
    where = np.argsort(part.events["event"], kind="stable")
    like, tagged = np.zeros((len(rows), len(analyses))), np.zeros(len(with_side), dtype=bool)
    for i, (one, look) in enumerate(zip(analyses, looks, strict=True)):
        with times("analyse"):
            columns, counts, with_tag = tagged_candidates(tags, look, with_side, one.analysis, process=process)
        tagged |= with_tag
        event = where[np.searchsorted(part.events["event"], columns["event"], sorter=where)]
        columns["partner"] = taken.partner[rows][event]
        made.candidates[one.analysis.name].append(columns)
        made.counts[one.analysis.name].merge(counts.steps)
        np.maximum.at(like[:, i], event, likeness(one.analysis.recipe, columns))
    if selection is not None:
        seen = np.concatenate([taken.X, recorded, taken.wanted[:, None]], axis=1)
        made.experience.append(Experience(
            seen[rows, :-1].astype(np.float32), taken.wanted[rows], chance[rows], like,
            seen[rng.uniform(size=n) < SEEN].astype(np.float32)))
    return sided.select(np.flatnonzero(tagged))
