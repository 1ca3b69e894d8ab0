"""The joint number density n(x, q2) of an analysis, and what it says of other theories.

n(x) = L int dq2 sigma(q2) eps(x | q2): the expected signal in bins of the fit
variable x and of the generated q2. Another theory changes sigma only, so that
n1(x) = sum over q2 bins of n0(x, q2) w(q2), w = sigma1 / sigma0 integrated in
the bin (arXiv:2402.08417). The numbers and the edges are all that is needed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.null_model import BURAS, FORM_FACTORS, null_fractions
from fei_lite.analyses.k_nunu.spectrum import STANDARD_MODEL, Couplings
from fei_lite.analyses.k_nunu.weak_theory import rate_fractions
from fei_lite.data_files import json_content, read_text
from fei_lite.errors import AnalysisError, nearest

Floats = NDArray[np.float64]

#: Name under which :func:`read_density` knows the published density of the hadronic tag, arXiv:2507.12393.
PUBLISHED = "published"

#: B(B+ -> K+ nu nubar) of the standard model without B -> tau (-> K nu) nu: what strength 1 is (arXiv:2311.14647).
BRANCHING_FRACTION = 4.97e-6


@dataclass(frozen=True)
class Density:
    """``values`` (n_x, n_q2): expected events of the standard model; ``variances`` their squared errors.

    ``x_edges`` (n_x + 1,), ``q2_edges`` (n_q2 + 1,) in GeV^2; a bin below 0 holds events without a generated q2.
    ``form_factor`` is that of the standard model's spectrum (:mod:`~fei_lite.analyses.k_nunu.null_model`),
    ``branching_fraction`` the one that ``values`` stand for.
    """

    x_edges: Floats
    q2_edges: Floats
    values: Floats
    variances: Floats
    form_factor: str = BURAS
    branching_fraction: float = BRANCHING_FRACTION

    @classmethod
    def of(cls, x: Floats, q2: Floats, weight: Floats, x_edges: Sequence[float],
           q2_edges: Sequence[float]) -> Density:
        """The density of candidates (n,); those outside of the edges do not count."""
        bins = (np.asarray(x_edges, dtype=np.float64), np.asarray(q2_edges, dtype=np.float64))
        values, variances = (np.histogram2d(x, q2, bins, weights=w)[0] for w in (weight, weight**2))
        return cls(*bins, values, variances)

    @property
    def fractions(self) -> Floats:
        """Fraction of the standard model's decays in each bin of q2, (n_q2,)."""
        return null_fractions(self.q2_edges, self.form_factor)

    def weights(self, couplings: Couplings) -> Floats:
        """Branching fraction over the standard model's in each bin of q2, (n_q2,).

        Where the standard model has none, q2 is not known: there the vector coefficient alone scales.
        """
        nominal = self.fractions
        return np.asarray(np.divide(rate_fractions(self.q2_edges, couplings, self.form_factor), nominal,
                                    out=np.full_like(nominal, couplings.vector**2), where=nominal > 0.0))

    def reweighted(self, couplings: Couplings = STANDARD_MODEL) -> tuple[Floats, Floats]:
        """Expected events of a theory in bins of x, (n_x,), and their statistical errors."""
        w = self.weights(couplings)
        return self.values @ w, np.sqrt(self.variances @ w**2)

    def to_json(self) -> dict[str, Any]:
        """All that a reinterpretation needs; read back by :func:`density_from_json`."""
        return {"x": "eta", "x_edges": self.x_edges.tolist(), "q2_edges_GeV2": self.q2_edges.tolist(),
                "events": self.values.tolist(), "variances": self.variances.tolist(),
                "form_factor": self.form_factor, "branching_fraction": self.branching_fraction}


def density_from_json(content: Any, *, name: str = "joint number density") -> Density:
    """The density that :meth:`Density.to_json` wrote; raises :class:`AnalysisError` for anything else."""
    try:
        x_edges, q2_edges, events, variances = (np.array(content[key], dtype=np.float64) for key in (
            "x_edges", "q2_edges_GeV2", "events", "variances"))
        made = Density(x_edges, q2_edges, events, variances, str(content.get("form_factor", BURAS)),
                       float(content.get("branching_fraction", BRANCHING_FRACTION)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnalysisError(f"{name}: {error!r}: expected x_edges, q2_edges_GeV2, events, variances.") from None
    shape = (made.x_edges.size - 1, made.q2_edges.size - 1)
    if made.values.shape != shape or made.variances.shape != shape:
        raise AnalysisError(f"{name}: events of shape {made.values.shape}, expected {shape} as the edges have it.")
    for key, edges in (("x_edges", made.x_edges), ("q2_edges_GeV2", made.q2_edges)):
        if not np.all(np.diff(edges) > 0.0):
            raise AnalysisError(f"{name}: {key}: expected rising numbers.")
    if not (np.all(made.values >= 0.0) and np.all(made.variances >= 0.0) and made.branching_fraction > 0.0):
        raise AnalysisError(f"{name}: events, variances and branching_fraction: expected no negative numbers.")
    if made.form_factor not in FORM_FACTORS:
        raise AnalysisError(f"{name}: form_factor '{made.form_factor}': expected {' or '.join(FORM_FACTORS)}."
                            f"{nearest(made.form_factor, list(FORM_FACTORS))}")
    return made


def read_density(path: str | os.PathLike[str]) -> Density:
    """The density of a file that ``fei-lite analyse hta`` wrote; of "published", Belle II's (arXiv:2507.12393).

    >>> read_density("published").values.shape  # six bins of eta, 100 of q2 and one without it
    (6, 101)
    """
    source = files("fei_lite.analyses.k_nunu") / "published_density.json" if str(path) == PUBLISHED else path
    text = read_text(source, where=str(path), error=AnalysisError)
    return density_from_json(json_content(text, where=str(path), error=AnalysisError), name=str(path))
