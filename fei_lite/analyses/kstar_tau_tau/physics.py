"""The physics that only B0 -> K*0 tau tau has: its q2 spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.pairs import Columns
from fei_lite.analyses.kstar_tau_tau import results
from fei_lite.analyses.kstar_tau_tau.spectrum import weight
from fei_lite.analyses.physics import Physics
from fei_lite.errors import AnalysisError, EventFileError
from fei_lite.events import EventBatch

PROCESS = "kst_tau_tau"
EVENT_COLUMNS = ("q2_generated", "m_K_generated")


def of_events(batch: EventBatch, process: str) -> Columns:
    """Generated q2 (GeV^2) and mass of the K*0 (GeV) of every event; NaN for background."""
    out = {name: np.full(batch.n_events, np.nan) for name in EVENT_COLUMNS}
    if process != PROCESS:
        return out
    generated = batch.generated
    if generated is None:
        raise EventFileError(f"{batch.source or 'batch'}: no list 'generated': the signal needs its generated q2.")
    code, event, p4 = generated["pdg"], generated.event_index, generated["p4"]
    mother = np.where(generated["mother"] >= 0, generated["mother"] + generated.offsets[:-1][event], 0)
    taus = np.flatnonzero((np.abs(code) == 15) & (np.abs(code[mother]) == 511) & (generated["mother"] >= 0))
    b, count = np.unique(mother[taus], return_counts=True)
    b = b[count == 2]
    kaons = np.flatnonzero((np.abs(code) == 313) & np.isin(mother, b) & (generated["mother"] >= 0))
    pair, kaon = p4[mother[kaons]] - p4[kaons], p4[kaons]
    out["q2_generated"][event[kaons]] = pair[:, 3] ** 2 - np.sum(pair[:, :3] ** 2, axis=1)
    out["m_K_generated"][event[kaons]] = np.sqrt(kaon[:, 3] ** 2 - np.sum(kaon[:, :3] ** 2, axis=1))
    return out


def event_weights(columns: Columns, process: str, where: str) -> NDArray[np.float64]:
    """From phase space to the standard model's spectrum. Raises :class:`AnalysisError` for another decay."""
    if process != PROCESS:
        return np.ones(len(columns["q2_generated"]))
    factor = weight(columns["q2_generated"], columns["m_K_generated"])
    if np.isnan(factor).any():
        raise AnalysisError(f"{where}: {np.count_nonzero(np.isnan(factor))} of {len(factor)} events of process "
                            f"'signal' hold no B0 -> K*0 tau tau. Simulate with --dec {PROCESS}.")
    return factor


PHYSICS = Physics(event_columns=EVENT_COLUMNS, of_events=of_events, event_weights=event_weights,
                  summary=results.summary, figures=results.figures)
