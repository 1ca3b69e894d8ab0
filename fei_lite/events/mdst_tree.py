"""Members of a Belle II mDST tree, looked up by name in any format generation.

An mDST file holds a TTree ``tree`` with one entry per event. Each member of a
stored object is a jagged branch (``ECLClusters.m_theta``), each relation a
container of (from, to, weight) elements. Which members there are depends on
the format generation, so members are asked for by name and several names may
be offered.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, nearest
from fei_lite.events.batch import offsets_of
from fei_lite.events.rootio import damage_reported

TREE = "tree"


def _base(name: str) -> str:
    """Branch name without the class prefix and the fixed dimensions.

    >>> _base("TrackFitResults.m_tau[5]"), _base("m_elements.m_from")
    ('m_tau', 'm_from')
    """
    return name.split("[")[0].rsplit(".", 1)[-1]


class MdstTree:
    """Entries ``start`` to ``stop`` of an mDST tree, member by member."""

    def __init__(self, tree: Any, path: str | os.PathLike[str], start: int, stop: int) -> None:
        self.path, self.start, self.stop = path, start, stop
        self._branches: dict[str, dict[str, Any]] = {
            top.name: {_base(b.name): b for b in top.itervalues(recursive=True)} for top in tree.branches
        }
        self._offsets: dict[str, NDArray[np.int64]] = {}

    def has(self, container: str, member: str | None = None) -> bool:
        """Whether the file has a container (and a member of it)."""
        return container in self._branches and (member is None or member in self._branches[container])

    def _branch(self, container: str, members: tuple[str, ...]) -> tuple[str, Any]:
        if container not in self._branches:
            raise EventFileError(f"{self.path}: expected the mDST objects '{container}', which are not in the file."
                                 f"{nearest(container, self._branches)}")
        known = self._branches[container]
        for member in members:
            if member in known:
                return member, known[member]
        names = " or ".join(f"'{m}'" for m in members)
        raise EventFileError(f"{self.path}: mDST objects '{container}': expected a member {names}, found none."
                             f"{nearest(members[0], known)}")

    def _array(self, branch: Any) -> Any:
        with damage_reported(self.path, f"reading '{branch.name}', entries {self.start} to {self.stop}"):
            return branch.array(entry_start=self.start, entry_stop=self.stop, library="ak", array_cache=None)

    def event(self, container: str, member: str) -> NDArray[Any]:
        """A number per event, shape (n_events,)."""
        return np.asarray(self._array(self._branch(container, (member,))[1]))

    def member(self, container: str, *members: str) -> tuple[str, NDArray[Any]]:
        """(name, values) of the first of ``members`` that exists; values flat over objects, (n, ...)."""
        import awkward as ak

        name, branch = self._branch(container, members)
        array = self._array(branch)
        with damage_reported(self.path, f"decoding '{branch.name}'"):
            layout = array.layout.to_ListOffsetArray64(True)
            offsets = np.asarray(layout.offsets.data)
            values = np.asarray(ak.to_numpy(ak.Array(layout.content[:offsets[-1]])))
        known = self._offsets.setdefault(container, offsets)
        if not np.array_equal(known, offsets):
            raise EventFileError(f"{self.path}: mDST member '{branch.name}': another number of objects per event "
                                 "than the members read before. Copy or make the file again.")
        return name, values

    def values(self, container: str, *members: str) -> NDArray[Any]:
        """Values of the first of ``members`` that exists, flat over objects."""
        return self.member(container, *members)[1]

    def offsets(self, container: str, member: str) -> NDArray[np.int64]:
        """Event offsets (n_events + 1) of the objects, after a member of it (or this one) was read."""
        if container not in self._offsets:
            self.member(container, member)
        return self._offsets[container]

    def relation(self, source: str, target: str, n_source: NDArray[np.int64],
                 n_target: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index in its event of the target related to each source object, -1 if none.

        ``n_source``, ``n_target``: objects per event. Of several targets the
        one with the largest absolute weight wins (a negative weight marks a
        refitted or secondary match), the first of equals. Without such a
        relation in the file (data) all are -1.
        """
        first = offsets_of(n_source)
        best = np.full(int(first[-1]), -1, dtype=np.int64)
        name = f"{source}To{target}"
        if not self.has(name, "m_from"):
            return best
        event, start, to, weight = self._elements(name)
        inside = (start >= 0) & (start < n_source[event]) & (to >= 0) & (to < n_target[event])
        event, start, to, weight = (a[inside] for a in (event, start, to, weight))
        row = first[event] + start
        order = np.lexsort((-np.arange(len(row)), np.abs(weight), row))  # the last one of a row wins
        best[row[order]] = to[order]
        return best

    def _elements(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """(event, from, to, weight) of every single link of a relation."""
        import awkward as ak

        origin, target, weight = (self._array(self._branch(name, (m,))[1]) for m in ("m_from", "m_to", "m_weights"))
        with damage_reported(self.path, f"decoding the relation '{name}'"):
            per_element = ak.num(target, axis=2)
            event = np.repeat(np.arange(len(origin)), ak.to_numpy(ak.sum(per_element, axis=1)).astype(np.int64))
            links = np.repeat(ak.to_numpy(ak.flatten(origin)), ak.to_numpy(ak.flatten(per_element)))
            flat_to, flat_weight = (ak.to_numpy(ak.flatten(a, axis=None)) for a in (target, weight))
        return event, links.astype(np.int64), flat_to.astype(np.int64), flat_weight.astype(np.float64)


def cdc_hits(pattern: NDArray[np.uint64]) -> NDArray[np.int16]:
    """Drift-chamber hits of a track: the highest byte of its pattern counts them, up to 255.

    (The other 56 bits say which layers have a hit; basf2's HitPatternCDC.)

    >>> int(cdc_hits(np.array([(57 << 56) | 0b1011], dtype=np.uint64))[0])
    57
    """
    return (pattern >> np.uint64(56)).astype(np.int16)


def _two_bit_sum(pattern: NDArray[np.uint32], shifts: range) -> NDArray[np.int16]:
    bits = pattern.astype(np.uint32)
    return sum(((bits >> np.uint32(s)) & np.uint32(3)).astype(np.int16) for s in shifts)  # type: ignore[return-value]


def pxd_hits(pattern: NDArray[np.uint32]) -> NDArray[np.int16]:
    """Pixel hits of a track: two layers of two 2-bit counters (normal and gated mode), basf2's HitPatternVXD.

    >>> int(pxd_hits(np.array([0b0001_0001], dtype=np.uint32))[0])
    2
    """
    return _two_bit_sum(pattern, range(0, 8, 2))


def svd_hits(pattern: NDArray[np.uint32]) -> NDArray[np.int16]:
    """Strip hits of a track: four layers of two 2-bit counters (u and v side), basf2's HitPatternVXD.

    >>> int(svd_hits(np.array([0x555511], dtype=np.uint32))[0])
    8
    """
    return _two_bit_sum(pattern, range(8, 24, 2))
