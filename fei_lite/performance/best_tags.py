"""The best Btags of a sample of events, from a Btag file or as they are made: one row per event stays in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, nearest
from fei_lite.events.files import PathLike
from fei_lite.fractions import Sums
from fei_lite.tagging.output import read_tags
from fei_lite.tagging.streaming import ROWS, iterate_tags

#: B types of Btags: name, absolute PDG code, and the event type that has them.
B_TYPES = {"B+": (521, "B+B-"), "B0": (511, "B0B0bar")}

#: ``event``: one best Btag per event, over the B+ and B0 lists together. ``type``: the best of each list.
Choice = Literal["event", "type"]

_COLUMNS = {"entry": "entry", "event": "event", "b_type": "pdg", "mode": "decayModeID",
            "probability": "SignalProbability", "mbc": "Mbc", "delta_e": "deltaE", "weight": "weight"}
_GIVEN_BB = "SignalProbabilityGivenBB"
_TRUTH = {"correct": "isSignal", "ancestor": "mcPDG"}


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
    events: Sums
    events_of_b_type: dict[str, Sums]
    listed: dict[str, Sums]
    metadata: dict[str, Any]

    def __len__(self) -> int:
        return len(self.entry)

    def select(self, rows: NDArray[Any]) -> BestTags:
        """The Btags of ``rows``; the events behind them stay the same."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def of_b_type(self, b_type: str) -> BestTags:
        """The Btags of one B type, ``"B+"`` or ``"B0"``."""
        return self.select(self.b_type == B_TYPES[b_type][0])

    def columns(self) -> dict[str, NDArray[Any]]:
        """The Btags under the names that a Btag file gives them; isSignal and mcPDG where there is truth."""
        names = _COLUMNS | (_TRUTH if self.has_truth else {})
        return {name: getattr(self, own) for own, name in names.items()}


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
    found = TagPieces(choose, given_bb)
    some = metadata.get("event_types") or {}
    if "unknown" in some and len(some) > 1 and truth:
        raise EventFileError(f"{path}: {some['unknown']['n_events']} of its events have no truth: only simulated "
                             "events tell correct Btags. Reconstruct them apart.")
    optional = [*(() if "unknown" in some else _TRUTH.values()), _GIVEN_BB]
    for piece in iterate_tags(path, [*_COLUMNS.values(), "best"], optional=optional, rows=rows):
        if truth and not all(name in piece for name in _TRUTH.values()):
            raise EventFileError(f"{path}: no truth (isSignal, mcPDG): only simulated events tell correct Btags.")
        found.add(piece)
    tags = found.best_tags(metadata, where=path)
    if truth and not tags.events_of_b_type:
        raise EventFileError(f"{path}: holds neither B+B- nor B0B0bar events (event types "
                             f"{', '.join(metadata['event_types']) or 'none'}): no tag-side efficiency.")
    return tags


@dataclass
class TagPieces:
    """Collects the best Btags from pieces of a Btag table, in the order of the events.

    ``choose`` and ``given_bb``: see :func:`read_best_tags`.
    """

    choose: Choice = "event"
    given_bb: bool = False
    _best: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    _correct: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    # of the last event of the piece before: its rest follows
    _last: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def add(self, piece: Mapping[str, NDArray[Any]]) -> None:
        """Add the candidates of a piece: columns of a Btag file, with ``best``; isSignal and mcPDG if known."""
        # as in fei_lite.tagging.best: a candidate of undefined Mbc or probability is never the best
        usable = np.isfinite(piece["Mbc"]) & np.isfinite(piece["SignalProbability"])
        if not usable.all():
            piece = {name: values[usable] for name, values in piece.items()}
        first, self._last = first_rows(piece, self.choose, self._last)
        names = {**_COLUMNS, **{f: name for f, name in _TRUTH.items() if name in piece}}
        if self.given_bb and _GIVEN_BB in piece:
            names["probability"] = _GIVEN_BB
        self._best.append({f: piece[name][first] for f, name in names.items()})
        if "isSignal" in piece:
            rows = piece["isSignal"] == 1
            self._correct.append({name: piece[name][rows] for name in ("entry", "pdg", "weight")})

    def merge(self, other: TagPieces) -> None:
        """Add the pieces of the events that follow."""
        self._best += other._best
        self._correct += other._correct
        self._last = other._last

    def best_tags(self, metadata: Mapping[str, Any], *, where: PathLike = "Btags") -> BestTags:
        """The best Btags of all pieces; ``metadata`` has the sums over all events, as a Btag file's.

        Raises :class:`EventFileError`, with ``where``, if a sum is missing.
        """
        events, of_b_type = _events(metadata, where)
        columns = {f: np.concatenate([p[f] for p in self._best]) if self._best and f in self._best[0] else None
                   for f in (*_COLUMNS, *_TRUTH)}
        return _assemble(columns, events, of_b_type, self._listed(of_b_type), dict(metadata))

    def _listed(self, of_b_type: Mapping[str, Sums]) -> dict[str, Sums]:
        """Events with a correct candidate, by B type; each counts once, however many pieces hold its candidates."""
        found = {}
        for b_type in of_b_type:
            entry, weight = (np.concatenate([p[name][np.abs(p["pdg"]) == B_TYPES[b_type][0]] for p in self._correct]
                                            or [np.empty(0)])
                             for name in ("entry", "weight"))
            found[b_type] = Sums.of(weight[np.unique(entry, return_index=True)[1]])
        return found


def first_rows(piece: Mapping[str, NDArray[Any]], choose: Choice,
               last: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Rows of the best Btags in a piece of a file, and what it needs to know of this piece for the next.

    ``last``: the same of the piece before (empty for the first).
    """
    if choose == "event":
        return np.flatnonzero(piece["best"] == 1), last
    # candidates stand by event and rank: the first of a B type in an event is the best of its B type
    key = 2 * piece["entry"].astype(np.int64) + (np.abs(piece["pdg"]) == B_TYPES["B0"][0])
    unique, first = np.unique(key, return_index=True)
    fresh = ~np.isin(unique, last)
    ending = unique[unique // 2 == piece["entry"][-1]] if len(key) else last
    return np.sort(first[fresh]), np.union1d(ending, last)[-2:]


def said(metadata: Mapping[str, Any], key: str, where: PathLike = "Btags") -> Any:
    """What a Btag file says under ``key``; :class:`EventFileError` if nothing."""
    if metadata.get(key) is None:
        raise EventFileError(f"{where}: the Btag file's metadata has no '{key}'."
                             f"{nearest(key, {k for k in metadata if k != key})}")
    return metadata[key]


def _assemble(found: Mapping[str, NDArray[Any] | None], events: Sums, of_b_type: dict[str, Sums],
              listed: dict[str, Sums], metadata: dict[str, Any]) -> BestTags:
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


def _events(metadata: Mapping[str, Any], where: PathLike) -> tuple[Sums, dict[str, Sums]]:
    """All events, and those of each B type's event type."""
    for key in ("n_events", "sum_of_weights", "sum_of_squared_weights", "event_types"):
        if metadata.get(key) is None:
            raise EventFileError(f"{where}: the Btag file's metadata has no '{key}': it is not complete."
                                 f"{nearest(key, {k for k in metadata if k != key})}")
    everything = Sums(int(metadata["n_events"]), float(metadata["sum_of_weights"]),
                      float(metadata["sum_of_squared_weights"]))
    if everything.n and not everything.weight > 0.0:
        raise EventFileError(f"{where}: the weights of its {everything.n} events sum to {everything.weight:g}, "
                             "expected a positive sum: no efficiency is defined.")
    of_b_type = {}
    for b_type, (_, event_type) in B_TYPES.items():
        if row := metadata["event_types"].get(event_type):
            # files of earlier versions lack the squares per type: as large, for their weight, as those of all events
            weight = float(said(row, "sum_of_weights", where))
            part = weight / everything.weight if everything.weight > 0.0 else 0.0
            of_b_type[b_type] = Sums(int(row["n_events"]), weight,
                                     float(everything.squares * part if row.get("sum_of_squared_weights") is None
                                           else row["sum_of_squared_weights"]))
    return everything, of_b_type
