"""Particle identification: log-likelihoods of six hypotheses from five detectors.

Each detector has observables of unit width. A true particle gives its own mean
plus a normal deviate; a hypothesis' log-likelihood is -(x - mean)^2 / 2. Thus
likelihood ratios are what they claim to be, but for stated fractions of tracks
that give no information or look like another species.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.detector.response import Response
from fei_lite.detector.response_sections import Pid
from fei_lite.detector.tracks import Tracks

#: Masses of the hypotheses e, mu, pi, K, p, deuteron in GeV (PDG) and their codes without sign.
MASSES = np.array([0.00051099895, 0.1056583755, 0.13957039, 0.493677, 0.93827209, 1.87561294])
CODES = np.array([11, 13, 211, 321, 2212, 1000010020])
_ELECTRON, _MUON, _PION = 0, 1, 2

Array = NDArray[np.float64]


def pid_likelihoods(tracks: Tracks, response: Response, rng: np.random.Generator) -> NDArray[np.float32]:
    """Log-likelihoods (n, 6) for e, mu, pi, K, p, deuteron, summed over detectors, best hypothesis at 0."""
    truth = np.argmax(tracks.species[:, None] == CODES[None, :], axis=1)
    p = response.pid
    pt = tracks.momentum * np.sin(tracks.theta)
    total = _dedx(tracks, truth, p, rng) + _ecl(tracks, truth, pt, p, rng)
    total += _top(tracks, truth, pt, p, rng)
    for part in (_arich, _klm):  # a kaon's decay leads elsewhere
        total += np.where(tracks.flown[:, None] < 1.0, 0.0, part(tracks, truth, pt, p, rng))
    total -= total.max(axis=1, keepdims=True)
    return total.astype(np.float32)


def _logl(means: Array, seen: NDArray[np.int64], p: Pid, rng: np.random.Generator,
          saturation: float = np.inf) -> Array:
    """Log-likelihoods for an observable with ``means`` (n, 6) when species ``seen`` (n,) made it.

    Of a normal distribution up to ``tail_start``, of an exponential one beyond, and no less than at
    ``saturation``: where every hypothesis explains the signal by background.
    """
    x = means[np.arange(len(seen)), seen] + rng.normal(size=len(seen))
    return _tailed(np.minimum(np.abs(x[:, None] - means), saturation), p)


def _tailed(deviation: Array, p: Pid) -> Array:
    core = np.minimum(deviation, p.tail_start)
    return np.asarray(-core * (deviation - 0.5 * core))


def _mistaken(truth: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Species with a fraction of them replaced by a random one of the five."""
    wrong = rng.uniform(size=len(truth)) < share
    return np.where(wrong, rng.integers(0, 5, len(truth)), truth)


def _between(theta: Array, edges_deg: Array) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (theta > np.radians(edges_deg[0])) & (theta < np.radians(edges_deg[1]))
    return inside


def energy_loss(beta_gamma: Array, shape: Array) -> Array:
    """dE/dx against beta gamma in arbitrary units, the ALEPH parametrisation.

    >>> curve = energy_loss(np.array([0.5, 3.5, 1000.]), np.array([10.632, 1.34e-5, 1.863, 1.948]))
    >>> bool(curve[0] > curve[2] > curve[1])  # steep fall, minimum, relativistic rise
    True
    """
    p2, p3, p4, p5 = shape
    beta = beta_gamma / np.sqrt(1.0 + beta_gamma**2)
    power = beta**p4
    return np.asarray((p2 - power - np.log(p3 + beta_gamma**-p5)) / power)


def _dedx(tracks: Tracks, truth: NDArray[np.int64], p: Pid, rng: np.random.Generator) -> Array:
    """Ionisation in the drift chamber (8 hits or more) and in the strips (4 or more).

    The resolution is a fraction of the mean of each hypothesis: a kaon's high ionisation excludes a
    pion more than a pion's low one excludes a kaon.
    """
    means = energy_loss(tracks.momentum[:, None] / MASSES[None, :], p.bethe)
    ratio = means[np.arange(len(truth)), truth][:, None] / means
    total = np.zeros_like(means)
    chamber = p.dedx_resolution * np.sqrt(45.0 / np.clip(tracks.counts[:, 2], 8, 45))  # 45 hits of a full track
    for hits, least, resolution in ((2, 8, chamber[:, None]), (1, 4, p.dedx_resolution_svd)):
        spread = np.where(rng.uniform(size=len(truth)) < p.dedx_wrong, p.dedx_wrong_spread, 1.0)
        pull = (spread * rng.normal(size=len(truth)))[:, None]
        deviation = np.abs((ratio - 1.0) / resolution + ratio * pull)
        total += (_tailed(deviation, p) + np.log(ratio)) * (tracks.counts[:, hits] >= least)[:, None]
    return total


def _inverse_beta(momentum: Array) -> Array:
    return np.asarray(np.sqrt(1.0 + (MASSES[None, :] / momentum[:, None]) ** 2))


def _top(tracks: Tracks, truth: NDArray[np.int64], pt: Array, p: Pid, rng: np.random.Generator) -> Array:
    """Time of propagation: measures 1 / beta. Where a kaon decays before, the track does not lead to the light."""
    sees = _between(tracks.theta, p.top_theta_deg) & (pt > p.top_min_pt) & (tracks.flown >= 1.0)
    sees &= rng.uniform(size=len(truth)) > p.top_blind
    spread = np.where(rng.uniform(size=len(truth)) < p.top_wrong, p.top_wrong_spread, 1.0)
    means = _inverse_beta(tracks.momentum) / p.top_resolution
    x = means[np.arange(len(truth)), truth]
    deviation = np.abs((x + spread * rng.normal(size=len(x)))[:, None] - means)
    logl = _tailed(np.minimum(deviation, p.top_saturation), p)
    return logl * sees[:, None]


def _arich(tracks: Tracks, truth: NDArray[np.int64], pt: Array, p: Pid, rng: np.random.Generator) -> Array:
    """Cherenkov angle in aerogel; hypotheses below threshold give no light."""
    cosine = _inverse_beta(tracks.momentum) / p.arich_index
    light = cosine < 1.0
    angle = np.arccos(np.minimum(cosine, 1.0)) / p.arich_resolution
    least = np.min(np.where(light, angle, np.inf), axis=1, keepdims=True)
    means = np.where(light, angle, np.where(np.isfinite(least), least, 0.0) - p.arich_no_light)
    sees = _between(tracks.theta, p.arich_theta_deg) & (rng.uniform(size=len(truth)) > p.arich_blind)
    seen = _mistaken(truth, p.arich_wrong, rng)
    return _logl(means, seen, p, rng, p.arich_saturation) * sees[:, None]


def _single(n: int, which: int, mean: Array) -> Array:
    means = np.zeros((n, len(MASSES)))
    means[:, which] = mean
    return means


def _ecl(tracks: Tracks, truth: NDArray[np.int64], pt: Array, p: Pid, rng: np.random.Generator) -> Array:
    """Calorimeter: energy over momentum for electrons, shower shape and depth for muons."""
    n = len(truth)
    reaches = (pt > p.ecl_min_pt) | (np.abs(np.cos(tracks.theta)) > 0.7)
    hadron = truth >= 2
    draw = rng.uniform(size=n)
    seen = np.where(hadron & (draw < p.ecl_wrong), _ELECTRON, truth)
    seen = np.where((truth == _ELECTRON) & (draw < p.ecl_miss), _PION, seen)
    electron = np.interp(tracks.momentum, p.ecl_momentum, p.ecl_electron) * reaches
    muon = np.interp(tracks.momentum, p.ecl_momentum, p.ecl_muon) * reaches
    return (_logl(_single(n, _ELECTRON, electron), seen, p, rng) + _logl(_single(n, _MUON, muon), seen, p, rng))


def _klm(tracks: Tracks, truth: NDArray[np.int64], pt: Array, p: Pid, rng: np.random.Generator) -> Array:
    """Penetration through iron."""
    n = len(truth)
    draw = rng.uniform(size=n)
    seen = np.where((truth != _MUON) & (truth != _ELECTRON) & (draw < p.klm_wrong), _MUON, truth)
    seen = np.where((truth == _MUON) & (draw < p.klm_miss), _PION, seen)
    muon = np.interp(tracks.momentum, p.klm_momentum, p.klm_muon) * _between(tracks.theta, p.klm_theta_deg)
    return _logl(_single(n, _MUON, muon), seen, p, rng)
