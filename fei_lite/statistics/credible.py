"""Credible intervals of a posterior from its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import FeiLiteError

Floats = NDArray[np.float64]


def _sorted(values: ArrayLike, level: float) -> Floats:
    found = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not 0.0 < level < 1.0:
        raise FeiLiteError(f"credible level {level}: expected a number between 0 and 1, such as 0.95.")
    if len(found) < 10 or not np.all(np.isfinite(found)):
        raise FeiLiteError(f"{len(found)} samples, of which {np.sum(np.isfinite(found))} are finite: expected 10 or "
                           "more finite ones.")
    return found


def highest_density(values: ArrayLike, level: float) -> tuple[float, float]:
    """The shortest interval that holds the fraction ``level`` of the samples: of highest density for one peak.

    >>> low, high = highest_density(np.linspace(0.0, 1.0, 1001) ** 2, 0.5)  # density 1 / (2 root x): from 0 to 1/4
    >>> round(low, 3), round(high, 3)
    (0.0, 0.25)
    """
    ordered = _sorted(values, level)
    inside = int(np.ceil(level * len(ordered)))
    widths = ordered[inside - 1:] - ordered[: len(ordered) - inside + 1]
    first = int(np.argmin(widths))
    return float(ordered[first]), float(ordered[first + inside - 1])


def central(values: ArrayLike, level: float) -> tuple[float, float]:
    """The interval with equal probability below and above.

    >>> low, high = central(np.linspace(0.0, 1.0, 1001), 0.9)
    >>> round(low, 9), round(high, 9)
    (0.05, 0.95)
    """
    low, high = np.quantile(_sorted(values, level), (0.5 - 0.5 * level, 0.5 + 0.5 * level))
    return float(low), float(high)


def density_on(values: ArrayLike, points: Floats, *, low: float, high: float) -> Floats:
    """Density (n,) of the samples at ``points`` (n,): Gaussian kernels (Scott's width), reflected at both bounds.

    >>> x = np.linspace(0.0, 1.0, 5)
    >>> bool(np.allclose(density_on(np.linspace(0.0, 1.0, 2001), x, low=0.0, high=1.0), 1.0, atol=0.01))
    True
    """
    samples = np.asarray(values, dtype=np.float64)
    width = max(float(np.std(samples)), 1e-12 * (high - low)) * len(samples) ** -0.2
    found = np.zeros(len(points))
    for image in (samples, 2.0 * low - samples, 2.0 * high - samples):
        for i, x in enumerate(points):
            found[i] += np.sum(np.exp(-0.5 * ((x - image) / width) ** 2))
    return np.asarray(found / (len(samples) * width * np.sqrt(2.0 * np.pi)))
