"""e+e- -> f fbar with photons from the beams, handed to Pythia, which showers, fragments and decays.

The mass of the pair and the photons are drawn here (:mod:`fei_lite.generator.radiation`);
the pair has the angular distribution 1 + c^2 + (4 m^2 / s') (1 - c^2) to the beams in its rest frame.
Below :data:`~fei_lite.generator.born.RESONANCES_BELOW` up and down quarks are hadrons already:
pi+pi- through the rho (sin^2(theta)), or an omega, which decays by the table (without its
polarisation). Taus get helicities, opposite but for a part 4 m^2 / s' of the rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.beams import Beams, boost
from fei_lite.generator.born import PION_MASS, RESONANCES_BELOW, find_fermion, light_parts
from fei_lite.generator.pair_sources import Pair, sine_squared
from fei_lite.generator.pythia import Generator
from fei_lite.generator.radiation import photons, prepare

Array = NDArray[np.float64]

#: Settings of a Pythia that gets its events from :func:`start_continuum`. Photons do not split. The taus' helicities
#: are those of the events: Pythia's own spin correlation computes e+e- -> tau+tau- anew at each try of a decay, which
#: takes ten times as long as all else.
CONTINUUM_SETTINGS = ("Beams:frameType = 5", "TimeShower:QEDshowerByGamma = off", "TauDecays:mode = 5",
                      "TauDecays:externalMode = 0")
_HALF_ENERGY = 5.5  # GeV; above every event, which carries its own energies
_BLOCK = 2000       # events drawn at a time, so that the sequence does not depend on the batches
_VIRTUAL, _PION, _NO_SPIN = 23, 211, 9.0


class Events(NamedTuple):
    """Events for Pythia: lists of sqrt(s) and of the number of rows of each event, and all rows one after the other.

    Each row holds code, status, two mothers, colour, anti-colour; px, py, pz, E, mass, life, helicity, sqrt(s).
    """

    sqrt_s: list[float]
    counts: list[int]
    rows: Iterator[tuple[int | float, ...]]


def start_continuum(generator: Generator, code: int, *, beams: Beams, rng: np.random.Generator,
                    pairs: Sequence[Pair] = ()) -> None:
    """Let a Pythia make e+e- -> f fbar of one flavour (PDG code of u, d, s, c, tau).

    ``pairs`` are codes to call the fermion and the antifermion by, and how often: copies of taus.
    """
    source = _source_class()(Continuum(code, beams=beams, rng=rng, pairs=pairs))
    generator.pythia.setLHAupPtr(source)
    generator.keep_alive.append(source)


class Continuum:
    """Draws events of one flavour (PDG code)."""

    def __init__(self, code: int, *, beams: Beams, rng: np.random.Generator, pairs: Sequence[Pair] = ()) -> None:
        nominal = beams.nominal
        self.code, self.beams, self.rng, self.pairs = code, beams, rng, pairs
        self.mass = find_fermion(code).mass
        self.radiation = prepare(code, float(np.sqrt(nominal[3] ** 2 - nominal[:3] @ nominal[:3])))

    def draw(self, n: int = _BLOCK) -> Events:
        """The next ``n`` events: the virtual photon or what stands for it, the pair, the beams' photons."""
        p4 = self.beams.smeared(n, self.rng)
        sqrt_s = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
        event, k = photons(self.radiation.draw(n, self.rng), sqrt_s, self.rng)
        pair = np.stack([(sqrt_s if i == 3 else 0.0) - np.bincount(event, k[:, i], n) for i in range(4)], axis=1)
        mass = np.sqrt(pair[:, 3] ** 2 - np.sum(pair[:, :3] ** 2, axis=1))
        code, decays = self.final(mass)
        daughters, helicity = self.daughters(code, mass, pair)
        two = np.flatnonzero(decays)
        names = self.names(code[two])
        parts = [_rows(np.arange(n), np.where(decays, _VIRTUAL, code), pair, mass=mass, status=1 + decays)]
        for side in (0, 1):
            parts.append(_rows(two, names[:, side], daughters[two, side, :4], mass=daughters[two, side, 4],
                               helicity=helicity[two, side], mothers=(3, 3), colour=side))
        parts.append(_rows(event, np.full(len(event), 22), k, mass=np.zeros(len(event))))
        events, labels, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(events, kind="stable")
        counts = np.bincount(events, minlength=n)
        # row by row when they are needed: thousands of tuples at a time would start Python's garbage collection
        columns = [*labels[order].T.tolist(), *values[order].T.tolist(), np.repeat(sqrt_s, counts).tolist()]
        return Events(sqrt_s.tolist(), counts.tolist(), zip(*columns, strict=True))

    def names(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes (n, 2) of both particles of pairs."""
        if not self.pairs:
            return np.stack([code, -code], axis=1)
        fractions = np.array([pair.fraction for pair in self.pairs])
        known = np.array([(pair.first, pair.second) for pair in self.pairs])
        return np.asarray(known[self.rng.choice(len(known), len(code), p=fractions / fractions.sum())])

    def final(self, mass: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What the virtual photon becomes: codes, and 1 where it decays into two of them, 0 where it is that hadron."""
        code, decays = np.full(len(mass), self.code), np.ones(len(mass), dtype=np.int64)
        light = np.flatnonzero(mass < RESONANCES_BELOW) if self.code in (1, 2) else np.empty(0, dtype=int)
        if len(light):
            parts = light_parts(self.code, mass[light] ** 2)
            cumulative = np.cumsum(np.stack(list(parts.values())), axis=0)
            chosen = np.sum(self.rng.uniform(size=len(light)) * cumulative[-1] > cumulative, axis=0)
            code[light] = np.array(list(parts))[np.minimum(chosen, len(parts) - 1)]
            decays[light] = code[light] == 113
            code[light[code[light] == 113]] = _PION
        return code, decays

    def daughters(self, code: NDArray[np.int64], mass: Array, pair: Array) -> tuple[Array, Array]:
        """Four-momenta and mass (n, 2, 5), and helicities (n, 2), of the two particles of each pair."""
        rng, n = self.rng, len(mass)
        own = np.where(code == _PION, PION_MASS, self.mass)
        ratio = 4.0 * own**2 / mass**2
        cos = np.where(code == _PION, sine_squared(n, rng), _one_plus_square(ratio, rng))
        sin, phi = np.sqrt(1.0 - cos**2), rng.uniform(-np.pi, np.pi, n)
        p = 0.5 * mass * np.sqrt(np.clip(1.0 - ratio, 0.0, None))
        first = np.stack([p * sin * np.cos(phi), p * sin * np.sin(phi), p * cos, 0.5 * mass], axis=1)
        first = boost(first, pair)
        out = np.empty((n, 2, 5))
        out[:, 0, :4], out[:, 1, :4], out[:, :, 4] = first, pair - first, own[:, None]
        spin = np.full((n, 2), _NO_SPIN)
        if self.code == 15:
            equal = ratio * sin**2
            equal = rng.uniform(size=n) < equal / (1.0 + cos**2 + equal)
            spin[:, 0] = rng.choice([-1.0, 1.0], n)
            spin[:, 1] = np.where(equal, spin[:, 0], -spin[:, 0])
        return out, spin


def _rows(event: NDArray, code: NDArray, p4: Array, *, mass: Array, status: NDArray | int = 1,
          helicity: Array | float = _NO_SPIN, mothers: tuple[int, int] = (1, 2),
          colour: int | None = None) -> tuple[NDArray, NDArray[np.int64], Array]:
    """Rows of particles (m,): events, labels (m, 6), values (m, 7). Quarks have ``colour`` 0 or anti-colour 1."""
    labels = np.zeros((len(event), 6), dtype=np.int64)
    labels[:, 0], labels[:, 1], labels[:, 2], labels[:, 3] = code, status, *mothers
    if colour is not None:
        labels[:, 4 + colour] = np.where(np.abs(code) <= 6, 101, 0)
    values = np.zeros((len(event), 7))
    values[:, :4], values[:, 4], values[:, 6] = p4, mass, helicity
    return event, labels, values


def _one_plus_square(ratio: Array, rng: np.random.Generator) -> Array:
    """cos(theta) with density 1 + c^2 + ratio (1 - c^2), for ``ratio`` (n,) from 0 to 1: accepted of a flat one."""
    cos = rng.uniform(-1.0, 1.0, len(ratio))
    waiting = np.arange(len(ratio))
    while len(waiting):
        c = cos[waiting]
        refused = rng.uniform(size=len(waiting)) * 2.0 > 1.0 + c**2 + ratio[waiting] * (1.0 - c**2)
        waiting = waiting[refused]
        cos[waiting] = rng.uniform(-1.0, 1.0, len(waiting))
    return cos


@cache
def _source_class() -> Any:
    """The class that hands events to Pythia (made late: it derives from one of Pythia's)."""
    import pythia8mc

    class ContinuumSource(pythia8mc.LHAup):  # type: ignore[misc]
        """Events of a :class:`Continuum`, one by one."""

        def __init__(self, continuum: Continuum) -> None:
            super().__init__()
            self.continuum = continuum
            self.events = Events([], [], iter(()))
            self.next = 0

        def setInit(self) -> bool:
            self.setBeamA(11, _HALF_ENERGY)
            self.setBeamB(-11, _HALF_ENERGY)
            self.addProcess(9999, 1.0, 0.0, 1.0)
            self.setStrategy(3)
            return True

        def setEvent(self, _process: int = 0) -> bool:
            if self.next == len(self.events.sqrt_s):
                self.events, self.next = self.continuum.draw(), 0
            i, (sqrt_s_of, counts, rows) = self.next, self.events
            self.next += 1
            sqrt_s, add = sqrt_s_of[i], self.addParticle
            half = 0.5 * sqrt_s
            self.setProcess(9999, 1.0, sqrt_s, 1.0 / 137.0, 0.2)
            add(11, -1, 0, 0, 0, 0, 0.0, 0.0, half, half, 0.0, 0.0, _NO_SPIN, sqrt_s)
            add(-11, -1, 0, 0, 0, 0, 0.0, 0.0, -half, half, 0.0, 0.0, _NO_SPIN, sqrt_s)
            for row in islice(rows, counts[i]):
                add(*row)
            return True

    return ContinuumSource
