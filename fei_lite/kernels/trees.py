"""Boosted trees over blocks of rows: compiled, free of branches for shallow trees.

A node sends a row left where ``value <= threshold``. Missing values take no
branch of their own: a *slot* is a copy of one feature in which they stand as
-inf, which always goes left, or as NaN, which always goes right. Missing is
NaN, and zero as well for LightGBM's missing type "zero".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fei_lite.kernels.jit import inlined, kernel

#: Rows evaluated together: their slots stay in the processor's cache.
BLOCK = 64

#: Trees between two looks at whether a block can still reach the bound.
LOOK = 32

#: Multiplied with a single bit, the top six bits of the product are a number of its own for each of the 64 bits
#: (de Bruijn sequence: Leiserson, Prokop, Randall, 1998).
_SEQUENCE = np.uint64(0x022FDD63CC95386D)
_TOP = np.uint64(58)
_NUMBER = np.argsort((np.uint64(1) << np.arange(64, dtype=np.uint64)) * _SEQUENCE >> _TOP)

#: LightGBM reads numbers up to this size as zero (its ``1e-35f``).
ZERO = float(np.float32(1e-35))


@inlined
def fill_block(X, first, n, slot_feature, slot_missing, slot_zero, block):
    """Copy rows ``first .. first + n`` into ``block`` (slot, row); see the module's page."""
    for s in range(len(slot_feature)):
        f = slot_feature[s]
        missing = slot_missing[s]
        zero_is_missing = slot_zero[s]
        for i in range(n):
            x = X[first + i, f]
            if abs(x) <= ZERO:
                x = missing if zero_is_missing else 0.0
            block[s, i] = missing if math.isnan(x) else x


@kernel
def sum_depth3(X, slot_feature, slot_missing, slot_zero, slot, threshold, leaf, best_rest, bound, score):
    """Put into ``score`` (n) the sum of trees of depth 3, stored complete: 7 nodes, 8 leaves each.

    Node k has children 2k + 1 (left) and 2k + 2. All seven comparisons are
    made for every row and the leaf is selected: that vectorises, walking does not.
    A block none of whose rows can reach ``bound`` is given up and holds -inf;
    ``best_rest[t]`` is the most that trees t, t + 1, ... can add. Blocks, not
    rows: to sort rows out costs more than the trees that it saves.
    """
    n_rows = X.shape[0]
    block = np.empty((len(slot_feature), BLOCK))
    total = np.empty(BLOCK)
    for first in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - first)
        fill_block(X, first, n, slot_feature, slot_missing, slot_zero, block)
        total[:] = 0.0
        for t in range(slot.shape[0]):
            if t % LOOK == 0 and t > 0 and total[:n].max() + best_rest[t] < bound:
                total[:n] = -np.inf
                break
            x0, x1, x2 = block[slot[t, 0]], block[slot[t, 1]], block[slot[t, 2]]
            x3, x4 = block[slot[t, 3]], block[slot[t, 4]]
            x5, x6 = block[slot[t, 5]], block[slot[t, 6]]
            t0, t1, t2, t3 = threshold[t, 0], threshold[t, 1], threshold[t, 2], threshold[t, 3]
            t4, t5, t6 = threshold[t, 4], threshold[t, 5], threshold[t, 6]
            l0, l1, l2, l3 = leaf[t, 0], leaf[t, 1], leaf[t, 2], leaf[t, 3]
            l4, l5, l6, l7 = leaf[t, 4], leaf[t, 5], leaf[t, 6], leaf[t, 7]
            for i in range(BLOCK):
                a = l0 if x3[i] <= t3 else l1
                b = l2 if x4[i] <= t4 else l3
                c = l4 if x5[i] <= t5 else l5
                d = l6 if x6[i] <= t6 else l7
                left = a if x1[i] <= t1 else b
                right = c if x2[i] <= t2 else d
                total[i] += left if x0[i] <= t0 else right
        for i in range(n):
            score[first + i] = total[i]


@kernel
def sum_words(X, slot_feature, slot_missing, slot_zero, first_node, slot, threshold, on_left, on_right, every,
              first_leaf, leaf, score):
    """Put into ``score`` (n) the sum of trees of any depth with at most 64 leaves each.

    The leaves of a tree are the bits of a word. A row starts with ``every[t]`` leaf; each node of the
    tree leaves it those that do not stand on the other side (``on_left`` or ``on_right``), whether or not
    the row comes by. One bit stays. All comparisons are made, none is waited for: that vectorises, walking
    does not (after Lucchese et al., QuickScorer, SIGIR 2015). Nodes of tree t: ``first_node[t]`` to
    ``first_node[t + 1]``; its leaves in ``leaf`` from ``first_leaf[t]``.
    """
    n_rows = X.shape[0]
    block = np.zeros((len(slot_feature), BLOCK))
    total, word = np.empty(BLOCK), np.empty(BLOCK, np.uint64)
    for first in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - first)
        fill_block(X, first, n, slot_feature, slot_missing, slot_zero, block)
        total[:] = 0.0
        for t in range(len(every)):
            word[:] = every[t]
            for node in range(first_node[t], first_node[t + 1]):
                x, limit, a, b = block[slot[node]], threshold[node], on_left[node], on_right[node]
                for i in range(BLOCK):
                    word[i] &= a if x[i] <= limit else b
            for i in range(BLOCK):
                total[i] += leaf[first_leaf[t] + _NUMBER[(word[i] * _SEQUENCE) >> _TOP]]
        for i in range(n):
            score[first + i] = total[i]


@kernel
def sum_walking(X, slot_feature, slot_missing, slot_zero, first_node, slot, threshold,
                left, right, leaf, score):
    """Put into ``score`` (n) the sum of trees of any depth.

    Tree t starts at node ``first_node[t]``; a negative number ~k means leaf k.
    """
    n_rows = X.shape[0]
    block = np.empty((len(slot_feature), BLOCK))
    for first in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - first)
        fill_block(X, first, n, slot_feature, slot_missing, slot_zero, block)
        for i in range(n):
            score[first + i] = 0.0
        for t in range(len(first_node)):
            for i in range(n):
                node = first_node[t]
                while node >= 0:
                    node = left[node] if block[slot[node], i] <= threshold[node] else right[node]
                score[first + i] += leaf[~node]


@kernel
def logistic(score: NDArray[np.float64], steepness: float, probability: NDArray[np.float64]) -> None:
    """Put 1 / (1 + exp(-steepness * score)) into ``probability``, as LightGBM does."""
    for i in range(len(score)):
        probability[i] = 1.0 / (1.0 + math.exp(-steepness * score[i]))
