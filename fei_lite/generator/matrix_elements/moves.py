"""Particles whose four-momenta change, and the pass through the record that moves them and what descends."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.matrix_elements.family import Family
from fei_lite.generator.matrix_elements.kinematics import carried

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass
class Moves:
    """Particles that move: rows, new four-momenta (in the old frames), and transformations of what descends."""

    rows: list[Rows] = field(default_factory=list)
    p4: list[Array] = field(default_factory=list)
    change: list[Array] = field(default_factory=list)

    def add(self, rows: Rows, p4: Array, change: Array | None = None) -> None:
        """Note particles; without ``change`` nothing descends from them."""
        self.rows.append(rows)
        self.p4.append(p4)
        self.change.append(np.tile(np.eye(4), (len(rows), 1, 1)) if change is None else change)

    def apply(self, family: Family) -> None:
        """Move the particles of a family, and forget them."""
        if self.rows:
            family.p4, family.x4 = carried(family.mother, family.p4, family.x4, np.concatenate(self.rows),
                                           np.concatenate(self.p4), np.concatenate(self.change))
        self.rows, self.p4, self.change = [], [], []
