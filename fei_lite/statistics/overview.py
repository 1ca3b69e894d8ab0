"""All that is shown of a fit, as one JSON object: the figures draw it, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FitError
from fei_lite.plain import as_plain
from fei_lite.statistics.by_sample import Expected, after_fit, before_fit
from fei_lite.statistics.impacts import correlations, effects, errors_of, hesse, scan, yields
from fei_lite.statistics.limits import cls_band, upper_limit
from fei_lite.statistics.profile import Profile

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import FitPoint, Likelihood

Floats = NDArray[np.float64]

#: Points of a scan, of the CLs curve, and of either axis of a contour; how far scans go, in standard deviations.
POINTS, SIDE, REACH = 25, 17, 3.0


def overview(likelihoods: Mapping[str, Likelihood], data: Floats | None = None, *, level: float = 0.9,
             contours: bool = True) -> dict[str, Any]:
    """Everything about a fit: ``likelihoods`` are of one workspace, each with another strength of interest (its key).

    The first one is fitted. Raises :class:`FitError` if there is no minimum; a scan or limit without an answer is
    named in "undefined". NaN becomes null.
    """
    likelihood = next(iter(likelihoods.values()))
    data = likelihood.observed if data is None else data
    point = hesse(likelihood, data, Profile(likelihood, data).best)
    strengths = [likelihood.index(name) for name in likelihoods]
    errors, _ = errors_of(likelihood, data, point)
    names, matrix = correlations(likelihood, point)
    undefined: dict[str, str] = {}
    result: dict[str, Any] = {
        "strengths": {name: {"value": point.parameters[i], "error": errors[i]}
                      for name, i in zip(likelihoods, strengths, strict=True)},
        "parameters": _effects(likelihood, data, point, strengths=list(zip(likelihoods, strengths, strict=True))),
        "correlations": {"names": names, "matrix": matrix},
        "scans": {}, "contours": [], "cls": {}, "level": level,
        "templates": _templates(likelihood, data, point), "yields": _yields(likelihood, point),
        "undefined": undefined}
    for name, own in likelihoods.items():
        i = likelihood.index(name)
        if not np.isfinite(errors[i]) or errors[i] == 0.0:
            undefined[name] = "nothing measures this strength: neither scan nor limit"
            continue
        values = point.parameters[i] + errors[i] * np.linspace(-REACH, REACH, POINTS)
        result["scans"][name] = {"values": values, "twice_nll": scan(likelihood, data, point, axes=[(i, values)])}
        try:
            result["cls"][name] = _band(own, data, level=level)
        except FitError as error:
            undefined[f"cls.{name}"] = str(error)
    for one, two in combinations(list(result["scans"]) if contours else [], 2):
        axes = [(i, point.parameters[i] + errors[i] * np.linspace(-REACH, REACH, SIDE))
                for i in (likelihood.index(one), likelihood.index(two))]
        result["contours"].append({"names": [one, two], "x": axes[0][1], "y": axes[1][1],
                                   "twice_nll": scan(likelihood, data, point, axes=axes)})
    plain: dict[str, Any] = as_plain(result)
    return plain


def _effects(likelihood: Likelihood, data: Floats, point: FitPoint, *,
             strengths: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Parameters with pulls and impacts."""
    return [{"name": e.name, "value": e.value, "error": e.error, "prior_error": e.prior, "pull": e.pull,
             "constraint": e.constraint, "at_bound": e.at_bound,
             "impact": {name: {"post": e.post[s], "pre": e.pre[s]} for s, (name, _) in enumerate(strengths)}}
            for e in effects(likelihood, data, point, strengths=[i for _, i in strengths])]


def _band(likelihood: Likelihood, data: Floats, *, level: float) -> dict[str, Any]:
    """CLs against the strength, as far as the limits need, and the limits."""
    limit = upper_limit(likelihood, data, level=level)
    reach = [x for x in (limit.observed, *limit.expected) if np.isfinite(x)]
    if not reach:
        raise FitError(next(iter(limit.undefined.values()), "no limit was found"))
    band = cls_band(likelihood, np.linspace(0.0, 1.3 * max(reach), POINTS), data=data)
    return {"strengths": band.strengths, "observed": band.observed, "expected": band.expected,
            "limit": {"observed": limit.observed, "expected": limit.expected}}


def _templates(likelihood: Likelihood, data: Floats, point: FitPoint) -> dict[str, Any]:
    slices = likelihood.model.config.channel_slices

    def stage(found: Expected, channel: str) -> dict[str, Any]:
        return {"samples": dict(found.samples[channel]), "total": found.total[channel],
                "error": found.errors[channel]}

    before, after = before_fit(likelihood), after_fit(likelihood, point)
    return {name: {"data": data[slices[name]], "before": stage(before, name), "after": stage(after, name)}
            for name in likelihood.model.config.channels}


def _yields(likelihood: Likelihood, point: FitPoint) -> list[dict[str, Any]]:
    prior = likelihood.prior_variance()
    before = yields(likelihood, likelihood.start, np.diag(np.where(np.isfinite(prior), prior, 0.0)))
    after = yields(likelihood, point.parameters, point.covariance)
    return [{"channel": b.channel, "sample": b.sample, "before": [b.events, b.error], "after": [a.events, a.error]}
            for b, a in zip(before, after, strict=True)]
