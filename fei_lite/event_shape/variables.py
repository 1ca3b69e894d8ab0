"""Event-shape variables as columns with basf2's names."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.event_shape import ksfw, shapes
from fei_lite.event_shape.momenta import Momenta, join

Columns = dict[str, NDArray[np.float64]]

#: The z axis of the laboratory, along which cosTBz and thrustAxisCosTheta are taken by default.
Z_AXIS = (0.0, 0.0, 1.0)


def event_shape(momenta: Momenta, *, sqrt_s: ArrayLike, beam_axis: ArrayLike = Z_AXIS) -> Columns:
    """Shape of whole events from all their particles (centre-of-mass frame), each (n,).

    ==============================================  ==================================================
    ``thrust``, ``thrustAxisCosTheta``              value; abs(cos) of the axis to ``beam_axis``
    ``foxWolframR1`` .. ``foxWolframR4``            H_l / H_0
    ``sphericity``, ``aplanarity``                  from the eigenvalues of the momentum tensor
    ``harmonicMomentThrust0`` .. ``8``              about the thrust axis
    ``cleoConeThrust0`` .. ``8``                    GeV, about the thrust axis
    ==============================================  ==================================================

    NaN for events without momentum.
    """
    axis, value = shapes.thrust(momenta)
    tensor = shapes.sphericity(momenta)
    columns = {"thrust": value, "thrustAxisCosTheta": shapes.cos_between(axis, beam_axis),
               "sphericity": tensor.sphericity, "aplanarity": tensor.aplanarity}
    ratios = shapes.fox_wolfram_ratios(shapes.fox_wolfram(momenta))
    moments = shapes.harmonic_moments(momenta, axis, sqrt_s=sqrt_s)
    cones = shapes.cleo_cones(momenta, axis)
    return (columns | {f"foxWolframR{k}": ratios[:, k] for k in range(1, 5)}
            | {f"harmonicMomentThrust{k}": moments[:, k] for k in range(9)}
            | {f"cleoConeThrust{k}": cones[:, k] for k in range(9)})


def continuum_suppression(
    candidate: Momenta, rest: Momenta, *, sqrt_s: ArrayLike, energy: ArrayLike | None = None,
    daughters: Momenta | None = None, beam_axis: ArrayLike = Z_AXIS,
) -> Columns:
    """A B candidate against its rest of the event (centre-of-mass frame), each (n,).

    ==============================================  ==================================================
    ``thrustBm``, ``thrustOm``                      thrust of the candidate, of the rest
    ``cosTBTO``, ``cosTBz``                         abs(cos) of the candidate's axis to the rest's, to
                                                    ``beam_axis``
    ``R2``                                          H_2 / H_0 of candidate and rest together
    ``CleoConeCS(1)`` .. ``(9)``                    GeV, candidate and rest about the candidate's axis
    ``KSFWVariables(hso00)`` ...                    :mod:`fei_lite.event_shape.ksfw`
    ==============================================  ==================================================

    ``candidate`` holds its final-state particles, ``energy`` its E*_B (GeV, by
    default their sum). ``daughters`` stand for it in the KSFW moments, if given
    (basf2: FS0; without, FS1). NaN where a side is empty and the variable needs it.
    """
    axis, value = shapes.thrust(candidate)
    rest_axis, rest_value = shapes.thrust(rest)
    everything = join(candidate, rest)
    ratios = shapes.fox_wolfram_ratios(shapes.fox_wolfram(everything, l_max=2))
    cones = shapes.cleo_cones(everything, axis)
    moments = ksfw.ksfw_moments(daughters or candidate, rest, sqrt_s=sqrt_s, energy=energy).columns()
    return ({"thrustBm": value, "thrustOm": rest_value, "cosTBTO": shapes.cos_between(axis, rest_axis),
             "cosTBz": shapes.cos_between(axis, beam_axis), "R2": ratios[:, 2]}
            | {f"CleoConeCS({k + 1})": cones[:, k] for k in range(shapes.N_CONES)}
            | {f"KSFWVariables({name})": values for name, values in moments.items()})
