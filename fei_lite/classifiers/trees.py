"""LightGBM's text models, read and evaluated without LightGBM.

:func:`parse_trees` reads the text, checks every tree and lays the forest out
for the kernels in :mod:`fei_lite.kernels.trees`. The scores are those of
``lightgbm.Booster.predict`` to the last bit: same comparisons, same order of
the sum. Categorical splits, linear leaves, several classes and averaged
forests are refused; fei-lite does not train them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.classifiers.tree_text import Tree, read_header, read_tree, steepness
from fei_lite.errors import ModelSetError

Array = NDArray[Any]
#: A slot of the kernels: (feature, missing goes left, zero is missing).
Slot = tuple[int, bool, bool]

#: Deepest tree for the kernel that selects among all leaves.
DEPTH = 3
#: Most leaves of a tree for the kernel that keeps them as the bits of a word; larger trees are walked.
WORD = 64

# Rounding of sums and of the logistic function must never give up a row that the cut keeps.
_MARGIN = 1e-6


@dataclass(frozen=True)
class TreeModel:
    """A forest ready to be evaluated.

    ``feature_names`` are the text's own, in the order of the columns of X;
    ``steepness`` is the objective's ``sigmoid`` (NaN if the objective is not binary).
    """

    feature_names: tuple[str, ...]
    n_trees: int
    depth: int
    steepness: float
    source: str
    _layout: str = field(repr=False)
    _slots: tuple[Array, ...] = field(repr=False)
    _nodes: tuple[Array, ...] = field(repr=False)
    _best_rest: Array = field(repr=False)

    def raw_score(self, X: ArrayLike, *, above: float = -math.inf) -> NDArray[np.float64]:
        """Sum of the trees, (n,), dimensionless (log-odds for the binary objective).

        ``X`` is (n, n_features) float64, columns in the order of ``feature_names``;
        NaN is allowed and takes the side that the training chose for it. A row
        that no remaining tree can bring ``above`` a bound may be given up and hold
        -inf; the others are the same to the last bit with any bound.
        """
        from fei_lite.kernels.trees import sum_depth3, sum_walking, sum_words

        X = np.ascontiguousarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.feature_names):
            raise ModelSetError(
                f"{self.source}: feature matrix of shape {X.shape}; expected (n, "
                f"{len(self.feature_names)}), columns {', '.join(self.feature_names)}.")
        score = np.empty(len(X))
        kernels: dict[str, Callable[..., None]] = {"complete": sum_depth3, "words": sum_words, "linked": sum_walking}
        bound = (self._best_rest, above - _MARGIN) if self._layout == "complete" else ()
        kernels[self._layout](X, *self._slots, *self._nodes, *bound, score)
        return score

    def probability(self, X: ArrayLike, *, above: float = 0.0) -> NDArray[np.float64]:
        """Signal probability, (n,), between 0 and 1: 1 / (1 + exp(-steepness * raw_score)).

        Rows that surely do not come ``above`` a probability may hold 0 instead;
        it saves the walk through their last trees, and changes no other row.
        """
        from fei_lite.kernels.trees import logistic

        if np.isnan(self.steepness):
            raise ModelSetError(f"{self.source}: the objective is not 'binary'; "
                                "only a binary classifier gives a probability.")
        bounded = 0.0 < above < 1.0 and self.steepness > 0.0
        score = self.raw_score(X, above=math.log(above / (1.0 - above)) / self.steepness if bounded else -math.inf)
        logistic(score, self.steepness, score)
        return score


def parse_trees(text: str, *, source: str) -> TreeModel:
    """Read LightGBM's text model; ``source`` (a file name) is for error messages.

    Raises :class:`ModelSetError` naming the file and the line.
    """
    lines = text.splitlines()
    header, n = read_header(lines, source)
    names = tuple(header["feature_names"].split())
    if header["max_feature_idx"].strip() != str(len(names) - 1):
        raise ModelSetError(f"{source}: {len(names)} feature names, but max_feature_idx is "
                            f"{header['max_feature_idx']}; the model is damaged.")
    trees: list[Tree] = []
    while n < len(lines) and lines[n].strip() != "end of trees":
        if lines[n].startswith("Tree="):
            tree, n = read_tree(lines, n, len(names), source)
            trees.append(tree)
        elif lines[n].strip():
            raise ModelSetError(f"{source}: line {n + 1}: got '{lines[n][:40]}', expected 'Tree=' "
                                "or 'end of trees'.")
        else:
            n += 1
    if n >= len(lines):
        raise ModelSetError(f"{source}: line {len(lines)}: the text ends without 'end of trees'; "
                            "the model is truncated.")
    return _lay_out(trees, names, steepness(header.get("objective", ""), source), source)


def _slot(tree: Tree, node: int) -> Slot:
    """The slot that a node compares.

    decision_type is a bit field: 2 missing goes left, 4 zero and NaN are missing,
    8 NaN is missing; without 4 and 8 NaN counts as zero.
    """
    kind = tree.decision_type[node]
    left = bool(kind & 2) if kind & 12 else tree.threshold[node] >= 0.0
    return tree.split_feature[node], left, bool(kind & 4)


def _depth(tree: Tree) -> int:
    depth = [0] * max(len(tree.threshold), 1)
    for i, (a, b) in enumerate(zip(tree.left_child, tree.right_child)):
        for child in (a, b):
            if child >= 0:  # children stand after their parents
                depth[child] = depth[i] + 1
    return max(depth) + 1 if tree.threshold else 0


def _lay_out(trees: list[Tree], names: tuple[str, ...], slope: float, source: str) -> TreeModel:
    depth = max((_depth(tree) for tree in trees), default=0)
    slots: dict[Slot, int] = {}
    for tree in trees:
        for node in range(len(tree.threshold)):
            slots.setdefault(_slot(tree, node), len(slots))
    if not slots:
        slots[(0, True, False)] = 0  # every tree is one leaf; the filled-up nodes need a slot
    layout = ("complete" if depth <= DEPTH else
              "words" if max(len(tree.leaf_value) for tree in trees) <= WORD else "linked")
    nodes = {"complete": _complete, "words": _words, "linked": _linked}[layout](trees, slots)
    feature, goes_left, zero = (np.array(column) for column in zip(*slots))
    columns = (feature.astype(np.int64), np.where(goes_left, -np.inf, np.nan), zero)
    best = [max(tree.leaf_value) for tree in trees]
    best_rest = np.array([*np.cumsum(best[::-1])[::-1], 0.0])
    return TreeModel(names, len(trees), depth, slope, source, layout, columns, nodes, best_rest)


def _complete(trees: list[Tree], slots: dict[Slot, int]) -> tuple[Array, ...]:
    """(slot, threshold, leaf) of trees filled up to depth 3: below a leaf both sides agree."""
    slot = np.zeros((len(trees), 2**DEPTH - 1), np.int64)
    threshold = np.zeros((len(trees), 2**DEPTH - 1))
    leaf = np.zeros((len(trees), 2**DEPTH))
    for t, tree in enumerate(trees):
        level = [0 if tree.threshold else -1]
        for k in range(2**DEPTH - 1):
            node = level[k]
            if node >= 0:
                slot[t, k] = slots[_slot(tree, node)]
                threshold[t, k] = tree.threshold[node]
                level += [tree.left_child[node], tree.right_child[node]]
            else:
                level += [node, node]
        leaf[t] = [tree.leaf_value[~child] for child in level[2**DEPTH - 1:]]
    return slot, threshold, leaf


def _words(trees: list[Tree], slots: dict[Slot, int]) -> tuple[Array, ...]:
    """(first node, slot, threshold, leaves kept on the left, on the right, all leaves, first leaf, leaf) of trees.

    Leaf k of a tree is bit k.
    """
    slot, threshold, kept, every_leaf = [], [], [], []
    for tree in trees:
        below = _leaves_below(tree)
        every = 2 ** len(tree.leaf_value) - 1
        every_leaf.append(every)
        for node in range(len(tree.threshold)):
            slot.append(slots[_slot(tree, node)])
            threshold.append(tree.threshold[node])
            kept.append([every & ~below[tree.right_child[node]], every & ~below[tree.left_child[node]]])
    first_node, first_leaf = (np.cumsum([0, *(len(part) for part in parts)]) for parts in
                              ([tree.threshold for tree in trees], [tree.leaf_value for tree in trees]))
    on_left, on_right = np.array(kept, np.uint64).reshape(-1, 2).T.copy()
    return (first_node, np.array(slot, np.int64), np.array(threshold), on_left, on_right,
            np.array(every_leaf, np.uint64), first_leaf, np.concatenate([tree.leaf_value for tree in trees]))


def _leaves_below(tree: Tree) -> dict[int, int]:
    """Bits of the leaves below each node and leaf (a leaf k is ~k)."""
    below = {~k: 1 << k for k in range(len(tree.leaf_value))}
    for node in reversed(range(len(tree.threshold))):  # children stand after their parents
        below[node] = below[tree.left_child[node]] | below[tree.right_child[node]]
    return below


def _linked(trees: list[Tree], slots: dict[Slot, int]) -> tuple[Array, ...]:
    """(first node, slot, threshold, left, right, leaf) of trees of any depth, one after another."""
    first: list[int] = []
    slot: list[int] = []
    left: list[int] = []
    right: list[int] = []
    threshold: list[float] = []
    leaf: list[float] = []
    for tree in trees:
        n_nodes, n_leaves = len(threshold), len(leaf)
        first.append(n_nodes if tree.threshold else ~n_leaves)
        slot += [slots[_slot(tree, node)] for node in range(len(tree.threshold))]
        threshold += tree.threshold
        for side, children in ((left, tree.left_child), (right, tree.right_child)):
            side += [c + n_nodes if c >= 0 else c - n_leaves for c in children]
        leaf += tree.leaf_value
    return (np.array(first, np.int64), np.array(slot, np.int64), np.array(threshold),
            np.array(left, np.int64), np.array(right, np.int64), np.array(leaf))
