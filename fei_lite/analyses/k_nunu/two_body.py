"""B+ -> K+ X with an invisible, narrow X: the signal at q2 = m_X^2, from the joint number density.

A density holds, per bin of q2, the expected events n(x, q2) of the standard model's decays there. Over the fraction
f(q2) of its branching fraction B they are the events that a branching fraction B at that q2 alone would give, which
is the efficiency up to a constant: it varies slowly, and is interpolated linearly between the mean q2 of the bins
(constant outside of the first and the last). The error of that is h^2 |e''| / 8, the bound of linear interpolation over
a distance h, with the second derivative about the nearest bin; the statistics of the density is added in quadrature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.density import Density
from fei_lite.analyses.k_nunu.null_model import null_centres
from fei_lite.errors import AnalysisError
from fei_lite.generator.matrix_elements.k_nunu import M_B, M_K

Floats = NDArray[np.float64]

#: The largest mass, GeV.
MASS_MAX = M_B - M_K


def two_body_events(density: Density, mass: float, branching_fraction: float) -> tuple[Floats, Floats]:
    """Expected events (n_x,) of B+ -> K+ X, and their errors; ``mass`` of X in GeV.

    Its total width is taken as zero, and its smearing in q2 as that of the density: none, in the generated q2.
    Raises :class:`AnalysisError` for a mass that the decay cannot have.
    """
    if not 0.0 <= mass < MASS_MAX:
        raise AnalysisError(f"mass {mass:g} GeV: expected 0 or more, below m_B - m_K = {MASS_MAX:.4f} GeV.")
    fractions = density.fractions
    known = fractions > 0.0
    if np.sum(known) < 3:
        raise AnalysisError(f"joint number density: {np.sum(known)} bins of q2 in the spectrum, expected 3 or more.")
    centres = null_centres(density.q2_edges, density.form_factor)[known]
    scale = branching_fraction / density.branching_fraction / fractions[known]
    per_bin, squares = density.values[:, known] * scale, density.variances[:, known] * scale**2
    q2 = float(np.clip(mass**2, centres[0], centres[-1]))
    right = int(np.clip(np.searchsorted(centres, q2), 1, len(centres) - 1))
    part = (q2 - centres[right - 1]) / (centres[right] - centres[right - 1])
    events = (1.0 - part) * per_bin[:, right - 1] + part * per_bin[:, right]
    variance = (1.0 - part) ** 2 * squares[:, right - 1] + part**2 * squares[:, right]
    middle = int(np.clip(right if part > 0.5 else right - 1, 1, len(centres) - 2))
    slopes = np.diff(per_bin[:, middle - 1:middle + 2], axis=1) / np.diff(centres[middle - 1:middle + 2])
    second = 2.0 * (slopes[:, 1] - slopes[:, 0]) / (centres[middle + 1] - centres[middle - 1])
    bend = np.abs(second) * (centres[right] - centres[right - 1]) ** 2 / 8.0
    return events, np.sqrt(variance + bend**2)
