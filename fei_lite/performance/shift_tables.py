"""Shifts of features between two samples of events (:mod:`fei_lite.performance.feature_shifts`), in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from fei_lite.performance.feature_shifts import Difference, ProbabilityRange


def differences_table(found: Sequence[Difference], *, level: float = 0.05) -> str:
    """The features that differ (q below ``level``), by stage, and how many were tested.

    Channels of the same tracks have a row in common.
    """
    rows: dict[tuple[int, str, tuple[int, int], int], list[Difference]] = {}
    for d in found:
        if d.q_value < level:
            # the same column under several hypotheses: equal but for a candidate or two
            key = d.stage, d.feature, (d.n_candidates[0], 0), round(100 * d.distance)
            rows.setdefault(key, []).append(d)
    lines = [f"{len(found)} features tested, {sum(map(len, rows.values()))} differ with q < {level:g} "
             f"({sum(d.p_value < 0.05 for d in found)} with p < 0.05; {0.05 * len(found):.0f} by chance)",
             f"{'stage':>5} {'channel or particle':40} {'feature':44} {'candidates':>14} {'shift':>7} {'width':>6} "
             f"{'D':>6} {'p':>8} {'q':>8}"]
    for group in rows.values():
        d = group[0]
        labels = " ".join(g.label.removesuffix("_FSP") for g in group)
        lines.append(f"{d.stage:5d} {labels:40} {d.feature:44} {d.n_candidates[0]:6d} {d.n_candidates[1]:7d} "
                     f"{d.shift:7.2f} {d.width:6.2f} {d.distance:6.3f} {d.p_value:8.1e} {d.q_value:8.1e}")
    return "\n".join(lines)


def ranges_table(rows: Sequence[ProbabilityRange], *, names: tuple[str, str]) -> str:
    """The range of SignalProbability of each particle in both samples, which are called ``names``."""
    lines = ["SignalProbability of kept candidates: number, quantiles 1, 50, 99 %, maximum",
             f"{'':12} {names[0]:>44} {names[1]:>44}"]
    for row in rows:
        halves = zip(row.n_candidates, (row.first, row.second), strict=True)
        lines.append(f"{row.particle:12}" + "".join(f" {n:8d}" + "".join(f" {v:8.2g}" for v in values)
                                                    for n, values in halves))
    return "\n".join(lines)
