"""Numbers of the particle identification from Belle II's efficiencies and fake rates, by descent.

The witnesses are the fractions of tracks with L_i / sum L above 0.2 and 0.8, for five true and five tested
species in six bins of momentum (validation histograms), and quantiles of the likelihood ratios of pions and kaons
in mDST files, which say how far the tails reach. Tracks are simulated once; each trial draws the
observables anew with the same random numbers, so that the sum of squares is smooth enough to follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.detector.pid import pid_likelihoods
from fei_lite.detector.response import Response
from fei_lite.detector.response_sections import Pid
from fei_lite.detector.simulate import with_secondaries_of
from fei_lite.detector.tracks import Tracks, find_tracks
from fei_lite.events.mdst import read_mdst
from fei_lite.generator.generate import GeneratedBatch, generate
from fei_lite.performance.detector_validation import HYPOTHESES, ID_NAMES, matched
from fei_lite.production.gun import particle_gun

Floats = NDArray[np.float64]

EDGES, CUTS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0), (0.2, 0.8)
RATIO_EDGES, QUANTILES = (0.05, 0.3, 0.6, 1.0, 3.0), (0.1, 0.25, 0.5, 0.75)
#: Tolerance of a fraction, and the weight of the ratios, whose few tracks are of four releases.
TOLERANCE, WEIGHT_OF_RATIOS = 0.04, 0.3
#: What is fitted: numbers with their upper limit, and lists (their entries that are 0 stay 0).
NUMBERS = {"dedx_resolution": 0.2, "dedx_resolution_svd": 0.4, "dedx_wrong": 0.25, "dedx_wrong_spread": 12.0,
           "top_resolution": 0.05, "top_blind": 0.5, "top_wrong": 0.4, "top_wrong_spread": 40.0, "top_saturation": 60.0,
           "arich_resolution": 0.05, "arich_no_light": 10.0, "arich_blind": 0.5, "arich_wrong": 0.3,
           "arich_saturation": 60.0, "ecl_miss": 0.2, "ecl_wrong": 0.2, "klm_wrong": 0.2, "klm_miss": 0.2,
           "tail_start": 30.0}
LISTS = {"bethe": 20.0, "ecl_electron": 6.0, "ecl_muon": 6.0, "klm_muon": 6.0}


@dataclass(frozen=True)
class Gun:
    """Tracks of one species flat in momentum, which of them count, and the fractions that Belle II finds.

    ``reference`` (cuts, tested species, momentum bins).
    """

    tracks: Tracks
    momentum: Floats
    reference: Floats


@dataclass(frozen=True)
class Ratios:
    """Quantiles of ln L(other) - ln L(own) of mDST tracks of a species in a momentum bin, with errors."""

    rows: NDArray[np.int64]
    own: int
    other: int
    values: Floats
    errors: Floats


@dataclass(frozen=True)
class Witness:
    """All that is compared; ``events`` are the tracks that :class:`Ratios` counts in."""

    response: Response
    guns: list[Gun]
    events: Tracks
    ratios: list[Ratios]


def witness(data: Path, response: Response, *, n: int = 8000, seed: int = 1) -> Witness:
    """Guns of ``n`` particles of each species and 300 B+B- events beside ``data`` (validation histograms, mDST)."""
    rng = np.random.default_rng(seed)
    guns = []
    with uproot.open(data / "basf2_validation/reconstruction/Global_ChargedPID_Validation.root") as file:
        for name, (code, _) in HYPOTHESES.items():
            tracks = _tracks(particle_gun(code, n, rng=rng, momentum=(0.05, 5.0)), response, rng)
            guns.append(Gun(tracks, np.where(tracks.species == code, tracks.momentum, -1.0), _fractions(file, name)))
    batch = next(iter(generate("charged", 300, seed=seed)))
    events = _tracks(batch, response, rng)
    return Witness(response, guns, events, _ratios(data, events, rng))


def _tracks(batch: GeneratedBatch, response: Response, rng: np.random.Generator) -> Tracks:
    particles, _ = with_secondaries_of(batch, response, rng)
    bz = batch.events["bz"].astype(np.float64)
    return find_tracks(particles, bz, batch.n_events, response=response, rng=rng, background=False)


def _fractions(file: uproot.ReadOnlyDirectory, true: str) -> Floats:
    total = file[f"total_{true}_p/p;1"].values()
    found = np.empty((len(CUTS), len(HYPOTHESES), len(EDGES) - 1))
    for i, cut in enumerate(CUTS):
        for tested, (_, column) in HYPOTHESES.items():
            h = file[f"{'' if tested == true else 'fake_'}cut{cut * 10:02.0f}_{true}_{ID_NAMES[tested]}_p/p"]
            edges = h.axis().edges()
            for j, (low, high) in enumerate(pairwise(EDGES)):
                bins = (edges[:-1] >= low - 1e-6) & (edges[1:] <= high + 1e-6)
                found[i, column, j] = h.values()[bins].sum() / total[bins].sum()
    return found


def _ratios(data: Path, events: Tracks, rng: np.random.Generator) -> list[Ratios]:
    codes, momenta, logl = [], [], []
    for path in sorted((data / "basf2_mdst").glob("*.root")):
        batch = read_mdst(path)
        t = batch.tracks
        gen, has = matched(batch, t)
        assert batch.generated is not None
        codes.append(np.where(has, np.abs(batch.generated["pdg"][gen]), 0))
        pt = CURVATURE_TO_PT * batch.events["bz"][t.event_index] / np.abs(t["helix"][:, 2])
        momenta.append(pt * np.hypot(1.0, t["helix"][:, 4]))
        logl.append(t["pid_logl"].astype(np.float64))
    code, momentum, values = np.concatenate(codes), np.concatenate(momenta), np.concatenate(logl)
    made = []
    for species, own, others in ((211, 2, (3, 4)), (321, 3, (2, 4))):
        for low, high in pairwise(RATIO_EDGES):
            there = (code == species) & (momentum > low) & (momentum < high)
            here = np.flatnonzero((events.species == species) & (events.momentum > low) & (events.momentum < high)
                                  & (events.particle >= 0))
            for other in others:
                ratio = values[there, other] - values[there, own]
                ratio = ratio[np.isfinite(ratio)]
                if len(ratio) < 15:
                    continue
                again = [np.quantile(rng.choice(ratio, len(ratio)), QUANTILES) for _ in range(100)]
                made.append(Ratios(here, own, other, np.quantile(ratio, QUANTILES),
                                   np.maximum(np.std(again, axis=0), 1.0)))
    return made


def squares(pid: Pid, seen: Witness) -> tuple[float, int]:
    """Sum of squares of ``pid`` against the witness, and how many fractions are off by more than the tolerance."""
    response = replace(seen.response, pid=pid)
    total, outside = 0.0, 0
    for seed, gun in enumerate(seen.guns):
        likelihood = np.exp(pid_likelihoods(gun.tracks, response, np.random.default_rng(seed)).astype(np.float64))
        ratio = likelihood / likelihood.sum(axis=1, keepdims=True)
        for j, (low, high) in enumerate(pairwise(EDGES)):
            inside = ratio[(gun.momentum > low) & (gun.momentum < high), :len(HYPOTHESES)]
            pulls = (np.stack([(inside > cut).mean(axis=0) for cut in CUTS]) - gun.reference[:, :, j]) / TOLERANCE
            total, outside = total + float(np.sum(pulls**2)), outside + int(np.sum(np.abs(pulls) > 1.0))
    logl = pid_likelihoods(seen.events, response, np.random.default_rng(len(seen.guns))).astype(np.float64)
    for r in seen.ratios:
        ours = np.quantile(logl[r.rows, r.other] - logl[r.rows, r.own], QUANTILES)
        total += WEIGHT_OF_RATIOS * float(np.sum(np.clip((ours - r.values) / r.errors, -6.0, 6.0) ** 2))
    return total, outside


def fit_pid(seen: Witness, pid: Pid, *, rounds: int = 6, rng: np.random.Generator) -> Pid:
    """The numbers of ``pid`` moved one by one, in random order, as long as the sum of squares falls.

    Each has a step of its own (relative; 0.3 at first), which grows with success and halves without.
    """
    keys: list[tuple[str, int | None]] = [(name, None) for name in NUMBERS]
    keys += [(name, i) for name in LISTS for i in np.flatnonzero(getattr(pid, name)).tolist()]
    step = {key: 0.05 if key[0] == "bethe" else 0.3 for key in keys}
    best = squares(pid, seen)[0]
    for _ in range(rounds):
        for k in rng.permutation(len(keys)):
            for factor in (1.0 + step[keys[k]], 1.0 / (1.0 + step[keys[k]])):
                trial = _scaled(pid, keys[k], factor)
                if (value := squares(trial, seen)[0]) < best - 0.02:
                    best, pid = value, trial
                    step[keys[k]] *= 1.3
                    break
            else:
                step[keys[k]] *= 0.5
    return pid


def _scaled(pid: Pid, key: tuple[str, int | None], factor: float) -> Pid:
    name, entry = key
    changed: dict[str, Any] = {}
    if entry is None:
        changed[name] = min(getattr(pid, name) * factor, NUMBERS[name])
    else:
        values = np.array(getattr(pid, name))
        values[entry] = min(values[entry] * factor, LISTS[name])
        changed[name] = values
    return replace(pid, **changed)
