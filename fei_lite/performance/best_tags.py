"""The best Btags of a Btag file, read in pieces: a row per event is all that stays in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, nearest
from fei_lite.events.files import PathLike
from fei_lite.performance.working_points import B_TYPES
from fei_lite.tagging.output import read_tags
from fei_lite.tagging.streaming import ROWS, iterate_tags

#: ``event``: one best Btag per event, over the B+ and B0 lists together. ``type``: the best of each list.
Choice = Literal["event", "type"]

_COLUMNS = {"entry": "entry", "event": "event", "b_type": "pdg", "mode": "decayModeID",
            "probability": "SignalProbability", "mbc": "Mbc", "delta_e": "deltaE", "weight": "weight"}
_GIVEN_BB = "SignalProbabilityGivenBB"
_TRUTH = {"correct": "isSignal", "ancestor": "mcPDG"}


@dataclass(frozen=True)
class Events:
    """The events behind Btags: number, sum of weights, sum of squared weights."""

    n: int
    weight: float
    squares: float


@dataclass(frozen=True)
class BestTags:
    """Best Btags, one row per event that has one (per event and B type with ``choose="type"``).

    ``entry`` (number of the event in the whole input), ``event`` (its number in
    its file), ``b_type`` (521 or 511), ``mode`` (decayModeID), ``probability``,
    ``mbc`` and ``delta_e`` (GeV), ``weight``, ``correct`` (isSignal) and
    ``ancestor`` (mcPDG without sign: the common ancestor of what the candidate is
    made of; 300553 if from both B, 0 if there is none): arrays (n,).
    ``events`` are all events read, with a Btag or not, ``events_of_b_type`` those
    of B+B- and of B0B0bar by B type of Btag; ``listed``, by B type, those with a correct
    candidate in the list, the best or not; ``metadata`` the file's.
    """

    entry: NDArray[np.int64]
    event: NDArray[np.int64]
    b_type: NDArray[np.int32]
    mode: NDArray[np.int32]
    probability: NDArray[np.float64]
    mbc: NDArray[np.float64]
    delta_e: NDArray[np.float64]
    weight: NDArray[np.float64]
    correct: NDArray[np.bool_]
    ancestor: NDArray[np.int32]
    has_truth: bool
    events: Events
    events_of_b_type: dict[str, Events]
    listed: dict[str, Events]
    metadata: dict[str, Any]

    def __len__(self) -> int:
        return len(self.entry)

    def select(self, rows: NDArray[Any]) -> BestTags:
        """The Btags of ``rows``; the events behind them stay the same."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def of_b_type(self, b_type: str) -> BestTags:
        """The Btags of one B type, ``"B+"`` or ``"B0"``."""
        return self.select(self.b_type == B_TYPES[b_type][0])


_ARRAYS = tuple(f.name for f in fields(BestTags) if str(f.type).startswith("NDArray"))


def read_best_tags(path: PathLike, *, choose: Choice = "event", truth: bool = True, given_bb: bool = False,
                   rows: int = ROWS) -> BestTags:
    """The best Btags of a file made by ``fei-lite reconstruct``.

    ``given_bb``: their ``probability`` is ``SignalProbabilityGivenBB``, where the file has it;
    otherwise it is SignalProbability, which means the same if the set was trained without continuum.
    With ``truth`` a file without it is refused; otherwise ``correct`` is false
    and ``ancestor`` 0 where it lacks. Raises :class:`EventFileError` for a file
    that is damaged, foreign or incomplete.
    """
    _, _, metadata = read_tags(path, columns=())
    names = {**_COLUMNS, "best": "best"}
    pieces: list[dict[str, NDArray[Any]]] = []
    last = np.empty(0, dtype=np.int64)  # keys of the last event of the piece before: its rest follows
    right: list[dict[str, NDArray[Any]]] = []
    for piece in iterate_tags(path, list(names.values()), optional=[*_TRUTH.values(), _GIVEN_BB], rows=rows):
        if truth and not all(name in piece for name in _TRUTH.values()):
            raise EventFileError(f"{path}: no truth (isSignal, mcPDG): only simulated events tell correct Btags.")
        if given_bb and _GIVEN_BB in piece:
            piece["SignalProbability"] = piece[_GIVEN_BB]
        first, last = first_rows(piece, choose, last)
        pieces.append({name: values[first] for name, values in piece.items()})
        if "isSignal" in piece:
            rows_right = piece["isSignal"] == 1
            right.append({name: piece[name][rows_right] for name in ("entry", "pdg", "weight")})
    found = {field: np.concatenate([p[name] for p in pieces]) if pieces and name in pieces[0] else None
             for field, name in {**_COLUMNS, **_TRUTH}.items()}
    events, of_b_type = _events(path, metadata, truth)
    return _assemble(found, events, of_b_type, _listed(right, of_b_type), metadata)


def _listed(right: list[dict[str, NDArray[Any]]], of_b_type: dict[str, Events]) -> dict[str, Events]:
    """Events with a correct candidate, by B type; each counts once, in however many pieces its candidates are."""
    found = {}
    for b_type in of_b_type:
        entry, weight = (np.concatenate([p[name][np.abs(p["pdg"]) == B_TYPES[b_type][0]] for p in right]
                                        or [np.empty(0)])
                         for name in ("entry", "weight"))
        w = weight[np.unique(entry, return_index=True)[1]].astype(np.float64)
        found[b_type] = Events(len(w), float(w.sum()), float(np.sum(w**2)))
    return found


def first_rows(piece: dict[str, NDArray[Any]], choose: Choice,
                last: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Rows of the best Btags in a piece of a file, and what it needs to know of this piece for the next.

    ``last``: the same of the piece before (empty for the first).
    """
    if choose == "event":
        return np.flatnonzero(piece["best"] == 1), last
    # candidates stand by event and rank: the first of its b_type in an event is the best of its B type
    key = 2 * piece["entry"].astype(np.int64) + (np.abs(piece["pdg"]) == B_TYPES["B0"][0])
    unique, first = np.unique(key, return_index=True)
    fresh = ~np.isin(unique, last)
    ending = unique[unique // 2 == piece["entry"][-1]] if len(key) else last
    return np.sort(first[fresh]), np.union1d(ending, last)[-2:]


def _assemble(found: dict[str, NDArray[Any] | None], events: Events, of_b_type: dict[str, Events],
              listed: dict[str, Events], metadata: dict[str, Any]) -> BestTags:
    n = 0 if found["entry"] is None else len(found["entry"])

    def column(name: str, dtype: Any) -> NDArray[Any]:
        values = found[name]
        return np.zeros(n, dtype=dtype) if values is None else np.asarray(values).astype(dtype)

    return BestTags(
        entry=column("entry", np.int64), event=column("event", np.int64), b_type=np.abs(column("b_type", np.int32)),
        mode=column("mode", np.int32), probability=column("probability", np.float64),
        mbc=column("mbc", np.float64), delta_e=column("delta_e", np.float64), weight=column("weight", np.float64),
        correct=column("correct", np.int8) == 1, ancestor=np.abs(column("ancestor", np.int32)),
        has_truth=found["correct"] is not None, events=events, events_of_b_type=of_b_type, listed=listed,
        metadata=metadata)


def _events(path: PathLike, metadata: dict[str, Any], truth: bool) -> tuple[Events, dict[str, Events]]:
    for key in ("n_events", "sum_of_weights", "sum_of_squared_weights", "event_types"):
        if key not in metadata:
            raise EventFileError(f"{path}: the Btag file's metadata has no '{key}': it is not complete."
                                 f"{nearest(key, metadata)}")
    everything = Events(int(metadata["n_events"]), float(metadata["sum_of_weights"]),
                        float(metadata["sum_of_squared_weights"]))
    of_b_type = {}
    for b_type, (_, event_type) in B_TYPES.items():
        if row := metadata["event_types"].get(event_type):
            # squares per type are not stored: as large, for their weight, as those of all events
            share = float(row["sum_of_weights"]) / everything.weight if everything.weight > 0.0 else 0.0
            of_b_type[b_type] = Events(int(row["n_events"]), float(row["sum_of_weights"]), everything.squares * share)
    if truth and not of_b_type:
        raise EventFileError(f"{path}: holds neither B+B- nor B0B0bar events (event types "
                             f"{', '.join(metadata['event_types']) or 'none'}): no tag-side efficiency.")
    return everything, of_b_type
