"""What the non-resonant Xs fragments into: weights from the generator's fractions to measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.xs_nunu.final_states import OTHER, modes
from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import AnalysisError

Floats = NDArray[np.float64]

#: The name of what is none of the modes.
MISSING = "missing"
_Fractions = Annotated[tuple[float, ...], Field(min_length=1)]


class _Category(Strict):
    """Modes with so many kaons, pions and pi0 (-1: any number), their measured percentages and relative errors."""

    name: str
    kaons: int = 1
    pions: int = -1
    pi0: int = -1
    measured: _Fractions
    errors: _Fractions


class _File(Strict):
    """``fragmentation.toml``."""

    mass_edges: _Fractions
    unmeasured_error: float
    missing_error: float
    category: tuple[_Category, ...]
    generated: dict[str, _Fractions]


@dataclass(frozen=True)
class Fragmentation:
    """Fractions of each category (rows) in bins of M(Xs) (columns; the first and the last are not measured).

    ``measured`` and ``generated`` add up to 1 over the categories; ``errors`` are relative, the last row that of what
    is missing. ``missing`` (bins,) is the generated fraction of all Xs that no mode is. ``of_mode`` (30,) is each
    mode's category.
    """

    names: tuple[str, ...]
    edges: Floats
    measured: Floats
    generated: Floats
    errors: Floats
    missing: Floats
    of_mode: NDArray[np.int64]

    def category(self, mode: NDArray[np.integer]) -> NDArray[np.int64]:
        """Category (n,) of modes (n,), :data:`OTHER` for none."""
        return np.asarray(np.append(self.of_mode, OTHER)[mode])

    def bins(self, mass: Floats) -> NDArray[np.int64]:
        """Bin (n,) of M(Xs) (n,), GeV."""
        return np.searchsorted(self.edges, mass, side="right")

    def weight(self, mode: NDArray[np.integer], mass: Floats, non_resonant: NDArray[np.bool_]) -> Floats:
        """Measured over generated fraction (n,); 1 for K and K*, for what is missing and where nothing is measured."""
        category, at = self.category(mode), self.bins(mass)
        ratio = np.divide(self.measured, self.generated, out=np.ones_like(self.measured), where=self.generated > 0.0)
        found = np.concatenate([ratio, np.ones((1, ratio.shape[1]))])[category, at]
        return np.where(non_resonant, found, 1.0)

    def factor(self, name: str, sign: float, mode: NDArray[np.integer], mass: Floats,
               non_resonant: NDArray[np.bool_]) -> Floats:
        """What a shift of one category (or ``missing``) by its error makes of the weights; the rate in a bin stays."""
        row = len(self.names) if name == MISSING else self.names.index(name)
        fraction = self.missing if name == MISSING else (1.0 - self.missing) * self.measured[row]
        moved = np.minimum(fraction * np.maximum(1.0 + sign * self.errors[row], 0.0), 1.0)
        category, at = self.category(mode), self.bins(mass)
        own = np.divide(moved, fraction, out=np.ones_like(moved), where=fraction > 0.0)
        others = np.divide(1.0 - moved, 1.0 - fraction, out=np.ones_like(moved), where=fraction < 1.0)
        mine = category == (OTHER if name == MISSING else row)
        return np.where(non_resonant, np.where(mine, own[at], others[at]), 1.0)


@cache
def fragmentation() -> Fragmentation:
    """The shipped fractions; raises :class:`AnalysisError` for a defect of the file.

    >>> fragmentation().names[:2], float(fragmentation().measured[:, 1].sum().round(12))
    (('K_pi', 'K_pi0'), 1.0)
    """
    source = files("fei_lite.analyses.xs_nunu") / "fragmentation.toml"
    found = read_toml(source, _File, where="fragmentation.toml", error=AnalysisError)
    names = tuple(c.name for c in found.category)
    n = len(found.mass_edges) + 1
    generated = _table(found.generated, (*names, MISSING), n)
    percent, missing = generated[:-1], generated[-1] / 100.0
    outside = percent / np.maximum(percent.sum(axis=0), 1e-300)
    measured = outside.copy()
    measured[:, 1:-1] = np.array([c.measured for c in found.category])
    measured[:, 1:-1] /= measured[:, 1:-1].sum(axis=0)
    errors = np.full((len(names) + 1, n), found.unmeasured_error)
    errors[:-1, 1:-1] = np.array([c.errors for c in found.category])
    errors[-1] = found.missing_error
    return Fragmentation(names, np.array(found.mass_edges), measured, outside, errors, missing, _of_modes(found))


def _table(fractions: Mapping[str, _Fractions], names: tuple[str, ...], n: int) -> Floats:
    """The generated percentages, (names, bins)."""
    if set(fractions) != set(names) or any(len(row) != n for row in fractions.values()):
        raise AnalysisError(f"fragmentation.toml: generated: expected {n} numbers each of {', '.join(names)}.")
    return np.array([fractions[name] for name in names])


def _of_modes(found: _File) -> NDArray[np.int64]:
    """Category of each mode; K and what has K pi pi ... by its numbers of pions; -1 for a kaon alone."""
    out = []
    for daughters in modes():
        kaons = sum(d.startswith("K") for d in daughters)
        neutral = sum(d == "pi0" for d in daughters)
        pions = len(daughters) - kaons
        fits = [i for i, c in enumerate(found.category) if c.kaons == kaons and c.pions in (-1, pions)
                and (c.pi0 == neutral or (c.pi0 == -1 and (kaons > 1 or neutral < 2)))]
        if len(fits) > 1:
            raise AnalysisError(f"fragmentation.toml: category: {' '.join(daughters)} belongs to several.")
        out.append(fits[0] if fits else OTHER)
    return np.array(out, dtype=np.int64)
