"""Posterior of some parameters, the nuisances marginalised: emcee's ensemble sampler on a likelihood.

The constraint terms are the priors of the nuisances (after a flat prior before the auxiliary data), within the bounds
of the workspace; all of them are sampled together with the parameters of interest, and none is profiled. emcee:
D. Foreman-Mackey et al., PASP 125 (2013) 306; its differential-evolution moves suit some ten dimensions and more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FeiLiteError, FitError
from fei_lite.statistics.minimum import minimum

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]

#: How often progress is told between two looks at the chain.
_TELL = 10

#: Every so many steps are kept. The chain is looked at after LOOK steps and whenever it has grown by GROWTH; it is
#: long enough with LONG_ENOUGH autocorrelation times, of which the first BURN_IN are left out.
THIN, LOOK, GROWTH, LONG_ENOUGH, BURN_IN = 10, 1000, 1.3, 50, 5


@dataclass(frozen=True)
class FlatPrior:
    """A parameter ``name``, flat from ``low`` to ``high``, of which a strength of the workspace is a function.

    The ``strength`` (a parameter's name) is (value / unit)^power.
    """

    name: str
    strength: str
    low: float
    high: float
    unit: float = 1.0
    power: float = 1.0

    def strength_of(self, values: Floats) -> Floats:
        """Strengths (n,) of values (n,)."""
        return np.asarray((values / self.unit) ** self.power)

    def value_of(self, strength: float) -> float:
        """The value that has a strength."""
        return float(self.unit * strength ** (1.0 / self.power))


@dataclass(frozen=True)
class Posterior:
    """Samples of a posterior, of which the beginning is left out and the rest thinned.

    ``values`` (n, n_priors) of the flat parameters, ``parameters`` (n, n_parameters) all of the workspace, in the order
    steps x walkers; ``strengths`` are the parameters of the workspace that the flat ones set. ``autocorrelation``
    (n_priors,) in steps, of the ``steps`` that each of ``walkers`` made; ``split`` (n_priors,): root of the variance
    of all over the mean variance of the four quarters of the chain (1:
    they agree; Gelman and Rubin's R). ``acceptance``: fraction of the steps that moved.
    """

    names: tuple[str, ...]
    strengths: tuple[str, ...]
    values: Floats
    parameters: Floats
    steps: int
    walkers: int
    autocorrelation: Floats
    split: Floats
    acceptance: float

    @property
    def effective(self) -> Floats:
        """Independent samples that each parameter's are worth, (n_priors,)."""
        used = self.steps - BURN_IN * float(np.max(self.autocorrelation))
        return np.asarray(used * self.walkers / self.autocorrelation)

    def quarters(self, values: Floats) -> list[Floats]:
        """Values of samples (n,) in the four quarters of the chain: how far they differ says how exact a number is."""
        return list(np.array_split(values, 4))


def best_values(likelihood: Likelihood, priors: Sequence[FlatPrior], data: Floats) -> tuple[Floats, FitPoint]:
    """The mode of the joint posterior: values (n_priors,) of the flat parameters, and all parameters of the workspace.

    Flat priors do not move it: it is the best fit within their ranges.
    """
    low, high = likelihood.lower.copy(), likelihood.upper.copy()
    try:
        for prior in priors:
            index = likelihood.index(prior.strength)
            likelihood.lower[index], likelihood.upper[index] = (float(prior.strength_of(np.array(x)))
                                                                for x in (prior.low, prior.high))
        point = minimum(likelihood, data)
    finally:
        likelihood.lower[:], likelihood.upper[:] = low, high
    return np.array([p.value_of(float(point.parameters[likelihood.index(p.strength)])) for p in priors]), point


class _Target:
    """The logarithm of the posterior at many points of (flat parameters, free nuisances)."""

    def __init__(self, likelihood: Likelihood, priors: Sequence[FlatPrior], data: Floats) -> None:
        self.likelihood, self.priors, self.data = likelihood, priors, data
        self.strengths = np.array([likelihood.index(prior.strength) for prior in priors])
        free = ~likelihood.fixed
        free[self.strengths] = False
        self.free = np.flatnonzero(free)
        self.low = np.array([*(p.low for p in priors), *likelihood.lower[self.free]])
        self.high = np.array([*(p.high for p in priors), *likelihood.upper[self.free]])

    def parameters(self, points: Floats) -> Floats:
        """Parameters (n, n_parameters) of the workspace."""
        found = np.tile(self.likelihood.start, (len(points), 1))
        for i, prior in enumerate(self.priors):
            found[:, self.strengths[i]] = prior.strength_of(points[:, i])
        found[:, self.free] = points[:, len(self.priors):]
        return found

    def __call__(self, points: Floats) -> Floats:
        inside = np.all((points >= self.low) & (points <= self.high), axis=1)
        found = np.full(len(points), -np.inf)
        if np.any(inside):
            found[inside] = -self.likelihood.nll_of_many(self.data, self.parameters(points[inside]))
        return found

    def starts(self, point: FitPoint, n: int, rng: np.random.Generator) -> Floats:
        """Points (n, n_dimensions): flat parameters anywhere in their ranges, nuisances about the best fit."""
        width = np.sqrt(np.maximum(np.diag(point.covariance)[self.free], 0.0))
        # a nuisance that the data do not know moves as its constraint has it; one at a bound stays near it
        prior = np.sqrt(self.likelihood.prior_variance()[self.free])
        width = np.clip(width, 1e-3, np.where(np.isfinite(prior), np.maximum(prior, 1e-3), 1.0))
        found = np.empty((0, len(self.low)))
        for _ in range(100):
            flat = rng.uniform(self.low[: len(self.priors)], self.high[: len(self.priors)], (n, len(self.priors)))
            nuisances = rng.normal(point.parameters[self.free], width, (n, len(self.free)))
            both = np.hstack([flat, nuisances])
            found = np.concatenate([found, both[np.isfinite(self(both))]])
            if len(found) >= n:
                return found[:n]
        raise FitError("no start of the sampler: the likelihood is zero nearly everywhere in the ranges of the priors. "
                       "Are they too wide?")


def sample_posterior(likelihood: Likelihood, priors: Sequence[FlatPrior], *, data: Floats | None = None,
                     rng: np.random.Generator, walkers: int | None = None, most_steps: int = 40_000,
                     keep: int = 20_000, progress: Callable[[int], None] | None = None) -> Posterior:
    """Sample the posterior of ``priors``, all other parameters that are not fixed marginalised.

    Samples until the chain is LONG_ENOUGH autocorrelation times long, at most ``most_steps``; ``keep`` is about how
    many samples are returned. ``progress`` is called with the steps done. Raises :class:`FeiLiteError` for ranges
    that are empty, and without emcee.
    """
    for prior in priors:
        if not (np.isfinite(prior.low) and np.isfinite(prior.high) and prior.low < prior.high):
            raise FeiLiteError(f"prior of {prior.name}: from {prior.low:g} to {prior.high:g}, expected a range.")
    sampler_of = _emcee()
    data = likelihood.observed if data is None else data
    target = _Target(likelihood, priors, data)
    n = max(2 * len(target.low) + 2, 64) if walkers is None else walkers
    sampler = sampler_of(n, len(target.low), target, rng)
    start: Any = target.starts(best_values(likelihood, priors, data)[1], n, rng)
    steps, look, times = 0, min(LOOK, most_steps), np.full(len(priors), np.inf)
    while steps < most_steps and not steps >= LONG_ENOUGH * np.max(times):
        more = max(1, round((look - steps) / (THIN * _TELL)))
        while steps < look:
            now = min(more, max(1, (look - steps) // THIN))
            start = sampler.run_mcmc(start, now, thin_by=THIN)
            steps += now * THIN
            if progress is not None:
                progress(min(steps, most_steps))
        look = min(int(GROWTH * steps), most_steps)
        times = _times(sampler.get_chain()[:, :, : len(priors)])
    return _posterior(sampler, target, times, steps, keep)


def _times(chain: Floats) -> Floats:
    """Autocorrelation times in steps, (n_priors,) of a chain (n_kept, n_walkers, n_priors); infinite if unknown."""
    from emcee.autocorr import integrated_time

    found = THIN * np.asarray(integrated_time(chain, tol=0, quiet=True))
    return np.where(np.isfinite(found), np.maximum(found, THIN), np.inf)


def _posterior(sampler: Any, target: _Target, times: Floats, steps: int, keep: int) -> Posterior:
    times = np.where(np.isfinite(times), times, float(steps))
    n_walkers, n_priors = sampler.nwalkers, len(target.priors)
    chain = sampler.get_chain(discard=min(int(BURN_IN * np.max(times)), steps // 2) // THIN)
    chain = chain[:: max(1, len(chain) * n_walkers // keep)]
    points = chain.reshape(-1, chain.shape[-1])
    quarters = np.array_split(chain[:, :, :n_priors].reshape(-1, n_priors), 4)
    within = np.mean([q.var(axis=0) for q in quarters], axis=0)
    split = np.sqrt(1.0 + np.var([q.mean(axis=0) for q in quarters], axis=0) / np.maximum(within, 1e-300))
    names, strengths = (tuple(getattr(p, key) for p in target.priors) for key in ("name", "strength"))
    return Posterior(names, strengths, points[:, :n_priors], target.parameters(points), steps, n_walkers, times, split,
                     float(np.mean(sampler.acceptance_fraction)))


def _emcee() -> Callable[..., Any]:
    try:
        import emcee
    except ImportError:
        raise FeiLiteError("posteriors are sampled with emcee, which is not installed: pip install "
                           "'fei_lite[bayes]'.") from None

    def made(walkers: int, dimensions: int, target: _Target, rng: np.random.Generator) -> Any:
        sampler = emcee.EnsembleSampler(walkers, dimensions, target, vectorize=True, moves=[
            (emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)])
        sampler.random_state = np.random.RandomState(int(rng.integers(2**32))).get_state()
        return sampler

    return made
