"""Which features a classifier uses: gain and number of splits.

The gain of a split is LightGBM's: with g the gradients of the log-loss (p - y)
and h its second derivatives (p (1 - p)), both times the weight and before
the tree is added, G and H their sums over the rows of a side,

    gain = G_left^2 / H_left + G_right^2 / H_right - (G_left + G_right)^2 / (H_left + H_right),

about twice the log-loss that the split saves. Shipped texts hold the trees and
not the gains: they come from the manifest, if the training noted them there,
or are computed from candidates that the trees have not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.model_set import ChannelModel
from fei_lite.classifiers.text import unpack
from fei_lite.classifiers.tree_text import Tree, read_header, read_tree, steepness
from fei_lite.kernels.trees import ZERO

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forest:
    """The trees of a channel's text model, and the factor between score and log-odds."""

    trees: tuple[Tree, ...]
    n_features: int
    steepness: float


def read_forest(model: ChannelModel) -> Forest:
    """Read the trees of a channel. Raises :class:`ModelSetError` for a damaged text."""
    lines = unpack(model.packed, source=model.source).splitlines()
    header, n = read_header(lines, model.source)
    trees = []
    while n < len(lines) and lines[n].strip() != "end of trees":
        if lines[n].startswith("Tree="):
            tree, n = read_tree(lines, n, len(model.features), model.source)
            trees.append(tree)
        else:
            n += 1
    return Forest(tuple(trees), len(model.features), steepness(header.get("objective", ""), model.source))


def split_counts(forest: Forest) -> NDArray[np.int64]:
    """Number of splits on each feature (n_features,)."""
    features = [feature for tree in forest.trees for feature in tree.split_feature]
    return np.bincount(np.array(features, dtype=np.int64), minlength=forest.n_features)


def gains(forest: Forest, X: Floats, y: NDArray[np.bool_], weight: Floats) -> Floats:
    """Summed gain of the splits on each feature (n_features,), on candidates that need not be the training's.

    ``X`` (n, n_features), truth ``y`` and ``weight`` (n,). Sides without
    information gain nothing.
    """
    total = np.zeros(forest.n_features)
    score = np.zeros(len(X))
    for tree in forest.trees:
        p = 1.0 / (1.0 + np.exp(-forest.steepness * np.clip(score, -500.0, 500.0)))
        leaf = _leaves(tree, X)
        n_leaves = len(tree.leaf_value)
        gradient, hessian = (np.bincount(leaf, weights=weight * x, minlength=n_leaves).astype(np.float64)
                             for x in (p - y, p * (1.0 - p)))
        np.add.at(total, np.array(tree.split_feature, dtype=np.int64), _tree_gains(tree, gradient, hessian))
        score += np.array(tree.leaf_value)[leaf]
    return total


def _leaves(tree: Tree, X: Floats) -> NDArray[np.int64]:
    """Leaf of each row (n,)."""
    if not tree.threshold:
        return np.zeros(len(X), dtype=np.int64)
    feature, threshold = np.array(tree.split_feature), np.array(tree.threshold)
    kind = np.array(tree.decision_type)
    children = np.stack([tree.left_child, tree.right_child])
    missing_left = np.where(kind & 12 > 0, kind & 2 > 0, threshold >= 0.0)  # without 4 and 8 NaN counts as zero
    node, rows = np.zeros(len(X), dtype=np.int64), np.arange(len(X))
    while len(rows):
        at = node[rows]
        value = X[rows, feature[at]]
        missing = np.isnan(value) | ((kind[at] & 4 > 0) & (np.abs(value) <= ZERO))
        left = np.where(missing, missing_left[at], value <= threshold[at])
        node[rows] = children[np.where(left, 0, 1), at]
        rows = rows[node[rows] >= 0]
    return ~node


def _tree_gains(tree: Tree, gradient: Floats, hessian: Floats) -> Floats:
    """Gain of every split of a tree, from the sums of its leaves."""
    n = len(tree.threshold)
    below = [(0.0, 0.0)] * n
    found = np.zeros(n)

    def sums(child: int) -> tuple[float, float]:
        return (gradient[~child], hessian[~child]) if child < 0 else below[child]

    for node in reversed(range(n)):  # children stand after their parents
        (left_g, left_h), (right_g, right_h) = sums(tree.left_child[node]), sums(tree.right_child[node])
        below[node] = (left_g + right_g, left_h + right_h)
        if left_h > 0.0 and right_h > 0.0:
            found[node] = (left_g**2 / left_h + right_g**2 / right_h
                           - (left_g + right_g)**2 / (left_h + right_h))
    return found


def ordered_fractions(features: Sequence[str], values: NDArray[np.floating | np.integer]) -> list[tuple[str, float]]:
    """Features with their fraction of the sum of ``values``, the largest first; those without any left out."""
    total = float(values.sum())
    if not total > 0.0:
        return []
    order = np.argsort(-values, kind="stable")
    return [(features[i], float(values[i]) / total) for i in order if values[i] > 0]
