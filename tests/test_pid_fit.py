"""The fit of the identification's numbers to efficiencies and fake rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fei_lite.detector.pid import pid_likelihoods
from fei_lite.detector.response import default_response
from fei_lite.performance import pid_fit
from fei_lite.performance.pid_fit import CUTS, EDGES, Gun, Witness, fit_pid, squares
from fei_lite.production.gun import particle_gun


def fractions(tracks, momentum, response, seed):
    """Fractions above the cuts, counted track by track."""
    logl = pid_likelihoods(tracks, response, np.random.default_rng(seed)).astype(float)
    found = np.zeros((len(CUTS), 5, len(EDGES) - 1))
    number = np.zeros(len(EDGES) - 1)
    for row, p in zip(np.exp(logl), momentum, strict=True):
        j = np.searchsorted(EDGES, p) - 1
        if 0 <= j < len(number):
            number[j] += 1
            for i, cut in enumerate(CUTS):
                found[i, :, j] += (row / row.sum() > cut)[:5]
    return found / number


def test_fit_finds_the_numbers_that_made_the_fractions(monkeypatch):
    """Would catch bins or species mixed up, and a descent that stops or goes up: at the numbers that made the
    witness the sum is 0, and a start beside them comes back."""
    response = default_response()
    guns = []
    for seed, code in enumerate((11, 13, 211, 321, 2212)):
        rng = np.random.default_rng(40 + seed)
        tracks = pid_fit._tracks(particle_gun(code, 1500, rng=rng, momentum=(0.4, 4.2)), response, rng)
        momentum = np.where(tracks.species == code, tracks.momentum, -1.0)
        guns.append(Gun(tracks, momentum, fractions(tracks, momentum, response, seed)))
    seen = Witness(response, guns, guns[0].tracks, [])
    assert squares(response.pid, seen) == (pytest.approx(0.0, abs=1e-12), 0)
    monkeypatch.setattr(pid_fit, "NUMBERS", {"top_resolution": 0.05, "klm_wrong": 0.2})
    monkeypatch.setattr(pid_fit, "LISTS", {})
    start = replace(response.pid, top_resolution=2.0 * response.pid.top_resolution, klm_wrong=0.15)
    fitted = fit_pid(seen, start, rounds=10, rng=np.random.default_rng(1))
    assert fitted.top_resolution == pytest.approx(response.pid.top_resolution, rel=0.05)
    assert fitted.klm_wrong == pytest.approx(response.pid.klm_wrong, rel=0.1)
    assert squares(fitted, seen)[0] < 0.05 * squares(start, seen)[0]
