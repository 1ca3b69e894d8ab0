"""Closure of a measurement: a strength fitted to bins whose true strength is known.

The bins are of a second simulation that stands in for data. It is finite itself: how far the estimate moves with it is
measured by bootstrap samples of it, and stands apart from the error of the fit, which is that of data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.plain import as_plain
from fei_lite.statistics.fits import StrengthFit, fit_strength
from fei_lite.statistics.from_templates import workspace_of
from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.workspaces import open_likelihood
from fei_lite.templates import Template

Floats = NDArray[np.float64]

#: Events per bin of each region; with a generator of random numbers those of a bootstrap sample.
Counts = Callable[[np.random.Generator | None], Mapping[str, Floats]]


@dataclass(frozen=True)
class ClosureFit:
    """A fitted strength beside the true one, ``expected``; ``unit`` is the branching fraction of strength 1.

    ``sample_error`` is the standard deviation of the estimate over bootstrap samples of the bins (NaN of fewer than
    two), ``undefined`` of which had no fit.
    """

    fit: StrengthFit
    expected: float
    unit: float
    sample_error: float
    replicas: int
    undefined: int

    @property
    def pull(self) -> float:
        """Estimate minus truth in standard deviations of both errors."""
        away = self.fit.best_fit - self.expected
        error = self.fit.error_down if away > 0.0 else self.fit.error_up
        return float(away / np.hypot(error, self.sample_error if np.isfinite(self.sample_error) else 0.0))

    def lines(self) -> list[str]:
        """The result as text."""
        fit, unit = self.fit, self.unit
        return [f"fitted {fit.best_fit * unit:.3g} +{fit.error_up * unit:.2g} -{fit.error_down * unit:.2g} (fit) +- "
                f"{self.sample_error * unit:.2g} (the stand-in's size), generated {self.expected * unit:.4g}: "
                f"{self.pull:+.2f} standard deviations",
                f"strength {fit.best_fit:.3f} +{fit.error_up:.3f} -{fit.error_down:.3f} +- {self.sample_error:.3f}, "
                f"expected {self.expected:.3f}; {self.replicas} bootstrap samples, {self.undefined} without a fit"]

    def to_json(self) -> dict[str, Any]:
        """The result; null where undefined."""
        found: dict[str, Any] = as_plain({
            "best_fit": self.fit.best_fit, "error_up": self.fit.error_up, "error_down": self.fit.error_down,
            "sample_error": self.sample_error, "expected": self.expected, "unit": self.unit, "pull": self.pull,
            "replicas": self.replicas, "undefined": self.undefined})
        return found


def fit_closure(regions: Mapping[str, Sequence[Template]], counts: Counts, *, expected: float, unit: float = 1.0,
                statistics: str = "sample", replicas: int = 100, rng: np.random.Generator) -> ClosureFit:
    """Fit the strength of the templates' signal to the bins that ``counts`` gives for each region.

    Raises :class:`WorkspaceError` for templates that make no workspace.
    """
    likelihood = open_likelihood(workspace_of(regions, statistics=statistics))
    fit = fit_strength(likelihood, _data(likelihood, counts(None)))
    found, undefined = [], 0
    for _ in range(replicas):
        try:
            found.append(fit_strength(likelihood, _data(likelihood, counts(rng)), fast=True).best_fit)
        except FitError:
            undefined += 1
    spread = float(np.std(found, ddof=1)) if len(found) > 1 else float("nan")
    return ClosureFit(fit, expected, unit, spread, replicas, undefined)


def _data(likelihood: Likelihood, counts: Mapping[str, Floats]) -> Floats:
    """A data vector of the likelihood with these bins; auxiliary data are those of the workspace."""
    bins = [np.asarray(counts[name], dtype=np.float64) for name in likelihood.model.config.channels]
    return np.concatenate([*bins, likelihood.observed[likelihood.n_bins:]])
