"""A decay file taught to Pythia: masses, copies of particles, their modes, weights of tight modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fei_lite.errors import SimulationError
from fei_lite.generator.decay_files.checks import three_charge
from fei_lite.generator.decay_files.signal import MOST_COPIES, Copy, SignalDecay, copy_code
from fei_lite.generator.decay_files.state import Property
from fei_lite.generator.decay_files.thresholds import least_mass, missing_mass, room, weigh
from fei_lite.generator.decay_table import Finding, Mode, belle2_table
from fei_lite.generator.particle_names import EXTRA_PARTICLES, OWN_DEFINITIONS
from fei_lite.generator.pythia import Generator, define_particle, own_modes, read, set_modes

#: EvtGen's line shapes reach this many widths from the mass.
_WIDTHS = 15.0
#: Pythia's switch of a channel: on, for the particle only, for the antiparticle only.
_BOTH, _PARTICLE, _ANTIPARTICLE = 1, 2, 3


def install(generator: Generator, signal: SignalDecay) -> SignalDecay:
    """Teach a Pythia that is not initialised yet a decay file.

    Returns the file as installed: with copies of broad products, too, that leave room for each other.
    Raises :class:`SimulationError`.
    """
    pythia = generator.pythia
    for line, setting in signal.settings:
        _said(signal, line, pythia, setting)
    if not signal.radiates:
        read(pythia, "HadronLevel:QED = off")
    for code, values in signal.properties.items():
        _define(pythia, code)
        _set_mass(pythia, code, values)
    for code in signal.redefined:
        _define(pythia, abs(code))
    for copy, entry in signal.copies.items():
        _define_copy(pythia, copy, entry, signal)
        for i, mode in enumerate(entry.modes):
            _require_products(pythia, mode, signal, entry, i)
    tightened = with_room(pythia.particleData, signal)
    for copy in tightened.copies.keys() - signal.copies.keys():
        _define_copy(pythia, copy, tightened.copies[copy], signal)
    signal = tightened
    for copy, entry in signal.copies.items():
        modes: Sequence[Mode] = entry.modes
        if not modes and not entry.stable:
            modes = own_modes(pythia, abs(entry.code), sign=entry.code)
        _set_channels(pythia, copy, [(_BOTH, mode) for mode in modes])
    for code in sorted({abs(code) for code in signal.redefined}):
        _redefine(pythia, code, signal)
    generator.copies = {**generator.copies, **signal.meant}
    generator.must_decay = frozenset(code for code, entry in signal.copies.items() if entry.modes)
    return signal


def with_room(data: Any, signal: SignalDecay) -> SignalDecay:
    """The file with copies of broad products, limited to the mass that the others leave them.

    Where two or more broad products hardly fit, such as D+ -> K*0 a1+, most masses drawn freely do not.
    """
    copies = dict(signal.copies)
    for mother, entry in signal.copies.items():
        modes = []
        for mode in entry.modes:
            products = list(mode.products)
            for i, product in enumerate(products):
                limit = room(data, mother, products, i)
                if limit is None or len(copies) == MOST_COPIES:
                    continue
                new = signal.copies.get(abs(product)) or Copy(str(product), product)
                products[i] = copy_code(len(copies), new.code)
                copies[products[i]] = replace(new, property=replace(new.property or Property(0), high=limit))
            modes.append(replace(mode, products=tuple(products)))
        copies[mother] = replace(entry, modes=tuple(modes))
    return replace(signal, copies=copies)


def _define(pythia: Any, code: int) -> Finding | None:
    """Make a particle known to Pythia with its decays of the table."""
    data = pythia.particleData
    if data.isParticle(code):
        return None
    if code in EXTRA_PARTICLES:
        name, anti, spin, charge, mass, width, furthest = EXTRA_PARTICLES[code]
        read(pythia, f"{code}:new = {name} {anti} {spin} {charge} 0 {mass} {width} {mass - furthest} {mass + furthest} 0")
    elif (finding := define_particle(pythia, code)) is not None:
        return finding
    for mode in belle2_table().modes.get(code, ()):
        for product in mode.products:
            _define(pythia, abs(product))
    set_modes(pythia, code, belle2_table().modes.get(code, ()))
    return None


def _said(signal: SignalDecay, line: int, pythia: Any, setting: str) -> None:
    """A setting of the file; an error names its line."""
    try:
        read(pythia, setting)
    except SimulationError as error:
        raise SimulationError(f"{signal.place}: line {line}: {error}") from None


def _set_mass(pythia: Any, code: int, entry: Property) -> None:
    """Mass, width and limits of a particle; the limits as wide as EvtGen's where none are given."""
    data = pythia.particleData
    mass = data.m0(code) if entry.mass is None else entry.mass
    width = data.mWidth(code) if entry.width is None else entry.width
    low, high = data.mMin(code), data.mMax(code)
    if entry.mass is not None or entry.width is not None:
        low, high = (max(mass - _WIDTHS * width, 0.0), mass + _WIDTHS * width) if width > 0.0 else (0.0, 0.0)
    low, high = low if entry.low is None else entry.low, high if entry.high is None else entry.high
    for name, value in (("m0", mass), ("mWidth", width), ("mMin", low), ("mMax", high)):
        read(pythia, f"{code}:{name} = {value:.9g}")


def _define_copy(pythia: Any, copy: int, entry: Copy, signal: SignalDecay) -> None:
    """A particle of its own like the one it stands for, without decays and without an antiparticle."""
    data, code = pythia.particleData, abs(entry.code)
    if entry.base in OWN_DEFINITIONS:
        spin, charge, mass, width, furthest = OWN_DEFINITIONS[entry.base]
        low, high = (mass - furthest, mass + furthest) if width > 0.0 else (0.0, 0.0)
        read(pythia, f"{copy}:new = C{copy} void {spin} {charge} 0 {mass} {width} {low} {high} 0")
    else:
        finding = _define(pythia, code)
        if finding is not None:
            raise SimulationError(f"{signal.place}: {entry.name}: {finding.what}.")
        read(pythia, f"{copy}:new = C{copy} void {data.spinType(code)} {three_charge(entry.code)} 0 {data.m0(code):.9g} "
                     f"{data.mWidth(code):.9g} {data.mMin(code):.9g} {data.mMax(code):.9g} {data.tau0(code):.9g}")
    if entry.property is not None:
        _set_mass(pythia, copy, entry.property)


def _set_channels(pythia: Any, code: int, channels: Sequence[tuple[int, Mode]]) -> None:
    """The channels of a particle, each with its switch; a particle without is stable."""
    for i, (switch, mode) in enumerate(channels):
        read(pythia, f"{code}:{'addChannel' if i else 'oneChannel'} = {switch} {mode.fraction:.10g} "
                     f"{mode.matrix_element} " + " ".join(map(str, mode.products)))
    read(pythia, f"{code}:mayDecay = {'on' if channels else 'off'}")
    read(pythia, f"{code}:varWidth = off")  # its partial widths belong to the channels just replaced


def _require_products(pythia: Any, mode: Mode, signal: SignalDecay, entry: Copy, number: int) -> None:
    """Define what a mode decays into; :class:`SimulationError` for what neither Pythia nor the particle table has."""
    for product in mode.products:
        finding = None if abs(product) in signal.copies else _define(pythia, abs(product))
        if finding is not None:
            line = entry.lines[number] if number < len(entry.lines) else 0
            raise SimulationError(f"{signal.place}: line {line}: {entry.name}: {finding}.")


def _redefine(pythia: Any, code: int, signal: SignalDecay) -> None:
    """A particle that the file decays anew, wherever it comes from; its antiparticle only if the file says so."""
    data = pythia.particleData
    before = own_modes(pythia, code)
    channels: list[tuple[int, Mode]] = []
    for sign in (1, -1) if data.hasAnti(code) else (1,):
        switch = _BOTH if not data.hasAnti(code) else _PARTICLE if sign > 0 else _ANTIPARTICLE
        entry = signal.redefined.get(sign * code)
        if entry is None:
            channels += [(switch, mode) for mode in before]
            continue
        total = sum(mode.fraction for mode in entry.modes)
        for i, mode in enumerate(entry.modes):
            _require_products(pythia, mode, signal, entry, i)
            # channels are written for the particle: those of the antiparticle are conjugated by Pythia
            products = tuple(-p if sign < 0 and data.hasAnti(abs(p)) else p for p in mode.products)
            channels.append((switch, Mode(mode.fraction / total, products, mode.matrix_element, mode.model)))
    _set_channels(pythia, code, channels)


def settle(generator: Generator, signal: SignalDecay) -> None:
    """After Pythia is initialised: refuse modes that never fit, and give tight ones their weights.

    Raises :class:`SimulationError` with the line of a mode whose products are heavier than its mother.
    """
    data = generator.pythia.particleData
    for codes in (signal.copies, signal.redefined):
        for code, entry in codes.items():
            for mode, line in zip(entry.modes, entry.lines, strict=True):
                if (missing := missing_mass(data, code, mode)) > 0.0:
                    needed = sum(least_mass(data, abs(product)) for product in mode.products)
                    raise SimulationError(f"{signal.place}: line {line}: the products are heavier than the {entry.name}: "
                                          f"they need {needed:.4f} GeV, {missing:.4f} GeV too much.")
    modes = {code: entry.modes for code, entry in signal.copies.items() if entry.modes}
    for code, weights in weigh(data, modes).items():
        particle = data.findParticle(code)
        for i, weight in enumerate(weights):
            particle.channel(i).bRatio(float(weight))
