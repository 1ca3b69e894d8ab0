"""Efficiency over the Dalitz plane of B -> K tau l, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.particles import mass
from fei_lite.plain import as_plain

Floats = NDArray[np.float64]
#: Points per bin and axis of the integral over phase space.
_POINTS = 40


@dataclass(frozen=True)
class Efficiency:
    """Efficiency ``values`` +- ``errors`` (n, k) in bins of m^2(tau l) and m^2(K l); NaN outside of the plane.

    ``fraction`` (n, k) of phase space in each bin; ``total`` +- ``total_error`` is the efficiency of all of it.
    """

    m2_taul_edges: tuple[float, ...]
    m2_Kl_edges: tuple[float, ...]
    fraction: Floats = field(repr=False)
    values: Floats = field(repr=False)
    errors: Floats = field(repr=False)
    total: float
    total_error: float

    def to_json(self) -> dict[str, Any]:
        """The fields by name; undefined numbers are null."""
        return {"m2_taul_edges": list(self.m2_taul_edges), "m2_Kl_edges": list(self.m2_Kl_edges),
                "phase_space_fraction": self.fraction.tolist(), "values": as_plain(self.values),
                "errors": as_plain(self.errors), "total": self.total, "total_error": self.total_error}


def limits(m2_taul: Floats, *, m_b: float, m_k: float, m_l: float) -> tuple[Floats, Floats]:
    """Lowest and highest m^2(K l) (n,) at m^2(tau l), GeV^2; NaN outside of the plane.

    >>> low, high = limits(np.array([10.0]), m_b=5.28, m_k=0.0, m_l=0.0)
    >>> low.round(9).item(), round((high - low).item(), 3)       # (M^2 - s) (s - m_tau^2) / s
    (0.0, 12.233)
    """
    m_tau, s = mass("tau+"), np.asarray(m2_taul, dtype=np.float64)
    inside = (s > (m_tau + m_l) ** 2) & (s < (m_b - m_k) ** 2)
    root = np.sqrt(np.where(inside, s, np.nan))
    e_l, e_k = (s - m_tau**2 + m_l**2) / (2 * root), (m_b**2 - s - m_k**2) / (2 * root)
    p_l, p_k = np.sqrt(np.maximum(e_l**2 - m_l**2, 0.0)), np.sqrt(np.maximum(e_k**2 - m_k**2, 0.0))
    middle = m_k**2 + m_l**2 + 2 * e_l * e_k
    return np.asarray(middle - 2 * p_l * p_k), np.asarray(middle + 2 * p_l * p_k)


def phase_space_fractions(edges: tuple[Sequence[float], Sequence[float]], *, m_b: float, m_k: float, m_l: float,
                          ) -> Floats:
    """Fraction (n, k) of phase space, flat in the plane, in bins of m^2(tau l) and m^2(K l)."""
    first, second = (np.asarray(e, dtype=np.float64) for e in edges)
    low_s, high_s = (mass("tau+") + m_l) ** 2, (m_b - m_k) ** 2

    def lengths(a: float, b: float, bins: Floats) -> Floats:
        """Integral over m^2(tau l) from a to b of the length of the plane in each bin of m^2(K l)."""
        s = a + (np.arange(_POINTS) + 0.5) * (b - a) / _POINTS
        low, high = limits(s, m_b=m_b, m_k=m_k, m_l=m_l)
        inside = np.clip(np.minimum(high[:, None], bins[1:]) - np.maximum(low[:, None], bins[:-1]), 0.0, None)
        return np.asarray(np.nansum(inside, axis=0) * (b - a) / _POINTS)

    found = [lengths(a, b, second) for a, b in pairwise(first)]
    everything = np.array([-1.0, 2.0 * m_b**2])
    grid = np.linspace(low_s, high_s, 41)
    total = sum(float(lengths(a, b, everything)[0]) for a, b in pairwise(grid))
    return np.array(found) / total


def efficiency(m2_taul: Floats, m2_kl: Floats, weight: Floats, *, total: float, kaon: str, light: str,
               edges: tuple[tuple[float, ...], tuple[float, ...]]) -> Efficiency:
    """Efficiency from the generated places of selected candidates, ``total`` being the weight of all generated decays.

    ``kaon`` is K_S0, K*0 or K+, ``light`` e or mu.
    """
    m_k = mass("K0" if kaon == "K_S0" else kaon)
    fraction = phase_space_fractions(edges, m_b=mass("B+" if kaon == "K+" else "B0"), m_k=m_k, m_l=mass(f"{light}+"))
    sums, squares = (np.histogram2d(m2_taul, m2_kl, bins=edges, weights=w)[0] for w in (weight, weight**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(fraction > 1e-6, fraction, np.nan) * total
    return Efficiency(*edges, fraction, sums / expected, np.sqrt(squares) / expected, float(weight.sum() / total),
                      float(np.sqrt(np.sum(weight**2)) / total))
