"""The analysis as text: cut-flows, and yields per bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.analysis import SampleResult
from fei_lite.analyses.histograms import Region
from fei_lite.analyses.selection import FlowRow

Floats = NDArray[np.float64]


def cut_flow_table(flows: Mapping[str, Sequence[FlowRow]]) -> str:
    """Cut-flows as text: per step, of each sample, entries, expected events, the fraction that the step keeps, N-1."""
    lines = []
    for name, rows in flows.items():
        lines.append(f"{name:36s} {'entries':>12s} {'expected':>14s} {'of all':>10s} {'of step':>8s} {'N-1':>8s}")
        before = first = rows[0].passed_weight
        for row in rows:
            of_all = row.passed_weight / first if first else float("nan")
            of_step = row.passed_weight / before if before else float("nan")
            others = rows[-1].passed_weight + row.rejected_last_weight
            last = f" {rows[-1].passed_weight / others:8.3f}" if row.rejected_last_weight and others else ""
            lines.append(f"  {row.name:34s} {row.passed:12d} {row.passed_weight:14.4g} {of_all:10.3g} {of_step:8.3f}"
                         + last)
            before = row.passed_weight
        lines.append("")
    return "\n".join(lines)


def samples_table(samples: Sequence[SampleResult]) -> str:
    """Samples as text: generated events and their luminosity, selected and expected ones, effective luminosity."""
    lines = [f"{'sample':14s} {'generated':>12s} {'luminosity':>12s} {'selected':>10s} {'expected':>10s} "
             f"{'effective':>12s}  1/fb"]
    lines += [f"{s.name:14s} {s.n_generated:12d} {s.luminosity:12.4g} {s.entries:10d} {s.expected:10.2f} "
              f"{s.effective_luminosity:12.4g}" for s in samples]
    return "\n".join(lines) + "\n"


def yields_table(region: Region, *, published: Mapping[str, Floats] | None = None) -> str:
    """Expected events per bin of each sample, with statistical errors; those of a published workspace below.

    Of several signals those without any candidate in the region are left out.
    """
    header = "".join(f"{f'{a:g}-{b:g}':>17s}" for a, b in pairwise(region.edges))
    lines = [f"{region.name:14s} {region.variable}", f"{'':14s}{header}{'all':>17s}"]
    several = sum(template.signal for template in region.templates) > 1
    for template in region.templates:
        if several and template.signal and not template.errors.any():
            continue  # of many signals, those that are in this region
        cells = [f"{value:8.2f} +-{error:5.2f}" for value, error in zip(template.values, template.errors, strict=True)]
        cells.append(f"{template.values.sum():8.2f} +-{np.sqrt((template.errors**2).sum()):5.2f}")
        lines.append(f"{template.name:14s}" + "".join(f" {cell:>16s}" for cell in cells))
    for name, values in (published or {}).items():
        cells = [f"{value:17.2f}" for value in (*values, values.sum())]
        lines.append(f"{'published ' + name:14.14s}" + "".join(cells))
    return "\n".join(lines) + "\n"
