"""Is Mbc of the background the same at every SignalProbability?

If the classifiers learned Mbc, background with a high probability would look like a
peak, and a fit of Mbc would count it as signal. So the false best Btags (one per event,
hence independent) are cut into slices of SignalProbability, and each slice is
compared with the lowest: by Kolmogorov and Smirnov's test, and by the ratio
of the number in the signal window to that in the sideband.

``nearly right`` Btags peak because their momentum is nearly right, in whatever slice; only
``combinatorial`` ones must not. Without more knowledge than the Btag file's, nearly right is what is made
of one B alone, but wrong (a photon too few, a pion for a kaon), and all others are combinatorial.
:mod:`fei_lite.performance.origin` knows from the events how much is from elsewhere, and tells apart those
with a slow particle, which peak as well, and those with a little more, which make a broad bump.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fei_lite.fractions import UNDEFINED, Measured, Sums
from fei_lite.performance.best_tags import B_TYPES, BestTags
from fei_lite.performance.two_sample import Sample, ks_independent

Floats = NDArray[np.float64]

#: Edges of the slices of SignalProbability; the lowest slice is the reference.
SLICES = (0.0, 0.001, 0.01, 0.1, 0.3, 1.0)
#: GeV: where Mbc of correct Btags is, and where there are hardly any.
SIGNAL_WINDOW, SIDEBAND = (5.272, 5.288), (5.22, 5.26)
#: GeV: range of the test and of the figure, from the cut of the channel sets to the end of phase space.
RANGE = (5.20, 5.29)


@dataclass(frozen=True)
class Slice:
    """Background Mbc in a slice of SignalProbability (``low`` excluded, ``high`` included).

    ``ratio``: number in the signal window over that in the sideband;
    ``relative``: that over the reference slice's. ``distance`` and ``p_value``:
    the two-sample test against the reference; NaN for the reference itself.
    ``histogram`` (sums of weights) has the edges of :class:`Sculpting`.
    """

    low: float
    high: float
    n: int
    ratio: Measured
    relative: Measured
    distance: float
    p_value: float
    histogram: Floats


@dataclass(frozen=True)
class Sculpting:
    """Slices by B type of Btag and background (``combinatorial``, ``nearly right`` ...); ``edges`` in GeV."""

    edges: Floats
    slices: dict[str, dict[str, list[Slice]]]


def mbc_sculpting(tags: BestTags, *, backgrounds: Mapping[str, NDArray[np.bool_]] | None = None,
                  slices: Sequence[float] = SLICES, n_bins: int = 30) -> Sculpting:
    """Compare each background's Mbc in slices of SignalProbability; the first slice is the reference.

    ``backgrounds``: which of the Btags (n,) belong to each, by name; correct ones never do (default: those of one B
    alone are nearly right, all others combinatorial).
    """
    edges = np.linspace(*RANGE, n_bins + 1)
    if backgrounds is None:
        of_one_b = np.isin(tags.ancestor, [code for code, _ in B_TYPES.values()])
        backgrounds = {"combinatorial": ~of_one_b, "nearly right": of_one_b}
    inside = (tags.mbc >= RANGE[0]) & (tags.mbc <= RANGE[1]) & ~tags.correct
    return Sculpting(edges, {
        b_type: {name: _slices(tags.select(inside & chosen & (tags.b_type == code)), slices, edges)
                 for name, chosen in backgrounds.items()}
        for b_type, (code, _) in B_TYPES.items()})


def _slices(tags: BestTags, limits: Sequence[float], edges: Floats) -> list[Slice]:
    found: list[Slice] = []
    reference: tuple[Sample, Measured] | None = None
    for low, high in pairwise(limits):
        part = tags.select((tags.probability > low) & (tags.probability <= high))
        sample, ratio = Sample.of(part.mbc, weight=part.weight), window_ratio(part.mbc, part.weight)
        distance, p_value, relative = float("nan"), float("nan"), Measured(1.0, 1.0, 1.0)
        if reference is not None:
            distance, p_value = ks_independent(sample, reference[0])
            relative = _quotient(ratio, reference[1])
        else:
            reference = sample, ratio
        found.append(Slice(low, high, len(part), ratio, relative, distance, p_value,
                           np.histogram(part.mbc, edges, weights=part.weight)[0].astype(np.float64)))
    return found


def window_ratio(mbc: Floats, weight: Floats) -> Measured:
    """Weight in :data:`SIGNAL_WINDOW` over weight in :data:`SIDEBAND`, with its 68.3 % interval.

    Given their sum, the number in the window is binomial (Clopper-Pearson, effective counts).
    """
    window, side = ((mbc > low) & (mbc < high) for low, high in (SIGNAL_WINDOW, SIDEBAND))
    both = Sums.of(weight[window | side])
    if not both.weight > 0.0:
        return UNDEFINED
    part = both.fraction(float(weight[window].sum()))
    value, lower, upper = (x / (1.0 - x) if x < 1.0 else float("inf") for x in (part.value, part.lower, part.upper))
    return Measured(value, lower, upper)


def _quotient(a: Measured, b: Measured) -> Measured:
    """a / b of independent numbers: relative errors of each side in quadrature."""
    if not (a.value > 0.0 and b.lower > 0.0 and np.isfinite(a.value)):
        return UNDEFINED
    value = a.value / b.value
    up = np.hypot(a.upper / a.value - 1.0, 1.0 - b.lower / b.value)
    down = np.hypot(1.0 - a.lower / a.value, b.upper / b.value - 1.0)
    return Measured(value, value * max(1.0 - float(down), 0.0), value * (1.0 + float(up)))
