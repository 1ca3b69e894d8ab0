"""The decay chain of candidates, written out as text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.particles import conjugate, is_self_conjugate
from fei_lite.reconstruction.engine import Reconstruction


def chain_texts(result: Reconstruction, particle: str, rows: NDArray[np.integer]) -> NDArray[np.str_]:
    """Decay chains of candidates (rows of a particle's table) as text.

    For example ``B+ -> (anti-D0 -> K+ pi- (pi0 -> gamma gamma)) pi+``. Charge
    conjugates are written as reconstructed; an unflavoured candidate takes the
    name that its mother's channel gives it. Leaves from the V0 list carry
    ``:V0``.
    """
    ids, texts = _describe(result, particle, np.asarray(rows), np.ones(len(rows), dtype=np.int64))
    outer = [text[1:-1] if text.startswith("(") else text for text in texts]
    return np.array(outer, dtype=str)[ids] if len(rows) else np.empty(0, dtype="U1")


def _describe(
    result: Reconstruction, particle: str, rows: NDArray, context: NDArray,
) -> tuple[NDArray[np.int64], list[str]]:
    """Number each row's chain; chains that are equal share a number and a text."""
    table = result.tables[particle]
    config = result.channel_set.particles[particle]
    sign = np.where(table["sign"][rows] == 0, context, table["sign"][rows]).astype(np.int64)
    mode = table["decayModeID"][rows]
    ids = np.zeros(len(rows), dtype=np.int64)
    texts: list[str] = []
    for index in np.unique(mode):
        channel = config.channels[index]
        here = np.flatnonzero(mode == index)
        key = sign[here] + 1
        children = []
        for j, daughter in enumerate(channel.daughters if channel.leaf is None else ()):
            known = daughter in result.tables
            name = daughter if known else conjugate(daughter)
            child_ids, child_texts = _describe(
                result, name, table["daughters"][rows[here], j], sign[here] * (1 if known else -1))
            children.append((child_ids, child_texts))
            _, key = np.unique(key * len(child_texts) + child_ids, return_inverse=True)
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        ids[here] = number + len(texts)
        for i in first:
            own = particle if sign[here[i]] > 0 or is_self_conjugate(particle) else conjugate(particle)
            if channel.leaf is not None:
                texts.append(own + (":V0" if channel.leaf == "V0" else ""))
            else:
                texts.append(f"({own} -> {' '.join(names[child[i]] for child, names in children)})")
    return ids, texts
