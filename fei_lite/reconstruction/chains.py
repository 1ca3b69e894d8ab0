"""The decay chain of candidates, written out as text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.particles import conjugate, is_self_conjugate
from fei_lite.reconstruction.engine import Reconstruction

#: Each candidate's chain by number, (n, 2): in a mother as named, in its conjugate; and the texts.
_Numbered = tuple[NDArray[np.int64], list[str]]


class Chains:
    """Texts of the decay chains in one reconstructed batch; each particle's table is looked at once."""

    def __init__(self, result: Reconstruction) -> None:
        self.result = result
        self._done: dict[str, _Numbered] = {}

    def texts(self, particle: str) -> NDArray[np.str_]:
        """Decay chains of all candidates of a particle as text.

        For example ``B+ -> (anti-D0 -> K+ pi- (pi0 -> gamma gamma)) pi+``. Charge
        conjugates are written as reconstructed; an unflavoured candidate takes the
        name that its mother's channel gives it. Leaves from the V0 list carry
        ``:V0``.
        """
        ids, texts = self._numbered(particle)
        outer = [text[1:-1] if text.startswith("(") else text for text in texts]
        return np.array(outer, dtype=str)[ids[:, 0]] if len(ids) else np.empty(0, dtype="U1")

    def _numbered(self, particle: str) -> _Numbered:
        """Number each candidate's chain; chains that are equal share a number and a text."""
        if particle not in self._done:
            self._done[particle] = self._number(particle)
        return self._done[particle]

    def _number(self, particle: str) -> _Numbered:
        table = self.result.tables[particle]
        own = table["sign"]
        sign = np.where(own[:, None] == 0, np.array([1, -1], own.dtype), own[:, None])
        mode = table["decayModeID"]
        ids = np.zeros(sign.shape, dtype=np.int64)
        texts: list[str] = []
        for index in np.unique(mode):
            channel = self.result.channel_set.particles[particle].channels[index]
            here = np.flatnonzero(mode == index)
            key, size, children = (sign[here] > 0).astype(np.int64), 2, []
            for j, daughter in enumerate(channel.daughters if channel.leaf is None else ()):
                known = daughter in self.result.tables
                child_ids, child_texts = self._numbered(daughter if known else conjugate(daughter))
                conjugated = (sign[here] < 0) == known
                child = child_ids[table["daughters"][here, j][:, None], conjugated.astype(np.intp)]
                children.append((child.ravel(), child_texts))
                size *= max(1, len(child_texts))
                if size > 2**62:
                    key = np.unique(key, return_inverse=True)[1].reshape(key.shape)
                    size = key.size * max(1, len(child_texts))
                key = key * len(child_texts) + child
            _, first, number = np.unique(key.ravel(), return_index=True, return_inverse=True)
            ids[here] = number.reshape(-1, 2) + len(texts)
            for i in first:
                plain = sign[here].flat[i] > 0 or is_self_conjugate(particle)
                name = particle if plain else conjugate(particle)
                if channel.leaf is not None:
                    texts.append(name + (":V0" if channel.leaf == "V0" else ""))
                else:
                    texts.append(f"({name} -> {' '.join(names[child[i]] for child, names in children)})")
        return ids, texts
