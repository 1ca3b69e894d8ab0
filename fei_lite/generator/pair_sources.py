"""What Pythia starts from at the Upsilon(4S): pairs of B mesons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.beams import Beams
from fei_lite.generator.groups import Groups
from fei_lite.generator.processes import DELTA_M_D, TAU_B0
from fei_lite.generator.pythia import RADIATION, Generator

UPSILON = 300553
#: Settings of a Pythia that gets its events from :func:`start_pairs`.
UPSILON_SETTINGS = (*RADIATION, "Beams:frameType = 5",
                    f"{UPSILON}:new = Upsilon4S void 3 0 0 10.5794 0 0 0 0")
_HALF_ENERGY = 5.5  # GeV; above every event, or Pythia drops it: the events carry their own energies
_BLOCK = 2000          # events drawn at a time, so that the sequence does not depend on the batches


def mixed_fraction(delta_m: float = DELTA_M_D, tau: float = TAU_B0) -> float:
    """Time-integrated mixing probability of coherent B0 pairs, x^2 / (2 (1 + x^2)).

    >>> from fei_lite.generator.processes import CHI_D
    >>> abs(mixed_fraction() - CHI_D) < 0.002
    True
    """
    x = delta_m * tau
    return 0.5 * x * x / (1.0 + x * x)


def mixing_times(equal: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Proper decay times (n, 2) in ps of coherent B0 pairs, given whether their flavours are equal at the decays.

    Density exp(-(t1 + t2) / tau) (1 -+ cos(dm (t1 - t2))), minus for equal flavours.
    """
    times = np.empty((len(equal), 2))
    waiting = np.arange(len(equal))
    while len(waiting):
        drawn = rng.exponential(TAU_B0, (len(waiting), 2))
        cos = np.cos(DELTA_M_D * (drawn[:, 0] - drawn[:, 1]))
        accepted = rng.uniform(size=len(waiting)) < 0.5 * (1.0 - np.where(equal[waiting], cos, -cos))
        times[waiting[accepted]] = drawn[accepted]
        waiting = waiting[~accepted]
    return times


@dataclass(frozen=True)
class Pair:
    """Pythia's codes of a pair of B's, how often it is made, and what mixing makes of each (none: no mixing).

    With ``second`` 0 the first is a particle that is made alone and that Pythia decays: a copy of the Upsilon(4S) or
    of the virtual photon.
    """

    first: int
    second: int
    fraction: float = 1.0
    mixed: tuple[int, int] | None = None


def generic_pair(code: int) -> Pair:
    """A B (511, 521, or a copy of one) and its antiparticle; pairs of B0 mix.

    >>> generic_pair(511).mixed, generic_pair(521).mixed
    ((-511, 511), None)
    """
    return Pair(code, -code, mixed=(-code, code) if code % 1000 == 511 else None)


def start_pairs(generator: Generator, pairs: Sequence[Pair], *, groups: Mapping[int, Groups],
                beams: Beams, rng: np.random.Generator, before: Callable[[], None] | None = None) -> None:
    """Let a Pythia decay B pairs.

    B's of ``groups`` (by PDG code) are replaced by copies (:mod:`fei_lite.generator.groups`).
    ``before`` is called before each event.
    """
    masses = {code: generator.pythia.particleData.m0(abs(code))
              for pair in pairs if pair.second for code in (pair.first, pair.second, *(pair.mixed or ()))}
    source = pair_source_class()(pairs, masses=masses, groups=groups, beams=beams, rng=rng,
                                 before=before)
    generator.pythia.setLHAupPtr(source)
    generator.keep_alive.append(source)


@cache
def pair_source_class() -> Any:
    """The class that hands B pairs to Pythia (made late: it derives from one of Pythia's)."""
    import pythia8mc

    class PairSource(pythia8mc.LHAup):  # type: ignore[misc]
        """Pairs of B mesons at rest in their sum, sin^2(theta) about the z axis.

        One of ``pairs`` is drawn for each event by its fraction (in turn, if
        they are equal). ``masses`` in GeV by code. In pairs that mix, one B has
        the flavour of the other with the time-integrated probability; the decay
        times, which Pythia draws without regard to that, follow (:func:`mixing_times`).
        A B of ``groups`` becomes the copy of the group that it draws.
        """

        def __init__(self, pairs: Sequence[Pair], *, masses: Mapping[int, float],
                     groups: Mapping[int, Groups], beams: Beams, rng: np.random.Generator,
                     before: Callable[[], None] | None) -> None:
            super().__init__()
            self.before = before
            self.pairs, self.masses = pairs, masses
            self.groups, self.beams, self.rng = groups, beams, rng
            self.waiting: list[tuple[Any, ...]] = []
            self.n = 0

        def setInit(self) -> bool:
            self.setBeamA(11, _HALF_ENERGY)
            self.setBeamB(-11, _HALF_ENERGY)
            self.addProcess(9999, 1.0, 0.0, 1.0)
            self.setStrategy(3)
            return True

        def setEvent(self, _process: int = 0) -> bool:
            if self.before is not None:
                self.before()
            if not self.waiting:
                self.waiting = self.draw()
            sqrt_s, px, py, pz, first, second, masses = self.waiting.pop()
            half = 0.5 * sqrt_s
            energy = half + (masses[0] ** 2 - masses[1] ** 2) / (2.0 * sqrt_s)  # of the first
            self.setProcess(9999, 1.0, sqrt_s, 1.0 / 137.0, 0.2)
            self.addParticle(11, -1, 0, 0, 0, 0, 0.0, 0.0, half, half, 0.0, 0.0, 9.0, sqrt_s)
            self.addParticle(-11, -1, 0, 0, 0, 0, 0.0, 0.0, -half, half, 0.0, 0.0, 9.0, sqrt_s)
            if not second:
                self.addParticle(first, 1, 1, 2, 0, 0, 0.0, 0.0, 0.0, sqrt_s, sqrt_s, 0.0, 9.0, sqrt_s)
                return True
            self.addParticle(UPSILON, 2, 1, 2, 0, 0, 0.0, 0.0, 0.0, sqrt_s, sqrt_s, 0.0, 9.0, sqrt_s)
            self.addParticle(first, 1, 3, 3, 0, 0, px, py, pz, energy, masses[0], 0.0, 9.0, sqrt_s)
            self.addParticle(second, 1, 3, 3, 0, 0, -px, -py, -pz, sqrt_s - energy, masses[1], 0.0, 9.0, sqrt_s)
            return True

        def draw(self) -> list[tuple[Any, ...]]:
            """The next events: sqrt(s), momentum and codes."""
            rng = self.rng
            p4 = self.beams.smeared(_BLOCK, rng)
            sqrt_s = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
            cos = sine_squared(_BLOCK, rng)
            sin, phi = np.sqrt(1.0 - cos**2), rng.uniform(-np.pi, np.pi, _BLOCK)
            equal = (rng.uniform(size=_BLOCK) < mixed_fraction()).tolist()
            swap = (rng.uniform(size=_BLOCK) < 0.5).tolist()
            copies = {code: found.tolist() for code, found in self.copies(rng.uniform(size=(_BLOCK, 2))).items()}
            axes = np.stack([sin, np.cos(phi), np.sin(phi), cos], axis=1).tolist()
            rows = []
            for i, (pair, energy, axis) in enumerate(zip(self.drawn_pairs(), sqrt_s.tolist(), axes, strict=True)):
                first, second = pair.first, pair.second
                if not second:
                    rows.append((energy, 0.0, 0.0, 0.0, first, 0, (energy, 0.0)))
                    continue
                if pair.mixed is not None and equal[i]:
                    # both decay with the flavour of one of them, either with equal probability
                    first, second = (first, pair.mixed[1]) if swap[i] else (pair.mixed[0], second)
                masses = self.masses[first], self.masses[second]
                total = max(energy, masses[0] + masses[1] + 1e-4)
                p = two_body_momentum(total, *masses)
                if abs(first) in copies:
                    first = copies[abs(first)][i][0] * (1 if first > 0 else -1)
                if abs(second) in copies:
                    second = copies[abs(second)][i][1] * (1 if second > 0 else -1)
                rows.append((total, p * axis[0] * axis[1], p * axis[0] * axis[2], p * axis[3], first, second, masses))
            return rows[::-1]

        def drawn_pairs(self) -> list[Pair]:
            """The pairs of the next events."""
            fractions = np.cumsum([pair.fraction for pair in self.pairs])
            if np.ptp([pair.fraction for pair in self.pairs]) > 0.0:
                chance = self.rng.uniform(size=_BLOCK) * fractions[-1]
                return [self.pairs[min(i, len(self.pairs) - 1)]
                        for i in np.searchsorted(fractions, chance, side="right")]
            self.n += _BLOCK
            return [self.pairs[i % len(self.pairs)] for i in range(self.n - _BLOCK, self.n)]

        def copies(self, chance: NDArray[np.float64]) -> dict[int, NDArray[np.int64]]:
            """The copies (n, 2) that the next events' B's become, by the B's code."""
            enriched = np.zeros(chance.shape, dtype=bool)
            share = max((g.generic_share for g in self.groups.values()), default=1.0)
            if share < 1.0:  # no random numbers are spent on generic events
                side = self.rng.uniform(size=len(chance)) / (1.0 - share)
                enriched[:, 0], enriched[:, 1] = side < 0.5, (side >= 0.5) & (side < 1.0)
            return {code: g.draw(chance, enriched) for code, g in self.groups.items()}

    return PairSource


def two_body_momentum(total: float, first: float, second: float) -> float:
    """Momentum (GeV) of two particles of given masses in the rest frame of their sum of mass ``total``.

    >>> round(two_body_momentum(5.0, 3.0, 0.0), 9)
    1.6
    """
    squared = (total**2 - (first + second) ** 2) * (total**2 - (first - second) ** 2)
    return math.sqrt(max(squared, 0.0)) / (2.0 * total)


def sine_squared(n: int, rng: np.random.Generator) -> Any:
    """cos(theta) of ``n`` directions with density 3/4 sin^2(theta): B pairs of an Upsilon(4S) made by e+e-.

    Inverts the cumulative (2 + 3 c - c^3) / 4 in closed form.

    >>> c = sine_squared(100_000, np.random.default_rng(1))
    >>> round(float(np.mean(c**2)), 2)
    0.2
    """
    u = rng.uniform(size=n)
    return 2.0 * np.cos((np.arccos(1.0 - 2.0 * u) + 4.0 * np.pi) / 3.0)
