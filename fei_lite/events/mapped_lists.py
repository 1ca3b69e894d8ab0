"""Lists of objects (tracks, clusters ...) of a range of events of any layout, through a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.batch import Jagged, offsets_of
from fei_lite.events.checksums import Values
from fei_lite.events.conversion import QUANTITIES, UNITS, Floats, Surroundings, packed_places, scaled_covariance
from fei_lite.events.files import PathLike
from fei_lite.events.layout import HELIX, branches, join
from fei_lite.events.mapping import COSTS, REQUIRED, Column, Mapping, Objects, Truth, as_column
from fei_lite.events.mdst import cluster_region
from fei_lite.events.row_index import RowIndex
from fei_lite.events.tables import Table, find

#: Columns that are 0 (or what is said here) where nothing is known; all others of numbers with a point are NaN.
_UNKNOWN = {"mc_index": -1, "mother": -1, "is_photon": 1, "status": 1, "weight": 1.0}
_ZERO = ("logl_", "time")


@dataclass
class Range:
    """Events ``start`` to ``stop`` of an open file."""

    path: PathLike
    mapping: Mapping
    tables: dict[str, Table]
    index: RowIndex | None
    start: int
    stop: int
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def n_events(self) -> int:
        return self.stop - self.start

    def table(self, objects: Objects) -> Table:
        return self.tables[objects.tree or self.mapping.tree]

    def values(self, objects: Objects, name: str) -> Values:
        """(offsets, values) of a branch of a list."""
        table = self.table(objects)
        if self.index is None:
            return table.read(name, self.start, self.stop)
        first, stop = (rows[self.start:self.stop] for rows in self.index.rows[objects.tree or self.mapping.tree])
        some = stop > first
        low, high = (int(first[some].min()), int(stop[some].max())) if some.any() else (0, 0)
        offsets, values = table.read(name, low, high)
        if offsets is not None:
            raise EventFileError(f"{self.path}: '{name}': found a list a row, expected one number a row.")
        counts = stop - first
        own = offsets_of(counts)
        rows = np.arange(int(own[-1])) + np.repeat(first - low - own[:-1], counts)
        return own, values[rows]


def _note(part: Range, list_name: str, key: str, n: int) -> None:
    for beginning, cost in COSTS[list_name].items():
        if key.startswith(beginning) or key == beginning:
            part.notes.setdefault(f"mapping: {list_name} without {beginning.rstrip('_')}: {cost}", n)
            return
    part.notes.setdefault(f"mapping: {list_name} without {key}", n)


def scaled(column: Column, values: NDArray[Any], around: Surroundings, key: str) -> tuple[Floats, Floats]:
    """Our values, and d(ours)/d(theirs)."""
    unit = UNITS[column.unit][1] if column.unit else 1.0
    theirs = values.astype(np.float64) * (unit * column.factor) + column.offset * unit
    slope = np.full(len(theirs), unit * column.factor)
    if not column.quantity:
        return theirs, slope
    quantity = QUANTITIES[key, column.quantity]
    with np.errstate(all="ignore"):  # what has no value becomes NaN, and is dropped and counted
        return quantity.ours(theirs, around), slope * quantity.slope(theirs, around)


class MappedList:
    """Reads the objects of one list in a range of events."""

    def __init__(self, part: Range, name: str, objects: Objects, bz: Floats) -> None:
        self.part, self.name, self.objects, self._bz = part, name, objects, bz
        self.offsets, self._keep = self._shape()
        n = int(self.offsets[-1])
        self.event = np.repeat(np.arange(part.n_events), np.diff(self.offsets))
        self.around = Surroundings(np.ones(n), bz[self.event] if n else np.zeros(0))

    def _shape(self) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        every = {key: as_column(c) for key, c in (*self.objects.columns.items(), *self.objects.position.items())}
        key, named = next((key, c) for key, c in every.items() if c.names != ("",))
        name = self._find((named.at,), f"{key}: at") if named.at else self._find(named.names, key)
        offsets, _ = self._raw(name)
        self._all = offsets
        where = self.objects.where
        if where is None:
            return offsets, None
        _, values = self._raw(self._find((where.branch,), "where"))
        keep = values == where.equals
        return offsets_of(keep)[offsets] if len(keep) else offsets, keep

    def _find(self, names: Sequence[str], key: str) -> str:
        return find(self.part.path, self.part.table(self.objects), names, f"{self.name}.{key}")

    def _raw(self, name: str, size: int = 1) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(offsets, values) of a branch; ``size`` numbers an object that stand one after the other become (n, size)."""
        offsets, values = self.part.values(self.objects, name)
        if offsets is None:
            raise EventFileError(f"{self.part.path}: '{name}': found one number an event, expected a list an event.")
        if size > 1 and values.ndim == 1:
            if (offsets % size).any():
                raise EventFileError(f"{self.part.path}: '{name}': expected {size} numbers an object.")
            return offsets // size, values.reshape(-1, size)
        return offsets, values

    def branch(self, names: Sequence[str], key: str, at: str = "", end: str = "", size: int = 1) -> NDArray[Any]:
        """Values of a branch, one per object; through the index ``at`` if there is one (NaN: outside)."""
        offsets, values = self._raw(self._find(names, key), size)
        if at:
            own, index = self._raw(self._find((at,), f"{key}: at"))
            counts = np.repeat(np.diff(offsets), np.diff(own))
            inside = (index >= 0) & (index < counts)
            if end:
                inside &= index < self._raw(self._find((end,), f"{key}: end"))[1]
            first = np.repeat(offsets[:-1], np.diff(own))
            taken = np.full((len(index), *values.shape[1:]), np.nan)
            taken[inside] = values[(first + index)[inside]]
            offsets, values = own, taken
        if self._keep is not None:
            if len(values) != len(self._keep):
                raise self._length(names[0])
            return values[self._keep]
        if not np.array_equal(offsets, self.offsets):
            raise self._length(names[0])
        return values

    def _length(self, name: str) -> EventFileError:
        return EventFileError(f"{self.part.path}: {self.name}: branch '{name}' has another number of objects in an "
                              "event than the first column of the list.")

    def column(self, key: str, given: Any) -> tuple[Floats, Floats]:
        """Our column and its slopes."""
        column = as_column(given)
        values = np.full(len(self.event), column.value) if column.value is not None else \
            self.branch(column.names, key, column.at, column.end)
        if values.ndim == 2 and column.element is not None and column.element < values.shape[1]:
            values = values[:, column.element]
        if values.ndim != 1:
            raise EventFileError(f"{self.part.path}: {self.name}.{key}: found {values.shape[1]} numbers an object, "
                                 "expected one: say which by element.")
        name = key.removeprefix("positive_").removeprefix("negative_")
        return scaled(column, values, self.around, name)

    def read(self) -> Jagged:
        """The list."""
        self._check_zeros()
        found: dict[str, NDArray[Any]] = {}
        slopes: dict[str, Floats] = {}
        given = dict(self.objects.columns)
        charge_first = sorted(given, key=lambda key: key != "charge")
        for key in charge_first:
            column = as_column(given[key])
            there = column.value is not None or any(n in self.part.table(self.objects).names for n in column.names)
            if not there and key not in REQUIRED[self.name]:
                continue  # said below, as missing
            found[key], slopes[key] = self.column(key, given[key])
            if key == "charge":
                self.around = Surroundings(np.sign(found[key]), self.around.bz)
        if self.objects.position:
            self._positions(found)
        if self.objects.truth is not None:
            self._truth(self.objects.truth, found)
        if self.name == "tracks":
            self._track_columns(found, slopes)
        if self.name == "generated" and as_column(given["E"]).quantity == "mass":
            found["E"] = np.sqrt(found["E"]**2 + found["px"]**2 + found["py"]**2 + found["pz"]**2)
        return self._finished(found)

    def _check_zeros(self) -> None:
        for name in self.objects.zero:
            values = self.branch((name,), "zero", self.objects.zero_at)
            if (np.abs(np.nan_to_num(values)) > 1e-4).any():
                raise EventFileError(f"{self.part.path}: {self.name}: '{name}': found "
                                     f"{values[np.abs(np.nan_to_num(values)) > 1e-4][0]:g}, expected 0 everywhere: the "
                                     "parameters are those at another point.")

    def _truth(self, links: Truth, found: dict[str, NDArray[Any]]) -> None:
        """The generated particle of each object, -1 without a link; without the links it stays missing."""
        names = self.part.table(self.objects).names
        ours, theirs = (next((n for n in given if n in names), "") for given in (links.object, links.particle))
        if not ours or not theirs:
            return
        offsets, index = self._raw(ours)
        other, particle = self._raw(theirs)
        third, weight = self._raw(links.weight) if links.weight in names else (offsets, np.ones(len(index)))
        if not (np.array_equal(offsets, other) and np.array_equal(offsets, third)):
            raise EventFileError(f"{self.part.path}: {self.name}.truth: the branches of the links have different "
                                 "lengths.")
        counts = np.repeat(np.diff(self._all), np.diff(offsets))
        good = np.flatnonzero((index >= 0) & (index < counts) & (weight >= links.least))
        order = good[np.argsort(weight[good], kind="stable")]  # the largest is set last
        matched = np.full(int(self._all[-1]), -1)
        matched[(np.repeat(self._all[:-1], np.diff(offsets)) + index)[order]] = particle[order]
        found["mc_index"] = matched if self._keep is None else matched[self._keep]

    def _positions(self, found: dict[str, NDArray[Any]]) -> None:
        x, y, z = (scaled(as_column(c), self.branch(as_column(c).names, key), self.around, key)[0]
                   for key, c in sorted(self.objects.position.items()))
        found |= {"theta": np.arctan2(np.hypot(x, y), z), "phi": np.arctan2(y, x), "r": np.sqrt(x * x + y * y + z * z)}

    def _track_columns(self, found: dict[str, NDArray[Any]], slopes: dict[str, Floats]) -> None:
        stretch = np.stack([slopes[name] for name in HELIX], axis=1) if len(self.event) else np.zeros((0, 5))
        found["phi0"] = np.remainder(found["phi0"] + np.pi, 2 * np.pi) - np.pi
        if "charge" not in found:
            found["charge"] = np.sign(found["omega"])
        packed = self._packed(found)
        if packed is None:
            _note(self.part, "tracks", "cov", len(self.event))
            packed = np.zeros((len(self.event), 15))
            for place, name in zip((0, 5, 9, 12, 14), HELIX, strict=True):
                column = as_column(self.objects.errors[name])
                values = np.full(len(self.event), column.value) if column.value is not None else \
                    self.branch(column.names, f"errors.{name}", column.at)
                packed[:, place] = values.astype(np.float64)**2
        i, j = np.triu_indices(5)
        found |= {f"cov_{a}{b}": values
                  for a, b, values in zip(i, j, scaled_covariance(packed, stretch).T, strict=True)}

    def _packed(self, found: dict[str, NDArray[Any]]) -> NDArray[Any] | None:
        """Their covariance in our order; None where only errors are known."""
        given = self.objects.covariance
        if given is not None:
            names = (given.branch,) if isinstance(given.branch, str) else given.branch
            n = len(given.parameters)
            values = self.branch(names, "covariance", given.at, size=n * (n + 1) // 2)
            if values.ndim != 2 or values.shape[1] != n * (n + 1) // 2:
                raise EventFileError(f"{self.part.path}: tracks.covariance: found "
                                     f"{values.shape[1] if values.ndim == 2 else 1} numbers a track, expected "
                                     f"{n * (n + 1) // 2} of {n} parameters.")
            return values[:, packed_places(given.order, given.parameters)].astype(np.float64)
        keys = [f"cov_{i}{j}" for i in range(5) for j in range(i, 5)]
        if all(key in found for key in keys):
            return np.stack([found[key] for key in keys], axis=1)
        if self.objects.errors:
            return None
        missing = next(key for key in keys if key not in found)
        raise EventFileError(f"{self.part.path}: tracks.{missing}: no such branch, and no errors of the helix: without "
                             "a covariance no vertex is fitted.")

    def _finished(self, found: dict[str, NDArray[Any]]) -> Jagged:
        """All columns of the schema; those that are not there are filled, and said."""
        arrays = {}
        n = len(self.event)
        for b in branches(self.name):
            key = b.name.removeprefix(f"{self.name}_")
            if key in found:
                values = found[key]
            elif key == "region":
                values = cluster_region(np.nan_to_num(found["theta"]))
                _note(self.part, self.name, key, n)
            else:
                if b.list != "v0s":
                    _note(self.part, self.name, key, n)
                floating = (b.dtype.kind == "f" and not key.startswith(_ZERO)) or key == "timing"
                values = np.full(n, _UNKNOWN.get(key, np.nan if floating else 0))
            arrays[b.name] = _typed(values, b.dtype, _UNKNOWN.get(key, 0))
        return Jagged(self.offsets, join(self.name, arrays))


def _typed(values: NDArray[Any], kind: np.dtype, unknown: float) -> NDArray[Any]:
    """Values as the schema's type; a whole number that is NaN or too large is unknown."""
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(kind)
    limits = np.iinfo(kind)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(values) & (values >= limits.min) & (values <= limits.max)
    return np.rint(np.where(good, values, unknown)).astype(kind)
