"""Counts of generated decays: how often each decay mode of a B makes which channel, in the acceptance.

The modes of a B are drawn more evenly here than in the decay table, so that rare ones are
measured as well. Counts of several samples (other seeds) add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels.covered_decays import Acceptance, covered_particles
from fei_lite.channels.model import ChannelSet
from fei_lite.errors import SimulationError
from fei_lite.events import Jagged
from fei_lite.generator import enrichment
from fei_lite.generator.beams import Beams
from fei_lite.generator.decay_table import belle2_table, fragments, require_modes
from fei_lite.generator.fragmentation import drawn_modes
from fei_lite.generator.generate import GeneratedBatch, b_rows, laboratory_batch
from fei_lite.generator.groups import Groups, codes_of, group_copy, install_copy
from fei_lite.generator.pair_sources import UPSILON_SETTINGS, generic_pair, start_pairs
from fei_lite.generator.processes import find_process
from fei_lite.generator.pythia import Generator, initialised, new_pythia
from fei_lite.generator.records import blocks, conjugated, decays_of, has_antiparticle, hashed, mode_hash
from fei_lite.generator.settings import load_settings
from fei_lite.particles import pdg_code

#: Particles whose every decay is enriched: D_s+, Lambda_c+, J/psi.
ENRICHED = (431, 4122, 443)
#: The process that makes a B.
PROCESSES = {521: "charged", 511: "mixed"}
_TRACKS = (11, 13, 211, 321, 2212)
#: Fractions of the tracks and photons inside the acceptance that end in a candidate, about (assumed): a decay
#: into seven particles is wanted more often than one into two.
_FOUND_TRACK, _FOUND_PHOTON = 0.92, 0.83
#: Largest fraction of decays that may belong to no mode of the table.
_MAX_LOST = 0.001


class Channels:
    """The channels of a set with daughters, numbered; B channels have the B's code."""

    def __init__(self, channel_set: ChannelSet) -> None:
        self.set = channel_set
        self.channels = [c for c in channel_set.channels() if c.leaf is None]
        self.codes = np.array([abs(pdg_code(c.particle)) for c in self.channels])
        self.modes = np.array([c.index for c in self.channels])
        self.number = {(int(code), int(mode)): i
                       for i, (code, mode) in enumerate(zip(self.codes, self.modes, strict=True))}

    def decays(self, batch: GeneratedBatch) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Rows of complete decays in the acceptance, their channels, and the fraction that is found, about."""
        generated = batch.generated
        modes = covered_particles(self.set, generated, acceptance=Acceptance())
        codes = np.abs(generated["pdg"])
        rows = np.flatnonzero((modes >= 0) & np.isin(codes, self.codes))
        channel = np.array([self.number.get((int(code), int(mode)), -1)
                            for code, mode in zip(codes[rows], modes[rows], strict=True)], dtype=np.intp)
        found = _FOUND_TRACK ** final_state(generated, _TRACKS) * _FOUND_PHOTON ** final_state(generated, (22,))
        rows, channel = rows[channel >= 0], channel[channel >= 0]
        return rows, channel, found[rows]


def final_state(generated: Jagged, codes: tuple[int, ...]) -> NDArray[np.int64]:
    """How many particles of absolute PDG codes descend from each generated particle (n,)."""
    start = generated.offsets[:-1][generated.event_index]
    above = np.where(generated["mother"] >= 0, generated["mother"] + start, -1)
    count = np.zeros(len(above), dtype=np.int64)
    reached = above[np.isin(np.abs(generated["pdg"]), codes)]
    while len(reached := reached[reached >= 0]):
        np.add.at(count, reached, 1)
        reached = above[reached]
    return count


def b_above(batch: GeneratedBatch) -> NDArray[np.intp]:
    """Which B of its event (0, 1; -1: none) each particle is or descends from."""
    generated = batch.generated
    above = np.where(np.isin(np.arange(len(generated["mother"])), b_rows(generated)), -1, generated["mother"])
    number = np.arange(len(above)) - generated.offsets[:-1][generated.event_index]
    b = np.where((number == 1) | (number == 2), number - 1, -1)
    while np.any(climbing := above > 2):
        rows = np.flatnonzero(climbing)
        above[rows] = generated["mother"][generated.offsets[generated.event_index[rows]] + above[rows]]
    return np.where(b >= 0, b, np.where((above == 1) | (above == 2), above - 1, -1))


class Decays:
    """Decays of :data:`ENRICHED` particles: counts per mode (of the table), and complete ones by channel."""

    def __init__(self, code: int, n_channels: int) -> None:
        self.code, modes = code, require_modes(belle2_table(), code)
        self.lines: dict[int, int] = {}
        for sign in (1, -1) if has_antiparticle(code) else (1,):
            for i, mode in enumerate(modes):
                if not fragments(mode):
                    products = np.array(mode.products) if sign > 0 else conjugated(np.array(mode.products))
                    key = int(mode_hash(np.array([sign * code]), hashed(products).sum(keepdims=True))[0])
                    self.lines.setdefault(key, i)
        self.counts = np.zeros((len(modes), 1 + n_channels))

    def add(self, records: Jagged, channel: NDArray[np.intp], found: NDArray[np.float64]) -> None:
        """Count the decays of a block; ``channel``, ``found`` (rows): those of complete decays, else -1 and 0."""
        rows, hashes = decays_of(records, {self.code: self.code})
        line = np.array([self.lines.get(int(h), -1) for h in hashes], dtype=np.intp)
        rows, line = rows[line >= 0], line[line >= 0]
        np.add.at(self.counts[:, 0], line, 1)
        complete = channel[rows] >= 0
        np.add.at(self.counts, (line[complete], 1 + channel[rows[complete]]),
                  found[rows[complete]])


class Lines:
    """The modes of a B as the record shows them; modes with equal products are one line."""

    def __init__(self, code: int) -> None:
        self.code, modes = code, drawn_modes(code)
        hashes = np.array([self.hash(mode.products) for mode in modes])
        known: dict[int, int] = {}
        self.line = np.array([known.setdefault(int(h), i) if not fragments(mode) else i
                              for i, (h, mode) in enumerate(zip(hashes, modes, strict=True))])
        exclusive = np.array([h for h, mode in zip(hashes, modes, strict=True) if not fragments(mode)])
        self.hashes, first = np.unique(exclusive, return_index=True)
        self.first = np.array([i for i, mode in enumerate(modes) if not fragments(mode)])[first]
        self.modes = modes

    def hash(self, products: tuple[int, ...]) -> np.uint64:
        """Hash of the decay of the particle."""
        return np.uint64(mode_hash(np.array([self.code]), hashed(np.array(products)).sum(keepdims=True))[0])

    def install(self, generator: Generator) -> Groups:
        """Give Pythia an exclusive copy with even fractions, and a copy per parton mode."""
        drawn = np.array([mode.fraction for mode in self.modes])
        even = np.sqrt(drawn) / np.sqrt(drawn).sum() + 1.0 / len(drawn)
        parton = np.array([fragments(mode) for mode in self.modes])
        even[parton] *= 10.0 * even[~parton].sum() / even[parton].sum() / 20.0
        members = [np.flatnonzero(~parton), *(np.array([i]) for i in np.flatnonzero(parton))]
        copies = [group_copy(self.code, number) for number in range(len(members))]
        for copy, some in zip(copies, members, strict=True):
            install_copy(generator.pythia, copy, self.code,
                         [replace(self.modes[i], fraction=float(even[i])) for i in some])
        self.of_copy = {copy: int(some[0]) for copy, some in zip(copies[1:], members[1:], strict=True)}
        fraction = np.array([even[some].sum() for some in members]) / even.sum()
        groups = Groups(self.code, np.array(copies), fraction, fraction, np.ones(len(copies)))
        generator.copies = codes_of({self.code: groups})
        generator.vetoed = {copy: self.code for copy in copies[1:]}
        return groups

    def of(self, records: Jagged, copies: Mapping[int, int]) -> NDArray[np.intp]:
        """Line (n, 2) of the two B's of each event; -1 if it is not in the table."""
        rows = b_rows(records)
        code = np.abs(records["pdg"])
        line = np.full(len(code), -1)
        for copy, i in self.of_copy.items():
            line[rows[code[rows] == copy]] = i
        found, hashes = decays_of(conjugate_negative(records), {c: self.code for c in copies})
        place = np.searchsorted(self.hashes, hashes).clip(max=len(self.hashes) - 1)
        exclusive = (self.hashes[place] == hashes) & (line[found] < 0) & np.isin(code[found], list(copies))
        line[found[exclusive]] = self.first[place[exclusive]]
        return line[rows]


def conjugate_negative(records: Jagged) -> Jagged:
    """Records in which all decays of anti-B's, and the B's themselves, are conjugated: one hash for both."""
    rows = np.flatnonzero(records["mother"] >= 0)
    above = records["mother"] + records.offsets[:-1][records.event_index]
    codes = records["pdg"].copy()
    turned = rows[records["pdg"][above[rows]] < 0]
    codes[turned] = conjugated(records["pdg"][turned])
    b = b_rows(records)
    codes[b] = np.abs(codes[b])
    return Jagged(records.offsets, {**records.columns, "pdg": codes})


def count_decays(process: str, n: int, *, seed: int, channels: Channels, enriched: enrichment.Enrichment,
                 progress: Callable[[int], None] | None = None) -> dict[str, NDArray]:
    """Decays in ``n`` generated events of ``process`` ("charged" or "mixed").

    ``decays`` (lines,) of each mode of the B; ``counts``, ``weighted`` and ``found`` (lines, channels): complete
    decays in the acceptance by channel, as they are, with the weights of the ``enriched`` decays of D_s+,
    Lambda_c+ and J/psi, and as many as a detector finds, about; ``decays_CODE`` (modes, 1 + channels): decays of
    these particles, and their complete ones. ``progress`` is called with the events of each block. Raises
    :class:`SimulationError` if more than 0.1 % of the decays belong to no mode of the table.
    """
    chosen, beams = find_process(process), Beams()
    generator = new_pythia(seed=seed, settings=(*UPSILON_SETTINGS, *load_settings().lines(process)))
    lines = Lines(chosen.code)
    groups = lines.install(generator)
    enrichment.install_decays(generator, enriched)
    start_pairs(generator, [generic_pair(chosen.code)], groups={chosen.code: groups}, beams=beams,
                rng=np.random.default_rng([seed, 3]))
    rng = np.random.default_rng([seed, 1])
    size = len(lines.modes)
    decays, counts = np.zeros(size), np.zeros((3, size, len(channels.channels)))
    others = [Decays(code, len(channels.channels)) for code in ENRICHED]
    for records in blocks(initialised(generator), n):
        line = lines.of(records, generator.copies)
        batch = laboratory_batch(records, chosen, beams, rng, first=0, copies=generator.copies)
        np.add.at(decays, line[line >= 0], 1)
        rows, channel, found = channels.decays(batch)
        above = b_above(batch)
        b = above[rows]
        mine = line[batch.generated.event_index[rows], np.maximum(b, 0)]
        good = (b >= 0) & (mine >= 0)
        weight = enrichment.decay_weights(records, enriched)[batch.generated.event_index[rows]]
        for part, values in zip(counts, (np.ones(len(weight)), weight, found), strict=True):
            np.add.at(part, (mine[good], channel[good]), values[good])
        complete, part_found = np.full(len(above), -1), np.zeros(len(above))
        complete[rows], part_found[rows] = channel, found
        for other in others:
            other.add(records, complete, part_found)
        if progress is not None:
            progress(len(line))
    if (lost := 1.0 - decays.sum() / (2 * n)) > _MAX_LOST:
        raise SimulationError(f"{process}: {lost:.2%} of the decays belong to no mode of the decay table, expected "
                              f"at most {_MAX_LOST:.1%}: the record and the table do not fit together.")
    return {"decays": decays, "counts": counts[0], "weighted": counts[1], "found": counts[2],
            **{f"decays_{other.code}": other.counts for other in others}}
