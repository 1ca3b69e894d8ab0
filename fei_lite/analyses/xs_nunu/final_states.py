"""The generated final state of B -> Xs nu nubar: its mode among the 30, M(Xs), q2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import load_channel_set
from fei_lite.events import EventBatch
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS

Floats = NDArray[np.float64]

#: Channel set of the signal side, and its B's: modes count through, first those of the B+.
CHANNELS, MESONS = "xs_nunu", ("B+:sig", "B0:sig")
#: Code of no mode.
OTHER = -1
#: Non-resonant Xs in the generator's table.
NON_RESONANT = (30343, 30353)

_NEUTRINOS, _B_MESONS = (12, 14, 16), (511, 521)
#: What a final state is counted in: K+-, K_S0, K_L0, pi+-, pi0; whatever else, too, but for radiated photons.
_COUNTED = (321, 310, 130, 211, 111)
_RADIATED = STATUS["fsr_photon"] | STATUS["photos_photon"]
_DEEPEST = 12  # generations below a B


@cache
def modes() -> tuple[tuple[str, ...], ...]:
    """Daughters of the 30 modes in their order: 15 of the B+, 15 of the B0.

    >>> len(modes()), modes()[0], modes()[16]
    (30, ('K+',), ('K+', 'pi-'))
    """
    found = load_channel_set(CHANNELS)
    return tuple(tuple(d.partition(":")[0] for d in channel.daughters)
                 for name in MESONS for channel in found.particles[name].channels)


def title(mode: int) -> str:
    """A mode for people.

    >>> title(4)
    'K_S0 pi+ pi0'
    """
    return "other" if mode == OTHER else " ".join(modes()[mode])


@cache
def _numbers() -> Mapping[tuple[int, ...], int]:
    """(1 for B0, charged kaons, K_S0, charged pions, pi0) -> mode."""
    found: dict[tuple[int, ...], int] = {}
    for i, daughters in enumerate(modes()):
        n = Counter(name.rstrip("+-") for name in daughters)
        found[int(i >= len(modes()) // 2), n["K"], n["K_S0"], n["pi"], n["pi0"]] = i
    return found


@dataclass(frozen=True)
class FinalStates:
    """Generated B -> Xs nu nubar of n events.

    ``mode`` (n,): 0 .. 29 or :data:`OTHER`; ``mode_with_kl``: the same with a K_L0 for a K_S0. ``mass`` (n,) of all
    but the neutrinos, GeV, and ``q2``, GeV^2: NaN where no B decays so. ``non_resonant``: made by fragmentation.
    """

    mode: NDArray[np.int64]
    mode_with_kl: NDArray[np.int64]
    mass: Floats
    q2: Floats
    non_resonant: NDArray[np.bool_]


def final_states(batch: EventBatch) -> FinalStates:
    """What each event's B -> Xs nu nubar decays to; events without one have NaN and :data:`OTHER`."""
    n, generated = batch.n_events, batch.generated
    empty = np.full(n, OTHER, dtype=np.int64)
    if generated is None:
        return FinalStates(empty, empty, np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=bool))
    code, event = np.abs(generated["pdg"]), generated.event_index
    mother = _mothers(generated)
    of_b = np.isin(code, _NEUTRINOS) & (mother >= 0) & np.isin(code[mother], _B_MESONS)
    rows = np.flatnonzero(of_b)
    neutrinos = _sums(generated["p4"], mother, rows, len(code))
    signal = np.flatnonzero((np.bincount(mother[rows], minlength=len(code)) == 2)
                            & (np.bincount(mother[rows], generated["pdg"][rows], minlength=len(code)) == 0))
    at = event[signal]
    mass, q2 = np.full(n, np.nan), np.full(n, np.nan)
    mass[at] = _invariant_mass(generated["p4"][signal] - neutrinos[signal])
    q2[at] = _invariant_mass(neutrinos[signal]) ** 2
    counts, other = _counts(generated, mother, signal, code)
    neutral = np.zeros(n, dtype=np.int64)
    neutral[at] = code[signal] == _B_MESONS[0]
    wrong = other > 0
    wrong |= np.bincount(at, minlength=n) != 1
    kaons_seen, kaons_all = counts[:, 1], counts[:, 1] + counts[:, 2]
    mode = _mode(neutral, counts, kaons_seen, wrong | (counts[:, 2] > 0))
    with_kl = _mode(neutral, counts, kaons_all, wrong)
    system = np.isin(code, NON_RESONANT) & np.isin(mother, signal)
    return FinalStates(mode, with_kl, mass, q2, np.bincount(event[system], minlength=n) > 0)


def _mothers(generated: Jagged) -> NDArray[np.int64]:
    """Row of each particle's mother, -1 without."""
    first = generated.offsets[:-1][generated.event_index]
    return np.where(generated["mother"] >= 0, generated["mother"] + first, -1)


def _sums(p4: Floats, mother: NDArray[np.int64], rows: NDArray[np.intp], n: int) -> Floats:
    """Summed momentum of the daughters ``rows`` of each particle, (n, 4)."""
    return np.stack([np.bincount(mother[rows], p4[rows, a], minlength=n) for a in range(4)], axis=1)


def _invariant_mass(p4: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1), 0.0)))


def _counts(generated: Jagged, mother: NDArray[np.int64], signal: NDArray[np.intp], code: NDArray[np.int64],
            ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each event: how many of :data:`_COUNTED` its signal B ends in, (n, 5), and how many others, (n,)."""
    n, counted = len(generated.counts), np.isin(code, _COUNTED)
    primary = generated["status"] & STATUS["primary"] != 0
    parent = np.bincount(mother[(mother >= 0) & primary], minlength=len(code)) > 0  # a photon that converts ends here
    passed = np.zeros(len(code), dtype=bool)  # what is looked through: the signal B and its resonances
    passed[signal] = True
    for _ in range(_DEEPEST):
        passed |= (mother >= 0) & passed[mother] & parent & ~counted & primary
    ends = (mother >= 0) & passed[mother] & ~passed & primary & ((generated["status"] & _RADIATED) == 0)
    ends &= ~(np.isin(code, _NEUTRINOS) & np.isin(mother, signal))
    event = generated.event_index
    found = np.stack([np.bincount(event[ends & (code == c)], minlength=n) for c in _COUNTED], axis=1)
    return found, np.bincount(event[ends & ~counted], minlength=n)


def _mode(neutral: NDArray[np.int64], counts: NDArray[np.int64], short: NDArray[np.int64],
          wrong: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of the mode, (n,); ``short`` are the K_S0, or what counts as such."""
    keys = np.stack([neutral, counts[:, 0], short, counts[:, 3], counts[:, 4]], axis=1)
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    found = np.array([_numbers().get(tuple(kind), OTHER) for kind in kinds.tolist()], dtype=np.int64)
    return np.where(wrong, OTHER, found[which.ravel()])
