"""Enriched events: decays into rare channels of a channel set are frequent, exact weights keep events generic.

Generic events hold too few decays of rare channels to train on. In enriched ones,
one B chooses its decay modes with probabilities that were measured to level the
channels of a set, and every D_s+, Lambda_c+ and J/psi its own. Event weights undo
both: they are generic over actual probability, and depend on nothing but the
groups of the two B's (:meth:`fei_lite.generator.groups.Groups.weights`) and the
modes of those decays (:func:`decay_weights`). They are exact, 1 on average, and
bounded: by about 1 / ``generic_share``, and by a factor of about two for each such decay.

The data, ``enrichment_NAME.json``, come from `fei-lite enrich`. They
decide how well a sample is spent, never what it means: data of one channel set
serve another one as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, StringConstraints

from fei_lite.data_files import read_json
from fei_lite.errors import SimulationError
from fei_lite.events import Jagged
from fei_lite.generator.decay_table import belle2_table, fragments, require_modes, table_hash
from fei_lite.generator.fragmentation import drawn_modes
from fei_lite.generator.groups import Groups, codes_of, group_copy, install_copy
from fei_lite.generator.pythia import Generator, set_modes
from fei_lite.generator.records import conjugated, decays_of, has_antiparticle, hashed, mode_hash
from fei_lite.generator.settings import DEFAULT_SETTINGS

#: Fraction of events in which both B's are generic: bounds the weights.
GENERIC_SHARE = 0.3


_Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
#: Boosts as :func:`packed` writes them; the lengths stay below what a decay table has.
_Boosts = Annotated[str, StringConstraints(pattern=r"^(-|-?[0-9]{1,2})x[0-9]{1,4}( (-|-?[0-9]{1,2})x[0-9]{1,4})*$")]


class _Content(BaseModel):
    """An enrichment as a file; what else it says of its origin is free."""

    name: str
    table: str
    boosts: dict[_Code, _Boosts]
    decays: dict[_Code, _Boosts]
    keep: dict[_Code, dict[_Code, Annotated[float, Field(ge=0.0, le=1.0)]]]


@dataclass(frozen=True, eq=False)
class Enrichment:
    """How decay modes of the B mesons are enriched.

    ``boosts[code]`` has one factor per mode of the decay table, in its order
    (relative: only their ratios count); so has ``decays[code]`` for particles
    whose every decay is enriched. ``keep[particle][mode]`` is the
    probability to keep an event that holds a decay of a particle (PDG code) of
    the channel set by a rare channel (decayModeID), though no B is covered.
    """

    name: str
    boosts: Mapping[int, tuple[float, ...]]
    keep: Mapping[int, Mapping[int, float]]
    decays: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    generic_share: float = GENERIC_SHARE

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides which events are made, 16 digits: part of what identifies a sample."""
        made = [sorted((code, *map(float, boosts)) for code, boosts in part.items())
                for part in (self.boosts, self.decays)]
        return hashlib.sha256(repr((made, self.generic_share)).encode()).hexdigest()[:16]


@cache
def load_enrichment(name: str) -> Enrichment:
    """The enrichment ``name`` of the package, or of a JSON file (a name that ends in .json).

    Raises :class:`SimulationError` if there is none, or if it was measured for another decay table.
    """
    path = Path(name) if name.endswith(".json") else files("fei_lite.generator") / f"enrichment_{name}.json"
    if not path.is_file():
        known = sorted(item.name[len("enrichment_"):-len(".json")] for item in files("fei_lite.generator").iterdir()
                       if item.name.startswith("enrichment_") and item.name.endswith(".json"))
        raise SimulationError(f"no enrichment '{name}': expected one of {', '.join(known)}, or a .json file of "
                              "fei-lite enrich.")
    data = read_json(path, _Content, error=SimulationError)
    if data.table != table_hash():
        raise SimulationError(f"{path}: measured for the decay table {data.table}, the installed decaylanguage "
                              f"ships {table_hash()}; run fei-lite enrich.")
    boosts, decays = ({int(code): unpacked(text) for code, text in part.items()} for part in (data.boosts, data.decays))
    for code, values in (*boosts.items(), *decays.items()):
        expected = len(require_modes(belle2_table(), code))
        if len(values) != expected:
            raise SimulationError(f"{path}: boosts of {code}: got {len(values)}, expected {expected}, one per mode.")
        if not any(values):
            raise SimulationError(f"{path}: boosts of {code}: all are 0: no decay is left.")
    keep = {int(code): {int(mode): float(share) for mode, share in found.items()}
            for code, found in data.keep.items()}
    return Enrichment(data.name, boosts, keep, decays)


def packed(boosts: Sequence[float]) -> str:
    """Boosts, powers of two or 0, as text: runs of equal ones, each ``exponent x length``.

    >>> packed([1.0, 1.0, 8.0, 0.0, 0.5])
    '0x2 3x1 -x1 -1x1'
    """
    runs: list[list[object]] = []
    for boost in boosts:
        exponent = "-" if boost == 0.0 else str(round(float(np.log2(boost))))
        if runs and runs[-1][0] == exponent:
            runs[-1][1] = int(str(runs[-1][1])) + 1
        else:
            runs.append([exponent, 1])
    return " ".join(f"{exponent}x{length}" for exponent, length in runs)


def unpacked(text: str) -> tuple[float, ...]:
    """Boosts of a text of :func:`packed`.

    >>> unpacked("0x2 3x1 -x1 -1x1")
    (1.0, 1.0, 8.0, 0.0, 0.5)
    """
    boosts: list[float] = []
    for run in text.split():
        exponent, length = run.split("x")
        boosts += [0.0 if exponent == "-" else 2.0 ** int(exponent)] * int(length)
    return tuple(boosts)


def install_enriched(generator: Generator, enrichment: Enrichment,
                     settings: str = DEFAULT_SETTINGS) -> dict[int, Groups]:
    """Split the modes of each B into groups of equal boost; parton modes, which may be vetoed, apart."""
    groups, vetoed = {}, {}
    for code, boosts in enrichment.boosts.items():
        modes, table = drawn_modes(code, settings), require_modes(belle2_table(), code)
        members: dict[tuple[float, bool], list[int]] = {}
        for i, (mode, boost) in enumerate(zip(modes, boosts, strict=True)):
            members.setdefault((boost, fragments(mode)), []).append(i)
        keys = sorted(members)
        copies = [group_copy(code, number) for number in range(len(keys))]
        for copy, key in zip(copies, keys, strict=True):
            install_copy(generator.pythia, copy, code, [modes[i] for i in members[key]])
            if key[1]:
                vetoed[copy] = code
        drawn = np.array([sum(modes[i].fraction for i in members[key]) for key in keys])
        accepted = np.array([sum(table[i].fraction for i in members[key]) for key in keys]) / drawn
        enriched = drawn * np.array([boost for boost, _ in keys])
        groups[code] = Groups(code, np.array(copies), drawn / drawn.sum(), enriched / enriched.sum(), accepted,
                              enrichment.generic_share)
    generator.copies, generator.vetoed = codes_of(groups), vetoed
    install_decays(generator, enrichment)
    return groups


def install_decays(generator: Generator, enrichment: Enrichment) -> None:
    """Give Pythia the enriched fractions of the particles whose every decay is enriched."""
    for code, boosts in enrichment.decays.items():
        modes = require_modes(belle2_table(), code)
        for finding in set_modes(generator.pythia, code, [replace(mode, fraction=mode.fraction * boost)
                                                          for mode, boost in zip(modes, boosts, strict=True)]):
            raise SimulationError(f"enriched decays of {code}: {finding}.")


def decay_weights(records: Jagged, enrichment: Enrichment) -> NDArray[np.float64]:
    """Weights (n_events,) of Pythia's records for :func:`install_decays`: a factor per decay."""
    rows, hashes = decays_of(records, {code: code for code in enrichment.decays})
    known, factors = _decay_factors(enrichment)
    place = np.searchsorted(known, hashes).clip(max=len(known) - 1)
    weights = np.ones(len(records.counts))
    if len(known):
        others = _other_factors(enrichment)
        other = np.array([others[abs(int(code))] for code in records["pdg"][rows]])
        np.multiply.at(weights, records.event_index[rows], np.where(known[place] == hashes, factors[place], other))
    return weights


@cache
def _decay_factors(enrichment: Enrichment) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Hashes of decays (:func:`~fei_lite.generator.records.mode_hash`), sorted, and generic over actual fraction.

    Modes with partons have no products of their own: :func:`_other_factors`.
    """
    found: dict[int, float] = {}
    for code, boosts in enrichment.decays.items():
        modes, mean = require_modes(belle2_table(), code), _mean_boost(enrichment, code)
        signs = (1, -1) if has_antiparticle(code) else (1,)
        for mode, boost in zip(modes, boosts, strict=True):
            for sign in signs if not fragments(mode) else ():
                products = np.array(mode.products)
                products = products if sign > 0 else conjugated(products)
                key = int(mode_hash(np.array([sign * code]), hashed(products).sum(keepdims=True))[0])
                if found.setdefault(key, mean / boost) != mean / boost:
                    raise SimulationError(f"enriched decays of {code}: modes with equal products have other boosts.")
    keys = sorted(found)
    return np.array(keys, dtype=np.uint64), np.array([found[key] for key in keys])


@cache
def _other_factors(enrichment: Enrichment) -> dict[int, float]:
    """Factor of decays that are no mode of the table (fragmentation), by PDG code."""
    out = {}
    for code, boosts in enrichment.decays.items():
        modes = require_modes(belle2_table(), code)
        partons = {boost for mode, boost in zip(modes, boosts, strict=True) if fragments(mode)} or {1.0}
        if len(partons) > 1:
            raise SimulationError(f"enriched decays of {code}: modes with partons must have one boost.")
        out[code] = _mean_boost(enrichment, code) / partons.pop()
    return out


def _mean_boost(enrichment: Enrichment, code: int) -> float:
    """Mean of the boosts of a particle's generic decays."""
    fractions = np.array([mode.fraction for mode in require_modes(belle2_table(), code)])
    return float(fractions @ np.array(enrichment.decays[code]) / fractions.sum())


def keep_shares(enrichment: Enrichment, codes: NDArray, modes: NDArray[np.int16]) -> NDArray[np.float64]:
    """Probability (n,) to keep an event because of each generated particle, from its PDG code and decayModeID."""
    shares = np.zeros(len(codes))
    for code, by_mode in enrichment.keep.items():
        rows = np.flatnonzero(np.abs(codes) == code)
        table = np.zeros(max(by_mode, default=0) + 2)  # the last entry, also reached by -1, stays 0
        table[list(by_mode)] = list(by_mode.values())
        found = modes[rows]
        shares[rows] = table[np.where(found < len(table), found, -1)]
    return shares
