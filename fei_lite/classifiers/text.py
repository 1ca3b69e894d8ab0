"""LightGBM's text model as fei-lite stores it: the lines that decide a prediction.

Gains, counts and weights of the nodes, importances and parameters are left
out, and leaf values are rounded to :data:`LEAF_DIGITS`: a third of the size.
LightGBM loads the result as it loads its own.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

from fei_lite.errors import ModelSetError

#: Digits of a leaf value: 1e-8 of a tree's step is far below any effect.
LEAF_DIGITS = 8
#: Longest text that is unpacked (bytes): the largest shipped ones have some MiB.
MAX_TEXT = 256 * 2**20

_HEADER = ("tree", "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx",
           "objective", "average_output", "feature_names", "feature_infos")
_TREE = ("Tree", "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child",
         "right_child", "leaf_value", "is_linear", "shrinkage")
#: Characters that LightGBM refuses or replaces in a feature name.
_FORBIDDEN = str.maketrans({character: "_" for character in "\",:[]{} \t\n"})


def text_names(features: Sequence[str]) -> list[str]:
    """Feature names as the text model can hold them.

    >>> text_names(["daughter(0,SignalProbability)", "abs(dM)"])
    ['daughter(0_SignalProbability)', 'abs(dM)']
    """
    names = [feature.translate(_FORBIDDEN) for feature in features]
    if len(set(names)) != len(names):
        raise ModelSetError(f"features: names are not unique in a text model: {', '.join(names)}.")
    return names


def concise_text(text: str) -> str:
    """Cut LightGBM's text model down to what a prediction needs."""
    header, *trees = text.partition("end of trees")[0].split("\nTree=")
    lines = [line for line in header.splitlines() if line.partition("=")[0] in _HEADER]
    for tree in trees:
        lines.append("")
        lines += [_concise(line) for line in f"Tree={tree}".splitlines() if line.partition("=")[0] in _TREE]
    return "\n".join([*lines, "", "end of trees", ""])


def _concise(line: str) -> str:
    key, _, values = line.partition("=")
    if key != "leaf_value":
        return line
    return f"{key}=" + " ".join(f"{float(value):.{LEAF_DIGITS}g}" for value in values.split())


def rescaled(text: str, *, slope: float, offset: float) -> str:
    """The text of a forest whose raw score is ``offset`` + ``slope`` times that of ``text``.

    Leaves are scaled; those of the first tree take the offset.
    """
    lines, shift = [], offset
    for line in text.splitlines():
        key, _, values = line.partition("=")
        if key == "leaf_value":
            leaves = (slope * float(value) + shift for value in values.split())
            line, shift = _concise(f"{key}=" + " ".join(map(repr, leaves))), 0.0
        lines.append(line)
    return "\n".join([*lines, ""])


def pack(text: str) -> bytes:
    """Compress; equal texts give equal bytes (no time stamp, no name)."""
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def unpack(data: bytes, *, source: str) -> str:
    """Undo :func:`pack`. Raises :class:`ModelSetError` for damaged bytes."""
    reader = zlib.decompressobj(31)
    try:
        text = reader.decompress(data, MAX_TEXT)
        if reader.unconsumed_tail:
            raise ModelSetError(f"{source}: unpacks to more than {MAX_TEXT // 2**20} MiB, which no model of ours does.")
        if not reader.eof or reader.unused_data:
            raise EOFError("cut off" if not reader.eof else "bytes after its end")
        return text.decode()
    except ModelSetError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ModelSetError(f"{source}: not a gzipped text model ({error}).") from None
