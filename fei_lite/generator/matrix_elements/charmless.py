"""B -> Xu l nu: the b quark's decay with a shape function, EvtGen's VUB without radiative corrections.

F. De Fazio, M. Neubert, hep-ph/9905351, at lowest order: with the residual
momentum k+ of the b, of density (1 - x)^a exp((1 + a) x), x = k+ / (m_B - m_b) < 1,
the quark of mass m* = m_b + k+ decays to a massless u: dGamma/ds ~ (1 - s)^2 (1 + 2 s),
s = q2 / m*^2. The hadrons have M(X)^2 = (m_B - m*) (m_B - q2 / m*). Weights in
bins of M(X), where the table has them (hybrid with resonances), are applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.system import System

Array = NDArray[np.float64]

VUB = "VUB"
_HADRONS = (30113, 30213)

@dataclass
class ShapeFunction(System):
    """``m_b`` (GeV) and ``a`` of the shape function; ``edges`` (GeV) and ``weights`` of M(X).

    Lighter systems than ``least`` GeV are left out: Pythia does not fragment them.
    """

    m_b: float = 4.8
    a: float = 1.29
    edges: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    least: float = 0.6

    @classmethod
    def of(cls, model: str, parameters: Sequence[float], hadron: int) -> ShapeFunction | None:
        """The model of a table: m_b, a, alpha_s, number of bins, and for each its lower edge and weight; else None."""
        if model != VUB or abs(hadron) not in _HADRONS or len(parameters) < 4:
            return None
        bins = tuple(parameters[4:4 + 2 * int(parameters[3])])
        return cls(abs(hadron), m_b=parameters[0], a=parameters[1], edges=bins[::2], weights=bins[1::2])

    def tried(self, n: int, mass: float, rng: np.random.Generator) -> Array:
        """M(Xu), q2 and 2 s (3, k)."""
        # with y = (1 + a) (1 - x), the density is y^a exp(-y)
        quark = self.m_b + (mass - self.m_b) * (1.0 - rng.gamma(1.0 + self.a, size=n) / (1.0 + self.a))
        s = rng.uniform(size=n)
        good = (rng.uniform(size=n) < (1.0 - s) ** 2 * (1.0 + 2.0 * s)) & (quark > 0.0)
        quark, s = quark[good], s[good]
        q2 = s * quark**2
        m = np.sqrt((mass - quark) * (mass - q2 / quark))
        kept = (m > self.least) & (m + np.sqrt(q2) < mass)
        if self.edges:
            weights = np.concatenate([[0.0], self.weights])[np.searchsorted(self.edges, m, side="right")]
            kept &= rng.uniform(size=len(m)) * max(self.weights) < weights
        return np.stack([m, q2, 2.0 * s])[:, kept]
