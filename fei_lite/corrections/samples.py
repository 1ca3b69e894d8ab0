"""A control sample for correction factors: Btags, their rows (modes, or pools of modes) and histograms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.fractions import Sums
from fei_lite.performance.best_tags import B_TYPES, BestTags

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """Choices of the fits. GeV.

    ``endpoint``: half of the energy of the Upsilon(4S) at its nominal mass;
    ``endpoint_error`` (assumed) its error; ``min_expected``: signal events that a mode needs
    in data to have a factor of its own; ``min_shape``: simulated signal candidates (effective) that it
    needs to have a signal shape of its own.
    """

    low: float = 5.22
    high: float = 5.29
    n_bins: int = 35
    endpoint: float = 5.28970
    endpoint_error: float = 0.0003
    model: str = "crystal_ball"
    other_model: str = "core_and_tail"
    min_expected: float = 50.0
    min_shape: float = 400.0
    scale: float = 1.0
    scale_error: float = 0.0

    @property
    def edges(self) -> Floats:
        """Edges of the bins in Mbc; none lies beyond the endpoint but the last."""
        return np.linspace(self.low, self.high, self.n_bins + 1)


@dataclass(frozen=True)
class Tags:
    """Best Btags of a control sample: arrays (n,).

    ``b_type`` (521 or 511), ``mode`` (decayModeID), ``mbc`` (GeV), ``weight``, and
    whether the candidate belongs to the peak (simulation alone; None for data).
    """

    b_type: NDArray[np.int32]
    mode: NDArray[np.int32]
    mbc: Floats
    weight: Floats
    peaking: NDArray[np.bool_] | None = None


def control_tags(tags: BestTags, *, min_signal_probability: float = 0.01,
                 nearly_right: NDArray[np.bool_] | None = None) -> Tags:
    """The best Btags above a working point as a control sample; what peaks is known where there is truth.

    Correct ones peak, and ``nearly_right`` ones (n,; default: those whose parts all come from one B).
    """
    if nearly_right is None:
        nearly_right = np.isin(tags.ancestor, [code for code, _ in B_TYPES.values()])
    above = tags.probability > min_signal_probability
    peaking = (tags.correct | nearly_right)[above] if tags.has_truth else None
    tags = tags.select(above)
    return Tags(tags.b_type, tags.mode, tags.mbc, tags.weight, peaking)


def pool_modes(expected: Mapping[int, float], min_expected: float) -> list[tuple[int, ...]]:
    """Modes with at least ``min_expected`` events alone, largest first, and the others in one pool at the end.

    ``expected`` by mode, from simulation: a choice by the data would be biased. If the pool has too few as well,
    the smallest mode that stands alone joins it, and so on; if all together have too few, there is no row.

    >>> pool_modes({0: 100.0, 1: 70.0, 2: 20.0, 3: 40.0}, 50.0)
    [(0,), (1,), (2, 3)]
    >>> pool_modes({0: 100.0, 1: 70.0, 2: 20.0}, 50.0)
    [(0,), (1, 2)]
    """
    alone = sorted((m for m, n in expected.items() if n >= min_expected), key=lambda m: -expected[m])
    pool = [m for m, n in expected.items() if n < min_expected]
    while pool and alone and sum(expected[m] for m in pool) < min_expected:
        pool.append(alone.pop())
    rows: list[tuple[int, ...]] = [(m,) for m in alone]
    if pool and sum(expected[m] for m in pool) >= min_expected:
        rows.append(tuple(sorted(pool)))
    return rows


@dataclass(frozen=True)
class Rows:
    """Histograms of the rows (n_rows, n_bins): data, simulation, its squares, its peak and that one's squares."""

    b_types: list[str]
    modes: list[tuple[int, ...]]
    data: Floats
    simulation: Floats
    squares: Floats
    peak: Floats
    peak_squares: Floats

    @property
    def effective(self) -> Floats:
        """Effective number of simulated peaking candidates (n_rows,)."""
        return np.array([Sums(weight=weight, squares=squares).n_effective for weight, squares in zip(
            self.peak.sum(axis=1), self.peak_squares.sum(axis=1), strict=True)])


def make_rows(data: Tags, simulation: Tags, options: Options) -> tuple[Rows, dict[str, str]]:
    """Rows and histograms of both samples, and the modes that are in no row, with the reason.

    Raises :class:`FitError` if there is no row at all.
    """
    assert simulation.peaking is not None
    b_types: list[str] = []
    modes: list[tuple[int, ...]] = []
    left_out: dict[str, str] = {}
    inside = (simulation.mbc >= options.low) & (simulation.mbc <= options.high) & simulation.peaking
    for b_type, (code, _) in B_TYPES.items():
        known = np.unique(np.concatenate([t.mode[t.b_type == code] for t in (data, simulation)]))
        expected = {int(m): options.scale * float(simulation.weight[inside & (simulation.b_type == code)
                                                                    & (simulation.mode == m)].sum()) for m in known}
        found = pool_modes(expected, options.min_expected)
        b_types += [b_type] * len(found)
        modes += found
        for mode in set(expected) - {m for row in found for m in row}:
            left_out[f"{b_type} {mode}"] = (f"{expected[mode]:.1f} events expected, with all others of its B type "
                                            "too few")
    if not modes:
        raise FitError(f"no mode has the {options.min_expected:g} expected signal events that a factor needs.")

    def histograms(tags: Tags, of: NDArray[np.bool_] | None = None, power: int = 1) -> Floats:
        use = np.ones(len(tags.mbc), dtype=bool) if of is None else of
        counts = []
        for b_type, row in zip(b_types, modes, strict=True):
            chosen = use & (tags.b_type == B_TYPES[b_type][0]) & np.isin(tags.mode, row)
            counts.append(np.histogram(tags.mbc[chosen], options.edges, weights=tags.weight[chosen] ** power)[0])
        return np.array(counts, dtype=np.float64)

    return Rows(b_types, modes, histograms(data), histograms(simulation), histograms(simulation, power=2),
                 histograms(simulation, simulation.peaking), histograms(simulation, simulation.peaking, 2)), left_out
