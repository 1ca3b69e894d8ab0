"""Models of unbinned fits from the file of values that an analysis ends in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.ntuple import said_in
from fei_lite.errors import AnalysisError, FitError, WorkspaceError, nearest
from fei_lite.statistics.shapes import Background, Peak, fit_peak
from fei_lite.statistics.unbinned import PeakModel, background_of, sets_of

Floats = NDArray[np.float64]
#: A region with fewer signal candidates takes the peak of all regions' together (ours).
ENOUGH_FOR_A_PEAK = 150


@dataclass(frozen=True)
class RegionValues:
    """One region: signal and background values (n,) with weights, and what the recipe says of it."""

    name: str
    low: float
    high: float
    efficiency_error: float
    title: str
    signal: Floats = field(repr=False)
    signal_weight: Floats = field(repr=False)
    background: Floats = field(repr=False)
    background_weight: Floats = field(repr=False)

    @property
    def background_total(self) -> tuple[float, float]:
        """Background expected in the range and its statistical error."""
        return float(self.background_weight.sum()), float(np.sqrt(np.sum(self.background_weight**2)))


@dataclass(frozen=True)
class FitValues:
    """All regions of a file, at an integrated luminosity (1/fb).

    A region without any background candidate expects ``floor`` events of it; None: no background was simulated.
    """

    luminosity: float
    regions: Mapping[str, RegionValues]
    floor: float | None = None

    def region(self, name: str) -> RegionValues:
        """A region by its name; raises :class:`WorkspaceError`."""
        if name not in self.regions:
            raise WorkspaceError(f"no region '{name}'; there are {', '.join(self.regions)}."
                                 f"{nearest(name, self.regions)}")
        return self.regions[name]

    def peak(self, name: str, *, loc: float) -> Peak:
        """The peak of a region's signal, or of all regions' where it has too few; raises :class:`FitError`."""
        own = self.region(name)
        parts = [own] if len(own.signal) >= ENOUGH_FOR_A_PEAK else list(self.regions.values())
        return fit_peak(np.concatenate([r.signal for r in parts]),
                        np.concatenate([r.signal_weight for r in parts]), own.low, own.high, loc=loc)

    def model(self, name: str, *, loc: float, family: str = "exponential", more: Mapping[str, float] | None = None,
              peak: Peak | None = None, background_scale: float = 1.0) -> PeakModel:
        """The model of a region. ``more``: further data sets, name -> 1/fb, of the same efficiency and background.

        A region without any background candidate expects the floor, flat: what is not seen is not zero. Raises
        :class:`FitError` without signal or any background.
        """
        own = self.region(name)
        if not len(own.signal):
            raise FitError(f"region '{name}': no signal candidate. Give more signal events.")
        x, w = own.background, own.background_weight
        if not len(x):
            x, w = np.array([0.5 * (own.low + own.high)]), np.array([self.floor or 0.0])
        parameters = background_of(x, w * background_scale, family, own.low, own.high)
        names = {"belle2": self.luminosity, **(more or {})}
        sets = sets_of(list(names), [value / self.luminosity for value in names.values()],
                       signal=float(own.signal_weight.sum()), background=Background(family, own.low, own.high),
                       parameters=parameters)
        return PeakModel(peak or self.peak(name, loc=loc), sets, own.efficiency_error)


def read_values(path: str | os.PathLike[str]) -> FitValues:
    """The values of an analysis (``values.parquet``, or the folder with it). Raises :class:`WorkspaceError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path) / "values.parquet" if Path(path).is_dir() else Path(path)
    try:
        table = pq.read_table(file)
        said = json.loads(said_in(table.schema, where=f"{file}: metadata"))["fit"]
        columns = {name: table.column(name).to_numpy(zero_copy_only=False)
                   for name in ("region", "sample", "value", "weight")}
        regions = {name: _region(name, entry, said["signals"], columns) for name, entry in said["regions"].items()}
        return FitValues(float(said["luminosity_fb"]), regions, said["background_floor"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AnalysisError) as error:
        raise WorkspaceError(f"{file}: no values of an unbinned fit can be read there: {error}. Use the values.parquet "
                             "of fei-lite analyse.") from None


def _region(name: str, said: Mapping[str, Any], signals: list[str], columns: Mapping[str, NDArray[Any]],
            ) -> RegionValues:
    here = columns["region"] == name
    signal, background = here & (columns["sample"] == said["signal"]), here & ~np.isin(columns["sample"], signals)
    low, high = (float(x) for x in said["range"])
    return RegionValues(name, low, high, float(said["efficiency_error"]), str(said["title"]),
                        columns["value"][signal], columns["weight"][signal], columns["value"][background],
                        columns["weight"][background])
