"""Efficiency, purity and cross-feed of the 30 modes of B -> Xs nu nubar."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.drawings import Grid, Panel
from fei_lite.analyses.xs_nunu.final_states import OTHER, modes, title

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CrossFeed:
    """What the generated modes are found as; row and column 30 stand for no mode.

    ``found`` (31, 30): weighted candidates of generated mode (row) reconstructed as a mode (column); ``entries`` the
    same unweighted. ``generated`` (31,): events simulated of each mode, ``rate`` (31,): the fraction of all B -> Xs nu
    nubar of B+ or B0 that each is.
    """

    found: Floats = field(repr=False)
    generated: Floats = field(repr=False)
    rate: Floats = field(repr=False)

    @property
    def efficiency(self) -> Floats:
        """Of each generated mode (row) the fraction found as each mode (column), (31, 30)."""
        return np.divide(self.found, self.generated[:, None], out=np.zeros_like(self.found),
                         where=self.generated[:, None] > 0)

    @property
    def right(self) -> Floats:
        """Efficiency of each mode: found as what it is, (30,)."""
        return np.diagonal(self.efficiency).copy()

    @property
    def right_errors(self) -> Floats:
        """Half the width of its 68 % interval (Wilson, which is none of width 0 where nothing is found), (30,)."""
        p, n = self.right, np.maximum(self.generated[:-1], 1.0)
        return np.asarray(np.sqrt(p * (1.0 - p) / n + 0.25 / n**2) / (1.0 + 1.0 / n))

    @property
    def purity(self) -> Floats:
        """Of the signal found in each mode, at the rates of the standard model, the fraction that is of it, (30,)."""
        expected = self.efficiency * self.rate[:, None]
        return np.asarray(np.divide(np.diagonal(expected), expected.sum(axis=0), out=np.full(len(modes()), np.nan),
                                    where=expected.sum(axis=0) > 0))

    def text(self) -> str:
        """A line per mode: efficiency, all that is found of it as something else, purity."""
        lines = [f"{'mode':28s} {'rate':>7s} {'events':>7s} {'efficiency':>16s} {'as another':>10s} {'purity':>7s}   %"]
        for i in range(len(modes())):
            wrong = self.efficiency[i].sum() - self.right[i]
            lines.append(f"{i:2d} {title(i):25s} {100 * self.rate[i]:7.2f} {self.generated[i]:7.0f} "
                         f"{100 * self.right[i]:7.2f} +- {100 * self.right_errors[i]:5.2f} {100 * wrong:10.2f} "
                         f"{100 * self.purity[i]:7.1f}")
        other = self.efficiency[OTHER].sum()
        lines.append(f"{'other final states':28s} {100 * self.rate[OTHER]:7.2f} {self.generated[OTHER]:7.0f} {'':16s} "
                     f"{100 * other:10.2f}")
        return "\n".join(lines) + "\n"

    def matrix(self) -> str:
        """The matrix as text: generated modes as rows, modes they are found as as columns, %; a dot below 0.005."""
        lines = [f"{'found as, %':14s}" + "".join(f"{i:6d}" for i in range(len(modes())))]
        names = [*(f"{i:d}" for i in range(len(modes()))), "other"]
        for name, row in zip(names, 100 * self.efficiency, strict=True):
            lines.append(f"generated {name:>4s}" + "".join(f"{x:6.2f}" if x >= 0.005 else f"{'.':>6s}" for x in row))
        return "\n".join(lines) + "\n"

    def panel(self) -> Panel:
        """The matrix as a picture, %."""
        names = [title(i) for i in range(len(modes()))]
        return Panel("reconstructed as", "generated", grid=Grid(100 * self.efficiency, x=names, y=[*names, "other"],
                                                               label="% of the generated mode"))


def cross_feed(generated: NDArray[np.integer], reconstructed: NDArray[np.integer], weight: Floats, *,
               events: Floats, rate: Floats) -> CrossFeed:
    """The matrix of candidates (n,) with their generated and reconstructed modes.

    ``events`` and ``rate`` as in :class:`CrossFeed`.
    """
    found = np.zeros((len(modes()) + 1, len(modes())))
    np.add.at(found, (np.where(generated == OTHER, len(modes()), generated), reconstructed), weight)
    return CrossFeed(found, events, rate)
