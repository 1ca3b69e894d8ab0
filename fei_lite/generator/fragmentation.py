"""B decays into partons: fragmented by Pythia, vetoed where they repeat an exclusive mode.

The decay table gives about half of the B decays as partons. EvtGen draws such a
decay again while its hadrons are those of an exclusive mode. Here the generator
leaves the event out (:func:`fei_lite.generator.records.vetoed`), and weighs each
parton mode by 1 / (its accepted fraction) beforehand, so that every mode keeps the
fraction of the table. To tell such a B from the others afterwards (Pythia's
record has its hadrons, not always its partons), it is a particle of its own while
Pythia decays it: a copy of the B, which is relabelled in the generated events.

The fractions in `fragmentation_NAME.json` belong to one table and one set of Pythia's
settings (:mod:`fei_lite.generator.settings`) and come from `scripts/measure_fragmentation.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from math import sqrt

import numpy as np

from fei_lite.errors import SimulationError
from fei_lite.generator.beams import Beams
from fei_lite.generator.decay_table import Mode, belle2_table, fragments, require_modes, table_hash
from fei_lite.generator.groups import Groups, install_copy
from fei_lite.generator.pair_sources import UPSILON_SETTINGS, generic_pair, start_pairs
from fei_lite.generator.pythia import COPIES, Generator, initialised, new_pythia, set_modes
from fei_lite.generator.records import blocks
from fei_lite.generator.settings import DEFAULT_SETTINGS, load_settings


def parton_modes(code: int) -> tuple[Mode, ...]:
    """The modes of a B (511, 521) that decay into partons, in the order of the table."""
    return tuple(mode for mode in require_modes(belle2_table(), code) if fragments(mode))


def measured_settings(name: str) -> str:
    """The settings whose accepted fractions serve the settings ``name``: the same if measured, else the default's.

    >>> measured_settings("monash"), measured_settings("mine")
    ('monash', 'belle2')
    """
    return name if (files("fei_lite.generator") / f"fragmentation_{name}.json").is_file() else DEFAULT_SETTINGS


@cache
def accepted_shares(settings: str = DEFAULT_SETTINGS) -> Mapping[int, tuple[float, ...]]:
    """Accepted fraction of each of :func:`parton_modes`, by the B's PDG code, for :func:`measured_settings`.

    Raises :class:`SimulationError` if they were measured for another table.
    """
    name = f"fragmentation_{measured_settings(settings)}.json"
    data = json.loads((files("fei_lite.generator") / name).read_text())
    if data["table"] != table_hash():
        raise SimulationError(
            f"{name} belongs to the decay table {data['table']}, the installed decaylanguage ships "
            f"{table_hash()}; run scripts/measure_fragmentation.py, or install decaylanguage {data['decaylanguage']}.")
    return {int(code): tuple(shares) for code, shares in data["accepted"].items()}


def drawn_modes(code: int, settings: str = DEFAULT_SETTINGS) -> tuple[Mode, ...]:
    """All modes of a B in the order of the table, with the fractions with which they are drawn before the veto."""
    shares = iter(accepted_shares(settings)[code])
    return tuple(replace(mode, fraction=mode.fraction / next(shares)) if fragments(mode) else mode
                 for mode in require_modes(belle2_table(), code))


def install_generic(generator: Generator, settings: str = DEFAULT_SETTINGS) -> dict[int, Groups]:
    """Split the B mesons into two groups: exclusive modes and, for their copies, parton modes."""
    groups = {}
    for copy, code in COPIES.items():
        modes = drawn_modes(code, settings)
        partons = [mode for mode in modes if fragments(mode)]
        exclusive = [mode for mode in modes if not fragments(mode)]
        install_copy(generator.pythia, copy, code, partons)
        set_modes(generator.pythia, code, exclusive)
        drawn = np.array([sum(mode.fraction for mode in part) for part in (partons, exclusive)])
        generic = drawn / drawn.sum()
        accepted = np.array([sum(mode.fraction for mode in parton_modes(code)) / drawn[0], 1.0])
        groups[code] = Groups(code, np.array([copy, code]), generic, generic, accepted)
    return groups


def measure(code: int, number: int, *, n: int, seed: int, settings: str = DEFAULT_SETTINGS) -> float:
    """Accepted fraction of the parton mode ``number`` of a B, from ``n`` accepted pairs that both decay by it."""
    generator = new_pythia(seed=seed, settings=(*UPSILON_SETTINGS, *load_settings(settings).lines("charged")))
    copy = next(copy for copy, known in COPIES.items() if known == code)
    install_copy(generator.pythia, copy, code, [parton_modes(code)[number]])
    start_pairs(generator, [generic_pair(copy)], groups={}, beams=Beams(), rng=np.random.default_rng(seed))
    for _ in blocks(initialised(generator), n):
        pass
    return sqrt(generator.n_accepted / (generator.n_accepted + generator.n_vetoed))
