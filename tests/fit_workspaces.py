"""Small workspaces that the tests of the statistics share."""

from __future__ import annotations

import numpy as np
from scipy.special import lambertw

from fei_lite.statistics.from_templates import Channel, build_workspace
from fei_lite.templates import Template


def counting(n, *, signal=10.0, background=50.0, error=None):
    """One bin: n events seen, a signal, a background that may have a relative error."""
    sizes = {} if error is None else {"norm": error}
    return build_workspace([Channel("count", [Template("signal", [signal], signal=True),
                                              Template("background", [background], normalisations=sizes)], [n])])


def shapes(*, label="", scale=1.0):
    """Four bins with every kind of modifier that is written here."""
    background = scale * np.array([80.0, 60.0, 45.0, 30.0])
    return build_workspace([Channel("bins" + label, [
        Template("signal", scale * np.array([2.0, 5.0, 10.0, 20.0]), errors=scale * np.array([0.2, 0.3, 0.5, 0.7]),
               signal=True, normalisations={"efficiency": (0.95, 1.04)}),
        Template("generic", background, errors=0.05 * background, normalisations={"norm": 0.2, "efficiency": 0.02},
               shapes={"slope": (background * [1.1, 1.03, 0.97, 0.9], background * [0.9, 0.97, 1.03, 1.1])}),
        Template("continuum", scale * np.array([40.0, 20.0, 10.0, 5.0]), free=["continuum_norm"])],
        np.round(scale * np.array([121.0, 90.0, 70.0, 52.0])))])


def poisson_interval(n):
    """Where n ln(n / nu) + nu - n = 1/2: both branches of Lambert's W."""
    return tuple(float(np.real(-n * lambertw(-np.exp(-1.0 - 0.5 / n), branch))) for branch in (0, -1))
