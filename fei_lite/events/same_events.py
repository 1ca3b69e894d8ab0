"""Whether event files hold the same events: they would count twice."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch
from fei_lite.events.remote import is_url
from fei_lite.outputs import PathLike

#: Seeds that files of earlier versions may have share a sequence of Pythia if they differ by this.
_SEEDS = 900_000_000

_ONE, _TWO, _THREE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
#: What of a batch goes into its digest.
_EVENT = ("experiment", "run", "event", "weight")
_OBJECTS = {"tracks": ("helix", "charge"), "clusters": ("E", "theta", "phi")}


#: What, besides process and seed, decides which events a generator makes: the digest of its content, and what
#: stands for it in files of earlier versions, which have no digest.
_MADE_BY = (("settings_digest", ""), ("enrich_digest", "enrich"), ("decay_digest", "decay_file"))


def seed_of(origin: Mapping[str, Any]) -> tuple[str, int] | None:
    """Process and seed of simulated events; None if the origin does not say.

    >>> seed_of({"process": "charged", "seed": 1}) == seed_of({"process": "charged", "seed": 900_000_001})
    True
    """
    if not origin.get("process") or not isinstance(origin.get("seed"), int):
        return None
    return str(origin["process"]), int(origin["seed"]) % _SEEDS


def same_sample(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two origins are of the same generated events: process, seed and the content of what made them.

    The content of decay file, settings and enrichment counts, not their names. What is done to the
    events afterwards (selection, response, number of them) does not: they are the same events, and a
    longer sample begins with those of a shorter one. False if an origin does not say.

    >>> monash = {"process": "charged", "seed": 1, "settings_digest": "b"}
    >>> same_sample(monash, monash | {"settings_digest": "a"}), same_sample(monash, monash | {"selection": "hta"})
    (False, True)
    """
    if seed_of(one) is None or seed_of(one) != seed_of(other):
        return False
    for digest, name in _MADE_BY:
        mine, theirs = ((origin.get(digest), Path(str(origin.get(name, ""))).stem) for origin in (one, other))
        known = mine[0] is not None and theirs[0] is not None
        if mine[0] != theirs[0] if known else bool(name) and mine[1] != theirs[1]:
            return False
    return True


class DistinctFiles:
    """Event files of one job, one after the other: refuses a file whose events were there before."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int] | str, PathLike] = {}
        self._seeds: dict[tuple[str, int], list[tuple[PathLike, Mapping[str, Any]]]] = {}
        self._sizes: dict[int, list[tuple[PathLike, bool, int | None]]] = {}

    def add_path(self, path: PathLike) -> None:
        """A file that is to come, unread; raises :class:`EventFileError` for one that was named before."""
        place: tuple[int, int] | str = os.fspath(path)
        if not is_url(path):
            try:
                status = os.stat(path)
            except (OSError, ValueError):
                return  # whoever opens it says why
            place = (status.st_dev, status.st_ino)
        other = self._places.setdefault(place, path)
        if other is not path:
            raise EventFileError(f"{path}: given twice{'' if str(other) == str(path) else f' (also as {other})'}: its "
                                 "events would count twice. Leave one out.")

    def add(self, path: PathLike, origin: Mapping[str, Any], *, n_events: int,
            ends: Callable[[PathLike, int], int]) -> None:
        """A file that was opened, and what it says of itself; raises :class:`EventFileError`.

        Where a file does not say what made it, it is compared with those of as many events by what they
        hold: ``ends`` gives a number for the first and last events of a file (:func:`digest_of`).
        """
        seed = seed_of(origin)
        for other, theirs in [] if seed is None else self._seeds.setdefault(seed, []):
            if same_sample(origin, theirs):
                raise EventFileError(f"{path}: the same process '{origin['process']}' and seed {origin['seed']} as "
                                     f"{other}: these events would count twice. Leave one out.")
        if seed is not None:
            self._seeds[seed].append((path, dict(origin)))
        alike = self._sizes.setdefault(n_events, [])
        mine: int | None = None
        for i, (other, said, content) in enumerate(alike):
            if n_events == 0 or (said and seed is not None):
                continue
            mine = ends(path, n_events) if mine is None else mine
            alike[i] = (other, said, ends(other, n_events) if content is None else content)
            if alike[i][2] == mine:
                raise EventFileError(f"{path}: the same events as in {other}: they would count twice. Leave one out.")
        alike.append((path, seed is not None, mine))


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64: every bit of the input changes half of the output's."""
    x = x + _ONE
    x = (x ^ (x >> np.uint64(30))) * _TWO
    x = (x ^ (x >> np.uint64(27))) * _THREE
    return x ^ (x >> np.uint64(31))


def _bits(column: NDArray[Any]) -> NDArray[np.uint64]:
    """The bits of each row (n, ...), mixed in the order of its numbers."""
    rows = np.ascontiguousarray(column).reshape(len(column), math.prod(column.shape[1:]))
    numbers = rows.astype(np.float64).view(np.uint64) if rows.dtype.kind == "f" else rows.astype(np.int64).view(
        np.uint64)
    found = np.zeros(len(rows), dtype=np.uint64)
    for values in numbers.T:
        found = _mixed(found ^ values)
    return found


def digest_of(batch: EventBatch, first_entry: int = 0) -> int:
    """A number of 64 bits of the events of a batch: key, weight, tracks and clusters, and where they stand.

    The digest of several batches is their sum modulo 2^64, however the events are cut into batches,
    files and formats; another event, or another order, gives another one.
    """
    n = batch.n_events
    found = _mixed(np.arange(first_entry, first_entry + n, dtype=np.int64).view(np.uint64))
    for name in _EVENT:
        found = _mixed(found ^ _bits(batch.events[name]))
    for name, columns in _OBJECTS.items():
        objects = getattr(batch, name)
        rows = np.zeros(len(objects), dtype=np.uint64)
        for column in columns:
            rows = _mixed(rows ^ _bits(objects[column]))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(rows, dtype=np.uint64)])
        found = _mixed(found ^ (sums[objects.offsets[1:]] - sums[objects.offsets[:-1]]))
    return int(np.sum(found, dtype=np.uint64))
