"""What Pythia starts from: B pairs of the Upsilon(4S), or e+e- -> f fbar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
                    f"{UPSILON}:new = Upsilon4S void 3 0 0 10.5794 0.0205 10.4 10.8 0")
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


def start_pairs(generator: Generator, pairs: Sequence[tuple[int, int]], *, code: int, groups: Mapping[int, Groups],
                beams: Beams, rng: np.random.Generator, before: Callable[[], None] | None = None) -> None:
    """Let a Pythia decay B pairs; ``code`` is the B (511 mixes) whose mass they have.

    B's of ``groups`` (by PDG code) are replaced by copies (:mod:`fei_lite.generator.groups`).
    ``before`` is called before each event.
    """
    source = pair_source_class()(pairs, mass=generator.pythia.particleData.m0(code), mixing=code == 511,
                                 groups=groups, beams=beams, rng=rng, before=before)
    generator.pythia.setLHAupPtr(source)
    generator.keep_alive.append(source)


@cache
def pair_source_class() -> Any:
    """The class that hands B pairs to Pythia (made late: it derives from one of Pythia's)."""
    import pythia8mc

    class PairSource(pythia8mc.LHAup):  # type: ignore[misc]
        """Pairs of B mesons at rest in their sum, sin^2(theta) about the z axis.

        ``pairs`` are the codes of the two B's; one of them is drawn for each
        event, in turn. ``mass`` in GeV. With ``mixing`` the flavours at the two
        decays are equal with the time-integrated probability; the decay times,
        which Pythia draws without regard to that, follow (:func:`mixing_times`).
        A B of ``groups`` becomes the copy of the group that it draws.
        """

        def __init__(self, pairs: Sequence[tuple[int, int]], *, mass: float, mixing: bool,
                     groups: Mapping[int, Groups], beams: Beams, rng: np.random.Generator,
                     before: Callable[[], None] | None) -> None:
            super().__init__()
            self.before = before
            self.pairs, self.mass = pairs, mass
            self.mixing, self.groups, self.beams, self.rng = mixing, groups, beams, rng
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
            sqrt_s, px, py, pz, first, second = self.waiting.pop()
            half = 0.5 * sqrt_s
            self.setProcess(9999, 1.0, sqrt_s, 1.0 / 137.0, 0.2)
            self.addParticle(11, -1, 0, 0, 0, 0, 0.0, 0.0, half, half, 0.0, 0.0, 9.0, sqrt_s)
            self.addParticle(-11, -1, 0, 0, 0, 0, 0.0, 0.0, -half, half, 0.0, 0.0, 9.0, sqrt_s)
            self.addParticle(UPSILON, 2, 1, 2, 0, 0, 0.0, 0.0, 0.0, sqrt_s, sqrt_s, 0.0, 9.0, sqrt_s)
            self.addParticle(first, 1, 3, 3, 0, 0, px, py, pz, half, self.mass, 0.0, 9.0, sqrt_s)
            self.addParticle(second, 1, 3, 3, 0, 0, -px, -py, -pz, half, self.mass, 0.0, 9.0, sqrt_s)
            return True

        def draw(self) -> list[tuple[Any, ...]]:
            """The next events: sqrt(s), momentum and codes."""
            rng = self.rng
            p4 = self.beams.smeared(_BLOCK, rng)
            sqrt_s = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
            sqrt_s = np.maximum(sqrt_s, 2.0 * self.mass + 1e-4)
            p = np.sqrt(0.25 * sqrt_s**2 - self.mass**2)
            cos = sine_squared(_BLOCK, rng)
            sin, phi = np.sqrt(1.0 - cos**2), rng.uniform(-np.pi, np.pi, _BLOCK)
            rows = []
            equal = rng.uniform(size=_BLOCK) < (mixed_fraction() if self.mixing else 0.0)
            swap = rng.uniform(size=_BLOCK) < 0.5
            copies = self.copies(rng.uniform(size=(_BLOCK, 2)))
            for i in range(_BLOCK):
                first, second = self.pairs[self.n % len(self.pairs)]
                self.n += 1
                if equal[i]:
                    # both decay with the flavour of one of them, either with equal probability
                    keep_first = swap[i]
                    first, second = (first, -second) if keep_first else (-first, second)
                first, second = (code if known is None else int(known[i, side]) * (1 if code > 0 else -1)
                                 for side, code in enumerate((first, second))
                                 for known in [copies.get(abs(code))])
                rows.append((float(sqrt_s[i]), float(p[i] * sin[i] * np.cos(phi[i])),
                             float(p[i] * sin[i] * np.sin(phi[i])), float(p[i] * cos[i]), first, second))
            return rows[::-1]

        def copies(self, chance: NDArray[np.float64]) -> dict[int, NDArray[np.int64]]:
            """The copies (n, 2) that the next events' B's become, by the B's code."""
            enriched = np.zeros(chance.shape, dtype=bool)
            share = max((g.generic_share for g in self.groups.values()), default=1.0)
            if share < 1.0:  # no random numbers are spent on generic events
                side = self.rng.uniform(size=len(chance)) / (1.0 - share)
                enriched[:, 0], enriched[:, 1] = side < 0.5, (side >= 0.5) & (side < 1.0)
            return {code: g.draw(chance, enriched) for code, g in self.groups.items()}

    return PairSource


def sine_squared(n: int, rng: np.random.Generator) -> Any:
    """cos(theta) of ``n`` directions with density 3/4 sin^2(theta): B pairs of an Upsilon(4S) made by e+e-.

    Inverts the cumulative (2 + 3 c - c^3) / 4 in closed form.

    >>> c = sine_squared(100_000, np.random.default_rng(1))
    >>> round(float(np.mean(c**2)), 2)
    0.2
    """
    u = rng.uniform(size=n)
    return 2.0 * np.cos((np.arccos(1.0 - 2.0 * u) + 4.0 * np.pi) / 3.0)


def continuum_settings(code: int, beams: Beams) -> list[str]:
    """Pythia settings for e+e- -> gamma*/Z -> f fbar of one flavour, without ISR; photons do not split."""
    p = beams.nominal
    sqrt_s = float(np.sqrt(p[3] ** 2 - p[:3] @ p[:3]))
    return ["Beams:idA = 11", "Beams:idB = -11", f"Beams:eCM = {sqrt_s}", "WeakSingleBoson:ffbar2gmZ = on",
            "TimeShower:QEDshowerByGamma = off",
            "23:mMin = 4.0", "PhaseSpace:mHatMin = 4.0", "23:onMode = off", f"23:onIfAny = {code}"]
