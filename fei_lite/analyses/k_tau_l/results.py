"""What B -> K tau l adds to the results of its analysis: resolution, efficiency over the Dalitz plane, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.analysis import Result
from fei_lite.analyses.drawings import Panel, Steps
from fei_lite.analyses.k_tau_l.dalitz import Efficiency, efficiency
from fei_lite.analyses.k_tau_l.generated import MODES
from fei_lite.analyses.k_tau_l.operators import OPERATORS, weight
from fei_lite.data_files import Strict

Floats = NDArray[np.float64]

#: Signal process -> its hadron, as :mod:`fei_lite.analyses.k_tau_l.operators` calls it.
KAONS = {"ks_tau_l": "K_S0", "kst_tau_l": "K*0", "k_tau_l": "K+"}


#: Categories of the tau's track, in the order of their numbers.
CATEGORIES = ("e", "mu", "pi", "rho")


class Settings(Strict):
    """Bins of the Dalitz plane, GeV^2: m^2(tau l), m^2(K l)."""

    m2_taul_edges: Annotated[tuple[float, ...], Field(min_length=2)]
    m2_Kl_edges: Annotated[tuple[float, ...], Field(min_length=2)]


def signal_lines(result: Result) -> list[tuple[str, str, int]]:
    """(sample, process, mode) of every signal of the recipe that is among the samples."""
    there = {s.name for s in result.samples}
    return [(line.name, line.processes[0], _mode(line.where or "")) for line in result.recipe.signals
            if line.name in there]


def _mode(where: str) -> int:
    return int(where.rpartition("==")[2])


def own_region(result: Result, sample: str) -> NDArray[np.bool_]:
    """Candidates (n,) of a signal's sample that are in its own region, inside of the fit's range."""
    return np.asarray((result.sample == sample) & result.in_region(sample))


def efficiencies(result: Result) -> dict[str, Efficiency]:
    """Efficiency of each signal over its Dalitz plane, all that is in its region of the fit."""
    settings = result.analysis.settings
    assert isinstance(settings, Settings)
    out = {}
    for sample, process, mode in signal_lines(result):
        of = own_region(result, sample)
        total = result.of(sample).flow[0].passed_weight
        out[sample] = efficiency(
            result.columns["m2_taul_generated"][of], result.columns["m2_Kl_generated"][of],
            result.columns["event_weight"][of], total=total, kaon=KAONS[process], light=MODES[mode].split()[1][:-1],
            edges=(settings.m2_taul_edges, settings.m2_Kl_edges))
    return out


def operator_efficiencies(result: Result) -> dict[str, dict[str, tuple[float, float]]]:
    """Sample -> operator -> efficiency in its region and its statistical error."""
    out: dict[str, dict[str, tuple[float, float]]] = {}
    for sample, process, mode in signal_lines(result):
        of, columns = own_region(result, sample), result.columns
        total = result.of(sample).flow[0].passed_weight
        out[sample] = {}
        for operator in OPERATORS:
            w = columns["event_weight"][of] * weight(
                operator, KAONS[process], columns["m_K_generated"][of], columns["m2_taul_generated"][of],
                columns["cos_generated"][of], anti=np.full(int(of.sum()), mode >= 2))
            w = w[np.isfinite(w)]
            out[sample][operator] = float(w.sum() / total), float(np.sqrt(np.sum(w**2)) / total)
    return out


def category_efficiencies(result: Result) -> dict[str, dict[str, tuple[float, float]]]:
    """Sample -> category of the tau's track -> efficiency in its region and its statistical error.

    K*0 tau l has one category, any track.
    """
    out: dict[str, dict[str, tuple[float, float]]] = {}
    for sample, process, _ in signal_lines(result):
        of, total = own_region(result, sample), result.of(sample).flow[0].passed_weight
        w, mode = result.columns["event_weight"][of], result.columns["tauMode"][of]
        names = ("track",) if KAONS[process] == "K*0" else CATEGORIES
        out[sample] = {name: (float(w[mode == k].sum() / total), float(np.sqrt(np.sum(w[mode == k] ** 2)) / total))
                       for k, name in enumerate(names)}
    return out


def resolution(result: Result) -> dict[str, Any]:
    """M_tau of selected signal in classes of the tag's SignalProbability: quantiles and tails.

    Per class: entries, of those within 0.2 GeV of the tau mass the median and half of the central 68 %, and the
    fraction of the others. A candidate is right if tag and K are, and the lepton is the B's own.
    """
    signal = np.isin(result.sample, [line.name for line in result.recipe.signals])
    columns = {name: result.columns[name][signal] for name in ("M_tau", "tagSignalProbability", "tagIsSignal")}
    x, p, tag = columns["M_tau"], columns["tagSignalProbability"], columns["tagIsSignal"] == 1
    right = tag & is_right(result)[signal]
    found = {}
    for name, chosen in (("all", p > 0), ("right", right), ("right tag, wrong K or l", tag & ~right),
                         ("wrong tag", ~tag), *((f"P {a:g}-{b:g}", (p > a) & (p <= b)) for a, b in _CLASSES)):
        found[name] = _quantiles(x[chosen & np.isfinite(x)])
    return found


def is_right(result: Result) -> NDArray[np.bool_]:
    """Candidates (n,) whose tag and K are right and whose lepton comes from the B itself."""
    columns = result.columns
    return np.asarray((columns["tagIsSignal"] == 1) & (columns["kaonIsSignal"] == 1)
                      & np.isin(np.abs(columns["leptonMother"]), (511, 521)))


_CLASSES = ((0.001, 0.01), (0.01, 0.1), (0.1, 0.5), (0.5, 1.0))
_M_TAU = 1.77693


def _quantiles(x: Floats) -> dict[str, float]:
    core = x[np.abs(x - _M_TAU) < 0.2]
    low, median, high = np.quantile(core, [0.16, 0.5, 0.84]) if len(core) else [float("nan")] * 3
    return {"entries": len(x), "median": float(median), "half_68": float(high - low) / 2,
            "beyond_0.2": float(np.mean(np.abs(x - _M_TAU) > 0.2)) if len(x) else float("nan")}


def summary(result: Result) -> dict[str, Any]:
    """Resolution of M_tau, efficiency of each operator and category."""
    return {"M_tau_GeV": resolution(result), "efficiency_of_operators": _plain(operator_efficiencies(result)),
            "efficiency_of_categories": _plain(category_efficiencies(result))}


def _plain(found: dict[str, dict[str, tuple[float, float]]]) -> dict[str, Any]:
    return {sample: {name: {"value": value, "error": error} for name, (value, error) in parts.items()}
            for sample, parts in found.items()}


def files(result: Result) -> dict[str, Any]:
    """Efficiency over the Dalitz plane, for reinterpretation."""
    return {"efficiency.json": {
        "quantity": "candidates in the fit's region over generated decays, per bin of the generated Dalitz plane",
        "unit": "GeV^2", "modes": {name: found.to_json() for name, found in efficiencies(result).items()}}}


def lines(result: Result) -> Sequence[str]:
    """Resolution and efficiencies as text."""
    out = [f"M_tau, {name}: {q['entries']} entries, median {q['median']:.4f} GeV, half of 68 % {q['half_68']:.4f} GeV, "
           f"{100 * q['beyond_0.2']:.0f} % beyond 0.2 GeV" for name, q in resolution(result).items() if q["entries"]]
    for what, found in (("operator", operator_efficiencies(result)), ("category", category_efficiencies(result))):
        for sample, parts in found.items():
            out.append(f"efficiency of {sample} in its region [1e-4] by {what}: " + ", ".join(
                f"{name} {1e4 * value:.2f} +- {1e4 * error:.2f}" for name, (value, error) in parts.items()))
    return out


def figures(result: Result) -> Mapping[str, Sequence[Panel]]:
    """M_tau of signal by its tag."""
    signal = np.isin(result.sample, [line.name for line in result.recipe.signals])
    x, right = result.columns["M_tau"], is_right(result)
    edges = np.linspace(1.0, 2.5, 61)
    parts = [_normalised(x[signal & (right == flag)], edges, label)
             for flag, label in ((True, "tag, K and l right"), (False, "others"))]
    return {"M_tau_signal": [Panel(r"$M_\tau$ [GeV]", "fraction per 25 MeV", steps=parts)]}


def _normalised(x: Floats, edges: Floats, label: str) -> Steps:
    n = np.histogram(x, edges)[0].astype(np.float64)
    return Steps(edges, n / max(n.sum(), 1.0), label=label)
