"""Whether event files hold the same events: they would count twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch
from fei_lite.outputs import PathLike

#: Seeds that files of earlier versions may have share a sequence of Pythia if they differ by this.
_SEEDS = 900_000_000

_ONE, _TWO, _THREE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
#: What of a batch goes into its digest.
_EVENT = ("experiment", "run", "event", "weight")
_OBJECTS = {"tracks": ("helix", "charge"), "clusters": ("E", "theta", "phi")}


def identity_of(origin: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Process, seed and decay file of simulated events, equal for the same ones; None if the origin does not say.

    A longer sample begins with the events of a shorter one, so their number does not matter.

    >>> identity_of({"process": "charged", "seed": 1}) == identity_of({"process": "charged", "seed": 900_000_001})
    True
    """
    if not origin.get("process") or not isinstance(origin.get("seed"), int):
        return None
    return origin["process"], origin["seed"] % _SEEDS, Path(str(origin.get("decay_file", ""))).stem


class DistinctFiles:
    """Event files of one job, one after the other: refuses a file whose events were there before."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], PathLike] = {}
        self._origins: dict[tuple[Any, ...], PathLike] = {}
        self._sizes: dict[int, list[tuple[PathLike, str | None]]] = {}

    def add_path(self, path: PathLike) -> None:
        """A file that is to come, unread; raises :class:`EventFileError` for one that was named before."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return  # whoever opens it says why
        other = self._places.setdefault((status.st_dev, status.st_ino), path)
        if other is not path:
            raise EventFileError(f"{path}: given twice{'' if str(other) == str(path) else f' (also as {other})'}: its "
                                 "events would count twice. Leave one out.")

    def add(self, path: PathLike, origin: Mapping[str, Any]) -> None:
        """A file that was opened, and what it says of itself; raises :class:`EventFileError`."""
        identity = identity_of(origin)
        if identity is not None:
            other = self._origins.setdefault(identity, path)
            if other is not path:
                raise EventFileError(f"{path}: the same process '{identity[0]}' and seed {origin['seed']} as {other}: "
                                     "these events would count twice. Leave one out.")
            return
        alike = self._sizes.setdefault(os.stat(path).st_size, [])
        mine: str | None = None
        for i, (other, content) in enumerate(alike):
            mine = mine or content_hash(path)
            alike[i] = (other, content or content_hash(other))
            if alike[i][1] == mine:
                raise EventFileError(f"{path}: a copy of {other}: its events would count twice. Leave one out.")
        alike.append((path, mine))


def content_hash(path: PathLike) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64: every bit of the input changes half of the output's."""
    x = x + _ONE
    x = (x ^ (x >> np.uint64(30))) * _TWO
    x = (x ^ (x >> np.uint64(27))) * _THREE
    return x ^ (x >> np.uint64(31))


def _bits(column: NDArray[Any]) -> NDArray[np.uint64]:
    """The bits of each row (n, ...), mixed in the order of its numbers."""
    rows = np.ascontiguousarray(column).reshape(len(column), -1)
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
