"""D decays into three mesons with the resonances of their Dalitz plots, in place of Pythia's phase space.

The isobar model of CLEO (S. Kopp et al., Phys. Rev. D 63 (2001) 092001): a constant and
Breit-Wigner amplitudes with mass-dependent widths, Blatt-Weisskopf factors (radii 5 / GeV of
the D, 1.5 / GeV of the resonances) and Zemach's spin factors. The plots are in `dalitz.toml`.
A table of the plot, fine against the widths, is drawn from; a D has no spin, so the plane's
orientation is random. Where photons were radiated, the three share what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import SimulationError
from fei_lite.generator.matrix_elements.family import Family
from fei_lite.generator.matrix_elements.kinematics import (
    boost_matrices,
    breakup_momentum,
    directions,
    inverse,
    mass_of,
    random_rotations,
    rotated,
    transform,
)
from fei_lite.generator.matrix_elements.moves import Moves
from fei_lite.generator.records import conjugated, hashed, mode_hash

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

MODEL = "D_DALITZ"
_RADIUS_D, _RADIUS = 5.0, 1.5  # 1 / GeV
_MASSES, _COSINES = 800, 100   # cells of a table


class Resonance(Strict):
    """A resonance of two products; see `dalitz.toml`."""

    name: str
    pair: tuple[int, int]
    spin: Literal[0, 1, 2]
    mass: float = Field(gt=0.0)
    width: float = Field(gt=0.0)
    amplitude: float
    phase: float
    running: bool = False

    def term(self, s: dict[frozenset[int], Array], mass: float, masses: tuple[float, float, float],
             pair: tuple[int, int]) -> NDArray[np.complex128]:
        """Its amplitude for squared masses ``s`` of the pairs; ``pair`` are the products that it decays into."""
        a, b = pair
        c = 3 - a - b
        m_a, m_b, m_c = masses[a], masses[b], masses[c]
        s_ab, s_ac, s_bc = s[frozenset((a, b))], s[frozenset((a, c))], s[frozenset((b, c))]
        m = np.sqrt(s_ab)
        p, p_r = breakup_momentum(m, m_a, m_b), breakup_momentum(self.mass, m_a, m_b)
        # the D's momenta: of a resonance above the kinematic limit, none
        q = breakup_momentum(mass, m, m_c)
        q_r = breakup_momentum(mass, self.mass, m_c) if self.mass + m_c < mass else np.zeros(())
        factor = _barrier(self.spin, _RADIUS * p, _RADIUS * p_r)
        width = self.width * (p / p_r) ** (2 * self.spin + 1) * (self.mass / m) * factor**2
        over = s_ab if self.running else self.mass**2
        spin = _spin_factor(self.spin, (s_ab, s_ac, s_bc), (mass**2, m_a**2, m_b**2, m_c**2), over)
        strength = self.amplitude * np.exp(1j * np.radians(self.phase))
        return np.asarray(strength * factor * _barrier(self.spin, _RADIUS_D * q, _RADIUS_D * q_r) * spin
                          / (self.mass**2 - s_ab - 1j * self.mass * width))


def _barrier(spin: int, z: Array, z_r: Array) -> Array:
    """Blatt-Weisskopf factor, 1 at the resonance."""
    if spin == 0:
        return np.ones_like(z)
    if spin == 1:
        return np.asarray(np.sqrt((1.0 + z_r**2) / (1.0 + z**2)))
    return np.asarray(np.sqrt((9.0 + 3.0 * z_r**2 + z_r**4) / (9.0 + 3.0 * z**2 + z**4)))


def _spin_factor(spin: int, s: tuple[Array, Array, Array], squares: tuple[float, float, float, float],
                 over: Array | float) -> Array:
    """Zemach's factor of squared masses AB, AC, BC; ``squares`` of D, A, B, C."""
    s_ab, s_ac, s_bc = s
    d, a, b, c = squares
    if spin == 0:
        return np.ones_like(s_ab)
    linear = s_ac - s_bc + (d - c) * (b - a) / over
    if spin == 1:
        return np.asarray(linear)
    first = s_ab - 2.0 * (d + c) + (d - c) ** 2 / over
    second = s_ab - 2.0 * (a + b) + (a - b) ** 2 / over
    return np.asarray(linear**2 - first * second / 3.0)


class Plot(Strict):
    """A Dalitz plot: mothers and products (PDG codes), the constant amplitude (size, degrees), resonances."""

    mothers: list[int]
    products: tuple[int, int, int]
    like: bool = False
    same: list[int] = Field(default_factory=list)  # codes that stand for the first product as well
    flat: tuple[float, float]
    resonances: list[Resonance] = Field(min_length=1)

    def density(self, s12: Array, s13: Array, *, mass: float, masses: tuple[float, float, float]) -> Array:
        """Squared amplitude at squared masses of the first product with the second and the third (GeV^2)."""
        s = {frozenset((0, 1)): s12, frozenset((0, 2)): s13,
             frozenset((1, 2)): mass**2 + sum(m * m for m in masses) - s12 - s13}
        total = np.full(s12.shape, self.flat[0] * np.exp(1j * np.radians(self.flat[1])))
        for resonance in self.resonances:
            if not self.like:
                total = total + resonance.term(s, mass, masses, resonance.pair)
                continue
            swapped = tuple({1: 2}.get(i, i) for i in resonance.pair)
            total = total + (resonance.term(s, mass, masses, resonance.pair)
                             + resonance.term(s, mass, masses, (swapped[0], swapped[1]))) / np.sqrt(2.0)
        return np.asarray(np.abs(total) ** 2)


class _File(Strict):
    """The file of plots."""

    plot: list[Plot]


@cache
def plots() -> tuple[Plot, ...]:
    """The shipped plots."""
    name = "dalitz.toml"
    path = files("fei_lite.generator.matrix_elements") / name
    return tuple(read_toml(path, _File, error=SimulationError).plot)


def plot_of(mother: int, products: tuple[int, ...]) -> int | None:
    """Number of the plot of a decay (PDG codes), or of the conjugate one; None if there is none.

    >>> plot_of(411, (-321, 211, 211)), plot_of(-421, (111, -211, 321)), plot_of(411, (321, 211, -211))
    (0, 1, None)
    """
    codes = np.array(products)
    codes = codes if mother > 0 else conjugated(codes)
    for number, plot in enumerate(plots()):
        for first in (plot.products[0], *plot.same):
            if abs(mother) in plot.mothers and sorted(codes.tolist()) == sorted((first, *plot.products[1:])):
                return number
    return None


@dataclass(frozen=True, eq=False)
class Table:
    """A Dalitz plot as cells of the mass of the first two products and of their angle, with a cumulative."""

    mass: float
    masses: tuple[float, float, float]
    cumulative: Array

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Mass (n,) of products 1 and 2 in GeV, and cos (n,) of the second to the third's direction in their frame."""
        cell = np.searchsorted(self.cumulative, rng.uniform(size=n), side="right").clip(max=len(self.cumulative) - 1)
        low, high = self.masses[0] + self.masses[1], self.mass - self.masses[2]
        m = low + (cell // _COSINES + rng.uniform(size=n)) * (high - low) / _MASSES
        return m, -1.0 + 2.0 * (cell % _COSINES + rng.uniform(size=n)) / _COSINES


@cache
def table_of(number: int, mass: float, masses: tuple[float, float, float]) -> Table:
    """The table of a plot for a D of ``mass`` and products of ``masses`` (GeV)."""
    low, high = masses[0] + masses[1], mass - masses[2]
    m = low + (np.arange(_MASSES)[:, None] + 0.5) * (high - low) / _MASSES
    cos = -1.0 + 2.0 * (np.arange(_COSINES)[None, :] + 0.5) / _COSINES
    m, cos = np.broadcast_arrays(m, cos)
    p, q = breakup_momentum(m, masses[0], masses[1]), breakup_momentum(mass, m, masses[2])
    density = p * q * plots()[number].density(m**2, pair_13(m, cos, mass=mass, masses=masses), mass=mass,
                                               masses=masses)
    cumulative = np.cumsum(density.ravel())
    return Table(mass, masses, cumulative / cumulative[-1])


def pair_13(m: Array, cos: Array, *, mass: float, masses: tuple[float, float, float]) -> Array:
    """Squared mass of products 1 and 3, where 1 and 2 have the mass ``m`` and ``cos`` is that of :meth:`Table.draw`."""
    p, q = breakup_momentum(m, masses[0], masses[1]), breakup_momentum(mass, m, masses[2])
    e1 = np.sqrt(p**2 + masses[0] ** 2)
    e3 = (mass**2 - m**2 - masses[2] ** 2) / (2.0 * m)
    return np.asarray(masses[0] ** 2 + masses[2] ** 2 + 2.0 * (e1 * e3 + p * (q * mass / m) * cos))


def redraw_dalitz(family: Family, shapes: tuple[NDArray[np.uint64], NDArray[np.int64]], moves: Moves,
                  rng: np.random.Generator) -> None:
    """Three-body D decays with a Dalitz plot; ``shapes`` are hashes of mother and products, and the plots' numbers."""
    keys, numbers = shapes
    heads = np.flatnonzero(np.isin(family.absolute, _MOTHERS))
    if not len(heads) or not len(keys):
        return
    owner, rows = family.made(heads)
    count = np.bincount(owner, minlength=len(heads))
    three = count[owner] == 3
    order = np.argsort(owner[three], kind="stable")
    products = rows[three][order].reshape(-1, 3)
    mothers = heads[count == 3]
    sums = hashed(family.raw[products.ravel()]).reshape(-1, 3).sum(axis=1, dtype=np.uint64)
    hashes = mode_hash(family.raw[mothers], sums)
    place = np.searchsorted(keys, hashes).clip(max=len(keys) - 1)
    number = np.where(keys[place] == hashes, numbers[place], -1)
    for i in np.unique(number[number >= 0]).tolist():
        which = number == i
        _redraw(family, i, mothers[which], products[which], moves, rng)


_MOTHERS = (411, 421)


def _redraw(family: Family, number: int, mothers: Rows, products: Rows, moves: Moves,
            rng: np.random.Generator) -> None:
    """Decays of one plot."""
    plot, n = plots()[number], len(mothers)
    codes = family.code[products] * 1
    anti = family.code[mothers] < 0
    codes[anti] = conjugated(codes[anti].ravel()).reshape(-1, 3)
    wanted = {code: k for k, code in reversed(list(enumerate(plot.products)))} | dict.fromkeys(plot.same, 0)
    rank = np.vectorize(wanted.__getitem__, otypes=[np.int64])(codes)
    products = np.take_along_axis(products, np.argsort(rank, axis=1, kind="stable"), axis=1)
    p4 = family.p4[products]
    total = p4.sum(axis=1)
    onward = boost_matrices(total)
    to_rest = inverse(onward)
    mass, parts = mass_of(total), mass_of(p4)
    nominal = tuple(float(x) for x in parts[0].round(5))
    table = table_of(number, float(mass_of(family.p4[mothers[:1]])[0].round(4)), (nominal[0], nominal[1], nominal[2]))
    m, cos = table.draw(n, rng)
    waiting = np.flatnonzero(m + parts[:, 2] > mass)  # photons took some of the D's energy
    for _ in range(20):
        if not len(waiting):
            break
        m[waiting], cos[waiting] = table.draw(len(waiting), rng)
        waiting = waiting[m[waiting] + parts[waiting, 2] > mass[waiting]]
    kept = (m > parts[:, 0] + parts[:, 1]) & (m + parts[:, 2] < mass)
    new = _three_bodies(np.where(kept, m, 1.0), cos, mass, parts)
    turn = rotated(random_rotations(n, rng))
    for k in range(3):
        moved = transform(turn, new[k])
        old = transform(to_rest, p4[:, k])
        change = onward @ boost_matrices(moved) @ inverse(boost_matrices(old)) @ to_rest
        moves.add(products[kept, k], transform(onward, moved)[kept], change[kept])


def _three_bodies(m: Array, cos: Array, mass: Array, parts: Array) -> tuple[Array, Array, Array]:
    """Four-momenta (n, 4) of the products in their rest frame, the third along -z, the first two around +z."""
    p, q = breakup_momentum(m, parts[:, 0], parts[:, 1]), breakup_momentum(mass, m, parts[:, 2])
    third = np.stack([0 * q, 0 * q, -q, np.sqrt(q**2 + parts[:, 2] ** 2)], axis=1)
    frame = boost_matrices(np.stack([0 * q, 0 * q, q, np.sqrt(q**2 + m**2)], axis=1))
    flight = directions(cos, np.zeros(len(cos))) * p[:, None]
    first, second = (transform(frame, np.concatenate([sign * flight, np.sqrt(p**2 + own**2)[:, None]], axis=1))
                     for sign, own in ((1.0, parts[:, 0]), (-1.0, parts[:, 1])))
    return first, second, third
