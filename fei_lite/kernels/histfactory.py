"""What the bins of a HistFactory model expect, with all derivatives (CERN-OPEN-2012-016).

The model is flat: a cell is one sample in one bin. Its events are
(nominal + sum of additions) x product of factors. An addition is a histosys
(interpolation code 4p of pyhf), a factor a parameter itself or a normsys
(interpolation code 4). ``*_first`` (n_cells + 1,) say where a cell's
additions and factors begin.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import inlined, kernel


@inlined
def addition(alpha, down, up):
    """Events added by a histosys, and their derivative; ``down`` and ``up`` are the changes at -1 and +1."""
    if alpha > 1.0:
        return alpha * up, up
    if alpha < -1.0:
        return -alpha * down, -down
    half, curve, square = 0.5 * (up - down), 0.0625 * (up + down), alpha * alpha
    value = alpha * half + curve * square * (15.0 + square * (3.0 * square - 10.0))
    return value, half + curve * alpha * (30.0 + square * (18.0 * square - 40.0))


@inlined
def normalisation(alpha, row):
    """Factor of a normsys and its derivative; ``row`` holds ln up, ln down and six coefficients."""
    if alpha >= 1.0:
        value = np.exp(alpha * row[0])
        return value, value * row[0]
    if alpha <= -1.0:
        value = np.exp(-alpha * row[1])
        return value, -value * row[1]
    value, slope = 0.0, 0.0
    for k in range(5, -1, -1):
        value = (value + row[2 + k]) * alpha
        slope = slope * alpha + (k + 1) * row[2 + k]
    return 1.0 + value, slope


@kernel
def expected_events(parameters, cell_bin, nominal, add_first, add_parameter, add_down, add_up, factor_first,
                    factor_parameter, factor_row, rows, events, derivatives):
    """Fill ``events`` (n_bins,) and, unless it has no rows, ``derivatives`` (n_bins, n_parameters)."""
    wanted = derivatives.shape[0] > 0
    events[:] = 0.0
    derivatives[:] = 0.0
    longest = 1
    for c in range(len(cell_bin)):
        longest = max(longest, factor_first[c + 1] - factor_first[c])
    value, slope, before = np.empty(longest), np.empty(longest), np.empty(longest)
    for c in range(len(cell_bin)):
        base = nominal[c]
        for k in range(add_first[c], add_first[c + 1]):
            base += addition(parameters[add_parameter[k]], add_down[k], add_up[k])[0]
        first, n = factor_first[c], factor_first[c + 1] - factor_first[c]
        product = 1.0
        for k in range(n):
            alpha, row = parameters[factor_parameter[first + k]], factor_row[first + k]
            if row < 0:
                value[k], slope[k] = alpha, 1.0
            else:
                value[k], slope[k] = normalisation(alpha, rows[row])
            before[k] = product
            product *= value[k]
        b = cell_bin[c]
        events[b] += base * product
        if not wanted:
            continue
        for k in range(add_first[c], add_first[c + 1]):
            p = add_parameter[k]
            derivatives[b, p] += product * addition(parameters[p], add_down[k], add_up[k])[1]
        after = base
        for k in range(n - 1, -1, -1):
            derivatives[b, factor_parameter[first + k]] += before[k] * slope[k] * after
            after *= value[k]


@kernel
def negative_log_likelihood(data, expected, sigma, empty, soft):
    """Sum over bins above the saturated model; ``sigma`` is NaN for Poisson terms, 0 or less for none.

    No event counts as ``empty``. With ``soft`` a Poisson term goes on as a
    parabola below that part of its events; without, it is infinite there.
    """
    total = 0.0
    for i in range(len(data)):
        nu = expected[i]
        if not np.isnan(sigma[i]):
            if sigma[i] > 0.0:
                total += 0.5 * ((data[i] - nu) / sigma[i]) ** 2
            continue
        n = max(data[i], empty)
        size = max(n, 1.0)
        floor = soft * size
        if soft > 0.0 and nu < floor:
            below = nu - floor
            total += (1.0 - n / floor) * below + 0.5 * size * (below / floor) ** 2
            nu = floor
        elif nu == 0.0 and data[i] == 0.0:  # nothing expected, nothing seen
            continue
        elif not nu > 0.0:
            return np.inf
        relative = (nu - n) / n
        total += n * (relative - np.log1p(relative))  # nu - n + n ln(n / nu), exact also where the two are close
    return total
