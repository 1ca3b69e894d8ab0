"""What B -> Xs nu nubar shows beyond the usual: the migration between the regions of M(Xs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.drawings import Grid, Panel
from fei_lite.analyses.histograms import inside_region
from fei_lite.data_files import Strict

if TYPE_CHECKING:
    from fei_lite.analyses.analysis import Result

Floats = NDArray[np.float64]


class Settings(Strict):
    """Edges of the regions of M(Xs), GeV, from the second: the first begins at 0, the last has no end."""

    mass_edges: Annotated[tuple[float, ...], Field(min_length=1)]


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
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300))


def inside_fit(result: Result) -> NDArray[np.bool_]:
    """Candidates (n,) in the bins of some region."""
    inside = np.zeros(len(result.sample), dtype=bool)
    for line in result.recipe.region:
        inside |= inside_region(line, result.columns)
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
