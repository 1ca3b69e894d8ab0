"""Combination of daughters into candidates, event by event, and ranking.

All candidates of a batch that can be daughters stand in one pool, table after
table; ``pool_offsets[t, e] : pool_offsets[t, e + 1]`` are the rows of table
``t`` in event ``e``. Momenta are in the centre-of-mass frame.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.combination_codes import (
    ABS_DELTA_E,
    ABS_DM,
    ABS_DQ,
    DELTA_E,
    MASS,
    MBC,
    NOTHING,
    PROBABILITY,
    Q_VALUE,
)
from fei_lite.kernels.jit import kernel

# Rounding of a partial sum must never prune what the full sum keeps (GeV).
_MARGIN = 1e-9
_MASS_MARGIN = 1e-7
# Of a product of probabilities, relative.
_ROUNDING = 1e-12


@kernel
def _variable(code, total, sum_mass, product, sqrt_s, nominal_mass, nominal_q):
    """Value of one variable; ``total`` is (px, py, pz, E) in the CMS."""
    if code == PROBABILITY:
        return product
    if code == NOTHING:
        return 0.0
    if code == DELTA_E or code == ABS_DELTA_E:
        delta = total[3] - 0.5 * sqrt_s
        return abs(delta) if code == ABS_DELTA_E else delta
    p2 = total[0] * total[0] + total[1] * total[1] + total[2] * total[2]
    if code == MBC:
        m2 = 0.25 * sqrt_s * sqrt_s - p2
        return np.sqrt(m2) if m2 > 0.0 else np.nan
    m2 = total[3] * total[3] - p2
    m = np.sqrt(m2) if m2 > 0.0 else 0.0
    if code == MASS:
        return m
    if code == ABS_DM:
        return abs(m - nominal_mass)
    q = m - sum_mass
    return abs(q - nominal_q) if code == ABS_DQ else q


@kernel
def _insert(values, rows, n, best_n, value, new_rows, k, highest):
    """Insert into the sorted list of the ``best_n`` best; equal values keep their order."""
    if n == best_n:
        worst = values[n - 1]
        if (highest and not value > worst) or (not highest and not value < worst):
            return n
    else:
        n += 1
    i = n - 1
    while i > 0 and ((highest and value > values[i - 1]) or (not highest and value < values[i - 1])):
        values[i] = values[i - 1]
        for j in range(k):
            rows[i, j] = rows[i - 1, j]
        i -= 1
    values[i] = value
    for j in range(k):
        rows[i, j] = new_rows[j]
    return n


@kernel
def _windows(cut_variable, cut_min, cut_max, sqrt_s):
    """Bounds that prune, with a margin: least and largest CMS energy, largest mass, largest Q; of a whole combination
    also the least and largest mass squared and the largest momentum squared."""
    energy_low, energy_high, mass_high, q_high = -np.inf, np.inf, np.inf, np.inf
    mass_low, p2_high = -np.inf, np.inf
    for c in range(cut_variable.shape[0]):
        if cut_variable[c] == DELTA_E:
            energy_low = max(energy_low, cut_min[c] + 0.5 * sqrt_s)
            energy_high = min(energy_high, cut_max[c] + 0.5 * sqrt_s)
        elif cut_variable[c] == ABS_DELTA_E:
            energy_low = max(energy_low, 0.5 * sqrt_s - cut_max[c])
            energy_high = min(energy_high, 0.5 * sqrt_s + cut_max[c])
        elif cut_variable[c] == MASS:
            mass_low = max(mass_low, cut_min[c])
            mass_high = min(mass_high, cut_max[c])
        elif cut_variable[c] == MBC and cut_min[c] > 0.0:
            p2_high = min(p2_high, 0.25 * sqrt_s * sqrt_s - cut_min[c] * cut_min[c])
        elif cut_variable[c] == Q_VALUE:
            q_high = min(q_high, cut_max[c])
    m2_low = (mass_low - _MASS_MARGIN) ** 2 if mass_low > _MASS_MARGIN else -np.inf
    m2_high = (mass_high + _MASS_MARGIN) ** 2 if mass_high > 0.0 else np.inf
    return (energy_low - _MARGIN, energy_high + _MARGIN, mass_high + _MASS_MARGIN, q_high + _MASS_MARGIN,
            m2_low, m2_high, p2_high + _MASS_MARGIN)


@kernel
def _likeliest(slot_table, slot_sign, mother_sign, event, pool_offsets, sign, probability, falling, likely):
    """The largest probability that each slot may take; False if a slot has nothing to take.

    ``falling`` (by table): the probabilities of an event's candidates never rise, so that the first is the largest.
    """
    for j in range(slot_table.shape[0]):
        table = slot_table[j]
        wanted = slot_sign[j] * mother_sign
        found = False
        likely[j] = 0.0
        for row in range(pool_offsets[table, event], pool_offsets[table, event + 1]):
            if wanted == 0 or sign[row] == wanted or sign[row] == 0:
                found = True
                likely[j] = max(likely[j], probability[row])
                if falling[table]:
                    break
        if not found:
            return False
    return True


@kernel
def _fill_lists(slot_table, slot_sign, same_as, mother_sign, event, pool_offsets, sign, probability, falling, likely,
                bound, lists, length):
    """The pool rows that each slot may take, without those too improbable even with the best of all others.

    False if a slot has none.
    """
    k = slot_table.shape[0]
    for j in range(k):
        if same_as[j] >= 0:  # filled in step: the lists must be the same to the last row
            length[j] = length[same_as[j]]
            lists[j, :length[j]] = lists[same_as[j], :length[j]]
            continue
        others = 1.0 + _ROUNDING
        for i in range(k):
            if i != j:
                others *= likely[i]
        n = 0
        wanted = slot_sign[j] * mother_sign
        for row in range(pool_offsets[slot_table[j], event], pool_offsets[slot_table[j], event + 1]):
            if wanted == 0 or sign[row] == wanted or sign[row] == 0:
                if probability[row] * others <= bound:
                    if falling[slot_table[j]]:
                        break
                    continue
                lists[j, n] = row
                n += 1
        if n == 0:
            return False
        length[j] = n
    return True


@kernel
def _rest(lists, length, p4_cms, mass, likely, rest_low, rest_high, rest_mass, rest_product):
    """Least and most energy, least mass, largest product of probabilities that slots j, j + 1, ... can still add."""
    for j in range(length.shape[0] - 1, -1, -1):
        low, high, light = np.inf, -np.inf, np.inf
        for i in range(length[j]):
            row = lists[j, i]
            low = min(low, p4_cms[row, 3])
            high = max(high, p4_cms[row, 3])
            light = min(light, mass[row])
        rest_product[j] = rest_product[j + 1] * likely[j]
        rest_low[j] = rest_low[j + 1] + low
        rest_high[j] = rest_high[j + 1] + high
        rest_mass[j] = rest_mass[j + 1] + light


@kernel
def _hopeless(part, part_mass, windows, low, high, light):
    """Whether no completion of a partial sum can pass the cuts."""
    energy_low, energy_high, mass_high, q_high = windows[0], windows[1], windows[2], windows[3]
    if part[3] + low > energy_high or part[3] + high < energy_low:
        return True
    if mass_high == np.inf and q_high == np.inf:
        return False
    m2 = part[3] * part[3] - part[0] * part[0] - part[1] * part[1] - part[2] * part[2]
    least = np.sqrt(m2) if m2 > 0.0 else 0.0
    return least + light > mass_high or least - part_mass > q_high


@kernel
def _outside(part, p4, windows):
    """Whether a partial sum and a last daughter are surely outside the cuts: quicker than to look at all of them."""
    energy = part[3] + p4[3]
    if energy < windows[0] or energy > windows[1]:
        return True
    x, y, z = part[0] + p4[0], part[1] + p4[1], part[2] + p4[2]
    p2 = x * x + y * y + z * z
    m2 = energy * energy - p2
    return m2 < windows[4] or m2 > windows[5] or p2 > windows[6]


@kernel
def _passes(cut_variable, cut_min, cut_max, total, sum_mass, product, sqrt_s, nominal_mass, nominal_q):
    """Whether a whole combination is inside all cuts; NaN is outside."""
    for c in range(cut_variable.shape[0]):
        value = _variable(cut_variable[c], total, sum_mass, product, sqrt_s, nominal_mass, nominal_q)
        if not (value > cut_min[c] and value < cut_max[c]):
            return False
    return True


@kernel
def _clash(first, second):
    """Whether two bit sets share a bit."""
    for w in range(first.shape[0]):
        if first[w] & second[w]:
            return True
    return False


@kernel
def combine(slot_table, slot_sign, same_as, opposite_of, mother_signs,
            pool_offsets, p4_cms, sign, mass, probability, falling, used, sqrt_s,
            cut_variable, cut_min, cut_max, rank_variable, highest, best_n, nominal_mass, nominal_q,
            prune, min_product, give_up, out_event, out_sign, out_rank, out_rows, n_passed):
    """Combine ``k`` slots in every event; keep the best ``best_n`` per mother sign.

    Slot ``j`` takes the candidates of table ``slot_table[j]`` whose sign is
    ``slot_sign[j] * mother_sign`` or 0 (``slot_sign[j] == 0`` takes all). Slots
    of equal table and sign (``same_as[j]``, else -1) are filled in ascending
    order; an unflavoured pair in two slots of opposite sign
    (``opposite_of[j]``) likewise. ``falling`` (by table): probabilities never rise in an event. Combinations whose
    product of probabilities is not above ``min_product`` (negative: none) are not made, nor, with ``give_up`` and
    ranked by that product, those that cannot come among the ``best_n``: these are not counted either.
    ``n_passed[e]`` counts what passes the cuts. Depth first: level ``j`` of the walk has slots 0 .. j - 1 filled.
    Returns the number of rows written to ``out_*``.
    """
    k, n_words = slot_table.shape[0], used.shape[1]
    n_events = pool_offsets.shape[1] - 1
    longest = 1
    for j in range(k):
        for e in range(n_events):
            longest = max(longest, pool_offsets[slot_table[j], e + 1] - pool_offsets[slot_table[j], e])
    lists = np.empty((k, longest), np.int64)
    length, index, chosen = np.empty(k, np.int64), np.empty(k, np.int64), np.empty(k, np.int64)
    part, part_mass, part_product = np.zeros((k + 1, 4)), np.zeros(k + 1), np.ones(k + 1)
    part_used = np.zeros((k + 1, n_words), np.uint64)
    rest_low, rest_high, rest_mass = np.zeros(k + 1), np.zeros(k + 1), np.zeros(k + 1)
    rest_product, likely = np.ones(k + 1), np.empty(k)
    best_value, best_rows = np.empty(best_n), np.empty((best_n, k), np.int64)
    n_out = 0
    for e in range(n_events):
        windows = _windows(cut_variable, cut_min, cut_max, sqrt_s[e])
        for m in range(mother_signs.shape[0]):
            if not _likeliest(slot_table, slot_sign, mother_signs[m], e, pool_offsets, sign, probability, falling,
                              likely):
                continue
            if not _fill_lists(slot_table, slot_sign, same_as, mother_signs[m], e, pool_offsets, sign, probability,
                               falling, likely, min_product, lists, length):
                continue
            _rest(lists, length, p4_cms, mass, likely, rest_low, rest_high, rest_mass, rest_product)
            n_best, level, bound = 0, 0, min_product
            index[0] = 0
            while level >= 0:
                if index[level] >= length[level]:
                    level -= 1
                    continue
                row = lists[level, index[level]]
                index[level] += 1
                product = part_product[level] * probability[row]
                if product * (rest_product[level + 1] * (1.0 + _ROUNDING)) <= bound:
                    if falling[slot_table[level]]:  # no later one is more probable
                        index[level] = length[level]
                    continue
                if _clash(part_used[level], used[row]):
                    continue
                other = opposite_of[level]
                if other >= 0 and sign[row] == 0 and sign[chosen[other]] == 0 and row < chosen[other]:
                    continue
                deep = level + 1
                if prune and deep == k and _outside(part[level], p4_cms[row], windows):
                    continue
                for a in range(4):
                    part[deep, a] = part[level, a] + p4_cms[row, a]
                part_mass[deep] = part_mass[level] + mass[row]
                part_product[deep] = product
                chosen[level] = row
                if deep < k:
                    if prune and _hopeless(part[deep], part_mass[deep], windows, rest_low[deep], rest_high[deep],
                                           rest_mass[deep]):
                        continue
                    for w in range(n_words):
                        part_used[deep, w] = part_used[level, w] | used[row, w]
                    index[deep] = index[same_as[deep]] if same_as[deep] >= 0 else 0
                    level = deep
                elif not product <= bound and _passes(cut_variable, cut_min, cut_max, part[k], part_mass[k],
                                                      part_product[k], sqrt_s[e], nominal_mass, nominal_q):
                    n_passed[e] += 1
                    value = _variable(rank_variable, part[k], part_mass[k], part_product[k], sqrt_s[e],
                                      nominal_mass, nominal_q)
                    n_best = _insert(best_value, best_rows, n_best, best_n, value, chosen, k, highest)
                    if give_up and highest and rank_variable == PROBABILITY and n_best == best_n:
                        bound = max(bound, best_value[n_best - 1])
            for i in range(n_best):
                out_event[n_out], out_sign[n_out], out_rank[n_out] = e, mother_signs[m], i + 1
                for j in range(k):
                    out_rows[n_out, j] = best_rows[i, j]
                n_out += 1
    return n_out
