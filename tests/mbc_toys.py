"""Control samples of known content: correct tags from a Gaussian with a tail, background from ARGUS."""

from __future__ import annotations

import numpy as np
from scipy.stats import argus, crystalball

from fei_lite.corrections.samples import Tags

ENDPOINT, LOW = 5.2897, 5.22


def peak(rng, n, *, mean=5.2794, sigma=0.0027, beta=1.4, m=6.0):
    """Mbc of ``n`` correct tags: Gaussian core and power-law tail."""
    x = crystalball.rvs(beta, m, mean, sigma, size=2 * n + 50, random_state=rng)
    return x[(x > LOW) & (x < ENDPOINT)][:n]


def combinatorial(rng, n, *, slope=-25.0):
    """Mbc of ``n`` false tags in the range of the fit: scipy's ARGUS, chi^2 = -2 slope."""
    found = np.empty(0)
    while len(found) < n:
        x = argus.rvs(np.sqrt(-2.0 * slope), scale=ENDPOINT, size=50 * n + 100, random_state=rng)
        found = np.concatenate([found, x[x > LOW]])
    return found[:n]


def control_sample(rng, modes, *, truth, **shape):
    """Btags of ``modes``: (b_type, mode) -> (signal, background) expected; Poisson numbers."""
    parts = []
    for (b_type, mode), (signal, background) in modes.items():
        x = peak(rng, rng.poisson(signal), **shape)
        y = combinatorial(rng, rng.poisson(background))
        parts.append((np.full(len(x) + len(y), b_type), np.full(len(x) + len(y), mode), np.concatenate([x, y]),
                      np.arange(len(x) + len(y)) < len(x)))
    b_type, mode, mbc, peaking = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Tags(b_type.astype(np.int32), mode.astype(np.int32), mbc, np.ones(len(mbc)), peaking if truth else None)
