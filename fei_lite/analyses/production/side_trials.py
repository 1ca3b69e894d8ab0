"""Trials of single B's: is there a tag of it alone, and does it look like a signal side if the other B is the tag?

Both answers come without an event that passes anything: the tag is made of one B's particles, and the signal side's tag
are the other B's true objects. So every B teaches something. Where an analysis has classifiers they judge the signal
sides, too: what only a reconstructed tag has is taken to be as it is in most of simulated signal.

Some signal sides are none but for a track that is taken for another particle. Each of them is rare, all together are
not; so every signal side is tried once more with a mistaken identity, and counts as much as such mistakes are frequent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.files import Loaded, read_candidates
from fei_lite.analyses.candidates.making import first_look, tagged_candidates
from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.pairs import with_btag
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.candidates.true_tags import tags_of_mesons
from fei_lite.analyses.classification import scores_of
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.production.experience import joined_arrays
from fei_lite.analyses.production.scores import Classifiers, files_of
from fei_lite.analyses.recipes.columns import needed
from fei_lite.analyses.selected import likeness, likeness_of_rest
from fei_lite.detector.response import Response, default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.events import EventBatch
from fei_lite.events.batch import Jagged
from fei_lite.generator.generate import GeneratedBatch
from fei_lite.generator.recombination import Sides, one_side, sides_of
from fei_lite.kernels.descent import inherit
from fei_lite.production.generated_features import side_features
from fei_lite.production.recorded_sides import matched_rows
from fei_lite.production.sampling import repeated
from fei_lite.production.sides import SideModels, Trials
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.used_objects import everything, object_indices

Array = NDArray[np.float64]

#: Of the most promising sides, and of all others at least, the fractions that are tried once there are models.
_MOST, _LEAST = 1.0, 0.01
#: How often each of these is tried: for a tag, and as a signal side.
_TIMES = 2, 5
#: Species of tracks in the order of their likelihoods, and how often a track is taken for a given other one (assumed:
#: electrons, muons and pions that pass for the kaon of the HTA are a sixth of what is in its bins).
_SPECIES, _MISTAKEN = np.array([11, 13, 211, 321, 2212]), 0.02
#: How expressions of the Btag begin, the first daughter of a pair.
_OF_TAG = "daughter(0,"


@dataclass(frozen=True)
class Judge:
    """Classifiers of an analysis, none if none are known, and the medians of simulated signal by column."""

    classifiers: Classifiers = ()
    typical: Mapping[str, float] = field(default_factory=dict)


def judge_of(analysis: Analysis, classifiers: Classifiers, candidates: Sequence[Path]) -> Judge:
    """What judges signal sides: classifiers, and what tags are like in the ``candidates`` of simulated signal."""
    given = files_of(candidates, analysis)
    if not classifiers or not given:
        return Judge()
    inputs = read_candidates(given, analysis)
    decays = analysis.recipe.signal_decays
    is_signal = np.isin(inputs.process(decays), list(decays))
    if not np.any(is_signal):
        return Judge()
    of_tag = [name for name, text in analysis.recipe.variables.items() if text.startswith(_OF_TAG)]
    return Judge(classifiers, {name: float(np.nanmedian(inputs.columns[name][is_signal])) for name in of_tag})


def try_sides(batch: GeneratedBatch, analyses: Sequence[Loaded], *, process: str, at: Sequence[int], k: int,
              models: SideModels | None, rng: np.random.Generator, judges: Sequence[Judge] = ()) -> Trials:
    """Trials of the B's of a batch: of all once, or, with models, of more of those that promise something.

    The analyses are those ``at`` places of ``k`` in all, their ``judges`` (of each, or none at all) in the same order.
    """
    response, sides, n = default_response(), sides_of(batch), batch.n_events
    side = np.where(sides.side >= 0, 2 * sides.event + sides.side, -1)
    X = side_features(batch.generated, batch.events["beam_p4"], side, 2 * n, channel_set=analyses[0].channels)
    chance, places = np.ones((2, 2 * n)), np.asarray(at)
    if models is not None:
        promises = models.promises(X)
        chance = np.stack([np.clip(np.sqrt(p / p.max(axis=0)).max(axis=1), _LEAST, _MOST)
                           for p in (promises.tag, promises.signal)])
    tag, signal = (np.full((2 * n, k), np.nan) for _ in range(2))
    chosen = rng.uniform(size=(2, 2 * n)) < chance
    judged = list(zip(analyses, judges or [Judge()] * len(analyses), strict=True))
    parts = []
    for number in range(max(_TIMES) if models is not None else 1):
        for which in (0, 1):
            mine = np.arange(n) * 2 + which
            if number < _TIMES[0]:
                rows = np.flatnonzero(chosen[0, mine])
                tag[mine[rows][:, None], places] = _tags_alone(batch, sides, which, rows, analyses, response, rng)
            rows = np.flatnonzero(chosen[1, mine])
            signal[mine[rows][:, None], places] = _signal_sides(batch, sides, which, rows, judged, process, response,
                                                                rng)
        parts += [Trials(X[here], chance[i, here], tag[here] if i == 0 else np.full((len(here), k), np.nan),
                         signal[here] if i == 1 else np.full((len(here), k), np.nan))
                  for i in (0, 1) if number < _TIMES[i] for here in [np.flatnonzero(chosen[i])]]
    return joined_arrays(parts)


def _tags_alone(batch: GeneratedBatch, sides: Sides, which: int, rows: NDArray[np.intp],
                analyses: Sequence[Loaded], response: Response, rng: np.random.Generator) -> Array:
    """Likeness (n, n_analyses) of a tag made of one B's particles with nothing left, 0 without one."""
    detected = simulate_detector(one_side(batch, sides, rows, which), response, rng=rng, background=False)
    tags = analyses[0].tags(detected)
    rest = _likeness_of_rests(detected, tags)
    return np.stack([rest * with_btag(tags, one.analysis.signal_set, one.analysis.recipe.signal_side.pair)
                     for one in analyses], axis=1)


def _likeness_of_rests(batch: EventBatch, tags: Reconstruction) -> Array:
    """Likeness (n_events,) of what the most probable tag leaves of the event to nothing; 1 without a tag."""
    best = np.full(batch.n_events, -np.inf)
    found = np.ones(batch.n_events)
    every = everything(batch)
    for name in tags.channel_set.tags:
        table = tags.tables[name]
        event, probability = table.event_index, np.asarray(table["SignalProbability"], dtype=np.float64)
        order = np.lexsort((-probability, event))
        rows = order[np.diff(event[order], prepend=-1) != 0]
        rows = rows[probability[rows] > best[event[rows]]]
        left, where = every[event[rows]] & ~table["used"][rows], event[rows]
        tracks = np.diff(object_indices(batch, left, where, "tracks")[0])
        offsets, cluster = object_indices(batch, left, where, "clusters")
        owner = np.repeat(np.arange(len(rows)), np.diff(offsets))
        at = batch.clusters.offsets[where[owner]] + cluster
        energy = np.where(batch.clusters["is_photon"][at] != 0, batch.clusters["E"][at].astype(np.float64), 0.0)
        found[where] = likeness_of_rest(tracks, np.bincount(owner, energy, minlength=len(rows)).astype(np.float64))
        best[where] = probability[rows]
    return found


def _signal_sides(batch: GeneratedBatch, sides: Sides, which: int, rows: NDArray[np.intp],
                  judged: Sequence[tuple[Loaded, Judge]], process: str, response: Response,
                  rng: np.random.Generator) -> Array:
    """Likeness (n, n_analyses) of one B to the signal side of each analysis, the other B's objects being the tag."""
    out = np.zeros((len(rows), len(judged)))
    if not len(rows):
        return out
    detected = simulate_detector(repeated(batch, rows), response, rng=rng)
    assert detected.generated is not None
    meson = sides.meson[rows, 1 - which] - batch.generated.offsets[:-1][rows] + detected.generated.offsets[:-1]
    tags = tags_of_mesons(detected, meson)
    confused, often = with_a_mistake(detected, meson, rng)
    for batch_of, factor in ((detected, np.ones(len(rows))), (confused, often)):
        found = _likeness(replace(tags, batch=batch_of), judged, process)
        out = np.minimum(out + factor[:, None] * found, 1.0)
    return out


def _likeness(tags: Reconstruction, judged: Sequence[tuple[Loaded, Judge]], process: str) -> Array:
    """Likeness (n_events, n_analyses) of the best candidate of events to a signal, with these tags."""
    batch = tags.batch
    out = np.zeros((batch.n_events, len(judged)))
    place = {int(number): i for i, number in enumerate(batch.events["event"])}
    for k, (one, judge) in enumerate(judged):
        slim = _slim(one.analysis, judge)
        columns, _, _ = tagged_candidates(tags, first_look(batch, slim, process=process), np.arange(batch.n_events),
                                          slim, process=process)
        columns |= _scores(one.analysis, judge, columns, process)
        at = np.array([place[int(number)] for number in columns["event"]], dtype=np.int64)
        np.maximum.at(out[:, k], at, likeness(slim.recipe, columns))
    return out


def with_a_mistake(batch: EventBatch, tag: NDArray[np.integer], rng: np.random.Generator) -> tuple[EventBatch, Array]:
    """Events in which one track that is not of the B ``tag`` (rows of ``generated``) looks like another species.

    Which track and which species is drawn. With it how often one of these mistakes is made, (n_events,).
    """
    generated, tracks, n = batch.generated, batch.tracks, batch.n_events
    assert generated is not None
    root = np.full(len(generated["pdg"]), -1, dtype=np.int64)
    root[tag] = 1
    inherit(generated.offsets, generated["mother"], root)
    row = matched_rows(tracks, generated)
    species = np.argmax(np.abs(generated["pdg"][row])[:, None] == _SPECIES, axis=1)
    others = np.flatnonzero((row >= 0) & (root[row] < 0))
    order = others[np.lexsort((rng.uniform(size=len(others)), tracks.event_index[others]))]
    chosen = order[np.diff(tracks.event_index[order], prepend=-1) != 0]
    logl = tracks["pid_logl"].copy()
    own, other = species[chosen], (species[chosen] + rng.integers(1, len(_SPECIES), len(chosen))) % len(_SPECIES)
    logl[chosen, own], logl[chosen, other] = logl[chosen, other], logl[chosen, own]
    often = np.minimum(_MISTAKEN * (len(_SPECIES) - 1) * np.bincount(tracks.event_index[others], minlength=n), 1.0)
    return replace(batch, tracks=Jagged(tracks.offsets, tracks.columns | {"pid_logl": logl})), often


def _scores(analysis: Analysis, judge: Judge, columns: Columns, process: str) -> Columns:
    """The scores of the classifiers, in terms of a typical tag; none without any."""
    n, found = len(columns["weight"]), dict(columns)
    if not judge.classifiers:
        return {}
    found |= {name: np.full(n, value) for name, value in judge.typical.items()}
    found |= {name: np.zeros(n, dtype=np.int64) for name in ("source", "decay")}
    source = [Source("trials", process, 0, n, n, {})]
    for line, used in zip(analysis.recipe.classifier, judge.classifiers, strict=True):
        found |= scores_of(line, used, found, source)
    return {name: values for name, values in found.items() if name in analysis.recipe.made}


def _slim(analysis: Analysis, judge: Judge) -> Analysis:
    """The analysis with the columns that cuts and regions need (and its classifiers, if any are known), no truth."""
    recipe = analysis.recipe
    texts = [text for cut in recipe.cut for text in (cut.cut, cut.where) if text]
    texts += [text for line in recipe.region for text in (line.variable, line.where) if text]
    if judge.classifiers:
        texts += [text for line in recipe.classifier for text in (*line.features, line.where) if text]
    names: set[str] = set(recipe.production.little)
    for text in texts:
        names |= {*needed(text, ())}
    kept = {name: text for name, text in recipe.variables.items() if name in names and name not in judge.typical}
    scores = tuple(line.model_copy(update={"features": (), "where": None, "train": None}) for line in recipe.classifier)
    return replace(analysis, recipe=recipe.model_copy(update={"variables": kept, "truth": {}, "classifier": scores}))
