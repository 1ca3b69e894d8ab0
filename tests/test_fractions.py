"""Fractions with Clopper-Pearson intervals, and effective sizes: binomial sums, all outcomes, repeated entries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from fei_lite.fractions import CONFIDENCE, Sums, effective_size, fraction

TAIL = 0.5 * (1.0 - CONFIDENCE)


@pytest.mark.parametrize("k,n", [(0, 1), (1, 1), (0, 10), (10, 10), (1, 10), (7, 10), (33, 1000), (2, 100_000)])
def test_clopper_pearson_against_binomial_sums(k, n):
    """Would catch one-sided or shifted intervals: at each end the binomial tail is (1 - 0.683) / 2."""
    found = fraction(k, n)
    assert found.value == k / n
    assert found.lower == 0 if k == 0 else binom.sf(k - 1, n, found.lower) == pytest.approx(TAIL, rel=1e-6)
    assert found.upper == 1 if k == n else binom.cdf(k, n, found.upper) == pytest.approx(TAIL, rel=1e-6)
    if k == 0:
        assert found.upper == pytest.approx(1 - TAIL ** (1 / n), rel=1e-9)


@pytest.mark.parametrize("n", [5, 40, 300])
def test_coverage_of_counts(n):
    """Would catch intervals too short: Clopper-Pearson never covers less than it says; summed over all outcomes."""
    intervals = [fraction(k, n) for k in range(n + 1)]
    lower, upper = np.array([i.lower for i in intervals]), np.array([i.upper for i in intervals])
    for p in np.linspace(0.003, 0.997, 60):
        assert binom.pmf(np.arange(n + 1), n, p)[(lower <= p) & (p <= upper)].sum() >= CONFIDENCE - 1e-9


def test_effective_size_is_that_of_the_fluctuations():
    """Would catch sum w, sum w^2 or their root taken for it: a Poisson sum of weights fluctuates by 1 / sqrt(n)."""
    rng = np.random.default_rng(2)
    values, rates = np.array([0.5, 2.0, 10.0]), np.array([40.0, 30.0, 5.0])
    weights = np.repeat(values, rates.astype(int))
    sums = rng.poisson(rates, (20_000, 3)) @ values
    assert np.std(sums) / np.mean(sums) == pytest.approx(effective_size(weights) ** -0.5, rel=0.02)
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7.0)


def test_sums_per_event_are_those_of_the_entries():
    """Would catch entries of an event squared together: every entry has the weight of its event."""
    counts, weight = np.array([0, 3, 1]), np.array([5.0, 2.0, 0.5])
    entries = Sums.of(np.repeat(weight, counts))
    assert Sums.per_event(counts, weight) == entries == Sums.of([2.0, 2.0]) + Sums.of([2.0, 0.5])
    assert entries.fraction(6.0) == fraction(6.0, 6.5, n_effective=6.5**2 / 12.25)
    assert np.isnan(Sums().fraction(0.0).value)
