"""Units and conventions of other people's ntuples, turned into ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.events.layout import HELIX
from fei_lite.events.schema import STATUS

Floats = NDArray[np.float64]

#: Dimensions and our unit of each.
DIMENSIONS = {"length": "in cm here", "curvature": "in 1/cm here", "angle": "in rad here", "energy": "in GeV here",
              "field": "in T here", "time": "in ns here", "area": "in cm^2 here", "inverse": "in 1/GeV here",
              "number": "a number"}
#: Units of theirs: dimension, and how many of ours one is.
UNITS: dict[str, tuple[str, float]] = {
    "cm": ("length", 1.0), "mm": ("length", 0.1), "um": ("length", 1e-4), "m": ("length", 100.0),
    "1/cm": ("curvature", 1.0), "1/mm": ("curvature", 10.0), "1/m": ("curvature", 0.01),
    "rad": ("angle", 1.0), "mrad": ("angle", 1e-3), "deg": ("angle", np.pi / 180.0),
    "GeV": ("energy", 1.0), "MeV": ("energy", 1e-3), "keV": ("energy", 1e-6), "TeV": ("energy", 1e3),
    "T": ("field", 1.0), "kG": ("field", 0.1), "G": ("field", 1e-4),
    "ns": ("time", 1.0), "ps": ("time", 1e-3), "us": ("time", 1e3), "s": ("time", 1e9),
    "cm^2": ("area", 1.0), "mm^2": ("area", 1e-2), "um^2": ("area", 1e-8), "m^2": ("area", 1e4),
    "1/GeV": ("inverse", 1.0), "1/MeV": ("inverse", 1e3),
}

_OF_NAME = {"d0": "length", "z0": "length", "omega": "curvature", "phi0": "angle", "tanLambda": "number",
            "theta": "angle", "phi": "angle", "r": "length", "theta_error": "angle", "phi_error": "angle",
            "px": "energy", "py": "energy", "pz": "energy", "E": "energy", "E_error": "energy", "p": "energy",
            "x": "length", "y": "length", "z": "length", "timing": "time", "timing_error": "time", "time": "time",
            "min_track_distance": "length", "bz": "field"}


def dimension_of(list_name: str, key: str) -> str:
    """The dimension of a column of ours.

    >>> dimension_of("tracks", "omega"), dimension_of("events", "ip_x"), dimension_of("tracks", "charge")
    ('curvature', 'length', 'number')
    """
    if key.startswith("ip_cov"):
        return "area"
    for prefix in ("beam_", "ip_", "positive_", "negative_"):
        key = key.removeprefix(prefix)
    return _OF_NAME.get(key, "number")


@dataclass(frozen=True)
class Surroundings:
    """What a conversion may need besides the values: charge and field of each object."""

    charge: Floats
    bz: Floats


@dataclass(frozen=True)
class Quantity:
    """Another quantity of theirs: its dimension, ours from it, and d(ours)/d(theirs)."""

    unit: str
    ours: Callable[[Floats, Surroundings], Floats]
    slope: Callable[[Floats, Surroundings], Floats]


def _curvature(bz: Floats) -> Floats:
    """omega of a unit charge with pT = 1 GeV, 1/cm."""
    return CURVATURE_TO_PT * bz


#: (our column, their quantity) -> how ours follows from it.
QUANTITIES: dict[tuple[str, str], Quantity] = {
    ("tanLambda", "theta"): Quantity("angle", lambda v, _: 1.0 / np.tan(v), lambda v, _: -1.0 / np.sin(v) ** 2),
    ("tanLambda", "cosTheta"): Quantity("number", lambda v, _: v / np.sqrt(1.0 - v * v),
                                        lambda v, _: (1.0 - v * v) ** -1.5),
    ("tanLambda", "eta"): Quantity("number", lambda v, _: np.sinh(v), lambda v, _: np.cosh(v)),
    ("tanLambda", "lambda"): Quantity("angle", lambda v, _: np.tan(v), lambda v, _: 1.0 / np.cos(v) ** 2),
    ("omega", "qOverPt"): Quantity("inverse", lambda v, s: v * _curvature(s.bz), lambda _, s: _curvature(s.bz)),
    ("omega", "pt"): Quantity("energy", lambda v, s: s.charge * _curvature(s.bz) / v,
                              lambda v, s: -s.charge * _curvature(s.bz) / v**2),
    ("omega", "radius"): Quantity("length", lambda v, s: s.charge / np.abs(v),
                                  lambda v, s: -s.charge * np.sign(v) / v**2),
    ("theta", "cosTheta"): Quantity("number", lambda v, _: np.arccos(v), lambda v, _: -1.0 / np.sqrt(1.0 - v * v)),
    ("theta", "eta"): Quantity("number", lambda v, _: 2.0 * np.arctan(np.exp(-v)), lambda v, _: -1.0 / np.cosh(v)),
    ("E", "log"): Quantity("number", lambda v, _: np.exp(v), lambda v, _: np.exp(v)),
    ("E", "sqrt"): Quantity("number", lambda v, _: v * v, lambda v, _: 2.0 * v),
    ("E", "mass"): Quantity("energy", lambda v, _: v, lambda v, _: np.ones_like(v)),  # finished with the momentum
    ("status", "generatorStatus"): Quantity("number", lambda v, _: np.where(v > 0.0, float(STATUS["primary"]), 0.0),
                                            lambda v, _: np.zeros_like(v)),  # 0: made by the detector's simulation
}


def packed_places(order: str, parameters: tuple[str, ...]) -> NDArray[np.intp]:
    """Where the 15 elements of our packed upper triangle stand in theirs.

    >>> packed_places("upper", HELIX)[:6].tolist(), packed_places("lower", HELIX)[:6].tolist()
    ([0, 1, 2, 3, 4, 5], [0, 1, 3, 6, 10, 2])
    """
    n = len(parameters)
    rows, columns = np.triu_indices(n) if order == "upper" else np.tril_indices(n)
    place = np.empty((n, n), dtype=np.intp)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    index = [parameters.index(name) for name in HELIX]
    i, j = np.triu_indices(5)
    found: NDArray[np.intp] = place[np.take(index, i), np.take(index, j)]
    return found


def scaled_covariance(packed: NDArray[Any], slopes: Floats) -> Floats:
    """Packed 5x5 covariances (n, 15) of parameters that are stretched by ``slopes`` (n, 5)."""
    i, j = np.triu_indices(5)
    found: Floats = packed * slopes[:, i] * slopes[:, j]
    return found
