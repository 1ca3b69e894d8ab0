"""What a decay may not do, whatever its model: charge, baryon and lepton number, masses, products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from particle import InvalidParticle, Particle, ParticleNotFound

from fei_lite.generator.decay_files.state import Block, State
from fei_lite.generator.decay_files.statements import DecayLine, Notice

#: Products of the longest mode: Pythia makes eight, the others come from two steps between.
MOST_PRODUCTS = 22
#: Flavoured neutral mesons that turn into one other of the same mass: K0 -> K_S0.
_ONE_BODY = ((311, 310), (311, 130))
#: 3 x charge of codes whose digits do not say it.
_CHARGES = {30343: 0, 30353: 3, 30363: 0, 30643: 0, 30653: 3, 30113: 0, 30213: 3, 9042413: 3, 10022: 0}
_UP, _DOWN = 2, -1  # 3 x charge of quarks


def three_charge(code: int) -> int:
    """3 x charge of a PDG code, from its quarks.

    >>> [three_charge(code) for code in (211, 321, -521, 2212, 11, -2, 2101, 30353, -20413, 310, 22, 4122)]
    [3, 3, -3, 3, -3, -2, 1, 3, -3, 0, 0, 3]
    """
    absolute, sign = abs(code), 1 if code > 0 else -1
    if absolute in _CHARGES:
        return sign * _CHARGES[absolute]
    if absolute <= 8:
        return sign * _quark(absolute)
    if absolute <= 100:
        return sign * (-3 if absolute in (11, 13, 15, 17) else 3 if absolute in (24, 34, 37) else 0)
    if absolute > 9_999_999:  # nuclei and tetraquarks
        return sign * int(Particle.from_pdgid(absolute).three_charge or 0)
    first, second, third = _digits(absolute)
    if first:
        return sign * sum(_quark(q) for q in (first, second, third) if q)
    # of a meson's quarks the heavier one is the quark if up-type, the antiquark otherwise
    heavy = 1 if second % 2 == 0 else -1
    return sign * heavy * (_quark(second) - _quark(third))


def baryon_thirds(code: int) -> int:
    """3 x baryon number: 1 of a quark, 2 of a diquark, 3 of a baryon.

    >>> [baryon_thirds(code) for code in (2212, -4122, 2101, 1, 211, 443, 9042413)]
    [3, -3, 2, 1, 0, 0, 0]
    """
    absolute, sign = abs(code), 1 if code > 0 else -1
    if absolute <= 8:
        return sign
    if absolute in _CHARGES or absolute <= 100:
        return 0
    if absolute > 1_000_000_000:
        return sign * 3 * (absolute // 10 % 1000)
    first, second, third = _digits(absolute)
    if not first:
        return 0
    return sign * (3 if third else 2) if second else 0


def lepton_number(code: int) -> int:
    """Lepton number, of all flavours together: they may change into each other.

    >>> [lepton_number(code) for code in (11, -13, 16, 211)]
    [1, -1, 1, 0]
    """
    return (1 if code > 0 else -1) if 11 <= abs(code) <= 18 else 0


def _quark(flavour: int) -> int:
    return _UP if flavour % 2 == 0 else _DOWN


def _digits(absolute: int) -> tuple[int, int, int]:
    return absolute // 1000 % 10, absolute // 100 % 10, absolute // 10 % 10


def faults_of(name: str, block: Block, state: State) -> tuple[list[Notice], list[Notice]]:
    """What is wrong with the lines of a block (they are refused), and what its author should know."""
    faults, notices = [], []
    mother = state.code(name)
    for line in block.modes:
        if not line.own:
            continue
        codes = [state.code(daughter) for daughter in line.daughters]
        texts = list(_line_faults(name, mother, line, codes, state))
        if not _of_its_own(name, line, state) and (violation := _numbers(mother, codes)):
            if not _is_searched(mother, codes):
                texts.append(violation)
            elif block.keyword == "Decay":
                notices.append(Notice(line.line, f"{name} -> {line}: {violation}"))
        if texts:
            faults.append(Notice(line.line, f"{name} -> {line}: {'; '.join(texts)}"))
    total = sum(line.fraction for line in block.modes)
    if block.modes and not total > 0.0:
        faults.append(Notice(block.line, f"Decay {name}: no mode with a positive branching fraction"))
    elif block.modes and abs(total - 1.0) > 1e-6 and block.keyword == "Decay":
        notices.append(Notice(block.line, f"Decay {name}: its fractions add up to {total:.6g} and are divided by that"))
    return faults, notices


def _line_faults(name: str, mother: int, line: DecayLine, codes: Sequence[int], state: State) -> Iterable[str]:
    """Faults of one line that its numbers do not show."""
    if not line.fraction >= 0.0:
        yield f"the branching fraction {line.fraction:g} is negative"
    if line.fraction > 1e300:
        yield f"the branching fraction {line.fraction:g} is no number"
    if not codes:
        yield "no products"
    elif len(codes) == 1 and (abs(mother), abs(codes[0])) not in _ONE_BODY:
        yield "one product: expected two or more"
    if len(codes) > MOST_PRODUCTS:
        yield f"{len(codes)} products: the generator makes up to {MOST_PRODUCTS}; let some come from a resonance"
    if any(abs(code) == abs(mother) for code in codes):
        yield f"{state.aliases.get(name, name)} would decay into itself"
    if line.fraction > 0.0 and not any(each in state.properties for each in (name, *line.daughters)):
        needed = sum(_mass(daughter, state, -1) for daughter in line.daughters)
        available = _mass(name, state, 1)
        if needed > available and len(codes) > 1:
            yield f"the products are heavier than the {name}: {needed:.3f} GeV of {available:.3f} GeV"
    before, after = _charge(name, state), sum(_charge(daughter, state) for daughter in line.daughters)
    if before != after and not _has_no_numbers(codes):
        yield f"charge {_thirds(before)} becomes {_thirds(after)}"


def _charge(name: str, state: State) -> int:
    """3 x charge of a name."""
    definition = state.definition(name)
    return three_charge(state.code(name)) if definition is None else definition[1]


def _of_its_own(name: str, line: DecayLine, state: State) -> bool:
    """Whether a decay has a particle that the file adds, of which nobody knows baryon and lepton number."""
    return any(state.aliases.get(each, each) in state.added for each in (name, *line.daughters))


def _mass(name: str, state: State, sign: int) -> float:
    """Nominal mass in GeV, of broad particles 15 widths more or less by the sign; partons weigh nothing here."""
    definition = state.definition(name)
    if definition is not None:
        return max(definition[2] + sign * definition[4], 0.0)
    return _nominal_mass(state.code(name), sign)


@cache
def _nominal_mass(code: int, sign: int) -> float:
    """:func:`_mass` of a PDG code."""
    if abs(code) <= 8 or abs(code) == 21 or (1000 < abs(code) < 10_000 and abs(code) // 10 % 10 == 0):
        return 0.0
    try:
        entry = Particle.from_pdgid(code)
    except (ParticleNotFound, InvalidParticle):
        return 0.0 if sign < 0 else float("inf")
    width = float(entry.width or 0.0)
    return max(float(entry.mass or 0.0) + sign * (15.0 * width if width > 0.01 else 0.0), 0.0) / 1000.0


def _thirds(value: int) -> str:
    return f"{value // 3:+d}" if value % 3 == 0 else f"{value:+d}/3"


def _has_no_numbers(codes: Iterable[int]) -> bool:
    """Whether Pythia chooses a flavour (rndmflav), so that nothing can be checked."""
    return any(80 < abs(code) < 100 for code in codes)


def _changes(mother: int, codes: Sequence[int]) -> tuple[int, int]:
    """Change of 3 x baryon number and of lepton number."""
    baryons = sum(baryon_thirds(code) for code in codes) - baryon_thirds(mother)
    return baryons, sum(lepton_number(code) for code in codes) - lepton_number(mother)


def _numbers(mother: int, codes: Sequence[int]) -> str:
    """What is violated of baryon and lepton number, or ''."""
    baryons, leptons = _changes(mother, codes)
    if _has_no_numbers(codes):
        return ""
    parts = [f"baryon number changes by {_thirds(baryons)}"] if baryons else []
    parts += [f"lepton number changes by {leptons:+d}"] if leptons else []
    return ", ".join(parts)


def _is_searched(mother: int, codes: Sequence[int]) -> bool:
    """Violations that experiments look for: leptons of equal charge (B+ -> D- l+ l+), a baryon and a lepton."""
    baryons, leptons = _changes(mother, codes)
    if abs(baryons) == 3 and abs(leptons) == 1:
        return True
    charged = [code for code in codes if abs(code) in (11, 13, 15)]
    return baryons == 0 and abs(leptons) == 2 and abs(sum(1 if code > 0 else -1 for code in charged)) == 2
