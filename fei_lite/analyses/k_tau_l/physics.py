"""The physics that only B -> K tau l has: the generated mode and its place in the Dalitz plane."""

from __future__ import annotations

import numpy as np

from fei_lite.analyses.candidates.pairs import Columns
from fei_lite.analyses.k_tau_l import results
from fei_lite.analyses.k_tau_l.generated import generated_decays
from fei_lite.analyses.physics import Physics
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch

EVENT_COLUMNS = ("lfvMode", "m2_taul_generated", "m2_Kl_generated", "m_K_generated", "cos_generated")


def of_events(batch: EventBatch, process: str) -> Columns:
    """Mode (-1 for background) and place in the Dalitz plane of every event; NaN for background.

    Raises :class:`AnalysisError` if a signal event holds no such decay.
    """
    n = batch.n_events
    if process not in results.KAONS:
        return dict(zip(EVENT_COLUMNS, (np.full(n, -1), *(np.full(n, np.nan) for _ in range(4))), strict=True))
    found = generated_decays(batch)
    if np.any(found.mode < 0):
        raise AnalysisError(f"{batch.source or 'batch'}: {np.count_nonzero(found.mode < 0)} of {n} events of process "
                            f"'{process}' hold no B -> K tau l. Simulate with --dec {process}.")
    return dict(zip(EVENT_COLUMNS, (found.mode, found.m2_taul, found.m2_Kl, found.m_K, found.cos), strict=True))


PHYSICS = Physics(event_columns=EVENT_COLUMNS, of_events=of_events, settings=results.Settings, summary=results.summary,
                  files=results.files, figures=results.figures, lines=results.lines)
