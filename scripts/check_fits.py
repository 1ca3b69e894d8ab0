"""Fits of random workspaces against many-start Minuit on pyhf's own likelihood.

    python scripts/check_fits.py --n 300 --seed 1

Best fit, both errors, observed and median expected limit: at each, twice the
negative log-likelihood (which pyhf evaluates, and MIGRAD minimises from many
random starts) must be within 0.02 of what it should be. Prints disagreements;
exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from fei_lite.errors import FitError
from fei_lite.statistics.fits import fit_strength
from fei_lite.statistics.likelihood import Likelihood
from fei_lite.statistics.limits import asymptotic_cls, upper_limit
from fei_lite.statistics.minimum import first_of_alike, minimum
from fei_lite.statistics.workspaces import open_likelihood

Floats = NDArray[np.float64]

#: Largest difference in twice the negative log-likelihood.
TOLERANCE = 0.02
LEVEL = 0.9


# --- random workspaces --------------------------------------------------------------------------------------------

def random_workspace(rng: np.random.Generator) -> dict[str, Any]:
    """One to three channels, a signal and one to three backgrounds, with every kind of modifier."""
    size = 10.0 ** rng.uniform(0.0, 2.0)
    channels, observations = [], []
    names = [f"n{i}" for i in range(rng.integers(1, 4))], [f"h{i}" for i in range(rng.integers(0, 3))]
    n_channels = int(rng.choice([1, 1, 2, 3]))
    free = bool(rng.random() < 0.25)
    for c in range(n_channels):
        # one bin cannot tell the signal from a free background
        n_bins, shared = int(rng.integers(3 if free else 1, 5)), bool(rng.random() < 0.3)
        samples = [_sample(rng, f"b{k}" if k else "signal", c, n_bins, names, size=size, shared=shared)
                   for k in range(rng.integers(2, 5))]
        if free:
            samples[-1]["modifiers"].append({"name": "free", "type": "normfactor", "data": None})
        background = np.sum([s["data"] for s in samples[1:]], axis=0)
        if np.any(background <= 0.0):  # a likelihood of zero without signal is no comparison
            samples[1]["data"] = [x if b > 0.0 else 0.05 * size for x, b in zip(samples[1]["data"], background)]
            samples[1]["modifiers"] = [m for m in samples[1]["modifiers"] if m["type"] == "normsys"]
            background = np.sum([s["data"] for s in samples[1:]], axis=0)
        expected = background * rng.uniform(0.7, 1.3) + rng.uniform(0.0, 2.0) * np.array(samples[0]["data"])
        channels.append({"name": f"c{c}", "samples": samples})
        observations.append({"name": f"c{c}", "data": [int(n) for n in rng.poisson(expected)]})
    return {"version": "1.0.0", "channels": channels, "observations": observations,
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}]}


def _sample(rng: np.random.Generator, name: str, channel: int, n_bins: int, names: tuple[list[str], list[str]], *,
            size: float, shared: bool) -> dict[str, Any]:
    signal = name == "signal"
    data = size * 10.0 ** rng.uniform(-1.0, 0.3, n_bins) * (0.5 if signal else 1.0)
    if not signal and rng.random() < 0.25:
        data[rng.integers(n_bins)] = 0.0
    modifiers = [{"name": "mu", "type": "normfactor", "data": None}] if signal else []
    modifiers += [{"name": n, "type": "normsys", "data": _factors(rng)} for n in names[0] if rng.random() < 0.6]
    modifiers += [{"name": h, "type": "histosys", "data": _histograms(rng, data)} for h in names[1]
                  if rng.random() < 0.6]
    if shared and not signal:
        modifiers.append({"name": f"stat_{channel}", "type": "staterror", "data": list(rng.uniform(0.0, 0.3) * data)})
    elif rng.random() < 0.25:
        errors = rng.uniform(0.05, 0.6, n_bins) * data
        errors[rng.random(n_bins) < 0.1] = 0.0
        modifiers.append({"name": f"shape_{channel}_{name}", "type": "shapesys", "data": list(errors)})
    return {"name": name, "data": list(data), "modifiers": modifiers}


def _factors(rng: np.random.Generator) -> dict[str, float]:
    """Variations to both sides, to one side, equal, or one of them nominal."""
    size = rng.uniform(0.02, 0.35)
    high, low = 1.0 + size, 1.0 - size * rng.uniform(0.5, 1.2)
    form = rng.choice(["both", "one side", "equal", "nominal"], p=[0.4, 0.25, 0.2, 0.15])
    if form != "both":
        low = {"one side": 1.0 + size * rng.uniform(0.1, 1.5), "equal": high, "nominal": 1.0}[str(form)]
    if rng.random() < 0.5:
        high, low = low, high
    if rng.random() < 0.3:
        high, low = 1.0 / high, 1.0 / low
    return {"hi": float(high), "lo": float(low)}


def _histograms(rng: np.random.Generator, data: Floats) -> dict[str, list[float]]:
    shift = rng.normal(0.0, 0.2, len(data))
    form = rng.choice(["both", "one side", "equal", "nominal", "mixed"])
    other = {"both": -shift, "one side": shift * rng.uniform(0.1, 1.5), "equal": shift, "nominal": 0.0 * shift,
             "mixed": rng.normal(0.0, 0.2, len(data))}[str(form)]
    return {"hi_data": [float(x) for x in data * (1.0 + shift)], "lo_data": [float(x) for x in data * (1.0 + other)]}


# --- the reference ------------------------------------------------------------------------------------------------

class Reference:
    """Twice the negative log-likelihood of pyhf, minimised by MIGRAD from many starts."""

    def __init__(self, spec: dict[str, Any], rng: np.random.Generator, *, starts: int) -> None:
        import pyhf

        workspace = pyhf.Workspace(spec)
        self.model, self.rng, self.starts = workspace.model(), rng, starts
        self.data = np.array(workspace.data(self.model))
        config = self.model.config
        self.init, self.fixed = np.array(config.suggested_init()), np.array(config.suggested_fixed())
        self.bounds = [(None, None) if name == "mu" else tuple(bound)
                       for name, bound in zip(config.par_names, config.suggested_bounds())]
        self.poi = config.poi_index
        self.batch = workspace.model(batch_size=2 * len(self.init))

    def twice(self, x: Floats, data: Floats) -> float:
        """Of pyhf; where a bin expects less than nothing (pyhf: n = 0 is fine there), large and rising."""
        value = -2.0 * float(self.model.logpdf(x, data)[0])
        if np.isfinite(value) and np.all(data[: self.model.config.nmaindata] > 0.0):
            return value
        negative = float(np.minimum(self.model.expected_actualdata(x), 0.0).sum())
        return value if np.isfinite(value) and negative > -1e-9 else 1e5 * (1.0 - negative)

    def slopes(self, x: Floats, data: Floats) -> Floats:
        """Central differences, by pyhf's batches."""
        step = 1e-5 * np.eye(len(x))
        values = -2.0 * np.asarray(self.batch.logpdf(np.concatenate([x + step, x - step]), data))
        n = len(x)
        slopes = (values[:n] - values[n:]) / 2e-5
        if np.all(np.isfinite(slopes)) and (np.all(data[: self.model.config.nmaindata] > 0.0)
                                            or np.min(self.model.expected_actualdata(x)) > 1e-3):
            return slopes
        return np.array([(self.twice(x + s, data) - self.twice(x - s, data)) / 2e-5 for s in step])

    def least(self, data: Floats, *, strength: float | None = None, near: Iterable[Floats] = ()) -> float:
        """The least value over all starts, the parameter of interest held at ``strength`` or free."""
        from iminuit import Minuit

        free = np.flatnonzero(~self.fixed & (np.arange(len(self.init)) != (self.poi if strength is not None else -1)))
        starts = [self.init, *near]
        for _ in range(self.starts):
            x = self.init + np.where(self.init == 0.0, self.rng.normal(0.0, 1.5, len(self.init)),
                                     self.rng.normal(0.0, 0.2, len(self.init)))
            x[self.poi] = self.rng.normal(1.0, 2.0)
            starts.append(np.where(self.fixed, self.init, x))
        best = np.inf
        for start in starts:
            x = np.array(start, dtype=np.float64)
            if strength is not None:
                x[self.poi] = strength
            best = min(best, self.twice(x, data))
            if len(free) == 0:
                continue

            def at(values: Floats, x: Floats = x) -> Floats:
                full = x.copy()
                full[free] = values
                return full

            minuit = Minuit(lambda v: self.twice(at(v), data), x[free], grad=lambda v: self.slopes(at(v), data)[free])
            minuit.errordef, minuit.strategy = 1.0, 0
            minuit.limits, minuit.errors = [self.bounds[i] for i in free], np.full(len(free), 0.1)
            minuit.migrad(ncall=3000, iterate=2)
            best = min(best, float(minuit.fval), self.twice(at(np.array(minuit.values)), data))
        return best


# --- comparison ---------------------------------------------------------------------------------------------------

def compare(spec: dict[str, Any], rng: np.random.Generator, *, starts: int = 3) -> list[str]:
    """What disagrees between the fit of a workspace and the reference."""
    likelihood, reference = open_likelihood(spec), Reference(spec, rng, starts=starts)
    fit, limit = fit_strength(likelihood), upper_limit(likelihood, level=LEVEL)
    data = likelihood.observed
    found, least = [], reference.least(data, near=[fit.point.parameters])
    ours = reference.twice(fit.point.parameters, data)
    if not abs(ours - least) < TOLERANCE:
        found.append(f"best fit {fit.best_fit:.4g}: {ours - least:+.3f} above the minimum")
    for name, error, sign in (("upper error", fit.error_up, 1.0), ("lower error", fit.error_down, -1.0)):
        found += _error(likelihood, reference, f"{name} {error:.4g}", fit.best_fit, sign * error, sign, least)
    return found + _limits(likelihood, reference, limit.observed, limit.expected[2], least)


def _profile(likelihood: Likelihood, reference: Reference, strength: float, data: Floats) -> float:
    try:
        near = [minimum(likelihood, data, held={likelihood.poi: strength}).parameters]
    except FitError:
        near = []
    return reference.least(data, strength=strength, near=near)


def _error(likelihood: Likelihood, reference: Reference, name: str, best: float, distance: float, sign: float,
           least: float) -> list[str]:
    data = likelihood.observed
    if np.isnan(distance):
        for step in (1.0, 3.0, 10.0):
            rise = _profile(likelihood, reference, best + sign * step * likelihood.scale(), data) - least
            if 1.0 + TOLERANCE < rise < 1e4:
                return [f"{name}: the reference rises by {rise:.3f} within {step:g} statistical errors"]
        return []
    rises = [_profile(likelihood, reference, best + part * distance, data) - least for part in (0.6, 1.0)]
    found = [] if abs(rises[1] - 1.0) < TOLERANCE else [f"{name}: the reference has risen by {rises[1]:.3f} there"]
    if rises[0] > 1.0 + TOLERANCE:
        found.append(f"{name}: the reference has risen by {rises[0]:.3f} at 0.6 of it")
    return found


def _limits(likelihood: Likelihood, reference: Reference, observed: float, median: float, least: float) -> list[str]:
    data = likelihood.observed
    held = {likelihood.poi: 0.0}
    without = first_of_alike(likelihood, data, minimum(likelihood, data, held=held), held=held)
    zero = _profile(likelihood, reference, 0.0, data)
    lost = reference.twice(without.parameters, data) - zero
    if not abs(lost) < TOLERANCE:
        return [f"without signal: {lost:+.3f} above the minimum"]
    # of valleys equally deep each gives Asimov data: those of the limit
    asimov = likelihood.expected(without.parameters)
    saturated = reference.least(asimov, strength=0.0, near=[without.parameters])
    found = []
    best = minimum(likelihood, data).parameters[likelihood.poi]
    if np.isnan(observed):  # the nuisances can take all signal away, at a finite price: no strength is excluded
        far = max(best, 0.0) + 30.0 * likelihood.scale()
        q, q_asimov = (_profile(likelihood, reference, far, data) - (least if best > 0.0 else zero),
                       _profile(likelihood, reference, far, asimov) - saturated)
        return [] if asymptotic_cls(q, q_asimov) > 1.0 - LEVEL else [f"limit undefined, but below {far:.4g}"]
    if np.isnan(median):
        far = _profile(likelihood, reference, 30.0 * likelihood.scale(), asimov) - saturated
        return [] if far < norm.isf(0.5 * (1.0 - LEVEL)) ** 2 else [f"median limit undefined, but q rises to {far:.3f}"]
    q_median = _profile(likelihood, reference, median, asimov) - saturated
    if not abs(q_median - norm.isf(0.5 * (1.0 - LEVEL)) ** 2) < TOLERANCE:
        found.append(f"median limit {median:.4g}: q is {q_median:.3f} there")
    q_asimov = _profile(likelihood, reference, observed, asimov) - saturated
    # q-tilde of a deficit is measured from no signal
    q = _profile(likelihood, reference, observed, data) - (least if best > 0.0 else zero)
    wanted = brentq(lambda x: asymptotic_cls(x, q_asimov) - (1.0 - LEVEL), 0.0, 100.0)
    if not abs(q - wanted) < TOLERANCE:
        found.append(f"limit {observed:.4g}: q is {q:.3f} there, {wanted:.3f} would be excluded at {LEVEL:g}")
    return found


def main() -> int:
    """Parse the command line, compare workspace by workspace, print what disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=300, help="workspaces (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--starts", type=int, default=3, help="random starts of each fit (default: %(default)s)")
    parser.add_argument("--only", type=int, help="number of the one workspace to compare")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write workspaces that disagree there")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")

    wrong, begin = 0, time.monotonic()
    for i, rng in enumerate(np.random.default_rng(arguments.seed).spawn(arguments.n)):
        if arguments.only not in (None, i):
            continue
        spec = random_workspace(rng)
        try:
            findings = compare(spec, rng, starts=arguments.starts)
        except FitError as error:
            findings = [f"FitError: {error}"]
        for finding in findings:
            print(f"seed {arguments.seed}, workspace {i}: {finding}", flush=True)
        wrong += bool(findings)
        if findings and arguments.save is not None:
            arguments.save.mkdir(parents=True, exist_ok=True)
            (arguments.save / f"{arguments.seed}_{i}.json").write_text(json.dumps(spec), encoding="utf-8")
        if (i + 1) % 50 == 0:
            print(f"{i + 1} of {arguments.n}, {wrong} disagree", file=sys.stderr, flush=True)
    print(f"seed {arguments.seed}: {wrong} of {arguments.n} workspaces disagree "
          f"({time.monotonic() - begin:.0f} s, {arguments.starts} random starts)")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
