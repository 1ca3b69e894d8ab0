"""Posterior of the Wilson coefficients of B+ -> K+ nu nubar from a workspace and its joint number density.

The signal is the sum of a vector, a scalar and a tensor part, each with the template that its spectrum gives and a
strength (coefficient over the standard model's vector one)^2. Priors are flat in the magnitudes of the coefficients,
as in arXiv:2507.12393. Nuisances are marginalised. The vector part has the form factor that the standard model's
template had, and its uncertainties; scalar and tensor part have those of f0 and fT instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.density import Density
from fei_lite.analyses.k_nunu.weak_theory import (
    FORM_FACTOR_ERRORS,
    OPERATORS,
    STANDARD_MODEL_VECTOR,
    branching_ratios,
    operator_fractions,
)
from fei_lite.reinterpretation.inputs import VECTOR_ONLY, Inputs, origin
from fei_lite.reinterpretation.predictive import predictive
from fei_lite.statistics.credible import central, highest_density
from fei_lite.statistics.fits import StrengthFit, fit_strength
from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.posterior import FlatPrior, Posterior, best_values, sample_posterior
from fei_lite.statistics.signal_parts import SignalPart, with_parts
from fei_lite.statistics.workspaces import Workspace, open_likelihood

Floats = NDArray[np.float64]

#: The range of the flat priors of arXiv:2507.12393.
RANGE = (0.0, 20.0)
LEVELS = (0.68, 0.95)
#: Samples that a result keeps.
KEPT = 2000


def operator_weights(density: Density) -> Floats:
    """Rate of each operator over the standard model's in bins of q2, (3, n_q2), at its vector coefficient.

    Events without a generated q2 count for the vector part alone.
    """
    nominal = density.fractions
    found = operator_fractions(density.q2_edges, density.form_factor)
    unknown = np.eye(3)[:, :1] * np.ones_like(nominal)  # 1 for the vector part, 0 for the others
    return np.asarray(np.divide(found, nominal, out=unknown, where=nominal > 0.0))


def operator_parts(density: Density) -> tuple[Floats, Floats]:
    """Events of each operator over the standard model's in bins of x, (3, n_x), at its vector coefficient.

    And their relative statistical errors beyond the standard model's, which all parts share.
    """
    weights = operator_weights(density)
    weights[0] = 1.0  # the vector part is the standard model, to the last digit
    total, events = density.values.sum(axis=1), density.values @ weights.T
    relative = np.divide(density.variances @ (weights**2).T, events**2, out=np.zeros_like(events), where=events > 0.0)
    ratios = np.divide(events, total[:, None], out=np.zeros_like(events), where=total[:, None] > 0.0)
    return ratios.T, np.sqrt(np.maximum(relative - relative[:, :1], 0.0)).T


def wilson_workspace(inputs: Inputs, *, highest: float = RANGE[1]) -> Workspace:
    """The workspace with the strengths ``vector``, ``scalar`` and ``tensor`` in place of the signal's.

    Each is (coefficient / STANDARD_MODEL_VECTOR)^2, with coefficients up to ``highest``.
    """
    made = {channel: operator_parts(density) for channel, density in inputs.densities.items()}
    top = (highest / STANDARD_MODEL_VECTOR) ** 2
    parts = []
    for i, operator in enumerate(OPERATORS):
        error = FORM_FACTOR_ERRORS.get(operator)
        parts.append(SignalPart(
            operator, {c: ratios[i] for c, (ratios, _) in made.items()}, operator, (0.0, top),
            errors={c: errors[i] for c, (_, errors) in made.items()},
            normalisations={} if error is None else {f"rate_of_{operator}": ((1 - error) ** 2, (1 + error) ** 2)},
            without=() if error is None else VECTOR_ONLY))
    return with_parts(inputs.spec, parts, name=inputs.name)


def priors(low: float = RANGE[0], high: float = RANGE[1]) -> list[FlatPrior]:
    """Flat priors of the three magnitudes."""
    return [FlatPrior(name, operator, low, high, STANDARD_MODEL_VECTOR, 2.0) for operator, name in OPERATORS.items()]


def at_couplings(likelihood: Likelihood, coefficients: Floats) -> Floats:
    """Parameters of the likelihood with three coefficients (not over the standard model's), nuisances nominal."""
    point = likelihood.start.copy()
    for operator, value in zip(OPERATORS, coefficients, strict=True):
        point[likelihood.index(operator)] = (value / STANDARD_MODEL_VECTOR) ** 2
    return point


def standard_model_fit(inputs: Inputs) -> tuple[StrengthFit, StrengthFit]:
    """Fit of the strength in the workspace as it was, and of the vector part with the others at zero: they agree."""
    likelihood = open_likelihood(wilson_workspace(inputs))
    for operator in ("scalar", "tensor"):
        index = likelihood.index(operator)
        likelihood.fixed[index], likelihood.start[index] = True, 0.0
    # what only scalar and tensor parts have moves nothing
    return fit_strength(open_likelihood(inputs.spec)), fit_strength(likelihood)


def wilson_posterior(inputs: Inputs, *, rng: np.random.Generator, injected: Floats | None = None,
                     high: float = RANGE[1], most_steps: int = 40_000,
                     progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """All numbers of the reinterpretation, as a JSON object; ``injected``: Asimov data of these coefficients.

    Raises :class:`WorkspaceError` for a workspace whose signal cannot be replaced.
    """
    likelihood = open_likelihood(wilson_workspace(inputs, highest=high))
    data = likelihood.observed if injected is None else likelihood.expected(at_couplings(likelihood, injected))
    flat = priors(RANGE[0], high)
    found = sample_posterior(likelihood, flat, data=data, rng=rng, most_steps=most_steps, progress=progress)
    mode, _ = best_values(likelihood, flat, data)
    was, now = standard_model_fit(inputs)
    rate = inputs.branching_fraction * branching_ratios(inputs.form_factor)
    branching = (found.values / STANDARD_MODEL_VECTOR) ** 2 @ rate
    kept = np.linspace(0, len(found.values) - 1, min(KEPT, len(found.values))).astype(int)
    return {
        "model": "wet", **origin(inputs), "data": "observed" if injected is None else "asimov",
        "injected": None if injected is None else [float(x) for x in injected],
        "standard_model": {"coefficients": [STANDARD_MODEL_VECTOR, 0.0, 0.0],
                           "strength_before": _fit(was), "strength_after": _fit(now)},
        "branching_ratios": dict(zip(OPERATORS, branching_ratios(inputs.form_factor).tolist(), strict=True)),
        "prior": {"flat_in": list(found.names), "from": RANGE[0], "to": high, "nuisances": "marginalised"},
        "sampler": sampler(found),
        "mode": dict(zip(found.names, mode.tolist(), strict=True)),
        "intervals": {name: intervals(found, found.values[:, i]) for i, name in enumerate(found.names)},
        "branching_fraction": intervals(found, branching),
        "predictive": predictive(likelihood, found, data, rng),
        "samples": {"names": [*found.names, "branching_fraction"],
                    "values": [[float(f"{x:.5g}") for x in row]
                               for row in np.column_stack([found.values, branching])[kept]]}}


def _fit(fit: StrengthFit) -> dict[str, float]:
    return {"best_fit": fit.best_fit, "error_up": fit.error_up, "error_down": fit.error_down}


def sampler(found: Posterior) -> dict[str, Any]:
    """How the posterior was sampled, and how well."""
    return {"program": "emcee", "walkers": found.walkers, "steps": found.steps, "acceptance": found.acceptance,
            "autocorrelation_steps": found.autocorrelation.tolist(), "independent_samples": found.effective.tolist(),
            "r_of_quarters": found.split.tolist()}


def intervals(found: Posterior, values: Floats) -> dict[str, Any]:
    """Median and credible intervals of samples (n,), edges with Monte Carlo errors from the quarters of the chain."""
    made: dict[str, Any] = {"mean": float(np.mean(values)), "median": float(np.median(values))}
    for level in LEVELS:
        for name, interval in (("highest_density", highest_density), ("central", central)):
            parts = [interval(quarter, level) for quarter in found.quarters(values)]
            made[f"{name}_{100 * level:g}"] = {"edges": list(interval(values, level)),
                                               "monte_carlo_errors": (np.std(parts, axis=0, ddof=1) / 2.0).tolist()}
    return made
