"""Event shape: how the momenta of an event, or of a B candidate and its rest, lie in space.

Numba kernels over jagged lists of momenta in the centre-of-mass frame;
``event_shape`` and ``continuum_suppression`` give all variables by basf2's names.
"""

from fei_lite.event_shape.ksfw import KSFW, ksfw_moments
from fei_lite.event_shape.momenta import Momenta, join
from fei_lite.event_shape.shapes import (
    Sphericity,
    cleo_cones,
    cos_between,
    fox_wolfram,
    fox_wolfram_ratios,
    harmonic_moments,
    sphericity,
    thrust,
)
from fei_lite.event_shape.variables import continuum_suppression, event_shape

__all__ = [
    "KSFW", "Momenta", "Sphericity", "cleo_cones", "continuum_suppression", "cos_between",
    "event_shape", "fox_wolfram", "fox_wolfram_ratios", "harmonic_moments", "join", "ksfw_moments", "sphericity",
    "thrust",
]
