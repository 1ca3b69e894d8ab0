"""What Btags are made of, in the order of their decay chain: which track is the kaon, which D is in it.

Two lists per candidate, in the order in which ``decayChain`` writes the particles:

=============================================  ==========================================================
``final_pdg``                                  hypothesis of each final-state particle (PDG code)
``final_track``, ``final_cluster``             its index in the event's list, -1 in the other one
``intermediate_pdg``                           D*, D, K_S0, pi0, ... (converted photons, too)
``intermediate_M``                             its mass, GeV
``intermediate_SignalProbability``             output of its classifier
``intermediate_decayModeID``                   its channel
=============================================  ==========================================================

Tracks of a V0 stand for themselves, the positive one of the particle as named first. A candidate whose final state
tells no flavour (D0 -> K+ K-) has the code that its mother's channel gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel
from fei_lite.events import offsets_of
from fei_lite.particles import is_self_conjugate, pdg_code
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.tagging.table import Column
from fei_lite.variables.tracks import is_track, v0_track

_FINAL: Mapping[str, type] = {"pdg": np.int32, "track": np.int32, "cluster": np.int32}
_INTERMEDIATE: Mapping[str, type] = {
    "pdg": np.int32, "M": np.float64, "SignalProbability": np.float64, "decayModeID": np.int32}
NAMES = (*(f"final_{name}" for name in _FINAL), *(f"intermediate_{name}" for name in _INTERMEDIATE))


@dataclass(frozen=True)
class _Lists:
    """Lists of n candidates: ``offsets`` (n + 1,) and the values by name."""

    offsets: NDArray[np.int64]
    values: dict[str, NDArray]

    def take(self, rows: NDArray[np.integer]) -> _Lists:
        """The lists of ``rows``."""
        counts = np.diff(self.offsets)[rows]
        offsets = offsets_of(counts)
        index = np.arange(int(offsets[-1])) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], counts)
        return _Lists(offsets, {name: values.take(index) for name, values in self.values.items()})


#: Lists of some candidates, and which ones.
_Part = tuple[NDArray[np.integer], _Lists]


def _single(values: dict[str, NDArray]) -> _Lists:
    """Lists of one entry each."""
    return _Lists(np.arange(len(next(iter(values.values()))) + 1), values)


def _joined(parts: Sequence[_Part], n: int, types: Mapping[str, type]) -> _Lists:
    """The lists of ``n`` candidates from those of all parts, the entries of earlier parts first."""
    counts = np.zeros(n, dtype=np.int64)
    before = []
    for rows, lists in parts:
        before.append(counts[rows])
        counts[rows] += np.diff(lists.offsets)
    offsets = offsets_of(counts)
    out: dict[str, NDArray] = {name: np.empty(int(offsets[-1]), kind) for name, kind in types.items()}
    for (rows, lists), ahead in zip(parts, before, strict=True):
        size = np.diff(lists.offsets)
        place = np.arange(int(lists.offsets[-1])) + np.repeat(offsets[:-1][rows] + ahead - lists.offsets[:-1], size)
        for name, values in lists.values.items():
            out[name][place] = values
    return _Lists(offsets, out)


class DecayParts:
    """The lists of all candidates of a reconstructed batch; each particle's table is looked at once."""

    def __init__(self, result: Reconstruction) -> None:
        self.result = result
        self._done: dict[str, tuple[_Lists, _Lists]] = {}

    def columns(self, particles: Sequence[str], order: NDArray[np.integer]) -> dict[str, Column]:
        """The columns of the particles' tables, one after the other, then in ``order``."""
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        final: list[_Part] = []
        inner: list[_Part] = []
        n = 0
        for particle in particles:
            of_table: tuple[list[_Part], list[_Part]] = self._parts(particle, itself=False)
            rows = place[n:n + len(self.result.tables[particle])]
            n += len(rows)
            final += [(rows[here], lists) for here, lists in of_table[0]]
            inner += [(rows[here], lists) for here, lists in of_table[1]]
        found: dict[str, Column] = {}
        for prefix, parts, types in (("final", final, _FINAL), ("intermediate", inner, _INTERMEDIATE)):
            joined = _joined(parts, n, types)
            found |= {f"{prefix}_{name}": (joined.offsets, values) for name, values in joined.values.items()}
        return found

    def _of(self, particle: str) -> tuple[_Lists, _Lists]:
        if particle not in self._done:
            final, inner = self._parts(particle)
            n = len(self.result.tables[particle])
            self._done[particle] = (_joined(final, n, _FINAL), _joined(inner, n, _INTERMEDIATE))
        return self._done[particle]

    def _parts(self, particle: str, *, itself: bool = True) -> tuple[list[_Part], list[_Part]]:
        """Lists of the candidates of a particle, in pieces; ``itself``: the candidate is the first intermediate."""
        table = self.result.tables[particle]
        final: list[_Part] = []
        inner: list[_Part] = []
        for index in np.unique(table["decayModeID"]):
            here = np.flatnonzero(table["decayModeID"] == index)
            channel = self.result.channel_set.particles[particle].channels[index]
            if channel.leaf != "FSP" and itself:
                inner.append((here, _single({"pdg": _codes(table.particle, table["sign"][here]), **{
                    name: table[name][here] for name in ("M", "SignalProbability", "decayModeID")}})))
            self._add(table, here, channel, final, inner)
        return final, inner

    def _add(self, table: CandidateTable, here: NDArray[np.intp], channel: Channel, final: list[_Part],
             inner: list[_Part]) -> None:
        """What the candidates ``here`` of one channel are made of."""
        if channel.leaf == "FSP":
            final.append((here, self._final(table.particle, table["object"][here], table["sign"][here],
                                            table.event_index[here])))
            return
        if channel.leaf == "V0":
            event = table.event_index[here]
            for which in (0, 1):
                track = v0_track(table.particle, table["object"][here], table["sign"][here], event,
                                 self.result.batch, which=which)
                final.append((here, self._final(track.particle, track["object"], track["sign"], event)))
            return
        sign = np.where(table["sign"][here] < 0, -1, 1)
        for j, name in enumerate(channel.daughters if channel.leaf is None else ()):
            known = str(self.result.channel_set.resolve(name))
            daughter, rows = self.result.tables[known], table["daughters"][here, j]
            of_final, of_inner = self._of(known)
            final.append((here, of_final.take(rows)))
            inner.append((here, _named(of_inner.take(rows), daughter["sign"][rows] == 0,
                                       sign * (1 if known == name else -1), known)))

    def _final(self, particle: str, objects: NDArray[np.int32], sign: NDArray[np.int8],
               event: NDArray[np.int64]) -> _Lists:
        none = np.full(len(objects), -1, np.int32)
        of = self.result.batch.tracks if is_track(particle) else self.result.batch.clusters
        index = (objects - of.offsets[event]).astype(np.int32)
        track, cluster = (index, none) if is_track(particle) else (none, index)
        return _single({"pdg": _codes(particle, sign), "track": track, "cluster": cluster})


def _codes(particle: str, sign: NDArray[np.integer]) -> NDArray[np.int32]:
    code = pdg_code(particle)
    return (code * np.where((sign < 0) & (not is_self_conjugate(code)), -1, 1)).astype(np.int32)


def _named(lists: _Lists, unflavoured: NDArray[np.bool_], sign: NDArray[np.integer], particle: str) -> _Lists:
    """Daughters without a flavour of their own (the first entries) take that of their mother's channel."""
    if not unflavoured.any() or is_self_conjugate(pdg_code(particle)):
        return lists
    codes = lists.values["pdg"].copy()
    codes[lists.offsets[:-1][unflavoured]] = pdg_code(particle) * sign[unflavoured]
    return _Lists(lists.offsets, lists.values | {"pdg": codes})
