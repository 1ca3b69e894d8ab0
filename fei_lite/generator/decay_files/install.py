"""A decay file taught to Pythia: masses, copies of particles, their modes, weights of tight modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fei_lite.errors import SimulationError
from fei_lite.generator.decay_files.checks import three_charge
from fei_lite.generator.decay_files.signal import MOST_COPIES, Copy, SignalDecay, copy_code
from fei_lite.generator.decay_files.state import Property
from fei_lite.generator.decay_files.steps import within_limit
from fei_lite.generator.decay_files.thresholds import least_mass, missing_mass, room, weigh
from fei_lite.generator.decay_table import KEEP_PYTHIAS, Finding, Mode, belle2_table, fragments
from fei_lite.generator.particle_names import EXTRA_PARTICLES
from fei_lite.generator.pythia import Generator, define_particle, own_modes, read, set_modes

#: EvtGen's line shapes reach this many widths from the mass.
_WIDTHS = 15.0
#: Pythia gives a particle no width if its decays need more than its mass on average: a broad one gets this channel,
#: which is switched off afterwards.
_LIGHT = Mode(1e9, (22, 22), 0, "PHSP")
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
        channels = [(_BOTH, mode) for mode in modes]
        if modes and sum(mode.fraction * _sum_of_masses(pythia, mode) for mode in modes) > (
                sum(mode.fraction for mode in modes) * pythia.particleData.m0(copy)):
            channels.append((_BOTH, _LIGHT))
        _set_channels(pythia, copy, channels)
    for copy in sorted(signal.copies, key=pythia.particleData.m0):
        _raise_least_mass(pythia, copy, signal.copies[copy])
    for code in sorted({abs(code) for code in signal.redefined}):
        _redefine(pythia, code, signal)
    generator.copies = {**generator.copies, **signal.meant}
    generator.weighed = frozenset(code for code, entry in signal.copies.items() if entry.modes)
    generator.must_decay = frozenset(code for entries in (signal.copies, signal.redefined)
                                     for code, entry in entries.items() if entry.modes)
    return signal


def _raise_least_mass(pythia: Any, copy: int, entry: Copy) -> None:
    """Give a broad copy no mass at which none of its modes fits, as EvtGen does."""
    data = pythia.particleData
    modes = [mode for mode in entry.modes if not fragments(mode)]
    if data.mWidth(copy) <= 0.0 or not modes or len(modes) < len(entry.modes):
        return
    least = min(sum(least_mass(data, abs(product)) for product in mode.products) for mode in modes) + 0.001
    if data.mMin(copy) < least < data.mMax(copy):
        read(pythia, f"{copy}:mMin = {least:.9g}")


def _sum_of_masses(pythia: Any, mode: Mode) -> float:
    return float(sum(pythia.particleData.m0(abs(product)) for product in mode.products))


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
        limits = f"{mass - furthest:.9g} {mass + furthest:.9g}"
        read(pythia, f"{code}:new = {name} {anti} {spin} {charge} 0 {mass} {width} {limits} 0")
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
    if entry.definition is not None:
        spin, charge, mass, width, furthest = entry.definition
        low, high = (mass - furthest, mass + furthest) if width > 0.0 else (0.0, 0.0)
        read(pythia, f"{copy}:new = C{copy} void {spin} {charge} 0 {mass} {width} {low} {high} 0")
        read(pythia, f"{copy}:isResonance = off")  # Pythia takes what is created heavy for one, and its decays away
    else:
        finding = _define(pythia, code)
        if finding is not None:
            raise SimulationError(f"{signal.place}: {entry.name}: {finding.what}.")
        numbers = (data.m0(code), data.mWidth(code), data.mMin(code), data.mMax(code), data.tau0(code))
        read(pythia, f"{copy}:new = C{copy} void {data.spinType(code)} {three_charge(entry.code)} 0 "
                     + " ".join(f"{number:.9g}" for number in numbers))
    if entry.property is not None:
        _set_mass(pythia, copy, entry.property)


def _set_channels(pythia: Any, code: int, channels: Sequence[tuple[int, Mode]]) -> None:
    """The channels of a particle, each with its switch; a particle without is stable."""
    for i, (switch, mode) in enumerate(channels):
        products = within_limit(pythia, code, mode.products)
        read(pythia, f"{code}:{'addChannel' if i else 'oneChannel'} = {switch} {mode.fraction:.10g} "
                     f"{mode.matrix_element} " + " ".join(map(str, products)))
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
            known = Mode(mode.fraction / total, products, mode.matrix_element, mode.model)
            channels.append((switch, _as_pythia(known, before) if code in KEEP_PYTHIAS else known))
    _set_channels(pythia, code, channels)


def _as_pythia(mode: Mode, before: Sequence[Mode]) -> Mode:
    """A mode with the matrix element that Pythia has for its products."""
    for known in before:
        if sorted(known.products) == sorted(mode.products):
            return replace(mode, products=known.products, matrix_element=known.matrix_element)
    return mode


def settle(generator: Generator, signal: SignalDecay) -> None:
    """After Pythia is initialised: refuse modes that never fit, and give tight ones their weights.

    Raises :class:`SimulationError` with the line of a mode whose products are heavier than its mother.
    """
    data = generator.pythia.particleData
    for codes in (signal.copies, signal.redefined):
        for code, entry in codes.items():
            for mode, line in zip(entry.modes, entry.lines, strict=True):
                if line and (missing := missing_mass(data, code, mode)) > 0.0:
                    needed = sum(least_mass(data, abs(product)) for product in mode.products)
                    raise SimulationError(f"{signal.place}: line {line}: the products are heavier than the "
                                          f"{entry.name}: they need {needed:.4f} GeV, {missing:.4f} GeV too much.")
    modes = {code: entry.modes for code, entry in signal.copies.items() if entry.modes}
    for code, weights in weigh(data, modes).items():
        particle = data.findParticle(code)
        if particle.sizeChannels() > len(weights):
            particle.channel(len(weights)).onMode(0)
        for i, weight in enumerate(weights):
            particle.channel(i).bRatio(float(weight))
