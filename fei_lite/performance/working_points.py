"""The three numbers of a tagger, from a Btag file, with intervals.

With N all events of the file, T those whose best Btag is of the B type asked
for (B+ or B0) and has SignalProbability above the working point, and C those
of T whose best Btag is correct (``isSignal``):

====================  =======
tagging efficiency    T / N
tag-side efficiency   C / N
purity                C / T
====================  =======

so that purity x tagging efficiency = tag-side efficiency (Keck et al.,
arXiv:1807.08680). The best Btag is chosen once per event, over the B+ and B0
lists together. ``per_event_type`` repeats the tag-side efficiency for B+B- and
B0B0bar events alone, where the file knows them.

Intervals hold 68.3 %: Clopper-Pearson for unweighted events. With event weights
the counts are replaced by effective ones: k = f n, n = (sum w)^2 / sum w^2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError, FeiLiteError, nearest
from fei_lite.particles import mass

#: Working points on SignalProbability in use for the FEI, and a pure one.
WORKING_POINTS = (0.001, 0.01, 0.1)

#: Kinds of Btag: name, absolute PDG code, and the event type that has it.
B_TYPES = {"B+": (521, "B+B-"), "B0": (511, "B0B0bar")}

CONFIDENCE = 0.682689492


@dataclass(frozen=True)
class Measured:
    """A fraction with its interval (68.3 %); all NaN where it is undefined."""

    value: float
    lower: float
    upper: float

    def to_json(self) -> dict[str, float | None]:
        """The three numbers by name; undefined is None."""
        return {name: None if np.isnan(x) else float(x)
                for name, x in (("value", self.value), ("lower", self.lower), ("upper", self.upper))}


UNDEFINED = Measured(float("nan"), float("nan"), float("nan"))


def fraction(passed: float, total: float, *, n_effective: float | None = None) -> Measured:
    """``passed / total`` with a Clopper-Pearson interval; undefined if ``total`` is 0.

    ``n_effective`` replaces ``total`` as the size of the sample where both are
    sums of weights.

    >>> round(fraction(0, 10).upper, 4)  # 1 - 0.15866 ** (1 / 10)
    0.1681
    """
    from scipy.stats import beta

    if not total > 0:
        return UNDEFINED
    value = min(max(passed / total, 0.0), 1.0)
    n = total if n_effective is None else n_effective
    k = value * n
    tail = 0.5 * (1.0 - CONFIDENCE)
    lower = 0.0 if k <= 0 else float(beta.ppf(tail, k, n - k + 1))
    upper = 1.0 if k >= n else float(beta.ppf(1.0 - tail, k + 1, n - k))
    return Measured(value, lower, upper)


@dataclass(frozen=True)
class _Best:
    """The best Btags of a file: one row per event that has a candidate."""

    probability: NDArray[np.float64]
    b_type: NDArray[np.int32]
    weight: NDArray[np.float64]
    correct: NDArray[np.bool_] | None
    mbc: NDArray[np.float64]


def evaluate_tags(columns: Mapping[str, Any], metadata: Mapping[str, Any], *,
                  working_points: Sequence[float] = WORKING_POINTS) -> dict[str, Any]:
    """Efficiencies and purities of a Btag file's content (see ``read_tags``), as plain data for JSON.

    Keys ``"B+"`` and ``"B0"``: ``n_events`` and ``working_points``, a list of
    ``min_signal_probability``, ``tagging_efficiency``, ``tag_side_efficiency``,
    ``purity``; without truth the last two are None. ``mbc_of_correct_tags``: see
    :func:`mbc_peak`. Raises :class:`EventFileError` for a missing column and
    :class:`FeiLiteError` for a working point outside 0 to 1.
    """
    for point in working_points:
        if not 0.0 <= point < 1.0:
            raise FeiLiteError(f"working point {point}: expected a SignalProbability from 0 to below 1.")
    best = _best_tags(columns)
    for key in ("n_events", "sum_of_weights", "sum_of_squared_weights"):
        if key not in metadata:
            raise EventFileError(f"the Btag file's metadata has no '{key}': it is not complete."
                                 f"{nearest(key, metadata)}")
    # all weights are 1 if and only if both sums are the number of events
    weighted = any(metadata[key] != metadata["n_events"] for key in ("sum_of_weights", "sum_of_squared_weights"))
    result: dict[str, Any] = {
        "n_events": int(metadata["n_events"]), "n_tagged": len(best.b_type), "weighted": weighted,
        "has_truth": best.correct is not None}
    for name, (code, event_type) in B_TYPES.items():
        points = [_working_point(best, code, point, metadata) for point in working_points]
        block: dict[str, Any] = {"n_events": int(metadata["n_events"]), "working_points": points}
        of_type = metadata.get("event_types", {}).get(event_type)
        if of_type and best.correct is not None:
            block["per_event_type"] = {
                "event_type": event_type, "n_events": int(of_type["n_events"]),
                "tag_side_efficiency": [_of_type(best, code, p, of_type, metadata) for p in working_points]}
        result[name] = block
    result["mbc_of_correct_tags"] = mbc_peak(best.mbc[best.correct]) if best.correct is not None else None
    return result


def _best_tags(columns: Mapping[str, Any]) -> _Best:
    needed = ("best", "SignalProbability", "pdg", "weight", "Mbc")
    for name in needed:
        if name not in columns:
            raise EventFileError(f"no column '{name}': this is not a Btag file.{nearest(name, columns)}")
    rows = np.asarray(columns["best"]) == 1
    correct = np.asarray(columns["isSignal"])[rows] == 1 if "isSignal" in columns else None
    return _Best(np.asarray(columns["SignalProbability"])[rows], np.abs(np.asarray(columns["pdg"])[rows]),
                 np.asarray(columns["weight"], dtype=np.float64)[rows], correct,
                 np.asarray(columns["Mbc"], dtype=np.float64)[rows])


def _effective(weight: NDArray[np.float64]) -> float:
    """Effective number of weighted entries, (sum w)^2 / sum w^2."""
    squares = float(np.sum(weight**2))
    return float(np.sum(weight)) ** 2 / squares if squares > 0 else 0.0


def _working_point(best: _Best, code: int, threshold: float, metadata: Mapping[str, Any]) -> dict[str, Any]:
    tagged = (best.b_type == code) & (best.probability > threshold)
    n_all = float(metadata["sum_of_weights"])
    n_effective = n_all**2 / float(metadata["sum_of_squared_weights"]) if n_all > 0 else 0.0
    n_tagged = float(best.weight[tagged].sum())
    out: dict[str, Any] = {
        "min_signal_probability": threshold, "n_tagged": int(np.count_nonzero(tagged)),
        "tagging_efficiency": fraction(n_tagged, n_all, n_effective=n_effective).to_json(),
        "tag_side_efficiency": None, "purity": None}
    if best.correct is not None:
        n_correct = float(best.weight[tagged & best.correct].sum())
        out["n_correct"] = int(np.count_nonzero(tagged & best.correct))
        out["tag_side_efficiency"] = fraction(n_correct, n_all, n_effective=n_effective).to_json()
        out["purity"] = fraction(n_correct, n_tagged, n_effective=_effective(best.weight[tagged])).to_json()
    return out


def _of_type(best: _Best, code: int, threshold: float, of_type: Mapping[str, float],
             metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Tag-side efficiency of one B type relative to the events of its own type."""
    assert best.correct is not None
    chosen = (best.b_type == code) & (best.probability > threshold) & best.correct
    total = float(of_type["sum_of_weights"])
    n_effective = total * float(metadata["sum_of_weights"]) / float(metadata["sum_of_squared_weights"])
    return fraction(float(best.weight[chosen].sum()), total, n_effective=n_effective).to_json()


def mbc_peak(mbc: NDArray[np.float64], *, half_window: float = 0.012) -> dict[str, float | int | None]:
    """Position and width of the Mbc peak of correct tags, GeV.

    ``median``; ``width``: half the central 68.3 % interval; ``core_mean`` and
    ``core_sigma``: a Gaussian fitted (maximum likelihood, truncated) within
    ``half_window`` of the B mass. None if there are fewer than 10 tags.
    """
    mbc = mbc[np.isfinite(mbc)]
    if len(mbc) < 10:
        return {"n": len(mbc), "median": None, "width": None, "core_mean": None, "core_sigma": None}
    low, middle, high = np.quantile(mbc, [0.5 - CONFIDENCE / 2, 0.5, 0.5 + CONFIDENCE / 2])
    mean, sigma = _truncated_gaussian(mbc[np.abs(mbc - mass("B+")) < half_window], mass("B+"), half_window)
    return {"n": len(mbc), "median": float(middle), "width": float(0.5 * (high - low)), "core_mean": mean,
            "core_sigma": sigma}


def _truncated_gaussian(x: NDArray[np.float64], centre: float, half_window: float) -> tuple[float | None, float | None]:
    from scipy.optimize import minimize
    from scipy.stats import norm

    if len(x) < 10:
        return None, None
    z = (x - centre) / half_window  # of order one: the steps of the minimiser are absolute

    def loss(parameters: NDArray[np.float64]) -> float:
        mean, sigma = parameters[0], np.exp(parameters[1])
        inside = norm.cdf(1.0, mean, sigma) - norm.cdf(-1.0, mean, sigma)
        return float(-np.mean(norm.logpdf(z, mean, sigma)) + np.log(max(inside, 1e-300)))

    start = np.array([z.mean(), np.log(z.std() + 1e-6)])
    simplex = start + np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.3]])
    fit = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex})
    return centre + half_window * float(fit.x[0]), half_window * float(np.exp(fit.x[1]))
