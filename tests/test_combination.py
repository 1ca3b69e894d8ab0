"""The combination kernel against plain itertools, and its conservation rules."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from naive_combine import combine as naive_combine
from naive_combine import mass_of

from fei_lite.kernels import combine as kernels
from fei_lite.kernels import ranking

SQRT_S = 10.58


def random_pool(rng, n_events, sizes, n_objects=9, n_words=1, unflavoured=(), scale=0.6):
    """Tables of candidates on ``n_objects`` shared objects (bits), with random momenta."""
    rows, offsets, start = [], np.zeros((len(sizes), n_events + 1), np.int64), 0
    for t, size in enumerate(sizes):
        offsets[t, 0] = start
        for e in range(n_events):
            for _ in range(rng.integers(0, size + 1)):
                n_used = 1 if t == 0 else int(rng.integers(1, 3))
                objects = rng.choice(n_objects, n_used, replace=False)
                p3 = rng.normal(0, scale, 3)
                m = (0.14, 0.5, 1.86)[t % 3]
                sign = rng.choice([1, -1, 0]) if t in unflavoured else rng.choice([1, -1])
                rows.append((*p3, np.sqrt(p3 @ p3 + m * m), m, sign, tuple(objects)))
                start += 1
            offsets[t, e + 1] = start
    used = np.zeros((len(rows), n_words), np.uint64)
    for i, row in enumerate(rows):
        for number in row[6]:
            bit = number * 37 % (64 * n_words)  # spread over all words
            used[i, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
    return offsets, {
        "p4_cms": np.array([r[:4] for r in rows]).reshape(-1, 4), "mass": np.array([r[4] for r in rows]),
        "sign": np.array([r[5] for r in rows], np.int8), "objects": [r[6] for r in rows],
        "probability": rng.uniform(size=len(rows)), "used": used,
    }


def ordering(slots):
    same, opposite = np.full(len(slots), -1), np.full(len(slots), -1)
    for j, (table, sign) in enumerate(slots):
        for i in range(j):
            if slots[i] == (table, sign):
                same[j] = i
            elif slots[i][0] == table:
                opposite[j] = i
    return same, opposite


def run(offsets, pool, slots, signs, cuts, rank, best_n=10_000, highest=True, prune=True,
        min_product=-1.0, give_up=False):
    n_events, k = offsets.shape[1] - 1, len(slots)
    capacity = min(n_events * len(signs) * best_n, 400_000)
    out = (np.empty(capacity, np.int32), np.empty(capacity, np.int8), np.empty(capacity, np.int16),
           np.empty((capacity, k), np.int32))
    passed = np.zeros(n_events, np.int64)
    same, opposite = ordering(slots)
    n = kernels.combine(
        np.array([s[0] for s in slots]), np.array([s[1] for s in slots]), same, opposite, np.array(signs),
        offsets, pool["p4_cms"], pool["sign"], pool["mass"], pool["probability"],
        np.array([all(np.all(np.diff(pool["probability"][a:b]) <= 0) for a, b in pairwise(row)) for row in offsets]),
        pool["used"],
        np.full(n_events, SQRT_S), np.array([c[0] for c in cuts], np.int64),
        np.array([c[1] for c in cuts], float), np.array([c[2] for c in cuts], float), rank, highest,
        best_n, 1.8, 0.1, prune, min_product, give_up, *out, passed)
    return [o[:n] for o in out], passed


def functions(pool, cuts):
    """The kernel's cut codes as plain functions of (sum, rows)."""
    def value(code):
        return {
            kernels.MASS: lambda p, r: mass_of(p),
            kernels.Q_VALUE: lambda p, r: mass_of(p) - sum(pool["mass"][i] for i in r),
            kernels.MBC: lambda p, r: np.sqrt(max(SQRT_S**2 / 4 - p[:3] @ p[:3], 0.0)),
            kernels.ABS_DELTA_E: lambda p, r: abs(p[3] - SQRT_S / 2),
            kernels.DELTA_E: lambda p, r: p[3] - SQRT_S / 2,
        }[code]
    return lambda s: [(value(c), low, high) for c, low, high in cuts]


CASES = {
    "two": ([(0, 1), (1, -1)], [1, -1], [(kernels.MASS, 0.7, 1.4)]),
    "identical": ([(0, 1), (0, 1), (1, 0)], [1, -1], [(kernels.MASS, 0.5, 2.5)]),
    "four": ([(1, -1), (0, 1), (0, 1), (0, -1)], [1, -1], [(kernels.MASS, 0.9, 2.2)]),
    "five": ([(2, -1), (0, 1), (0, 1), (0, 1), (0, -1)], [1, -1],
             [(kernels.MBC, 4.9, 6.0), (kernels.ABS_DELTA_E, 0.0, 1.5)]),
    "q value": ([(2, 1), (0, 1)], [1, -1], [(kernels.Q_VALUE, 0.0, 0.4)]),
    "unflavoured pair": ([(2, -1), (2, 1), (0, 1)], [1], [(kernels.DELTA_E, -4.0, 2.0)]),
    "self-conjugate": ([(0, 1), (0, -1)], [1], []),
    "one daughter": ([(1, 0)], [1], []),
    "six": ([(0, 1), (0, 1), (0, 1), (0, -1), (0, -1), (1, 0)], [1, -1], [(kernels.MASS, 1.5, 4.0)]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_words", [1, 3])
def test_equals_itertools(case, n_words):
    """Would catch a lost or doubled combination, a shared track, a wrong conjugate, an unsafe prune."""
    slots, signs, cuts = CASES[case]
    rng = np.random.default_rng([list(CASES).index(case), n_words])
    offsets, pool = random_pool(rng, 12, (11, 5, 4), n_objects=11, n_words=n_words, unflavoured=(2,))
    (event, sign, rank, rows), passed = run(offsets, pool, slots, signs, cuts, kernels.PROBABILITY)
    (_, _, _, unpruned), _ = run(offsets, pool, slots, signs, cuts, kernels.PROBABILITY, prune=False)
    assert np.array_equal(rows, unpruned)
    total = 0
    for e in range(12):
        event_rows = [list(range(offsets[t, e], offsets[t, e + 1])) for t in range(3)]
        expected = naive_combine(event_rows, slots, signs, pool, SQRT_S, functions(pool, cuts),
                                 lambda p, r: np.prod(pool["probability"][list(r)]))
        got = {(int(s), tuple(sorted(map(int, r)))) for s, r in zip(sign[event == e], rows[event == e], strict=True)}
        assert got == {(s, tuple(sorted(r))) for s, r, _ in expected}
        assert np.count_nonzero(event == e) == len(expected) == passed[e]
        for s in signs:
            mine = rows[(event == e) & (sign == s)]
            products = np.prod(pool["probability"][mine], axis=1)
            assert np.all(np.diff(products) <= 1e-15)  # best first
            assert np.array_equal(rank[(event == e) & (sign == s)], np.arange(1, len(mine) + 1))
        total += len(expected)
    assert total > 0, "the case must make candidates"


@pytest.mark.parametrize("highest", [True, False])
def test_best_n_are_the_best(highest):
    """Would catch a best-N list that drops a better candidate for a worse one."""
    slots, signs, cuts = CASES["four"]
    offsets, pool = random_pool(np.random.default_rng(5), 30, (8, 6, 1))
    rank = kernels.PROBABILITY if highest else kernels.ABS_DM
    (event, sign, _, rows), passed = run(offsets, pool, slots, signs, cuts, rank, highest=highest)
    (event_3, sign_3, rank_3, rows_3), passed_3 = run(
        offsets, pool, slots, signs, cuts, rank, best_n=3, highest=highest)
    assert np.array_equal(passed, passed_3)
    assert passed.max() > 3
    for e in range(30):
        for s in signs:
            all_rows = rows[(event == e) & (sign == s)]
            assert np.array_equal(all_rows[:3], rows_3[(event_3 == e) & (sign_3 == s)])
    assert rank_3.max() == 3


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("name", ["two", "four"])
def test_least_product(name, in_order):
    """Would catch a bound that gives up combinations above it, or keeps others, whatever the order of the lists."""
    slots, signs, cuts = CASES[name]
    offsets, pool = random_pool(np.random.default_rng(6), 30, (8, 6, 1))
    if in_order:
        for first, last in zip(offsets[:, :-1].ravel(), offsets[:, 1:].ravel(), strict=True):
            pool["probability"][first:last] = np.sort(pool["probability"][first:last])[::-1]
    (event, sign, _, rows), _ = run(offsets, pool, slots, signs, cuts, kernels.PROBABILITY)
    product = np.ones(len(rows))
    for column in rows.T:
        product *= pool["probability"][column]
    for bound in (0.0, np.median(product), product.max()):
        above, passed = run(offsets, pool, slots, signs, cuts, kernels.PROBABILITY, min_product=bound)
        kept = product > bound
        assert passed.sum() == kept.sum()
        for found, expected in zip(above, (event, sign, None, rows), strict=True):
            assert expected is None or np.array_equal(found, expected[kept])


@pytest.mark.parametrize("name", ["two", "four"])
def test_giving_up_what_cannot_be_among_the_best(name):
    """Would catch a bound by the worst of the best that drops or reorders one of them."""
    slots, signs, _ = CASES[name]
    offsets, pool = random_pool(np.random.default_rng(7), 30, (8, 6, 1))
    plain, counted = run(offsets, pool, slots, signs, [], kernels.PROBABILITY, best_n=4)
    short, passed = run(offsets, pool, slots, signs, [], kernels.PROBABILITY, best_n=4, give_up=True)
    for found, expected in zip(short, plain, strict=True):
        assert np.array_equal(found, expected)
    assert (passed <= counted).all() and passed.sum() < counted.sum()


def test_events_without_candidates():
    """Would catch an index error where an event, or all, are empty."""
    offsets = np.zeros((3, 5), np.int64)
    pool = {"p4_cms": np.zeros((0, 4)), "mass": np.zeros(0), "sign": np.zeros(0, np.int8),
            "probability": np.zeros(0), "used": np.zeros((0, 1), np.uint64)}
    (event, *_), passed = run(offsets, pool, CASES["two"][0], [1, -1], [], kernels.PROBABILITY)
    assert len(event) == 0
    assert not passed.any()


def test_ranking_of_rows():
    """Would catch an unflavoured row missing from one conjugate's ranking, or NaN ranked first."""
    offsets = np.array([0, 5, 5, 8])
    sign = np.array([1, 1, 0, -1, -1, 1, 1, 1], np.int8)
    value = np.array([0.1, 0.9, 0.5, 0.7, np.nan, np.nan, 0.2, 0.2])
    keep, rank = np.zeros(8, np.bool_), np.zeros(8, np.int64)
    ranking.rank_rows(offsets, sign, value, True, 2, keep, rank)
    assert rank.tolist() == [0, 1, 2, 1, 0, 0, 1, 2]
    assert keep.tolist() == [False, True, True, True, False, False, True, True]


def test_duplicates_keep_the_most_probable():
    """Would catch two K_S0 from one pair of tracks, or the worse one surviving."""
    offsets = np.array([0, 4, 6])
    used = np.array([[3], [5], [3], [3], [3], [3]], np.uint64)
    sign = np.array([1, 1, 1, -1, 1, 1], np.int8)
    value = np.array([0.2, 0.1, 0.6, 0.1, 0.4, 0.4])
    duplicate = np.zeros(6, np.bool_)
    ranking.mark_duplicates(offsets, sign, used, value, duplicate)
    assert duplicate.tolist() == [True, False, False, False, False, True]


def test_many_rows_against_plain_sorting():
    """Would catch a best-N list or a hash table that goes wrong when events are large, values tie or are NaN."""
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 60, 40)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    n, event = offsets[-1], np.repeat(np.arange(40), counts)
    sign = rng.integers(-1, 2, n).astype(np.int8)
    value = rng.integers(0, 9, n) / 8.0
    value[rng.uniform(size=n) < 0.1] = np.nan
    used = rng.integers(0, 4, (n, 2)).astype(np.uint64)
    for highest in (True, False):
        keep, rank, duplicate = np.zeros(n, np.bool_), np.zeros(n, np.int64), np.zeros(n, np.bool_)
        ranking.rank_rows(offsets, sign, value, highest, 5, keep, rank)
        expected = np.zeros(n, np.int64)
        for e in range(40):
            for s in (1, -1):
                rows = [i for i in np.flatnonzero(event == e) if sign[i] != -s]
                rows.sort(key=lambda i: (np.isnan(value[i]), -value[i] if highest else value[i]))
                for place, i in enumerate(rows[:5]):
                    expected[i] = min(expected[i] or 99, place + 1)
        assert np.array_equal(rank, expected) and np.array_equal(keep, expected > 0)
    value = np.nan_to_num(value)
    ranking.mark_duplicates(offsets, sign, used, value, duplicate)
    groups = {}
    for i in range(n):
        groups.setdefault((event[i], sign[i], *used[i]), []).append(i)
    best = {max(rows, key=lambda i: value[i]) for rows in groups.values()}  # the first of equals
    assert np.array_equal(~duplicate, np.isin(np.arange(n), list(best)))
