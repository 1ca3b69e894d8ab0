"""Templates: where analyses end and statistics starts. Neither knows the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Template:
    """Expected events of one sample in the bins of one channel, and what may change them.

    ``values`` (n_bins,) events, ``errors`` (n_bins,) the root of their sum of squared
    weights; ``normalisations``: nuisance -> (down, up) factors; ``shapes``:
    nuisance -> (down, up), each (n_bins,) events. A ``signal`` scales with the parameter
    ``strength`` (by default the one parameter of interest).
    """

    name: str
    values: Floats
    errors: Floats
    signal: bool = False
    normalisations: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    strength: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields by name, arrays as lists."""
        return {
            "name": self.name, "values": self.values.tolist(), "errors": self.errors.tolist(), "signal": self.signal,
            **({"strength": self.strength} if self.strength else {}),
            "normalisations": {name: list(factors) for name, factors in self.normalisations.items()},
            "shapes": {name: {"down": low.tolist(), "up": high.tolist()} for name, (low, high) in self.shapes.items()}}
