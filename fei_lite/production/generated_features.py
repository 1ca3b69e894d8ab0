"""What generated particles promise the reconstruction, in numbers: the features of learned selections.

A *side* is a B with its descendants, or a whole event of continuum. Everything is computed once per side; pairs of
sides (:mod:`fei_lite.generator.recombination`) combine the numbers of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.channels import ChannelSet
from fei_lite.channels.covered_decays import Acceptance, covered_particles
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.particles import pdg_code

Array = NDArray[np.float64]

_CHARGED, _LEPTONS, _PHOTON, _KAON, _PROTON, _K_L, _K_S = (11, 13, 211, 321, 2212), (11, 13), 22, 321, 2212, 130, 310
_NEUTRINOS, _NEUTRONS, _B_MESONS, _NEUTRAL_B = (12, 14, 16), (2112,), (511, 521), 511
#: Momentum (GeV, centre-of-mass frame) above which a lepton counts as fast, and the slowest tracks' pT (GeV).
_FAST, _SLOW = 1.0, 0.2

#: Features of a side, in their order; energies and momenta in GeV, centre-of-mass frame, "seen" is in the acceptance.
SIDE = (
    "energy", "px", "py", "pz", "charge", "nCharged", "nKaons", "nLeptons", "nFastLeptons", "nProtons", "nPhotons",
    "photonEnergy", "nSlowTracks", "nKS", "nKL", "KLEnergy", "nNeutrons", "nNeutrinos", "neutrinoEnergy",
    "nLostCharged", "lostEnergy", "hardestKaon", "softestKaon", "hardestLepton", "hardestTrack", "nCoveredD",
    "nCoveredB", "coveredMode", "nCompleteB", "completeMode", "neutralB",
)
#: What is added for both sides of a pair together.
BOTH = ("energy", "charge", "nCharged", "nKaons", "nLeptons", "nPhotons", "photonEnergy", "nKL", "nNeutrinos",
        "nLostCharged", "lostEnergy", "nCoveredD", "missingEnergy", "missingMomentum", "missingMass2")
#: What the sides promise by themselves (:mod:`fei_lite.production.sides`), natural logarithms: pair, tag, other side.
PROMISES = ("promise", "tagPromise", "otherPromise")
#: Features of pairs: the side that promises to be the tag, the other one, both, promises.
PAIR = (*(f"tag_{name}" for name in SIDE), *(f"other_{name}" for name in SIDE), *BOTH, *PROMISES)
#: What events of continuum have besides.
SHAPE = ("sphericity", "aplanarity", "missingEnergy", "missingMomentum", "missingMass2", "isrEnergy", "quark")
#: Features of an event of continuum.
EVENT = (*SIDE, *SHAPE)

_AT = {name: i for i, name in enumerate(SIDE)}


def side_features(generated: Jagged, beam_p4: Array, side: NDArray[np.int64], n: int, *,
                  channel_set: ChannelSet) -> Array:
    """The features (n, len(SIDE)) of n sides; ``side`` (particles,) is 0 .. n - 1, or -1 for none."""
    code, p4, status = np.abs(generated["pdg"]), generated["p4"], generated["status"]
    out = np.zeros((n, len(SIDE)))
    mine = side >= 0
    final = mine & (status & STATUS["stable"] != 0) & (status & STATUS["primary"] != 0)
    charged, photon = np.isin(code, _CHARGED), code == _PHOTON
    inside = Acceptance().contains(p4, photon)
    seen, tracks, photons = final & inside & (charged | photon), final & inside & charged, final & inside & photon
    cms = _cms(p4, beam_p4, generated.event_index)
    energy, momentum = cms[:, 3], np.sqrt(np.sum(cms[:, :3] ** 2, axis=1))
    pt = np.hypot(p4[:, 0], p4[:, 1])
    leptons = tracks & np.isin(code, _LEPTONS)

    def fill(name: str, rows: NDArray[np.bool_], values: Array | None = None) -> None:
        out[:, _AT[name]] = np.bincount(side[rows], None if values is None else values[rows], minlength=n)

    for k, name in enumerate(("px", "py", "pz")):
        fill(name, seen, cms[:, k])
    fill("energy", seen, energy)
    fill("charge", tracks, np.sign(generated["pdg"]) * np.where(code < 20, -1.0, 1.0))
    for name, rows in (
            ("nCharged", tracks), ("nKaons", tracks & (code == _KAON)), ("nLeptons", leptons),
            ("nFastLeptons", leptons & (momentum > _FAST)), ("nProtons", tracks & (code == _PROTON)),
            ("nPhotons", photons), ("nSlowTracks", tracks & (pt < _SLOW)), ("nKS", mine & (code == _K_S)),
            ("nKL", final & (code == _K_L)), ("nNeutrons", final & np.isin(code, _NEUTRONS)),
            ("nNeutrinos", final & np.isin(code, _NEUTRINOS)), ("nLostCharged", final & charged & ~inside)):
        fill(name, rows)
    fill("photonEnergy", photons, energy)
    fill("KLEnergy", final & (code == _K_L), energy)
    fill("neutrinoEnergy", final & np.isin(code, _NEUTRINOS), energy)
    fill("lostEnergy", final & (charged | photon) & ~inside, energy)
    for name, rows in (("hardestKaon", tracks & (code == _KAON)), ("hardestLepton", leptons), ("hardestTrack", tracks)):
        np.maximum.at(out[:, _AT[name]], side[rows], energy[rows])
    softest = np.full(n, np.inf)
    np.minimum.at(softest, side[tracks & (code == _KAON)], energy[tracks & (code == _KAON)])
    out[:, _AT["softestKaon"]] = np.where(np.isfinite(softest), softest, 0.0)
    fill("neutralB", mine & (code == _NEUTRAL_B))
    _fill_covered(out, generated, side, channel_set)
    return out


def _fill_covered(out: Array, generated: Jagged, side: NDArray[np.int64], channel_set: ChannelSet) -> None:
    """Which B (and D) mesons decay through the channels of the tag, with all products seen or not."""
    code, n = np.abs(generated["pdg"]), len(out)
    mesons = [abs(pdg_code(name)) for name in channel_set.particles]
    charmed = np.isin(code, [c for c in mesons if c // 100 == 4 or c // 1000 == 4]) & (side >= 0)
    of_b = np.isin(code, _B_MESONS) & (side >= 0)
    for count, mode, acceptance in (("nCoveredB", "coveredMode", Acceptance()), ("nCompleteB", "completeMode", None)):
        modes = covered_particles(channel_set, generated, acceptance=acceptance)
        rows = of_b & (modes >= 0)
        out[:, _AT[count]] = np.bincount(side[rows], minlength=n)
        out[:, _AT[mode]] = -1.0
        out[side[rows], _AT[mode]] = modes[rows]
        if acceptance is not None:
            out[:, _AT["nCoveredD"]] = np.bincount(side[charmed & (modes >= 0)], minlength=n)


def _cms(p4: Array, beam_p4: Array, event: NDArray[np.int64]) -> Array:
    """Four-momenta in the centre-of-mass frame."""
    from fei_lite.generator.beams import boost

    return boost(p4, beam_p4[event] * np.array([-1.0, -1.0, -1.0, 1.0]))


def pair_features(first: Array, second: Array, promises: Array, *, swap: NDArray[np.bool_], sqrt_s: float) -> Array:
    """Features (n, len(PAIR)) of pairs of sides (n, len(SIDE)), of which the second is the tag where ``swap`` says so.

    ``promises`` are the logarithms (n, len(PROMISES)).
    """
    out = np.empty((len(first), len(PAIR)))
    k, n_both, turned = len(SIDE), len(BOTH), swap[:, None]
    out[:, :k] = np.where(turned, second, first)
    out[:, k:2 * k] = np.where(turned, first, second)
    both = first + second
    for i, name in enumerate(BOTH[:-3]):
        out[:, 2 * k + i] = both[:, _AT[name]]
    out[:, 2 * k + n_both - 3:2 * k + n_both] = _missing(both, sqrt_s)
    out[:, 2 * k + n_both:] = promises
    return out


def event_features(generated: Jagged, beam_p4: Array, *, channel_set: ChannelSet, quark: int, sqrt_s: float) -> Array:
    """Features (n, len(EVENT)) of events of continuum."""
    n = len(generated.counts)
    side = side_features(generated, beam_p4, generated.event_index, n, channel_set=channel_set)
    shape = np.empty((n, len(SHAPE)))
    shape[:, :2] = _sphericity(generated, beam_p4, n)
    shape[:, 2:5] = _missing(side, sqrt_s)
    isr = generated["status"] & STATUS["isr_photon"] != 0
    shape[:, 5] = np.bincount(generated.event_index[isr], generated["p4"][isr, 3], minlength=n)
    shape[:, 6] = quark
    return np.concatenate([side, shape], axis=1)


def _missing(both: Array, sqrt_s: float) -> Array:
    """Missing energy, momentum and mass squared (n, 3)."""
    energy = sqrt_s - both[:, _AT["energy"]]
    momentum2 = both[:, _AT["px"]] ** 2 + both[:, _AT["py"]] ** 2 + both[:, _AT["pz"]] ** 2
    return np.stack([energy, np.sqrt(momentum2), energy**2 - momentum2], axis=1)


def _sphericity(generated: Jagged, beam_p4: Array, n: int) -> Array:
    """Sphericity and aplanarity (n, 2) of what is seen, linear in momenta."""
    code, status = np.abs(generated["pdg"]), generated["status"]
    final = (status & STATUS["stable"] != 0) & (status & STATUS["primary"] != 0)
    final &= np.isin(code, (*_CHARGED, _PHOTON)) & Acceptance().contains(generated["p4"], code == _PHOTON)
    event = generated.event_index[final]
    p = _cms(generated["p4"][final], beam_p4, event)[:, :3]
    size = np.sqrt(np.sum(p**2, axis=1)).clip(1e-9)
    tensor, total = np.zeros((n, 3, 3)), np.bincount(event, size, minlength=n).clip(1e-9)
    for i in range(3):
        for j in range(3):
            tensor[:, i, j] = np.bincount(event, p[:, i] * p[:, j] / size, minlength=n) / total
    values = np.linalg.eigvalsh(tensor)
    return np.stack([1.5 * (values[:, 0] + values[:, 1]), 1.5 * values[:, 0]], axis=1)
