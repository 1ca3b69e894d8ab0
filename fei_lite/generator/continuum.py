"""e+e- -> f fbar with photons from the beams, handed to Pythia, which showers, fragments and decays.

The mass of the pair and the photons are drawn here (:mod:`fei_lite.generator.radiation`);
the pair has the angular distribution 1 + c^2 + (4 m^2 / s') (1 - c^2) to the beams in its rest frame.
Below :data:`~fei_lite.generator.born.RESONANCES_BELOW` light quarks are hadrons already:
pi+pi- through the rho (sin^2(theta)), omega, phi, which decay by the table (without their
polarisation). Taus get helicities, opposite but for a part 4 m^2 / s' of the rate.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.beams import Beams, boost
from fei_lite.generator.born import PION_MASS, RESONANCES_BELOW, find_fermion, light_parts
from fei_lite.generator.pair_sources import sine_squared
from fei_lite.generator.pythia import Generator
from fei_lite.generator.radiation import photons, prepare

Array = NDArray[np.float64]

#: Settings of a Pythia that gets its events from :func:`start_continuum`. Photons do not split. The taus' helicities are
#: those of the events: Pythia's own spin correlation computes e+e- -> tau+tau- anew at each try of a decay, ten times
#: slower than all else.
CONTINUUM_SETTINGS = ("Beams:frameType = 5", "TimeShower:QEDshowerByGamma = off", "TauDecays:mode = 5",
                      "TauDecays:externalMode = 0")
_HALF_ENERGY = 5.5  # GeV; above every event, which carries its own energies
_BLOCK = 2000       # events drawn at a time, so that the sequence does not depend on the batches
_VIRTUAL, _PION, _NO_SPIN = 23, 211, 9.0


class Event(NamedTuple):
    """What Pythia gets: sqrt(s); rows (code, status, mother, colour, anti-colour, px, py, pz, E, mass, spin)."""

    sqrt_s: float
    rows: tuple[tuple[Any, ...], ...]


def start_continuum(generator: Generator, code: int, *, beams: Beams, rng: np.random.Generator) -> None:
    """Let a Pythia make e+e- -> f fbar of one flavour (PDG code of u, d, s, c, tau)."""
    source = _source_class()(Continuum(code, beams=beams, rng=rng))
    generator.pythia.setLHAupPtr(source)
    generator.keep_alive.append(source)


class Continuum:
    """Draws events of one flavour (PDG code)."""

    def __init__(self, code: int, *, beams: Beams, rng: np.random.Generator) -> None:
        nominal = beams.nominal
        self.code, self.beams, self.rng = code, beams, rng
        self.mass = find_fermion(code).mass
        self.radiation = prepare(code, float(np.sqrt(nominal[3] ** 2 - nominal[:3] @ nominal[:3])))

    def draw(self, n: int = _BLOCK) -> list[Event]:
        """The next ``n`` events."""
        p4 = self.beams.smeared(n, self.rng)
        sqrt_s = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
        event, k = photons(self.radiation.draw(n, self.rng), sqrt_s, self.rng)
        pair = np.zeros((n, 4))
        pair[:, 3] = sqrt_s
        np.subtract.at(pair, event, k)
        mass = np.sqrt(pair[:, 3] ** 2 - np.sum(pair[:, :3] ** 2, axis=1))
        code, status = self.final(mass)
        daughters, spin = self.daughters(code, mass, pair)
        hard: list[list[tuple[Any, ...]]] = [[] for _ in range(n)]
        for i, photon in zip(event.tolist(), k.tolist(), strict=True):
            hard[i].append((22, 1, 1, 0, 0, *photon, 0.0, _NO_SPIN))
        head = np.concatenate([pair, mass[:, None]], axis=1).tolist()
        rows = daughters.tolist()
        out = []
        for i in range(n):
            top: tuple[Any, ...] = (int(code[i]) if status[i] == 1 else _VIRTUAL, int(status[i]), 1, 0, 0, *head[i],
                                    _NO_SPIN)
            two = self.pair_rows(int(code[i]), rows[i], float(spin[i, 0]), float(spin[i, 1])) if status[i] == 2 else ()
            out.append(Event(float(sqrt_s[i]), (top, *two, *hard[i])))
        return out

    def final(self, mass: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What the virtual photon becomes: codes; status 2 (it decays into two of them) or 1 (it is that hadron)."""
        code, status = np.full(len(mass), self.code), np.full(len(mass), 2)
        light = np.flatnonzero(mass < RESONANCES_BELOW) if self.code in (1, 2, 3) else np.empty(0, dtype=int)
        if len(light):
            parts = light_parts(self.code, mass[light] ** 2)
            cumulative = np.cumsum(np.stack(list(parts.values())), axis=0)
            chosen = np.sum(self.rng.uniform(size=len(light)) * cumulative[-1] > cumulative, axis=0)
            code[light] = np.array(list(parts))[np.minimum(chosen, len(parts) - 1)]
            status[light] = np.where(code[light] == 113, 2, 1)
            code[light[code[light] == 113]] = _PION
        return code, status

    def daughters(self, code: NDArray[np.int64], mass: Array, pair: Array) -> tuple[Array, Array]:
        """Four-momenta and mass (n, 2, 5), and helicities (n, 2), of the two particles of each pair."""
        rng, n = self.rng, len(mass)
        own = np.where(code == _PION, PION_MASS, self.mass)
        ratio = 4.0 * own**2 / mass**2
        cos = np.where(code == _PION, sine_squared(n, rng), _one_plus_square(ratio, rng))
        sin, phi = np.sqrt(1.0 - cos**2), rng.uniform(-np.pi, np.pi, n)
        p = 0.5 * mass * np.sqrt(np.clip(1.0 - ratio, 0.0, None))
        first = np.stack([p * sin * np.cos(phi), p * sin * np.sin(phi), p * cos, 0.5 * mass], axis=1)
        second = first * np.array([-1.0, -1.0, -1.0, 1.0])
        out = np.concatenate([np.stack([boost(first, pair), boost(second, pair)], axis=1),
                              np.broadcast_to(own[:, None, None], (n, 2, 1))], axis=2)
        spin = np.full((n, 2), _NO_SPIN)
        if self.code == 15:
            equal = ratio * sin**2
            equal = rng.uniform(size=n) < equal / (1.0 + cos**2 + equal)
            spin[:, 0] = rng.choice([-1.0, 1.0], n)
            spin[:, 1] = np.where(equal, spin[:, 0], -spin[:, 0])
        return out, spin

    @staticmethod
    def pair_rows(code: int, p4: list[list[float]], first: float, second: float) -> tuple[tuple[Any, ...], ...]:
        """Rows of the two daughters of the virtual photon (row 3)."""
        colour = 101 if code <= 6 else 0
        return ((code, 1, 3, colour, 0, *p4[0], first), (-code, 1, 3, 0, colour, *p4[1], second))


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
            self.waiting: list[Event] = []

        def setInit(self) -> bool:
            self.setBeamA(11, _HALF_ENERGY)
            self.setBeamB(-11, _HALF_ENERGY)
            self.addProcess(9999, 1.0, 0.0, 1.0)
            self.setStrategy(3)
            return True

        def setEvent(self, _process: int = 0) -> bool:
            if not self.waiting:
                self.waiting = self.continuum.draw()[::-1]
            sqrt_s, rows = self.waiting.pop()
            half, add = 0.5 * sqrt_s, self.addParticle
            self.setProcess(9999, 1.0, sqrt_s, 1.0 / 137.0, 0.2)
            add(11, -1, 0, 0, 0, 0, 0.0, 0.0, half, half, 0.0, 0.0, _NO_SPIN, sqrt_s)
            add(-11, -1, 0, 0, 0, 0, 0.0, 0.0, -half, half, 0.0, 0.0, _NO_SPIN, sqrt_s)
            for code, status, mother, colour, anti, px, py, pz, e, m, spin in rows:
                add(code, status, mother, mother if mother == 3 else 2, colour, anti, px, py, pz, e, m, 0.0, spin,
                    sqrt_s)
            return True

    return ContinuumSource
