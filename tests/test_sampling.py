"""Training samples: bounded, repeatable, and standing for all candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fei_lite.errors import FeiLiteError
from fei_lite.training.sampling import ChannelSample, ClassSample, hashed


def candidates(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.1
    X = np.column_stack([rng.normal(size=n) + y, np.arange(n)])
    return X, y, rng.choice([0.2, 1.0, 5.0], n), rng.random(n) < 0.25


def test_hash_is_splitmix64() -> None:
    """The published sequence of SplitMix64 for seed 0: catches a hash that is not uniform."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert hashed(np.arange(3, dtype=np.uint64), seed=0).tolist() == published
    keys = hashed(np.arange(100_000, dtype=np.uint64), seed=3) / 2.0**64
    counts = np.histogram(keys, bins=50, range=(0, 1))[0]
    assert np.sum((counts - 2000.0)**2 / 2000.0) < 100.0  # 49 degrees of freedom
    other = hashed(np.arange(100_000, dtype=np.uint64), seed=4) / 2.0**64
    assert abs(np.corrcoef(keys, other)[0, 1]) < 0.015


def test_below_the_cap_everything_is_kept() -> None:
    """Catches candidates lost or reweighted without need."""
    X, y, weight, held = candidates(1000, 1)
    sample = ChannelSample(2, seed=0, cap=1000)
    sample.add(X, y, weight, held)
    for part, rows in zip(sample.arrays(), (~held, held)):
        order = np.argsort(y[rows], kind="stable")
        np.testing.assert_array_equal(part[0], X[rows][order].astype(np.float32))
        np.testing.assert_array_equal(part[1], y[rows][order])
        np.testing.assert_allclose(part[2], weight[rows][order], rtol=1e-12)


def test_totals_and_prior_are_kept() -> None:
    """Catches a prior that changes because the background was thinned."""
    X, y, weight, held = candidates(50_000, 2)
    sample = ChannelSample(2, seed=0, cap=2000)
    for rows in np.array_split(np.arange(50_000), 37):
        sample.add(X[rows], y[rows], weight[rows], held[rows])
    for part, rows, cap in zip(sample.arrays(), (~held, held), (2000, 1000)):
        for signal in (False, True):
            kept = part[1] == signal
            assert np.count_nonzero(kept) == min(cap, np.count_nonzero(rows & (y == signal)))
            assert part[2][kept].sum() == pytest.approx(weight[rows & (y == signal)].sum(), rel=1e-12)
    counts = sample.counts()
    assert counts["training background"]["seen"] == np.count_nonzero(~held & ~y)
    assert counts["validation signal"] == {"seen": np.count_nonzero(held & y), "kept": 1000,
                                           "weight": pytest.approx(weight[held & y].sum())}


def test_sampling_is_unbiased() -> None:
    """Weighted sums of any feature, mean over 300 seeds, against the full sample's: catches a sample
    that prefers early, late, light or heavy candidates."""
    n = 1500
    X, _, weight, _ = candidates(n, 3)
    truth = weight @ np.column_stack([X[:, 0], X[:, 1] < 300, X[:, 1] > 1200, weight > 2])
    sums = []
    for seed in range(300):
        part = ClassSample(n_features=2, cap=200, seed=seed)
        for rows in np.array_split(np.arange(n), 8):
            part.add(X[rows], weight[rows])
        kept, w = part.kept()
        own = weight[kept[:, 1].astype(int)]  # column 1 is the candidate's number
        assert np.all(w > 0.9 * own) and np.ptp(w[own < 0.5 * w.mean()]) < 1e-9
        sums.append(w @ np.column_stack([kept[:, 0], kept[:, 1] < 300, kept[:, 1] > 1200, own > 2]))
    pull = (np.mean(sums, axis=0) - truth) / (np.std(sums, axis=0, ddof=1) / np.sqrt(len(sums)))
    assert np.all(np.abs(pull) < 3.5)


def test_relevant_candidates_are_kept_more_often() -> None:
    """Would catch relevance that does not choose, or that the weights do not undo."""
    n = 3000
    X, _, weight, _ = candidates(n, 5)
    relevance = np.where(X[:, 1] % 10 == 0, 20.0, 0.5)
    truth = weight @ np.column_stack([X[:, 0], relevance > 1.0])
    sums, kept_relevant = [], []
    for seed in range(200):
        part = ClassSample(n_features=2, cap=400, seed=seed)
        for rows in np.array_split(np.arange(n), 5):
            part.add(X[rows], weight[rows], relevance[rows])
        kept, w = part.kept()
        relevant = kept[:, 1] % 10 == 0
        sums.append(w @ np.column_stack([kept[:, 0], relevant]))
        kept_relevant.append(relevant.mean())
    pull = (np.mean(sums, axis=0) - truth) / (np.std(sums, axis=0, ddof=1) / np.sqrt(len(sums)))
    assert np.all(np.abs(pull) < 3.5)
    assert 0.5 < np.mean(kept_relevant) < 0.9  # a tenth of the candidates


def test_kept_candidates_weigh_about_the_same() -> None:
    """Heavy candidates are kept first: catches a choice blind to the weight, worth a third of its size."""
    rng = np.random.default_rng(8)
    weight = np.where(rng.random(40_000) < 0.25, 25.0, 0.5)  # as in enriched samples
    part = ClassSample(n_features=1, cap=5000, seed=2)
    part.add(np.zeros((40_000, 1)), weight)
    _, w = part.kept()
    assert w.sum() ** 2 / np.sum(w**2) > 0.98 * 5000
    assert weight.sum() ** 2 / np.sum(weight**2) < 0.3 * 40_000


@pytest.mark.parametrize("n_batches", [1, 2, 7, 300])
def test_batches_do_not_matter(n_batches: int) -> None:
    """The same candidates in other batches give the same sample: catches keys per batch."""
    data = candidates(6000, 4)
    whole, split = ChannelSample(2, seed=9, cap=150), ChannelSample(2, seed=9, cap=150)
    whole.add(*data)
    for rows in np.array_split(np.arange(6000), n_batches):
        split.add(*(column[rows] for column in data))
    for a, b in zip(whole.arrays(), split.arrays()):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_allclose(a[2], b[2], rtol=1e-12)


def test_resuming_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Saved half-way and loaded, the rest gives the same sample: catches state that is not saved."""
    data = candidates(6000, 5)
    first, second = (tuple(column[rows] for column in data) for rows in (slice(0, 2500), slice(2500, None)))
    straight = ChannelSample(2, seed=1, cap=100, validation_cap=33)
    straight.add(*first)
    straight.save(tmp_path / "sample.npz")
    resumed = ChannelSample.load(tmp_path / "sample.npz")
    for sample in (straight, resumed):
        sample.add(*second)
    assert straight.counts() == resumed.counts()
    for a, b in zip(straight.arrays(), resumed.arrays()):
        for left, right in zip(a, b):
            np.testing.assert_array_equal(left, right)


def test_seeds_and_classes_are_independent() -> None:
    """Catches one choice for all channels: the same candidates' numbers would be kept everywhere."""
    def chosen(seed: int) -> list[set[float]]:
        sample = ChannelSample(1, seed=seed, cap=300, validation_cap=300)
        number = np.arange(4000.0)
        sample.add(number[:, None] // 4, number % 2 == 0, np.ones(4000), number % 4 < 2)
        return [set(X[y == signal, 0]) for X, y, _ in sample.arrays() for signal in (False, True)]

    samples = chosen(0) + chosen(1)
    for i, one in enumerate(samples):
        for other in samples[:i]:
            assert 50 < len(one & other) < 130  # 90 expected of 300 out of 1000


def test_memory_is_bounded() -> None:
    """Catches a sample that grows with the number of candidates."""
    part = ClassSample(n_features=1, cap=1000, seed=0)
    largest = 0
    for _ in range(200):
        part.add(np.zeros((500, 1)), np.ones(500))
        largest = max(largest, sum(len(weight) for _, _, weight, _ in part._parts))
    assert largest <= 1250 + 500
    assert len(part) == 1000 and part.n_seen == 100_000


def test_undefined_and_huge_features_survive() -> None:
    """NaN is information for the trees; values beyond float32 keep their side."""
    sample = ChannelSample(1, seed=0, cap=10)
    sample.add([[np.nan], [1e300], [-1e300], [1e-300]], [0, 0, 0, 0], np.ones(4), np.zeros(4))
    np.testing.assert_array_equal(sample.arrays()[0][0][:, 0], [np.nan, np.inf, -np.inf, 0.0])


def test_empty_sample() -> None:
    """A channel without any candidate: catches failing concatenations and 0 / 0."""
    sample = ChannelSample(3, seed=0)
    sample.add(np.empty((0, 3)), [], [], [])
    for X, y, weight in sample.arrays():
        assert X.shape == (0, 3) and y.shape == weight.shape == (0,)


@pytest.mark.parametrize("broken", [
    lambda c: (c[0][:, :1], *c[1:]), lambda c: (c[0], c[1][:-1], *c[2:]), lambda c: (*c[:2], -c[2], c[3]),
    lambda c: (*c[:2], np.where(c[1], np.nan, c[2]), c[3]), lambda c: (*c[:2], 0.0 * c[2], c[3])])
def test_malformed_candidates_are_refused(broken) -> None:
    """Catches columns that got out of step, and weights that no probability can have."""
    with pytest.raises(FeiLiteError, match="sample: "):
        ChannelSample(2, seed=0).add(*broken(candidates(100, 6)))


def test_damaged_file(tmp_path: Path) -> None:
    """Catches a raw NumPy or zip error for a file cut short or of another kind."""
    path = tmp_path / "sample.npz"
    sample = ChannelSample(2, seed=0, cap=10)
    sample.add(*candidates(100, 7))
    sample.save(path)
    data = path.read_bytes()
    for damaged in (b"", data[:500], data[:-30], b"PK" + data[50:]):
        path.write_bytes(damaged)
        with pytest.raises(FeiLiteError, match="not a saved training sample"):
            ChannelSample.load(path)
    path.write_bytes(data)
    np.savez(path, **dict(np.load(path)) | {"header": np.array([99, 2, 0])})
    with pytest.raises(FeiLiteError, match="format 99"):
        ChannelSample.load(path)
    with pytest.raises(FeiLiteError, match="not a saved training sample"):
        ChannelSample.load(tmp_path / "none.npz")
