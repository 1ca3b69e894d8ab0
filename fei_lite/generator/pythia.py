"""Pythia set up with the Belle II decay table: particles, decays, readable settings.

Pythia makes decays and fragments partons; it sees no beams of its own here
except in the continuum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import SimulationError
from fei_lite.generator.decay_table import DecayTable, Finding, Mode, belle2_table, is_parton
from fei_lite.generator.processes import check_seed

#: Stable for the generator: they fly into the detector.
STABLE = (11, 13, 22, 130, 211, 321, 2112, 2212)

#: Decayed here although they fly some centimetres, as EvtGen does in basf2.
FLYING = (310, 3112, 3122, 3222, 3312, 3322, 3334)

#: Inclusive strange and light systems Xs, Xu of the table: (name, anti-name, 3 x charge, mass,
#: width, least, largest mass in GeV). Masses spread as in b -> s gamma and b -> u l nu; assumed.
INCLUSIVE = {
    30343: ("Xsd", "anti-Xsd", 0, 1.9, 0.8, 1.1, 4.0), 30353: ("Xsu", "anti-Xsu", 3, 1.9, 0.8, 1.1, 4.0),
    30363: ("Xss", "anti-Xss", 0, 2.0, 0.8, 1.3, 4.0), 30113: ("Xu0", "void", 0, 1.5, 0.8, 0.6, 4.0),
    30213: ("Xu+", "Xu-", 3, 1.5, 0.8, 0.6, 4.0), 30643: ("Xdd", "anti-Xdd", 0, 1.6, 0.5, 0.633, 2.567),
    30653: ("Xdu+", "anti-Xdu-", 3, 1.6, 0.5, 0.633, 2.567),
}

#: Radiation of photons in hadron decays, which Pythia has in its Vincia shower only. Without
#: Vincia's tune, fragmentation stays as it is; photons that become pairs are switched off.
RADIATION = ("PartonShowers:model = 2", "HadronLevel:QED = on", "Vincia:Tune = -1", "Vincia:nGammaToLepton = 0",
             "Vincia:nGammaToQuark = 0")

#: Codes of the copies of the B mesons that decay into partons (:mod:`fei_lite.generator.fragmentation`).
COPIES: Mapping[int, int] = {90_511: 511, 90_521: 521}

#: Pythia's tries for the masses in a decay, and what it leaves free (GeV); draws to measure success with,
#: the largest width (GeV) of a mother whose modes are weighed, and how draws of products are combined.
_TRIES, _MASS_SAFETY, _DRAWS, _NARROW = 10, 0.0005, 2000, 0.001
_SHIFTS = range(7, 7 + 20 * 31, 31)

_SETTINGS = (
    "Print:quiet = on", "Print:verbosity = 0", "Check:event = off", "ParticleDecays:limitTau0 = off",
    "ParticleDecays:mixB = off",
    # unpolarised: fei_lite.generator.matrix_elements turns the decays; Pythia's own correlations are slow
    "TauDecays:mode = 3", "TauDecays:tauPolarization = 0.0",
    "PartonLevel:MPI = off", "PartonLevel:ISR = off", "PDF:lepton = off",
)


@dataclass
class Generator:
    """A Pythia ready to be run, what it could not take over, and objects it only refers to.

    ``n_asked`` events were asked for; Pythia gave up some, ``n_vetoed`` were
    left out (:func:`~fei_lite.generator.records.vetoed`), ``n_accepted`` remain.
    ``copies`` has the codes of all copies of particles, with what they stand for;
    ``vetoed`` those of B mesons that decay into partons. An event is left out, too,
    if one of ``must_decay`` did not: Pythia found no masses for its products. Modes of ``weighed`` get their weights
    elsewhere.
    """

    pythia: Any
    findings: tuple[Finding, ...]
    keep_alive: list[Any]
    copies: Mapping[int, int] = field(default_factory=lambda: COPIES)
    vetoed: Mapping[int, int] = field(default_factory=lambda: COPIES)
    must_decay: frozenset[int] = frozenset()
    weighed: frozenset[int] = frozenset()
    n_asked: int = 0
    n_vetoed: int = 0
    n_accepted: int = 0


def new_pythia(*, seed: int, settings: Iterable[str] = (), table: DecayTable | None = None) -> Generator:
    """A Pythia with the decay table in it; not yet initialised.

    ``seed``: 0 to 899 999 999, see :func:`~fei_lite.generator.processes.check_seed`.
    """
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    table = belle2_table() if table is None else table
    for line in (*_SETTINGS, "Random:setSeed = on", f"Random:seed = {check_seed(seed) + 1}", *settings):
        read(pythia, line)
    findings = list(table.findings)
    products = {abs(c) for modes in table.modes.values() for mode in modes for c in mode.products}
    for code in sorted(products | set(table.modes)):
        finding = define_particle(pythia, code)
        if finding is not None:
            findings.append(finding)
    for code, modes in table.modes.items():
        if pythia.particleData.isParticle(code):
            findings += set_modes(pythia, code, modes)
    for code in STABLE:
        read(pythia, f"{code}:mayDecay = off")
    for code in FLYING:
        read(pythia, f"{code}:mayDecay = on")
    return Generator(pythia, tuple(findings), [])


@cache
def left_out() -> tuple[Finding, ...]:
    """What of the decay table no simulated event can have: unknown mothers and products."""
    return new_pythia(seed=1).findings


def initialised(generator: Generator, *, beauty: bool = True) -> Generator:
    """The generator, ready to make events, of hadrons with b quarks only if ``beauty``.

    Raises :class:`SimulationError` if Pythia refuses.
    """
    if not generator.pythia.init():
        raise SimulationError("Pythia could not be initialised.")
    codes = [code for code in (*belle2_table().modes, *generator.copies) if code not in generator.weighed]
    weigh_thresholds(generator.pythia, codes if beauty else [code for code in codes if not has_beauty(code)])
    return generator


def has_beauty(code: int) -> bool:
    """Whether a hadron (PDG code, or a copy's) has a b quark.

    >>> has_beauty(521), has_beauty(90_511), has_beauty(5122), has_beauty(413)
    (True, True, True, False)
    """
    return 5 in (abs(code) // 10 % 10, abs(code) // 100 % 10, abs(code) // 1000 % 10)


def weigh_thresholds(pythia: Any, codes: Iterable[int]) -> None:
    """Give modes of ``codes`` that often lack the mass, such as D+ -> K*0 a1+, what Pythia takes from them.

    Pythia draws the masses of the products up to ten times, then another mode.
    A mode that succeeds with probability q needs 1 / q of its fraction; q is
    measured by drawing masses. Needs an initialised Pythia; modes that never
    succeed stay as they are.
    """
    data = pythia.particleData
    fixed: dict[int, float] = {}
    largest: dict[int, float] = {}
    draws: dict[int, NDArray[np.float64]] = {}
    for code in codes:
        entry = data.findParticle(code)
        if entry is None or data.mWidth(code) > _NARROW:
            continue
        room = data.m0(code)
        for i in range(entry.sizeChannels()):
            channel = entry.channel(i)
            products = [abs(channel.product(j)) for j in range(channel.multiplicity())]
            for product in products:
                if product not in fixed:
                    fixed[product] = data.m0(product)
                    broad = data.mWidth(product) > 0.0
                    largest[product] = max(fixed[product], data.mMax(product)) if broad else fixed[product]
            if sum(largest[p] for p in products) < room or is_parton(np.array(products)).any():
                continue
            broad_ones = [p for p in products if data.mWidth(p) > 0.0]
            for product in broad_ones:
                if product not in draws:
                    draws[product] = np.array([data.mSel(product) for _ in range(_DRAWS)])
            # every mass of a product with several of the others: few draws serve for a precise fraction, and equal
            # products have masses of their own
            shifts = _SHIFTS if len(broad_ones) > 1 else range(1)
            total = np.concatenate([sum((np.roll(draws[p], shift * j) for j, p in enumerate(broad_ones)),
                                        np.zeros(_DRAWS)) for shift in shifts])
            room_left = room - _MASS_SAFETY - sum(fixed[p] for p in products if p not in broad_ones)
            success = 1.0 - (1.0 - np.mean(total < room_left)) ** _TRIES
            if success > 0.0:
                channel.bRatio(channel.bRatio() / success)


def read(pythia: Any, line: str) -> None:
    """Give Pythia a setting; :class:`SimulationError` if it does not understand it."""
    if not pythia.readString(line, False):
        raise SimulationError(f"Pythia does not accept the setting '{line}'.")


def own_modes(pythia: Any, code: int, *, sign: int = 1) -> list[Mode]:
    """Pythia's present channels of a particle, or with a negative ``sign`` of its antiparticle, normalised to 1."""
    entry = pythia.particleData.findParticle(code)
    channels = [entry.channel(i) for i in range(entry.sizeChannels())]
    total = sum(c.bRatio() for c in channels if c.onMode() > 0) or 1.0
    data = pythia.particleData
    return [Mode(c.bRatio() / total, tuple(-p if sign < 0 and data.hasAnti(abs(p)) else p for p in
                                           (c.product(j) for j in range(c.multiplicity()))), c.meMode(), "PYTHIA")
            for c in channels if c.onMode() > 0]


def define_particle(pythia: Any, code: int) -> Finding | None:
    """Make a particle known to Pythia, with mass, width and lifetime of the PDG."""
    from particle import Particle, ParticleNotFound

    data = pythia.particleData
    if data.isParticle(code):
        return None
    if code in INCLUSIVE:
        name, anti, charge, mass, width, low, high = INCLUSIVE[code]
        read(pythia, f"{code}:new = {name} {anti} 1 {charge} 0 {mass} {width} {low} {high} 0")
        return None
    try:
        entry = Particle.from_pdgid(code)
    except ParticleNotFound:
        return Finding(str(code), "unknown to Pythia and to the particle table", 0.0)
    mass = (entry.mass or 0.0) / 1000
    width = (entry.width or 0.0) / 1000
    spin = 1 if entry.J is None else round(2 * float(entry.J)) + 1
    anti = "void" if entry.is_self_conjugate else f"anti-{code}"
    charge = round(3 * float(entry.charge or 0))
    low, high = max(mass - 5 * width, 0.3 * mass), mass + 5 * width
    tau = 0.0 if entry.ctau is None or width > 1e-6 else float(entry.ctau)
    read(pythia, f"{code}:new = P{code} {anti} {spin} {charge} 0 {mass} {width} {low} {high} {tau}")
    return None


def copy_particle(pythia: Any, copy: int, code: int) -> None:
    """Define ``copy`` as a particle like ``code`` (and its antiparticle, if it has one), without decays."""
    data, absolute = pythia.particleData, abs(code)
    anti = f"anti{copy}" if data.hasAnti(absolute) else "void"
    read(pythia, f"{copy}:new = C{copy} {anti} {data.spinType(absolute)} {data.chargeType(code)} 0 "
                 f"{data.m0(absolute)} {data.mWidth(absolute)} {data.mMin(absolute)} {data.mMax(absolute)} "
                 f"{data.tau0(absolute)}")


def relabel(codes: NDArray, copies: Mapping[int, int]) -> NDArray:
    """PDG codes with those of copies (and anti-copies) replaced by the codes they stand for."""
    out = codes.copy()
    known = np.array(sorted(copies))
    rows = np.flatnonzero(np.isin(np.abs(codes), known))
    meant = np.array([copies[copy] for copy in known.tolist()], dtype=codes.dtype)
    out[rows] = meant[np.searchsorted(known, np.abs(codes[rows]))] * np.sign(codes[rows])
    return out


def set_modes(pythia: Any, code: int, modes: Iterable[Mode]) -> list[Finding]:
    """Replace a particle's decay channels; modes with products that Pythia lacks are findings.

    A mode without products (``PYTHIA 42;``) stands for Pythia's own channels,
    which then share its fraction.
    """
    data = pythia.particleData
    findings, usable = [], []
    own = own_modes(pythia, code)
    for mode in modes:
        if not mode.products:
            usable += [replace(m, fraction=m.fraction * mode.fraction) for m in own]
            continue
        unknown = [c for c in mode.products if not data.isParticle(c)]
        if unknown:
            findings.append(Finding(str(code), f"-> {mode.products}: unknown products {unknown}", mode.fraction))
        else:
            usable.append(mode)
    total = sum(mode.fraction for mode in usable)
    for i, mode in enumerate(usable):
        verb = "addChannel" if i else "oneChannel"
        read(pythia, f"{code}:{verb} = 1 {mode.fraction / total:.10g} {mode.matrix_element} "
                     + " ".join(map(str, mode.products)))
    if usable:
        read(pythia, f"{code}:mayDecay = on")
        read(pythia, f"{code}:varWidth = off")  # its partial widths belong to the channels just replaced
    return findings
