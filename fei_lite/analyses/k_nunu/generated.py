"""The generated signal decay: B -> X nu nubar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch

_NEUTRINOS = (12, 14, 16)
_B_MESONS = (511, 521)


def generated_q2(batch: EventBatch) -> NDArray[np.float64]:
    """q2 (n_events,) of the generated B -> X nu nubar, GeV^2; NaN where no B decays so.

    The mass squared of a neutrino and an antineutrino of one flavour that come
    from a B itself: photons radiated by the kaon do not matter. Raises
    :class:`EventFileError` without truth.
    """
    generated = batch.generated
    if generated is None:
        raise EventFileError(f"{batch.source or 'batch'}: no list 'generated': the signal needs its generated q2.")
    code, event = generated["pdg"], generated.event_index
    first = generated.offsets[:-1][event]
    mother = np.where(generated["mother"] >= 0, generated["mother"] + first, 0)
    of_b = np.isin(np.abs(code), _NEUTRINOS) & np.isin(np.abs(code[mother]), _B_MESONS) & (generated["mother"] >= 0)
    rows = np.flatnonzero(of_b)
    mesons, group = np.unique(mother[rows], return_inverse=True)
    total = np.stack([np.bincount(group, generated["p4"][rows, a], minlength=len(mesons)) for a in range(4)], axis=1)
    count, charge = np.bincount(group, minlength=len(mesons)), np.bincount(group, code[rows], minlength=len(mesons))
    pair = (count == 2) & (charge == 0)
    q2 = np.full(batch.n_events, np.nan)
    value = total[:, 3] ** 2 - np.sum(total[:, :3] ** 2, axis=1)
    q2[event[mesons[pair]]] = np.maximum(value[pair], 0.0)
    return q2
