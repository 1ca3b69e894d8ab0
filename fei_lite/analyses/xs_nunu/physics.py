"""The physics that only B -> Xs nu nubar has: true M(Xs) and mode, and the weight of its fragmentation.

Candidates depend on this file (its text is part of their identity); what is made of them is in other modules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.pairs import Columns, Pairs
from fei_lite.analyses.physics import Physics
from fei_lite.analyses.xs_nunu import results
from fei_lite.analyses.xs_nunu.final_states import OTHER, final_states, modes
from fei_lite.analyses.xs_nunu.fragmentation import fragmentation
from fei_lite.analyses.xs_nunu.uncertainties import FermiMotionLine, FragmentationLine, KNunuFormFactor
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch

Floats = NDArray[np.float64]
PROCESSES = ("xs_nunu", "xs_nunu_neutral")
EVENT_COLUMNS = ("q2_generated", "mXs_generated", "mode_generated", "modeKL_generated", "nonResonant_generated")


def of_events(batch: EventBatch, process: str) -> Columns:
    """q2 (GeV^2), M(Xs) (GeV), mode (-1: none of the 30; K_L0 as K_S0 in the second); NaN and -1 for background."""
    n = batch.n_events
    if process not in PROCESSES:
        none, other = np.full(n, np.nan), np.full(n, OTHER, dtype=np.int64)
        return dict(zip(EVENT_COLUMNS, (none, none, other, other, np.zeros(n, dtype=np.int64)), strict=True))
    found = final_states(batch)
    return dict(zip(EVENT_COLUMNS, (found.q2, found.mass, found.mode, found.mode_with_kl,
                                    found.non_resonant.astype(np.int64)), strict=True))


def event_weights(columns: Columns, process: str, where: str) -> Floats:
    """From the generator's fragmentation of Xs to the measured one. Raises :class:`AnalysisError` for other decays."""
    if process not in PROCESSES:
        return np.ones(len(columns["q2_generated"]))
    wrong = np.isnan(columns["q2_generated"])
    if wrong.any():
        raise AnalysisError(f"{where}: {np.count_nonzero(wrong)} of {len(wrong)} events of process 'signal' hold no B "
                            f"-> Xs nu nubar. Simulate with --dec {' or '.join(PROCESSES)}.")
    return fragmentation().weight(columns["modeKL_generated"], columns["mXs_generated"],
                                  columns["nonResonant_generated"] == 1)


def _reconstructed_mode(pairs: Pairs) -> NDArray[np.int64]:
    """Number of the mode that was reconstructed, 0 .. 29."""
    neutral = np.abs(pairs.value("daughter(1, PDG)")) == 511
    return np.asarray(pairs.value("daughter(1, decayModeID)") + neutral * (len(modes()) // 2), dtype=np.int64)


PHYSICS = Physics(
    event_columns=EVENT_COLUMNS, of_events=of_events, event_weights=event_weights,
    variables={"reconstructedMode": _reconstructed_mode},
    systematics={"fragmentation": FragmentationLine, "fermi_motion": FermiMotionLine,
                 "k_nunu_form_factor": KNunuFormFactor},
    settings=results.Settings, summary=results.summary, figures=results.figures, lines=results.lines)
