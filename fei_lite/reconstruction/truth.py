"""Truth matching: which generated particle a candidate is, and what is wrong with it.

The definitions are those of basf2's MCMatching (mcErrors, isSignal,
isPrimarySignal). Tracks and clusters come with their generated particle;
composites belong to the lowest common ancestor of their daughters.

=====  ======================  ==================================================================
bit    basf2's name            set where
=====  ======================  ==================================================================
1      c_MissFSR               a final-state radiation photon was not used
2      c_MissingResonance      an intermediate state was not reconstructed (a1, rho, a parton ...)
4      c_DecayInFlight         the track is a secondary's, e.g. the muon of a decayed pion
8      c_MissNeutrino          a neutrino is missing
16     c_MissGamma             another photon is missing
32     c_MissMassiveParticle   a massive final-state particle is missing
64     c_MissKlong             a K_L0 is missing (with 32)
128    c_MisID                 wrong species of a final-state particle
256    c_AddedWrongParticle    the ancestor is of another species, or a particle is used twice
512    c_InternalError         a daughter is unmatched, or there is no common ancestor
1024   c_MissPHOTOS            a photon made by PHOTOS was not used
=====  ======================  ==================================================================

4, 128, 256 and 512 are inherited from the daughters. As in basf2, K_S0 count
as final state: nothing is missing below them. Three things differ. Partons
are no ancestors: what comes from a quark of a B comes from the B. A particle
that was matched by two daughters counts as one added wrongly, even if all of
the decay was found besides. And basf2's exception for tau -> rho nu is left
out: no channel has a tau.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.errors import EventFileError, UnknownNameError
from fei_lite.events import EventBatch
from fei_lite.events.schema import STATUS
from fei_lite.kernels import truth as kernels
from fei_lite.particles import is_self_conjugate, pdg_code, v0_tracks

#: basf2's final-state particles: what is generated below them is not looked for.
FINAL_STATE = (11, 12, 13, 14, 16, 22, 130, 211, 310, 321, 2112, 2212)

#: Errors that leave a candidate signal: soft photons and intermediate states.
ACCEPTED = kernels.MISS_FSR | kernels.MISS_PHOTOS | kernels.MISSING_RESONANCE


@dataclass(frozen=True)
class TruthMatch:
    """The truth of n candidates.

    ``mc``: row in the whole batch's ``generated`` (int32, -1 unmatched);
    ``mcErrors``: the bits above (int32, 512 unmatched); ``isSignal``: matched
    without an error other than 1, 2 and 1024; ``isPrimarySignal``: so, and the
    generated particle is a primary (int8); ``mc_used`` (n, words) uint64: bit
    set of the generated particles matched in the candidate's whole tree.
    """

    mc: NDArray[np.int32]
    mcErrors: NDArray[np.int32]
    isSignal: NDArray[np.int8]
    isPrimarySignal: NDArray[np.int8]
    mc_used: NDArray[np.uint64]


@dataclass(frozen=True)
class _Family:
    """The generated particles of a batch, with what all channels need to know about them."""

    mother: NDArray[np.int32]    # row, partons skipped, -1 none
    depth: NDArray[np.int32]     # ancestors
    code: NDArray[np.int32]      # PDG code, 0 of virtual photons
    primary: NDArray[np.bool_]
    bit: NDArray[np.int32]       # number in the bit sets of its event, -1 none
    descend: NDArray[np.uint64]  # (n, words): the particles it should be built from
    kinds: NDArray[np.uint64]    # (events, 7, words): resonances, photons, ... of each event

    @property
    def tree(self) -> tuple[NDArray[Any], ...]:
        """The columns as the kernels take them."""
        return self.mother, self.depth, self.code, self.primary, self.bit


def _family(batch: EventBatch) -> _Family:
    """The family of a batch, built at the first call (a batch asks once per channel) and dropped with the batch."""
    return batch.derived("reconstruction.truth", _build)


def _is_parton(code: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Quarks, gluons, strings and clusters of the generators, diquarks."""
    size = np.abs(code)
    diquark = (size > 1000) & (size < 10000) & (size // 10 % 10 == 0)
    parton: NDArray[np.bool_] = ((size >= 1) & (size <= 8)) | (size == 21) | ((size > 80) & (size < 100)) | diquark
    return parton


def _kinds(code: NDArray[np.int32], status: NDArray[np.int32]) -> NDArray[np.int8]:
    """Which error each particle makes if it is missing (index of ``kernels.FLAGS``)."""
    size = np.abs(code)
    kind = np.where(np.isin(size, FINAL_STATE), kernels.MASSIVE, kernels.RESONANCE).astype(np.int8)
    kind[(size == 12) | (size == 14) | (size == 16)] = kernels.NEUTRINO
    kind[size == 130] = kernels.KLONG
    photon = size == 22
    kind[photon] = kernels.GAMMA
    kind[photon & (status & STATUS["photos_photon"] != 0)] = kernels.PHOTOS_PHOTON
    kind[photon & (status & STATUS["fsr_photon"] != 0)] = kernels.FSR_PHOTON
    return kind


def _build(batch: EventBatch) -> _Family:
    generated = batch.generated
    if generated is None:
        raise EventFileError(f"{batch.source or 'batch'}: no list 'generated': candidates cannot be matched to truth.")
    status = generated["status"]
    # the photon that e+e- annihilate to is no photon that decays: pairs of it are no conversions
    virtual = (generated["pdg"] == 22) & (status & STATUS["virtual"] != 0)
    code = np.where(virtual, 0, generated["pdg"]).astype(np.int32)
    primary = status & STATUS["primary"] != 0
    mother, depth = kernels.link_mothers(generated["mother"], generated.offsets, _is_parton(code))
    kind = _kinds(code, status)
    wanted = primary.copy()
    for objects in (batch.tracks, batch.clusters):
        matched = np.flatnonzero(objects["mc_index"] >= 0)
        wanted[objects["mc_index"][matched] + generated.offsets[objects.event_index[matched]]] = True
    bit, largest = kernels.number_particles(mother, kind, wanted, generated.offsets)
    words = max(1, -(-int(largest) // 64))
    descend = np.zeros((len(code), words), dtype=np.uint64)
    kinds = np.zeros((batch.n_events, len(kernels.FLAGS), words), dtype=np.uint64)
    kernels.fill_sets(mother, kind, bit, generated.offsets, descend, kinds)
    return _Family(mother, depth, code, primary, bit, descend, kinds)


def match_leaves(table: CandidateTable, batch: EventBatch, *, kind: str) -> TruthMatch:
    """Truth of final-state candidates made from tracks, clusters, V0s or Btags (``kind``).

    A V0 is matched as the composite of its two tracks. Raises
    :class:`EventFileError` if the batch has no generated particles,
    :class:`UnknownNameError` for another kind.
    """
    family = _family(batch)
    expected = _expected(table)
    objects, event = table["object"], table.event_index
    if kind == "track" or kind == "cluster":
        mc_index = getattr(batch, kind + "s")["mc_index"][objects]
        return _finish(*_match_particles(mc_index, event, expected, batch), family)
    if kind == "btag":  # matched before
        return _finish(table["mc"], table["mcErrors"], table["mc_used"], family)
    if kind != "v0":
        raise UnknownNameError(f"truth of {table.particle}: unknown kind '{kind}', expected one of "
                               "track, cluster, v0, btag.")
    sides = []
    for side, name in enumerate(("positive_index", "negative_index")):
        tracks = batch.v0s[name][objects] + batch.tracks.offsets[event]
        species = np.array([v0_tracks(int(code))[side] for code in expected], dtype=np.int64)
        sides.append(_match_particles(batch.tracks["mc_index"][tracks], event, species, batch))
    rows = np.arange(len(table))
    return _match(expected, np.zeros(len(table), dtype=bool), event, [(rows, side) for side in sides], family)


def match_composites(candidates: CandidateTable, daughters: Sequence[CandidateTable], batch: EventBatch) -> TruthMatch:
    """Truth of composite candidates from the columns mc, mcErrors and mc_used of their daughters.

    ``candidates["daughters"][:, j]`` are rows of ``daughters[j]``. Raises
    :class:`EventFileError` if the batch has no generated particles.
    """
    rows = candidates["daughters"]
    parts = [(np.ascontiguousarray(rows[:, j]), (t["mc"], t["mcErrors"], t["mc_used"]))
             for j, t in enumerate(daughters)]
    either = candidates["sign"] == 0
    return _match(_expected(candidates), either, candidates.event_index, parts, _family(batch))


def _expected(table: CandidateTable) -> NDArray[np.int64]:
    """PDG code that each candidate claims."""
    code = pdg_code(table.particle)
    if is_self_conjugate(code):
        return np.full(len(table), code, dtype=np.int64)
    return code * np.where(table["sign"] < 0, -1, 1).astype(np.int64)


_Daughter = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64]]


def _match_particles(mc_index: NDArray[np.int32], event: NDArray[np.int64], expected: NDArray[np.int64],
                     batch: EventBatch) -> _Daughter:
    """mc, mcErrors and mc_used of tracks or clusters with the given generated particles."""
    family = _family(batch)
    offsets = batch.generated.offsets  # type: ignore[union-attr]
    mc = np.where(mc_index >= 0, mc_index + offsets[event], -1).astype(np.int32)
    errors = np.empty(len(mc), dtype=np.int32)
    used = np.zeros((len(mc), family.descend.shape[1]), dtype=np.uint64)
    kernels.match_particles(mc, expected, family.tree, errors, used)
    return mc, errors, used


def _match(expected: NDArray[np.int64], either: NDArray[np.bool_], event: NDArray[np.int64],
           daughters: Sequence[tuple[NDArray[np.integer], _Daughter]], family: _Family) -> TruthMatch:
    n = len(expected)
    mc = np.full(n, kernels.NOT_YET, dtype=np.int32)
    errors = np.zeros(n, dtype=np.int32)
    used = np.zeros((n, family.descend.shape[1]), dtype=np.uint64)
    state = mc, errors, used
    for rows, daughter in daughters:
        kernels.add_daughter(rows, daughter, event, family.tree, family.kinds, state)
    if len(daughters) == 1:  # the ancestor is above the daughter
        mc[:] = np.where(mc >= 0, family.mother[mc], -1)
    flags = np.array(kernels.FLAGS, dtype=np.int32)
    kernels.finish_candidates(expected, either, event, family.tree, family.descend, family.kinds, flags, state)
    return _finish(mc, errors, used, family)


def _finish(mc: NDArray[np.int32], errors: NDArray[np.int32], used: NDArray[np.uint64], family: _Family) -> TruthMatch:
    signal = (mc >= 0) & (errors & ~ACCEPTED == 0)
    primary = signal.copy()
    primary[signal] = family.primary[mc[signal]]
    return TruthMatch(mc, errors, signal.astype(np.int8), primary.astype(np.int8), used)


def empty_match(batch: EventBatch) -> TruthMatch:
    """The truth of no candidates; ``mc_used`` has the width of the batch's other tables."""
    words = _family(batch).descend.shape[1]
    return TruthMatch(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int8),
                      np.empty((0, words), np.uint64))


def truth_columns(match: TruthMatch, *, target: str) -> dict[str, NDArray[Any]]:
    """Columns of a candidate table: mc, mcErrors, isSignal (the ``target``) and mc_used.

    ``target`` is ``"isSignal"``, ``"isPrimarySignal"`` or
    ``"isSignalAcceptMissingNeutrino"``; raises :class:`UnknownNameError` otherwise.
    """
    accepted = ACCEPTED | kernels.MISS_NEUTRINO
    targets = {"isSignal": match.isSignal, "isPrimarySignal": match.isPrimarySignal,
               "isSignalAcceptMissingNeutrino": ((match.mc >= 0) & (match.mcErrors & ~accepted == 0)).astype(np.int8)}
    if target not in targets:
        raise UnknownNameError(f"unknown target '{target}', expected one of {', '.join(targets)}.")
    return {"mc": match.mc, "mcErrors": match.mcErrors, "isSignal": targets[target], "mc_used": match.mc_used}
