"""The joint number density n(x, q2) of an analysis, and what it says of other theories.

n(x) = L int dq2 sigma(q2) eps(x | q2): the expected signal in bins of the fit
variable x and of the generated q2. Another theory changes sigma only, so that
n1(x) = sum over q2 bins of n0(x, q2) w(q2), w = sigma1 / sigma0 integrated in
the bin (arXiv:2402.08417). The numbers and the edges are all that is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.spectrum import STANDARD_MODEL, Couplings, fractions
from fei_lite.errors import AnalysisError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Density:
    """``values`` (n_x, n_q2): expected events of the standard model; ``variances`` their squared errors.

    ``x_edges`` (n_x + 1,), ``q2_edges`` (n_q2 + 1,) in GeV^2.
    """

    x_edges: Floats
    q2_edges: Floats
    values: Floats
    variances: Floats

    @classmethod
    def of(cls, x: Floats, q2: Floats, weight: Floats, x_edges: Sequence[float],
           q2_edges: Sequence[float]) -> Density:
        """The density of candidates (n,); those outside of the edges do not count."""
        bins = (np.asarray(x_edges, dtype=np.float64), np.asarray(q2_edges, dtype=np.float64))
        values, variances = (np.histogram2d(x, q2, bins, weights=w)[0] for w in (weight, weight**2))
        return cls(*bins, values, variances)

    def weights(self, couplings: Couplings) -> Floats:
        """Branching fraction over the standard model's in each bin of q2, (n_q2,)."""
        nominal = fractions(self.q2_edges)
        return np.asarray(np.divide(fractions(self.q2_edges, couplings), nominal, out=np.zeros_like(nominal),
                                    where=nominal > 0.0))

    def reweighted(self, couplings: Couplings = STANDARD_MODEL) -> tuple[Floats, Floats]:
        """Expected events of a theory in bins of x, (n_x,), and their statistical errors."""
        w = self.weights(couplings)
        return self.values @ w, np.sqrt(self.variances @ w**2)

    def to_json(self) -> dict[str, Any]:
        """All that a reinterpretation needs; read back by :func:`density_from_json`."""
        return {"x": "eta", "x_edges": self.x_edges.tolist(), "q2_edges_GeV2": self.q2_edges.tolist(),
                "events": self.values.tolist(), "variances": self.variances.tolist()}


def density_from_json(content: Any) -> Density:
    """The density that :meth:`Density.to_json` wrote; raises :class:`AnalysisError` for anything else."""
    try:
        made = Density(*(np.array(content[key], dtype=np.float64)
                         for key in ("x_edges", "q2_edges_GeV2", "events", "variances")))
    except (KeyError, TypeError, ValueError) as error:
        raise AnalysisError(f"joint number density: {error!r}: expected x_edges, q2_edges_GeV2, events, "
                            "variances.") from None
    shape = (len(made.x_edges) - 1, len(made.q2_edges) - 1)
    if made.values.shape != shape or made.variances.shape != shape:
        raise AnalysisError(f"joint number density: events of shape {made.values.shape}, expected {shape} as the "
                            "edges have it.")
    return made
