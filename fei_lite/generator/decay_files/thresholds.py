"""Masses of products against the mother's: modes that never fit are refused, tight ones get back what Pythia takes.

Pythia draws a mode, then up to ten times the masses of its products; if they do not fit, another
mode, up to ten times. A mode whose broad products often lack room would be too rare. So the fractions
are drawn with weights that undo it, found by drawing masses here in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.decay_table import Mode, fragments

#: Pythia's tries for the masses and for the mode, what it leaves free (GeV), the width (GeV) below which it
#: draws no mass, and above which a particle is broad; masses drawn here, and rounds of the fit.
_TRIES, _SAFETY, _NARROW, _BROAD, _DRAWS, _ROUNDS = 10, 0.0005, 1e-6, 0.001, 20_000, 100


def least_mass(data: Any, code: int) -> float:
    """Smallest mass in GeV that Pythia gives a particle."""
    return float(data.mMin(code) if data.mWidth(code) > _NARROW else data.m0(code))


def largest_mass(data: Any, code: int) -> float:
    """Largest mass in GeV that Pythia gives a particle; infinite if it has no limit."""
    if data.mWidth(code) <= _NARROW:
        return float(data.m0(code))
    return float(data.mMax(code)) if data.mMax(code) > data.mMin(code) else np.inf


def missing_mass(data: Any, mother: int, mode: Mode) -> float:
    """By how much (GeV) a mode's products are heavier than its mother at the least; 0 if they fit."""
    if fragments(mode) or len(mode.products) == 1:
        return 0.0
    needed = sum(least_mass(data, abs(code)) for code in mode.products) + _SAFETY
    return max(0.0, needed - largest_mass(data, abs(mother)))


def drawn(data: Any, code: int, n: int) -> NDArray[np.float64]:
    """Masses in GeV as Pythia draws them."""
    if data.mWidth(code) <= _NARROW:
        return np.full(n, data.m0(code))
    return np.array([data.mSel(code) for _ in range(n)])


def room(data: Any, mother: int, products: Sequence[int], number: int) -> float | None:
    """Largest mass (GeV) that the other products leave a broad one, where they all hardly fit; None elsewhere.

    Only for mothers that are not broad themselves.
    """
    mass = data.m0(mother)
    product = abs(products[number])
    if data.mWidth(mother) > _BROAD or data.mWidth(product) <= _BROAD or len(products) < 2:
        return None
    if sum(data.m0(abs(p)) + 2.0 * data.mWidth(abs(p)) for p in products) < mass:
        return None
    others = sum(least_mass(data, abs(p)) for i, p in enumerate(products) if i != number)
    limit = float(mass - others - _SAFETY)
    return limit if least_mass(data, product) < limit < largest_mass(data, product) else None


def weigh(data: Any, modes: Mapping[int, Sequence[Mode]]) -> dict[int, NDArray[np.float64]]:
    """Weights for the modes of each mother, with which Pythia makes their fractions.

    A mother has the masses that its own mothers leave it. Where Pythia finds no masses at all the event
    is left out; modes whose products suffer that are made more often. Modes that do not fit at any drawn
    mass keep their fraction.
    """
    order = sorted(modes, key=lambda code: -data.m0(code))
    pools: dict[int, NDArray[np.float64]] = {}
    seen: dict[int, list[NDArray[np.float64]]] = {}
    success = {}
    for mother in order:
        masses = np.concatenate(seen[mother]) if seen.get(mother) else drawn(data, mother, _DRAWS)
        if np.ptp(masses) == 0.0:
            masses = masses[:1]
        total = sum(mode.fraction for mode in modes[mother])
        success[mother] = np.ones((len(modes[mother]), len(masses)))
        for i, mode in enumerate(modes[mother]):
            if fragments(mode) or len(mode.products) == 1:
                continue
            products = []
            if _always_fits(data, mode, float(masses.min())) and not {*map(abs, mode.products)} & set(modes):
                continue
            for j, code in enumerate(map(abs, mode.products)):
                if code not in pools:
                    pools[code] = drawn(data, code, _DRAWS)
                # equal products have masses of their own
                products.append(np.roll(pools[code], 7919 * (j + 1)) if data.mWidth(code) > _NARROW else pools[code])
            sums = np.sort(np.sum(products, axis=0))
            chance = np.searchsorted(sums, masses - _SAFETY) / _DRAWS
            success[mother][i] = 1.0 - (1.0 - chance) ** _TRIES
            _pass_on(mode, products, masses, mode.fraction / total, modes, seen)
    survival: dict[int, float] = {}
    out = {}
    for mother in reversed(order):
        wanted = np.array([mode.fraction / np.prod([survival.get(abs(code), 1.0) for code in mode.products])
                           for mode in modes[mother]])
        out[mother], kept = _weights(wanted, success[mother])
        survival[mother] = kept * sum(mode.fraction for mode in modes[mother]) / float(wanted.sum())
    return out


def _always_fits(data: Any, mode: Mode, mass: float) -> bool:
    """Whether the products of a mode fit in a mass (GeV) whatever theirs are."""
    return sum(largest_mass(data, abs(code)) for code in mode.products) < mass - _SAFETY


def _pass_on(mode: Mode, products: Sequence[NDArray[np.float64]], masses: NDArray[np.float64], fraction: float,
             modes: Mapping[int, Sequence[Mode]], seen: dict[int, list[NDArray[np.float64]]]) -> None:
    """Note the masses that a mode gives those of its products that are mothers themselves."""
    if not any(abs(code) in modes for code in mode.products):
        return
    fits = np.sum(products, axis=0) < (masses if len(masses) == 1 else np.resize(masses, _DRAWS)) - _SAFETY
    rows = np.flatnonzero(fits)[:max(1, int(fraction * _DRAWS))]
    for code, drawn_masses in zip(mode.products, products, strict=True):
        if abs(code) in modes and len(rows):
            seen.setdefault(abs(code), []).append(drawn_masses[rows])


def _weights(fractions: NDArray[np.float64],
             success: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Weights w with which modes that succeed with ``success`` (modes, masses) come out in proportion to ``fractions``.

    At one mass, mode i is made with probability w_i s_i (1 - (1 - S)^10) / S, where S = sum of w_i s_i: Pythia
    tries ten modes. Also returns the fraction of decays for which one of them fits.
    """
    possible = (success.mean(axis=1) > 0.0) & (fractions > 0.0)
    weights = fractions / fractions.sum()
    if np.all(success[possible] > 1.0 - 1e-9):
        return weights, 1.0
    wanted = fractions[possible] / fractions[possible].sum()
    kept = 1.0
    for _ in range(_ROUNDS):
        made = weights[:, None] * success
        total = np.minimum(made.sum(axis=0), 1.0)
        tried = np.where(total > 0.0, (1.0 - (1.0 - total) ** _TRIES) / np.maximum(total, 1e-300), 0.0)
        got = (made * tried).mean(axis=1)[possible]
        kept = float(got.sum())
        ratio = wanted / (got / kept)
        weights[possible] *= ratio
        weights /= weights.sum()
        if np.max(np.abs(ratio - 1.0)) < 1e-6:
            break
    return weights, kept
