"""LightGBM's text model, line by line: the header, the trees, and what is wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fei_lite.errors import ModelSetError

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


def read_header(lines: list[str], source: str) -> tuple[dict[str, str], int]:
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


def steepness(objective: str, source: str) -> float:
    """The ``sigmoid`` of a binary objective (LightGBM's default 1), NaN for another objective."""
    words = objective.split()
    if not words or words[0] != "binary":
        return float("nan")
    options = dict(word.partition(":")[::2] for word in words[1:])
    try:
        value = float(options.get("sigmoid", "1"))
    except ValueError:
        raise ModelSetError(f"{source}: objective '{objective}': sigmoid is not a number.") from None
    if not (value > 0.0 and math.isfinite(value)):
        raise ModelSetError(f"{source}: objective '{objective}': sigmoid is {value:g}, expected a positive finite "
                            "number: otherwise no score tells signal.")
    return value


def read_tree(lines: list[str], start: int, n_features: int, source: str) -> tuple[Tree, int]:
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
    if not all(map(math.isfinite, tree.leaf_value)):
        bad = next(value for value in tree.leaf_value if not math.isfinite(value))
        raise ModelSetError(f"{where}: leaf_value: got {bad}, expected finite numbers.")
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
