"""The physics that only B -> Xs nu nubar has: true M(Xs) and mode, fragmentation, migration between regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.analysis import Result
from fei_lite.analyses.drawings import Grid, Panel
from fei_lite.analyses.k_nunu.form_factor import FormFactor
from fei_lite.analyses.pairs import Columns, Pairs
from fei_lite.analyses.physics import Physics
from fei_lite.analyses.systematics import Line
from fei_lite.analyses.xs_nunu.final_states import OTHER, final_states, modes
from fei_lite.analyses.xs_nunu.fragmentation import fragmentation
from fei_lite.data_files import Strict
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch
from fei_lite.generator.matrix_elements.dineutrino import FermiMotion

Floats = NDArray[np.float64]
PROCESSES = ("xs_nunu", "xs_nunu_neutral")
EVENT_COLUMNS = ("q2_generated", "mXs_generated", "mode_generated", "modeKL_generated", "nonResonant_generated")
_M_B = 5.2795      # GeV, of B+ and B0
_DRAWS = 400_000   # of M(Xs), for the effect of the Fermi motion
_MASS_EDGES = np.linspace(1.1, 3.9, 29)


class Settings(Strict):
    """Edges of the regions of M(Xs), GeV, from the second: the first begins at 0, the last has no end."""

    mass_edges: Annotated[tuple[float, ...], Field(min_length=1)]


def of_events(batch: EventBatch, process: str) -> Columns:
    """q2 (GeV^2), M(Xs) (GeV), mode (-1: none of the 30; K_L0 as K_S0 in the second); NaN and -1 for background."""
    n = batch.n_events
    if process not in PROCESSES:
        none, other = np.full(n, np.nan), np.full(n, OTHER, dtype=np.int64)
        return dict(zip(EVENT_COLUMNS, (none, none, other, other, np.zeros(n, dtype=np.int64)), strict=True))
    found = final_states(batch)
    return dict(zip(EVENT_COLUMNS, (found.q2, found.mass, found.mode, found.mode_with_kl,
                                    found.non_resonant.astype(np.int64)), strict=True))


def event_weights(columns: Columns, process: str, where: str) -> Floats:
    """From the generator's fragmentation of Xs to the measured one. Raises :class:`AnalysisError` for other decays."""
    if process not in PROCESSES:
        return np.ones(len(columns["q2_generated"]))
    wrong = np.isnan(columns["q2_generated"])
    if wrong.any():
        raise AnalysisError(f"{where}: {np.count_nonzero(wrong)} of {len(wrong)} events of process 'signal' hold no B "
                            f"-> Xs nu nubar. Simulate with --dec {' or '.join(PROCESSES)}.")
    return fragmentation().weight(columns["modeKL_generated"], columns["mXs_generated"],
                                  columns["nonResonant_generated"] == 1)


class FragmentationLine(Line):
    """The fraction of one category of Xs final states (or ``missing``: of those not reconstructed) by its error.

    The others make up for it: the rate at each M(Xs) stays.
    """

    kind: Literal["fragmentation"]
    category: str

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Factors on the weights of non-resonant Xs; 1 for all others. Raises :class:`AnalysisError`."""
        known = (*fragmentation().names, "missing")
        if self.category not in known:
            raise AnalysisError(f"systematic '{self.name}': no category '{self.category}'; known: {', '.join(known)}.")
        down, up = (fragmentation().factor(self.category, sign, columns["modeKL_generated"], columns["mXs_generated"],
                                           columns["nonResonant_generated"] == 1) for sign in (-1.0, 1.0))
        return down, up


class FermiMotionLine(Line):
    """The Fermi momentum of the b quark moves by ``size`` GeV: the spectrum of M(Xs) of non-resonant Xs."""

    kind: Literal["fermi_motion"]
    size: Annotated[float, Field(gt=0.0, lt=0.4)]

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Ratio of two spectra of M(Xs) of equal area, in bins of 0.1 GeV; 1 for all others."""
        at = np.searchsorted(_MASS_EDGES, columns["mXs_generated"], side="right").clip(1, len(_MASS_EDGES) - 1) - 1
        chosen = columns["nonResonant_generated"] == 1
        down, up = (np.where(chosen, _mass_ratio(sign * self.size)[at], 1.0) for sign in (-1.0, 1.0))
        return down, up


@cache
def _mass_spectrum(p_f: float) -> Floats:
    drawn = FermiMotion(30343, p_f=p_f).draw(_DRAWS, _M_B, np.random.default_rng(20))[0]
    return np.histogram(drawn.clip(_MASS_EDGES[0], _MASS_EDGES[-1]), _MASS_EDGES)[0] / len(drawn)


def _mass_ratio(shift: float) -> Floats:
    """Spectrum of M(Xs) with the Fermi momentum shifted over that without."""
    nominal = FermiMotion(30343).p_f
    here = _mass_spectrum(nominal)
    return np.divide(_mass_spectrum(nominal + shift), here, out=np.ones_like(here), where=here > 0.0)


class KNunuFormFactor(FormFactor):
    """The coefficient a_k of f+ of B -> K nu nubar moves by ``size``; K* and Xs stay."""

    kind: Literal["k_nunu_form_factor"]  # type: ignore[assignment]

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Ratio of two spectra of equal area at the generated q2 of K nu nubar; 1 for all others."""
        q2 = np.where(columns["mXs_generated"] < 0.6, columns["q2_generated"], np.nan)
        return self.ratio(q2, -1.0), self.ratio(q2, 1.0)


def _reconstructed_mode(pairs: Pairs) -> NDArray[np.int64]:
    """Number of the mode that was reconstructed, 0 .. 29."""
    neutral = np.abs(pairs.value("daughter(1, PDG)")) == 511
    return np.asarray(pairs.value("daughter(1, decayModeID)") + neutral * (len(modes()) // 2), dtype=np.int64)


def region_of(mass: Floats, result: Result) -> NDArray[np.int64]:
    """Number (n,) of the region of M(Xs)."""
    settings = result.analysis.settings
    assert isinstance(settings, Settings)
    return np.searchsorted(settings.mass_edges, mass, side="right")


def migration(result: Result) -> Floats:
    """Of true signal in each region of M(Xs) (rows) the fraction found in each (columns); after all cuts of the fit."""
    signal = np.isin(result.sample, [line.name for line in result.recipe.signals])
    signal &= inside_fit(result)
    true, found = (region_of(result.columns[name][signal], result) for name in ("mXs_generated", "Mxs"))
    n = len(result.recipe.signals)
    table = np.zeros((n, n))
    np.add.at(table, (true, found), result.columns["event_weight"][signal])
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300)


def inside_fit(result: Result) -> NDArray[np.bool_]:
    """Candidates (n,) in the bins of some region."""
    from fei_lite.analyses.columns import calculate, passes

    inside = np.zeros(len(result.sample), dtype=bool)
    for line in result.recipe.region:
        x = calculate(line.variable, result.columns)
        chosen = (x >= line.edges[0]) & (x <= line.edges[-1])
        inside |= chosen if line.where is None else chosen & passes(line.where, result.columns)
    return inside


def summary(result: Result) -> dict[str, Any]:
    """The migration between the regions, and what each strength 1 stands for."""
    return {"migration": {"true_rows_found_columns": migration(result).tolist()}}


def lines(result: Result) -> Sequence[str]:
    """The migration as text."""
    names = [line.name for line in result.recipe.signals]
    rows = [f"{'true M(Xs) in':16s}" + "".join(f"{f'found in {r.name}':>18s}" for r in result.regions)]
    rows += [f"{name:16s}" + "".join(f"{100 * x:17.1f}%" for x in row)
             for name, row in zip(names, migration(result), strict=True)]
    return rows


def figures(result: Result) -> Mapping[str, Sequence[Panel]]:
    """The migration between the regions."""
    names = [line.name.rpartition("_")[2] for line in result.recipe.signals]
    return {"migration": [Panel(r"found $M(X_s)$", r"true $M(X_s)$", grid=Grid(
        100 * migration(result), x=names, y=names, label="% of each row"))]}


PHYSICS = Physics(
    event_columns=EVENT_COLUMNS, of_events=of_events, event_weights=event_weights,
    variables={"reconstructedMode": _reconstructed_mode},
    systematics={"fragmentation": FragmentationLine, "fermi_motion": FermiMotionLine,
                 "k_nunu_form_factor": KNunuFormFactor},
    settings=Settings, summary=summary, figures=figures, lines=lines)
