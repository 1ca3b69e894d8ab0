"""A reconstruction of some of its events: what comes after the Btag needs those with one only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import ParticleConfig
from fei_lite.events import EventBatch
from fei_lite.events.batch import Jagged
from fei_lite.reconstruction import truth
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.final_state import leaf_kind
from fei_lite.used_objects import n_words

#: Lists of the event that leaves are rows of.
_LISTS = {"track": "tracks", "cluster": "clusters", "v0": "v0s"}


def of_events(result: Reconstruction, events: NDArray[np.integer]) -> Reconstruction:
    """The candidates of chosen events (rows of the batch, rising), as if those events alone had been reconstructed.

    The cut-flow is not split: it stays that of all events. Rows of daughters whose tables are not there stay as they
    are, and rows of the Btags of a signal side in other tables.
    """
    wanted = np.zeros(result.batch.n_events, dtype=bool)
    wanted[events] = True
    batch = result.batch.select(np.asarray(events))
    place = {name: np.cumsum(wanted[table.event_index]) - 1 for name, table in result.tables.items()}
    new = Reconstruction(batch, result.channel_set, cutflow=result.cutflow)
    for name, table in result.tables.items():
        new.tables[name] = _selected(table, result.channel_set.particles[name], result, wanted, batch, place)
    return new


def _selected(table: CandidateTable, config: ParticleConfig, result: Reconstruction, wanted: NDArray[np.bool_],
              batch: EventBatch, place: dict[str, NDArray[np.intp]]) -> CandidateTable:
    """A table's candidates of the wanted events; indices are rows of the new lists and tables."""
    rows = np.flatnonzero(wanted[table.event_index])
    event = table.event_index[rows]
    columns = {key: values.take(rows, axis=0) for key, values in table.columns.items()}
    columns["used"] = np.ascontiguousarray(columns["used"][:, :n_words(batch)])
    for channel in config.channels:
        here = np.flatnonzero(columns["decayModeID"] == channel.index)
        if not len(here):
            continue
        if channel.leaf is None:
            for j, daughter in enumerate(channel.daughters):
                at = place.get(str(result.channel_set.resolve(daughter)))
                if at is not None:
                    columns["daughters"][here, j] = at[columns["daughters"][here, j]]
        elif (kind := _LISTS.get(leaf_kind(channel))) is not None:
            columns["object"][here] -= _moved(getattr(result.batch, kind), wanted)[event[here]].astype(np.int32)
    if "mc" in columns and result.batch.generated is not None:
        if "mc_used" in columns:
            width = truth.empty_match(batch).mc_used.shape[1]
            columns["mc_used"] = np.ascontiguousarray(columns["mc_used"][:, :width])
        matched = columns["mc"] >= 0
        columns["mc"][matched] -= _moved(result.batch.generated, wanted)[event[matched]].astype(columns["mc"].dtype)
    offsets = np.concatenate([[0], np.cumsum(np.diff(table.offsets)[wanted])]).astype(table.offsets.dtype)
    return CandidateTable(table.particle, offsets, columns)


def _moved(objects: Jagged, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many objects before each event (n_events,) are left out."""
    left = np.where(wanted, 0, objects.counts)
    return np.asarray(np.cumsum(left) - left, dtype=np.int64)
