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

#: Reasons to stop Fisher scoring.
CONVERGED, STUCK, LONG = 0, 1, 2


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
def expected_bins(parameters, arrays, events, derivatives):
    """As :func:`expected_events`, of the model's arrays in one tuple."""
    expected_events(parameters, arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], arrays[5], arrays[6], arrays[7],
                    arrays[8], arrays[9], events, derivatives)


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


@kernel
def many_negative_log_likelihoods(points, data, arrays, constraints, sigma, empty, found):
    """Fill ``found`` (n,) with :func:`negative_log_likelihood` at ``points`` (n, n_parameters)."""
    n_bins = len(data) - constraints.shape[0]
    expected, nothing = np.empty(len(data)), np.empty((0, points.shape[1]))
    for i in range(len(points)):
        expected_bins(points[i], arrays, expected[:n_bins], nothing)
        expected[n_bins:] = constraints @ points[i]
        found[i] = negative_log_likelihood(data, expected, sigma, empty, 0.0)


@kernel
def information_at(data, expected, derivatives, sigma, empty, soft, gradient, information):
    """Fill the gradient (n_parameters,) and Fisher information of :func:`negative_log_likelihood`."""
    n_parameters = derivatives.shape[1]
    gradient[:] = 0.0
    information[:] = 0.0
    used = np.empty(n_parameters, dtype=np.int64)
    for i in range(len(data)):
        nu = expected[i]
        if np.isnan(sigma[i]):
            n = max(data[i], empty)
            size = max(n, 1.0)
            floor = soft * size
            if soft > 0.0 and nu < floor:
                slope, weight = 1.0 - n / floor + (nu - floor) / floor**2 * size, size / floor**2
            elif nu > 0.0:
                slope, weight = (nu - n) / nu, 1.0 / nu
            else:  # nothing expected, nothing seen: at the barrier
                slope, weight = 0.0, 1.0 / empty
        elif sigma[i] > 0.0:
            weight = 1.0 / sigma[i] ** 2
            slope = (nu - data[i]) * weight
        else:
            continue
        k = 0
        for p in range(n_parameters):
            if derivatives[i, p] != 0.0:
                used[k] = p
                k += 1
        for a in range(k):
            p, left = used[a], derivatives[i, used[a]] * weight
            gradient[p] += derivatives[i, p] * slope
            for b in range(a + 1):
                information[p, used[b]] += left * derivatives[i, used[b]]
    for p in range(n_parameters):
        for q in range(p):
            information[q, p] = information[p, q]


@kernel
def ridged_inverse(information, moving, covariance):
    """Fill the inverse on the moving parameters, 0 elsewhere; a flat direction gets a huge variance."""
    rows = np.flatnonzero(moving)
    n = len(rows)
    scale, block = np.empty(n), np.empty((n, n))
    for a in range(n):
        diagonal = information[rows[a], rows[a]]
        scale[a] = np.sqrt(diagonal) if diagonal > 0.0 else 1.0
    for a in range(n):
        for b in range(n):
            block[a, b] = information[rows[a], rows[b]] / (scale[a] * scale[b]) + (1e-12 if a == b else 0.0)
    block = np.linalg.inv(block)
    covariance[:] = 0.0
    for a in range(n):
        for b in range(n):
            covariance[rows[a], rows[b]] = block[a, b] / (scale[a] * scale[b])


@kernel
def expected_data(x, arrays, constraints, events, slopes, expected, derivatives):
    """Fill expected data (bins, then auxiliary) and, unless ``slopes`` has no rows, their derivatives."""
    n_bins = len(events)
    expected_bins(x, arrays, events, slopes)
    expected[:n_bins] = events
    expected[n_bins:] = constraints @ x
    if slopes.shape[0] > 0:
        derivatives[:n_bins] = slopes
        derivatives[n_bins:] = constraints


@kernel
def score(x, low, high, free, data, arrays, constraints, sigma, empty, soft, tolerance, covariance):
    """Fisher scoring from ``x`` (which it moves) with projection on the bounds and halved steps.

    Returns the negative log-likelihood and the reason to stop; ``covariance`` is filled.
    """
    n_parameters, n_data = len(x), len(data)
    n_bins = n_data - constraints.shape[0]
    events, slopes, nothing = np.empty(n_bins), np.empty((n_bins, n_parameters)), np.empty((0, n_parameters))
    expected, there, derivatives = np.empty(n_data), np.empty(n_data), np.empty((n_data, n_parameters))
    gradient, information = np.empty(n_parameters), np.empty((n_parameters, n_parameters))
    moving, step, trial = np.empty(n_parameters, dtype=np.bool_), np.empty(n_parameters), np.empty(n_parameters)
    expected_data(x, arrays, constraints, events, slopes, expected, derivatives)
    nll = negative_log_likelihood(data, expected, sigma, empty, soft)
    for _ in range(80):
        information_at(data, expected, derivatives, sigma, empty, soft, gradient, information)
        for p in range(n_parameters):
            moving[p] = free[p] and not (x[p] <= low[p] and gradient[p] > 0.0) and not (
                x[p] >= high[p] and gradient[p] < 0.0)
        ridged_inverse(information, moving, covariance)
        step[:] = -(covariance @ gradient)
        decrease = -0.5 * (gradient @ step)
        if not np.all(np.isfinite(step)):
            return nll, STUCK
        if decrease < tolerance:
            return nll, CONVERGED
        length = 1.0
        if soft == 0.0:  # part of the step that leaves every bin an expectation
            for b in range(n_bins):
                change = 0.0
                for p in range(n_parameters):
                    change += slopes[b, p] * step[p]
                if change < 0.0 and events[b] > 0.0:
                    length = min(length, -0.99 * events[b] / change)
        value = np.inf
        for _ in range(40):
            for p in range(n_parameters):
                trial[p] = min(max(x[p] + length * step[p], low[p]), high[p])
            expected_data(trial, arrays, constraints, events, nothing, there, derivatives)
            value = negative_log_likelihood(data, there, sigma, empty, soft)
            if value < nll:
                break
            length *= 0.5
        if not value < nll:
            return nll, STUCK
        x[:] = trial
        nll = value
        expected_data(x, arrays, constraints, events, slopes, expected, derivatives)
    return nll, LONG
