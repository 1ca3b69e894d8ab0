"""Which decays of a generated event are drawn anew, found by mother and products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fei_lite.generator.decay_files.signal import SignalDecay
from fei_lite.generator.decay_files.steps import PYTHIAS_MOST
from fei_lite.generator.decay_table import Mode, belle2_table
from fei_lite.generator.matrix_elements.charmless import ShapeFunction
from fei_lite.generator.matrix_elements.dalitz import MODEL, plot_of
from fei_lite.generator.matrix_elements.dineutrino import FermiMotion, dineutrino_transition
from fei_lite.generator.matrix_elements.form_factors import Transition
from fei_lite.generator.matrix_elements.many_body import hashes_of
from fei_lite.generator.matrix_elements.models import transition
from fei_lite.generator.matrix_elements.semileptonic import Spectrum
from fei_lite.generator.matrix_elements.system import System
from fei_lite.generator.records import has_antiparticle, hashed, mode_hash

CHARGED, NEUTRINOS, TAU = (11, 13, 15), (12, 14, 16), 15
_BEAUTY, _CHARM = (511, 521, 531), (411, 421, 431)


@dataclass(frozen=True, eq=False)
class Entry:
    """A decay that is drawn anew.

    ``lepton`` and ``hadron`` are absolute PDG codes (0 for none): of a neutrino
    where there are two. ``transition`` is None for P -> tau nu. ``charm``: the
    quark that decays is a c. ``spectra`` (by the mother's mass) are made when they are needed.
    """

    fraction: float
    lepton: int
    hadron: int
    charm: bool
    transition: Transition | None = None
    system: System | None = None
    broad: bool = False
    spectra: dict[float, Spectrum] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Book:
    """Entries by hash of mother and products.

    ``mothers`` are the absolute codes of all mothers, as ``raw`` of
    :class:`~fei_lite.generator.matrix_elements.family.Family` has them; ``meant``
    maps the codes of a signal decay's private particles to PDG codes. Modes with
    equal products share a hash: one of ``entries[keys]`` is drawn for each decay,
    by their fractions; None stands for a mode that is left as it is. ``shapes`` are
    the decays with a Dalitz plot: hashes, and numbers of
    :func:`~fei_lite.generator.matrix_elements.dalitz.plots`. ``many`` are the hashes of decays into more
    products than Pythia makes.
    """

    mothers: NDArray[np.int64]
    meant: Mapping[int, int]
    keys: NDArray[np.uint64]
    entries: tuple[tuple[Entry | None, ...], ...]
    chances: tuple[NDArray[np.float64], ...]
    shapes: tuple[NDArray[np.uint64], NDArray[np.int64]]
    many: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    @property
    def systems(self) -> tuple[System, ...]:
        """Models that also draw the mass of the hadronic system, before Pythia decays the event; one of each hadron."""
        found = {entry.system.hadron: entry.system for some in self.entries for entry in some if entry and entry.system}
        return tuple(found.values())

    def fresh(self) -> Book:
        """The book for another run: with systems of its own, one of each hadron."""
        own = {system.hadron: system.fresh() for system in self.systems}

        def renewed(entry: Entry | None) -> Entry | None:
            return entry if entry is None or entry.system is None else replace(entry, system=own[entry.system.hadron])

        return replace(self, entries=tuple(tuple(renewed(entry) for entry in some) for some in self.entries))


@dataclass(frozen=True)
class Source:
    """Decays for a book: ``modes`` by the code of the mother; ``meant`` has the codes of private particles."""

    modes: Mapping[int, Sequence[Mode]]
    meant: Mapping[int, int]


def entry_of(mother: int, mode: Mode, meant: Mapping[int, int]) -> Entry | None:
    """What is drawn anew for a mode of ``mother`` (PDG code); None if nothing is."""
    codes = [_meaning(code, meant) for code in mode.products]
    absolute = [abs(code) for code in codes]
    neutrinos = [a for a in absolute if a in NEUTRINOS]
    charged = [a for a in absolute if a in CHARGED]
    hadrons = [a for a in absolute if a not in (*NEUTRINOS, *CHARGED)]
    charm = abs(mother) in _CHARM
    numbers = numbers_of(mode.parameters)
    if abs(mother) not in (*_BEAUTY, *_CHARM) or len(codes) > 3 or len(hadrons) > 1:
        return None
    if len(charged) == 1 and len(neutrinos) == 1 and neutrinos[0] == charged[0] + 1:
        if not hadrons:
            return Entry(mode.fraction, charged[0], 0, charm) if charged[0] == TAU else None
        shape = ShapeFunction.of(mode.model, numbers, hadrons[0])
        if shape is not None:
            return Entry(mode.fraction, charged[0], hadrons[0], charm, None, shape)
        found = transition(mode.model, numbers, mother, hadrons[0])
        return None if found is None else Entry(mode.fraction, charged[0], hadrons[0], charm, found,
                                                broad=is_broad(hadrons[0]))
    if len(neutrinos) == 2 and len(hadrons) == 1 and neutrinos[0] == neutrinos[1] and not charm:
        found = dineutrino_transition(mode.model, mother, hadrons[0])
        if found is not None:
            return Entry(mode.fraction, neutrinos[0], hadrons[0], charm, found, broad=is_broad(hadrons[0]))
        motion = FermiMotion.of(mode.model, numbers, hadrons[0])
        if motion is not None:
            return Entry(mode.fraction, neutrinos[0], hadrons[0], charm, None, motion)
    return None


def numbers_of(words: Sequence[str]) -> list[float]:
    """The parameters of a model that are numbers.

    >>> numbers_of(['1.18', 'abc', '0.02'])
    [1.18, 0.02]
    """
    out = []
    for word in words:
        try:
            out.append(float(word))
        except ValueError:
            continue
    return out


def is_broad(code: int) -> bool:
    """Whether a hadron is wider than 1 MeV.

    >>> is_broad(413), is_broad(113)
    (False, True)
    """
    from particle import Particle, ParticleNotFound

    try:
        width = Particle.from_pdgid(code).width
    except ParticleNotFound:
        return True
    return width is not None and width > 1.0


def _meaning(code: int, meant: Mapping[int, int]) -> int:
    found = meant.get(abs(code))
    return code if found is None else found * (1 if code > 0 else -1)


def _conjugate(code: int, meant: Mapping[int, int]) -> int:
    return -code if has_antiparticle(_meaning(code, meant)) else code


def shapes_of(sources: Iterable[Source]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes, in order, of decays whose model has a Dalitz plot, and the plots' numbers.

    Where modes of other models share the products, all follow the plot if it has more than half of the fraction.
    """
    fractions: dict[int, list[float]] = {}
    numbers: dict[int, int] = {}
    for source in sources:
        for mother, mode in ((mother, mode) for mother, modes in source.modes.items() for mode in modes):
            products = tuple(_meaning(code, source.meant) for code in mode.products)
            number = plot_of(_meaning(mother, source.meant), products) if len(products) == 3 else None
            if number is None:
                continue
            for sign in (1, -1):
                own = np.array([c if sign > 0 else _conjugate(c, source.meant) for c in mode.products])
                key = int(mode_hash(np.array([sign * mother]), hashed(own).sum(keepdims=True))[0])
                numbers[key] = number
                fractions.setdefault(key, [0.0, 0.0])[mode.model == MODEL] += mode.fraction
    keys = sorted(key for key, (others, shaped) in fractions.items() if shaped > others)
    return np.array(keys, dtype=np.uint64), np.array([numbers[key] for key in keys], dtype=np.int64)


def make_book(sources: Iterable[Source]) -> Book:
    """The book of the decays of all sources; modes without an entry count where they share products with one."""
    sources = list(sources)
    found: dict[int, list[tuple[float, Entry | None]]] = {}
    mothers: set[int] = set()
    meant: dict[int, int] = {}
    for source in sources:
        meant |= source.meant
        for code, modes in source.modes.items():
            pairs = [(mode, entry_of(_meaning(code, source.meant), mode, source.meant)) for mode in modes]
            wanted = {tuple(sorted(mode.products)) for mode, entry in pairs if entry is not None}
            if not wanted:
                continue
            mothers.add(abs(code))
            for mode, entry in pairs:
                if tuple(sorted(mode.products)) not in wanted:
                    continue
                for sign in (1, -1):
                    products = [c if sign > 0 else _conjugate(c, source.meant) for c in mode.products]
                    key = mode_hash(np.array([sign * code]), hashed(np.array(products)).sum(keepdims=True))[0]
                    found.setdefault(int(key), []).append((mode.fraction, entry))
    keys = sorted(found)
    chances = []
    for key in keys:
        fractions = np.cumsum([fraction for fraction, _ in found[key]])
        chances.append(fractions / fractions[-1] if fractions[-1] > 0.0 else np.linspace(0, 1, len(fractions) + 1)[1:])
    return Book(np.array(sorted(mothers), dtype=np.int64), meant, np.array(keys, dtype=np.uint64),
                tuple(tuple(entry for _, entry in found[key]) for key in keys), tuple(chances), shapes_of(sources))


@cache
def generic_book() -> Book:
    """The book of the Belle II decay table."""
    return make_book([Source(belle2_table().modes, {})])


def signal_book(signal: SignalDecay) -> Book:
    """The book of the Belle II decay table and of an installed decay file."""
    redefined = {code: entry.modes for code, entry in signal.redefined.items()}
    generic = {code: modes for code, modes in belle2_table().modes.items() if not {code, -code} & set(redefined)}
    found = make_book([Source(generic, {}), Source(redefined, signal.meant), Source(signal.modes, signal.meant)])
    return replace(found, many=hashes_of({**redefined, **signal.modes}, PYTHIAS_MOST), meant=signal.meant)
