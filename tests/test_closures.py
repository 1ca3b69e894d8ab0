"""Ways to part an event into a tag and a few tracks: the kernel against sets written out."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np

from fei_lite.kernels import closure as kernels


def subsets(rows, least, most):
    """All sets of rows of a size."""
    return chain.from_iterable(combinations(rows, size) for size in range(least, most + 1))


def naive(tracks, charge, kaon, photons, half, delta_e, momentum):
    """The same for one event, way by way."""
    out = np.zeros((2, kernels.SIDES, 2))
    out[..., 0] = kernels.NOTHING
    for side in subsets(range(len(tracks)), 1, min(kernels.SIDES, len(tracks) - 1)):
        rest = [i for i in range(len(tracks)) if i not in side]
        if abs(charge[rest].sum()) > 1 or charge.sum() != 0:
            continue
        for some in subsets(range(min(len(photons), kernels.PHOTONS)), 0, kernels.PHOTONS):
            tag = tracks[rest].sum(axis=0) + photons[list(some)].sum(axis=0)
            if abs(tag[3] - half) < delta_e and np.sum(tag[:3] ** 2) < momentum**2:
                at = out[int(any(kaon[i] for i in side)), len(side) - 1]
                at[0] = min(at[0], photons[:, 3].sum() - photons[list(some), 3].sum())
                at[1] += 1
    out[..., 1] = np.log1p(out[..., 1])
    return out


def test_closures_are_those_of_all_sets():
    """Would catch a way left out, a charge or energy asked for wrongly, photons beyond those tried taken for none."""
    rng = np.random.default_rng(3)
    n_tracks, n_photons = rng.integers(0, 7, 60), rng.integers(0, 12, 60)
    tracks, photons = (np.zeros((n.sum(), 4)) for n in (n_tracks, n_photons))
    tracks[:, :3], photons[:, :3] = rng.normal(0.0, 0.5, (len(tracks), 3)), rng.normal(0.0, 0.2, (len(photons), 3))
    tracks[:, 3] = np.sqrt(np.sum(tracks[:, :3] ** 2, axis=1) + 0.02)
    photons[:, 3] = np.sqrt(np.sum(photons[:, :3] ** 2, axis=1))
    charge, kaon = rng.choice([-1.0, 1.0], len(tracks)), rng.integers(0, 2, len(tracks))
    at, of = (np.concatenate([[0], np.cumsum(n)]) for n in (n_tracks, n_photons))
    for i in range(60):
        here = slice(of[i], of[i + 1])
        photons[here] = photons[here][np.argsort(-photons[here, 3])]
    out = np.empty((60, 2, kernels.SIDES, 2))
    half, delta_e, momentum = 1.5, 0.3, 1.0
    kernels.closures(at, tracks, charge, kaon, of, photons, half, delta_e, momentum, out)
    for i in range(60):
        here, there = slice(at[i], at[i + 1]), slice(of[i], of[i + 1])
        wanted = naive(tracks[here], charge[here], kaon[here], photons[there], half, delta_e, momentum)
        np.testing.assert_allclose(out[i], wanted, atol=1e-9, err_msg=f"event {i}")
    assert np.count_nonzero(out[..., 1]) > 10, np.count_nonzero(out[..., 1])
