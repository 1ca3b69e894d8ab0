"""The standard model's q2 spectrum with which a signal was made: dB/dq2 ~ p_K^3 f+^2, for one of two form factors.

Weights are ratios to this spectrum, so that whoever publishes a number density says which one it is.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import AnalysisError, nearest
from fei_lite.generator.matrix_elements.k_nunu import Q2_MAX, f_plus, kaon_momentum

Floats = NDArray[np.float64]

#: The form factor of our own simulation, and that of Belle II's search (arXiv:2311.14647) and its reinterpretation.
BURAS, HPQCD = "arXiv:1409.4557", "arXiv:2207.12468"

#: f+ of arXiv:2207.12468 (its table V): a0, a1, a2, the factor of the chiral logarithm, and its masses of B, K
#: and B_s* in GeV, as in the public code of arXiv:2507.12393.
_LATTICE, _LOGARITHM = (0.2545, -0.71, 0.32), 1.304
_MASS_B, _MASS_K, _POLE = 5.279495, 0.4956440, 5.4158

_POINTS = 20_001


def f_plus_lattice(q2: ArrayLike) -> Floats:
    """Vector form factor f+(q2) of arXiv:2207.12468, dimensionless; q2 in GeV^2.

    >>> float(f_plus_lattice(0.0).round(3))
    0.332
    """
    q2 = np.asarray(q2, dtype=np.float64)
    high, n = (_MASS_B + _MASS_K) ** 2, len(_LATTICE)
    a, b = np.sqrt(np.maximum(high - q2, 0.0)), np.sqrt(high)
    z = (a - b) / (a + b)
    series = sum(c * (z**k - k / n * (-1.0) ** (k - n) * z**n) for k, c in enumerate(_LATTICE))
    return np.asarray(_LOGARITHM * series / (1.0 - q2 / _POLE**2))


FORM_FACTORS = {BURAS: f_plus, HPQCD: f_plus_lattice}


def null_rate(q2: ArrayLike, form_factor: str = BURAS) -> Floats:
    """p_K^3 f+^2 (n,) in GeV^3: the spectrum up to a factor that all form factors share; 0 outside of it."""
    if form_factor not in FORM_FACTORS:
        raise AnalysisError(f"form factor '{form_factor}': expected {' or '.join(FORM_FACTORS)}."
                            f"{nearest(form_factor, list(FORM_FACTORS))}")
    q2 = np.asarray(q2, dtype=np.float64)
    momentum = kaon_momentum(q2)
    return np.asarray(momentum**3 * FORM_FACTORS[form_factor](np.where(momentum > 0.0, q2, 0.0)) ** 2)


@cache
def null_total(form_factor: str = BURAS) -> float:
    """The integral of :func:`null_rate` over q2, GeV^5."""
    q2 = np.linspace(0.0, Q2_MAX, _POINTS)
    return float(np.trapezoid(null_rate(q2, form_factor), q2))


def null_fractions(edges: ArrayLike, form_factor: str = BURAS) -> Floats:
    """Fraction (n,) of the standard model's decays in bins of q2; ``edges`` (n + 1,) in GeV^2.

    >>> float(null_fractions([0.0, 23.0], HPQCD)[0].round(4))
    1.0
    """
    found = []
    for low, high in pairwise(np.clip(np.asarray(edges, dtype=np.float64), 0.0, Q2_MAX)):
        points = np.linspace(low, high, 1001)
        found.append(np.trapezoid(null_rate(points, form_factor), points))
    return np.array(found) / null_total(form_factor)


def null_centres(edges: ArrayLike, form_factor: str = BURAS) -> Floats:
    """Mean q2 (n,) of the standard model's decays in each bin, GeV^2; NaN where there are none."""
    found = []
    for low, high in pairwise(np.clip(np.asarray(edges, dtype=np.float64), 0.0, Q2_MAX)):
        points = np.linspace(low, high, 1001)
        rate = null_rate(points, form_factor)
        found.append(np.sum(points * rate) / np.sum(rate) if high > low else np.nan)
    return np.array(found)
