"""Trials of single B's: is there a tag of it alone, and does it look like a signal side if the other B is the tag?

Both answers come without an event that passes anything: the tag is made of one B's particles, and the signal side's tag
are the other B's true objects. So every B teaches something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.analyses.candidates.making import first_look, tagged_candidates
from fei_lite.analyses.candidates.pairs import with_btag
from fei_lite.analyses.candidates.true_tags import tags_of_mesons
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.production.experience import joined_arrays
from fei_lite.analyses.recipes.columns import needed
from fei_lite.analyses.selected import likeness, likeness_of_rest
from fei_lite.detector.response import Response, default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.events import EventBatch
from fei_lite.generator.generate import GeneratedBatch
from fei_lite.generator.recombination import Sides, one_side, sides_of
from fei_lite.production.generated_features import side_features
from fei_lite.production.sampling import repeated
from fei_lite.production.sides import SideModels, Trials
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.used_objects import everything, object_indices

Array = NDArray[np.float64]

#: Of the most promising sides, and of all others at least, the fractions that are tried once there are models.
_MOST, _LEAST = 1.0, 0.01


def try_sides(batch: GeneratedBatch, analyses: Sequence[Loaded], *, process: str, at: Sequence[int], k: int,
              models: SideModels | None, rng: np.random.Generator) -> Trials:
    """Trials of the B's of a batch: of all, or, with models, of more of those that promise something.

    The analyses are those ``at`` places of ``k`` in all.
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
    for which in (0, 1):
        mine = np.arange(n) * 2 + which
        rows = np.flatnonzero(chosen[0, mine])
        tag[mine[rows][:, None], places] = _tags_alone(batch, sides, which, rows, analyses, response, rng)
        rows = np.flatnonzero(chosen[1, mine])
        signal[mine[rows][:, None], places] = _signal_sides(batch, sides, which, rows, analyses, process, response, rng)
    parts = [Trials(X[here], chance[i, here], tag[here] if i == 0 else np.full((len(here), k), np.nan),
                    signal[here] if i == 1 else np.full((len(here), k), np.nan))
             for i in (0, 1) for here in [np.flatnonzero(chosen[i])]]
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
                  analyses: Sequence[Loaded], process: str, response: Response, rng: np.random.Generator) -> Array:
    """Likeness (n, n_analyses) of one B to the signal side of each analysis, the other B's objects being the tag."""
    out = np.zeros((len(rows), len(analyses)))
    if not len(rows):
        return out
    detected = simulate_detector(repeated(batch, rows), response, rng=rng)
    assert detected.generated is not None
    meson = sides.meson[rows, 1 - which] - batch.generated.offsets[:-1][rows] + detected.generated.offsets[:-1]
    tags = tags_of_mesons(detected, meson)
    place = {int(number): i for i, number in enumerate(detected.events["event"])}
    for k, one in enumerate(analyses):
        slim = _slim(one.analysis)
        columns, _, _ = tagged_candidates(tags, first_look(detected, slim, process=process), np.arange(len(rows)), slim,
                                          process=process)
        at = np.array([place[int(number)] for number in columns["event"]], dtype=np.int64)
        np.maximum.at(out[:, k], at, likeness(slim.recipe, columns))
    return out


def _slim(analysis: Analysis) -> Analysis:
    """The analysis with the columns that cuts and regions need, and no truth."""
    recipe = analysis.recipe
    texts = [text for cut in recipe.cut for text in (cut.cut, cut.where) if text]
    texts += [text for line in recipe.region for text in (line.variable, line.where) if text]
    names: set[str] = set(recipe.production.little)
    for text in texts:
        names |= {*needed(text, ())}
    kept = {name: text for name, text in recipe.variables.items() if name in names}
    scores = tuple(line.model_copy(update={"features": (), "where": None, "train": None}) for line in recipe.classifier)
    return replace(analysis, recipe=recipe.model_copy(update={"variables": kept, "truth": {}, "classifier": scores}))
