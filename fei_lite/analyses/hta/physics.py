"""The physics that only B+ -> K+ nu nubar has: its spectrum, the joint number density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.analysis import Result
from fei_lite.analyses.candidates.pairs import Columns
from fei_lite.analyses.drawings import Curve, Panel, Steps
from fei_lite.analyses.k_nunu.density import Density
from fei_lite.analyses.k_nunu.form_factor import FormFactor, total
from fei_lite.analyses.k_nunu.generated import generated_q2
from fei_lite.analyses.k_nunu.spectrum import (
    Q2_MAX,
    Couplings,
    fractions,
    phase_space,
    spectrum,
    weight,
)
from fei_lite.analyses.physics import Physics
from fei_lite.data_files import Strict
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch

Floats = NDArray[np.float64]
PROCESS, SAMPLE, REGION = "k_nunu", "signal", "hta"


class Settings(Strict):
    """Bins of the generated q2 of the joint number density, GeV^2."""

    q2_edges: Annotated[tuple[float, ...], Field(min_length=2)]


def of_events(batch: EventBatch, process: str) -> Columns:
    """``q2_generated`` of every event, GeV^2; NaN for background."""
    return {"q2_generated": generated_q2(batch) if process == PROCESS else np.full(batch.n_events, np.nan)}


def event_weights(columns: Columns, process: str, where: str) -> Floats:
    """From phase space to the standard model's spectrum. Raises :class:`AnalysisError` for another decay."""
    if process != PROCESS:
        return np.ones(len(columns["q2_generated"]))
    factor = weight(columns["q2_generated"])
    if np.isnan(factor).any():
        raise AnalysisError(f"{where}: {np.count_nonzero(np.isnan(factor))} of {len(factor)} events of process "
                            "'signal' hold no B+ -> K+ nu nubar. Simulate with --dec k_nunu.")
    return factor


def _q2_edges(result: Result) -> tuple[float, ...]:
    settings = result.analysis.settings
    assert isinstance(settings, Settings)
    return settings.q2_edges


def density(result: Result) -> Density:
    """Joint number density n(eta, q2) of the selected signal."""
    of, columns = result.sample == SAMPLE, result.columns
    return Density.of(columns["eta"][of], columns["q2_generated"][of], columns["event_weight"][of],
                      result.region(REGION).edges, _q2_edges(result))


def q2_resolution(result: Result) -> dict[str, float]:
    """q2 from the tag's recoil minus the generated one, of selected signal: median, half of the central 68 %, tails.

    GeV^2; ``beyond_1`` is the fraction of candidates off by more than 1 GeV^2. All tags, right or wrong.
    """
    of = result.sample == SAMPLE
    difference = result.columns["q2"][of] - result.columns["q2_generated"][of]
    low, median, high = np.quantile(difference, [0.16, 0.5, 0.84]) if of.any() else [float("nan")] * 3
    return {"median": float(median), "half_68": float(high - low) / 2,
            "beyond_1": float(np.mean(np.abs(difference) > 1.0))}


def efficiency_in_q2(result: Result) -> tuple[Floats, Floats]:
    """Selected over expected signal in bins of generated q2, (n,), before the cut on eta; and its error."""
    of, edges = result.sample == SAMPLE, np.array(_q2_edges(result))
    q2, weights = result.columns["q2_generated"][of], result.columns["event_weight"][of]
    expected = result.expectation.expected(PROCESS) * fractions(edges)
    found, squares = (np.histogram(q2, edges, weights=w)[0] for w in (weights, weights**2))
    return found / expected, np.sqrt(squares) / expected


def summary(result: Result) -> dict[str, Any]:
    """Efficiency and resolution in q2."""
    values, errors = efficiency_in_q2(result)
    return {"q2_resolution_GeV2": q2_resolution(result), "efficiency_in_q2": {
        "edges_GeV2": list(_q2_edges(result)), "values": values.tolist(), "errors": errors.tolist()}}


def files(result: Result) -> dict[str, Any]:
    """The joint number density, for reinterpretation."""
    return {"density.json": density(result).to_json() | {
        "luminosity_fb": result.expectation.luminosity,
        "branching_fraction": result.recipe.signal_decays[PROCESS].branching_fraction}}


def lines(result: Result) -> Sequence[str]:
    """The resolution as text."""
    found = q2_resolution(result)
    return [f"q2 - generated: half of 68 % {found['half_68']:.3f} GeV^2, beyond 1 GeV^2 "
            f"{100 * found['beyond_1']:.0f} %"]


def figures(result: Result) -> Mapping[str, Sequence[Panel]]:
    """Efficiency in q2; spectra of the effective theory (area one), and the events of each at equal rate."""
    values, errors = efficiency_in_q2(result)
    q2, found = np.linspace(0.0, Q2_MAX, 400), density(result)
    theories = {"vector (SM)": Couplings(), "scalar": Couplings(0, 1, 0), "tensor": Couplings(0, 0, 1)}
    rates = {name: total(couplings) for name, couplings in theories.items()}
    return {
        "efficiency": [Panel(r"generated $q^2$ [GeV$^2$]", "signal efficiency [%]", steps=[
            Steps(np.array(_q2_edges(result)), 100 * values, 100 * errors)])],
        "spectra": [
            Panel(r"$q^2$ [GeV$^2$]", r"$1/\Gamma\ d\Gamma/dq^2$ [GeV$^{-2}$]", curves=[
                *(Curve(q2, spectrum(q2, c) / rates[name], name) for name, c in theories.items()),
                Curve(q2, phase_space(q2), "phase space")]),
            Panel(r"$\eta(\mathrm{BDT}_h)$", "expected signal events", steps=[
                Steps(found.x_edges, found.reweighted(c)[0] / rates[name], label=name)
                for name, c in theories.items()])]}


PHYSICS = Physics(
    event_columns=("q2_generated",), of_events=of_events, event_weights=event_weights,
    systematics={"form_factor": FormFactor}, settings=Settings, summary=summary, files=files, figures=figures,
    lines=lines)
