"""The least negative log-likelihood: Fisher scoring from several starts, Minuit with the last word.

Each step of Fisher scoring solves for the Fisher information, so that a fit
with 50 nuisances needs some ten evaluations: this is what makes toys cheap.
But it rests wherever the gradient is zero, also at a saddle (both variations of
a nuisance on one side), and it finds the minimum of the valley it started in.
So :func:`minimum` starts in each valley that the workspace can have
(:attr:`Likelihood.branching`) and asks Minuit's MIGRAD to go on from the lowest
point, until neither finds less. :func:`fast_minimum`, for toys, leaves Minuit
out where the scoring converged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.kernels.histfactory import ridged_inverse
from fei_lite.statistics.likelihood import FitPoint

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Floats = NDArray[np.float64]
Held = Mapping[int, float]

#: A minimum is lower than another if it is by this much.
LOWER = 1e-6

#: Where a nuisance with two valleys starts, in standard deviations to either side; and far out, for Minuit's fits.
SIDE = 1.2
FAR = 3.0

#: Nuisances with two valleys whose valleys are all combined; of more, one after the other is turned round.
COMBINED = 3

#: Part of a bin's events below which the likelihood goes on as a parabola, on the way to an allowed start.
SOFTNESS = (0.3, 0.03, 0.003)

#: Calls of the likelihood that Minuit may make.
CALLS = 5_000


@dataclass
class _Problem:
    """Data, and which parameters may move."""

    likelihood: Likelihood
    data: Floats
    held: Held

    def __post_init__(self) -> None:
        self.free = ~self.likelihood.fixed
        self.free[list(self.held)] = False

    def starting(self, start: Floats) -> Floats:
        """A start within the bounds, the held parameters in place."""
        x = np.where(self.free, np.clip(start, self.likelihood.lower, self.likelihood.upper), start)
        for index, value in self.held.items():
            x[index] = value
        return x


def minimum(likelihood: Likelihood, data: Floats, *, held: Held | None = None,
            starts: Iterable[Floats] = ()) -> FitPoint:
    """The least negative log-likelihood over all parameters but those ``held`` (index -> value).

    ``starts`` are tried besides the nominal parameters and their valleys.
    Raises :class:`FitError` if nothing that is allowed agrees with the data (a
    bin has events but no expectation), or if no fit converges.
    """
    problem = _Problem(likelihood, data, held or {})
    best = _lowest(problem, starts)
    for _ in range(4):
        best = _turned_round(problem, best, sides=(SIDE, FAR))
        lower, converged = _minuit(problem, best[0])
        if lower is None:
            best = best[0], best[1] or converged
            break
        best = _lower((lower, converged), _score(problem, lower.parameters))
    if not best[1]:
        raise FitError(_unconverged(problem, best[0]))
    return best[0]


def fast_minimum(likelihood: Likelihood, data: Floats, *, held: Held | None = None,
                 starts: Iterable[Floats] = ()) -> FitPoint:
    """As :func:`minimum`, for scans and toys: without Minuit where Fisher scoring converged."""
    problem = _Problem(likelihood, data, held or {})
    best = _turned_round(problem, _lowest(problem, starts, few=not likelihood.branching))
    return best[0] if best[1] else minimum(likelihood, data, held=held, starts=[best[0].parameters])


def first_of_alike(likelihood: Likelihood, data: Floats, point: FitPoint, *, held: Held | None = None) -> FitPoint:
    """Of the minima as low as ``point``, the one whose nuisances with two valleys are larger, the first counting most.

    Where both variations of a nuisance are equal, its two valleys are equally deep, and rounding alone would say
    which a search ends in: a choice that other machines repeat needs a rule.
    """
    problem = _Problem(likelihood, data, held or {})
    turning = [i for i in likelihood.branching if problem.free[i]]
    pulls = point.parameters[turning] - likelihood.start[turning]
    alone = 1.0 - 2.0 * np.eye(len(turning))
    flips = np.array(list(product((1.0, -1.0), repeat=len(turning)))) if len(turning) <= COMBINED else alone
    found = [point]
    for flip in flips:
        start = point.parameters.copy()
        start[turning] = likelihood.start[turning] + flip * pulls
        x = allowed(problem, start)
        if x is not None and not np.array_equal(x, point.parameters):
            other, converged = _score(problem, x)
            if converged and abs(other.nll - point.nll) < LOWER:
                found.append(other)
    # of one valley found twice, the pulls agree to better than this
    return max(found, key=lambda one: tuple(np.round(one.parameters[turning], 2)))


def point_at(likelihood: Likelihood, data: Floats, parameters: Floats) -> FitPoint:
    """Some parameters as a point of the likelihood, with the covariance they have there."""
    expected = likelihood.expected(parameters)
    _, information = likelihood.gradient(data, expected, likelihood.derivatives(parameters))
    free = ~likelihood.fixed & (parameters > likelihood.lower) & (parameters < likelihood.upper)
    return FitPoint(parameters, likelihood.nll(data, expected), inverse(information, free))


_Result = tuple[FitPoint, bool]


def _lowest(problem: _Problem, starts: Iterable[Floats], *, few: bool = False) -> _Result:
    """The lowest point that Fisher scoring reaches; with ``few`` the first start that gets anywhere is enough."""
    found: list[_Result] = []
    for start in (*starts, *_starts(problem)):
        x = allowed(problem, start)
        if x is not None:
            found.append(_score(problem, x))
            if few and found[-1][1]:
                break
    if not found:
        raise FitError(_no_start(problem))
    return min(found, key=lambda result: result[0].nll)


def _lower(one: _Result, other: _Result) -> _Result:
    """The lower of two; of two alike, the one that converged."""
    if abs(one[0].nll - other[0].nll) < LOWER:
        return other if other[1] else one
    return other if other[0].nll < one[0].nll else one


def _starts(problem: _Problem) -> Iterator[Floats]:
    """Nominal parameters with estimated free normalisations, and the valleys of nuisances that have two."""
    likelihood = problem.likelihood
    nominal = _estimated(problem, problem.starting(likelihood.start))
    yield nominal
    turning = [i for i in likelihood.branching if problem.free[i]]
    if len(turning) > COMBINED:
        combinations: Iterable[Sequence[float]] = ([side] * len(turning) for side in (-SIDE, SIDE))
    else:
        combinations = product((-SIDE, SIDE), repeat=len(turning)) if turning else ()
    for sides in combinations:
        start = nominal.copy()
        start[turning] = likelihood.start[turning] + np.array(sides)
        yield _estimated(problem, problem.starting(start))


def _estimated(problem: _Problem, start: Floats) -> Floats:
    """A start whose free normalisations are estimated by least squares, the nuisances being as they are."""
    likelihood, n = problem.likelihood, problem.likelihood.n_bins
    loose = np.flatnonzero(problem.free & likelihood.unconstrained)
    if len(loose) == 0:
        return start
    x = start.copy()
    x[loose] = 0.0
    effect = likelihood.bins.derivatives(x)[:, loose]
    weight = 1.0 / np.sqrt(np.maximum(problem.data[:n], 1.0))
    missing = (problem.data[:n] - likelihood.bins.events(x)) * weight
    size = np.linalg.norm(effect * weight[:, None], axis=0)
    used = size > 0.0
    x[loose[~used]] = start[loose[~used]]
    scaled = effect[:, used] * weight[:, None] / size[used]
    x[loose[used]] = np.linalg.lstsq(scaled, missing, rcond=1e-9)[0] / size[used]
    return problem.starting(x)


def allowed(problem: _Problem, start: Floats) -> Floats | None:
    """Parameters near ``start`` at which the likelihood is not zero; None if there are none to be found."""
    x, likelihood = problem.starting(start), problem.likelihood
    if np.isfinite(likelihood.nll(problem.data, likelihood.expected(x))):
        return x
    for soft in SOFTNESS:
        x = _score(problem, x, soft=soft)[0].parameters
        if np.isfinite(likelihood.nll(problem.data, likelihood.expected(x))):
            return x
    return None


def _score(problem: _Problem, x: Floats, *, soft: float = 0.0) -> _Result:
    return problem.likelihood.score(problem.data, x, problem.free, soft=soft)


def _turned_round(problem: _Problem, best: _Result, *, sides: Sequence[float] = (SIDE,)) -> _Result:
    """The lowest point after starting on the other side of each nuisance that has two valleys."""
    likelihood = problem.likelihood
    turning = [i for i in likelihood.branching if problem.free[i]]
    for _ in range(3):
        before = best
        for index in turning:
            for side in (sign * side for side in sides for sign in (-1.0, 1.0)):
                pull = best[0].parameters[index] - likelihood.start[index]
                if abs(pull - side) < 0.7 * abs(side):  # the valley where it is
                    continue
                start = best[0].parameters.copy()
                start[index] = likelihood.start[index] + side
                x = allowed(problem, _estimated(problem, start))
                if x is None:
                    continue
                other = _score(problem, x)
                if other[0].nll < best[0].nll - LOWER:
                    best = other
        if best is before:
            break
    return best


def _minuit(problem: _Problem, point: FitPoint) -> tuple[FitPoint | None, bool]:
    """Where MIGRAD finds a lower likelihood, starting at ``point`` (None: nowhere), and whether it converged."""
    from iminuit import Minuit

    likelihood, data = problem.likelihood, problem.data
    moving = np.flatnonzero(problem.free & (point.parameters > likelihood.lower)
                            & (point.parameters < likelihood.upper))
    if len(moving) == 0:
        return None, False
    x = point.parameters.copy()
    soft = SOFTNESS[-1]

    def function(values: Floats) -> float:
        x[moving] = values
        return likelihood.nll(data, likelihood.expected(x), soft=soft)

    def slopes(values: Floats) -> Floats:
        x[moving] = values
        return likelihood.gradient(data, likelihood.expected(x), likelihood.derivatives(x), soft=soft)[0][moving]

    variances = np.diag(point.covariance)[moving]
    minuit = Minuit(function, point.parameters[moving], grad=slopes)
    minuit.errordef, minuit.strategy, minuit.print_level = Minuit.LIKELIHOOD, 1, 0
    minuit.errors = np.where(variances > 0.0, np.sqrt(np.maximum(variances, 1e-300)), 0.1)
    minuit.limits = [(None if np.isinf(low) else low, None if np.isinf(high) else high)
                     for low, high in zip(likelihood.lower[moving], likelihood.upper[moving])]
    minuit.tol = 1e-3
    minuit.migrad(ncall=CALLS, iterate=2, use_simplex=False)
    x[moving] = np.array(minuit.values)
    nll = likelihood.nll(data, likelihood.expected(x))
    lower = replace(point, parameters=x.copy(), nll=nll) if nll < point.nll - LOWER else None
    return lower, bool(minuit.valid)


def _no_start(problem: _Problem) -> str:
    likelihood = problem.likelihood
    x = _estimated(problem, problem.starting(likelihood.start))
    bins = likelihood.impossible(problem.data, likelihood.expected(x))
    poi = likelihood.poi
    where = f" at {likelihood.names[poi]} = {problem.held[poi]:.4g}" if poi in problem.held else ""
    return (f"the likelihood is zero{where}: bins {', '.join(bins[:5])} have events or negative expectations where "
            "some are needed. Merge bins, or give the templates a floor.")


def _unconverged(problem: _Problem, point: FitPoint) -> str:
    likelihood = problem.likelihood
    return (f"no minimum was found: neither Fisher scoring nor Minuit converges, at {likelihood.names[likelihood.poi]}"
            f" = {point.parameters[likelihood.poi]:.4g}. Is a parameter without effect, or a bin without expectation?")


def inverse(information: Floats, moving: NDArray[np.bool_]) -> Floats:
    """Inverse on the moving parameters; a flat direction gets a huge variance instead of an exception."""
    covariance = np.empty_like(information)
    ridged_inverse(information, moving, covariance)
    return covariance
