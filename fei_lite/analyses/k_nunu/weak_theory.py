"""Weak effective theory of B+ -> K+ nu nubar: Wilson coefficients, and the rate of each operator.

With massless left-handed neutrinos the operators do not interfere, so that a rate is the sum of

    |C_VL + C_VR|^2, |C_SL + C_SR|^2, |C_TL|^2

times one spectrum each (:mod:`fei_lite.analyses.k_nunu.spectrum`). The coefficients are those of

    H = -4 G_F / sqrt 2  V_tb V_ts*  alpha / (2 pi)  sum_i C_i O_i,   O_VL = (s gamma_mu P_L b)(nu gamma^mu P_L nu),

with alpha = 1/133, as in arXiv:2402.08417 and arXiv:2507.12393.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.analyses.k_nunu.null_model import BURAS, null_fractions, null_total
from fei_lite.analyses.k_nunu.spectrum import F_PLUS, Q2_MAX, Couplings, spectrum

Floats = NDArray[np.float64]

#: The operators, and their coefficients as the papers write them.
OPERATORS = {"vector": "|C_VL+C_VR|", "scalar": "|C_SL+C_SR|", "tensor": "|C_TL|"}

#: C_VL of the standard model: X_t / sin^2(theta_W) (arXiv:2207.13371: 1.468, 0.23124), which belongs to
#: alpha = 1/127.952 there, moved to alpha = 1/133: the product counts.
STANDARD_MODEL_VECTOR = 1.468 / 0.23124 * 133.0 / 127.952

#: Relative errors of f0 and fT at q2 = 0, from the fit to lattice averages whose values the spectra have (public
#: code of arXiv:2507.12393; f0(0) = f+(0) there).
FORM_FACTOR_ERRORS = {"scalar": 0.0101312 / 0.3377250, "tensor": 0.0198097 / 0.3279359}


def rate_fractions(edges: ArrayLike, couplings: Couplings, form_factor: str = BURAS) -> Floats:
    """Branching fraction in bins of q2 (n,) over the standard model's total; ``edges`` (n + 1,) in GeV^2.

    The vector operator has the standard model's ``form_factor``, unless ``couplings`` have coefficients of their own.
    """
    edges = np.clip(np.asarray(edges, dtype=np.float64), 0.0, Q2_MAX)
    own = couplings.f_plus != F_PLUS
    others = Couplings(couplings.vector if own else 0.0, couplings.scalar, couplings.tensor, couplings.f_plus)
    found = np.zeros(len(edges) - 1)
    if others.vector or others.scalar or others.tensor:
        for i, (low, high) in enumerate(pairwise(edges)):
            points = np.linspace(low, high, 1001)
            found[i] = np.trapezoid(spectrum(points, others), points)
        found *= null_total(BURAS) / null_total(form_factor)  # the spectra are over the total of BURAS
    return found if own else found + couplings.vector**2 * null_fractions(edges, form_factor)


def operator_fractions(edges: ArrayLike, form_factor: str = BURAS) -> Floats:
    """As :func:`rate_fractions` for each of OPERATORS, (3, n), at the standard model's vector coefficient."""
    return np.array([rate_fractions(edges, Couplings(*row), form_factor) for row in np.eye(3)])


def branching_ratios(form_factor: str = BURAS) -> Floats:
    """Branching fraction of each of OPERATORS over the standard model's, (3,), at its vector coefficient.

    >>> float(branching_ratios()[0].round(6))
    1.0
    """
    return operator_fractions([0.0, Q2_MAX], form_factor)[:, 0]
