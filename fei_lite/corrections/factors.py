"""Data/simulation correction factors of the tagging efficiency per decay mode, with their covariance.

A control sample gives best Btags in data and in simulation. Their yields per mode
are fitted in Mbc, both with the same procedure; the factor is

    factor = yield in data / (scale x yield in simulation),

``scale`` being the number of events in data over that in simulation. Signal is
what peaks: correct candidates and nearly right ones, with hardly anything from
elsewhere (:func:`fei_lite.corrections.samples.control_tags`); its
shape is fitted to simulation, and may be shifted and wider in either fit. Where the
background is not quite an ARGUS shape, both yields are wrong in the same way. The
covariance is the sum of parts:

==========================  ==========================================================  ==============
part                        from                                                        correlated
==========================  ==========================================================  ==============
data                        Poisson fluctuations of the data (shift and width too)      via shift, width
simulation                  the same of the simulation (weights allowed)                via shift, width
signal shape                statistics of the fitted shapes                             modes that share a shape
signal model                the other signal model in both fits: the difference         fully
endpoint                    kinematic endpoint of the background moved by its error     fully
scale                       relative error of ``scale``                                 fully
==========================  ==========================================================  ==============

Modes with too few expected events are pooled, per B type, and share a
factor (:func:`fei_lite.corrections.samples.pool_modes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.corrections.samples import Options, Rows, Tags, make_rows
from fei_lite.corrections.shapes import FittedShape, SignalModel, find_model, fit_shape
from fei_lite.corrections.yields import Problem, Yields, fit_yields
from fei_lite.errors import FeiLiteError, FitError
from fei_lite.performance.best_tags import B_TYPES

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mode:
    """A row of the result: one decay mode, or several that share a factor.

    ``yields`` and ``errors`` are those of (data, simulation); ``closure`` is the simulation's
    fitted over its true yield.
    """

    b_type: str
    modes: tuple[int, ...]
    factor: float
    error: float
    yields: tuple[float, float]
    errors: tuple[float, float]
    closure: float
    own_shape: bool

    @property
    def pooled(self) -> bool:
        """Whether several modes share the factor."""
        return len(self.modes) > 1


@dataclass(frozen=True)
class CorrectionFactors:
    """Factors of all modes, the covariance (n, n) and its parts by name.

    ``shift`` (GeV) and ``width`` (factor): where the peak of the data is against
    simulation, with errors. ``left_out``: modes that have no factor, with the reason.
    """

    modes: list[Mode]
    covariance: Floats
    parts: dict[str, Floats]
    shift: tuple[float, float]
    width: tuple[float, float]
    left_out: dict[str, str] = field(default_factory=dict)
    fits: tuple[Yields, Yields] | None = None

    @property
    def factors(self) -> Floats:
        """The factors (n,)."""
        return np.array([mode.factor for mode in self.modes])

    def weights(self, b_type: NDArray[Any], mode: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
        """Factor and row of the result for Btags of ``b_type`` (521 or 511, any sign) and decayModeID ``mode``.

        NaN and -1 where there is no factor.
        """
        row = np.full(len(b_type), -1, dtype=np.int64)
        for i, found in enumerate(self.modes):
            row[(np.abs(b_type) == B_TYPES[found.b_type][0]) & np.isin(mode, found.modes)] = i
        factor: Floats = np.append(self.factors, np.nan)[row]
        return factor, row


def derive_factors(data: Tags, simulation: Tags, *, options: Options | None = None) -> CorrectionFactors:
    """Correction factors of every mode that both samples have, from fits of Mbc.

    Raises :class:`FitError` if a fit has no minimum, or no mode has enough events.
    """
    chosen = options or Options()
    if simulation.peaking is None:
        raise FeiLiteError("the simulated Btags have no truth: the shape of the peak is unknown.")
    if not chosen.scale > 0.0:
        raise FeiLiteError(f"scale {chosen.scale}: expected data over simulated events, above 0.")
    rows, left_out = make_rows(data, simulation, chosen)
    nominal = _fit(rows, chosen, chosen.model)
    other = _fit(rows, chosen, chosen.other_model)
    moved = _fit(rows, replace(chosen, endpoint=chosen.endpoint + chosen.endpoint_error), chosen.model)
    factors = nominal.factors(chosen.scale)
    parts = nominal.statistical(chosen.scale) | {
        "signal shape": nominal.from_shapes(chosen.scale),
        "signal model": _together(other.factors(chosen.scale) - factors),
        "endpoint": _together(moved.factors(chosen.scale) - factors),
        "scale": _together(factors * chosen.scale_error)}
    covariance = np.sum(list(parts.values()), axis=0)
    modes = _modes(rows, nominal, factors, covariance, chosen.min_shape)
    return CorrectionFactors(modes, covariance, parts, *nominal.position(), left_out,
                             (nominal.data, nominal.simulation))


def _together(change: Floats) -> Floats:
    """Covariance of changes that all come from one cause."""
    covariance: Floats = np.outer(change, change)
    return covariance


@dataclass(frozen=True)
class _Fitted:
    """Both fits with one signal model, and the shapes by group: which rows share each."""

    data: Yields
    simulation: Yields
    shapes: list[tuple[FittedShape, NDArray[np.intp]]]

    def factors(self, scale: float) -> Floats:
        return self.data.signal / (scale * self.simulation.signal)

    def statistical(self, scale: float) -> dict[str, Floats]:
        """Covariance of the factors from the fluctuations of data and of simulation."""
        m = len(self.data.signal)
        by_data = 1.0 / (scale * self.simulation.signal)
        by_simulation = -self.data.signal / (scale * self.simulation.signal**2)
        return {"data": np.outer(by_data, by_data) * self.data.covariance[:m, :m],
                "simulation": np.outer(by_simulation, by_simulation) * self.simulation.covariance[:m, :m]}

    def from_shapes(self, scale: float) -> Floats:
        """Covariance of the factors from the statistics of the shapes: both fits respond together."""
        covariance = np.zeros((len(self.data.signal),) * 2)
        for shape, rows in self.shapes:
            directions = []
            for i, error in enumerate(np.sqrt(np.clip(np.diag(shape.covariance), 0.0, None))):
                step = 0.1 * error  # small, so that the change is linear
                if not step > 0.0:
                    directions.append(np.zeros(len(covariance)))
                    continue
                moved = [_response(fit, rows, i, step) for fit in (self.data, self.simulation)]
                directions.append((moved[0] - moved[1] * self.data.signal / self.simulation.signal)
                                  / (scale * self.simulation.signal) / step)
            jacobian = np.array(directions)
            covariance += jacobian.T @ shape.covariance @ jacobian
        return covariance

    def position(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Shift and width of the peak, data against simulation, each with its error."""
        (shift, width), (own_shift, own_width) = self.data.position, self.simulation.position
        errors = np.hypot(*(np.sqrt(np.diag(fit.covariance)[-2:]) for fit in (self.data, self.simulation)))
        return (shift - own_shift, float(errors[0])), (width / own_width, float(errors[1]))


def _response(fit: Yields, rows: NDArray[np.intp], parameter: int, step: float) -> Floats:
    """Change of the yields (n_rows,) if a parameter of the shape of ``rows`` moves by ``step``."""
    problem = fit.problem
    shift, width = fit.position
    moved = problem.shapes.copy()
    moved[rows, parameter] += step
    before, after = (problem.model.bins(problem.edges, s, shift=shift, width=width)[0] for s in (problem.shapes, moved))
    return fit.response(fit.signal[:, None] * (after - before))


def _fit(rows: Rows, options: Options, model: str) -> _Fitted:
    """Shapes from simulation, then the yields of simulation and of data."""
    signal = find_model(model)
    shapes = _shapes(rows, options, signal)
    parameters = np.zeros((len(rows.b_types), 4))
    for shape, members in shapes:
        parameters[members] = shape.parameters
    problem = Problem(rows.simulation, options.edges, signal, parameters, options.endpoint)
    # shift and width are free in simulation too: background that is no ARGUS shape biases both fits alike
    simulation = fit_yields(problem, variance_of_bins=rows.squares)
    data = fit_yields(replace(problem, counts=rows.data))
    if not np.all(simulation.signal > 0.0):
        bad = [f"{k} {m}" for k, m, y in zip(rows.b_types, rows.modes, simulation.signal, strict=True) if not y > 0.0]
        raise FitError(f"no signal in the simulation's fit of {', '.join(bad)}: pool more modes (--min-expected).")
    return _Fitted(data, simulation, shapes)


def _shapes(rows: Rows, options: Options, model: SignalModel) -> list[tuple[FittedShape, NDArray[np.intp]]]:
    """A shape per row with enough simulated signal; the others of a B type share one, of the whole B type."""
    own = rows.effective >= options.min_shape
    groups = [(np.array([i]), np.array([i])) for i in np.flatnonzero(own)]
    for b_type in dict.fromkeys(rows.b_types):
        of_b_type = np.array([k == b_type for k in rows.b_types])
        if np.any(of_b_type & ~own):
            groups.append((np.flatnonzero(of_b_type & ~own), np.flatnonzero(of_b_type)))
    return [(fit_shape(model, rows.peak[source].sum(axis=0), rows.peak_squares[source].sum(axis=0), options.edges),
             members) for members, source in groups]


def _modes(rows: Rows, fitted: _Fitted, factors: Floats, covariance: Floats, min_shape: float) -> list[Mode]:
    errors = [np.sqrt(np.diag(fit.covariance)) for fit in (fitted.data, fitted.simulation)]
    return [Mode(b_type, modes, float(factors[i]), float(np.sqrt(covariance[i, i])),
                 (float(fitted.data.signal[i]), float(fitted.simulation.signal[i])),
                 (float(errors[0][i]), float(errors[1][i])),
                 float(fitted.simulation.signal[i] / rows.peak[i].sum()), bool(rows.effective[i] >= min_shape))
            for i, (b_type, modes) in enumerate(zip(rows.b_types, rows.modes, strict=True))]


def factors_from_plain(plain: Mapping[str, Any]) -> CorrectionFactors:
    """Correction factors from their JSON (as :func:`fei_lite.plain.as_plain` makes it; without fits)."""
    def pair(value: Sequence[float]) -> tuple[float, float]:
        return float(value[0]), float(value[1])

    modes = [Mode(m["b_type"], tuple(m["modes"]), m["factor"], m["error"], pair(m["yields"]), pair(m["errors"]),
                  m["closure"], m["own_shape"]) for m in plain["modes"]]
    return CorrectionFactors(modes, np.array(plain["covariance"], dtype=np.float64),
                             {k: np.array(v, dtype=np.float64) for k, v in plain["parts"].items()},
                             pair(plain["shift"]), pair(plain["width"]), dict(plain["left_out"]))
