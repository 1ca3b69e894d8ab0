"""The best Btags of a Btag file, read in pieces: a row per event is all that stays in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, nearest
from fei_lite.evaluation import KINDS
from fei_lite.events.files import PathLike
from fei_lite.tagging.output import read_tags
from fei_lite.tagging.streaming import ROWS, iterate_tags

#: ``event``: one best Btag per event, over the B+ and B0 lists together. ``kind``: the best of each list.
Choice = Literal["event", "kind"]

_COLUMNS = {"entry": "entry", "event": "event", "kind": "pdg", "mode": "decayModeID",
            "probability": "SignalProbability", "mbc": "Mbc", "delta_e": "deltaE", "weight": "weight"}
_IN_BB = "probabilityInBB"
_TRUTH = {"correct": "isSignal", "ancestor": "mcPDG"}


@dataclass(frozen=True)
class Events:
    """The events behind Btags: number, sum of weights, sum of squared weights."""

    n: int
    weight: float
    squares: float


@dataclass(frozen=True)
class BestTags:
    """Best Btags, one row per event that has one (per event and kind with ``choose="kind"``).

    ``entry`` (number of the event in the whole input), ``event`` (its number in
    its file), ``kind`` (521 or 511), ``mode`` (decayModeID), ``probability``,
    ``mbc`` and ``delta_e`` (GeV), ``weight``, ``correct`` (isSignal) and
    ``ancestor`` (mcPDG without sign: the common ancestor of what the candidate is
    made of; 300553 if from both B, 0 if there is none): arrays (n,).
    ``events`` are all events read, with a Btag or not, ``events_of_kind`` those
    of B+B- and of B0B0bar by kind of Btag; ``listed``, by kind, those with a correct
    candidate in the list, the best or not; ``metadata`` the file's.
    """

    entry: NDArray[np.int64]
    event: NDArray[np.int64]
    kind: NDArray[np.int32]
    mode: NDArray[np.int32]
    probability: NDArray[np.float64]
    mbc: NDArray[np.float64]
    delta_e: NDArray[np.float64]
    weight: NDArray[np.float64]
    correct: NDArray[np.bool_]
    ancestor: NDArray[np.int32]
    has_truth: bool
    events: Events
    events_of_kind: dict[str, Events]
    listed: dict[str, Events]
    metadata: dict[str, Any]

    def __len__(self) -> int:
        return len(self.entry)

    def select(self, rows: NDArray[Any]) -> BestTags:
        """The Btags of ``rows``; the events behind them stay the same."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def of_kind(self, kind: str) -> BestTags:
        """The Btags of one kind, ``"B+"`` or ``"B0"``."""
        return self.select(self.kind == KINDS[kind][0])


_ARRAYS = tuple(f.name for f in fields(BestTags) if str(f.type).startswith("NDArray"))


def read_best_tags(path: PathLike, *, choose: Choice = "event", truth: bool = True, in_bb: bool = False,
                   rows: int = ROWS) -> BestTags:
    """The best Btags of a file made by ``fei-lite reconstruct``.

    ``in_bb``: their ``probability`` is given that the event is B Bbar, where the file has it (``probabilityInBB``);
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
    for piece in iterate_tags(path, list(names.values()), optional=[*_TRUTH.values(), _IN_BB], rows=rows):
        if truth and not all(name in piece for name in _TRUTH.values()):
            raise EventFileError(f"{path}: no truth (isSignal, mcPDG): only simulated events tell correct Btags.")
        if in_bb and _IN_BB in piece:
            piece["SignalProbability"] = piece[_IN_BB]
        first, last = first_rows(piece, choose, last)
        pieces.append({name: values[first] for name, values in piece.items()})
        if "isSignal" in piece:
            rows_right = piece["isSignal"] == 1
            right.append({name: piece[name][rows_right] for name in ("entry", "pdg", "weight")})
    found = {field: np.concatenate([p[name] for p in pieces]) if pieces and name in pieces[0] else None
             for field, name in {**_COLUMNS, **_TRUTH}.items()}
    events, of_kind = _events(path, metadata, truth)
    return _assemble(found, events, of_kind, _listed(right, of_kind), metadata)


def _listed(right: list[dict[str, NDArray[Any]]], of_kind: dict[str, Events]) -> dict[str, Events]:
    """Events with a correct candidate, by kind; each counts once, in however many pieces its candidates are."""
    found = {}
    for kind in of_kind:
        entry, weight = (np.concatenate([p[name][np.abs(p["pdg"]) == KINDS[kind][0]] for p in right] or [np.empty(0)])
                         for name in ("entry", "weight"))
        w = weight[np.unique(entry, return_index=True)[1]].astype(np.float64)
        found[kind] = Events(len(w), float(w.sum()), float(np.sum(w**2)))
    return found


def first_rows(piece: dict[str, NDArray[Any]], choose: Choice,
                last: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Rows of the best Btags in a piece of a file, and what it needs to know of this piece for the next.

    ``last``: the same of the piece before (empty for the first).
    """
    if choose == "event":
        return np.flatnonzero(piece["best"] == 1), last
    # candidates stand by event and rank: the first of its kind in an event is the best of its kind
    key = 2 * piece["entry"].astype(np.int64) + (np.abs(piece["pdg"]) == KINDS["B0"][0])
    unique, first = np.unique(key, return_index=True)
    fresh = ~np.isin(unique, last)
    ending = unique[unique // 2 == piece["entry"][-1]] if len(key) else last
    return np.sort(first[fresh]), np.union1d(ending, last)[-2:]


def _assemble(found: dict[str, NDArray[Any] | None], events: Events, of_kind: dict[str, Events],
              listed: dict[str, Events], metadata: dict[str, Any]) -> BestTags:
    n = 0 if found["entry"] is None else len(found["entry"])

    def column(name: str, kind: Any) -> NDArray[Any]:
        values = found[name]
        return np.zeros(n, dtype=kind) if values is None else np.asarray(values).astype(kind)

    return BestTags(
        entry=column("entry", np.int64), event=column("event", np.int64), kind=np.abs(column("kind", np.int32)),
        mode=column("mode", np.int32), probability=column("probability", np.float64),
        mbc=column("mbc", np.float64), delta_e=column("delta_e", np.float64), weight=column("weight", np.float64),
        correct=column("correct", np.int8) == 1, ancestor=np.abs(column("ancestor", np.int32)),
        has_truth=found["correct"] is not None, events=events, events_of_kind=of_kind, listed=listed,
        metadata=metadata)


def _events(path: PathLike, metadata: dict[str, Any], truth: bool) -> tuple[Events, dict[str, Events]]:
    for key in ("n_events", "sum_of_weights", "sum_of_squared_weights", "event_types"):
        if key not in metadata:
            raise EventFileError(f"{path}: the Btag file's metadata has no '{key}': it is not complete."
                                 f"{nearest(key, metadata)}")
    everything = Events(int(metadata["n_events"]), float(metadata["sum_of_weights"]),
                        float(metadata["sum_of_squared_weights"]))
    of_kind = {}
    for kind, (_, event_type) in KINDS.items():
        if row := metadata["event_types"].get(event_type):
            # squares per type are not stored: as large, for their weight, as those of all events
            share = float(row["sum_of_weights"]) / everything.weight if everything.weight > 0.0 else 0.0
            of_kind[kind] = Events(int(row["n_events"]), float(row["sum_of_weights"]), everything.squares * share)
    if truth and not of_kind:
        raise EventFileError(f"{path}: holds neither B+B- nor B0B0bar events (event types "
                             f"{', '.join(metadata['event_types']) or 'none'}): no tag-side efficiency.")
    return everything, of_kind
