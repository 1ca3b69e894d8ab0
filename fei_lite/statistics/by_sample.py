"""What each sample of a workspace expects, and the error of the sum: for figures before and after a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """Events per bin of each channel: ``samples`` channel -> sample -> (n_bins,), ``total`` and its ``errors``."""

    samples: Mapping[str, Mapping[str, Floats]] = field(repr=False)
    total: Mapping[str, Floats] = field(repr=False)
    errors: Mapping[str, Floats] = field(repr=False)


def before_fit(likelihood: Likelihood, parameters: Floats | None = None) -> Expected:
    """Expectation at the start (or at ``parameters``), with the errors that the constraint terms alone give."""
    prior = likelihood.prior_variance()
    variance = np.where(np.isfinite(prior), prior, 0.0)  # what nothing constrains has no error before the fit
    return _expected(likelihood, likelihood.start if parameters is None else parameters, np.diag(variance))


def after_fit(likelihood: Likelihood, point: FitPoint) -> Expected:
    """Expectation at a minimum, with the errors of its covariance."""
    return _expected(likelihood, point.parameters, point.covariance)


def _expected(likelihood: Likelihood, parameters: Floats, covariance: Floats) -> Expected:
    config, model = likelihood.model.config, likelihood.model
    each = np.asarray(model.main_model.expected_data(parameters, return_by_sample=True))
    derivatives = likelihood.bins.derivatives(parameters)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", derivatives, covariance, derivatives), 0.0))
    total, slices = likelihood.bins.events(parameters), config.channel_slices
    order = model.main_model.config.samples if hasattr(model.main_model, "config") else config.samples
    return Expected({name: {sample: each[i, slices[name]] for i, sample in enumerate(order)}
                     for name in config.channels},
                    {name: total[slices[name]] for name in config.channels},
                    {name: errors[slices[name]] for name in config.channels})
