"""Limits on B+ -> K+ X with an invisible X, against its mass, from a search for B+ -> K+ nu nubar (arXiv:2602.09666).

The signal of the workspace becomes background at the standard model's rate, with an uncertainty, and the two-body
decay at q2 = m_X^2 is the new signal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.two_body import MASS_MAX, two_body_events
from fei_lite.errors import FitError
from fei_lite.reinterpretation.inputs import VECTOR_ONLY, Inputs, origin
from fei_lite.statistics.fits import expected_data, fit_strength, significance
from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.signal_parts import SignalPart, with_parts
from fei_lite.statistics.workspaces import Workspace, open_likelihood

Floats = NDArray[np.float64]

#: Branching fraction of the two-body decay at strength 1.
UNIT = 1e-5
#: Relative error of the standard model's branching fraction: 0.37 of 4.97 (1e-6), arXiv:2311.14647.
STANDARD_MODEL_ERROR = 0.37 / 4.97
#: Masses of the scan, GeV.
MASSES = tuple(float(x) for x in np.round(np.arange(0.0, 4.71, 0.1), 3))
_STRENGTH = "two_body"


def two_body_workspace(inputs: Inputs, mass: float, *, uncertainty: float = STANDARD_MODEL_ERROR) -> Workspace:
    """The workspace with strength ``two_body``: B(B+ -> K+ X) in units of UNIT; ``mass`` of X in GeV.

    ``uncertainty`` is the relative one of the standard model's K nu nubar, which is background; 0: it is held. The
    relative uncertainties of the signal are those of the standard model's in each bin, but for the form factor.
    """
    ratios, errors = {}, {}
    for channel, density in inputs.densities.items():
        events, error = two_body_events(density, mass, UNIT)
        total = density.values.sum(axis=1)
        ratios[channel] = np.divide(events, total, out=np.zeros_like(events), where=total > 0.0)
        errors[channel] = np.divide(error, events, out=np.zeros_like(events), where=events > 0.0)
    known = {"rate_of_k_nunu": (1.0 - uncertainty, 1.0 + uncertainty)} if uncertainty else {}
    parts = [SignalPart("k_nunu", {c: np.ones_like(r) for c, r in ratios.items()}, normalisations=known),
             SignalPart("k_x", ratios, _STRENGTH, (0.0, 1e3), errors=errors, without=VECTOR_ONLY)]
    return with_parts(inputs.spec, parts, name=inputs.name)


def two_body_limits(inputs: Inputs, masses: Sequence[float] = MASSES, *, level: float = 0.9,
                    uncertainty: float = STANDARD_MODEL_ERROR, injected: float | None = None,
                    progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """CLs limits (asymptotic), best fits and significances against the mass, as a JSON object.

    ``injected``: Asimov data with this branching fraction of the two-body decay, in place of the observed ones. What
    has no value is null, with its reason: near the end of the spectrum a search may have no efficiency.
    """
    rows = []
    for i, mass in enumerate(masses):
        rows.append(_row(inputs, float(mass), level, uncertainty, injected))
        if progress is not None:
            progress(i + 1)
    return {"model": "two_body", **origin(inputs), "data": "observed" if injected is None else "asimov",
            "injected": injected, "level": level, "method": "CLs, asymptotic",
            "standard_model_uncertainty": uncertainty, "largest_mass_GeV": MASS_MAX, "masses": rows}


def _row(inputs: Inputs, mass: float, level: float, uncertainty: float, injected: float | None) -> dict[str, Any]:
    made = {c: two_body_events(d, mass, UNIT) for c, d in inputs.densities.items()}
    events = float(sum(values.sum() for values, _ in made.values()))
    error = float(np.sqrt(sum(np.sum(errors**2) for _, errors in made.values())))
    row: dict[str, Any] = {"mass_GeV": mass, "q2_GeV2": mass**2, "events_at_1e-5": events,
                           "template_error": error / events if events else None, "limit": None,
                           "expected": [None] * 5, "best_fit": None, "errors": [None, None], "significance": None}
    if not events > 0.0:
        return row | {"undefined": "the density has no events at this q2"}
    likelihood = open_likelihood(two_body_workspace(inputs, mass, uncertainty=uncertainty))
    data = likelihood.observed if injected is None else expected_data(likelihood, injected / UNIT)
    try:
        return row | _fitted(likelihood, data, level)
    except FitError as problem:
        return row | {"undefined": str(problem)}


def _fitted(likelihood: Likelihood, data: Floats, level: float) -> dict[str, Any]:
    fit, limit = fit_strength(likelihood, data), upper_limit(likelihood, data, level=level)
    found: dict[str, Any] = {
        "limit": _scaled(limit.observed), "expected": [_scaled(x) for x in limit.expected],
        "best_fit": _scaled(fit.best_fit), "errors": [_scaled(fit.error_up), _scaled(fit.error_down)],
        "significance": significance(likelihood, data)}
    reasons = [*limit.undefined.values(), *fit.undefined.values()]
    if not reasons and None in (found["limit"], *found["expected"]):
        reasons = [f"no branching fraction below 1 is excluded at {100.0 * level:g} %: the template is too uncertain"]
    return found | ({"undefined": reasons[0]} if reasons else {})


def _scaled(strength: float) -> float | None:
    """A branching fraction; null if there is none, or none below 1."""
    return float(strength * UNIT) if np.isfinite(strength) and strength * UNIT < 1.0 else None
