"""What a production is good for: effective luminosity per process and analysis, and the gain over plain simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidate_files import read_candidates
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.selected import selected
from fei_lite.analyses.tagged_production import records_of
from fei_lite.generator.processes import find_process


@dataclass(frozen=True)
class Yield:
    """Selected candidates of a process in an analysis.

    ``luminosity`` (1/fb) was generated; ``effective`` is that of unweighted, independent events with the same relative
    error (decays and events used several times are correlated). ``seconds`` of processor time were spent on all
    analyses together; ``plain`` is the luminosity that plain simulation makes in them. NaN without candidates.
    """

    analysis: str
    process: str
    luminosity: float
    selected: int
    sum_of_weights: float
    effective: float
    seconds: float
    plain: float

    @property
    def gain(self) -> float:
        """Effective luminosity per second over that of plain simulation."""
        return self.effective / self.plain


def effective_luminosity(weight: float, variance: float, luminosity: float) -> float:
    """Of a sum of weights with its variance, made from a luminosity: that of unweighted events of that error.

    >>> effective_luminosity(100.0, 50.0, 10.0)
    20.0
    """
    return luminosity * weight / variance if variance > 0.0 else float("nan")


def yields_of(folders: Sequence[Path], analysis: Analysis) -> list[Yield]:
    """The yields of an analysis in productions, process by process."""
    records = [(folder, record) for folder in folders for record in records_of(folder)
               if record["luminosity_fb"] is not None and analysis.name in record["analyses"]]
    found = []
    for process in dict.fromkeys(record["process"] for _, record in records):
        own = [(folder, record) for folder, record in records if record["process"] == process]
        inputs = read_candidates([folder / analysis.name / f"{process}_{record['seed']}.parquet"
                                  for folder, record in own], analysis)
        keep = selected(analysis.recipe, inputs.columns)
        weight, second = inputs.columns["weight"][keep], inputs.second()
        variance = bin_variances(np.zeros(len(weight)), weight, inputs.columns["source"][keep], inputs.decay()[keep],
                                 np.array([-1.0, 1.0]), second=None if second is None else second[keep])[0]
        luminosity = sum(record["luminosity_fb"] for _, record in own)
        seconds = sum(sum(record["seconds"].values()) for _, record in own)
        found.append(Yield(analysis.name, process, luminosity, len(weight), float(weight.sum()),
                           effective_luminosity(float(weight.sum()), float(variance), luminosity), seconds,
                           seconds / _plain([record for _, record in own])))
    return found


def _plain(records: Sequence[dict[str, Any]]) -> float:
    """Processor seconds that plain simulation takes for 1/fb: every event generated, detected and reconstructed."""
    def per(steps: tuple[str, ...], events: float) -> float:
        return float(sum(record["seconds"].get(step, 0.0) for record in records for step in steps) / max(events, 1.0))

    section = find_process(records[0]["process"]).cross_section
    chosen = sum(record["chosen"] for record in records)
    one = (per(("generate",), sum(record["n_generated"] for record in records))
           + per(("detect",), sum(record["taken"] for record in records)) + per(("side", "tag", "analyse"), chosen))
    return one * section * 1e6
