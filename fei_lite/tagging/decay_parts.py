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
    """Entries of n candidates: ``row`` (rising) of each entry, and its values by name."""

    row: NDArray[np.int64]
    values: dict[str, NDArray]

    def of_rows(self, rows: NDArray[np.integer], n: int, to: NDArray[np.integer]) -> _Lists:
        """The entries of ``rows`` of a table of ``n``, as entries of the candidates ``to``."""
        offsets = offsets_of(np.bincount(self.row, minlength=n))
        counts = np.diff(offsets)[rows]
        starts = np.cumsum(counts) - counts
        index = np.repeat(offsets[:-1][rows] - starts, counts) + np.arange(int(counts.sum()))
        return _Lists(np.repeat(to, counts), {name: values[index] for name, values in self.values.items()})


def _joined(parts: Sequence[_Lists], types: Mapping[str, type]) -> _Lists:
    """All entries, candidate by candidate, those of earlier parts first."""
    row = np.concatenate([np.empty(0, np.int64), *(part.row for part in parts)]).astype(np.int64)
    order = np.argsort(row, kind="stable")
    return _Lists(row[order], {name: np.concatenate([np.empty(0, kind), *(
        part.values[name] for part in parts)]).astype(kind)[order] for name, kind in types.items()})


class DecayParts:
    """The lists of all candidates of a reconstructed batch; each particle's table is looked at once."""

    def __init__(self, result: Reconstruction) -> None:
        self.result = result
        self._done: dict[str, tuple[_Lists, _Lists]] = {}

    def columns(self, particles: Sequence[str], order: NDArray[np.integer]) -> dict[str, Column]:
        """The columns of the particles' tables, one after the other, then in ``order``."""
        found: dict[str, Column] = {}
        for which, prefix, types in ((0, "final", _FINAL), (1, "intermediate", _INTERMEDIATE)):
            parts, n = [], 0
            for particle in particles:
                table, lists = self.result.tables[particle], self._of(particle)[which]
                rows = np.arange(len(table))
                if which == 1:  # without the B itself, which stands first
                    lists = _without_first(lists)
                parts.append(lists.of_rows(rows, len(table), rows + n))
                n += len(table)
            joined = _joined(parts, types).of_rows(order, n, np.arange(len(order)))
            offsets = offsets_of(np.bincount(joined.row, minlength=len(order)))
            found |= {f"{prefix}_{name}": (offsets, values) for name, values in joined.values.items()}
        return found

    def _of(self, particle: str) -> tuple[_Lists, _Lists]:
        if particle not in self._done:
            table = self.result.tables[particle]
            finals: list[_Lists] = []
            inner: list[_Lists] = []
            for index in np.unique(table["decayModeID"]):
                here = np.flatnonzero(table["decayModeID"] == index)
                self._add(table, here, self.result.channel_set.particles[particle].channels[index], finals, inner)
            self._done[particle] = _joined(finals, _FINAL), _joined(inner, _INTERMEDIATE)
        return self._done[particle]

    def _add(self, table: CandidateTable, here: NDArray[np.intp], channel: Channel, finals: list[_Lists],
             inner: list[_Lists]) -> None:
        """The candidates ``here`` of one channel: themselves, then what they are made of."""
        if channel.leaf == "FSP":
            finals.append(self._final(table.particle, table["object"][here], table["sign"][here],
                                      table.event_index[here], here))
            return
        inner.append(_Lists(here, {"pdg": _codes(table.particle, table["sign"][here]), "M": table["M"][here],
                                   "SignalProbability": table["SignalProbability"][here],
                                   "decayModeID": table["decayModeID"][here]}))
        if channel.leaf == "V0":
            event = table.event_index[here]
            for which in (0, 1):
                track = v0_track(table.particle, table["object"][here], table["sign"][here], event,
                                 self.result.batch, which=which)
                finals.append(self._final(track.particle, track["object"], track["sign"], event, here))
            return
        sign = np.where(table["sign"][here] < 0, -1, 1)
        for j, name in enumerate(channel.daughters if channel.leaf is None else ()):
            known = str(self.result.channel_set.resolve(name))
            daughter, rows = self.result.tables[known], table["daughters"][here, j]
            of_final, of_inner = self._of(known)
            finals.append(of_final.of_rows(rows, len(daughter), here))
            inner.append(_named(of_inner.of_rows(rows, len(daughter), here), daughter["sign"][rows] == 0, here,
                                sign * (1 if known == name else -1), known))

    def _final(self, particle: str, objects: NDArray[np.int32], sign: NDArray[np.int8], event: NDArray[np.int64],
               rows: NDArray[np.intp]) -> _Lists:
        none = np.full(len(rows), -1, np.int32)
        of = self.result.batch.tracks if is_track(particle) else self.result.batch.clusters
        index = (objects - of.offsets[event]).astype(np.int32)
        track, cluster = (index, none) if is_track(particle) else (none, index)
        return _Lists(rows, {"pdg": _codes(particle, sign), "track": track, "cluster": cluster})


def _codes(particle: str, sign: NDArray[np.integer]) -> NDArray[np.int32]:
    code = pdg_code(particle)
    return (code * np.where((sign < 0) & (not is_self_conjugate(code)), -1, 1)).astype(np.int32)


def _first(lists: _Lists) -> NDArray[np.bool_]:
    """Which entries are the first of their candidate."""
    return np.asarray(np.diff(lists.row, prepend=-1) != 0)


def _without_first(lists: _Lists) -> _Lists:
    keep = ~_first(lists)
    return _Lists(lists.row[keep], {name: values[keep] for name, values in lists.values.items()})


def _named(lists: _Lists, unflavoured: NDArray[np.bool_], here: NDArray[np.intp], sign: NDArray[np.integer],
           particle: str) -> _Lists:
    """Daughters without a flavour of their own (the first entries) take that of their mother's channel."""
    if not unflavoured.any() or is_self_conjugate(pdg_code(particle)):
        return lists
    place = np.searchsorted(here, lists.row)
    turned = _first(lists) & unflavoured[place]
    return _Lists(lists.row, lists.values | {"pdg": np.where(
        turned, pdg_code(particle) * sign[place], lists.values["pdg"]).astype(np.int32)})
