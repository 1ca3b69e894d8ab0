"""The combination written plainly with itertools: the slow twin of the kernel."""

from __future__ import annotations

import itertools

import numpy as np


def mass_of(p4):
    return float(np.sqrt(max(p4[3] ** 2 - p4[0] ** 2 - p4[1] ** 2 - p4[2] ** 2, 0.0)))


def combine(event_rows, slots, mother_signs, pool, sqrt_s, cuts, rank):
    """Candidates of one event: sorted lists of (mother sign, frozenset-free row tuple, rank value).

    ``event_rows[t]`` are the pool rows of table ``t``; ``slots`` is a list of
    (table, sign); ``cuts`` and ``rank`` are functions of (p4 sum, rows).
    Unlike the kernel it walks the whole product and removes permutations by
    comparing sets.
    """
    kept = []
    for mother_sign in mother_signs:
        lists = []
        for table, sign in slots:
            wanted = sign * mother_sign
            lists.append([r for r in event_rows[table]
                          if wanted == 0 or pool["sign"][r] in (wanted, 0)])
        seen = set()
        for rows in itertools.product(*lists):
            used = [set(pool["objects"][r]) for r in rows]
            if len(set().union(*used)) != sum(len(u) for u in used):
                continue
            groups = {}
            for (table, sign), row in zip(slots, rows, strict=True):
                # an unflavoured row may stand in slots of either sign: one group per table then
                key = (table, "any" if pool["sign"][row] == 0 else sign)
                groups.setdefault(key, []).append(row)
            key = frozenset((k, tuple(sorted(v))) for k, v in groups.items())
            if key in seen:
                continue
            total = pool["p4_cms"][list(rows)].sum(axis=0)
            if not all(low < f(total, rows) < high for f, low, high in cuts(sqrt_s)):
                continue
            seen.add(key)
            kept.append((mother_sign, rows, rank(total, rows)))
    return kept
