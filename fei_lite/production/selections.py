"""Generator-level selections with recorded weights, and reuse of generated B decays.

Most generic events cannot pass an analysis with a hadronic tag. A selection
keeps each event with a probability that depends on what was generated, before
the detector, and gives it the inverse as weight: no bias, fewer events. With
``reuse`` it chooses among combinations of B decays
(:mod:`fei_lite.generator.recombination`), of which only the chosen are built.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, RootModel, model_validator

from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import SimulationError, nearest
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.generator.generate import GeneratedBatch, joined, select
from fei_lite.generator.recombination import recombined, sides_of, with_mixing_times

Array = NDArray[np.float64]

_TRACKS, _SEEN_NEUTRALS, _PHOTON, _KAON = (11, 13, 211, 321, 2212), (310, 3122), 22, 321
#: Momentum above which a lepton hardly looks like a pion, GeV (assumed).
_LEPTON_MOMENTUM = 0.6
#: Energy that a Btag and a few extra photons have, GeV: decides which kaon is left over.
_TAG_ENERGY = 5.4
#: Acceptance of tracks and photons: polar angles in degrees, least pT and energy in GeV (assumed).
_TRACK_ANGLES, _PHOTON_ANGLES, _LEAST_PT, _LEAST_ENERGY = (17.0, 150.0), (12.4, 155.1), 0.1, 0.05


@dataclass(frozen=True)
class Stratum:
    """Events that pass all cuts (variable -> (minimum, maximum)) are kept with probability ``keep``."""

    name: str
    keep: float
    cuts: Mapping[str, tuple[float, float]]

    def passes(self, variables: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Which events are in it, (n,); NaN is not."""
        inside = np.ones(len(variables["charge"]), dtype=bool)
        for name, (low, high) in self.cuts.items():
            inside &= (variables[name] > low) & (variables[name] < high)
        return inside


@dataclass(frozen=True)
class Selection:
    """Strata in their order; the last one takes all events that are left."""

    name: str
    origin: str
    strata: tuple[Stratum, ...]

    def stratum(self, variables: Mapping[str, Array]) -> NDArray[np.int64]:
        """Number of the stratum of each event, (n,)."""
        return np.asarray(np.argmax([s.passes(variables) for s in self.strata], axis=0))

    def probability(self, variables: Mapping[str, Array]) -> Array:
        """Probability (n,) with which each event is kept."""
        return np.array([s.keep for s in self.strata])[self.stratum(variables)]


class _CutTable(Strict):
    """minimum < variable < maximum of a stratum."""

    variable: Literal["tag_energy", "charge", "n_charged", "n_kaons", "energy", "n_leptons", "n_strange", "lost",
                      "n_sides"]
    minimum: float = -np.inf
    maximum: float = np.inf


class _StratumTable(Strict):
    """A ``[[name.stratum]]`` of the file."""

    name: str
    keep: float = Field(gt=0.0, le=1.0)
    cuts: tuple[_CutTable, ...] = ()


class _SelectionTable(Strict):
    """A ``[name]`` of the file."""

    origin: str
    stratum: tuple[_StratumTable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _last_takes_all(self) -> _SelectionTable:
        if self.stratum[-1].cuts:
            raise ValueError("the last stratum takes all events that are left: leave its cuts empty.")
        return self


class _SelectionFile(RootModel[dict[str, _SelectionTable]]):
    """All tables of the file."""


def load_selections(path: str | os.PathLike[str] | None = None) -> dict[str, Selection]:
    """Selections of a TOML file, by name; without ``path`` those that are shipped.

    Raises :class:`SimulationError` with every defect and its key path; an event that is never
    kept would be a bias, so that ``keep`` is above 0.

    >>> [s.keep for s in load_selections()["hta"].strata][:1]
    [1.0]
    """
    source = files("fei_lite.production") / "selections.toml" if path is None else Path(path)
    where = "selections.toml" if path is None else str(path)
    content = read_toml(source, _SelectionFile, where=where, error=SimulationError).root
    return {name: Selection(name, table.origin, tuple(
        Stratum(s.name, s.keep, {cut.variable: (cut.minimum, cut.maximum) for cut in s.cuts}) for s in table.stratum))
        for name, table in content.items()}


def find_selection(name: str) -> Selection:
    """A shipped selection by its name, or that of a file (PATH:NAME). Raises :class:`SimulationError`."""
    path, _, inner = name.rpartition(":")
    known = load_selections(path or None)
    if inner not in known:
        raise SimulationError(f"no selection '{inner}'; there are {', '.join(known)}.{nearest(inner, known)}")
    return known[inner]


@dataclass(frozen=True)
class Seen:
    """What a simple detector would see of generated particles, by side (a B, or the whole event): each (n,).

    ``energy`` (GeV, centre-of-mass frame), ``charge`` and ``n_charged`` of tracks, ``n_kaons``,
    ``kaon_low`` and ``kaon_high`` (GeV) the energies of the softest and hardest kaon, NaN without; ``n_leptons``
    above 0.6 GeV, ``n_strange`` kaons and K_S0; ``lost`` (GeV) what the side that is seen best lacks to half the
    energy of the beams, in size; ``n_sides``.
    """

    energy: Array
    charge: Array
    n_charged: Array
    n_kaons: Array
    kaon_low: Array
    kaon_high: Array
    n_leptons: Array
    n_strange: Array
    lost: Array
    n_sides: Array

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.energy + other.energy, self.charge + other.charge, self.n_charged + other.n_charged,
                    self.n_kaons + other.n_kaons, np.fmin(self.kaon_low, other.kaon_low),
                    np.fmax(self.kaon_high, other.kaon_high), self.n_leptons + other.n_leptons,
                    self.n_strange + other.n_strange, np.minimum(self.lost, other.lost), self.n_sides + other.n_sides)

    def of(self, rows: NDArray[np.integer]) -> Seen:
        """The sides of ``rows``."""
        return Seen(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def variables(self) -> dict[str, Array]:
        """The variables of selections."""
        low, high = self.energy - self.kaon_high, self.energy - self.kaon_low
        nearer = np.abs(low - _TAG_ENERGY) < np.abs(high - _TAG_ENERGY)
        return {"tag_energy": np.where(nearer, low, high), "charge": self.charge, "n_charged": self.n_charged,
                "n_kaons": self.n_kaons, "energy": self.energy, "n_leptons": self.n_leptons,
                "n_strange": self.n_strange, "lost": self.lost, "n_sides": self.n_sides}


def seen_of(generated: Jagged, beam_p4: Array, side: NDArray[np.int64], n: int) -> Seen:
    """What is seen of the particles of each side; ``side`` (particles,) is 0 .. n - 1, or -1 for none."""
    code, p4 = np.abs(generated["pdg"]), generated["p4"]
    final = (generated["status"] & STATUS["stable"] != 0) & (generated["status"] & STATUS["primary"] != 0) & (side >= 0)
    pt = np.hypot(p4[:, 0], p4[:, 1])
    theta = np.degrees(np.arctan2(pt, p4[:, 2]))
    tracks = final & np.isin(code, _TRACKS) & (pt > _LEAST_PT) & _between(theta, _TRACK_ANGLES)
    photons = final & (code == _PHOTON) & (p4[:, 3] > _LEAST_ENERGY) & _between(theta, _PHOTON_ANGLES)
    visible = tracks | photons | (final & np.isin(code, _SEEN_NEUTRALS))
    beam = beam_p4[generated.event_index]
    roots = np.sqrt(beam[:, 3] ** 2 - np.sum(beam[:, :3] ** 2, axis=1))
    energy = (beam[:, 3] * p4[:, 3] - np.sum(beam[:, :3] * p4[:, :3], axis=1)) / roots
    charge = np.sign(generated["pdg"]) * np.where(code < 20, -1.0, 1.0)
    kaons = tracks & (code == _KAON)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, side[kaons], energy[kaons])
    np.maximum.at(high, side[kaons], energy[kaons])
    n_kaons = np.bincount(side[kaons], minlength=n).astype(np.float64)
    nothing = n_kaons == 0
    leptons = tracks & (code < 20) & (np.sum(p4[:, :3] ** 2, axis=1) > _LEPTON_MOMENTUM**2)

    def total(rows: NDArray[np.bool_], values: Array | None = None) -> Array:
        return np.bincount(side[rows], None if values is None else values[rows], minlength=n).astype(np.float64)

    seen = total(visible, energy)
    half = np.full(n, np.inf)
    np.minimum.at(half, side[side >= 0], 0.5 * roots[side >= 0])
    return Seen(seen, total(tracks, charge), total(tracks), n_kaons, np.where(nothing, np.nan, low),
                np.where(nothing, np.nan, high), total(leptons),
                n_kaons + total(final & (code == _SEEN_NEUTRALS[0])), np.abs(half - seen), np.ones(n))


def _between(values: Array, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((values > limits[0]) & (values < limits[1]))


def event_variables(generated: Jagged, beam_p4: Array) -> dict[str, Array]:
    """The variables of selections for whole events, each (n_events,)."""
    return seen_of(generated, beam_p4, generated.event_index, len(generated.counts)).variables()


@dataclass
class Selector:
    """A selection at work: batches in, weighted events out; ``reuse`` combinations of each B decay."""

    selection: Selection
    rng: np.random.Generator
    reuse: int = 1
    n_offered: int = 0
    kept: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = np.zeros(len(self.selection.strata), dtype=np.int64)

    def __call__(self, batch: GeneratedBatch) -> Iterator[GeneratedBatch]:
        """The kept events of a batch, with weights; ``n_generated`` counts the combinations offered."""
        if self.reuse == 1:
            variables = event_variables(batch.generated, batch.events["beam_p4"])
            mask, weight = self._draw(variables)
            yield replace(select(batch, mask, weight * batch.events["weight"]), n_generated=batch.n_generated)
            return
        if np.any(batch.events["weight"] != 1.0):
            raise SimulationError("reuse: events with weights of their own (enriched) cannot be combined anew: the "
                                  "weights belong to pairs of decays.")
        sides = sides_of(batch)
        first, second = (seen_of(batch.generated, batch.events["beam_p4"], np.where(sides.side == k, sides.event, -1),
                                 batch.n_events) for k in (0, 1))
        partners = sides.partners(self.reuse, self.rng)
        for k, partner in enumerate(partners):
            mask, weight = self._draw((first + second.of(partner)).variables())
            rows = np.flatnonzero(mask)
            made = with_mixing_times(recombined(batch, sides, rows, partner[rows]), self.rng)
            number = batch.events["event"][rows] * self.reuse + k
            events = made.events | {"weight": weight[rows], "event": number}
            yield replace(made, events=events, n_generated=batch.n_generated)

    def _draw(self, variables: Mapping[str, Array]) -> tuple[NDArray[np.bool_], Array]:
        """Which events are kept, and the weight of each."""
        stratum = self.selection.stratum(variables)
        share = np.array([s.keep for s in self.selection.strata])[stratum]
        mask = self.rng.uniform(size=len(share)) < share
        self.n_offered += len(share)
        self.kept += np.bincount(stratum[mask], minlength=len(self.kept))
        return mask, 1.0 / share


def selected(batches: Iterable[GeneratedBatch], selector: Selector, size: int) -> Iterator[GeneratedBatch]:
    """The kept events of many batches, gathered to ``size`` or more at a time (the last time fewer)."""
    waiting: list[GeneratedBatch] = []
    for batch in batches:
        waiting += [part for part in selector(batch) if part.n_events]
        if sum(part.n_events for part in waiting) >= size:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)
