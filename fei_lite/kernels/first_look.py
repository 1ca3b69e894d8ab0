"""What a first look at a combination sees: its daughters, summed; no fit."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel


@kernel
def fill(daughters, start, event, p4_cms, probability, mass, sqrt_s, nominal, is_tag, out):
    """Fill ``out`` (n, 9) for combinations of ``daughters`` (n, k), rows of their tables, which begin at ``start``.

    Columns: logarithm of the product of the probabilities; log-odds of the least, the next and the first;
    least energy of a daughter; then, of a tag, deltaE and three times NaN, else NaN, M - nominal, M - sum of the
    masses, momentum.
    """
    n, k = daughters.shape
    total = np.empty(4)
    for i in range(n):
        total[:] = 0.0
        product, worst, second, first, least, sum_mass = 0.0, np.inf, np.inf, np.nan, np.inf, 0.0
        for j in range(k):
            row = daughters[i, j] + start[j]
            p = probability[row]
            product += np.log(max(p, 1e-13))
            odds = np.log(max(p, 1e-13) / max(1.0 - p, 1e-13))
            if odds < worst:
                worst, second = odds, worst
            elif odds < second:
                second = odds
            if j == 0:
                first = odds
            least = min(least, p4_cms[row, 3])
            sum_mass += mass[row]
            for a in range(4):
                total[a] += p4_cms[row, a]
        p2 = total[0] * total[0] + total[1] * total[1] + total[2] * total[2]
        m = np.sqrt(max(total[3] * total[3] - p2, 0.0))
        out[i, 0], out[i, 1], out[i, 2], out[i, 3], out[i, 4] = product, worst, second, first, least
        if is_tag:
            out[i, 5], out[i, 6], out[i, 7], out[i, 8] = total[3] - 0.5 * sqrt_s[event[i]], np.nan, np.nan, np.nan
        else:
            out[i, 5], out[i, 6], out[i, 7], out[i, 8] = np.nan, m - nominal, m - sum_mass, np.sqrt(p2)
