"""D mesons made of a signal side's kaon and other tracks of the event, those of the Btag among them.

A kaon of a background event often comes from a D. The D of the channel set ``charm_veto`` are made of
all tracks; those with the kaon of the candidate are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fei_lite import particles
from fei_lite.candidates import CandidateTable
from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction, ReconstructionOptions, reconstruct
from fei_lite.variables.registry import register
from fei_lite.variables.subject import Floats, Subject

_SOURCE = "arXiv:2511.10980"
_NONE = "no kaon among the daughters, or no such D with a vertex fit"

#: The D's by the word that stands for them.
PARTICLES = {"Dplus": "D+", "D0": "D0", "D0pi0": "D0:pi0"}


@dataclass(frozen=True)
class _WithKaon:
    """D candidates with a vertex: keys (n, 1 + words) of event and kaon, ``mass`` and ``probability`` (n,)."""

    keys: NDArray[np.uint64]
    mass: Floats
    probability: Floats


@cache
def _channels() -> ChannelSet:
    return load_channel_set("charm_veto")


def _events(subject: Subject) -> NDArray[np.int64]:
    """Events to look for D in: those with a candidate of the last particles of the set, or of this table."""
    result = subject.around.result
    last = () if result is None else result.channel_set.tags
    tables = [result.tables[name] for name in last] if result is not None and all(
        name in result.tables for name in last) else [subject.candidates]
    return np.unique(np.concatenate([table.event_index for table in tables]))


def _candidates(subject: Subject) -> tuple[NDArray[np.int64], Reconstruction]:
    """The events (rows of the batch), and the D of all their tracks."""
    def make() -> tuple[NDArray[np.int64], Reconstruction]:
        events = _events(subject)
        return events, reconstruct(subject.batch.select(events), _channels(), NoClassifiers(),
                                   options=ReconstructionOptions(with_truth=False))

    found: tuple[NDArray[np.int64], Reconstruction] = subject.around.once("charm veto", make)
    return found


def _keys(event: NDArray[np.integer], used: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.concatenate([event.astype(np.uint64)[:, None], used], axis=1)


def _with_kaon(subject: Subject, name: str) -> _WithKaon:
    def make() -> _WithKaon:
        events, found = _candidates(subject)
        table = found.tables[name]
        used = np.zeros((len(table), table["used"].shape[1]), dtype=np.uint64)
        for channel in found.channel_set.particles[name].channels:
            here = table["decayModeID"] == channel.index
            kaons: CandidateTable = found.tables[str(found.channel_set.resolve(channel.daughters[0]))]
            used[here] = kaons["used"][table["daughters"][here, 0]]
        good = np.isfinite(table["chiProb"])
        return _WithKaon(_keys(events[table.event_index], used)[good], table["M"][good], table["chiProb"][good])

    made: _WithKaon = subject.around.once(f"charm veto {name}", make)
    return made


def _kaon(subject: Subject) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
    """Which candidates have a kaon among their daughters, (n,), and the objects of the first one, (n, words)."""
    there = np.zeros(len(subject), dtype=bool)
    used = np.zeros((len(subject), subject.column("used").shape[1]), dtype=np.uint64)
    for here, part, channel in subject.parts():
        kaons = [d for d in part.daughters_of(channel) if d.particle.partition(":")[0] in ("K+", "K_S0")]
        if kaons:
            chosen = slice(None) if here is None else here
            there[chosen], used[chosen] = True, kaons[0].column("used")
    return there, used


def _groups(subject: Subject, name: str) -> tuple[_WithKaon, NDArray[np.int64], NDArray[np.int64], int]:
    """The D candidates, the number of the kaon of each, and of each candidate of the subject; how many numbers."""
    found = _with_kaon(subject, name)
    there, used = _kaon(subject)
    words = found.keys.shape[1] - 1  # of the events that have candidates: others may have more objects
    own = _keys(np.where(there, subject.event, subject.batch.n_events), used[:, :words])
    _, group = np.unique(np.concatenate([found.keys, own]), axis=0, return_inverse=True)
    group = group.ravel()
    n = len(found.keys)
    return found, group[:n], group[n:], int(group.max(initial=-1)) + 1


def _particle(name: str, word: str) -> str:
    if word not in PARTICLES:
        raise UnknownNameError(f"{name}({word}): no such D; expected one of {', '.join(PARTICLES)}."
                               f"{nearest(word, PARTICLES)}")
    return PARTICLES[word]


@register("charmM", unit="GeV", nan=_NONE, source=_SOURCE, of="daughters", parameters=("which:word",),
          meaning="mass of the D (Dplus, D0, D0pi0: with a pi0) of the candidate's first kaon and other tracks of the "
          "event, whoever uses them, with the highest p-value of its vertex, then nearest to its mass")
def _mass(subject: Subject, which: str) -> Floats:
    found, group, own, n = _groups(subject, _particle("charmM", which))
    far = np.abs(found.mass - particles.mass(PARTICLES[which]))
    order = np.lexsort((-far, found.probability))  # many p-values are 0: then the nearest to the D's mass
    best = np.full(n, np.nan)
    best[group[order]] = found.mass[order]  # the last one stays: the highest
    return best[own]


@register("charmChiProbSpread", unit="", nan=_NONE, source=_SOURCE, of="daughters", parameters=("which:word",),
          meaning="standard deviation of the vertex p-values of all D (as charmM) of the candidate's first kaon")
def _spread(subject: Subject, which: str) -> Floats:
    found, group, own, n = _groups(subject, _particle("charmChiProbSpread", which))
    counts = np.bincount(group, minlength=n).astype(np.float64)
    counts[counts == 0.0] = np.nan
    mean = np.bincount(group, found.probability, minlength=n) / counts
    square = np.bincount(group, (found.probability - mean[group]) ** 2, minlength=n) / counts
    return np.asarray(np.sqrt(square)[own])
