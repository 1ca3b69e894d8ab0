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

from fei_lite.errors import ModelSetError

Array = NDArray[Any]
#: A slot of the kernels: (feature, missing goes left, zero is missing).
Slot = tuple[int, bool, bool]

#: Deepest tree for the kernel that selects instead of walking.
DEPTH = 3

#: Lines of a tree that decide a prediction, with the type of their entries.
_NODE_KEYS = {"split_feature": int, "threshold": float, "decision_type": int,
              "left_child": int, "right_child": int}
_LEAF_KEYS = {"leaf_value": float}


@dataclass(frozen=True)
class Tree:
    """One tree: entries per node, and the leaf values. Child ~k is leaf k."""

    split_feature: list[int]
    threshold: list[float]
    decision_type: list[int]
    left_child: list[int]
    right_child: list[int]
    leaf_value: list[float]


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
    _slots: tuple[Array, ...] = field(repr=False)
    _nodes: tuple[Array, ...] = field(repr=False)

    def raw_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Sum of the trees, (n,), dimensionless (log-odds for the binary objective).

        ``X`` is (n, n_features) float64, columns in the order of ``feature_names``;
        NaN is allowed and takes the side that the training chose for it.
        """
        from fei_lite.kernels.trees import sum_depth3, sum_walking

        X = np.ascontiguousarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.feature_names):
            raise ModelSetError(
                f"{self.source}: feature matrix of shape {X.shape}; expected (n, "
                f"{len(self.feature_names)}), columns {', '.join(self.feature_names)}.")
        score = np.empty(len(X))
        evaluate: Callable[..., None] = sum_depth3 if self.depth <= DEPTH else sum_walking
        evaluate(X, *self._slots, *self._nodes, score)
        return score

    def probability(self, X: ArrayLike) -> NDArray[np.float64]:
        """Signal probability, (n,), between 0 and 1: 1 / (1 + exp(-steepness * raw_score))."""
        from fei_lite.kernels.trees import logistic

        if np.isnan(self.steepness):
            raise ModelSetError(f"{self.source}: the objective is not 'binary'; "
                                "only a binary classifier gives a probability.")
        score = self.raw_score(X)
        logistic(score, self.steepness, score)
        return score


def parse_trees(text: str, *, source: str) -> TreeModel:
    """Read LightGBM's text model; ``source`` (a file name) is for error messages.

    Raises :class:`ModelSetError` naming the file and the line.
    """
    lines = text.splitlines()
    header, n = _read_header(lines, source)
    names = tuple(header["feature_names"].split())
    if len(names) != int(header["max_feature_idx"]) + 1:
        raise ModelSetError(f"{source}: {len(names)} feature names, but max_feature_idx is "
                            f"{header['max_feature_idx']}; the model is damaged.")
    trees: list[Tree] = []
    while n < len(lines) and lines[n].strip() != "end of trees":
        if lines[n].startswith("Tree="):
            tree, n = _read_tree(lines, n, len(names), source)
            trees.append(tree)
        elif lines[n].strip():
            raise ModelSetError(f"{source}: line {n + 1}: got '{lines[n][:40]}', expected 'Tree=' "
                                "or 'end of trees'.")
        else:
            n += 1
    if n >= len(lines):
        raise ModelSetError(f"{source}: line {len(lines)}: the text ends without 'end of trees'; "
                            "the model is truncated.")
    return _lay_out(trees, names, _steepness(header.get("objective", ""), source), source)


def _read_header(lines: list[str], source: str) -> tuple[dict[str, str], int]:
    """Key-value pairs above the first tree, and the number of the line after them."""
    if not lines or lines[0].strip() != "tree":
        raise ModelSetError(f"{source}: line 1: expected 'tree', the first word of a LightGBM text "
                            f"model; got '{lines[0][:40] if lines else ''}'.")
    header: dict[str, str] = {}
    n = 1
    while n < len(lines) and not lines[n].startswith("Tree=") and lines[n] != "end of trees":
        if lines[n].strip():
            key, _, value = lines[n].partition("=")
            header[key] = value
        n += 1
    for key in ("version", "feature_names", "max_feature_idx"):
        if key not in header:
            raise ModelSetError(f"{source}: line {n}: the header ends without '{key}='.")
    for key, expected in (("num_class", "1"), ("num_tree_per_iteration", "1")):
        if header.get(key, "1") != expected:
            raise ModelSetError(f"{source}: {key}={header[key]}; only {expected} is supported.")
    if "average_output" in header:
        raise ModelSetError(f"{source}: an averaged forest ('average_output') is not supported.")
    return header, n


def _steepness(objective: str, source: str) -> float:
    """The ``sigmoid`` of a binary objective (LightGBM's default 1), NaN for another objective."""
    words = objective.split()
    if not words or words[0] != "binary":
        return float("nan")
    options = dict(word.partition(":")[::2] for word in words[1:])
    try:
        return float(options.get("sigmoid", "1"))
    except ValueError:
        raise ModelSetError(f"{source}: objective '{objective}': sigmoid is not a number.") from None


def _read_tree(lines: list[str], start: int, n_features: int, source: str) -> tuple[Tree, int]:
    """Read the tree whose ``Tree=`` line is ``start``; also the number of the line after it."""
    where = f"{source}: line {start + 1}: {lines[start]}"
    values: dict[str, tuple[str, int]] = {}
    n = start + 1
    while n < len(lines) and lines[n].strip() and not lines[n].startswith("Tree="):
        key, _, value = lines[n].partition("=")
        values[key] = (value, n)
        n += 1
    if values.get("is_linear", ("0", 0))[0] not in ("", "0"):
        raise ModelSetError(f"{where}: linear leaves are not supported.")
    if values.get("num_cat", ("0", 0))[0] != "0":
        raise ModelSetError(f"{where}: categorical splits are not supported; train the feature "
                            "as a number.")
    n_leaves = _numbers(values, "num_leaves", int, 1, where, source)[0]
    columns = {key: _numbers(values, key, kind, n_leaves - 1, where, source)
               for key, kind in _NODE_KEYS.items()}
    columns |= {key: _numbers(values, key, kind, n_leaves, where, source)
                for key, kind in _LEAF_KEYS.items()}
    tree = Tree(**columns)
    _check_tree(tree, n_features, where)
    return tree, n


def _numbers(values: dict[str, tuple[str, int]], key: str, kind: type, n: int, where: str,
             source: str) -> list[Any]:
    """The n numbers of a tree's line ``key``."""
    if key not in values:
        if n == 0:
            return []
        raise ModelSetError(f"{where}: no line '{key}='.")
    text, line = values[key]
    try:
        numbers = [kind(word) for word in text.split()]
    except ValueError as error:
        raise ModelSetError(f"{source}: line {line + 1}: {key}: {error}.") from None
    if len(numbers) != n and not (n == 0 and key != "leaf_value"):
        raise ModelSetError(f"{source}: line {line + 1}: {key}: got {len(numbers)} numbers, expected {n}.")
    return numbers[:n]


def _check_tree(tree: Tree, n_features: int, where: str) -> None:
    """Refuse what the kernels could not evaluate: they would read astray or never end."""
    if not tree.leaf_value:
        raise ModelSetError(f"{where}: a tree without leaves.")
    children = sorted(tree.left_child + tree.right_child)
    n = len(tree.threshold)
    if children != [*range(-n - 1, 0), *range(1, n)] and n > 0:
        raise ModelSetError(f"{where}: the children do not name each node and each leaf once.")
    if any(child >= 0 and child <= parent for child, parent in
           [*zip(tree.left_child, range(n)), *zip(tree.right_child, range(n))]):
        raise ModelSetError(f"{where}: a node stands before its parent.")
    for i in range(n):
        if not 0 <= tree.split_feature[i] < n_features:
            raise ModelSetError(f"{where}: node {i}: feature {tree.split_feature[i]} of {n_features}.")
        if math.isnan(tree.threshold[i]):
            raise ModelSetError(f"{where}: node {i}: the threshold is not a number.")
        if tree.decision_type[i] & 1:
            raise ModelSetError(f"{where}: node {i}: categorical splits are not supported; train "
                                "the feature as a number.")
        if not 0 <= tree.decision_type[i] <= 11:
            raise ModelSetError(f"{where}: node {i}: unknown decision_type {tree.decision_type[i]}.")


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


def _lay_out(trees: list[Tree], names: tuple[str, ...], steepness: float, source: str) -> TreeModel:
    depth = max((_depth(tree) for tree in trees), default=0)
    slots: dict[Slot, int] = {}
    for tree in trees:
        for node in range(len(tree.threshold)):
            slots.setdefault(_slot(tree, node), len(slots))
    if not slots:
        slots[(0, True, False)] = 0  # every tree is one leaf; the filled-up nodes need a slot
    nodes = (_complete if depth <= DEPTH else _linked)(trees, slots)
    feature, goes_left, zero = (np.array(column) for column in zip(*slots))
    columns = (feature.astype(np.int64), np.where(goes_left, -np.inf, np.nan), zero)
    return TreeModel(names, len(trees), depth, steepness, source, columns, nodes)


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
