"""Generated particles that leave a cluster in the calorimeter, by name: what systematics of K_L0 and the like count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FeiLiteError
from fei_lite.variables.registry import register
from fei_lite.variables.subject import Subject


@register("nGeneratedWithCluster", unit="", of="truth", parameters=("pdg:number",), nan="never", source="ours",
          meaning="generated particles of a PDG code, and of its negative, in the event that a cluster is matched to")
def _with_cluster(subject: Subject, pdg: float) -> NDArray[Any]:
    generated, clusters = subject.batch.generated, subject.batch.clusters
    if generated is None:
        raise FeiLiteError(f"{subject.batch.source or 'batch'}: no list 'generated': there is no truth to ask for.")
    row = clusters["mc_index"] + generated.offsets[:-1][clusters.event_index]
    has_cluster = np.zeros(len(generated), dtype=bool)
    has_cluster[row[clusters["mc_index"] >= 0]] = True
    chosen = (np.abs(generated["pdg"]) == pdg) & has_cluster
    return np.asarray(np.bincount(generated.event_index[chosen], minlength=subject.batch.n_events)[subject.event])
