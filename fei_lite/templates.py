"""Templates: where analyses end and statistics starts. Neither knows the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Template:
    """Expected events of one sample in the bins of one channel, and what may change them.

    ``values`` (n_bins,) events, ``errors`` (n_bins,) the root of their sum of squared
    weights (default: none); ``normalisations``: nuisance -> (down, up) factors, or a
    relative error; ``shapes``: nuisance -> (down, up), each (n_bins,) events. A ``signal``
    scales with the parameter ``strength`` (by default the one parameter of interest);
    ``free``: names of further normalisations that nothing constrains.
    """

    name: str
    values: Floats
    errors: Floats = field(default_factory=lambda: np.zeros(0))
    signal: bool = False
    normalisations: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    strength: str = ""
    free: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Lists become arrays, relative errors factors."""
        values, errors = _array(self.values), _array(self.errors)
        known = {"values": values, "errors": errors if errors.size else np.zeros_like(values), "free": tuple(self.free),
                 "normalisations": {name: _factors(size) for name, size in self.normalisations.items()},
                 "shapes": {name: (_array(low), _array(high)) for name, (low, high) in self.shapes.items()}}
        for name, value in known.items():
            object.__setattr__(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """The fields by name, arrays as lists."""
        return {
            "name": self.name, "values": self.values.tolist(), "errors": self.errors.tolist(), "signal": self.signal,
            **({"strength": self.strength} if self.strength else {}),
            "normalisations": {name: list(factors) for name, factors in self.normalisations.items()},
            "shapes": {name: {"down": low.tolist(), "up": high.tolist()} for name, (low, high) in self.shapes.items()}}


def _array(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64).ravel()


def _factors(size: Any) -> tuple[float, float]:
    return (float(size[0]), float(size[1])) if isinstance(size, Sequence) else (1.0 - float(size), 1.0 + float(size))


def bins_without_background(templates: Sequence[Template]) -> tuple[int, ...]:
    """Bins where signal is expected and nothing else: one event there makes every likelihood without signal zero.

    >>> signal, background = Template("s", [1.0, 1.0], signal=True), Template("b", [3.0, 0.0])
    >>> bins_without_background([signal, background])
    (1,)
    """
    signal = np.sum([np.abs(t.values) for t in templates if t.signal], axis=0)
    background = np.sum([t.values for t in templates if not t.signal], axis=0)
    return tuple(int(i) for i in np.flatnonzero((signal > 0.0) & ~(background > 0.0)))
