"""Which generated decays a channel set can reconstruct: the reconstructible fraction, which no tagger exceeds.

A generated particle is covered if its daughters, down to the final state, are
those of a chain of the set. Resonances are looked through to their daughters
where that is needed (rho, a1, K*; also a particle of the set where its mother
has no channel with it), as truth matching accepts missing resonances; photons
from final-state radiation do not count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels.model import ChannelSet, conjugate_daughters
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.kernels import coverage as kernels
from fei_lite.particles import is_self_conjugate, pdg_code

_FSR = STATUS["fsr_photon"] | STATUS["photos_photon"]


@dataclass(frozen=True)
class Acceptance:
    """A simple detector: polar angles in degrees (laboratory), momenta and energies in GeV.

    The angles are those of Belle II's drift chamber and calorimeter; the
    thresholds are assumed, about where tracks and clusters cease to be found.
    """

    track_theta: tuple[float, float] = (17.0, 150.0)
    track_pt: float = 0.05
    photon_theta: tuple[float, float] = (12.4, 155.1)
    photon_energy: float = 0.03

    def contains(self, p4: NDArray[np.float64], is_photon: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether particles of four-momenta ``p4`` (n, 4; laboratory, GeV) are inside; shape (n,).

        NaN is outside.
        """
        pt = np.hypot(p4[:, 0], p4[:, 1])
        theta = np.degrees(np.arctan2(pt, p4[:, 2]))
        low = np.where(is_photon, self.photon_theta[0], self.track_theta[0])
        high = np.where(is_photon, self.photon_theta[1], self.track_theta[1])
        hard = np.where(is_photon, p4[:, 3] > self.photon_energy, pt > self.track_pt)
        inside: NDArray[np.bool_] = (theta > low) & (theta < high) & hard
        return inside


def covered_particles(
    channel_set: ChannelSet, generated: Jagged, *,
    acceptance: Acceptance | None = None, usable: NDArray[np.bool_] | None = None, missing_resonances: bool = True,
) -> NDArray[np.int16]:
    """Channel (decayModeID) by which each generated particle decays through the set, else -1.

    One entry per row of ``generated``; 0 for final-state particles. With an
    ``acceptance``, a chain counts only if it holds all final-state particles; with ``usable`` (rows), only if all its
    particles are usable: an intermediate one that is not may be looked through, as any other.
    Both charge conjugates are covered; K_S0 -> pi+ pi- is mode 0 (never the V0
    list). ``missing_resonances=False`` looks only through particles that are
    not of the set: D*- pi+ pi+ is then no case of D- pi+ pi+ pi0. Where several
    channels fit, the one that misses the fewest resonances is given.
    """
    table = _table(channel_set)
    pdg = generated["pdg"]
    position = np.searchsorted(table.codes, pdg).clip(max=len(table.codes) - 1)
    species = np.where(table.codes[position] == pdg, position, kernels.OUTSIDE)
    species[(generated["status"] & _FSR) != 0] = kernels.IGNORED
    counts = np.ones(len(pdg), dtype=np.bool_) if usable is None else usable
    if acceptance is not None:
        is_leaf = (species >= 0) & table.is_leaf[species.clip(min=0)]
        counts = counts & (~is_leaf | acceptance.contains(generated["p4"], pdg == pdg_code("gamma")))
    modes = np.empty(len(pdg), dtype=np.int16)
    kernels.decay_modes(
        generated.offsets.astype(np.int64), generated["mother"].astype(np.int64), species.astype(np.int64), counts,
        table.is_leaf, table.number, table.start, table.signature, table.mode, table.max_daughters,
        missing_resonances, modes)
    return modes


def covered(
    channel_set: ChannelSet, generated: Jagged, *,
    acceptance: Acceptance | None = None, missing_resonances: bool = True,
) -> NDArray[np.bool_]:
    """Whether a tag of the set is there: one of its last particles (B+, B0) is covered; shape (n_events,)."""
    modes = covered_particles(channel_set, generated, acceptance=acceptance, missing_resonances=missing_resonances)
    return events_with_tag(channel_set, generated, modes)


def events_with_tag(channel_set: ChannelSet, generated: Jagged, modes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Events (n_events,) in which a last particle of the set is covered, from :func:`covered_particles`."""
    codes = [pdg_code(name) for name in channel_set.tags]
    good = (modes >= 0) & np.isin(np.abs(generated["pdg"]), np.abs(codes))
    found = np.bincount(generated.event_index[good], minlength=len(generated.offsets) - 1)
    result: NDArray[np.bool_] = found > 0
    return result


def complete_in_acceptance(
    channel_set: ChannelSet, generated: Jagged, *, acceptance: Acceptance | None = None,
) -> NDArray[np.bool_]:
    """:func:`covered`, with all final-state particles of the tag inside the detector; shape (n_events,)."""
    return covered(channel_set, generated, acceptance=acceptance or Acceptance())


@dataclass(frozen=True)
class _Table:
    """The channels of a set as arrays, for both charge conjugates, sorted by PDG code."""

    codes: NDArray[np.int64]
    is_leaf: NDArray[np.bool_]
    number: NDArray[np.uint64]
    start: NDArray[np.int64]
    signature: NDArray[np.uint64]
    mode: NDArray[np.int64]
    max_daughters: int


def _number(code: int) -> int:
    """A random-looking 64-bit number per PDG code, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(str(code).encode(), digest_size=8).digest(), "little")


def _table(channel_set: ChannelSet) -> _Table:
    """Tabulate a set. Particles with several labels (D0, D0:KL) are one here."""
    makers: dict[int, list[tuple[str, bool]]] = {}
    for key in channel_set.particles:
        makers.setdefault(pdg_code(key), []).append((key, False))
        if not is_self_conjugate(key):
            makers.setdefault(-pdg_code(key), []).append((key, True))
    codes = sorted(makers)
    is_leaf, signatures, modes, start = [], [], [], [0]
    for code in codes:
        channels = [(c, conjugated) for key, conjugated in makers[code] for c in channel_set.particles[key].channels]
        is_leaf.append(any(c.leaf == "FSP" for c, _ in channels))
        for channel, conjugated in channels:
            if channel.leaf is None:
                daughters = conjugate_daughters(channel.daughters) if conjugated else channel.daughters
                signatures.append(sum(_number(pdg_code(d)) for d in daughters) % 2**64)
                modes.append(channel.index)
        start.append(len(modes))
    return _Table(
        codes=np.array(codes, dtype=np.int64), is_leaf=np.array(is_leaf),
        number=np.array([_number(c) for c in codes], dtype=np.uint64), start=np.array(start, dtype=np.int64),
        signature=np.array(signatures, dtype=np.uint64), mode=np.array(modes, dtype=np.int64),
        max_daughters=max((len(c.daughters) for c in channel_set.channels()), default=0))
