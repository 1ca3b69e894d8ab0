"""The analysis as text: cut-flows, and yields per bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.selection import FlowRow
from fei_lite.templates import Template

Floats = NDArray[np.float64]


def cut_flow_table(flows: Mapping[str, Sequence[FlowRow]]) -> str:
    """Cut-flows as text: per step, of each sample, entries, expected events and the share that the step keeps."""
    lines = []
    for name, rows in flows.items():
        lines.append(f"{name:36s} {'entries':>12s} {'expected':>14s} {'of all':>10s} {'of step':>8s}")
        before = first = rows[0].passed_weight
        for row in rows:
            share = row.passed_weight / first if first else float("nan")
            of_step = row.passed_weight / before if before else float("nan")
            lines.append(f"  {row.name:34s} {row.passed:12d} {row.passed_weight:14.4g} {share:10.3g} {of_step:8.3f}")
            before = row.passed_weight
        lines.append("")
    return "\n".join(lines)


def yields_table(templates: Sequence[Template], edges: Sequence[float], *,
                 published: Mapping[str, Floats] | None = None) -> str:
    """Expected events per bin of each sample, with statistical errors; those of a published workspace below."""
    header = "".join(f"{f'{a:g}-{b:g}':>15s}" for a, b in pairwise(edges))
    lines = [f"{'eta':14s}{header}{'all':>15s}"]
    for template in templates:
        cells = [f"{value:8.2f} +-{error:5.2f}" for value, error in zip(template.values, template.errors, strict=True)]
        cells.append(f"{template.values.sum():8.2f} +-{np.sqrt((template.errors**2).sum()):5.2f}")
        lines.append(f"{template.name:14s}" + "".join(f"{cell:>15s}" for cell in cells))
    for name, values in (published or {}).items():
        cells = [f"{value:15.2f}" for value in (*values, values.sum())]
        lines.append(f"{'published ' + name:14.14s}" + "".join(cells))
    return "\n".join(lines) + "\n"
