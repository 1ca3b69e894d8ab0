"""Pythia set up with the Belle II decay table: particles, decays, readable settings.

Pythia makes decays and fragments partons; it sees no beams of its own here
except in the continuum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fei_lite.errors import SimulationError
from fei_lite.simulation.decay_table import DecayTable, Finding, Mode, belle2_table

#: Stable for the generator: they fly into the detector.
STABLE = (11, 13, 22, 130, 211, 321, 2112, 2212)

#: Decayed here although they fly some centimetres, as EvtGen does in basf2.
FLYING = (310, 3112, 3122, 3222, 3312, 3322, 3334)

#: Inclusive strange and light systems Xs, Xu of the table: (name, anti-name, 3 x charge, mass,
#: width, least, largest mass in GeV). Masses spread as in b -> s gamma and b -> u l nu; assumed.
INCLUSIVE = {
    30343: ("Xsd", "anti-Xsd", 0, 1.9, 0.8, 1.1, 4.0), 30353: ("Xsu", "anti-Xsu", -3, 1.9, 0.8, 1.1, 4.0),
    30363: ("Xss", "anti-Xss", 0, 2.0, 0.8, 1.3, 4.0), 30113: ("Xu0", "void", 0, 1.5, 0.8, 0.6, 4.0),
    30213: ("Xu+", "Xu-", 3, 1.5, 0.8, 0.6, 4.0),
}

#: Radiation of photons in hadron decays, which Pythia has in its Vincia shower only. Without
#: Vincia's tune, fragmentation stays as it is; photons that become pairs are switched off.
RADIATION = ("PartonShowers:model = 2", "HadronLevel:QED = on", "Vincia:Tune = -1", "Vincia:nGammaToLepton = 0",
             "Vincia:nGammaToQuark = 0")

_SETTINGS = (
    "Print:quiet = on", "Print:verbosity = 0", "Check:event = off", "ParticleDecays:limitTau0 = off", "ParticleDecays:mixB = off",
    "PartonLevel:MPI = off", "PartonLevel:ISR = off", "PDF:lepton = off",
)


@dataclass
class Generator:
    """A Pythia ready to be run, what it could not take over, and objects it only refers to.

    ``n_failed`` and ``n_vetoed`` count events that Pythia gave up and that
    fragmentation had to give up (:func:`~fei_lite.simulation.records.vetoed`).
    """

    pythia: Any
    findings: tuple[Finding, ...]
    keep_alive: list[Any]
    n_failed: int = 0
    n_vetoed: int = 0


def new_pythia(*, seed: int, settings: Iterable[str] = (), table: DecayTable | None = None) -> Generator:
    """A Pythia with the decay table in it; not yet initialised.

    ``seed`` is taken modulo Pythia's range (1 to 900 000 000).
    """
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    table = belle2_table() if table is None else table
    for line in (*_SETTINGS, "Random:setSeed = on", f"Random:seed = {seed % 900_000_000 + 1}", *settings):
        read(pythia, line)
    findings = list(table.findings)
    for code in sorted({abs(c) for modes in table.modes.values() for m in modes for c in m.products} | set(table.modes)):
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


def read(pythia: Any, line: str) -> None:
    """Give Pythia a setting; :class:`SimulationError` if it does not understand it."""
    if not pythia.readString(line, False):
        raise SimulationError(f"Pythia does not accept the setting '{line}'.")


def own_modes(pythia: Any, code: int) -> list[Mode]:
    """Pythia's present channels of a particle, normalised to 1."""
    entry = pythia.particleData.findParticle(code)
    channels = [entry.channel(i) for i in range(entry.sizeChannels())]
    total = sum(c.bRatio() for c in channels if c.onMode() > 0)
    return [Mode(c.bRatio() / total, tuple(c.product(j) for j in range(c.multiplicity())), c.meMode(), "PYTHIA")
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
    charge = round(3 * float(entry.charge))
    low, high = max(mass - 5 * width, 0.3 * mass), mass + 5 * width
    tau = 0.0 if entry.ctau is None or width > 1e-6 else float(entry.ctau)
    read(pythia, f"{code}:new = P{code} {anti} {spin} {charge} 0 {mass} {width} {low} {high} {tau}")
    return None


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
